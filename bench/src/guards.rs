//! A plan under the guards of somebody else's cluster ([`ackmark_cluster::Guards`]).
//!
//! What can be made smaller without changing what is asked is: warm-up, and the messages of a `max` phase,
//! which ends after what the allowed rate lets through in its time. What the user fixed (a rate, a
//! duration, rounds) is refused when it is too much, not changed.

use ackmark_cluster::{ClusterError, Guards, guards::WritePlan};
use ackmark_schema::{
    scenario::{Load, Scenario},
    units::{Bytes, Count},
};
use indexmap::IndexMap;

use crate::{
    budget::{Budget, fixed_rate},
    plan::Plan,
};

/// Bounds what the guards bound by themselves.
pub(crate) fn bound(scenario: &mut Scenario, guards: &Guards) {
    if let Some(most) = guards.warm_up_messages_max {
        scenario.warm_up.messages_max = Count(scenario.warm_up.messages_max.0.min(most));
    }
    let mean = scenario.message.size.mean_bytes().max(1.0);
    let Some(bytes_per_s) = guards.cap_rate(None) else { return };
    for phase in &mut scenario.phases {
        if let Load::Max(max) = &mut phase.load {
            let most = (bytes_per_s as f64 * phase.duration.0.as_secs_f64() / mean).max(1.0) as u64;
            max.messages = Some(Count(max.messages.map_or(most, |asked| asked.0.min(most))));
        }
    }
}

/// Holds a plan against the guards.
pub(crate) fn check(
    scenario: &Scenario,
    budget: &Budget,
    rates: &IndexMap<String, f64>,
    guards: &Guards,
) -> Result<(), ClusterError> {
    let fixed = scenario.phases.iter().any(|phase| fixed_rate(phase, rates).is_some());
    guards.check(&WritePlan {
        topics: vec![topic_prefix(scenario)],
        bytes: budget.message_bytes,
        rate_bytes_per_s: fixed.then_some(budget.rate_bytes_per_s),
        warm_up_messages: budget.warm_up_messages,
    })
}

/// What every topic of a scenario begins with.
pub fn topic_prefix(scenario: &Scenario) -> String {
    format!("{}{}-", ackmark_cluster::guards::TOPIC_PREFIX, scenario.name)
}

/// What will be written, for a person who must agree.
pub fn what_is_written(plan: &Plan, servers: &str) -> String {
    let topic = &plan.scenario.topic;
    let trials = plan.trials.len();
    format!(
        "ackmark did not start the Kafka at {servers}. It will create {} topics named {}…, one at a time, each with {} \
         partitions and {} replicas, write at most about {} of messages to them ({} with all replicas) within about {}, \
         and delete each once it is verified. Nothing else is written or deleted.",
        trials + usize::from(plan.budget.warm_up_messages > 0),
        topic_prefix(&plan.scenario),
        topic.partitions,
        topic.replication_factor,
        Bytes(plan.budget.message_bytes).approximate(),
        Bytes(plan.budget.written_bytes).approximate(),
        crate::budget::duration(plan.budget.duration),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Choices, shipped};

    fn planned(name: &str, change: impl Fn(&mut Scenario)) -> Result<Plan, String> {
        let mut scenario = shipped::scenario(name).unwrap();
        change(&mut scenario);
        Plan::new(&scenario, &Choices { seed: Some(1), ..Choices::default() }, &Guards::for_somebody_elses())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn quick_runs_on_somebody_elses_cluster_within_its_bounds() {
        let plan = planned("quick", |_| {}).unwrap();
        assert!(plan.scenario.warm_up.messages_max.0 <= 1_000_000);
        for phase in &plan.scenario.phases {
            if let Load::Max(max) = phase.load {
                let bytes = max.messages.unwrap().0 as f64 * plan.scenario.message.size.mean_bytes();
                assert!(bytes <= phase.duration.0.as_secs_f64() * f64::from(256 << 20));
            }
        }
        let text = what_is_written(&plan, "kafka:9092");
        assert!(text.contains("kafka:9092") && text.contains("ackmark-quick-"), "{text}");
    }

    #[test]
    fn what_the_user_fixed_is_refused_and_not_changed() {
        let error = planned("thorough", |_| {}).unwrap_err();
        assert!(error.contains("8192 MiB are allowed"), "{error}");
        let error = planned("quick", |scenario| {
            for phase in &mut scenario.phases {
                if let Load::Rate(rate) = &mut phase.load {
                    rate.messages = ackmark_schema::units::Rate::per_second(1e6);
                }
            }
        })
        .unwrap_err();
        assert!(error.contains("MiB/s are allowed") || error.contains("MiB are allowed"), "{error}");
    }

    #[test]
    fn our_own_cluster_has_no_bounds() {
        let mut scenario = shipped::scenario("thorough").unwrap();
        let before = scenario.clone();
        bound(&mut scenario, &Guards::none());
        assert_eq!(scenario, before);
    }
}
