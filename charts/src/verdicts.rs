//! What each profile's promise kept: a row per profile, a column per class of `schema`'s anomalies.
//!
//! A cell is an exact count, what it is out of, and a glyph: colour only repeats the glyph. Classes that
//! belong together share a column; a count in a column of several is their sum, its glyph their worst.

use ackmark_schema::{
    anomaly::Class,
    promise::Ruling,
    report::verify::{Examined, LedgerCounts, Verdict},
    result::{ProfileVerdict, Provider, RunResult, TrialFinding},
};
use plotters::style::RGBColor;

use crate::{
    canvas::{Anchor, Canvas},
    facts, numbers,
    palette::{GRID, INK},
    sheet::{BODY, Drawing, GAP, MARGIN, SMALL, Sheet, WIDTH},
};

const NAME_MAX: f64 = 190.0;
const ROW: f64 = 58.0;
const HEAD_LINE: f64 = 17.0;
const HEAD_LINES: f64 = 3.0;
const LEGEND: f64 = 30.0;
const DETAIL_LINE: f64 = 19.0;
/// Most lines about single classes below the table.
const DETAILS_MAX: usize = 8;

/// What a count is out of.
#[derive(Clone, Copy)]
enum Total {
    Acknowledged,
    Unacknowledged,
    InLog,
    Transactions,
    /// Its classes are counted in different things.
    None,
}

struct Column {
    name: &'static str,
    classes: &'static [Class],
    total: Total,
}

const COLUMNS: [Column; 9] = [
    Column { name: "lost", classes: &[Class::Lost], total: Total::Acknowledged },
    Column { name: "absent when closed", classes: &[Class::AbsentWhenClosed], total: Total::Unacknowledged },
    Column { name: "duplicates", classes: &[Class::DuplicateRetry, Class::DuplicateResend], total: Total::InLog },
    Column { name: "reordered", classes: &[Class::Reordered], total: Total::InLog },
    Column { name: "visible but aborted", classes: &[Class::AbortedVisible, Class::EarlyVisible], total: Total::InLog },
    Column { name: "torn", classes: &[Class::TornTransaction], total: Total::Transactions },
    Column { name: "corrupt", classes: &[Class::Corrupt], total: Total::InLog },
    Column { name: "phantom", classes: &[Class::Phantom], total: Total::InLog },
    Column {
        name: "all other classes",
        classes: &[
            Class::Expired,
            Class::FailedVisible,
            Class::CommittedInvisible,
            Class::StuckLso,
            Class::ZombieWrite,
            Class::InconsistentOffset,
            Class::NonMonotonicRead,
            Class::OffsetGap,
        ],
        total: Total::None,
    },
];

/// What a cell says; of several classes in a column the last of these is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    NotExamined,
    NoClaim,
    /// Allowed, and none found: weaker news than a promise that held.
    NoneFound,
    Held,
    Unprovoked,
    Allowed,
    Inconclusive,
    Broken,
}

impl Sign {
    const LEGEND: [Self; 7] = [
        Self::Held,
        Self::Unprovoked,
        Self::Allowed,
        Self::Broken,
        Self::Inconclusive,
        Self::NoClaim,
        Self::NotExamined,
    ];

    fn of(finding: &TrialFinding) -> Self {
        let count = match (&finding.verdict, &finding.examined) {
            (Verdict::Broken, _) => return Self::Broken,
            (_, Examined::NotExamined { .. }) => return Self::NotExamined,
            (_, Examined::Counted(count)) => *count,
        };
        match (finding.verdict, finding.ruling) {
            (Verdict::Inconclusive, _) => Self::Inconclusive,
            (_, Ruling::NoClaim) if count == 0 => Self::NoClaim,
            (_, Ruling::May) if count == 0 => Self::NoneFound,
            (_, Ruling::May | Ruling::NoClaim) => Self::Allowed,
            (Verdict::HeldUnprovoked, _) => Self::Unprovoked,
            (Verdict::Held, _) => Self::Held,
            // A promise that was not judged: nothing can be said of it.
            (Verdict::NotJudged | Verdict::Broken, _) => Self::Inconclusive,
        }
    }

