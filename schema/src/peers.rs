//! Contenders on the same work, side by side: what `make peers` measured, as `result.json` of its folder.
//!
//! A *cell* is one kind of work with one setting; in each of its rounds every contender does it once, in random
//! order. Ratios are ackmark over a contender, paired by round.

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    report::{CpuTime, Ending},
    result::{Answer, ClusterFacts, Environment, Estimate},
    version::{SchemaId, contract},
};

contract!(PeersResult, "ackmark-peers/1");

/// One series of measurements of several contenders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeersResult {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<PeersResult>,
    /// Name of the result folder.
    pub id: String,
    /// ackmark's version.
    pub tool_version: String,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When this file was written.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// How it ended; *interrupted* also while it is still going on.
    pub ending: Ending,
    /// The error, when it failed.
    pub error: Option<String>,
    /// The command line that repeats it.
    pub command: String,
    /// Seed of the order of contenders.
    pub seed: u64,
    /// Rounds to be measured of each cell.
    pub rounds: u32,
    /// Messages that warmed the brokers before the first cell, the first cell's discarded round not counted.
    pub warm_up_messages: u64,
    /// The machine, which brokers and contenders share.
    pub environment: Environment,
    /// The Kafka.
    pub cluster: ClusterFacts,
    /// Who competed, and who could not and why.
    pub contenders: Vec<Contender>,
    /// What was measured.
    pub cells: Vec<Cell>,
}

/// A contender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contender {
    /// Its name, as on the command line.
    pub name: String,
    /// Its program, library and version; absent where it could not be had.
    pub version: Option<String>,
    /// Why it could not be had.
    pub unavailable: Option<String>,
}

/// One kind of work with one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its name, as on the command line.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// Bytes of each value.
    pub value_bytes: u64,
    /// Messages of each run.
    pub messages: u64,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Replicas of each partition.
    pub replication_factor: u32,
    /// `min.insync.replicas` of the topic.
    pub min_insync_replicas: u32,
    /// Brokers that lead partitions of the topic.
    pub leading_brokers: u32,
    /// Settings that are the same for all contenders, in words.
    pub settings: IndexMap<String, String>,
    /// Each contender's command line, as in its first run.
    pub commands: IndexMap<String, String>,
    /// Every run that did all of its work, in the order in which they ran; those of round 0 are discarded.
    pub runs: Vec<Run>,
    /// Runs that did not, and why: they have no figure.
    pub failures: Vec<Failure>,
    /// What follows from the runs, by contender and measure.
    pub figures: Vec<Figure>,
}

/// What is done in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// Messages are sent to a fresh topic.
    Produce {
        /// Whether all replicas in sync acknowledge (acks=all), or the leader alone (acks=1).
        all_acks: bool,
        /// `enable.idempotence`.
        idempotent: bool,
        /// After how long each transaction is to be committed, milliseconds; absent without transactions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transaction_ms: Option<u32>,
    },
    /// A topic that is in the page cache is read from its start to its end.
    Consume,
}

/// One run of one contender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Who.
    pub contender: String,
    /// The round, from 1; 0 is discarded.
    pub round: u32,
    /// From the first send to the last acknowledgement, or from the start of reading to the last message, as the
    /// contender itself reports it; absent where it reports none.
    pub interval_s: Option<f64>,
    /// From the start of its process to its end.
    pub process_s: f64,
    /// CPU time of its process.
    pub cpu: CpuTime,
    /// CPU time of all brokers meanwhile, the controller included, until they had the whole work; absent for brokers
    /// that were not started here.
    pub brokers_cpu: Option<CpuTime>,
    /// Messages per second after a warm-up of its own, where it has one.
    pub after_warm_up_per_s: Option<f64>,
    /// Its transactions, where it had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<RunTransactions>,
}

/// The transactions of a run: all were committed, one after the other, each begun with the message that follows the
/// commit before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTransactions {
    /// After how long each was to be committed, milliseconds.
    pub asked_ms: u32,
    /// How many there were; absent where nothing tells.
    pub committed: Option<u64>,
    /// What tells how many there were; absent where nothing does.
    pub counted_by: Option<CountedBy>,
    /// Transactional ids, whose transactions overlap.
    pub ids: u32,
    /// Commit markers in the log: one for each partition of each transaction.
    pub markers: u64,
    /// From begin to committed, mean, milliseconds: the run's interval times `ids` over `committed`. Absent where either is.
    pub mean_ms: Option<f64>,
    /// Draining what is outstanding before a commit, median, milliseconds, as the contender reports it; absent where it
    /// reports none, or had too few transactions for a median.
    pub flush_p50_ms: Option<f64>,
    /// The commit itself, likewise.
    pub commit_p50_ms: Option<f64>,
}

/// How transactions were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CountedBy {
    /// By the contender's own report.
    Report,
    /// By the producer epochs of the commit markers in the log: since transaction version 2 (KIP-890) each transaction
    /// of a client that speaks it has one of its own.
    Epochs,
}

/// A run without a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Who.
    pub contender: String,
    /// The round, from 1; 0 is discarded.
    pub round: u32,
    /// Why.
    pub reason: String,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Messages per second of the contender's own interval.
    Interval,
    /// Messages per second of the contender's rate after a warm-up of its own; of ackmark, of its whole interval.
    AfterWarmUp,
    /// Messages per second of the whole process, its start and end included.
    Process,
    /// CPU seconds of the process per million messages.
    Cpu,
    /// CPU seconds of all brokers per million messages.
    BrokersCpu,
    /// From begin to committed, mean, milliseconds.
    TransactionTime,
    /// As `interval`, beside the run of ackmark's whose transactions took as long as this contender's.
    AtEqualTime,
    /// As `transaction-time`, beside the same run of ackmark's.
    EqualTransactionTime,
    /// As `at-equal-time`, beside ackmark with two transactional ids.
    TwoIdsAtEqualTime,
    /// As `equal-transaction-time`, beside the same run of ackmark's.
    TwoIdsTransactionTime,
}

/// One measure of one contender in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Who.
    pub contender: String,
    /// What.
    pub measure: Measure,
    /// Over the rounds.
    pub estimate: Estimate,
    /// ackmark's over this one's; absent for ackmark itself and without pairs.
    pub ackmark_over_this: Option<Ratio>,
    /// What ackmark asks of itself here, if anything.
    pub goal: Option<Goal>,
}

/// What a ratio is to be, and whether it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What it is to be.
    pub bound: Bound,
    /// Whether its interval says so.
    pub answer: Answer,
}

/// What a ratio is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// Its interval is to reach up to this or more.
    Reaches(f64),
    /// This or less.
    Below(f64),
}

/// A ratio over rounds: Hodges-Lehmann estimate over paired log-ratios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The estimate.
    pub ratio: f64,
    /// Lower end of its interval; absent below six pairs.
    pub low: Option<f64>,
    /// Upper end of its interval; absent below six pairs.
    pub high: Option<f64>,
    /// What share of such intervals holds the true ratio; absent without one.
    pub confidence: Option<f64>,
    /// Rounds in which both have a figure.
    pub pairs: u32,
}
