//! Configurations: setting properties, reading back what is in effect, librdkafka's own table of them.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::NonNull;
use std::slice;

use rdkafka_sys as sys;

use super::{ErrorText, c_string, owned};
use crate::errors::ClientError;
use crate::logs::{LogLine, LogSink};

/// An owned `rd_kafka_conf_t` whose log lines go to a sink.
pub(crate) struct Conf {
    conf: NonNull<sys::rd_kafka_conf_t>,
    logs: Box<LogSink>,
}

/// Why librdkafka did not take a property.
pub(crate) enum SetError {
    Unknown,
    Invalid(String),
}

impl Conf {
    pub(crate) fn new(logs: LogSink) -> Self {
        let logs = Box::new(logs);
        // SAFETY: plain constructors, which abort rather than fail. The default topic configuration is
        // handed over to `conf`. The opaque outlives the client: see `Handle`.
        let conf = unsafe {
            let conf = sys::rd_kafka_conf_new();
            // Without one, librdkafka does not adjust topic-level defaults until a topic is opened, and
            // reading them back would show what is not in effect (rd_kafka_conf_finalize, 2.12.1).
            sys::rd_kafka_conf_set_default_topic_conf(conf, sys::rd_kafka_topic_conf_new());
            sys::rd_kafka_conf_set_opaque(conf, std::ptr::from_ref::<LogSink>(&logs).cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            conf
        };
        Conf { conf: NonNull::new(conf).expect("rd_kafka_conf_new does not fail"), logs }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SetError> {
        let invalid = |error: ClientError| SetError::Invalid(error.to_string());
        let name = c_string("property name", name).map_err(invalid)?;
        let value = c_string("property value", value).map_err(invalid)?;
        let mut reason = ErrorText::new();
        // SAFETY: all pointers live for the call; the buffer has the size given.
        let result = unsafe {
            sys::rd_kafka_conf_set(
                self.conf.as_ptr(),
                name.as_ptr(),
                value.as_ptr(),
                reason.as_mut_ptr(),
                super::ERROR_BUFFER,
            )
        };
        match result {
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(SetError::Unknown),
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => Err(SetError::Invalid(reason.text())),
        }
    }

    /// Delivery reports (when asked for), errors and statistics come as events of the main queue.
    pub(crate) fn enable_events(&mut self, deliveries: bool) {
        let mut events = sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_STATS;
        if deliveries {
            events |= sys::RD_KAFKA_EVENT_DR;
        }
        // SAFETY: the configuration is ours.
        unsafe { sys::rd_kafka_conf_set_events(self.conf.as_ptr(), events) };
    }

    /// Gives up ownership of the configuration; the caller destroys it or hands it on.
    pub(super) fn into_parts(self) -> (NonNull<sys::rd_kafka_conf_t>, Box<LogSink>) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the box is moved out once.
        (this.conf, unsafe { std::ptr::read(&raw const this.logs) })
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: ours, not handed to a client.
        unsafe { sys::rd_kafka_conf_destroy(self.conf.as_ptr()) };
    }
}

/// librdkafka's log callback. A sink that panics aborts the process: unwinding must not cross into C.
extern "C" fn on_log(client: *const sys::rd_kafka_t, level: c_int, facility: *const c_char, text: *const c_char) {
    if client.is_null() {
        return;
    }
    // SAFETY: the opaque of every client made here is a `LogSink` that outlives it; both strings live
    // for the call.
    unsafe {
        let sink = sys::rd_kafka_opaque(client).cast::<LogSink>();
        if let Some(sink) = sink.as_ref() {
            sink.write(&LogLine {
                level: u8::try_from(level).unwrap_or(7),
                facility: &owned(facility),
                message: &owned(text),
            });
        }
    }
}

/// Names and values as librdkafka prints them, unfiltered.
pub(crate) struct Dump {
    pub(crate) global: Vec<(String, String)>,
    pub(crate) topic: Vec<(String, String)>,
}

impl Dump {
    /// # Safety
    /// Both are alive.
    pub(super) unsafe fn read(conf: *mut sys::rd_kafka_conf_t, topic_conf: *mut sys::rd_kafka_topic_conf_t) -> Self {
        let mut count = 0;
        // SAFETY: by this function's contract; each array is freed by `pairs`.
        unsafe {
            let global = pairs(sys::rd_kafka_conf_dump(conf, &raw mut count), count);
            let topic = pairs(sys::rd_kafka_topic_conf_dump(topic_conf, &raw mut count), count);
            Dump { global, topic }
        }
    }
}

/// # Safety
/// `array` comes from a dump function that wrote `count`.
unsafe fn pairs(array: *mut *const c_char, count: usize) -> Vec<(String, String)> {
    // SAFETY: `count` strings, name and value in turn; a value may be null.
    unsafe {
        let strings = slice::from_raw_parts(array, count);
        let pairs = strings.chunks_exact(2).map(|pair| (owned(pair[0]), owned(pair[1]))).collect();
        sys::rd_kafka_conf_dump_free(array, count);
        pairs
    }
}

/// librdkafka's table of its properties, in Markdown (what its CONFIGURATION.md is made from).
pub(crate) fn properties_table() -> String {
    let mut text: *mut c_char = std::ptr::null_mut();
    let mut size: usize = 0;
    // SAFETY: open_memstream writes both variables at fclose; the buffer is ours to free. `FILE` is the
    // C library's on both sides.
    unsafe {
        let stream = libc::open_memstream(&raw mut text, &raw mut size);
        if stream.is_null() {
            return String::new();
        }
        sys::rd_kafka_conf_properties_show(stream);
        libc::fclose(stream);
        if text.is_null() {
            return String::new();
        }
        let table = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        table
    }
}
