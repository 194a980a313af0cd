//! Counts against the promise.

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use ackmark_client::ClientProperties;
use ackmark_schema::{
    process::{Deviation, Effect, Pattern, Term},
    promise::Ruling,
    report::{
        Ending,
        process::{ProcessFinding, ProcessReport, ProcessVerdict},
        verify::Verdict,
    },
    version::SchemaId,
};
use ackmark_wire::{
    groups::{Groups, Stability},
    patience::Patience,
};
use jiff::Timestamp;

use super::{
    accounting::{Account, Accounting},
    effects,
    error::ProcessError,
};
use crate::log_reader;

/// How long the coordinator may take to tell offsets that no transaction is about to change.
const STABLE: Duration = Duration::from_mins(1);

/// What a judgement needs beside the report.
#[derive(Debug, Clone, Copy)]
pub struct ProcessOptions<'a> {
    /// How Kafka is reached.
    pub properties: &'a ClientProperties,
    /// The database of the effects, for a pattern with one.
    pub database: Option<&'a str>,
    /// Ends the reading once it is true.
    pub stop: &'a AtomicBool,
}

/// Judges what a group did, by what it left.
///
/// # Errors
/// Input, effects or offsets cannot be read.
pub fn judge(
    folder: &Path,
    report: &ProcessReport,
    options: &ProcessOptions<'_>,
) -> Result<ProcessVerdict, ProcessError> {
    let effect = report.pattern.about().effect;
    let config = log_reader::config(options.properties)?;
    let ids: Vec<i32> = report.partitions.iter().map(|part| part.partition).collect();
    let patience = Patience::new(options.stop, STABLE);
    // First: what is committed then has its effects by now, but for markers on their way to the output.
    let committed = Groups::new(&config).committed(&report.group, &report.input, &ids, Stability::Stable, &patience)?;
    let is_at_rest = report
        .output
        .as_ref()
        .map_or(Ok(true), |topic| effects::wait_for_rest(options.properties, topic, options.stop))?;
    let mut accounting = Accounting::new(&report.partitions, effect == Effect::Database);
    effects::input(&mut accounting, options.properties, &report.input, options.stop)?;
    match (effect, &report.output) {
        (Effect::Journal, _) => effects::journal(&mut accounting, folder)?,
        (Effect::Output, output) => {
            let topic = output.as_deref().unwrap_or_default();
            effects::output(&mut accounting, options.properties, topic, options.stop)?;
        }
        (Effect::Database, _) => {
            effects::database(&mut accounting, options.database.ok_or(ProcessError::NoDatabase)?)?;
        }
    }
    let account = accounting.count(&committed);
    let evidence = Evidence { is_at_rest, has_offsets: committed.values().any(Option::is_some) };
    Ok(verdict(report, &accounting, &account, evidence))
}

/// What must be there for a judgement.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    /// Whether no transaction holds up the output.
    is_at_rest: bool,
    /// Whether the group has offsets.
    has_offsets: bool,
}

impl Evidence {
    /// What of it is not there any more, or not yet.
    fn missing(self, report: &ProcessReport, records: u64) -> Option<String> {
        let surveyed: u64 = report.partitions.iter().map(|part| part.records).sum();
        if records != surveyed {
            return Some(format!("the input held {surveyed} records when the group began, and {records} of them now"));
        }
        if !self.has_offsets && report.ending == Ending::Completed {
            return Some("the group has no offsets any more".to_owned());
        }
        (!self.is_at_rest).then(|| "a transaction holds up the output, so what is behind it was not seen".to_owned())
    }
}

