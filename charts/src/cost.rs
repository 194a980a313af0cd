//! What a delivery setting costs: throughput relative to at-most-once, and often-quoted claims with their
//! answers.
//!
//! A claim compares two profiles directly, from trials of the same round, so it has an axis of its own: its
//! range is drawn as a band, the measured ratio with its interval against it.

use ackmark_schema::result::{Answer, Claim, Comparison, RunResult};

use crate::{
    canvas::{Canvas, Ink},
    facts, numbers, palette,
    rows::{Mark, Panel, Row},
    sheet::{BODY, Drawing, MARGIN, SMALL, Sheet, WIDTH},
};

/// What costs are relative to.
const BASELINE: &str = "at-most-once";
/// Most claims that are drawn; `result.json` has all.
const CLAIMS_MAX: usize = 4;
const LINE: f64 = 20.0;

/// Draws a phase; `with_claims` where its comparisons are those that claims rest on.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn draw(result: &RunResult, phase: &str, with_claims: bool) -> Result<Drawing, String> {
    let compared: Vec<&Comparison> = facts::profiles(result)
        .into_iter()
        .filter_map(|profile| facts::comparison(result, phase, profile, BASELINE))
        .collect();
    let claims: Vec<ClaimPanel> = result
        .claims
        .iter()
        .filter(|_| with_claims)
        .take(CLAIMS_MAX)
        .map(|claim| ClaimPanel::new(result, phase, claim))
        .collect();
    if compared.is_empty() && claims.iter().all(|claim| claim.rows[0].bar.is_none()) {
        return Err(format!("phase {phase} has no pair of trials to compare with {BASELINE} or for a claim"));
    }
    let rows: Vec<Row> = compared.iter().map(|entry| row(result, entry)).collect();
    let costs = (!rows.is_empty()).then_some(Panel {
        rows: &rows,
        mark: Some(Mark { from: 1.0, to: 1.0, name: format!("{BASELINE} = 1") }),
        axis: "delivered messages per second, relative to at-most-once",
        tick: numbers::tick,
        row_height: 46.0,
        bars: true,
    });
    let costs_height = costs.as_ref().map_or(0.0, Panel::height);
    let body = costs_height + claims.iter().map(ClaimPanel::height).sum::<f64>();
    let figure = |row: &Row| format!("{}: {}, {}", row.name, row.figure, row.figure_note);
    let sheet = Sheet {
        notices: facts::notices(result),
        conditions: facts::conditions(result),
        title: title(&compared, result.claims.first()),
        lead: lead(&compared),
        figures: rows.iter().map(figure).chain(claims.iter().map(ClaimPanel::words)).collect(),
        notes: Vec::new(),
    };
    Ok(sheet.draw(body, |canvas, top| {
        if let Some(costs) = &costs {
            costs.draw(canvas, top);
        }
        let mut y = top + costs_height;
        for claim in &claims {
            claim.draw(canvas, y);
            y += claim.height();
        }
    }))
}

fn row(result: &RunResult, entry: &Comparison) -> Row {
    let interval = facts::interval(entry.low, entry.high);
    let pairs = numbers::of(entry.pairs.into(), "pair");
    Row {
        name: entry.profile.clone(),
        note: facts::setting(result, &entry.profile).unwrap_or_default(),
        style: palette::style(facts::position(result, &entry.profile)),
        bar: Some(entry.ratio),
        interval,
        trials: Vec::new(),
        figure: figure(entry.ratio, interval),
        figure_note: if interval.is_some() { pairs } else { format!("{pairs}, no interval") },
    }
}

fn figure(ratio: f64, interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, high)) => format!("{} [{}]", numbers::ratio(ratio), numbers::ratios(low, high)),
        None => numbers::ratio(ratio),
    }
}

