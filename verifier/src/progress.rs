//! What a verification tells while it runs.

use std::time::Duration;

use ackmark_schema::report::verify::{Isolation, Scan};

/// Takes events on the verifying thread; it must be quick.
pub trait Progress {
    /// Something happened.
    fn event(&self, event: &ProgressEvent<'_>);
}

/// No one listens.
impl Progress for () {
    fn event(&self, _event: &ProgressEvent<'_>) {}
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProgressEvent<'a> {
    /// It waits for something.
    Waiting(&'a str),
    /// A scan runs; about twenty times per second.
    Scanning {
        /// What it is shown.
        isolation: Isolation,
        /// Whether it follows a load.
        live: bool,
        /// Records read so far.
        records: u64,
        /// Offsets from the starts to the ends, once the ends are known.
        offsets: Option<u64>,
        /// Since its start.
        elapsed: Duration,
    },
    /// A scan ended.
    Scanned(&'a Scan),
    /// Something that the user should know.
    Note(&'a str),
}
