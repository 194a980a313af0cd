//! Why a group cannot be run.

use std::{io, path::PathBuf};

use ackmark_client::ClientError;
use ackmark_wire::{config::ConfigError, error::WireError};
use thiserror::Error;

/// Why a group cannot be run.
#[derive(Debug, Error)]
pub enum GroupError {
    /// The input cannot be read.
    #[error("cannot read the input: {0}")]
    Input(#[source] ClientError),
    /// There is nothing to do.
    #[error("topic {0} holds nothing to process: load it first, for example with `ackmark load -t {0}`")]
    Empty(String),
    /// Somebody else is in it.
    #[error("group {group} is in use: it has {members} member(s); give another with --group, or end those")]
    InUse {
        /// The group.
        group: String,
        /// Its members.
        members: usize,
    },
    /// It has begun before.
    #[error(
        "group {group} has committed offsets of {topic}: what it processed before cannot be told; give another with --group"
    )]
    HasOffsets {
        /// The group.
        group: String,
        /// The input.
        topic: String,
    },
    /// The group's coordinator cannot be asked.
    #[error("cannot ask for the group's offsets: {0}")]
    Coordinator(#[from] WireError),
    /// Security that the coordinator cannot be asked over.
    #[error("cannot ask for the group's offsets: {0}")]
    Config(#[from] ConfigError),
    /// A member cannot be started.
    #[error("cannot start a member: {0}")]
    Start(io::Error),
    /// The folder cannot be written to.
    #[error("cannot write {}: {source}; free some space or mend the folder's permissions", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
