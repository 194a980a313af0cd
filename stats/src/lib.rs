//! Statistics on measured figures. Pure: slices and histograms in, contracts of `ackmark-schema` out.
//!
//! ```text
//! ranks        order-statistic interval of any quantile (binomial)
//!  ├─ percentiles   latency histogram → percentiles with intervals, percentile curve
//!  └─ estimate      a figure over trials → median with interval
//! signed_rank  distribution of Wilcoxon's signed-rank statistic
//!  └─ paired        pairs of trials → ratio with interval (Hodges-Lehmann)
//! trend        Mann-Kendall and Theil-Sen
//!  └─ steady        a series within one trial → steady, drifting, never steady
//! claim        an interval against a claimed range → confirmed, refuted, inconclusive
//! ```
//!
//! All intervals are distribution-free and two-sided at 95 % or more; the share that they really hold is
//! given with them. Where a sample is too small for an interval, there is none: no value stands in.
//!
//! Limits: within one trial samples are autocorrelated, so a percentile's interval describes that trial's
//! sampling only; what is claimed of a profile rests on intervals between trials.

mod claim;
mod estimate;
mod paired;
mod percentiles;
mod ranks;
mod signed_rank;
mod steady;
mod trend;

pub use claim::answer;
pub use estimate::median_interval;
pub use paired::{Interval, PairedRatio, paired_ratio};
pub use percentiles::{curve, latency_summary};
pub use ranks::{Ranks, quantile_ranks, samples_needed};
pub use steady::{STEADY_POINTS_MIN, steadiness};
pub use trend::{Trend, trend};

/// The confidence that every interval has at least.
pub const CONFIDENCE: f64 = 0.95;
/// The share that each tail may have.
const TAIL: f64 = (1.0 - CONFIDENCE) / 2.0;
/// Standard normal quantile of `1 - TAIL`.
const Z: f64 = 1.959_963_984_540_054;
