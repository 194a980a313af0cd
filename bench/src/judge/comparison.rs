//! Profiles against each other: ratios of throughput from trials of the same round.

use ackmark_schema::{
    result::{Comparison, Trial},
    scenario::{Load, Phase, Scenario},
};
use ackmark_stats::paired_ratio;

use super::usable;

/// What the others are compared with, where they are in the scenario: the cheapest setting, and at least once.
const BASELINES: [&str; 2] = ["at-most-once", "all-acks"];

/// Every profile against every baseline, in each `max` phase. Without any of the baselines the scenario's first
/// profile is one.
pub(super) fn comparisons(scenario: &Scenario, trials: &[Trial]) -> Vec<Comparison> {
    let mut baselines: Vec<&str> =
        BASELINES.into_iter().filter(|name| scenario.profiles.iter().any(|profile| profile == name)).collect();
    if baselines.is_empty() {
        baselines.extend(scenario.profiles.first().map(String::as_str));
    }
    let max_phases = scenario.phases.iter().filter(|phase| matches!(phase.load, Load::Max(_)));
    max_phases
        .flat_map(|phase| baselines.iter().map(move |baseline| (phase, *baseline)))
        .flat_map(|(phase, baseline)| {
            let others = scenario.profiles.iter().filter(move |profile| *profile != baseline);
            others.filter_map(move |profile| comparison(phase, profile, baseline, trials))
        })
        .collect()
}

fn comparison(phase: &Phase, profile: &str, baseline: &str, trials: &[Trial]) -> Option<Comparison> {
    let delivered_per_s = |trial: &Trial| trial.load.as_ref().map(|load| load.measured.delivered_per_s);
    let pairs: Vec<(f64, f64)> = usable(trials, &phase.name, profile)
        .filter_map(|trial| {
            let other = usable(trials, &phase.name, baseline).find(|other| other.round == trial.round)?;
            delivered_per_s(trial).zip(delivered_per_s(other))
        })
        .collect();
    let found = paired_ratio(&pairs)?;
    Some(Comparison {
        phase: phase.name.clone(),
        profile: profile.to_owned(),
        baseline: baseline.to_owned(),
        ratio: found.ratio,
        low: found.interval.map(|interval| interval.low),
        high: found.interval.map(|interval| interval.high),
        confidence: found.interval.map(|interval| interval.confidence),
        pairs: found.pairs,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::synthetic;

    fn find<'a>(all: &'a [Comparison], profile: &str, baseline: &str) -> &'a Comparison {
        all.iter().find(|found| found.profile == profile && found.baseline == baseline).unwrap()
    }

    #[test]
    fn profiles_are_compared_within_their_rounds() {
        let scenario = synthetic::scenario();
        let mut trials =
            synthetic::trials(&[("at-most-once", 1000.0), ("all-acks", 800.0), ("transactional", 400.0)], 6);
        // A round in which the machine was ten times slower leaves the ratio as it is.
        for trial in trials.iter_mut().filter(|trial| trial.round == 3) {
            trial.load.as_mut().unwrap().measured.delivered_per_s /= 10.0;
        }
        let all = comparisons(&scenario, &trials);
        let found = find(&all, "transactional", "all-acks");
        assert_eq!(found.pairs, 6);
        assert!((found.ratio - 0.5).abs() < 0.02, "{found:?}");
        assert!(found.low.unwrap() > 0.45 && found.high.unwrap() < 0.55, "{found:?}");
        assert!((find(&all, "all-acks", "at-most-once").ratio - 0.8).abs() < 0.03);
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_round_without_its_partner_is_no_pair() {
        let scenario = synthetic::scenario();
        let mut trials = synthetic::trials(&[("all-acks", 800.0), ("transactional", 400.0)], 6);
        trials[0].invalid.push("the generator was late".into());
        let all = comparisons(&scenario, &trials);
        let found = find(&all, "transactional", "all-acks");
        assert_eq!((found.pairs, found.low, found.confidence), (5, None, None));
    }

    #[test]
    fn without_a_baseline_the_first_profile_is_one() {
        let mut scenario = synthetic::scenario();
        scenario.profiles = ["leader-ack", "idempotent"].map(String::from).into();
        let all = comparisons(&scenario, &synthetic::trials(&[("leader-ack", 500.0), ("idempotent", 250.0)], 2));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].baseline, "leader-ack");
    }
}
