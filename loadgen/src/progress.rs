//! How a load goes, for whoever watches.

use std::time::Duration;

/// What a load is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Sending, not yet measured.
    WarmUp,
    /// Sending, measured.
    Measuring,
    /// Waiting for the last reports.
    Draining,
}

/// How a load goes. Rates and percentiles are of the last complete second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// What it is doing.
    pub stage: Stage,
    /// Since the first message was to be sent.
    pub elapsed: Duration,
    /// Messages sent, all in all.
    pub sent: u64,
    /// Messages delivered, all in all; under acks=0 those written to a socket.
    pub delivered: u64,
    /// Messages delivered per second, since the last update.
    pub rate_per_s: f64,
    /// Messages failed or indeterminate by an error, all in all.
    pub errors: u64,
    /// Messages outstanding.
    pub outstanding: u64,
    /// Median latency from the intended time (open loop only).
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
}

/// Hears how a load goes: at most four times a second, on a thread that neither sends nor measures.
pub trait Progress {
    /// How it goes.
    fn update(&self, update: &Update);
}

/// Does not listen.
impl Progress for () {
    fn update(&self, _update: &Update) {}
}
