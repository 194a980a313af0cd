//! Messages of an input and their effects, counted.

use std::collections::{BTreeMap, HashMap};

use ackmark_schema::{
    process::Deviation,
    report::process::{DEVIATION_EXAMPLES_MAX, InputPartition},
};

/// At an offset without a message.
const NONE: u32 = u32::MAX;

/// An input, and how many effects each of its messages has had.
#[derive(Debug, Default)]
pub(crate) struct Accounting {
    parts: BTreeMap<i32, Part>,
    /// Where the first copy of a message is, where messages are told by their ids.
    ids: HashMap<(i64, i64), (i32, i64)>,
    by_id: bool,
    /// Records of the input.
    pub(crate) records: u64,
    /// Effects that were found.
    pub(crate) effects: u64,
    unfounded: Count,
}

#[derive(Debug)]
struct Part {
    first: i64,
    /// Effects by offset, from the first.
    effects: Vec<u32>,
}

/// How often something was found, and where.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) found: u64,
    pub(crate) examples: Vec<(i32, i64)>,
}

impl Count {
    fn add(&mut self, times: u64, partition: i32, offset: i64) {
        if times > 0 && self.examples.len() < DEVIATION_EXAMPLES_MAX {
            self.examples.push((partition, offset));
        }
        self.found += times;
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Messages of the input.
    pub(crate) messages: u64,
    /// Not yet worked on.
    pub(crate) unfinished: u64,
    deviations: BTreeMap<usize, Count>,
}

impl Account {
    /// What was found of a deviation.
    pub(crate) fn of(&self, deviation: Deviation) -> Count {
        self.deviations.get(&(deviation as usize)).cloned().unwrap_or_default()
    }

    fn add(&mut self, deviation: Deviation, times: u64, partition: i32, offset: i64) {
        self.deviations.entry(deviation as usize).or_default().add(times, partition, offset);
    }
}

impl Accounting {
    /// Of the surveyed part of an input; `by_id` where copies of a message count as one.
    pub(crate) fn new(partitions: &[InputPartition], by_id: bool) -> Self {
        let part = |part: &InputPartition| {
            let offsets = usize::try_from(part.end - part.first).unwrap_or(0);
            (part.partition, Part { first: part.first, effects: vec![NONE; offsets] })
        };
        Self { parts: partitions.iter().map(part).collect(), by_id, ..Self::default() }
    }

    fn at(&mut self, partition: i32, offset: i64) -> Place<'_> {
        let Some(part) = self.parts.get_mut(&partition) else { return Place::Nowhere };
        match usize::try_from(offset - part.first) {
            Ok(index) if index < part.effects.len() => Place::Here(&mut part.effects[index]),
            Ok(_) => Place::Later,
            Err(_) => Place::Nowhere,
        }
    }

    /// A record of the input. What is behind the survey is nobody's.
    pub(crate) fn record(&mut self, partition: i32, offset: i64, id: (i64, i64)) {
        let is_copy = self.by_id && self.ids.contains_key(&id);
        let by_id = self.by_id;
        let Place::Here(effects) = self.at(partition, offset) else { return };
        if !is_copy {
            *effects = 0;
        }
        self.records += 1;
        if by_id && !is_copy {
            self.ids.insert(id, (partition, offset));
        }
    }

    /// An effect of the message at an offset.
    pub(crate) fn effect(&mut self, partition: i32, offset: i64) {
        match self.at(partition, offset) {
            Place::Here(effects) if *effects != NONE => {
                *effects += 1;
                self.effects += 1;
            }
            // It was written to the input after the survey.
            Place::Later => {}
            Place::Here(_) | Place::Nowhere => self.unfounded.add(1, partition, offset),
        }
    }

    /// An effect of the message with an id, which stood at an offset.
    pub(crate) fn effect_of(&mut self, id: (i64, i64), partition: i32, offset: i64) {
        match self.ids.get(&id).copied() {
            Some((partition, offset)) => self.effect(partition, offset),
            None if matches!(self.at(partition, offset), Place::Later) => {}
            None => self.unfounded.add(1, partition, offset),
        }
    }

    /// An effect that tells no message.
    pub(crate) fn effect_of_nothing(&mut self, partition: i32, offset: i64) {
        self.unfounded.add(1, partition, offset);
    }

