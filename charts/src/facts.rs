//! What a result says about itself: conditions for the foot of a chart, notices for its head.

use ackmark_schema::{
    promise::{Acks, Basis},
    report::Ending,
    result::{Comparison, Estimate, Provider, RunResult, Summary, Trial},
    scenario::{Arrivals, Load, Payload, Size},
    units::{Bytes, Rate},
};

use crate::numbers;

/// The conditions of a run, for the foot of every chart.
pub(crate) fn conditions(result: &RunResult) -> String {
    let scenario = &result.scenario;
    let mut parts = vec![format!("Run {}", result.id), kafka(result)];
    let topic = basis(result)
        .map_or((scenario.topic.replication_factor, scenario.topic.min_insync_replicas), |basis| {
            (basis.replication_factor, basis.min_insync_replicas)
        });
    parts.push(format!("replication factor {}, min.insync.replicas {}", topic.0, topic.1));
    parts.push(format!("{}, {}", message(result), numbers::of(scenario.topic.partitions.into(), "partition")));
    parts.push(numbers::of(scenario.producer.count.into(), "producer"));
    parts.push(format!("librdkafka {}, ackmark {}", result.environment.librdkafka_version, result.tool_version));
    parts.join(" · ")
}

fn basis(result: &RunResult) -> Option<&Basis> {
    result.profiles.iter().find_map(|record| record.promise.as_ref()).map(|promise| &promise.basis)
}

fn kafka(result: &RunResult) -> String {
    let cluster = &result.cluster;
    let version = cluster.kafka_version.as_ref().map_or("Kafka of unknown version".into(), |v| format!("Kafka {v}"));
    let brokers = numbers::of(cluster.brokers.len() as u64, "broker");
    match cluster.provider {
        Provider::Local => format!(
            "{version}, {brokers}, client and brokers on the same {}",
            if result.environment.cpus == 1 { "core".into() } else { format!("{} cores", result.environment.cpus) }
        ),
        Provider::External => format!("{version}, {brokers}, given by address"),
        Provider::Simulated => "librdkafka's mock cluster, no Kafka".into(),
    }
}

fn message(result: &RunResult) -> String {
    let size = match result.scenario.message.size {
        Size::Fixed(size) => format!("{} messages", bytes(size)),
        Size::Uniform(size) => format!("{} to {} messages", bytes(size.min), bytes(size.max)),
        Size::LogNormal(size) => {
            format!("{} to {} messages, median {}", bytes(size.min), bytes(size.max), bytes(size.median))
        }
    };
    let payload = match &result.scenario.message.payload {
        Payload::Random => "random".into(),
        Payload::Zeros => "zeros".into(),
        Payload::Compressible(ratio) => format!("compressible {}", numbers::ratio(*ratio)),
        Payload::Samples(_) => "samples".into(),
    };
    format!("{size} ({payload})")
}

/// `1 KiB`, with a non-breaking space.
fn bytes(size: Bytes) -> String {
    let text = size.to_string();
    let digits = text.trim_end_matches(char::is_alphabetic);
    format!("{digits}\u{a0}{}", &text[digits.len()..])
}

/// What a reader must know before anything else.
pub(crate) fn notices(result: &RunResult) -> Vec<String> {
    let mut notices = Vec::new();
    if result.cluster.provider == Provider::Simulated {
        notices.push("SIMULATED: librdkafka mock cluster, proves nothing about Kafka".into());
    }
    let ended = match result.ending {
        Ending::Completed => return notices,
        Ending::Interrupted => "INTERRUPTED",
        Ending::Failed => "FAILED",
    };
    let ran = result.trials.iter().filter(|trial| trial.ending == Ending::Completed).count();
    notices.push(format!("{ended}: {ran} of {} completed", numbers::of(result.trials_planned.into(), "planned trial")));
    notices
}

/// The position of a profile among the result's, for its style.
pub(crate) fn position(result: &RunResult, profile: &str) -> usize {
    let names = profiles(result);
    names.iter().position(|name| *name == profile).unwrap_or(names.len())
}

/// The profiles' names in the result's order.
pub(crate) fn profiles(result: &RunResult) -> Vec<&str> {
    result.profiles.iter().map(|record| record.profile.name.as_str()).collect()
}

