//! The bundled font: how wide a text is, and how to break or cut it to fit.
//!
//! Model: the font's layout tables are stripped, so a text is as wide as the sum of its advances. A
//! viewer of the SVG without `DejaVu` Sans falls back to Verdana, whose widths differ by a few per cent.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb;
use skrifa::{
    FontRef, MetadataProvider,
    instance::{LocationRef, Size},
};

/// The font families named in an SVG.
pub(crate) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

const REGULAR: &[u8] = include_bytes!("../fonts/DejaVuSans-subset.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/DejaVuSans-Bold-subset.ttf");
/// Stands for a character that the font does not have.
const MISSING: char = '□';
const ELLIPSIS: char = '…';

static FACES: LazyLock<[FontRef<'static>; 2]> =
    LazyLock::new(|| [REGULAR, BOLD].map(|data| FontRef::new(data).expect("a bundled font is read in a test")));

/// How large and how heavy a text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Face {
    /// Height of an em, pixels.
    pub(crate) size: f64,
    pub(crate) bold: bool,
}

impl Face {
    /// Width of `text`, pixels.
    pub(crate) fn width(self, text: &str) -> f64 {
        let font = &FACES[usize::from(self.bold)];
        let charmap = font.charmap();
        let metrics = font.glyph_metrics(Size::new(self.size as f32), LocationRef::default());
        text.chars()
            .map(|c| charmap.map(c).and_then(|glyph| metrics.advance_width(glyph)).unwrap_or_default())
            .map(f64::from)
            .sum()
    }

    /// `text`, or as much of its beginning as fits with an ellipsis.
    pub(crate) fn fit(self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut cut: Vec<char> = text.chars().collect();
        while cut.pop().is_some() {
            let shorter: String = cut.iter().collect::<String>().trim_end().chars().chain([ELLIPSIS]).collect();
            if self.width(&shorter) <= width {
                return shorter;
            }
        }
        String::new()
    }

    /// `text`, or its beginning and its end: names that differ in their last letters stay apart.
    pub(crate) fn fit_ends(self, text: &str, width: f64) -> String {
        let letters: Vec<char> = text.chars().collect();
        let shortened = |kept: usize| -> String {
            let (head, tail) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
            head.iter().chain([&ELLIPSIS]).chain(tail).collect()
        };
        if self.width(text) <= width {
            return text.to_owned();
        }
        (0..letters.len()).rev().map(shortened).find(|text| self.width(text) <= width).unwrap_or_default()
    }

    /// `text` in lines no wider than `width`, broken at spaces (not at non-breaking ones), inside of words that are too long; what
    /// does not fit `lines_max` lines is cut with an ellipsis.
    pub(crate) fn wrap(self, text: &str, width: f64, lines_max: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()).flat_map(|word| self.pieces(word, width)) {
            match lines.last_mut() {
                Some(line) if self.width(&format!("{line} {word}")) <= width => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        if lines.len() > lines_max {
            lines.truncate(lines_max);
            if let Some(last) = lines.last_mut() {
                *last = self.fit(&format!("{last}{ELLIPSIS}"), width);
            }
        }
        lines
    }

    /// A word in pieces that each fit.
    fn pieces(self, word: &str, width: f64) -> Vec<String> {
        let mut pieces = vec![String::new()];
        for c in word.chars() {
            let last = pieces.last_mut().expect("there is always a piece");
            last.push(c);
            if self.width(last) > width && last.chars().count() > 1 {
                last.pop();
                pieces.push(c.to_string());
            }
        }
        pieces
    }
}

/// `text` in characters that the font has: line breaks and tabs are spaces, what is missing is `□`.
pub(crate) fn drawable(text: &str) -> String {
    let charmap = FACES[0].charmap();
    text.chars()
        .map(|c| match c {
            c if c.is_whitespace() && charmap.map(c).is_none() => ' ',
            c if charmap.map(c).is_none() => MISSING,
            c => c,
        })
        .collect()
}

/// The bundled faces, for drawing an SVG.
pub(crate) fn database() -> Arc<fontdb::Database> {
    static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
        let mut database = fontdb::Database::new();
        database.load_font_data(REGULAR.to_vec());
        database.load_font_data(BOLD.to_vec());
        Arc::new(database)
    });
    Arc::clone(&DATABASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Face = Face { size: 14.0, bold: false };

    #[test]
    fn both_faces_are_there_and_bold_is_wider() {
        assert_eq!(database().len(), 2);
        let bold = Face { bold: true, ..BODY };
        // DejaVu Sans: the advance of "0" is 1303 of 2048 units.
        assert!((BODY.width("0") - 14.0 * 1303.0 / 2048.0).abs() < 0.01);
        assert!(bold.width("transactional") > BODY.width("transactional"));
    }

    #[test]
    fn every_sign_of_the_charts_is_in_the_font() {
        let signs = "✓✗○●–—−±×µ≤≥≈…·“”‘’→■▲◆▼□% [](),.;:/@=²";
        let without = signs.replace(MISSING, "");
        assert_eq!(drawable(&without), without);
        assert_eq!(drawable("a\n漢"), "a □");
    }

    #[test]
    fn text_is_broken_and_cut_to_its_width() {
        let lines = BODY.wrap("a run of words and one-very-long-word-that-fits-nowhere-at-all", 100.0, 99);
        assert!(lines.len() > 4 && lines.iter().all(|line| BODY.width(line) <= 100.0), "{lines:?}");
        let cut = BODY.wrap("a run of words that goes on and on and on", 100.0, 2);
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with(ELLIPSIS) && BODY.width(&cut[1]) <= 100.0, "{cut:?}");
        assert_eq!(BODY.fit("short", 100.0), "short");
        assert!(BODY.fit("much too long for it", 60.0).ends_with(ELLIPSIS));
        let ends = BODY.fit_ends("a-long-name-1", 60.0);
        assert!(ends.starts_with('a') && ends.ends_with('1') && BODY.width(&ends) <= 60.0, "{ends}");
        assert_eq!(BODY.fit_ends("short", 100.0), "short");
        assert_eq!(BODY.fit_ends("short", 0.0), "");
        assert!(BODY.wrap("", 10.0, 2).is_empty());
    }
}
