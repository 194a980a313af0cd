//! How long a plan takes and what it writes, both from above.
//!
//! What a `max` phase will reach is not known before it ran, so a ceiling stands in for it
//! ([`CEILING_BYTES_PER_S`]). A cluster that is faster than that writes more than is said here; the
//! check of free disk has a margin for it.

use std::time::Duration;

use ackmark_schema::{
    profile::Profile,
    scenario::{Load, Phase, Scenario},
    units::Bytes,
};
use indexmap::IndexMap;

use crate::plan::{PlannedTrial, takes_share};

/// Message bytes per second that a `max` phase is taken to reach, whatever the cluster.
pub const CEILING_BYTES_PER_S: f64 = 300e6;
/// Messages per second that it is taken to reach where messages are small.
pub const CEILING_MESSAGES_PER_S: f64 = 3e6;
/// Message bytes per second that a verifying reader is taken to reach (the client's consumer, 1 KiB).
const SCAN_BYTES_PER_S: f64 = 500e6;
/// ... and messages per second, where they are small: a third of what the log reader reaches on two cores.
const SCAN_MESSAGES_PER_S: f64 = 6e6;
/// Topic, process starts, drain and seal of a trial, beside its load and its scan.
const TRIAL_OVERHEAD_S: f64 = 1.5;
/// How long brokers keep a deleted topic's files (`log.segment.delete.delay.ms`).
const DELETE_DELAY_S: f64 = 60.0;

/// What a plan takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// All of it, without the start of a cluster.
    pub duration: Duration,
    /// Message bytes, before replication, the brokers' warm-up included.
    pub message_bytes: u64,
    /// Bytes on all brokers' disks.
    pub written_bytes: u64,
    /// Most bytes on all brokers' disks at once where there is room: deleted topics stay for a minute.
    pub disk_peak_bytes: u64,
    /// The largest topic with all replicas: what must be free.
    pub largest_topic_bytes: u64,
    /// Messages of the brokers' warm-up at most.
    pub warm_up_messages: u64,
    /// Highest rate of an open-loop phase, message bytes per second; 0 without one.
    pub rate_bytes_per_s: u64,
}

/// One trial's part.
struct Part {
    duration_s: f64,
    bytes: f64,
}

impl Budget {
    /// The budget of trials in their order.
    pub fn of(
        scenario: &Scenario,
        profiles: &[Profile],
        trials: &[PlannedTrial],
        rates: &IndexMap<String, f64>,
    ) -> Self {
        let replicas = f64::from(scenario.topic.replication_factor);
        let mean = scenario.message.size.mean_bytes();
        let warm_up = warm_up(scenario, mean);
        let of_trial = |trial: &PlannedTrial| part(scenario, trial, &profiles[trial.profile], rates);
        let parts: Vec<Part> = std::iter::once(warm_up).chain(trials.iter().map(of_trial)).collect();
        let message_bytes: f64 = parts.iter().map(|part| part.bytes).sum();
        let rate_bytes_per_s = scenario.phases.iter().filter_map(|phase| fixed_rate(phase, rates)).fold(0.0, f64::max);
        Self {
            duration: Duration::from_secs_f64(parts.iter().map(|part| part.duration_s).sum()),
            message_bytes: message_bytes as u64,
            written_bytes: (message_bytes * replicas) as u64,
            disk_peak_bytes: (peak(&parts) * replicas) as u64,
            largest_topic_bytes: (largest(scenario, &parts, mean) * replicas) as u64,
            warm_up_messages: scenario.warm_up.messages_max.0,
            rate_bytes_per_s: (rate_bytes_per_s * mean) as u64,
        }
    }

    /// `about 5 min, at most 12 GiB of messages, …`, in one sentence.
    pub fn sentence(&self) -> String {
        format!(
            "at most about {}, {} of messages, {} with all replicas, {} of it on disk at once ({} must be free)",
            duration(self.duration),
            Bytes(self.message_bytes).approximate(),
            Bytes(self.written_bytes).approximate(),
            Bytes(self.disk_peak_bytes).approximate(),
            Bytes(self.largest_topic_bytes).approximate()
        )
    }
}

/// A duration to read: whole seconds, minutes above 120 s.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

/// Messages per second that a phase offers, where that is known before.
pub(crate) fn fixed_rate(phase: &Phase, rates: &IndexMap<String, f64>) -> Option<f64> {
    match phase.load {
        Load::Max(_) => None,
        Load::Rate(rate) => {
            rates.get(&phase.name).copied().or_else(|| rate.messages.map(ackmark_schema::units::Rate::as_f64))
        }
    }
}

/// Messages per second at most.
fn ceiling(mean_bytes: f64) -> f64 {
    (CEILING_BYTES_PER_S / mean_bytes).min(CEILING_MESSAGES_PER_S)
}

