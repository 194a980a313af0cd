//! Around a pattern's loop: where it stops to be killed, its journal, its figures.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ackmark_ledger::journal::{Journal, Processed};
use ackmark_schema::{
    process::{InHand, Life, MemberSays, MemberSpec, Point, StopAt},
    report::CpuTime,
};
use hdrhistogram::Histogram;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use rdkafka::message::Message as _;

use crate::{
    batch::Batch,
    error::WorkloadError,
    parent::{Parent, tell},
};

/// Longest time told apart, microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Around a pattern's loop.
#[derive(Debug)]
pub struct App {
    parent: Parent,
    stop_at: Option<StopAt>,
    journal: Option<Journal>,
    cycle: u64,
    begun: Option<Instant>,
    first_begun: Option<Instant>,
    commit_begun: Instant,
    cycles: Histogram<u64>,
    commits: Histogram<u64>,
    life: Life,
}

impl App {
    /// What is around a member's loop.
    pub(crate) fn new(spec: &MemberSpec, parent: Parent, journal: Option<Journal>) -> Self {
        let histogram = || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are sound");
        Self {
            parent,
            stop_at: spec.stop_at,
            journal,
            cycle: 0,
            begun: None,
            first_begun: None,
            commit_begun: Instant::now(),
            cycles: histogram(),
            commits: histogram(),
            life: Life { member: spec.member, incarnation: spec.incarnation, ..Life::default() },
        }
    }

    /// Whether the loop goes on.
    pub fn goes_on(&self) -> bool {
        !self.parent.wants_end()
    }

    /// The loop is at a point of its cycle, with these messages in hand. If it is to stop here it waits, most likely for
    /// its death.
    pub fn reached(&mut self, point: Point, batch: &Batch<'_>) {
        if point == Point::AfterPoll {
            self.cycle += 1;
            self.begun = Some(batch.begun());
            self.first_begun.get_or_insert(batch.begun());
        }
        self.stop_here(StopAt { point, cycle: self.cycle }, || batch.in_hand());
    }

    fn stop_here(&self, here: StopAt, in_hand: impl FnOnce() -> Vec<InHand>) {
        if self.stop_at == Some(here) {
            tell(&MemberSays::Reached { at: here, in_hand: in_hand() });
            self.parent.wait();
        }
    }

    /// As [`App::reached`], for a point that is about what brokers have by then: if the loop is to stop there, `first` makes
    /// sure that they have it.
    ///
    /// # Errors
    /// Those of `first`.
    pub fn reached_once<E>(
        &mut self,
        point: Point,
        batch: &Batch<'_>,
        first: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if self.stop_at == Some(StopAt { point, cycle: self.cycle }) {
            first()?;
        }
        self.reached(point, batch);
        Ok(())
    }

    /// Whether the parent says to go on, or to end.
    pub(crate) fn may_go(&self) -> bool {
        self.parent.said_go() || self.parent.wants_end()
    }

    /// The effect of a consumer under test: an entry of the journal for each message.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn process(&mut self, batch: &Batch<'_>) -> Result<(), WorkloadError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let entries = batch.messages().iter().map(|message| Processed {
            partition: message.partition(),
            offset: message.offset(),
            at_ns: now,
        });
        if let Some(journal) = &mut self.journal {
            journal.processed(entries)?;
        }
        Ok(())
    }

    /// The commit of a cycle begins.
    pub fn commits(&mut self) {
        self.commit_begun = Instant::now();
    }

    /// The cycle's work is committed, or needs no commit of its own.
    pub fn committed(&mut self, batch: &Batch<'_>) {
        self.commits.saturating_record(micros(self.commit_begun.elapsed()));
        self.ended(batch);
    }

    /// The cycle has come to its end.
    pub fn ended(&mut self, batch: &Batch<'_>) {
        self.life.cycles += 1;
        self.life.messages += batch.messages().len() as u64;
        if let Some(begun) = self.begun.take() {
            self.cycles.saturating_record(micros(begun.elapsed()));
        }
        self.life.busy_s = self.first_begun.map_or(0.0, |first| first.elapsed().as_secs_f64());
    }

    /// The cycle's transaction was aborted; its messages are read again.
    pub fn aborted(&mut self) {
        self.life.aborted += 1;
    }

    /// The cycle's offsets were not committed, since its partitions are no longer this member's.
    pub fn refused(&mut self) {
        self.life.commits_refused += 1;
    }

    /// Ids that fell out of a database's window.
    pub fn forgot(&mut self, ids: u64) {
        *self.life.ids_forgotten.get_or_insert(0) += ids;
    }

    /// Stops, and waits, at a point of a loop that has no messages in hand.
    pub(crate) fn reached_alone(&self, point: Point) {
        self.stop_here(StopAt { point, cycle: 1 }, Vec::new);
    }

    /// Tells how the loop ended.
    pub(crate) fn end(mut self, revocations: u64, error: Option<String>) {
        self.life.error = error;
        self.life.revocations = revocations;
        self.life.cycle = ackmark_stats::latency_summary(&self.cycles, self.cycles.len());
        self.life.commit = ackmark_stats::latency_summary(&self.commits, self.commits.len());
        self.life.cpu = cpu();
        tell(&MemberSays::Ended(Box::new(self.life)));
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// CPU time of this process; the call fails only for an invalid argument.
fn cpu() -> CpuTime {
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF).map_or_else(
        |_| CpuTime::default(),
        |usage| CpuTime { user_s: seconds(usage.user_time()), system_s: seconds(usage.system_time()) },
    )
}
