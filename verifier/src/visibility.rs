//! How long committed transactions take to be shown: from just before the commit is asked for until the poll that brought
//! the last of its messages to a reader at `read_committed`.
//!
//! A commit is acknowledged before its markers are in every partition, so this is more than the commit itself; and a
//! reader is shown what lies behind an open transaction only when that one ends. Sender and reader are on one machine, so
//! the clock is one. Those of the warm-up, by their
//! messages, are apart. A transaction whose messages were not all sighted took longer than any that was.

use ackmark_ledger::{Fate, LedgerReader, State, Transaction};
use ackmark_schema::latency::LatencySummary;
use hdrhistogram::Histogram;

use crate::{
    latency::{LATENCY_MAX_US, histogram},
    live::Sightings,
};

/// Delays of transactions.
pub(crate) struct Delays {
    /// Of those that were shown, microseconds.
    pub(crate) shown: Histogram<u64>,
    /// All, shown or not.
    committed: u64,
}

impl Delays {
    /// Their percentiles; a transaction that was not shown took longer than any that was.
    pub(crate) fn summary(&self) -> LatencySummary {
        ackmark_stats::latency_summary(&self.shown, self.committed)
    }
}

/// Delays of the committed transactions that are measured: of the last incarnation, after the warm-up, asked for when the
/// reader had begun. `None` where there is none, or where more was seen than sightings are kept of.
pub(crate) fn visibility(ledger: &LedgerReader, sightings: &Sightings) -> Option<Delays> {
    if sightings.beyond() > 0 {
        return None;
    }
    let last = ledger.transactions().iter().map(|transaction| transaction.incarnation).max()?;
    let warm_up =
        |one: &Transaction| one.members.iter().any(|member| sightings.is_warm_up(member.stream, one.transaction));
    let mut delays = Delays { shown: histogram(), committed: 0 };
    for one in ledger.transactions().iter().filter(|one| one.incarnation == last && one.fate == Fate::Committed) {
        let Some(asked_ns) = one.intent_commit_ns.filter(|asked_ns| *asked_ns >= sightings.since_ns()) else {
            continue;
        };
        if warm_up(one) {
            continue;
        }
        match shown(one, ledger, sightings) {
            Shown::Nothing => {}
            Shown::InPart => delays.committed += 1,
            Shown::Whole { at_ns } => {
                delays.committed += 1;
                delays.shown += (at_ns.saturating_sub(asked_ns) / 1_000).min(LATENCY_MAX_US);
            }
        }
    }
    (delays.committed > 0).then_some(delays)
}

/// What a reader was shown of a transaction.
enum Shown {
    /// It holds no message.
    Nothing,
    /// Not all.
    InPart,
    /// All, the last of it at that time.
    Whole { at_ns: u64 },
}

/// What of its messages was sighted.
fn shown(transaction: &Transaction, ledger: &LedgerReader, sightings: &Sightings) -> Shown {
    let mut last_ns = None;
    for member in &transaction.members {
        let Some(stream) = ledger.stream(member.stream) else { return Shown::InPart };
        let runs = stream.runs_within(member.sequences.clone());
        let wanted: u64 =
            runs.filter(|(_, state)| *state == State::Acknowledged).map(|(run, _)| run.end - run.start).sum();
        if wanted > 0 {
            match sightings.all_seen_ns(member.stream, transaction.transaction, wanted) {
                Some(at_ns) => last_ns = last_ns.max(Some(at_ns)),
                None => return Shown::InPart,
            }
        }
    }
    last_ns.map_or(Shown::Nothing, |at_ns| Shown::Whole { at_ns })
}