    /// Counts, by the group's offsets.
    pub(crate) fn count(&self, committed: &BTreeMap<i32, Option<i64>>) -> Account {
        let mut account = Account::default();
        for (partition, part) in &self.parts {
            let next = committed.get(partition).copied().flatten().unwrap_or(i64::MIN);
            for (offset, effects) in (part.first..).zip(&part.effects).filter(|(_, effects)| **effects != NONE) {
                account.messages += 1;
                account.add(Deviation::Repeated, u64::from(effects.saturating_sub(1)), *partition, offset);
                match (offset < next, *effects) {
                    (true, 0) => account.add(Deviation::Skipped, 1, *partition, offset),
                    (false, 0) => account.unfinished += 1,
                    (false, _) => account.add(Deviation::Uncommitted, 1, *partition, offset),
                    (true, _) => {}
                }
            }
        }
        account.deviations.insert(Deviation::Unfounded as usize, self.unfounded.clone());
        account
    }
}

enum Place<'a> {
    Here(&'a mut u32),
    /// Behind the survey.
    Later,
    /// Before it, or in a partition that there is not.
    Nowhere,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(end: i64) -> [InputPartition; 1] {
        [InputPartition { partition: 0, first: 10, end, records: 0 }]
    }

    #[test]
    fn each_deviation_is_told_with_its_place() {
        let mut accounting = Accounting::new(&partition(20), false);
        // Offset 15 is a transaction marker.
        for offset in (10..20).filter(|offset| *offset != 15) {
            accounting.record(0, offset, (0, offset));
        }
        for offset in [10, 11, 11, 11, 13, 14, 17, 25] {
            accounting.effect(0, offset);
        }
        for (partition, offset) in [(0, 15), (0, 9), (1, 10)] {
            accounting.effect(partition, offset);
        }
        let account = accounting.count(&BTreeMap::from([(0, Some(16))]));
        assert_eq!((accounting.records, account.messages, account.unfinished), (9, 9, 3));
        let found = |deviation| (account.of(deviation).found, account.of(deviation).examples);
        assert_eq!(found(Deviation::Skipped), (1, vec![(0, 12)]));
        assert_eq!(found(Deviation::Repeated), (2, vec![(0, 11)]));
        assert_eq!(found(Deviation::Uncommitted), (1, vec![(0, 17)]));
        assert_eq!(found(Deviation::Unfounded), (3, vec![(0, 15), (0, 9), (1, 10)]));
    }

    #[test]
    fn copies_of_a_message_are_one_where_it_is_told_by_its_id() {
        let mut accounting = Accounting::new(&partition(14), true);
        for (offset, id) in [(10, 1), (11, 2), (12, 1), (13, 3)] {
            accounting.record(0, offset, (0, id));
        }
        for (id, offset) in [(1, 12), (1, 10), (2, 11), (9, 11), (9, 99)] {
            accounting.effect_of((0, id), 0, offset);
        }
        let account = accounting.count(&BTreeMap::from([(0, Some(14))]));
        assert_eq!((accounting.records, account.messages), (4, 3));
        assert_eq!(account.of(Deviation::Repeated).examples, [(0, 10)]);
        assert_eq!(account.of(Deviation::Skipped).examples, [(0, 13)]);
        assert_eq!(account.of(Deviation::Unfounded).found, 1);
    }

    proptest! {
        /// Against counting in plain words.
        #[test]
        fn counts_are_those_of_plain_sets(
            effects in proptest::collection::vec(10..30i64, 0..60),
            committed in proptest::option::of(10..30i64),
        ) {
            let mut accounting = Accounting::new(&partition(30), false);
            for offset in 10..30 {
                accounting.record(0, offset, (0, offset));
            }
            for offset in &effects {
                accounting.effect(0, *offset);
            }
            let account = accounting.count(&BTreeMap::from([(0, committed)]));
            let next = committed.unwrap_or(10);
            let times = |offset: i64| effects.iter().filter(|effect| **effect == offset).count() as u64;
            let skipped = (10..next).filter(|offset| times(*offset) == 0).count() as u64;
            let ahead = (next..30).filter(|offset| times(*offset) > 0).count() as u64;
            let repeated: u64 = (10..30).map(|offset| times(offset).saturating_sub(1)).sum();
            prop_assert_eq!(account.of(Deviation::Skipped).found, skipped);
            prop_assert_eq!(account.of(Deviation::Uncommitted).found, ahead);
            prop_assert_eq!(account.of(Deviation::Repeated).found, repeated);
            prop_assert_eq!(account.unfinished, (30 - next) as u64 - ahead);
        }
    }
}
