//! CRC-32C (Castagnoli) of short inputs: headers and small bodies.
//!
//! The `crc32c` crate takes up to seven bytes one by one at either end of an input that is not aligned, is called and
//! not inlined, and its parallel part begins at 768 bytes: below that, most of its time goes elsewhere than into the
//! checksum. Here the CPU's instruction (SSE 4.2) takes eight bytes at a time wherever they lie, inlined into the
//! loop over messages. The crate does long inputs, and everything where the instruction is missing or the processor
//! is no `x86_64`. Which it is, is found out at run time, at each call: a load and a test.
//!
//! All unsafe code of this crate is in the private module `instruction`.

/// From this length on the crate's three parallel lanes are faster.
const LONG: usize = 768;

/// The CRC-32C of what had `checksum` so far (0 for nothing) and `bytes` behind it.
#[inline]
pub(crate) fn append(checksum: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() < LONG
        && let Some(checksum) = instruction::append(checksum, bytes)
    {
        return checksum;
    }
    crc32c::crc32c_append(checksum, bytes)
}

/// [`append`] of eight-byte words and four bytes behind them, all little-endian: what is at hand in registers need
/// not go through memory.
#[allow(clippy::inline_always, reason = "called, it costs twice as much: the words go through memory")]
#[inline(always)]
pub(crate) fn append_words<const N: usize>(checksum: u32, words: [u64; N], last: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if let Some(checksum) = instruction::append_words(checksum, words, last) {
        return checksum;
    }
    append_words_anywhere(checksum, words, last)
}

#[inline(never)]
fn append_words_anywhere<const N: usize>(checksum: u32, words: [u64; N], last: u32) -> u32 {
    let checksum = words.iter().fold(checksum, |checksum, word| crc32c::crc32c_append(checksum, &word.to_le_bytes()));
    crc32c::crc32c_append(checksum, &last.to_le_bytes())
}

/// The CPU's instruction, where it is there. As assembly and not as an intrinsic: a function that the compiler may use
/// SSE 4.2 in is not inlined into one without, which costs as much as the checksum of a header.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod instruction {
    use std::arch::asm;

    /// `None` where the CPU has no such instruction.
    #[inline]
    pub(super) fn append(checksum: u32, bytes: &[u8]) -> Option<u32> {
        if !is_x86_feature_detected!("sse4.2") {
            return None;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        let mut state = u64::from(!checksum);
        for word in words {
            // SAFETY: the CPU has SSE 4.2; so for all below.
            state = unsafe { take_eight(state, u64::from_le_bytes(*word)) };
        }
        let mut state = state as u32;
        let (half, rest) = rest.as_chunks::<4>();
        for half in half {
            // SAFETY: as above.
            state = unsafe { take_four(state, u32::from_le_bytes(*half)) };
        }
        for byte in rest {
            // SAFETY: as above.
            state = unsafe { take_one(state, *byte) };
        }
        Some(!state)
    }

    /// `None` where the CPU has no such instruction.
    #[inline]
    pub(super) fn append_words<const N: usize>(checksum: u32, words: [u64; N], last: u32) -> Option<u32> {
        if !is_x86_feature_detected!("sse4.2") {
            return None;
        }
        // SAFETY: the CPU has SSE 4.2; so below.
        let state = words.iter().fold(u64::from(!checksum), |state, word| unsafe { take_eight(state, *word) });
        // SAFETY: as above.
        Some(!unsafe { take_four(state as u32, last) })
    }

    /// The upper half of the state is zero before and after.
    ///
    /// # Safety
    /// The CPU has SSE 4.2.
    #[inline]
    unsafe fn take_eight(mut state: u64, word: u64) -> u64 {
        // SAFETY: by this function's contract; the instruction reads and writes what is named, and no flags.
        unsafe {
            asm!("crc32 {0}, {1}", inout(reg) state, in(reg) word, options(pure, nomem, nostack, preserves_flags));
        }
        state
    }

    /// # Safety
    /// The CPU has SSE 4.2.
    #[inline]
    unsafe fn take_four(mut state: u32, half: u32) -> u32 {
        // SAFETY: as above.
        unsafe {
            asm!("crc32 {0:e}, {1:e}", inout(reg) state, in(reg) half, options(pure, nomem, nostack, preserves_flags));
        }
        state
    }

    /// # Safety
    /// The CPU has SSE 4.2.
    #[inline]
    unsafe fn take_one(mut state: u32, byte: u8) -> u32 {
        // SAFETY: as above.
        unsafe {
            asm!("crc32 {0:e}, {1}", inout(reg) state, in(reg_byte) byte, options(pure, nomem, nostack, preserves_flags));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_crates_wherever_the_bytes_lie(
            checksum: u32, bytes in proptest::collection::vec(any::<u8>(), 0..2 * LONG), from in 0usize..9
        ) {
            let bytes = &bytes[from.min(bytes.len())..];
            prop_assert_eq!(append(checksum, bytes), crc32c::crc32c_append(checksum, bytes));
        }

        #[test]
        fn words_are_bytes(checksum: u32, words: [u64; 5], last: u32) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain(last.to_le_bytes()).collect();
            let expected = crc32c::crc32c_append(checksum, &bytes);
            prop_assert_eq!(append_words(checksum, words, last), expected);
            prop_assert_eq!(append_words_anywhere(checksum, words, last), expected);
        }

        #[test]
        fn parts_are_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..100), at in 0usize..100) {
            let (front, back) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(append(append(0, front), back), crc32c::crc32c(&bytes));
        }
    }

    /// RFC 3720, B.4.
    #[test]
    fn the_rfcs_examples() {
        assert_eq!(append(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(append(0, &[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(append(0, &rising), 0x46dd_794e);
    }
}
