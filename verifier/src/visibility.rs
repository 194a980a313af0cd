//! How long committed transactions take to be shown: from just before the commit is asked for until the poll that brought
//! the last of its messages to a reader at `read_committed`.
//!
//! A commit is acknowledged before its markers are in every partition, so this is more than the commit itself; and a
//! reader is shown what lies behind an open transaction only when that one ends. Sender and reader are on one machine, so
//! the clock is one. Those of the warm-up, by their
//! messages, are apart. A transaction whose messages were not all sighted took longer than any that was.

use ackmark_ledger::{Fate, LedgerReader, Member, State, Transaction};
use ackmark_schema::latency::LatencySummary;

use crate::{
    latency::{LATENCY_MAX_US, histogram},
    live::Sightings,
};

/// Delays of the committed transactions that are measured; `None` where there is none.
pub(crate) fn visibility(ledger: &LedgerReader, sightings: &Sightings) -> Option<LatencySummary> {
    let mut delays = histogram();
    let mut committed = 0;
    for transaction in ledger.transactions().iter().filter(|transaction| transaction.fate == Fate::Committed) {
        let warm_up = |member: &Member| sightings.is_warm_up(member.stream, transaction.transaction);
        let Some(asked_ns) = transaction.intent_commit_ns.filter(|_| !transaction.members.iter().any(warm_up)) else {
            continue;
        };
        committed += 1;
        if let Some(shown_ns) = shown(transaction, ledger, sightings) {
            delays += (shown_ns.saturating_sub(asked_ns) / 1_000).min(LATENCY_MAX_US);
        }
    }
    (committed > 0).then(|| ackmark_stats::latency_summary(&delays, committed))
}

/// When the last of its messages was sighted; `None` unless all of them were.
fn shown(transaction: &Transaction, ledger: &LedgerReader, sightings: &Sightings) -> Option<u64> {
    let mut last_ns = None;
    for member in &transaction.members {
        let stream = ledger.stream(member.stream)?;
        let acknowledged =
            stream.runs_within(member.sequences.clone()).filter(|(_, state)| *state == State::Acknowledged);
        let wanted: u64 = acknowledged.map(|(range, _)| range.end - range.start).sum();
        if wanted > 0 {
            let at_ns = sightings.all_seen_ns(member.stream, transaction.transaction, wanted)?;
            last_ns = last_ns.max(Some(at_ns));
        }
    }
    last_ns
}