    const fn glyph(self) -> &'static str {
        match self {
            Self::NotExamined => "–",
            Self::NoClaim => "·",
            Self::Held => "✓",
            Self::Unprovoked => "(✓)",
            Self::Allowed | Self::NoneFound => "○",
            Self::Inconclusive => "?",
            Self::Broken => "✗",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::NotExamined => "not examined",
            Self::NoClaim => "no claim",
            Self::Held => "held",
            Self::Unprovoked => "held, nothing tested it",
            Self::Allowed | Self::NoneFound => "allowed, counted",
            Self::Inconclusive => "inconclusive",
            Self::Broken => "broken",
        }
    }

    const fn tint(self) -> RGBColor {
        match self {
            Self::NotExamined | Self::NoClaim => RGBColor(0xf4, 0xf4, 0xf4),
            Self::Held => RGBColor(0xcf, 0xec, 0xe2),
            Self::Unprovoked => RGBColor(0xe8, 0xf5, 0xf0),
            Self::Allowed | Self::NoneFound => RGBColor(0xe3, 0xef, 0xf8),
            Self::Inconclusive => RGBColor(0xfb, 0xf1, 0xc4),
            Self::Broken => RGBColor(0xf6, 0xc9, 0xae),
        }
    }
}

struct Cell {
    sign: Sign,
    /// Absent when nothing was examined.
    count: Option<u64>,
    of: Option<u64>,
}

struct Row<'a> {
    name: &'a str,
    note: String,
    cells: Vec<Cell>,
}

/// Draws the table.
///
/// # Errors
/// Why there is nothing to draw.
pub(crate) fn draw(result: &RunResult) -> Result<Drawing, String> {
    if result.verdicts.is_empty() {
        return Err("no trial was verified".into());
    }
    let mut rows: Vec<Row> = facts::profiles(result).into_iter().map(|name| row(result, name)).collect();
    rows.retain(|row| !row.cells.is_empty());
    let details = details(result);
    let head = HEAD_LINE * HEAD_LINES + 8.0;
    let body = head + ROW * rows.len() as f64 + LEGEND + DETAIL_LINE * details.len() as f64;
    let sheet = Sheet {
        notices: facts::notices(result),
        conditions: facts::conditions(result),
        title: title(result),
        lead: "Each cell: how many, out of how many, and what the promise says of it; counts are over all trials.".into(),
        figures: rows.iter().map(words).collect(),
        notes: vec![
            "lost: acknowledged and not in the log; absent when closed: never acknowledged and not in the log. \
             Duplicates by a client's retry and by a resend. Visible but aborted includes visible before its commit; torn is counted in transactions."
                .into(),
        ],
    };
    Ok(sheet.draw(body, |canvas, top| {
        table(canvas, &rows, top, head);
        let mut y = top + head + ROW * rows.len() as f64 + LEGEND / 2.0 + 2.0;
        legend(canvas, y);
        y += LEGEND / 2.0 + DETAIL_LINE / 2.0;
        for line in &details {
            canvas.text((MARGIN, y), line, SMALL);
            y += DETAIL_LINE;
        }
    }))
}

fn row<'a>(result: &RunResult, name: &'a str) -> Row<'a> {
    let Some(verdict) = result.verdicts.iter().find(|verdict| verdict.profile == name) else {
        return Row { name, note: "not verified".into(), cells: COLUMNS.iter().map(|_| Cell::empty()).collect() };
    };
    let note = format!("{}, {}", verdict.verdict.label(), numbers::of(verdict.trials.into(), "trial"));
    Row { name, note, cells: COLUMNS.iter().map(|column| Cell::new(verdict, column)).collect() }
}

impl Cell {
    const fn empty() -> Self {
        Self { sign: Sign::NotExamined, count: None, of: None }
    }

    fn new(verdict: &ProfileVerdict, column: &Column) -> Self {
        let findings: Vec<&TrialFinding> =
            verdict.findings.iter().filter(|finding| column.classes.contains(&finding.class)).collect();
        let counts = findings.iter().filter_map(|finding| match finding.examined {
            Examined::Counted(count) => Some(count),
            Examined::NotExamined { .. } => None,
        });
        let Some(count) = counts.reduce(u64::saturating_add) else { return Self::empty() };
        let sign = findings.iter().map(|finding| Sign::of(finding)).max().unwrap_or(Sign::NotExamined);
        // Where nothing is claimed there is nothing that the zero would be out of.
        let of = if sign == Sign::NoClaim { None } else { column.total.of(verdict) };
        Self { sign, count: Some(count), of }
    }
}

impl Total {
    fn of(self, verdict: &ProfileVerdict) -> Option<u64> {
        let LedgerCounts { acknowledged, indeterminate, .. } = verdict.ledger;
        match self {
            Self::Acknowledged => Some(acknowledged),
            Self::Unacknowledged => Some(indeterminate),
            Self::InLog => Some(verdict.messages_in_log),
            Self::Transactions => {
                let ledger = verdict.ledger;
                Some(
                    ledger
                        .committed_transactions
                        .saturating_add(ledger.aborted_transactions)
                        .saturating_add(ledger.indeterminate_transactions),
                )
            }
            Self::None => None,
        }
    }
}

