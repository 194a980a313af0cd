//! What comes back with a delivery report: which message of which stream it was.
//!
//! 16 bits of the stream's slot (its position among the producer's streams), 48 bits of sequence: 65,536
//! partitions and 2.8 · 10^14 messages per stream.

const SEQUENCE_BITS: u32 = 48;

/// A message by stream slot and sequence; consecutive sequences of a stream are consecutive numbers.
#[inline]
pub(crate) const fn pack(slot: usize, sequence: u64) -> u64 {
    ((slot as u64) << SEQUENCE_BITS) | sequence
}

/// The stream slot.
#[inline]
pub(crate) const fn slot(packed: u64) -> usize {
    (packed >> SEQUENCE_BITS) as usize
}

/// The sequence.
#[inline]
pub(crate) const fn sequence(packed: u64) -> u64 {
    packed & ((1 << SEQUENCE_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackmark_schema::scenario::PARTITIONS_MAX;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(at in 0_usize..PARTITIONS_MAX as usize, number in 0_u64..(1 << 48) - 1) {
            let packed = pack(at, number);
            prop_assert_eq!((slot(packed), sequence(packed)), (at, number));
            prop_assert_eq!(packed + 1, pack(at, number + 1));
        }
    }
}
