//! The shipped binary with a Kafka that it starts itself, and what becomes of both when one of them dies. One cluster
//! at a time: two would starve each other.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ackmark_schema::{
    report::{Ending, verify::Verdict},
    result::{RESULT_FILE, RunResult},
};
use common::{MARK, ackmark, marked, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// A start of Kafka and all that comes before the first trial.
const START_MAX: Duration = Duration::from_mins(3);
/// What is bound to end has ended by then.
const END_MAX: Duration = Duration::from_mins(2);

const SCENARIO: &str = r#"
name = "short"
description = "For a test."
profiles = ["all-acks"]
[message]
size = "200B"
[topic]
partitions = 3
[warm-up]
messages-max = 0
[[phase]]
name = "rate"
rounds = 2
warm-up = "0s"
duration = "40s"
load = { rate = { messages = "2k/s" } }
"#;

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bench of its own cluster in a folder of its own; killed when a test fails.
struct Bench {
    folder: tempfile::TempDir,
    mark: String,
    process: Child,
}

impl Bench {
    fn start(name: &str, scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("short.toml"), SCENARIO).unwrap();
        let home = common::home(folder.path());
        let mark = format!("{name}-{}", std::process::id());
        let mut command = ackmark(folder.path());
        command.args(["bench", scenario, "--progress", "json"]).env("ACKMARK_HOME", home).env(MARK, &mark);
        Self { process: to_files(&mut command, folder.path()).spawn().unwrap(), folder, mark }
    }

    /// Living processes of it, itself included, whose command line holds these words.
    fn processes(&self, words: &str) -> BTreeMap<i32, String> {
        marked(&self.mark).into_iter().filter(|(_, line)| line.contains(words)).collect()
    }

    /// Waits until messages of a trial have been delivered and its load goes on.
    fn wait_for_load(&self) {
        let delivers = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            event["event"] == "load" && event["messages"].as_u64().is_some_and(|messages| messages > 0)
        };
        wait_until("a trial's load sends", START_MAX, || {
            let said = self.said();
            let trial = said.lines().skip_while(|line| !line.contains("\"event\":\"trial\""));
            !self.processes(" load --spec").is_empty() && trial.into_iter().any(delivers)
        });
    }

    fn result_folder(&self) -> Option<PathBuf> {
        Some(fs::read_dir(self.folder.path().join("results")).ok()?.next()?.ok()?.path())
    }

    fn result(&self) -> RunResult {
        let file = self.result_folder().unwrap().join(RESULT_FILE);
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Its exit code.
    fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        wait_until("the bench ends", END_MAX, || {
            code = self.process.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn to_files<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
    command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"))
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn a_broker_that_dies_is_named_and_what_was_measured_is_kept_and_judged() {
    let _turn = one_at_a_time();
    let mut bench = Bench::start("broker", "short.toml");
    bench.wait_for_load();
    let broker = bench.processes("broker-2/server.properties");
    assert_eq!(broker.len(), 1, "{broker:?}");
    signal(*broker.keys().next().unwrap(), Signal::KILL);
    assert_eq!(bench.wait(), Some(1), "{}", bench.said());
    assert_eq!(marked(&bench.mark), BTreeMap::new());

    let result = bench.result();
    assert_eq!((result.ending, result.trials.len()), (Ending::Failed, 1));
    let error = result.error.unwrap();
    assert!(error.contains("broker 2 has ended during the run (signal 9"), "{error}");
    assert!(error.contains("INFO"), "the end of its log: {error}");
    let trial = &result.trials[0];
    assert_eq!(trial.ending, Ending::Failed);
    assert!(trial.error.as_ref().unwrap().contains("broker 2"), "{trial:?}");
    assert!(trial.load.as_ref().unwrap().total.sent > 0);
    assert!(trial.load.as_ref().unwrap().brokers_cpu.is_none(), "a sum without it would be too small");
    // Two replicas of each partition are left: nothing may be lost, and it can be told.
    let verification = trial.verification.as_ref().unwrap();
    assert_eq!(verification.verdict, Verdict::Held, "{verification:?}");
    let told = fs::read_to_string(bench.folder.path().join("stdout")).unwrap();
    assert!(told.contains("broker 2 has ended during the run"), "{told}");
}

/// Neither load nor a reader nor a JVM goes on without the one who judges it.
#[test]
fn a_killed_bench_leaves_no_process_behind() {
    let _turn = one_at_a_time();
    let mut bench = Bench::start("killed", "quick");
    bench.wait_for_load();
    assert_eq!(bench.processes("kafka.Kafka").len(), 4);
    signal(bench.process.id().cast_signed(), Signal::KILL);
    assert_eq!(bench.wait(), None, "ended by the signal");
    wait_until("all that it had started is gone", Duration::from_secs(20), || marked(&bench.mark).is_empty());
    // What it had measured is whole.
    assert_eq!(bench.result().ending, Ending::Interrupted);
}
