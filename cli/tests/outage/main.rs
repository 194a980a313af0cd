//! The shipped binary against a real three-broker Kafka that breaks: each test has a cluster of its own, and one
//! runs at a time. *fault* settings: a broker that is gone is noticed within three seconds.
//!
//! What is done to a broker, and what must come of it:
//!
//! | trouble | load | seal | verify |
//! |---|---|---|---|
//! | one of three stopped, killed, frozen, its disk full | completes (*) | closes the log | reads all: nothing acknowledged is lost |
//! | two of three gone | completes, open messages counted | says why it is not closed | inconclusive |
//!
//! (*) With transactions it may fail when a broker is frozen, within its bound.
//!
//! Bounds are those of `ackmark load --help`, `seal --help` and `verify --help`.
//!
//! A few essential ones run by default. The matrix of all signals, steps and profiles, with the clients' default
//! timeouts, takes about a quarter of an hour: `make outage`.
//!
//! A disk of its own is a small tmpfs in a mount namespace of this binary: it goes with it. Where none can be had, the
//! test that needs it is listed as ignored and the reason is told: it was *not examined*.

#![allow(clippy::unwrap_used)]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod essential;
mod hanging;
mod matrix;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    disk::enter_namespace();
    let mut trials = essential::trials();
    trials.extend(hanging::trials());
    trials.extend(matrix::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
