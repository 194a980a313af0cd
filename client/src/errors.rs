//! Codes and errors, each with what failed and its cure.

use std::fmt;
use std::time::Duration;

use crate::ffi;

/// A librdkafka or Kafka error code: negative codes are librdkafka's own, positive ones the broker's.
///
/// Codes that this library does not know by name are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: ErrorCode = ErrorCode($value);)*
        }
    };
}

codes! {
    /// The client was destroyed with the message outstanding.
    DESTROY = -197;
    /// An internal failure of the client.
    FAIL = -196;
    /// The connection broke.
    TRANSPORT = -195;
    /// A broker's name could not be resolved.
    RESOLVE = -193;
    /// The message's `message.timeout.ms` ran out.
    MSG_TIMED_OUT = -192;
    /// The reader is at the end of the partition.
    PARTITION_EOF = -191;
    /// The partition does not exist, by the client's metadata.
    UNKNOWN_PARTITION = -190;
    /// The topic does not exist, by the client's metadata.
    UNKNOWN_TOPIC = -188;
    /// No broker is reachable.
    ALL_BROKERS_DOWN = -187;
    /// An argument was invalid.
    INVALID_ARG = -186;
    /// The request timed out.
    TIMED_OUT = -185;
    /// The client's queue is full.
    QUEUE_FULL = -184;
    /// TLS failed.
    SSL = -181;
    /// The client is in the wrong state for the call.
    STATE = -172;
    /// SASL authentication failed, as the client saw it.
    AUTHENTICATION = -169;
    /// The request timed out before it was sent.
    TIMED_OUT_QUEUE = -166;
    /// The broker does not support what was asked.
    UNSUPPORTED_FEATURE = -165;
    /// The topic or partition was not found, or has no leader.
    NOENT = -156;
    /// Purged while it waited to be sent.
    PURGE_QUEUE = -152;
    /// Purged while it was in flight.
    PURGE_INFLIGHT = -151;
    /// The client has a fatal error and does nothing more.
    FATAL = -150;
    /// The producer was fenced by a newer one with the same transactional id.
    FENCED = -144;
    /// Another record made the broker reject the whole batch (KIP-467).
    INVALID_DIFFERENT_RECORD = -138;
    /// An unexpected error of the broker.
    UNKNOWN = -1;
    /// The offset is not (or no longer) in the log.
    OFFSET_OUT_OF_RANGE = 1;
    /// The batch's checksum or form is wrong (Kafka: `CORRUPT_MESSAGE`).
    INVALID_MSG = 2;
    /// The broker does not have the partition.
    UNKNOWN_TOPIC_OR_PART = 3;
    /// The partition has no leader.
    LEADER_NOT_AVAILABLE = 5;
    /// The broker is not the partition's leader.
    NOT_LEADER_FOR_PARTITION = 6;
    /// Replication was not confirmed in time.
    REQUEST_TIMED_OUT = 7;
    /// The batch is larger than the topic's `max.message.bytes`.
    MSG_SIZE_TOO_LARGE = 10;
    /// The connection broke, as a broker saw it.
    NETWORK_EXCEPTION = 13;
    /// The coordinator still loads its state (Kafka: `COORDINATOR_LOAD_IN_PROGRESS`).
    COORDINATOR_LOAD_IN_PROGRESS = 14;
    /// The topic's name is invalid.
    TOPIC_EXCEPTION = 17;
    /// The batch is larger than a log segment.
    RECORD_LIST_TOO_LARGE = 18;
    /// Fewer replicas in sync than `min.insync.replicas`, seen before the append.
    NOT_ENOUGH_REPLICAS = 19;
    /// The same, seen after the append.
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20;
    /// `acks` is none of -1, 0, 1.
    INVALID_REQUIRED_ACKS = 21;
    /// The principal may not use the topic.
    TOPIC_AUTHORIZATION_FAILED = 29;
    /// The principal may not use the cluster so.
    CLUSTER_AUTHORIZATION_FAILED = 31;
    /// A timestamp is outside of what the topic allows.
    INVALID_TIMESTAMP = 32;
    /// The topic is there already.
    TOPIC_ALREADY_EXISTS = 36;
    /// More replicas than brokers.
    INVALID_REPLICATION_FACTOR = 38;
    /// The topic's message format cannot hold the batch.
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43;
    /// A broker-side policy refused.
    POLICY_VIOLATION = 44;
    /// A gap in the producer's sequence numbers.
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
    /// A newer producer has the epoch.
    INVALID_PRODUCER_EPOCH = 47;
    /// `transaction.timeout.ms` is above the brokers' `transaction.max.timeout.ms`.
    INVALID_TRANSACTION_TIMEOUT = 50;
    /// The principal may not use the transactional id.
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53;
    /// The broker's disk failed.
    KAFKA_STORAGE_ERROR = 56;
    /// The broker does not know the producer id.
    UNKNOWN_PRODUCER_ID = 59;
    /// Right after an election, or for as long as fewer replicas than `min.insync.replicas` are in sync (KIP-207).
    OFFSET_NOT_AVAILABLE = 78;
    /// The topic does not take this compression.
    UNSUPPORTED_COMPRESSION_TYPE = 76;
    /// A record was refused, for example by compaction's need of a key.
    INVALID_RECORD = 87;
    /// A newer producer with the same transactional id is active.
    PRODUCER_FENCED = 90;
}

