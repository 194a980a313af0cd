//! Numbers as charts print them: three significant figures, counts exact as long as they fit.
//!
//! A number and its unit are joined by a non-breaking space.

pub(crate) use ackmark_schema::units::grouped as exact;

/// Three significant figures with a decimal suffix: `812`, `4.05k`, `412k`, `1.25M`.
pub(crate) fn short(value: f64) -> String {
    const SUFFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let magnitude = value.abs();
    let mut power = 0;
    while power + 1 < SUFFIXES.len() && rounded(magnitude / 1e3_f64.powi(power as i32)) >= 1e3 {
        power += 1;
    }
    let scaled = value / 1e3_f64.powi(power as i32);
    if rounded(scaled.abs()) >= 1e4 {
        return format!("{value:.1e}");
    }
    if power == 0 && magnitude.fract() == 0.0 {
        return format!("{value:.0}");
    }
    format!("{}{}", significant(scaled), SUFFIXES[power])
}

/// To three significant figures.
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powf(2.0 - value.abs().log10().floor());
    if scale.is_finite() && scale > 0.0 { (value * scale).round() / scale } else { value }
}

fn significant(value: f64) -> String {
    match rounded(value.abs()) {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 || v == 0.0 => format!("{value:.2}"),
        v if v >= 1e-3 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// Without a fraction's trailing zeros, for axes: `0.5`, `2`, `400k`.
pub(crate) fn tick(value: f64) -> String {
    let text = short(value);
    let digits = text.trim_end_matches(char::is_alphabetic);
    let suffix = &text[digits.len()..];
    if digits.contains('.') && !digits.contains('e') {
        return format!("{}{suffix}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    text
}

/// Exact below ten million, then three significant figures.
pub(crate) fn count(count: u64) -> String {
    if count < 10_000_000 { exact(count) } else { short(count as f64) }
}

/// A latency, measured in whole microseconds: `850 µs`, `12.3 ms`, `1.53 s`.
pub(crate) fn latency(us: f64) -> String {
    if us < 1.0 {
        return "<1\u{a0}µs".into();
    }
    if rounded(us) < 1e3 {
        return format!("{}\u{a0}µs", tick(us));
    }
    if rounded(us) < 1e6 {
        return format!("{}\u{a0}ms", significant(us / 1e3));
    }
    format!("{}\u{a0}s", if us < 1e9 { significant(us / 1e6) } else { short(us / 1e6) })
}

/// A latency on an axis: `1 ms`, `50 ms`.
pub(crate) fn latency_tick(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{}\u{a0}µs", tick(us)),
        us if us < 1e6 => format!("{}\u{a0}ms", tick(us / 1e3)),
        us => format!("{}\u{a0}s", tick(us / 1e6)),
    }
}

/// A ratio: `0.71×`.
pub(crate) fn ratio(value: f64) -> String {
    if value >= 1e3 { format!("{}×", short(value)) } else { format!("{}×", ratio_digits(value)) }
}

fn ratio_digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.095 || v == 0.0 => format!("{v:.2}"),
        v if v >= 1e-3 => format!("{v:.3}"),
        v => format!("{v:.1e}"),
    }
}

/// A ratio's interval: `0.68–0.74`.
pub(crate) fn ratios(low: f64, high: f64) -> String {
    let one = |value: f64| ratio(value).trim_end_matches('×').to_owned();
    format!("{}–{}", one(low), one(high))
}

/// Bytes per second: `402 MB/s`.
pub(crate) fn bytes_per_s(value: f64) -> String {
    let text = short(value);
    let digits = text.trim_end_matches(char::is_alphabetic);
    format!("{digits}\u{a0}{}B/s", &text[digits.len()..])
}

/// A noun in the right number: `1 trial`, `6 trials`.
pub(crate) fn of(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", exact(count), if count == 1 { "" } else { "s" })
}

/// A confidence: `96.9 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{}\u{a0}%", tick((share * 1e3).round() / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            [0.0, 7.0, 812.4, 999.6, 4050.0, 412_345.0, 999_999.0, 1.25e6, 3e9].map(short),
            ["0", "7", "812", "1.00k", "4.05k", "412k", "1.00M", "1.25M", "3.00G"]
        );
        assert_eq!(short(1e25), "1.0e25");
        assert_eq!([0.0, 0.5, 2e3, 400e3, 2.5e6].map(tick), ["0", "0.5", "2k", "400k", "2.5M"]);
        assert_eq!([0, 999, 1_000, 12_345_678].map(exact), ["0", "999", "1,000", "12,345,678"]);
        assert_eq!(count(9_999_999), "9,999,999");
        assert_eq!(count(12_345_678), "12.3M");
        assert_eq!(
            [1.0, 850.0, 999.7, 12_345.0, 1.53e6, 60e6].map(latency),
            ["1\u{a0}µs", "850\u{a0}µs", "1.00\u{a0}ms", "12.3\u{a0}ms", "1.53\u{a0}s", "60.0\u{a0}s"]
        );
        assert_eq!([20.0, 1e3, 50e3, 1e6].map(latency_tick), ["20\u{a0}µs", "1\u{a0}ms", "50\u{a0}ms", "1\u{a0}s"]);
        assert_eq!(
            [0.0, 0.714, 1.0, 12.34, 0.0123, 4567.0].map(ratio),
            ["0.00×", "0.71×", "1.00×", "12.3×", "0.012×", "4.57k×"]
        );
        assert_eq!(ratios(0.68, 0.741), "0.68–0.74");
        assert_eq!(bytes_per_s(402.3e6), "402\u{a0}MB/s");
        assert_eq!([1, 6].map(|n| of(n, "trial")), ["1 trial", "6 trials"]);
        assert_eq!(percent(0.96875), "96.9\u{a0}%");
    }
}