fn words(row: &Row) -> String {
    let cells = COLUMNS.iter().zip(&row.cells).map(|(column, cell)| {
        let count = cell.count.map_or_else(String::new, |count| format!(" {}", numbers::exact(count)));
        let of = cell.of.map_or_else(String::new, |of| format!(" of {}", numbers::exact(of)));
        format!("{}{count}{of} ({})", column.name, cell.sign.meaning())
    });
    format!("{} ({}): {}", row.name, row.note, cells.collect::<Vec<_>>().join(", "))
}

fn title(result: &RunResult) -> String {
    let tested = result.verdicts.iter().map(|verdict| verdict.ledger.reserved).fold(0, u64::saturating_add);
    let broken: Vec<String> = result
        .verdicts
        .iter()
        .flat_map(|verdict| broken(verdict).map(|what| format!("{}: {what}", verdict.profile)))
        .collect();
    let tested = format!("{} messages tested", numbers::count(tested));
    if let Some(first) = broken.first() {
        let more = if broken.len() > 1 { format!(" and {} more broken", broken.len() - 1) } else { String::new() };
        return format!("BROKEN: {first}{more}; {tested}");
    }
    let open = |wanted: Verdict| result.verdicts.iter().filter(|verdict| verdict.verdict == wanted).count();
    let inconclusive = open(Verdict::Inconclusive);
    if result.cluster.provider == Provider::Simulated {
        return format!("Inconclusive, as every simulated run is; {tested}");
    }
    if inconclusive > 0 {
        return format!(
            "Inconclusive for {inconclusive} of {}; {tested}",
            numbers::of(result.verdicts.len() as u64, "profile")
        );
    }
    let allowed = allowed(result);
    let found = if allowed.is_empty() { "no anomaly of any class was found".to_owned() } else { allowed };
    let judged = result.verdicts.len() - open(Verdict::NotJudged);
    if judged == 0 {
        return format!("No promise was judged; {found}; {tested}");
    }
    let which = if judged < result.profiles.len() { " that was judged" } else { "" };
    let provoked = if open(Verdict::HeldUnprovoked) == judged { ", but nothing put one to the test" } else { "" };
    format!("Every promise{which} held{provoked}; {found}; {tested}")
}

/// What broke a promise: `lost 12 of 1,000,000`.
fn broken(verdict: &ProfileVerdict) -> impl Iterator<Item = String> {
    let findings = verdict.findings.iter().filter(|finding| finding.verdict == Verdict::Broken);
    findings.map(|finding| {
        let column = COLUMNS.iter().find(|column| column.classes.contains(&finding.class));
        let of = column.and_then(|column| column.total.of(verdict));
        let of = of.map_or_else(String::new, |of| format!(" of {}", numbers::exact(of)));
        format!("{} {}{of}", finding.class.label(), counted(finding))
    })
}

/// What occurred and was allowed: `allowed: 3 duplicate (same attempt) with all-acks`.
fn allowed(result: &RunResult) -> String {
    let mut found: Vec<(u64, String)> = result
        .verdicts
        .iter()
        .flat_map(|verdict| verdict.findings.iter().map(move |finding| (verdict, finding)))
        .filter_map(|(verdict, finding)| match finding.examined {
            Examined::Counted(count) if count > 0 => {
                let text = format!("{} {} with {}", numbers::exact(count), finding.class.label(), verdict.profile);
                Some((count, text))
            }
            _ => None,
        })
        .collect();
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let texts: Vec<String> = found.into_iter().take(2).map(|(_, text)| text).collect();
    if texts.is_empty() { String::new() } else { format!("allowed: {}", texts.join(", ")) }
}

fn counted(finding: &TrialFinding) -> String {
    match &finding.examined {
        Examined::Counted(count) => numbers::exact(*count),
        Examined::NotExamined { .. } => "not examined".into(),
    }
}

/// Classes that were found, by name, where a column holds several or a promise was broken.
fn details(result: &RunResult) -> Vec<String> {
    let shares_column =
        |class: Class| COLUMNS.iter().any(|column| column.classes.len() > 1 && column.classes.contains(&class));
    let mut lines: Vec<String> = Vec::new();
    for verdict in &result.verdicts {
        for finding in &verdict.findings {
            let sign = Sign::of(finding);
            let found = matches!(finding.examined, Examined::Counted(count) if count > 0);
            if sign == Sign::Broken || (found && shares_column(finding.class)) {
                let (profile, class) = (&verdict.profile, finding.class.label());
                lines.push(format!("{} {profile}: {} × {class}", sign.glyph(), counted(finding)));
            }
        }
    }
    if lines.len() > DETAILS_MAX {
        let more = lines.len() - (DETAILS_MAX - 1);
        lines.truncate(DETAILS_MAX - 1);
        lines.push(format!("and {more} more in result.json"));
    }
    let mut lines: Vec<String> = lines.iter().map(|line| SMALL.face.fit(line, WIDTH - 2.0 * MARGIN)).collect();
    lines.extend(unexamined(result));
    lines
}

