//! What a run's earlier incarnations left undecided: what the next one may send again.
//!
//! Each attempt at a message ended in one of these ways:
//!
//! | | without a transaction | in a transaction |
//! |---|---|---|
//! | done | acknowledged | committed |
//! | given up | definitely failed | definitely failed, or known to be aborted |
//! | dead | | its producer died before it asked to commit: once it is fenced, applications never see it |
//! | unknown | reported as neither, or not reported | its commit was asked for and not answered |
//!
//! A message is decided when an attempt is done, or when none is unknown and the last one was given up: the
//! application knew, and went on. Else it is *unknown* if any attempt is, and *dead* if all are.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use ackmark_schema::manifest::Resends;

use crate::{
    layout::State,
    reader::{Fate, LedgerReader, StreamLedger},
};

/// Sequences of a stream that are to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The stream.
    pub stream: u32,
    /// The sequences.
    pub sequences: Range<u64>,
    /// The next attempt at them.
    pub attempt: u16,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    GivenUp,
    Dead,
    Unknown,
}

/// A range of one attempt.
#[derive(Debug)]
struct Attempt {
    sequences: Range<u64>,
    number: u16,
    end: End,
}

/// Fates of a stream's sequences by attempt, rising.
type Fates = HashMap<(u32, u16), Vec<(Range<u64>, End)>>;

impl LedgerReader {
    /// What of the run is undecided and to be sent again by this choice, rising by stream and sequence.
    pub fn undecided(&self, choice: Resends) -> Vec<Undecided> {
        let mut fates = Fates::new();
        for transaction in self.transactions() {
            let end = match transaction.fate {
                Fate::Committed => End::Done,
                Fate::Indeterminate | Fate::Unknown => End::Unknown,
                Fate::Aborted if transaction.ended => End::GivenUp,
                Fate::Aborted => End::Dead,
            };
            for member in &transaction.members {
                fates.entry((member.stream, member.attempt)).or_default().push((member.sequences.clone(), end));
            }
        }
        for fates in fates.values_mut() {
            fates.sort_by_key(|(range, _)| range.start);
        }
        self.streams().flat_map(|stream| undecided(stream, &fates, choice)).collect()
    }
}

fn undecided(stream: &StreamLedger, fates: &Fates, choice: Resends) -> Vec<Undecided> {
    let attempts = attempts(stream, fates);
    let mut borders: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * attempts.len());
    for (index, one) in attempts.iter().enumerate() {
        borders.extend([(one.sequences.start, true, index), (one.sequences.end, false, index)]);
    }
    borders.sort_unstable();
    let (mut found, mut active, mut at): (Vec<Undecided>, BTreeSet<usize>, u64) = (Vec::new(), BTreeSet::new(), 0);
    for (border, begins, index) in borders {
        let sequences = at..border;
        if !sequences.is_empty()
            && let Some(attempt) = next_attempt(&active.iter().map(|index| &attempts[*index]), choice)
        {
            match found.last_mut() {
                Some(last) if last.sequences.end == at && last.attempt == attempt => last.sequences.end = border,
                _ => found.push(Undecided { stream: stream.stream, sequences, attempt }),
            }
        }
        at = border;
        if begins {
            active.insert(index)
        } else {
            active.remove(&index)
        };
    }
    found
}

/// The number of the next attempt at messages with these, if there is to be one.
fn next_attempt<'a>(attempts: &(impl Iterator<Item = &'a Attempt> + Clone), choice: Resends) -> Option<u16> {
    let any = |end| attempts.clone().any(|attempt| attempt.end == end);
    let last = attempts.clone().max_by_key(|attempt| attempt.number)?;
    let resend = match choice {
        Resends::None => false,
        _ if any(End::Done) => false,
        Resends::Indeterminate => any(End::Unknown) || last.end == End::Dead,
        Resends::Uncommitted => !any(End::Unknown) && last.end == End::Dead,
    };
    resend.then(|| last.number.saturating_add(1))
}

/// How each attempt at a stream's messages ended.
fn attempts(stream: &StreamLedger, fates: &Fates) -> Vec<Attempt> {
    let mut all = Vec::new();
    for part in stream.parts() {
        let fates = fates.get(&(stream.stream, part.attempt)).map_or(&[][..], Vec::as_slice);
        for (range, state) in part.runs_within(part.range()) {
            let of_state = match state {
                State::Acknowledged => End::Done,
                State::Failed => End::GivenUp,
                State::Open | State::Indeterminate => End::Unknown,
            };
            let mut add = |sequences: Range<u64>, end| {
                if !sequences.is_empty() {
                    all.push(Attempt { sequences, number: part.attempt, end });
                }
            };
            let mut at = range.start;
            let from = fates.partition_point(|(known, _)| known.end <= range.start);
            for (known, fate) in fates[from..].iter().take_while(|(known, _)| known.start < range.end) {
                add(at..known.start.max(at), of_state);
                // In a transaction a delivery report settles nothing but a failure.
                let end = if of_state == End::GivenUp { End::GivenUp } else { *fate };
                add(known.start.max(range.start)..known.end.min(range.end), end);
                at = known.end.min(range.end);
            }
            add(at..range.end, of_state);
        }
    }
    all
}
