//! The file beneath a mapping: made once, space allocated before it is used.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::error::LedgerError;

/// Longest wait for a lock that only a reader's look can hold, which takes microseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_INTERVAL: Duration = Duration::from_millis(1);

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A new file with its name, for errors.
#[derive(Debug)]
pub(crate) struct NewFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl NewFile {
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self, LedgerError> {
        let path = folder.join(name);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(LedgerError::Exists { path }),
            Err(source) => Err(LedgerError::Io { path, doing: "create", source }),
        }
    }

    /// Takes the advisory lock by which readers tell that this file has a writer; the kernel gives it back
    /// when the file and its mappings are gone, also after SIGKILL.
    pub(crate) fn lock(&self) -> Result<(), LedgerError> {
        let begun = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIMEOUT => std::thread::sleep(LOCK_INTERVAL),
                Err(error) => return Err(self.failed("lock", error.into())),
            }
        }
    }

    /// Makes sure that `bytes` from `offset`, the file's end, are on the disk, so that touching their mapping
    /// cannot fail. Where they are not, the file ends at `offset` as before: some file systems keep what they
    /// allocated until the disk was full.
    pub(crate) fn allocate(&self, offset: u64, bytes: u64) -> Result<(), LedgerError> {
        self.allocate_by(Self::take, offset, bytes)
    }

    fn allocate_by(
        &self,
        take: impl Fn(&Self, u64, u64) -> io::Result<()>,
        offset: u64,
        bytes: u64,
    ) -> Result<(), LedgerError> {
        take(self, offset, bytes).map_err(|source| {
            // The first error is what counts; a part that stays is no harm to a reader.
            let _ = self.file.set_len(offset);
            self.no_space(bytes, source)
        })
    }

    fn take(&self, offset: u64, bytes: u64) -> io::Result<()> {
        loop {
            match fallocate(&self.file, FallocateFlags::empty(), offset, bytes) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP) => return self.write_zeros(offset, bytes),
                other => return other.map_err(io::Error::from),
            }
        }
    }

    /// For file systems without `fallocate`.
    fn write_zeros(&self, offset: u64, bytes: u64) -> io::Result<()> {
        (offset..offset + bytes).step_by(ZEROS.len()).try_for_each(|at| {
            let length = ZEROS.len().min((offset + bytes - at) as usize);
            self.file.write_all_at(&ZEROS[..length], at)
        })
    }

    pub(crate) fn no_space(&self, bytes: u64, source: io::Error) -> LedgerError {
        LedgerError::NoSpace { path: self.path.clone(), bytes, source }
    }

    pub(crate) fn failed(&self, doing: &'static str, source: io::Error) -> LedgerError {
        LedgerError::Io { path: self.path.clone(), doing, source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failed_allocation_gives_back_what_it_took() {
        let folder = tempfile::tempdir().unwrap();
        let file = NewFile::create(folder.path(), "ledger").unwrap();
        file.allocate(0, 4096).unwrap();
        let until_full = |file: &NewFile, offset, bytes| {
            file.write_zeros(offset, bytes / 2)?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = file.allocate_by(until_full, 4096, 100_000).unwrap_err();
        assert!(matches!(error, LedgerError::NoSpace { bytes: 100_000, .. }), "{error}");
        assert_eq!(file.file.metadata().unwrap().len(), 4096);
    }
}
