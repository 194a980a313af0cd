//! Throughput of profiles with transactions in a `max` phase against the time that a transaction took, beside those
//! without; below, how that time is spent.
//!
//! A trial is at the median of its own transactions' times from begin to committed. Where they were too few for a median,
//! a line goes from the shortest to the longest, and the trial is in its middle.

use ackmark_schema::{
    latency::LatencySummary,
    promise::Acks,
    result::{RunResult, Summary, Trial},
};

use crate::{
    canvas::{Anchor, Canvas},
    facts,
    labels::{self, Label},
    numbers,
    palette::{self, GRID, INK, Marker, Style},
    scale::Scale,
    sheet::{Drawing, MARGIN, SMALL, Sheet, WIDTH},
    spending::Spending,
};

const LABELS_WIDTH: f64 = 290.0;
const PLOT_HEIGHT: f64 = 330.0;
const TICKS_WIDTH: f64 = 56.0;
const HEAD: f64 = 26.0;
const FOOT: f64 = 56.0;
/// Below this a time cannot be told from zero: it is measured in whole microseconds.
const RESOLUTION_US: f64 = 1.0;

/// One trial.
struct Point {
    /// The median of its transactions' times, or the middle of their range, microseconds.
    time_us: f64,
    /// From the shortest to the longest, where there is no median.
    range_us: Option<(f64, f64)>,
    per_s: f64,
    used: bool,
}

/// A profile with transactions.
struct Group<'a> {
    profile: &'a str,
    style: Style,
    points: Vec<Point>,
    /// The median time over all trials' transactions, and the median throughput of the trials.
    median: Option<(f64, f64)>,
    /// Throughput relative to a profile without transactions, from pairs.
    relative: Option<(f64, &'a str)>,
}

/// A profile without transactions that all in-sync replicas acknowledge.
struct Band<'a> {
    profile: &'a str,
    style: Style,
    median: f64,
    low: f64,
    high: f64,
}

/// Draws a phase.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn draw(result: &RunResult, phase: &str) -> Result<Drawing, String> {
    let transactional: Vec<&str> =
        facts::profiles(result).into_iter().filter(|profile| facts::transactions(result, profile).is_some()).collect();
    if transactional.is_empty() {
        return Err("no profile has transactions".into());
    }
    let bands: Vec<Band> =
        facts::profiles(result).into_iter().filter_map(|profile| Band::new(result, phase, profile)).collect();
    let groups: Vec<Group> = transactional
        .iter()
        .map(|profile| Group::new(result, phase, profile, &bands))
        .filter(|group| !group.points.is_empty())
        .collect();
    if groups.is_empty() {
        return Err(format!("no trial of phase {phase} has reported a transaction that was committed"));
    }
    let height = PLOT_HEIGHT.max(labels::HEIGHT * (groups.len() + bands.len()) as f64);
    let spending = Spending::new(result, phase, &transactional);
    let words = groups.iter().map(|group| format!("{}: {}", group.profile, group.note()));
    let words = words.chain(bands.iter().map(|band| format!("{}: {}", band.profile, band.note())));
    let sheet = Sheet {
        notices: facts::notices(result),
        conditions: facts::conditions(result),
        title: title(&groups),
        lead: lead(&groups, &bands),
        figures: words.chain(spending.words()).collect(),
        notes: spending.notes(),
    };
    Ok(sheet.draw(HEAD + height + FOOT + spending.height(), |canvas, top| {
        plot(canvas, &groups, &bands, top + HEAD, height);
        spending.draw(canvas, top + HEAD + height + FOOT);
    }))
}

impl Point {
    fn new(trial: &Trial, used: bool) -> Option<Self> {
        let load = trial.load.as_ref()?;
        let per_s = Some(load.measured.delivered_per_s).filter(|value| value.is_finite() && *value >= 0.0)?;
        let times = &load.transactions.as_ref()?.begin_to_committed;
        if let Some(median_us) = p50(times) {
            return Some(Self { time_us: median_us, range_us: None, per_s, used });
        }
        let (low, high) = (visible(times.min_us?), visible(times.max_us?));
        Some(Self { time_us: f64::midpoint(low, high), range_us: Some((low, high)), per_s, used })
    }
}

