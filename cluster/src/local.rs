//! A real Kafka as plain JVM processes on loopback: three brokers and a dedicated controller.
//!
//! ```text
//! jars (Maven, once) → kit (training run, once) → folder → ports → format → start → ready
//! ```
//!
//! Ready means that the admin API lists all brokers. All JVMs die with this process, however it ends, unless the
//! cluster is kept ([`kept`]). Figures that are measured here share their processor with the load: the same machine
//! runs both.
//!
//! Listeners are plain; [`LocalOptions::secure`] adds ones with TLS and SASL.
//!
//! Limits: Linux; one machine, so a power cut or a lost disk cannot be shown.

mod home;
mod jars;
mod java;
pub mod kept;
mod kit;
mod node;
mod ports;
mod ready;
mod security;
mod settings;
#[allow(unsafe_code, reason = "what runs between fork and exec")]
mod spawn;
mod state;
mod stop;
mod tail;
mod topology;

use std::{
    fmt::Write as _,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ackmark_schema::report::CpuTime;

pub use self::{
    home::Home,
    jars::KAFKA_VERSION,
    java::{Java, MINIMUM_JAVA},
    security::{MECHANISMS, Protocol, SecureListener, USER},
    settings::Settings,
    spawn::spawn_bound,
    state::{NodeState, State},
    stop::Stop,
    topology::{BROKER_IDS, CONTROLLER_ID, LISTENER_PROPERTIES, NODE_PROPERTIES, Role},
};
use self::{
    home::{Folder, create_folder, write_file},
    jars::Jars,
    kit::{Kit, copy, special_checkpoint},
    node::{LOG4J, Launcher, NodeProcess},
    security::Security,
    spawn::Fate,
    topology::{PORTS, SECURE_PORTS, Topology, check_overrides},
};
use crate::{Progress, error::ClusterError};

/// A first fetch on a slow line, and a training run.
const PREPARE_WAIT_MAX: Duration = Duration::from_mins(15);
/// Starts that lose a port to another process before one is given up.
const ATTEMPTS_MAX: usize = 3;

/// What to start.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Kafka's version; [`KAFKA_VERSION`] unless given.
    pub version: Option<String>,
    /// An unpacked Kafka to take the jars from instead of fetching them (`KAFKA_HOME`).
    pub kafka_home: Option<PathBuf>,
    /// The named settings.
    pub settings: Settings,
    /// Server properties on top, for every node.
    pub overrides: Vec<(String, String)>,
    /// Listeners with TLS and SASL beside the plain one, on free ports.
    pub secure: bool,
    /// Where jars and data go; see [`Home::open`].
    pub home: Option<PathBuf>,
    /// Folders that the data of a node goes to instead, by its id: disks that may fill while others have room. What
    /// is written there stays.
    pub disks: Vec<(i32, PathBuf)>,
    /// The clients' port of the first broker, the next ones follow; free ones are found unless given.
    pub port: Option<u16>,
    /// How long a start may take once jars and kit are there.
    pub start_timeout: Duration,
    /// Ends a start within a second or so, with nothing left of it.
    pub stop: Stop,
}

impl Default for LocalOptions {
    /// *Measured* settings, `KAFKA_HOME` from the environment, 60 s.
    fn default() -> Self {
        Self {
            version: None,
            kafka_home: std::env::var_os("KAFKA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            settings: Settings::Measured,
            overrides: Vec::new(),
            secure: false,
            home: None,
            disks: Vec::new(),
            port: None,
            start_timeout: Duration::from_mins(1),
            stop: Stop::default(),
        }
    }
}

/// What Kafka's own command line tools run with.
#[derive(Debug, Clone)]
pub struct KafkaTools {
    /// Kafka's version.
    pub version: String,
    /// The Java to run them.
    pub java: Java,
    /// For `java -cp`.
    pub class_path: String,
}

/// One node's process, as others may look at it.
#[derive(Debug, Clone)]
pub struct BrokerProcess {
    /// `node.id`.
    pub id: i32,
    /// What it does.
    pub role: Role,
    /// The port of its listener for clients; the controller's only one.
    pub port: u16,
    /// Its process.
    pub pid: u32,
    /// Its log.
    pub log: PathBuf,
}

/// A running local cluster; stopped and removed when dropped.
#[derive(Debug)]
pub struct Local {
    /// First: the processes must end before their folder goes.
    nodes: Vec<NodeProcess>,
    folder: Folder,
    topology: Topology,
    settings: Settings,
    kafka_version: String,
    java_version: String,
    cluster_id: String,
    secure_listeners: Vec<SecureListener>,
    started_in: Duration,
}

impl Local {
    /// Starts a cluster that dies with this process.
    ///
    /// # Errors
    /// Java or Maven missing, a port in use, a node that fails (with the end of its log), a disk that refuses.
    pub fn start(options: &LocalOptions, progress: Progress<'_>) -> Result<Self, ClusterError> {
        Starter::prepare(options, progress)?.start(None, progress)
    }

