//! A run by flags, and the load spec that it stands for.

use std::{str::FromStr, time::Duration};

use ackmark_client::ClientProperties;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    profile::Profile,
    record::HEADER_LEN,
    scenario::{Arrivals, Keys, LogNormalSize, Message, Payload, Producer, Size, UniformSize, Zipf},
    units::{Bytes, Count, Rate, Span},
    version::SchemaId,
};
use clap::ValueEnum;

use super::profiles;
use crate::problem::Problem;

const DEFAULT_PROFILE: &str = "idempotent";
const DURATION_ALONE: Span = Span(Duration::from_secs(10));
const DURATION_WITH_MESSAGES: Span = Span(Duration::from_hours(1));
const DRAIN_TIMEOUT: Span = Span(Duration::from_mins(1));

/// A run by flags.
#[derive(Debug, clap::Args)]
#[group(id = "flags", multiple = true)]
pub(crate) struct Run {
    /// The topic, which must exist unless --create-topic is given; several times: messages go to all of them in turn
    #[arg(short, long, value_name = "NAME", required_unless_present_any = ["spec", "resume"])]
    pub(crate) topic: Vec<String>,
    /// Create the topics with this many partitions each and the brokers' default replication
    #[arg(long, value_name = "PARTITIONS")]
    pub(crate) create_topic: Option<u32>,
    /// The delivery profile: a built-in one (see `ackmark profiles`) or a TOML file [default: idempotent]
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// How long messages are sent and measured [default: 10s, or 1h with --messages]
    #[arg(short, long, value_name = "TIME")]
    pub(crate) duration: Option<Span>,
    /// End after this many measured messages
    #[arg(short = 'n', long, visible_alias = "num-records", value_name = "COUNT")]
    pub(crate) messages: Option<Count>,
    /// Open loop: messages per second of all producers together [default: as fast as possible]
    #[arg(short, long, value_name = "RATE")]
    pub(crate) rate: Option<Rate>,
    /// Spacing of messages in an open loop [default: constant]
    #[arg(long, value_name = "SPACING", requires = "rate")]
    pub(crate) arrivals: Option<Spacing>,
    /// Bytes of a value: 1KiB, uniform:100B:2KiB or lognormal:500B:1.0:100B:64KiB (median, sigma, min,
    /// max) [default: 1KiB]
    #[arg(short, long, visible_alias = "record-size", value_name = "SIZE", value_parser = size)]
    pub(crate) size: Option<Size>,
    /// What a value holds: random, zeros, compressible:4 or samples:FILE [default: random]
    #[arg(long, value_name = "KIND", value_parser = payload)]
    pub(crate) payload: Option<Payload>,
    /// Keys: none, round-robin:1k, uniform:1k or zipf:1k:1.0 (keys, exponent) [default: none]
    #[arg(long, value_name = "KIND", value_parser = keys)]
    pub(crate) keys: Option<Keys>,
    /// Producers, each with its own threads and connections [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub(crate) producers: Option<u32>,
    /// Most messages that a producer has outstanding [default: the profile's]
    #[arg(long, value_name = "COUNT")]
    pub(crate) outstanding: Option<Count>,
    /// Most bytes that a producer has outstanding [default: the profile's]
    #[arg(long, value_name = "SIZE")]
    pub(crate) outstanding_bytes: Option<Bytes>,
    /// End a transaction after this time (transactional profiles)
    #[arg(long, value_name = "TIME")]
    pub(crate) transaction_duration: Option<Span>,
    /// End a transaction after this many messages (transactional profiles)
    #[arg(long, value_name = "COUNT")]
    pub(crate) transaction_messages: Option<Count>,
    /// Abort this share of the transactions instead of committing them: 0 to 1 [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub(crate) abort_share: Option<f64>,
    /// Send this long before measuring [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub(crate) warm_up: Option<Span>,
    /// Longest wait at the end for what is outstanding [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) drain_timeout: Option<Span>,
    /// Send without header and ledger: nothing can be verified then
    #[arg(long)]
    pub(crate) unverified: bool,
    /// Seed of sizes, keys, bodies and arrivals [default: drawn]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
}

/// Spacing of messages in an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spacing {
    /// Evenly
    Constant,
    /// A Poisson process
    Poisson,
}

impl Run {
    /// The load spec, checked as far as it can be without Kafka: its partitions are not known yet.
    ///
    /// # Errors
    /// An unknown profile, or values that cannot work.
    pub(crate) fn spec(&self, properties: &ClientProperties) -> Result<LoadSpec, Problem> {
        let message = Message::default();
        let profile = self.profile()?;
        let spec = LoadSpec {
            schema: SchemaId::default(),
            run: rand::random(),
            properties: properties.iter().cloned().collect(),
            topics: self.topic.clone(),
            partitions: self.create_topic.unwrap_or(1),
            message: Message {
                size: self.size.unwrap_or(message.size),
                payload: self.payload.clone().unwrap_or(message.payload),
                keys: self.keys.unwrap_or(message.keys),
            },
            producers: self.producers.unwrap_or_else(|| Producer::default().count),
            outstanding: self.outstanding.unwrap_or(profile.tuning.outstanding),
            outstanding_bytes: self.outstanding_bytes.unwrap_or(profile.tuning.outstanding_bytes),
            schedule: self.schedule(),
            warm_up: self.warm_up.unwrap_or(Span(Duration::ZERO)),
            duration: self.duration.unwrap_or(match self.messages {
                Some(_) => DURATION_WITH_MESSAGES,
                None => DURATION_ALONE,
            }),
            messages: self.messages,
            drain_timeout: self.drain_timeout.unwrap_or(DRAIN_TIMEOUT),
            seed: self.seed.unwrap_or_else(rand::random),
            verified: !self.unverified,
            simulated: false,
            profile,
        };
        let (smallest, _) = spec.message.size.bounds();
        if spec.verified && smallest.0 < HEADER_LEN as u64 {
            return Err(Problem::usage(format!(
                "a message of {smallest} is too small for the {HEADER_LEN}-byte header that verification needs"
            ))
            .hint(format!("use {HEADER_LEN}B or more, or send with --unverified")));
        }
        spec.check().map_err(Problem::usage)?;
        Ok(spec)
    }

