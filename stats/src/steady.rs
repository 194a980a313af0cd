//! Whether a trial's throughput was steady.
//!
//! For short series of interval rates (5 to some hundred values) whose warm-up has been taken off already.
//! What counts is whether the trial's mean would mislead; so each test needs an effect that is significant
//! and that matters. A cut of MSER is a change when the part that is cut off differs from the rest by
//! Student's t at 0.2 %: MSER picks the cut that looks best, so a usual level would often be chance.
//!
//! | label | when |
//! |---|---|
//! | too short | below five values no trend could reach 5 % (2/4! = 0.083) |
//! | never steady | MSER cuts a change off that is more than half, at the start (White 1997: then there is no steady part), and the rest's mean differs by more than 10 %; or the values spread by more than half of their mean |
//! | drifting | Mann-Kendall p below 5 % and a change of more than 10 % along the Theil-Sen slope; or a change that is cut off at the start or at the end moves the mean by more than 10 % |
//! | steady | none of these |
//!
//! MSER (White, "An effective truncation heuristic for bias reduction in simulation output", 1997) cuts as
//! many values as minimise the standard error of the rest's mean. It is applied forwards for a late
//! warm-up and backwards for a late change.
//!
//! Limit: a slow drift below 10 % within a trial is not seen here; between trials it is cancelled by pairs.

use ackmark_schema::result::Steadiness;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::trend::trend;

/// Fewest values from which a label other than "too short" follows.
pub const STEADY_POINTS_MIN: usize = 5;
/// The least share that matters: of the mean by a cut, of the median by a trend.
const MATTERS: f64 = 0.10;
/// Largest coefficient of variation of something that is called steady.
const SPREAD_MAX: f64 = 0.5;
/// Level of the test for a change.
const SIGNIFICANT_CHANGE: f64 = 0.002;
/// Level of the trend test.
const SIGNIFICANT: f64 = 0.05;
/// Fewest values that MSER leaves, so that a chance likeness of the last two is not a steady state.
const KEPT_MIN: usize = 3;

/// Labels a series of interval rates.
pub fn steadiness(series: &[f64]) -> Steadiness {
    let n = series.len();
    if n < STEADY_POINTS_MIN {
        return Steadiness::TooShort;
    }
    let whole = Moments::of(series);
    if whole.mean <= 0.0 || whole.deviation > SPREAD_MAX * whole.mean {
        return Steadiness::NeverSteady;
    }
    let is_change = |(off, kept): (&[f64], &[f64])| {
        differ(off, kept) && (Moments::of(kept).mean - whole.mean).abs() > MATTERS * whole.mean
    };
    let cut = mser_cut(series);
    let early = is_change(series.split_at(cut));
    if cut > n / 2 && early {
        return Steadiness::NeverSteady;
    }
    let drift = trend(series).is_some_and(|trend| trend.p < SIGNIFICANT && trend.change.abs() > MATTERS);
    let reversed: Vec<f64> = series.iter().rev().copied().collect();
    let late = is_change(reversed.split_at(mser_cut(&reversed)));
    if drift || early || late {
        return Steadiness::Drifting;
    }
    Steadiness::Steady
}

/// Whether the means of two parts of a series differ by more than chance: Student's t under their pooled variance.
fn differ(one: &[f64], other: &[f64]) -> bool {
    let (n, m) = (one.len() as f64, other.len() as f64);
    if one.is_empty() || n + m < 3.0 {
        return false;
    }
    let (a, b) = (Moments::of(one), Moments::of(other));
    let pooled = (n * a.deviation.powi(2) + m * b.deviation.powi(2)) / (n + m - 2.0);
    let critical = StudentsT::new(0.0, 1.0, n + m - 2.0)
        .expect("there are degrees of freedom")
        .inverse_cdf(1.0 - SIGNIFICANT_CHANGE / 2.0);
    (a.mean - b.mean).abs() > critical * (pooled * (1.0 / n + 1.0 / m)).sqrt()
}

/// How many values at the start MSER cuts.
fn mser_cut(series: &[f64]) -> usize {
    let squared_error = |cut: usize| {
        let kept = &series[cut..];
        let moments = Moments::of(kept);
        moments.deviation * moments.deviation / kept.len() as f64
    };
    (0..=series.len() - KEPT_MIN)
        .min_by(|a, b| squared_error(*a).total_cmp(&squared_error(*b)))
        .expect("a series has at least as many values as are kept")
}

/// Mean and (population) standard deviation.
struct Moments {
    mean: f64,
    deviation: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { mean, deviation: (squares / n).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn what_was_warm_is_steady_and_what_warms_up_is_not() {
        assert_eq!(steadiness(&[100.0; 4]), Steadiness::TooShort);
        assert_eq!(steadiness(&[100.0; 5]), Steadiness::Steady);
        assert_eq!(steadiness(&[98.0, 103.0, 99.0, 101.0, 97.0, 102.0]), Steadiness::Steady);
        // A cold broker.
        assert_eq!(steadiness(&[30.0, 50.0, 70.0, 85.0, 95.0, 100.0]), Steadiness::Drifting);
        // Settled after a third.
        assert_eq!(steadiness(&[30.0, 60.0, 100.0, 101.0, 99.0, 100.0, 102.0, 98.0]), Steadiness::Drifting);
        // A late change: the disk fills up, a neighbour wakes.
        assert_eq!(steadiness(&[100.0, 101.0, 99.0, 100.0, 60.0, 58.0]), Steadiness::Drifting);
        // Settled in the second half only.
        assert_eq!(steadiness(&[40.0, 52.0, 45.0, 55.0, 40.0, 110.0, 111.0, 110.0]), Steadiness::NeverSteady);
        // Nothing but noise in the first half.
        assert_eq!(steadiness(&[50.0, 120.0, 45.0, 130.0, 40.0, 110.0, 111.0, 110.0]), Steadiness::Steady);
        assert_eq!(steadiness(&[200.0, 0.0, 200.0, 0.0, 200.0, 0.0]), Steadiness::NeverSteady);
        assert_eq!(steadiness(&[0.0; 8]), Steadiness::NeverSteady);
    }

    #[test]
    fn a_material_trend_is_drifting_and_a_slight_one_is_not() {
        let ramp = |slope: f64| -> Vec<f64> { (0..10).map(|at| 100.0 + slope * f64::from(at)).collect() };
        assert_eq!(steadiness(&ramp(0.5)), Steadiness::Steady);
        assert_eq!(steadiness(&ramp(2.0)), Steadiness::Drifting);
        assert_eq!(steadiness(&ramp(-2.0)), Steadiness::Drifting);
    }

    /// Share of series of independent values, spread evenly around 100, that are not called steady.
    fn false_alarms(length: usize, half_width: f64) -> f64 {
        let mut random = Pcg64Mcg::seed_from_u64(3);
        let runs = 1_000_u32;
        let alarms = (0..runs).filter(|_| {
            let series: Vec<f64> = (0..length).map(|_| 100.0 + random.random_range(-half_width..=half_width)).collect();
            steadiness(&series) != Steadiness::Steady
        });
        alarms.count() as f64 / f64::from(runs)
    }

    #[test]
    fn noise_alone_is_seldom_called_unsteady() {
        for length in [5, 6, 10, 20] {
            for half_width in [5.0, 10.0, 15.0, 40.0] {
                let share = false_alarms(length, half_width);
                assert!(share <= 0.07, "length {length}, ±{half_width}: {share}");
            }
        }
    }
}