    /// Fetches what a start needs and makes it fast, without starting: for a set-up step. Quick when all is there.
    /// Tells Kafka's version.
    ///
    /// # Errors
    /// Java or Maven missing, or the fetch failed.
    pub fn prepare(options: &LocalOptions, progress: Progress<'_>) -> Result<String, ClusterError> {
        Starter::prepare(options, progress).map(|starter| starter.jars.version)
    }

    /// Finds Kafka's own tools, fetching the jars if they are nowhere.
    ///
    /// # Errors
    /// Java or Maven missing, or the fetch failed.
    pub fn tools(options: &LocalOptions, progress: Progress<'_>) -> Result<KafkaTools, ClusterError> {
        let java = Java::find()?;
        let home = Home::open(options.home.as_deref())?;
        let _lock = home.lock(PREPARE_WAIT_MAX, &options.stop)?;
        let jars = Jars::find(&home, options, progress)?;
        Ok(KafkaTools { class_path: jars.class_path(), version: jars.version, java })
    }

    /// `host:port,…` for clients.
    pub fn bootstrap_servers(&self) -> String {
        self.topology.bootstrap_servers()
    }

    /// Its listeners with TLS or SASL; none unless [`LocalOptions::secure`] asked for them.
    pub fn secure_listeners(&self) -> &[SecureListener] {
        &self.secure_listeners
    }

    /// The brokers' processes.
    pub fn brokers(&self) -> Vec<BrokerProcess> {
        self.processes().into_iter().filter(|process| process.role == Role::Broker).collect()
    }

    /// All processes, the controller first.
    pub fn processes(&self) -> Vec<BrokerProcess> {
        let process = |process: &NodeProcess| BrokerProcess {
            id: process.node.id,
            role: process.node.role,
            port: process.node.port,
            pid: process.pid(),
            log: process.node.log(),
        };
        self.nodes.iter().map(process).collect()
    }

    /// Whether all nodes are running.
    ///
    /// # Errors
    /// One has ended by itself: which, how, and the end of its log. Brokers end when their controller does, so that
    /// is looked at first.
    pub fn check(&self) -> Result<(), ClusterError> {
        let lost = self.nodes.iter().find_map(|process| Some((process, process.how_ended()?)));
        match lost {
            Some((process, status)) => Err(ClusterError::NodeLost { status, end: Box::new(process.log_end()) }),
            None => Ok(()),
        }
    }

    /// CPU time of all nodes since they started. `None` when one of them has ended: the sum would be too small.
    pub fn cpu(&self) -> Option<CpuTime> {
        self.nodes.iter().map(NodeProcess::cpu).try_fold(CpuTime::default(), |sum, cpu| {
            let cpu = cpu?;
            Some(CpuTime { user_s: sum.user_s + cpu.user_s, system_s: sum.system_s + cpu.system_s })
        })
    }

    /// CPU time of one node since it started.
    pub fn cpu_of(&self, id: i32) -> Option<CpuTime> {
        self.nodes.iter().find(|process| process.node.id == id)?.cpu()
    }

    /// How long format, start and registration took.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Kafka's version.
    pub fn kafka_version(&self) -> &str {
        &self.kafka_version
    }

