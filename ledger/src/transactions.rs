//! The transaction log: what a producer asked for, written before it asks.
//!
//! Entries of 32 bytes, little-endian, one `write` each, in program order:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC-32C over the rest, begun with the CRC of the entry before (0 for the first) |
//! | 4 | 4 | kind |
//! | 8 | 4 | transaction: the producer's, from 1 |
//! | 12 | 4 | stream (member), else 0 |
//! | 16 | 8 | first sequence (member), else wall clock, nanoseconds since the Unix epoch |
//! | 24 | 8 | 0 |
//!
//! The first entry is the header: kind `AKMT`, layout version in place of the transaction, run in place of
//! the stream, then producer and incarnation (4 bytes each).
//!
//! Members: a transactional producer sends nothing outside of transactions and its sequences are dense,
//! so a transaction's part of a stream runs from its member entry's first sequence to the one of the next
//! transaction that uses the stream, or to the reserved mark. So one entry per stream and transaction is
//! exact at any instant, also for the transaction that a SIGKILL interrupts.
//!
//! Nothing in the log tells where it ends, so the states file of its incarnation says how many entries it has: a mark in
//! that one's header rises behind each entry. A log that is cut off between two entries is told by it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::Ordering,
};

use crate::{
    error::LedgerError,
    file::NewFile,
    layout::{
        Identity, PAGE_BYTES, TRANSACTIONS_WORD, VERSION, mark_of, states_file, transactions_file, u32_at, u64_at,
    },
    map::Mapping,
};

pub(crate) const ENTRY_BYTES: usize = 32;
pub(crate) const MAGIC: &str = "AKMT";

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A transaction begins.
    Begin = 1,
    /// A stream's first sequence in it.
    Member = 2,
    /// Its commit is about to be asked for.
    IntentCommit = 3,
    /// Its commit succeeded.
    Committed = 4,
    /// Its abort is about to be asked for.
    IntentAbort = 5,
    /// Its abort succeeded.
    Aborted = 6,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub kind: Kind,
    /// The producer's transaction, from 1.
    pub transaction: u32,
    /// The stream of a member, else 0.
    pub stream: u32,
    /// The first sequence of a member, else wall clock nanoseconds.
    pub value: u64,
}

/// Writes a producer's transaction log. Owned by the thread that sends.
///
/// Call each method *before* what it announces: [`member`](Self::member) before the first message of a
/// stream in a transaction is handed over, [`intent_commit`](Self::intent_commit) before the commit.
#[derive(Debug)]
pub struct TransactionLog {
    file: NewFile,
    /// The first page of the states file: its header.
    states: Mapping,
    length: u64,
    chain: u32,
    current: u32,
}

impl TransactionLog {
    /// Makes the log in `folder`, beside the states file of its incarnation.
    ///
    /// # Errors
    /// The file exists, cannot be created, or there is no room; there is no states file.
    pub fn create(folder: &Path, identity: Identity) -> Result<Self, LedgerError> {
        let states = map_states(folder, identity)?;
        let file = NewFile::create(folder, &transactions_file(identity.producer, identity.incarnation))?;
        let mut log = Self { file, states, length: 0, chain: 0, current: 0 };
        let place = u64::from(identity.producer) | (u64::from(identity.incarnation) << 32);
        log.append(&encode(u32::from_le_bytes(*b"AKMT"), VERSION, identity.run, place))?;
        Ok(log)
    }

    /// The last transaction that was begun; 0 before the first.
    pub fn last(&self) -> u32 {
        self.current
    }

    /// A transaction begins; `transaction` is in its messages' headers.
    ///
    /// # Errors
    /// No room, or the file cannot be written; so for all methods.
    pub fn begin(&mut self, transaction: u32, now_ns: u64) -> Result<(), LedgerError> {
        self.current = transaction;
        self.say(Kind::Begin, 0, now_ns)
    }

    /// The first message of `stream` in the current transaction is `first_sequence`.
    ///
    /// # Errors
    /// See [`begin`](Self::begin).
    pub fn member(&mut self, stream: u32, first_sequence: u64) -> Result<(), LedgerError> {
        self.say(Kind::Member, stream, first_sequence)
    }

    /// The commit of the current transaction is about to be asked for.
    ///
    /// # Errors
    /// See [`begin`](Self::begin).
    pub fn intent_commit(&mut self, now_ns: u64) -> Result<(), LedgerError> {
        self.say(Kind::IntentCommit, 0, now_ns)
    }

    /// The commit of the current transaction succeeded.
    ///
    /// # Errors
    /// See [`begin`](Self::begin).
    pub fn committed(&mut self, now_ns: u64) -> Result<(), LedgerError> {
        self.say(Kind::Committed, 0, now_ns)
    }

    /// The abort of the current transaction is about to be asked for.
    ///
    /// # Errors
    /// See [`begin`](Self::begin).
    pub fn intent_abort(&mut self, now_ns: u64) -> Result<(), LedgerError> {
        self.say(Kind::IntentAbort, 0, now_ns)
    }

    /// The abort of the current transaction succeeded.
    ///
    /// # Errors
    /// See [`begin`](Self::begin).
    pub fn aborted(&mut self, now_ns: u64) -> Result<(), LedgerError> {
        self.say(Kind::Aborted, 0, now_ns)
    }

    fn say(&mut self, kind: Kind, stream: u32, value: u64) -> Result<(), LedgerError> {
        self.append(&encode(kind as u32, self.current, stream, value))
    }

