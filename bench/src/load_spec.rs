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
            topics: vec![topic.to_owned()],
            partitions: scenario.topic.partitions,
            message: scenario.message.clone(),
            producers: scenario.producer.count,
            outstanding: scenario.producer.outstanding.unwrap_or(profile.tuning.outstanding),
            outstanding_bytes: scenario.producer.outstanding_bytes.unwrap_or(profile.tuning.outstanding_bytes),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Choices, shipped};
    use ackmark_cluster::Guards;

    fn common(check: impl Fn(&Plan, &Common<'_>)) {
        let mut scenario = shipped::scenario("quick").unwrap();
        scenario.producer.properties.insert("linger.ms".into(), "5".into());
        let choices = Choices { seed: Some(10), ..Choices::default() };
        let plan = Plan::new(&scenario, &choices, &Guards::for_somebody_elses()).unwrap();
        let mut properties = ClientProperties::with_bootstrap("kafka:9092", Origin::Flag);
        properties.set("acks", "1", Origin::Flag).set("security.protocol", "SSL", Origin::File);
        check(&plan, &Common { scenario: &plan.scenario, properties: &properties, simulated: false });
    }

    #[test]
    fn every_trial_has_a_sound_spec_with_the_users_properties_last() {
        common(|plan, common| {
            for trial in &plan.trials {
                let spec = common.trial(plan, trial, Rate::per_second(5000.0), "topic");
                assert_eq!(spec.check(), Ok(()));
                let origins: Vec<Origin> = spec.properties.iter().map(|property| property.origin).collect();
                assert_eq!(origins, [Origin::Scenario, Origin::File, Origin::Flag, Origin::Flag]);
                match plan.phase(trial).load {
                    Load::Max(_) => {
                        assert_eq!(
                            (spec.messages.is_some(), spec.schedule),
                            (true, Schedule::Max),
                            "the guard's bound"
                        );
                    }
                    Load::Rate(_) => assert!(matches!(spec.schedule, Schedule::Rate { .. })),
                }
            }
        });
    }

    #[test]
    fn a_warm_up_is_bounded_and_not_verified() {
        common(|plan, common| {
            let spec = common.warm_up(&plan.profiles[0], "topic", 1000, Duration::from_secs(3));
            assert_eq!(spec.check(), Ok(()));
            assert_eq!((spec.messages, spec.verified, spec.duration.0.as_secs()), (Some(Count(1000)), false, 3));
        });
    }
}
