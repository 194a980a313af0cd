//! Charts that were drawn, and those that were not.

use ackmark_charts::Charts;

use crate::document::{Document, Table, Text, Tone};

/// All charts.
pub(crate) fn document(charts: &Charts) -> Document {
    let mut table = Table::of_words(["chart", "says", "file"]);
    for chart in &charts.rendered {
        table.row([chart.name.clone(), chart.title.clone(), chart.svg.display().to_string()]);
    }
    let mut document = Document::default();
    document.table(table);
    document.items(
        charts
            .skipped
            .iter()
            .map(|chart| Text::new(format!("{} is not drawn: {}", chart.name, chart.why), Tone::Faint)),
    );
    document
}
