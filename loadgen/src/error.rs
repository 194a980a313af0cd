//! Why a load does not start, each with its cure. Once it runs, what goes wrong is in its report.

use std::{io, path::PathBuf};

use ackmark_client::{ClientError, ErrorCode, TransactionError};
use ackmark_ledger::LedgerError;
use thiserror::Error;

pub use crate::payload::PayloadError;

/// Why a load does not start, or its reports cannot be written.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The spec cannot work.
    #[error("{0}")]
    Spec(String),
    /// A property stands in the way of the tool's work.
    #[error("client property {name}={value} cannot be used: {reason}")]
    Property {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// Why, and what to do.
        reason: String,
    },
    /// No broker answers.
    #[error("no broker of {servers} answers within {waited_s} s: {source}")]
    Unreachable {
        /// `bootstrap.servers`.
        servers: String,
        /// How long it was waited for.
        waited_s: u64,
        /// The last answer.
        source: ClientError,
    },
    /// The topic does not exist.
    #[error("topic '{topic}' does not exist; create it first (ackmark load --create-topic, kafka-topics.sh)")]
    MissingTopic {
        /// Its name.
        topic: String,
    },
    /// The topic has fewer partitions than asked for.
    #[error(
        "topic '{topic}' has {found} partitions, {wanted} are asked for; use a topic with that many, or ask for fewer"
    )]
    TooFewPartitions {
        /// Its name.
        topic: String,
        /// Partitions that it has.
        found: u32,
        /// Partitions that the spec names.
        wanted: u32,
    },
    /// Messages or batches that the client or the topic would refuse.
    #[error("{what} may have {bytes} bytes, but {limit_name} is {limit}; {cure}")]
    TooLarge {
        /// Messages or batches.
        what: &'static str,
        /// Their largest size, with all that goes with it.
        bytes: u64,
        /// What limits it.
        limit_name: &'static str,
        /// The limit.
        limit: u64,
        /// What to change.
        cure: &'static str,
    },
    /// The payload cannot be made.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The client refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Transactions could not be initialised.
    #[error(
        "transactions could not be initialised within {waited_s} s ({}: {}): {}",
        answer.code, answer.reason, cure_of_init(answer.code)
    )]
    Transactions {
        /// How long it was tried.
        waited_s: u64,
        /// The last answer.
        answer: TransactionError,
    },
    /// The ledger cannot be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The folder holds a run.
    #[error("the folder {} holds another run: choose an empty output folder", path.display())]
    FolderUsed {
        /// The folder.
        path: PathBuf,
    },
    /// The folder's run cannot go on.
    #[error("the run cannot go on: {0}")]
    Resume(String),
    /// A file of the load folder cannot be written.
    #[error("cannot write {}: {source}; check that the folder can be written to and has room", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No room for what is written at the end.
    #[error(
        "no room in {} for the reports of this run, {bytes} bytes ({source}): free disk space, choose another output folder, or raise the limit on file sizes (ulimit -f)",
        path.display()
    )]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// What they may need.
        bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The caller's flag was raised while the producers were made ready.
    #[error("interrupted before the first message: nothing was sent")]
    Interrupted,
    /// No thread.
    #[error("cannot start a thread: {source}; ask for fewer producers, or raise the limit on processes")]
    Thread {
        /// The system's error.
        source: io::Error,
    },
}

fn cure_of_init(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::INVALID_TRANSACTION_TIMEOUT | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => code.cure(),
        _ => {
            "check that enough brokers run for the topic __transaction_state (transaction.state.log.min.isr), and that \
             this principal may use the transactional.id"
        }
    }
}
