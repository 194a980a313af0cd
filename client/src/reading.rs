//! A topic read from its start to its end, as an application is shown it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ackmark_schema::properties::Origin;

use crate::{
    admin::AdminClient,
    consumer::{BatchConsumer, Fetched, FetchedRecord, StartOffset, fast_read_properties},
    errors::{ClientError, ErrorCode},
    logs::LogSink,
    properties::ClientProperties,
};

/// How long a batch is waited for.
const POLL: Duration = Duration::from_millis(20);
/// How long an admin request may take.
const ASK: Duration = Duration::from_secs(10);

/// What a reading is bounded by.
#[derive(Debug, Clone, Copy)]
pub struct ReadBounds<'a> {
    /// The longest time in which nothing comes.
    pub silence: Duration,
    /// Ends the reading once it is true.
    pub stop: &'a AtomicBool,
}

/// Reads all partitions of a topic, each until its end is first reached: under `read_committed` that is the last stable
/// offset. Records of one partition come in order.
///
/// # Returns
/// By partition, the offset that the next record will have at least.
///
/// # Errors
/// The topic is not there, a partition cannot be read, or nothing comes for too long. One that is told to stop ends with
/// `DESTROY`.
pub fn read_to_end(
    properties: &ClientProperties,
    topic: &str,
    isolation: &str,
    bounds: ReadBounds<'_>,
    mut each: impl FnMut(FetchedRecord<'_>),
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let mut own = fast_read_properties();
    own.merge(&properties.connection_only());
    own.set("isolation.level", isolation, Origin::Tool);
    let partitions = AdminClient::new(&own, LogSink::discard())?.topic(topic, ASK)?.partitions;
    let mut consumer = BatchConsumer::new(&own, LogSink::discard())?;
    for partition in &partitions {
        consumer.assign(topic, partition.id, StartOffset::Beginning)?;
    }
    let mut ends = BTreeMap::new();
    let mut heard = Instant::now();
    let what = || format!("read {topic}");
    while ends.len() < partitions.len() {
        let batch = consumer.poll_batch(POLL);
        if !batch.is_empty() {
            heard = Instant::now();
        }
        for fetched in batch.iter() {
            match fetched {
                Fetched::Record(record) if !ends.contains_key(&record.partition()) => each(record),
                Fetched::End { partition, offset, .. } => {
                    ends.entry(partition).or_insert(offset);
                }
                Fetched::Error { code, reason, .. } if !passes(code) => {
                    return Err(ClientError::operation(what(), code, reason));
                }
                // What comes behind the end that was told first is later than this reading; errors pass.
                Fetched::Record(_) | Fetched::Error { .. } => {}
            }
        }
        if bounds.stop.load(Ordering::Relaxed) {
            return Err(ClientError::operation(what(), ErrorCode::DESTROY, "told to stop"));
        }
        if heard.elapsed() >= bounds.silence {
            let found = format!("{} of {} partitions were read to their end", ends.len(), partitions.len());
            return Err(ClientError::NotInTime {
                what: format!("no more came of {topic}"),
                waited: heard.elapsed(),
                found,
            });
        }
    }
    Ok(ends)
}

/// What librdkafka goes on after by itself.
fn passes(code: ErrorCode) -> bool {
    [
        ErrorCode::TRANSPORT,
        ErrorCode::ALL_BROKERS_DOWN,
        ErrorCode::TIMED_OUT,
        ErrorCode::RESOLVE,
        ErrorCode::NOT_LEADER_FOR_PARTITION,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::NETWORK_EXCEPTION,
    ]
    .contains(&code)
}
