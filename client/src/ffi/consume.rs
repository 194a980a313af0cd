//! Reading partitions into an array of messages.

use std::ffi::c_int;
use std::time::Duration;

use rdkafka_sys as sys;

use super::handle::{Queue, Topic};
use super::message::RawMessage;
use super::timeout_ms;
use crate::errors::ErrorCode;

/// Starts to fetch a partition into `queue`, from an offset or one of librdkafka's logical offsets.
pub(crate) fn start(topic: &Topic, partition: i32, offset: i64, queue: &Queue) -> Result<(), ErrorCode> {
    // SAFETY: topic and queue are alive and of one client (the caller's).
    let result = unsafe { sys::rd_kafka_consume_start_queue(topic.as_ptr(), partition, offset, queue.as_ptr()) };
    last_error(result)
}

/// Stops fetching a partition and drops what was fetched.
pub(crate) fn stop(topic: &Topic, partition: i32) -> Result<(), ErrorCode> {
    // SAFETY: the topic is alive.
    last_error(unsafe { sys::rd_kafka_consume_stop(topic.as_ptr(), partition) })
}

fn last_error(result: c_int) -> Result<(), ErrorCode> {
    if result == 0 {
        return Ok(());
    }
    // SAFETY: reads a thread-local that the failing call set to one of librdkafka's own codes.
    Err(ErrorCode::of(unsafe { sys::rd_kafka_last_error() } as i32))
}

/// An array of consumed messages, destroyed when it is filled anew or dropped.
pub(crate) struct ConsumedMessages {
    messages: Vec<*mut RawMessage>,
    capacity: usize,
}

// SAFETY: consumed messages are owned by this and may be read and destroyed on any thread.
unsafe impl Send for ConsumedMessages {}

impl ConsumedMessages {
    pub(crate) fn new(capacity: usize) -> Self {
        ConsumedMessages { messages: Vec::with_capacity(capacity), capacity }
    }

    /// Replaces the content by up to `capacity` messages of `queue`. Waits for a full array or the timeout.
    pub(crate) fn fill(&mut self, queue: &Queue, timeout: Duration) {
        self.clear();
        // SAFETY: room for `capacity` pointers; librdkafka writes as many as it returns and we own them.
        unsafe {
            let filled = sys::rd_kafka_consume_batch_queue(
                queue.as_ptr(),
                timeout_ms(timeout),
                self.messages.as_mut_ptr().cast(),
                self.capacity,
            );
            self.messages.set_len(usize::try_from(filled).unwrap_or(0));
        }
    }

    pub(crate) fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: ours, destroyed once.
            unsafe { sys::rd_kafka_message_destroy(message.cast()) };
        }
    }

    pub(crate) fn as_slice(&self) -> &[&RawMessage] {
        // SAFETY: non-null pointers to messages that live until `clear`, which needs `&mut self`; a
        // reference has the layout of a pointer, and `RawMessage` that of theirs.
        unsafe { std::slice::from_raw_parts(self.messages.as_ptr().cast(), self.messages.len()) }
    }
}

impl Drop for ConsumedMessages {
    fn drop(&mut self) {
        self.clear();
    }
}
