//! What clients report by themselves: deliveries, errors, statistics.

use std::time::Duration;

use crate::errors::ErrorCode;
use crate::ffi::event::{EventKind, MessageBuffer};
use crate::ffi::handle::Queue;
use crate::ffi::message::RawMessage;
use crate::outcome::{Outcome, PersistenceStatus, outcome};

/// How many events one call serves at most, so that it returns under any load.
const EVENTS_PER_CALL: usize = 1_000;

/// Takes events on the thread that polls for them.
pub trait EventSink {
    /// Messages that librdkafka reported together: as a rule one batch of one partition, in the order in
    /// which they were produced.
    fn delivery(&mut self, batch: &DeliveryBatch<'_>);

    /// An error of the client, for one that a broker cannot be reached. Most are passing; after a fatal
    /// one the client does nothing more.
    fn error(&mut self, code: ErrorCode, reason: &str, fatal: bool);

    /// librdkafka's statistics, each `statistics.interval.ms`; see [`crate::stats`].
    fn stats(&mut self, _json: &str) {}
}

/// A message that was delivered, or not.
#[derive(Clone, Copy)]
pub struct DeliveredMessage<'a> {
    message: &'a RawMessage,
    brokers_confirm: bool,
}

impl DeliveredMessage<'_> {
    /// What the sender attached.
    #[inline]
    pub fn opaque(self) -> u64 {
        self.message.opaque()
    }

    /// Why it was not delivered; `None` when librdkafka has no error, which under `acks=0` says nothing.
    #[inline]
    pub fn error_code(self) -> Option<ErrorCode> {
        ErrorCode::from_raw(self.message.code)
    }

    /// librdkafka's view of whether it is in the log.
    pub fn status(self) -> PersistenceStatus {
        PersistenceStatus::from_raw(self.message.status())
    }

    /// What is known of it now; see [`outcome`].
    #[inline]
    pub fn outcome(self) -> Outcome {
        match self.error_code() {
            None if self.brokers_confirm => Outcome::Acknowledged,
            None => Outcome::Indeterminate,
            code => outcome(code, self.status(), self.brokers_confirm),
        }
    }

    /// Whether a broker answered its Produce request with an error. What the client found out by itself (a
    /// timeout, a purge, a topic that metadata does not know) is none.
    pub fn is_rejected_by_broker(self) -> bool {
        self.broker_id().is_some() && self.error_code().is_some_and(ErrorCode::is_of_a_broker)
    }

    /// Its partition.
    #[inline]
    pub fn partition(self) -> i32 {
        self.message.partition
    }

    /// Its offset as the broker told. `None` when it did not (`acks=0`, where librdkafka counts up from a
    /// made-up base; an error) or when it is not known (a duplicate that the broker had already).
    pub fn offset(self) -> Option<i64> {
        (self.outcome() == Outcome::Acknowledged && self.message.offset >= 0).then_some(self.message.offset)
    }

    /// The broker to which it was sent last, once its request has ended.
    pub fn broker_id(self) -> Option<i32> {
        Some(self.message.broker_id()).filter(|id| *id >= 0)
    }
}

/// Messages that were reported together.
pub struct DeliveryBatch<'a> {
    messages: &'a [&'a RawMessage],
    brokers_confirm: bool,
}

impl<'a> DeliveryBatch<'a> {
    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Message `i`.
    ///
    /// # Panics
    /// When `i` is past the end.
    #[inline]
    pub fn get(&self, i: usize) -> DeliveredMessage<'a> {
        DeliveredMessage { message: self.messages[i], brokers_confirm: self.brokers_confirm }
    }

    /// All messages in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = DeliveredMessage<'a>> + DoubleEndedIterator + Clone + use<'a> {
        let brokers_confirm = self.brokers_confirm;
        self.messages.iter().map(move |message| DeliveredMessage { message, brokers_confirm })
    }
}

/// Serves what is there, waiting at most `timeout` for the first event. Returns how many were served.
pub(crate) fn serve(
    queue: &Queue,
    buffer: &mut MessageBuffer,
    brokers_confirm: bool,
    timeout: Duration,
    sink: &mut impl EventSink,
) -> usize {
    let mut wait = timeout;
    for served in 0..EVENTS_PER_CALL {
        let Some(event) = queue.poll(wait) else { return served };
        wait = Duration::ZERO;
        match event.kind() {
            EventKind::Delivery => {
                event.deliver(buffer, |messages| sink.delivery(&DeliveryBatch { messages, brokers_confirm }));
            }
            EventKind::Error => {
                if let Some(code) = event.error() {
                    sink.error(code, &event.error_reason(), event.is_fatal());
                }
            }
            EventKind::Statistics => {
                if let Some(json) = event.statistics() {
                    sink.stats(json);
                }
            }
            EventKind::Other(_) => {}
        }
    }
    EVENTS_PER_CALL
}
