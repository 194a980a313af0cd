//! Whether a load's producers have ended.
//!
//! A writer holds an exclusive advisory lock (`flock`) on its states file; a reader that gets a shared one
//! knows that it has ended, however it did, and that nobody goes on with it while the lock is held. Limits: the
//! writer and the reader must see the same locks, so on a network file system that keeps them per host this tells
//! of this host's producers only.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use ackmark_schema::manifest::Manifest;

use crate::{error::LedgerError, layout::states_file};

/// The ledgers of producers that have ended, for reading: for as long as this lives, none of them is gone on with.
/// Any number of readers have them at a time.
#[derive(Debug)]
#[must_use = "the producers may go on as soon as this is dropped"]
pub struct AtRest {
    _locked: Vec<File>,
}

/// Refuses a load folder while a producer of its manifest is still writing, and keeps others from going on with it.
///
/// # Errors
/// [`LedgerError::BeingWritten`] names the first such producer; a ledger that is missing or cannot be
/// locked.
pub fn refuse_writers(folder: &Path, manifest: &Manifest) -> Result<AtRest, LedgerError> {
    let locked =
        ledgers(folder, manifest).map(|ledger| ledger?.lock(File::try_lock_shared)).collect::<Result<_, _>>()?;
    Ok(AtRest { _locked: locked })
}

/// The ledgers of producers that have ended, for as long as this lives: no other process that asks for them, or
/// for their writers, gets them meanwhile.
#[derive(Debug)]
pub struct Ended {
    _locked: Vec<File>,
}

impl Ended {
    /// Takes the ledgers of a manifest.
    ///
    /// # Errors
    /// As [`refuse_writers`], also where another process has taken them; [`LedgerError::BeingRead`] where one only
    /// reads them ([`AtRest`]).
    pub fn take(folder: &Path, manifest: &Manifest) -> Result<Self, LedgerError> {
        let take = |ledger: Ledger| match ledger.file.try_lock() {
            // A lock that can still be shared is held by readers alone.
            Err(TryLockError::WouldBlock) if ledger.file.try_lock_shared().is_ok() => {
                Err(LedgerError::BeingRead { path: ledger.path })
            }
            taken => ledger.lock(|_| taken),
        };
        let locked = ledgers(folder, manifest).map(|ledger| take(ledger?)).collect::<Result<_, _>>()?;
        Ok(Self { _locked: locked })
    }
}

/// A ledger of a manifest.
struct Ledger {
    file: File,
    path: PathBuf,
    producer: u32,
    incarnation: u32,
}

fn ledgers(folder: &Path, manifest: &Manifest) -> impl Iterator<Item = Result<Ledger, LedgerError>> {
    let names = manifest
        .producers
        .iter()
        .flat_map(|producer| producer.incarnations.iter().map(|incarnation| (producer.producer, *incarnation)));
    names.map(|(producer, incarnation)| {
        let path = folder.join(states_file(producer, incarnation));
        match File::open(&path) {
            Ok(file) => Ok(Ledger { file, path, producer, incarnation }),
            Err(source) => Err(LedgerError::Io { path, doing: "open", source }),
        }
    })
}

impl Ledger {
    fn lock(self, how: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<File, LedgerError> {
        let Self { file, path, producer, incarnation } = self;
        match how(&file) {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(LedgerError::BeingWritten { path, producer, incarnation }),
            Err(TryLockError::Error(source)) => Err(LedgerError::Io { path, doing: "lock", source }),
        }
    }
}
