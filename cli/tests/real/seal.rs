//! When a log cannot be closed: the seal says why within its deadline, what is judged by it stays open, and
//! once the cause is gone a second seal closes it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ackmark_client::admin::NewTopic;
use ackmark_schema::{
    manifest::MANIFEST_FILE,
    report::{
        seal::{SEAL_FILE, SealReport, SealState},
        verify::Verdict,
    },
};
use libtest_mimic::Trial;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use rustix::process::Signal;

use crate::{
    common::Running,
    kafka::{Kafka, PARTITIONS},
    trial,
    trouble::{lost, start_load},
};

/// No request of a test takes longer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What a command takes beyond its deadline: start, connections, an answer under way.
const SLACK: Duration = Duration::from_secs(10);

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "seal::a_running_load_is_neither_sealed_nor_judged", running),
        trial(kafka, "seal::a_load_is_not_gone_on_with_while_its_log_is_closed", gone_on_with),
        trial(kafka, "seal::somebodys_open_transaction_holds_a_log_open", held_back),
        trial(kafka, "seal::ends_that_move_are_not_quiet", moving),
        trial(kafka, "seal::the_deadline_ends_a_quiet_time_that_is_longer", deadline),
        trial(kafka, "seal::a_refused_sentinel_is_named", refused_sentinel),
    ]
}

/// A load whose log was left open.
struct Open {
    folder: tempfile::TempDir,
    topic: String,
}

impl Open {
    fn load(kafka: &Kafka, topic: String, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixed = ["load", "--topic", &topic, "--out", "load", "--no-seal", "--messages", "200", "--size", "100B"];
        kafka.run(folder.path(), &[&fixed, arguments].concat()).exits(0);
        Self { folder, topic }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("load")
    }

    /// A seal that is not done by `timeout_s`: the reason, which the report has too, and the report.
    fn refused(&self, kafka: &Kafka, timeout_s: u64, quiet: &str) -> (String, SealReport) {
        let begun = Instant::now();
        let timeout = format!("{timeout_s}s");
        let arguments = ["seal", ".", "--timeout", &timeout, "--quiet-time", quiet, "--output", "json"];
        let run = crate::common::run(&self.path(), &[&arguments[..], &["-b", &kafka.servers()]].concat()).exits(4);
        assert!(begun.elapsed() < Duration::from_secs(timeout_s) + SLACK, "{:?}", begun.elapsed());
        let told: SealReport = run.json();
        let written = sealed(&self.path());
        assert_eq!(told.state, written.state);
        let SealState::Unsealed { reason } = told.state else { panic!("it was sealed: {written:?}") };
        // Nothing that is judged by it is a pass.
        let (run, report) = kafka.verify(&self.path());
        run.exits(4);
        assert_eq!(report.verdict, Verdict::Inconclusive);
        assert!(report.reason.contains(&reason), "{} does not say {reason}", report.reason);
        (reason, written)
    }

    /// The cause is gone: a second seal closes the log, and nothing is lost.
    fn closes(&self, kafka: &Kafka) -> SealReport {
        kafka.seal(&self.path()).exits(0);
        let (run, report) = kafka.verify(&self.path());
        run.exits(0);
        assert_eq!(report.ledger.reserved, 200);
        let seal = sealed(&self.path());
        assert_eq!((&seal.state, seal.messages_reserved), (&SealState::Sealed, Some(200)));
        assert!(seal.partitions.iter().all(|partition| partition.sentinel_offset.is_some()), "{seal:?}");
        seal
    }
}

fn sealed(folder: &Path) -> SealReport {
    serde_json::from_str(&fs::read_to_string(folder.join(SEAL_FILE)).unwrap()).unwrap()
}

fn producer(kafka: &Kafka, properties: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.servers()).set("linger.ms", "0");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str) {
    let record = BaseRecord::<(), _>::to(topic).partition(0).payload("somebody else's");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(TIMEOUT).unwrap();
}

fn running(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start_load(kafka, folder.path(), &kafka.topic());
    let load = folder.path().join("load");
    for command in ["seal", "verify"] {
        let run = crate::common::run(&load, &[command, ".", "-b", &kafka.servers()]).exits(2);
        assert!(run.stderr.contains("producer 0"), "{}", run.stderr);
        assert!(run.stderr.contains("wait for its load to end, or end it"), "{}", run.stderr);
    }
    assert!(!load.join(SEAL_FILE).exists());
    assert!(running.is_running(), "the load goes on");
    running.signal(Signal::KILL);
    running.finish(TIMEOUT).exits(-1);
    // The lock dies with its process.
    kafka.seal(&load).exits(0);
    let (run, report) = kafka.verify(&load);
    run.exits(0);
    assert_eq!(lost(&report), 0);
    assert_eq!(sealed(&load).messages_reserved, Some(report.ledger.reserved));
}

