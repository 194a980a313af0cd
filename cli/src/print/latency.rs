//! Latency percentiles: one without a value says why.

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
    cells.push(match summary.largest() {
        Ok(max_us) => max_us.map_or_else(|| figures::NONE.into(), |max_us| figures::micros(max_us).into()),
        Err(why) => absent(&why),
    });
    cells.push(figures::count(summary.count).into());
    cells
}

/// One percentile, or why there is none.
pub(crate) fn cell(summary: &LatencySummary, percentile: f64) -> Text {
    match summary.at(percentile) {
        Some(found) => match found.value_us {
            Some(value_us) => figures::micros(value_us).into(),
            None => absent(&summary.why_absent(found).unwrap_or_default()),
        },
        None => Text::new(figures::NONE, Tone::Faint),
    }
}

fn absent(why: &str) -> Text {
    Text::new(format!("n/a ({why})"), Tone::Faint)
}

#[cfg(test)]
mod tests {
    use ackmark_schema::latency::Percentile;

    use super::*;
    use crate::document::{Document, Form};

    #[test]
    fn what_was_not_delivered_has_no_percentile_and_no_maximum() {
        let entry = |percentile, value_us| Percentile { percentile, value_us, needs: 3_688, ..Percentile::default() };
        let summary = LatencySummary {
            count: 9_970,
            sent: 10_000,
            min_us: Some(1),
            max_us: Some(80_000),
            percentiles: vec![entry(99.0, Some(2_000)), entry(99.9, None)],
        };
        let mut table = table(["until"]);
        table.row([vec![Text::from("acknowledgement")], cells(&summary)].concat());
        let mut document = Document::default();
        document.table(table);
        let told = document.render(Form::Markdown);
        assert_eq!(told.matches("n/a (0.3 % not delivered)").count(), 2, "p99.9 and the maximum: {told}");
        assert!(!told.contains("80"), "{told}");
    }
}
