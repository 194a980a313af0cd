//! The ratio of two profiles from trials of the same rounds.
//!
//! Model: the logarithms of a round's ratios are symmetric around the logarithm of the true ratio. The
//! estimate is the median of their Walsh averages (Hodges and Lehmann, 1963), the interval is made of the
//! Walsh averages that Wilcoxon's signed-rank test does not reject (Hollander, Wolfe and Chicken, 3.3).
//! Pairs cancel what hits both trials of a round alike.

use crate::{estimate::median_of_sorted, signed_rank};

/// An interval and the share of such intervals that hold the true value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// At least 0.95.
    pub confidence: f64,
}

/// A ratio over pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRatio {
    /// First over second.
    pub ratio: f64,
    /// Its interval; `None` below six pairs, where no interval reaches 95 %.
    pub interval: Option<Interval>,
    /// Pairs used.
    pub pairs: u32,
}

/// First over second of each pair. A pair with a figure that is not above zero has no ratio and is left
/// out; `None` when none is left.
pub fn paired_ratio(pairs: &[(f64, f64)]) -> Option<PairedRatio> {
    let usable = |figure: f64| figure.is_finite() && figure > 0.0;
    let logs: Vec<f64> = pairs.iter().filter(|(a, b)| usable(*a) && usable(*b)).map(|(a, b)| a.ln() - b.ln()).collect();
    if logs.is_empty() {
        return None;
    }
    let averages = walsh_averages(&logs);
    let interval = signed_rank::critical(logs.len()).map(|(critical, confidence)| Interval {
        low: averages[critical].exp(),
        high: averages[averages.len() - 1 - critical].exp(),
        confidence,
    });
    Some(PairedRatio { ratio: median_of_sorted(&averages).exp(), interval, pairs: logs.len() as u32 })
}

/// The n(n+1)/2 means of each two values, each with itself included, sorted.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let mut averages: Vec<f64> = values
        .iter()
        .enumerate()
        .flat_map(|(at, first)| values[at..].iter().map(move |second| f64::midpoint(*first, *second)))
        .collect();
    averages.sort_by(f64::total_cmp);
    averages
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn a_published_example_is_reproduced() {
        // Hollander, Wolfe and Chicken, example 3.1/3.3 (Hamilton depression scale factor IV): differences
        // with Hodges-Lehmann estimate -0.46 and 96 % interval (-0.786, -0.010) for nine pairs.
        let differences: [f64; 9] = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
        let pairs: Vec<(f64, f64)> = differences.iter().map(|d| (d.exp(), 1.0)).collect();
        let found = paired_ratio(&pairs).unwrap();
        assert!((found.ratio.ln() + 0.46).abs() < 5e-3, "{}", found.ratio.ln());
        let interval = found.interval.unwrap();
        assert!((interval.low.ln() + 0.786).abs() < 1e-3, "{}", interval.low.ln());
        assert!((interval.high.ln() + 0.010).abs() < 1e-3, "{}", interval.high.ln());
        assert!((interval.confidence - (1.0 - 2.0 * 10.0 / 512.0)).abs() < 1e-12, "{}", interval.confidence);
    }

    #[test]
    fn below_six_pairs_there_is_no_interval() {
        let pairs = [(2.0, 1.0); 6];
        assert_eq!(paired_ratio(&pairs[..5]).unwrap().interval, None);
        let found = paired_ratio(&pairs).unwrap();
        assert!((found.ratio - 2.0).abs() < 1e-12);
        assert!((found.interval.unwrap().confidence - 0.96875).abs() < 1e-12);
        assert_eq!(paired_ratio(&[(0.0, 1.0), (1.0, f64::NAN)]), None);
        assert_eq!(paired_ratio(&[(0.0, 1.0), (3.0, 1.0)]).unwrap().pairs, 1);
    }

    #[test]
    fn the_interval_covers_the_true_ratio_as_often_as_it_says() {
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(2);
        let runs = 5_000;
        let covered = (0..runs)
            .filter(|_| {
                let pairs: Vec<(f64, f64)> = (0..6)
                    .map(|_| {
                        // What hits a whole round, a hundredfold, cancels.
                        let round = 10_f64.powf(random.random_range(-1.0..1.0));
                        let mut noise = || random.random_range(-0.3_f64..0.3).exp();
                        (0.6 * round * noise(), round * noise())
                    })
                    .collect();
                let interval = paired_ratio(&pairs).unwrap().interval.unwrap();
                (interval.low..=interval.high).contains(&0.6)
            })
            .count();
        let share = f64::from(covered as u32) / f64::from(runs);
        assert!((share - 0.96875).abs() < 0.007, "{share}");
    }

    proptest! {
        #[test]
        fn swapping_the_sides_gives_the_reciprocal(
            pairs in prop::collection::vec((0.01_f64..100.0, 0.01_f64..100.0), 1..20)
        ) {
            let swapped: Vec<(f64, f64)> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
            let (found, other) = (paired_ratio(&pairs).unwrap(), paired_ratio(&swapped).unwrap());
            prop_assert!((found.ratio * other.ratio - 1.0).abs() < 1e-9);
            if let (Some(a), Some(b)) = (found.interval, other.interval) {
                prop_assert!((a.low * b.high - 1.0).abs() < 1e-9);
                prop_assert!(a.low <= found.ratio && found.ratio <= a.high);
            }
        }
    }
}
