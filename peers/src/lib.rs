//! `make peers`: other tools beside ackmark on the same work, on the same brokers.
//!
//! # Model
//! A *cell* is one kind of work with one setting: producing (acks, idempotence, size) or reading (size, brokers). In
//! each round of a cell every contender does the work once, in seeded random order, with a fresh topic for each
//! producer and one topic for all readers. Each run is checked: a producer by the topic's end offsets, a reader by
//! what it says that it read; one that did less has no figure. Round 0 is discarded. Ratios are ackmark over a
//! contender, paired by round; `ackmark-stats` gives their intervals.
//!
//! Two times are taken of each run: the *interval* from the first send to the last acknowledgement (or from the start
//! of reading to the last message), as the contender itself reports it, and the whole *process*, taken here. CPU time
//! is that of the process, from the kernel.
//!
//! In cells with transactions the contenders are ackmark, Kafka's tool, and *variants* of ackmark: without transactions
//! (what do they cost?), and with transactions that take as long as those of Kafka's tool. Asked for the same time, the
//! two do not come to the same: what is outstanding has to drain before a commit, and the longer that takes, the fewer
//! commits a run has. So the time from begin to committed stands beside each rate, and the rates at equal time are
//! compared.
//!
//! # Limits
//! Brokers and contenders share the processors of one machine: figures compare contenders, they are no capacity.
//!
//! | module | what |
//! |---|---|
//! | [`arguments`] | what the user typed |
//! | [`cell`] | the work: cells, counts, equal settings |
//! | [`contender`] | who competes in what |
//! | [`tools`] | each contender: how it is had, its command line, its output |
//! | [`plan`] | which run when, and how long it takes |
//! | [`child`] | one process: bounded, stoppable, its time and CPU time |
//! | [`kafka`] | the brokers and the topics |
//! | [`log`] | what a run in transactions left in the log |
//! | [`transactions`] | how many, how long, and ackmark's at equal time |
//! | [`run`] | all of it, in order |
//! | [`judge`] | from runs to figures |
//! | [`goals`] | what ackmark asks of itself |
//! | [`table`] | the result for people |
//!
//! stdout carries the table, stderr the narration. Exit codes: 0 done · 1 a run failed or could not go on · 2 bad
//! input, nothing started · 130 interrupted, what was measured was written.

#![deny(unsafe_code)]

mod arguments;
mod cell;
mod child;
mod contender;
mod error;
mod goals;
mod judge;
mod kafka;
mod log;
mod plan;
mod run;
mod table;
mod tools;
mod transactions;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use crate::plan::Plan;
pub use crate::{arguments::Arguments, error::PeersError, run::Outcome};

/// The exit code after Ctrl-C or SIGTERM.
const INTERRUPTED: u8 = 130;

/// Does what the process' arguments ask for.
pub fn main() -> ExitCode {
    match all(&Arguments::of_process()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn all(arguments: &Arguments) -> Result<ExitCode, PeersError> {
    let stop = watch()?;
    if arguments.dry_run {
        arguments::print(&Plan::new(arguments)?.outline());
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = series(arguments, &stop, &|line| eprintln!("{line}"))?;
    arguments::print(&table::text(&outcome.result));
    eprintln!("results: {}", outcome.folder.display());
    Ok(ExitCode::from(outcome.exit_code()))
}

/// Runs a series until its end, or until `stop` becomes true; `say` takes lines of narration.
///
/// # Errors
/// It could not begin. Once it has, an error is part of the outcome.
pub fn series(arguments: &Arguments, stop: &Arc<AtomicBool>, say: &dyn Fn(&str)) -> Result<Outcome, PeersError> {
    run::run(arguments, &Plan::new(arguments)?, stop, say)
}

/// A flag that becomes true by the first Ctrl-C or SIGTERM; the second ends the process at once.
fn watch() -> Result<Arc<AtomicBool>, PeersError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: this one acts only when the flag is already up.
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|source| PeersError::Io { what: "watch for Ctrl-C".into(), source })?;
    }
    Ok(stop)
}
