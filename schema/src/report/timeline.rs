//! A run second by second: `timeline.json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::version::{SchemaId, contract};

contract!(Timeline, "ackmark-timeline/1");

/// File name of the timeline in a load folder.
pub const TIMELINE_FILE: &str = "timeline.json";

/// A run second by second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<Timeline>,
    /// When second 0 began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// Where the warm-up ended, seconds.
    pub measured_from_s: f64,
    /// The seconds, or quarters of a second in runs that measure less than ten. The last one may be shorter.
    pub seconds: Vec<Second>,
}

/// One interval: a second, or a quarter of one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// Start of the interval, seconds from the start of the run.
    pub from_s: f64,
    /// Its length.
    pub length_s: f64,
    /// Messages handed to librdkafka.
    pub sent: u64,
    /// Messages delivered (see [`super::load::Measured::delivered`]; in transactions when reported, not
    /// when committed).
    pub delivered: u64,
    /// Messages failed or indeterminate.
    pub errors: u64,
    /// Messages outstanding at the end of the interval.
    pub outstanding: u64,
    /// Latency from the intended send time, 50th percentile (open loop only).
    pub p50_us: Option<u64>,
    /// ... 99th percentile.
    pub p99_us: Option<u64>,
    /// ... largest.
    pub max_us: Option<u64>,
}
