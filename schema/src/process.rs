//! Consumers and pipelines under test: patterns by name, what each promises, and what passes between the process that
//! runs one and its members.
//!
//! A *pattern* is a way to read, process and commit, written as a user of librdkafka writes it (crate `workload`). A
//! *member* is a process that runs one, as a member of a consumer group. It tells its parent when it has reached a
//! [`Point`] of its cycle at which it was told to stop, and then waits: to be killed, or to be told to go on. So a crash
//! is at that point and nowhere else, without a sleep.
//!
//! Member and parent talk in lines: the parent writes one [`MemberSpec`] as JSON, then [`GO`] or [`STOP`]; the member
//! writes [`MemberSays`].

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    latency::LatencySummary,
    promise::Ruling,
    properties::Property,
    record::{Decoded, Header},
    report::CpuTime,
    units::{Bytes, Span},
};

/// A message's id, by which a copy of it is told: run, stream and sequence where it is ackmark's, else where it stands.
/// The first half is negative for the latter.
pub fn message_id(value: &[u8], partition: i32, offset: i64) -> (i64, i64) {
    match Header::decode(value) {
        Decoded::Ours(header) if !header.sentinel => {
            let stream = (u64::from(header.run) << 32 | u64::from(header.stream)) & u64::MAX >> 1;
            (stream.cast_signed(), header.sequence.cast_signed())
        }
        _ => (-1 - i64::from(partition), offset),
    }
}

/// A member that waits at a point goes on.
pub const GO: &str = "go";
/// A member ends when it has nothing in hand.
pub const STOP: &str = "stop";

/// Version of the tables of a database of effects.
pub const STORE_VERSION: i64 = 1;
/// The table of effects, a row each: `stream` and `sequence` (a [`message_id`]), `part` and `place` (partition and offset).
pub const EFFECTS_TABLE: &str = "ackmark_effects";

/// A way to read, process and commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// A consumer whose offsets are committed in the background, before processing.
    AutoCommit,
    /// A consumer that commits once it has processed.
    CommitAfter,
    /// A consumer that keeps the ids of what it has processed in the database of its effects.
    Deduplicate,
    /// A pipeline that commits its input's offsets by an ordinary commit, beside its outputs.
    Copy,
    /// A pipeline that commits its input's offsets in the transaction of its outputs (KIP-447).
    ExactlyOnce,
}

/// A point of a pattern's cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Messages are in hand, nothing is done with them.
    AfterPoll,
    /// Effects and ids are written, their database transaction is open.
    InProcess,
    /// Each message in hand has had its effect.
    AfterProcess,
    /// The outputs are handed over or, without transactions, acknowledged.
    AfterProduce,
    /// The input's offsets are in the transaction, which is about to be committed.
    AfterSendOffsets,
    /// The offsets are committed.
    AfterCommit,
}

/// In what a message's effect consists, by which it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// An entry of the processing journal.
    Journal,
    /// A record of the output topic, as readers with `isolation.level=read_committed` are shown it.
    Output,
    /// A row in a database.
    Database,
}

/// How a group's work can differ from once per message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deviation {
    /// Below the group's offset, and without an effect: no member will ever see it again.
    Skipped,
    /// Effects of a message beyond its first.
    Repeated,
    /// At or above the group's offset, and with an effect: the next member repeats it.
    Uncommitted,
    /// An effect without a message of the input.
    Unfounded,
}

impl Deviation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Skipped, Self::Repeated, Self::Uncommitted, Self::Unfounded];

    /// Its name, to read.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Repeated => "repeated",
            Self::Uncommitted => "done and not committed",
            Self::Unfounded => "without an input",
        }
    }
}

/// What a pattern says of a deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Of which.
    pub deviation: Deviation,
    /// Whether it may occur.
    pub ruling: Ruling,
    /// Why.
    pub reason: &'static str,
}

/// What there is to say of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// What it does, in a sentence.
    pub description: &'static str,
    /// When to choose it.
    pub use_when: &'static str,
    /// What it needs beside reading.
    pub needs: &'static str,
    /// Properties that it rests on, in librdkafka's names; a user's cannot replace them.
    pub properties: &'static [(&'static str, &'static str)],
    /// Its promise.
    pub terms: [Term; 4],
    /// Where its effects are.
    pub effect: Effect,
    /// Points of its cycle, in order.
    pub points: &'static [Point],
    /// Its source, in this project.
    pub source: &'static str,
}

const fn may(deviation: Deviation, reason: &'static str) -> Term {
    Term { deviation, ruling: Ruling::May, reason }
}

const fn must_not(deviation: Deviation, reason: &'static str) -> Term {
    Term { deviation, ruling: Ruling::MustNot, reason }
}

const UNFOUNDED: Term = must_not(Deviation::Unfounded, "an effect has a message that it is of");
const LEFT_OVER: Term = may(Deviation::Uncommitted, "an effect comes before its commit");

