//! Messages on their way out and in, and the array that a run is produced from.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;

use rdkafka_sys as sys;

use super::arena::MessageValue;
use super::handle::Topic;
use crate::errors::ErrorCode;

/// `rd_kafka_message_t` with its code as an integer (see the module above).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawMessage {
    pub(crate) code: c_int,
    topic: *mut sys::rd_kafka_topic_t,
    pub(crate) partition: i32,
    payload: *mut c_void,
    payload_bytes: usize,
    key: *mut c_void,
    key_bytes: usize,
    pub(crate) offset: i64,
    opaque: *mut c_void,
}

const _: () = {
    type Theirs = sys::rd_kafka_message_t;
    assert!(size_of::<RawMessage>() == size_of::<Theirs>());
    assert!(size_of::<sys::rd_kafka_resp_err_t>() == size_of::<c_int>());
    assert!(offset_of!(RawMessage, code) == offset_of!(Theirs, err));
    assert!(offset_of!(RawMessage, topic) == offset_of!(Theirs, rkt));
    assert!(offset_of!(RawMessage, partition) == offset_of!(Theirs, partition));
    assert!(offset_of!(RawMessage, payload) == offset_of!(Theirs, payload));
    assert!(offset_of!(RawMessage, payload_bytes) == offset_of!(Theirs, len));
    assert!(offset_of!(RawMessage, key) == offset_of!(Theirs, key));
    assert!(offset_of!(RawMessage, key_bytes) == offset_of!(Theirs, key_len));
    assert!(offset_of!(RawMessage, offset) == offset_of!(Theirs, offset));
    assert!(offset_of!(RawMessage, opaque) == offset_of!(Theirs, _private));
    // An opaque carries a u64 in a pointer.
    assert!(size_of::<*mut c_void>() == size_of::<u64>());
};

impl RawMessage {
    fn to_send(payload: &[u8], key: Option<&[u8]>, opaque: u64) -> Self {
        RawMessage {
            code: 0,
            topic: ptr::null_mut(),
            partition: 0,
            payload: payload.as_ptr().cast_mut().cast(),
            payload_bytes: payload.len(),
            key: key.map_or(ptr::null_mut(), |key| key.as_ptr().cast_mut().cast()),
            key_bytes: key.map_or(0, <[u8]>::len),
            offset: 0,
            opaque: ptr::without_provenance_mut(opaque as usize),
        }
    }

    /// What the sender attached.
    pub(crate) fn opaque(&self) -> u64 {
        self.opaque.addr() as u64
    }

    /// The value, `None` when null (a tombstone).
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        // SAFETY: a message that librdkafka filled points to `payload_bytes` bytes that it keeps until
        // the message or its event is destroyed, which the borrow of `self` prevents.
        unsafe { bytes(self.payload, self.payload_bytes) }
    }

    /// The address of the value's bytes; `None` where it has none, as where it begins may be where something else does.
    #[inline]
    pub(super) fn value_at(&self) -> Option<usize> {
        (self.payload_bytes > 0).then(|| self.payload.addr())
    }

    /// The key, `None` when null.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        // SAFETY: as in `payload`.
        unsafe { bytes(self.key, self.key_bytes) }
    }

    /// The topic's name, empty for a message without a topic.
    pub(crate) fn topic_name(&self) -> &str {
        if self.topic.is_null() {
            return "";
        }
        // SAFETY: the message holds a reference to its topic, whose name lives as long.
        let name = unsafe { std::ffi::CStr::from_ptr(sys::rd_kafka_topic_name(self.topic)) };
        // Kafka's topic names are ASCII.
        name.to_str().unwrap_or("")
    }

    /// The record's timestamp in ms since the epoch, `None` when it has none.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a consumed message; both pointers are valid for the call.
        let ms = unsafe { sys::rd_kafka_message_timestamp(self.as_theirs(), &raw mut kind) };
        (kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && ms >= 0).then_some(ms)
    }

    /// `rd_kafka_msg_status_t` of a message in a delivery report.
    pub(crate) fn status(&self) -> u32 {
        // SAFETY: a message of a delivery event, which embeds it in the larger struct that this reads.
        unsafe { sys::rd_kafka_message_status(self.as_theirs()) as u32 }
    }

    /// The broker that answered, -1 when none did.
    pub(crate) fn broker_id(&self) -> i32 {
        // SAFETY: as in `status`.
        unsafe { sys::rd_kafka_message_broker_id(self.as_theirs()) }
    }

    fn as_theirs(&self) -> *const sys::rd_kafka_message_t {
        ptr::from_ref(self).cast()
    }
}

/// # Safety
/// `data` is null or points to `count` bytes that are not written to during `'a`.
unsafe fn bytes<'a>(data: *const c_void, count: usize) -> Option<&'a [u8]> {
    if data.is_null() {
        return None;
    }
    // SAFETY: by this function's contract.
    Some(unsafe { std::slice::from_raw_parts(data.cast(), count) })
}

