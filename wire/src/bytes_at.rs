//! Primitives of the protocol in a slice.
