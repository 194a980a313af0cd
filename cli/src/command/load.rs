//! `ackmark load`: one producer run.

use std::path::PathBuf;

use super::load_flags::Run;
use crate::{
    arguments::{Output, Progress},
    connection::{Properties, Servers},
    exit::Exit,
    problem::Problem,
};

/// Run producers against a topic and keep a ledger of every message.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackmark load -b localhost:9092 -t orders --create-topic 6 --profile all-acks --duration 30s
  ackmark load -b localhost:9092 -t orders --messages 1M --rate 20k/s --arrivals poisson --out run1
then
  ackmark verify run1 -b localhost:9092")]
pub(crate) struct Arguments {
    /// A run as a file (see `ackmark schema load-spec`); the flags below stand for such a file
    #[arg(long, value_name = "FILE", conflicts_with = "flags")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: Run,
    /// Folder for the ledger and the reports; must not hold another run [default: load-<time>]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Leave the log open; `ackmark seal` closes it
    #[arg(long)]
    pub(crate) no_seal: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) properties: Properties,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) progress: Progress,
}

/// PENDING
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Problem> {
    let _ = arguments;
    Err(Problem::runtime("pending"))
}
