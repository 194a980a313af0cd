//! Which messages of a chunk go to which partition: without keys all to one, with keys by key.

use crate::keys::{KEY_BYTES, Key, KeySource, partition_of};

/// A chunk's messages by partition. Messages of one partition keep their order.
#[derive(Debug)]
pub(crate) struct Assignment {
    partitions: u32,
    /// Positions in the chunk, by partition.
    order: Vec<u32>,
    groups: Vec<Group>,
    keys: Vec<Key>,
    partition_of: Vec<u32>,
    /// Where each partition's messages go next in `order`, for chunks that are not small.
    cursors: Vec<u32>,
}

/// Neighbours in an assignment's order that go to one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    /// The partition.
    pub(crate) partition: u32,
    start: u32,
    len: u32,
}

impl Assignment {
    /// Room for chunks of at most `chunk` messages.
    pub(crate) fn new(chunk: usize, partitions: u32) -> Self {
        Self {
            partitions,
            order: (0..chunk as u32).collect(),
            groups: Vec::with_capacity(chunk.min(partitions as usize)),
            keys: Vec::with_capacity(chunk),
            partition_of: Vec::with_capacity(chunk),
            cursors: vec![0; partitions as usize],
        }
    }

    /// All `n` messages to one partition, without keys.
    pub(crate) fn assign_to(&mut self, partition: u32, n: usize) {
        self.groups.clear();
        self.groups.push(Group { partition, start: 0, len: n as u32 });
    }

    /// All `n` messages to one partition, with their keys if they have some.
    pub(crate) fn assign_again_to(&mut self, partition: u32, n: usize, keys: &[Key]) {
        self.assign_to(partition, n);
        self.keys.clear();
        self.keys.extend_from_slice(keys);
    }

    /// Draws a key for each of `n` messages.
    pub(crate) fn assign_by_key(&mut self, source: &mut KeySource, n: usize) {
        self.keys.clear();
        self.partition_of.clear();
        for _ in 0..n {
            let key = source.next();
            self.partition_of.push(partition_of(&key, self.partitions));
            self.keys.push(key);
        }
        if n < self.partitions as usize {
            self.sort_few(n);
        } else {
            self.count_many();
        }
        self.group();
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
        let partition_of = &self.partition_of;
        self.order.sort_unstable_by_key(|position| (partition_of[*position as usize], *position));
    }

    /// Counting sort.
    fn count_many(&mut self) {
        self.cursors.fill(0);
        for partition in &self.partition_of {
            self.cursors[*partition as usize] += 1;
        }
        let mut start = 0;
        for cursor in &mut self.cursors {
            start += std::mem::replace(cursor, start);
        }
        self.order.clear();
        self.order.resize(self.partition_of.len(), 0);
        for (position, partition) in self.partition_of.iter().enumerate() {
            let cursor = &mut self.cursors[*partition as usize];
            self.order[*cursor as usize] = position as u32;
            *cursor += 1;
        }
    }

    fn group(&mut self) {
        self.groups.clear();
        for (at, position) in self.order.iter().enumerate() {
            let partition = self.partition_of[*position as usize];
            match self.groups.last_mut() {
                Some(group) if group.partition == partition => group.len += 1,
                _ => self.groups.push(Group { partition, start: at as u32, len: 1 }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ackmark_schema::{scenario::Keys, units::Count};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_message_goes_to_its_keys_partition_in_order(
            partitions in 1_u32..40, chunks in prop::collection::vec(1_usize..100, 1..5), seed: u64
        ) {
            let mut source = KeySource::new(&Keys::Uniform(Count(1000)), 0, 0, seed).unwrap();
            let mut again = source.clone();
            let mut assignment = Assignment::new(100, partitions);
            for n in chunks {
                assignment.assign_by_key(&mut source, n);
                let keys: Vec<_> = (0..n).map(|_| again.next()).collect();
                let mut found = Vec::new();
                for group in assignment.groups().iter().copied() {
                    let members = assignment.members(group);
                    prop_assert!(members.is_sorted());
                    for position in members {
                        prop_assert_eq!(assignment.key(*position), Some(&keys[*position as usize][..]));
                        prop_assert_eq!(partition_of(&keys[*position as usize], partitions), group.partition);
                    }
                    found.extend_from_slice(members);
                }
                prop_assert!(assignment.groups().windows(2).all(|two| two[0].partition < two[1].partition));
                found.sort_unstable();
                prop_assert_eq!(found, (0..n as u32).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn without_keys_a_chunk_goes_to_one_partition() {
        let mut assignment = Assignment::new(10, 3);
        assignment.assign_to(2, 4);
        let group = assignment.groups()[0];
        assert_eq!((group.partition, assignment.members(group)), (2, &[0, 1, 2, 3][..]));
        assert_eq!(assignment.key(0), None);
    }
}
