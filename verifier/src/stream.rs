//! One stream as a scan has seen it: `next` and the gaps below it, and where each copy came from.
//!
//! A sequence that equals `next` advances it; a higher one opens a gap; a lower one fills a gap or is
//! another copy. Origins are kept by runs: a session of a producer is one run as long as its messages are stored in
//! order, and a gap that its own session fills makes none. So memory grows with gaps, sessions and further copies, not
//! with messages.
//!
//! Copies are told apart by their attempt, and explained by their origin.
//!
//! Limits: of the copies of one message that differ in their origin, [`ORIGINS_MAX`] are kept, and beside them the
//! first of each attempt. So copies are told apart by their attempt in any case; one beyond is unexplained, unless the
//! very same send is among those that are kept.

use std::ops::Range;

use ackmark_schema::anomaly::Cause;

use crate::{intervals::IntervalSet, origin::Origin, runs::Runs};

/// Origins that are kept of the copies of one message.
pub const ORIGINS_MAX: usize = 64;

/// What one record was to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// First seen, above all before it.
    New,
    /// First seen, after a higher sequence of its stream.
    Reordered,
    /// First seen after a higher sequence, but sent again by the application: no claim on its order.
    Late,
    /// Another copy, of an attempt that was seen before.
    DuplicateRetry(Cause),
    /// Another copy, of an attempt that was not seen before: the application sent it again.
    DuplicateResend(Cause),
}

impl Sight {
    /// Whether the message was not seen before.
    pub const fn is_first_copy(self) -> bool {
        matches!(self, Self::New | Self::Reordered | Self::Late)
    }
}

/// What a scan has seen of a stream.
#[derive(Debug, Clone, Default)]
pub struct StreamAccount {
    /// One past the highest sequence seen.
    next: u64,
    /// The origin that the sequences from the last run on have.
    latest: Origin,
    /// Not seen, below `next`.
    gaps: IntervalSet,
    /// Origins of first copies; of no meaning in gaps.
    first: Runs<Origin>,
    /// Origins of further copies, each another than those before it of its message: the second ones, the third ones …
    further: Vec<Runs<Option<Origin>>>,
}

impl StreamAccount {
    /// Accounts for one record.
    #[inline]
    pub fn see(&mut self, sequence: u64, origin: Origin) -> Sight {
        if sequence == self.next && origin == self.latest {
            self.next += 1;
            return Sight::New;
        }
        self.see_elsewhere(sequence, origin)
    }

    /// Accounts for `count` records of one origin in a row, `each` is told what those were that are not new.
    pub fn see_run(&mut self, first: u64, count: u64, origin: Origin, mut each: impl FnMut(u64, Sight)) {
        let end = first.saturating_add(count);
        let mut sequence = first;
        while sequence < end {
            if sequence == self.next && origin == self.latest {
                self.next = end;
                return;
            }
            match self.see_elsewhere(sequence, origin) {
                Sight::New => {}
                sight => each(sequence, sight),
            }
            sequence += 1;
        }
    }

    fn see_elsewhere(&mut self, sequence: u64, origin: Origin) -> Sight {
        if sequence >= self.next {
            self.gaps.insert(self.next..sequence);
            self.next = sequence + 1;
            if origin != self.latest {
                self.first.set_from(sequence, origin);
                self.latest = origin;
            }
            return Sight::New;
        }
        if self.gaps.remove(sequence) {
            self.first.set(sequence, origin);
            return if origin.attempt == 0 { Sight::Reordered } else { Sight::Late };
        }
        self.see_again(sequence, origin)
    }

    fn see_again(&mut self, sequence: u64, origin: Origin) -> Sight {
        let first = self.first.get(sequence);
        let further: Vec<Origin> = self.further.iter().map_while(|copies| copies.get(sequence)).collect();
        let known = || std::iter::once(&first).chain(&further);
        let known_count = 1 + further.len();
        let cause = origin.cause(known(), known_count < ORIGINS_MAX);
        let is_of_known_attempt = known().any(|copy| copy.attempt == origin.attempt);
        if known().all(|copy| *copy != origin) && (known_count < ORIGINS_MAX || !is_of_known_attempt) {
            if further.len() == self.further.len() {
                self.further.push(Runs::default());
            }
            self.further[further.len()].set(sequence, Some(origin));
        }
        if is_of_known_attempt { Sight::DuplicateRetry(cause) } else { Sight::DuplicateResend(cause) }
    }

    /// The sequences in `window` that were not seen, as rising ranges.
    pub fn unseen(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let above = window.start.max(self.next)..window.end;
        self.gaps.within(window.start..window.end.min(self.next)).chain((above.start < above.end).then_some(above))
    }

