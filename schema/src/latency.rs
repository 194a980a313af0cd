//! Latency percentiles with their intervals.
//!
//! A percentile that the sample cannot carry has no value but says how many samples it needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Summary of one latency distribution, in microseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencySummary {
    /// Samples.
    pub count: u64,
    /// Smallest sample; absent without samples.
    pub min_us: Option<u64>,
    /// Largest sample; absent without samples.
    pub max_us: Option<u64>,
    /// Percentiles in rising order.
    pub percentiles: Vec<Percentile>,
}

/// One percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentile {
    /// In per cent, for example 99.9.
    pub percentile: f64,
    /// Its value; absent when the sample cannot carry it.
    pub value_us: Option<u64>,
    /// Lower end of the 95 % order-statistic interval.
    pub low_us: Option<u64>,
    /// Upper end of the 95 % order-statistic interval.
    pub high_us: Option<u64>,
    /// Samples that the percentile and its interval need.
    pub needs: u64,
}

/// The percentiles that are reported, in per cent.
pub const REPORTED: [f64; 7] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];

impl LatencySummary {
    /// The entry of a percentile, if it is among those reported.
    pub fn at(&self, percentile: f64) -> Option<&Percentile> {
        self.percentiles.iter().find(|entry| (entry.percentile - percentile).abs() < 1e-9)
    }
}
