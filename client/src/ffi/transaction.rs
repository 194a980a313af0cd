//! librdkafka's transaction calls.

use std::time::Duration;

use rdkafka_sys as sys;

use super::handle::Handle;
use super::{owned, timeout_ms};
use crate::errors::{ErrorCode, TransactionError, TransactionStep};

impl Handle {
    /// Runs one step of a transaction; `timeout` bounds all but `Begin`, which does not block.
    pub(crate) fn transaction(&self, step: TransactionStep, timeout: Duration) -> Result<(), TransactionError> {
        let client = self.as_ptr();
        let timeout = timeout_ms(timeout);
        // SAFETY: the instance is alive; each call returns null or an error object that is ours.
        let error = unsafe {
            match step {
                TransactionStep::Init => sys::rd_kafka_init_transactions(client, timeout),
                TransactionStep::Begin => sys::rd_kafka_begin_transaction(client),
                TransactionStep::Commit => sys::rd_kafka_commit_transaction(client, timeout),
                TransactionStep::Abort => sys::rd_kafka_abort_transaction(client, timeout),
            }
        };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, ours, read and then destroyed once.
        unsafe {
            let found = TransactionError {
                step,
                code: ErrorCode::of(super::rd_kafka_error_code(error)),
                reason: owned(sys::rd_kafka_error_string(error)),
                retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            };
            sys::rd_kafka_error_destroy(error);
            Err(found)
        }
    }
}
