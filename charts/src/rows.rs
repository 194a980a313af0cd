//! Horizontal bars, one per profile: name at the left, figures at the right, a zero-based axis below.
//!
//! Names and figures have columns of their own, measured beforehand, so that they never meet the bars.

use plotters::style::RGBColor;

use crate::{
    canvas::{Anchor, Canvas},
    palette::{CLAIM, GREY, GRID, INK, Marker, Style},
    scale::Scale,
    sheet::{BODY, GAP, MARGIN, SMALL, WIDTH},
};

const BAR: f64 = 26.0;
const NAME_MAX: f64 = 290.0;
const FIGURES_MAX: f64 = 260.0;
/// Room above the rows for the names of marks.
const HEAD: f64 = 22.0;
/// Room below the rows for ticks and the axis' name.
const FOOT: f64 = 46.0;

/// One profile.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) style: Style,
    pub(crate) bar: Option<f64>,
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) trials: Vec<TrialPoint>,
    /// The figure in words.
    pub(crate) figure: String,
    pub(crate) figure_note: String,
}

/// One trial.
pub(crate) struct TrialPoint {
    pub(crate) value: f64,
    pub(crate) used: bool,
}

/// A range or a line that bars are held against.
pub(crate) struct Mark {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) name: String,
}

/// Rows on one axis.
pub(crate) struct Panel<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) mark: Option<Mark>,
    pub(crate) axis: &'a str,
    pub(crate) tick: fn(f64) -> String,
    pub(crate) row_height: f64,
    /// Whether values are bars; otherwise they are marks, so that a shaded range stays in sight.
    pub(crate) bars: bool,
}

impl Panel<'_> {
    /// How high it will be, pixels.
    pub(crate) fn height(&self) -> f64 {
        self.head() + self.row_height * self.rows.len() as f64 + FOOT
    }

    fn head(&self) -> f64 {
        if self.mark.is_some() { HEAD } else { 4.0 }
    }

    /// Draws it from `top` downwards.
    pub(crate) fn draw(&self, canvas: &Canvas, top: f64) {
        let widest = |texts: &dyn Fn(&Row) -> f64, most: f64| self.rows.iter().map(texts).fold(0.0, f64::max).min(most);
        let name_ink = BODY.bold();
        let names = widest(&|row| name_ink.face.width(&row.name).max(SMALL.face.width(&row.note)), NAME_MAX);
        let figures =
            widest(&|row| name_ink.face.width(&row.figure).max(SMALL.face.width(&row.figure_note)), FIGURES_MAX);
        let left = MARGIN + names.ceil() + 2.0 * GAP;
        let right = WIDTH - MARGIN - figures.ceil() - 2.0 * GAP;
        let scale = Scale::from_zero(self.largest() * 1.02, true, (left, right));
        let rows_top = top + self.head();
        let bottom = rows_top + self.row_height * self.rows.len() as f64;

        self.draw_mark_range(canvas, &scale, (rows_top, bottom));
        self.draw_axis(canvas, &scale, (rows_top, bottom));
        for (at, row) in self.rows.iter().enumerate() {
            let y = rows_top + self.row_height * (at as f64 + 0.5);
            canvas.text((MARGIN, y - 9.0), &name_ink.face.fit_ends(&row.name, names + 1.0), name_ink);
            canvas.text((MARGIN, y + 9.0), &SMALL.face.fit_ends(&row.note, names + 1.0), SMALL);
            draw_row(canvas, row, &scale, y, self.bars);
            let x = WIDTH - MARGIN - figures.ceil();
            canvas.text((x, y - 9.0), &name_ink.face.fit(&row.figure, figures + 1.0), name_ink);
            canvas.text((x, y + 9.0), &SMALL.face.fit(&row.figure_note, figures + 1.0), SMALL);
        }
        self.draw_mark_name(canvas, &scale, (left, right), (rows_top, bottom));
    }

    fn largest(&self) -> f64 {
        let of_row = |row: &Row| {
            let trials = row.trials.iter().map(|trial| trial.value);
            row.bar.into_iter().chain(row.interval.map(|(_, high)| high)).chain(trials).fold(0.0, f64::max)
        };
        let mark = self.mark.as_ref().map_or(0.0, |mark| mark.to);
        self.rows.iter().map(of_row).fold(mark, f64::max)
    }

    fn draw_axis(&self, canvas: &Canvas, scale: &Scale, (top, bottom): (f64, f64)) {
        let ink = SMALL.at(Anchor::Middle);
        for value in scale.ticks() {
            let x = scale.at(value);
            canvas.line((x, top), (x, bottom), GRID, 1.0);
            canvas.text((x, bottom + 13.0), &(self.tick)(value), ink);
        }
        let (left, right) = (scale.at(0.0), scale.at(f64::MAX));
        canvas.line((left, top), (left, bottom), INK, 1.2);
        canvas.text((f64::midpoint(left, right), bottom + 33.0), self.axis, ink);
    }

    fn draw_mark_range(&self, canvas: &Canvas, scale: &Scale, (top, bottom): (f64, f64)) {
        if let Some(mark) = &self.mark
            && mark.to > mark.from
        {
            canvas.rectangle((scale.at(mark.from), top), (scale.at(mark.to), bottom), CLAIM, 0.35);
        }
    }

    /// Over the bars, so that it stays visible; its name above, kept inside of the plot.
    fn draw_mark_name(&self, canvas: &Canvas, scale: &Scale, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        let Some(mark) = &self.mark else { return };
        for end in [mark.from, mark.to] {
            let x = scale.at(end);
            canvas.dashed(&[(x, top), (x, bottom)], GREY, 1.4, crate::palette::Dash::Short);
        }
        let half = SMALL.face.width(&mark.name) / 2.0;
        let middle = f64::midpoint(scale.at(mark.from), scale.at(mark.to));
        let x = middle.min(right + 2.0 * GAP - half).max(left + half);
        canvas.text((x, top - HEAD / 2.0), &mark.name, SMALL.at(Anchor::Middle));
    }
}

fn draw_row(canvas: &Canvas, row: &Row, scale: &Scale, y: f64, bars: bool) {
    if let Some(value) = row.bar
        && bars
    {
        let (from, to) = ((scale.at(0.0), y - BAR / 2.0), (scale.at(value), y + BAR / 2.0));
        canvas.rectangle(from, to, row.style.colour, 0.35);
        canvas.line((to.0, from.1), to, row.style.colour, 3.0);
    }
    let count = row.trials.len();
    for (at, trial) in row.trials.iter().enumerate() {
        // Spread over the bar in the order of rounds, so that equal trials do not hide each other.
        let share = if count < 2 { 0.0 } else { at as f64 / (count - 1) as f64 - 0.5 };
        let at = (scale.at(trial.value), y + share * (BAR - 4.0));
        canvas.marker(Marker::Circle, at, 3.6, dark(row.style.colour), !trial.used);
    }
    if let Some((low, high)) = row.interval {
        canvas.whisker((scale.at(low), scale.at(high)), y, INK);
    }
    if let Some(value) = row.bar
        && !bars
    {
        canvas.marker(row.style.marker, (scale.at(value), y), 7.0, row.style.colour, false);
    }
}

/// Darker, so that points stand out from their bar.
fn dark(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let darker = |part: u8| (u16::from(part) * 7 / 10) as u8;
    RGBColor(darker(r), darker(g), darker(b))
}
