//! What a group did, and what was found of it.

use ackmark_schema::{
    process::{Deviation, Life},
    promise::Ruling,
    report::process::{Blow, Crash, ProcessFinding, ProcessReport},
};

use super::verdict;
use crate::{
    command::process::Outcome,
    document::{Document, Table, Text, Tone},
    figures,
};

/// The whole outcome.
pub(crate) fn document(outcome: &Outcome) -> Document {
    let Outcome { process, verdict } = outcome;
    let mut document = Document::default();
    document.heading(format!("Verdict on {}: {}", process.pattern, verdict.verdict.label()));
    document.sentence(Text::new(verdict.reason.as_str(), verdict::tone(verdict.verdict)));
    let copies = verdict.records - verdict.messages;
    let messages = if copies > 0 {
        format!("{} messages ({} copies of them)", figures::count(verdict.messages), figures::count(copies))
    } else {
        format!("{} messages", figures::count(verdict.messages))
    };
    document.sentence(format!(
        "{messages} in {}, {} effects, {} members, {}{}",
        process.input,
        figures::count(verdict.effects),
        process.members,
        figures::seconds(process.duration_s),
        database(process)
    ));
    document.table(findings(&verdict.findings));
    document.table(examples(&verdict.findings));
    document.table(crashes(&process.crashes));
    document.table(lives(&process.lives));
    document
}

fn database(process: &ProcessReport) -> String {
    let Some(database) = &process.database else { return String::new() };
    let forgotten: u64 = process.lives.iter().filter_map(|life| life.ids_forgotten).sum();
    format!(
        "; {}, ids of the last {} offsets of each partition, {} fell out of that window (as far as lives that were not killed tell)",
        database.kind,
        figures::count(database.window),
        figures::count(forgotten)
    )
}

fn findings(findings: &[ProcessFinding]) -> Table {
    let mut table = Table::new(3, ["", "promise", "why", "found", "by the crashes"]);
    for finding in findings {
        let (ruling, tone) = match (finding.ruling, finding.found) {
            (Ruling::MustNot, 0) => ("must not", Tone::Good),
            (Ruling::MustNot, _) => ("must not", Tone::Bad),
            (_, 0) => ("may", Tone::Plain),
            (_, _) => ("may", Tone::Doubtful),
        };
        table.row([
            finding.deviation.label().into(),
            Text::from(ruling),
            finding.because.as_str().into(),
            Text::new(figures::count(finding.found), tone),
            finding.predicted.map_or_else(|| "not told".to_owned(), figures::count).into(),
        ]);
    }
    table
}

fn examples(findings: &[ProcessFinding]) -> Table {
    let mut table = Table::of_words(["", "of the input, partition/offset"]);
    // A broken promise is shown with its evidence; what may be is counted.
    let shown = findings.iter().filter(|finding| {
        !finding.examples.is_empty() && (finding.ruling == Ruling::MustNot || finding.deviation == Deviation::Skipped)
    });
    for finding in shown {
        let places: Vec<String> =
            finding.examples.iter().map(|(partition, offset)| format!("{partition}/{offset}")).collect();
        table.row([finding.deviation.label().to_owned(), places.join(" ")]);
    }
    table
}

const fn blow(blow: Blow) -> &'static str {
    match blow {
        Blow::Killed => "killed",
        Blow::Frozen => "frozen",
    }
}

fn crashes(crashes: &[Crash]) -> Table {
    let mut table = Table::new(
        1,
        ["crash", "member", "life", "in hand", "of these without effect, gone", "of these to be repeated"],
    );
    for crash in crashes {
        let in_hand: u64 = crash.in_hand.iter().map(|held| held.records).sum();
        table.row([
            format!("{} {}, cycle {}", blow(crash.blow), crash.at.point, crash.at.cycle),
            crash.member.to_string(),
            crash.incarnation.to_string(),
            figures::count(in_hand),
            figures::count(crash.to_be_skipped),
            figures::count(crash.to_be_repeated),
        ]);
    }
    table
}

fn lives(lives: &[Life]) -> Table {
    let mut table = Table::new(
        1,
        [
            "lives that were not killed",
            "cycles",
            "messages/s",
            "cycle p50",
            "commit p50",
            "aborted",
            "revoked",
            "CPU s",
        ],
    );
    for life in lives {
        let rate = if life.busy_s > 0.0 { figures::rate(life.messages as f64 / life.busy_s) } else { "n/a".into() };
        let half = |summary: &ackmark_schema::latency::LatencySummary| {
            let entry = summary.at(50.0);
            match entry.and_then(|entry| entry.value_us) {
                Some(us) => figures::micros(us),
                None => {
                    entry.and_then(|entry| summary.why_absent(entry)).map_or("n/a".into(), |why| format!("n/a ({why})"))
                }
            }
        };
        let error = life.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        table.row([
            format!("member {}, life {}{error}", life.member, life.incarnation),
            figures::count(life.cycles),
            rate,
            half(&life.cycle),
            half(&life.commit),
            figures::count(life.aborted),
            figures::count(life.revocations),
            format!("{:.2}", life.cpu.total_s()),
        ]);
    }
    table
}
