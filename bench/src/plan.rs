//! Which trial runs when.
//!
//! Model: profiles × phases × rounds. Phases run one after another, those that take a share of a measured
//! maximum after those that measure it. Within a phase, round after round; within a round every profile
//! once, in an order that the seed gives: trials of a round are neighbours in time and so pairs, and no
//! profile always comes first.

use std::path::PathBuf;

use ackmark_cluster::Guards;
use ackmark_schema::{
    profile::Profile,
    scenario::{Load, Phase, Scenario},
};
use indexmap::IndexMap;
use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;

use crate::{budget::Budget, error::BenchError, rates};

/// What a user may choose on top of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The seed instead of the scenario's.
    pub seed: Option<u64>,
    /// Run these profiles instead of the scenario's; empty: the scenario's.
    pub profiles: Vec<String>,
    /// Take the rates of open-loop phases from this earlier result (its folder or its file).
    pub rates_from: Option<PathBuf>,
}

/// A scenario made definite.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In effect: with its seed, its profiles, and its bounds under the cluster's guards.
    pub scenario: Scenario,
    /// Its profiles, in its order.
    pub profiles: Vec<Profile>,
    /// In the order in which they run.
    pub trials: Vec<PlannedTrial>,
    /// Rates, by phase, that an earlier result gives.
    pub rates: IndexMap<String, f64>,
    /// What it takes, from above.
    pub budget: Budget,
}

/// One profile in one phase once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedTrial {
    /// Position in the order, from 0.
    pub index: u32,
    /// Index into the scenario's phases.
    pub phase: usize,
    /// Round, from 0.
    pub round: u32,
    /// Index into [`Plan::profiles`].
    pub profile: usize,
}

impl Plan {
    /// Plans a scenario for a cluster with these guards. Draws the seed when nobody gives one.
    ///
    /// # Errors
    /// Unknown profiles, an earlier result that cannot be used, or more than the guards allow.
    pub fn new(scenario: &Scenario, choices: &Choices, guards: &Guards) -> Result<Self, BenchError> {
        let mut scenario = scenario.clone();
        if !choices.profiles.is_empty() {
            scenario.profiles.clone_from(&choices.profiles);
        }
        // Above 2^53 a seed would be rounded by JSON readers that know only doubles.
        let seed = choices.seed.or(scenario.seed).unwrap_or_else(|| rand::random::<u64>() >> 11);
        scenario.seed = Some(seed);
        crate::guards::bound(&mut scenario, guards);
        scenario.check().map_err(BenchError::Choice)?;
        let profiles = scenario.resolve_profiles().map_err(BenchError::Choice)?;
        let rates = match &choices.rates_from {
            Some(path) => rates::from_result(path, &scenario)?,
            None => IndexMap::new(),
        };
        let trials = order(&scenario, seed);
        let budget = Budget::of(&scenario, &profiles, &trials, &rates);
        crate::guards::check(&scenario, &budget, &rates, guards)?;
        Ok(Self { scenario, profiles, trials, rates, budget })
    }

    /// The phase of a trial.
    pub fn phase(&self, trial: &PlannedTrial) -> &Phase {
        &self.scenario.phases[trial.phase]
    }

    /// The profile of a trial.
    pub fn profile(&self, trial: &PlannedTrial) -> &Profile {
        &self.profiles[trial.profile]
    }

    /// The seed of the order, of payloads and of arrivals.
    pub fn seed(&self) -> u64 {
        self.scenario.seed.unwrap_or_default()
    }
}

/// Whether a phase takes a share of a measured maximum.
pub(crate) fn takes_share(phase: &Phase) -> bool {
    matches!(&phase.load, Load::Rate(rate) if rate.share.is_some())
}

fn order(scenario: &Scenario, seed: u64) -> Vec<PlannedTrial> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut phases: Vec<usize> = (0..scenario.phases.len()).collect();
    phases.sort_by_key(|phase| takes_share(&scenario.phases[*phase]));
    let mut trials = Vec::new();
    for phase in phases {
        for round in 0..scenario.phases[phase].rounds {
            let mut profiles: Vec<usize> = (0..scenario.profiles.len()).collect();
            profiles.shuffle(&mut random);
            for profile in profiles {
                trials.push(PlannedTrial { index: trials.len() as u32, phase, round, profile });
            }
        }
    }
    trials
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shipped;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn plan(name: &str, seed: u64) -> Plan {
        let choices = Choices { seed: Some(seed), ..Choices::default() };
        Plan::new(&shipped::scenario(name).unwrap(), &choices, &Guards::none()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_round_is_adjacent_and_holds_every_profile_once(seed: u64) {
            let plan = plan("delivery", seed);
            prop_assert_eq!(&plan, &super::tests::plan("delivery", seed), "a seed gives one order");
            let size = plan.profiles.len();
            for (at, round) in plan.trials.chunks(size).enumerate() {
                let profiles: BTreeSet<usize> = round.iter().map(|trial| trial.profile).collect();
                prop_assert_eq!(profiles.len(), size);
                prop_assert!(round.iter().all(|trial| (trial.phase, trial.round) == (round[0].phase, round[0].round)));
                prop_assert_eq!(round[0].index as usize, at * size);
            }
            let rounds: usize = plan.scenario.phases.iter().map(|phase| phase.rounds as usize).sum();
            prop_assert_eq!(plan.trials.len(), rounds * size);
        }
    }

    #[test]
    fn rounds_are_shuffled_each_by_itself() {
        let plan = plan("delivery", 1);
        let size = plan.profiles.len();
        let orders: BTreeSet<Vec<usize>> =
            plan.trials.chunks(size).map(|round| round.iter().map(|trial| trial.profile).collect()).collect();
        assert!(orders.len() > 1);
        assert_ne!(plan.trials, super::tests::plan("delivery", 2).trials);
    }

    #[test]
    fn a_share_is_taken_after_its_maximum_was_measured() {
        let text = r#"
            name = "share"
            profiles = ["all-acks"]
            [[phase]]
            name = "half"
            rounds = 1
            duration = "2s"
            load = { rate = { share = 0.5 } }
            [[phase]]
            name = "max"
            rounds = 1
            duration = "2s"
            load = { max = {} }
        "#;
        let scenario = Scenario::from_toml("share", text).unwrap();
        let plan = Plan::new(&scenario, &Choices::default(), &Guards::none()).unwrap();
        let phases: Vec<&str> = plan.trials.iter().map(|trial| plan.phase(trial).name.as_str()).collect();
        assert_eq!(phases, ["max", "half"]);
        assert!(plan.scenario.seed.is_some(), "a drawn seed is stored");
    }

    #[test]
    fn chosen_profiles_replace_the_scenarios_and_unknown_ones_are_refused() {
        let scenario = shipped::scenario("quick").unwrap();
        let choose = |names: &[&str]| {
            let profiles = names.iter().map(ToString::to_string).collect();
            Plan::new(&scenario, &Choices { profiles, ..Choices::default() }, &Guards::none())
        };
        assert_eq!(choose(&["idempotent"]).unwrap().profiles.len(), 1);
        let error = choose(&["idempotant"]).unwrap_err().to_string();
        assert!(error.contains("did you mean \"idempotent\""), "{error}");
    }
}
