//! README.md of a result folder: what a person should read first.

use std::fmt::Write as _;

use ackmark_schema::{
    latency::LatencySummary,
    promise::Ruling,
    report::{
        Ending,
        verify::{Examined, Verdict},
    },
    result::{Answer, Estimate, Provider, RESULT_FILE, RunResult, Summary, TransactionSummary},
    scenario::Load,
    units::grouped,
};

use crate::result_folder::{CHARTS_FOLDER, SCENARIO_FILE};

/// The text; `charts` are names of SVG files in the charts folder, without their ending.
pub fn text(result: &RunResult, charts: &[String]) -> String {
    let mut text = format!("# {}\n\n", result.id);
    head(&mut text, result);
    verdicts(&mut text, result);
    for phase in &result.scenario.phases {
        let of_phase: Vec<&Summary> = result.summaries.iter().filter(|summary| summary.phase == phase.name).collect();
        if of_phase.is_empty() {
            continue;
        }
        match phase.load {
            Load::Max(_) => throughput(&mut text, &phase.name, &of_phase),
            Load::Rate(_) => latency(&mut text, result, &phase.name, &of_phase),
        }
        transactions(&mut text, &phase.name, &of_phase);
    }
    claims(&mut text, result);
    warnings(&mut text, result);
    pictures(&mut text, charts);
    files(&mut text);
    text
}

/// Appends a line; writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{
        let _ = writeln!($text, $($argument)*);
    }};
}

fn head(text: &mut String, result: &RunResult) {
    if !result.scenario.description.is_empty() {
        line!(text, "{}\n", result.scenario.description);
    }
    line!(text, "**Verdict: {}.** {}\n", result.verdict.label(), ending(result));
    let machine = &result.environment;
    line!(
        text,
        "{} · {} processors ({}) · {} · librdkafka {} · ackmark {} · {}",
        kafka(result),
        machine.cpus,
        if machine.cpu_model.is_empty() { "unknown model" } else { &machine.cpu_model },
        machine.kernel,
        machine.librdkafka_version,
        result.tool_version,
        result.started
    );
    let topic = &result.scenario.topic;
    line!(
        text,
        "\nTopics: {} partitions, {} replicas, min.insync.replicas={}. Messages: {:.0} bytes on average. Seed {}.\n",
        topic.partitions,
        topic.replication_factor,
        topic.min_insync_replicas,
        result.scenario.message.size.mean_bytes(),
        result.scenario.seed.unwrap_or_default()
    );
}

fn ending(result: &RunResult) -> String {
    let trials = format!("{} of {} planned trials ran", result.trials.len(), result.trials_planned);
    match result.ending {
        Ending::Completed => format!("{trials}."),
        Ending::Interrupted => format!("{trials}: the run was interrupted, or is still going on."),
        Ending::Failed => {
            // An error may carry the end of a log.
            let (error, log) = result
                .error
                .as_deref()
                .unwrap_or("unknown")
                .split_once('\n')
                .unwrap_or_else(|| (result.error.as_deref().unwrap_or("unknown"), ""));
            let log = if log.is_empty() { String::new() } else { format!("\n\n```\n{log}\n```") };
            format!("{trials}: the run ended with an error: {}.{log}", error.trim_end_matches(':'))
        }
    }
}

fn kafka(result: &RunResult) -> String {
    let brokers = result.cluster.brokers.len();
    match (result.cluster.provider, &result.cluster.kafka_version) {
        (Provider::Simulated, _) => "**Simulated brokers: this says nothing about Kafka**".into(),
        (Provider::Local, Some(version)) => format!("Kafka {version}, {brokers} local brokers"),
        (Provider::Local, None) => format!("Kafka, {brokers} local brokers"),
        (Provider::External, _) => format!("External Kafka, {brokers} brokers"),
    }
}

fn verdicts(text: &mut String, result: &RunResult) {
    if result.verdicts.iter().all(|verdict| verdict.verdict == Verdict::NotJudged) {
        return;
    }
    line!(text, "## What each profile kept\n");
    line!(text, "| profile | verdict | sent | acknowledged | in the log | must not, and did | may, and did |");
    line!(text, "|---|---|--:|--:|--:|---|---|");
    for verdict in &result.verdicts {
        let found = |ruling: Ruling| {
            let seen = verdict.findings.iter().filter(|finding| finding.ruling == ruling);
            let seen: Vec<String> = seen
                .filter_map(|finding| match finding.examined {
                    Examined::Counted(count) if count > 0 => Some(format!("{} {}", count, finding.class.label())),
                    _ => None,
                })
                .collect();
            if seen.is_empty() { "nothing seen".to_owned() } else { seen.join(", ") }
        };
        line!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            verdict.profile,
            verdict.verdict.label(),
            grouped(verdict.ledger.reserved),
            grouped(verdict.ledger.acknowledged),
            grouped(verdict.messages_in_log),
            found(Ruling::MustNot),
            found(Ruling::May)
        );
    }
    line!(text, "");
    for verdict in &result.verdicts {
        line!(text, "- {}: {}", verdict.profile, verdict.reason);
    }
    line!(text, "");
}

