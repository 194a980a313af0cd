//! Each delivery semantic put to the test, and what it costs.

use ackmark_schema::semantics::{Check, Demonstration, Incidence, SemanticsResult, Setting, Spread, Time};

use crate::{
    document::{Document, Table, Text, Tone},
    figures,
};

/// The whole result.
pub(crate) fn document(result: &SemanticsResult) -> Document {
    let mut document = Document::default();
    document.heading("Delivery semantics");
    document.sentence(conditions(result));
    document.table(comparison(result));
    if !result.settings.is_empty() {
        document.sentence(Text::new(
            format!(
                "Rates: median (smallest to largest) of {} interleaved rounds, 1 KiB, one producer (linger.ms=50) or one \
                 member in cycles of 1,000 messages; fewer than six rounds carry no interval at 95 %. at-most-once counts \
                 what was written to a socket. deduplicate writes to SQLite, synchronised at checkpoints only. Doubled and \
                 lost: what crashes of the process left, by counts; how often a process crashes is yours to know.",
                result.rounds
            ),
            Tone::Faint,
        ));
    }
    document.items(result.failures.iter().map(|failure| Text::new(failure.as_str(), Tone::Bad)));
    document.table(variants(result));
    document.heading("What was shown");
    document.table(overview(&result.demonstrations));
    document.table(checks(&result.demonstrations));
    document.table(times(&result.demonstrations));
    document
}

fn conditions(result: &SemanticsResult) -> String {
    let version = result.cluster.kafka_version.as_ref().map(|version| format!("Kafka {version}, ")).unwrap_or_default();
    format!(
        "{version}{} brokers, {} ({} processors), librdkafka {}. Repeat with: {}",
        result.cluster.brokers.len(),
        result.environment.cpu_model,
        result.environment.cpus,
        result.environment.librdkafka_version,
        result.command
    )
}

fn comparison(result: &SemanticsResult) -> Table {
    let mut table = Table::new(
        2,
        [
            "",
            "",
            "messages/s",
            "of the first",
            "half of cycles within",
            "doubled by crashes",
            "lost by crashes",
            "needs",
            "use when",
        ],
    );
    for Setting { name, kind, rate, relative, median_us, duplicates, lost, needs, use_when } in &result.settings {
        table.row([
            Text::from(kind.label()),
            name.as_str().into(),
            spread(rate, figures::rate).into(),
            spread(relative, |value| format!("{value:.2}")).into(),
            median_us.map_or_else(|| figures::NONE.into(), figures::micros).into(),
            incidence(duplicates),
            incidence(lost),
            needs.as_str().into(),
            use_when.as_str().into(),
        ]);
    }
    table
}

/// How often, of how many: a crash's doing, so no rate.
fn incidence(incidence: &Incidence) -> Text {
    let Some(count) = incidence.count else { return Text::new(incidence.provoked_by.as_str(), Tone::Faint) };
    let causes: Vec<&str> =
        incidence.causes.iter().filter(|share| share.count > 0).map(|share| share.cause.as_str()).collect();
    let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    let tone = if count > 0 { Tone::Doubtful } else { Tone::Good };
    Text::new(format!("{} of {}{causes}", figures::count(count), figures::count(incidence.of)), tone)
}

fn spread(spread: &Spread, told: impl Fn(f64) -> String) -> String {
    match (spread.median(), spread.range()) {
        (Some(median), Some((low, high))) if spread.values.len() > 1 => {
            format!("{} ({} to {})", told(median), told(low), told(high))
        }
        (Some(median), _) => told(median),
        _ => figures::NONE.to_owned(),
    }
}

fn variants(result: &SemanticsResult) -> Table {
    let mut table = Table::new(2, ["", "variant", "messages/s", "times", "of", "half of commits or cycles within"]);
    for variant in &result.variants {
        table.row([
            variant.setting.clone(),
            variant.variant.clone(),
            spread(&variant.rate, figures::rate),
            spread(&variant.relative, |value| format!("{value:.2}")),
            variant.relative_to.clone(),
            spread(&variant.median_us, |us| figures::micros(us as u64)),
        ]);
    }
    table
}

fn overview(demonstrations: &[Demonstration]) -> Table {
    let mut table = Table::of_words(["demonstration", "", "shows"]);
    for one in demonstrations {
        let (word, tone) = match (&one.error, one.is_shown()) {
            (Some(_), _) => ("not shown", Tone::Doubtful),
            (None, true) => ("shown", Tone::Good),
            (None, false) => ("NOT SO", Tone::Bad),
        };
        let error = one.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        table.row([Text::from(one.name.as_str()), Text::new(word, tone), format!("{}{error}", one.shows).into()]);
    }
    table
}

fn checks(demonstrations: &[Demonstration]) -> Table {
    let mut table = Table::new(3, ["demonstration", "count of", "", "had to be", "was"]);
    for (one, Check { what, expected, found, is_control }) in
        demonstrations.iter().flat_map(|one| one.checks.iter().map(move |check| (one, check)))
    {
        let tone = if expected == found { Tone::Good } else { Tone::Bad };
        table.row([
            Text::from(one.name.as_str()),
            what.as_str().into(),
            Text::new(if *is_control { "control" } else { "" }, Tone::Faint),
            figures::count(*expected).into(),
            Text::new(figures::count(*found), tone),
        ]);
    }
    table
}

fn times(demonstrations: &[Demonstration]) -> Table {
    let mut table = Table::new(2, ["demonstration", "time (measured once)", "was", "at most"]);
    for (one, Time { what, seconds, bound_s }) in
        demonstrations.iter().flat_map(|one| one.times.iter().map(move |time| (one, time)))
    {
        table.row([
            one.name.clone(),
            what.clone(),
            figures::seconds(*seconds),
            bound_s.map_or_else(|| figures::NONE.to_owned(), figures::seconds),
        ]);
    }
    table
}
