//! The brokers and the topics.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, LogSink, admin::NewTopic};
use ackmark_cluster::{Cluster, ClusterError, External, Local, local::LocalOptions};
use ackmark_schema::{
    peers::Work,
    report::CpuTime,
    result::{ClusterFacts, Provider},
    units::Bytes,
};
use ackmark_wire::config::WireConfig;
use rustix::fs::statvfs;

use crate::{
    cell::{CellPlan, PARTITIONS},
    error::PeersError,
    log::{self, Tally},
};

/// How long a topic may take to be there with all its replicas, to tell its offsets, or to go.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long replicas may take to catch up after the last acknowledgement of acks=1.
const REPLICATION_MAX: Duration = Duration::from_secs(30);
/// How long a broker may take to tell what it has acknowledged.
const SETTLING_MAX: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A running Kafka on this machine.
pub(crate) struct Kafka {
    /// First: it is asked through while the brokers live.
    admin: AdminClient,
    /// What it says about itself.
    pub(crate) facts: ClusterFacts,
    cluster: Cluster,
}

/// Options of a local cluster, whose start ends when `stop` says so. The variables are those of `ackmark cluster`.
pub(crate) fn options(stop: &Arc<AtomicBool>) -> LocalOptions {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    LocalOptions {
        version: variable("ACKMARK_KAFKA_VERSION").and_then(|version| version.into_string().ok()),
        home: variable("ACKMARK_HOME").map(PathBuf::from),
        stop: Arc::clone(stop).into(),
        ..LocalOptions::default()
    }
}

impl Kafka {
    /// Starts brokers, or finds those that run at `servers`.
    ///
    /// # Errors
    /// They cannot be started or do not answer.
    pub(crate) fn start(servers: Option<&str>, options: &LocalOptions, say: &dyn Fn(&str)) -> Result<Self, PeersError> {
        let cluster = match servers {
            Some(servers) => Cluster::External(External::new(servers, None, &[])?),
            None => Cluster::Local(Local::start(options, say)?),
        };
        let facts = cluster.facts()?;
        let admin = AdminClient::new(&cluster.client_properties(), LogSink::discard())?;
        Ok(Self { admin, facts, cluster })
    }

    /// `host:port,…` for clients.
    pub(crate) fn servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Java's version, where brokers were started here.
    pub(crate) fn java_version(&self) -> Option<String> {
        if let Cluster::Local(local) = &self.cluster { Some(local.java_version().to_owned()) } else { None }
    }

    /// CPU time until now of all brokers and controllers that were started here.
    pub(crate) fn cpu(&self) -> Option<CpuTime> {
        if let Cluster::Local(local) = &self.cluster { local.cpu() } else { None }
    }

    /// Whether all brokers that were started here are still there.
    ///
    /// # Errors
    /// One has ended by itself.
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        if let Cluster::Local(local) = &self.cluster { local.check() } else { Ok(()) }
    }

    /// Refuses a cell whose topic does not fit on the brokers' disk. Of brokers that run elsewhere nothing is known.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check_disk(&self, cell: &CellPlan) -> Result<(), PeersError> {
        let Cluster::Local(local) = &self.cluster else { return Ok(()) };
        let Ok(disk) = statvfs(local.folder()) else { return Ok(()) };
        let available = disk.f_bavail.saturating_mul(disk.f_frsize);
        // The topic before it may still be there.
        let needed = cell.topic_bytes() * 2;
        if needed <= available {
            return Ok(());
        }
        let (needed, available) = (Bytes(needed).approximate(), Bytes(available).approximate());
        Err(PeersError::TooLittleDisk { needed, available, folder: local.folder().to_owned() })
    }

    /// Creates a cell's topic and waits until it can be used.
    ///
    /// # Errors
    /// The refusal, or not in time.
    pub(crate) fn create(&self, cell: &CellPlan, name: &str) -> Result<(), PeersError> {
        let broker = self.facts.brokers.first().map_or(1, |broker| broker.id);
        let assignment = if cell.one_broker { vec![vec![broker]; PARTITIONS as usize] } else { Vec::new() };
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: PARTITIONS as i32,
            replication_factor: if cell.one_broker { -1 } else { cell.replication_factor() as i32 },
            assignment,
            configs: vec![("min.insync.replicas".to_owned(), cell.min_insync_replicas().to_string())],
        };
        self.admin.create_topic(&topic, TIMEOUT)?;
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn delete(&self, topic: &str) -> Result<(), PeersError> {
        Ok(self.admin.delete_topic(topic, TIMEOUT)?)
    }

    /// Records that a topic holds, once it holds `expected` of them or will not: the sum of its end offsets less its
    /// first ones, the markers that end transactions among them. A record counts once the replicas in sync have it: after acks=all at once, after acks=1 that takes a
    /// while, and the next run must not begin before.
    ///
    /// # Errors
    /// A partition does not tell in time.
    pub(crate) fn records(&self, cell: &CellPlan, topic: &str, expected: u64) -> Result<u64, PeersError> {
        let start = Instant::now();
        let wait_max = match cell.work {
            Work::Produce { all_acks: false, .. } | Work::Produce { transaction_ms: Some(_), .. } => REPLICATION_MAX,
            Work::Produce { .. } | Work::Consume => SETTLING_MAX,
        };
        loop {
            let offsets = self.admin.offsets(topic, TIMEOUT)?;
            let records = offsets.iter().map(|partition| (partition.high - partition.low) as u64).sum();
            // A commit is answered before its markers are in the log.
            let closed = offsets.iter().all(|partition| partition.last_stable == partition.high);
            if (records >= expected && closed) || start.elapsed() > wait_max {
                return Ok(records);
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// What a topic holds, read from its start to its end. The inner error tells what of it could not be read.
    ///
    /// # Errors
    /// The brokers cannot be asked, or the user wants an end.
    pub(crate) fn log(&self, topic: &str, stop: &AtomicBool) -> Result<Result<Tally, String>, PeersError> {
        let servers = self.servers();
        let config = WireConfig::from_properties([("bootstrap.servers", servers.as_str())])?;
        let read = log::read(&config, topic, &self.admin.offsets(topic, TIMEOUT)?, stop);
        if stop.load(Ordering::Relaxed) { Err(PeersError::Interrupted) } else { Ok(read?) }
    }

    /// Stops brokers that were started here.
    ///
    /// # Errors
    /// A process that survives SIGKILL.
    pub(crate) fn stop(self) -> Result<(), PeersError> {
        debug_assert_eq!(self.facts.provider == Provider::Local, matches!(self.cluster, Cluster::Local(_)));
        if let Cluster::Local(local) = self.cluster { Ok(local.stop()?) } else { Ok(()) }
    }
}
