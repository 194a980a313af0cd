//! Warming brokers before the first trial: a cold JVM broker is several times slower.
//!
//! Short loads of up to two million messages under all acks run one after another, each on a topic that is
//! thrown away, until three in a row have not been faster by 5 % than the best before them, or a bound of the
//! scenario is reached (single intervals scatter, so two of them prove nothing). The first profile with transactions
//! then sends a little, so that the coordinators' topic is there before any is measured.

use std::time::{Duration, Instant};

use ackmark_schema::{
    profile::{self, Profile},
    report::load::{LOAD_FILE, LoadReport},
    result::WarmUpRecord,
    scenario,
};

use crate::{
    child::{CHILD_OVERHEAD, Children, Ended},
    disk::Disk,
    event::BenchEvent,
    handover,
    load_spec::{Common, DRAIN_TIMEOUT},
    plan::Plan,
    reports,
    target::Target,
    topics::Topics,
};

/// Most messages of an interval.
const INTERVAL_MESSAGES_MAX: u64 = 2_000_000;
/// Fewest intervals that the bound on messages is split into.
const INTERVALS: u64 = 5;
/// ... and the bound on time, but none shorter than a second.
const INTERVALS_IN_TIME: u32 = 10;
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Intervals without a rise that end a warm-up.
const SETTLED_INTERVALS: usize = 3;
/// A rise below this share is none.
const RISE: f64 = 1.05;
/// Messages of a transactional profile, and how long it may take to send them.
const COORDINATOR_MESSAGES: u64 = 10_000;
const COORDINATOR_DURATION: Duration = Duration::from_secs(5);

/// What a warm-up needs.
pub(crate) struct WarmUp<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a Target<'a>,
    pub(crate) common: &'a Common<'a>,
    pub(crate) children: &'a Children,
    pub(crate) topics: &'a Topics<'a>,
    pub(crate) disk: &'a Disk<'a>,
    /// Name of a topic, without the number of its load.
    pub(crate) topic: String,
}

impl WarmUp<'_> {
    /// Warms the brokers; `None` where the scenario wants none. What fails is an error: trials on such a
    /// cluster would fail too.
    pub(crate) async fn run(&self) -> Result<Option<WarmUpRecord>, String> {
        if self.plan.scenario.warm_up.messages_max.0 == 0 {
            return Ok(None);
        }
        let start = Instant::now();
        let bounds = &self.plan.scenario.warm_up;
        let interval = interval_messages(bounds.messages_max.0);
        let mut record = WarmUpRecord { messages: 0, duration_s: 0.0, rates_per_s: Vec::new(), settled: false };
        let intervals_max = intervals_max(bounds);
        while !record.settled && record.rates_per_s.len() < intervals_max && !self.children.stopping() {
            let left = bounds.duration_max.0.saturating_sub(start.elapsed());
            let messages = interval.min(bounds.messages_max.0.saturating_sub(record.messages));
            if left < Duration::from_millis(100) || messages == 0 {
                break;
            }
            let topic = format!("{}-{}", self.topic, record.rates_per_s.len());
            let longest = left.min(interval_duration(bounds));
            let Some(report) = self.load(&all_acks(), &topic, messages, longest).await? else { break };
            record.messages += report.measured.delivered;
            record.rates_per_s.push(report.measured.delivered_per_s);
            record.settled = has_settled(&record.rates_per_s);
            (self.children.events)(BenchEvent::WarmUp {
                interval: record.rates_per_s.len() - 1,
                rate_per_s: report.measured.delivered_per_s,
                messages: record.messages,
            });
        }
        if let Some(profile) = transactional(&self.plan.profiles) {
            let topic = format!("{}-{}", self.topic, profile.name);
            if let Some(report) = self.load(profile, &topic, COORDINATOR_MESSAGES, COORDINATOR_DURATION).await? {
                record.messages += report.measured.delivered;
            }
        }
        record.duration_s = start.elapsed().as_secs_f64();
        Ok(Some(record))
    }

    /// One load on a topic of its own; `None` when the user wants an end.
    async fn load(
        &self,
        profile: &Profile,
        topic: &str,
        messages: u64,
        longest: Duration,
    ) -> Result<Option<LoadReport>, String> {
        self.disk.wait_for_room(self.children).await?;
        self.topics.create(topic).await?;
        let loaded = self.load_topic(profile, topic, messages, longest).await;
        let deleted = self.topics.delete(topic).await;
        let report = loaded?;
        deleted.map(|()| report)
    }

    async fn load_topic(
        &self,
        profile: &Profile,
        topic: &str,
        messages: u64,
        longest: Duration,
    ) -> Result<Option<LoadReport>, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let out = folder.path().join("load");
        let input = handover::spec(&self.common.warm_up(profile, topic, messages, longest))?;
        let bound = longest + DRAIN_TIMEOUT + CHILD_OVERHEAD;
        let arguments = handover::load_arguments(&out);
        match self.children.load(&arguments, input, bound, || self.target.lost()).await {
            Ok(Ended::Code(_)) => match reports::read(&out, LOAD_FILE)? {
                Some(report) => Ok(Some(report)),
                None => Err(format!("the warm-up's load left no {LOAD_FILE}")),
            },
            Ok(Ended::Stopped) => Ok(None),
            Err(error) => Err(format!("warm-up: {error}")),
        }
    }
}

