//! The classes that a verdict counts.
//!
//! Identity of a message = (stream, sequence); its copies carry an attempt. A, F and I stand for what
//! the sender knows of it: acknowledged, definitely failed, indeterminate. "In the log" is judged from
//! a scan of a sealed log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way in which a log can differ from what the sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Acknowledged, absent from the log, at or above the log start.
    Lost,
    /// Never acknowledged (acks=0, or indeterminate) and not in the log when it was closed.
    AbsentWhenClosed,
    /// Acknowledged, absent, and the log start has moved past the start of the run: retention may have removed it.
    Expired,
    /// The same message with the same attempt at two offsets: the client retried.
    DuplicateRetry,
    /// The same message with different attempts at two offsets: the application sent it again.
    DuplicateResend,
    /// Arrived after a higher sequence of its stream (first occurrences only, resends apart).
    Reordered,
    /// Definitely failed by the sender's knowledge, yet in the log.
    FailedVisible,
    /// Aborted, or of a transaction that was never asked to commit, yet visible under `read_committed`.
    AbortedVisible,
    /// Seen under `read_committed` before its transaction's commit was asked for.
    EarlyVisible,
    /// At rest some but not all messages of a transaction are visible under `read_committed`
    /// (counted in transactions).
    TornTransaction,
    /// Committed by the sender's knowledge, absent under `read_committed`, though in the log.
    CommittedInvisible,
    /// Carries this run's header, but the sender never reserved it.
    Phantom,
    /// Carries this run's magic, but its checksum does not match.
    Corrupt,
    /// The last stable offset stayed below the high watermark (counted in partitions).
    StuckLso,
    /// A record of an older incarnation after the newer one fenced it.
    ZombieWrite,
    /// One offset, two values in two scans.
    InconsistentOffset,
    /// A reader's position went back without a rebalance.
    NonMonotonicRead,
    /// In the log, never processed, committed past.
    ConsumerSkip,
    /// One offset processed more than once per group.
    Redelivered,
    /// A group's committed offset differs from the outputs that are visible.
    GroupOffsetMismatch,
}

impl Class {
    /// All classes, in the order in which a verdict lists them.
    pub const ALL: [Self; 20] = [
        Self::Lost,
        Self::AbsentWhenClosed,
        Self::Expired,
        Self::DuplicateRetry,
        Self::DuplicateResend,
        Self::Reordered,
        Self::FailedVisible,
        Self::AbortedVisible,
        Self::EarlyVisible,
        Self::TornTransaction,
        Self::CommittedInvisible,
        Self::Phantom,
        Self::Corrupt,
        Self::StuckLso,
        Self::ZombieWrite,
        Self::InconsistentOffset,
        Self::NonMonotonicRead,
        Self::ConsumerSkip,
        Self::Redelivered,
        Self::GroupOffsetMismatch,
    ];

    /// The class in a few words, as printed.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::AbsentWhenClosed => "absent when closed",
            Self::Expired => "expired",
            Self::DuplicateRetry => "duplicate (client retry)",
            Self::DuplicateResend => "duplicate (resend)",
            Self::Reordered => "reordered",
            Self::FailedVisible => "failed but in the log",
            Self::AbortedVisible => "aborted but visible",
            Self::EarlyVisible => "visible before commit",
            Self::TornTransaction => "torn transaction",
            Self::CommittedInvisible => "committed but invisible",
            Self::Phantom => "phantom",
            Self::Corrupt => "corrupt",
            Self::StuckLso => "stuck LSO",
            Self::ZombieWrite => "zombie write",
            Self::InconsistentOffset => "inconsistent offset",
            Self::NonMonotonicRead => "non-monotonic read",
            Self::ConsumerSkip => "consumer skip",
            Self::Redelivered => "redelivered",
            Self::GroupOffsetMismatch => "group offset mismatch",
        }
    }
}
