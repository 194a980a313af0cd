//! What follows from the trials: summaries, comparisons, claims, verdicts.
//!
//! Figures come from usable trials only: completed, valid, and not seen to be unsteady. A trial that was
//! too short for a label is used, and the result warns of it. Verdicts come from every trial that was
//! verified, whatever its figures are worth.

mod claim;
mod comparison;
mod summary;
#[cfg(test)]
pub(crate) mod synthetic;
mod verdict;

use std::path::Path;

use ackmark_schema::result::{RunResult, Trial, Warning};

/// Fills in what follows from the trials so far. `folder` is the result folder, whose latency logs are
/// merged. Returns what the logs lack.
pub(crate) fn judge(result: &mut RunResult, folder: &Path) -> Vec<Warning> {
    let (summaries, warnings) = summary::summaries(result, folder);
    result.summaries = summaries;
    result.comparisons = comparison::comparisons(&result.scenario, &result.trials);
    result.claims = claim::claims(result);
    result.verdicts = verdict::verdicts(&result.scenario, &result.trials);
    result.verdict = verdict::worst(&result.verdicts);
    warnings
}

/// Trials of a profile in a phase whose figures may be used.
pub(crate) fn usable<'a>(trials: &'a [Trial], phase: &'a str, profile: &'a str) -> impl Iterator<Item = &'a Trial> {
    trials.iter().filter(move |trial| trial.phase == phase && trial.profile == profile && trial.is_used())
}