    /// Java's version.
    pub fn java_version(&self) -> &str {
        &self.java_version
    }

    /// The named settings that it runs with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Its id.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Its folder: logs, configuration and data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops all nodes and removes the folder. Returns when every process is gone.
    ///
    /// # Errors
    /// A process that survives SIGKILL for 20 s.
    pub fn stop(mut self) -> Result<(), ClusterError> {
        self.kill()
    }

    /// SIGKILL straight away: the data goes too, so an orderly shutdown would save nothing and take seconds.
    fn kill(&mut self) -> Result<(), ClusterError> {
        self.nodes.iter_mut().for_each(NodeProcess::kill);
        self.nodes.iter_mut().try_for_each(|process| process.wait_killed().map(drop))
    }

    /// Waits until all brokers are there, or tells which node is to blame.
    fn wait_until_ready(&mut self, timeout: Duration, stop: &Stop) -> Result<(), ClusterError> {
        ready::wait(&self.topology, &mut self.nodes, timeout, stop)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Nobody is left to tell; the processes die with this one at the latest.
        let _ = self.kill();
    }
}

/// All that starts have in common.
struct Starter<'a> {
    options: &'a LocalOptions,
    home: Home,
    java: Java,
    jars: Jars,
    kit: Kit,
}

impl<'a> Starter<'a> {
    fn prepare(options: &'a LocalOptions, progress: Progress<'_>) -> Result<Self, ClusterError> {
        check_overrides(&options.overrides)?;
        let java = Java::find()?;
        let home = Home::open(options.home.as_deref())?;
        let _lock = home.lock(PREPARE_WAIT_MAX, &options.stop)?;
        home.sweep_unfinished()?;
        let jars = Jars::find(&home, options, progress)?;
        let kit = Kit::find(&home, &java, &jars, &options.stop, progress)?;
        Ok(Self { options, home, java, jars, kit })
    }

