//! One whole run: `result.json` in a result folder.
//!
//! ```text
//! result folder/
//!   result.json        this: what was run, where, what came out, every verdict
//!   README.md          the same for people
//!   scenario.toml      the scenario in effect
//!   trials/<index>-<phase>-<profile>-<round>/   load.json seal.json verify.json timeline.json *.hlog
//!   charts/            *.svg *.png
//! ```
//!
//! Figures carry their interval; what is missing is absent and says why, never zero.

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Class,
    latency::LatencySummary,
    profile::Profile,
    promise::{Promise, Ruling},
    properties::Property,
    report::{
        CpuTime, Ending,
        load::{Counts, Generator, Measured, Provocations, TransactionFigures},
        verify::{CauseCount, Examined, Isolation, LedgerCounts, Verdict},
    },
    scenario::Scenario,
    version::{SchemaId, contract},
};

contract!(RunResult, "ackmark-result/1");

/// File name of the result in a result folder.
pub const RESULT_FILE: &str = "result.json";

/// One whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<RunResult>,
    /// Name of the result folder: `<date>-<host>-<scenario>`.
    pub id: String,
    /// ackmark's version.
    pub tool_version: String,
    /// How the run ended: what was measured until then stands here.
    pub ending: Ending,
    /// The error, when it failed.
    pub error: Option<String>,
    /// Start of the run.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// Last time this file was written.
    #[schemars(with = "String")]
    pub updated: Timestamp,
    /// The scenario in effect, with its seed.
    pub scenario: Scenario,
    /// The machine of the load.
    pub environment: Environment,
    /// The Kafka.
    pub cluster: ClusterFacts,
    /// How the brokers were warmed; absent when they were not.
    pub warm_up: Option<WarmUpRecord>,
    /// Each profile with the properties in effect and its promise.
    pub profiles: Vec<ProfileRecord>,
    /// Rates that were derived (`share`), by phase name, messages per second.
    pub rates: IndexMap<String, f64>,
    /// Trials that the plan asked for.
    pub trials_planned: u32,
    /// Trials in the order in which they ran.
    pub trials: Vec<Trial>,
    /// Each profile in each phase, over its trials.
    pub summaries: Vec<Summary>,
    /// Paired comparisons of throughput.
    pub comparisons: Vec<Comparison>,
    /// Often-quoted claims, answered.
    pub claims: Vec<Claim>,
    /// Each profile's verdict over all its trials.
    pub verdicts: Vec<ProfileVerdict>,
    /// The worst of the verdicts.
    pub verdict: Verdict,
    /// What a reader should know before trusting the figures, each with its cure.
    pub warnings: Vec<Warning>,
    /// Hash over scenario, topic, broker configuration and machine class: results are comparable when it
    /// is equal.
    pub comparability_key: String,
}

/// The machine of the load.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Host name.
    pub host: String,
    /// CPU model.
    pub cpu_model: String,
    /// Processors that this process may use.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// librdkafka's version.
    pub librdkafka_version: String,
    /// Java's version, where the brokers are local.
    pub java_version: Option<String>,
    /// Frequency governor, where there is one.
    pub cpu_governor: Option<String>,
}

/// Where the Kafka comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Given by its address.
    External,
    /// JVM processes that ackmark started, on the same machine as the load.
    Local,
    /// librdkafka's mock: proves nothing about Kafka.
    Simulated,
}

/// The Kafka.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFacts {
    /// Where it comes from.
    pub provider: Provider,
    /// Its own id; absent where brokers tell none.
    pub cluster_id: Option<String>,
    /// Its version, where known.
    pub kafka_version: Option<String>,
    /// Its brokers.
    pub brokers: Vec<BrokerFacts>,
    /// Broker configs that a promise or a figure rests on, as the brokers tell them.
    pub configs: IndexMap<String, String>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrokerFacts {
    /// `node.id`.
    pub id: i32,
    /// Advertised address.
    pub address: String,
}

/// How the brokers were warmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmUpRecord {
    /// Messages sent.
    pub messages: u64,
    /// How long it took.
    pub duration_s: f64,
    /// Throughput of each interval, messages per second.
    pub rates_per_s: Vec<f64>,
    /// Whether throughput had stopped rising.
    pub settled: bool,
}

