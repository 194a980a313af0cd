//! The file beneath a mapping: made once, space allocated before it is used.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::error::LedgerError;

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

    /// Makes sure that `bytes` from `offset` are on the disk, so that touching their mapping cannot fail.
    pub(crate) fn allocate(&self, offset: u64, bytes: u64) -> Result<(), LedgerError> {
        let allocated = loop {
            match fallocate(&self.file, FallocateFlags::empty(), offset, bytes) {
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP) => break self.write_zeros(offset, bytes),
                other => break other.map_err(io::Error::from),
            }
        };
        allocated.map_err(|source| self.no_space(bytes, source))
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
