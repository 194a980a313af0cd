//! Percentile curves of a `rate` phase on a nines axis: each step to the right is ten times rarer.
//!
//! A curve stops where its sample carries no further: percentiles beyond have no upper bound. Latency is
//! from the intended send time, so that a stalled sender counts.

use ackmark_schema::{
    latency::Percentile,
    result::{RunResult, Summary},
};

use crate::{
    canvas::{Anchor, Canvas, Point},
    facts,
    labels::{self, Label},
    numbers,
    palette::{self, GRID, INK, Style},
    scale::{Scale, nines, nines_label},
    sheet::{Drawing, MARGIN, SMALL, Sheet, WIDTH},
};

/// What a curve is marked and compared at, most telling first.
const HEADLINES: [f64; 3] = [99.0, 90.0, 50.0];
/// Where marks and intervals are drawn.
const MARKED: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];
const LABELS_WIDTH: f64 = 272.0;
const PLOT_HEIGHT: f64 = 360.0;
const TICKS_WIDTH: f64 = 64.0;
const HEAD: f64 = 26.0;
const FOOT: f64 = 46.0;
/// Below this a latency cannot be told from zero: it is measured in whole microseconds.
const RESOLUTION_US: f64 = 1.0;

struct Curve<'a> {
    profile: &'a str,
    style: Style,
    /// Nines and microseconds.
    points: Vec<Point>,
    percentiles: &'a [Percentile],
    acknowledged: bool,
}

/// Draws a phase.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn draw(result: &RunResult, phase: &str) -> Result<Drawing, String> {
    let curves: Vec<Curve> = facts::profiles(result)
        .into_iter()
        .filter_map(|profile| Curve::new(result, facts::summary(result, phase, profile)?))
        .collect();
    if curves.is_empty() {
        return Err(format!("no trial of phase {phase} has a latency that its sample can carry"));
    }
    let height = PLOT_HEIGHT.max(labels::HEIGHT * curves.len() as f64);
    let sheet = Sheet {
        notices: facts::notices(result),
        conditions: facts::conditions(result),
        title: title(result, phase, &curves),
        lead: format!(
            "Percentiles of latency from the intended send time to the delivery report, open loop at {}; bars: 95\u{a0}% \
             intervals. A curve stops where its sample carries no further.",
            facts::offered(result, phase)
        ),
        figures: curves.iter().map(Curve::words).collect(),
        notes: notes(&curves),
    };
    Ok(sheet.draw(HEAD + height + FOOT, |canvas, top| plot(canvas, &curves, top + HEAD, height)))
}

impl<'a> Curve<'a> {
    fn new(result: &RunResult, summary: &'a Summary) -> Option<Self> {
        let percentiles = summary.latency_intended.as_ref().map_or(&[][..], |latency| &latency.percentiles);
        let position = |percentile: f64| (0.0..100.0).contains(&percentile).then(|| nines(percentile));
        let mut points: Vec<Point> = summary
            .curve_intended
            .iter()
            .filter_map(|point| Some((position(point.percentile)?, visible(point.value_us))))
            .collect();
        let known =
            percentiles.iter().filter_map(|entry| Some((position(entry.percentile)?, visible(entry.value_us?))));
        points.extend(known);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|a, b| (a.0 - b.0).abs() < 1e-9);
        (!points.is_empty()).then(|| Self {
            profile: &summary.profile,
            style: palette::style(facts::position(result, &summary.profile)),
            points,
            percentiles,
            acknowledged: summary.latency_is_acknowledgement,
        })
    }

    fn value(&self, percentile: f64) -> Option<f64> {
        let entry = self.percentiles.iter().find(|entry| (entry.percentile - percentile).abs() < 1e-9)?;
        entry.value_us.map(|value| value as f64)
    }

    fn end(&self) -> Point {
        *self.points.last().expect("a curve has points")
    }

    fn note(&self) -> String {
        if !self.acknowledged {
            return "written to socket, not acknowledged".into();
        }
        let figures = [50.0, 99.0].into_iter().filter_map(|percentile| Some((percentile, self.value(percentile)?)));
        let texts: Vec<String> =
            figures.map(|(percentile, value)| format!("p{percentile} {}", numbers::latency(value))).collect();
        texts.join(", ")
    }

    fn words(&self) -> String {
        let known = self.percentiles.iter().filter_map(|entry| Some((entry.percentile, entry.value_us?)));
        let texts: Vec<String> =
            known.map(|(percentile, value)| format!("p{percentile} {}", numbers::latency(value as f64))).collect();
        format!("{}: {}", self.profile, texts.join(", "))
    }
}

fn visible(value_us: u64) -> f64 {
    (value_us as f64).max(RESOLUTION_US)
}

