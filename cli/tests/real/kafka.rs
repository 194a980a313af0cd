//! The cluster that all tests of this binary share, and what they do with it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ackmark_client::{AdminClient, ClientProperties, LogSink, admin::NewTopic};
use ackmark_cluster::{
    Local, LocalOptions, Settings,
    local::{Protocol, SecureListener},
};
use ackmark_schema::{
    properties::Origin,
    report::{load::LoadReport, verify::VerifyReport},
};

use crate::common::{self, Run};

/// How long an admin request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Partitions of the tests' topics.
pub(crate) const PARTITIONS: i32 = 2;

/// The cluster, started when it is first needed.
#[derive(Default)]
pub(crate) struct Kafka {
    cluster: OnceLock<Local>,
    starting: Mutex<()>,
    topics: AtomicU32,
    base: OnceLock<Load>,
    loading: Mutex<()>,
}

/// A load that was done: its folder lives as long as this.
pub(crate) struct Load {
    folder: tempfile::TempDir,
    /// Its topic.
    pub(crate) topic: String,
    /// What it reported.
    pub(crate) report: LoadReport,
}

impl Load {
    /// Its load folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("load")
    }
}

impl Kafka {
    fn cluster(&self) -> &Local {
        let _one_start = self.starting.lock().unwrap();
        self.cluster.get_or_init(|| {
            let options = LocalOptions { settings: Settings::Fault, secure: true, ..LocalOptions::default() };
            Local::start(&options, &|_| {}).unwrap_or_else(|error| panic!("{error}"))
        })
    }

    /// Where its brokers are.
    pub(crate) fn servers(&self) -> String {
        self.cluster().bootstrap_servers()
    }

    /// Its listener with TLS or SASL.
    pub(crate) fn listener(&self, protocol: Protocol) -> SecureListener {
        let all = self.cluster().secure_listeners();
        all.iter().find(|listener| listener.protocol == protocol).unwrap().clone()
    }

    /// An admin client.
    pub(crate) fn admin(&self) -> AdminClient {
        let properties = ClientProperties::with_bootstrap(&self.servers(), Origin::Flag);
        AdminClient::new(&properties, LogSink::discard()).unwrap()
    }

    /// A topic that no other test has.
    pub(crate) fn topic(&self) -> String {
        let name = format!("test-{}", self.topics.fetch_add(1, Ordering::Relaxed));
        let topic = NewTopic {
            name: name.clone(),
            partitions: PARTITIONS,
            replication_factor: 3,
            assignment: Vec::new(),
            configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
        };
        self.admin().create_topic(&topic, TIMEOUT).unwrap();
        name
    }

    /// A topic of many partitions, each with one replica, that no other test has.
    pub(crate) fn wide_topic(&self, partitions: i32) -> String {
        let name = format!("test-{}", self.topics.fetch_add(1, Ordering::Relaxed));
        let configs = vec![("min.insync.replicas".to_owned(), "1".to_owned())];
        let assignment = Vec::new();
        let topic = NewTopic { name: name.clone(), partitions, replication_factor: 1, assignment, configs };
        self.admin().create_topic(&topic, 4 * TIMEOUT).unwrap();
        name
    }

    /// Runs the binary with `-b`; a load with consent, for nobody is there to be asked.
    pub(crate) fn run(&self, folder: &Path, arguments: &[&str]) -> Run {
        let consent: &[&str] = if arguments.first() == Some(&"load") { &["--yes"] } else { &[] };
        common::run(folder, &[arguments, consent, &["-b", &self.servers(), "--progress", "none"]].concat())
    }

    /// Loads a fresh topic with the given flags and seals it.
    pub(crate) fn load(&self, arguments: &[&str]) -> Load {
        let folder = tempfile::tempdir().unwrap();
        let topic = self.topic();
        let fixed = ["load", "--topic", &topic, "--out", "load", "--output", "json"];
        let report = self.run(folder.path(), &[&fixed, arguments].concat()).exits(0).json();
        Load { folder, topic, report }
    }

    /// Seals a load folder.
    pub(crate) fn seal(&self, folder: &Path) -> Run {
        common::run(folder, &["seal", ".", "-b", &self.servers()])
    }

    /// Verifies a load folder.
    pub(crate) fn verify(&self, folder: &Path) -> (Run, VerifyReport) {
        self.verify_with(folder, &[])
    }

    /// Verifies a load folder with more flags.
    pub(crate) fn verify_with(&self, folder: &Path, flags: &[&str]) -> (Run, VerifyReport) {
        let run = self.run(folder, &[&["verify", ".", "--output", "json"], flags].concat());
        let report = run.json();
        (run, report)
    }

    /// A sound idempotent load that mutations copy.
    pub(crate) fn base(&self) -> &Load {
        let _one_load = self.loading.lock().unwrap();
        self.base.get_or_init(|| self.load(&["--profile", "idempotent", "--messages", "1000", "--size", "100B"]))
    }
}