fn title(compared: &[&Comparison], claim: Option<&Claim>) -> String {
    let one = |entry: &&Comparison| format!("{} {}", entry.profile, numbers::ratio(entry.ratio));
    let least = compared.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let most = compared.iter().max_by(|a, b| a.ratio.total_cmp(&b.ratio));
    match (compared.len(), least, most) {
        (1..=4, ..) => {
            let all: Vec<String> = compared.iter().map(one).collect();
            format!("Throughput relative to {BASELINE}: {}", all.join(", "))
        }
        (_, Some(least), Some(most)) => {
            format!("Throughput relative to {BASELINE}: from {} to {}", one(least), one(most))
        }
        _ => claim.map_or_else(
            || "Cost of delivery settings".into(),
            |claim| format!("Claim {}: {}", answer(claim.answer).1, claim.text),
        ),
    }
}

fn lead(compared: &[&Comparison]) -> String {
    let confidences: Vec<Option<f64>> = compared.iter().map(|entry| entry.confidence).collect();
    format!("Ratios from trials of the same round (Hodges-Lehmann); {}.", facts::confidence(&confidences, "ratio"))
}

/// A glyph and a word for an answer.
const fn answer(answer: Answer) -> (&'static str, &'static str) {
    match answer {
        Answer::Confirmed => ("✓", "confirmed"),
        Answer::Refuted => ("✗", "refuted"),
        Answer::Inconclusive => ("?", "inconclusive"),
    }
}

/// A claim with its measured ratio.
struct ClaimPanel<'a> {
    claim: &'a Claim,
    head: Vec<(String, Ink)>,
    rows: [Row; 1],
}

impl<'a> ClaimPanel<'a> {
    fn new(result: &RunResult, phase: &str, claim: &'a Claim) -> Self {
        let entry = facts::comparison(result, phase, &claim.profile, &claim.baseline);
        let (glyph, word) = answer(claim.answer);
        let inner = WIDTH - 2.0 * MARGIN;
        let lines = |text: &str, ink: Ink, most: usize| -> Vec<(String, Ink)> {
            let text = crate::font::drawable(text);
            ink.face.wrap(&text, inner, most).into_iter().map(|line| (line, ink)).collect()
        };
        let mut head = lines(&format!("Claim: “{}”", claim.text), BODY.bold(), 3);
        head.extend(lines(&format!("{glyph} {word}: {}", claim.reason), BODY, 3));
        let mut row = entry.map_or_else(|| unmeasured(result, claim), |entry| row(result, entry));
        row.name.clone_from(&claim.profile);
        row.note = format!("relative to {}", claim.baseline);
        Self { claim, head, rows: [row] }
    }

    fn panel(&self) -> Panel<'_> {
        let (low, high) = (self.claim.claimed_low, self.claim.claimed_high);
        let sound = low.is_finite() && high.is_finite() && low >= 0.0 && high > low;
        Panel {
            rows: &self.rows,
            mark: sound
                .then(|| Mark { from: low, to: high, name: format!("claimed {}×", numbers::ratios(low, high)) }),
            axis: "ratio of delivered messages per second",
            tick: numbers::tick,
            row_height: 50.0,
            bars: false,
        }
    }

    fn head_height(&self) -> f64 {
        12.0 + LINE * self.head.len() as f64 + 4.0
    }

    fn height(&self) -> f64 {
        self.head_height() + self.panel().height()
    }

    fn draw(&self, canvas: &Canvas, top: f64) {
        canvas.line((MARGIN, top + 4.0), (WIDTH - MARGIN, top + 4.0), palette::GRID, 1.0);
        for (at, (line, ink)) in self.head.iter().enumerate() {
            canvas.text((MARGIN, top + 12.0 + LINE * (at as f64 + 0.5)), line, *ink);
        }
        self.panel().draw(canvas, top + self.head_height());
    }

    fn words(&self) -> String {
        format!("Claim {}: {}. {}", self.claim.text, answer(self.claim.answer).1, self.claim.reason)
    }
}

fn unmeasured(result: &RunResult, claim: &Claim) -> Row {
    Row {
        name: claim.profile.clone(),
        note: String::new(),
        style: palette::style(facts::position(result, &claim.profile)),
        bar: None,
        interval: None,
        trials: Vec::new(),
        figure: "not measured".into(),
        figure_note: SMALL.face.fit("no pair of trials", 200.0),
    }
}
