//! A plan for a person to read: what `--dry-run` prints.

use std::fmt::Write as _;

use ackmark_schema::scenario::{Arrivals, Load, Phase};

use crate::{
    budget::{CEILING_BYTES_PER_S, duration, fixed_rate},
    plan::Plan,
};

/// Rounds of each phase that are listed; the others follow the same rule.
const ROUNDS_SHOWN: u32 = 2;

/// The plan in some twenty lines.
pub fn text(plan: &Plan) -> String {
    let scenario = &plan.scenario;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |content: String| {
        let _ = writeln!(text, "{content}");
    };
    line(format!("{}: {}", scenario.name, scenario.description));
    line(format!(
        "{} trials of {} profile(s), each on a topic of its own with {} partitions, {} replicas and min.insync.replicas={}; seed {}",
        plan.trials.len(),
        plan.profiles.len(),
        scenario.topic.partitions,
        scenario.topic.replication_factor,
        scenario.topic.min_insync_replicas,
        plan.seed()
    ));
    line(format!("takes {}, besides the start of a cluster", plan.budget.sentence()));
    line(format!(
        "(upper estimates: a phase as fast as possible is taken to reach {:.0} MB/s of messages)",
        CEILING_BYTES_PER_S / 1e6
    ));
    line(String::new());
    for variant in &scenario.variants {
        if let Some(profile) = plan.profiles.iter().find(|profile| profile.name == variant.name) {
            line(format!("{}: {}", profile.name, profile.description));
        }
    }
    if !scenario.variants.is_empty() {
        line(String::new());
    }
    line(warm_up(plan));
    for phase in &scenario.phases {
        line(describe(plan, phase));
    }
    line(String::new());
    for phase in 0..scenario.phases.len() {
        for round in 0..scenario.phases[phase].rounds.min(ROUNDS_SHOWN) {
            let names: Vec<&str> = plan
                .trials
                .iter()
                .filter(|trial| (trial.phase, trial.round) == (phase, round))
                .map(|trial| plan.profile(trial).name.as_str())
                .collect();
            line(format!("{} round {}: {}", scenario.phases[phase].name, round + 1, names.join(", ")));
        }
    }
    text
}

fn warm_up(plan: &Plan) -> String {
    let warm_up = &plan.scenario.warm_up;
    match warm_up.messages_max.0 {
        0 => "no warm-up of the brokers".into(),
        _ => format!(
            "warm-up of the brokers: until throughput no longer rises, at most {} messages and {}",
            warm_up.messages_max,
            duration(warm_up.duration_max.0)
        ),
    }
}

fn describe(plan: &Plan, phase: &Phase) -> String {
    let load = match phase.load {
        Load::Max(max) => match max.messages {
            Some(messages) => format!("as fast as possible, not throttled, at most {messages} messages"),
            None => "as fast as possible".into(),
        },
        Load::Rate(rate) => {
            let spacing = match rate.arrivals {
                Arrivals::Constant => "evenly spaced",
                Arrivals::Poisson => "Poisson arrivals",
            };
            match (fixed_rate(phase, &plan.rates), rate.share) {
                (Some(per_s), _) => format!("open loop at {per_s} messages/s, {spacing}"),
                (None, share) => format!(
                    "open loop at {:.0} % of the slowest profile's measured maximum, {spacing}",
                    share.unwrap_or_default() * 100.0
                ),
            }
        }
    };
    let (name, rounds) = (&phase.name, phase.rounds);
    format!(
        "phase {name}: {rounds} round(s), each trial {} after a warm-up of {}: {load}",
        phase.duration, phase.warm_up
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Choices, shipped};
    use ackmark_cluster::Guards;

    fn outline(name: &str, guards: &Guards) -> String {
        let choices = Choices { seed: Some(42), ..Choices::default() };
        text(&Plan::new(&shipped::scenario(name).unwrap(), &choices, guards).unwrap())
    }

    #[test]
    fn a_plan_reads_well() {
        insta::assert_snapshot!("delivery", outline("delivery", &Guards::none()));
        insta::assert_snapshot!("transactions", outline("transactions", &Guards::none()));
        insta::assert_snapshot!("thorough", outline("thorough", &Guards::none()));
        insta::assert_snapshot!("quick_somebody_elses", outline("quick", &Guards::for_somebody_elses()));
    }
}
