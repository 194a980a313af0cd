//! The result for people, as Markdown: the same on stdout and in the folder's README.md.

use std::fmt::Write as _;

use ackmark_schema::{
    peers::{Cell, Figure, Measure, PeersResult, Ratio},
    report::Ending,
    result::{Estimate, Provider, RESULT_FILE},
    units::grouped,
};

use crate::{
    cell::{CELLS, CellPlan},
    contender::Contender,
    goals,
};

/// Appends a line; writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{
        let _ = writeln!($text, $($argument)*);
    }};
}

mod transactions;

/// The text.
pub(crate) fn text(result: &PeersResult) -> String {
    let mut text = format!("# {}\n\n", result.id);
    head(&mut text, result);
    for cell in &result.cells {
        if let Some(plan) = CELLS.iter().find(|plan| plan.name == cell.name) {
            table(&mut text, plan, cell, result);
        }
    }
    if result.cells.iter().any(|cell| cell.runs.iter().any(|run| run.transactions.is_some())) {
        transaction_notes(&mut text);
    }
    notes(&mut text);
    text
}

fn head(text: &mut String, result: &PeersResult) {
    line!(
        text,
        "ackmark beside other tools: the same work, the same brokers, the same settings. `{}`\n",
        result.command
    );
    match result.ending {
        Ending::Completed => {}
        Ending::Interrupted => line!(text, "**The series was interrupted, or is still going on.**\n"),
        Ending::Failed => {
            let error = result.error.as_deref().unwrap_or("unknown");
            line!(text, "**The series ended with an error:** {}\n", error.lines().next().unwrap_or(error));
        }
    }
    let machine = &result.environment;
    let model = if machine.cpu_model.is_empty() { "unknown model" } else { &machine.cpu_model };
    line!(
        text,
        "{} · {} processors ({model}), shared by brokers and contenders · {} · {}\n",
        kafka(result),
        machine.cpus,
        machine.kernel,
        result.started
    );
    let rounds = if result.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", result.rounds) };
    line!(
        text,
        "{rounds} of each cell; in each every contender runs once, in random order (seed {}), after a round that is \
         discarded.\n",
        result.seed
    );
    for contender in &result.contenders {
        match (&contender.version, &contender.unavailable) {
            (Some(version), _) => line!(text, "- {}: {version}", contender.name),
            (None, Some(why)) => line!(text, "- {}: **not available**: {why}", contender.name),
            (None, None) => {}
        }
    }
    line!(text, "");
}

fn kafka(result: &PeersResult) -> String {
    let brokers = result.cluster.brokers.len();
    match (result.cluster.provider, &result.cluster.kafka_version) {
        (Provider::Local, Some(version)) => format!("Kafka {version}, {brokers} local brokers"),
        _ => format!("Kafka, {brokers} brokers"),
    }
}

