//! A run's order of work, on a simulated cluster and with children that are a shell script: which child runs
//! when, what is on disk after each trial, how failures and a stop end. What the real children do is tested
//! where they are; the whole on a real Kafka in the program's own tests.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering},
};

use ackmark_bench::{BenchError, BenchEvent, BenchOptions, Choices, Events, Plan, Target, run};
use ackmark_client::ClientProperties;
use ackmark_cluster::{Cluster, ClusterError, Guards, LogEnd, Simulated};
use ackmark_schema::{
    anomaly::Class,
    load_spec::{LoadSpec, Schedule},
    profile,
    promise::{Acks, Basis, Promise, Ruling},
    properties::{Origin, Property},
    report::{
        CpuTime, Ending,
        load::{Counts, Generator, LoadReport, Measured, Provocations},
        seal::SealState,
        timeline::{Second, Timeline},
        verify::{Examined, Finding, Isolation, LedgerCounts, ReaderChoice, Readers, Scan, Verdict, VerifyReport},
    },
    result::{Provider, RESULT_FILE, RunResult, Steadiness, Trial},
    scenario::{Message, Scenario},
    text,
    units::{Bytes, Count, Span},
    version::SchemaId,
};
use jiff::Timestamp;
use tempfile::TempDir;

const SCENARIO: &str = r#"
name = "small"
profiles = ["all-acks", "idempotent"]
seed = 7
[warm-up]
messages-max = 0
[[phase]]
name = "max"
rounds = 2
duration = "6s"
load = { max = {} }
[[phase]]
name = "half"
rounds = 1
duration = "6s"
load = { rate = { share = 0.5 } }
"#;

/// Writes what is in the template folder, and every call to `calls`. A file `fail` makes loads fail, a file
/// `slow` makes them wait for SIGINT, a file `block` makes the first write of the result after the second load fail.
const CHILD: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1" in
load)
    if [ -e "$here/fail" ]; then echo "error: no leader for $5" >&2; exit 1; fi
    cat > "$here/last-spec.json"
    cp "$here/template/manifest.json" "$here/template/load.json" "$here/template/timeline.json" "$5"
    touch "$5/p0-i0.ledger"
    if [ -e "$here/block" ] && [ "$(grep -c ^load "$here/calls")" = 2 ]; then
        rm "$5/../../README.md"; mkdir -p "$5/../../README.md/in-the-way"
    fi
    if [ -e "$here/slow" ]; then trap 'exit 130' INT; touch "$here/waiting"; while :; do sleep 0.05; done; fi
    ;;
seal) cat > "$here/last-properties.json"; touch "$2/seal.json" ;;
verify)
    case "$*" in *--follow*) while [ ! -e "$2/seal.json" ]; do sleep 0.02; done ;; esac
    cp "$here/template/verify.json" "$2"
    exit "$(cat "$here/verdict")"
    ;;
esac
"#;

struct Bench {
    folder: TempDir,
    plan: Plan,
    cluster: Cluster,
    stop: Arc<AtomicBool>,
    events: Arc<Mutex<Vec<BenchEvent>>>,
}