impl ErrorCode {
    /// The code of a number; 0 is no error.
    pub fn from_raw(code: i32) -> Option<Self> {
        (code != 0).then_some(ErrorCode(code))
    }

    /// A code that is known to be an error.
    pub(crate) fn of(code: i32) -> Self {
        ErrorCode(code)
    }

    /// The number.
    pub fn raw(self) -> i32 {
        self.0
    }

    /// Whether it stands in a broker's answer: not one of librdkafka's own, but for those that it makes of an
    /// answer (`INVALID_DIFFERENT_RECORD`, and `FENCED` of `PRODUCER_FENCED` or `INVALID_PRODUCER_EPOCH`).
    pub fn is_of_a_broker(self) -> bool {
        self.0 >= Self::UNKNOWN.0 || matches!(self, Self::INVALID_DIFFERENT_RECORD | Self::FENCED)
    }

    /// librdkafka's name, for example `MSG_SIZE_TOO_LARGE`; librdkafka's own begin with `_`.
    pub fn name(self) -> String {
        ffi::code_name(self.0)
    }

    /// librdkafka's description, one sentence.
    pub fn description(self) -> String {
        ffi::code_description(self.0)
    }

    /// What a user can do about it, when that is known.
    pub fn cure(self) -> &'static str {
        match self {
            Self::TRANSPORT | Self::ALL_BROKERS_DOWN | Self::RESOLVE | Self::NETWORK_EXCEPTION => {
                "check that the brokers run, that their advertised listeners can be reached from here and that \
                 security.protocol fits the listener"
            }
            Self::TIMED_OUT | Self::TIMED_OUT_QUEUE | Self::MSG_TIMED_OUT | Self::REQUEST_TIMED_OUT => {
                "check that the brokers can be reached and are not overloaded, or allow more time"
            }
            Self::SSL => {
                "check ssl.ca.location, that the broker's certificate is for this address (see \
                 ssl.endpoint.identification.algorithm) and that security.protocol fits the listener"
            }
            Self::AUTHENTICATION => {
                "check sasl.mechanism, sasl.username and sasl.password, and that security.protocol fits the listener"
            }
            Self::UNKNOWN_TOPIC | Self::UNKNOWN_TOPIC_OR_PART | Self::NOENT => {
                "create the topic first, or check its name"
            }
            Self::UNKNOWN_PARTITION => "ask for a partition that the topic has",
            Self::TOPIC_AUTHORIZATION_FAILED
            | Self::CLUSTER_AUTHORIZATION_FAILED
            | Self::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => "grant the principal this right (kafka-acls.sh)",
            Self::TOPIC_ALREADY_EXISTS => "choose another name, or delete the topic first",
            Self::INVALID_REPLICATION_FACTOR => "ask for at most as many replicas as there are brokers",
            Self::MSG_SIZE_TOO_LARGE | Self::RECORD_LIST_TOO_LARGE => {
                "lower batch.size and the message size, or raise the topic's max.message.bytes"
            }
            Self::NOT_ENOUGH_REPLICAS | Self::NOT_ENOUGH_REPLICAS_AFTER_APPEND | Self::OFFSET_NOT_AVAILABLE => {
                "bring brokers and replicas back, or lower the topic's min.insync.replicas"
            }
            Self::LEADER_NOT_AVAILABLE | Self::NOT_LEADER_FOR_PARTITION | Self::COORDINATOR_LOAD_IN_PROGRESS => {
                "bring the brokers back that are gone, or wait until others have taken over"
            }
            Self::KAFKA_STORAGE_ERROR => "free the broker's disk, or mend it, then start the broker again",
            Self::FENCED | Self::PRODUCER_FENCED | Self::INVALID_PRODUCER_EPOCH => {
                "use one producer per transactional.id, and a transaction.timeout.ms longer than a transaction"
            }
            Self::INVALID_TRANSACTION_TIMEOUT => {
                "lower transaction.timeout.ms, or raise the brokers' transaction.max.timeout.ms (default 900000)"
            }
            Self::QUEUE_FULL => "poll for delivery reports and try again",
            Self::OFFSET_OUT_OF_RANGE => "read from the start that the log still has",
            Self::UNSUPPORTED_FEATURE => "use a broker that supports this request",
            _ => "see the broker's log for the cause",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// What can go wrong outside of the delivery of single messages.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// librdkafka has no property of that name.
    #[error("unknown client property '{name}'{}", hint(.suggestion.as_deref()))]
    UnknownProperty {
        /// The name given.
        name: String,
        /// The nearest name that there is.
        suggestion: Option<String>,
    },
    /// librdkafka does not take the value.
    #[error("client property {name}={value} is refused: {reason}")]
    InvalidProperty {
        /// The property.
        name: String,
        /// Its value, redacted when secret.
        value: String,
        /// What librdkafka said.
        reason: String,
    },
    /// A line of a properties file is not `key=value`.
    #[error("{origin}, line {line} is no property; write it as key=value")]
    PropertyLine {
        /// The file, or what else the text came from.
        origin: String,
        /// From 1. The line itself is not told: it may hold a secret.
        line: usize,
    },
    /// The properties do not go together.
    #[error("the client cannot be created: {reason}; change the properties that it names")]
    Create {
        /// What librdkafka said.
        reason: String,
    },
    /// Text with a zero byte where C takes a string.
    #[error("the {what} contains a zero byte; remove it")]
    NulByte {
        /// What the text was for.
        what: &'static str,
    },
    /// A broker or the client refused an operation.
    #[error("cannot {what}: {code}: {reason}; {cure}", cure = .code.cure())]
    Operation {
        /// What was tried, for example `create topic 'a'`.
        what: String,
        /// Why it failed.
        code: ErrorCode,
        /// The text that came with the code.
        reason: String,
    },
    /// The cluster did not get into the state waited for.
    #[error("{what} within {}: {found}; check that all brokers run", seconds(*.waited))]
    NotInTime {
        /// What did not happen.
        what: String,
        /// How long it was waited for.
        waited: Duration,
        /// What was there instead.
        found: String,
    },
    /// A step of a transaction failed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The mock cluster did not start.
    #[error(
        "the simulated cluster of {brokers} brokers did not start; free some local ports, or ask for fewer brokers"
    )]
    Mock {
        /// How many were asked for.
        brokers: i32,
    },
    /// Statistics that are not in librdkafka's format.
    #[error("librdkafka's statistics cannot be read: {0}; this build expects those of version 2.x")]
    Statistics(#[from] serde_json::Error),
}

