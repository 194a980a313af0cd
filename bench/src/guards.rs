//! A plan under the guards of somebody else's cluster ([`ackmark_cluster::Guards`]).
//!
//! What can be made smaller without changing what is asked is: warm-up, and the messages of a `max` phase,
//! which ends after what the allowed rate lets through in its time. What the user fixed (a rate, a
//! duration, rounds) is refused when it is too much, not changed. A rate that is derived from a measured maximum is
//! held at the allowed one, and that is remarked.
//!
//! A `max` phase is not slowed down, or it would measure the guard: whoever agrees to a plan is told so.

use ackmark_cluster::{ClusterError, Guards, guards::WritePlan};
use ackmark_schema::{
    result::RunResult,
    scenario::{Load, Scenario},
    units::{Bytes, Count, grouped},
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
pub fn what_is_written(plan: &Plan, guards: &Guards, servers: &str) -> String {
    let topic = &plan.scenario.topic;
    let warm_up = crate::warm_up::topics_max(&plan.scenario.warm_up, &plan.profiles);
    let all = format!(
        "ackmark did not start the Kafka at {servers}. It will create {} topics{} named {}…, one at a time, each with {} \
         partitions and {} replicas, write about {} of messages to them at most ({} with all replicas) within about {}, \
         and delete each once it is verified ({} at most stay, where a promise was not seen to be kept). Nothing else is \
         written or deleted.",
        plan.trials.len(),
        if warm_up > 0 { format!(" and up to {warm_up} for the warm-up,") } else { String::new() },
        topic_prefix(&plan.scenario),
        topic.partitions,
        topic.replication_factor,
        Bytes(plan.budget.message_bytes).approximate(),
        Bytes(plan.budget.written_bytes).approximate(),
        crate::budget::duration(plan.budget.duration),
        crate::evidence::KEPT_MAX,
    );
    let parts = [Some(all), unthrottled(plan), guards.bytes_max.map(ends_at)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// What goes as fast as the brokers take it, by name: the warm-up and `max` phases.
fn unthrottled(plan: &Plan) -> Option<String> {
    let phases = plan.scenario.phases.iter().filter_map(|phase| match phase.load {
        Load::Max(max) => Some(match max.messages {
            Some(messages) => {
                let messages = grouped(messages.0);
                format!("phase {} ({} of warm-up and at most {messages} messages a trial)", phase.name, phase.warm_up)
            }
            None => format!("phase {}", phase.name),
        }),
        Load::Rate(_) => None,
    });
    let messages = crate::warm_up::messages_max(&plan.scenario.warm_up, &plan.profiles);
    let warm_up = (messages > 0).then(|| format!("the warm-up (at most {} messages in all)", grouped(messages)));
    let unthrottled: Vec<String> = warm_up.into_iter().chain(phases).collect();
    (!unthrottled.is_empty()).then(|| {
        let what = unthrottled.join(", ");
        format!("NOT THROTTLED, sent as fast as the brokers take it: {what}. Others on that cluster will notice.")
    })
}

fn ends_at(bytes_max: u64) -> String {
    format!("Should that be more than {} (--max-bytes), the run ends there.", Bytes(bytes_max).approximate())
}

/// Message bytes that a run has sent so far.
pub(crate) fn sent_bytes(result: &RunResult) -> u64 {
    let warm_up = result.warm_up.as_ref().map_or(0, |record| record.messages);
    let trials = result.trials.iter().filter_map(|trial| Some(trial.load.as_ref()?.total.sent)).sum::<u64>();
    ((warm_up + trials) as f64 * result.scenario.message.size.mean_bytes()) as u64
}

/// A derived rate, messages per second, under the guards; and what is to be said when it is another.
pub(crate) fn hold(per_s: f64, phase: &str, scenario: &Scenario, guards: &Guards) -> (f64, Option<String>) {
    let mean = scenario.message.size.mean_bytes().max(1.0);
    match guards.rate_max_bytes_per_s.map(|most| most as f64 / mean).filter(|most| per_s > *most) {
        Some(most) => {
            let most = most.floor().max(1.0);
            let what = format!(
                "phase {phase}: its share of the measured maximum is {per_s:.0} messages/s, and {most:.0} are sent, which is \
                 what is allowed on a cluster that ackmark did not start"
            );
            (most, Some(what))
        }
        None => (per_s, None),
    }
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
        let text = what_is_written(&plan, &Guards::for_somebody_elses(), "kafka:9092");
        insta::assert_snapshot!("written_quick", text);
        let text = what_is_written(&planned("latency", |_| {}).unwrap(), &Guards::none(), "kafka:9092");
        assert!(!text.contains("phase"), "all its phases have a rate: {text}");
        let without = planned("latency", |scenario| scenario.warm_up.messages_max = Count(0)).unwrap();
        let text = what_is_written(&without, &Guards::for_somebody_elses(), "kafka:9092");
        assert!(!text.contains("NOT THROTTLED") && !text.contains("warm-up"), "{text}");
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
    fn a_derived_rate_is_held_at_what_is_allowed() {
        let scenario = shipped::scenario("thorough").unwrap();
        let guards = Guards { rate_max_bytes_per_s: Some(1 << 20), ..Guards::for_somebody_elses() };
        let (per_s, said) = hold(5000.0, "half", &scenario, &guards);
        assert!((per_s - 1024.0).abs() < 1e-9, "a MiB/s of messages of 1 KiB: {per_s}");
        let said = said.unwrap();
        assert!(said.contains("phase half") && said.contains("5000") && said.contains("1024"), "{said}");
        assert_eq!(hold(1024.0, "half", &scenario, &guards), (1024.0, None));
        assert_eq!(hold(5000.0, "half", &scenario, &Guards::none()), (5000.0, None));
    }

    #[test]
    fn what_was_sent_is_counted_with_the_warm_up() {
        let mut result = crate::judge::synthetic::result();
        result.trials = crate::judge::synthetic::trials(&[("all-acks", 1000.0)], 2);
        let mean = result.scenario.message.size.mean_bytes();
        let of_trials = result.trials.iter().map(|trial| trial.load.as_ref().unwrap().total.sent).sum::<u64>();
        result.warm_up = Some(ackmark_schema::result::WarmUpRecord {
            messages: 500,
            duration_s: 1.0,
            rates_per_s: Vec::new(),
            settled: false,
        });
        assert_eq!(sent_bytes(&result), ((of_trials + 500) as f64 * mean) as u64);
    }

    #[test]
    fn our_own_cluster_has_no_bounds() {
        let mut scenario = shipped::scenario("thorough").unwrap();
        let before = scenario.clone();
        bound(&mut scenario, &Guards::none());
        assert_eq!(scenario, before);
    }
}
