//! What `read_committed` shows of a partition, by its markers.
//!
//! Records outside of transactions are shown, those of a transaction when its marker says commit. A marker ends
//! whatever its producer id has open in the partition, as in the broker (KIP-98): its epoch may be a later one, when a
//! coordinator has fenced the producer. What is open is kept by runs of messages in a row, so memory grows with batches
//! of open transactions at most, and what becomes visible is accounted for by runs.
//!
//! It is what an application *would* be shown: brokers tell consumers of aborted transactions by an index of their own
//! (`aborted_transactions` of a Fetch), which this does not look at. Limit: nothing behind an open transaction is shown
//! by a broker, whereas here all that is committed counts; a scan that ends with one open is incomplete.

use ackmark_schema::record::Header;

use crate::{
    accounting::{RecordTallies, SECOND_NS, Totals},
    digest::Sum,
    observation::{Batch, Ending, Marker},
    origin::Origin,
    stream::{Sight, StreamAccount},
    tally::{FurtherCopy, Tally},
};

/// The view and what is not decided yet.
#[derive(Debug)]
pub(crate) struct Committed {
    /// By position of the stream in its partition.
    pub(crate) streams: Vec<StreamAccount>,
    pub(crate) totals: Totals,
    /// Duplicates only.
    pub(crate) tallies: RecordTallies,
    /// The sum of what is shown, if it is asked for.
    pub(crate) sum: Sum,
    /// Without an order.
    open: Vec<Transaction>,
    /// Of those, the one that the batch at hand belongs to.
    at: Option<usize>,
}

/// An open transaction.
#[derive(Debug)]
struct Transaction {
    producer_id: i64,
    first_offset: i64,
    runs: Vec<Run>,
    totals: Totals,
    sum: Sum,
}

/// Messages of a stream in a row, in the log too, and sent in one second.
#[derive(Debug, Clone, Copy)]
struct Run {
    stream: usize,
    sequence: u64,
    offset: i64,
    count: u64,
    origin: Origin,
    sent_s: u64,
}

impl Run {
    fn is_followed_by(&self, stream: usize, header: &Header, offset: i64, origin: Origin) -> bool {
        self.sequence.wrapping_add(self.count) == header.sequence
            && self.offset.wrapping_add_unsigned(self.count) == offset
            && self.stream == stream
            && self.origin == origin
            && header.sent_ns().wrapping_sub(self.sent_s * SECOND_NS) < SECOND_NS
    }
}

impl Committed {
    /// Nothing of `streams` streams yet.
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            streams: vec![StreamAccount::default(); streams],
            totals: Totals::default(),
            tallies: RecordTallies::default(),
            sum: Sum::default(),
            open: Vec::new(),
            at: None,
        }
    }

    /// What follows is of this batch.
    pub(crate) fn batch(&mut self, batch: &Batch) {
        self.at = (batch.transactional && batch.producer_id >= 0).then(|| {
            let known = self.open.iter().position(|open| open.producer_id == batch.producer_id);
            known.unwrap_or_else(|| {
                self.open.push(Transaction {
                    producer_id: batch.producer_id,
                    first_offset: batch.base_offset,
                    runs: Vec::new(),
                    totals: Totals::default(),
                    sum: Sum::default(),
                });
                self.open.len() - 1
            })
        });
    }

    /// The sums that the batch at hand adds to.
    #[inline]
    pub(crate) fn totals(&mut self) -> &mut Totals {
        match self.at {
            None => &mut self.totals,
            Some(at) => &mut self.open[at].totals,
        }
    }

    /// The sum that the batch at hand adds to.
    #[inline]
    pub(crate) fn sum(&mut self) -> &mut Sum {
        match self.at {
            None => &mut self.sum,
            Some(at) => &mut self.open[at].sum,
        }
    }

    /// One of the run's messages; `tell` as for [`Self::marker`].
    #[inline]
    pub(crate) fn message(
        &mut self,
        stream: usize,
        header: &Header,
        offset: i64,
        origin: Origin,
        tell: impl FnMut(&mut Tally, usize, u64, i64, FurtherCopy),
    ) {
        self.totals().messages += 1;
        let alone = || {
            let (sequence, sent_s) = (header.sequence, header.sent_ns() / SECOND_NS);
            Run { stream, sequence, offset, count: 1, origin, sent_s }
        };
        let Some(at) = self.at else { return self.show(alone(), tell) };
        let runs = &mut self.open[at].runs;
        match runs.last_mut().filter(|last| last.is_followed_by(stream, header, offset, origin)) {
            Some(last) => last.count += 1,
            None => runs.push(alone()),
        }
    }

    /// A transaction ends. `tell` is given each duplicate that becomes visible by it: the tally that it adds to, stream,
    /// sequence, offset, and what is known of it.
    pub(crate) fn marker(&mut self, marker: &Marker, mut tell: impl FnMut(&mut Tally, usize, u64, i64, FurtherCopy)) {
        self.at = None;
        let ended = self.open.iter().position(|open| open.producer_id == marker.producer_id);
        let Some(ended) = ended.map(|at| self.open.swap_remove(at)) else { return };
        if marker.ending == Ending::Abort {
            return;
        }
        self.totals.add(&ended.totals);
        self.sum.add(ended.sum);
        for run in ended.runs {
            self.show(run, &mut tell);
        }
    }

    fn show(&mut self, run: Run, mut tell: impl FnMut(&mut Tally, usize, u64, i64, FurtherCopy)) {
        let tallies = &mut self.tallies;
        self.streams[run.stream].see_run(run.sequence, run.count, run.origin, |sequence, sight| {
            let (tally, cause) = match sight {
                Sight::DuplicateRetry(cause) => (&mut tallies.duplicate_retry, cause),
                Sight::DuplicateResend(cause) => (&mut tallies.duplicate_resend, cause),
                Sight::New | Sight::Reordered | Sight::Late => return,
            };
            let copy = FurtherCopy { cause, sent_s: run.sent_s };
            tell(tally, run.stream, sequence, run.offset.saturating_add_unsigned(sequence - run.sequence), copy);
        });
    }

    /// The first transaction that is open: its producer id and its first offset.
    pub(crate) fn first_open(&self) -> Option<(i64, i64)> {
        let first = self.open.iter().min_by_key(|open| open.first_offset);
        first.map(|open| (open.producer_id, open.first_offset))
    }
}
