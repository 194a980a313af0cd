//! What to run, as a person writes it (TOML). Unknown keys are refused.
//!
//! Model: profiles × phases × rounds; each of those is a trial on a fresh topic, in seeded random
//! order. What a scenario leaves out has the default stated here.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    profile::{self, Profile},
    record::HEADER_LEN,
    text::{self, TextError},
    units::{Bytes, Count, Rate, Span},
    variant::Variant,
    version::{SchemaId, contract},
};

contract!(Scenario, "ackmark-scenario/1");

/// Most partitions of a topic.
pub const PARTITIONS_MAX: u32 = 10_000;
/// Most producers of a trial.
pub const PRODUCERS_MAX: u32 = 64;
/// Most rounds of a phase.
pub const ROUNDS_MAX: u32 = 1_000;
/// Largest message.
pub const MESSAGE_BYTES_MAX: u64 = 8 << 20;

/// A whole scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Name and version of this format; may be left out in a file.
    #[serde(default)]
    pub schema: SchemaId<Scenario>,
    /// Lower-case letters, digits and dashes; part of the result's folder name.
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Names of built-in profiles or of those in `[[profile]]` and `[[variant]]`.
    pub profiles: Vec<String>,
    /// The seed of every random choice; drawn and stored when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What a message is.
    #[serde(default)]
    pub message: Message,
    /// Where messages go.
    #[serde(default)]
    pub topic: Topic,
    /// How they are sent.
    #[serde(default)]
    pub producer: Producer,
    /// How the brokers are warmed before the first trial.
    #[serde(default)]
    pub warm_up: WarmUp,
    /// What is measured.
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
    /// Profiles of the user's own.
    #[serde(default, rename = "profile", skip_serializing_if = "Vec::is_empty")]
    pub own_profiles: Vec<Profile>,
    /// Profiles with some of their values changed.
    #[serde(default, rename = "variant", skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// Whether and how the log is verified.
    #[serde(default)]
    pub verify: Verify,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Message {
    /// Bytes of the value, header included. Default 1KiB.
    pub size: Size,
    /// What the body holds. Default random.
    pub payload: Payload,
    /// The key of each message. Default none.
    pub keys: Keys,
}

/// Bytes of a message value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// All alike: `"1KiB"`.
    Fixed(Bytes),
    /// Spread evenly: `{ min = "100B", max = "2KiB" }`.
    Uniform(UniformSize),
    /// Log-normal, clamped: `{ median = "500B", sigma = 1.0, min = "100B", max = "64KiB" }`.
    LogNormal(LogNormalSize),
}

/// Sizes spread evenly from `min` to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformSize {
    /// Smallest.
    pub min: Bytes,
    /// Largest.
    pub max: Bytes,
}

/// Log-normal sizes, clamped to `min` and `max`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogNormalSize {
    /// Half of the messages are smaller.
    pub median: Bytes,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// Smallest.
    pub min: Bytes,
    /// Largest.
    pub max: Bytes,
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Random bytes: incompressible.
    Random,
    /// Zero bytes.
    Zeros,
    /// Random and repeated bytes in such a mix that zstd makes a batch this many times smaller (1.0 to 50).
    Compressible(f64),
    /// Lines of a text file, repeated or cut to the message's size.
    Samples(std::path::PathBuf),
}

/// The key of each message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// No key: partitions take turns.
    None,
    /// This many keys take turns.
    RoundRobin(Count),
    /// This many keys, each as likely.
    Uniform(Count),
    /// Few keys are frequent, many rare.
    Zipf(Zipf),
}

/// Zipf-distributed keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zipf {
    /// Number of keys.
    pub keys: Count,
    /// Exponent, above 0; 1.0 is the classic.
    pub exponent: f64,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Topic {
    /// Partitions of each trial's topic. Default 6.
    pub partitions: u32,
    /// Replicas of each partition. Default 3.
    pub replication_factor: u32,
    /// `min.insync.replicas`. Default 2.
    pub min_insync_replicas: u32,
    /// Further topic configs by Kafka's names.
    pub configs: IndexMap<String, String>,
}

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Producer {
    /// Producers of a trial, each with its own send and delivery thread. Default 1.
    pub count: u32,
    /// Most messages that one producer has outstanding. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding: Option<Count>,
    /// Most bytes that one producer has outstanding. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding_bytes: Option<Bytes>,
    /// librdkafka properties for all profiles; a profile's own win.
    pub properties: IndexMap<String, String>,
}

