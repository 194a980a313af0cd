//! Throughput and the 99th percentile of latency, second by second, from the trials' `timeline.json`.
//!
//! Model: each panel takes one phase; a profile's representative trial (the one with the median figure) is
//! drawn strong, its other trials faint. Nothing is smoothed: a second without messages reads zero, a second
//! without latencies breaks its line. Long trials are thinned to the extremes of each stretch, so an outage
//! stays visible.

use std::{io::Read, path::Path};

use ackmark_schema::{
    report::timeline::{Second, TIMELINE_FILE, Timeline},
    result::{RunResult, Trial},
};

use crate::{
    canvas::{Anchor, Canvas, Point},
    facts,
    labels::{self, Label},
    numbers,
    palette::{self, GRID, INK, SHADE, Style},
    scale::Scale,
    sheet::{BODY, Drawing, MARGIN, SMALL, Sheet, WIDTH},
};

/// Largest timeline that is read: about half a million seconds.
const FILE_BYTES_MAX: u64 = 128 << 20;
/// Most points of a line; beyond, stretches are reduced to their extremes.
const POINTS_MAX: usize = 800;
/// Most faint lines of a panel.
const FAINT_MAX: usize = 60;
/// A shorter interval (the last of a trial) counts too few messages for a rate.
const SHORTEST_S: f64 = 0.25;
const LABELS_WIDTH: f64 = 272.0;
const TICKS_WIDTH: f64 = 64.0;
const PLOT_HEIGHT: f64 = 190.0;
const HEAD: f64 = 34.0;
const FOOT: f64 = 48.0;

/// One trial as a line: values by second, in stretches without a break.
struct Line {
    stretches: Vec<Vec<Point>>,
    warm_up_s: f64,
}

/// One profile in a panel.
struct Series<'a> {
    profile: &'a str,
    style: Style,
    representative: Line,
    others: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Throughput,
    Latency,
}

struct Panel<'a> {
    quantity: Quantity,
    phase: &'a str,
    series: Vec<Series<'a>>,
}

/// Draws the phases given: throughput of `max`, latency of `rate`.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn draw(
    result: &RunResult,
    folder: &Path,
    max: Option<&str>,
    rate: Option<&str>,
) -> Result<Drawing, String> {
    let mut unread: Vec<String> = Vec::new();
    let wanted = [(Quantity::Throughput, max), (Quantity::Latency, rate)];
    let panels: Vec<Panel> = wanted
        .into_iter()
        .filter_map(|(quantity, phase)| Some(Panel::read(result, folder, quantity, phase?, &mut unread)))
        .filter(|panel| !panel.series.is_empty())
        .collect();
    if panels.is_empty() {
        let cause = unread.first().cloned().unwrap_or_else(|| "no trial has ended".into());
        return Err(format!("no trial has a timeline: {cause}"));
    }
    let findings: Vec<String> = panels.iter().filter_map(Panel::finding).collect();
    let notes = (!unread.is_empty())
        .then(|| format!("{} without a timeline: {}", numbers::of(unread.len() as u64, "trial"), unread[0]));
    let sheet = Sheet {
        notices: facts::notices(result),
        conditions: facts::conditions(result),
        title: if findings.is_empty() { "No measured interval to report".into() } else { findings.join(". ") },
        lead:
            "One point per interval: a second, in short trials a quarter of one. Strong: the trial with the median figure; faint: the other trials; shaded: warm-up."
                .into(),
        figures: panels.iter().flat_map(|panel| panel.series.iter().map(|series| panel.words(series))).collect(),
        notes: notes.into_iter().collect(),
    };
    let height = panels.iter().map(Panel::height).sum();
    Ok(sheet.draw(height, |canvas, top| {
        let mut y = top;
        for panel in &panels {
            panel.draw(canvas, y);
            y += panel.height();
        }
    }))
}

fn read(folder: &Path, trial: &Trial) -> Result<Timeline, String> {
    let path = folder.join(&trial.folder).join(TIMELINE_FILE);
    let name = format!("{}/{TIMELINE_FILE}", trial.folder);
    let file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| format!("{name}: {error}"))?;
    ackmark_schema::text::from_json(&name, &text).map_err(|error| error.to_string())
}

impl Quantity {
    fn of(self, second: &Second) -> Option<f64> {
        match self {
            Self::Throughput => Some(second.delivered as f64 / second.length_s),
            Self::Latency => second.p99_us.map(|us| us.max(1) as f64),
        }
        .filter(|value| value.is_finite())
    }

    /// The figure by which a trial is its profile's median one.
    fn of_trial(self, trial: &Trial) -> Option<f64> {
        let load = trial.load.as_ref()?;
        match self {
            Self::Throughput => Some(load.measured.delivered_per_s).filter(|value| value.is_finite()),
            Self::Latency => load.latency_intended.as_ref()?.at(99.0)?.value_us.map(|us| us as f64),
        }
    }
}

