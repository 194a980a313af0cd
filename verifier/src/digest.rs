//! What a reader was shown, in a few bytes: by that two readers of one log are compared.
//!
//! One sum per [`BLOCK`] offsets over a mix of each record's offset and checksum, and the count; it does not depend on the order. Two
//! different sets of records have the same sum by a chance of 2^-64 per block. The checksum is the one that the header
//! stores where the record is sound and ours (so both readers have compared it with the bytes), else one over the value.
//! Keys, record headers and timestamps are not compared.
//!
//! Memory: 16 bytes per [`BLOCK`] offsets, so 16 MB for 10^9.

use std::ops::Range;

use ackmark_schema::record::{CHECKSUM, body_checksum};

/// Offsets that share a sum.
pub(crate) const BLOCK: u64 = 1024;
/// Blocks that are kept, 256 MiB per partition: what lies beyond 1.7 × 10^10 offsets shares the last one's sum.
const BLOCKS_MAX: usize = 1 << 24;

/// An order-free sum over records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub records: u64,
    /// Their mixes, see [`mix`], added up modulo 2^64.
    pub mixes: u64,
}

impl Sum {
    #[inline]
    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.mixes = self.mixes.wrapping_add(other.mixes);
    }
}

/// The sums of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    start: i64,
    blocks: Vec<Sum>,
}

impl Digest {
    /// Nothing yet, of offsets from `start`.
    pub fn new(start: i64) -> Self {
        Self { start, blocks: Vec::new() }
    }

    /// Adds a record.
    #[inline]
    pub(crate) fn add(&mut self, offset: i64, record: Sum) {
        let block = ((offset.abs_diff(self.start) / BLOCK) as usize).min(BLOCKS_MAX - 1);
        if block >= self.blocks.len() {
            self.blocks.resize(block + 1, Sum::default());
        }
        self.blocks[block].add(record);
    }

    /// All records together.
    pub fn total(&self) -> Sum {
        let mut total = Sum::default();
        self.blocks.iter().for_each(|block| total.add(*block));
        total
    }

    /// The offsets of the first block in which two readings differ.
    pub fn first_difference(&self, other: &Self) -> Option<Range<i64>> {
        let blocks = self.blocks.len().max(other.blocks.len());
        let of = |digest: &Self, block: usize| digest.blocks.get(block).copied().unwrap_or_default();
        let first = (0..blocks).find(|block| of(self, *block) != of(other, *block))?;
        let from = self.start.saturating_add_unsigned(first as u64 * BLOCK);
        Some(from..from.saturating_add_unsigned(BLOCK))
    }
}

/// A record's share in a digest. `ours` says that it has a sound header.
#[inline]
pub(crate) fn mix(offset: i64, value: Option<&[u8]>, ours: bool) -> Sum {
    let checksum = match value {
        None => 1 << 33,
        Some(value) if ours => stored_checksum(value),
        Some(value) => u64::from(body_checksum(value)) | 1 << 32,
    };
    // The finish of MurmurHash3: every bit of its input changes every bit of its output by about one half.
    let mut mixed = (offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ checksum;
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    Sum { records: 1, mixes: mixed ^ (mixed >> 33) }
}

fn stored_checksum(value: &[u8]) -> u64 {
    let stored = value.get(CHECKSUM).and_then(|bytes| bytes.first_chunk::<4>());
    stored.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(records: &[(i64, &[u8])]) -> Digest {
        let mut digest = Digest::new(100);
        for (offset, value) in records {
            digest.add(*offset, mix(*offset, Some(value), false));
        }
        digest
    }

    #[test]
    fn what_differs_is_found_in_its_block_whatever_the_order() {
        let sound = digest(&[(100, b"a"), (101, b"b"), (5_000, b"c")]);
        assert_eq!(sound.first_difference(&digest(&[(5_000, b"c"), (101, b"b"), (100, b"a")])), None);
        let block = |from: i64| Some(from..from + BLOCK as i64);
        for (other, expected) in [
            (vec![(100, &b"a"[..]), (101, b"b"), (5_000, b"d")], block(100 + 4 * 1024)),
            (vec![(100, b"a"), (101, b"b")], block(100 + 4 * 1024)),
            (vec![(100, b"b"), (101, b"a"), (5_000, b"c")], block(100)),
            (vec![(100, b"a"), (102, b"b"), (5_000, b"c")], block(100)),
            (vec![(100, b"a"), (101, b"b"), (101, b"b"), (5_000, b"c")], block(100)),
        ] {
            let other = digest(&other);
            assert_eq!(sound.first_difference(&other), expected);
            assert_eq!(other.first_difference(&sound), expected);
            assert_ne!(sound.total(), other.total());
        }
        assert_ne!(mix(7, None, false), mix(7, Some(b""), false), "a tombstone is no empty value");
    }
}
