//! What a delivery report says about a message: acknowledged, definitely failed, or indeterminate.
//!
//! *Acknowledged*: no error, and `acks` is not 0. Under `acks=0` the report comes when the request has
//! been written to the socket, so nobody confirmed anything: indeterminate.
//!
//! *Failed* means that the message is in no log and never will be. That needs both librdkafka's status
//! `NotPersisted` and a code on a closed list. The status alone is not enough: librdkafka 2.12.1 gives it
//! to every code that it does not list (`rdkafka_request.c`, `rd_kafka_handle_Produce_error`), among them
//! `NOT_LEADER_FOR_PARTITION` and `KAFKA_STORAGE_ERROR`, which a broker can answer after a local append
//! (a leader that steps down completes the waiting request so).
//!
//! Nor is the last code enough. librdkafka retries such codes without counting them, whatever `retries`
//! says, and keeps the status at `NotPersisted`; no public call tells how often a message was sent. So a
//! code that says only what *this* attempt met leaves open what an earlier attempt did:
//! `NOT_ENOUGH_REPLICAS` rejects before the append, yet the attempt before it may have been appended by
//! a leader that then stepped down. The list therefore holds only codes that come from the message and
//! the configuration, so that each attempt meets them:
//!
//! | code | why nothing was or will be appended |
//! |---|---|
//! | `MSG_SIZE_TOO_LARGE`, `RECORD_LIST_TOO_LARGE` | validated before the append (UnifiedLog.append) |
//! | `INVALID_RECORD`, `_INVALID_DIFFERENT_RECORD` | validation rejects the whole batch (KIP-467) |
//! | `INVALID_TIMESTAMP`, `UNSUPPORTED_FOR_MESSAGE_FORMAT`, `UNSUPPORTED_COMPRESSION_TYPE` | as above |
//! | `POLICY_VIOLATION` | refused by a broker-side policy before the append |
//! | `INVALID_REQUIRED_ACKS` | checked before anything is appended (ReplicaManager.appendRecords) |
//! | `TOPIC_EXCEPTION` | the topic's name is invalid: it has no log |
//!
//! Messages that `produce_run` refuses never entered the client and are failed whatever their code; they
//! have no delivery report.
//!
//! Limit: a batch that was appended, answered as not leader, and then merged into a larger batch that is
//! refused for its size would be called failed. It takes a `batch.size` above `max.message.bytes`, or
//! another message in the batch that is refused.

use crate::errors::ErrorCode;

/// librdkafka's view of whether a message is in the log (`rd_kafka_msg_status_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PersistenceStatus {
    /// Not sent, or refused; also every code that librdkafka does not list.
    NotPersisted,
    /// Sent, and nobody knows.
    PossiblyPersisted,
    /// A broker acknowledged it.
    Persisted,
}

impl PersistenceStatus {
    pub(crate) fn from_raw(status: u32) -> Self {
        match status {
            0 => PersistenceStatus::NotPersisted,
            2 => PersistenceStatus::Persisted,
            _ => PersistenceStatus::PossiblyPersisted,
        }
    }
}

/// What is known of a message once it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A broker confirmed it under the acks in effect.
    Acknowledged,
    /// It is in no log and never will be.
    Failed,
    /// It may or may not be in the log, now or later.
    Indeterminate,
}

/// Judges a delivery report by its code (`None`: no error), its status, and whether brokers confirm at
/// all (`acks` in effect is not 0).
pub fn outcome(code: Option<ErrorCode>, status: PersistenceStatus, brokers_confirm: bool) -> Outcome {
    match code {
        None if brokers_confirm => Outcome::Acknowledged,
        Some(code) if status == PersistenceStatus::NotPersisted && rejects_every_attempt(code) => Outcome::Failed,
        _ => Outcome::Indeterminate,
    }
}

