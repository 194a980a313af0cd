//! A figure over trials: its median with an order-statistic interval.

use ackmark_schema::result::Estimate;

use crate::ranks::quantile_ranks;

/// The median of the trials, with the interval that holds the true median in at least 95 % of such
/// samples; below six trials there is no such interval. `None` without trials or with one that is not a
/// number.
pub fn median_interval(trials: &[f64]) -> Option<Estimate> {
    if trials.is_empty() || trials.iter().any(|figure| !figure.is_finite()) {
        return None;
    }
    let mut sorted = trials.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ranks = quantile_ranks(sorted.len() as u64, 0.5);
    let interval = ranks.low.zip(ranks.high).map(|(low, high)| (sorted[low as usize - 1], sorted[high as usize - 1]));
    Some(Estimate {
        median: median_of_sorted(&sorted),
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        confidence: interval.map(|_| ranks.confidence),
        min: sorted[0],
        max: sorted[sorted.len() - 1],
        n: sorted.len() as u32,
    })
}

/// The middle of a sorted, non-empty slice.
pub(crate) fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn six_trials_carry_an_interval_and_five_do_not() {
        let six = median_interval(&[3.0, 1.0, 2.0, 6.0, 5.0, 4.0]).unwrap();
        assert_eq!((six.median, six.low, six.high, six.n), (3.5, Some(1.0), Some(6.0), 6));
        assert!((six.confidence.unwrap() - 0.96875).abs() < 1e-12);
        let five = median_interval(&[3.0, 1.0, 2.0, 5.0, 4.0]).unwrap();
        assert_eq!((five.median, five.low, five.high, five.confidence), (3.0, None, None, None));
        assert_eq!((five.min, five.max), (1.0, 5.0));
        assert_eq!(median_interval(&[]), None);
        assert_eq!(median_interval(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn the_interval_covers_the_true_median_as_often_as_it_says() {
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(1);
        let runs = 20_000;
        let covered = (0..runs)
            .filter(|_| {
                // Skewed: the median of -ln(u) is ln 2.
                let trials: Vec<f64> = (0..10).map(|_| -(1.0 - random.random::<f64>()).ln()).collect();
                let found = median_interval(&trials).unwrap();
                (found.low.unwrap()..=found.high.unwrap()).contains(&std::f64::consts::LN_2)
            })
            .count();
        let share = f64::from(covered as u32) / f64::from(runs);
        assert!((share - 0.978_515_625).abs() < 0.005, "{share}");
    }
}