    fn append(&mut self, rest: &[u8; ENTRY_BYTES - 4]) -> Result<(), LedgerError> {
        let chain = crc32c::crc32c_append(self.chain, rest);
        let mut entry = [0; ENTRY_BYTES];
        entry[..4].copy_from_slice(&chain.to_le_bytes());
        entry[4..].copy_from_slice(rest);
        if let Err(source) = self.file.file.write_all_at(&entry, self.length) {
            // Half an entry must not stand where the next one would go; the first error is what counts.
            let _ = self.file.file.set_len(self.length);
            return Err(self.file.no_space(ENTRY_BYTES as u64, source));
        }
        self.chain = chain;
        self.length += ENTRY_BYTES as u64;
        // Behind the entry: a writer that dies in between leaves one entry more than it counted.
        let entries = self.length / ENTRY_BYTES as u64;
        self.states.words()[TRANSACTIONS_WORD].store(mark_of(entries), Ordering::Release);
        Ok(())
    }
}

/// Maps the first page of an incarnation's states file.
fn map_states(folder: &Path, identity: Identity) -> Result<Mapping, LedgerError> {
    let path = folder.join(states_file(identity.producer, identity.incarnation));
    let mapping = OpenOptions::new().read(true).write(true).open(&path).and_then(|file| {
        // Touching what the file does not hold is a SIGBUS.
        if file.metadata()?.len() < PAGE_BYTES as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Mapping::writable(&file, 0, PAGE_BYTES)
    });
    mapping.map_err(|source| LedgerError::Io { path, doing: "map", source })
}

fn encode(kind: u32, transaction: u32, stream: u32, value: u64) -> [u8; ENTRY_BYTES - 4] {
    let mut rest = [0; ENTRY_BYTES - 4];
    rest[..4].copy_from_slice(&kind.to_le_bytes());
    rest[4..8].copy_from_slice(&transaction.to_le_bytes());
    rest[8..12].copy_from_slice(&stream.to_le_bytes());
    rest[12..20].copy_from_slice(&value.to_le_bytes());
    rest
}

/// Reads a whole log.
///
/// # Errors
/// Another file, run or version; an entry that is cut off, damaged, or out of its chain.
pub fn read(path: &Path, expected: Identity) -> Result<Vec<Entry>, LedgerError> {
    let Sound { entries, damage } = read_sound(path, expected, 0)?;
    damage.map_or(Ok(entries), Err)
}

/// A log up to its first damage.
#[derive(Debug)]
pub(crate) struct Sound {
    pub(crate) entries: Vec<Entry>,
    /// What is wrong behind them.
    pub(crate) damage: Option<LedgerError>,
}

/// Reads a log that has, its header counted, at least `least` entries, as far as it is sound.
///
/// # Errors
/// Another file, run or version.
pub(crate) fn read_sound(path: &Path, expected: Identity, least: u64) -> Result<Sound, LedgerError> {
    let failed = |source: io::Error| LedgerError::Io { path: path.into(), doing: "read", source };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut File::open(path).map_err(failed)?, &mut bytes).map_err(failed)?;
    let length = bytes.len() as u64;
    let truncated = |expected: u64| LedgerError::Truncated { path: path.into(), length, expected };
    if bytes.len() < ENTRY_BYTES {
        return Ok(Sound { entries: Vec::new(), damage: Some(truncated(ENTRY_BYTES as u64)) });
    }
    check_kind(path, &bytes)?;
    let corrupt = |index: usize, what: &str| LedgerError::Corrupt {
        path: path.into(),
        offset: (index * ENTRY_BYTES) as u64,
        what: what.into(),
    };
    let mut chain = 0;
    let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    for (index, entry) in bytes.chunks_exact(ENTRY_BYTES).enumerate() {
        chain = crc32c::crc32c_append(chain, &entry[4..]);
        if chain != u32_at(entry, 0) {
            return Ok(Sound { entries, damage: Some(corrupt(index, "checksum mismatch in the transaction log")) });
        }
        if index == 0 {
            check_identity(path, entry, expected)?;
            continue;
        }
        let Some(entry) = decode(entry) else {
            return Ok(Sound { entries, damage: Some(corrupt(index, "unknown kind of entry")) });
        };
        entries.push(entry);
    }
    let whole = length.next_multiple_of(ENTRY_BYTES as u64).max(least * ENTRY_BYTES as u64);
    Ok(Sound { entries, damage: (length < whole).then(|| truncated(whole)) })
}

/// Whether it is a transaction log of this layout.
fn check_kind(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    if &bytes[4..8] != MAGIC.as_bytes() {
        return Err(LedgerError::NotALedger { path: path.into(), magic: MAGIC });
    }
    let version = u32_at(bytes, 8);
    if version != VERSION {
        return Err(LedgerError::Version { path: path.into(), found: version, known: VERSION });
    }
    Ok(())
}

/// Whether it is the log of `expected`, by a header that is sound.
fn check_identity(path: &Path, header: &[u8], expected: Identity) -> Result<(), LedgerError> {
    let found = Identity { run: u32_at(header, 12), producer: u32_at(header, 16), incarnation: u32_at(header, 20) };
    expected.compare(found).map_err(|(what, found, expected)| LedgerError::Foreign {
        path: path.into(),
        what,
        found,
        expected,
    })
}

fn decode(entry: &[u8]) -> Option<Entry> {
    let kinds = [Kind::Begin, Kind::Member, Kind::IntentCommit, Kind::Committed, Kind::IntentAbort, Kind::Aborted];
    let kind = kinds.into_iter().find(|kind| *kind as u32 == u32_at(entry, 4))?;
    Some(Entry { kind, transaction: u32_at(entry, 8), stream: u32_at(entry, 12), value: u64_at(entry, 16) })
}
