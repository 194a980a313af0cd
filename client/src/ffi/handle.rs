//! A client instance, its topics and its queues.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka_sys as sys;

use super::arena::Arena;
use super::conf::{Conf, Dump};
use super::event::Event;
use super::{ErrorText, owned, timeout_ms};
use crate::errors::{ClientError, ErrorCode};
use crate::logs::LogSink;

/// What an instance is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Producer,
    Consumer,
}

/// An owned `rd_kafka_t`.
pub(crate) struct Handle {
    client: NonNull<sys::rd_kafka_t>,
    /// librdkafka's log callback reads it through the instance's opaque, so it is freed after the instance.
    _logs: Box<LogSink>,
    /// What librdkafka may still read, freed after the instance too.
    arena: OnceLock<Arc<Arena>>,
}

// SAFETY: librdkafka's client object is thread-safe (rdkafka.h, "Thread safety"); `LogSink` is Send and Sync.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    pub(crate) fn new(kind: Kind, conf: Conf) -> Result<Arc<Handle>, ClientError> {
        let kind = match kind {
            Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Kind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        let mut reason = ErrorText::new();
        let (conf, logs) = conf.into_parts();
        // SAFETY: a valid configuration; librdkafka owns it when this succeeds, we do when it fails.
        let client = unsafe { sys::rd_kafka_new(kind, conf.as_ptr(), reason.as_mut_ptr(), super::ERROR_BUFFER) };
        if let Some(client) = NonNull::new(client) {
            return Ok(Arc::new(Handle { client, _logs: logs, arena: OnceLock::new() }));
        }
        // SAFETY: not consumed, by the contract of rd_kafka_new.
        unsafe { sys::rd_kafka_conf_destroy(conf.as_ptr()) };
        Err(ClientError::Create { reason: reason.text() })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.as_ptr()
    }

    /// What it lends to librdkafka, if it does.
    #[inline]
    pub(crate) fn arena(&self) -> Option<&Arc<Arena>> {
        self.arena.get()
    }

    /// Keeps an arena for as long as the instance lives; gives the one that it has already, if it has.
    pub(crate) fn keep(&self, arena: Arc<Arena>) -> &Arc<Arena> {
        self.arena.get_or_init(|| arena)
    }

    /// The queue that delivery reports, errors and statistics come from.
    pub(crate) fn main_queue(self: &Arc<Self>) -> Queue {
        // SAFETY: the instance is alive; the reference that this returns is given back by `Queue`'s drop.
        Queue::own(unsafe { sys::rd_kafka_queue_get_main(self.as_ptr()) }, self)
    }

    /// A queue of one's own.
    pub(crate) fn new_queue(self: &Arc<Self>) -> Queue {
        // SAFETY: as in `main_queue`.
        Queue::own(unsafe { sys::rd_kafka_queue_new(self.as_ptr()) }, self)
    }

    /// A topic handle with the default topic configuration.
    pub(crate) fn topic(self: &Arc<Self>, name: &str) -> Result<Topic, ClientError> {
        let c_name = super::c_string("topic name", name)?;
        // SAFETY: the name lives for the call; a null configuration means the default one.
        let topic = unsafe { sys::rd_kafka_topic_new(self.as_ptr(), c_name.as_ptr(), std::ptr::null_mut()) };
        if let Some(topic) = NonNull::new(topic) {
            return Ok(Topic { topic, handle: Arc::clone(self) });
        }
        // SAFETY: reads a thread-local that the call above set to one of librdkafka's own codes.
        let code = unsafe { sys::rd_kafka_last_error() } as i32;
        Err(ClientError::operation(format!("open topic '{name}'"), ErrorCode::of(code), ""))
    }

    /// Messages and requests that wait to be sent or acknowledged, and events that wait to be served.
    pub(crate) fn outq_len(&self) -> usize {
        // SAFETY: the instance is alive.
        usize::try_from(unsafe { sys::rd_kafka_outq_len(self.as_ptr()) }).unwrap_or(0)
    }

    /// Waits until no message is outstanding; false when the time is up.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        // SAFETY: the instance is alive. The code is librdkafka's own (NO_ERROR, _TIMED_OUT).
        let code = unsafe { sys::rd_kafka_flush(self.as_ptr(), timeout_ms(timeout)) };
        code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Fails what waits to be sent and, on request, what is in flight. Does not wait for broker threads.
    pub(crate) fn purge(&self, in_flight: bool) {
        let mut flags = sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        if in_flight {
            flags |= sys::RD_KAFKA_PURGE_F_INFLIGHT;
        }
        // SAFETY: the instance is alive; fails only for a client that is no producer.
        unsafe { sys::rd_kafka_purge(self.as_ptr(), flags) };
    }

    /// The first fatal error, which ends the client's usefulness.
    pub(crate) fn fatal_error(&self) -> Option<(ErrorCode, String)> {
        let mut reason = ErrorText::new();
        // SAFETY: the buffer has the size given.
        let code = unsafe { super::rd_kafka_fatal_error(self.as_ptr(), reason.as_mut_ptr(), super::ERROR_BUFFER) };
        ErrorCode::from_raw(code).map(|code| (code, reason.text()))
    }

    /// The name that librdkafka gave the client, for example `rdkafka#producer-1`.
    pub(crate) fn name(&self) -> String {
        // SAFETY: the string lives as long as the instance.
        unsafe { owned(sys::rd_kafka_name(self.as_ptr())) }
    }

    /// Global and topic-level properties as the client uses them now.
    pub(crate) fn dump(&self) -> Dump {
        // Not rd_kafka_default_topic_conf_dup: a duplicate drops what librdkafka adjusted by itself.
        // SAFETY: lends the instance's configuration and the topic configuration within, which is there
        // since `Conf::new` sets one; the dump only reads.
        unsafe {
            let conf = sys::rd_kafka_conf(self.as_ptr()).cast_mut();
            Dump::read(conf, sys::rd_kafka_conf_get_default_topic_conf(conf))
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the last owner: queues and topics hold an Arc of this, so all of them are gone.
        unsafe { sys::rd_kafka_destroy(self.as_ptr()) };
    }
}