impl<'a> Panel<'a> {
    fn read(
        result: &'a RunResult,
        folder: &Path,
        quantity: Quantity,
        phase: &'a str,
        unread: &mut Vec<String>,
    ) -> Self {
        let series = facts::profiles(result).into_iter().filter_map(|profile| {
            let mut lines: Vec<(Line, bool, f64)> = Vec::new();
            for (trial, used) in facts::trials(result, phase, profile) {
                match read(folder, trial) {
                    Ok(timeline) => {
                        let line = Line::new(&timeline, quantity);
                        lines.push((line, used, quantity.of_trial(trial).unwrap_or(f64::INFINITY)));
                    }
                    Err(why) => unread.push(why),
                }
            }
            lines.retain(|(line, ..)| !line.stretches.is_empty());
            // Trials that may be used come first; among them the lower median represents.
            lines.sort_by(|a, b| b.1.cmp(&a.1).then(a.2.total_cmp(&b.2)));
            let used = lines.iter().filter(|(_, used, _)| *used).count();
            let middle = (if used == 0 { lines.len() } else { used }).saturating_sub(1) / 2;
            (!lines.is_empty()).then(|| {
                let representative = lines.remove(middle).0;
                Series {
                    profile,
                    style: palette::style(facts::position(result, profile)),
                    representative,
                    others: lines.into_iter().map(|(line, ..)| line).collect(),
                }
            })
        });
        Self { quantity, phase, series: series.collect() }
    }

    fn height(&self) -> f64 {
        HEAD + self.plot_height() + FOOT
    }

    fn plot_height(&self) -> f64 {
        PLOT_HEIGHT.max(labels::HEIGHT * self.series.len() as f64)
    }

    fn name(&self) -> String {
        match self.quantity {
            Quantity::Throughput => format!("Throughput, phase {}: delivered messages per second", self.phase),
            Quantity::Latency => {
                format!("Latency, phase {}: 99th percentile from the intended send time (logarithmic)", self.phase)
            }
        }
    }

    fn words(&self, series: &Series) -> String {
        format!("{} ({}): {}", series.profile, self.phase, self.note(series))
    }

    fn note(&self, series: &Series) -> String {
        let mut values = series.representative.measured();
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else { return "warm-up only".into() };
        match self.quantity {
            Quantity::Throughput => {
                format!("{}–{} per second", numbers::short(*least), numbers::short(*most))
            }
            Quantity::Latency => format!("worst interval {}", numbers::latency(*most)),
        }
    }

    /// The worst measured second of any representative trial.
    fn finding(&self) -> Option<String> {
        match self.quantity {
            Quantity::Throughput => {
                let shares = self.series.iter().filter_map(|series| {
                    let mut values = series.representative.measured();
                    values.sort_by(f64::total_cmp);
                    let median = values.get(values.len() / 2).filter(|median| **median > 0.0)?;
                    Some((values[0] / median, series.profile))
                });
                let (share, profile) = shares.min_by(|a, b| a.0.total_cmp(&b.0))?;
                Some(format!(
                    "Slowest interval: {:.0}\u{a0}% of its trial's median throughput ({profile})",
                    share * 100.0
                ))
            }
            Quantity::Latency => {
                let worst = self.series.iter().flat_map(|series| {
                    series.representative.measured().into_iter().map(|value| (value, series.profile))
                });
                let (value, profile) = worst.max_by(|a, b| a.0.total_cmp(&b.0))?;
                Some(format!("Worst interval's p99: {} ({profile})", numbers::latency(value)))
            }
        }
    }

