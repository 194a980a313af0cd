//! A batch reader of given partitions: the application's view of a log, as fast as librdkafka gives it.
//!
//! It reads assigned partitions only, by librdkafka's simple consumer: no group, so it needs no right on
//! one, commits nothing and never makes a cluster create its offsets topic. What it sees follows its
//! `isolation.level` (librdkafka's default is `read_committed`). Control records are hidden and leave gaps
//! in the offsets: a gap is not a loss. Under `read_committed` the end of a partition is the last stable
//! offset, so an open transaction ends it early.
//!
//! One reader is one thread's; several readers may run in several threads, each with its own connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ackmark_schema::properties::{Origin, Property};

use crate::errors::{ClientError, ErrorCode};
use crate::events::{self, EventSink};
use crate::ffi::admin::describe_topic;
use crate::ffi::consume::{self, ConsumedMessages};
use crate::ffi::event::MessageBuffer;
use crate::ffi::handle::{Handle, Kind, Queue, Topic};
use crate::ffi::message::RawMessage;
use crate::logs::LogSink;
use crate::properties::ClientProperties;

/// The most messages that one call hands out.
pub const BATCH_CAPACITY: usize = 4_096;

/// How long the first partition of a topic waits for a broker to tell of the topic.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// librdkafka's logical offsets (`rdkafka.h`).
const OFFSET_BEGINNING: i64 = -2;
const OFFSET_END: i64 = -1;

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    /// The first offset that the log still has.
    Beginning,
    /// What comes after now.
    End,
    /// A given offset. One that the log does not have is reported as an error, never skipped.
    At(i64),
}

impl StartOffset {
    fn raw(self) -> i64 {
        match self {
            StartOffset::Beginning => OFFSET_BEGINNING,
            StartOffset::End => OFFSET_END,
            StartOffset::At(offset) => offset,
        }
    }
}

/// Properties for reading much in little time. Set before the user's own, which win.
///
/// - `queued.min.messages`, `queued.max.messages.kbytes`: librdkafka fetches ahead until either is
///   reached, then waits; large values keep it fetching (up to 1 GiB of memory per reader).
/// - `fetch.queue.backoff.ms`: how long it then waits; its default of 1 s is what slows readers most.
/// - `fetch.message.max.bytes`, `fetch.max.bytes`: large fetches cost fewer round trips.
/// - `fetch.wait.max.ms`: how long a broker holds back an empty answer, which is what tells the end of a
///   partition (default 500).
/// - `check.crcs`: off by default in librdkafka; a reader that judges a log checks.
/// - `enable.metrics.push`: brokers of 3.7 and later may otherwise ask for telemetry.
pub fn fast_read_properties() -> ClientProperties {
    let mut properties = ClientProperties::new();
    for (name, value) in [
        ("queued.min.messages", "1000000"),
        ("queued.max.messages.kbytes", "1048576"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.message.max.bytes", "8388608"),
        ("fetch.max.bytes", "67108864"),
        ("fetch.wait.max.ms", "50"),
        ("check.crcs", "true"),
        ("enable.metrics.push", "false"),
    ] {
        properties.set(name, value, Origin::Tool);
    }
    properties
}

/// Reads assigned partitions in batches.
pub struct BatchConsumer {
    messages: ConsumedMessages,
    assigned: Vec<(Arc<Topic>, i32)>,
    /// Open topics and how many partitions they had then.
    topics: BTreeMap<String, (Arc<Topic>, usize)>,
    queue: Queue,
    events: Queue,
    event_buffer: MessageBuffer,
    handle: Arc<Handle>,
    in_effect: Vec<Property>,
}

impl BatchConsumer {
    /// Creates a reader. Ends of partitions are reported, and an offset that the log does not have is an
    /// error, whatever the properties say.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(properties: &ClientProperties, logs: LogSink) -> Result<Self, ClientError> {
        let mut properties = properties.clone();
        properties.remove("group.id");
        properties.set("enable.partition.eof", "true", Origin::Tool).set("auto.offset.reset", "error", Origin::Tool);
        let mut conf = properties.conf(logs)?;
        conf.enable_events(false);
        let handle = Handle::new(Kind::Consumer, conf)?;
        let in_effect = properties.in_effect(&handle.dump(), Kind::Consumer);
        Ok(BatchConsumer {
            messages: ConsumedMessages::new(BATCH_CAPACITY),
            assigned: Vec::new(),
            topics: BTreeMap::new(),
            queue: handle.new_queue(),
            events: handle.main_queue(),
            event_buffer: MessageBuffer::default(),
            handle,
            in_effect,
        })
    }

    /// The properties in effect, read back from librdkafka, each with its origin; secrets are redacted.
    pub fn properties_in_effect(&self) -> &[Property] {
        &self.in_effect
    }

    /// Starts to read a partition. The first partition of a topic asks a broker whether the topic is there
    /// and waits at most ten seconds for the answer.
    ///
    /// # Errors
    /// No broker answers, the topic or the partition does not exist, or librdkafka refuses the offset.
    pub fn assign(&mut self, topic: &str, partition: i32, start: StartOffset) -> Result<(), ClientError> {
        let refused = |code, reason: &str| ClientError::operation(format!("read {topic}-{partition}"), code, reason);
        let (opened, partitions) = self.open(topic).map_err(|(code, reason)| refused(code, &reason))?;
        if usize::try_from(partition).is_ok_and(|partition| partition >= partitions) {
            return Err(refused(ErrorCode::UNKNOWN_PARTITION, &format!("the topic has {partitions} partitions")));
        }
        consume::start(&opened, partition, start.raw(), &self.queue).map_err(|code| refused(code, ""))?;
        self.assigned.push((opened, partition));
        Ok(())
    }

    /// A topic and how many partitions it has.
    fn open(&mut self, name: &str) -> Result<(Arc<Topic>, usize), (ErrorCode, String)> {
        if let Some((opened, partitions)) = self.topics.get(name) {
            return Ok((Arc::clone(opened), *partitions));
        }
        let opened = Arc::new(self.handle.topic(name).map_err(|error| (ErrorCode::INVALID_ARG, error.to_string()))?);
        // Without asking, librdkafka would tell of a missing topic after 30 s and of a missing partition
        // never; and it would take up to a second more to find the leaders.
        let partitions = describe_topic(&self.handle, &opened, OPEN_TIMEOUT)?.partitions.len();
        self.topics.insert(name.to_owned(), (Arc::clone(&opened), partitions));
        Ok((opened, partitions))
    }

    /// Stops reading a partition. What was fetched and not handed out is dropped.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn unassign(&mut self, topic: &str, partition: i32) -> Result<(), ClientError> {
        let is_it = |entry: &(Arc<Topic>, i32)| entry.1 == partition && entry.0.name() == topic;
        let Some(index) = self.assigned.iter().position(is_it) else { return Ok(()) };
        let (opened, _) = self.assigned.swap_remove(index);
        consume::stop(&opened, partition)
            .map_err(|code| ClientError::operation(format!("stop reading {topic}-{partition}"), code, ""))
    }

    /// The next messages of all assigned partitions, up to [`BATCH_CAPACITY`].
    ///
    /// librdkafka waits until the batch is full or the time is up, so use short timeouts (tens of ms).
    /// Messages of one partition come in order.
    pub fn poll_batch(&mut self, timeout: Duration) -> FetchedBatch<'_> {
        self.messages.fill(&self.queue, timeout);
        FetchedBatch { messages: self.messages.as_slice() }
    }

    /// Serves errors of the client (brokers out of reach, say) and statistics. Call it between batches:
    /// what is not served stays in memory.
    pub fn poll_events(&mut self, timeout: Duration, sink: &mut impl EventSink) -> usize {
        events::serve(&self.events, &mut self.event_buffer, true, timeout, sink)
    }
}