    /// The sequences in `window` that were seen, as rising ranges.
    pub fn seen(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let reached = window.start..window.end.min(self.next).max(window.start);
        without(reached.clone(), self.gaps.within(reached))
    }

    /// What was seen of one attempt.
    pub fn of_attempt(&self, attempt: u16) -> OfAttempt<'_> {
        OfAttempt { account: self, attempt }
    }

    /// How many in `window` were seen.
    pub fn seen_count(&self, window: Range<u64>) -> u64 {
        self.seen(window).map(|range| range.end - range.start).sum()
    }

    /// Distinct sequences seen.
    pub fn distinct(&self) -> u64 {
        self.next - self.gaps.count()
    }

    /// Gaps and runs of origins kept: what the memory grows with.
    pub fn kept(&self) -> usize {
        self.gaps.ranges() + self.first.changes() + self.further.iter().map(Runs::changes).sum::<usize>()
    }
}

/// A stream as far as one attempt at its messages was seen.
#[derive(Debug, Clone, Copy)]
pub struct OfAttempt<'a> {
    account: &'a StreamAccount,
    attempt: u16,
}

impl OfAttempt<'_> {
    /// The sequences in `window` that were seen with this attempt, as rising ranges.
    pub fn seen(&self, window: Range<u64>) -> Vec<Range<u64>> {
        let StreamAccount { first, further, .. } = self.account;
        let mut seen = IntervalSet::default();
        for (run, _) in first.within(window.clone()).filter(|(_, origin)| origin.attempt == self.attempt) {
            self.account.seen(run).for_each(|part| seen.insert(part));
        }
        for copies in further {
            let own = |copy: Option<Origin>| copy.is_some_and(|origin| origin.attempt == self.attempt);
            copies.within(window.clone()).filter(|(_, copy)| own(*copy)).for_each(|(run, _)| seen.insert(run));
        }
        seen.within(window).collect()
    }

    /// The sequences in `window` that were not, as rising ranges.
    pub fn unseen(&self, window: Range<u64>) -> Vec<Range<u64>> {
        without(window.clone(), self.seen(window).into_iter()).collect()
    }

    /// How many in `window` were.
    pub fn seen_count(&self, window: Range<u64>) -> u64 {
        self.seen(window).into_iter().map(|range| range.end - range.start).sum()
    }
}