    /// Starts the kept cluster of that name, or one that dies with this process.
    fn start(&self, kept: Option<&str>, progress: Progress<'_>) -> Result<Local, ClusterError> {
        for name in self.home.sweep(&self.options.stop)? {
            progress(&format!("removed what a cluster left behind that is no more ({name})"));
        }
        progress(&format!(
            "starting Kafka {}: three brokers and a controller, {} settings",
            self.jars.version,
            self.options.settings.name()
        ));
        let mut attempt = 1;
        loop {
            match self.attempt(kept) {
                Err(ClusterError::NodeDied { end, .. })
                    if self.options.port.is_none()
                        && attempt < ATTEMPTS_MAX
                        && end.tail.contains("Address already in use") =>
                {
                    progress("another process took a port at the same moment: starting again with other ports");
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn attempt(&self, kept: Option<&str>) -> Result<Local, ClusterError> {
        let start = Instant::now();
        let folder = match kept {
            Some(name) => self.home.create(name, &self.options.stop)?.ok_or_else(|| kept::already_up(&self.home))?,
            None => self.disposable_folder()?,
        };
        let fate = if kept.is_some() { Fate::Survives } else { Fate::DiesWithParent };
        let topology = self.plan(folder.path())?.on_disks(&self.options.disks);
        let cluster_id = cluster_id()?;
        let log4j = folder.path().join("log4j2.properties");
        write_file(&log4j, LOG4J)?;
        let (flags, class_path) = (self.flags(), self.jars.class_path());
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let launcher = Launcher { java: &self.java, class_path: &class_path, log4j: &log4j };

        let security = if self.options.secure { Some(Security::make(folder.path())?) } else { None };
        let checkpoint = match &security {
            Some(security) => self.checkpoint_with(security, &launcher, &folder)?,
            None => self.kit.checkpoint.clone(),
        };
        self.format(&topology, &cluster_id, security.as_ref(), &checkpoint)?;
        let secure_listeners = match &security {
            Some(security) => security.listeners(&topology)?,
            None => Vec::new(),
        };
        let mut local = Local {
            nodes: Vec::with_capacity(topology.nodes.len()),
            folder,
            topology,
            settings: self.options.settings,
            kafka_version: self.jars.version.clone(),
            java_version: self.java.version.clone(),
            cluster_id,
            secure_listeners,
            started_in: Duration::ZERO,
        };
        for node in &local.topology.nodes {
            local.nodes.push(launcher.start(node, &flags, fate, Some(&local.folder))?);
        }
        if kept.is_some() {
            // Before it is ready: if this process is killed now, `down` still finds what to end.
            State::of(&local).write(local.folder.path())?;
        }
        local.wait_until_ready(self.options.start_timeout, &self.options.stop)?;
        local.started_in = start.elapsed();
        Ok(local)
    }

    fn disposable_folder(&self) -> Result<Folder, ClusterError> {
        let name = format!("run-{}-{:08x}", std::process::id(), jars::hash(random::<8>()?) as u32);
        self.home
            .create(&name, &self.options.stop)?
            .ok_or_else(|| ClusterError::Locked { path: self.home.clusters().join(name), waited_s: 0 })
    }

    fn plan(&self, folder: &Path) -> Result<Topology, ClusterError> {
        let brokers = BROKER_IDS.len();
        let outer = match self.options.port {
            None => ports::free(brokers)?,
            Some(base) => ports::fixed(base, brokers)?,
        };
        let secure = if self.options.secure { SECURE_PORTS } else { 0 };
        let others = ports::free_but(PORTS - brokers + secure, &outer)?;
        let (inner, secure) = others.split_at(PORTS - brokers);
        Ok(Topology::new(folder, &outer, inner).with_secure_ports(secure))
    }

    /// What nodes begin with, and the user of the secure listeners.
    fn checkpoint_with(
        &self,
        security: &Security,
        launcher: &Launcher<'_>,
        folder: &Folder,
    ) -> Result<PathBuf, ClusterError> {
        let work = folder.path().join("format");
        create_folder(&work)?;
        let flags = self.archive_flag();
        let flags: Vec<_> = flags.iter().map(String::as_str).chain(["-Xmx256m"]).collect();
        special_checkpoint(launcher, &flags, &work, &security.storage_arguments(), &self.options.stop)
    }

    /// What Kafka's `StorageTool` does: the node's identity, and the feature levels to begin with.
    fn format(
        &self,
        topology: &Topology,
        cluster_id: &str,
        security: Option<&Security>,
        checkpoint: &Path,
    ) -> Result<(), ClusterError> {
        for node in &topology.nodes {
            create_folder(&node.folder)?;
            create_folder(&node.data())?;
            let properties = topology.properties(node, self.options.settings, security, &self.options.overrides);
            write_file(&node.properties_file(), &properties)?;
            let identity = format!(
                "version=1\ncluster.id={cluster_id}\nnode.id={}\ndirectory.id={}\n",
                node.id,
                base64_uuid(random()?)
            );
            write_file(&node.data().join("meta.properties"), &identity)?;
            copy(checkpoint, &node.data().join("bootstrap.checkpoint"))?;
        }
        Ok(())
    }

    fn flags(&self) -> Vec<String> {
        let mut flags: Vec<_> = self.options.settings.jvm_flags().iter().map(ToString::to_string).collect();
        flags.extend(self.archive_flag());
        flags
    }

    fn archive_flag(&self) -> Option<String> {
        self.kit.archive.as_ref().map(|archive| format!("-XX:SharedArchiveFile={}", archive.display()))
    }
}

/// A new id as Kafka writes them.
fn cluster_id() -> Result<String, ClusterError> {
    Ok(base64_uuid(random()?))
}

fn random<const N: usize>() -> Result<[u8; N], ClusterError> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(ClusterError::io("read /dev/urandom"))?;
    Ok(bytes)
}

/// Kafka's form of a UUID (`org.apache.kafka.common.Uuid`): URL-safe base64 of its 16 bytes, without padding.
/// The first character is never `-`, which command line tools would take for an option, as in `Uuid.randomUuid`.
fn base64_uuid(mut bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // Version 4, variant 1 (RFC 9562).
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes[0] &= 0x7f;
    let bits = u128::from_be_bytes(bytes);
    let mut text = String::with_capacity(22);
    for shift in (-4..=122).rev().step_by(6) {
        let index = if shift < 0 { (bits << 4) & 63 } else { (bits >> shift) & 63 };
        write!(text, "{}", char::from(ALPHABET[index as usize])).expect("writing to a String never fails");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn uuids_are_as_kafka_writes_them() {
        // Java: new Uuid(0x0123456789ab4defL, 0x8123456789abcdefL).toString()
        let bytes = 0x0123_4567_89ab_4def_8123_4567_89ab_cdef_u128.to_be_bytes();
        assert_eq!(base64_uuid(bytes), "ASNFZ4mrTe-BI0VniavN7w");
        let ids: std::collections::HashSet<_> = (0..100).map(|_| cluster_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 22 && !id.starts_with('-')));
    }

    fn topology() -> Topology {
        Topology::new(Path::new("/k"), &[19092, 29092, 39092], &[11, 12, 13, 14])
    }

    #[test]
    fn a_broker_s_properties() {
        let topology = topology();
        let broker = &topology.nodes[1];
        let overrides = [("num.partitions".to_owned(), "7".to_owned())];
        let text = topology.properties(broker, Settings::Measured, None, &overrides);
        for line in [
            "process.roles=broker",
            "node.id=1",
            "controller.quorum.voters=100@127.0.0.1:14",
            "listeners=INTERNAL://127.0.0.1:11,EXTERNAL://127.0.0.1:19092",
            "advertised.listeners=INTERNAL://127.0.0.1:11,EXTERNAL://127.0.0.1:19092",
            "inter.broker.listener.name=INTERNAL",
            "min.insync.replicas=2",
            "log.dirs=/k/broker-1/data",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert_eq!(text.lines().last(), Some("num.partitions=7"));
        assert!(!text.contains("replica.lag.time.max.ms"), "measured leaves timings at their defaults");
        assert_eq!(topology.bootstrap_servers(), "127.0.0.1:19092,127.0.0.1:29092,127.0.0.1:39092");
    }

    #[test]
    fn secure_listeners_come_on_top_and_the_plain_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let security = Security::make(folder.path()).unwrap();
        let ports: Vec<u16> = (100..100 + SECURE_PORTS as u16).collect();
        let topology = topology().with_secure_ports(&ports);
        let text = topology.properties(&topology.nodes[2], Settings::Measured, Some(&security), &[]);
        let listeners = "INTERNAL://127.0.0.1:12,EXTERNAL://127.0.0.1:29092,SSL://127.0.0.1:103,\
                         SASL_PLAINTEXT://127.0.0.1:104,SASL_SSL://127.0.0.1:105";
        assert!(text.contains(&format!("\nadvertised.listeners={listeners}\n")), "{text}");
        let protocols = text.lines().rfind(|line| line.starts_with("listener.security.protocol.map=")).unwrap();
        assert!(protocols.ends_with("EXTERNAL:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"));
        let controller = topology.properties(&topology.nodes[0], Settings::Measured, Some(&security), &[]);
        assert!(!controller.contains("ssl.") && !controller.contains("jaas"), "{controller}");
        let listeners = security.listeners(&topology).unwrap();
        assert_eq!(listeners[2].bootstrap_servers, "127.0.0.1:102,127.0.0.1:105,127.0.0.1:108");
    }

    #[test]
    fn the_controller_s_properties_and_fault_s_timeouts() {
        let topology = topology();
        let text = topology.properties(&topology.nodes[0], Settings::Fault, None, &[]);
        assert!(text.contains("process.roles=controller\n"));
        assert!(text.contains("listeners=CONTROLLER://127.0.0.1:14\n"));
        assert!(text.contains("replica.lag.time.max.ms=3000\n"));
        assert!(!text.contains("inter.broker.listener.name"));
        assert!(!text.contains("advertised.listeners"));
    }

    #[test]
    fn what_the_topology_sets_cannot_be_overridden() {
        let error = check_overrides(&[("log.dirs".to_owned(), "/x".to_owned())]).unwrap_err();
        assert!(matches!(error, ClusterError::Override { name } if name == "log.dirs"));
    }
}
