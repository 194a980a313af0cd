//! Everything unsafe: owned librdkafka objects behind safe methods.
//!
//! Rules that hold here:
//! - [`handle::Handle`] owns the client instance. Topics and queues hold an `Arc` of it, so the instance
//!   is destroyed last, whatever order the caller drops things in.
//! - Codes that a broker may send are read as `i32`, never as `rdkafka_sys`' Rust enum: a broker newer
//!   than the binding sends codes that the enum does not have, and such a value in an enum is undefined
//!   behaviour. Hence [`message::RawMessage`] and the functions declared anew below.
//! - Values in [`arena`] blocks are lent to librdkafka; the instance keeps the arena until it is destroyed.
//! - Pointers that librdkafka lends are turned into owned values, or into borrows of their owner, here.

#![allow(unsafe_code)]

pub(crate) mod admin;
pub(crate) mod arena;
pub(crate) mod conf;
pub(crate) mod consume;
pub(crate) mod event;
pub(crate) mod handle;
pub(crate) mod message;
pub(crate) mod mock;
pub(crate) mod transaction;

use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use rdkafka_sys as sys;

use crate::errors::ClientError;

/// Size of the buffers that librdkafka writes error strings to (`rdkafka.h` uses 512 throughout).
const ERROR_BUFFER: usize = 512;

unsafe extern "C" {
    fn rd_kafka_err2name(code: c_int) -> *const c_char;
    fn rd_kafka_err2str(code: c_int) -> *const c_char;
    fn rd_kafka_error_code(error: *const sys::rd_kafka_error_t) -> c_int;
    fn rd_kafka_event_error(event: *mut sys::rd_kafka_event_t) -> c_int;
    fn rd_kafka_fatal_error(client: *mut sys::rd_kafka_t, reason: *mut c_char, size: usize) -> c_int;
    fn rd_kafka_metadata(
        client: *mut sys::rd_kafka_t,
        all_topics: c_int,
        only_topic: *mut sys::rd_kafka_topic_t,
        metadata: *mut *const sys::rd_kafka_metadata,
        timeout_ms: c_int,
    ) -> c_int;
    fn rd_kafka_topic_result_error(result: *const sys::rd_kafka_topic_result_t) -> c_int;
    fn rd_kafka_ConfigResource_error(resource: *const sys::rd_kafka_ConfigResource_t) -> c_int;
    fn rd_kafka_produce_batch(
        topic: *mut sys::rd_kafka_topic_t,
        partition: i32,
        flags: c_int,
        messages: *mut message::RawMessage,
        count: c_int,
    ) -> c_int;
    fn rd_kafka_mock_topic_set_error(cluster: *mut sys::rd_kafka_mock_cluster_t, topic: *const c_char, code: c_int);
    fn rd_kafka_mock_push_request_errors_array(
        cluster: *mut sys::rd_kafka_mock_cluster_t,
        api_key: i16,
        count: usize,
        codes: *const c_int,
    );
}

/// librdkafka's name of a code, for example `MSG_SIZE_TOO_LARGE`.
pub(crate) fn code_name(code: i32) -> String {
    // SAFETY: takes any int; returns a static string or one in a thread-local buffer, copied at once.
    unsafe { owned(rd_kafka_err2name(code)) }
}

/// librdkafka's description of a code.
pub(crate) fn code_description(code: i32) -> String {
    // SAFETY: as in `code_name`.
    unsafe { owned(rd_kafka_err2str(code)) }
}

/// librdkafka's version, for example `2.12.1`.
pub(crate) fn version() -> String {
    // SAFETY: returns a static string.
    unsafe { owned(sys::rd_kafka_version_str()) }
}

/// Copies a C string; a null pointer is the empty string.
///
/// # Safety
/// `text` is null or points to a string that ends in NUL and lives until this returns.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A C string from text that a user may have given.
pub(crate) fn c_string(what: &'static str, text: &str) -> Result<CString, ClientError> {
    CString::new(text).map_err(|_| ClientError::NulByte { what })
}

/// A timeout as librdkafka takes it. Never -1 (for ever): every wait has a bound.
pub(crate) fn timeout_ms(timeout: Duration) -> c_int {
    // Rounded up, so that a wait of less than a millisecond is not a busy loop.
    let ms = timeout.as_nanos().div_ceil(1_000_000);
    c_int::try_from(ms).unwrap_or(c_int::MAX)
}

/// A buffer that librdkafka writes an error text to.
struct ErrorText([c_char; ERROR_BUFFER]);

impl ErrorText {
    fn new() -> Self {
        ErrorText([0; ERROR_BUFFER])
    }

    fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    fn text(&self) -> String {
        // SAFETY: zeroed at first and written by snprintf with the size given, so it ends in NUL.
        unsafe { owned(self.0.as_ptr()) }
    }
}
