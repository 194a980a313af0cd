//! A trial, or an interval of the warm-up, as the load child takes it.

use std::time::Duration;

use ackmark_client::ClientProperties;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    profile::Profile,
    properties::{Origin, Property},
    scenario::{Load, Scenario},
    units::{Count, Rate, Span},
    version::SchemaId,
};

use crate::plan::{Plan, PlannedTrial};

/// Longest wait for what is outstanding at the end of a load.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_mins(1);

/// What all loads of a run have in common.
pub(crate) struct Common<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) properties: &'a ClientProperties,
    pub(crate) simulated: bool,
}

impl Common<'_> {
    fn spec(&self, profile: &Profile, topic: &str, schedule: Schedule, seed: u64) -> LoadSpec {
        let scenario = self.scenario;
        LoadSpec {
            schema: SchemaId::default(),
            run: rand::random(),
            profile: profile.clone(),
            properties: self.properties(),
            topic: topic.to_owned(),
            partitions: scenario.topic.partitions,
            message: scenario.message.clone(),
            producers: scenario.producer.count,
            outstanding: scenario.producer.outstanding,
            outstanding_bytes: scenario.producer.outstanding_bytes,
            schedule,
            warm_up: Span(Duration::ZERO),
            duration: Span(Duration::from_secs(1)),
            messages: None,
            drain_timeout: Span(DRAIN_TIMEOUT),
            seed,
            verified: scenario.verify.enabled,
            simulated: self.simulated,
        }
    }

    /// The scenario's, then the user's: weakest origin first.
    fn properties(&self) -> Vec<Property> {
        let scenario = self.scenario.producer.properties.iter().map(|(name, value)| Property {
            name: name.clone(),
            value: value.clone(),
            origin: Origin::Scenario,
        });
        let mut all: Vec<Property> = scenario.chain(self.properties.iter().cloned()).collect();
        all.sort_by_key(|property| property.origin);
        all
    }

    /// A trial. `rate` is the phase's in messages per second, where it is open loop.
    pub(crate) fn trial(&self, plan: &Plan, trial: &PlannedTrial, rate: Option<Rate>, topic: &str) -> LoadSpec {
        let phase = plan.phase(trial);
        let (schedule, messages) = match (phase.load, rate) {
            (Load::Rate(load), Some(messages)) => (Schedule::Rate { messages, arrivals: load.arrivals }, None),
            (Load::Max(max), _) => (Schedule::Max, max.messages),
            (Load::Rate(_), None) => (Schedule::Max, None),
        };
        // Profiles of one round send the same bodies.
        let seed = plan.seed().wrapping_add(u64::from(trial.round));
        LoadSpec {
            warm_up: phase.warm_up,
            duration: phase.duration,
            messages,
            ..self.spec(plan.profile(trial), topic, schedule, seed)
        }
    }

    /// An interval of the brokers' warm-up: nothing of it is verified or measured against anything.
    pub(crate) fn warm_up(&self, profile: &Profile, topic: &str, messages: u64, longest: Duration) -> LoadSpec {
        LoadSpec {
            messages: Some(Count(messages)),
            duration: Span(longest),
            verified: false,
            ..self.spec(profile, topic, Schedule::Max, self.scenario.seed.unwrap_or_default())
        }
    }
}
