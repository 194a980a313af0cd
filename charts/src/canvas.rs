//! A drawing surface in pixels over plotters' SVG backend.
//!
//! plotters works in whole numbers, so the surface is divided in tenths of a pixel and the SVG's
//! `viewBox` scales them back. Texts are anchored at their vertical centre. Drawing into a string cannot
//! fail.

use plotters::{
    coord::Shift,
    element::{Circle, DashedPathElement, Drawable, PathElement, PointCollection, Polygon, Rectangle, Text},
    prelude::{DrawingArea, FontStyle, IntoDrawingArea, IntoFont, RGBColor, SVGBackend, ShapeStyle, TextStyle},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    font::{self, Face},
    palette::{Dash, Marker},
};

/// Parts of a pixel.
const UNITS: f64 = 10.0;
/// plotters writes a font's size divided by this.
const FONT_FACTOR: f64 = 1.24;

/// A position, pixels from the upper left.
pub(crate) type Point = (f64, f64);

/// Where a text's `x` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Left,
    Middle,
    Right,
}

/// How a text is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink {
    pub(crate) face: Face,
    pub(crate) colour: RGBColor,
    pub(crate) anchor: Anchor,
}

impl Ink {
    pub(crate) const fn new(size: f64, colour: RGBColor) -> Self {
        Self { face: Face { size, bold: false }, colour, anchor: Anchor::Left }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { face: Face { bold: true, ..self.face }, ..self }
    }

    pub(crate) const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

/// A drawing surface.
pub(crate) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws an SVG of `width` by `height` pixels on white, with a title and a description for screen readers.
pub(crate) fn svg(width: f64, height: f64, title: &str, description: &str, draw: impl FnOnce(&Canvas)) -> String {
    let mut body = String::new();
    {
        let size = ((width * UNITS) as u32, (height * UNITS) as u32);
        let canvas = Canvas { area: SVGBackend::with_string(&mut body, size).into_drawing_area() };
        canvas.rectangle((0.0, 0.0), (width, height), plotters::style::WHITE, 1.0);
        draw(&canvas);
        canvas.area.present().expect("drawing into a string cannot fail");
    }
    // plotters gives its SVG neither role nor title.
    let (_, elements) = body.split_once(">\n").expect("an SVG begins with its tag");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"title desc\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {} {}\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n\
         {elements}",
        width * UNITS,
        height * UNITS,
        escaped(title),
        escaped(description),
    )
}

impl Canvas<'_> {
    fn draw<E>(&self, element: &E)
    where
        for<'b> &'b E: PointCollection<'b, (i32, i32)>,
        for<'b> E: Drawable<SVGBackend<'b>>,
    {
        self.area.draw(element).expect("drawing into a string cannot fail");
    }

    /// A line of text; `at` is its vertical centre.
    pub(crate) fn text(&self, at: Point, text: &str, ink: Ink) {
        let horizontal = match ink.anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let style = if ink.face.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = (font::FAMILY, ink.face.size * UNITS * FONT_FACTOR).into_font().style(style);
        let style = TextStyle::from(font).color(&ink.colour).pos(Pos::new(horizontal, VPos::Center));
        self.draw(&Text::new(font::drawable(text), units(at), style));
    }

    /// A straight line.
    pub(crate) fn line(&self, from: Point, to: Point, colour: RGBColor, width: f64) {
        self.path(&[from, to], colour, 1.0, width);
    }

    /// Connected lines; `opacity` from 0 to 1.
    pub(crate) fn path(&self, points: &[Point], colour: RGBColor, opacity: f64, width: f64) {
        let points: Vec<_> = points.iter().map(|at| units(*at)).collect();
        self.draw(&PathElement::new(points, stroke(colour, opacity, width)));
    }

    /// Connected lines in a dash pattern.
    pub(crate) fn dashed(&self, points: &[Point], colour: RGBColor, width: f64, dash: Dash) {
        let Some((mark, gap)) = dash.lengths() else { return self.path(points, colour, 1.0, width) };
        let points: Vec<_> = points.iter().map(|at| units(*at)).collect();
        let length = |pixels: f64| (pixels * UNITS) as i32;
        let style = stroke(colour, 1.0, width);
        self.area
            .draw(&DashedPathElement::new(points, length(mark), length(gap), style))
            .expect("drawing into a string cannot fail");
    }

    /// A filled rectangle.
    pub(crate) fn rectangle(&self, from: Point, to: Point, colour: RGBColor, opacity: f64) {
        self.draw(&Rectangle::new([units(from), units(to)], colour.mix(opacity).filled()));
    }

    /// A horizontal interval with caps.
    pub(crate) fn whisker(&self, (x_low, x_high): (f64, f64), y: f64, colour: RGBColor) {
        self.line((x_low, y), (x_high, y), colour, 2.0);
        for x in [x_low, x_high] {
            self.line((x, y - 6.0), (x, y + 6.0), colour, 2.0);
        }
    }

    /// A mark; `radius` is half of its width, a hollow one is white inside.
    pub(crate) fn marker(&self, marker: Marker, at: Point, radius: f64, colour: RGBColor, hollow: bool) {
        let white = plotters::style::WHITE;
        if marker == Marker::Circle {
            let circle =
                |radius: f64, colour: RGBColor| Circle::new(units(at), (radius * UNITS) as u32, colour.filled());
            self.draw(&circle(radius, colour));
            if hollow {
                self.draw(&circle(radius - 1.3, white));
            }
            return;
        }
        let polygon = |radius: f64| -> Vec<Point> {
            marker.corners().iter().map(|(x, y)| (at.0 + x * radius, at.1 + y * radius)).collect()
        };
        let fill = |points: Vec<Point>, colour: RGBColor| {
            let points: Vec<_> = points.into_iter().map(units).collect();
            self.draw(&Polygon::new(points, colour.filled()));
        };
        fill(polygon(radius), colour);
        if hollow {
            fill(polygon(radius - 2.0), white);
        }
    }
}

fn stroke(colour: RGBColor, opacity: f64, width: f64) -> ShapeStyle {
    colour.mix(opacity).stroke_width((width * UNITS).round() as u32)
}

fn units((x, y): Point) -> (i32, i32) {
    ((x * UNITS).round() as i32, (y * UNITS).round() as i32)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