fn table(text: &mut String, plan: &CellPlan, cell: &Cell, result: &PeersResult) {
    line!(text, "## {}\n", plan.title);
    let settings: Vec<String> = cell.settings.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    line!(text, "{} messages a run. {}.\n", grouped(cell.messages), settings.join(" · "));
    line!(
        text,
        "| contender | million messages/s | whole process | CPU s per million | brokers' CPU s | ackmark is … times as \
         fast | whole process | ackmark takes … of its CPU | goals |"
    );
    line!(text, "|---|--:|--:|--:|--:|--:|--:|--:|---|");
    for contender in Contender::ALL.into_iter().filter(|contender| contender.does(plan.kind())) {
        let Some(entrant) = result.contenders.iter().find(|entrant| entrant.name == contender.name()) else { continue };
        let label = contender.label(plan.kind());
        if entrant.unavailable.is_some() {
            line!(text, "| {label} | not available | | | | | | | |");
            continue;
        }
        let figure = |measure| figure_of(cell, contender, measure);
        let value =
            |measure, scale| figure(measure).map_or("–".to_owned(), |figure| estimate(&figure.estimate, scale));
        let ratio = |measure| match contender {
            Contender::Ackmark => String::new(),
            _ => ratio_of(cell, contender, measure).map_or("–".to_owned(), times),
        };
        let goals = [Measure::Interval, Measure::Cpu].into_iter().filter_map(|of| figure(of)?.goal.as_ref());
        let goals: Vec<String> = goals.map(goals::words).collect();
        line!(
            text,
            "| {label} | {} | {} | {} | {} | {} | {} | {} | {} |",
            value(Measure::Interval, 1e6),
            value(Measure::Process, 1e6),
            value(Measure::Cpu, 1.0),
            value(Measure::BrokersCpu, 1.0),
            ratio(Measure::Interval),
            ratio(Measure::Process),
            ratio(Measure::Cpu),
            goals.join(", ")
        );
        if figure(Measure::AfterWarmUp).is_some() {
            let (rate, times) = (value(Measure::AfterWarmUp, 1e6), ratio(Measure::AfterWarmUp));
            line!(text, "| … after its first third | {rate} | | | | {times} | | | |");
        }
        for (measure, what) in [
            (Measure::AtEqualTime, "transactions as long as its own"),
            (Measure::TwoIdsAtEqualTime, "the same by two transactional ids"),
        ] {
            // Without a run of ackmark's beside it there is nothing to tell.
            let Some(equal) = figure(measure).filter(|figure| figure.ackmark_over_this.is_some()) else { continue };
            let (rate, times) = (value(measure, 1e6), ratio(measure));
            let goal = equal.goal.as_ref().map(goals::words).unwrap_or_default();
            line!(text, "| … beside {what} | {rate} | | | | {times} | | | {goal} |");
        }
    }
    line!(text, "");
    transactions::table(text, cell);
    for failure in &cell.failures {
        let round = if failure.round == 0 { "discarded round".into() } else { format!("round {}", failure.round) };
        line!(text, "- {} has no figure in {round}: {}", failure.contender, failure.reason);
    }
    if !cell.failures.is_empty() {
        line!(text, "");
    }
}

fn figure_of(cell: &Cell, contender: Contender, measure: Measure) -> Option<&Figure> {
    cell.figures.iter().find(|figure| figure.contender == contender.name() && figure.measure == measure)
}

fn ratio_of(cell: &Cell, contender: Contender, measure: Measure) -> Option<&Ratio> {
    figure_of(cell, contender, measure)?.ackmark_over_this.as_ref()
}

/// `2.03 (1.67 to 2.15)`: median and range.
fn estimate(estimate: &Estimate, scale: f64) -> String {
    format!(
        "{} ({} to {})",
        figure(estimate.median / scale),
        figure(estimate.min / scale),
        figure(estimate.max / scale)
    )
}

/// `1.08 (0.99 to 1.15)`: estimate and interval.
fn times(ratio: &Ratio) -> String {
    match (ratio.low, ratio.high) {
        (Some(low), Some(high)) => format!("{} ({} to {})", figure(ratio.ratio), figure(low), figure(high)),
        _ => format!("{} (interval n/a: {} of 6 pairs)", figure(ratio.ratio), ratio.pairs),
    }
}

/// Three digits or so.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        small if small < 0.1 => 3,
        middle if middle < 10.0 => 2,
        _ => 1,
    };
    format!("{value:.decimals$}")
}

fn notes(text: &mut String) {
    line!(
        text,
        "\
Rates: median (smallest to largest) over the rounds. *Million messages/s*: from the first send to the last
acknowledgement, or from the start of reading to the last message, as each contender itself reports it (kcat reports
none; kafka-consumer-perf-test without the time in which it joins a group). *Whole process*: from its start to its end,
taken here: a JVM's start, the ledger's creation and the verdict are in it. *CPU*: user and system time of the process,
from the kernel. *Brokers' CPU*: that of all brokers and the controller per million messages, until each replica that
a run waits for has them.

Ratios: estimate (97 % interval or better), paired by round. *Goals* are what ackmark asks of itself: reached where all
of the interval is, missed where none of it is, else open; *up to*: the interval's upper end. Each run is checked: a
producer by the topic's end offsets, a reader by what it says that it read, one in transactions by the log, in which all
its messages must be, committed; one that did less has no figure. Short runs are unkind to a JVM, which compiles while it
runs: kafka-producer-perf-test is given for the whole run, which is compared, and after its first third
(`--warmup-records`), against ackmark's whole run. At 1 KiB it is bound by drawing random bytes.

Every run, with its command: [{RESULT_FILE}]({RESULT_FILE})"
    );
}