/// Messages of an interval of a warm-up that may send so many.
pub(crate) fn interval_messages(messages_max: u64) -> u64 {
    messages_max.div_ceil(INTERVALS).min(INTERVAL_MESSAGES_MAX)
}

/// How long an interval may take.
fn interval_duration(bounds: &scenario::WarmUp) -> Duration {
    (bounds.duration_max.0 / INTERVALS_IN_TIME).max(INTERVAL_MIN)
}

/// Most intervals: each ends by its messages or by its time, and there are so many of both.
fn intervals_max(bounds: &scenario::WarmUp) -> usize {
    if bounds.messages_max.0 == 0 {
        return 0;
    }
    let by_messages = bounds.messages_max.0.div_ceil(interval_messages(bounds.messages_max.0));
    let by_time = bounds.duration_max.0.as_secs_f64() / interval_duration(bounds).as_secs_f64();
    by_messages as usize + by_time.ceil() as usize
}

/// Most messages that the warm-up of a scenario sends.
pub(crate) fn messages_max(bounds: &scenario::WarmUp, profiles: &[Profile]) -> u64 {
    match bounds.messages_max.0 {
        0 => 0,
        messages => messages + COORDINATOR_MESSAGES * u64::from(transactional(profiles).is_some()),
    }
}

/// The first profile with transactions.
fn transactional(profiles: &[Profile]) -> Option<&Profile> {
    profiles.iter().find(|profile| profile.transactions.is_some())
}

/// Most topics that the warm-up of a scenario makes, one at a time.
pub(crate) fn topics_max(bounds: &scenario::WarmUp, profiles: &[Profile]) -> usize {
    match intervals_max(bounds) {
        0 => 0,
        intervals => intervals + usize::from(transactional(profiles).is_some()),
    }
}

fn all_acks() -> Profile {
    profile::built_in().into_iter().find(|profile| profile.name == "all-acks").expect("a built-in profile")
}

/// Whether the last intervals have not been faster than the best before them.
fn has_settled(rates: &[f64]) -> bool {
    let best = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
    rates.len().checked_sub(SETTLED_INTERVALS).filter(|before| *before > 0).is_some_and(|before| {
        let (before, last) = rates.split_at(before);
        best(last) < best(before) * RISE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackmark_schema::units::{Count, Span};

    #[test]
    fn a_warm_up_makes_so_many_topics_at_most() {
        let bounds = |messages, seconds| scenario::WarmUp {
            messages_max: Count(messages),
            duration_max: Span(Duration::from_secs(seconds)),
        };
        let profiles = profile::built_in();
        assert_eq!((topics_max(&bounds(0, 60), &profiles), messages_max(&bounds(0, 60), &profiles)), (0, 0));
        // Five by their messages, five by their second, one for the coordinator.
        assert_eq!(topics_max(&bounds(500_000, 5), &profiles), 11);
        assert_eq!(messages_max(&bounds(500_000, 5), &profiles), 510_000);
        // Ten of two million, ten of twelve seconds.
        assert_eq!(topics_max(&bounds(20_000_000, 120), &profiles[..4]), 20);
    }

    #[test]
    fn throughput_settles_when_it_has_not_risen_three_times() {
        assert!(!has_settled(&[]));
        assert!(!has_settled(&[100.0, 100.0]));
        assert!(!has_settled(&[100.0, 200.0, 205.0]));
        assert!(!has_settled(&[100.0, 200.0, 205.0, 204.0]));
        assert!(has_settled(&[100.0, 200.0, 205.0, 204.0, 190.0]));
        assert!(!has_settled(&[100.0, 200.0, 180.0, 150.0, 230.0]), "one of them rose");
        assert!(has_settled(&[100.0, 90.0, 80.0, 95.0]));
    }
}
