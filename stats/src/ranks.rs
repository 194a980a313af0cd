//! Order-statistic intervals of a quantile.
//!
//! Model: of n independent samples the number at or below the true q-quantile is Binomial(n, q), whatever
//! their distribution. So the samples of rank l and u (from 1) enclose the quantile with probability
//! P(l <= B <= u - 1), and equal tails take the largest l with P(B <= l - 1) and the smallest u with
//! P(B >= u) of at most 2.5 % each. Source: Conover, Practical Nonparametric Statistics, 3rd ed., 3.2;
//! David and Nagaraja, Order Statistics, 3rd ed., 7.1.
//!
//! The binomial is summed exactly while n·min(q, 1-q) is at most 500. Beyond, its normal approximation
//! with continuity correction is used; its tails are then off by less than 0.1 percentage points.

use crate::{CONFIDENCE, TAIL, Z};

/// Largest mean of the rarer side for which the binomial is summed exactly: its first term, about
/// exp(-mean) or 2^-1000, must not underflow.
const EXACT_MEAN_MAX: f64 = 500.0;

/// Ranks, from 1, whose samples enclose a quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranks {
    /// Rank of the lower end; absent when the sample is too small for one.
    pub low: Option<u64>,
    /// Rank of the upper end; absent when the sample is too small for one.
    pub high: Option<u64>,
    /// Probability that the interval holds the quantile; a missing end counts as unbounded.
    pub confidence: f64,
}

/// The ranks that enclose the `quantile` (above 0, below 1) of a sample of `n`.
pub fn quantile_ranks(n: u64, quantile: f64) -> Ranks {
    // Counted from the rarer side, so that the sum is short; ranks are mirrored back.
    let mirrored = quantile > 0.5;
    let rare = if mirrored { 1.0 - quantile } else { quantile };
    let mean = n as f64 * rare;
    let (low, high, confidence) = if mean <= EXACT_MEAN_MAX { exact(n, rare) } else { normal(n, rare) };
    let low = (low >= 1).then_some(low);
    let high = (high <= n).then_some(high);
    if mirrored {
        let mirror = |rank: u64| n + 1 - rank;
        Ranks { low: high.map(mirror), high: low.map(mirror), confidence }
    } else {
        Ranks { low, high, confidence }
    }
}

/// Samples from which both ends of the quantile's interval exist: q^n and (1-q)^n are at most 2.5 %.
pub fn samples_needed(quantile: f64) -> u64 {
    let common = quantile.max(1.0 - quantile);
    (TAIL.ln() / common.ln()).ceil() as u64
}

/// `(l, u, P(l <= B <= u - 1))`; l = 0 and u = n + 1 stand for no end.
fn exact(n: u64, p: f64) -> (u64, u64, f64) {
    let odds = p / (1.0 - p);
    let mut term = (n as f64 * (-p).ln_1p()).exp();
    let (mut below, mut low) = (0.0, (0, 0.0));
    let mut count = 0;
    // `below` is P(B <= count - 1).
    loop {
        if below <= TAIL {
            low = (count, below);
        }
        if below >= 1.0 - TAIL || count > n {
            return (low.0, count, below.min(1.0) - low.1);
        }
        below += term;
        term *= (n - count) as f64 / (count + 1) as f64 * odds;
        count += 1;
    }
}

fn normal(n: u64, p: f64) -> (u64, u64, f64) {
    let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    // P(B <= k) = Phi((k + 0.5 - mean) / deviation).
    let low = (mean - Z * deviation + 0.5).floor() as u64;
    let high = (mean + Z * deviation + 0.5).ceil() as u64;
    (low, high, CONFIDENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::distribution::{Binomial, DiscreteCDF};

    #[test]
    fn ranks_of_the_median_are_those_of_the_sign_test_tables() {
        // Conover, table A3: n, l, u, confidence.
        for (n, low, high, confidence) in
            [(6, 1, 6, 0.96875), (8, 1, 8, 0.992_187_5), (10, 2, 9, 0.978_515_625), (20, 6, 15, 0.958_610_534_667_968)]
        {
            let ranks = quantile_ranks(n, 0.5);
            assert_eq!((ranks.low, ranks.high), (Some(low), Some(high)), "n = {n}");
            assert!((ranks.confidence - confidence).abs() < 1e-12, "n = {n}: {}", ranks.confidence);
        }
        assert_eq!((quantile_ranks(5, 0.5).low, quantile_ranks(5, 0.5).high), (None, None));
    }

    #[test]
    fn samples_needed_are_where_the_far_end_begins_to_exist() {
        for (quantile, needed) in [(0.5, 6), (0.9, 36), (0.99, 368), (0.999, 3688), (0.9999, 36887)] {
            assert_eq!(samples_needed(quantile), needed);
            assert_eq!(quantile_ranks(needed - 1, quantile).high, None);
            assert!(quantile_ranks(needed, quantile).high.is_some());
            assert!(quantile_ranks(needed, quantile).low.is_some());
        }
        assert_eq!(quantile_ranks(3000, 0.999).high, None, "p99.9 of 3,000 samples has no upper bound");
    }

    #[test]
    fn the_normal_approximation_joins_the_exact_sum() {
        for (n, quantile) in [(1000, 0.5), (50_000, 0.99), (5_000_000, 0.9999)] {
            let rare: f64 = if quantile > 0.5 { 1.0 - quantile } else { quantile };
            let (exact, normal) = (exact(n, rare), normal(n, rare));
            assert!(exact.0.abs_diff(normal.0) <= 1 && exact.1.abs_diff(normal.1) <= 2, "{exact:?} {normal:?}");
        }
    }

    proptest! {
        #[test]
        fn the_interval_is_the_tightest_with_equal_tails(n in 1_u64..600, percent in 1_u32..100) {
            let quantile = f64::from(percent) / 100.0;
            let ranks = quantile_ranks(n, quantile);
            let binomial = Binomial::new(quantile, n).expect("a probability");
            let slack = 1e-9;
            if let Some(low) = ranks.low {
                prop_assert!(binomial.cdf(low - 1) <= TAIL + slack);
                prop_assert!(binomial.cdf(low) >= TAIL - slack);
            }
            if let Some(high) = ranks.high {
                prop_assert!(binomial.sf(high - 1) <= TAIL + slack);
                prop_assert!(high < 2 || binomial.sf(high - 2) >= TAIL - slack);
            }
            prop_assert!(ranks.confidence >= CONFIDENCE - slack);
            prop_assert_eq!(ranks.low.is_some() && ranks.high.is_some(), n >= samples_needed(quantile));
        }
    }
}