/// Classes in shared columns that some profile's trials could not observe: the column's count is without them.
fn unexamined(result: &RunResult) -> Vec<String> {
    let verdicts = &result.verdicts;
    let mut names: Vec<String> = Vec::new();
    for class in COLUMNS.iter().filter(|column| column.classes.len() > 1).flat_map(|column| column.classes) {
        let unseen = |verdict: &&ProfileVerdict| {
            let finding = verdict.findings.iter().find(|finding| finding.class == *class);
            finding.is_none_or(|finding| matches!(finding.examined, Examined::NotExamined { .. }))
        };
        match verdicts.iter().filter(unseen).count() {
            0 => {}
            all if all == verdicts.len() => names.push(class.label().into()),
            some => names.push(format!("{} ({some} of {} profiles)", class.label(), verdicts.len())),
        }
    }
    if names.is_empty() {
        return Vec::new();
    }
    SMALL.face.wrap(&format!("– not examined, in no count: {}", names.join(", ")), WIDTH - 2.0 * MARGIN, 4)
}

fn table(canvas: &Canvas, rows: &[Row], top: f64, head: f64) {
    let name_ink = BODY.bold();
    let widest = rows.iter().map(|row| name_ink.face.width(row.name).max(SMALL.face.width(&row.note)));
    let names = widest.fold(0.0, f64::max).min(NAME_MAX).ceil() + GAP;
    let width = (WIDTH - 2.0 * MARGIN - names) / COLUMNS.len() as f64;
    let left = |column: usize| MARGIN + names + width * column as f64;
    for (at, column) in COLUMNS.iter().enumerate() {
        let ink = SMALL.at(Anchor::Middle);
        let lines = ink.face.wrap(column.name, width - 4.0, HEAD_LINES as usize);
        let first = top + head - 6.0 - HEAD_LINE * (lines.len() as f64 - 0.5);
        for (line, text) in lines.iter().enumerate() {
            canvas.text((left(at) + width / 2.0, first + HEAD_LINE * line as f64), text, ink);
        }
    }
    for (at, row) in rows.iter().enumerate() {
        let y = top + head + ROW * (at as f64 + 0.5);
        canvas.text((MARGIN, y - 9.0), &name_ink.face.fit_ends(row.name, names - 4.0), name_ink);
        canvas.text((MARGIN, y + 9.0), &SMALL.face.fit(&row.note, names - 4.0), SMALL);
        for (column, cell) in row.cells.iter().enumerate() {
            let x = left(column);
            let inset = 1.5;
            let from = (x + inset, y - ROW / 2.0 + inset);
            canvas.rectangle(from, (x + width - inset, y + ROW / 2.0 - inset), cell.sign.tint(), 1.0);
            draw_cell(canvas, cell, (x + width / 2.0, y), width - 2.0 * inset - 4.0);
        }
    }
    let bottom = top + head + ROW * rows.len() as f64;
    canvas.line((MARGIN, bottom + 2.0), (WIDTH - MARGIN, bottom + 2.0), GRID, 1.0);
}

fn draw_cell(canvas: &Canvas, cell: &Cell, (x, y): (f64, f64), width: f64) {
    let glyph = cell.sign.glyph();
    let Some(count) = cell.count else {
        return canvas.text((x, y), glyph, BODY.at(Anchor::Middle));
    };
    let ink = BODY.bold().at(Anchor::Middle);
    let text = format!("{glyph} {}", numbers::exact(count));
    let text = if ink.face.width(&text) <= width { text } else { format!("{glyph} {}", numbers::short(count as f64)) };
    let Some(of) = cell.of else { return canvas.text((x, y), &text, ink) };
    canvas.text((x, y - 9.0), &text, ink);
    let small = SMALL.at(Anchor::Middle);
    let of = if of < 10_000 { numbers::exact(of) } else { numbers::short(of as f64) };
    canvas.text((x, y + 10.0), &small.face.fit(&format!("of {of}"), width), small);
}

fn legend(canvas: &Canvas, y: f64) {
    let mut x = MARGIN;
    for sign in Sign::LEGEND {
        let text = format!("{} {}", sign.glyph(), sign.meaning());
        let width = SMALL.face.width(&text);
        canvas.rectangle((x, y - 10.0), (x + width + 12.0, y + 10.0), sign.tint(), 1.0);
        canvas.text((x + 6.0, y), &text, crate::canvas::Ink { colour: INK, ..SMALL });
        x += width + 12.0 + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_in_one_column() {
        for class in Class::ALL {
            let columns = COLUMNS.iter().filter(|column| column.classes.contains(&class));
            assert_eq!(columns.count(), 1, "{class:?}");
        }
    }
}
