//! HDR interval logs of a live scan: end-to-end latency by the second of the intended send time, and the delays of
//! transactions over the whole of the measured part.
//!
//! Of measured messages only: those of the warm-up are marked in their headers. Seconds count from the first
//! intended time that was seen. Microseconds, three significant digits, at most one hour (longer counts as
//! one hour). Memory: below 0.2 MB per second of load.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};

use crate::accounting::SECOND_NS;

/// Tags of the series.
const TAG: &str = "end-to-end";
const VISIBILITY_TAG: &str = "visibility";
pub(crate) const LATENCY_MAX_US: u64 = 3_600_000_000;
/// A week: an intended time beyond is not this load's.
const SECONDS_MAX: u64 = 7 * 24 * 3_600;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are supported")
}

/// Latencies by second.
#[derive(Debug)]
pub struct LatencySeconds {
    /// When second 0 began; all threads share it.
    origin_ns: Arc<OnceLock<u64>>,
    seconds: BTreeMap<u64, Histogram<u64>>,
    /// The second of the last message: most likely that of the next.
    latest: (u64, Histogram<u64>),
}

impl LatencySeconds {
    /// With second 0 beginning at `origin_ns`, nanoseconds since the Unix epoch; the first message sets it.
    pub fn new(origin_ns: Arc<OnceLock<u64>>) -> Self {
        Self { origin_ns, seconds: BTreeMap::new(), latest: (0, histogram()) }
    }

    /// Records one message. A time before the start counts to second 0.
    #[inline]
    pub fn record(&mut self, intended_ns: u64, now_ns: u64) {
        let origin_ns = *self.origin_ns.get_or_init(|| intended_ns);
        let second = intended_ns.saturating_sub(origin_ns) / SECOND_NS;
        if second >= SECONDS_MAX {
            return;
        }
        if second != self.latest.0 {
            self.turn_to(second);
        }
        let latency_us = (now_ns.saturating_sub(intended_ns) / 1_000).min(LATENCY_MAX_US);
        self.latest.1 += latency_us;
    }

    fn turn_to(&mut self, second: u64) {
        let next = self.seconds.remove(&second).unwrap_or_else(histogram);
        let (done, latencies) = std::mem::replace(&mut self.latest, (second, next));
        self.seconds.insert(done, latencies);
    }

    /// When second 0 began, nanoseconds since the Unix epoch; unknown without messages.
    pub fn origin_ns(&self) -> Option<u64> {
        self.origin_ns.get().copied()
    }

    /// All seconds.
    fn all(&self) -> impl Iterator<Item = (u64, &Histogram<u64>)> {
        let latest = std::iter::once((self.latest.0, &self.latest.1));
        self.seconds.iter().map(|(second, latencies)| (*second, latencies)).chain(latest)
    }

    /// Takes over another thread's.
    pub fn merge(&mut self, other: &Self) {
        for (second, latencies) in other.all() {
            if second != self.latest.0 {
                self.turn_to(second);
            }
            self.latest.1 += latencies;
        }
    }

    /// All seconds together.
    pub fn total(&self) -> Histogram<u64> {
        let mut sum = histogram();
        for (_, latencies) in self.all() {
            sum += latencies;
        }
        sum
    }

    /// Writes an HDR interval log: one histogram per second of the intended send time, tag `end-to-end`, base time
    /// the first intended time. Microseconds; the line's maximum is in milliseconds.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut seconds: Vec<_> = self.all().filter(|(_, latencies)| !latencies.is_empty()).collect();
        seconds.sort_by_key(|(second, _)| *second);
        let lines = seconds.into_iter().map(|(second, latencies)| (Duration::from_secs(second), SECOND, latencies));
        write_log(path, "ackmark end-to-end latencies in microseconds", TAG, self.origin_ns().unwrap_or(0), lines)
    }
}

/// Writes the delays of transactions that a scan saw, in so long, from a time of the Unix epoch: one line, tag
/// `visibility`.
pub(crate) fn write_visibility(
    path: &Path,
    since_ns: u64,
    length: Duration,
    delays: &Histogram<u64>,
) -> io::Result<()> {
    let line = (!delays.is_empty()).then_some((Duration::ZERO, length, delays));
    write_log(path, "ackmark delays of transactions in microseconds", VISIBILITY_TAG, since_ns, line)
}

fn write_log<'h>(
    path: &Path,
    comment: &str,
    tag: &str,
    epoch_ns: u64,
    lines: impl IntoIterator<Item = (Duration, Duration, &'h Histogram<u64>)>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let base = SystemTime::UNIX_EPOCH + Duration::from_nanos(epoch_ns);
    {
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment(comment)
            .with_max_value_divisor(1000.0)
            .with_start_time(base)
            .with_base_time(base)
            .begin_log_with(&mut bytes, &mut serializer)?;
        for (from, length, histogram) in lines {
            let written = log.write_histogram(histogram, from, length, Tag::new(tag));
            written.map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
    }
    fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_schema::report::END_TO_END_FILE;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn seconds_are_kept_apart_and_written_in_order() {
        let start = 1_700_000_000 * SECOND_NS;
        let origin = Arc::new(OnceLock::from(start));
        let mut first = LatencySeconds::new(Arc::clone(&origin));
        for (at_ms, latency_us) in [(2_500, 30_u64), (100, 10), (900, 10), (2_600, 50), (1_000, 20)] {
            let intended = start + at_ms * 1_000_000;
            first.record(intended, intended + latency_us * 1_000);
        }
        let mut other = LatencySeconds::new(origin);
        other.record(start + 5 * SECOND_NS, start);
        other.record(start - 1, start + SECOND_NS);
        other.record(u64::MAX, u64::MAX);
        first.merge(&other);
        assert_eq!((first.total().len(), first.total().max() / 1000), (7, 1000));
        let mut alone = LatencySeconds::new(Arc::default());
        assert_eq!(alone.origin_ns(), None);
        alone.record(start, start);
        assert_eq!(alone.origin_ns(), Some(start), "the first message sets it");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(END_TO_END_FILE);
        first.write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let starts: Vec<_> = IntervalLogIterator::new(&bytes)
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(interval) => {
                    Some((interval.start_timestamp().as_secs(), interval.tag().unwrap().as_str().to_owned()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(starts, [0, 1, 2, 5].map(|second| (second, TAG.to_owned())));
    }
}
