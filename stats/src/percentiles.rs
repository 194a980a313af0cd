//! Percentiles of a latency histogram, as far as the sample carries them.
//!
//! They are ranks over all that was sent: a message without a sample was not delivered and ranks above all that
//! were, as a right-censored observation does. A rank above the samples has no value.
//!
//! A percentile is printed only when both ends of its 95 % order-statistic interval exist
//! ([`crate::quantile_ranks`]). Values are the upper ends of the histogram's buckets, so that a latency is
//! never understated.

use ackmark_schema::{
    latency::{LatencySummary, Percentile, REPORTED},
    result::CurvePoint,
};
use hdrhistogram::Histogram;

use crate::ranks::{quantile_ranks, samples_needed};

/// Points of a curve per tenfold on the axis 100 / (100 - percentile).
const POINTS_PER_DECADE: u32 = 10;
/// Last step of a curve: eleven nines, beyond the largest run.
const POINTS_MAX: u32 = 11 * POINTS_PER_DECADE;

/// The reported percentiles of a histogram of microseconds, as ranks over all `sent` messages; at least the
/// samples were sent.
pub fn latency_summary(histogram: &Histogram<u64>, sent: u64) -> LatencySummary {
    let count = histogram.len();
    let sent = sent.max(count);
    LatencySummary {
        count,
        sent,
        min_us: (count > 0).then(|| histogram.min()),
        max_us: (count > 0).then(|| histogram.max()),
        percentiles: REPORTED.iter().map(|percentile| one(histogram, sent, *percentile)).collect(),
    }
}

/// The percentile curve of a histogram of microseconds, as ranks over all `sent` messages: evenly spaced on a
/// nines axis from 0 % to the highest percentile whose upper interval end was delivered. Empty when not even the
/// median is carried.
pub fn curve(histogram: &Histogram<u64>, sent: u64) -> Vec<CurvePoint> {
    let sent = sent.max(histogram.len());
    if one(histogram, sent, 50.0).value_us.is_none() {
        return Vec::new();
    }
    let delivered = |quantile: f64| {
        quantile == 0.0 || quantile_ranks(sent, quantile).high.is_some_and(|rank| rank <= histogram.len())
    };
    (0..=POINTS_MAX)
        .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(POINTS_PER_DECADE)))
        .take_while(|quantile| delivered(*quantile))
        .map(|quantile| CurvePoint {
            percentile: quantile * 100.0,
            value_us: value_at(histogram, point_rank(sent, quantile)),
        })
        .collect()
}

fn one(histogram: &Histogram<u64>, sent: u64, percentile: f64) -> Percentile {
    let quantile = percentile / 100.0;
    let needs = samples_needed(quantile);
    let ranks = quantile_ranks(sent, quantile);
    let (Some(low), Some(high)) = (ranks.low, ranks.high.filter(|rank| *rank <= histogram.len())) else {
        return Percentile { percentile, value_us: None, low_us: None, high_us: None, needs };
    };
    Percentile {
        percentile,
        value_us: Some(value_at(histogram, point_rank(sent, quantile))),
        low_us: Some(value_at(histogram, low)),
        high_us: Some(value_at(histogram, high)),
        needs,
    }
}

/// Rank, from 1, of the smallest sample that has at least a share of `quantile` at or below it.
fn point_rank(count: u64, quantile: f64) -> u64 {
    // A little less than the product: 0.999 * 1000 is 999.0000000000001 in floating point.
    ((quantile * count as f64 * (1.0 - 1e-12)).ceil() as u64).clamp(1, count)
}

