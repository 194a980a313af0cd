//! The way to the client: a run is handed over until each of its messages was taken or refused for good.

use std::{sync::mpsc, time::Duration};

use ackmark_client::{ErrorCode, MessageBatch, RawProducer, TopicHandle};

use crate::{
    delivery::Rejection,
    flow::{Flow, Halt},
};

/// Longest wait for reports at a time, so that the end is seen.
pub(crate) const WAIT: Duration = Duration::from_millis(5);

/// The way to the client.
pub(crate) struct Outlet<'r> {
    /// The producer.
    pub(crate) producer: &'r RawProducer,
    /// Its topics.
    pub(crate) topics: Vec<TopicHandle>,
    /// Partitions of each.
    pub(crate) partitions: u32,
    /// Shared with the delivery thread.
    pub(crate) flow: &'r Flow,
    /// The run's end for a reason.
    pub(crate) halt: &'r Halt<'r>,
    /// What the client refuses goes here: there is no report of it.
    pub(crate) rejections: mpsc::Sender<Rejection>,
    /// Messages that were refused; whoever hands over takes them from here.
    pub(crate) refused: u64,
}

impl Outlet<'_> {
    /// Hands a run over. While the queue is full it waits and tries again: the messages keep their place.
    /// Gives the code of a refusal that says more than that a message is too large.
    #[inline]
    pub(crate) fn hand_over(&mut self, slot: u32, batch: &mut MessageBatch<'_>) -> Option<ErrorCode> {
        if self.produce(slot, batch) { None } else { self.insist(slot, batch) }
    }

    /// Whether all of it was taken.
    #[inline]
    fn produce(&self, slot: u32, batch: &mut MessageBatch<'_>) -> bool {
        let (topic, partition) = (&self.topics[(slot / self.partitions) as usize], slot % self.partitions);
        self.producer.produce_run(topic, partition as i32, batch).accepted == batch.len()
    }

    #[cold]
    fn insist(&mut self, slot: u32, batch: &mut MessageBatch<'_>) -> Option<ErrorCode> {
        let mut refused = None;
        loop {
            refused = self.reject_for_good(batch).or(refused);
            if batch.is_empty() {
                return refused;
            }
            self.flow.count_queue_full();
            if self.halt.is_raised() || self.halt.gives_up() {
                self.reject(batch, |_| true);
                return refused;
            }
            self.flow.wait_for_reports(WAIT);
            if self.produce(slot, batch) {
                return refused;
            }
        }
    }

    /// Tells of a message that the client refused, or would have.
    pub(crate) fn refuse(&mut self, opaque: u64, code: ErrorCode) {
        self.refused += 1;
        // A delivery thread that is gone has panicked: the message stays open.
        let _ = self.rejections.send(Rejection { opaque, code });
    }

    /// Tells of what was refused for another reason than a full queue and keeps the rest.
    fn reject_for_good(&mut self, batch: &mut MessageBatch<'_>) -> Option<ErrorCode> {
        let refused = self.reject(batch, |code| code != ErrorCode::QUEUE_FULL);
        batch.retain_rejected_with(ErrorCode::QUEUE_FULL);
        refused
    }

    fn reject(&mut self, batch: &MessageBatch<'_>, which: impl Fn(ErrorCode) -> bool) -> Option<ErrorCode> {
        let mut serious = None;
        for at in 0..batch.len() {
            let Some(code) = batch.rejection(at).filter(|code| which(*code)) else { continue };
            self.refuse(batch.opaque(at), code);
            if !matches!(code, ErrorCode::MSG_SIZE_TOO_LARGE | ErrorCode::QUEUE_FULL) {
                serious = Some(code);
            }
        }
        serious
    }
}
