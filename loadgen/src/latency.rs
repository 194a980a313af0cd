//! Latency histograms: microseconds, 1 µs to 10 minutes, three significant digits.
//!
//! Each is owned by one thread at a time: the delivery thread fills a set for a second and hands it over.
//! What is longer than ten minutes counts as ten minutes.

use hdrhistogram::Histogram;

/// Longest latency told apart, microseconds.
const LONGEST_US: u64 = 600_000_000;

/// An empty histogram.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are sound")
}

/// Records a span of nanoseconds.
#[inline]
pub(crate) fn record_ns(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.saturating_record(ns / 1_000);
}

/// Adds a histogram of the same bounds.
pub(crate) fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    to.add(from).expect("all have the same bounds");
}

/// One second's latencies of one producer.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    /// From the intended time, messages of the warm-up.
    pub(crate) warm_up: Histogram<u64>,
    /// From the intended time, measured messages.
    pub(crate) intended: Histogram<u64>,
    /// From the actual send, measured messages.
    pub(crate) send: Histogram<u64>,
}

impl Latencies {
    /// Empty ones.
    pub(crate) fn new() -> Self {
        Self { warm_up: histogram(), intended: histogram(), send: histogram() }
    }

    /// Adds another second's or producer's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (to, from) in
            [(&mut self.warm_up, &other.warm_up), (&mut self.intended, &other.intended), (&mut self.send, &other.send)]
        {
            if !from.is_empty() {
                add(to, from);
            }
        }
    }

    /// Empties them.
    pub(crate) fn clear(&mut self) {
        for histogram in [&mut self.warm_up, &mut self.intended, &mut self.send] {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_microseconds_and_the_longest_is_kept() {
        let mut sum = Latencies::new();
        let mut second = Latencies::new();
        record_ns(&mut second.intended, 1_500_000);
        record_ns(&mut second.send, 3_600_000_000_000);
        sum.add(&second);
        sum.add(&second);
        assert_eq!((sum.intended.len(), sum.intended.min()), (2, 1500));
        assert!(sum.send.max() >= LONGEST_US && sum.send.len() == 2);
        sum.clear();
        assert!(sum.intended.is_empty() && sum.send.is_empty());
    }
}
