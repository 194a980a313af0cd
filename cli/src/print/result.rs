//! One whole run.

use ackmark_schema::{
    anomaly::Class,
    latency::LatencySummary,
    report::{load::Provocations, verify::CauseCount},
    result::{Answer, Estimate, ProfileVerdict, Provider, RunResult, Summary},
    scenario::{Load, Size},
};

use super::{latency, load, verdict};
use crate::{
    document::{Document, Table, Text, Tone},
    figures,
};

/// The whole result; paths and the next command are the caller's to add.
pub(crate) fn document(result: &RunResult) -> Document {
    let mut document = Document::default();
    document.heading(format!("{}: {}", result.scenario.name, result.verdict.label()));
    if result.cluster.provider == Provider::Simulated {
        document.sentence(load::simulated());
    }
    document.sentence(load::ending(result.ending, result.error.as_deref()));
    document.sentence(conditions(result));
    document.heading("Verdicts").table(verdicts(result));
    document.sentence(Text::new(
        "absent: never acknowledged and not there; provoked: messages sent again, error answers, timeouts, \
         disconnects and leader changes that put the promise to the test; n/a: the promise makes no claim.",
        Tone::Faint,
    ));
    document.items(reasons(result));
    document.table(duplicates(result));
    let throughput = throughput(result);
    if !throughput.is_empty() {
        document.heading("Throughput").table(throughput).table(comparisons(result));
    }
    let transactions = transactions(result);
    if !transactions.is_empty() {
        document.heading("Transactions").table(transactions);
        document.sentence(Text::new(
            "p50 over the transactions of all trials: of begin to committed, and of it of flush and commit; of aborts on \
             purpose; shown: from asking for the commit until a live reader at read_committed had all of it. Stalled: share \
             of the measured time in which a transaction was being ended, so that nothing could be sent, median of trials.",
            Tone::Faint,
        ));
    }
    let latencies = latencies(result);
    if !latencies.is_empty() {
        document.heading("Latency").table(latencies);
    }
    if !result.claims.is_empty() {
        document.heading("Claims").items(claims(result));
    }
    if !result.warnings.is_empty() {
        document.heading("Before you trust these figures").items(
            result
                .warnings
                .iter()
                .map(|warning| Text::new(format!("{}; cure: {}", warning.what, warning.cure), Tone::Doubtful)),
        );
    }
    document
}

fn conditions(result: &RunResult) -> String {
    let (scenario, cluster, machine) = (&result.scenario, &result.cluster, &result.environment);
    let provider = match cluster.provider {
        Provider::External => "an external Kafka",
        Provider::Local => "a local Kafka",
        Provider::Simulated => "librdkafka's mock cluster",
    };
    let version = cluster.kafka_version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let shared = if cluster.provider == Provider::Local { " on the same cores as the load" } else { "" };
    let size = match scenario.message.size {
        Size::Fixed(size) => size.to_string(),
        Size::Uniform(size) => format!("{} to {}", size.min, size.max),
        Size::LogNormal(size) => format!("about {} ({} to {})", size.median, size.min, size.max),
    };
    format!(
        "On {provider}{version}{shared}, {} broker(s): {size} messages, {} partitions, replication factor {}, \
         min.insync.replicas {}, {} producer(s); {} with {} CPU(s), {}.",
        cluster.brokers.len(),
        scenario.topic.partitions,
        scenario.topic.replication_factor,
        scenario.topic.min_insync_replicas,
        scenario.producer.count,
        machine.cpu_model,
        machine.cpus,
        figures::count(machine.memory_bytes >> 20) + " MiB",
    )
}

/// Classes that share a column, since a reader asks for them together.
const COLUMNS: [(&str, &[Class]); 6] = [
    ("lost", &[Class::Lost]),
    ("absent", &[Class::AbsentWhenClosed]),
    ("duplicates", &[Class::DuplicateRetry, Class::DuplicateResend]),
    ("reordered", &[Class::Reordered]),
    ("transactions", &[Class::AbortedVisible, Class::TornTransaction, Class::CommittedInvisible]),
    ("corrupt", &[Class::Corrupt, Class::Phantom]),
];

