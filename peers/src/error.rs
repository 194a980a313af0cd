//! What ends a series, or keeps it from starting.

use std::{io, path::PathBuf};

use ackmark_bench::BenchError;
use ackmark_client::ClientError;
use ackmark_cluster::ClusterError;
use ackmark_wire::{config::ConfigError, error::WireError};
use thiserror::Error;

/// A series that could not start, or could not go on. What was measured until then is in the result folder.
#[derive(Debug, Error)]
pub enum PeersError {
    /// Flags that leave nothing to do.
    #[error("{0}")]
    Usage(String),
    /// The machine refuses.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: io::Error,
    },
    /// No Kafka.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Kafka refuses, or does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The brokers' addresses mean nothing to the log reader.
    #[error(transparent)]
    Address(#[from] ConfigError),
    /// No result folder.
    #[error(transparent)]
    Folder(#[from] BenchError),
    /// ackmark itself, which all are compared with, could not be built.
    #[error("{0}: without ackmark there is nothing to compare with")]
    NoAckmark(String),
    /// Too little disk for the brokers' data.
    #[error(
        "a topic takes up to {needed} of disk with all replicas where {available} are free ({}): free some, or send \
         less with --messages", folder.display()
    )]
    TooLittleDisk {
        /// Two topics of the largest cell.
        needed: String,
        /// Free.
        available: String,
        /// Where the brokers keep their data.
        folder: PathBuf,
    },
    /// A topic that all readers would have read could not be written.
    #[error("the topic to be read could not be written: {0}")]
    NoTopic(String),
    /// Ctrl-C before there was anything to write.
    #[error("interrupted")]
    Interrupted,
}

impl PeersError {
    /// An error of the system, with what was to be done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// 2 for what another command line mends, 130 after Ctrl-C, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::TooLittleDisk { .. } | Self::Folder(BenchError::Unwritable { .. }) => 2,
            Self::Interrupted | Self::Cluster(ClusterError::Interrupted) => crate::INTERRUPTED,
            _ => 1,
        }
    }
}
