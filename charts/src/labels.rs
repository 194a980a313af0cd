//! Labels beside lines: as near to their line as they can be without touching each other.

use crate::{
    canvas::{Canvas, Point},
    palette::{SHADE, Style},
    sheet::{BODY, SMALL},
};

/// Height of a label of two lines.
pub(crate) const HEIGHT: f64 = 38.0;
/// From the leader's end to the label's text.
const INDENT: f64 = 18.0;

/// A label of a line.
pub(crate) struct Label {
    /// Where the line ends.
    pub(crate) end: Point,
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) style: Style,
}

/// Draws labels in the column from `left` to `right`, between `top` and `bottom`, each with a leader.
pub(crate) fn draw(canvas: &Canvas, labels: &[Label], (left, right): (f64, f64), (top, bottom): (f64, f64)) {
    let wanted: Vec<f64> = labels.iter().map(|label| label.end.1).collect();
    let width = right - left - INDENT;
    for (label, y) in labels.iter().zip(spread(&wanted, HEIGHT, top, bottom)) {
        canvas.path(&[label.end, (left - 8.0, y), (left, y)], SHADE, 0.7, 0.8);
        canvas.marker(label.style.marker, (left + 7.0, y), 5.0, label.style.colour, false);
        let name = BODY.bold();
        canvas.text((left + INDENT, y - 8.5), &name.face.fit_ends(&label.name, width), name);
        canvas.text((left + INDENT, y + 8.5), &SMALL.face.fit(&label.note, width), SMALL);
    }
}

/// Centres of labels of a height, near to the wanted ones, between `top` and `bottom`, without overlap where
/// there is room for all.
fn spread(wanted: &[f64], height: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut centres: Vec<f64> = Vec::with_capacity(wanted.len());
    for &at in &order {
        let least = centres.last().map_or(top + height / 2.0, |last| last + height);
        centres.push(wanted[at].max(least));
    }
    let mut most = bottom - height / 2.0;
    for centre in centres.iter_mut().rev() {
        *centre = centre.min(most);
        most = *centre - height;
    }
    let mut placed = vec![0.0; wanted.len()];
    for (at, centre) in order.into_iter().zip(centres) {
        placed[at] = centre;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_inside() {
        for wanted in [vec![50.0; 5], vec![0.0, 199.0, 100.0], vec![200.0, 199.0, 198.0], vec![]] {
            let placed = spread(&wanted, 20.0, 0.0, 200.0);
            assert!(placed.iter().all(|y| (10.0..=190.0).contains(y)), "{placed:?}");
            for (at, y) in placed.iter().enumerate() {
                assert!(placed[..at].iter().all(|other| (other - y).abs() > 19.99), "{placed:?}");
            }
        }
        assert_eq!(spread(&[30.0, 120.0], 20.0, 0.0, 200.0), [30.0, 120.0]);
    }
}
