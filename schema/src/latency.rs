//! Latency percentiles with their intervals.
//!
//! Percentiles are ranks over all messages that were sent: one that was not delivered took longer than any that
//! was. A percentile above the delivered share has no value, nor has one that too few messages carry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::grouped;

/// Summary of one latency distribution, in microseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencySummary {
    /// Samples: messages that were delivered (or other events that came to their end).
    pub count: u64,
    /// Messages that were sent, over which percentiles are ranks; those without a sample rank above all samples.
    pub sent: u64,
    /// Smallest sample; absent without samples.
    pub min_us: Option<u64>,
    /// Largest sample; absent without samples. Where not all were delivered the longest latency is unknown.
    pub max_us: Option<u64>,
    /// Percentiles in rising order.
    pub percentiles: Vec<Percentile>,
}

/// One percentile.
///
/// Its interval tells what the number of messages alone leaves open: it treats the messages of a trial as independent of
/// each other. They are not, as messages share batches, pauses of a broker and the state of the machine: the interval is
/// too narrow for how far another trial may lie.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentile {
    /// In per cent, for example 99.9.
    pub percentile: f64,
    /// Its value; absent when fewer than `needs` were sent, or when it or its interval reaches above the delivered
    /// share.
    pub value_us: Option<u64>,
    /// Lower end of the 95 % order-statistic interval over messages that are taken to be independent.
    pub low_us: Option<u64>,
    /// Upper end of the 95 % order-statistic interval over messages that are taken to be independent.
    pub high_us: Option<u64>,
    /// Messages that the percentile and its interval need.
    pub needs: u64,
}

/// The percentiles that are reported, in per cent.
pub const REPORTED: [f64; 7] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];

impl LatencySummary {
    /// The entry of a percentile, if it is among those reported.
    pub fn at(&self, percentile: f64) -> Option<&Percentile> {
        self.percentiles.iter().find(|entry| (entry.percentile - percentile).abs() < 1e-9)
    }

    /// Why an entry has no value, to read: `needs 3,688` or `0.3 % not delivered`; `None` where it has one.
    pub fn why_absent(&self, entry: &Percentile) -> Option<String> {
        match entry.value_us {
            Some(_) => None,
            None if self.sent < entry.needs => Some(format!("needs {}", grouped(entry.needs))),
            None => self.undelivered(),
        }
    }

    /// The largest latency; nothing where nothing was sent.
    ///
    /// # Errors
    /// It is not known, since not all was delivered: the text says how much, to read.
    pub fn largest(&self) -> Result<Option<u64>, String> {
        self.undelivered().map_or(Ok(self.max_us), Err)
    }

    /// The share that was not delivered, to read; `None` when all was.
    fn undelivered(&self) -> Option<String> {
        let missing = self.sent.saturating_sub(self.count);
        let share = missing as f64 / self.sent as f64 * 100.0;
        // One digit that tells something, however small the share.
        let decimals = (-share.log10()).ceil().clamp(1.0, 9.0) as usize;
        (missing > 0).then(|| format!("{share:.decimals$} % not delivered"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_says_why() {
        let summary = |sent, count| LatencySummary { sent, count, max_us: Some(9), ..LatencySummary::default() };
        let absent = Percentile { percentile: 99.9, needs: 3_688, ..Percentile::default() };
        let why = |sent, count| summary(sent, count).why_absent(&absent).unwrap_or_default();
        assert_eq!(why(3_687, 3_687), "needs 3,688");
        assert_eq!(why(10_000, 9_970), "0.3 % not delivered");
        assert_eq!(why(1_000_000, 999_999), "0.0001 % not delivered");
        assert_eq!(why(4_000, 0), "100.0 % not delivered");
        assert_eq!(summary(5_000, 5_000).why_absent(&Percentile { value_us: Some(7), ..absent }), None);
        assert_eq!(summary(5_000, 5_000).largest(), Ok(Some(9)));
        assert_eq!(summary(5_000, 4_990).largest(), Err("0.2 % not delivered".into()));
        assert_eq!(LatencySummary::default().largest(), Ok(None));
    }
}
