//! Charts of a result: SVG by plotters, PNG from that SVG.
