//! Rates of open-loop phases that are not written in the scenario: a share of a measured maximum, or those
//! of an earlier result, so that both can be compared.

use std::path::Path;

use ackmark_schema::{
    result::{RESULT_FILE, RunResult, Trial},
    scenario::{Load, Phase, Scenario},
    text,
};
use indexmap::IndexMap;

use crate::{error::BenchError, judge};

/// The rates of a result's open-loop phases, by phase name, for those phases that this scenario has too.
///
/// # Errors
/// No result there, or one that lacks a phase of this scenario.
pub fn from_result(path: &Path, scenario: &Scenario) -> Result<IndexMap<String, f64>, BenchError> {
    let file = if path.is_dir() { path.join(RESULT_FILE) } else { path.to_owned() };
    let text =
        std::fs::read_to_string(&file).map_err(|source| BenchError::Unreadable { file: file.clone(), source })?;
    let result: RunResult = text::from_json(&file.display().to_string(), &text)?;
    let known: IndexMap<String, f64> = result
        .scenario
        .phases
        .iter()
        .filter_map(|phase| Some((phase.name.clone(), crate::budget::fixed_rate(phase, &result.rates)?)))
        .collect();
    let open_loop = scenario.phases.iter().filter(|phase| matches!(phase.load, Load::Rate(_)));
    open_loop
        .map(|phase| match known.get(&phase.name) {
            Some(rate) => Ok((phase.name.clone(), *rate)),
            None => Err(BenchError::NoRate {
                file: file.clone(),
                phase: phase.name.clone(),
                known: known.keys().cloned().collect::<Vec<_>>().join(", "),
            }),
        })
        .collect()
}

/// Messages per second of a phase that takes a share: the share of the slowest profile's median in the
/// first `max` phase, to three significant figures. `None` until every profile has been measured there.
pub(crate) fn share_of_max(phase: &Phase, scenario: &Scenario, trials: &[Trial]) -> Option<f64> {
    let Load::Rate(rate) = phase.load else { return None };
    let share = rate.share?;
    let max = scenario.phases.iter().find(|phase| matches!(phase.load, Load::Max(_)))?;
    let medians: Option<Vec<f64>> = scenario
        .profiles
        .iter()
        .map(|profile| {
            let figures: Vec<f64> = judge::usable(trials, &max.name, profile)
                .filter_map(|trial| Some(trial.load.as_ref()?.measured.delivered_per_s))
                .collect();
            ackmark_stats::median_interval(&figures).map(|estimate| estimate.median)
        })
        .collect();
    medians?.into_iter().reduce(f64::min).map(|slowest| three_figures(slowest * share)).filter(|rate| *rate > 0.0)
}

fn three_figures(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powf(value.log10().floor() - 2.0);
    (value / scale).round() * scale
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::synthetic;

    #[test]
    fn a_share_is_of_the_slowest_profiles_median() {
        let mut scenario = synthetic::scenario();
        scenario.phases.push(
            serde_json::from_value(serde_json::json!({
                "name": "half", "rounds": 1, "duration": "2s", "load": { "rate": { "share": 0.5 } }
            }))
            .unwrap(),
        );
        let trials = synthetic::trials(&[("at-most-once", 1000.0), ("all-acks", 800.0), ("transactional", 505.4)], 3);
        let half = scenario.phases.last().unwrap();
        assert_eq!(share_of_max(half, &scenario, &trials), Some(253.0));
        let without = synthetic::trials(&[("at-most-once", 1000.0), ("all-acks", 800.0)], 3);
        assert_eq!(share_of_max(half, &scenario, &without), None);
    }

    #[test]
    fn rates_of_an_earlier_result_are_taken_by_phase_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut result = synthetic::result();
        let half: Phase = serde_json::from_value(serde_json::json!({
            "name": "half", "rounds": 1, "duration": "2s", "load": { "rate": { "share": 0.5 } }
        }))
        .unwrap();
        result.scenario.phases.push(half.clone());
        result.rates.insert("half".into(), 4321.0);
        std::fs::write(folder.path().join(RESULT_FILE), serde_json::to_string(&result).unwrap()).unwrap();
        let rates = from_result(folder.path(), &result.scenario).unwrap();
        assert_eq!(rates.into_iter().collect::<Vec<_>>(), [("half".to_owned(), 4321.0)]);
        let mut other = result.scenario.clone();
        other.phases.last_mut().unwrap().name = "third".into();
        let error = from_result(folder.path(), &other).unwrap_err().to_string();
        assert!(error.contains("no rate for phase \"third\"") && error.contains("half"), "{error}");
        assert!(from_result(Path::new("no/such"), &other).is_err());
    }
}
