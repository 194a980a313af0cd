//! `ackmark doctor`: what this machine, or a Kafka, lacks.

use std::path::PathBuf;

use ackmark_schema::units::Span;

use crate::{
    arguments::Output,
    checks::{self, State},
    connection::{Properties, Servers},
    exit::Exit,
    print,
    problem::Problem,
};

/// Tell what this machine, or a Kafka, lacks.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without -b it looks at what a local Kafka needs; with -b it asks that Kafka whether it can carry the \
promises, and for transactions that are open for long or hang: readers with isolation.level=read_committed \
stop at them. Nothing is written.

Exit codes: 0 nothing stands in the way (warnings may) · 1 this machine lacks something, or the Kafka cannot \
be reached · 4 the Kafka cannot carry the promises

Examples:
  ackmark doctor
  ackmark doctor -b localhost:9092")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    /// Warn of transactions that are open for longer than this
    #[arg(long, value_name = "TIME", default_value = "30s")]
    long_transaction: Span,
    /// The folder that results go to
    #[arg(long, value_name = "DIR", default_value = "results", env = "ACKMARK_RESULTS", hide_env_values = true)]
    results: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Looks and tells.
///
/// # Errors
/// A Kafka that cannot be reached, bad properties.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let mut properties = arguments.properties.resolve()?;
    let mut found = checks::machine::client(&arguments.results);
    let kafka = if arguments.servers.add_to(&mut properties).is_some() {
        let mut kafka = checks::kafka::all(&properties)?;
        kafka.extend(checks::transactions::all(&properties, arguments.long_transaction.0));
        kafka
    } else {
        found.extend(checks::machine::local_kafka());
        Vec::new()
    };
    let failed = |checks: &[checks::Check]| checks.iter().any(|check| check.state == State::Fail);
    let exit = match (failed(&found), failed(&kafka)) {
        (true, _) => Exit::Runtime,
        (false, true) => Exit::Inconclusive,
        (false, false) => Exit::Success,
    };
    found.extend(kafka);
    arguments.output.print(&found, || print::doctor::document(&found))?;
    Ok(exit)
}
