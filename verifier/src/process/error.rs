//! Why a group's work cannot be judged.

use ackmark_client::ClientError;
use ackmark_ledger::LedgerError;
use ackmark_wire::{config::ConfigError, error::WireError};
use thiserror::Error;

/// Why a group's work cannot be judged.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// A topic cannot be read.
    #[error("cannot read {what}: {source}")]
    Topic {
        /// Input or output.
        what: &'static str,
        /// Why not.
        source: ClientError,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] LedgerError),
    /// The database cannot be read.
    #[error("cannot read the effects from the database: {0}")]
    Database(String),
    /// The group's offsets are not told.
    #[error("cannot ask for the group's offsets: {0}")]
    Coordinator(#[from] WireError),
    /// Security that the coordinator cannot be asked over.
    #[error("cannot ask for the group's offsets: {0}")]
    Config(#[from] ConfigError),
    /// No database is named for a pattern with one.
    #[error("the effects of this pattern are in a database, and none is named")]
    NoDatabase,
    /// No threads.
    #[error("cannot start what talks to the database: {0}")]
    Runtime(std::io::Error),
}
