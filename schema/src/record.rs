//! The header at the front of every message value.
//!
//! Layout, little-endian, 48 bytes; with [`Flags::SOURCE`] 16 more follow, so 64:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 3 | magic `AKM` |
//! | 3 | 1 | version, 1 |
//! | 4 | 2 | flags |
//! | 6 | 2 | attempt: 0, then one more for each resend by the application |
//! | 8 | 4 | run |
//! | 12 | 4 | stream: one producer's messages to one partition; the manifest resolves it |
//! | 16 | 8 | sequence, dense per stream from 0 |
//! | 24 | 8 | intended send time, nanoseconds since the Unix epoch |
//! | 32 | 4 | actual send minus intended, microseconds, saturating |
//! | 36 | 4 | transaction: the producer's transactions, counted from 1; 0 = none |
//! | 40 | 4 | incarnation of the producer, from 0 |
//! | 44 | 4 | checksum: CRC-32C over body, then source (if any), then bytes 0 to 43 |
//! | 48 | 4 | source partition (pipelines) |
//! | 52 | 4 | reserved, 0 |
//! | 56 | 8 | source offset (pipelines) |
//!
//! The checksum runs over the body first, so that a pooled body's CRC is the start state and the
//! header costs the same whatever the body's size.
//!
//! Limits: 2^32 streams and transactions per producer, 2^64 messages per stream.

use thiserror::Error;

use crate::checksum;

/// Bytes of the header without a source.
pub const HEADER_LEN: usize = 48;
/// Bytes of the header with a source.
pub const HEADER_WITH_SOURCE_LEN: usize = 64;
/// The stream of a seal's sentinel: no producer's.
pub const SENTINEL_STREAM: u32 = u32::MAX;

/// Where the checksum is stored, little-endian.
pub const CHECKSUM: std::ops::Range<usize> = 44..HEADER_LEN;

/// Magic and version.
const FRONT: u32 = u32::from_le_bytes(*b"AKM\x01");

/// What kind of record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// The header holds a source partition and offset.
    pub const SOURCE: Self = Self(1);
    /// A seal's sentinel, not a message.
    pub const SENTINEL: Self = Self(2);
    /// Sent before the measured part: accounted for, but in no figure.
    pub const WARM_UP: Self = Self(4);
    const KNOWN: u16 = 7;

    /// Whether all of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Where a pipeline's output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Input partition.
    pub partition: u32,
    /// Input offset.
    pub offset: u64,
}

/// The header of one message. See the module for the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The run that sent it.
    pub run: u32,
    /// One producer's messages to one partition.
    pub stream: u32,
    /// Position in the stream, from 0.
    pub sequence: u64,
    /// Which copy by the application, from 0.
    pub attempt: u16,
    /// Which life of the producer, from 0.
    pub incarnation: u32,
    /// The producer's transaction, from 1; 0 = none.
    pub transaction: u32,
    /// Intended send time, nanoseconds since the Unix epoch.
    pub intended_ns: u64,
    /// Actual send minus intended, microseconds, saturating.
    pub send_delay_us: u32,
    /// A seal's sentinel.
    pub sentinel: bool,
    /// Sent before the measured part: accounted for, but in no figure.
    pub warm_up: bool,
    /// Input of a pipeline.
    pub source: Option<Source>,
}

/// What a message's bytes turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// One of ours, sound.
    Ours(Header),
    /// Not one of ours: no magic, or another layout version.
    Stranger,
    /// Carries our magic, but is damaged.
    Corrupt(Damage),
}

/// How a record is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// Shorter than its header.
    #[error("shorter than its header")]
    Truncated,
    /// Unknown flags.
    #[error("unknown flags")]
    Flags,
    /// Checksum mismatch.
    #[error("checksum mismatch")]
    Checksum,
}

/// The CRC-32C of a body: the start state of [`Header::encode`] and the cost that a pool saves.
#[inline]
pub fn body_checksum(body: &[u8]) -> u32 {
    checksum::append(0, body)
}

impl Header {
    /// When it was sent, nanoseconds since the Unix epoch.
    #[inline]
    pub const fn sent_ns(&self) -> u64 {
        self.intended_ns.saturating_add(self.send_delay_us as u64 * 1_000)
    }

    /// Bytes that this header takes.
    pub const fn encoded_len(&self) -> usize {
        if self.source.is_some() { HEADER_WITH_SOURCE_LEN } else { HEADER_LEN }
    }

    /// Writes the header to the front of `value`; the body behind it must be in place, with
    /// `body_checksum` its CRC-32C.
    ///
    /// # Panics
    /// When `value` is shorter than [`Header::encoded_len`]: sizes are checked before a run starts.
    #[inline]
    pub fn encode(&self, value: &mut [u8], body_checksum: u32) {
        let flag = |set: bool, flag: Flags| if set { flag.0 } else { 0 };
        let flags = flag(self.source.is_some(), Flags::SOURCE)
            | flag(self.sentinel, Flags::SENTINEL)
            | flag(self.warm_up, Flags::WARM_UP);
        let mut checksum = body_checksum;
        if let Some(source) = self.source {
            let extension = &mut value[HEADER_LEN..HEADER_WITH_SOURCE_LEN];
            extension[..4].copy_from_slice(&source.partition.to_le_bytes());
            extension[4..8].fill(0);
            extension[8..].copy_from_slice(&source.offset.to_le_bytes());
            checksum = checksum::append(checksum, extension);
        }
        // Words in registers: the checksum and the one pass of stores need not wait for bytes in memory.
        let words = [
            pair(FRONT, u32::from(flags) | (u32::from(self.attempt) << 16)),
            pair(self.run, self.stream),
            self.sequence,
            self.intended_ns,
            pair(self.send_delay_us, self.transaction),
        ];
        let last = pair(self.incarnation, checksum::append_words(checksum, words, self.incarnation));
        let (header, _) = value[..HEADER_LEN].as_chunks_mut::<8>();
        for (bytes, word) in header.iter_mut().zip(words.into_iter().chain([last])) {
            *bytes = word.to_le_bytes();
        }
    }

