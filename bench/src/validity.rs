//! Whether a trial's figures may be used: reasons against it, each with its figure.
//!
//! These are about the measurement, not about Kafka: a generator that was late by itself, a clock that
//! stepped, CPU time that the hypervisor took, fewer messages than asked for. A sender that waits for a full
//! queue or for a commit is late by Kafka's doing: that stands in the latency and is no part of the generator's
//! lateness.

use ackmark_schema::{
    report::{Ending, load::LoadReport},
    scenario::{Arrivals, Load, Phase, RateLoad},
    units::Rate,
};

/// Least share of the messages asked for that an open loop must have sent.
const SENT_MIN: f64 = 0.99;
/// Largest share of CPU time that the hypervisor may take.
const STEAL_MAX: f64 = 0.10;
/// Largest step of the wall clock in an open loop, whose end-to-end latency rests on it.
const CLOCK_STEP_MAX_US: u64 = 10_000;
/// The generator's own lateness at the 99th percentile: this much, and this share of the latency.
const LAG_MAX_US: u64 = 10_000;
const LAG_SHARE_MAX: f64 = 0.5;

/// Reasons against using the figures; empty when they may be used.
pub(crate) fn invalid(report: &LoadReport, phase: &Phase, rate: Option<Rate>) -> Vec<String> {
    let open_loop = matches!(phase.load, Load::Rate(_));
    let mut reasons = Vec::new();
    if report.measured.delivered == 0 {
        reasons.push("no message was delivered in the measured part".to_owned());
    }
    if let Some(steal) = report.generator.steal_share.filter(|steal| *steal > STEAL_MAX) {
        reasons.push(format!("the hypervisor took {:.0} % of the CPU time", steal * 100.0));
    }
    if open_loop {
        reasons.extend(clock_step(report));
        reasons.extend(late_generator(report));
        reasons.extend(rate.and_then(|rate| too_few(report, phase, rate)));
    }
    reasons
}

fn clock_step(report: &LoadReport) -> Option<String> {
    let step_us = report.generator.clock_step_us;
    (step_us > CLOCK_STEP_MAX_US).then(|| format!("the wall clock stepped by {} ms", step_us / 1000))
}

fn late_generator(report: &LoadReport) -> Option<String> {
    let lag_us = report.generator.schedule_lag.as_ref()?.at(99.0)?.value_us?;
    let latency_us = report.latency_intended.as_ref()?.at(99.0)?.value_us?;
    let matters = lag_us > LAG_MAX_US && lag_us as f64 > LAG_SHARE_MAX * latency_us as f64;
    matters.then(|| {
        format!("the generator itself was late: p99 of its lag is {lag_us} µs, of the latency {latency_us} µs")
    })
}

fn too_few(report: &LoadReport, phase: &Phase, rate: Rate) -> Option<String> {
    // What was stopped says so itself.
    if report.ending != Ending::Completed {
        return None;
    }
    let asked = rate.as_f64() * phase.duration.0.as_secs_f64();
    let sent = report.measured.counts.sent;
    // A Poisson process sends a random number: four standard deviations fewer happen once in 30,000 trials.
    let chance = match phase.load {
        Load::Rate(RateLoad { arrivals: Arrivals::Poisson, .. }) => 4.0 * asked.sqrt(),
        _ => 1.0,
    };
    (sent as f64 + chance < asked * SENT_MIN)
        .then(|| format!("{sent} messages were sent where {asked:.0} were asked for: the rate could not be kept"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::synthetic;
    use ackmark_schema::{
        latency::{LatencySummary, Percentile},
        report::load::TransactionFigures,
    };

    const RATE: &str = r#"{ "name": "r", "rounds": 1, "duration": "2s", "load": { "rate": { "messages": "1k/s" } } }"#;
    const POISSON: &str = r#"{ "name": "p", "rounds": 1, "duration": "2s", "load": { "rate": { "messages": "1k/s", "arrivals": "poisson" } } }"#;
    const MAX: &str = r#"{ "name": "m", "rounds": 1, "duration": "2s", "load": { "max": {} } }"#;

    fn p99(us: u64) -> LatencySummary {
        let entry =
            Percentile { percentile: 99.0, value_us: Some(us), low_us: Some(us), high_us: Some(us), needs: 368 };
        LatencySummary { count: 2000, percentiles: vec![entry], ..LatencySummary::default() }
    }

    /// Reasons against a trial of 2,000 messages that were asked for and sent.
    fn reasons(phase: &str, change: impl Fn(&mut LoadReport)) -> String {
        let phase: Phase = serde_json::from_str(phase).unwrap();
        let mut report = synthetic::load_report();
        report.measured.counts.sent = 2000;
        report.latency_intended = Some(p99(50_000));
        report.generator.schedule_lag = Some(p99(50));
        change(&mut report);
        invalid(&report, &phase, Rate::per_second(1000.0)).join("; ")
    }

    #[test]
    fn a_trial_that_went_well_has_no_reasons() {
        assert_eq!(reasons(RATE, |_| {}), "");
        assert_eq!(reasons(MAX, |report| report.generator.queue_full = 1_000_000), "");
    }

    #[test]
    fn each_reason_carries_its_figure() {
        assert!(
            reasons(RATE, |report| report.measured.counts.sent = 1900).contains("1900 messages were sent where 2000")
        );
        assert_eq!(reasons(RATE, |report| report.measured.counts.sent = 1985), "", "within a per cent");
        assert_eq!(reasons(POISSON, |report| report.measured.counts.sent = 1802), "", "four standard deviations: 179");
        assert!(reasons(POISSON, |report| report.measured.counts.sent = 1800).contains("1800 messages were sent"));
        assert!(reasons(RATE, |report| report.generator.clock_step_us = 20_000).contains("stepped by 20 ms"));
        assert_eq!(reasons(MAX, |report| report.generator.clock_step_us = 20_000), "", "no latency rests on it");
        assert!(reasons(MAX, |report| report.generator.steal_share = Some(0.25)).contains("25 % of the CPU time"));
        assert!(reasons(MAX, |report| report.measured.delivered = 0).contains("no message was delivered"));
        let late = |report: &mut LoadReport| report.generator.schedule_lag = Some(p99(40_000));
        assert!(reasons(RATE, late).contains("late: p99 of its lag is 40000 µs, of the latency 50000 µs"));
        let late_beside_kafka = |report: &mut LoadReport| {
            report.generator.schedule_lag = Some(p99(40_000));
            report.generator.queue_full = 3;
            report.transactions = Some(TransactionFigures::default());
        };
        assert!(
            reasons(RATE, late_beside_kafka).contains("late: p99"),
            "a full queue or a commit excuses nothing else"
        );
        let by_kafka = |report: &mut LoadReport| {
            report.latency_intended = Some(p99(5_000_000));
            report.generator.queue_full = 300;
        };
        assert_eq!(reasons(RATE, by_kafka), "", "waiting for Kafka is not the generator's lateness");
    }
}
