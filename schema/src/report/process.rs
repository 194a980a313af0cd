//! What a group of consumers did, and what was found of it: `process.json` and `process-verdict.json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ending, verify::Verdict};
use crate::{
    process::{Deviation, InHand, Life, Pattern, StopAt},
    promise::Ruling,
    units::Span,
    version::{SchemaId, contract},
};

contract!(ProcessReport, "ackmark-process/1");
contract!(ProcessVerdict, "ackmark-process-verdict/1");

/// File name of what a group did.
pub const PROCESS_FILE: &str = "process.json";
/// File name of what was found of it.
pub const PROCESS_VERDICT_FILE: &str = "process-verdict.json";
/// Most examples of a deviation.
pub const DEVIATION_EXAMPLES_MAX: usize = 5;

/// What a group did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessReport {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<ProcessReport>,
    /// The pattern.
    pub pattern: Pattern,
    /// `group.id`.
    pub group: String,
    /// Whether members keep their place when they are started again (`group.instance.id`).
    pub is_static: bool,
    /// The topic that was read.
    pub input: String,
    /// The topic that was written.
    pub output: Option<String>,
    /// The kind of database and its window of ids, for a pattern with one.
    pub database: Option<DatabaseKind>,
    /// Members at a time.
    pub members: u32,
    /// Most messages of a cycle.
    pub batch: u64,
    /// How long a cycle waits for more once it has one.
    pub batch_wait: Span,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// How long it took.
    pub duration_s: f64,
    /// How it ended.
    pub ending: Ending,
    /// Why it did not end as it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The part of the input that was to be processed, by partition: what was there to be read when it began.
    pub partitions: Vec<InputPartition>,
    /// Each time a member was struck, in order.
    pub crashes: Vec<Crash>,
    /// Lives of members that were not killed.
    pub lives: Vec<Life>,
}

/// The kind of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseKind {
    /// `SQLite` or `PostgreSQL`.
    pub kind: String,
    /// Ids that are kept of each partition: those of its last so many offsets.
    pub window: u64,
}

/// A partition of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputPartition {
    /// The partition.
    pub partition: i32,
    /// Offset of the first record; equal to `end` where there is none.
    pub first: i64,
    /// One past the offset of the last record.
    pub end: i64,
    /// Records, as readers with `isolation.level=read_committed` are shown them.
    pub records: u64,
}

/// How a member was struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// Killed by SIGKILL.
    Killed,
    /// Stopped by SIGSTOP until others had its partitions, and let go on then: a zombie.
    Frozen,
}

/// A member was struck while it waited at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// How.
    pub blow: Blow,
    /// The member, from 0.
    pub member: u32,
    /// Its life, from 0.
    pub incarnation: u32,
    /// Where it was.
    pub at: StopAt,
    /// What it had in hand.
    pub in_hand: Vec<InHand>,
    /// The group's offsets of these partitions then, as the coordinator told them; absent where none was committed.
    pub committed: Vec<(i32, Option<i64>)>,
    /// Of these, messages that were committed and without an effect: they will be missing. Nothing is told of one that was
    /// frozen: it goes on.
    pub to_be_skipped: u64,
    /// Of these, messages with an effect that were not committed: they will be read again.
    pub to_be_repeated: u64,
}

/// What was found of a group's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessVerdict {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<ProcessVerdict>,
    /// When it was done.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// The pattern.
    pub pattern: Pattern,
    /// Records of the input.
    pub records: u64,
    /// Different messages among them: a message that was sent twice is one. Where effects are told by offset, as many as
    /// records.
    pub messages: u64,
    /// Effects that were found.
    pub effects: u64,
    /// Of the input's records, those at or above the group's offset without an effect: not yet worked on.
    pub unfinished: u64,
    /// What was found of each deviation.
    pub findings: Vec<ProcessFinding>,
    /// All together.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
}

/// What was found of a deviation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessFinding {
    /// Which.
    pub deviation: Deviation,
    /// Whether the pattern may show it.
    pub ruling: Ruling,
    /// Why.
    pub because: String,
    /// How often it was found.
    pub found: u64,
    /// How often it had to come, by what each crash left behind; absent where that does not follow from the crashes.
    pub predicted: Option<u64>,
    /// The first few: partition and offset of the input.
    pub examples: Vec<(i32, i64)>,
}
