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
    /// The same message with the same attempt at two offsets: the client retried, as far as headers tell. See
    /// [`Cause`].
    DuplicateRetry,
    /// The same message with different attempts at two offsets: the application sent it again. See [`Cause`].
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
    /// An offset of an uncompacted log, above its start, at which there is neither a record nor a transaction marker
    /// (counted in offsets).
    OffsetGap,
}

impl Class {
    /// All classes, in the order in which a verdict lists them.
    pub const ALL: [Self; 18] = [
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
        Self::OffsetGap,
    ];

    /// The class in a few words, as printed.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::AbsentWhenClosed => "absent when closed",
            Self::Expired => "expired",
            Self::DuplicateRetry => "duplicate (same attempt)",
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
            Self::OffsetGap => "offset gap",
        }
    }
}

/// Why a message is in the log once more.
///
/// A copy is compared with those before it in the log. Sequences are those of record batches (KIP-98): a producer's
/// per partition, modulo 2^31; incarnation and attempt are of the record's header. The first rule that fits tells:
///
/// | of the copies before it | cause |
/// |---|---|
/// | one has its producer id, epoch and sequence | broker fault |
/// | none has its incarnation | restart |
/// | none of that incarnation has its attempt | resend |
/// | of those, one has its producer id and epoch, so another sequence | resend |
/// | of those, one has another producer id or epoch | new session |
/// | of those, one was written without a producer id, and so was it | client retry |
/// | otherwise: the reader is not shown producer ids, or only one of the two has one | unexplained |
///
/// A restart of a producer with a `transactional.id` keeps its producer id and takes the next epoch; without, it gets
/// a new id. A client may change either without a restart, which the incarnation tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// One producer id, epoch and sequence at two offsets: the broker's deduplication failed.
    BrokerFault,
    /// Another incarnation of the producer sent it.
    Restart,
    /// The application gave it to its producer again.
    Resend,
    /// The client began a new session in the life of its producer (another producer id or epoch) and sent again what it
    /// still held.
    NewSession,
    /// The client sent a request again; without a producer id no broker can tell.
    ClientRetry,
    /// Nothing that was seen tells why.
    Unexplained,
}

impl Cause {
    /// All causes, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::BrokerFault, Self::Restart, Self::Resend, Self::NewSession, Self::ClientRetry, Self::Unexplained];

    /// The cause in a few words, as printed.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BrokerFault => "broker fault",
            Self::Restart => "restart",
            Self::Resend => "resend",
            Self::NewSession => "new session",
            Self::ClientRetry => "client retry",
            Self::Unexplained => "unexplained",
        }
    }

    /// What tells that it is this cause.
    pub const fn evidence(self) -> &'static str {
        match self {
            Self::BrokerFault => "one producer id, epoch and sequence is stored at two offsets",
            Self::Restart => "another incarnation of the producer sent it",
            Self::Resend => "its producer was given it again: another attempt, or another sequence of one session",
            Self::NewSession => "another producer id or epoch in one life of the producer",
            Self::ClientRetry => "one attempt, and no producer id by which a broker could tell",
            Self::Unexplained => "nothing that was seen tells why",
        }
    }
}
