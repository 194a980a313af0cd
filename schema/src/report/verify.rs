//! One accounting of a load folder's topics against its ledger: `verify.json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CpuTime, load::Provocations, seal::SealState};
use crate::{
    anomaly::{Cause, Class},
    latency::LatencySummary,
    promise::Ruling,
    version::{SchemaId, contract},
};

contract!(VerifyReport, "ackmark-verify/1");

/// File name of the verify report in a load folder.
pub const VERIFY_FILE: &str = "verify.json";
/// Most examples per class.
pub const EXAMPLES_MAX: usize = 5;

/// One accounting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyReport {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<VerifyReport>,
    /// The run.
    pub run: u32,
    /// When it was done.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// The profile's name.
    pub profile: String,
    /// Whether the log was closed.
    pub seal: SealState,
    /// Whether the brokers were librdkafka's mock: the verdict is inconclusive then.
    pub simulated: bool,
    /// What the ledger says, summed over streams.
    pub ledger: LedgerCounts,
    /// What of the ledger could not be read; with any of it the verdict is never that the promise was held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ledger_damage: Vec<LedgerDamage>,
    /// Who read the log.
    pub readers: Readers,
    /// Each reading of the log.
    pub scans: Vec<Scan>,
    /// One finding per class.
    pub findings: Vec<Finding>,
    /// All findings together.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// What put the promise to the test.
    pub provocations: Provocations,
    /// Whether the load's own report was there: without it (it was killed) provocations are unknown.
    pub provocations_known: bool,
    /// CPU time of the verifier.
    pub cpu: CpuTime,
}

/// What the ledger says. Sequences that were reserved but never handed over count as indeterminate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerCounts {
    /// Reserved: sent or about to be.
    pub reserved: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Definitely failed.
    pub failed: u64,
    /// Indeterminate, open ones included.
    pub indeterminate: u64,
    /// How often a later incarnation sent one of them again.
    #[serde(default)]
    pub resent: u64,
    /// Transactions known committed.
    pub committed_transactions: u64,
    /// Transactions known aborted, or dead before a commit was asked for.
    pub aborted_transactions: u64,
    /// Transactions whose commit was asked for and not answered.
    pub indeterminate_transactions: u64,
}

/// A part of a ledger that could not be read. What is not known of a message counts as indeterminate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerDamage {
    /// The file, in the load folder.
    pub file: String,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
    /// Messages of which it leaves unknown what became of them or, in a transaction log, of their transaction; absent
    /// where it is not known how many there are.
    pub messages_unknown: Option<u64>,
}

impl std::fmt::Display for LedgerDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, offset, what, messages_unknown } = self;
        write!(f, "{file} at byte {offset}: {what} (")?;
        match messages_unknown {
            Some(messages) => write!(f, "messages unknown for it: {messages})"),
            None => f.write_str("how many messages are unknown for it cannot be told)"),
        }
    }
}

/// Isolation level of a scan, in Kafka's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// All records.
    ReadUncommitted,
    /// Only those that are in no transaction or in a committed one.
    ReadCommitted,
}

impl Isolation {
    /// The value of `isolation.level`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read_uncommitted",
            Self::ReadCommitted => "read_committed",
        }
    }
}

/// Who reads a log at rest. A load is followed live by the consumer in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderChoice {
    /// The log reader reads the whole log, the consumer what `read_committed` shows of transactions; where the log
    /// reader does not speak what the cluster needs, the consumer reads both.
    #[default]
    Auto,
    /// The log reader alone: what `read_committed` shows follows from the transaction markers.
    Log,
    /// The consumer alone: no producer ids, no markers.
    Consumer,
    /// Both, and they are compared.
    Both,
}

/// Who read the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Readers {
    /// What was asked for.
    pub choice: ReaderChoice,
    /// Why the consumer read what the log reader was to read, where it did.
    pub fallback: Option<String>,
    /// What became of comparing them, where both were asked for.
    pub comparison: Option<ReaderComparison>,
}

/// Two readers of one log compared: records, and per partition a digest of offsets and checksums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReaderComparison {
    /// Records that each was shown, strangers' included, summed over partitions and isolation levels.
    pub records: u64,
    /// Partitions that were compared, summed over isolation levels.
    pub partitions: u32,
    /// Where they differ first, if they do: then nothing is judged.
    pub difference: Option<String>,
    /// Why not all could be compared, if so: a scan that did not come to its end.
    pub incomplete_reason: Option<String>,
}

/// One reading of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// What it was shown.
    pub isolation: Isolation,
    /// Who read: `librdkafka-consumer`, `log-reader`, or `log-reader-markers` for what `read_committed` shows by the
    /// markers that the log reader saw in the same reading.
    pub reader: String,
    /// Whether it followed the load live.
    pub live: bool,
    /// Whether every partition was read to its end offset.
    pub complete: bool,
    /// Why not, where it was not.
    pub incomplete_reason: Option<String>,
    /// This run's messages, copies included.
    pub messages: u64,
    /// Distinct messages of this run.
    pub distinct: u64,
    /// Records of others: no header of ours, or another run's.
    pub strangers: u64,
    /// Value bytes read.
    pub value_bytes: u64,
    /// What only the log reader is shown.
    pub log: Option<LogFacts>,
    /// How long it read.
    pub duration_s: f64,
    /// `messages / duration_s`; no figure of merit for a live scan.
    pub messages_per_s: f64,
    /// From the intended send time to the reader (live scans of open loops only; without the warm-up).
    pub latency_end_to_end: Option<LatencySummary>,
    /// From just before a commit was asked for until all of its transaction had been shown, of committed transactions
    /// (live scans at `read_committed` only; without the warm-up).
    #[serde(default)]
    pub visibility: Option<LatencySummary>,
}