/// The sample of a rank, from 1.
fn value_at(histogram: &Histogram<u64>, rank: u64) -> u64 {
    // Half a rank below, so that rounding in the histogram cannot reach the next one.
    histogram.value_at_quantile((rank as f64 - 0.5) / histogram.len() as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        for value in values {
            histogram.record(value).unwrap();
        }
        histogram
    }

    #[test]
    fn a_percentile_that_the_sample_cannot_carry_says_what_it_needs() {
        let summary = latency_summary(&histogram(1..=1000), 1000);
        let p99 = summary.at(99.0).unwrap();
        assert_eq!((p99.value_us, p99.needs), (Some(990), 368));
        // Of Binomial(1000, 0.01): P(B <= 3) = 0.010, P(B <= 17) = 0.986.
        assert_eq!((p99.low_us, p99.high_us), (Some(983), Some(997)));
        let p999 = summary.at(99.9).unwrap();
        assert_eq!((p999.value_us, p999.low_us, p999.high_us, p999.needs), (None, None, None, 3688));
        assert_eq!((summary.count, summary.min_us, summary.max_us), (1000, Some(1), Some(1000)));
    }

    #[test]
    fn an_empty_histogram_has_no_values() {
        let summary = latency_summary(&histogram([]), 0);
        assert_eq!((summary.min_us, summary.max_us), (None, None));
        assert!(summary.percentiles.iter().all(|entry| entry.value_us.is_none() && entry.needs > 0));
        assert!(curve(&histogram([]), 0).is_empty());
    }

    #[test]
    fn a_curve_ends_at_the_highest_percentile_that_is_carried() {
        let points = curve(&histogram(1..=40_000), 40_000);
        let last = points.last().unwrap();
        assert!((last.percentile - 99.99).abs() < 1e-9, "{last:?}");
        assert_eq!(points.len(), 41);
        let shorter = curve(&histogram(1..=36_000), 36_000);
        assert!(shorter.last().unwrap().percentile < 99.99);
        assert!(curve(&histogram(1..=5), 5).is_empty());
    }

    #[test]
    fn percentiles_are_ranks_over_all_that_was_sent() {
        let summary = latency_summary(&histogram(1..=1000), 2000);
        let p75 = summary.at(75.0).unwrap();
        assert_eq!((summary.count, summary.sent, p75.value_us), (1000, 2000, None), "it was not delivered");
        assert_eq!(summary.why_absent(p75).as_deref(), Some("50.0 % not delivered"));
        assert_eq!(summary.at(50.0).unwrap().value_us, None, "its interval reaches above what was delivered");
        let most = latency_summary(&histogram(1..=1000), 1100);
        assert_eq!(most.at(50.0).unwrap().value_us, Some(550), "the 550th of 1,100");
        assert_eq!(most.at(75.0).unwrap().value_us, Some(825));
        assert_eq!(most.at(95.0).unwrap().value_us, None);
        let last = *curve(&histogram(1..=1000), 1100).last().unwrap();
        assert!((80.0..91.0).contains(&last.percentile) && last.value_us <= 1000, "{last:?}");
        assert!(curve(&histogram(1..=1000), 2000).is_empty());
    }

    proptest! {
        #[test]
        fn percentiles_are_the_samples_of_their_ranks(mut values in prop::collection::vec(1_u64..2000, 6..400)) {
            // Below 2,048 µs each bucket of three significant figures is one value wide.
            let summary = latency_summary(&histogram(values.iter().copied()), values.len() as u64);
            values.sort_unstable();
            for entry in summary.percentiles {
                let Some(value) = entry.value_us else {
                    prop_assert!((values.len() as u64) < entry.needs);
                    continue;
                };
                let ranks = quantile_ranks(values.len() as u64, entry.percentile / 100.0);
                prop_assert_eq!(entry.low_us, ranks.low.map(|rank| values[rank as usize - 1]));
                prop_assert_eq!(entry.high_us, ranks.high.map(|rank| values[rank as usize - 1]));
                let at_or_below = values.iter().filter(|other| **other <= value).count();
                prop_assert!(at_or_below as f64 >= entry.percentile / 100.0 * values.len() as f64 - 1e-6);
                let below = values.iter().filter(|other| **other < value).count();
                prop_assert!((below as f64) < entry.percentile / 100.0 * values.len() as f64);
            }
        }

        #[test]
        fn a_curve_rises(values in prop::collection::vec(1_u64..10_000_000, 6..400)) {
            let sent = values.len() as u64;
            let points = curve(&histogram(values), sent);
            prop_assert!(points.windows(2).all(|two| two[0].value_us <= two[1].value_us
                && two[0].percentile < two[1].percentile));
        }
    }
}
