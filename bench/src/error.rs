//! What ends a run, or keeps it from starting.

use std::path::{Path, PathBuf};

use ackmark_client::ClientError;
use ackmark_cluster::ClusterError;
use ackmark_schema::text::TextError;
use thiserror::Error;

/// A run that could not start, or could not go on. What was measured until then is in the result folder.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No shipped scenario of that name.
    #[error("no scenario is called \"{name}\"{hint} (shipped: {known}; or give a TOML file)")]
    UnknownScenario {
        /// As it was asked for.
        name: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
        /// Names of those that are shipped.
        known: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A scenario or an earlier result that makes no sense.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A choice that the scenario does not allow.
    #[error("{0}")]
    Choice(String),
    /// An earlier result that has no rate for a phase.
    #[error("{} has no rate for phase \"{phase}\" (it has: {known}); give a result of the same scenario", file.display())]
    NoRate {
        /// The earlier result.
        file: PathBuf,
        /// The phase of this scenario.
        phase: String,
        /// Phases whose rates are there.
        known: String,
    },
    /// The plan asks more of somebody else's cluster than is allowed.
    #[error(transparent)]
    Guard(#[from] ClusterError),
    /// Security that coordinators cannot be asked over.
    #[error("cannot ask coordinators: {0}")]
    Coordinator(String),
    /// Nobody has confirmed what will be written.
    #[error(
        "the plan writes to a cluster that ackmark did not start, and nobody has confirmed it: look at it with --dry-run, then \
         add --yes"
    )]
    NotConfirmed,
    /// Too little disk for the brokers' data.
    #[error(
        "a topic of the plan takes up to {needed} of disk with all replicas where {available} are free ({}): free some, or make \
         trials shorter (duration, messages) in the scenario",
        folder.display()
    )]
    TooLittleDisk {
        /// Its largest topic, an upper estimate.
        needed: String,
        /// Free.
        available: String,
        /// Where the brokers keep their data.
        folder: PathBuf,
    },
    /// A result folder that cannot be written to.
    #[error("cannot write to {}: {source}; choose another folder with --results, or free space there", path.display())]
    Unwritable {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A result that can no longer be written: the disk has filled up, or the folder has gone.
    #[error(
        "cannot write to {}: {source}, so the run was ended; what was measured before is in {}: free space there for the next",
        path.display(),
        folder.display()
    )]
    Unkept {
        /// What could not be written.
        path: PathBuf,
        /// The result folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A cluster with fewer brokers than replicas.
    #[error(
        "the scenario asks for {wanted} replicas and the cluster has {found} broker(s): set topic.replication-factor (and \
         topic.min-insync-replicas) to what it can carry"
    )]
    TooFewBrokers {
        /// `topic.replication-factor`.
        wanted: u32,
        /// Brokers.
        found: usize,
    },
    /// The admin client could not be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A child process that could not be started or did not end.
    #[error("{0}")]
    Child(String),
    /// More has been written to somebody else's cluster than is allowed.
    #[error(
        "{sent} of messages have been sent to a cluster that ackmark did not start, where {allowed} are allowed, so the run was \
         ended: make it shorter, or allow more with --max-bytes"
    )]
    SentTooMuch {
        /// Message bytes so far, before replication.
        sent: String,
        /// What is allowed.
        allowed: String,
    },
    /// Several trials in a row failed with the same error.
    #[error("{count} trials in a row failed with the same error, so the run was ended: {message}")]
    KeepsFailing {
        /// Trials.
        count: usize,
        /// The error.
        message: String,
    },
}

impl BenchError {
    /// The error once load has begun, when what is in the result folder stays.
    pub(crate) fn during_run(self, folder: &Path) -> Self {
        match self {
            Self::Unwritable { path, source } => Self::Unkept { path, folder: folder.to_owned(), source },
            error => error,
        }
    }
}
