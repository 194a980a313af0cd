//! Why nothing could be verified at all. What leaves a verdict open is no error but in the report.

use std::{io, path::PathBuf};

use ackmark_client::ClientError;
use ackmark_ledger::LedgerError;
use ackmark_schema::text::TextError;
use thiserror::Error;

use crate::log_reader::LogReaderError;

/// Nothing could be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// No manifest.
    #[error("{} has no manifest.json{}: give the folder that `ackmark load` or `ackmark process` wrote; a load that left no manifest sent nothing", folder.display(), if *waited { " after waiting for it" } else { "" })]
    NoManifest {
        /// The folder.
        folder: PathBuf,
        /// Whether it was waited for.
        waited: bool,
    },
    /// A file of the folder cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A file of the folder is not what it should be.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A report of another run.
    #[error("{file} is of run {found}, the manifest says {expected}: it belongs to another load folder")]
    OtherRun {
        /// The file.
        file: &'static str,
        /// Its run.
        found: u32,
        /// The manifest's.
        expected: u32,
    },
    /// The cluster is not the one that was written to.
    #[error("the brokers are of cluster {found}, the load went to cluster {expected}: give its brokers with -b")]
    OtherCluster {
        /// The cluster that answered.
        found: String,
        /// The manifest's.
        expected: String,
    },
    /// A topic of the run is not there, or cannot be described.
    #[error("topic '{topic}' of this run cannot be read: {source}; was it deleted, or is it another cluster?")]
    Topic {
        /// The topic.
        topic: String,
        /// What the cluster said.
        source: ClientError,
    },
    /// The topic is another one of that name.
    #[error("topic '{topic}' has the id {found}, the run wrote to {expected}: it was deleted and created again")]
    Recreated {
        /// The topic.
        topic: String,
        /// Its id now.
        found: String,
        /// The manifest's.
        expected: String,
    },
    /// A topic has fewer partitions than the run wrote to.
    #[error("topic '{topic}' has {found} partitions, the run wrote to {expected}: it is another topic of that name")]
    Partitions {
        /// The topic.
        topic: String,
        /// Its partitions now.
        found: usize,
        /// The manifest's.
        expected: usize,
    },
    /// The cluster could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log reader is to read and cannot.
    #[error("the log reader cannot read this log: {0}")]
    Log(#[from] LogReaderError),
    /// An isolation level for the log reader.
    #[error(
        "an isolation level is a consumer's, the log reader reads all: leave the level out, or choose the consumer"
    )]
    Level,
    /// A ledger that is under way cannot be salvaged.
    #[error(
        "a load that is followed still writes its ledger, so nothing of it can be told from damage: let it end, then \
         verify it without following"
    )]
    SalvageFollowed,
    /// A new life of the load began while it was followed: its ledger and its messages were not looked for.
    #[error(
        "the load was resumed while it was followed, so what its new life sent is not known here: let it end, then \
         verify it at rest (without following)"
    )]
    Resumed,
    /// The two readers were shown different logs: one of them is wrong, or the log changed between them.
    #[error(
        "the two readers differ, so nothing is judged: {difference}; verify again, and if it stays so, report it with \
         what `ackmark log` shows there"
    )]
    ReadersDiffer {
        /// Where, and how.
        difference: String,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Stopped before anything could be read.
    #[error("interrupted before the load began")]
    Interrupted,
}