impl ClientError {
    pub(crate) fn operation(what: String, code: ErrorCode, reason: &str) -> Self {
        let reason = if reason.is_empty() { code.description() } else { reason.to_owned() };
        ClientError::Operation { what, code, reason }
    }

    /// The code of a refused operation.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Operation { code, .. } => Some(*code),
            ClientError::Transaction(error) => Some(error.code),
            _ => None,
        }
    }

    /// Whether the client or the broker that was asked does not know the topic.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::UNKNOWN_TOPIC | ErrorCode::UNKNOWN_TOPIC_OR_PART))
    }
}

fn hint(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("; did you mean '{name}'?"),
        None => "; see librdkafka's CONFIGURATION.md for those there are".to_owned(),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStep {
    /// Acquire the producer id and fence older producers.
    Init,
    /// Open a transaction (local).
    Begin,
    /// Flush, then commit.
    Commit,
    /// Purge, then abort.
    Abort,
}

impl fmt::Display for TransactionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransactionStep::Init => "initialise transactions",
            TransactionStep::Begin => "begin a transaction",
            TransactionStep::Commit => "commit the transaction",
            TransactionStep::Abort => "abort the transaction",
        })
    }
}

/// A step of a transaction that failed, and what librdkafka says can be done.
///
/// After a failed `Commit` that is neither fatal nor requires an abort, the outcome is unknown until
/// the same call succeeds: the coordinator may have committed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {step}: {code}: {reason}; {}", self.cure())]
pub struct TransactionError {
    /// What was tried.
    pub step: TransactionStep,
    /// Why it failed.
    pub code: ErrorCode,
    /// librdkafka's text.
    pub reason: String,
    /// The same call may be made again.
    pub retriable: bool,
    /// The transaction must be aborted, then a new one may begin.
    pub requires_abort: bool,
    /// This producer can do nothing more.
    pub fatal: bool,
}

impl TransactionError {
    fn cure(&self) -> &'static str {
        if self.fatal {
            "create a new producer"
        } else if self.requires_abort {
            "abort the transaction and begin a new one"
        } else if self.retriable {
            "make the same call again"
        } else {
            self.code.cure()
        }
    }
}
