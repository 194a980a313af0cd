//! One partition on its way through a scan.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{ScanPlan, Target, Visitor};
use crate::{
    batch::{BatchError, BatchHeader, Batches},
    codec::Decompressor,
    fetch::Answered,
    patience::Patience,
};

/// What all threads of a scan look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) plan: &'a ScanPlan<'a>,
    /// Ends every wait of every thread.
    pub(super) halt: &'a AtomicBool,
    pub(super) counters: &'a Counters,
    pub(super) begun: Instant,
}

impl<'a> Shared<'a> {
    pub(super) fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    /// For a broker that was asked, beyond what it may wait by itself. Several silences fit into a scan without
    /// progress, so that there is time to ask another broker.
    pub(super) fn patience(&self) -> Patience<'a> {
        let limits = &self.plan.limits;
        let silence = limits.silence.min(limits.no_progress / 3).min(self.plan.config.request_timeout);
        // A deadline beyond what the clock can say is none.
        let until = self.begun.checked_add(limits.deadline).unwrap_or(self.begun + Duration::from_hours(24 * 365));
        Patience { stop: self.halt, silence, until }
    }
}

/// Counted once per partition and answer.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Changes whenever a partition comes further.
    pub(super) steps: AtomicU64,
}

/// What must be looked at on its own, with no Fetch under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// At the position stands what cannot be read.
    Unreadable {
        /// The base offset that its header says, where one was seen.
        base: Option<i64>,
    },
    /// The position is not in the log.
    OutOfRange,
}

/// Why a partition leaves a reader.
#[derive(Debug)]
pub(super) enum Left {
    /// It is at its end.
    Done,
    /// Its leader has to be looked for, since this happened.
    Moved(String),
    /// It cannot be read on.
    Failed(String),
}

/// A partition that is being read.
#[derive(Debug)]
pub(super) struct Reading<V> {
    /// Its place among the targets.
    pub(super) index: usize,
    pub(super) target: Target,
    pub(super) visitor: V,
    /// All below it was handed over.
    pub(super) position: i64,
    /// Where the next Fetch begins: what lies between was received and is still to be judged.
    pub(super) ahead: i64,
    pub(super) leader_epoch: i32,
    /// Most bytes of a Fetch.
    pub(super) max_bytes: i32,
    pub(super) aside: Option<Aside>,
    /// Troubles since it last came further.
    pub(super) failures: u32,
    /// The latest of them.
    pub(super) trouble: Option<String>,
    /// Since when no broker knows the partition.
    pub(super) unknown_since: Option<Instant>,
    log_start: i64,
    last_stable: i64,
    /// Answers in a row that brought nothing though nothing stood in the way.
    nothing: u32,
}

/// Answers that must agree before a scan goes on as if the log had nothing where its high watermark says that it goes
/// on: compaction has removed it, or the broker cannot bring it at the moment.
const NOTHING_MIN: u32 = 2;