/// A profile as it was in effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileRecord {
    /// As it was asked for.
    pub profile: Profile,
    /// In effect, with origins; secrets redacted; absent until its first trial.
    pub properties: Vec<Property>,
    /// What follows; absent until its first trial.
    pub promise: Option<Promise>,
}

/// One profile in one phase once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Position in the plan's order, from 0.
    pub index: u32,
    /// Round, from 0: trials of one round are pairs.
    pub round: u32,
    /// Phase name.
    pub phase: String,
    /// Profile name.
    pub profile: String,
    /// Its topic.
    pub topic: String,
    /// Its folder, relative to the result folder.
    pub folder: String,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// The error, when it failed.
    pub error: Option<String>,
    /// Whether throughput was steady.
    pub steadiness: Steadiness,
    /// Why its figures must not be used; empty when they may.
    pub invalid: Vec<String>,
    /// What the load did; absent when it never reported.
    pub load: Option<TrialLoad>,
    /// What the verifier found; absent when it never reported or was off.
    pub verification: Option<TrialVerification>,
}

impl Trial {
    /// Whether its figures stand in summaries and comparisons: it completed, is valid and settled. Trials that drift
    /// are in, and said to: leaving them out would choose trials by their outcome, and the interval between trials
    /// holds what drift does to them.
    pub fn is_used(&self) -> bool {
        self.ending == Ending::Completed
            && self.invalid.is_empty()
            && self.steadiness != Steadiness::NeverSteady
            && self.load.is_some()
    }
}

/// Whether a trial's throughput was steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Steadiness {
    /// No trend and no late change.
    Steady,
    /// A trend.
    Drifting,
    /// Never settled.
    NeverSteady,
    /// Too few seconds to tell.
    TooShort,
}

/// The load's figures of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialLoad {
    /// All messages, warm-up included.
    pub total: Counts,
    /// The measured part.
    pub measured: Measured,
    /// From the intended send time to the delivery report.
    pub latency_intended: Option<LatencySummary>,
    /// From the actual send to the delivery report.
    pub latency_send: Option<LatencySummary>,
    /// Whether a delivery report is a broker's answer.
    pub latency_is_acknowledgement: bool,
    /// Transactions.
    pub transactions: Option<TransactionFigures>,
    /// What put the promise to the test.
    pub provocations: Provocations,
    /// How the generator kept up.
    pub generator: Generator,
    /// CPU time of all local brokers and the controller over the whole load (warm-up included). In an open loop a
    /// live reader fetches meanwhile, and the brokers' work for it is in here too. Absent where they are not ours.
    pub brokers_cpu: Option<CpuTime>,
}

/// The verifier's findings of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialVerification {
    /// Whether the log was closed.
    pub sealed: bool,
    /// What the ledger says.
    pub ledger: LedgerCounts,
    /// Messages of the run in the log (`read_uncommitted`), copies included.
    pub messages_in_log: u64,
    /// One per class.
    pub findings: Vec<TrialFinding>,
    /// From the intended send time to a live reader, and its isolation level.
    pub latency_end_to_end: Option<EndToEnd>,
    /// From just before a commit was asked for until all of its transaction had been shown to a live reader at
    /// `read_committed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<LatencySummary>,
    /// All findings together.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// Latency to a live reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndToEnd {
    /// What the reader was shown.
    pub isolation: Isolation,
    /// The latency.
    pub latency: LatencySummary,
}

/// A class' count in one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialFinding {
    /// The class.
    pub class: Class,
    /// How many.
    pub examined: Examined,
    /// How the promise rules on it.
    pub ruling: Ruling,
    /// The outcome.
    pub verdict: Verdict,
    /// Why they occurred, for duplicates; by second in the trial's own report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CauseCount>,
}