fn verdicts(result: &RunResult) -> Table {
    let mut headers = vec!["profile", "verdict", "sent", "acknowledged", "in the log"];
    headers.extend(COLUMNS.map(|(label, _)| label));
    headers.push("provoked");
    let mut table = Table::new(2, headers);
    for entry in &result.verdicts {
        let mut row = vec![
            Text::from(entry.profile.as_str()),
            verdict::verdict(entry.verdict),
            figures::count(entry.ledger.reserved).into(),
            figures::count(entry.ledger.acknowledged).into(),
            figures::count(entry.messages_in_log).into(),
        ];
        let findings = || entry.findings.iter().map(|found| (found.class, &found.examined, found.ruling));
        row.extend(COLUMNS.map(|(_, classes)| verdict::sum(findings(), classes)));
        row.push(seen(&entry.provocations).into());
        table.row(row);
    }
    table
}

/// Duplicates by cause: as a rate they can be watched over runs of different length.
fn duplicates(result: &RunResult) -> Table {
    let mut table = Table::new(3, ["profile", "why", "cause", "count", "per million"]);
    for entry in &result.verdicts {
        for finding in &entry.findings {
            for CauseCount { cause, count } in &finding.causes {
                table.row([
                    Text::from(entry.profile.as_str()),
                    finding.class.label().into(),
                    cause.label().into(),
                    figures::count(*count).into(),
                    figures::per_million(*count, entry.ledger.reserved).into(),
                ]);
            }
        }
    }
    table
}

/// How often a promise was put to the test; "unknown" where nothing is known to have and not all is known.
fn seen(provocations: &Provocations) -> String {
    let known: u64 = provocations.named().into_iter().filter_map(|(_, count)| count).sum();
    match (known, provocations.unknown()) {
        (0, Some(_)) => "unknown".to_owned(),
        (known, Some(_)) => format!("at least {}", figures::count(known)),
        (known, None) => figures::count(known),
    }
}

fn reasons(result: &RunResult) -> Vec<Text> {
    let told = |entry: &ProfileVerdict| {
        Text::new(format!("{}: {}", entry.profile, entry.reason), verdict::tone(entry.verdict))
    };
    result.verdicts.iter().map(told).collect()
}

fn throughput(result: &RunResult) -> Table {
    let mut table = Table::new(
        2,
        ["phase", "profile", "delivered", "interval", "bytes", "client CPU s/M", "broker CPU s/M", "trials"],
    );
    for summary in result.summaries.iter().filter(|summary| is_max(result, &summary.phase)) {
        table.row([
            Text::from(summary.phase.as_str()),
            summary.profile.as_str().into(),
            median(summary.delivered_per_s, figures::rate),
            interval(summary.delivered_per_s),
            median(summary.delivered_bytes_per_s, figures::bytes_rate),
            median(summary.client_cpu_s_per_million, figures::significant),
            median(summary.brokers_cpu_s_per_million, figures::significant),
            trials(summary),
        ]);
    }
    table
}

fn is_max(result: &RunResult, phase: &str) -> bool {
    result.scenario.phases.iter().any(|known| known.name == phase && matches!(known.load, Load::Max(_)))
}

fn median(estimate: Option<Estimate>, write: fn(f64) -> String) -> Text {
    estimate.map_or_else(|| Text::new(figures::NONE, Tone::Faint), |estimate| write(estimate.median).into())
}

fn interval(estimate: Option<Estimate>) -> Text {
    match estimate {
        Some(Estimate { low: Some(low), high: Some(high), confidence: Some(confidence), .. }) => {
            format!("{} to {} ({:.0} %)", figures::scaled(low), figures::scaled(high), confidence * 100.0).into()
        }
        Some(Estimate { min, max, n, .. }) if n > 1 => {
            Text::new(format!("{} to {} (range)", figures::scaled(min), figures::scaled(max)), Tone::Faint)
        }
        Some(_) => Text::new("one trial only", Tone::Faint),
        None => Text::new(figures::NONE, Tone::Faint),
    }
}

