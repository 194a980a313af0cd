//! What `ackmark log` shows of a topic, by flags.

use std::{fmt, str::FromStr};

use clap::builder::RangedU64ValueParser;

/// What is shown.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shown {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// These partitions; may be given several times [default: all]
    #[arg(short, long, value_name = "ID,…", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Vec<i32>,
    /// These offsets: N, N.., ..M or N..M (M itself is not shown) [default: all]
    #[arg(long, value_name = "RANGE")]
    pub(crate) offset: Option<Numbers>,
    /// Messages of this run of ackmark's; others in the topic may have the same streams
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<u32>,
    /// Messages of this stream of ackmark's
    #[arg(long, value_name = "ID")]
    pub(crate) stream: Option<u32>,
    /// Messages with these sequences in their stream: N, N.., ..M or N..M (M itself is not shown)
    #[arg(long, value_name = "RANGE")]
    pub(crate) sequence: Option<Numbers>,
    /// Batches of this producer id, which brokers give to idempotent and transactional producers
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(crate) producer_id: Option<i64>,
    /// Show batches rather than records
    #[arg(long)]
    pub(crate) batches: bool,
    /// Show no more than this
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) limit: u64,
    /// Show all of them
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

/// Numbers from one on, up to another: `N` (that one alone), `N..`, `..M`, `N..M`. `M` is not in it, as in all ranges
/// of offsets and sequences that ackmark tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// The first.
    pub(crate) from: u64,
    /// One behind the last; none: no end.
    pub(crate) to: Option<u64>,
}

impl Numbers {
    /// Whether a number is in it.
    pub(crate) fn has(self, number: u64) -> bool {
        number >= self.from && self.to.is_none_or(|to| number < to)
    }
}

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let form = || format!("\"{text}\" is no number; write the range like 7, 7.., ..9 or 7..9");
            text.replace('_', "").parse::<u64>().map_err(|_| form())
        };
        let Some((from, to)) = text.split_once("..") else {
            let only = number(text)?;
            return Ok(Self { from: only, to: only.checked_add(1) });
        };
        let from = if from.is_empty() { 0 } else { number(from)? };
        let to = if to.is_empty() { None } else { Some(number(to)?) };
        if to.is_some_and(|to| to <= from) {
            return Err(format!("{text} is empty: the second number is the first that is not shown"));
        }
        Ok(Self { from, to })
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) if self.from.checked_add(1) == Some(to) => write!(f, "{}", self.from),
            Some(to) => write!(f, "{}..{to}", self.from),
            None => write!(f, "{}..", self.from),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges_are_read_as_documented() {
        for (text, from, to) in
            [("7", 7, Some(8)), ("7..", 7, None), ("..9", 0, Some(9)), ("7..9", 7, Some(9)), ("..", 0, None)]
        {
            assert_eq!(text.parse(), Ok(Numbers { from, to }), "{text}");
        }
        let most = u64::MAX.to_string().parse::<Numbers>().unwrap();
        assert!(most.has(u64::MAX) && !most.has(u64::MAX - 1));
        let numbers: Numbers = "1_000..1_002".parse().unwrap();
        assert_eq!([999, 1000, 1001, 1002].map(|number| numbers.has(number)), [false, true, true, false]);
    }

    #[test]
    fn a_range_is_written_as_it_is_read() {
        for text in ["7", "7..", "7..9"] {
            assert_eq!(text.parse::<Numbers>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_form() {
        for text in ["", "a", "-1", "1...3", "1..x", "1-3"] {
            assert!(text.parse::<Numbers>().unwrap_err().contains("like 7, 7.., ..9 or 7..9"), "{text}");
        }
        for text in ["9..7", "7..7", "..0"] {
            assert!(text.parse::<Numbers>().unwrap_err().contains("is empty"), "{text}");
        }
    }
}
