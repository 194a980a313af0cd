//! A set of sequences as disjoint ranges: memory grows with ranges, not with members.

use std::{collections::BTreeMap, ops::Range};

/// Disjoint, non-adjacent ranges in rising order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalSet {
    /// End by start.
    ranges: BTreeMap<u64, u64>,
}

impl IntervalSet {
    /// Adds a range, joining what it touches.
    pub fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            self.ranges.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.ranges.insert(start, end);
    }

    /// Removes one member; whether it was there.
    pub fn remove(&mut self, member: u64) -> bool {
        let Some((&start, end)) = self.ranges.range_mut(..=member).next_back().filter(|(_, end)| **end > member) else {
            return false;
        };
        let old_end = *end;
        *end = member;
        if start == member {
            self.ranges.remove(&start);
        }
        if member + 1 < old_end {
            self.ranges.insert(member + 1, old_end);
        }
        true
    }

    /// Whether a member is there.
    pub fn contains(&self, member: u64) -> bool {
        self.ranges.range(..=member).next_back().is_some_and(|(_, end)| *end > member)
    }

    /// The parts of the ranges that lie in `window`, rising.
    pub fn within(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let before = self.ranges.range(..=window.start).next_back().map(|(start, _)| *start);
        self.ranges
            .range(before.unwrap_or(window.start)..window.end.max(before.unwrap_or(window.start)))
            .map(move |(start, end)| (*start).max(window.start)..(*end).min(window.end))
            .filter(|range| range.start < range.end)
    }

    /// Members.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Ranges.
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..60), window in (0u64..70, 0u64..70)) {
            let (mut set, mut model) = (IntervalSet::default(), BTreeSet::new());
            for (insert, at, length) in steps {
                if insert {
                    set.insert(at..at + length);
                    model.extend(at..at + length);
                } else {
                    prop_assert_eq!(set.contains(at), model.contains(&at));
                    prop_assert_eq!(set.remove(at), model.remove(&at));
                }
            }
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.within(0..100).flatten().collect::<BTreeSet<_>>(), model.clone());
            let inside: Vec<_> = set.within(window.0..window.1).flatten().collect();
            let expected: Vec<_> = model.into_iter().filter(|member| (window.0..window.1).contains(member)).collect();
            prop_assert_eq!(inside, expected);
        }
    }
}
