//! A trend within a series: Mann-Kendall's test and the Theil-Sen slope.
//!
//! Under no trend every order of the values is as likely, so the number of falling pairs has the
//! distribution of inversions of a random permutation (Mann 1945; Kendall 1975), built exactly up to 60
//! values and approximated by a normal beyond. Ties count for neither side, which makes the test
//! conservative.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::estimate::median_of_sorted;

/// Most values for which the distribution of inversions is built exactly.
const EXACT_MAX: usize = 60;

/// A trend and how likely chance alone makes one as strong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Two-sided probability under no trend. The least that n values can reach is 2/n!.
    pub p: f64,
    /// Change from the first to the last value along the Theil-Sen slope, relative to the median;
    /// 0 where the median is 0.
    pub change: f64,
}

/// The trend of evenly spaced values; `None` below two.
pub fn trend(series: &[f64]) -> Option<Trend> {
    if series.len() < 2 {
        return None;
    }
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = median_of_sorted(&sorted);
    let rise = theil_sen(series) * (series.len() - 1) as f64;
    Some(Trend { p: mann_kendall(series), change: if median == 0.0 { 0.0 } else { rise / median.abs() } })
}

/// The median of the slopes of all pairs (Theil 1950; Sen 1968).
fn theil_sen(series: &[f64]) -> f64 {
    let mut slopes: Vec<f64> =
        pairs(series).map(|((at, first), (later, second))| (second - first) / (later - at) as f64).collect();
    slopes.sort_by(f64::total_cmp);
    median_of_sorted(&slopes)
}

fn mann_kendall(series: &[f64]) -> f64 {
    let score: i64 = pairs(series).map(|((_, first), (_, second))| sign(second - first)).sum();
    let n = series.len();
    let strength = score.unsigned_abs();
    if n <= EXACT_MAX { exact(n, strength) } else { normal(n as f64, strength as f64) }
}

/// P(|S| >= strength), where S = n(n-1)/2 - 2 inversions.
fn exact(n: usize, strength: u64) -> f64 {
    if strength == 0 {
        return 1.0;
    }
    let all = n * (n - 1) / 2;
    let few = (all - strength as usize) / 2;
    let tail: f64 = inversions(n)[..=few].iter().sum();
    (2.0 * tail).min(1.0)
}

/// The probability of each number of inversions of a random permutation of n.
fn inversions(n: usize) -> Vec<f64> {
    let mut probabilities = vec![1.0];
    for size in 2..=n {
        let mut next = vec![0.0; size * (size - 1) / 2 + 1];
        for (count, probability) in probabilities.iter().enumerate() {
            for more in 0..size {
                next[count + more] += probability / size as f64;
            }
        }
        probabilities = next;
    }
    probabilities
}

fn normal(n: f64, strength: f64) -> f64 {
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let z = (strength - 1.0).max(0.0) / deviation;
    2.0 * Normal::standard().sf(z)
}

fn pairs(series: &[f64]) -> impl Iterator<Item = ((usize, f64), (usize, f64))> + '_ {
    let indexed = move |at: usize| (at, series[at]);
    (0..series.len()).flat_map(move |at| (at + 1..series.len()).map(move |later| (indexed(at), indexed(later))))
}

fn sign(difference: f64) -> i64 {
    i64::from(difference > 0.0) - i64::from(difference < 0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn probabilities_are_those_of_kendalls_table() {
        // Kendall, Rank Correlation Methods, appendix table 1 (one-sided): n, S, P(S or more).
        for (n, strength, one_sided) in [(4, 6, 0.042), (5, 8, 0.042), (5, 10, 0.0083), (8, 16, 0.031), (10, 21, 0.036)]
        {
            let p = exact(n, strength);
            assert!((p / 2.0 - one_sided).abs() < 6e-4, "n = {n}, S = {strength}: {}", p / 2.0);
        }
        assert!((exact(60, 500) - normal(60.0, 500.0)).abs() < 5e-4);
    }

    #[test]
    fn a_rise_is_found_with_its_size() {
        let found = trend(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((found.p - 2.0 / 120.0).abs() < 1e-12);
        assert!((found.change - 4.0 / 3.0).abs() < 1e-12);
        let flat = trend(&[2.0; 5]).unwrap();
        assert_eq!((flat.p, flat.change), (1.0, 0.0));
        assert_eq!(trend(&[1.0]), None);
        let fall = trend(&[5.0, 4.0, 3.5, 2.0, 1.0, 0.5]).unwrap();
        assert!(fall.change < 0.0 && fall.p < 0.01);
    }
}
