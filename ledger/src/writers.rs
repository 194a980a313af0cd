//! Whether a load's producers have ended.
//!
//! A writer holds an exclusive advisory lock (`flock`) on its states file; a reader that gets a shared one
//! knows that it has ended, however it did. Limits: the writer and the reader must see the same locks, so
//! on a network file system that keeps them per host this tells of this host's producers only.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use ackmark_schema::manifest::Manifest;

use crate::{error::LedgerError, layout::states_file};

/// Refuses a load folder while a producer of its manifest is still writing.
///
/// # Errors
/// [`LedgerError::BeingWritten`] names the first such producer; a ledger that is missing or cannot be
/// locked.
pub fn refuse_writers(folder: &Path, manifest: &Manifest) -> Result<(), LedgerError> {
    for producer in &manifest.producers {
        for &incarnation in &producer.incarnations {
            let path = folder.join(states_file(producer.producer, incarnation));
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(source) => return Err(LedgerError::Io { path, doing: "open", source }),
            };
            match file.try_lock_shared() {
                // Given back with the file.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LedgerError::BeingWritten { path, producer: producer.producer, incarnation });
                }
                Err(TryLockError::Error(source)) => return Err(LedgerError::Io { path, doing: "lock", source }),
            }
        }
    }
    Ok(())
}
