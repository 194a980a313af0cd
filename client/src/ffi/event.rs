//! Events: delivery reports, errors, statistics and answers of admin operations.

use std::ptr::NonNull;

use rdkafka_sys as sys;

use super::arena::Arena;
use super::handle::Queue;
use super::message::RawMessage;
use super::owned;
use crate::errors::ErrorCode;

/// What an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Delivery,
    Error,
    Statistics,
    /// An answer of an admin operation, by librdkafka's number.
    Other(i32),
}

/// An owned event of a queue.
pub(crate) struct Event<'q> {
    event: NonNull<sys::rd_kafka_event_t>,
    queue: &'q Queue,
}

impl<'q> Event<'q> {
    pub(super) fn own(event: *mut sys::rd_kafka_event_t, queue: &'q Queue) -> Option<Self> {
        Some(Event { event: NonNull::new(event)?, queue })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.event.as_ptr()
    }

    pub(crate) fn kind(&self) -> EventKind {
        // SAFETY: the event is ours.
        match unsafe { sys::rd_kafka_event_type(self.as_ptr()) } {
            sys::RD_KAFKA_EVENT_DR => EventKind::Delivery,
            sys::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            sys::RD_KAFKA_EVENT_STATS => EventKind::Statistics,
            other => EventKind::Other(other),
        }
    }

    /// Takes all messages of a delivery event into `buffer`. A second call takes none.
    fn messages<'e>(&'e self, buffer: &'e mut MessageBuffer) -> &'e [&'e RawMessage] {
        buffer.0.clear();
        // SAFETY: the event is ours.
        let count = unsafe { sys::rd_kafka_event_message_count(self.as_ptr()) };
        // Bounded by `queue.buffering.max.messages`; the memory is kept for the next event.
        buffer.0.reserve(count);
        // SAFETY: `reserve` made room for `count` pointers; librdkafka writes the number it returns and
        // each points to a message that lives until the event is destroyed.
        unsafe {
            let filled = sys::rd_kafka_event_message_array(self.as_ptr(), buffer.0.as_mut_ptr().cast(), count);
            buffer.0.set_len(filled);
        }
        // SAFETY: non-null pointers to messages that live as long as the event, which 'e borrows;
        // `RawMessage` has the layout of theirs (checked at compile time), a reference that of a pointer.
        unsafe { std::slice::from_raw_parts(buffer.0.as_ptr().cast(), buffer.0.len()) }
    }

    /// Shows all messages of a delivery event, and then takes back what they were lent. A second call shows none.
    pub(crate) fn deliver(&self, buffer: &mut MessageBuffer, show: impl FnOnce(&[&RawMessage])) {
        let messages = self.messages(buffer);
        // Asked for now, when these messages are there: the instance may have begun to lend while this was waited for.
        let _reported = self.queue.arena().map(|arena| Reported { arena, messages });
        show(messages);
    }

    /// The event's code, `None` when it carries no error.
    pub(crate) fn error(&self) -> Option<ErrorCode> {
        // SAFETY: the event is ours.
        ErrorCode::from_raw(unsafe { super::rd_kafka_event_error(self.as_ptr()) })
    }

    /// The text that goes with the code.
    pub(crate) fn error_reason(&self) -> String {
        // SAFETY: the string lives as long as the event and is copied.
        unsafe { owned(sys::rd_kafka_event_error_string(self.as_ptr())) }
    }

    /// Whether an error event reports that the client can do nothing more.
    pub(crate) fn is_fatal(&self) -> bool {
        // SAFETY: the caller asks it of error events only, whose union holds the flag.
        self.kind() == EventKind::Error && unsafe { sys::rd_kafka_event_error_is_fatal(self.as_ptr()) } != 0
    }

    /// The JSON of a statistics event.
    pub(crate) fn statistics(&self) -> Option<&str> {
        if self.kind() != EventKind::Statistics {
            return None;
        }
        // SAFETY: a statistics event holds a string that lives as long as it.
        let json = unsafe { sys::rd_kafka_event_stats(self.as_ptr()) };
        if json.is_null() {
            return None;
        }
        // SAFETY: as above.
        unsafe { std::ffi::CStr::from_ptr(json) }.to_str().ok()
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.as_ptr()) };
    }
}

/// Takes back what messages were lent when it is dropped: also when whoever looks at them panics, for they are told once.
struct Reported<'e> {
    arena: &'e Arena,
    messages: &'e [&'e RawMessage],
}

impl Drop for Reported<'_> {
    fn drop(&mut self) {
        self.arena.take_reported(self.messages);
    }
}

/// Reusable room for the message pointers of one delivery event.
#[derive(Default)]
pub(crate) struct MessageBuffer(Vec<*const RawMessage>);

// SAFETY: the pointers are read only through `Event::messages`, which fills them anew each time.
unsafe impl Send for MessageBuffer {}
