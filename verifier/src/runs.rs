//! A value for each sequence, kept by runs: memory grows with changes of the value, not with sequences.

use std::{collections::BTreeMap, ops::Range};

/// A function of all sequences that is constant over runs; the default value where nothing was set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs<T> {
    /// Value by the start of its run; neighbours differ.
    starts: BTreeMap<u64, T>,
}

impl<T: Copy + Default + PartialEq> Runs<T> {
    /// The value at a sequence.
    pub(crate) fn get(&self, at: u64) -> T {
        self.starts.range(..=at).next_back().map_or_else(T::default, |(_, value)| *value)
    }

    /// Sets the value of one sequence.
    pub(crate) fn set(&mut self, at: u64, value: T) {
        if self.get(at) == value {
            return;
        }
        let behind = at.checked_add(1).map(|next| (next, self.get(next)));
        self.begin(at, value);
        if let Some((next, old)) = behind {
            if old == value {
                self.starts.remove(&next);
            } else {
                self.starts.insert(next, old);
            }
        }
    }

    /// Sets the value from a sequence on.
    pub(crate) fn set_from(&mut self, at: u64, value: T) {
        self.starts.split_off(&at);
        self.begin(at, value);
    }

    /// Lets a run begin at `at`, unless the one before has that value.
    fn begin(&mut self, at: u64, value: T) {
        let before = self.starts.range(..at).next_back().map_or_else(T::default, |(_, value)| *value);
        if before == value {
            self.starts.remove(&at);
        } else {
            self.starts.insert(at, value);
        }
    }

    /// The runs in `window`, rising, with their values.
    pub(crate) fn within(&self, window: Range<u64>) -> impl Iterator<Item = (Range<u64>, T)> {
        let Range { start, end } = window;
        let inside = self.starts.range(start..end.max(start)).filter(move |(at, _)| **at > start);
        let mut at = (start, self.get(start));
        let nexts = inside.map(|(next, value)| (*next, *value)).chain(std::iter::once((end, T::default())));
        nexts.filter_map(move |next| {
            let (from, value) = std::mem::replace(&mut at, next);
            (from < next.0).then_some((from..next.0, value))
        })
    }

    /// Changes of the value: what the memory grows with.
    pub(crate) fn changes(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_array(steps in proptest::collection::vec((0u64..40, 0u8..4, any::<bool>()), 0..80)) {
            let mut runs = Runs::default();
            let mut model = [0u8; 50];
            for (at, value, open) in steps {
                if open {
                    runs.set_from(at, value);
                    model[at as usize..].fill(value);
                } else {
                    runs.set(at, value);
                    model[at as usize] = value;
                }
                let changes = model.iter().zip([&0].into_iter().chain(&model)).filter(|(value, before)| value != before);
                prop_assert_eq!(runs.changes(), changes.count(), "no run is kept in two");
            }
            let kept: Vec<u8> = (0..50).map(|at| runs.get(at)).collect();
            prop_assert_eq!(kept, model);
            for (from, end) in [(0u64, 50u64), (7, 31), (20, 20)] {
                let mut at = from;
                for (range, value) in runs.within(from..end) {
                    prop_assert!(range.start == at && range.end > at);
                    prop_assert!(model[range.start as usize..range.end as usize].iter().all(|kept| *kept == value));
                    at = range.end;
                }
                prop_assert_eq!(at, end);
            }
        }
    }

    #[test]
    fn the_last_sequence_has_a_value_too() {
        let mut runs = Runs::default();
        runs.set(u64::MAX, 3u8);
        assert_eq!((runs.get(u64::MAX), runs.get(u64::MAX - 1)), (3, 0));
        runs.set(u64::MAX - 1, 3);
        assert_eq!(runs.changes(), 1);
    }
}