/// The closed list of the module's table.
fn rejects_every_attempt(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::MSG_SIZE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::INVALID_RECORD
            | ErrorCode::INVALID_DIFFERENT_RECORD
            | ErrorCode::INVALID_TIMESTAMP
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            | ErrorCode::POLICY_VIOLATION
            | ErrorCode::INVALID_REQUIRED_ACKS
            | ErrorCode::TOPIC_EXCEPTION
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Acknowledged, Failed, Indeterminate};
    use PersistenceStatus::{NotPersisted, Persisted, PossiblyPersisted};

    const EVERY_STATUS: [PersistenceStatus; 3] = [NotPersisted, PossiblyPersisted, Persisted];

    #[test]
    fn no_error_is_an_acknowledgement_only_where_brokers_confirm() {
        for status in EVERY_STATUS {
            assert_eq!(outcome(None, status, true), Acknowledged);
            assert_eq!(outcome(None, status, false), Indeterminate, "acks=0 confirms nothing");
        }
    }

    #[test]
    fn codes_that_every_attempt_meets_are_failures_when_not_persisted() {
        let codes = [
            ErrorCode::MSG_SIZE_TOO_LARGE,
            ErrorCode::RECORD_LIST_TOO_LARGE,
            ErrorCode::INVALID_RECORD,
            ErrorCode::INVALID_DIFFERENT_RECORD,
            ErrorCode::INVALID_TIMESTAMP,
            ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            ErrorCode::POLICY_VIOLATION,
            ErrorCode::INVALID_REQUIRED_ACKS,
            ErrorCode::TOPIC_EXCEPTION,
        ];
        for code in codes {
            assert_eq!(outcome(Some(code), NotPersisted, true), Failed, "{code}");
            assert_eq!(outcome(Some(code), PossiblyPersisted, true), Indeterminate, "{code}: an earlier attempt");
            assert_eq!(outcome(Some(code), Persisted, true), Indeterminate, "{code}: contradiction");
        }
    }

    #[test]
    fn every_other_code_is_indeterminate_even_when_called_not_persisted() {
        let codes = [
            ErrorCode::NOT_LEADER_FOR_PARTITION,
            ErrorCode::KAFKA_STORAGE_ERROR,
            ErrorCode::NOT_ENOUGH_REPLICAS,
            ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::MSG_TIMED_OUT,
            ErrorCode::TIMED_OUT,
            ErrorCode::TRANSPORT,
            ErrorCode::PURGE_QUEUE,
            ErrorCode::PURGE_INFLIGHT,
            ErrorCode::UNKNOWN_TOPIC,
            ErrorCode::UNKNOWN_PARTITION,
            ErrorCode::UNKNOWN_TOPIC_OR_PART,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
            ErrorCode::INVALID_MSG,
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::UNKNOWN_PRODUCER_ID,
            ErrorCode::FATAL,
            ErrorCode::DESTROY,
            ErrorCode::UNKNOWN,
            // TRANSACTION_ABORTABLE (KIP-890), which librdkafka 2.12.1 does not know.
            ErrorCode::of(120),
        ];
        for code in codes {
            for status in EVERY_STATUS {
                assert_eq!(outcome(Some(code), status, true), Indeterminate, "{code} {status:?}");
                assert_eq!(outcome(Some(code), status, false), Indeterminate, "{code} {status:?}");
            }
        }
    }

    #[test]
    fn names_are_those_of_librdkafka() {
        assert_eq!(ErrorCode::MSG_SIZE_TOO_LARGE.to_string(), "MSG_SIZE_TOO_LARGE");
        assert_eq!(ErrorCode::QUEUE_FULL.to_string(), "_QUEUE_FULL");
        assert_eq!(ErrorCode::INVALID_DIFFERENT_RECORD.to_string(), "_INVALID_DIFFERENT_RECORD");
        assert_eq!(ErrorCode::NOT_LEADER_FOR_PARTITION.to_string(), "NOT_LEADER_FOR_PARTITION");
    }
}
