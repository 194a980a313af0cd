//! Delivered messages per second of each profile in a `max` phase: median, interval, and every trial.

use ackmark_schema::result::{Estimate, RunResult};

use crate::{
    facts, numbers, palette,
    rows::{Panel, Row, TrialPoint},
    sheet::{Drawing, Sheet},
};

/// Draws a phase.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn draw(result: &RunResult, phase: &str) -> Result<Drawing, String> {
    let rows: Vec<Row> = facts::profiles(result).into_iter().map(|profile| row(result, phase, profile)).collect();
    if rows.iter().all(|row| row.bar.is_none() && row.trials.is_empty()) {
        return Err(format!("no trial of phase {phase} has reported a throughput"));
    }
    let panel = Panel {
        rows: &rows,
        mark: None,
        axis: "delivered messages per second, median of trials (k = thousand, M = million)",
        tick: numbers::tick,
        row_height: 58.0,
        bars: true,
    };
    let sheet = Sheet {
        notices: facts::notices(result),
        conditions: facts::conditions(result),
        title: title(&rows),
        lead: lead(result, phase, &rows),
        figures: rows.iter().map(|row| format!("{}: {}, {}", row.name, row.figure, row.figure_note)).collect(),
        notes: unacknowledged(result, phase).into_iter().collect(),
    };
    Ok(sheet.draw(panel.height(), |canvas, top| panel.draw(canvas, top)))
}

fn row(result: &RunResult, phase: &str, profile: &str) -> Row {
    let summary = facts::summary(result, phase, profile);
    let trials: Vec<TrialPoint> = facts::trials(result, phase, profile)
        .into_iter()
        .filter_map(|(trial, used)| Some((trial.load.as_ref()?.measured.delivered_per_s, used)))
        .filter(|(value, _)| value.is_finite() && *value >= 0.0)
        .map(|(value, used)| TrialPoint { value, used })
        .collect();
    let estimate = summary
        .and_then(|summary| facts::drawable(summary.delivered_per_s.as_ref()))
        .copied()
        .or_else(|| without_interval(&trials));
    let left_out = match trials.iter().filter(|trial| !trial.used).count() {
        0 => String::new(),
        n => format!(", {n} left out"),
    };
    let interval = estimate.and_then(|estimate| facts::interval(estimate.low, estimate.high));
    let bytes = summary
        .and_then(|summary| facts::drawable(summary.delivered_bytes_per_s.as_ref()))
        .map_or_else(String::new, |bytes| format!("{}, ", numbers::bytes_per_s(bytes.median)));
    let (figure, figure_note) = match &estimate {
        Some(estimate) => (figure(estimate, interval), format!("{bytes}{}{left_out}", sample(estimate, interval))),
        None if trials.is_empty() => ("not measured".into(), "no trial reported".into()),
        None => ("no valid trial".into(), format!("{} ran{left_out}", numbers::of(trials.len() as u64, "trial"))),
    };
    Row {
        name: profile.to_owned(),
        note: facts::setting(result, profile).unwrap_or_default(),
        style: palette::style(facts::position(result, profile)),
        bar: estimate.map(|estimate| estimate.median),
        interval,
        trials,
        figure,
        figure_note,
    }
}

/// The median of the trials that may be used, where the result has not estimated one.
fn without_interval(trials: &[TrialPoint]) -> Option<Estimate> {
    let mut values: Vec<f64> = trials.iter().filter(|trial| trial.used).map(|trial| trial.value).collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some(Estimate { median, low: None, high: None, confidence: None, min, max, n: values.len() as u32 })
}

fn figure(estimate: &Estimate, interval: Option<(f64, f64)>) -> String {
    let median = numbers::short(estimate.median);
    match interval {
        Some((low, high)) => format!("{median}/s [{}–{}]", numbers::short(low), numbers::short(high)),
        None => format!("{median}/s"),
    }
}

fn sample(estimate: &Estimate, interval: Option<(f64, f64)>) -> String {
    let trials = numbers::of(estimate.n.into(), "trial");
    if interval.is_some() { trials } else { format!("{trials}, no interval") }
}

fn title(rows: &[Row]) -> String {
    let mut known: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, row.bar?))).collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let rate = |value: f64| format!("{} messages/s", numbers::short(value));
    match known.as_slice() {
        [] => "No profile has a trial whose throughput may be used".into(),
        [(row, value)] => format!("{} delivers {}", row.name, rate(*value)),
        [(slow, low), .., (fast, high)] => {
            format!("{} delivers {}, {} {}", fast.name, rate(*high), slow.name, rate(*low))
        }
    }
}

fn lead(result: &RunResult, phase: &str, rows: &[Row]) -> String {
    let confidences: Vec<Option<f64>> = result
        .summaries
        .iter()
        .filter(|summary| summary.phase == phase)
        .filter_map(|summary| summary.delivered_per_s.as_ref())
        .map(|estimate| estimate.confidence)
        .collect();
    let hollow = if rows.iter().flat_map(|row| &row.trials).any(|trial| !trial.used) {
        "; hollow: left out (failed, invalid or never steady)"
    } else {
        ""
    };
    format!(
        "As fast as the queue takes them. Bar: median; {}; each point is a trial{hollow}.",
        facts::confidence(&confidences, "median")
    )
}

/// Which profiles' deliveries are no broker's answer.
fn unacknowledged(result: &RunResult, phase: &str) -> Option<String> {
    let names: Vec<&str> = result
        .summaries
        .iter()
        .filter(|summary| summary.phase == phase && !summary.latency_is_acknowledgement)
        .map(|summary| summary.profile.as_str())
        .collect();
    (!names.is_empty())
        .then(|| format!("{}: delivered means written to a socket; no broker has acknowledged it.", names.join(", ")))
}