/// How brokers are warmed before the first trial: a cold JVM broker is several times slower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WarmUp {
    /// Warmed until throughput no longer rises, at most this many messages. Default 10M; 0 = none.
    pub messages_max: Count,
    /// ... and at most this long. Default 60s.
    pub duration_max: Span,
}

/// One kind of load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Phase {
    /// Its name in the result; unique.
    pub name: String,
    /// Trials of each profile.
    pub rounds: u32,
    /// How long a trial is measured, without its warm-up.
    pub duration: Span,
    /// Sent and verified but not measured, at the start of each trial. Default 1s.
    #[serde(default = "default_trial_warm_up")]
    pub warm_up: Span,
    /// The load.
    pub load: Load,
}

/// How a phase offers messages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// As fast as the queue takes them, for throughput: `{ max = {} }`.
    Max(MaxLoad),
    /// Open loop, for latency: `{ rate = { messages = "20k/s" } }`.
    Rate(RateLoad),
}

/// As fast as the queue takes them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MaxLoad {
    /// A trial ends after this many measured messages even if its time is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Count>,
}

/// Open loop: the intended send time of each message is fixed beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RateLoad {
    /// Messages per second, all producers together. Either this or `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Rate>,
    /// A share (above 0, below 1) of the slowest profile's measured maximum in this run's `max` phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Spacing of messages. Default constant.
    #[serde(default)]
    pub arrivals: Arrivals,
}

/// Spacing of messages in an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly spaced.
    #[default]
    Constant,
    /// A seeded Poisson process.
    Poisson,
}

/// Whether and how the log is verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Verify {
    /// Off only to measure what verification costs. Default true.
    pub enabled: bool,
    /// The seal's deadline. Default 60s.
    pub seal_timeout: Span,
    /// How long end offsets must be stable where unacknowledged messages may still arrive. Default 2s.
    pub quiet: Span,
    /// Reader threads. Default 2.
    pub threads: u32,
}

const fn default_trial_warm_up() -> Span {
    Span(std::time::Duration::from_secs(1))
}

impl Default for Message {
    fn default() -> Self {
        Self { size: Size::Fixed(Bytes(1024)), payload: Payload::Random, keys: Keys::None }
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self { partitions: 6, replication_factor: 3, min_insync_replicas: 2, configs: IndexMap::new() }
    }
}

impl Default for Producer {
    fn default() -> Self {
        Self { count: 1, outstanding: None, outstanding_bytes: None, properties: IndexMap::new() }
    }
}

impl Default for WarmUp {
    fn default() -> Self {
        Self { messages_max: Count(10_000_000), duration_max: Span(std::time::Duration::from_mins(1)) }
    }
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            enabled: true,
            seal_timeout: Span(std::time::Duration::from_mins(1)),
            quiet: Span(std::time::Duration::from_secs(2)),
            threads: 2,
        }
    }
}

impl Size {
    /// Smallest and largest size that it can give.
    pub fn bounds(&self) -> (Bytes, Bytes) {
        match *self {
            Self::Fixed(size) => (size, size),
            Self::Uniform(UniformSize { min, max }) | Self::LogNormal(LogNormalSize { min, max, .. }) => (min, max),
        }
    }

    /// Mean size in bytes (for a log-normal, without the clamping: an upper estimate, clamped to `max`).
    pub fn mean_bytes(&self) -> f64 {
        match *self {
            Self::Fixed(size) => size.0 as f64,
            Self::Uniform(UniformSize { min, max }) => (min.0 + max.0) as f64 / 2.0,
            Self::LogNormal(size) => (size.median.0 as f64 * (size.sigma * size.sigma / 2.0).exp())
                .clamp(size.min.0 as f64, size.max.0 as f64),
        }
    }
}

impl Message {
    /// Checks sizes, payload and keys; `verified` says whether the header must fit.
    ///
    /// # Errors
    /// The problem, naming the field and the accepted form.
    pub fn check(&self, verified: bool) -> Result<(), String> {
        let (min, max) = self.size.bounds();
        if verified && min.0 < HEADER_LEN as u64 {
            return Err(format!(
                "message.size: {min} is too small for the {HEADER_LEN}-byte header that verification needs; \
                 use {HEADER_LEN}B or more, or set verify.enabled = false"
            ));
        }
        if min > max || max.0 > MESSAGE_BYTES_MAX {
            return Err(format!("message.size: give min <= max <= {}", Bytes(MESSAGE_BYTES_MAX)));
        }
        if let Size::LogNormal(size) = self.size
            && !(size.sigma > 0.0 && size.sigma <= 5.0)
        {
            return Err(format!("message.size.sigma: {} must be above 0 and at most 5", size.sigma));
        }
        if let Payload::Compressible(ratio) = self.payload
            && !(1.0..=50.0).contains(&ratio)
        {
            return Err(format!("message.payload.compressible: {ratio} must be from 1.0 to 50.0"));
        }
        match self.keys {
            Keys::RoundRobin(Count(0)) | Keys::Uniform(Count(0)) | Keys::Zipf(Zipf { keys: Count(0), .. }) => {
                Err("message.keys: give at least one key, or \"none\"".into())
            }
            Keys::Zipf(Zipf { exponent, .. }) if !(exponent > 0.0 && exponent <= 10.0) => {
                Err(format!("message.keys.zipf.exponent: {exponent} must be above 0 and at most 10"))
            }
            _ => Ok(()),
        }
    }
}

