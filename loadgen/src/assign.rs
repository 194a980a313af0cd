//! Which messages of a chunk go to which stream: without keys all to one partition of each topic, with keys to the
//! key's. With several topics the messages of a chunk go to all of them in turn.

use crate::keys::{KEY_BYTES, Key, KeySource, Placement};

/// A chunk's messages by slot. Messages of one slot keep their order.
#[derive(Debug)]
pub(crate) struct Assignment {
    placement: Placement,
    /// Positions in the chunk, by slot.
    order: Vec<u32>,
    groups: Vec<Group>,
    keys: Vec<Key>,
    slot_of: Vec<u32>,
    /// Where each slot's messages go next in `order`, for chunks that are not small.
    cursors: Vec<u32>,
}

/// Neighbours in an assignment's order that go to one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    /// The slot.
    pub(crate) slot: u32,
    start: u32,
    len: u32,
}

impl Assignment {
    /// Room for chunks of at most `chunk` messages.
    pub(crate) fn new(chunk: usize, placement: Placement) -> Self {
        let slots = placement.slots();
        Self {
            placement,
            order: (0..chunk as u32).collect(),
            groups: Vec::with_capacity(chunk.min(slots)),
            keys: Vec::with_capacity(chunk),
            slot_of: Vec::with_capacity(chunk),
            cursors: vec![0; slots],
        }
    }

    /// `n` messages without keys to one partition of each topic, as many to each as it would have in turn.
    pub(crate) fn assign_to(&mut self, partition: u32, n: usize) {
        self.groups.clear();
        let Placement { topics, partitions, topic: first } = self.placement;
        let (each, more) = (n as u32 / topics, n as u32 % topics);
        let mut start = 0;
        for turn in 0..topics {
            let len = each + u32::from(turn < more);
            if len > 0 {
                self.groups.push(Group { slot: (first + turn) % topics * partitions + partition, start, len });
                start += len;
            }
        }
        self.placement.topic = (first + more) % topics;
    }

    /// All `n` messages to one slot, with their keys if they have some.
    pub(crate) fn assign_again_to(&mut self, slot: u32, n: usize, keys: &[Key]) {
        self.groups.clear();
        self.groups.push(Group { slot, start: 0, len: n as u32 });
        self.keys.clear();
        self.keys.extend_from_slice(keys);
    }

    /// Draws a key for each of `n` messages.
    pub(crate) fn assign_by_key(&mut self, source: &mut KeySource, n: usize) {
        self.keys.clear();
        self.slot_of.clear();
        for _ in 0..n {
            let key = source.next();
            self.slot_of.push(self.placement.next(&key));
            self.keys.push(key);
        }
        if n < self.cursors.len() {
            self.sort_few(n);
        } else {
            self.count_many();
        }
        self.group();
    }

    /// Whether all topics have had as many messages.
    pub(crate) fn is_even(&self) -> bool {
        self.placement.topic == 0
    }

    /// The groups of the chunk.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A group's positions in the chunk.
    pub(crate) fn members(&self, group: Group) -> &[u32] {
        &self.order[group.start as usize..(group.start + group.len) as usize]
    }

    /// The key at a position in the chunk, if messages have keys.
    #[inline]
    pub(crate) fn key(&self, position: u32) -> Option<&[u8]> {
        self.keys.get(position as usize).map(<[u8; KEY_BYTES]>::as_slice)
    }

    fn sort_few(&mut self, n: usize) {
        self.order.clear();
        self.order.extend(0..n as u32);
        let slot_of = &self.slot_of;
        self.order.sort_unstable_by_key(|position| (slot_of[*position as usize], *position));
    }

    /// Counting sort.
    fn count_many(&mut self) {
        self.cursors.fill(0);
        for slot in &self.slot_of {
            self.cursors[*slot as usize] += 1;
        }
        let mut start = 0;
        for cursor in &mut self.cursors {
            start += std::mem::replace(cursor, start);
        }
        self.order.clear();
        self.order.resize(self.slot_of.len(), 0);
        for (position, slot) in self.slot_of.iter().enumerate() {
            let cursor = &mut self.cursors[*slot as usize];
            self.order[*cursor as usize] = position as u32;
            *cursor += 1;
        }
    }

    fn group(&mut self) {
        self.groups.clear();
        for (at, position) in self.order.iter().enumerate() {
            let slot = self.slot_of[*position as usize];
            match self.groups.last_mut() {
                Some(group) if group.slot == slot => group.len += 1,
                _ => self.groups.push(Group { slot, start: at as u32, len: 1 }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::partition_of;
    use ackmark_schema::{scenario::Keys, units::Count};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_message_goes_to_its_keys_partition_of_the_next_topic_in_order(
            topics in 1_u32..4, partitions in 1_u32..40, chunks in prop::collection::vec(1_usize..100, 1..5), seed: u64
        ) {
            let mut source = KeySource::new(&Keys::Uniform(Count(1000)), 0, 0, seed).unwrap();
            let mut again = source.clone();
            let mut assignment = Assignment::new(100, Placement::new(topics, partitions));
            let mut sent = 0;
            for n in chunks {
                assignment.assign_by_key(&mut source, n);
                let keys: Vec<_> = (0..n).map(|_| again.next()).collect();
                let mut found = Vec::new();
                for group in assignment.groups().iter().copied() {
                    let members = assignment.members(group);
                    prop_assert!(members.is_sorted());
                    for position in members {
                        prop_assert_eq!(assignment.key(*position), Some(&keys[*position as usize][..]));
                        prop_assert_eq!(partition_of(&keys[*position as usize], partitions), group.slot % partitions);
                        prop_assert_eq!((sent + position) % topics, group.slot / partitions);
                    }
                    found.extend_from_slice(members);
                }
                prop_assert!(assignment.groups().windows(2).all(|two| two[0].slot < two[1].slot));
                found.sort_unstable();
                prop_assert_eq!(found, (0..n as u32).collect::<Vec<_>>());
                sent += n as u32;
            }
        }
    }

    fn groups(assignment: &Assignment) -> Vec<(u32, &[u32])> {
        assignment.groups().iter().map(|group| (group.slot, assignment.members(*group))).collect()
    }

    #[test]
    fn without_keys_a_chunk_goes_to_one_partition() {
        let mut assignment = Assignment::new(10, Placement::new(1, 3));
        assignment.assign_to(2, 4);
        assert_eq!(groups(&assignment), [(2, &[0, 1, 2, 3][..])]);
        assert_eq!(assignment.key(0), None);
    }

    #[test]
    fn without_keys_a_chunk_goes_to_one_partition_of_each_topic_in_turn() {
        let mut assignment = Assignment::new(10, Placement::new(2, 3));
        assignment.assign_to(1, 5);
        assert_eq!(groups(&assignment), [(1, &[0, 1, 2][..]), (4, &[3, 4][..])]);
        // The second topic is one behind.
        assert!(!assignment.is_even());
        assignment.assign_to(2, 1);
        assert_eq!(groups(&assignment), [(5, &[0][..])]);
        assert!(assignment.is_even());
        assignment.assign_to(0, 2);
        assert_eq!(groups(&assignment), [(0, &[0][..]), (3, &[1][..])]);
    }
}
