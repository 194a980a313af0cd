//! Sizes, rates and times as people write them: `1KiB`, `50k/s`, `30s`.
//!
//! These types stand in scenarios and flags. Reports and results hold plain integers with the unit in
//! the field's name.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Text that is no quantity of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{text}\" is not a {kind}; write it like {accepted}")]
pub struct UnitError {
    text: String,
    kind: &'static str,
    accepted: &'static str,
}

/// A number of bytes: `100`, `100B`, `1KiB` (1024), `1kB` (1000), `2.5MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A number of messages per second, above zero: `500/s`, `50k/s`, `1.5M/s`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// A span of time: `100ms`, `30s`, `5m`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A number of messages: `500`, `20k`, `3M`, `1G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub u64);

/// The largest count that a run may ask for.
pub const MESSAGES_MAX: u64 = 10_000_000_000;

fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, factor) = match text.chars().last()? {
        'k' | 'K' => (&text[..text.len() - 1], 1e3),
        'm' | 'M' => (&text[..text.len() - 1], 1e6),
        'g' | 'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let value: f64 = digits.trim().replace('_', "").parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value * factor)
}

fn short(value: f64) -> String {
    for (factor, suffix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= factor {
            let scaled = value / factor;
            // Only as a suffix when nothing is lost by it.
            let text = format!("{scaled:.3}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            if text.parse::<f64>().is_ok_and(|back| (back * factor - value).abs() < 1e-6 * value.max(1.0)) {
                return format!("{text}{suffix}");
            }
        }
    }
    format!("{value}")
}

/// A whole number to read, with thousands apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.trim().parse::<bytesize::ByteSize>().map(|size| Self(size.as_u64())).map_err(|_| UnitError {
            text: text.into(),
            kind: "size",
            accepted: "100B, 1KiB or 2.5MiB",
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, suffix) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{suffix}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl Bytes {
    /// To read, not to parse back: at most one decimal, `9.8 GiB`.
    pub fn approximate(self) -> String {
        bytesize::ByteSize::b(self.0).display().iec().to_string()
    }
}

impl Rate {
    /// A rate from messages per second; `None` unless it is above zero and finite.
    pub fn per_second(value: f64) -> Option<Self> {
        (value.is_finite() && value > 0.0).then_some(Self(value))
    }

    /// Messages per second.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        let number = trimmed.strip_suffix("/s").unwrap_or(trimmed);
        decimal(number).and_then(Self::per_second).ok_or(UnitError {
            text: text.into(),
            kind: "rate above zero",
            accepted: "500/s, 50k/s or 1.5M/s (messages per second)",
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", short(self.0))
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        humantime::parse_duration(text.trim()).map(Self).map_err(|_| UnitError {
            text: text.into(),
            kind: "time span",
            accepted: "100ms, 30s or 5m",
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl FromStr for Count {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        decimal(text)
            .filter(|value| value.fract().abs() < f64::EPSILON && *value <= MESSAGES_MAX as f64)
            .map(|value| Self(value as u64))
            .ok_or(UnitError {
                text: text.into(),
                kind: "whole number of messages up to 10G",
                accepted: "500, 20k or 3M",
            })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short(self.0 as f64))
    }
}

/// Serde and JSON Schema for a unit: a string in its notation, or, where one is natural, a number.
macro_rules! unit_serde {
    ($type:ident, $pattern:literal, $what:literal, $number:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$type, E> {
                        let from: fn(u64) -> Option<$type> = $number;
                        from(value).ok_or_else(|| E::invalid_type(serde::de::Unexpected::Unsigned(value), &self))
                    }

                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$type, E> {
                        u64::try_from(value)
                            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(value), &self))
                            .and_then(|value| self.visit_u64(value))
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $what,
                    "anyOf": [{ "type": "string", "pattern": $pattern }, { "type": "integer", "minimum": 0 }]
                })
            }
        }
    };
}

unit_serde!(Bytes, r"^\s*[0-9.]+\s*([kKMGT]i?)?B?\s*$", "a size like 100B, 1KiB or 2.5MiB", |n| Some(Bytes(n)));
unit_serde!(Rate, r"^\s*[0-9._]+[kKmMgG]?(/s)?\s*$", "a rate like 500/s, 50k/s or 1.5M/s", |n| Rate::per_second(
    n as f64
));
unit_serde!(Span, r"^[0-9a-z ]+$", "a time span like 100ms, 30s or 5m", |_| None);
unit_serde!(Count, r"^\s*[0-9._]+[kKmMgG]?\s*$", "a number of messages like 500, 20k or 3M", |n| (n <= MESSAGES_MAX)
    .then_some(Count(n)));

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_rates_spans_and_counts_round_trip() {
        for text in ["100B", "1KiB", "2MiB", "1000B"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        assert_eq!("1kB".parse::<Bytes>().unwrap(), Bytes(1000));
        assert_eq!("100".parse::<Bytes>().unwrap(), Bytes(100));
        for text in ["500/s", "50k/s", "1.5M/s", "1234.5/s"] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate, "{text}");
        }
        assert_eq!("50k".parse::<Rate>().unwrap(), Rate(50_000.0));
        assert_eq!("100ms".parse::<Span>().unwrap().0, Duration::from_millis(100));
        assert_eq!("3M".parse::<Count>().unwrap(), Count(3_000_000));
        assert_eq!(Count(3_000_000).to_string(), "3M");
        assert_eq!(Count(1234).to_string(), "1.234k");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_the_accepted_form() {
        assert!("ten".parse::<Bytes>().unwrap_err().to_string().contains("1KiB"));
        assert!("0/s".parse::<Rate>().unwrap_err().to_string().contains("50k/s"));
        assert!("-1/s".parse::<Rate>().is_err());
        assert!("30".parse::<Span>().unwrap_err().to_string().contains("30s"));
        assert!("0.5".parse::<Count>().is_err());
        assert!("11G".parse::<Count>().is_err());
        assert!("infk/s".parse::<Rate>().is_err());
    }
}