impl Scenario {
    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// Not TOML, an unknown key (with the nearest known one), an impossible value, an unknown profile.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, TextError> {
        let scenario: Self = text::from_toml(file, text)?;
        scenario.check().map_err(|problem| TextError { file: file.into(), problem })?;
        Ok(scenario)
    }

    /// The profiles that the scenario names, in its order.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn resolve_profiles(&self) -> Result<Vec<Profile>, String> {
        let mut known = self.whole_profiles();
        let variants: Result<Vec<Profile>, String> = self
            .variants
            .iter()
            .map(|variant| match find(&known, &variant.base) {
                Ok(base) => Ok(variant.of(base)),
                Err(problem) => Err(format!("variant {}: {problem}", variant.name)),
            })
            .collect();
        known.extend(variants?);
        self.profiles.iter().map(|name| find(&known, name).cloned()).collect()
    }

    /// The user's own, which go before the built-in ones of the same name, and those.
    fn whole_profiles(&self) -> Vec<Profile> {
        self.own_profiles.iter().cloned().chain(profile::built_in()).collect()
    }

    fn check_profiles(&self) -> Result<(), String> {
        if self.profiles.is_empty() {
            return Err("profiles: name at least one".into());
        }
        for (at, name) in self.profiles.iter().enumerate() {
            if self.profiles[..at].contains(name) {
                return Err(format!("profiles: \"{name}\" stands twice"));
            }
        }
        let whole = self.whole_profiles();
        for own in &self.own_profiles {
            own.check()?;
        }
        for (at, variant) in self.variants.iter().enumerate() {
            let name = &variant.name;
            let others = whole.iter().map(|profile| &profile.name);
            if others.chain(self.variants[..at].iter().map(|other| &other.name)).any(|other| other == name) {
                return Err(format!("variant {name}: another profile has that name; give it a name of its own"));
            }
            variant.check(&self.producer)?;
            let base = find(&whole, &variant.base).map_err(|problem| format!("variant {name}: {problem}"))?;
            variant.of(base).check()?;
        }
        self.resolve_profiles().map(|_| ())
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The problem, naming the field and the accepted form.
    pub fn check(&self) -> Result<(), String> {
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = |name: &str| !name.is_empty() && name.len() <= 40 && name.chars().all(sound);
        if !named(&self.name) {
            return Err(format!("name: \"{}\": use 1 to 40 lower-case letters, digits and dashes", self.name));
        }
        self.check_profiles()?;
        self.message.check(self.verify.enabled)?;
        self.check_topic()?;
        within("producer.count", self.producer.count, 1, PRODUCERS_MAX)?;
        if self.producer.outstanding == Some(Count(0)) || self.producer.outstanding_bytes == Some(Bytes(0)) {
            return Err("producer.outstanding and producer.outstanding-bytes must be above zero".into());
        }
        for name in ["bootstrap.servers", "metadata.broker.list", "transactional.id"] {
            if self.producer.properties.contains_key(name) {
                return Err(format!("producer.properties: `{name}` is set by each run; name the brokers with -b"));
            }
        }
        within("verify.threads", self.verify.threads, 1, 64)?;
        if self.phases.is_empty() {
            return Err("give at least one [[phase]]".into());
        }
        for (at, phase) in self.phases.iter().enumerate() {
            if !named(&phase.name) || self.phases[..at].iter().any(|other| other.name == phase.name) {
                return Err(format!(
                    "phase name \"{}\": use a unique name of lower-case letters, digits and dashes",
                    phase.name
                ));
            }
            phase.check(&self.phases)?;
        }
        Ok(())
    }

    fn check_topic(&self) -> Result<(), String> {
        let topic = &self.topic;
        within("topic.partitions", topic.partitions, 1, PARTITIONS_MAX)?;
        within("topic.replication-factor", topic.replication_factor, 1, 100)?;
        if topic.min_insync_replicas == 0 || topic.min_insync_replicas > topic.replication_factor {
            return Err(format!(
                "topic.min-insync-replicas: {} must be from 1 to the replication factor, {}; nothing could be acknowledged otherwise",
                topic.min_insync_replicas, topic.replication_factor
            ));
        }
        if topic.configs.contains_key("min.insync.replicas") {
            return Err(
                "topic.configs: set `min-insync-replicas` under [topic] instead of `min.insync.replicas`".into()
            );
        }
        Ok(())
    }
}

