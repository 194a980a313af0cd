//! A cluster that is broken by a test, and what the binary does with it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientProperties, LogSink, admin::NewTopic};
use ackmark_cluster::{Local, LocalOptions, Settings};
use ackmark_schema::{
    properties::Origin,
    report::{
        load::{LOAD_FILE, LoadReport},
        seal::{SEAL_FILE, SealReport},
        verify::VerifyReport,
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use crate::common::{self, Run, Running};

/// No admin request of a test takes longer.
const TIMEOUT: Duration = Duration::from_mins(1);
/// What a command takes beyond its own bound: its start, connections, an answer under way, a machine that does
/// something else.
pub(crate) const SLACK: Duration = Duration::from_secs(30);
/// The broker that is done something to.
pub(crate) const VICTIM: i32 = 2;
/// The next one.
pub(crate) const SECOND_VICTIM: i32 = 3;
/// Each broker leads one partition of each topic.
const ASSIGNMENT: [[i32; 3]; 3] = [[1, 2, 3], [2, 3, 1], [3, 1, 2]];

/// A cluster of a test's own. Ends with it, also when it fails; then what explains the failure is told and kept.
pub(crate) struct Cluster {
    local: Local,
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts one; some brokers' data may be on disks of their own.
    pub(crate) fn start(disks: &[(i32, PathBuf)]) -> Self {
        Self::start_with(LocalOptions { disks: disks.to_vec(), ..LocalOptions::default() })
    }

    /// Starts one with options beyond *fault* settings.
    pub(crate) fn start_with(options: LocalOptions) -> Self {
        // Two at once would starve each other.
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let options = LocalOptions { settings: Settings::Fault, ..options };
        let local = Local::start(&options, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
        Self { local, folder: tempfile::tempdir().unwrap(), _turn: turn }
    }

    pub(crate) fn servers(&self) -> String {
        self.local.bootstrap_servers()
    }

    pub(crate) fn admin(&self) -> AdminClient {
        let properties = ClientProperties::with_bootstrap(&self.servers(), Origin::Flag);
        AdminClient::new(&properties, LogSink::discard()).unwrap()
    }

    /// Creates topics of three replicas, min.insync.replicas 2, and waits until they can be used.
    pub(crate) fn create(&self, topics: &[&str]) {
        for name in topics {
            let topic = NewTopic {
                name: (*name).to_owned(),
                partitions: ASSIGNMENT.len() as i32,
                replication_factor: -1,
                assignment: ASSIGNMENT.map(|brokers| brokers.to_vec()).to_vec(),
                configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
            };
            self.admin().create_topic(&topic, TIMEOUT).unwrap();
        }
    }

    /// Does something to a broker.
    pub(crate) fn signal(&self, broker: i32, signal: Signal) {
        let pid = self.local.brokers().iter().find(|process| process.id == broker).unwrap().pid;
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    }

    /// Kills every broker.
    pub(crate) fn kill_all(&self) {
        for broker in self.local.brokers() {
            self.signal(broker.id, Signal::KILL);
        }
    }

    /// Waits until a broker has ended by itself and what is said of it.
    pub(crate) fn wait_for_end(&self, broker: i32) -> String {
        let mut said = String::new();
        common::wait_until("the broker ends", TIMEOUT, || {
            said = self.local.check().err().map(|error| error.to_string()).unwrap_or_default();
            said.contains(&format!("broker {broker}"))
        });
        said
    }

    /// A run's folder, by the name of its topic.
    pub(crate) fn folder(&self, topic: &str) -> PathBuf {
        self.folder.path().join(topic)
    }

    /// Starts a load to a topic with a profile; its folder has the topic's name.
    pub(crate) fn load(&self, topic: &str, profile: &str, flags: &[&str]) -> Running {
        self.load_into(topic, topic, profile, flags)
    }

    /// As [`load`](Self::load), into another folder.
    pub(crate) fn load_into(&self, folder: &str, topic: &str, profile: &str, flags: &[&str]) -> Running {
        let fixed = ["load", "--yes", "--topic", topic, "--out", folder, "--profile", profile];
        let size: &[&str] = if flags.contains(&"--size") { &[] } else { &["--size", "100B"] };
        self.running(&format!("{folder}-load"), &[&fixed, size, flags].concat())
    }

    /// Starts a command on a run.
    pub(crate) fn start_on(&self, topic: &str, command: &str, flags: &[&str]) -> Running {
        self.running(&format!("{topic}-{command}"), &[&[command, topic], flags].concat())
    }

    fn running(&self, name: &str, arguments: &[&str]) -> Running {
        let mut command = common::with_low_priority(&common::ackmark(self.folder.path()));
        command.args(arguments).args(["-b", &self.servers()]);
        if arguments[0] != "seal" {
            command.args(["--progress", "json"]);
        }
        Running::start(&mut command, self.folder.path(), name)
    }

    /// Runs a command on a run to its end, within a bound.
    pub(crate) fn run_on(&self, topic: &str, command: &str, flags: &[&str], bound: Duration) -> Run {
        let begun = Instant::now();
        let run = self.start_on(topic, command, flags).finish(bound + SLACK);
        eprintln!("{command} {topic}: exit {} after {:.1} s", run.code, begun.elapsed().as_secs_f64());
        run
    }

    pub(crate) fn load_report(&self, topic: &str) -> LoadReport {
        read(&self.folder(topic).join(LOAD_FILE))
    }

    pub(crate) fn seal_report(&self, topic: &str) -> SealReport {
        read(&self.folder(topic).join(SEAL_FILE))
    }

    pub(crate) fn verify_report(&self, topic: &str) -> VerifyReport {
        read(&self.folder(topic).join(ackmark_schema::report::verify::VERIFY_FILE))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_evidence();
        }
    }
}

impl Cluster {
    /// Says what became of each load and leaves the runs with the brokers' logs beside them. Nothing in here panics: a
    /// failure that is under way would end the process.
    fn keep_evidence(&mut self) {
        self.folder.disable_cleanup(true);
        let kept = self.folder.path();
        eprintln!("kept: {}", kept.display());
        for process in self.local.processes() {
            let copied = std::fs::copy(&process.log, kept.join(format!("{}-{}.log", process.role, process.id)));
            if let Err(error) = copied {
                eprintln!("{}: {error}", process.log.display());
            }
        }
        let runs = std::fs::read_dir(kept).into_iter().flatten().filter_map(Result::ok);
        for run in runs.filter(|run| run.path().is_dir()) {
            let Ok(text) = std::fs::read_to_string(run.path().join(LOAD_FILE)) else { continue };
            let Ok(load) = serde_json::from_str::<LoadReport>(&text) else { continue };
            let LoadReport { ending, error, total, provocations, errors, trouble, .. } = load;
            eprintln!("{}: {ending:?} {error:?}\n  {total:?}\n  {provocations:?}", run.file_name().display());
            eprintln!("  {errors:?}\n  {trouble:?}");
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
