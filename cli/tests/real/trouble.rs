//! Bad input and trouble that needs a real Kafka: each ends in bounded time with one message that names the
//! cure and with the documented exit code; what was measured stays.

use std::{
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use ackmark_schema::{
    anomaly::Class,
    report::{
        Ending,
        load::{LOAD_FILE, LoadReport},
        seal::{SEAL_FILE, SealState},
        verify::{VERIFY_FILE, Verdict, VerifyReport},
    },
    result::RunResult,
};
use libtest_mimic::Trial;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use rustix::process::Signal;

use crate::{
    common::{self, Running},
    kafka::Kafka,
    trial,
};

/// What ends by itself has ended by then.
const PATIENCE: Duration = Duration::from_mins(1);

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    let namespace = common::mount_namespace();
    if let Err(reason) = &namespace {
        eprintln!("trouble::a_disk_that_fills_ends_the_load: not examined, for no disk can be had: {reason}");
    }
    let no_disk = namespace.is_err();
    vec![
        trial(kafka, "trouble::a_disk_that_fills_ends_the_load_with_its_report", move |kafka| {
            disk_fills(kafka, &namespace.unwrap());
        })
        .with_ignored_flag(no_disk),
        trial(kafka, "trouble::credentials_that_fail_are_told_soon", credentials),
        trial(kafka, "trouble::a_topic_that_is_deleted_under_the_load_is_told", deleted_under_load),
        trial(kafka, "trouble::a_topic_that_is_deleted_while_it_is_read_is_told", deleted_while_read),
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
        trial(kafka, "doctor::names_a_transaction_that_is_open_for_long", long_transaction),
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

/// A limit on the size of files stands for a full disk: space is refused in the same place. The signal by which the
/// kernel tells of it does not end the program.
fn full_disk(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let mut limited = Command::new("sh");
    limited.current_dir(folder.path()).arg("-c").arg("ulimit -f 64; exec \"$@\"").arg("sh");
    limited.arg(common::ackmark(folder.path()).get_program());
    limited.args(["load", "--yes", "--topic", &topic, "--out", "load", "-b", &kafka.servers(), "--progress", "none"]);
    let run = common::finish(&mut limited).exits(1);
    assert!(run.stderr.contains("p0-i0.ledger") && run.stderr.contains("ulimit -f"), "{}", run.stderr);
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

/// Each stream has a page of its own, so a few thousand messages to many partitions fill a segment of the ledger, and
/// there is no room for the next.
fn disk_fills(kafka: &Kafka, namespace: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.wide_topic(260);
    let script = "mkdir disk kept && mount -t tmpfs -o size=2200k tmpfs disk && { \"$@\"; code=$?; \
                  cp -r disk/load kept/load; exit $code; }";
    let mut command = Command::new(namespace[0]);
    command.current_dir(folder.path()).args(&namespace[1..]).args(["sh", "-c", script, "sh"]);
    command.arg(common::ackmark(folder.path()).get_program());
    command.args(["load", "--yes", "--topic", &topic, "--out", "disk/load", "--rate", "2000/s", "--duration", "20s"]);
    let run = common::finish(command.args(["--size", "100B", "-b", &kafka.servers(), "-o", "json"])).exits(1);
    assert!(run.stderr.contains("no room to grow the ledger disk/load/p0-i0.ledger"), "{}", run.stderr);
    assert!(run.stderr.contains("No space left on device") && run.stderr.contains("free disk space"), "{}", run.stderr);

    let load = folder.path().join("kept/load");
    let report: LoadReport = run.json();
    let text = fs::read_to_string(load.join(LOAD_FILE)).unwrap();
    assert_eq!(serde_json::from_str::<LoadReport>(&text).unwrap(), report, "what is told is what is kept");
    assert_eq!(report.ending, Ending::Failed);
    assert!(report.total.sent >= 257, "{:?}", report.total);
    assert_eq!(report.total.acknowledged, report.total.sent);
    for file in ["timeline.json", "latency.hlog", SEAL_FILE] {
        assert!(load.join(file).exists(), "{file}");
    }
    let (run, verdict) = kafka.verify(&load);
    run.exits(0);
    assert_eq!((verdict.ledger.reserved, lost(&verdict)), (report.total.sent, 0));
}

/// A listener without SASL refuses it; the reason is told, not that nobody answers.
fn credentials(kafka: &Kafka) {
    let load = kafka.load(&["--messages", "100", "--size", "100B"]);
    let sasl = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=a", "sasl.password=hunter2"];
    let sasl: Vec<&str> = sasl.iter().flat_map(|property| ["-X", property]).collect();
    for (command, code) in [
        (&["load", "--yes", "--topic", &load.topic, "--out", "other"][..], 1),
        (&["verify", "."], 1),
        (&["seal", "."], 4),
        (&["doctor"], 1),
        (&["bench", "quick", "--yes"], 1),
    ] {
        let begun = Instant::now();
        let run = common::run(&load.folder(), &[command, &sasl, &["-b", &kafka.servers()]].concat()).exits(code);
        assert!(begun.elapsed() < Duration::from_secs(20), "{command:?} took {:?}", begun.elapsed());
        let text = run.text();
        assert!(text.contains("_AUTHENTICATION") && text.contains("SASL"), "{command:?}: {text}");
        assert!(text.contains("security.protocol fits the listener"), "{command:?}: {text}");
        assert!(!text.contains("hunter2"), "{command:?}: {text}");
    }
    // A failed try to close a log does not open it.
    let (run, verdict) = kafka.verify(&load.folder());
    run.exits(0);
    assert_eq!(verdict.seal, SealState::Sealed);
}

fn deleted_under_load(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let flags = ["--rate", "500/s", "--duration", "6s", "--drain-timeout", "3s", "--size", "100B"];
    let mut command = common::ackmark(folder.path());
    command.args(["load", "--yes", "--topic", &topic, "--out", "load", "--progress", "json", "-b", &kafka.servers()]);
    let begun = Instant::now();
    let mut load = Running::start(command.args(flags), folder.path(), "load");
    load.wait_for_messages("load", PATIENCE);
    kafka.admin().delete_topic(&topic, Duration::from_secs(30)).unwrap();
    // Open or indeterminate messages, no losses; the log cannot be closed.
    let run = load.finish(PATIENCE).exits(4);
    assert!(begun.elapsed() < Duration::from_secs(6 + 3 + 15), "{:?}", begun.elapsed());
    assert!(run.stdout.contains(&format!("topic {topic} is gone")), "{}", run.stdout);
    assert!(run.stdout.contains("The log is not closed"), "{}", run.stdout);
    let load = folder.path().join("load");
    let report: LoadReport = serde_json::from_str(&fs::read_to_string(load.join(LOAD_FILE)).unwrap()).unwrap();
    let total = report.total;
    assert!(total.acknowledged > 0 && total.failed == 0 && total.open + total.indeterminate > 0, "{total:?}");
    // Nobody can tell any more: bad input, not a loss.
    let run = kafka.run(&load, &["verify", "."]).exits(2);
    assert!(run.stderr.contains(&topic) && run.stderr.contains("was it deleted"), "{}", run.stderr);
}

fn deleted_while_read(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let arguments = ["load", "--topic", &topic, "--out", "load", "--messages", "1000", "--size", "100B", "--no-seal"];
    kafka.run(folder.path(), &arguments).exits(0);
    let load = folder.path().join("load");
    // Without a seal it follows on.
    let mut command = common::ackmark(&load);
    command.args(["verify", ".", "--follow", "--progress", "json", "-b", &kafka.servers()]);
    let mut verify = Running::start(&mut command, folder.path(), "verify");
    verify.wait_for_messages("verify", PATIENCE);
    kafka.admin().delete_topic(&topic, Duration::from_secs(30)).unwrap();
    let run = verify.finish(PATIENCE).exits(4);
    assert!(run.stdout.contains(&format!("topic {topic} is gone: it was deleted while it was read")), "{}", run.stdout);
    let report: VerifyReport = serde_json::from_str(&fs::read_to_string(load.join(VERIFY_FILE)).unwrap()).unwrap();
    assert_eq!((report.verdict, common::found(&report, Class::Lost)), (Verdict::Inconclusive, None));
    assert_eq!((report.ledger.acknowledged, report.scans[0].distinct), (1000, 1000), "what was read stays");
}

/// Starts a load without an end, by the name `load`, and waits until it sends.
pub(crate) fn start_load(kafka: &Kafka, folder: &std::path::Path, topic: &str) -> Running {
    let mut load = Running::start(
        common::ackmark(folder)
            .args(["load", "--yes", "--topic", topic, "--out", "load", "--rate", "2000/s", "--duration", "10m"])
            .args(["--size", "100B", "--progress", "json", "-b", &kafka.servers()]),
        folder,
        "load",
    );
    load.wait_for_messages("load", PATIENCE);
    assert!(load.said().contains("It will write to topic"), "{}", load.said());
    load
}

fn interrupted(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let load = start_load(kafka, folder.path(), &kafka.topic());
    load.signal(Signal::INT);
    load.finish(PATIENCE).exits(130);
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
    let load = start_load(kafka, folder.path(), &kafka.topic());
    load.signal(Signal::KILL);
    load.finish(PATIENCE).exits(-1);
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
    common::found(report, Class::Lost).unwrap_or_else(|| panic!("losses were not looked for: {report:#?}"))
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

/// One that its application has left open is named until it is ended.
fn long_transaction(kafka: &Kafka) {
    let (folder, topic) = (tempfile::tempdir().unwrap(), kafka.topic());
    let id = format!("left-open-{topic}");
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", kafka.servers()).set("transactional.id", &id).create().unwrap();
    let soon = Duration::from_secs(30);
    producer.init_transactions(soon).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), _>::to(&topic).partition(1).payload("an order")).unwrap();
    producer.flush(soon).unwrap();
    // Others may be under way at the same time.
    let named = || -> Vec<serde_json::Value> {
        let flags = ["doctor", "-o", "json", "-b", &kafka.servers(), "--long-transaction", "1ms"];
        let checks: Vec<serde_json::Value> = common::run(folder.path(), &flags).exits(0).json();
        assert!(checks.iter().any(|check| check["what"] == "transactions"), "{checks:?}");
        let prefix = format!("{id}: Ongoing, began ");
        checks.into_iter().filter(|check| check["found"].as_str().unwrap().starts_with(&prefix)).collect()
    };
    let found = named();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["what"], &found[0]["state"]), (&"a long transaction".into(), &"warn".into()));
    assert!(found[0]["found"].as_str().unwrap().ends_with(&format!(" on {topic}-1")), "{found:?}");
    assert!(found[0]["cure"].as_str().unwrap().contains("the same transactional.id ends it"), "{found:?}");
    producer.abort_transaction(soon).unwrap();
    assert!(named().is_empty());
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
