//! Reads the log back, accounts for every message, judges the promise.
