//! How a log was closed.

use ackmark_schema::report::seal::{SealReport, SealState};

use crate::{
    document::{Document, Table, Text, Tone},
    figures,
};

/// The whole report.
pub(crate) fn document(report: &SealReport) -> Document {
    let mut document = Document::default();
    document.heading("Seal").sentence(state(&report.state, report.duration_s));
    if let Some(quiet_s) = report.quiet_s {
        document.sentence(format!(
            "End offsets were stable for {}, since messages without acknowledgement may arrive late.",
            figures::seconds(quiet_s)
        ));
    }
    if !report.fenced.is_empty() {
        document.sentence(format!("Fenced: {}.", report.fenced.join(", ")));
    }
    let mut table = Table::new(1, ["partition", "end as found", "stable as found", "sentinel at", "scan ends at"]);
    for partition in &report.partitions {
        let sentinel = partition.sentinel_offset;
        table.row([
            Text::from(format!("{}-{}", partition.topic, partition.partition)),
            partition.high_watermark_found.to_string().into(),
            partition.last_stable_offset_found.to_string().into(),
            sentinel.map_or_else(|| Text::new("missing", Tone::Bad), |offset| offset.to_string().into()),
            partition.end_offset.to_string().into(),
        ]);
    }
    document.table(table);
    document
}

/// Whether the log is closed, as a sentence.
pub(crate) fn state(state: &SealState, duration_s: f64) -> Text {
    match state {
        SealState::Sealed => Text::new(format!("The log was closed in {}.", figures::seconds(duration_s)), Tone::Good),
        SealState::Unsealed { reason } => Text::new(not_closed(reason), Tone::Doubtful),
    }
}

/// What follows from a log that is not closed, with its cure.
pub(crate) fn not_closed(reason: &str) -> String {
    let reason = reason.trim_end_matches('.');
    format!("The log is not closed: {reason}. Until `ackmark seal` has closed it, every verdict is inconclusive.")
}
