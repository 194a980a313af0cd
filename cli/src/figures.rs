//! Numbers for people: few digits, a unit, never a bare zero for what is not known.

pub(crate) use ackmark_schema::units::grouped as count;

/// What stands for a figure that there is none of.
pub(crate) const NONE: &str = "–";

/// A share as a count per million.
pub(crate) fn per_million(part: u64, whole: u64) -> String {
    count((part as f64 * 1e6 / whole.max(1) as f64).round() as u64)
}

/// Messages per second with three significant digits: `412 k/s`.
pub(crate) fn rate(per_s: f64) -> String {
    format!("{}/s", scaled(per_s))
}

/// A number with three significant digits and a decimal suffix: `1.23 M`.
pub(crate) fn scaled(value: f64) -> String {
    for (factor, suffix) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        // Not 1,000 k where 1 M is meant.
        if value >= factor * 0.9995 {
            return format!("{}{suffix}", significant(value / factor));
        }
    }
    significant(value)
}

/// Bytes per second: `98.4 MB/s`.
pub(crate) fn bytes_rate(per_s: f64) -> String {
    format!("{} MB/s", significant(per_s / 1e6))
}

/// A time in microseconds with its best unit: `1.24 ms`.
pub(crate) fn micros(value_us: u64) -> String {
    let us = value_us as f64;
    if us < 999.5 {
        format!("{value_us} µs")
    } else if us < 999.5e3 {
        format!("{} ms", significant(us / 1e3))
    } else {
        format!("{} s", significant(us / 1e6))
    }
}

/// Seconds with a sensible number of digits: `12.3 s`, `4 min 10 s`.
pub(crate) fn seconds(value_s: f64) -> String {
    if value_s < 99.95 {
        return format!("{} s", significant(value_s));
    }
    let whole = value_s.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours} h {minutes:02} min") } else { format!("{minutes} min {seconds:02} s") }
}

/// Three significant digits.
pub(crate) fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 99.95 || magnitude == 0.0 {
        format!("{value:.0}")
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else if magnitude >= 0.01 {
        format!("{value:.2}")
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_few_digits_and_a_unit() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(411_923.4), "412 k/s");
        assert_eq!(rate(999_900.0), "1.00 M/s");
        assert_eq!(rate(12.0), "12.0/s");
        assert_eq!(micros(999), "999 µs");
        assert_eq!(micros(1_240), "1.24 ms");
        assert_eq!(micros(12_000_000), "12.0 s");
        assert_eq!(seconds(0.5), "0.50 s");
        assert_eq!(seconds(250.0), "4 min 10 s");
        assert_eq!(seconds(7_260.0), "2 h 01 min");
        assert_eq!(bytes_rate(98_400_000.0), "98.4 MB/s");
    }
}
