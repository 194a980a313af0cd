//! `ackmark chart`: the charts of a result.

use std::path::{Path, PathBuf};

use ackmark_charts::Charts;
use ackmark_schema::result::RunResult;

use crate::{
    arguments::Output,
    exit::Exit,
    folder::{self, Benched},
    print,
    problem::Problem,
};

/// The folder of charts in a result folder.
pub(crate) const FOLDER: &str = "charts";

/// Draw the charts of a result.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ackmark chart results/2026-11-25-host-delivery --out charts")]
pub(crate) struct Arguments {
    /// A result folder, or the result.json in it
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    /// Where the SVG and PNG files go [default: charts in the result folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Draws and tells what was drawn.
///
/// # Errors
/// No result, or a folder that cannot be written to.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let (result, _, folder) = folder::result(&arguments.result)?;
    let out = arguments.out.clone().unwrap_or_else(|| folder.join(FOLDER));
    let charts = match &result {
        Benched::Semantics(result) => {
            ackmark_charts::render_semantics(result, &out).map_err(|error| Problem::failed(&error))?
        }
        Benched::Profiles(result) => draw(result, &folder, &out)?,
    };
    let files: Vec<&Path> = charts.files().collect();
    arguments.output.print(&files, || print::charts::document(&charts))?;
    Ok(Exit::Success)
}

/// Draws the charts of a result into `out`.
///
/// # Errors
/// `out` cannot be written to.
pub(crate) fn draw(result: &RunResult, folder: &Path, out: &Path) -> Result<Charts, Problem> {
    ackmark_charts::render(result, folder, out).map_err(|error| Problem::failed(&error))
}
