//! Transactions of one producer: begun with the first message, ended by time or by count: by a commit, or, of a share
//! that is asked for, by an abort once all messages are in the log.
//!
//! Each step is in the ledger's transaction log before it is asked for. Flush and commit are timed apart:
//! the flush drains what is outstanding and is the larger part. What may be asked again is asked again
//! until the bound; what must be aborted is aborted and a new transaction begins; five aborts in a row or
//! an unknown fate end the run.
//!
//! Bound of a step: `transaction.timeout.ms` and 15 s, and never beyond the time when the run gives up, as it was known
//! when the wait at hand began: a run that gives up earlier is heard within 5 s.

use std::time::Duration;

use ackmark_client::{RawProducer, TransactionError};
use ackmark_ledger::{LedgerError, TransactionLog};
use ackmark_schema::profile::Transactions as Bounds;
use hdrhistogram::Histogram;
use thiserror::Error;

use crate::{
    clock::Clock,
    flow::{Amount, Flow, Halt},
    latency::{histogram, record_ns},
};

/// Aborts in a row that end the run.
const ABORTS_MAX: u32 = 5;
/// A single wait for a flush, so that an interruption is seen.
const FLUSH_SLICE: Duration = Duration::from_millis(200);
/// A single wait for a commit or an abort. Long, for the call is better not resumed: when its answer comes while
/// librdkafka is taking up the next call (2.12.1, `rd_kafka_txn_op_req`), each of the call's steps is given the answer of
/// the step before, and the next transaction is told to have begun before it has. What is sent then is refused with
/// `_STATE`: with answers after 200 ms and waits as long, in one of some hundred runs of six transactions.
const ANSWER_SLICE: Duration = Duration::from_secs(5);
/// Time for a step beyond what the transaction itself may take.
const GRACE: Duration = Duration::from_secs(15);

/// Why transactions cannot go on.
#[derive(Debug, Error)]
pub(crate) enum TransactionsEnd {
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A step failed for good.
    #[error(transparent)]
    Step(#[from] TransactionError),
    /// Nobody takes delivery reports any more.
    #[error("a transaction was left open, since its delivery reports are no longer taken; a seal aborts it")]
    Unserved,
    /// Too many aborts.
    #[error("{ABORTS_MAX} transactions in a row were aborted, the last one because: {reason}")]
    Aborts {
        /// Why the last one was.
        reason: String,
    },
}

/// What became of a producer's transactions.
#[derive(Debug)]
pub(crate) struct TransactionTally {
    /// Committed, aborted, asked to commit with an unknown fate.
    pub(crate) committed: u64,
    pub(crate) aborted: u64,
    pub(crate) indeterminate: u64,
    /// Of the aborted ones, those that were to be, and their messages in the measured part.
    pub(crate) aborted_on_purpose: u64,
    pub(crate) messages_aborted_on_purpose: u64,
    /// Transactions, commits and aborts that failed with a broker's error code.
    pub(crate) broker_errors: u64,
    /// Messages of the committed ones.
    pub(crate) messages: u64,
    /// Delivered in transactions that were committed in the measured part.
    pub(crate) measured: Amount,
    /// Times of those committed in the measured part.
    pub(crate) begin_to_committed: Histogram<u64>,
    pub(crate) flush: Histogram<u64>,
    pub(crate) commit: Histogram<u64>,
    /// Times of those aborted on purpose in the measured part.
    pub(crate) abort: Histogram<u64>,
    /// Time in which nothing could be sent, in the measured part.
    pub(crate) stalled_ns: u64,
    /// When the last one ended.
    pub(crate) last_end_ns: u64,
}

impl TransactionTally {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            committed: 0,
            aborted: 0,
            indeterminate: 0,
            aborted_on_purpose: 0,
            messages_aborted_on_purpose: 0,
            broker_errors: 0,
            messages: 0,
            measured: Amount::default(),
            begin_to_committed: histogram(),
            flush: histogram(),
            commit: histogram(),
            abort: histogram(),
            stalled_ns: 0,
            last_end_ns: 0,
        }
    }

    /// Adds what the same producer did before, none of which was measured.
    pub(crate) fn absorb(&mut self, earlier: &Self) {
        self.committed += earlier.committed;
        self.aborted += earlier.aborted;
        self.indeterminate += earlier.indeterminate;
        self.aborted_on_purpose += earlier.aborted_on_purpose;
        self.broker_errors += earlier.broker_errors;
        self.messages += earlier.messages;
    }
}

/// A transaction that is open.
#[derive(Debug, Clone, Copy)]
struct Open {
    begun_ns: u64,
    messages: u64,
    /// Of these, what the client refused.
    refused: u64,
    /// Delivered by this producer before it.
    delivered: Amount,
}