/// What a reader must know of figures with transactions.
fn transaction_notes(text: &mut String) {
    line!(
        text,
        "\
Transactions: *begin to committed* is the mean of a run, its interval over the number of transactions, since each begins
with the message that follows the commit before; the last one is cut short by the end of the messages. Kafka's tool does
not tell how many it had: each has a producer epoch of its own (transaction version 2), which the commit markers in the
log tell. *Flush*: draining what is outstanding, and *commit*: medians of ackmark's own report. Asked for the same time,
transactions of two contenders take different times; with longer ones there are fewer commits. *At equal time*: ackmark
is asked for what, by the rounds before, makes its transactions take as long as those of Kafka's tool; a goal at equal
time is open unless all of the times' interval lies within a tenth of equal. *Two transactional ids*: two producers, which
share what may be outstanding; while one's transaction ends, the other's is open, and each takes as long as Kafka's. Beside its own settings without
transactions, the ratio says what transactions cost.
"
    );
}

#[cfg(test)]
mod tests {
    use ackmark_schema::{
        peers::{Contender as Facts, Failure, Run},
        result::{BrokerFacts, ClusterFacts, Environment},
        version::SchemaId,
    };
    use indexmap::IndexMap;
    use jiff::Timestamp;

    use super::*;
    use crate::{
        arguments::Kind,
        judge::{
            figures,
            tests::{in_transactions, run},
        },
    };

    fn facts(contender: Contender, version: Result<&str, &str>) -> Facts {
        Facts {
            name: contender.name().to_owned(),
            version: version.ok().map(str::to_owned),
            unavailable: version.err().map(str::to_owned),
        }
    }

    fn cell(plan: &CellPlan, rounds: u32) -> Cell {
        let mut runs = Vec::new();
        for round in 0..=rounds {
            let noise = 1.0 + f64::from(round) / 50.0;
            let seconds = |per_s: f64| plan.messages as f64 / per_s * noise;
            let million = plan.messages as f64 / 1e6;
            if let Some(asked_ms) = plan.transaction_ms() {
                let asked_ms = f64::from(asked_ms);
                runs.push(in_transactions(Contender::Ackmark, round, seconds(1.3e6), 2.0 * asked_ms));
                runs.push(in_transactions(Contender::AckmarkEqualTime, round, seconds(1.2e6), 1.1 * asked_ms));
                runs.push(in_transactions(Contender::AckmarkTwoIds, round, seconds(1.35e6), 1.05 * asked_ms));
                runs.push(run(Contender::AckmarkIdempotent, round, seconds(1.4e6) / noise, 0.3 * million));
                runs.push(in_transactions(Contender::Kafka, round, seconds(0.5e6), 1.08 * asked_ms));
                continue;
            }
            runs.push(run(Contender::Ackmark, round, seconds(2.0e6), 0.3 * million));
            runs.push(run(Contender::FranzGo, round, seconds(1.9e6) / noise, 0.35 * million));
            if plan.kind() == Kind::Produce {
                let java = run(Contender::Kafka, round, seconds(0.8e6), 2.0 * million);
                runs.push(Run { after_warm_up_per_s: Some(1.1e6), ..java });
            } else {
                let kcat = run(Contender::Kcat, round, seconds(1.9e6), 0.07 * million);
                runs.push(Run { interval_s: None, ..kcat });
            }
        }
        let reason = "it says that it did 4 of 5 messages".to_owned();
        let failures = if plan.kind() == Kind::Consume { vec![0, 3] } else { Vec::new() };
        Cell {
            name: plan.name.to_owned(),
            work: plan.work,
            value_bytes: plan.value_bytes.into(),
            messages: plan.messages,
            partitions: 6,
            replication_factor: plan.replication_factor(),
            min_insync_replicas: plan.min_insync_replicas(),
            leading_brokers: 3,
            settings: plan.settings(),
            commands: IndexMap::new(),
            figures: figures(plan.name, &runs, plan.messages),
            runs,
            failures: failures
                .into_iter()
                .map(|round| Failure { contender: "kafka".to_owned(), round, reason: reason.clone() })
                .collect(),
        }
    }