fn part(scenario: &Scenario, trial: &PlannedTrial, profile: &Profile, rates: &IndexMap<String, f64>) -> Part {
    let phase = &scenario.phases[trial.phase];
    let mean = scenario.message.size.mean_bytes();
    let (warm_up_s, measured_s) = (phase.warm_up.0.as_secs_f64(), phase.duration.0.as_secs_f64());
    let rate = fixed_rate(phase, rates).unwrap_or_else(|| {
        // A share is of the slowest profile's maximum: the ceiling is far above.
        ceiling(mean) * if takes_share(phase) { share(phase) } else { 1.0 }
    });
    let measured_s = match phase.load {
        Load::Max(max) => max.messages.map_or(measured_s, |messages| measured_s.min(messages.0 as f64 / rate)),
        Load::Rate(_) => measured_s,
    };
    let messages = rate * (warm_up_s + measured_s);
    let bytes = messages * mean;
    // What is followed live is read when the load ends.
    let scans = match (scenario.verify.enabled, phase.load) {
        (false, _) => 0.0,
        (true, Load::Rate(_)) => 0.2,
        (true, Load::Max(_)) => 1.0 + f64::from(u8::from(profile.transactions.is_some())),
    };
    let scan_s = scans * (bytes / SCAN_BYTES_PER_S).max(messages / SCAN_MESSAGES_PER_S);
    let quiet_s = if waits_for_quiet(scenario, profile) { scenario.verify.quiet.0.as_secs_f64() } else { 0.0 };
    Part { duration_s: TRIAL_OVERHEAD_S + warm_up_s + measured_s + scan_s + quiet_s, bytes }
}

fn share(phase: &Phase) -> f64 {
    match phase.load {
        Load::Rate(rate) => rate.share.unwrap_or(1.0),
        Load::Max(_) => 1.0,
    }
}

/// Under acks=0 nothing is acknowledged, so the seal waits until end offsets stand still.
fn waits_for_quiet(scenario: &Scenario, profile: &Profile) -> bool {
    let acks = profile.properties.get("acks").or_else(|| scenario.producer.properties.get("acks"));
    scenario.verify.enabled && acks.is_some_and(|acks| acks == "0")
}

fn warm_up(scenario: &Scenario, mean_bytes: f64) -> Part {
    let (messages, longest_s) = (scenario.warm_up.messages_max.0 as f64, scenario.warm_up.duration_max.0.as_secs_f64());
    // Cold brokers reach about half of what warm ones do.
    let duration_s = longest_s.min(messages / (ceiling(mean_bytes) / 2.0));
    Part { duration_s, bytes: messages.min(longest_s * ceiling(mean_bytes)) * mean_bytes }
}

/// Message bytes of the largest topic: a trial's, or that of an interval of the warm-up (the first part).
fn largest(scenario: &Scenario, parts: &[Part], mean_bytes: f64) -> f64 {
    let interval = crate::warm_up::interval_messages(scenario.warm_up.messages_max.0) as f64 * mean_bytes;
    let warm_up = parts.first().map_or(0.0, |part| part.bytes.min(interval));
    parts.iter().skip(1).map(|part| part.bytes).fold(warm_up, f64::max)
}

/// The most bytes of trials that lie within the delay of a topic's deletion.
fn peak(parts: &[Part]) -> f64 {
    let mut most: f64 = 0.0;
    for last in 0..parts.len() {
        let (mut bytes, mut age_s) = (0.0, 0.0);
        for part in parts[..=last].iter().rev() {
            bytes += part.bytes;
            age_s += part.duration_s;
            if age_s > DELETE_DELAY_S {
                break;
            }
        }
        most = most.max(bytes);
    }
    most
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Choices, Plan, shipped};
    use ackmark_cluster::Guards;

    fn budget(name: &str) -> Budget {
        Plan::new(&shipped::scenario(name).unwrap(), &Choices::default(), &Guards::none()).unwrap().budget
    }

    #[test]
    fn the_shipped_scenarios_keep_their_times() {
        // A cluster's start is on top.
        assert!(budget("quick").duration < Duration::from_secs(50), "{:?}", budget("quick"));
        assert!(budget("delivery").duration < Duration::from_secs(345), "{:?}", budget("delivery"));
        assert!(budget("transactions").duration < Duration::from_secs(270), "{:?}", budget("transactions"));
        assert!(budget("thorough").duration > budget("delivery").duration);
    }

    #[test]
    fn deleted_topics_count_until_their_files_go() {
        let parts = |durations: &[f64]| -> Vec<Part> {
            durations.iter().map(|duration_s| Part { duration_s: *duration_s, bytes: 10.0 }).collect()
        };
        assert!((peak(&parts(&[30.0; 6])) - 30.0).abs() < 1e-9);
        assert!((peak(&parts(&[100.0; 6])) - 10.0).abs() < 1e-9);
        assert!((peak(&parts(&[1.0; 6])) - 60.0).abs() < 1e-9);
    }

    #[test]
    fn a_fixed_rate_is_exact_in_bytes() {
        let scenario = shipped::scenario("latency").unwrap();
        let plan = Plan::new(&scenario, &Choices::default(), &Guards::none()).unwrap();
        let warm_up = warm_up(&scenario, scenario.message.size.mean_bytes()).bytes;
        let expected: f64 = plan
            .trials
            .iter()
            .map(|trial| {
                let phase = plan.phase(trial);
                fixed_rate(phase, &plan.rates).unwrap()
                    * (phase.warm_up.0 + phase.duration.0).as_secs_f64()
                    * scenario.message.size.mean_bytes()
            })
            .sum();
        assert_eq!(plan.budget.message_bytes, (expected + warm_up) as u64);
    }
}
