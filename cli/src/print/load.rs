//! What one producer run did.

use std::fmt::Write as _;

use ackmark_schema::{
    report::{
        Ending,
        load::{Counts, ErrorOutcome, LoadReport, TransactionFigures},
    },
    result::Warning,
};

use super::{latency, verdict};
use crate::{
    document::{Document, Table, Text, Tone},
    figures,
};

/// The whole report.
pub(crate) fn document(report: &LoadReport) -> Document {
    let mut document = Document::default();
    document.heading(format!("Load: {} to {}", report.spec.profile.name, report.spec.named_topics()));
    if report.spec.simulated {
        document.sentence(simulated());
    }
    document.sentence(ending(report.ending, report.error.as_deref()));
    document.table(counts(report));
    document.sentence(throughput(report));
    document.table(latencies(report));
    if let Some(transactions) = &report.transactions {
        document.sentence(transaction_sentence(transactions)).table(transaction_times(transactions));
    }
    document.table(errors(report));
    document.items(trouble(report));
    document.sentence(verdict::provocations(&report.provocations));
    document.items(doubts(report));
    document
}

/// What stands in every output about the mock cluster.
pub(crate) fn simulated() -> Text {
    Text::new("SIMULATED: the brokers are librdkafka's mock. This says nothing about Kafka.", Tone::Doubtful)
}

/// How it ended.
pub(crate) fn ending(ending: Ending, error: Option<&str>) -> Text {
    match ending {
        Ending::Completed => Text::new("Completed.", Tone::Good),
        Ending::Interrupted => Text::new("Interrupted: what follows is what there was until then.", Tone::Doubtful),
        Ending::Failed => Text::new(format!("Failed: {}", error.unwrap_or("the reason is not known")), Tone::Bad),
    }
}

fn counts(report: &LoadReport) -> Table {
    let mut table = Table::new(1, ["messages", "sent", "acknowledged", "failed", "indeterminate", "open", "bytes"]);
    let again = (report.incarnation > 0).then_some(("sent again", report.resent));
    for (label, Counts { sent, acknowledged, failed, indeterminate, open, value_bytes }) in
        [("all", report.total)].into_iter().chain(again).chain([("measured", report.measured.counts)])
    {
        let mut row = vec![Text::from(label)];
        row.extend([sent, acknowledged, failed, indeterminate, open, value_bytes].map(|n| figures::count(n).into()));
        table.row(row);
    }
    table
}

fn throughput(report: &LoadReport) -> String {
    let measured = &report.measured;
    let what = if report.latency_is_acknowledgement { "Delivered" } else { "Written to a socket (acks=0)" };
    let mut text = format!(
        "{what}: {} ({}) over {}",
        figures::rate(measured.delivered_per_s),
        figures::bytes_rate(measured.delivered_bytes_per_s),
        figures::seconds(measured.duration_s)
    );
    if let Some(offered) = measured.offered_per_s {
        let _ = write!(text, "; offered {}, sent {}", figures::rate(offered), figures::rate(measured.sent_per_s));
    }
    if measured.delivered > 0 {
        let per_million = measured.cpu.total_s() / (measured.delivered as f64 / 1e6);
        let _ = write!(text, "; client CPU {} s per million messages", figures::significant(per_million));
    }
    text + "."
}

fn latencies(report: &LoadReport) -> Table {
    let until = if report.latency_is_acknowledgement { "acknowledgement" } else { "socket write (acks=0)" };
    let mut table = latency::table(["latency"]);
    for (from, summary) in [("intended time", &report.latency_intended), ("actual send", &report.latency_send)] {
        if let Some(summary) = summary {
            let mut row = vec![Text::from(format!("{from} to {until}"))];
            row.extend(latency::cells(summary));
            table.row(row);
        }
    }
    if let Some(lag) = &report.generator.schedule_lag {
        let mut row = vec![Text::from("of it the generator's own lateness")];
        row.extend(latency::cells(lag));
        table.row(row);
    }
    table
}

fn transaction_sentence(figures: &TransactionFigures) -> String {
    let on_purpose = match figures.aborted_on_purpose {
        0 => String::new(),
        count => format!(" ({} on purpose)", figures::count(count)),
    };
    format!(
        "Transactions: {} committed, {} aborted{on_purpose}, {} indeterminate; {} messages each; nothing could be sent in {:.1} % of the time.",
        figures::count(figures.committed),
        figures::count(figures.aborted),
        figures::count(figures.indeterminate),
        figures::scaled(figures.messages_mean),
        figures.stalled_share * 100.0
    )
}

fn transaction_times(figures: &TransactionFigures) -> Table {
    let mut table = latency::table(["transaction"]);
    let committed =
        [("begin to committed", &figures.begin_to_committed), ("flush", &figures.flush), ("commit", &figures.commit)];
    let aborted = figures.abort.as_ref().map(|abort| ("abort", abort));
    for (label, summary) in committed.into_iter().chain(aborted) {
        let mut row = vec![Text::from(label)];
        row.extend(latency::cells(summary));
        table.row(row);
    }
    table
}

fn errors(report: &LoadReport) -> Table {
    let mut table = Table::of_words(["delivery error", "counted as", "messages"]);
    for error in &report.errors {
        let outcome = match error.outcome {
            ErrorOutcome::Failed => "failed",
            ErrorOutcome::Indeterminate => "indeterminate",
        };
        table.row([
            Text::from(format!("{} ({})", error.name, error.code)),
            outcome.into(),
            Text::new(figures::count(error.count), Tone::Doubtful),
        ]);
    }
    table
}

/// What stood in the way of messages.
fn trouble(report: &LoadReport) -> Vec<Text> {
    let told = |trouble: &Warning| Text::new(format!("{}; {}.", trouble.what, trouble.cure), Tone::Doubtful);
    report.trouble.iter().map(told).collect()
}

/// What speaks against the figures.
fn doubts(report: &LoadReport) -> Vec<Text> {
    let generator = &report.generator;
    let mut doubts = Vec::new();
    if report.measured.offered_per_s.is_some() && generator.queue_full > 0 {
        doubts.push(format!(
            "The queue was full {} times in an open loop: the rate is more than this client or cluster takes. Lower --rate.",
            figures::count(generator.queue_full)
        ));
    }
    if let Some(lag_us) = generator.late_us() {
        doubts.push(format!(
            "The schedule could not be kept: one message in a hundred was sent {} or more late by the generator's own \
             doing. Lower --rate, or give it a processor that nothing else uses.",
            figures::micros(lag_us)
        ));
    }
    if generator.steal_share.is_some_and(|share| share > 0.02) {
        doubts.push(format!(
            "The hypervisor took {:.1} % of the CPU time: run on a quieter machine.",
            generator.steal_share.unwrap_or_default() * 100.0
        ));
    }
    if generator.clock_step_us > 1000 {
        doubts.push(format!(
            "The wall clock stepped by {}: let the time service settle first.",
            figures::micros(generator.clock_step_us)
        ));
    }
    doubts.into_iter().map(|text| Text::new(text, Tone::Doubtful)).collect()
}
