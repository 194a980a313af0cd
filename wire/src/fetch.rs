//! The log's bytes.
