//! Consent to write to a Kafka that ackmark did not start.

use std::path::Path;

use ackmark_client::ClientProperties;
use ackmark_cluster::local::{State, kept};
use ackmark_loadgen::Resumption;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    units::Bytes,
};

use crate::{command::cluster, console, figures, parent, problem::Problem};

/// Whether these brokers are those of the local cluster that ackmark keeps: nobody else's data is there.
///
/// # Errors
/// What is known of the kept cluster cannot be read.
pub(crate) fn is_ours(servers: &str, home: Option<&Path>) -> Result<bool, Problem> {
    let kept = kept::status(home).map_err(|error| cluster::problem(&error))?;
    let known: Vec<&str> = kept.iter().flat_map(State::all_servers).collect();
    Ok(servers.split(',').all(|server| known.contains(&server.trim())))
}

/// Consent to a load of its own: one that a bench started has it already. `home` is where a kept cluster would be.
///
/// # Errors
/// As [`ask`].
pub(crate) fn to_load(
    spec: &LoadSpec,
    create_topic: Option<u32>,
    connection: &ClientProperties,
    home: Option<&Path>,
    given: bool,
) -> Result<(), Problem> {
    to_write(|servers| what_a_load_writes(spec, create_topic, 0, servers), connection, home, given)
}

/// Consent to a load that goes on.
///
/// # Errors
/// As [`ask`].
pub(crate) fn to_resume(
    resumption: &Resumption,
    connection: &ClientProperties,
    home: Option<&Path>,
    given: bool,
) -> Result<(), Problem> {
    let what = |servers: &str| what_a_load_writes(resumption.spec(), None, resumption.resends(), servers);
    to_write(what, connection, home, given)
}

/// Consent to what a group of consumers writes.
///
/// # Errors
/// As [`ask`].
pub(crate) fn to_process(
    what: &str,
    connection: &ClientProperties,
    home: Option<&Path>,
    given: bool,
) -> Result<(), Problem> {
    let told = |servers: &str| {
        format!(
            "ackmark did not start the Kafka at {servers}. It will write {what}, NOT THROTTLED. Nothing is deleted."
        )
    };
    to_write(told, connection, home, given)
}

fn to_write(
    what: impl FnOnce(&str) -> String,
    connection: &ClientProperties,
    home: Option<&Path>,
    given: bool,
) -> Result<(), Problem> {
    let servers = connection.value("bootstrap.servers").unwrap_or_default();
    if parent::is_a_bench() || is_ours(servers, home)? {
        return Ok(());
    }
    ask(&what(servers), "look at it above", given)
}

fn what_a_load_writes(spec: &LoadSpec, create_topic: Option<u32>, resends: u64, servers: &str) -> String {
    let topics = spec.named_topics();
    let create = create_topic.map(|count| format!("create {topics} with {count} partitions and ")).unwrap_or_default();
    let again = if resends > 0 { format!("{resends} messages again and then ") } else { String::new() };
    let seconds = (spec.warm_up.0 + spec.duration.0).as_secs_f64();
    let time = figures::seconds(seconds);
    let bytes = |messages: f64| Bytes((messages * spec.message.size.mean_bytes()) as u64).approximate();
    let much = match (spec.schedule, spec.messages) {
        (Schedule::Max, Some(messages)) => {
            format!("about {messages} messages ({}), NOT THROTTLED", bytes(messages.0 as f64))
        }
        (Schedule::Max, None) => format!("for {time} as fast as the brokers take it, NOT THROTTLED"),
        (Schedule::Rate { messages: rate, .. }, Some(messages)) => {
            format!("about {messages} messages ({}) at {rate}", bytes(messages.0 as f64))
        }
        (Schedule::Rate { messages: rate, .. }, None) => {
            format!("for {time} at {rate} (about {})", bytes(rate.as_f64() * seconds))
        }
    };
    format!(
        "ackmark did not start the Kafka at {servers}. It will {create}write to {topics}, before replication: {again}{much}. \
         Sealing adds a sentinel to each partition. Nothing else is written, and nothing is deleted."
    )
}

/// Tells what will be written and asks for consent, unless it is given already. `look` says how to look at it first.
///
/// # Errors
/// There is no consent, or nobody to ask.
pub(crate) fn ask(what: &str, look: &str, given: bool) -> Result<(), Problem> {
    console::say(what);
    if given {
        return Ok(());
    }
    match console::confirm("Go on?") {
        Some(true) => Ok(()),
        Some(false) => Err(Problem::usage("not confirmed; nothing was written")),
        None => Err(Problem::usage("nobody is here to confirm what will be written to that Kafka")
            .hint(format!("{look}, then add --yes"))),
    }
}
