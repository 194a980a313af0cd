//! Bad input and trouble that needs a real Kafka: each ends in bounded time with one message that names the
//! cure and with the documented exit code; what was measured stays.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ackmark_schema::{
    anomaly::Class,
    report::{
        Ending,
        load::{LOAD_FILE, LoadReport},
        seal::{SEAL_FILE, SealState},
        verify::{Examined, Verdict, VerifyReport},
    },
    result::RunResult,
};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{common, kafka::Kafka, trial};

/// What ends by itself has ended by then.
const PATIENCE: Duration = Duration::from_mins(1);

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "trouble::a_missing_topic_is_named", missing_topic),
        trial(kafka, "trouble::a_load_folder_holds_one_run", used_folder),
        trial(kafka, "trouble::a_folder_that_refuses_is_named_before_the_load", refusing_folder),
        trial(kafka, "trouble::a_full_disk_is_named_before_the_load", full_disk),
        trial(kafka, "trouble::a_ledger_of_another_run_is_refused", other_ledger),
        trial(kafka, "trouble::a_deleted_topic_is_named", deleted_topic),
        trial(kafka, "trouble::an_unsealed_log_is_inconclusive", unsealed),
        trial(kafka, "trouble::ctrl_c_leaves_a_partial_result_that_can_be_judged", interrupted),
        trial(kafka, "trouble::a_killed_load_can_be_judged", killed),
        trial(kafka, "trouble::somebody_elses_kafka_is_not_written_to_without_consent", not_confirmed),
        trial(kafka, "bench::runs_against_a_kafka_that_is_there", bench),
        trial(kafka, "doctor::finds_that_this_kafka_carries_the_promises", doctor),
    ]
}

fn missing_topic(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let run = kafka.run(folder.path(), &["load", "--topic", "not-there", "--out", "load"]).exits(2);
    assert!(run.stderr.contains("topic not-there is not there"), "{}", run.stderr);
    assert!(run.stderr.contains("--create-topic"), "{}", run.stderr);
    assert!(!folder.path().join("load").exists(), "nothing is left of a load that never began");
}

fn used_folder(kafka: &Kafka) {
    let folder = kafka.base().folder();
    let folder = folder.parent().unwrap();
    let run = kafka.run(folder, &["load", "--topic", "any", "--create-topic", "1", "--out", "load"]).exits(2);
    assert!(run.stderr.contains("load holds a run already") && run.stderr.contains("--out"), "{}", run.stderr);
}

/// `/proc` refuses every user, also root, who can write to a folder without write permission.
fn refusing_folder(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let run = kafka.run(folder.path(), &["load", "--topic", &topic, "--out", "/proc/load"]).exits(2);
    assert!(run.stderr.contains("/proc/load") && run.stderr.contains("--out"), "{}", run.stderr);
    assert_eq!(written(kafka, &topic), 0);
}

/// A limit on the size of files stands for a full disk: space is refused in the same place.
fn full_disk(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let mut limited = Command::new("sh");
    limited.current_dir(folder.path()).arg("-c").arg("trap '' XFSZ; ulimit -f 64; exec \"$@\"").arg("sh");
    limited.arg(common::ackmark(folder.path()).get_program());
    limited.args(["load", "--yes", "--topic", &topic, "--out", "load", "-b", &kafka.servers(), "--progress", "none"]);
    let run = common::finish(&mut limited).exits(1);
    assert!(run.stderr.contains("p0-i0.ledger"), "{}", run.stderr);
    assert_eq!(written(kafka, &topic), 0);
}

/// Records of a topic.
fn written(kafka: &Kafka, topic: &str) -> i64 {
    kafka.admin().offsets(topic, PATIENCE).unwrap().iter().map(|partition| partition.high).sum()
}

fn other_ledger(kafka: &Kafka) {
    let small = ["--messages", "100", "--size", "100B"];
    let (one, other) = (kafka.load(&small), kafka.load(&small));
    fs::copy(other.folder().join("p0-i0.ledger"), one.folder().join("p0-i0.ledger")).unwrap();
    let run = kafka.run(&one.folder(), &["verify", "."]).exits(2);
    assert!(run.stderr.contains("p0-i0.ledger"), "{}", run.stderr);
    // And a seal of another run.
    let (one, other) = (kafka.load(&small), other);
    fs::copy(other.folder().join(SEAL_FILE), one.folder().join(SEAL_FILE)).unwrap();
    let run = kafka.run(&one.folder(), &["verify", "."]).exits(2);
    assert!(run.stderr.contains("seal.json"), "{}", run.stderr);
}

fn deleted_topic(kafka: &Kafka) {
    let load = kafka.load(&["--messages", "100", "--size", "100B"]);
    kafka.admin().delete_topic(&load.topic, Duration::from_secs(30)).unwrap();
    let run = kafka.run(&load.folder(), &["verify", "."]).exits(2);
    assert!(run.stderr.contains(&load.topic), "{}", run.stderr);
}

fn unsealed(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let arguments = ["load", "--topic", &topic, "--out", "load", "--messages", "1000", "--no-seal"];
    kafka.run(folder.path(), &arguments).exits(0);
    let load = folder.path().join("load");
    let (run, report) = kafka.verify(&load);
    run.exits(4);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let SealState::Unsealed { reason } = &report.seal else { panic!("{:?}", report.seal) };
    assert!(reason.contains("ackmark seal"), "{reason}");
    // The cure works.
    kafka.seal(&load).exits(0);
    let (run, report) = kafka.verify(&load);
    run.exits(0);
    assert_eq!(report.scans[0].messages, 1000);
}

