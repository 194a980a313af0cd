//! A child of a bench does not outlive it, not even when the bench is killed: load would go on without anybody
//! who judges it.
//!
//! The signal is sent when the *thread* that started the child ends (prctl(2), `PR_SET_PDEATHSIG`): the bench starts
//! its children from threads of its runtime, which live as long as it does.

use std::path::PathBuf;

use ackmark_bench::PARENT_VARIABLE;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::{exit::Exit, problem::Problem};

/// Does nothing unless a bench started this process.
///
/// # Errors
/// The bench has died meanwhile, so nobody would send the signal.
pub(crate) fn die_with_it() -> Result<(), Exit> {
    let Ok(parent) = std::env::var(PARENT_VARIABLE) else { return Ok(()) };
    // Where the kernel refuses, a child still ends by its own bounds.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let alive = getppid().map(Pid::as_raw_nonzero).is_some_and(|pid| pid.to_string() == parent);
    if alive { Ok(()) } else { Err(Exit::Interrupted) }
}

/// This program's own file, for children.
///
/// # Errors
/// The system does not tell it.
pub(crate) fn program() -> Result<PathBuf, Problem> {
    std::env::current_exe().map_err(|error| Problem::runtime(format!("cannot find this program's own file: {error}")))
}

/// Whether a bench started this process.
pub(crate) fn is_a_bench() -> bool {
    std::env::var_os(PARENT_VARIABLE).is_some()
}
