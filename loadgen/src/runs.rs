//! Delivery reports as runs: consecutive messages of one stream with one outcome.
//!
//! A producer that sends in runs of one stream gets its reports in runs, so that what is done per run (the
//! ledger, the counters) costs next to nothing per message. Whatever comes out of order makes more runs
//! and is as exact.

use ackmark_client::{ErrorCode, Outcome};

use crate::opaque;

/// Consecutive messages of one stream that were reported alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Stream slot and sequence of the first.
    first: u64,
    /// How many.
    pub(crate) len: u64,
    /// Why they were not delivered, if so.
    pub(crate) code: Option<ErrorCode>,
    /// What is known of them.
    pub(crate) outcome: Outcome,
}

impl Run {
    /// The stream's slot.
    pub(crate) fn slot(&self) -> usize {
        opaque::slot(self.first)
    }

    /// The first sequence.
    pub(crate) fn sequence(&self) -> u64 {
        opaque::sequence(self.first)
    }

    /// How many of them have a sequence of `from` or above.
    pub(crate) fn count_from(&self, from: u64) -> u64 {
        (self.sequence() + self.len).saturating_sub(from).min(self.len)
    }
}

/// Joins single reports into runs.
#[derive(Debug, Default)]
pub(crate) struct RunBuilder {
    open: Option<Run>,
}

impl RunBuilder {
    /// Takes a report; gives the run that it ends.
    #[inline]
    pub(crate) fn push(&mut self, packed: u64, code: Option<ErrorCode>, outcome: Outcome) -> Option<Run> {
        if let Some(run) = &mut self.open
            && packed == run.first + run.len
            && code == run.code
            && outcome == run.outcome
            && opaque::sequence(packed) != 0
        {
            run.len += 1;
            return None;
        }
        self.open.replace(Run { first: packed, len: 1, code, outcome })
    }

    /// The last run.
    pub(crate) fn finish(&mut self) -> Option<Run> {
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    type Report = (usize, u64, Option<ErrorCode>, Outcome);

    fn report() -> impl Strategy<Value = Report> {
        let fates = [
            (None, Outcome::Acknowledged),
            (Some(ErrorCode::MSG_TIMED_OUT), Outcome::Indeterminate),
            (Some(ErrorCode::MSG_SIZE_TOO_LARGE), Outcome::Failed),
        ];
        // Few slots and sequences, mostly delivered: many neighbours.
        (0_usize..2, 0_u64..12, prop::sample::select(vec![0, 0, 0, 0, 1, 2]))
            .prop_map(move |(slot, sequence, fate): (_, _, usize)| (slot, sequence, fates[fate].0, fates[fate].1))
    }

    fn runs(reports: &[Report]) -> Vec<Run> {
        let mut builder = RunBuilder::default();
        let mut found: Vec<Run> = Vec::new();
        for (slot, sequence, code, outcome) in reports {
            found.extend(builder.push(opaque::pack(*slot, *sequence), *code, *outcome));
        }
        found.extend(builder.finish());
        found
    }

    proptest! {
        #[test]
        fn runs_are_what_was_reported_and_as_long_as_can_be(
            shuffled in prop::collection::vec(report(), 0..60), start in 0_u64..1000, len in 0_u64..60
        ) {
            let in_order = (start..start + len).map(|sequence| (3, sequence, None, Outcome::Acknowledged));
            let reports: Vec<Report> = shuffled.iter().copied().chain(in_order).collect();
            let found = runs(&reports);
            let naive: Vec<Report> = found
                .iter()
                .flat_map(|run| (0..run.len).map(|i| (run.slot(), run.sequence() + i, run.code, run.outcome)))
                .collect();
            prop_assert_eq!(&naive, &reports);
            for two in found.windows(2) {
                let follows = two[0].slot() == two[1].slot() && two[0].sequence() + two[0].len == two[1].sequence();
                prop_assert!(!follows || (two[0].code, two[0].outcome) != (two[1].code, two[1].outcome));
            }
            for run in found {
                let from = start + len / 2;
                let counted = (0..run.len).filter(|i| run.sequence() + i >= from).count() as u64;
                prop_assert_eq!(run.count_from(from), counted);
            }
        }
    }

    #[test]
    fn the_end_of_one_stream_does_not_run_into_the_next() {
        let last = (1 << 48) - 1;
        let reports = [(0, last, None, Outcome::Acknowledged), (1, 0, None, Outcome::Acknowledged)];
        assert_eq!(runs(&reports).len(), 2);
    }
}