impl<'a> Group<'a> {
    fn new(result: &'a RunResult, phase: &str, profile: &'a str, bands: &[Band<'a>]) -> Self {
        let summary = facts::summary(result, phase, profile);
        let median = |summary: &Summary| {
            let time_us = p50(summary.transactions.as_ref()?.begin_to_committed.as_ref()?)?;
            Some((time_us, facts::drawable(summary.delivered_per_s.as_ref())?.median))
        };
        let relative = bands.iter().find_map(|band| {
            let found = facts::comparison(result, phase, profile, band.profile)?;
            Some((found.ratio, band.profile))
        });
        Self {
            profile,
            style: palette::style(facts::position(result, profile)),
            points: facts::trials(result, phase, profile)
                .into_iter()
                .filter_map(|(trial, used)| Point::new(trial, used))
                .collect(),
            median: summary.and_then(median),
            relative,
        }
    }

    fn note(&self) -> String {
        match self.median {
            Some((time_us, per_s)) => format!("{}, {}/s", numbers::latency(time_us), numbers::short(per_s)),
            None if self.is_left_out() => "every trial is left out".into(),
            None => "too few transactions for a median".into(),
        }
    }

    /// Whether none of its trials may be used.
    fn is_left_out(&self) -> bool {
        self.points.iter().all(|point| !point.used)
    }

    /// `0.87× of all-acks`, or an absolute figure.
    fn delivers(&self, per_s: f64) -> (String, String) {
        match self.relative {
            Some((ratio, baseline)) => (numbers::ratio(ratio), format!(" of {baseline}")),
            None => (numbers::short(per_s), " messages/s".into()),
        }
    }

    /// Where its label wants to be.
    fn height(&self) -> f64 {
        self.median.map_or_else(|| self.points[0].per_s, |(_, per_s)| per_s)
    }
}

impl<'a> Band<'a> {
    fn new(result: &RunResult, phase: &str, profile: &'a str) -> Option<Self> {
        let record = result.profiles.iter().find(|record| record.profile.name == profile)?;
        let basis = record.promise.as_ref()?.basis;
        if basis.transactional || basis.acks != Acks::All {
            return None;
        }
        let estimate = facts::drawable(facts::summary(result, phase, profile)?.delivered_per_s.as_ref())?;
        let (low, high) = facts::interval(estimate.low, estimate.high).unwrap_or((estimate.min, estimate.max));
        (low.is_finite() && high.is_finite()).then(|| Self {
            profile,
            style: palette::style(facts::position(result, profile)),
            median: estimate.median,
            low,
            high,
        })
    }

