//! Partitions read from start to end.
