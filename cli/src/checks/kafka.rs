//! Whether a Kafka can carry the promises. It is only asked; nothing is written.

use std::{collections::HashMap, time::Duration};

use ackmark_client::{AdminClient, ClientProperties, LogSink, admin::ConfigResource};

use super::{Check, State};
use crate::{connection, problem::Problem};

/// A Kafka that does not answer within this is not reachable.
const TIMEOUT: Duration = Duration::from_secs(15);
const HOUR_MS: i64 = 3_600_000;
/// Brokers that the built-in scenarios need: replication factor 3.
const BROKERS_MIN: usize = 3;

/// Asks a Kafka.
///
/// # Errors
/// It cannot be reached, or does not tell its configuration.
pub(crate) fn all(properties: &ClientProperties) -> Result<Vec<Check>, Problem> {
    let servers = properties.value("bootstrap.servers").unwrap_or_default().to_owned();
    let admin = AdminClient::new(properties, LogSink::discard()).map_err(|error| Problem::refused(&error))?;
    let cluster = admin.metadata(TIMEOUT).map_err(|error| connection::problem(&error).about(&servers))?;
    let mut checks = vec![brokers(cluster.brokers.len())];
    let Some(broker) = cluster.brokers.first() else { return Ok(checks) };
    match admin.configs(&ConfigResource::Broker(broker.id), TIMEOUT) {
        Ok(entries) => {
            let configs = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
            checks.extend(promises(&configs));
        }
        Err(error) => checks.push(Check::cured(
            "broker configuration",
            State::Warn,
            error.to_string(),
            "give this user the right DescribeConfigs on the cluster; without it a promise rests on what you say",
        )),
    }
    Ok(checks)
}

fn brokers(count: usize) -> Check {
    let what = "brokers";
    let found = format!("{count} there");
    if count >= BROKERS_MIN {
        Check::ok(what, found)
    } else {
        Check::cured(
            what,
            State::Fail,
            found,
            format!(
                "replication factor {BROKERS_MIN} needs {BROKERS_MIN} brokers; start more, or set topic.replication-factor and topic.min-insync-replicas in a scenario of your own"
            ),
        )
    }
}

/// Judges one broker's configuration.
fn promises(configs: &HashMap<String, String>) -> Vec<Check> {
    vec![
        at_least(
            configs,
            "min.insync.replicas",
            2,
            "one copy is enough to acknowledge; the built-in scenarios set 2 for their topics, set it for yours",
        ),
        at_least(
            configs,
            "default.replication.factor",
            3,
            "topics that others create have fewer copies; the built-in scenarios set 3 for their own",
        ),
        unclean(configs),
        transaction_log(configs, "transaction.state.log.replication.factor", 3),
        transaction_log(configs, "transaction.state.log.min.isr", 2),
        at_least(
            configs,
            "offsets.topic.replication.factor",
            3,
            "committed offsets of groups can be lost with a broker; set 3 before the topic comes into being",
        ),
        retention(configs),
    ]
}

fn number(configs: &HashMap<String, String>, name: &str) -> Option<i64> {
    configs.get(name)?.parse().ok()
}

fn untold(what: &'static str) -> Check {
    Check::cured(what, State::Warn, "the broker does not tell", "look it up at the broker")
}

fn at_least(configs: &HashMap<String, String>, what: &'static str, wanted: i64, cure: &str) -> Check {
    match number(configs, what) {
        None => untold(what),
        Some(found) if found >= wanted => Check::ok(what, found.to_string()),
        Some(found) => Check::cured(what, State::Warn, found.to_string(), cure),
    }
}

fn unclean(configs: &HashMap<String, String>) -> Check {
    let what = "unclean.leader.election.enable";
    match configs.get(what).map(String::as_str) {
        None => untold(what),
        Some("false") => Check::ok(what, "false"),
        Some(found) => Check::cured(
            what,
            State::Fail,
            found,
            "a stale replica may become leader and acknowledged messages be lost; set it to false, here or for the topic",
        ),
    }
}

/// Transactions are kept by an internal topic: with fewer copies a committed one can be forgotten.
fn transaction_log(configs: &HashMap<String, String>, what: &'static str, wanted: i64) -> Check {
    match number(configs, what) {
        None => untold(what),
        Some(found) if found >= wanted => Check::ok(what, found.to_string()),
        Some(found) => Check::cured(
            what,
            State::Fail,
            found.to_string(),
            format!(
                "the profile transactional needs {wanted}; set it before the first transaction, or leave that profile out (--profiles)"
            ),
        ),
    }
}

fn retention(configs: &HashMap<String, String>) -> Check {
    let what = "log.retention";
    let bytes = number(configs, "log.retention.bytes").unwrap_or(-1);
    let ms = number(configs, "log.retention.ms")
        .or_else(|| number(configs, "log.retention.minutes").map(|minutes| minutes * 60_000))
        .or_else(|| number(configs, "log.retention.hours").map(|hours| hours * HOUR_MS));
    let cure = "what is deleted during a run cannot be judged: set retention.ms=-1 and retention.bytes=-1 for the topic (topic.configs in a scenario)";
    if bytes >= 0 {
        return Check::cured(what, State::Warn, format!("{bytes} bytes per partition"), cure);
    }
    match ms {
        Some(ms) if (0..HOUR_MS).contains(&ms) => Check::cured(what, State::Warn, format!("{ms} ms"), cure),
        _ => Check::ok(what, "long enough"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn state(pairs: &[(&str, &str)], what: &str) -> Option<State> {
        promises(&configs(pairs)).into_iter().find(|check| check.what == what).map(|check| check.state)
    }

    #[test]
    fn what_breaks_a_promise_fails_and_what_weakens_it_warns() {
        assert_eq!(state(&[("min.insync.replicas", "2")], "min.insync.replicas"), Some(State::Ok));
        assert_eq!(state(&[("min.insync.replicas", "1")], "min.insync.replicas"), Some(State::Warn));
        assert_eq!(state(&[], "min.insync.replicas"), Some(State::Warn));
        let unclean = "unclean.leader.election.enable";
        assert_eq!(state(&[(unclean, "true")], unclean), Some(State::Fail));
        assert_eq!(state(&[(unclean, "false")], unclean), Some(State::Ok));
        let transactions = "transaction.state.log.min.isr";
        assert_eq!(state(&[(transactions, "1")], transactions), Some(State::Fail));
        assert_eq!(state(&[("log.retention.ms", "1000")], "log.retention"), Some(State::Warn));
        assert_eq!(state(&[("log.retention.hours", "168")], "log.retention"), Some(State::Ok));
        assert_eq!(brokers(1).state, State::Fail);
    }
}