/// Starts a load without an end and waits until it has sent for a while.
pub(crate) fn start_load(kafka: &Kafka, folder: &std::path::Path) -> Child {
    let topic = kafka.topic();
    let mut child = common::ackmark(folder)
        .args(["load", "--yes", "--topic", &topic, "--out", "load", "--rate", "2000/s", "--duration", "10m"])
        .args(["--size", "100B", "--progress", "json", "-b", &kafka.servers()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // First it tells what it will write. The second event is of a load that sends.
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    for wanted in ["It will write to topic", "\"event\":\"load\"", "\"event\":\"load\""] {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert!(line.contains(wanted), "{line}");
    }
    // It must not end for lack of a reader.
    thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    child
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
}

pub(crate) fn wait(child: &mut Child) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it did not end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn interrupted(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_load(kafka, folder.path());
    signal(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    let load = folder.path().join("load");
    let report: LoadReport = serde_json::from_str(&fs::read_to_string(load.join(LOAD_FILE)).unwrap()).unwrap();
    assert_eq!(report.ending, Ending::Interrupted);
    assert!(report.total.sent > 0);
    let (run, verdict) = kafka.verify(&load);
    run.exits(0);
    assert_eq!(verdict.ledger.reserved, report.total.sent);
    assert_eq!(lost(&verdict), 0);
}

fn killed(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_load(kafka, folder.path());
    signal(&child, Signal::KILL);
    wait(&mut child);
    let load = folder.path().join("load");
    assert!(!load.join(LOAD_FILE).exists());
    kafka.seal(&load).exits(0);
    let (run, verdict) = kafka.verify(&load);
    run.exits(0);
    assert!(verdict.ledger.acknowledged > 0, "{:?}", verdict.ledger);
    assert!(!verdict.provocations_known);
    assert_eq!(lost(&verdict), 0);
}

pub(crate) fn lost(report: &VerifyReport) -> u64 {
    match report.findings.iter().find(|finding| finding.class == Class::Lost).unwrap().examined {
        Examined::Counted(count) => count,
        Examined::NotExamined { .. } => panic!("losses were not looked for: {report:#?}"),
    }
}

/// One round of a second, two profiles.
const SHORT: &str = r#"
name = "short"
description = "For a test."
profiles = ["all-acks", "transactional"]
[message]
size = "200B"
[topic]
partitions = 3
[warm-up]
messages-max = 0
[[phase]]
name = "max"
rounds = 1
duration = "1s"
warm-up = "0s"
load = { max = { messages = "50k" } }
[[phase]]
name = "rate"
rounds = 1
duration = "2s"
warm-up = "0s"
load = { rate = { messages = "2k/s", arrivals = "poisson" } }
"#;

fn not_confirmed(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("short.toml"), SHORT).unwrap();
    let run = kafka.run(folder.path(), &["bench", "short.toml"]).exits(2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(!folder.path().join("results").exists());
}

fn bench(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("short.toml"), SHORT).unwrap();
    let run = kafka.run(folder.path(), &["bench", "short.toml", "--yes", "--output", "json", "-X", "linger.ms=7"]);
    assert!([0, 4].contains(&run.code), "stdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
    let result: RunResult = run.json();
    assert_eq!(result.trials.len(), 4);
    // Two seconds on a machine that does something else may not be steady: then, and only then, figures are no good.
    let has_figures = |phase: &str| result.trials.iter().any(|trial| trial.phase == phase && trial.is_used());
    let all_have = result.scenario.phases.iter().all(|phase| has_figures(&phase.name));
    assert_eq!(run.code == 0, all_have, "{}", run.stderr);
    assert!(result.verdict.is_held(), "{:#?}", result.verdicts);
    for trial in &result.trials {
        let (load, verified) = (trial.load.as_ref().unwrap(), trial.verification.as_ref().unwrap());
        assert_eq!(load.total.sent, verified.messages_in_log, "{}", trial.folder);
    }
    for record in &result.profiles {
        let linger = record.properties.iter().find(|property| property.name == "linger.ms").unwrap();
        assert_eq!((linger.value.as_str(), linger.origin), ("7", ackmark_schema::properties::Origin::Flag));
    }
    let on_disk = fs::read_dir(folder.path().join("results")).unwrap().next().unwrap().unwrap().path();
    for file in ["result.json", "README.md", "scenario.toml", "charts/throughput.svg", "charts/throughput.png"] {
        assert!(on_disk.join(file).is_file(), "{file}");
    }
    // What was written to somebody else's Kafka is gone.
    for trial in &result.trials {
        assert!(kafka.admin().topic(&trial.topic, Duration::from_secs(30)).is_err(), "{}", trial.topic);
    }
}

fn doctor(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let run = common::run(folder.path(), &["doctor", "-o", "json", "-b", &kafka.servers()]).exits(0);
    let checks: serde_json::Value = run.json();
    let state = |what: &str| {
        let check = checks.as_array().unwrap().iter().find(|check| check["what"] == what);
        check.unwrap_or_else(|| panic!("{what} was not looked at"))["state"].clone()
    };
    for what in ["brokers", "min.insync.replicas", "unclean.leader.election.enable", "transaction.state.log.min.isr"] {
        assert_eq!(state(what), "ok", "{what}");
    }
}
