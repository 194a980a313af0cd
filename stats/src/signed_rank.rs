//! The distribution of Wilcoxon's signed-rank statistic T+ under symmetry: each of the ranks 1..n is in the
//! sum with probability one half. Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods,
//! 3rd ed., 3.1.

use crate::{CONFIDENCE, TAIL, Z};

/// Most pairs for which the distribution is built exactly (20,100 sums); beyond, its normal approximation.
const EXACT_PAIRS_MAX: usize = 200;

/// The largest c with P(T+ <= c) of at most 2.5 %, and `1 - 2 P(T+ <= c)`; `None` below six pairs, where
/// no c does.
pub(crate) fn critical(pairs: usize) -> Option<(usize, f64)> {
    if pairs > EXACT_PAIRS_MAX {
        return Some(normal(pairs as f64));
    }
    let mut below = 0.0;
    let mut found = None;
    for (sum, probability) in distribution(pairs).into_iter().enumerate() {
        below += probability;
        if below > TAIL {
            break;
        }
        found = Some((sum, 1.0 - 2.0 * below));
    }
    found
}

/// P(T+ = sum) for each sum from 0 to n(n+1)/2.
fn distribution(pairs: usize) -> Vec<f64> {
    let mut probabilities = vec![0.0; pairs * (pairs + 1) / 2 + 1];
    probabilities[0] = 1.0;
    for rank in 1..=pairs {
        for sum in (0..=rank * (rank + 1) / 2).rev() {
            let with = if sum >= rank { probabilities[sum - rank] } else { 0.0 };
            probabilities[sum] = f64::midpoint(probabilities[sum], with);
        }
    }
    probabilities
}

fn normal(pairs: f64) -> (usize, f64) {
    let mean = pairs * (pairs + 1.0) / 4.0;
    let deviation = (pairs * (pairs + 1.0) * (2.0 * pairs + 1.0) / 24.0).sqrt();
    ((mean - Z * deviation - 0.5).floor() as usize, CONFIDENCE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn critical_values_are_those_of_the_tables() {
        // Two-sided 5 %: Wilcoxon and Wilcox (1964), also Conover, table A12.
        let table = [
            (6, 0),
            (7, 2),
            (8, 3),
            (9, 5),
            (10, 8),
            (11, 10),
            (12, 13),
            (13, 17),
            (14, 21),
            (15, 25),
            (16, 29),
            (17, 34),
            (18, 40),
            (19, 46),
            (20, 52),
            (21, 58),
            (22, 65),
            (23, 73),
            (24, 81),
            (25, 89),
            (30, 137),
        ];
        for (pairs, value) in table {
            assert_eq!(critical(pairs).unwrap().0, value, "{pairs} pairs");
        }
        for pairs in 0..6 {
            assert_eq!(critical(pairs), None, "{pairs} pairs");
        }
    }

    #[test]
    fn the_confidence_is_exact() {
        assert!((critical(6).unwrap().1 - (1.0 - 2.0 / 64.0)).abs() < 1e-15);
        // P(T+ <= 8) with ten pairs is 25 / 1024.
        assert!((critical(10).unwrap().1 - (1.0 - 50.0 / 1024.0)).abs() < 1e-15);
    }

    #[test]
    fn the_normal_approximation_joins_the_exact_distribution() {
        let (exact, normal) = (critical(EXACT_PAIRS_MAX).unwrap().0, normal(EXACT_PAIRS_MAX as f64).0);
        assert!(exact.abs_diff(normal) <= 5, "{exact} {normal}");
    }
}