/// A range without rising holes in it.
fn without(range: Range<u64>, holes: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    let Range { start: mut at, end } = range;
    holes.chain(std::iter::once(end..end)).filter_map(move |hole| {
        let part = at..hole.start;
        at = hole.end;
        (part.start < part.end).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::origin::Session;

    /// The rules of [`Cause`], one after the other.
    fn cause_by_the_rules(copy: &Origin, before: &[Origin]) -> Cause {
        let same_life: Vec<_> = before.iter().filter(|b| b.incarnation == copy.incarnation).collect();
        let same_attempt: Vec<_> = same_life.iter().filter(|b| b.attempt == copy.attempt).collect();
        let has_id = copy.session.has_id();
        if has_id && before.iter().any(|b| b.session == copy.session && b.shift == copy.shift) {
            Cause::BrokerFault
        } else if same_life.is_empty() {
            Cause::Restart
        } else if same_attempt.is_empty() || has_id && same_attempt.iter().any(|b| b.session == copy.session) {
            Cause::Resend
        } else if has_id && same_attempt.iter().any(|b| b.session.has_id()) {
            Cause::NewSession
        } else if copy.session == Session::NONE && same_attempt.iter().any(|b| b.session == Session::NONE) {
            Cause::ClientRetry
        } else {
            Cause::Unexplained
        }
    }

    fn origins() -> impl Strategy<Value = Origin> {
        let session = prop_oneof![
            2 => Just(Session::NOT_TOLD),
            2 => Just(Session::NONE),
            4 => (0i64..2, 0i16..2).prop_map(|(id, epoch)| Session::of_batch(id, epoch)),
        ];
        (session, 0u32..2, 0u32..2, 0u16..3).prop_map(|(session, shift, incarnation, attempt)| {
            let shift = if session.has_id() { shift } else { 0 };
            Origin { session, shift, incarnation, attempt }
        })
    }

    proptest! {
        /// Against a map from each sequence to the copies that were seen.
        #[test]
        fn every_sight_is_that_of_a_plain_map(records in proptest::collection::vec((0u64..30, origins()), 0..100), window in (0u64..40, 0u64..40)) {
            let mut account = StreamAccount::default();
            let mut model: BTreeMap<u64, Vec<Origin>> = BTreeMap::new();
            for (sequence, origin) in records {
                let highest = model.last_key_value().map(|(highest, _)| *highest);
                let expected = match model.get(&sequence) {
                    Some(before) => {
                        let cause = cause_by_the_rules(&origin, before);
                        if before.iter().any(|copy| copy.attempt == origin.attempt) { Sight::DuplicateRetry(cause) } else { Sight::DuplicateResend(cause) }
                    }
                    None if highest.is_none_or(|highest| highest < sequence) => Sight::New,
                    None if origin.attempt == 0 => Sight::Reordered,
                    None => Sight::Late,
                };
                prop_assert_eq!(account.see(sequence, origin), expected);
                model.entry(sequence).or_default().push(origin);
            }
            prop_assert_eq!(account.distinct(), model.len() as u64);
            let window = window.0..window.1;
            let (seen, unseen): (Vec<u64>, Vec<u64>) = window.clone().partition(|sequence| model.contains_key(sequence));
            prop_assert_eq!(account.seen_count(window.clone()), seen.len() as u64);
            prop_assert_eq!(account.seen(window.clone()).flatten().collect::<Vec<_>>(), seen);
            prop_assert_eq!(account.unseen(window.clone()).flatten().collect::<Vec<_>>(), unseen);
            for attempt in 0..4 {
                let with = |sequence: &u64| model.get(sequence).is_some_and(|copies| copies.iter().any(|copy| copy.attempt == attempt));
                let (seen, unseen): (Vec<u64>, Vec<u64>) = window.clone().partition(with);
                let of_attempt = account.of_attempt(attempt);
                prop_assert_eq!(of_attempt.seen_count(window.clone()), seen.len() as u64);
                prop_assert_eq!(of_attempt.seen(window.clone()).into_iter().flatten().collect::<Vec<_>>(), seen);
                prop_assert_eq!(of_attempt.unseen(window.clone()).into_iter().flatten().collect::<Vec<_>>(), unseen);
            }
        }

        #[test]
        fn a_run_is_seen_as_its_records_one_by_one(runs in proptest::collection::vec((0u64..40, 0u64..20, origins()), 0..20)) {
            let (mut by_run, mut by_record) = (StreamAccount::default(), StreamAccount::default());
            for (first, count, origin) in runs {
                let mut sights = Vec::new();
                by_run.see_run(first, count, origin, |sequence, sight| sights.push((sequence, sight)));
                let one_by_one = (first..first + count).map(|sequence| (sequence, by_record.see(sequence, origin)));
                let expected: Vec<_> = one_by_one.filter(|(_, sight)| *sight != Sight::New).collect();
                prop_assert_eq!(sights, expected);
                prop_assert_eq!(by_run.distinct(), by_record.distinct());
            }
            prop_assert_eq!(format!("{by_run:?}"), format!("{by_record:?}"));
        }
    }

    fn of(session: Session, shift: u32) -> Origin {
        Origin { session, shift, ..Origin::default() }
    }

    #[test]
    fn memory_grows_with_gaps_sessions_and_copies_only() {
        let mut account = StreamAccount::default();
        let first = of(Session::of_batch(7, 0), 3);
        // Each neighbour swapped: gaps that the session fills itself.
        (0..100_000u64).for_each(|n| assert!(account.see(n ^ 1, first).is_first_copy()));
        assert_eq!(account.kept(), 1);
        let second = of(Session::of_batch(8, 0), 0);
        account.see_run(100_000, 50_000, second, |_, _| panic!("all are new"));
        assert_eq!(account.kept(), 2);
        let mut copies = 0;
        account.see_run(20_000, 1_000, second, |_, sight| copies += u64::from(!sight.is_first_copy()));
        assert_eq!((copies, account.kept()), (1_000, 4), "where the copies begin and where they end");
    }

    #[test]
    fn many_copies_of_one_message_are_bounded_and_their_attempts_exact() {
        let mut account = StreamAccount::default();
        let session = Session::of_batch(7, 0);
        account.see(0, of(session, 0));
        for shift in 1..10_000 {
            let cause = if (shift as usize) < ORIGINS_MAX { Cause::Resend } else { Cause::Unexplained };
            assert_eq!(account.see(0, of(session, shift)), Sight::DuplicateRetry(cause), "{shift}");
        }
        assert!(account.kept() <= 2 * ORIGINS_MAX, "{}", account.kept());
        assert_eq!(account.see(0, of(session, 5)), Sight::DuplicateRetry(Cause::BrokerFault), "that one is kept");
        let attempts: BTreeSet<u16> = (1..200).collect();
        for again in [false, true] {
            for attempt in &attempts {
                let sight = account.see(0, Origin { attempt: *attempt, ..of(session, 70_000 + u32::from(*attempt)) });
                assert_eq!(matches!(sight, Sight::DuplicateRetry(_)), again, "{attempt} {sight:?}");
            }
        }
    }
}
