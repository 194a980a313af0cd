//! One accounting of a log.

use std::cmp::Reverse;

use ackmark_schema::report::{
    seal::SealState,
    verify::{CauseCount, Example, LedgerDamage, ReaderComparison, VerifyReport},
};

use super::{latency, load, verdict};
use crate::{
    document::{Document, Table, Text, Tone},
    figures,
};

/// The whole report.
pub(crate) fn document(report: &VerifyReport) -> Document {
    let mut document = Document::default();
    document.heading(format!("Verdict on {}: {}", report.profile, report.verdict.label()));
    if report.simulated {
        document.sentence(load::simulated());
    }
    document.sentence(Text::new(report.reason.as_str(), verdict::tone(report.verdict)));
    document.sentence(verdict::ledger(&report.ledger));
    if !report.ledger_damage.is_empty() {
        document.sentence(Text::new(
            "The ledger is damaged: what is not known of a message counts as indeterminate.",
            Tone::Doubtful,
        ));
        document.table(damage(report));
    }
    if let SealState::Unsealed { reason } = &report.seal {
        document.sentence(Text::new(format!("The log was not closed: {reason}"), Tone::Doubtful));
    }
    readers(report, &mut document);
    document.table(scans(report));
    document.table(latencies(report));
    document.table(verdict::findings(report.findings.iter().map(|finding| {
        (finding.class, &finding.examined, finding.ruling, finding.ruling_reason.as_str(), finding.verdict)
    })));
    document.table(causes(report));
    document.table(examples(report));
    if report.provocations_known {
        document.sentence(verdict::provocations(&report.provocations));
    } else {
        document.sentence("What put the promise to the test is not known: a load that was killed leaves no report.");
    }
    document
}

fn damage(report: &VerifyReport) -> Table {
    let mut table = Table::of_words(["damaged file", "at byte", "what", "messages unknown"]);
    for LedgerDamage { file, offset, what, messages_unknown } in &report.ledger_damage {
        let unknown = messages_unknown.map_or_else(|| "not known how many".to_owned(), figures::count);
        table.row([file.clone(), figures::count(*offset), what.clone(), unknown]);
    }
    table
}

/// What is to be known of who read.
fn readers(report: &VerifyReport, document: &mut Document) {
    if let Some(why) = &report.readers.fallback {
        document.sentence(Text::new(
            format!("The log reader did not read, the consumer did: no producer ids, no markers ({why})."),
            Tone::Doubtful,
        ));
    }
    if let Some(ReaderComparison { records, partitions, difference, incomplete_reason }) = &report.readers.comparison {
        document.sentence(match (difference, incomplete_reason) {
            (Some(difference), _) => Text::new(format!("The two readers differ: {difference}."), Tone::Bad),
            (None, Some(reason)) => {
                Text::new(format!("The two readers could not be compared: {reason}."), Tone::Doubtful)
            }
            (None, None) => Text::new(
                format!("The two readers agree on {} records in {partitions} partitions.", figures::count(*records)),
                Tone::Good,
            ),
        });
    }
}

fn scans(report: &VerifyReport) -> Table {
    let mut table = Table::new(2, ["scan", "read to the end", "messages", "distinct", "strangers", "rate"]);
    for scan in &report.scans {
        let complete = match (&scan.incomplete_reason, scan.complete) {
            (_, true) => Text::new("yes", Tone::Good),
            (Some(reason), false) => Text::new(format!("no: {reason}"), Tone::Doubtful),
            (None, false) => Text::new("no", Tone::Doubtful),
        };
        let rate = if scan.live { "live".to_owned() } else { figures::rate(scan.messages_per_s) };
        table.row([
            Text::from(format!("{} ({})", scan.isolation.as_str(), scan.reader)),
            complete,
            figures::count(scan.messages).into(),
            figures::count(scan.distinct).into(),
            figures::count(scan.strangers).into(),
            rate.into(),
        ]);
    }
    table
}

fn latencies(report: &VerifyReport) -> Table {
    let mut table = latency::table(["latency"]);
    for scan in &report.scans {
        if let Some(summary) = &scan.latency_end_to_end {
            let mut row = vec![Text::from(format!("intended time to consumer ({})", scan.isolation.as_str()))];
            row.extend(latency::cells(summary));
            table.row(row);
        }
        if let Some(summary) = &scan.visibility {
            let mut row = vec![Text::from("commit asked for to transaction shown")];
            row.extend(latency::cells(summary));
            table.row(row);
        }
    }
    table
}

fn causes(report: &VerifyReport) -> Table {
    let mut table = Table::of_words(["why", "count", "per million", "most in one second", "cause", "told by"]);
    for finding in &report.findings {
        for CauseCount { cause, count } in &finding.causes {
            let of_cause = finding.over_time.iter().filter(|one| one.cause == *cause);
            let most = of_cause.max_by_key(|one| (one.count, Reverse(one.second)));
            table.row([
                finding.class.label().to_owned(),
                figures::count(*count),
                figures::per_million(*count, report.ledger.reserved),
                most.map_or_else(
                    || figures::NONE.to_owned(),
                    |most| format!("{}, sent at {}", figures::count(most.count), most.second.strftime("%H:%M:%SZ")),
                ),
                cause.label().into(),
                cause.evidence().into(),
            ]);
        }
    }
    table
}

fn examples(report: &VerifyReport) -> Table {
    let known = |value: Option<String>| value.unwrap_or_else(|| figures::NONE.to_owned());
    let mut table = Table::of_words(["for example", "partition", "stream", "sequence", "offset", "cause", "look with"]);
    for finding in &report.findings {
        for Example { topic, partition, stream, sequence, run_length, offset, cause, command } in &finding.examples {
            let sequences = sequence.map(|first| match run_length {
                0 | 1 => first.to_string(),
                more => format!("{first}..{}", first + more - 1),
            });
            table.row([
                finding.class.label().to_owned(),
                format!("{topic}-{partition}"),
                known(stream.map(|stream| stream.to_string())),
                known(sequences),
                known(offset.map(|offset| offset.to_string())),
                known(cause.map(|cause| cause.label().to_owned())),
                command.clone(),
            ]);
        }
    }
    table
}
