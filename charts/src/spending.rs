//! How the time of a transaction is spent: sending, flushing what is outstanding, committing; a bar per profile, whose
//! length is all of the time, since times of profiles differ by orders of magnitude.

use ackmark_schema::{
    latency::LatencySummary,
    result::{RunResult, TransactionSummary},
};
use plotters::style::RGBColor;

use crate::{
    canvas::{Anchor, Canvas},
    facts, numbers,
    palette::{GRID, INK, PARTS},
    scale::Scale,
    sheet::{BODY, GAP, MARGIN, SMALL, WIDTH},
    transactions::p50,
};

const ROW: f64 = 46.0;
const BAR: f64 = 22.0;
const NAME_MAX: f64 = 270.0;
const FIGURES_MAX: f64 = 330.0;
const HEAD: f64 = 40.0;
const FOOT: f64 = 46.0;
const NAMES: [&str; 3] = ["sending", "flush", "commit"];

/// A profile's transactions.
struct Row<'a> {
    profile: &'a str,
    /// What was asked for.
    asked: String,
    /// Sending, flush and commit, microseconds; or why they are not known.
    parts: Result<[f64; 3], String>,
    figure: String,
    note: String,
}

/// All rows.
pub(crate) struct Spending<'a> {
    rows: Vec<Row<'a>>,
}

impl<'a> Spending<'a> {
    /// Of those profiles that have a summary of their transactions.
    pub(crate) fn new(result: &RunResult, phase: &str, profiles: &[&'a str]) -> Self {
        let row = |profile: &&'a str| {
            let found = facts::summary(result, phase, profile)?.transactions.as_ref()?;
            Some(Row::new(profile, facts::transactions(result, profile)?, found))
        };
        Self { rows: profiles.iter().filter_map(row).collect() }
    }

    /// How high it will be, pixels; nothing is drawn without rows.
    pub(crate) fn height(&self) -> f64 {
        if self.rows.is_empty() { 0.0 } else { HEAD + ROW * self.rows.len() as f64 + FOOT }
    }

    /// The figures in words.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| format!("{} ({}): {}, {}", row.profile, row.asked, row.figure, row.note))
    }

    /// What the reader should know of the figures.
    pub(crate) fn notes(&self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        vec![
            "Flush and commit are medians over the transactions of all trials; sending is what they leave of the median from \
             begin to committed. Stalled: share of the measured time in which a transaction was being ended, so that nothing \
             could be sent."
                .into(),
        ]
    }

    /// Draws it from `top` downwards.
    pub(crate) fn draw(&self, canvas: &Canvas, top: f64) {
        if self.rows.is_empty() {
            return;
        }
        let name_ink = BODY.bold();
        let widest = |width: &dyn Fn(&Row) -> f64, most: f64| self.rows.iter().map(width).fold(0.0, f64::max).min(most);
        let names = widest(&|row| name_ink.face.width(row.profile).max(SMALL.face.width(&row.asked)), NAME_MAX);
        let figures = widest(&|row| name_ink.face.width(&row.figure).max(SMALL.face.width(&row.note)), FIGURES_MAX);
        let left = MARGIN + names.ceil() + 2.0 * GAP;
        let figures_left = WIDTH - MARGIN - figures.ceil();
        let scale = Scale::from_zero(100.0, true, (left, figures_left - 2.0 * GAP));
        let (rows_top, bottom) = (top + HEAD, top + HEAD + ROW * self.rows.len() as f64);
        legend(canvas, top);
        for tick in scale.ticks() {
            let x = scale.at(tick);
            canvas.line((x, rows_top), (x, bottom), GRID, 1.0);
            canvas.text((x, bottom + 13.0), &format!("{tick:.0}"), SMALL.at(Anchor::Middle));
        }
        canvas.line((left, rows_top), (left, bottom), INK, 1.2);
        let middle = f64::midpoint(left, scale.at(100.0));
        canvas.text((middle, bottom + 33.0), "% of a transaction's time", SMALL.at(Anchor::Middle));
        for (at, row) in self.rows.iter().enumerate() {
            let y = rows_top + ROW * (at as f64 + 0.5);
            canvas.text((MARGIN, y - 9.0), &name_ink.face.fit_ends(row.profile, names + 1.0), name_ink);
            canvas.text((MARGIN, y + 9.0), &SMALL.face.fit(&row.asked, names + 1.0), SMALL);
            canvas.text((figures_left, y - 9.0), &name_ink.face.fit(&row.figure, figures + 1.0), name_ink);
            canvas.text((figures_left, y + 9.0), &SMALL.face.fit(&row.note, figures + 1.0), SMALL);
            row.draw(canvas, &scale, y);
        }
    }
}

impl<'a> Row<'a> {
    fn new(profile: &'a str, asked: String, found: &TransactionSummary) -> Self {
        let parts = parts(found);
        let stalled = found
            .stalled_share
            .filter(|share| share.median.is_finite())
            .map_or_else(String::new, |share| format!(", stalled {}", numbers::percent(share.median)));
        let (figure, note) = match &parts {
            Ok(parts) => {
                let named = NAMES.iter().zip(parts).map(|(name, us)| format!("{name} {}", numbers::latency(*us)));
                let whole = numbers::latency(parts.iter().sum());
                (format!("{whole}{stalled}"), named.collect::<Vec<_>>().join(", "))
            }
            Err(why) => (format!("n/a{stalled}"), why.clone()),
        };
        Self { profile, asked, parts, figure, note }
    }

    fn draw(&self, canvas: &Canvas, scale: &Scale, y: f64) {
        let Ok(parts) = &self.parts else { return };
        let whole: f64 = parts.iter().sum();
        let mut until = 0.0;
        for (part, colour) in parts.iter().zip(PARTS) {
            let from = until;
            until += part / whole * 100.0;
            canvas.rectangle((scale.at(from), y - BAR / 2.0), (scale.at(until), y + BAR / 2.0), colour, 1.0);
        }
    }
}

/// Sending, flush and commit, microseconds.
///
/// # Errors
/// Why they are not known.
fn parts(found: &TransactionSummary) -> Result<[f64; 3], String> {
    let median = |times: &Option<LatencySummary>| {
        let times = times.as_ref().ok_or("the trials' logs of transactions are missing")?;
        p50(times).ok_or_else(|| {
            let needs = times.at(50.0).and_then(|entry| times.why_absent(entry));
            format!("{}: {}", numbers::of(times.count, "transaction"), needs.unwrap_or_else(|| "no median".into()))
        })
    };
    let (whole, flush, commit) = (median(&found.begin_to_committed)?, median(&found.flush)?, median(&found.commit)?);
    Ok([(whole - flush - commit).max(0.0), flush, commit])
}

fn legend(canvas: &Canvas, top: f64) {
    let ink = BODY.bold();
    canvas.text((MARGIN, top + 14.0), "How a transaction's time is spent, from left to right:", ink);
    let mut x = MARGIN + ink.face.width("How a transaction's time is spent, from left to right:") + 2.0 * GAP;
    for (name, colour) in NAMES.into_iter().zip(PARTS) {
        swatch(canvas, (x, top + 14.0), colour);
        canvas.text((x + 20.0, top + 14.0), name, BODY);
        x += 20.0 + BODY.face.width(name) + 2.0 * GAP;
    }
}

fn swatch(canvas: &Canvas, (x, y): (f64, f64), colour: RGBColor) {
    canvas.rectangle((x, y - 7.0), (x + 14.0, y + 7.0), colour, 1.0);
}
