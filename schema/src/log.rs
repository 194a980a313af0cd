//! What `ackmark log --output json` prints: one JSON object per line, each a batch, a record, or a range that cannot be
//! read.
//!
//! Offsets, sequences and sizes are Kafka's own; `content` is what ackmark makes of a record. Absent fields have no
//! value in the log: a batch without idempotence has no producer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    record::{Decoded, Header},
    version::{SchemaId, contract},
};

contract!(LogLine, "ackmark-log/1");

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LogLine {
    /// A record batch (with `--batches`).
    Batch(BatchLine),
    /// A record.
    Record(RecordLine),
    /// Offsets that cannot be read.
    Unreadable(UnreadableLine),
}

/// A record batch whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchLine {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<LogLine>,
    /// Its partition.
    pub partition: i32,
    /// Offset of the first record that was sent in it.
    pub base_offset: i64,
    /// Offset of the last record that was sent in it.
    pub last_offset: i64,
    /// Records that are in it now: fewer than offsets after compaction.
    pub records: i32,
    /// Time of its latest record, milliseconds since 1970.
    pub max_timestamp_ms: i64,
    /// Whose clock that is of.
    pub timestamp_type: TimestampType,
    /// Epoch of the leader that appended it; -1 unknown.
    pub leader_epoch: i32,
    /// Who sent it, with idempotence; `sequence` is that of the first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<ProducerState>,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// Whether a broker wrote it: the end of a transaction.
    pub control: bool,
    /// How records are compressed, by Kafka's name.
    pub codec: String,
    /// Bytes in the log, header included.
    pub bytes: u64,
    /// CRC-32C as stored, which is right, as eight hexadecimal digits.
    pub crc: String,
    /// When compaction may remove its tombstones or its marker, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_horizon_ms: Option<i64>,
}

/// A record of a batch whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<LogLine>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Whose clock that is of.
    pub timestamp_type: TimestampType,
    /// Base offset of its batch.
    pub batch: i64,
    /// Epoch of the leader that appended it; -1 unknown.
    pub leader_epoch: i32,
    /// Who sent it, with idempotence; `sequence` is the record's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<ProducerState>,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// How its batch is compressed, by Kafka's name.
    pub codec: String,
    /// Bytes of its key; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_bytes: Option<u64>,
    /// Bytes of its value; absent for a tombstone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_bytes: Option<u64>,
    /// How many headers it has.
    pub headers: u32,
    /// What it is to ackmark.
    pub content: Content,
}

/// Offsets that cannot be read: damaged, or in a form that this ackmark does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadableLine {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<LogLine>,
    /// Their partition.
    pub partition: i32,
    /// The first of them.
    pub from: i64,
    /// One behind the last.
    pub to: i64,
    /// Why: a wrong checksum, for one.
    pub reason: String,
}

/// Whose clock a timestamp is of (`message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// What a broker tells duplicates by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProducerState {
    /// Producer id.
    pub id: i64,
    /// Which life of that id.
    pub epoch: i16,
    /// Sequence, from 0; after 2^31 - 1 comes 0. Absent in control batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i32>,
}

/// What a record is to ackmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// One of ackmark's messages, sound.
    Message(Message),
    /// The end of a transaction, written by a broker.
    Marker {
        /// `commit`, `abort`, or the number of another type of control record.
        marker: String,
        /// Epoch of the transaction's coordinator.
        #[serde(skip_serializing_if = "Option::is_none")]
        coordinator_epoch: Option<i32>,
    },
    /// Not one of ackmark's.
    Stranger,
    /// One of ackmark's, damaged.
    Corrupt {
        /// How.
        damage: String,
    },
}

/// The header of one of ackmark's messages (see the record's layout).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The run that sent it.
    pub run: u32,
    /// One producer's messages to one partition.
    pub stream: u32,
    /// Position in the stream, from 0.
    pub sequence: u64,
    /// Which copy by the application, from 0.
    pub attempt: u16,
    /// Which life of the producer, from 0.
    pub incarnation: u32,
    /// The producer's transaction, from 1; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<u32>,
    /// Intended send time, nanoseconds since 1970.
    pub intended_ns: u64,
    /// Actual send minus intended, microseconds, saturating.
    pub send_delay_us: u32,
    /// A seal's sentinel, not a message.
    pub sentinel: bool,
    /// Sent before the measured part.
    pub warm_up: bool,
    /// Where a pipeline took it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLine>,
}

/// Where a pipeline took a message from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceLine {
    /// Input partition.
    pub partition: u32,
    /// Input offset.
    pub offset: u64,
}

impl From<&Header> for Message {
    fn from(header: &Header) -> Self {
        Self {
            run: header.run,
            stream: header.stream,
            sequence: header.sequence,
            attempt: header.attempt,
            incarnation: header.incarnation,
            transaction: (header.transaction != 0).then_some(header.transaction),
            intended_ns: header.intended_ns,
            send_delay_us: header.send_delay_us,
            sentinel: header.sentinel,
            warm_up: header.warm_up,
            source: header.source.map(|source| SourceLine { partition: source.partition, offset: source.offset }),
        }
    }
}

impl From<&Decoded> for Content {
    fn from(decoded: &Decoded) -> Self {
        match decoded {
            Decoded::Ours(header) => Self::Message(header.into()),
            Decoded::Stranger => Self::Stranger,
            Decoded::Corrupt(damage) => Self::Corrupt { damage: damage.to_string() },
        }
    }
}