fn throughput(text: &mut String, phase: &str, summaries: &[&Summary]) {
    line!(text, "## Throughput (phase {phase})\n");
    line!(text, "| profile | messages/s | MB/s | client CPU s per million | brokers' CPU s per million | trials |");
    line!(text, "|---|--:|--:|--:|--:|--:|");
    for summary in summaries {
        line!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            summary.profile,
            estimate(summary.delivered_per_s, 1.0, 0),
            estimate(summary.delivered_bytes_per_s, 1e-6, 1),
            estimate(summary.client_cpu_s_per_million, 1.0, 2),
            estimate(summary.brokers_cpu_s_per_million, 1.0, 2),
            trials(summary)
        );
    }
    line!(
        text,
        "\nMedian of the trials, in brackets its interval (95 % or more); `n/a` where too few trials carry it. Brokers' CPU is \
         that of all local brokers and the controller, over warm-up and measured part.\n"
    );
}

fn latency(text: &mut String, result: &RunResult, phase: &str, summaries: &[&Summary]) {
    let rate = result
        .scenario
        .phases
        .iter()
        .find(|candidate| candidate.name == phase)
        .and_then(|phase| crate::budget::fixed_rate(phase, &result.rates));
    let rate = rate.map(|rate| format!(", {} messages/s", grouped(rate as u64))).unwrap_or_default();
    line!(text, "## Latency from the intended send time, ms (phase {phase}{rate})\n");
    line!(text, "| profile | p50 | p99 | p99.9 | p99.99 | max | to a live reader, p99 | trials |");
    line!(text, "|---|--:|--:|--:|--:|--:|--:|--:|");
    for summary in summaries {
        let latency = summary.latency_intended.as_ref();
        let at = |percentile| latency.map_or("n/a".into(), |latency| percentile_ms(latency, percentile));
        line!(
            text,
            "| {}{} | {} | {} | {} | {} | {} | {} | {} |",
            summary.profile,
            if summary.latency_is_acknowledgement || summary.trials == 0 { "" } else { " (not acknowledged)" },
            at(50.0),
            at(99.0),
            at(99.9),
            at(99.99),
            latency.map_or("n/a".into(), largest_ms),
            summary.latency_end_to_end.as_ref().map_or("n/a".into(), |live| percentile_ms(&live.latency, 99.0)),
            trials(summary)
        );
    }
    line!(
        text,
        "\nPercentiles are ranks over all messages sent: one above the share that was delivered has no value, nor has one \
         that too few messages carry (it says how many it needs). Their intervals in `{RESULT_FILE}` take the messages of a \
         trial to be independent of each other, which they are not: another trial may lie further away. Brokers' CPU of \
         this phase, there too, is that of all local brokers and the controller, and holds what the live reader's fetches \
         cost them.\n"
    );
}

fn transactions(text: &mut String, phase: &str, summaries: &[&Summary]) {
    let of_profiles: Vec<(&str, &TransactionSummary)> = summaries
        .iter()
        .filter_map(|summary| Some((summary.profile.as_str(), summary.transactions.as_ref()?)))
        .collect();
    if of_profiles.is_empty() {
        return;
    }
    line!(text, "## Transactions (phase {phase})\n");
    line!(
        text,
        "| profile | begin to committed p50, ms | flush p50, ms | commit p50, ms | abort p50, ms | shown p50, ms | stalled, % | committed | aborted | indeterminate |"
    );
    line!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (profile, found) in of_profiles {
        let p50 =
            |time: &Option<LatencySummary>| time.as_ref().map_or("n/a".into(), |latency| percentile_ms(latency, 50.0));
        line!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            profile,
            p50(&found.begin_to_committed),
            p50(&found.flush),
            p50(&found.commit),
            p50(&found.abort),
            p50(&found.visibility),
            estimate(found.stalled_share, 100.0, 1),
            grouped(found.committed),
            grouped(found.aborted),
            grouped(found.indeterminate)
        );
    }
    line!(
        text,
        "\nPercentiles are over the transactions that all trials committed in their measured part. A flush drains what is \
         outstanding, the commit follows; aborts are those on purpose; shown: from asking for the commit until a live reader at \
         `read_committed` had all of the transaction (phases with a fixed rate). Stalled is the share of the measured time in which a transaction was being ended, so \
         that nothing could be sent (median of the trials, in brackets its interval). Counts include the warm-up of each \
         trial.\n"
    );
}

fn claims(text: &mut String, result: &RunResult) {
    if result.claims.is_empty() {
        return;
    }
    line!(text, "## Claims\n");
    for claim in &result.claims {
        let answer = match claim.answer {
            Answer::Confirmed => "confirmed",
            Answer::Refuted => "refuted",
            Answer::Inconclusive => "inconclusive",
        };
        line!(text, "- \"{}\": **{answer}** here. {}.", claim.text, claim.reason);
    }
    line!(text, "");
}

fn warnings(text: &mut String, result: &RunResult) {
    if result.warnings.is_empty() {
        return;
    }
    line!(text, "## Before you trust these figures\n");
    for warning in &result.warnings {
        line!(text, "- {}. Cure: {}.", warning.what, warning.cure);
    }
    line!(text, "");
}

