//! Renders a result folder's charts: `cargo run -p ackmark-charts --example render -- RESULT-FOLDER OUT`.

use std::path::PathBuf;

use ackmark_schema::{
    result::{RESULT_FILE, RunResult},
    text,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("give a result folder and a folder for the charts".into());
    };
    let result: RunResult = text::from_json(RESULT_FILE, &std::fs::read_to_string(folder.join(RESULT_FILE))?)?;
    let charts = ackmark_charts::render(&result, &folder, &out)?;
    for chart in &charts.rendered {
        eprintln!("{}: {}", chart.svg.display(), chart.title);
    }
    for chart in &charts.skipped {
        eprintln!("{} skipped: {}", chart.name, chart.why);
    }
    Ok(())
}
