//! Ctrl-C and SIGTERM: the first asks for a clean end with a partial result, the second ends at once.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
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
