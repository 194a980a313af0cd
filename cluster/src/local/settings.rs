//! What every node of a local cluster is told, as data: the one place that `docker-compose.yml` is compared with.
//!
//! Two named settings. *measured* is for figures: Kafka's defaults for all timings, 1 GB heaps, G1 with the flags of
//! Kafka's own start script. *fault* is for proofs: short timeouts, so that elections and fencing show within
//! seconds, small heaps. Never publish a figure from *fault*: with a replica lag of 3 s on saturated cores the
//! in-sync set flaps.
//!
//! Eligible leader replicas (KIP-966) stay as Kafka 4.1 and later format them: on. An acknowledgement then keeps its
//! promise in more failures than before, and it is what a user's new cluster does.

/// A named setting: server properties and JVM flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// For figures.
    Measured,
    /// For proofs: short timeouts.
    Fault,
}

/// Replication and safety, which the promises rest on. Everything else is Kafka's default, with two exceptions.
const COMMON: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("unclean.leader.election.enable", "false"),
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("share.coordinator.state.topic.min.isr", "2"),
    // Default: 128 MiB, zeroed at each start. Only compaction uses it, and no topic under load is compacted: 8 MiB
    // hold the keys of some hundred thousand offsets and transactional ids.
    ("log.cleaner.dedupe.buffer.size", "8388608"),
    // Default: 60 s. The files of a deleted topic then go while a later trial is measured, and each trial writes to
    // memory that nothing used before: on a virtual machine whose host takes back free memory, copying into such
    // pages took a third of all CPU time, and throughput at 100 B halved.
    ("log.segment.delete.delay.ms", "1000"),
];

/// What *fault* adds. Comments: Kafka's default.
const SHORT_TIMEOUTS: &[(&str, &str)] = &[
    ("offsets.topic.num.partitions", "5"),                                   // 50
    ("transaction.state.log.num.partitions", "5"),                           // 50
    ("group.initial.rebalance.delay.ms", "0"),                               // 3000
    ("broker.heartbeat.interval.ms", "500"),                                 // 2000
    ("broker.session.timeout.ms", "3000"),                                   // 9000
    ("replica.lag.time.max.ms", "3000"),                                     // 30000
    ("replica.fetch.wait.max.ms", "200"),                                    // 500
    ("replica.fetch.backoff.ms", "200"),                                     // 1000
    ("replica.socket.timeout.ms", "1500"),                                   // 30000
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"), // 10000
    ("auto.leader.rebalance.enable", "false"),                               // true
    ("unclean.leader.election.interval.ms", "5000"),                         // 300000
    ("log.initial.task.delay.ms", "500"),                                    // 30000
];

/// `KAFKA_HEAP_OPTS` and `KAFKA_JVM_PERFORMANCE_OPTS` of Kafka 4.3.1's `kafka-run-class.sh`.
const SERVER_JVM: &[&str] = &[
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

const SMALL_JVM: &[&str] =
    &["-Xms256m", "-Xmx256m", "-server", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true"];

impl Settings {
    /// The name that is printed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Fault => "fault",
        }
    }

    /// The setting of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Measured, Self::Fault].into_iter().find(|settings| settings.name() == name)
    }

    /// Server properties of every node, in order.
    pub fn properties(self) -> Vec<(&'static str, &'static str)> {
        let mut properties = COMMON.to_vec();
        if self == Self::Fault {
            properties.extend_from_slice(SHORT_TIMEOUTS);
        }
        properties
    }

    /// JVM flags of every node. Nothing here, nor in the archive of classes, slows a warm broker down.
    pub fn jvm_flags(self) -> &'static [&'static str] {
        match self {
            Self::Measured => SERVER_JVM,
            Self::Fault => SMALL_JVM,
        }
    }
}