    fn draw(&self, canvas: &Canvas, top: f64) {
        let (left, right) = (MARGIN + TICKS_WIDTH, WIDTH - MARGIN - LABELS_WIDTH - 16.0);
        let (top, bottom) = (top + HEAD, top + HEAD + self.plot_height());
        canvas.text((MARGIN, top - 18.0), &self.name(), BODY.bold());
        let lines = || self.series.iter().flat_map(|series| series.others.iter().chain([&series.representative]));
        let points = || lines().flat_map(|line| line.stretches.iter().flatten());
        let last = points().map(|point| point.0).fold(0.0, f64::max);
        let x = Scale::from_zero(last + 0.5, true, (left, right));
        let y = match self.quantity {
            Quantity::Throughput => {
                Scale::from_zero(points().map(|point| point.1).fold(0.0, f64::max), false, (bottom, top))
            }
            Quantity::Latency => {
                let least = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
                Scale::logarithmic(least, points().map(|point| point.1).fold(1.0, f64::max), (bottom, top))
            }
        };
        let warm_up = self.series.iter().map(|series| series.representative.warm_up_s).fold(0.0, f64::max);
        if warm_up > 0.0 {
            canvas.rectangle((left, top), (x.at(warm_up), bottom), SHADE, 0.18);
        }
        for tick in y.ticks() {
            canvas.line((left, y.at(tick)), (right, y.at(tick)), GRID, 1.0);
            let label =
                if self.quantity == Quantity::Latency { numbers::latency_tick(tick) } else { numbers::tick(tick) };
            canvas.text((left - 8.0, y.at(tick)), &label, SMALL.at(Anchor::Right));
        }
        for tick in x.ticks() {
            canvas.text((x.at(tick), bottom + 13.0), &numbers::tick(tick), SMALL.at(Anchor::Middle));
        }
        canvas.line((left, bottom), (right, bottom), INK, 1.2);
        let axis = "seconds from the start of the trial";
        canvas.text((f64::midpoint(left, right), bottom + 31.0), axis, SMALL.at(Anchor::Middle));

        let place = |stretch: &Vec<Point>| -> Vec<Point> {
            thinned(stretch).into_iter().map(|point| (x.at(point.0), y.at(point.1))).collect()
        };
        let faint = self.series.iter().flat_map(|series| series.others.iter().map(|line| (line, series.style)));
        for (line, style) in faint.take(FAINT_MAX) {
            for stretch in &line.stretches {
                canvas.path(&place(stretch), style.colour, 0.25, 1.0);
            }
        }
        for series in &self.series {
            for stretch in &series.representative.stretches {
                let points = place(stretch);
                canvas.dashed(&points, series.style.colour, 2.2, series.style.dash);
                if points.len() <= 40 {
                    for point in points {
                        canvas.marker(series.style.marker, point, 3.2, series.style.colour, false);
                    }
                }
            }
        }
        let labels: Vec<Label> = self
            .series
            .iter()
            .map(|series| Label {
                end: series.representative.end().map_or((right, bottom), |point| (x.at(point.0), y.at(point.1))),
                name: series.profile.to_owned(),
                note: self.note(series),
                style: series.style,
            })
            .collect();
        labels::draw(canvas, &labels, (right + 16.0, WIDTH - MARGIN), (top - 8.0, bottom + 8.0));
    }
}

impl Line {
    fn new(timeline: &Timeline, quantity: Quantity) -> Self {
        let mut stretches = vec![Vec::new()];
        let long_enough = |second: &&Second| second.length_s >= SHORTEST_S && second.from_s.is_finite();
        for second in timeline.seconds.iter().filter(long_enough) {
            match quantity.of(second) {
                Some(value) => {
                    let middle = second.from_s + second.length_s / 2.0;
                    stretches.last_mut().expect("there is always a stretch").push((middle, value));
                }
                None => stretches.push(Vec::new()),
            }
        }
        stretches.retain(|stretch| !stretch.is_empty());
        Self { stretches, warm_up_s: timeline.measured_from_s }
    }

    /// Values after the warm-up.
    fn measured(&self) -> Vec<f64> {
        let points = self.stretches.iter().flatten();
        points.filter(|point| point.0 >= self.warm_up_s).map(|point| point.1).collect()
    }

    fn end(&self) -> Option<Point> {
        self.stretches.last()?.last().copied()
    }
}

/// At most [`POINTS_MAX`] points: of each stretch of equal length, its least and its greatest.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    points
        .chunks(points.len().div_ceil(POINTS_MAX / 2))
        .flat_map(|chunk| {
            let by_value = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
            let mut ends: Vec<Point> =
                chunk.iter().min_by(by_value).into_iter().chain(chunk.iter().max_by(by_value)).copied().collect();
            ends.sort_by(|a, b| a.0.total_cmp(&b.0));
            ends
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_without_messages_stays_in_a_thinned_line() {
        let mut points: Vec<Point> = (0..10_000).map(|second| (f64::from(second), 100.0)).collect();
        points[6_543].1 = 0.0;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX);
        assert!(thin.contains(&(6_543.0, 0.0)));
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn a_second_without_latencies_breaks_the_line() {
        let second = |from_s: f64, p99_us| Second { from_s, length_s: 1.0, delivered: 5, p99_us, ..Second::default() };
        let timeline = Timeline {
            schema: ackmark_schema::version::SchemaId::default(),
            started: jiff::Timestamp::UNIX_EPOCH,
            measured_from_s: 1.0,
            seconds: vec![
                second(0.0, Some(9)),
                second(1.0, None),
                second(2.0, Some(0)),
                Second { length_s: 0.1, ..second(3.0, Some(7)) },
            ],
        };
        let line = Line::new(&timeline, Quantity::Latency);
        assert_eq!(line.stretches, [vec![(0.5, 9.0)], vec![(2.5, 1.0)]]);
        assert_eq!(line.measured(), [1.0]);
        assert_eq!(Line::new(&timeline, Quantity::Throughput).stretches.concat().len(), 3);
    }
}