/// What a log shows beside its records, in the part that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFacts {
    /// Record batches, those of markers apart.
    pub batches: u64,
    /// Markers of committed transactions, one per transaction and partition.
    pub commit_markers: u64,
    /// Markers of aborted transactions, one per transaction and partition.
    pub abort_markers: u64,
    /// How often the leader epoch rose from one batch to the next, summed over partitions: each is at least one
    /// election.
    pub leader_epoch_changes: u64,
}

/// What was found of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The class.
    pub class: Class,
    /// How many, or that it was not looked for.
    pub examined: Examined,
    /// How the promise rules on it.
    pub ruling: Ruling,
    /// Why the promise rules so.
    pub ruling_reason: String,
    /// The outcome.
    pub verdict: Verdict,
    /// Why they occurred, for duplicates: each cause that was seen, with its count.
    pub causes: Vec<CauseCount>,
    /// The same by the second in which they were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_time: Vec<CauseSecond>,
    /// A few of them, lowest offsets first.
    pub examples: Vec<Example>,
}

/// How many occurrences have one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseCount {
    /// The cause.
    pub cause: Cause,
    /// How many.
    pub count: u64,
}

/// How many occurrences of a second have one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseSecond {
    /// The second, by the sender's clock, in which the application sent the copies, as their headers say. What a client or
    /// a connection sends again bears the time of its first copy.
    #[schemars(with = "String")]
    pub second: Timestamp,
    /// The cause.
    pub cause: Cause,
    /// How many.
    pub count: u64,
}

/// A count, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Examined {
    /// Exact.
    Counted(u64),
    /// This run could not observe it.
    NotExamined {
        /// Why.
        why: String,
    },
}

/// An outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Not looked at, or no claim is made.
    NotJudged,
    /// Kept, under retries, leader changes or errors.
    Held,
    /// Kept, but nothing put it to the test.
    HeldUnprovoked,
    /// Cannot be told.
    Inconclusive,
    /// Not kept.
    Broken,
}

impl Verdict {
    /// Whether the promise was seen to be kept, put to the test or not.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Held | Self::HeldUnprovoked)
    }

    /// As printed.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotJudged => "not judged",
            Self::Held => "held",
            Self::HeldUnprovoked => "held, unprovoked",
            Self::Inconclusive => "inconclusive",
            Self::Broken => "BROKEN",
        }
    }
}

/// Where to look at one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Stream of the header; absent for strangers and damaged records.
    pub stream: Option<u32>,
    /// Sequence of the header, or the first of a range.
    pub sequence: Option<u64>,
    /// How many sequences in a row, from `sequence`.
    pub run_length: u64,
    /// Offset where it is (or, for a duplicate, its second copy); absent where nothing is in the log.
    pub offset: Option<i64>,
    /// Why it is there again, for a duplicate.
    pub cause: Option<Cause>,
    /// The command that shows what the log has of it: all copies of the messages, or what stands at the offsets and
    /// beside them.
    pub command: String,
}

impl Example {
    /// The command that shows it, in a cluster with these brokers. Other runs in the topic may have the same streams.
    pub fn command_on(&self, bootstrap_servers: &str, run: u32) -> String {
        let range = |first: u64, behind: u64| format!("{first}..{behind}");
        let what = match (self.stream, self.sequence, self.offset) {
            (Some(stream), Some(first), _) => {
                let sequences = range(first, first.saturating_add(self.run_length.max(1)));
                format!("--run {run} --stream {stream} --sequence {sequences}")
            }
            (_, _, Some(offset)) => {
                let offset = offset.max(0).cast_unsigned();
                let behind = offset.saturating_add(self.run_length.max(1)).saturating_add(1);
                format!("--offset {}", range(offset.saturating_sub(1), behind))
            }
            _ => "--batches".to_owned(),
        };
        format!("ackmark log {} --partition {} {what} -b {bootstrap_servers}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_names_the_command_that_shows_it() {
        let lost = Example {
            topic: "t1".into(),
            partition: 3,
            stream: Some(9),
            sequence: Some(40),
            run_length: 2,
            offset: None,
            cause: None,
            command: String::new(),
        };
        assert_eq!(
            lost.command_on("a:1", 5),
            "ackmark log t1 --partition 3 --run 5 --stream 9 --sequence 40..42 -b a:1"
        );
        let gap = Example { stream: None, sequence: None, offset: Some(77), run_length: 3, ..lost };
        assert_eq!(gap.command_on("a:1", 5), "ackmark log t1 --partition 3 --offset 76..81 -b a:1");
        let first = Example { offset: Some(0), run_length: 1, ..gap };
        assert_eq!(first.command_on("a:1", 5), "ackmark log t1 --partition 3 --offset 0..2 -b a:1");
    }
}
