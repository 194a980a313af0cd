//! The frame of every chart: the finding as title, how to read it, notices; the conditions at the foot.
//!
//! Heights follow from the texts, so that nothing is clipped: a chart grows downwards.

use crate::{
    canvas::{self, Canvas, Ink},
    font,
    palette::{ALARM, GREY, INK},
};

/// Width of every chart, pixels: about a README's, so that text stays readable there.
pub(crate) const WIDTH: f64 = 960.0;
/// Left and right of everything.
pub(crate) const MARGIN: f64 = 24.0;
/// Between texts and what they belong to.
pub(crate) const GAP: f64 = 10.0;

/// Texts of a chart's body.
pub(crate) const BODY: Ink = Ink::new(14.0, INK);
/// Texts of less weight; the smallest size.
pub(crate) const SMALL: Ink = Ink::new(13.0, GREY);

const TITLE: Ink = Ink::new(20.0, INK).bold();
const LEAD: Ink = Ink::new(14.0, GREY);
const NOTICE: Ink = Ink::new(14.0, ALARM).bold();

const TITLE_LINE: f64 = 27.0;
const LINE: f64 = 20.0;
const FOOT_LINE: f64 = 18.0;
const INNER: f64 = WIDTH - 2.0 * MARGIN;

/// A drawn chart.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// What it found.
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// What a chart says around its body.
pub(crate) struct Sheet {
    /// What must be known before anything else.
    pub(crate) notices: Vec<String>,
    /// Under which it was measured, for the foot.
    pub(crate) conditions: String,
    /// What was found.
    pub(crate) title: String,
    /// What is drawn and how to read it.
    pub(crate) lead: String,
    /// The figures in words, for those who do not see the picture.
    pub(crate) figures: Vec<String>,
    /// More for the foot, before the conditions.
    pub(crate) notes: Vec<String>,
}

impl Sheet {
    /// Draws a chart whose body is `body` pixels high; `draw` is given the body's upper edge.
    pub(crate) fn draw(self, body: f64, draw: impl FnOnce(&Canvas, f64)) -> Drawing {
        let drawable = |text: &str| font::drawable(text);
        let wrap = |ink: Ink, text: &str, lines: usize| ink.face.wrap(&drawable(text), INNER, lines);
        let title = wrap(TITLE, &self.title, 4);
        let notices: Vec<String> = self.notices.iter().flat_map(|text| wrap(NOTICE, text, 2)).collect();
        let lead = wrap(LEAD, &self.lead, 4);
        let mut foot: Vec<String> = self.notes.iter().flat_map(|note| wrap(SMALL, note, 4)).collect();
        foot.extend(wrap(SMALL, &self.conditions, 5));

        let top = 18.0 + TITLE_LINE * title.len() as f64 + LINE * (notices.len() + lead.len()) as f64 + GAP;
        let foot_top = top + body + 14.0;
        let height = (foot_top + FOOT_LINE * foot.len() as f64 + 14.0).ceil();
        let description = self.description();
        let svg = canvas::svg(WIDTH, height, &drawable(&self.title), &drawable(&description), |canvas| {
            let mut y = 18.0;
            let mut lines = |lines: &[String], ink: Ink, height: f64| {
                for line in lines {
                    canvas.text((MARGIN, y + height / 2.0), line, ink);
                    y += height;
                }
            };
            lines(&title, TITLE, TITLE_LINE);
            lines(&notices, NOTICE, LINE);
            lines(&lead, LEAD, LINE);
            draw(canvas, top);
            for (at, line) in foot.iter().enumerate() {
                canvas.text((MARGIN, foot_top + FOOT_LINE * (at as f64 + 0.5)), line, SMALL);
            }
        });
        Drawing { title: self.title, svg }
    }

    /// What the picture says, for those who do not see it.
    fn description(&self) -> String {
        let texts = [self.lead.as_str()].into_iter().chain(self.figures.iter().map(String::as_str));
        let texts = texts.chain(self.notes.iter().map(String::as_str)).chain([self.conditions.as_str()]);
        texts.map(|text| format!("{}.", text.trim_end_matches('.'))).collect::<Vec<_>>().join(" ")
    }
}