impl Bench {
    fn new(verdict: Verdict) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("template");
        fs::create_dir(&template).unwrap();
        let write = |name: &str, text: String| fs::write(template.join(name), text).unwrap();
        write("manifest.json", "{}".into());
        write("load.json", serde_json::to_string(&load_report()).unwrap());
        write("timeline.json", serde_json::to_string(&timeline()).unwrap());
        write("verify.json", serde_json::to_string(&verify_report(verdict)).unwrap());
        fs::write(folder.path().join("verdict"), if verdict == Verdict::Broken { "3" } else { "0" }).unwrap();
        let program = folder.path().join("ackmark");
        // Copied by another process: while other threads of this one fork, what it has open for writing cannot be run.
        let text = folder.path().join("text");
        fs::write(&text, CHILD).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(std::process::Command::new("cp").arg(&text).arg(&program).status().unwrap().success());
        let scenario = Scenario::from_toml("small", SCENARIO).unwrap();
        Self {
            plan: Plan::new(&scenario, &Choices::default(), &Guards::none()).unwrap(),
            cluster: Cluster::Simulated(Simulated::start().unwrap()),
            folder,
            stop: Arc::default(),
            events: Arc::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> BenchOptions {
        BenchOptions {
            ackmark: self.path("ackmark"),
            results: self.path("results"),
            keep_topics: false,
            keep_ledgers: false,
            confirmed: false,
            stop: Arc::clone(&self.stop),
        }
    }

    fn events(&self) -> Events {
        let seen = Arc::clone(&self.events);
        Arc::new(move |event| seen.lock().unwrap().push(event))
    }

    async fn run(&self) -> Result<RunResult, BenchError> {
        let target = Target::new(&self.cluster, &ClientProperties::new()).unwrap();
        run(&self.plan, &target, &self.options(), self.events()).await
    }

    fn stored(&self) -> (PathBuf, RunResult) {
        let folder = fs::read_dir(self.path("results")).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(folder.join(RESULT_FILE)).unwrap();
        (folder, text::from_json(RESULT_FILE, &text).unwrap())
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn spec() -> LoadSpec {
    LoadSpec {
        schema: SchemaId::default(),
        run: 1,
        profile: profile::built_in().remove(2),
        properties: Vec::new(),
        topics: vec!["t".into()],
        partitions: 6,
        message: Message::default(),
        producers: 1,
        outstanding: Count(1),
        outstanding_bytes: Bytes(1),
        schedule: Schedule::Max,
        warm_up: Span(std::time::Duration::ZERO),
        duration: Span(std::time::Duration::from_secs(6)),
        messages: None,
        drain_timeout: Span(std::time::Duration::from_secs(1)),
        seed: 1,
        verified: true,
        simulated: true,
    }
}

fn load_report() -> LoadReport {
    let counts = Counts { sent: 6000, acknowledged: 6000, ..Counts::default() };
    let basis = Basis {
        acks: Acks::All,
        idempotence: false,
        transactional: false,
        retries: 5,
        max_in_flight: 5,
        replication_factor: 3,
        min_insync_replicas: 2,
        unclean_leader_election: false,
    };
    LoadReport {
        schema: SchemaId::default(),
        spec: spec(),
        incarnation: 0,
        properties: Vec::new(),
        promise: Promise::derive(basis, &[]),
        librdkafka_version: "2".into(),
        ending: Ending::Completed,
        error: None,
        started: Timestamp::UNIX_EPOCH,
        total: counts,
        resent: Counts::default(),
        measured: Measured {
            duration_s: 6.0,
            counts,
            delivered: 6000,
            delivered_per_s: 1000.0,
            cpu: CpuTime { user_s: 0.1, system_s: 0.1 },
            ..Measured::default()
        },
        latency_intended: None,
        latency_send: None,
        latency_is_acknowledgement: true,
        transactions: None,
        provocations: Provocations::NONE,
        errors: Vec::new(),
        trouble: Vec::new(),
        generator: Generator::default(),
    }
}

fn timeline() -> Timeline {
    let second = |at: u32| Second { from_s: f64::from(at), length_s: 1.0, delivered: 1000, ..Second::default() };
    Timeline {
        schema: SchemaId::default(),
        started: Timestamp::UNIX_EPOCH,
        measured_from_s: 0.0,
        seconds: (0..6).map(second).collect(),
    }
}

fn verify_report(verdict: Verdict) -> VerifyReport {
    let lost = if verdict == Verdict::Broken { 3 } else { 0 };
    VerifyReport {
        schema: SchemaId::default(),
        run: 1,
        finished: Timestamp::UNIX_EPOCH,
        profile: "all-acks".into(),
        seal: SealState::Sealed,
        simulated: true,
        ledger: LedgerCounts { reserved: 6000, acknowledged: 6000, ..LedgerCounts::default() },
        ledger_damage: Vec::new(),
        scans: vec![Scan {
            isolation: Isolation::ReadUncommitted,
            reader: "script".into(),
            live: false,
            complete: true,
            incomplete_reason: None,
            messages: 6000 - lost,
            distinct: 6000 - lost,
            strangers: 0,
            value_bytes: 0,
            log: None,
            duration_s: 1.0,
            messages_per_s: 6000.0,
            latency_end_to_end: None,
            visibility: None,
        }],
        readers: Readers { choice: ReaderChoice::Auto, fallback: None, comparison: None },
        findings: vec![Finding {
            class: Class::Lost,
            examined: Examined::Counted(lost),
            ruling: Ruling::MustNot,
            ruling_reason: "acks=all".into(),
            verdict,
            causes: Vec::new(),
            over_time: Vec::new(),
            examples: Vec::new(),
        }],
        verdict,
        reason: format!("{lost} lost"),
        provocations: Provocations::NONE,
        provocations_known: true,
        cpu: CpuTime::default(),
    }
}

/// Files of a trial's folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_through_all_trials_and_leaves_a_whole_result() {
    let bench = Bench::new(Verdict::HeldUnprovoked);
    let result = bench.run().await.unwrap();
    let (folder, stored) = bench.stored();
    assert_eq!(stored, result);
    assert_eq!((result.ending, result.error.clone()), (Ending::Completed, None));
    assert_eq!((result.trials.len(), result.trials_planned), (6, 6));
    assert!(result.trials.iter().all(|trial| trial.ending == Ending::Completed), "{:?}", result.trials);
    assert!(result.trials.iter().all(|trial| trial.steadiness == Steadiness::Steady));
    assert_eq!(result.verdict, Verdict::HeldUnprovoked);
    assert_eq!(result.rates.get("half"), Some(&500.0), "half of the measured 1,000 per second");
    assert!(result.profiles.iter().all(|record| record.promise.is_some()));
    assert!(result.warnings.iter().any(|warning| warning.what.contains("mock")), "{:?}", result.warnings);

    let calls = bench.calls();
    let commands: Vec<&str> = calls.iter().map(|call| call.split(' ').next().unwrap()).collect();
    assert_eq!(commands[..12].join(" "), "load seal verify ".repeat(4).trim());
    // The follower starts before the load; which of the two is first on the list is up to the system.
    for trial in commands[12..].chunks(3) {
        assert_eq!(trial.iter().filter(|command| **command == "verify").count(), 1, "{commands:?}");
    }
    assert!(calls[12..].iter().filter(|call| call.starts_with("verify")).all(|call| call.contains("--follow")));
    let spec: LoadSpec = text::from_json("spec", &fs::read_to_string(bench.path("last-spec.json")).unwrap()).unwrap();
    assert!(matches!(spec.schedule, Schedule::Rate { messages, .. } if (messages.as_f64() - 500.0).abs() < 1e-9));
    assert!(spec.simulated && spec.verified);
    assert!(spec.properties.iter().any(|property| property.name == "bootstrap.servers"));

    let trial = folder.join(&result.trials[0].folder);
    assert_eq!(files(&trial), ["load.json", "manifest.json", "seal.json", "timeline.json", "verify.json"]);
    assert_eq!(files(&folder), ["README.md", "result.json", "scenario.toml", "trials"]);
    let events = bench.events.lock().unwrap();
    let finished = events.iter().filter(|event| matches!(event, BenchEvent::TrialFinished(_))).count();
    assert_eq!(finished, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_breaks_the_verdict_and_keeps_the_ledgers() {
    let bench = Bench::new(Verdict::Broken);
    let result = bench.run().await.unwrap();
    assert_eq!((result.ending, result.verdict), (Ending::Completed, Verdict::Broken));
    let (folder, _) = bench.stored();
    for trial in &result.trials {
        assert!(files(&folder.join(&trial.folder)).contains(&"p0-i0.ledger".to_owned()));
    }
    let all_acks = result.verdicts.iter().find(|verdict| verdict.profile == "all-acks").unwrap();
    assert_eq!(all_acks.findings[0].examined, Examined::Counted(9), "three lost in each of three trials");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_trials_keep_failing_ends_with_what_there_is() {
    let bench = Bench::new(Verdict::HeldUnprovoked);
    fs::write(bench.path("fail"), "").unwrap();
    let result = bench.run().await.unwrap();
    assert_eq!(result.ending, Ending::Failed);
    assert_eq!(result.trials.len(), 3);
    let error = result.error.unwrap();
    assert!(error.contains("3 trials in a row") && error.contains("no leader"), "{error}");
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(bench.calls().iter().all(|call| call.starts_with("load")), "nothing to seal or verify");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_child_and_the_run_and_leaves_what_was_measured() {
    let bench = Bench::new(Verdict::HeldUnprovoked);
    fs::write(bench.path("slow"), "").unwrap();
    let stop = Arc::clone(&bench.stop);
    let waiting = bench.path("waiting");
    let stopper = tokio::spawn(async move {
        while !waiting.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let result = bench.run().await.unwrap();
    stopper.await.unwrap();
    assert_eq!(result.ending, Ending::Interrupted);
    assert_eq!(result.trials.len(), 1);
    assert_eq!(result.trials[0].ending, Ending::Interrupted);
    assert!(result.trials[0].load.is_some(), "what was measured is there");
    assert!(result.trials[0].verification.is_none(), "and what was not verified is not claimed");
    assert_eq!(bench.stored().1, result);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_can_no_longer_be_written_ends_the_run_and_what_is_there_stays() {
    let bench = Bench::new(Verdict::HeldUnprovoked);
    fs::write(bench.path("block"), "").unwrap();
    let error = bench.run().await.unwrap_err();
    assert!(matches!(error, BenchError::Unkept { .. }), "{error}");
    let (folder, stored) = bench.stored();
    let (said, path) = (error.to_string(), folder.join("README.md"));
    assert!(said.contains(&format!("cannot write to {}", path.display())) && said.contains("free space"), "{said}");
    assert!(said.contains(&format!("what was measured before is in {}:", folder.display())), "{said}");
    assert_eq!(stored.ending, Ending::Interrupted);
    assert!(stored.trials[0].verification.is_some(), "{stored:?}");
    assert_eq!(bench.calls().iter().filter(|call| call.starts_with("load")).count(), 2, "nothing more is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_stay_as_evidence_where_a_verdict_leaves_a_doubt_and_no_more_than_three() {
    for (verdict, doubt) in [
        (Verdict::Broken, Some("the promise was broken")),
        (Verdict::Inconclusive, Some("the verdict is inconclusive")),
        (Verdict::Held, None),
    ] {
        let bench = Bench::new(verdict);
        let mut target = Target::new(&bench.cluster, &ClientProperties::new()).unwrap();
        target.facts.provider = Provider::External;
        let result = run(&bench.plan, &target, &bench.options(), bench.events()).await.unwrap();
        let said = |words: &str| result.warnings.iter().filter(|warning| warning.what.contains(words)).count();
        let Some(doubt) = doubt else {
            assert_eq!((said("stays as evidence"), said("was deleted")), (0, 0), "{:?}", result.warnings);
            continue;
        };
        assert_eq!(said(&format!("{doubt}, so topic ackmark-small-")), 3, "{:?}", result.warnings);
        assert_eq!(said("was deleted, as 3 topics of this run stay as evidence already"), 3, "{:?}", result.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_told_over_pipes_and_in_no_argument_or_file() {
    let pem = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
    let bench = Bench::new(Verdict::HeldUnprovoked);
    let mut properties = ClientProperties::new();
    properties.set("ssl.key.pem", pem, Origin::File);
    let target = Target::new(&bench.cluster, &properties).unwrap();
    run(&bench.plan, &target, &bench.options(), bench.events()).await.unwrap();
    let told = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let spec: LoadSpec = text::from_json("spec", &told("last-spec.json")).unwrap();
    let reached: Vec<Property> = serde_json::from_str(&told("last-properties.json")).unwrap();
    for properties in [&spec.properties, &reached] {
        assert!(properties.iter().any(|property| property.name == "ssl.key.pem" && property.value == pem));
    }
    for call in bench.calls() {
        let beside = call.split(' ').filter(|word| Path::new(word).is_file());
        assert_eq!(beside.count(), 0, "no file but the folder: {call}");
        assert!(!call.contains("hunter2"), "{call}");
    }
    let (folder, _) = bench.stored();
    assert!(!fs::read_to_string(folder.join(RESULT_FILE)).unwrap().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_ends_the_load_and_the_run_and_what_was_sent_is_judged() {
    let bench = Bench::new(Verdict::HeldUnprovoked);
    fs::write(bench.path("slow"), "").unwrap();
    let mut target = Target::new(&bench.cluster, &ClientProperties::new()).unwrap();
    let waiting = bench.path("waiting");
    target.broker_lost = Box::new(move || {
        waiting.exists().then(|| {
            let (node, log, tail) = ("broker 2".to_owned(), "server.log".into(), "its last words".to_owned());
            ClusterError::NodeLost { status: "signal 9".to_owned(), end: Box::new(LogEnd { node, log, tail }) }
        })
    });
    let result = run(&bench.plan, &target, &bench.options(), bench.events()).await.unwrap();
    assert_eq!((result.ending, result.trials.len()), (Ending::Failed, 1));
    let error = result.error.clone().unwrap();
    assert!(
        error.contains("broker 2 has ended during the run (signal 9)") && error.contains("its last words"),
        "{error}"
    );
    let trial = &result.trials[0];
    assert_eq!(trial.ending, Ending::Failed);
    assert!(trial.error.as_ref().unwrap().contains("broker 2"), "{trial:?}");
    assert!(trial.load.is_some() && trial.verification.is_some(), "what was measured is there and judged");
    assert!(!trial.is_used(), "its figures are of a cluster that was breaking");
    let (folder, stored) = bench.stored();
    assert_eq!(stored, result);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(readme.contains("```\nits last words\n```"), "{readme}");
    assert!(result.warnings.iter().all(|warning| !warning.what.contains("its last words")), "{:?}", result.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_when_it_has_sent_what_is_allowed_whatever_its_plan_said() {
    let bench = Bench::new(Verdict::HeldUnprovoked);
    let mut target = Target::new(&bench.cluster, &ClientProperties::new()).unwrap();
    // Each trial's script sends 6,000 messages of 1 KiB.
    target.guards = Guards { bytes_max: Some(7000 * 1024), ..Guards::for_somebody_elses() };
    let options = BenchOptions { confirmed: true, ..bench.options() };
    let result = run(&bench.plan, &target, &options, bench.events()).await.unwrap();
    assert_eq!((result.ending, result.trials.len()), (Ending::Failed, 2));
    let error = result.error.clone().unwrap();
    assert!(error.contains("11.7 MiB of messages have been sent") && error.contains("--max-bytes"), "{error}");
    assert!(result.trials.iter().all(Trial::is_used), "what was measured stays");
    assert_eq!(bench.stored().1, result);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_before_any_load() {
    let mut bench = Bench::new(Verdict::HeldUnprovoked);
    bench.plan.scenario.topic.replication_factor = 5;
    let error = bench.run().await.unwrap_err().to_string();
    assert!(error.contains("5 replicas") && error.contains("3 broker"), "{error}");
    bench.plan.scenario.topic.replication_factor = 3;

    let mut target = Target::new(&bench.cluster, &ClientProperties::new()).unwrap();
    target.guards = Guards::for_somebody_elses();
    let error = run(&bench.plan, &target, &bench.options(), bench.events()).await.unwrap_err();
    assert!(matches!(error, BenchError::NotConfirmed), "{error}");
    target.guards = Guards::none();

    fs::write(bench.path("results"), "a file").unwrap();
    let error = run(&bench.plan, &target, &bench.options(), bench.events()).await.unwrap_err().to_string();
    assert!(error.contains("cannot write to") && error.contains("--results"), "{error}");
    fs::remove_file(bench.path("results")).unwrap();

    target.data_folder = Some(bench.folder.path().to_owned());
    bench.plan.budget.largest_topic_bytes = u64::MAX / 4;
    let error = run(&bench.plan, &target, &bench.options(), bench.events()).await.unwrap_err().to_string();
    assert!(error.contains("disk"), "{error}");
    assert!(bench.calls().is_empty());
}
