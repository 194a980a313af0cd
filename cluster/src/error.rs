//! What can go wrong between asking for a Kafka and having one; each message names the cure.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

/// A cluster that could not be had, kept or asked.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No `java` to run brokers with.
    #[error(
        "no Java was found in JAVA_HOME or PATH, and a local Kafka needs version {minimum} or later: run `make setup`, \
         or install it (Debian, Ubuntu: apt-get install default-jre-headless; Fedora: dnf install java-headless)"
    )]
    NoJava {
        /// Lowest major version that Kafka runs on.
        minimum: u32,
    },
    /// A `java` that Kafka does not run on.
    #[error(
        "{} is Java {found}, and Kafka needs version {minimum} or later: install a newer one, or point JAVA_HOME at it", java.display()
    )]
    OldJava {
        /// The program that was asked.
        java: PathBuf,
        /// What it says about itself.
        found: String,
        /// Lowest major version that Kafka runs on.
        minimum: u32,
    },
    /// No `mvn` to fetch the jars with.
    #[error(
        "Maven (mvn) was not found in PATH, and Kafka's jars are not fetched yet: run `make setup`, or install it \
         (Debian, Ubuntu: apt-get install maven), or set KAFKA_HOME to an unpacked Kafka"
    )]
    NoMaven,
    /// Maven ran and failed.
    #[error(
        "Maven could not fetch the jars of Kafka {version} ({reason}); is the version right and the registry reachable? \
         Otherwise set KAFKA_HOME to an unpacked Kafka. The end of what Maven said:\n{tail}"
    )]
    Fetch {
        /// Kafka's version.
        version: String,
        /// Exit status, or that time ran out.
        reason: String,
        /// Last lines of Maven's output.
        tail: String,
    },
    /// `KAFKA_HOME` holds no Kafka.
    #[error("KAFKA_HOME is {}, where no libs/kafka_*.jar is: point it at an unpacked Kafka, or unset it", home.display())]
    KafkaHome {
        /// Its value.
        home: PathBuf,
    },
    /// `KAFKA_HOME` and an explicit version contradict each other.
    #[error("KAFKA_HOME holds Kafka {found}, but {wanted} was asked for: unset one of the two")]
    KafkaHomeVersion {
        /// What is there.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// Kafka's `StorageTool` failed, or left nothing behind.
    #[error("Kafka's StorageTool could not format a node ({reason}). The end of what it said:\n{tail}")]
    Format {
        /// Exit status or what is missing.
        reason: String,
        /// Last lines of its output.
        tail: String,
    },
    /// Keys for the secure listeners could not be made.
    #[error("keys and certificates for the secure listeners could not be made ({reason}): start without them")]
    Keys {
        /// The generator's error.
        reason: String,
    },
    /// A port that the user asked for is taken.
    #[error(
        "port {port} on 127.0.0.1 is in use: stop what listens there, or choose another port (or none: free ones are found)"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// No free loopback ports.
    #[error("no free ports were found on 127.0.0.1 between {low} and {high}: close what holds them")]
    NoFreePort {
        /// First port that was tried.
        low: u16,
        /// Last port that was tried.
        high: u16,
    },
    /// An override of a setting that the tool sets itself.
    #[error("{name} is set by ackmark for every node and cannot be overridden")]
    Override {
        /// The setting.
        name: String,
    },
    /// A node ended while it should have started.
    #[error("{} ended during start-up ({status}). {end}", end.node)]
    NodeDied {
        /// How it ended.
        status: String,
        /// Whose log, and its last lines.
        end: Box<LogEnd>,
    },
    /// A node of a running cluster has ended by itself.
    #[error("{} has ended during the run ({status}). {end}", end.node)]
    NodeLost {
        /// How it ended.
        status: String,
        /// Whose log, and its last lines.
        end: Box<LogEnd>,
    },
    /// Time ran out before all brokers were there.
    #[error(
        "brokers {missing:?} did not register within {waited_s} s (last answer: {last}); on a busy machine, try again. {end}"
    )]
    NotReady {
        /// Ids that are missing.
        missing: Vec<i32>,
        /// How long was waited.
        waited_s: u64,
        /// The last answer of the admin API, or its error.
        last: String,
        /// The log of the node to look at, and its last lines.
        end: Box<LogEnd>,
    },
    /// There is a kept cluster already.
    #[error("a local cluster is up already at {bootstrap_servers}: use it by -b, or stop it by `ackmark cluster down`")]
    AlreadyUp {
        /// Where it listens.
        bootstrap_servers: String,
    },
    /// There is no kept cluster.
    #[error("no local cluster is up (looked in {}): start one by `ackmark cluster up`", home.display())]
    NotUp {
        /// The home folder that was looked in.
        home: PathBuf,
    },
    /// A process did not end though it was killed.
    #[error("process {pid} ({node}) did not end within {waited_s} s after SIGKILL: look at it with `ps -p {pid}`")]
    Unstoppable {
        /// `broker 2` or `controller 100`.
        node: String,
        /// Its process.
        pid: u32,
        /// How long was waited.
        waited_s: u64,
    },
    /// Another ackmark held a lock for too long.
    #[error("another ackmark has held {} for {waited_s} s: let it finish, then try again", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        waited_s: u64,
    },
    /// No place for the cache.
    #[error(
        "neither XDG_CACHE_HOME nor HOME is set, so there is no place for Kafka's jars and data: set one, or give a folder"
    )]
    NoHome,
    /// A client properties file that cannot be taken.
    #[error("{}: {reason}", file.display())]
    Properties {
        /// The file.
        file: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A plan that is too much for somebody else's cluster.
    #[error("{reason}")]
    Guard {
        /// What exceeds which limit, and the cure.
        reason: String,
    },
    /// The brokers did not answer, or not as they should.
    #[error("{servers} did not answer: {reason}")]
    Unreachable {
        /// Bootstrap servers.
        servers: String,
        /// The client's error.
        reason: String,
    },
    /// The mock cluster could not be made.
    #[error("librdkafka's mock cluster could not be started: {reason}")]
    Simulation {
        /// The client's error.
        reason: String,
    },
    /// The user wanted an end while a cluster was being made ready or started; what was started has ended.
    #[error("interrupted before Kafka was up: nothing of it is left running")]
    Interrupted,
    /// A file or process operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with its path.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

impl ClusterError {
    /// Wraps a system error with what was tried, for `map_err`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// The end of a node's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// `broker 2` or `controller 100`.
    pub node: String,
    /// Its log.
    pub log: PathBuf,
    /// The last lines.
    pub tail: String,
}

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The end of the log of {}, {}:\n{}", self.node, self.log.display(), self.tail)
    }
}
