//! The producer's hot path: batches in by one call, delivery reports out by events.
//!
//! One thread produces (`produce_run`), another serves the events (`poll_events`): room in librdkafka's
//! queue frees only as delivery events are served, and `flush`, `commit` and `abort` wait for that thread.
//! Nothing here allocates, locks or makes a system call per message; per event there is one uncontended
//! lock.
//!
//! Limits: no headers and no timestamps of one's own (`rd_kafka_produce_batch` takes neither; the whole
//! run gets one timestamp). librdkafka copies keys, and values unless all of a batch are [`Lent`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ackmark_schema::properties::{self, Property};

use crate::errors::{ClientError, ErrorCode, TransactionError, TransactionStep};
use crate::events::{self, EventSink};
use crate::ffi::admin;
use crate::ffi::arena::Arena;
use crate::ffi::event::MessageBuffer;
use crate::ffi::handle::{Handle, Kind, Queue, Topic};
use crate::logs::LogSink;
use crate::properties::ClientProperties;

pub use crate::ffi::arena::{Block, Lender, Lent, MessageValue};
pub use crate::ffi::message::MessageBatch;

/// How long a producer that is dropped with messages outstanding drains what it purged.
const DROP_DRAIN: Duration = Duration::from_secs(2);

/// An open topic, cheap to clone.
#[derive(Clone)]
pub struct TopicHandle(Arc<Topic>);

impl TopicHandle {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.name()
    }
}

/// What became of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOutcome {
    /// How many messages librdkafka took; each of them gets a delivery report.
    pub accepted: usize,
    /// The first refusal: index in the batch and code. `None` when all were taken.
    pub first_rejected: Option<(usize, ErrorCode)>,
}

impl RunOutcome {
    /// Why the first refused message was refused.
    pub fn first_error(&self) -> Option<ErrorCode> {
        self.first_rejected.map(|(_, code)| code)
    }

    /// Whether what was taken is exactly the first `accepted` messages. So it is when the queue is full:
    /// librdkafka refuses the rest of the run. [`MessageBatch::rejection`] tells for each message.
    pub fn is_prefix(&self) -> bool {
        self.first_rejected.is_none_or(|(index, _)| index == self.accepted)
    }

    /// Whether to poll and try the rest again.
    pub fn is_queue_full(&self) -> bool {
        self.first_error() == Some(ErrorCode::QUEUE_FULL)
    }
}

/// A librdkafka producer without callbacks.
///
/// Dropping it is bounded: messages that are still outstanding are purged (in flight or not), their
/// reports are thrown away for at most two seconds, and the instance is destroyed. So flush first, and
/// serve the events, when their fate matters.
pub struct RawProducer {
    handle: Arc<Handle>,
    queue: Queue,
    properties: ClientProperties,
    in_effect: Vec<Property>,
    brokers_confirm: bool,
    topics: Mutex<BTreeMap<String, TopicHandle>>,
    buffer: Mutex<MessageBuffer>,
}

impl RawProducer {
    /// Creates a producer. Does not wait for a broker: use [`crate::AdminClient::metadata`] for that.
    ///
    /// # Errors
    /// A property that librdkafka refuses, by itself or together with others.
    pub fn new(properties: &ClientProperties, logs: LogSink) -> Result<Self, ClientError> {
        let mut conf = properties.conf(logs)?;
        conf.enable_events(true);
        let handle = Handle::new(Kind::Producer, conf)?;
        let in_effect = properties.in_effect(&handle.dump(), Kind::Producer);
        let brokers_confirm = properties::value(&in_effect, "acks") != Some("0");
        Ok(RawProducer {
            queue: handle.main_queue(),
            handle,
            properties: properties.clone(),
            in_effect,
            brokers_confirm,
            topics: Mutex::default(),
            buffer: Mutex::default(),
        })
    }

    /// The properties in effect, read back from librdkafka, each with its origin; secrets are redacted.
    pub fn properties_in_effect(&self) -> &[Property] {
        &self.in_effect
    }

    /// The properties asked for.
    pub fn properties(&self) -> &ClientProperties {
        &self.properties
    }

    /// The name that librdkafka gave it, for example `rdkafka#producer-1`.
    pub fn name(&self) -> String {
        self.handle.name()
    }

