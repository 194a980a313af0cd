//! The log's bytes: a Fetch and the walk over its answer.
//!
//! Requests are written by the `kafka-protocol` crate; answers, which hold the log, are walked here: of each partition
//! the fields are read and the record batches handed out as a slice of the received bytes, so nothing is copied.
//!
//! Fetches are sessionless (KIP-227: session epoch -1) and uncommitted data is asked for: the log is read as it is.
//! Versions 4 (the first with message format v2) to 12 (the last that names topics) are spoken.

use std::{str, time::Duration};

use kafka_protocol::{
    messages::{
        BrokerId, FetchRequest,
        fetch_request::{FetchPartition, FetchTopic},
    },
    protocol::StrBytes,
};

use crate::{
    bytes_at::{BytesAt, Malformed},
    connection::{Connection, skip_tagged_fields},
    error::WireError,
    metadata::topic_name,
};

pub(crate) const READ_UNCOMMITTED: i8 = 0;
pub(crate) const READ_COMMITTED: i8 = 1;
/// Not part of a fetch session.
const NO_SESSION_EPOCH: i32 = -1;
/// The first version with compact strings, compact arrays and tagged fields.
const FLEXIBLE: i16 = 12;

/// How much a Fetch may bring and how long it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchSizes {
    /// Most bytes of an answer; its first batch comes whole in any case.
    pub max_bytes: i32,
    /// Most bytes of a partition, likewise.
    pub partition_max_bytes: i32,
    /// How long a broker waits for data when it has none.
    pub max_wait: Duration,
}

impl Default for FetchSizes {
    /// 16 MiB, 2 MiB and half a second: rates are flat between 1 and 64 MiB, and 1 and 8 MiB per partition.
    fn default() -> Self {
        Self { max_bytes: 16 << 20, partition_max_bytes: 2 << 20, max_wait: Duration::from_millis(500) }
    }
}

/// A partition as it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its number.
    pub partition: i32,
    /// The first offset to be read.
    pub offset: i64,
    /// The epoch of the leader that is thought to be asked; -1 unknown.
    pub leader_epoch: i32,
    /// Most bytes.
    pub max_bytes: i32,
}

/// A partition in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its number.
    pub partition: i32,
    /// Kafka's error code; 0 none.
    pub error_code: i16,
    /// One past the last offset that consumers may see; -1 unknown.
    pub high_watermark: i64,
    /// Up to where no transaction is open; -1 unknown.
    pub last_stable: i64,
    /// The first offset that the log has; -1 unknown (and before version 5).
    pub log_start: i64,
    /// Record batches; the last one may be cut off.
    pub records: &'a [u8],
}

/// What an answer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerHead {
    /// How long the broker delays answers to us, for a quota.
    pub throttle: Duration,
    /// Kafka's error code for the whole request; 0 none (and before version 7).
    pub error_code: i16,
}

/// The version of Fetch that is spoken on a connection.
///
/// # Errors
/// The broker has none of those that are known here.
pub fn version(connection: &Connection) -> Result<i16, WireError> {
    connection.version::<FetchRequest>(4, 12)
}

/// A request for partitions, in their order, in which the broker also fills the answer.
pub fn request<'a>(partitions: impl IntoIterator<Item = Asked<'a>>, sizes: &FetchSizes) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for asked in partitions {
        let partition = FetchPartition::default()
            .with_partition(asked.partition)
            .with_current_leader_epoch(asked.leader_epoch)
            .with_fetch_offset(asked.offset)
            .with_partition_max_bytes(asked.max_bytes);
        match topics.last_mut().filter(|topic| topic.topic.0.as_str() == asked.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                topics.push(FetchTopic::default().with_topic(topic_name(asked.topic)).with_partitions(vec![partition]));
            }
        }
    }
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(i32::try_from(sizes.max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(sizes.max_bytes)
        .with_isolation_level(READ_UNCOMMITTED)
        .with_session_epoch(NO_SESSION_EPOCH)
        .with_topics(topics)
        .with_rack_id(StrBytes::new())
}

/// Walks the body of an answer and shows each partition, in the broker's order.
///
/// # Errors
/// The bytes are no such answer. Partitions before the fault have been shown.
pub fn walk<'a>(body: &'a [u8], version: i16, mut show: impl FnMut(Answered<'a>)) -> Result<AnswerHead, Malformed> {
    let flexible = version >= FLEXIBLE;
    let mut at = BytesAt::new(body);
    let throttle = Duration::from_millis(u64::try_from(at.i32()?).unwrap_or_default());
    let mut head = AnswerHead { throttle, error_code: 0 };
    if version >= 7 {
        head.error_code = at.i16()?;
        let _session = at.i32()?;
    }
    for _ in 0..array(&mut at, flexible)? {
        let topic = string(&mut at, flexible)?;
        for _ in 0..array(&mut at, flexible)? {
            let partition = at.i32()?;
            let error_code = at.i16()?;
            let high_watermark = at.i64()?;
            let last_stable = at.i64()?;
            let log_start = if version >= 5 { at.i64()? } else { -1 };
            for _ in 0..array(&mut at, flexible)? {
                // An aborted transaction; whoever reads uncommitted data gets none.
                let _producer_id = at.i64()?;
                let _first_offset = at.i64()?;
                if flexible {
                    skip_tagged_fields(&mut at)?;
                }
            }
            if version >= 11 {
                let _preferred_replica = at.i32()?;
            }
            let length = length(&mut at, flexible)?;
            let records = at.slice(length)?;
            if flexible {
                skip_tagged_fields(&mut at)?;
            }
            show(Answered { topic, partition, error_code, high_watermark, last_stable, log_start, records });
        }
        if flexible {
            skip_tagged_fields(&mut at)?;
        }
    }
    if flexible {
        skip_tagged_fields(&mut at)?;
    }
    Ok(head)
}

/// A length, null as 0.
fn length(at: &mut BytesAt<'_>, flexible: bool) -> Result<usize, Malformed> {
    if flexible {
        return Ok(at.unsigned_varint()?.saturating_sub(1) as usize);
    }
    match at.i32()? {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| Malformed::NegativeLength),
    }
}

/// The number of elements that follow; no memory depends on it.
fn array(at: &mut BytesAt<'_>, flexible: bool) -> Result<usize, Malformed> {
    length(at, flexible)
}

/// A name. One that is no UTF-8 is that of no topic: it is shown as empty.
fn string<'a>(at: &mut BytesAt<'a>, flexible: bool) -> Result<&'a str, Malformed> {
    let length =
        if flexible { length(at, true)? } else { usize::try_from(at.i16()?).map_err(|_| Malformed::NegativeLength)? };
    Ok(str::from_utf8(at.slice(length)?).unwrap_or_default())
}
