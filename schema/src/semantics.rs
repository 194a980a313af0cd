//! What each delivery semantic does when it is put to the test, and what it costs: `result.json` of `ackmark bench
//! semantics`.
//!
//! A *demonstration* provokes what a semantic is about (a crash, a rival, an abort) and holds each count against the one
//! that has to come. A *setting* is a row of the comparison: a producer's profile or a pattern of a consumer, with what it
//! reached, and what it lost and doubled when it was killed.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    report::Ending,
    result::{ClusterFacts, Environment},
    version::{SchemaId, contract},
};

contract!(SemanticsResult, "ackmark-semantics/1");

/// All demonstrations, and the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SemanticsResult {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<SemanticsResult>,
    /// Name of the result folder.
    pub id: String,
    /// ackmark's version.
    pub tool_version: String,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When this file was written.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// How it ended; *interrupted* also while it is still going on.
    pub ending: Ending,
    /// The command line that repeats it.
    pub command: String,
    /// The machine, which brokers and clients share.
    pub environment: Environment,
    /// The Kafka.
    pub cluster: ClusterFacts,
    /// Rounds of each rate.
    pub rounds: u32,
    /// What was shown.
    pub demonstrations: Vec<Demonstration>,
    /// The comparison.
    pub settings: Vec<Setting>,
    /// Rates of other variants of a setting: transactions by duration, pipelines by batch.
    pub variants: Vec<Variant>,
    /// What could not be measured, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The last stable offset against the high watermark while a transaction was open and its producer dead.
    pub stall: Vec<StallSample>,
}

/// One semantic put to the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Demonstration {
    /// Its name, as `--only` takes it.
    pub name: String,
    /// What it shows, in a sentence.
    pub shows: String,
    /// Each count.
    pub checks: Vec<Check>,
    /// Times that were measured.
    pub times: Vec<Time>,
    /// Why it could not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took.
    pub duration_s: f64,
}

/// A count against the one that has to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Of what.
    pub what: String,
    /// What had to come.
    pub expected: u64,
    /// What came.
    pub found: u64,
    /// Whether it is a negative control: it shows that what must not be there elsewhere can be seen.
    pub is_control: bool,
}

/// A time that was measured once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// From when until when.
    pub what: String,
    /// Seconds.
    pub seconds: f64,
    /// What it must not exceed, where there is a bound.
    pub bound_s: Option<f64>,
}

/// What a setting is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A producer's profile.
    Producer,
    /// A consumer.
    Consumer,
    /// A pipeline from a topic to a topic.
    Pipeline,
}

impl Kind {
    /// Its name, to read.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Pipeline => "pipeline",
        }
    }
}

/// A row of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Profile or pattern.
    pub name: String,
    /// Of what.
    pub kind: Kind,
    /// Messages per second.
    pub rate: Spread,
    /// The rate as a multiple of that of the first setting of its kind, round by round.
    pub relative: Spread,
    /// Median of a cycle, from its first message in hand to the end of its commit, microseconds; none of producers.
    pub median_us: Option<u64>,
    /// What was doubled when it was killed.
    pub duplicates: Incidence,
    /// What was lost or skipped when it was killed.
    pub lost: Incidence,
    /// What it needs beside reading or sending.
    pub needs: String,
    /// When to choose it.
    pub use_when: String,
}

/// How often something came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incidence {
    /// How often; absent where it was not examined.
    pub count: Option<u64>,
    /// Of how many messages.
    pub of: u64,
    /// By what: client retries, a restart, redelivery.
    pub causes: Vec<CauseShare>,
    /// What provoked it.
    pub provoked_by: String,
}

/// A part of an incidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseShare {
    /// The cause, to read.
    pub cause: String,
    /// How often.
    pub count: u64,
}

/// Values of some rounds. Fewer than six carry no interval at 95 %, so all that is told is where they lie.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Each, in the order of rounds.
    pub values: Vec<f64>,
}

impl Spread {
    /// The middle one; between two the mean.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let (last, middle) = (sorted.len().checked_sub(1)?, sorted.len() / 2);
        Some(if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[last / 2], sorted[middle]) })
    }

    /// Smallest and largest.
    pub fn range(&self) -> Option<(f64, f64)> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        Some((*sorted.first()?, *sorted.last()?))
    }
}

/// A variant of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Of which setting.
    pub setting: String,
    /// What differs, for example `transactions of 10ms`.
    pub variant: String,
    /// Messages per second.
    pub rate: Spread,
    /// Against the idempotent profile, or the smallest batch, round by round.
    pub relative: Spread,
    /// To what the rate is relative.
    pub relative_to: String,
    /// Median of a transaction's commit, or of a cycle from hand to commit, over the rounds; microseconds.
    pub median_us: Spread,
}

/// Offsets of a topic at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StallSample {
    /// Since the producer died, seconds.
    pub at_s: f64,
    /// Sum of the last stable offsets.
    pub last_stable: u64,
    /// Sum of the high watermarks.
    pub high_watermark: u64,
}

impl Demonstration {
    /// Whether it came as it had to.
    pub fn is_shown(&self) -> bool {
        let in_time = |time: &Time| time.bound_s.is_none_or(|bound| time.seconds <= bound);
        self.error.is_none()
            && !self.checks.is_empty()
            && self.checks.iter().all(|check| check.expected == check.found)
            && self.times.iter().all(in_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demonstration_without_a_count_or_out_of_time_shows_nothing() {
        let mut one = Demonstration {
            name: "x".into(),
            shows: "y".into(),
            checks: Vec::new(),
            times: Vec::new(),
            error: None,
            duration_s: 0.0,
        };
        assert!(!one.is_shown());
        one.checks.push(Check { what: "a".into(), expected: 3, found: 3, is_control: false });
        assert!(one.is_shown());
        one.times.push(Time { what: "b".into(), seconds: 2.0, bound_s: Some(1.0) });
        assert!(!one.is_shown());
    }

    #[test]
    fn a_spread_tells_its_middle_and_its_ends() {
        let of = |values: &[f64]| Spread { values: values.to_vec() };
        assert_eq!(of(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(of(&[4.0, 1.0]).range(), Some((1.0, 4.0)));
        assert_eq!(of(&[]).median(), None);
    }
}