/// An owned reference to a topic.
pub(crate) struct Topic {
    topic: NonNull<sys::rd_kafka_topic_t>,
    handle: Arc<Handle>,
}

// SAFETY: topic objects are thread-safe and reference-counted by librdkafka.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    /// What the topic's instance lends to librdkafka, if it does.
    #[inline]
    pub(super) fn arena(&self) -> Option<&Arena> {
        self.handle.arena().map(AsRef::as_ref)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_t {
        self.topic.as_ptr()
    }

    pub(crate) fn name(&self) -> &str {
        // SAFETY: the name lives as long as the topic.
        let name = unsafe { std::ffi::CStr::from_ptr(sys::rd_kafka_topic_name(self.as_ptr())) };
        name.to_str().unwrap_or("")
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once, before the instance (field order) goes.
        unsafe { sys::rd_kafka_topic_destroy(self.as_ptr()) };
    }
}

/// An owned reference to a queue.
pub(crate) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    handle: Arc<Handle>,
}

// SAFETY: queues are locked by librdkafka.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    fn own(queue: *mut sys::rd_kafka_queue_t, handle: &Arc<Handle>) -> Self {
        let queue = NonNull::new(queue).expect("librdkafka's queue constructors do not fail");
        Queue { queue, handle: Arc::clone(handle) }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// What the queue's instance lends to librdkafka, if it does.
    #[inline]
    pub(super) fn arena(&self) -> Option<&Arena> {
        self.handle.arena().map(AsRef::as_ref)
    }

    /// The next event, waiting for it at most `timeout`.
    pub(crate) fn poll(&self, timeout: Duration) -> Option<Event<'_>> {
        // SAFETY: the queue is alive; the event that this returns is ours.
        Event::own(unsafe { sys::rd_kafka_queue_poll(self.as_ptr(), timeout_ms(timeout)) }, self)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our reference, given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.as_ptr()) };
    }
}

/// Names for a C array of strings, kept alive beside their pointers.
pub(super) fn c_strings(what: &'static str, names: &[&str]) -> Result<Vec<CString>, ClientError> {
    names.iter().map(|name| super::c_string(what, name)).collect()
}

/// A count that C takes as int.
pub(super) fn c_count(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}