    fn note(&self) -> String {
        format!("{}/s, no transactions", numbers::short(self.median))
    }
}

/// A median that its sample carries, microseconds.
pub(crate) fn p50(times: &LatencySummary) -> Option<f64> {
    times.at(50.0)?.value_us.map(visible)
}

fn visible(value_us: u64) -> f64 {
    (value_us as f64).max(RESOLUTION_US)
}

fn title(groups: &[Group]) -> String {
    let known: Vec<(&Group, f64, f64)> =
        groups.iter().filter_map(|group| group.median.map(|(time_us, per_s)| (group, time_us, per_s))).collect();
    let fastest = known.iter().max_by(|a, b| a.2.total_cmp(&b.2));
    let quickest = known.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    if groups.iter().all(Group::is_left_out) {
        return "No profile with transactions has a trial whose figures may be used".into();
    }
    let Some(((fast, fast_us, fast_per_s), (quick, quick_us, quick_per_s))) = fastest.zip(quickest) else {
        return "Too few transactions were committed for a median of their times".into();
    };
    let (most, unit) = fast.delivers(*fast_per_s);
    let most = format!("{} delivers {most}{unit} with {} per transaction", fast.profile, numbers::latency(*fast_us));
    if known.len() == 1 {
        return most;
    }
    if fast.profile == quick.profile {
        return format!("{most}, the most and in the least time");
    }
    let (least, other_unit) = quick.delivers(*quick_per_s);
    let least_unit = if other_unit == unit { "" } else { &other_unit };
    format!("{most}, {} {least}{least_unit} with {}", quick.profile, numbers::latency(*quick_us))
}

fn lead(groups: &[Group], bands: &[Band]) -> String {
    let points = || groups.iter().flat_map(|group| &group.points);
    let mut lead = String::from(
        "As fast as the queue takes them. Each small circle is a trial, at the median time of its transactions; large: \
         median of the trials, at the median time of all their transactions.",
    );
    if points().any(|point| point.range_us.is_some()) {
        lead.push_str(" A line: the shortest to the longest, where a trial has too few for a median.");
    }
    if !bands.is_empty() {
        lead.push_str(" Bands: without transactions, the interval of the median or, with too few trials, all of them.");
    }
    if points().any(|point| !point.used) {
        lead.push_str(" Hollow: left out (failed, invalid or never steady).");
    }
    lead
}

fn plot(canvas: &Canvas, groups: &[Group], bands: &[Band], top: f64, height: f64) {
    let (left, right, bottom) = (MARGIN + TICKS_WIDTH, WIDTH - MARGIN - LABELS_WIDTH - 16.0, top + height);
    let points = || groups.iter().flat_map(|group| &group.points);
    let most = points().map(|point| point.per_s).chain(bands.iter().map(|band| band.high)).fold(0.0, f64::max);
    let y = Scale::from_zero(most * 1.04, true, (bottom, top));
    let ends = points().flat_map(|point| {
        let (low, high) = point.range_us.unwrap_or((point.time_us, point.time_us));
        [low, high]
    });
    let (low, high) = ends.fold((f64::INFINITY, 0.0_f64), |(low, high), at| (low.min(at), high.max(at)));
    let x = Scale::logarithmic(low, high, (left, right));
    axes(canvas, &x, &y, (left, right), (top, bottom));
    for band in bands {
        canvas.rectangle((left, y.at(band.high)), (right, y.at(band.low)), band.style.colour, 0.18);
        let at = y.at(band.median);
        canvas.dashed(&[(left, at), (right, at)], band.style.colour, 1.8, band.style.dash);
    }
    for group in groups {
        if let Some((time_us, per_s)) = group.median {
            let at = (x.at(time_us), y.at(per_s));
            canvas.marker(group.style.marker, at, 8.0, INK, false);
            canvas.marker(group.style.marker, at, 6.4, group.style.colour, false);
        }
        for point in &group.points {
            let at = (x.at(point.time_us), y.at(point.per_s));
            if let Some((low, high)) = point.range_us {
                canvas.line((x.at(low), at.1), (x.at(high), at.1), group.style.colour, 1.6);
            }
            if point.used {
                // Ringed, so that it is seen on the mark of the median.
                canvas.marker(Marker::Circle, at, 4.2, INK, false);
                canvas.marker(Marker::Circle, at, 3.2, group.style.colour, false);
            } else {
                canvas.marker(Marker::Circle, at, 4.2, group.style.colour, true);
            }
        }
    }
    let label = |per_s: f64, name: &str, note: String, style: Style| Label {
        end: (right, y.at(per_s)),
        name: name.to_owned(),
        note,
        style,
    };
    let of_bands = bands.iter().map(|band| label(band.median, band.profile, band.note(), band.style));
    let of_groups = groups.iter().map(|group| label(group.height(), group.profile, group.note(), group.style));
    let labels: Vec<Label> = of_bands.chain(of_groups).collect();
    labels::draw(canvas, &labels, (right + 16.0, WIDTH - MARGIN), (top - 8.0, bottom + 8.0));
}

fn axes(canvas: &Canvas, x: &Scale, y: &Scale, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
    canvas.text((MARGIN, top - 16.0), "delivered messages per second (k = thousand, M = million)", SMALL);
    for tick in y.ticks() {
        canvas.line((left, y.at(tick)), (right, y.at(tick)), GRID, 1.0);
        canvas.text((left - 8.0, y.at(tick)), &numbers::tick(tick), SMALL.at(Anchor::Right));
    }
    let mut last_end = f64::NEG_INFINITY;
    for tick in x.ticks() {
        let label = numbers::latency_tick(tick);
        let (at, half) = (x.at(tick), SMALL.face.width(&label) / 2.0);
        canvas.line((at, top), (at, bottom), GRID, 1.0);
        if at - half > last_end + 6.0 {
            canvas.text((at, bottom + 13.0), &label, SMALL.at(Anchor::Middle));
            last_end = at + half;
        }
    }
    canvas.line((left, bottom), (right, bottom), INK, 1.2);
    let axis = "time of a transaction, from begin to committed (logarithmic)";
    canvas.text((f64::midpoint(left, right), bottom + 33.0), axis, SMALL.at(Anchor::Middle));
}