/// A producer's transactions.
pub(crate) struct Transactions<'r> {
    producer: &'r RawProducer,
    clock: Clock,
    flow: &'r Flow,
    halt: &'r Halt<'r>,
    bounds: Bounds,
    /// Longest time for a step.
    step_timeout: Duration,
    log: Option<TransactionLog>,
    number: u32,
    /// The last transaction that each stream was in.
    member_of: Vec<u32>,
    open: Option<Open>,
    aborts_in_row: u32,
    tally: TransactionTally,
}

/// How a flush ended.
enum Flush {
    /// Nothing is outstanding.
    Done,
    /// The transaction has failed: what is outstanding stays so until it is aborted, or the producer has.
    Failed(TransactionError),
    /// The time is up.
    TooLong,
}

/// What a step needs from a run.
pub(crate) struct Surroundings<'r> {
    /// The producer, whose transactions are initialised.
    pub(crate) producer: &'r RawProducer,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// The producer's counters.
    pub(crate) flow: &'r Flow,
    /// The run's end for a reason.
    pub(crate) halt: &'r Halt<'r>,
    /// `transaction.timeout.ms` in effect.
    pub(crate) transaction_timeout: Duration,
    /// Streams of the producer.
    pub(crate) streams: usize,
}

impl<'r> Transactions<'r> {
    /// None is begun yet; the first one is counted on from `number`.
    pub(crate) fn new(around: &Surroundings<'r>, bounds: Bounds, log: Option<TransactionLog>, number: u32) -> Self {
        Self {
            producer: around.producer,
            clock: around.clock,
            flow: around.flow,
            halt: around.halt,
            bounds,
            step_timeout: around.transaction_timeout + GRACE,
            log,
            number,
            member_of: vec![0; around.streams],
            open: None,
            aborts_in_row: 0,
            tally: TransactionTally::new(),
        }
    }

    /// The number of the open transaction.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether one is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When the open one is to be ended by time.
    pub(crate) fn ends_at_ns(&self) -> Option<u64> {
        Some(self.open?.begun_ns + self.bounds.duration?.0.as_nanos() as u64)
    }

