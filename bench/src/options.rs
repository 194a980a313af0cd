//! How a run is to be done, beside what its plan says.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The program whose `load`, `seal` and `verify` do the work: this one.
    pub ackmark: PathBuf,
    /// Where the result folder is made.
    pub results: PathBuf,
    /// Leave the topics there.
    pub keep_topics: bool,
    /// Leave every trial's ledgers there; those of a broken verdict are always kept.
    pub keep_ledgers: bool,
    /// The user has agreed to what will be written to somebody else's cluster.
    pub confirmed: bool,
    /// Becomes true when the user wants an end: the current child is asked to end, and the result written.
    pub stop: Arc<AtomicBool>,
}
