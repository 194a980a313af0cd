//! A plain or an encrypted stream.
