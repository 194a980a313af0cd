//! What is told and heard through pipes: the parent's lines come on stdin, the member's go to stdout.
//!
//! A parent that is gone (end of stdin) counts as a wish to end.

use std::{
    io::{self, BufRead as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
};

use ackmark_schema::process::{GO, MemberSays, MemberSpec, STOP};

use crate::error::WorkloadError;

/// The other end of the pipes.
#[derive(Debug)]
pub(crate) struct Parent {
    stop: Arc<AtomicBool>,
    go: Receiver<()>,
}

impl Parent {
    /// Reads the first line, which says what to do; the others are heard from here on.
    ///
    /// # Errors
    /// It is no spec.
    pub(crate) fn greet() -> Result<(MemberSpec, Self), WorkloadError> {
        let mut first = String::new();
        io::stdin().read_line(&mut first).map_err(|error| WorkloadError::Spec(error.to_string()))?;
        let spec = serde_json::from_str(&first).map_err(|error| WorkloadError::Spec(error.to_string()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (send, go) = mpsc::channel();
        let told = Arc::clone(&stop);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                match line.as_str() {
                    GO if send.send(()).is_ok() => {}
                    STOP => told.store(true, Ordering::Relaxed),
                    _ => break,
                }
            }
            told.store(true, Ordering::Relaxed);
        });
        Ok((spec, Self { stop, go }))
    }

    /// Whether it wants an end.
    pub(crate) fn wants_end(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether it has said to go on since it was last asked.
    pub(crate) fn said_go(&self) -> bool {
        self.go.try_recv().is_ok()
    }

    /// Waits until it says to go on, or is gone.
    pub(crate) fn wait(&self) {
        let _ = self.go.recv();
    }
}

/// Tells the parent something.
pub(crate) fn tell(says: &MemberSays) {
    if let Ok(line) = serde_json::to_string(says) {
        // A parent that is gone is heard of by its silence.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}