fn pictures(text: &mut String, charts: &[String]) {
    for chart in charts {
        line!(text, "![{chart}]({CHARTS_FOLDER}/{chart}.svg)\n");
    }
}

fn files(text: &mut String) {
    line!(
        text,
        "## Files\n\n- `{RESULT_FILE}`: everything above and more, for programs (`ackmark schema result`)\n\
         - `{SCENARIO_FILE}`: the scenario in effect; `ackmark bench {SCENARIO_FILE}` runs it again\n\
         - `trials/`: each trial's reports, second by second, and its latency logs"
    );
}

fn trials(summary: &Summary) -> String {
    match summary.left_out {
        0 => summary.trials.to_string(),
        left_out => format!("{} ({left_out} left out)", summary.trials),
    }
}

fn estimate(estimate: Option<Estimate>, factor: f64, decimals: usize) -> String {
    let Some(estimate) = estimate else { return "n/a".into() };
    let figure = |value: f64| {
        if decimals == 0 { grouped((value * factor).round() as u64) } else { format!("{:.decimals$}", value * factor) }
    };
    let interval = match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{}-{}", figure(low), figure(high)),
        _ => "n/a".into(),
    };
    format!("{} ({interval})", figure(estimate.median))
}

fn percentile_ms(latency: &LatencySummary, percentile: f64) -> String {
    match latency.at(percentile) {
        Some(entry) => entry.value_us.map_or_else(|| absent(&latency.why_absent(entry).unwrap_or_default()), ms),
        None => "n/a".into(),
    }
}

fn largest_ms(latency: &LatencySummary) -> String {
    match latency.largest() {
        Ok(us) => us.map_or("n/a".into(), ms),
        Err(why) => absent(&why),
    }
}

fn absent(why: &str) -> String {
    format!("n/a ({why})")
}

fn ms(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        judge::{judge, synthetic},
        warnings,
    };

    #[test]
    fn a_result_reads_well() {
        let mut result = synthetic::result();
        result.trials =
            synthetic::trials(&[("at-most-once", 412_000.0), ("all-acks", 380_000.0), ("transactional", 240_000.0)], 6);
        judge(&mut result, Path::new("."));
        result.warnings = warnings::warnings(&result);
        insta::assert_snapshot!(text(&result, &["cost".to_owned()]));
    }

    #[test]
    fn latencies_that_the_sample_cannot_carry_say_so() {
        let mut result = synthetic::result();
        let mut histogram = hdrhistogram::Histogram::<u64>::new(3).expect("three digits");
        for us in 1..=5000_u64 {
            histogram.record(us * 10).expect("in bounds");
        }
        let latency = ackmark_stats::latency_summary(&histogram, 5000);
        result.scenario.phases = vec![
            serde_json::from_str(
                r#"{ "name": "rate", "rounds": 3, "duration": "5s", "load": { "rate": { "messages": "1k/s" } } }"#,
            )
            .expect("a phase"),
        ];
        result.summaries = vec![Summary {
            phase: "rate".into(),
            profile: "at-most-once".into(),
            trials: 2,
            left_out: 1,
            delivered_per_s: None,
            delivered_bytes_per_s: None,
            client_cpu_s_per_million: None,
            brokers_cpu_s_per_million: None,
            latency_intended: Some(latency),
            latency_send: None,
            latency_end_to_end: None,
            curve_intended: Vec::new(),
            latency_is_acknowledgement: false,
            transactions: None,
        }];
        let text = text(&result, &[]);
        let row = "| at-most-once (not acknowledged) | 25.0 | 49.5 | 50.0 | n/a (needs 36,887) | 50.0 | n/a | 2 (1 left out) |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("(phase rate, 1,000 messages/s)"), "{text}");
        for limit in
            ["messages of a trial to be independent", "the controller, and holds what the live reader's fetches"]
        {
            assert!(text.contains(limit), "{limit}: {text}");
        }
    }

    #[test]
    fn times_of_transactions_stand_beside_their_counts() {
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("transactional", 240_000.0)], 6);
        judge(&mut result, Path::new("."));
        let times = |samples_us: &[u64]| {
            let mut histogram = hdrhistogram::Histogram::<u64>::new(3).expect("three digits");
            for us in samples_us {
                histogram.record(*us).expect("in bounds");
            }
            Some(ackmark_stats::latency_summary(&histogram, 0))
        };
        result.summaries[0].transactions = Some(TransactionSummary {
            committed: 1_234,
            aborted: 2,
            indeterminate: 0,
            begin_to_committed: times(&[120_000; 9]),
            flush: times(&[7_500; 9]),
            commit: times(&[9_000; 5]),
            abort: None,
            visibility: times(&[11_000; 9]),
            stalled_share: ackmark_stats::median_interval(&[0.1, 0.11, 0.12, 0.13, 0.14, 0.15]),
        });
        let text = text(&result, &[]);
        let row = "| transactional | 120.1 | 7.50 | n/a (needs 6) | n/a | 11.0 | 12.5 (10.0-15.0) | 1,234 | 2 | 0 |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
