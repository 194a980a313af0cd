//! Encryption.
