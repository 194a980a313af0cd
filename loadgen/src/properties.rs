//! The client properties of a run: the profile's, what the spec adds, and what the tool needs.

use std::time::Duration;

use ackmark_client::ClientProperties;
use ackmark_schema::{
    load_spec::LoadSpec,
    properties::{Origin, Property, value},
};

use crate::{error::LoadError, keys::KEY_BYTES};

/// Longest time between statistics: the end of a run waits for those that know of it.
const STATISTICS_INTERVAL_MAX_MS: u64 = 1_000;

/// Statistics come this often: the last ones are waited for at the end, so shorter than usual, unless
/// there are so many partitions that writing them is work.
const STATISTICS_MS: u64 = 250;
const STATISTICS_MANY_MS: u64 = 1_000;
const MANY_PARTITIONS: u32 = 100;
/// librdkafka's largest queue.
const QUEUE_MAX: u64 = i32::MAX as u64;

/// The properties of one producer.
///
/// # Errors
/// A property that stands in the way of the tool's work.
pub(crate) fn of_producer(spec: &LoadSpec, producer: u32) -> Result<ClientProperties, LoadError> {
    let mut properties = ClientProperties::new();
    for (name, value) in &spec.profile.properties {
        properties.set(name, value, Origin::Profile);
    }
    for property in &spec.properties {
        // A profile's properties win over a scenario's for all profiles.
        if property.origin == Origin::Scenario {
            properties.set_if_absent(&property.name, &property.value, property.origin);
        } else {
            properties.set(&property.name, &property.value, property.origin);
        }
    }
    // What a profile is measured with, where nobody said anything else.
    for (name, value) in &spec.profile.tuning.properties {
        properties.set_if_absent(name, value, Origin::Profile);
    }
    set_transactional_id(&mut properties, spec, producer)?;
    add_tools(&mut properties, spec);
    Ok(properties)
}

/// The tool's own, where nobody asked for something else.
fn add_tools(properties: &mut ClientProperties, spec: &LoadSpec) {
    // Above our own bounds, so that those are what limits.
    let messages = spec.outstanding.0.saturating_mul(2).clamp(1, QUEUE_MAX);
    let bytes = spec.outstanding_bytes.0.saturating_add(spec.outstanding.0.saturating_mul(KEY_BYTES as u64));
    let kbytes = (bytes / 512).clamp(1024, QUEUE_MAX);
    let statistics_ms = if spec.streams() > MANY_PARTITIONS { STATISTICS_MANY_MS } else { STATISTICS_MS };
    for (name, value) in [
        ("queue.buffering.max.messages", messages.to_string()),
        ("queue.buffering.max.kbytes", kbytes.to_string()),
        ("statistics.interval.ms", statistics_ms.to_string()),
        // Telemetry of the client to the broker would be load that nobody asked for.
        ("enable.metrics.push", "false".to_owned()),
        ("client.id", "ackmark-load".to_owned()),
    ] {
        properties.set_if_absent(name, &value, Origin::Tool);
    }
}

/// One id per producer: two with the same would fence each other.
fn set_transactional_id(properties: &mut ClientProperties, spec: &LoadSpec, producer: u32) -> Result<(), LoadError> {
    match (properties.remove("transactional.id"), spec.profile.transactions.is_some()) {
        (None, false) => {}
        (None, true) => {
            properties.set("transactional.id", &format!("ackmark-{:08x}-{producer}", spec.run), Origin::Tool);
        }
        (Some(prefix), true) => {
            properties.set("transactional.id", &format!("{}-{producer}", prefix.value), prefix.origin);
        }
        (Some(id), false) => {
            return Err(LoadError::Property {
                name: "transactional.id",
                value: id.value,
                reason: format!(
                    "profile {} has no [transactions]; leave it out, or use a profile that says when to commit",
                    spec.profile.name
                ),
            });
        }
    }
    Ok(())
}

/// Refuses what would break the measurement, however it is spelt.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn refuse_unusable(in_effect: &[Property]) -> Result<(), LoadError> {
    let refuse = |name, reason: String| {
        let value = value(in_effect, name).unwrap_or_default().to_owned();
        Err(LoadError::Property { name, value, reason })
    };
    if value(in_effect, "delivery.report.only.error") == Some("true") {
        return refuse("delivery.report.only.error", "every message needs its report; leave it out".into());
    }
    let interval = "statistics.interval.ms";
    if !number(in_effect, interval).is_some_and(|ms| (1..=STATISTICS_INTERVAL_MAX_MS).contains(&ms)) {
        let most = STATISTICS_INTERVAL_MAX_MS;
        let reason = format!("retries and disconnects are counted from statistics: leave it out, or give 1 to {most}");
        return refuse(interval, reason);
    }
    Ok(())
}

