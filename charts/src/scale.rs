//! Axes: from values to pixels, and where the ticks are.

/// Most ticks of an axis.
const TICKS_MAX: f64 = 6.0;

/// From values to pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// From zero to at least `max`, ending at a tick unless `tight`.
    pub(crate) fn from_zero(max: f64, tight: bool, (from, to): (f64, f64)) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = step(max);
        let high = if tight { max } else { (max / step - 1e-9).ceil() * step };
        Self { low: 0.0, high, from, to, logarithmic: false }
    }

    /// Logarithmic over positive values, widened to ticks so that there are at least two.
    pub(crate) fn logarithmic(min: f64, max: f64, (from, to): (f64, f64)) -> Self {
        let low = steps_around(min).0;
        let high = steps_around(max).1;
        let high = if high > low { high } else { steps_around(low * 1.5).1 };
        Self { low, high, from, to, logarithmic: true }
    }

    /// Where `value` is; values beyond the axis are at its end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Where the ticks are, rising.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            return self.logarithmic_ticks();
        }
        let step = step(self.high);
        (0..=(self.high / step + 1e-9) as u32).map(|n| f64::from(n) * step).collect()
    }

    fn logarithmic_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let decades = last - first;
        let digits: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = (decades / TICKS_MAX as i32).max(1) as usize;
        (first..=last)
            .step_by(every)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
            .filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, such that `max` has at most six of them.
fn step(max: f64) -> f64 {
    let raw = max / TICKS_MAX;
    let power = 10_f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= raw * 0.999).unwrap_or(raw)
}

/// The nearest of 1, 2 and 5 times a power of ten at or below, and at or above.
fn steps_around(value: f64) -> (f64, f64) {
    let power = 10_f64.powi(value.log10().floor() as i32);
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    let below = steps.iter().rev().find(|step| **step <= value * 1.000_001).copied().unwrap_or(steps[0]);
    let above = steps.iter().find(|step| **step >= value * 0.999_999).copied().unwrap_or(steps[3]);
    (below, above)
}

/// A percentile on the nines axis: 90 % is 1, 99 % is 2, 99.9 % is 3.
pub(crate) fn nines(percentile: f64) -> f64 {
    (100.0 / (100.0 - percentile)).log10()
}

/// The percentile at a whole number of nines, as printed: `90 %`, `99.9 %`.
pub(crate) fn nines_label(nines: u32) -> String {
    match nines {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        more => format!("99.{} %", "9".repeat(more as usize - 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_starts_at_zero_and_ends_at_a_tick() {
        let scale = Scale::from_zero(812e3, false, (100.0, 500.0));
        assert_eq!(scale.ticks(), [0.0, 200e3, 400e3, 600e3, 800e3, 1e6]);
        assert!((scale.at(500e3) - 300.0).abs() < 1e-9);
        for max in [0.0, 1e-9, 3.0, 6.0, 1e18] {
            let ticks = Scale::from_zero(max, false, (0.0, 1.0)).ticks();
            assert!((2..=8).contains(&ticks.len()), "{max}: {ticks:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_has_ticks_at_any_width() {
        for (min, max) in [(1.0, 1.0), (300.0, 310.0), (1.0, 9.0), (40.0, 2e5), (1.0, 6e13), (1e-3, 1e300)] {
            let scale = Scale::logarithmic(min, max, (300.0, 0.0));
            let ticks = scale.ticks();
            assert!((2..=16).contains(&ticks.len()), "{min} to {max}: {ticks:?}");
            assert!(scale.at(min) <= 300.0 && scale.at(max) >= 0.0 && scale.at(min) >= scale.at(max));
        }
    }

    #[test]
    fn nines_are_evenly_spaced() {
        for (percentile, expected) in [(0.0, 0.0), (90.0, 1.0), (99.0, 2.0), (99.9, 3.0)] {
            assert!((nines(percentile) - expected).abs() < 1e-9);
        }
        assert_eq!([1, 2, 3, 4].map(nines_label), ["90 %", "99 %", "99.9 %", "99.99 %"]);
    }
}