impl Pattern {
    /// All of them, consumers first.
    pub const ALL: [Self; 5] = [Self::AutoCommit, Self::CommitAfter, Self::Deduplicate, Self::Copy, Self::ExactlyOnce];

    /// Its name, as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AutoCommit => "auto-commit",
            Self::CommitAfter => "commit-after",
            Self::Deduplicate => "deduplicate",
            Self::Copy => "copy",
            Self::ExactlyOnce => "exactly-once",
        }
    }

    /// Whether it writes an output topic.
    pub fn has_output(self) -> bool {
        self.about().effect == Effect::Output
    }

    /// What there is to say of it.
    pub const fn about(self) -> About {
        use Deviation::{Repeated, Skipped, Uncommitted};
        match self {
            Self::AutoCommit => About {
                description: "Consumer, offsets committed in the background as messages are handed over, before processing.",
                use_when: "A lost message does not matter: metrics, previews, caches.",
                needs: "nothing",
                properties: &[("enable.auto.commit", "true"), ("enable.auto.offset.store", "true")],
                terms: [
                    may(Skipped, "what was committed and not yet processed is gone with the process"),
                    may(Repeated, "what was processed since the last commit in the background is read again"),
                    LEFT_OVER,
                    UNFOUNDED,
                ],
                effect: Effect::Journal,
                points: &[Point::AfterPoll, Point::AfterProcess],
                source: "workload/src/patterns/auto_commit.rs",
            },
            Self::CommitAfter => About {
                description: "Consumer that commits once it has processed: at least once.",
                use_when: "Nothing may be skipped, and processing a message twice does no harm.",
                needs: "a commit after each batch",
                properties: &[("enable.auto.commit", "false")],
                terms: [
                    must_not(Skipped, "an offset is committed only after all below it were processed"),
                    may(Repeated, "what was processed and not yet committed is read again"),
                    LEFT_OVER,
                    UNFOUNDED,
                ],
                effect: Effect::Journal,
                points: &[Point::AfterPoll, Point::AfterProcess, Point::AfterCommit],
                source: "workload/src/patterns/commit_after.rs",
            },
            Self::Deduplicate => About {
                description: "At-least-once consumer that keeps ids in the database of its effects: effects once.",
                use_when: "Effects go to a database, and a message may come twice, whoever caused it.",
                needs: "a database, a table of ids with its window",
                properties: &[("enable.auto.commit", "false")],
                terms: [
                    must_not(Skipped, "an offset is committed only after the effects are"),
                    must_not(Repeated, "an id and its effect are committed together; holds within the window of ids"),
                    LEFT_OVER,
                    UNFOUNDED,
                ],
                effect: Effect::Database,
                points: &[Point::AfterPoll, Point::InProcess, Point::AfterProcess, Point::AfterCommit],
                source: "workload/src/patterns/deduplicate.rs",
            },
            Self::Copy => About {
                description: "Consume, process, produce, with an ordinary commit after the outputs are acknowledged.",
                use_when: "Readers of the output can stand duplicates, or remove them.",
                needs: "a flush and a commit after each batch",
                properties: &[("enable.auto.commit", "false"), ("enable.idempotence", "true"), ("acks", "all")],
                terms: [
                    must_not(Skipped, "an offset is committed only after its output is acknowledged"),
                    may(Repeated, "what was produced and not yet committed is read and produced again"),
                    LEFT_OVER,
                    UNFOUNDED,
                ],
                effect: Effect::Output,
                points: &[Point::AfterPoll, Point::AfterProduce, Point::AfterCommit],
                source: "workload/src/patterns/copy.rs",
            },
            Self::ExactlyOnce => About {
                description: "Consume, process, produce, with the input's offsets in the transaction of the outputs.",
                use_when: "Each input must have exactly one output, to readers with isolation.level=read_committed.",
                needs: "a transactional.id per member, transactions with offsets, aborts that rewind, readers of committed data",
                properties: &[("enable.auto.commit", "false"), ("isolation.level", "read_committed")],
                terms: [
                    must_not(Skipped, "offsets and outputs are committed in one transaction"),
                    must_not(Repeated, "offsets and outputs are committed in one transaction"),
                    must_not(Uncommitted, "offsets and outputs are committed in one transaction"),
                    UNFOUNDED,
                ],
                effect: Effect::Output,
                points: &[Point::AfterPoll, Point::AfterProduce, Point::AfterSendOffsets, Point::AfterCommit],
                source: "workload/src/patterns/exactly_once.rs",
            },
        }
    }

    /// Whether the messages in hand have had their effect for good once a member has reached `point`. A transaction that
    /// was not committed has none.
    pub fn is_effected_at(self, point: Point) -> bool {
        match self {
            Self::AutoCommit | Self::CommitAfter | Self::Deduplicate => {
                matches!(point, Point::AfterProcess | Point::AfterCommit)
            }
            Self::Copy => matches!(point, Point::AfterProduce | Point::AfterCommit),
            Self::ExactlyOnce => point == Point::AfterCommit,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Point {
    /// Its name, as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfterPoll => "after-poll",
            Self::InProcess => "in-process",
            Self::AfterProcess => "after-process",
            Self::AfterProduce => "after-produce",
            Self::AfterSendOffsets => "after-send-offsets",
            Self::AfterCommit => "after-commit",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// At which point of which cycle of its life a member stops and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopAt {
    /// The point.
    pub point: Point,
    /// The cycle, from 1; those without messages do not count.
    pub cycle: u64,
}

/// What a member is to do. Holds secrets in clear: it goes through a pipe and is stored nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSpec {
    /// Its number, from 0.
    pub member: u32,
    /// Its life, from 0.
    pub incarnation: u32,
    /// How Kafka is reached, and what the user set.
    pub properties: Vec<Property>,
    /// Where it stops and waits.
    #[serde(default)]
    pub stop_at: Option<StopAt>,
    /// What it does.
    pub work: Work,
}

/// What a member does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// Takes part in a group.
    Process(ProcessWork),
    /// Writes one transaction.
    Produce(ProduceWork),
}

