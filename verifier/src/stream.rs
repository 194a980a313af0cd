//! One stream as a scan has seen it: `next` and the gaps below it.
//!
//! A sequence that equals `next` advances it; a higher one opens a gap; a lower one fills a gap or is
//! another copy. Memory grows with gaps and with resends, not with messages.
//!
//! Copies are told apart by their attempt. Attempt 0 is the rule, so only what departs from it is kept:
//! which sequences were seen with a later attempt, and which of them never with attempt 0.

use std::{collections::BTreeMap, ops::Range};

use crate::intervals::IntervalSet;

/// What one record was to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// First seen, above all before it.
    New,
    /// First seen, after a higher sequence of its stream.
    Reordered,
    /// First seen after a higher sequence, but sent again by the application: no claim on its order.
    Late,
    /// Another copy, of an attempt that was seen before: the client retried.
    DuplicateRetry,
    /// Another copy, of an attempt that was not seen before: the application sent it again.
    DuplicateResend,
}

/// What a scan has seen of a stream.
#[derive(Debug, Clone, Default)]
pub struct StreamAccount {
    /// One past the highest sequence seen.
    next: u64,
    /// Not seen, below `next`.
    gaps: IntervalSet,
    /// Seen with attempt 1, 2 …
    resent: BTreeMap<u16, IntervalSet>,
    /// Seen, but never with attempt 0.
    only_resent: IntervalSet,
}

impl StreamAccount {
    /// Accounts for one record.
    #[inline]
    pub fn see(&mut self, sequence: u64, attempt: u16) -> Sight {
        if sequence == self.next && attempt == 0 {
            self.next += 1;
            return Sight::New;
        }
        self.see_out_of_order(sequence, attempt)
    }

    fn see_out_of_order(&mut self, sequence: u64, attempt: u16) -> Sight {
        let sight = if sequence >= self.next {
            self.gaps.insert(self.next..sequence);
            self.next = sequence + 1;
            Sight::New
        } else if self.gaps.remove(sequence) {
            if attempt == 0 { Sight::Reordered } else { Sight::Late }
        } else if self.was_seen_with(sequence, attempt) {
            Sight::DuplicateRetry
        } else {
            Sight::DuplicateResend
        };
        self.remember_attempt(sequence, attempt, sight);
        sight
    }

    fn was_seen_with(&self, sequence: u64, attempt: u16) -> bool {
        match attempt {
            0 => !self.only_resent.contains(sequence),
            _ => self.resent.get(&attempt).is_some_and(|seen| seen.contains(sequence)),
        }
    }

    fn remember_attempt(&mut self, sequence: u64, attempt: u16, sight: Sight) {
        if attempt > 0 {
            self.resent.entry(attempt).or_default().insert(sequence..sequence + 1);
            if matches!(sight, Sight::New | Sight::Late) {
                self.only_resent.insert(sequence..sequence + 1);
            }
        } else if sight == Sight::DuplicateResend {
            self.only_resent.remove(sequence);
        }
    }

    /// The sequences in `window` that were not seen, as rising ranges.
    pub fn unseen(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let above = window.start.max(self.next)..window.end;
        self.gaps.within(window.start..window.end.min(self.next)).chain((above.start < above.end).then_some(above))
    }

    /// The sequences in `window` that were seen, as rising ranges.
    pub fn seen(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let end = window.end.min(self.next).max(window.start);
        let mut at = window.start;
        let stops = self.gaps.within(window.start..end).chain(std::iter::once(end..end));
        stops.filter_map(move |gap| {
            let seen = at..gap.start;
            at = gap.end;
            (seen.start < seen.end).then_some(seen)
        })
    }

    /// How many in `window` were seen.
    pub fn seen_count(&self, window: Range<u64>) -> u64 {
        self.seen(window).map(|range| range.end - range.start).sum()
    }

    /// Distinct sequences seen.
    pub fn distinct(&self) -> u64 {
        self.next - self.gaps.count()
    }

    /// Gaps kept: what the memory grows with.
    pub fn gaps(&self) -> usize {
        self.gaps.ranges()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a map from each sequence to the attempts that were seen.
        #[test]
        fn every_sight_is_that_of_a_plain_set(records in proptest::collection::vec((0u64..30, 0u16..3), 0..80), window in (0u64..40, 0u64..40)) {
            let mut account = StreamAccount::default();
            let mut model: BTreeMap<u64, BTreeSet<u16>> = BTreeMap::new();
            for (sequence, attempt) in records {
                let highest = model.last_key_value().map(|(highest, _)| *highest);
                let expected = match model.get(&sequence) {
                    Some(attempts) if attempts.contains(&attempt) => Sight::DuplicateRetry,
                    Some(_) => Sight::DuplicateResend,
                    None if highest.is_none_or(|highest| highest < sequence) => Sight::New,
                    None if attempt == 0 => Sight::Reordered,
                    None => Sight::Late,
                };
                prop_assert_eq!(account.see(sequence, attempt), expected);
                model.entry(sequence).or_default().insert(attempt);
            }
            prop_assert_eq!(account.distinct(), model.len() as u64);
            let window = window.0..window.1;
            let (seen, unseen): (Vec<u64>, Vec<u64>) = window.clone().partition(|sequence| model.contains_key(sequence));
            prop_assert_eq!(account.seen_count(window.clone()), seen.len() as u64);
            prop_assert_eq!(account.seen(window.clone()).flatten().collect::<Vec<_>>(), seen);
            prop_assert_eq!(account.unseen(window).flatten().collect::<Vec<_>>(), unseen);
        }
    }
}