    fn schedule(&self) -> Schedule {
        match self.rate {
            None => Schedule::Max,
            Some(messages) => {
                Schedule::Rate { messages, arrivals: self.arrivals.map_or_else(Arrivals::default, Arrivals::from) }
            }
        }
    }

    fn profile(&self) -> Result<Profile, Problem> {
        let mut profile = profiles::find(self.profile.as_deref().unwrap_or(DEFAULT_PROFILE))?;
        let sized = self.transaction_duration.is_some() || self.transaction_messages.is_some();
        if !sized && self.abort_share.is_none() {
            return Ok(profile);
        }
        let Some(transactions) = &mut profile.transactions else {
            return Err(Problem::usage(format!("profile {} has no transactions", profile.name)).hint(
                "use --profile transactional, or leave --transaction-duration, --transaction-messages and --abort-share \
                 out",
            ));
        };
        if sized {
            (transactions.duration, transactions.messages) = (self.transaction_duration, self.transaction_messages);
        }
        transactions.abort_share = self.abort_share.unwrap_or(transactions.abort_share);
        Ok(profile)
    }
}

impl From<Spacing> for Arrivals {
    fn from(spacing: Spacing) -> Self {
        match spacing {
            Spacing::Constant => Self::Constant,
            Spacing::Poisson => Self::Poisson,
        }
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn size(text: &str) -> Result<Size, String> {
    let pieces: Vec<&str> = text.split(':').collect();
    match pieces[..] {
        ["uniform", min, max] => Ok(Size::Uniform(UniformSize { min: parse(min)?, max: parse(max)? })),
        ["lognormal", median, sigma, min, max] => Ok(Size::LogNormal(LogNormalSize {
            median: parse(median)?,
            sigma: parse(sigma)?,
            min: parse(min)?,
            max: parse(max)?,
        })),
        [fixed] => parse(fixed).map(Size::Fixed),
        _ => Err("write it like 1KiB, uniform:100B:2KiB or lognormal:500B:1.0:100B:64KiB".into()),
    }
}

fn payload(text: &str) -> Result<Payload, String> {
    match text.split_once(':') {
        None if text == "random" => Ok(Payload::Random),
        None if text == "zeros" => Ok(Payload::Zeros),
        Some(("compressible", ratio)) => parse(ratio).map(Payload::Compressible),
        Some(("samples", file)) if !file.is_empty() => Ok(Payload::Samples(file.into())),
        _ => Err("write it like random, zeros, compressible:4 or samples:FILE".into()),
    }
}

fn keys(text: &str) -> Result<Keys, String> {
    let pieces: Vec<&str> = text.split(':').collect();
    match pieces[..] {
        ["none"] => Ok(Keys::None),
        ["round-robin", keys] => parse(keys).map(Keys::RoundRobin),
        ["uniform", keys] => parse(keys).map(Keys::Uniform),
        ["zipf", keys, exponent] => Ok(Keys::Zipf(Zipf { keys: parse(keys)?, exponent: parse(exponent)? })),
        _ => Err("write it like none, round-robin:1k, uniform:1k or zipf:1k:1.0".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_payloads_and_keys_are_read_in_every_form() {
        assert_eq!(size("1KiB").unwrap(), Size::Fixed(Bytes(1024)));
        let uniform = UniformSize { min: Bytes(100), max: Bytes(2048) };
        assert_eq!(size("uniform:100B:2KiB").unwrap(), Size::Uniform(uniform));
        assert!(matches!(size("lognormal:500B:1.0:100B:64KiB").unwrap(), Size::LogNormal(_)));
        assert!(size("normal:1:2").unwrap_err().contains("uniform:100B:2KiB"));
        assert_eq!(payload("compressible:4").unwrap(), Payload::Compressible(4.0));
        assert_eq!(payload("samples:a.txt").unwrap(), Payload::Samples("a.txt".into()));
        assert!(payload("sample").unwrap_err().contains("samples:FILE"));
        assert_eq!(keys("zipf:1k:1.1").unwrap(), Keys::Zipf(Zipf { keys: Count(1000), exponent: 1.1 }));
        assert_eq!(keys("none").unwrap(), Keys::None);
        assert!(keys("zipf:1k").unwrap_err().contains("zipf:1k:1.0"));
    }
}