/// A member's part in a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessWork {
    /// The pattern.
    pub pattern: Pattern,
    /// `group.id`.
    pub group: String,
    /// Whether a member that is started again takes its place at once (`group.instance.id`, KIP-345) instead of after
    /// `session.timeout.ms`.
    pub is_static: bool,
    /// Whether it reads nothing until it is told to go on: when all members are in the group.
    pub waits_for_group: bool,
    /// The topic that is read.
    pub input: String,
    /// The topic that is written.
    pub output: Option<String>,
    /// Most messages of a cycle.
    pub batch: u64,
    /// How long a cycle waits for more once it has one.
    pub batch_wait: Span,
    /// Where the journal is written.
    pub folder: PathBuf,
    /// The database, for a pattern with one. May hold a password.
    pub database: Option<Database>,
}

/// The database of effects and ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://…` or `postgres://…`.
    pub url: String,
    /// Ids that are kept of each partition: those of its last so many offsets.
    pub window: u64,
}

/// One transaction of a transactional producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProduceWork {
    /// `transactional.id`.
    pub transactional_id: String,
    /// `transaction.timeout.ms`.
    pub transaction_timeout: Span,
    /// The topics, written in turn.
    pub topics: Vec<String>,
    /// Messages in the transaction.
    pub messages: u64,
    /// The bytes of each.
    pub size: Bytes,
}

/// Messages that a member has in hand, of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InHand {
    /// The input's partition.
    pub partition: i32,
    /// Offset of the first.
    pub first: i64,
    /// One past the offset of the last: what is committed for them.
    pub next: i64,
    /// How many they are.
    pub records: u64,
}

/// What a member tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberSays {
    /// It is at the point where it was to stop, and waits.
    Reached {
        /// Where.
        at: StopAt,
        /// What it has in hand.
        in_hand: Vec<InHand>,
    },
    /// It has ended as it was told to, or could not go on.
    Ended(Box<Life>),
}

/// A life of a member that was not killed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// The member, from 0.
    pub member: u32,
    /// Its life, from 0.
    pub incarnation: u32,
    /// Why it could not go on; absent where it ended as it was told to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Cycles with messages that came to their end.
    pub cycles: u64,
    /// Transactions that were aborted, and whose inputs were read again.
    pub aborted: u64,
    /// Cycles whose offsets were not committed, since the group had gone on without this member.
    #[serde(default)]
    pub commits_refused: u64,
    /// Messages of the cycles that came to their end.
    pub messages: u64,
    /// Revocations of partitions that it saw: rebalances.
    pub revocations: u64,
    /// From its first message in hand to the end of its last cycle, seconds.
    pub busy_s: f64,
    /// From a cycle's first message in hand to the end of its commit.
    pub cycle: LatencySummary,
    /// The part of a cycle that its commit takes: the offsets', or that of the transaction with its outputs.
    pub commit: LatencySummary,
    /// Ids that fell out of the window of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids_forgotten: Option<u64>,
    /// CPU time of the process.
    pub cpu: CpuTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_rules_each_deviation_and_its_effects_come_at_one_of_its_points() {
        for pattern in Pattern::ALL {
            let about = pattern.about();
            assert_eq!(about.terms.map(|term| term.deviation), Deviation::ALL, "{pattern}");
            let first = about.points.iter().position(|point| pattern.is_effected_at(*point)).expect("an effect");
            // Once it is there it stays.
            assert!(about.points[first..].iter().all(|point| pattern.is_effected_at(*point)), "{pattern}");
            assert!(about.points.is_sorted(), "{pattern}");
        }
    }
}
