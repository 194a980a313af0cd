//! Charts of semantics put to the test.

use ackmark_schema::semantics::{Incidence, SemanticsResult, Spread};

use crate::{
    canvas::{Anchor, Canvas},
    numbers,
    palette::{self, GRID, INK},
    rows::{Panel, Row, TrialPoint},
    scale::Scale,
    sheet::{BODY, Drawing, GAP, MARGIN, SMALL, Sheet, WIDTH},
};

/// Height of the chart over time.
const PLOT: f64 = 260.0;
/// Room for the labels of its axes.
const LEFT: f64 = 70.0;
const BELOW: f64 = 46.0;

fn sheet(result: &SemanticsResult, title: String, lead: String, figures: Vec<String>) -> Sheet {
    let kafka = result.cluster.kafka_version.as_deref().unwrap_or("of an unknown version");
    let conditions = [
        format!("Run {}", result.id),
        format!("Kafka {kafka}, {}", numbers::of(result.cluster.brokers.len() as u64, "broker")),
        format!(
            "{}, {} processors, brokers and clients on them",
            result.environment.cpu_model, result.environment.cpus
        ),
        format!("librdkafka {}, ackmark {}", result.environment.librdkafka_version, result.tool_version),
    ];
    Sheet { notices: Vec::new(), conditions: conditions.join(" · "), title, lead, figures, notes: Vec::new() }
}

/// The rate of each setting, with what a crash doubled and lost.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn comparison(result: &SemanticsResult) -> Result<Drawing, String> {
    let measured = result.settings.iter().filter(|setting| setting.rate.median().is_some());
    let rows: Vec<Row> = measured
        .enumerate()
        .map(|(at, setting)| {
            let crash = format!("{}, {}", told("doubled", &setting.duplicates), told("lost", &setting.lost));
            row(at, &setting.name, setting.kind.label().to_owned(), &setting.rate, crash)
        })
        .collect();
    if rows.is_empty() {
        return Err("no rates were measured".into());
    }
    let rate = |name: &str| result.settings.iter().find(|setting| setting.name == name)?.relative.median();
    let title = match (rate("transactional"), rate("exactly-once")) {
        (Some(transactional), Some(exactly)) => format!(
            "Transactions reach {} the rate of at-most-once, an exactly-once pipeline {} that of an ordinary commit",
            numbers::ratio(transactional),
            numbers::ratio(exactly)
        ),
        _ => "What each delivery setting reaches".to_owned(),
    };
    let lead = format!(
        "As fast as possible, 1 KiB, one producer or one member. Bar: median of {} interleaved rounds, each a point. Doubled and lost: by crashes of the process; n/a: not examined.",
        result.rounds
    );
    Ok(bars(result, title, lead, &rows))
}

/// The exactly-once pipeline against its batch.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn batches(result: &SemanticsResult) -> Result<Drawing, String> {
    let variants: Vec<_> = result.variants.iter().filter(|variant| variant.setting == "exactly-once").collect();
    let rows: Vec<Row> = variants
        .iter()
        .enumerate()
        .map(|(at, variant)| {
            let cycle = variant.median_us.median().map_or_else(|| "n/a".to_owned(), numbers::latency);
            row(at, &variant.variant, "exactly-once".into(), &variant.rate, format!("half of cycles within {cycle}"))
        })
        .collect();
    let [first, .., last] = &rows[..] else { return Err("the pipeline was not measured with several batches".into()) };
    let title =
        format!("The exactly-once pipeline: {} in {}, {} in {}", first.figure, first.name, last.figure, last.name);
    let lead = "A cycle is one transaction: from the first message in hand to the end of its commit. A message is shown at that end at the \
                earliest."
        .to_owned();
    Ok(bars(result, title, lead, &rows))
}