    /// Reads and checks a message value.
    #[inline]
    pub fn decode(value: &[u8]) -> Decoded {
        let Some(front) = value.first_chunk::<4>() else { return Decoded::Stranger };
        if u32::from_le_bytes(*front) != FRONT {
            return Decoded::Stranger;
        }
        let Some(header) = value.first_chunk::<HEADER_LEN>() else { return Decoded::Corrupt(Damage::Truncated) };
        let word = |at: usize| {
            let (words, _) = header.as_chunks::<8>();
            u64::from_le_bytes(words[at])
        };
        let words = [word(0), word(1), word(2), word(3), word(4)];
        let flags = Flags((words[0] >> 32) as u16);
        if flags.0 & !Flags::KNOWN != 0 {
            return Decoded::Corrupt(Damage::Flags);
        }
        let (body_at, source) = if flags.has(Flags::SOURCE) {
            let Some(extension) = value.get(HEADER_LEN..HEADER_WITH_SOURCE_LEN) else {
                return Decoded::Corrupt(Damage::Truncated);
            };
            let partition = u32::from_le_bytes([extension[0], extension[1], extension[2], extension[3]]);
            let mut offset = [0; 8];
            offset.copy_from_slice(&extension[8..]);
            (HEADER_WITH_SOURCE_LEN, Some(Source { partition, offset: u64::from_le_bytes(offset) }))
        } else {
            (HEADER_LEN, None)
        };
        let mut checksum = body_checksum(&value[body_at..]);
        if source.is_some() {
            checksum = checksum::append(checksum, &value[HEADER_LEN..HEADER_WITH_SOURCE_LEN]);
        }
        let (incarnation, told) = (word(5) as u32, (word(5) >> 32) as u32);
        if checksum::append_words(checksum, words, incarnation) != told {
            return Decoded::Corrupt(Damage::Checksum);
        }
        Decoded::Ours(Self {
            run: words[1] as u32,
            stream: (words[1] >> 32) as u32,
            sequence: words[2],
            attempt: (words[0] >> 48) as u16,
            incarnation,
            transaction: (words[4] >> 32) as u32,
            intended_ns: words[3],
            send_delay_us: words[4] as u32,
            sentinel: flags.has(Flags::SENTINEL),
            warm_up: flags.has(Flags::WARM_UP),
            source,
        })
    }
}

/// Two fields as one little-endian word, the lower one first.
#[inline]
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | (u64::from(second) << 32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = Header> {
        (
            any::<[u32; 5]>(),
            any::<[u64; 2]>(),
            any::<u16>(),
            any::<[bool; 2]>(),
            proptest::option::of(any::<(u32, u64)>()),
        )
            .prop_map(|(small, large, attempt, [sentinel, warm_up], source)| Header {
                run: small[0],
                stream: small[1],
                incarnation: small[2],
                transaction: small[3],
                send_delay_us: small[4],
                sequence: large[0],
                intended_ns: large[1],
                attempt,
                sentinel,
                warm_up,
                source: source.map(|(partition, offset)| Source { partition, offset }),
            })
    }

    fn message(header: &Header, body: &[u8]) -> Vec<u8> {
        let mut value = vec![0; header.encoded_len()];
        value.extend_from_slice(body);
        header.encode(&mut value, body_checksum(body));
        value
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(header in headers(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Header::decode(&message(&header, &body)), Decoded::Ours(header));
        }

        #[test]
        fn any_flipped_bit_is_seen(header in headers(), body in proptest::collection::vec(any::<u8>(), 0..100), at in any::<proptest::sample::Index>(), bit in 0..8u8) {
            let mut value = message(&header, &body);
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            let decoded = Header::decode(&value);
            if at < 4 {
                prop_assert_eq!(decoded, Decoded::Stranger);
            } else {
                prop_assert!(matches!(decoded, Decoded::Corrupt(_)), "{:?}", decoded);
            }
        }

        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::decode(&bytes);
            let mut ours = b"AKM\x01".to_vec();
            ours.extend_from_slice(&bytes);
            prop_assert!(!matches!(Header::decode(&ours), Decoded::Stranger));
        }
    }

    #[test]
    fn the_layout_is_as_documented() {
        let header = Header {
            run: 0x0403_0201,
            stream: 5,
            sequence: 6,
            attempt: 7,
            incarnation: 8,
            transaction: 9,
            intended_ns: 10,
            send_delay_us: 11,
            sentinel: false,
            warm_up: false,
            source: None,
        };
        let value = message(&header, b"");
        let mut expected = b"AKM\x01\0\0\x07\0\x01\x02\x03\x04\x05\0\0\0\x06\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\x0b\0\0\0\x09\0\0\0\x08\0\0\0".to_vec();
        expected.extend_from_slice(&crc32c::crc32c(&expected).to_le_bytes());
        assert_eq!(value, expected);
        assert_eq!(Header::decode(&value[..20]), Decoded::Corrupt(Damage::Truncated));
        assert_eq!(Header::decode(b"hello, world"), Decoded::Stranger);
    }
}
