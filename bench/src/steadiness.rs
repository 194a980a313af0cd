//! A trial's steadiness from its timeline.
//!
//! Judged are the whole intervals of the measured part, while sending: not the warm-up, not the drain at the
//! end, not a shorter last interval. In an open loop throughput is the schedule's, so its latency counts
//! too: a 99th percentile that at least doubles along a significant trend is a drift (a queue that grows).

use ackmark_schema::{
    report::timeline::{Second, Timeline},
    result::Steadiness,
    scenario::{Load, Phase},
};

/// An interval that is shorter than this share of the longest is left out.
const WHOLE: f64 = 0.8;
/// Level of the trend in latency, and the least relative change that counts.
const SIGNIFICANT: f64 = 0.05;
const LATENCY_CHANGE: f64 = 1.0;

/// Labels a trial.
pub(crate) fn of(timeline: &Timeline, phase: &Phase) -> Steadiness {
    let measured = measured(timeline, phase);
    let rates: Vec<f64> = measured.iter().map(|second| second.delivered as f64 / second.length_s).collect();
    let label = ackmark_stats::steadiness(&rates);
    if label == Steadiness::Steady && matches!(phase.load, Load::Rate(_)) && latency_drifts(&measured) {
        return Steadiness::Drifting;
    }
    label
}

fn measured<'a>(timeline: &'a Timeline, phase: &Phase) -> Vec<&'a Second> {
    let from_s = timeline.measured_from_s;
    let until_s = from_s + phase.duration.0.as_secs_f64();
    let longest_s = timeline.seconds.iter().map(|second| second.length_s).fold(0.0, f64::max);
    // Clocks of interval and phase differ by a little.
    let slack_s = 0.05 * longest_s;
    let inside = |second: &&Second| {
        second.from_s >= from_s - slack_s
            && second.from_s + second.length_s <= until_s + slack_s
            && second.length_s > WHOLE * longest_s
    };
    timeline.seconds.iter().filter(inside).collect()
}

fn latency_drifts(measured: &[&Second]) -> bool {
    let p99: Option<Vec<f64>> = measured.iter().map(|second| second.p99_us.map(|us| us as f64)).collect();
    p99.and_then(|p99| ackmark_stats::trend(&p99))
        .is_some_and(|trend| trend.p < SIGNIFICANT && trend.change > LATENCY_CHANGE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ackmark_schema::version::SchemaId;
    use jiff::Timestamp;

    fn timeline(length_s: f64, from_s: f64, figures: &[(u64, Option<u64>)]) -> Timeline {
        let seconds = figures.iter().enumerate().map(|(at, (delivered, p99_us))| Second {
            from_s: at as f64 * length_s,
            length_s,
            delivered: *delivered,
            p99_us: *p99_us,
            ..Second::default()
        });
        Timeline {
            schema: SchemaId::default(),
            started: Timestamp::UNIX_EPOCH,
            measured_from_s: from_s,
            seconds: seconds.collect(),
        }
    }

    fn phase(load: &str, duration: &str) -> Phase {
        serde_json::from_value(serde_json::json!({
            "name": "p", "rounds": 1, "duration": duration, "load": serde_json::from_str::<serde_json::Value>(load).unwrap()
        }))
        .unwrap()
    }

    const MAX: &str = r#"{ "max": {} }"#;
    const RATE: &str = r#"{ "rate": { "messages": "1k/s" } }"#;

    #[test]
    fn warm_up_and_drain_are_not_judged() {
        // A cold first second and a drain at the end.
        let figures = [(10, None), (100, None), (101, None), (99, None), (100, None), (102, None), (20, None)];
        assert_eq!(of(&timeline(1.0, 1.0, &figures), &phase(MAX, "5s")), Steadiness::Steady);
        assert_ne!(of(&timeline(1.0, 0.0, &figures), &phase(MAX, "7s")), Steadiness::Steady);
    }

    #[test]
    fn few_seconds_are_too_short_and_finer_intervals_are_not() {
        let figures = [(100, None); 12];
        assert_eq!(of(&timeline(1.0, 1.0, &figures[..4]), &phase(MAX, "3s")), Steadiness::TooShort);
        assert_eq!(of(&timeline(0.25, 0.5, &figures), &phase(MAX, "2500ms")), Steadiness::Steady);
    }

    #[test]
    fn a_queue_that_grows_in_an_open_loop_is_a_drift() {
        let growing: Vec<(u64, Option<u64>)> = (1..=6).map(|at| (1000, Some(at * 1000))).collect();
        assert_eq!(of(&timeline(1.0, 0.0, &growing), &phase(RATE, "6s")), Steadiness::Drifting);
        let level: Vec<(u64, Option<u64>)> = [5, 7, 4, 6, 5, 6].map(|ms| (1000, Some(ms * 1000))).to_vec();
        assert_eq!(of(&timeline(1.0, 0.0, &level), &phase(RATE, "6s")), Steadiness::Steady);
    }
}
