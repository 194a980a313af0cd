//! Compressed records.
