//! `ackmark chart`: the charts of a result.

use std::path::PathBuf;

use crate::{exit::Exit, problem::Problem};

/// Draw the charts of a result.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ackmark chart results/2026-11-25-host-delivery --out charts")]
pub(crate) struct Arguments {
    /// A result folder, or its result.json
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    /// Where the SVG and PNG files go [default: charts in the result folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// PENDING
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let _ = arguments;
    Err(Problem::runtime("pending"))
}
