//! Charts of a result: SVG by plotters, PNG from that SVG by resvg.
//!
//! | chart | what it shows | drawn for |
//! |---|---|---|
//! | `throughput` | delivered messages per second, each trial as a point | `max` phases |
//! | `cost` | throughput relative to at-most-once, often-quoted claims | `max` phases |
//! | `transactions` | throughput against the time of a transaction, how that time is spent | `max` phases |
//! | `latency` | percentile curves on a nines axis | `rate` phases |
//! | `timeline` | throughput and 99th percentile over time | all |
//! | `verdicts` | what each promise kept: counts per class | verified runs |
//! | `comparison` | rate of each setting, with what a crash doubled and lost | semantics |
//! | `pipeline` | rate and cycle time of the exactly-once pipeline against its batch | semantics |
//! | `stall` | last stable offset and high watermark while a dead producer's transaction is open | semantics |
//!
//! A second phase of a kind gives a chart of its own, named `throughput-<phase>`. A title states what was
//! found, computed from the result; the foot states the conditions. What a result does not hold is not
//! drawn: a chart without data is skipped, with the reason. Equal results give equal bytes.
//!
//! Limits: linear axes start at zero, there is one y axis per panel, nothing is smoothed; PNG text is drawn
//! with a bundled subset of `DejaVu` Sans, so a character outside of Latin is drawn as `□`.

mod canvas;
mod cost;
mod facts;
mod font;
mod labels;
mod latency;
mod numbers;
mod palette;
mod png;
mod rows;
mod scale;
mod semantics;
mod sheet;
mod spending;
mod throughput;
mod timeline;
mod transactions;
mod verdicts;

use std::path::{Path, PathBuf};

use ackmark_schema::{result::RunResult, scenario::Load, semantics::SemanticsResult};
use thiserror::Error;

use crate::sheet::Drawing;

/// A chart could not be written or drawn.
#[derive(Debug, Error)]
pub enum ChartError {
    /// The output folder or a file in it could not be written.
    #[error("cannot write {path}: {source}; give a folder that can be written to and has room")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An SVG could not be drawn as a PNG: a bug of this crate.
    #[error("cannot draw a chart as PNG: {0}; please report it with the result's result.json")]
    Png(String),
}

/// What was drawn and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charts {
    /// Charts that were written.
    pub rendered: Vec<Rendered>,
    /// Charts without data.
    pub skipped: Vec<Skipped>,
}

/// A chart that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its name, for example `throughput`.
    pub name: String,
    /// Its title: the finding.
    pub title: String,
    /// The SVG.
    pub svg: PathBuf,
    /// The PNG, twice the SVG's size.
    pub png: PathBuf,
}

/// A chart that was not drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why there is nothing to draw.
    pub why: String,
}

impl Charts {
    /// The files that were written.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.rendered.iter().flat_map(|chart| [chart.svg.as_path(), chart.png.as_path()])
    }
}

/// Draws the charts of `result` into the folder `out`, which is made when it is missing. `folder` is the
/// result folder, where the trials' `timeline.json` are.
///
/// # Errors
/// `out` cannot be written. A timeline that cannot be read is no error: its trial is left out of the chart
/// over time, which says so.
pub fn render(result: &RunResult, folder: &Path, out: &Path) -> Result<Charts, ChartError> {
    write_all(drawings(result, folder), out)
}

/// Draws the charts of the semantics put to the test into the folder `out`, which is made when it is missing.
///
/// # Errors
/// `out` cannot be written.
pub fn render_semantics(result: &SemanticsResult, out: &Path) -> Result<Charts, ChartError> {
    let drawings = [
        ("comparison", semantics::comparison(result)),
        ("pipeline", semantics::batches(result)),
        ("stall", semantics::stall(result)),
    ];
    write_all(drawings.map(|(name, drawing)| (name.to_owned(), drawing)).into(), out)
}

/// Writes drawings as SVG and PNG.
fn write_all(drawings: Vec<(String, Result<Drawing, String>)>, out: &Path) -> Result<Charts, ChartError> {
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).map_err(|source| ChartError::Write { path: path.into(), source })
    };
    std::fs::create_dir_all(out).map_err(|source| ChartError::Write { path: out.into(), source })?;
    let mut charts = Charts::default();
    for (name, drawing) in drawings {
        match drawing {
            Ok(Drawing { title, svg }) => {
                let [svg_path, png_path] = ["svg", "png"].map(|kind| out.join(format!("{name}.{kind}")));
                write(&svg_path, svg.as_bytes())?;
                write(&png_path, &png::from_svg(&svg)?)?;
                charts.rendered.push(Rendered { name, title, svg: svg_path, png: png_path });
            }
            Err(why) => charts.skipped.push(Skipped { name, why }),
        }
    }
    Ok(charts)
}

/// Each chart by name: drawn, or why there is nothing to draw.
fn drawings(result: &RunResult, folder: &Path) -> Vec<(String, Result<Drawing, String>)> {
    let maxima = phases(result, |load| matches!(load, Load::Max(_)));
    let rates = phases(result, |load| matches!(load, Load::Rate(_)));
    let mut drawings = Vec::new();
    let mut add = |kind: &str, phases: &[&str], draw: &dyn Fn(&str, bool) -> Result<Drawing, String>| {
        if phases.is_empty() {
            let load = if kind == "latency" { "rate" } else { "max" };
            drawings.push((kind.to_owned(), Err(format!("the scenario has no phase with load.{load}"))));
        }
        for (at, phase) in phases.iter().enumerate() {
            let name = if at == 0 { kind.to_owned() } else { format!("{kind}-{}", file_name(phase)) };
            drawings.push((name, draw(phase, at == 0)));
        }
    };
    add("throughput", &maxima, &|phase, _| throughput::draw(result, phase));
    add("cost", &maxima, &|phase, first| cost::draw(result, phase, first));
    add("transactions", &maxima, &|phase, _| transactions::draw(result, phase));
    add("latency", &rates, &|phase, _| latency::draw(result, phase));
    drawings.push(("timeline".into(), timeline::draw(result, folder, maxima.first().copied(), rates.first().copied())));
    drawings.push(("verdicts".into(), verdicts::draw(result)));
    drawings
}

fn phases(result: &RunResult, kind: impl Fn(&Load) -> bool) -> Vec<&str> {
    result.scenario.phases.iter().filter(|phase| kind(&phase.load)).map(|phase| phase.name.as_str()).collect()
}

/// A phase's name as part of a file name: a result that was edited by hand leads nowhere else.
fn file_name(phase: &str) -> String {
    phase.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
