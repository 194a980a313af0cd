//! One producer run, as `ackmark load --spec FILE` takes it.
//!
//! The bench writes one per trial; the flags of `ackmark load` make the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    profile::Profile,
    properties::Property,
    scenario::{Arrivals, Message, PARTITIONS_MAX, PRODUCERS_MAX},
    units::{Bytes, Count, Rate, Span},
    version::{SchemaId, contract},
};

contract!(LoadSpec, "ackmark-load-spec/1");

/// File name, in a load folder, of the spec that the load was given, without its secrets.
pub const SPEC_FILE: &str = "spec.json";

/// One producer run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadSpec {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<LoadSpec>,
    /// Random, the same in every record header of the run.
    pub run: u32,
    /// The delivery setting.
    pub profile: Profile,
    /// Client properties beyond the profile's, weakest origin first; `bootstrap.servers` is among them.
    pub properties: Vec<Property>,
    /// The topics, which exist: messages go to all of them in turn.
    pub topics: Vec<String>,
    /// Partitions of each topic.
    pub partitions: u32,
    /// What a message is.
    pub message: Message,
    /// Producers, each with its own send and delivery thread.
    pub producers: u32,
    /// Most messages outstanding per producer.
    pub outstanding: Count,
    /// Most bytes outstanding per producer.
    pub outstanding_bytes: Bytes,
    /// The schedule.
    pub schedule: Schedule,
    /// Sent and verified but not measured.
    pub warm_up: Span,
    /// How long the measured part lasts; whichever of this and `messages` comes first.
    pub duration: Span,
    /// Most messages that are measured, all producers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Count>,
    /// Longest wait at the end for what is outstanding; what is open then stays indeterminate.
    pub drain_timeout: Span,
    /// Seed of sizes, keys, bodies and Poisson arrivals.
    pub seed: u64,
    /// Whether messages carry the header and a ledger is kept.
    pub verified: bool,
    /// Whether the brokers are librdkafka's mock: every output says so.
    #[serde(default)]
    pub simulated: bool,
}

/// When messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// As fast as the queue takes them.
    Max,
    /// Open loop at a rate, all producers together.
    Rate {
        /// Messages per second.
        messages: Rate,
        /// Their spacing.
        arrivals: Arrivals,
    },
}

impl LoadSpec {
    /// Partitions of all topics: as many streams each producer has. Stream `n` is of topic `n / partitions` and its
    /// partition `n % partitions`.
    pub fn streams(&self) -> u32 {
        self.topics.len() as u32 * self.partitions
    }

    /// The topics, to read: `topic orders`, or `topics orders, payments`.
    pub fn named_topics(&self) -> String {
        let plural = if self.topics.len() == 1 { "" } else { "s" };
        format!("topic{plural} {}", self.topics.join(", "))
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The problem, naming the field and the accepted form.
    pub fn check(&self) -> Result<(), String> {
        self.profile.check()?;
        self.message.check(self.verified)?;
        if self.topics.is_empty() || self.topics.iter().any(String::is_empty) {
            return Err("topics: give a name".into());
        }
        if let Some((_, twice)) = self.topics.iter().enumerate().find(|(at, name)| self.topics[..*at].contains(name)) {
            return Err(format!("topics: {twice} stands there twice"));
        }
        let most = PARTITIONS_MAX / self.topics.len().min(PARTITIONS_MAX as usize) as u32;
        if !(1..=most).contains(&self.partitions) {
            let topics = self.topics.len();
            return Err(format!(
                "partitions: {} must be from 1 to {most} in each of {topics} topic(s)",
                self.partitions
            ));
        }
        if !(1..=PRODUCERS_MAX).contains(&self.producers) {
            return Err(format!("producers: {} must be from 1 to {PRODUCERS_MAX}", self.producers));
        }
        if self.outstanding.0 == 0 || self.outstanding_bytes.0 == 0 {
            return Err("outstanding: must be above zero".into());
        }
        if self.duration.0.is_zero() {
            return Err("duration: must be above zero".into());
        }
        if self.messages == Some(Count(0)) {
            return Err("messages: must be above zero".into());
        }
        Ok(())
    }
}
