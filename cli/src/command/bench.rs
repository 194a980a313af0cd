//! `ackmark bench`: the main job.

use std::path::PathBuf;

use crate::{
    arguments::{Output, Progress},
    command::cluster::Kafka,
    connection::{Properties, Servers},
    exit::Exit,
    problem::Problem,
};

/// Run a scenario: load, verify, judge, plot.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without -b it starts a local three-broker Kafka and stops it at the end.

Examples:
  ackmark bench quick
  ackmark bench delivery --dry-run
  ackmark bench own.toml -b localhost:9092 -X compression.type=lz4")]
pub(crate) struct Arguments {
    /// A shipped scenario, or a TOML file of your own (see `ackmark schema scenario`)
    #[arg(value_name = "SCENARIO", default_value = "delivery")]
    scenario: String,
    /// Run these profiles instead of the scenario's
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    profiles: Vec<String>,
    /// Seed of every random choice [default: the scenario's, or drawn]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print the plan, how long it takes and the bytes it writes, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Take the rates of open-loop phases from an earlier result, so that both can be compared
    #[arg(long, value_name = "RESULT")]
    rates_from: Option<PathBuf>,
    /// The folder that results go to
    #[arg(long, value_name = "DIR", default_value = "results", env = "ACKMARK_RESULTS", hide_env_values = true)]
    results: PathBuf,
    /// Leave the topics there
    #[arg(long)]
    keep_topics: bool,
    /// Write to a Kafka that ackmark did not start without asking
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    /// Use librdkafka's mock cluster: tries the tool without Java and proves nothing about Kafka
    #[arg(long, help_heading = "Kafka")]
    simulated: bool,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    progress: Progress,
}

/// PENDING
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let _ = arguments;
    Err(Problem::runtime("pending"))
}
