//! A PNG from an SVG, drawn with the bundled font at twice the size.

use resvg::{tiny_skia, usvg};

use crate::{ChartError, font};

/// Pixels of the PNG per pixel of the SVG.
const ZOOM: f32 = 2.0;

/// Draws an SVG as a PNG.
///
/// # Errors
/// [`ChartError::Png`] when it cannot be drawn; for SVGs of this crate that is a bug.
pub(crate) fn from_svg(svg: &str) -> Result<Vec<u8>, ChartError> {
    let options = usvg::Options { fontdb: font::database(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| ChartError::Png(error.to_string()))?;
    let size = tree.size();
    let mut pixmap = tiny_skia::Pixmap::new((size.width() * ZOOM) as u32, (size.height() * ZOOM) as u32)
        .ok_or_else(|| ChartError::Png("it has no size".into()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(ZOOM, ZOOM), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| ChartError::Png(error.to_string()))
}
