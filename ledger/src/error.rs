//! What can go wrong with a ledger.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// What makes room.
fn room(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::FileTooLarge => "raise the limit on file sizes (ulimit -f)",
        io::ErrorKind::QuotaExceeded => "free space of this user's quota or choose another output folder",
        _ => "free disk space or choose another output folder",
    }
}

/// A ledger that cannot be written or read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The operating system refused.
    #[error("cannot {doing} the ledger {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// No room for what is to be sent next: nothing of it has been sent.
    #[error("no room to grow the ledger {} by {bytes} bytes ({source}): {}", path.display(), room(source))]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// What it needed.
        bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// A ledger is never overwritten.
    #[error("the ledger {} exists and is never overwritten: choose an empty output folder", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Its producer has not ended, so what it sent is not known yet.
    #[error(
        "producer {producer} (incarnation {incarnation}) still writes the ledger {}: wait for its load to end, or end it, then run this again",
        path.display()
    )]
    BeingWritten {
        /// The file.
        path: PathBuf,
        /// The producer.
        producer: u32,
        /// Its life.
        incarnation: u32,
    },
    /// It is judged by what it says now, so nobody may go on with it.
    #[error("another ackmark reads the ledger {} (it seals or verifies this load): wait for it to end, then run this again", path.display())]
    BeingRead {
        /// The file.
        path: PathBuf,
    },
    /// Not a ledger at all.
    #[error("{} is no ledger (its first bytes are not {magic:?}): give the folder that `ackmark load` wrote", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What it should begin with.
        magic: &'static str,
    },
    /// Another layout.
    #[error("the ledger {} has layout version {found}, this ackmark reads {known}: use the ackmark that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is read.
        known: u32,
    },
    /// Another run's, producer's or incarnation's file.
    #[error("the ledger {} is of {what} {found}, the manifest says {expected}: it belongs to another load folder", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `run`, `producer`, `incarnation` …
        what: &'static str,
        /// The file's.
        found: u32,
        /// The manifest's.
        expected: u32,
    },
    /// A stream that its manifest does not name.
    #[error("the ledger {} has a stream {stream}, of which the manifest says nothing: it belongs to another load folder", path.display())]
    ForeignStream {
        /// The file.
        path: PathBuf,
        /// The stream.
        stream: u32,
    },
    /// Shorter than what its own header says.
    #[error("the ledger {} is cut off at {length} bytes, {expected} are needed: it was not copied whole", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
        /// The least that it should have.
        expected: u64,
    },
    /// Damaged.
    #[error("the ledger {} is damaged at byte {offset}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Two incarnations claim the same sequence.
    #[error(
        "stream {stream}: two incarnations of its producer both hold sequence {sequence}, which this ackmark cannot merge"
    )]
    Overlap {
        /// The stream.
        stream: u32,
        /// The first sequence that both hold.
        sequence: u64,
    },
    /// A delivery of something that was never reserved: the caller's mistake.
    #[error("delivery of sequences {first}..{end} on stream slot {slot}, of which {reserved} are reserved")]
    NotReserved {
        /// Position among the producer's streams.
        slot: usize,
        /// First sequence.
        first: u64,
        /// One past the last.
        end: u64,
        /// The reserved mark.
        reserved: u64,
    },
}

impl LedgerError {
    /// Where a file is not sound, and what is wrong there: the file, the byte, the cause. `None` where it is not damage
    /// that stands in the way.
    pub fn damage(&self) -> Option<(&Path, u64, String)> {
        match self {
            Self::Truncated { path, length, expected } => {
                Some((path, *length, format!("it is cut off here, {expected} bytes are needed")))
            }
            Self::Corrupt { path, offset, what } => Some((path, *offset, what.clone())),
            _ => None,
        }
    }
}