fn title(result: &RunResult, phase: &str, curves: &[Curve]) -> String {
    let offered = facts::offered(result, phase);
    let rate = offered.split(',').next().unwrap_or_default();
    let acknowledged: Vec<&Curve> = curves.iter().filter(|curve| curve.acknowledged).collect();
    if acknowledged.is_empty() {
        return format!("At {rate} nothing was acknowledged: these are times to the socket only");
    }
    let found = HEADLINES.iter().find_map(|percentile| {
        let values: Option<Vec<(f64, &str)>> =
            acknowledged.iter().map(|curve| Some((curve.value(*percentile)?, curve.profile))).collect();
        values.map(|values| (percentile, values))
    });
    let Some((percentile, mut values)) = found else { return format!("Latency at {rate}, by percentile") };
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    match values.as_slice() {
        [(least, best), .., (most, worst)] => format!(
            "At {rate}, p{percentile} to acknowledgement is {} ({best}) to {} ({worst})",
            numbers::latency(*least),
            numbers::latency(*most)
        ),
        one => one.iter().fold(String::new(), |_, (value, profile)| {
            format!("At {rate}, {profile}'s p{percentile} to acknowledgement is {}", numbers::latency(*value))
        }),
    }
}

fn notes(curves: &[Curve]) -> Vec<String> {
    let names: Vec<&str> = curves.iter().filter(|curve| !curve.acknowledged).map(|curve| curve.profile).collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "{}: acks=0, so the delivery report comes when the request is written to the socket; not comparable with \
         acknowledgements.",
        names.join(", ")
    )]
}

fn plot(canvas: &Canvas, curves: &[Curve], top: f64, height: f64) {
    let (left, right, bottom) = (MARGIN + TICKS_WIDTH, WIDTH - MARGIN - LABELS_WIDTH - 16.0, top + height);
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let most_nines = all().map(|point| point.0).fold(1.0, f64::max);
    let x = Scale::from_zero(most_nines * 1.02, true, (left, right));
    let (least, most) =
        all().fold((f64::INFINITY, 0.0_f64), |(low, high), point| (low.min(point.1), high.max(point.1)));
    let y = Scale::logarithmic(least, most, (bottom, top));

    canvas.text((MARGIN, top - 16.0), "latency (logarithmic)", SMALL);
    for tick in y.ticks() {
        canvas.line((left, y.at(tick)), (right, y.at(tick)), GRID, 1.0);
        canvas.text((left - 8.0, y.at(tick)), &numbers::latency_tick(tick), SMALL.at(Anchor::Right));
    }
    let mut last_end = f64::NEG_INFINITY;
    let median = (nines(50.0), "50 %".to_owned());
    let decades = (1..=most_nines as u32).map(|n| (f64::from(n), nines_label(n)));
    for (position, label) in [median].into_iter().chain(decades) {
        let (at, half) = (x.at(position), SMALL.face.width(&label) / 2.0);
        canvas.line((at, top), (at, bottom), GRID, 1.0);
        if at - half > last_end + 6.0 {
            canvas.text((at, bottom + 13.0), &label, SMALL.at(Anchor::Middle));
            last_end = at + half;
        }
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.2);
    let axis = "percentile of messages; each further nine is ten times rarer";
    canvas.text((f64::midpoint(left, right), bottom + 33.0), axis, SMALL.at(Anchor::Middle));

    for curve in curves {
        let points: Vec<Point> = curve.points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
        canvas.dashed(&points, curve.style.colour, 2.2, curve.style.dash);
        marks(canvas, curve, &x, &y);
    }
    let labels: Vec<Label> = curves
        .iter()
        .map(|curve| Label {
            end: (x.at(curve.end().0), y.at(curve.end().1)),
            name: curve.profile.to_owned(),
            note: curve.note(),
            style: curve.style,
        })
        .collect();
    labels::draw(canvas, &labels, (right + 16.0, WIDTH - MARGIN), (top - 8.0, bottom + 8.0));
}

/// Marks at telling percentiles, with their intervals.
fn marks(canvas: &Canvas, curve: &Curve, x: &Scale, y: &Scale) {
    let marked = |percentile: f64| MARKED.iter().any(|mark| (mark - percentile).abs() < 1e-9);
    for entry in curve.percentiles.iter().filter(|entry| marked(entry.percentile)) {
        let Some(value) = entry.value_us else { continue };
        let at = x.at(nines(entry.percentile));
        if let Some((low, high)) = entry.low_us.zip(entry.high_us) {
            canvas.line((at, y.at(visible(low))), (at, y.at(visible(high))), curve.style.colour, 1.6);
        }
        canvas.marker(curve.style.marker, (at, y.at(visible(value))), 4.2, curve.style.colour, false);
    }
}
