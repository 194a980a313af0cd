//! The log's bytes: a Fetch and the walk over its answer.
//!
//! Requests are written by the `kafka-protocol` crate; answers, which hold the log, are walked here: of each partition
//! the fields are read and the record batches handed out as a slice of the received bytes, so nothing is copied.
//!
//! Fetches are sessionless (KIP-227: session epoch -1) and uncommitted data is asked for: the log is read as it is.
//! Versions 4 (the first with message format v2) to 10 are spoken. From 11 on a leader may answer with nothing and the
//! name of a replica that is nearer (KIP-392), which would look like a log that has nothing there.

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
    connection::Connection,
    error::WireError,
    metadata::topic_name,
};

pub(crate) const READ_UNCOMMITTED: i8 = 0;
pub(crate) const READ_COMMITTED: i8 = 1;
/// Not part of a fetch session.
const NO_SESSION_EPOCH: i32 = -1;
/// The versions that are spoken.
const VERSION_MIN: i16 = 4;
const VERSION_MAX: i16 = 10;

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
    connection.version::<FetchRequest>(VERSION_MIN, VERSION_MAX)
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
    let mut at = BytesAt::new(body);
    let throttle = Duration::from_millis(u64::try_from(at.i32()?).unwrap_or_default());
    let mut head = AnswerHead { throttle, error_code: 0 };
    if version >= 7 {
        head.error_code = at.i16()?;
        let _session = at.i32()?;
    }
    for _ in 0..length(&mut at)? {
        let topic = string(&mut at)?;
        for _ in 0..length(&mut at)? {
            let partition = at.i32()?;
            let error_code = at.i16()?;
            let high_watermark = at.i64()?;
            let last_stable = at.i64()?;
            let log_start = if version >= 5 { at.i64()? } else { -1 };
            for _ in 0..length(&mut at)? {
                // An aborted transaction; whoever reads uncommitted data gets none.
                let _producer_id = at.i64()?;
                let _first_offset = at.i64()?;
            }
            let length = length(&mut at)?;
            let records = at.slice(length)?;
            show(Answered { topic, partition, error_code, high_watermark, last_stable, log_start, records });
        }
    }
    Ok(head)
}

/// Bytes or elements that follow, null as 0; no memory depends on it.
fn length(at: &mut BytesAt<'_>) -> Result<usize, Malformed> {
    match at.i32()? {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| Malformed::NegativeLength),
    }
}