impl<V: Visitor> Reading<V> {
    pub(super) fn new(index: usize, target: Target, visitor: V, max_bytes: i32) -> Self {
        Self {
            index,
            position: target.start,
            ahead: target.start,
            target,
            visitor,
            leader_epoch: -1,
            max_bytes,
            aside: None,
            failures: 0,
            trouble: None,
            unknown_since: None,
            log_start: -1,
            last_stable: -1,
            nothing: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.position >= self.target.end
    }

    /// Whether the next Fetch asks for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.aside.is_none() && self.ahead < self.target.end
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.target.topic, self.target.partition)
    }

    /// Forgets what was read ahead.
    pub(super) fn start_over(&mut self) {
        self.ahead = self.position;
        self.aside = None;
        self.nothing = 0;
    }

    /// Goes to `offset`, below which nothing is left to hand over.
    pub(super) fn go_to(&mut self, offset: i64, counters: &Counters) {
        self.position = offset;
        self.start_over();
        self.came_further(counters);
    }

    fn came_further(&mut self, counters: &Counters) {
        self.failures = 0;
        self.trouble = None;
        self.unknown_since = None;
        counters.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn tell_log_start(&mut self, offset: i64) {
        if offset >= 0 && offset != self.log_start {
            self.log_start = offset;
            self.visitor.log_start(offset);
        }
    }

    fn tell_last_stable(&mut self, offset: i64) {
        if offset >= 0 && offset != self.last_stable {
            self.last_stable = offset;
            self.visitor.last_stable(offset);
        }
    }

    pub(super) fn tell_unreadable(&mut self, end: i64, error: &(dyn std::error::Error + 'static), counters: &Counters) {
        self.visitor.unreadable(self.position, end, error);
        self.go_to(end, counters);
    }

    /// Looks over an answer without an error, before it is judged: where the next Fetch begins.
    ///
    /// `first`: the broker had found nothing for any partition before this one, so that its first batch, if there is
    /// one, is here whole whatever the sizes (KIP-74).
    pub(super) fn look_over(&mut self, answered: &Answered<'_>, first: bool, sizes_max: i32, counters: &Counters) {
        self.tell_log_start(answered.log_start);
        self.tell_last_stable(answered.last_stable);
        let mut rest = answered.records;
        // What is no batch is judged with the others.
        while let Ok(Some(header)) = BatchHeader::parse(rest) {
            let Some(behind) = rest.get(header.size()..) else {
                let size = i32::try_from(header.size()).unwrap_or(i32::MAX);
                self.max_bytes = self.max_bytes.max(size.min(sizes_max));
                break;
            };
            if header.next_offset() <= self.ahead {
                break;
            }
            self.ahead = header.next_offset();
            rest = behind;
        }
        if self.ahead > self.position || self.position >= answered.high_watermark {
            self.nothing = 0;
            if self.ahead == self.position && self.trouble.is_none() {
                self.trouble = Some(format!("the log ends at offset {}", answered.high_watermark));
            }
            return;
        }
        if !first {
            return;
        }
        self.nothing += 1;
        if self.nothing < NOTHING_MIN {
            return;
        }
        if answered.records.is_empty() {
            let end = answered.high_watermark.min(self.target.end);
            self.visitor.nothing(self.position, end);
            self.go_to(end, counters);
        } else {
            // A first batch that is not whole even now has a length that is none.
            self.aside = Some(Aside::Unreadable { base: None });
        }
    }

    /// Hands the batches of an answer to the visitor.
    pub(super) fn hand_over(&mut self, records: &[u8], decompressor: &mut Decompressor, shared: &Shared<'_>) {
        let (begun, mut count) = (self.position, 0);
        let mut batches = Batches::fetched_at(records, self.position);
        while self.position < self.target.end && !shared.is_halted() {
            match batches.next() {
                None => break,
                Some(Ok(batch)) if batch.header.base_offset >= self.target.end => self.position = self.target.end,
                Some(Ok(batch)) => {
                    let next = batch.header.next_offset();
                    if let Err(error) = self.visitor.batch(&batch, decompressor) {
                        self.visitor.unreadable(self.position.max(batch.header.base_offset), next, &error);
                    }
                    count += u64::from(batch.header.count.unsigned_abs());
                    self.position = next;
                }
                Some(Err(error)) => {
                    self.aside = Some(Aside::Unreadable { base: Some(error.offset()) });
                    break;
                }
            }
        }
        if self.position > begun {
            // What was mended was not looked over.
            self.ahead = self.ahead.max(self.position);
            shared.counters.records.fetch_add(count, Ordering::Relaxed);
            shared.counters.bytes.fetch_add(batches.position() as u64, Ordering::Relaxed);
            self.came_further(shared.counters);
        }
    }
}

/// Whether a batch can never be read here, wherever it is asked for.
pub(super) fn is_foreign(error: &BatchError) -> bool {
    matches!(error, BatchError::OldFormat { .. })
}
