//! Often-quoted claims, answered by this run's comparisons.

use ackmark_schema::{
    result::{Answer, Claim, Comparison},
    scenario::Scenario,
};
use ackmark_stats::{Interval, answer};

/// A claim about the ratio of two profiles' throughput.
struct Quoted {
    name: &'static str,
    text: &'static str,
    profile: &'static str,
    baseline: &'static str,
    low: f64,
    high: f64,
}

const QUOTED: [Quoted; 1] = [Quoted {
    name: "exactly-once-cost",
    text: "Exactly-once (transactions) is 30-50 % slower than at-least-once (acks=all)",
    profile: "transactional",
    baseline: "all-acks",
    low: 0.5,
    high: 0.7,
}];

/// The claims that this scenario is about, each answered by the first `max` phase.
pub(super) fn claims(scenario: &Scenario, comparisons: &[Comparison]) -> Vec<Claim> {
    let tested = |name: &str| scenario.profiles.iter().any(|profile| profile == name);
    QUOTED
        .iter()
        .filter(|quoted| tested(quoted.profile) && tested(quoted.baseline))
        .map(|quoted| {
            let measured =
                comparisons.iter().find(|found| found.profile == quoted.profile && found.baseline == quoted.baseline);
            claim(quoted, measured)
        })
        .collect()
}

fn claim(quoted: &Quoted, measured: Option<&Comparison>) -> Claim {
    let interval =
        measured.and_then(|found| Some(Interval { low: found.low?, high: found.high?, confidence: found.confidence? }));
    let answer = answer(interval, quoted.low, quoted.high);
    Claim {
        name: quoted.name.into(),
        text: quoted.text.into(),
        profile: quoted.profile.into(),
        baseline: quoted.baseline.into(),
        claimed_low: quoted.low,
        claimed_high: quoted.high,
        answer,
        reason: reason(quoted, measured, interval, answer),
    }
}

fn reason(quoted: &Quoted, measured: Option<&Comparison>, interval: Option<Interval>, answer: Answer) -> String {
    let (profile, baseline) = (quoted.profile, quoted.baseline);
    let Some(found) = measured else {
        return format!("no round has a usable trial of both {profile} and {baseline}");
    };
    let Some(interval) = interval else {
        return format!(
            "{profile} reached {:.2} times the throughput of {baseline}, from {} pair(s): six are needed for an interval",
            found.ratio, found.pairs
        );
    };
    let figures = format!(
        "{profile} reached {:.2} times the throughput of {baseline} ({:.2} to {:.2}, {:.0} % confidence, {} pairs)",
        found.ratio,
        interval.low,
        interval.high,
        interval.confidence * 100.0,
        found.pairs
    );
    let claimed = format!("the claimed {:.2} to {:.2}", quoted.low, quoted.high);
    match answer {
        Answer::Confirmed => format!("{figures}: all of it within {claimed}"),
        Answer::Refuted => format!("{figures}: all of it outside of {claimed}"),
        Answer::Inconclusive => format!("{figures}: partly within {claimed}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::judge::{judge, synthetic};

    fn answered(transactional_per_s: f64, rounds: u32) -> Claim {
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("all-acks", 1000.0), ("transactional", transactional_per_s)], rounds);
        judge(&mut result, Path::new("."));
        assert_eq!(result.claims.len(), 1);
        result.claims[0].clone()
    }

    #[test]
    fn a_claim_is_confirmed_refuted_or_left_open() {
        assert_eq!(answered(600.0, 6).answer, Answer::Confirmed);
        assert_eq!(answered(900.0, 6).answer, Answer::Refuted);
        assert_eq!(answered(300.0, 6).answer, Answer::Refuted);
        let edge = answered(700.0, 6);
        assert_eq!(edge.answer, Answer::Inconclusive);
        assert!(edge.reason.contains("partly within the claimed 0.50 to 0.70"), "{}", edge.reason);
    }

    #[test]
    fn below_six_pairs_every_claim_is_inconclusive() {
        let five = answered(600.0, 5);
        assert_eq!(five.answer, Answer::Inconclusive);
        assert!(five.reason.contains("5 pair(s): six are needed"), "{}", five.reason);
    }

    #[test]
    fn a_claim_about_profiles_that_are_not_run_is_not_made() {
        let mut result = synthetic::result();
        result.scenario.profiles = vec!["all-acks".into()];
        judge(&mut result, Path::new("."));
        assert!(result.claims.is_empty());
    }
}
