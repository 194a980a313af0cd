//! Colours, dashes and markers: a profile is never told apart by colour alone.
//!
//! Colours are Okabe and Ito's (2008), which people with colour-vision deficiencies can tell apart; their
//! yellow is left out, being too faint for lines on white.

use plotters::style::RGBColor;

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(0x1a, 0x1a, 0x1a);
/// Text of less weight: 7.5:1 against white.
pub(crate) const GREY: RGBColor = RGBColor(0x55, 0x55, 0x55);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// Shaded ranges, leaders.
pub(crate) const SHADE: RGBColor = RGBColor(0x99, 0x99, 0x99);
/// Notices.
pub(crate) const ALARM: RGBColor = RGBColor(0xa8, 0x3a, 0x00);
/// Claims under test.
pub(crate) const CLAIM: RGBColor = RGBColor(0xe6, 0x9f, 0x00);

/// Parts of a whole, in their order: from light to dark, so that they are told apart without colour too.
pub(crate) const PARTS: [RGBColor; 3] =
    [RGBColor(0xa6, 0xd8, 0xf4), RGBColor(0xd5, 0x8a, 0x00), RGBColor(0x1f, 0x3a, 0x5f)];

const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x00, 0x00, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xe6, 0x9f, 0x00),
];

/// A dash pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dash {
    Solid,
    Long,
    Short,
    Dots,
    Sparse,
}

impl Dash {
    const ALL: [Self; 5] = [Self::Solid, Self::Long, Self::Short, Self::Dots, Self::Sparse];

    /// Mark and gap in pixels; none when solid.
    pub(crate) const fn lengths(self) -> Option<(f64, f64)> {
        match self {
            Self::Solid => None,
            Self::Long => Some((12.0, 4.0)),
            Self::Short => Some((6.0, 3.5)),
            Self::Dots => Some((2.5, 2.5)),
            Self::Sparse => Some((12.0, 9.0)),
        }
    }
}

/// The shape of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
}

impl Marker {
    const ALL: [Self; 5] = [Self::Circle, Self::Square, Self::Up, Self::Diamond, Self::Down];

    /// Corners for a radius of one; none for a circle.
    pub(crate) const fn corners(self) -> &'static [(f64, f64)] {
        match self {
            Self::Circle => &[],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Up => &[(0.0, -1.1), (1.1, 0.9), (-1.1, 0.9)],
            Self::Diamond => &[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)],
            Self::Down => &[(0.0, 1.1), (1.1, -0.9), (-1.1, -0.9)],
        }
    }
}

/// How a profile is drawn, in every chart of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    pub(crate) colour: RGBColor,
    pub(crate) dash: Dash,
    pub(crate) marker: Marker,
}

/// The style of the profile at `position` among a result's profiles: different for the first 35.
pub(crate) fn style(position: usize) -> Style {
    Style {
        colour: COLOURS[position % COLOURS.len()],
        dash: Dash::ALL[position % Dash::ALL.len()],
        marker: Marker::ALL[position % Marker::ALL.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_35_profiles_look_different() {
        for later in 0..35 {
            assert!((0..later).all(|earlier| style(earlier) != style(later)), "{later}");
        }
    }
}