    /// Whether the open one has reached a bound.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        self.ends_at_ns().is_some_and(|at_ns| now_ns >= at_ns) || (self.is_open() && self.room() == 0)
    }

    /// Messages that the open one, or the next, still takes.
    pub(crate) fn room(&self) -> u64 {
        let sent = self.open.map_or(0, |open| open.messages);
        self.bounds.messages.map_or(u64::MAX, |most| most.0.saturating_sub(sent))
    }

    /// Begins one unless one is open.
    pub(crate) fn begin(&mut self) -> Result<(), TransactionsEnd> {
        if self.is_open() {
            return Ok(());
        }
        let begun_ns = self.clock.now_ns();
        self.number += 1;
        if let Some(log) = &mut self.log {
            log.begin(self.number, self.clock.epoch_ns(begun_ns))?;
        }
        self.producer.begin_transaction()?;
        self.open = Some(Open { begun_ns, messages: 0, refused: 0, delivered: self.flow.delivered.get() });
        Ok(())
    }

    /// Messages of a stream are about to be reserved and handed over, from a sequence on.
    pub(crate) fn enter(&mut self, slot: usize, stream: u32, first: u64, n: u64) -> Result<(), TransactionsEnd> {
        if let Some(open) = &mut self.open {
            open.messages += n;
        }
        if self.member_of[slot] != self.number {
            self.member_of[slot] = self.number;
            if let Some(log) = &mut self.log {
                log.member(stream, first)?;
            }
        }
        Ok(())
    }

    /// The client refused so many of the messages that entered: they are in no transaction.
    pub(crate) fn count_refused(&mut self, n: u64) {
        if let Some(open) = &mut self.open {
            open.refused += n;
        }
    }

    /// Ends the open one, if one is: by a commit if that can be and is meant to be. `measured` says where its figures belong.
    pub(crate) fn end(&mut self, measured: bool) -> Result<(), TransactionsEnd> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let from_ns = self.clock.now_ns();
        let result = self.flush_and_end(open, from_ns, measured);
        let end_ns = self.clock.now_ns();
        self.tally.last_end_ns = end_ns;
        if measured {
            self.tally.stalled_ns += end_ns - from_ns;
        }
        result
    }

    /// The tally at the end, and the log, for whoever goes on with it.
    pub(crate) fn into_parts(self) -> (TransactionTally, Option<TransactionLog>) {
        (self.tally, self.log)
    }

    fn flush_and_end(&mut self, open: Open, from_ns: u64, measured: bool) -> Result<(), TransactionsEnd> {
        match self.flush(from_ns) {
            Flush::Done => {}
            Flush::Failed(error) => {
                self.count_error(&error);
                if error.fatal {
                    // Nothing is sent or ended any more: a seal aborts it. What was accepted after the client failed
                    // what waited would stay until its time-out.
                    self.producer.purge(false);
                    return Err(error.into());
                }
                return self.abort(&error.to_string());
            }
            Flush::TooLong if !self.flow.is_served() => return Err(TransactionsEnd::Unserved),
            Flush::TooLong => return self.abort("what was outstanding could not be delivered in time"),
        }
        let flushed_ns = self.clock.now_ns();
        if self.bounds.aborts(self.number) {
            self.abort_now()?;
            self.tally.aborted_on_purpose += 1;
            if measured {
                record_ns(&mut self.tally.abort, self.clock.now_ns() - flushed_ns);
                self.tally.messages_aborted_on_purpose += open.messages - open.refused;
            }
            return Ok(());
        }
        if let Some(log) = &mut self.log {
            log.intent_commit(self.clock.epoch_ns(flushed_ns))?;
        }
        let committed = self.until_answered(RawProducer::commit_transaction);
        match committed.inspect_err(|error| self.count_error(error)) {
            Ok(()) => {}
            Err(error) if error.requires_abort && !error.fatal => return self.abort(&error.to_string()),
            Err(error) => {
                self.tally.indeterminate += 1;
                return Err(error.into());
            }
        }
        let committed_ns = self.clock.now_ns();
        if let Some(log) = &mut self.log {
            log.committed(self.clock.epoch_ns(committed_ns))?;
        }
        self.aborts_in_row = 0;
        self.tally.committed += 1;
        self.tally.messages += open.messages - open.refused;
        if measured {
            self.tally.measured += self.flow.delivered.get() - open.delivered;
            record_ns(&mut self.tally.begin_to_committed, committed_ns - open.begun_ns);
            record_ns(&mut self.tally.flush, flushed_ns - from_ns);
            record_ns(&mut self.tally.commit, committed_ns - flushed_ns);
        }
        Ok(())
    }

    /// Drains what is outstanding.
    fn flush(&self, from_ns: u64) -> Flush {
        while !self.producer.flush(FLUSH_SLICE) {
            if let Some(error) = self.producer.transaction_failure() {
                return Flush::Failed(error);
            }
            if self.is_too_long(from_ns) {
                return Flush::TooLong;
            }
        }
        // Nothing is outstanding either once the producer has failed everything.
        let fatal = self.producer.fatal_error().and_then(|_| self.producer.transaction_failure());
        fatal.map_or(Flush::Done, Flush::Failed)
    }

    /// Aborts what cannot be committed.
    fn abort(&mut self, reason: &str) -> Result<(), TransactionsEnd> {
        self.abort_now()?;
        self.aborts_in_row += 1;
        if self.aborts_in_row >= ABORTS_MAX {
            return Err(TransactionsEnd::Aborts { reason: reason.into() });
        }
        Ok(())
    }

    /// Aborts, in the ledger too.
    fn abort_now(&mut self) -> Result<(), TransactionsEnd> {
        if let Some(log) = &mut self.log {
            log.intent_abort(self.clock.epoch_ns(self.clock.now_ns()))?;
        }
        let aborted = self.until_answered(RawProducer::abort_transaction);
        if let Err(error) = aborted {
            self.count_error(&error);
            self.tally.indeterminate += 1;
            return Err(error.into());
        }
        self.tally.aborted += 1;
        if let Some(log) = &mut self.log {
            log.aborted(self.clock.epoch_ns(self.clock.now_ns()))?;
        }
        Ok(())
    }

    fn count_error(&mut self, error: &TransactionError) {
        self.tally.broker_errors += u64::from(error.code.is_of_a_broker());
    }

    /// Makes a call again while it may be made again, within the bound.
    fn until_answered(
        &self,
        step: impl Fn(&RawProducer, Duration) -> Result<(), TransactionError>,
    ) -> Result<(), TransactionError> {
        let from_ns = self.clock.now_ns();
        let bound_ns = from_ns + self.step_timeout.as_nanos() as u64;
        loop {
            let left_ns = bound_ns.min(self.halt.give_up_ns()).saturating_sub(self.clock.now_ns());
            match step(self.producer, ANSWER_SLICE.min(Duration::from_nanos(left_ns))) {
                Err(error) if error.retriable && !error.fatal && !error.requires_abort => {
                    if self.is_too_long(from_ns) {
                        return Err(error);
                    }
                }
                answered => return answered,
            }
        }
    }

    /// Whether a step that began then has taken long enough.
    fn is_too_long(&self, from_ns: u64) -> bool {
        let waited = Duration::from_nanos(self.clock.now_ns() - from_ns);
        waited > self.step_timeout || self.halt.gives_up() || !self.flow.is_served()
    }
}