fn gone_on_with(kafka: &Kafka) {
    // Without acknowledgements ends must stand still, here for longer than the deadline.
    let open = Open::load(kafka, kafka.topic(), &["--profile", "at-most-once"]);
    let mut command = crate::common::ackmark(&open.path());
    command.args(["seal", ".", "--timeout", "15s", "--quiet-time", "1m", "-b", &kafka.servers()]);
    let mut seal = Running::start(&mut command, open.folder.path(), "seal");
    let resume = || kafka.run(&open.path(), &["load", "--resume", ".", "--messages", "1", "--no-seal"]);
    let manifest = || fs::read_to_string(open.path().join(MANIFEST_FILE)).unwrap();
    let before = manifest();
    // It holds the load from soon after its start on.
    thread::sleep(Duration::from_secs(2));
    let run = resume().exits(2);
    assert!(
        run.stderr.contains("another ackmark reads") && run.stderr.contains("wait for it to end"),
        "{}",
        run.stderr
    );
    assert_eq!(manifest(), before, "nothing was changed");
    assert!(seal.is_running());
    seal.finish(TIMEOUT).exits(4);
    resume().exits(0);
}

fn held_back(kafka: &Kafka) {
    let open = Open::load(kafka, kafka.topic(), &["--profile", "transactional"]);
    let somebody = producer(kafka, &[("transactional.id", &format!("somebody-{}", open.topic))]);
    somebody.init_transactions(TIMEOUT).unwrap();
    somebody.begin_transaction().unwrap();
    send(&somebody, &open.topic);
    let (reason, seal) = open.refused(kafka, 3, "0s");
    assert_eq!(reason, "the last stable offset of 1 partition(s) stayed below the high watermark");
    assert_eq!(seal.fenced.len(), 1, "the run's own id was fenced");
    let first = seal.partitions.iter().find(|partition| partition.partition == 0).unwrap();
    assert_eq!(first.last_stable_offset_found, first.high_watermark_found - 1);
    assert!(seal.partitions.iter().all(|partition| partition.sentinel_offset.is_none()), "{seal:?}");
    somebody.abort_transaction(TIMEOUT).unwrap();
    open.closes(kafka);
}

fn moving(kafka: &Kafka) {
    let open = Open::load(kafka, kafka.topic(), &["--profile", "at-most-once"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let somebody = producer(kafka, &[]);
            let begun = Instant::now();
            while !stop.load(Ordering::Relaxed) && begun.elapsed() < TIMEOUT {
                send(&somebody, &open.topic);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let (reason, seal) = open.refused(kafka, 3, "1s");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(reason, "end offsets did not stand still for 1s by the deadline");
        assert_eq!(seal.quiet_s, None);
    });
    let seal = open.closes(kafka);
    assert!(seal.quiet_s.unwrap() >= 2.0, "{seal:?}");
}

fn deadline(kafka: &Kafka) {
    let open = Open::load(kafka, kafka.topic(), &["--profile", "at-most-once"]);
    let (reason, seal) = open.refused(kafka, 1, "1m");
    assert_eq!(reason, "end offsets did not stand still for 60s by the deadline");
    assert!((1.0..3.0).contains(&seal.duration_s), "{}", seal.duration_s);
    open.closes(kafka);
}

/// A compacted topic takes no message without a key, and a sentinel has none.
fn refused_sentinel(kafka: &Kafka) {
    let topic = NewTopic {
        name: format!("compacted-{}", kafka.topic()),
        partitions: PARTITIONS,
        replication_factor: 3,
        assignment: Vec::new(),
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
    };
    kafka.admin().create_topic(&topic, TIMEOUT).unwrap();
    let open = Open::load(kafka, topic.name, &["--keys", "round-robin:10"]);
    let (reason, seal) = open.refused(kafka, 10, "0s");
    assert!(reason.starts_with(&format!("no sentinel could be written to {}-", open.topic)), "{reason}");
    assert!(reason.contains(": INVALID_RECORD; "), "{reason}");
    assert!(seal.partitions.iter().any(|partition| partition.sentinel_offset.is_none()), "{seal:?}");
}
