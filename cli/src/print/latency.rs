//! Latency percentiles: a value that the sample cannot carry says how many samples it needs.

use ackmark_schema::latency::LatencySummary;

use crate::{
    document::{Table, Text, Tone},
    figures,
};

/// The percentiles that have a column.
const COLUMNS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// An empty table with the given words in front.
pub(crate) fn table<'a>(labels: impl IntoIterator<Item = &'a str>) -> Table {
    let mut headers: Vec<String> = labels.into_iter().map(str::to_owned).collect();
    let words = headers.len();
    headers.extend(COLUMNS.map(|percentile| format!("p{percentile}")));
    headers.extend(["max".to_owned(), "samples".to_owned()]);
    Table::new(words, headers)
}

/// The cells of one row, behind its words.
pub(crate) fn cells(summary: &LatencySummary) -> Vec<Text> {
    let mut cells: Vec<Text> = COLUMNS.map(|percentile| cell(summary, percentile)).to_vec();
    cells.push(summary.max_us.map_or_else(|| figures::NONE.into(), |max_us| figures::micros(max_us).into()));
    cells.push(figures::count(summary.count).into());
    cells
}

fn cell(summary: &LatencySummary, percentile: f64) -> Text {
    match summary.at(percentile) {
        Some(found) => match found.value_us {
            Some(value_us) => figures::micros(value_us).into(),
            None => Text::new(format!("n/a (needs {})", figures::count(found.needs)), Tone::Faint),
        },
        None => Text::new(figures::NONE, Tone::Faint),
    }
}