impl Drop for BatchConsumer {
    fn drop(&mut self) {
        self.messages.clear();
        for (topic, partition) in self.assigned.drain(..) {
            // Best effort: the instance is destroyed next, which ends its fetchers anyhow.
            let _ = consume::stop(&topic, partition);
        }
    }
}

/// A batch of what was fetched, freed when the next one is polled for.
#[derive(Clone, Copy)]
pub struct FetchedBatch<'c> {
    messages: &'c [&'c RawMessage],
}

impl<'c> FetchedBatch<'c> {
    /// How many entries it has: records, ends of partitions and errors.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether the time ran out with nothing.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Its entries, in order for each partition.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Fetched<'c>> + Clone + use<'c> {
        self.messages.iter().map(|message| Fetched::of(message))
    }
}

/// One entry of a batch.
#[derive(Clone, Copy)]
pub enum Fetched<'c> {
    /// A record.
    Record(FetchedRecord<'c>),
    /// The reader is at the end of the partition as it is now; more may come. Its offset is the position
    /// to trust: librdkafka's own (`rd_kafka_position`) is one too high after an end that was read in a
    /// batch (`rd_kafka_q_serve_rkmessages`, 2.12.1, takes the end for a message).
    End {
        /// Its topic.
        topic: &'c str,
        /// Its partition.
        partition: i32,
        /// The offset that the next record will have at least.
        offset: i64,
    },
    /// The partition cannot be read, or a record not; librdkafka may go on by itself.
    Error {
        /// Its topic; empty when the error is not of one topic.
        topic: &'c str,
        /// Its partition; negative when the error is not of one partition.
        partition: i32,
        /// Where, when that is known; else negative.
        offset: i64,
        /// Why.
        code: ErrorCode,
        /// librdkafka's text.
        reason: &'c str,
    },
}

impl<'c> Fetched<'c> {
    #[inline]
    fn of(message: &'c RawMessage) -> Self {
        match ErrorCode::from_raw(message.code) {
            None => Fetched::Record(FetchedRecord { message }),
            Some(code) => Fetched::other(message, code),
        }
    }

    #[cold]
    fn other(message: &'c RawMessage, code: ErrorCode) -> Self {
        let (topic, partition, offset) = (message.topic_name(), message.partition, message.offset);
        if code == ErrorCode::PARTITION_EOF {
            return Fetched::End { topic, partition, offset };
        }
        let reason = message.payload().map_or("", |text| std::str::from_utf8(text).unwrap_or(""));
        Fetched::Error { topic, partition, offset, code, reason }
    }
}

/// A record as the consumer sees it.
#[derive(Clone, Copy)]
pub struct FetchedRecord<'c> {
    message: &'c RawMessage,
}

impl<'c> FetchedRecord<'c> {
    /// Its topic's name. Costs a call and a scan of the name.
    pub fn topic(self) -> &'c str {
        self.message.topic_name()
    }

    /// Its partition.
    #[inline]
    pub fn partition(self) -> i32 {
        self.message.partition
    }

    /// Its offset.
    #[inline]
    pub fn offset(self) -> i64 {
        self.message.offset
    }

    /// Its value; `None` is a tombstone.
    #[inline]
    pub fn payload(self) -> Option<&'c [u8]> {
        self.message.payload()
    }

    /// Its key.
    #[inline]
    pub fn key(self) -> Option<&'c [u8]> {
        self.message.key()
    }

    /// Its timestamp in ms since the epoch: the producer's, or the broker's where the topic says
    /// `LogAppendTime`.
    #[inline]
    pub fn timestamp_ms(self) -> Option<i64> {
        self.message.timestamp_ms()
    }
}