    fn result(rounds: u32, ending: Ending) -> PeersResult {
        let then: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        PeersResult {
            schema: SchemaId::default(),
            id: "2026-11-25-host-peers".into(),
            tool_version: "0.1.0".into(),
            started: then,
            finished: then,
            ending,
            error: (ending == Ending::Failed).then(|| "broker 2 has ended (signal: 9)\nthe end of its log".to_owned()),
            command: "make peers ARGS='--seed 7'".into(),
            seed: 7,
            rounds,
            warm_up_messages: 0,
            environment: Environment {
                host: "host".into(),
                cpu_model: "AMD EPYC".into(),
                cpus: 2,
                memory_bytes: 24 << 30,
                kernel: "6.1.0".into(),
                librdkafka_version: "2.12.1".into(),
                java_version: Some("17.0.15".into()),
                cpu_governor: None,
            },
            cluster: ClusterFacts {
                provider: Provider::Local,
                cluster_id: None,
                kafka_version: Some("4.3.1".into()),
                brokers: (1..=3).map(|id| BrokerFacts { id, address: format!("127.0.0.1:{id}") }).collect(),
                configs: IndexMap::new(),
            },
            contenders: vec![
                facts(Contender::Ackmark, Ok("ackmark 0.1.0, librdkafka 2.12.1")),
                facts(Contender::AckmarkEqualTime, Ok("ackmark 0.1.0, librdkafka 2.12.1")),
                facts(Contender::AckmarkTwoIds, Ok("ackmark 0.1.0, librdkafka 2.12.1")),
                facts(Contender::AckmarkIdempotent, Ok("ackmark 0.1.0, librdkafka 2.12.1")),
                facts(Contender::RdkafkaPerformance, Err("it could not be built: make failed")),
                facts(Contender::FranzGo, Ok("franz-go v1.22.2, go1.26.8")),
                facts(Contender::Kafka, Ok("Kafka 4.3.1, Java 17.0.15")),
                facts(Contender::Kcat, Ok("kcat 1.7.1, librdkafka 2.0.2")),
            ],
            cells: vec![cell(&CELLS[0], rounds), cell(&CELLS[4], rounds), cell(&CELLS[9], rounds)],
        }
    }

    #[test]
    fn a_whole_series_reads_well() {
        insta::assert_snapshot!(text(&result(6, Ending::Completed)));
    }

    #[test]
    fn what_is_missing_is_said() {
        insta::assert_snapshot!(text(&result(2, Ending::Failed)));
        let interrupted = text(&result(1, Ending::Interrupted));
        assert!(interrupted.contains("**The series was interrupted, or is still going on.**"), "{interrupted}");
    }

    #[test]
    fn a_result_is_what_its_schema_says() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../schema/json/peers.schema.json")).expect("committed");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let value = serde_json::to_value(result(6, Ending::Completed)).expect("plain data");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let mut broken = value;
        broken["cells"][0]["figures"][0]["measure"] = "speed".into();
        assert!(!validator.is_valid(&broken), "the check can fail");
    }

    #[test]
    fn figures_have_three_digits_or_so() {
        assert_eq!([0.021_7, 0.217, 2.17, 21.7].map(figure), ["0.022", "0.22", "2.17", "21.7"]);
    }
}