impl Phase {
    fn check(&self, all: &[Self]) -> Result<(), String> {
        let name = &self.name;
        within(&format!("phase {name}: rounds"), self.rounds, 1, ROUNDS_MAX)?;
        if self.duration.0.as_millis() < 1000 {
            return Err(format!(
                "phase {name}: duration {} is too short; figures are taken per second, use 1s or more",
                self.duration
            ));
        }
        let Load::Rate(rate) = self.load else { return Ok(()) };
        match (rate.messages, rate.share) {
            (Some(_), None) => Ok(()),
            (None, Some(share)) if share > 0.0 && share < 1.0 => {
                if all.iter().any(|phase| matches!(phase.load, Load::Max(_))) {
                    Ok(())
                } else {
                    Err(format!("phase {name}: load.rate.share needs a phase with load.max to take a share of"))
                }
            }
            (None, Some(share)) => Err(format!("phase {name}: load.rate.share {share} must be above 0 and below 1")),
            _ => Err(format!(
                "phase {name}: give either load.rate.messages (like \"20k/s\") or load.rate.share (like 0.5)"
            )),
        }
    }
}

/// A profile by its name; the error names the nearest one.
fn find<'a>(known: &'a [Profile], name: &str) -> Result<&'a Profile, String> {
    known.iter().find(|profile| profile.name == name).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|profile| profile.name.as_str()).collect();
        let hint = text::nearest(name, names.iter().copied())
            .map(|near| format!("; did you mean \"{near}\"?"))
            .unwrap_or_default();
        format!("unknown profile \"{name}\"{hint} (known: {})", names.join(", "))
    })
}

fn within(field: &str, value: u32, min: u32, max: u32) -> Result<(), String> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(format!("{field}: {value} must be from {min} to {max}")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SMALL: &str = r#"
name = "small"
profiles = ["all-acks"]
[message]
size = "100B"
[[phase]]
name = "max"
rounds = 1
duration = "2s"
load = { max = {} }
"#;

    fn refused(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from), "{from}");
        Scenario::from_toml("s.toml", &SMALL.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn a_small_scenario_is_read_with_its_defaults() {
        let scenario = Scenario::from_toml("s.toml", SMALL).unwrap();
        assert_eq!(scenario.topic, Topic::default());
        assert_eq!(scenario.phases[0].warm_up, default_trial_warm_up());
        let text = toml::to_string(&scenario).unwrap();
        assert_eq!(Scenario::from_toml("again", &text).unwrap(), scenario);
    }

    #[test]
    fn every_impossible_value_names_its_field_and_the_cure() {
        assert!(refused("rounds = 1", "round = 1").contains("did you mean `rounds`"));
        assert!(refused("all-acks", "all-ack").contains("did you mean \"all-acks\""));
        assert!(refused("\"100B\"", "\"20B\"").contains("48-byte header"));
        assert!(refused("\"100B\"", "\"9MiB\"").contains("message.size"));
        assert!(refused("rounds = 1", "rounds = 0").contains("rounds: 0 must be from 1"));
        assert!(refused("\"2s\"", "\"10ms\"").contains("1s or more"));
        assert!(refused("max = {}", "rate = {}").contains("load.rate.messages"));
        assert!(refused("max = {}", "rate = { share = 0.5 }").contains("needs a phase with load.max"));
        assert!(refused("[message]", "[topic]\nmin-insync-replicas = 4\n[message]").contains("replication factor"));
        assert!(refused("[message]", "[topic]\npartitions = 0\n[message]").contains("topic.partitions"));
        assert!(refused("\"small\"", "\"Small one\"").contains("name"));
        assert!(refused("[\"all-acks\"]", "[]").contains("profiles"));
        let elsewhere = "[producer.properties]\n\"bootstrap.servers\" = \"x:1\"\n[message]";
        assert!(refused("[message]", elsewhere).contains("-b"));
    }
}