    /// Opens a topic, or finds it open. Not for the hot path: keep the handle.
    ///
    /// # Errors
    /// A name with a zero byte, or one that librdkafka refuses.
    pub fn topic(&self, name: &str) -> Result<TopicHandle, ClientError> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return Ok(topic.clone());
        }
        let topic = TopicHandle(Arc::new(self.handle.topic(name)?));
        topics.insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    /// Waits until this producer has found a broker and knows the topic: what is produced then need not wait for it.
    ///
    /// # Errors
    /// No broker answers in time, or there is no such topic.
    pub fn connect(&self, topic: &str, timeout: Duration) -> Result<(), ClientError> {
        let handle = self.topic(topic)?;
        let found = admin::describe_topic(&self.handle, &handle.0, timeout);
        found.map(drop).map_err(|(code, reason)| {
            ClientError::operation(format!("connect and describe topic '{topic}'"), code, &reason)
        })
    }

    /// A lender of `blocks` of `block_bytes` each: values that it lends are not copied (see [`MessageBatch`]). Memory is
    /// taken as it is written to. A producer has one: a second call gives the first one's. `None` where the system has no
    /// address space for it, and with `delivery.report.only.error`, as what is not reported would never come back.
    pub fn lender(&self, blocks: u32, block_bytes: usize) -> Option<Lender> {
        if properties::value(&self.in_effect, "delivery.report.only.error") == Some("true") {
            return None;
        }
        let arena = match self.handle.arena() {
            Some(arena) => arena,
            None => self.handle.keep(Arena::new(blocks, block_bytes).ok()?),
        };
        Some(Lender::new(Arc::clone(arena)))
    }

    /// Produces a batch to one partition. Never blocks.
    ///
    /// Messages that are refused stay in the batch with their code and never reach a broker: call
    /// [`MessageBatch::retain_rejected`], poll, and try again. The topic must be of this producer.
    pub fn produce_run(&self, topic: &TopicHandle, partition: i32, batch: &mut MessageBatch<'_>) -> RunOutcome {
        let accepted = batch.produce(&topic.0, partition);
        if accepted == batch.len() {
            return RunOutcome { accepted, first_rejected: None };
        }
        let first_rejected = (0..batch.len()).find_map(|i| Some((i, batch.rejection(i)?)));
        RunOutcome { accepted, first_rejected }
    }

    /// Serves what is there, waiting at most `timeout` for the first event. Returns how many events were
    /// served. Meant for one thread; a second one waits its turn.
    pub fn poll_events(&self, timeout: Duration, sink: &mut impl EventSink) -> usize {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        events::serve(&self.queue, &mut buffer, self.brokers_confirm, timeout, sink)
    }

    /// Serves events until nothing is outstanding; false when the time is up. For producers without a
    /// delivery thread; unlike [`Self::flush`] it waits `linger.ms` out.
    pub fn drain(&self, timeout: Duration, sink: &mut impl EventSink) -> bool {
        let deadline = Instant::now() + timeout;
        while self.outq_len() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.poll_events(left.min(Duration::from_millis(100)), sink);
        }
        true
    }

    /// Messages that are outstanding or whose report is not served yet, and other events that wait.
    pub fn outq_len(&self) -> usize {
        self.handle.outq_len()
    }

    /// Sends what lingers at once and waits until nothing is outstanding; false when the time is up.
    /// Another thread must serve the events.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.handle.flush(timeout)
    }

    /// Fails what waits to be sent (`_PURGE_QUEUE`) and, on request, what is in flight
    /// (`_PURGE_INFLIGHT`). The reports come as events.
    pub fn purge(&self, in_flight: bool) {
        self.handle.purge(in_flight);
    }

    /// The error that ended this producer's usefulness, if there was one.
    pub fn fatal_error(&self) -> Option<(ErrorCode, String)> {
        self.handle.fatal_error()
    }

    /// Acquires the producer id and epoch for `transactional.id`. Fences older producers of that id; their
    /// open transaction is aborted, which this waits for.
    ///
    /// # Errors
    /// What failed and what can be done; a timeout is retriable.
    pub fn init_transactions(&self, timeout: Duration) -> Result<(), TransactionError> {
        self.handle.transaction(TransactionStep::Init, timeout)
    }

    /// Opens a transaction. Local: brokers learn of it with the first message of each partition.
    ///
    /// # Errors
    /// A transaction is open, or the producer is not initialised or has a fatal error.
    pub fn begin_transaction(&self) -> Result<(), TransactionError> {
        self.handle.transaction(TransactionStep::Begin, Duration::ZERO)
    }

    /// Why the open transaction can only be aborted, if that is so. Only for a producer with an open transaction.
    ///
    /// When a transaction fails librdkafka fails what waits to be sent. But a message that is handed over at that very
    /// moment is accepted after that, and then neither sent nor failed before the abort or `message.timeout.ms`. So who
    /// waits for what is outstanding must ask. librdkafka has no call for that question; a `begin`, which is refused
    /// while a transaction is open and changes nothing, answers it (`rd_kafka_txn_require_states0` of 2.12.1).
    ///
    /// # Panics
    /// When none was open: this has begun one.
    pub fn transaction_failure(&self) -> Option<TransactionError> {
        let asked = self.handle.transaction(TransactionStep::Begin, Duration::ZERO);
        let refusal = asked.expect_err("only asked of an open transaction");
        (refusal.requires_abort || refusal.fatal).then_some(refusal)
    }

    /// Flushes, then commits. Another thread must serve the events. To know both times apart, flush first.
    ///
    /// # Errors
    /// What failed and what can be done. After a timeout the outcome is unknown until the call is made
    /// again. Give it time: when the answer comes just as the call is made again, the next transaction may be told to
    /// have begun before it has, and what is sent at once is refused with `_STATE` (librdkafka 2.12.1).
    pub fn commit_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        self.handle.transaction(TransactionStep::Commit, timeout)
    }

    /// Purges what is outstanding, then aborts. Another thread must serve the events.
    ///
    /// # Errors
    /// What failed and what can be done.
    pub fn abort_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        self.handle.transaction(TransactionStep::Abort, timeout)
    }
}

impl Drop for RawProducer {
    fn drop(&mut self) {
        if self.outq_len() > 0 {
            self.purge(true);
            self.drain(DROP_DRAIN, &mut Ignore);
        }
    }
}

/// Throws events away.
struct Ignore;

impl EventSink for Ignore {
    fn delivery(&mut self, _batch: &events::DeliveryBatch<'_>) {}

    fn error(&mut self, _code: ErrorCode, _reason: &str, _fatal: bool) {}
}
