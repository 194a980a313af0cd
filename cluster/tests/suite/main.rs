//! The crate from outside: real clusters, real trouble, and the compose file. One binary, one room per subject.
#![allow(clippy::unwrap_used)]

mod common;
mod compose;
mod local;
mod trouble;