fn verdict(report: &ProcessReport, accounting: &Accounting, account: &Account, evidence: Evidence) -> ProcessVerdict {
    let findings: Vec<ProcessFinding> = report
        .pattern
        .about()
        .terms
        .iter()
        .map(|Term { deviation, ruling, reason }| {
            let count = account.of(*deviation);
            ProcessFinding {
                deviation: *deviation,
                ruling: *ruling,
                because: (*reason).to_owned(),
                found: count.found,
                predicted: predicted(report, *deviation),
                examples: count.examples,
            }
        })
        .collect();
    let (verdict, reason) = match evidence.missing(report, accounting.records) {
        Some(missing) => (Verdict::Inconclusive, missing),
        None => conclude(report, &findings, account.unfinished),
    };
    ProcessVerdict {
        schema: SchemaId::default(),
        finished: Timestamp::now(),
        pattern: report.pattern,
        records: accounting.records,
        messages: account.messages,
        effects: accounting.effects,
        unfinished: account.unfinished,
        findings,
        verdict,
        reason,
    }
}

/// How often a deviation has to come, by what each crash left behind. It does not follow where a member's partitions may
/// have gone to another one meanwhile, or a member failed by itself or lost its place in the group.
fn predicted(report: &ProcessReport, deviation: Deviation) -> Option<u64> {
    let is_exact =
        report.is_static && report.lives.iter().all(|life| life.error.is_none() && life.commits_refused == 0);
    let sum = |of: fn(&ackmark_schema::report::process::Crash) -> u64| report.crashes.iter().map(of).sum();
    match deviation {
        Deviation::Unfounded => Some(0),
        Deviation::Uncommitted => (report.pattern == Pattern::ExactlyOnce).then_some(0),
        Deviation::Skipped => is_exact.then(|| sum(|crash| crash.to_be_skipped)),
        // Ids take away what is read again, as far as they are kept.
        Deviation::Repeated if report.pattern == Pattern::Deduplicate => (!outgrows_window(report)).then_some(0),
        Deviation::Repeated => is_exact.then(|| sum(|crash| crash.to_be_repeated)),
    }
}

/// Whether ids may have fallen out of the window of a database.
fn outgrows_window(report: &ProcessReport) -> bool {
    let longest = report.partitions.iter().map(|part| (part.end - part.first).unsigned_abs()).max();
    report.database.as_ref().is_some_and(|database| longest > Some(database.window))
}

fn conclude(report: &ProcessReport, findings: &[ProcessFinding], unfinished: u64) -> (Verdict, String) {
    let named = |finding: &ProcessFinding| format!("{} {}", finding.found, finding.deviation.label());
    let broken: Vec<String> =
        findings.iter().filter(|finding| finding.ruling == Ruling::MustNot && finding.found > 0).map(named).collect();
    let repeated = findings.iter().find(|finding| finding.deviation == Deviation::Repeated && finding.found > 0);
    if let (true, Some(repeated), 1) = (outgrows_window(report), repeated, broken.len()) {
        // Beyond the window nothing is promised, and which of them is cannot be told.
        return (Verdict::Inconclusive, format!("{}, and the input is longer than the window of ids", named(repeated)));
    }
    if !broken.is_empty() {
        return (Verdict::Broken, format!("{} must not: {}", report.pattern, broken.join(", ")));
    }
    let unexplained = |finding: &&ProcessFinding| finding.predicted.is_some_and(|predicted| predicted != finding.found);
    if let Some(finding) = findings.iter().find(unexplained) {
        let by_crashes = finding.predicted.unwrap_or_default();
        return (Verdict::Inconclusive, format!("{}, where the crashes explain {by_crashes}", named(finding)));
    }
    if report.ending != Ending::Completed {
        let why = report.error.clone().unwrap_or_else(|| "it was interrupted".to_owned());
        return (Verdict::Inconclusive, why);
    }
    if unfinished > 0 {
        return (Verdict::Inconclusive, format!("{unfinished} messages were not worked on"));
    }
    let kills = report.crashes.len();
    let rebalances: u64 = report.lives.iter().map(|life| life.revocations).sum();
    match kills {
        0 if rebalances == 0 => (Verdict::HeldUnprovoked, "nothing tested it: no crash, no rebalance".to_owned()),
        _ => (Verdict::Held, format!("through {kills} crashes and {rebalances} revocations")),
    }
}