/// A run of messages to be produced: a reusable array of what librdkafka takes.
///
/// It borrows payloads and keys for `'p`. librdkafka copies them when the run is produced, so buffers
/// may be written again as soon as the batch is recycled. If each value is a [`Lent`](crate::producer::Lent) of the
/// producer's own [`Lender`](crate::producer::Lender) and has bytes, they are not copied but read where they are.
///
/// ```
/// # use ackmark_client::MessageBatch;
/// let mut buffer = vec![0_u8; 100];
/// let mut spare = MessageBatch::new(1_000);
/// for sequence in 0..3 {
///     buffer[0] = sequence;
///     let mut batch = spare.recycle();
///     batch.set(0, &buffer, None, u64::from(sequence));
///     // producer.produce_run(&topic, 0, &mut batch)
///     assert_eq!(batch.len(), 1);
///     spare = batch.recycle();
/// }
/// ```
pub struct MessageBatch<'p> {
    messages: Vec<RawMessage>,
    capacity: usize,
    /// Whether a value was placed since it was empty that is not lent.
    must_copy: bool,
    payloads: PhantomData<&'p [u8]>,
}

// SAFETY: the pointers within are either shared borrows of bytes for 'p, which any thread may read, or integers. Those
// that librdkafka keeps after a call point into an arena, which is Sync and lives as long as its instance.
unsafe impl Send for MessageBatch<'_> {}

impl<'p> MessageBatch<'p> {
    /// An empty batch that takes at most `capacity` messages and allocates for them once.
    ///
    /// # Panics
    /// When `capacity` is 0 or more than `i32::MAX`.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0 && i32::try_from(capacity).is_ok(), "a batch takes 1 to i32::MAX messages");
        MessageBatch { messages: Vec::with_capacity(capacity), capacity, must_copy: false, payloads: PhantomData }
    }

    /// Places message `i`: overwrites an entry, or appends when `i == len()`.
    ///
    /// The opaque comes back in the delivery report; the client never looks at it.
    ///
    /// # Panics
    /// When `i` is past the end or the batch is full.
    #[inline]
    pub fn set(&mut self, i: usize, value: impl Into<MessageValue<'p>>, key: Option<&'p [u8]>, opaque: u64) {
        let message = self.place(value.into(), key, opaque);
        if i < self.messages.len() {
            self.messages[i] = message;
        } else {
            assert!(i == self.messages.len() && i < self.capacity, "message {i} is past the end of the batch");
            self.messages.push(message);
        }
    }

    /// Appends a message.
    ///
    /// # Panics
    /// When the batch is full.
    #[inline]
    pub fn push(&mut self, value: impl Into<MessageValue<'p>>, key: Option<&'p [u8]>, opaque: u64) {
        assert!(self.messages.len() < self.capacity, "the batch is full");
        let message = self.place(value.into(), key, opaque);
        self.messages.push(message);
    }

    #[inline]
    fn place(&mut self, value: MessageValue<'p>, key: Option<&'p [u8]>, opaque: u64) -> RawMessage {
        self.must_copy |= !value.is_lent();
        RawMessage::to_send(value.bytes(), key, opaque)
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether no message is in it.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The most messages that it takes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The opaque of message `i`.
    pub fn opaque(&self, i: usize) -> u64 {
        self.messages[i].opaque()
    }

    /// Why message `i` was refused by the last `produce_run`; `None` when it was accepted.
    pub fn rejection(&self, i: usize) -> Option<ErrorCode> {
        ErrorCode::from_raw(self.messages[i].code)
    }

    /// Keeps the messages that the last `produce_run` refused, in order, so that it can be called again.
    pub fn retain_rejected(&mut self) {
        self.messages.retain(|message| message.code != 0);
    }

    /// Keeps those that were refused with this code: the others are not worth another try.
    pub fn retain_rejected_with(&mut self, code: ErrorCode) {
        self.messages.retain(|message| message.code == code.raw());
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.must_copy = false;
    }

    /// Empties it and lets go of what it borrowed, keeping its memory.
    #[must_use]
    pub fn recycle<'q>(mut self) -> MessageBatch<'q> {
        self.messages.clear();
        MessageBatch { messages: self.messages, capacity: self.capacity, must_copy: false, payloads: PhantomData }
    }

    /// Hands the messages to librdkafka, which copies their keys, and their values unless all are lent by the topic's
    /// instance. Returns how many it accepted; the rest carry their code.
    pub(crate) fn produce(&mut self, topic: &Topic, partition: i32) -> usize {
        let count = c_int::try_from(self.messages.len()).expect("bounded by the capacity");
        // SAFETY: without `must_copy` each value that was placed was a `Lent`, which 'p borrows.
        let lender = topic.arena().filter(|arena| !self.must_copy && unsafe { arena.lend(&self.messages) });
        let flags = if lender.is_some() { 0 } else { sys::RD_KAFKA_MSG_F_COPY };
        // SAFETY: the topic is alive; the array holds `count` messages whose payload and key pointers
        // are borrowed for 'p, which outlives this call. librdkafka always copies keys. With F_COPY it copies values
        // too. Without, each value was given up to be lent, so nobody writes it, and lies in a block that is held until
        // the message is reported, of an arena that this instance keeps until it is destroyed.
        let accepted = unsafe {
            super::rd_kafka_produce_batch(topic.as_ptr(), partition, flags, self.messages.as_mut_ptr(), count)
        };
        let accepted = usize::try_from(accepted).unwrap_or(0);
        if let Some(lender) = lender.filter(|_| accepted < self.messages.len()) {
            lender.take_back(&self.messages);
        }
        accepted
    }
}
