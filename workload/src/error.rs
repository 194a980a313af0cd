//! Why a member cannot go on.

use ackmark_ledger::LedgerError;
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::database::StoreError;

/// Why a member cannot go on.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// librdkafka or a broker refuses.
    #[error("{doing}: {}", told(source))]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: KafkaError,
    },
    /// Outputs that no broker took.
    #[error("{count} outputs were not delivered, the first: {first}; what was read is read again by the next life")]
    NotDelivered {
        /// How many.
        count: u64,
        /// Why the first was not.
        first: String,
    },
    /// A consumer without a group: offsets could not be committed with their outputs.
    #[error("the consumer has no group: its offsets cannot go into a transaction")]
    NoGroup,
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] LedgerError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it was told is no work.
    #[error("cannot read what to do: {0}; members are started by `ackmark process`")]
    Spec(String),
    /// A pattern was not given what it needs.
    #[error("pattern {pattern} needs {what}")]
    Missing {
        /// The pattern.
        pattern: &'static str,
        /// What.
        what: &'static str,
    },
}

/// The innermost words of a transaction's error are the useful ones.
fn told(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(inner) => inner.to_string(),
        other => other.to_string(),
    }
}

/// Says what was being done.
pub(crate) trait Doing<T> {
    /// The same, with what was being done when it failed.
    fn doing(self, doing: &'static str) -> Result<T, WorkloadError>;
}

impl<T> Doing<T> for Result<T, KafkaError> {
    fn doing(self, doing: &'static str) -> Result<T, WorkloadError> {
        self.map_err(|source| WorkloadError::Kafka { doing, source })
    }
}