fn trials(summary: &Summary) -> Text {
    match summary.left_out {
        0 => summary.trials.to_string().into(),
        left_out => Text::new(format!("{} ({left_out} left out)", summary.trials), Tone::Doubtful),
    }
}

/// Each profile against each baseline.
fn comparisons(result: &RunResult) -> Table {
    let mut table = Table::new(3, ["phase", "profile", "against", "times", "interval", "pairs"]);
    for found in &result.comparisons {
        let interval = match (found.low, found.high, found.confidence) {
            (Some(low), Some(high), Some(confidence)) => {
                format!("{low:.2} to {high:.2} ({:.0} %)", confidence * 100.0).into()
            }
            _ => Text::new("needs six pairs", Tone::Faint),
        };
        table.row([
            Text::from(found.phase.as_str()),
            found.profile.as_str().into(),
            found.baseline.as_str().into(),
            format!("{:.2}", found.ratio).into(),
            interval,
            found.pairs.to_string().into(),
        ]);
    }
    table
}

fn transactions(result: &RunResult) -> Table {
    let mut table = Table::new(
        2,
        [
            "phase",
            "profile",
            "begin to committed",
            "flush",
            "commit",
            "abort",
            "shown",
            "stalled",
            "committed",
            "aborted",
            "indeterminate",
        ],
    );
    for summary in &result.summaries {
        let Some(found) = &summary.transactions else { continue };
        let p50 = |time: &Option<LatencySummary>| {
            time.as_ref().map_or_else(|| Text::new(figures::NONE, Tone::Faint), |time| latency::cell(time, 50.0))
        };
        table.row([
            Text::from(summary.phase.as_str()),
            summary.profile.as_str().into(),
            p50(&found.begin_to_committed),
            p50(&found.flush),
            p50(&found.commit),
            p50(&found.abort),
            p50(&found.visibility),
            median(found.stalled_share, |share| format!("{:.1} %", share * 100.0)),
            figures::count(found.committed).into(),
            figures::count(found.aborted).into(),
            figures::count(found.indeterminate).into(),
        ]);
    }
    table
}

fn latencies(result: &RunResult) -> Table {
    let mut table = latency::table(["phase", "profile", "from intended time to"]);
    for summary in &result.summaries {
        let until = if summary.latency_is_acknowledgement { "acknowledgement" } else { "socket write (acks=0)" };
        let mut add = |until: &str, latency: &LatencySummary| {
            let mut row = vec![Text::from(summary.phase.as_str()), summary.profile.as_str().into(), until.into()];
            row.extend(latency::cells(latency));
            table.row(row);
        };
        if let Some(latency) = &summary.latency_intended {
            add(until, latency);
        }
        if let Some(end_to_end) = &summary.latency_end_to_end {
            add(&format!("consumer ({})", end_to_end.isolation.as_str()), &end_to_end.latency);
        }
    }
    table
}

fn claims(result: &RunResult) -> Vec<Text> {
    let told = result.claims.iter().map(|claim| {
        let (answer, tone) = match claim.answer {
            Answer::Confirmed => ("confirmed", Tone::Good),
            Answer::Refuted => ("refuted", Tone::Bad),
            Answer::Inconclusive => ("inconclusive", Tone::Doubtful),
        };
        Text::new(format!("\"{}\": {answer}. {}", claim.text, claim.reason), tone)
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_tell_is_not_counted_as_none() {
        let told =
            |disconnects, leader_changes| seen(&Provocations { disconnects, leader_changes, ..Provocations::NONE });
        assert_eq!(told(0, None), "unknown");
        assert_eq!(told(2, None), "at least 2");
        assert_eq!(told(2, Some(1)), "3");
        assert_eq!(told(0, Some(0)), "0");
        assert_eq!(seen(&Provocations { counted_to_end: false, ..Provocations::NONE }), "unknown");
    }
}
