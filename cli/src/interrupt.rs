//! Signals. Ctrl-C and SIGTERM: the first asks for a clean end with a partial result, the second ends at once.
//! SIGXFSZ, by which the kernel tells of a limit on file sizes, is an error of the write instead of the end.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGXFSZ},
    flag,
};

use crate::{exit::Exit, problem::Problem};

/// A flag that becomes true when the user wants an end.
///
/// # Errors
/// The system refuses the signal handler.
pub(crate) fn watch() -> Result<Arc<AtomicBool>, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: this one acts only when the flag is already up.
        flag::register_conditional_shutdown(signal, Exit::Interrupted.code().into(), Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Problem::runtime(format!("cannot watch for Ctrl-C: {error}")))?;
    }
    Ok(stop)
}

/// Makes a write beyond the limit on file sizes (`ulimit -f`) fail with an error that can be told.
pub(crate) fn survive_file_limit() {
    // With any handler at all the write fails instead; where none can be set, the signal ends the process as before.
    let _ = flag::register(SIGXFSZ, Arc::default());
}