/// The properties in effect that a promise rests on, in a few words; none before the first trial.
pub(crate) fn setting(result: &RunResult, profile: &str) -> Option<String> {
    let record = result.profiles.iter().find(|record| record.profile.name == profile)?;
    let basis = record.promise.as_ref()?.basis;
    let acks = match basis.acks {
        Acks::None => "acks=0",
        Acks::Leader => "acks=1",
        Acks::All => "acks=all",
    };
    Some(match (basis.transactional, basis.idempotence) {
        (true, _) => format!("{acks}, transactions"),
        (false, true) => format!("{acks}, idempotence"),
        (false, false) => acks.to_owned(),
    })
}

/// What ends a profile's transactions and what may be outstanding, in a few words; `None` where it has none.
pub(crate) fn transactions(result: &RunResult, profile: &str) -> Option<String> {
    let profile = &result.profiles.iter().find(|record| record.profile.name == profile)?.profile;
    let bounds = profile.transactions?.bounds();
    let outstanding = result.scenario.producer.outstanding.unwrap_or(profile.tuning.outstanding);
    Some(format!("every {bounds}, {outstanding} outstanding"))
}

/// A profile's summary in a phase.
pub(crate) fn summary<'a>(result: &'a RunResult, phase: &str, profile: &str) -> Option<&'a Summary> {
    result.summaries.iter().find(|summary| summary.phase == phase && summary.profile == profile)
}

/// A profile's trials in a phase, each with whether the summary uses it.
pub(crate) fn trials<'a>(result: &'a RunResult, phase: &str, profile: &str) -> Vec<(&'a Trial, bool)> {
    let trials: Vec<&Trial> =
        result.trials.iter().filter(|trial| trial.phase == phase && trial.profile == profile).collect();
    trials.into_iter().map(|trial| (trial, trial.is_used())).collect()
}

/// An estimate whose figures can be drawn.
pub(crate) fn drawable(estimate: Option<&Estimate>) -> Option<&Estimate> {
    estimate.filter(|estimate| estimate.median.is_finite() && estimate.median >= 0.0)
}

/// An interval whose ends can be drawn.
pub(crate) fn interval(low: Option<f64>, high: Option<f64>) -> Option<(f64, f64)> {
    low.zip(high).filter(|(low, high)| low.is_finite() && high.is_finite())
}

/// What the intervals of a chart are, in words: `black: 96.9 % interval of the median`.
pub(crate) fn confidence(of: &[Option<f64>], what: &str) -> String {
    let known: Vec<f64> = of.iter().flatten().copied().filter(|share| share.is_finite()).collect();
    let least = known.iter().copied().fold(f64::INFINITY, f64::min);
    let most = known.iter().copied().fold(0.0, f64::max);
    match known.len() {
        0 => format!("no interval of the {what}: too few trials"),
        _ if numbers::percent(least) == numbers::percent(most) => {
            format!("black: {} interval of the {what}", numbers::percent(least))
        }
        _ => format!("black: interval of the {what}, at least {}", numbers::percent(least)),
    }
}

/// A comparison of a pair of profiles whose ratio can be drawn.
pub(crate) fn comparison<'a>(
    result: &'a RunResult,
    phase: &str,
    profile: &str,
    baseline: &str,
) -> Option<&'a Comparison> {
    result
        .comparisons
        .iter()
        .find(|entry| entry.phase == phase && entry.profile == profile && entry.baseline == baseline)
        .filter(|entry| entry.ratio.is_finite() && entry.ratio >= 0.0)
}

/// The load of a `rate` phase: `20k messages/s, Poisson arrivals`.
pub(crate) fn offered(result: &RunResult, phase: &str) -> String {
    let load = result.scenario.phases.iter().find(|entry| entry.name == phase).map(|entry| entry.load);
    let Some(Load::Rate(rate)) = load else { return "an unknown rate".into() };
    let arrivals = match rate.arrivals {
        Arrivals::Constant => "evenly spaced",
        Arrivals::Poisson => "Poisson arrivals",
    };
    let fixed = rate.messages.map(Rate::as_f64);
    match result.rates.get(phase).copied().or(fixed).filter(|rate| rate.is_finite()) {
        Some(per_s) => format!("{} messages/s, {arrivals}", numbers::tick(per_s)),
        None => format!("a share of the slowest profile's maximum, {arrivals}"),
    }
}
