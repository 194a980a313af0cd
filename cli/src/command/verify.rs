//! `ackmark verify`: one accounting of a log against its ledger.

use std::path::PathBuf;

use ackmark_schema::report::verify::Isolation;
use clap::ValueEnum;

use crate::{
    arguments::{Output, Progress},
    connection::{Properties, Servers},
    exit::Exit,
    problem::Problem,
};

/// Account for every message of a load in Kafka's log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It reads the whole log from where the load began and writes nothing to the cluster.

Example:
  ackmark verify run1 -b localhost:9092 --threads 4")]
pub(crate) struct Arguments {
    /// The folder of the load
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Reader threads
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Read while the load is running, until its log is closed
    #[arg(long)]
    follow: bool,
    /// What a live reader is shown [default: what the promise is about]
    #[arg(long, value_name = "LEVEL", requires = "follow")]
    isolation: Option<Level>,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Level {
    /// All records
    ReadUncommitted,
    /// What is in no transaction or in a committed one
    ReadCommitted,
}

impl From<Level> for Isolation {
    fn from(level: Level) -> Self {
        match level {
            Level::ReadUncommitted => Self::ReadUncommitted,
            Level::ReadCommitted => Self::ReadCommitted,
        }
    }
}

/// PENDING
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let _ = arguments;
    Err(Problem::runtime("pending"))
}
