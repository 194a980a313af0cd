//! Often-quoted claims, answered by this run's comparisons.

use ackmark_schema::{
    promise::{Acks, Basis},
    result::{Answer, Claim, Comparison, Provider, RunResult},
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
///
/// A claim is about settings, not about names: where the properties in effect are others, or no Kafka was
/// measured, it stays inconclusive.
pub(super) fn claims(result: &RunResult) -> Vec<Claim> {
    let tested = |name: &str| result.scenario.profiles.iter().any(|profile| profile == name);
    QUOTED
        .iter()
        .filter(|quoted| tested(quoted.profile) && tested(quoted.baseline))
        .map(|quoted| {
            let of_pair = |found: &&Comparison| found.profile == quoted.profile && found.baseline == quoted.baseline;
            let claim = claim(quoted, result.comparisons.iter().find(of_pair));
            match besides(result, quoted) {
                None => claim,
                Some(reason) => Claim { answer: Answer::Inconclusive, reason, ..claim },
            }
        })
        .collect()
}

/// Why what was measured is not what the claim is about.
fn besides(result: &RunResult, quoted: &Quoted) -> Option<String> {
    if result.cluster.provider == Provider::Simulated {
        return Some("the brokers were simulated: this says nothing about Kafka".into());
    }
    let other = |name: &str, meant: fn(&Basis) -> bool| {
        let record = result.profiles.iter().find(|record| record.profile.name == name);
        let basis = record.and_then(|record| record.promise.as_ref()).map(|promise| promise.basis);
        basis.filter(|basis| !meant(basis)).map(|_| format!("{name} was measured with other properties than its own"))
    };
    other(quoted.profile, |basis| basis.acks == Acks::All && basis.transactional)
        .or_else(|| other(quoted.baseline, |basis| basis.acks == Acks::All && !basis.transactional))
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
