//! A record batch as it lies in the log.
