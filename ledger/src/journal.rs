//! The processing journal: which messages a consumer has processed, written as it processes them.
//!
//! For a consumer under test it *is* the processing: an entry is a message's effect. A life of a member has one file,
//! named by [`journal_file`]; its entries are in the order of processing, those of a cycle in one `write`, so they are
//! in the page cache at once and survive SIGKILL.
//!
//! Entries of 24 bytes, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC-32C over the rest, begun with the CRC of the entry before (0 for the first) |
//! | 4 | 4 | partition |
//! | 8 | 8 | offset |
//! | 16 | 8 | wall clock, nanoseconds since the Unix epoch |
//!
//! The first entry is the header: `AKMJ`, layout version (4 bytes), 0, member and life (4 bytes each).
//!
//! Limits: nothing is synchronised to the disk, so a crash of the host may lose entries; nothing in the file tells where
//! it ends, so a copy that was cut off between two entries is taken for the whole.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    error::LedgerError,
    file::NewFile,
    layout::{u32_at, u64_at},
};

const ENTRY_BYTES: usize = 24;
const MAGIC: &str = "AKMJ";
const VERSION: u32 = 1;

/// The name of a life's journal.
pub fn journal_file(member: u32, incarnation: u32) -> String {
    format!("m{member}-i{incarnation}.journal")
}

/// A message that was processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processed {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When, nanoseconds since the Unix epoch.
    pub at_ns: u64,
}

/// Writes the journal of one life. Owned by the thread that processes.
#[derive(Debug)]
pub struct Journal {
    file: NewFile,
    length: u64,
    chain: u32,
    buffer: Vec<u8>,
}

impl Journal {
    /// Makes the journal of a life in `folder`.
    ///
    /// # Errors
    /// It exists, cannot be created, or there is no room.
    pub fn create(folder: &Path, member: u32, incarnation: u32) -> Result<Self, LedgerError> {
        let file = NewFile::create(folder, &journal_file(member, incarnation))?;
        let mut journal = Self { file, length: 0, chain: 0, buffer: Vec::new() };
        let mut rest = [0; ENTRY_BYTES - 4];
        rest[..4].copy_from_slice(MAGIC.as_bytes());
        rest[4..8].copy_from_slice(&VERSION.to_le_bytes());
        rest[12..16].copy_from_slice(&member.to_le_bytes());
        rest[16..].copy_from_slice(&incarnation.to_le_bytes());
        journal.push(&rest);
        journal.write()?;
        Ok(journal)
    }

    /// Writes that messages are processed: all of them by one `write`.
    ///
    /// # Errors
    /// No room, or the file cannot be written.
    pub fn processed(&mut self, messages: impl IntoIterator<Item = Processed>) -> Result<(), LedgerError> {
        for message in messages {
            let mut rest = [0; ENTRY_BYTES - 4];
            rest[..4].copy_from_slice(&message.partition.to_le_bytes());
            rest[4..12].copy_from_slice(&message.offset.to_le_bytes());
            rest[12..].copy_from_slice(&message.at_ns.to_le_bytes());
            self.push(&rest);
        }
        self.write()
    }

    fn push(&mut self, rest: &[u8; ENTRY_BYTES - 4]) {
        self.chain = crc32c::crc32c_append(self.chain, rest);
        self.buffer.extend_from_slice(&self.chain.to_le_bytes());
        self.buffer.extend_from_slice(rest);
    }

    fn write(&mut self) -> Result<(), LedgerError> {
        let bytes = self.buffer.len() as u64;
        self.file.file.write_all_at(&self.buffer, self.length).map_err(|source| self.file.no_space(bytes, source))?;
        self.length += bytes;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads all journals of a folder, by member and life.
///
/// # Errors
/// A file that cannot be read, is no journal of this layout, or is damaged. What a SIGKILL left of an entry at the end
/// is none.
pub fn read_journals(folder: &Path) -> Result<Vec<Processed>, LedgerError> {
    let failed = |path: &Path, source| LedgerError::Io { path: path.into(), doing: "read", source };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>())
        .map_err(|source| failed(folder, source))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        read(&path, &fs::read(&path).map_err(|source| failed(&path, source))?, &mut all)?;
    }
    Ok(all)
}

fn read(path: &Path, bytes: &[u8], to: &mut Vec<Processed>) -> Result<(), LedgerError> {
    if bytes.len() < ENTRY_BYTES {
        // Its life ended before it had written the header: nothing was processed.
        return Ok(());
    }
    if &bytes[4..8] != MAGIC.as_bytes() {
        return Err(LedgerError::NotALedger { path: path.into(), magic: MAGIC });
    }
    if u32_at(bytes, 8) != VERSION {
        return Err(LedgerError::Version { path: path.into(), found: u32_at(bytes, 8), known: VERSION });
    }
    let mut chain = 0;
    for (index, entry) in bytes.chunks_exact(ENTRY_BYTES).enumerate() {
        chain = crc32c::crc32c_append(chain, &entry[4..]);
        if chain != u32_at(entry, 0) {
            let what = "checksum mismatch in the processing journal".into();
            return Err(LedgerError::Corrupt { path: path.into(), offset: (index * ENTRY_BYTES) as u64, what });
        }
        if index > 0 {
            let (partition, offset) = (u32_at(entry, 4).cast_signed(), u64_at(entry, 8).cast_signed());
            to.push(Processed { partition, offset, at_ns: u64_at(entry, 16) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn processed(offset: i64) -> Processed {
        Processed { partition: (offset % 3) as i32, offset, at_ns: 7 }
    }

    #[test]
    fn what_is_written_is_read_and_half_an_entry_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), 0, 0).unwrap();
        journal.processed((0..5).map(processed)).unwrap();
        journal.processed((5..7).map(processed)).unwrap();
        Journal::create(folder.path(), 0, 1).unwrap().processed([processed(6)]).unwrap();
        let whole: Vec<Processed> = (0..7).chain([6]).map(processed).collect();
        assert_eq!(read_journals(folder.path()).unwrap(), whole);
        assert!(matches!(Journal::create(folder.path(), 0, 1), Err(LedgerError::Exists { .. })));

        let path = folder.path().join(journal_file(0, 0));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(read_journals(folder.path()).unwrap().len(), 7);
        let mut damaged = bytes.clone();
        damaged[3 * ENTRY_BYTES + 9] ^= 1;
        fs::write(&path, damaged).unwrap();
        let error = read_journals(folder.path()).unwrap_err();
        assert_eq!(error.damage().unwrap().1, 3 * ENTRY_BYTES as u64, "{error}");
    }
}