/// A profile in a phase, over its trials. Its trials are those of [`Trial::is_used`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Phase name.
    pub phase: String,
    /// Profile name.
    pub profile: String,
    /// Trials used.
    pub trials: u32,
    /// Trials left out, because they failed, were invalid or never steady.
    pub left_out: u32,
    /// Delivered messages per second (`max` phases); absent below the trials that an interval needs.
    pub delivered_per_s: Option<Estimate>,
    /// Delivered value bytes per second.
    pub delivered_bytes_per_s: Option<Estimate>,
    /// Client CPU seconds per million delivered messages.
    pub client_cpu_s_per_million: Option<Estimate>,
    /// CPU seconds of all local brokers and the controller per million messages sent, warm-up included; in an open loop
    /// with the live reader's fetches.
    pub brokers_cpu_s_per_million: Option<Estimate>,
    /// Merged over trials (open loop).
    pub latency_intended: Option<LatencySummary>,
    /// Merged over trials (open loop).
    pub latency_send: Option<LatencySummary>,
    /// Merged over trials (open loop, live reader).
    pub latency_end_to_end: Option<EndToEnd>,
    /// Percentile curve of `latency_intended`, as far as the sample carries it.
    pub curve_intended: Vec<CurvePoint>,
    /// Whether a delivery report is a broker's answer.
    pub latency_is_acknowledgement: bool,
    /// Its transactions, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<TransactionSummary>,
}

/// Transactions of a profile in a phase, over its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransactionSummary {
    /// Committed, warm-up included.
    pub committed: u64,
    /// Aborted, on purpose or not, warm-up included.
    pub aborted: u64,
    /// Asked to commit, fate unknown, warm-up included.
    pub indeterminate: u64,
    /// From begin to the commit's success, merged over trials (measured part); absent where a trial's log of it is.
    pub begin_to_committed: Option<LatencySummary>,
    /// Draining what is outstanding before the commit; likewise.
    pub flush: Option<LatencySummary>,
    /// The commit itself; likewise.
    pub commit: Option<LatencySummary>,
    /// The abort itself, of those on purpose; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<LatencySummary>,
    /// From just before a commit was asked for until a live reader at `read_committed` had been shown all of its
    /// transaction; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<LatencySummary>,
    /// Share of the measured time in which nothing could be sent, 0 to 1.
    pub stalled_share: Option<Estimate>,
}

/// One point of a percentile curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// In per cent.
    pub percentile: f64,
    /// Latency.
    pub value_us: u64,
}

/// An estimate over trials with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Median of the trials.
    pub median: f64,
    /// Lower end of the interval; absent when there are too few trials.
    pub low: Option<f64>,
    /// Upper end of the interval; absent when there are too few trials.
    pub high: Option<f64>,
    /// What share of such intervals holds the true median, for example 0.969; absent without one.
    pub confidence: Option<f64>,
    /// Smallest trial.
    pub min: f64,
    /// Largest trial.
    pub max: f64,
    /// Trials.
    pub n: u32,
}

/// Throughput of one profile relative to another, from trials of the same round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Phase name.
    pub phase: String,
    /// The profile in the numerator.
    pub profile: String,
    /// The profile in the denominator.
    pub baseline: String,
    /// Ratio of delivered messages per second: Hodges-Lehmann estimate over paired log-ratios.
    pub ratio: f64,
    /// Lower end of its interval; absent below six pairs.
    pub low: Option<f64>,
    /// Upper end of its interval; absent below six pairs.
    pub high: Option<f64>,
    /// What share of such intervals holds the true ratio; absent without one.
    pub confidence: Option<f64>,
    /// Pairs.
    pub pairs: u32,
}

/// An often-quoted claim, answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// A short name.
    pub name: String,
    /// The claim in a sentence.
    pub text: String,
    /// The profile that it is about.
    pub profile: String,
    /// What it is compared with.
    pub baseline: String,
    /// Range of the ratio profile / baseline that the claim asserts, lower end.
    pub claimed_low: f64,
    /// ... upper end.
    pub claimed_high: f64,
    /// The answer.
    pub answer: Answer,
    /// Why, with figures.
    pub reason: String,
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The whole interval lies in the claimed range.
    Confirmed,
    /// The whole interval lies outside of it.
    Refuted,
    /// Neither, or too few pairs.
    Inconclusive,
}

/// A profile's verdict over all its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileVerdict {
    /// Profile name.
    pub profile: String,
    /// The worst of its trials.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Trials that were verified.
    pub trials: u32,
    /// The ledgers, summed over trials.
    pub ledger: LedgerCounts,
    /// Messages in the log, summed over trials.
    pub messages_in_log: u64,
    /// Counts, summed over trials where examined in every one.
    pub findings: Vec<TrialFinding>,
    /// What put the promise to the test, summed over trials.
    pub provocations: Provocations,
}

/// What a reader should know before trusting the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// What.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}
