//! A plan: what will run, how long it takes, what it writes.

use ackmark_bench::{Plan, PlannedTrial};
use ackmark_schema::scenario::Scenario;
use serde::Serialize;

use crate::document::Document;

/// A plan as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct PlanOutline<'a> {
    scenario: &'a Scenario,
    trials: Vec<TrialOutline<'a>>,
    duration_s_max: f64,
    message_bytes: u64,
    written_bytes: u64,
    disk_peak_bytes: u64,
    warm_up_messages: u64,
}

#[derive(Debug, Serialize)]
struct TrialOutline<'a> {
    index: u32,
    phase: &'a str,
    round: u32,
    profile: &'a str,
}

/// The plan as JSON.
pub(crate) fn outline(plan: &Plan) -> PlanOutline<'_> {
    let trial = |trial: &PlannedTrial| {
        let PlannedTrial { index, round, .. } = *trial;
        TrialOutline { index, phase: &plan.phase(trial).name, round, profile: &plan.profile(trial).name }
    };
    PlanOutline {
        scenario: &plan.scenario,
        trials: plan.trials.iter().map(trial).collect(),
        duration_s_max: plan.budget.duration.as_secs_f64(),
        message_bytes: plan.budget.message_bytes,
        written_bytes: plan.budget.written_bytes,
        disk_peak_bytes: plan.budget.disk_peak_bytes,
        warm_up_messages: plan.budget.warm_up_messages,
    }
}

/// The plan for people.
pub(crate) fn document(plan: &Plan) -> Document {
    let mut document = Document::default();
    document.verbatim(ackmark_bench::outline::text(plan));
    document
}