/// A number among the properties in effect.
pub(crate) fn number(in_effect: &[Property], name: &str) -> Option<u64> {
    value(in_effect, name)?.parse().ok()
}

/// Messages of the given mean size that fill a batch, by `batch.num.messages` and `batch.size` in effect.
pub(crate) fn batch_messages(in_effect: &[Property], mean_bytes: f64) -> u64 {
    let by_bytes = batch_bytes(in_effect) as f64 / mean_bytes.max(1.0);
    number(in_effect, "batch.num.messages").unwrap_or(u64::MAX).min(by_bytes as u64).max(1)
}

/// A time in milliseconds, perhaps not whole ones, among the properties in effect.
pub(crate) fn milliseconds(in_effect: &[Property], name: &str) -> Option<Duration> {
    let ms: f64 = value(in_effect, name)?.parse().ok()?;
    Duration::try_from_secs_f64(ms / 1_000.0).ok()
}

/// The largest batch that the client makes, bytes.
pub(crate) fn batch_bytes(in_effect: &[Property]) -> u64 {
    let limits = ["batch.size", "message.max.bytes"].into_iter().filter_map(|name| number(in_effect, name));
    limits.min().unwrap_or(1_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_client::{LogSink, RawProducer};

    use super::*;
    use crate::tests::spec;

    fn with(name: &str, value: &str, origin: Origin) -> Property {
        Property { name: name.into(), value: value.into(), origin }
    }

    #[test]
    fn the_stronger_origin_wins_and_the_tool_is_the_weakest() {
        let mut spec = spec("all-acks");
        spec.properties = vec![
            with("linger.ms", "50", Origin::Scenario),
            with("acks", "1", Origin::Scenario),
            with("retries", "9", Origin::Flag),
            with("queue.buffering.max.messages", "77", Origin::File),
        ];
        let properties = of_producer(&spec, 0).unwrap();
        let found = |name: &str| properties.get(name).map(|found| (found.value.as_str(), found.origin)).unwrap();
        assert_eq!(found("linger.ms"), ("50", Origin::Scenario));
        assert_eq!(found("acks"), ("all", Origin::Profile));
        assert_eq!(found("retries"), ("9", Origin::Flag));
        assert_eq!(found("queue.buffering.max.messages"), ("77", Origin::File));
        assert_eq!(found("enable.metrics.push"), ("false", Origin::Tool));
        assert!(properties.get("transactional.id").is_none());
    }

    #[test]
    fn a_profiles_tuning_gives_way_to_whoever_says_something_else() {
        let mut spec = spec("all-acks");
        let tuning = &mut spec.profile.tuning.properties;
        tuning.clear();
        for name in ["linger.ms", "batch.size", "batch.num.messages"] {
            tuning.insert(name.into(), "7777".into());
        }
        spec.properties = vec![with("linger.ms", "50", Origin::Scenario), with("batch.size", "100000", Origin::Flag)];
        let properties = of_producer(&spec, 0).unwrap();
        let found = |name: &str| properties.get(name).map(|found| (found.value.as_str(), found.origin)).unwrap();
        assert_eq!(found("linger.ms"), ("50", Origin::Scenario));
        assert_eq!(found("batch.size"), ("100000", Origin::Flag));
        assert_eq!(found("batch.num.messages"), ("7777", Origin::Profile));
    }

    #[test]
    fn each_producer_has_a_transactional_id_of_its_own() {
        let mut spec = spec("transactional");
        let id = |spec: &LoadSpec, producer| {
            of_producer(spec, producer).unwrap().value("transactional.id").unwrap().to_owned()
        };
        spec.run = 0xbeef;
        assert_eq!(id(&spec, 3), "ackmark-0000beef-3");
        spec.properties.push(with("transactional.id", "team", Origin::Flag));
        assert_eq!(id(&spec, 1), "team-1");
    }

    #[test]
    fn what_would_break_the_measurement_is_refused_with_its_cure() {
        let checked = |name: &str, value: &str| {
            let mut spec = spec("idempotent");
            spec.properties.push(with("bootstrap.servers", "127.0.0.1:1", Origin::Flag));
            spec.properties.push(with(name, value, Origin::Flag));
            let producer = RawProducer::new(&of_producer(&spec, 0)?, LogSink::discard())?;
            refuse_unusable(producer.properties_in_effect())
        };
        for (name, value) in [
            ("delivery.report.only.error", "true"),
            ("delivery.report.only.error", "t"),
            ("delivery.report.only.error", "1"),
            ("statistics.interval.ms", "0"),
            ("statistics.interval.ms", "000"),
            ("statistics.interval.ms", "1001"),
            ("transactional.id", "x"),
        ] {
            let error = checked(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("leave it out"), "{error}");
        }
        for (name, value) in [("delivery.report.only.error", "f"), ("statistics.interval.ms", "1000")] {
            checked(name, value).unwrap();
        }
    }
}