/// A bar for each rate.
fn bars(result: &SemanticsResult, title: String, lead: String, rows: &[Row]) -> Drawing {
    let panel = Panel {
        rows,
        mark: None,
        axis: "messages per second, median of rounds (k = thousand, M = million)",
        tick: numbers::tick,
        row_height: 50.0,
        bars: true,
    };
    let figures = rows.iter().map(|row| format!("{}: {}, {}", row.name, row.figure, row.figure_note)).collect();
    sheet(result, title, lead, figures).draw(panel.height(), |canvas, top| panel.draw(canvas, top))
}

fn row(at: usize, name: &str, note: String, rate: &Spread, figure_note: String) -> Row {
    let range = rate.range().filter(|_| rate.values.len() > 1);
    let figure = rate.median().map_or_else(|| "n/a".to_owned(), |median| format!("{}/s", numbers::short(median)));
    let ends = range.map(|(low, high)| format!(" ({} to {})", numbers::short(low), numbers::short(high)));
    Row {
        name: name.to_owned(),
        note,
        style: palette::style(at),
        bar: rate.median(),
        interval: None,
        trials: rate.values.iter().map(|value| TrialPoint { value: *value, used: true }).collect(),
        figure: figure + &ends.unwrap_or_default(),
        figure_note,
    }
}

fn told(what: &str, incidence: &Incidence) -> String {
    match incidence.count {
        Some(count) => format!("{what} {} of {}", numbers::count(count), numbers::count(incidence.of)),
        None => format!("{what} n/a"),
    }
}

/// Offsets while the transaction of a dead producer is open.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn stall(result: &SemanticsResult) -> Result<Drawing, String> {
    let (Some(first), Some(last)) = (result.stall.first(), result.stall.last()) else {
        return Err("the time-out of a transaction was not shown".into());
    };
    let held = last.high_watermark - first.last_stable;
    let title = format!(
        "A dead producer's transaction holds up readers of committed data for {:.1} s, then {} offsets become readable at once",
        last.at_s,
        numbers::count(held)
    );
    let figures = vec![format!(
        "last stable offset {} until {:.1} s, then {}; high watermark {}",
        first.last_stable, last.at_s, last.last_stable, last.high_watermark
    )];
    let lead = "Sums over the topic's partitions. Between the two lines lies what is in the log and not yet shown to \
                isolation.level=read_committed: the open transaction's messages and committed ones behind them."
        .to_owned();
    let sheet = sheet(result, title, lead, figures);
    Ok(sheet.draw(PLOT + BELOW, |canvas, top| plot(canvas, top, result, last.at_s, last.high_watermark)))
}

fn plot(canvas: &Canvas, top: f64, result: &SemanticsResult, longest: f64, highest: u64) {
    let (left, right, bottom) = (MARGIN + LEFT, WIDTH - MARGIN - 150.0, top + PLOT);
    let x = Scale::from_zero(longest, true, (left, right));
    let y = Scale::from_zero(highest as f64, false, (bottom, top + GAP));
    for value in y.ticks() {
        canvas.line((left, y.at(value)), (right, y.at(value)), GRID, 1.0);
        canvas.text((left - GAP, y.at(value)), &numbers::tick(value), SMALL.at(Anchor::Right));
    }
    for value in x.ticks() {
        canvas.text((x.at(value), bottom + 14.0), &format!("{value} s"), SMALL.at(Anchor::Middle));
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.2);
    canvas.text((f64::midpoint(left, right), bottom + 34.0), "since the producer died", SMALL.at(Anchor::Middle));
    let line = |at: usize, name: &str, offset: &dyn Fn(usize) -> u64| {
        let style = palette::style(at);
        let points: Vec<(f64, f64)> =
            result.stall.iter().enumerate().map(|(n, sample)| (x.at(sample.at_s), y.at(offset(n) as f64))).collect();
        canvas.dashed(&points, style.colour, 2.5, style.dash);
        // Both end at the same height: their names stand where they begin to differ.
        if let Some((_, height)) = points.first() {
            canvas.text((right + GAP, *height), name, BODY);
        }
    };
    line(0, "high watermark", &|n| result.stall[n].high_watermark);
    line(1, "last stable offset", &|n| result.stall[n].last_stable);
}