/// A name. One that is no UTF-8 is that of no topic: it is shown as empty.
fn string<'a>(at: &mut BytesAt<'a>) -> Result<&'a str, Malformed> {
    let length = usize::try_from(at.i16()?).map_err(|_| Malformed::NegativeLength)?;
    Ok(str::from_utf8(at.slice(length)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::{Bytes, BytesMut};
    use kafka_protocol::{
        messages::{
            FetchResponse, ProducerId,
            fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData},
        },
        protocol::{Decodable, Encodable},
    };
    use proptest::prelude::*;

    use super::*;

    /// An answer by the `kafka-protocol` crate: two topics, three partitions, all fields different.
    fn answer(version: i16, records: &[u8]) -> Bytes {
        let partition = |number: i32, code: i16, records: Option<&[u8]>| {
            let mut partition = PartitionData::default()
                .with_partition_index(number)
                .with_error_code(code)
                .with_high_watermark(1000 + i64::from(number))
                .with_last_stable_offset(900 + i64::from(number))
                .with_records(records.map(Bytes::copy_from_slice));
            if version >= 5 {
                partition = partition.with_log_start_offset(100 + i64::from(number));
            }
            let aborted = AbortedTransaction::default().with_producer_id(ProducerId(77)).with_first_offset(5);
            partition.with_aborted_transactions((number == 1).then(|| vec![aborted; 3]))
        };
        let topic = |name: &'static str, partitions| {
            let name = kafka_protocol::messages::TopicName(StrBytes::from_static_str(name));
            FetchableTopicResponse::default().with_topic(name).with_partitions(partitions)
        };
        let mut answer = FetchResponse::default().with_throttle_time_ms(1500).with_responses(vec![
            topic("one", vec![partition(0, 0, Some(records)), partition(1, 0, None)]),
            topic("two", vec![partition(7, 6, Some(&[]))]),
        ]);
        if version >= 7 {
            answer = answer.with_error_code(70).with_session_id(9);
        }
        let mut bytes = BytesMut::new();
        answer.encode(&mut bytes, version).unwrap();
        bytes.freeze()
    }

    #[test]
    fn answers_are_walked_in_every_version() {
        for version in VERSION_MIN..=VERSION_MAX {
            let body = answer(version, b"the log");
            let mut seen = Vec::new();
            let head = walk(&body, version, |answered| seen.push(answered)).unwrap();
            assert_eq!(head.throttle, Duration::from_millis(1500));
            assert_eq!(head.error_code, if version >= 7 { 70 } else { 0 });
            let expected = |topic, partition: i32, error_code, records| Answered {
                topic,
                partition,
                error_code,
                high_watermark: 1000 + i64::from(partition),
                last_stable: 900 + i64::from(partition),
                log_start: if version >= 5 { 100 + i64::from(partition) } else { -1 },
                records,
            };
            let all = [expected("one", 0, 0, &b"the log"[..]), expected("one", 1, 0, &[]), expected("two", 7, 6, &[])];
            assert_eq!(seen, all, "version {version}");
            // No copy: what is shown lies in the answer.
            assert!(body.as_ptr_range().contains(&seen[0].records.as_ptr()));
        }
    }

    #[test]
    fn requests_are_what_brokers_read() {
        let asked = |topic, partition, leader_epoch| Asked { topic, partition, offset: 5, leader_epoch, max_bytes: 7 };
        let sizes = FetchSizes { max_bytes: 99, partition_max_bytes: 7, max_wait: Duration::from_millis(250) };
        for version in VERSION_MIN..=VERSION_MAX {
            let request = request([asked("a", 3, 2), asked("b", 0, -1), asked("b", 1, -1), asked("a", 1, 4)], &sizes);
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).unwrap();
            let read = FetchRequest::decode(&mut bytes.freeze(), version).unwrap();
            let topics: Vec<_> =
                read.topics.iter().map(|topic| (topic.topic.as_str(), topic.partitions.len())).collect();
            // The order is kept, since brokers fill answers in it.
            assert_eq!(topics, [("a", 1), ("b", 2), ("a", 1)]);
            assert_eq!((read.replica_id.0, read.isolation_level, read.max_wait_ms), (-1, 0, 250));
            let first = &read.topics[0].partitions[0];
            assert_eq!((first.partition, first.fetch_offset, first.partition_max_bytes), (3, 5, 7));
            assert_eq!(first.current_leader_epoch, if version >= 9 { 2 } else { -1 });
        }
    }

    proptest! {
        #[test]
        fn no_part_of_an_answer_panics(version in VERSION_MIN..=VERSION_MAX, end in 0_usize..200) {
            let body = answer(version, &[7; 20]);
            let end = end.min(body.len());
            let mut shown = 0;
            let walked = walk(&body[..end], version, |_| shown += 1);
            prop_assert_eq!(walked.is_ok(), end == body.len());
            prop_assert!(shown <= 3);
        }

        #[test]
        fn no_bytes_panic(version in VERSION_MIN..=VERSION_MAX, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = walk(&bytes, version, |_| {});
        }

        #[test]
        fn no_damaged_answer_panics(
            version in VERSION_MIN..=VERSION_MAX,
            damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut body = answer(version, &[7; 20]).to_vec();
            for (at, byte) in damages {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let _ = walk(&body, version, |_| {});
        }
    }
}
