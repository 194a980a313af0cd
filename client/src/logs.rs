//! Where librdkafka's log lines go: a closure of the caller's. Never to stdout or stderr by themselves.

use std::fmt;
use std::sync::Arc;

/// One line of librdkafka's log.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// Syslog severity: 0 emergency to 7 debug; 3 is an error, 4 a warning.
    pub level: u8,
    /// A short label, for example `FAIL`.
    pub facility: &'a str,
    /// The text, with the thread that wrote it.
    pub message: &'a str,
}

/// Takes log lines on librdkafka's threads: it must be quick and must not panic.
#[derive(Clone)]
pub struct LogSink(Arc<dyn Fn(&LogLine<'_>) + Send + Sync>);

impl LogSink {
    /// Hands every line to `sink`. How many lines there are is set by librdkafka's `log_level` and `debug`.
    pub fn new(sink: impl Fn(&LogLine<'_>) + Send + Sync + 'static) -> Self {
        LogSink(Arc::new(sink))
    }

    /// Drops every line. Errors still come as events.
    pub fn discard() -> Self {
        LogSink::new(|_| {})
    }

    pub(crate) fn write(&self, line: &LogLine<'_>) {
        (self.0)(line);
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}
