//! The states file, byte by byte. Little-endian.
//!
//! ```text
//! header       4096 · k bytes: fixed part, then 32 bytes per stream
//! segment 0    directory page, then 256 state pages of 4096 bytes
//! segment 1    …
//! ```
//!
//! | header offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `AKMLEDGR` |
//! | 8 | 4 | layout version |
//! | 12 | 4 | run |
//! | 16 | 4 | producer |
//! | 20 | 4 | incarnation |
//! | 24 | 4 | streams |
//! | 28 | 4 | resends |
//! | 32 | 4 | CRC-32C over bytes 0 to 31 and all of each entry but its mark |
//! | 40 | 8 | mark of the transaction log: how many entries it has at least; 0 where nobody counted |
//! | 48 | 8 | mark 1: nothing is marked any more, and pages have their checks; 0 before |
//! | 64 | 32 each | streams: id (4), zero (4), first sequence (8), reserved mark (8), zero (8) |
//! | … | 32 each | resends: stream id (4), attempt (4), first sequence (8), reserved mark (8), end (8) |
//!
//! A resend is a range of sequences below its stream's first one, which an earlier incarnation left undecided and
//! this one sends again: those below its mark, so far. Resends follow in order of slot and sequence.
//!
//! A mark is a sequence below 2^48 with a check of itself in the upper 16 bits, so that both are stored at once.
//!
//! A directory page has one entry of 16 bytes per state page of its segment: the page's number in its
//! stream (lower 40 bits of 8 bytes), the stream's slot + 1 (4), CRC-32C (4) over identity, place and content. All zero:
//! not handed out. The second half is stored last, so a writer that dies in between leaves it unused. In the upper 24
//! bits of the number is the check of the page's states, once the file is closed (see [`crate::close`]).
//!
//! A state page holds 16,384 messages, two bits each, lowest bits first. Page `p` of a stream holds the
//! sequences from `p · 16384`, those that are sent again among them: a page that a resend and the stream's own
//! messages share is there once. Pages are absolute, so a later incarnation begins where it continues.
//!
//! Limit: states are written per message, so those of a load that was killed have no checksum.

/// Version of the layout of both files.
pub const VERSION: u32 = 3;
pub(crate) const MAGIC: &str = "AKMLEDGR";
pub(crate) const PAGE_BYTES: usize = 4096;
pub(crate) const PAGE_WORDS: usize = PAGE_BYTES / 8;
/// Messages per word of 64 bits.
pub(crate) const WORD_MESSAGES: u64 = 32;
/// Messages per state page.
pub const PAGE_MESSAGES: u64 = PAGE_WORDS as u64 * WORD_MESSAGES;
/// State pages per segment, as many as a directory page has entries.
pub(crate) const SEGMENT_PAGES: usize = PAGE_BYTES / 16;
pub(crate) const SEGMENT_BYTES: u64 = ((SEGMENT_PAGES + 1) * PAGE_BYTES) as u64;

const FIXED_BYTES: usize = 64;
const SPAN_BYTES: usize = 32;
const CHECKSUM_AT: usize = 32;
const MARK_AT: usize = 16;
const TRANSACTIONS_AT: usize = 40;
const CLOSED_AT: usize = 48;
/// Bits of a mark that are the sequence; the others are its check.
const MARK_BITS: u32 = 48;

/// What the sender knows of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// No delivery report yet; perhaps never handed over.
    Open = 0,
    /// Acknowledged by the broker(s).
    Acknowledged = 1,
    /// Definitely not in the log.
    Failed = 2,
    /// Reported, but may or may not be in the log.
    Indeterminate = 3,
}

impl State {
    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Open,
            1 => Self::Acknowledged,
            2 => Self::Failed,
            _ => Self::Indeterminate,
        }
    }

    /// What is known of a message by two attempts at it: it is acknowledged if either was, failed if both failed.
    pub(crate) const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Acknowledged, _) | (_, Self::Acknowledged) => Self::Acknowledged,
            (Self::Failed, Self::Failed) => Self::Failed,
            (Self::Indeterminate, _) | (_, Self::Indeterminate) => Self::Indeterminate,
            _ => Self::Open,
        }
    }

    /// A word of 32 messages in this state.
    pub(crate) const fn word(self) -> u64 {
        self as u64 * 0x5555_5555_5555_5555
    }
}

/// Whose ledger it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The run in every record header.
    pub run: u32,
    /// The producer's number, from 0.
    pub producer: u32,
    /// Its life, from 0.
    pub incarnation: u32,
}

impl Identity {
    /// The first field in which `found` differs: its name, what was found, what was expected.
    pub(crate) fn compare(self, found: Self) -> Result<(), (&'static str, u32, u32)> {
        let fields = [
            ("run", found.run, self.run),
            ("producer", found.producer, self.producer),
            ("incarnation", found.incarnation, self.incarnation),
        ];
        fields.into_iter().find(|(_, found, expected)| found != expected).map_or(Ok(()), Err)
    }
}

/// File name of a producer's message states.
pub fn states_file(producer: u32, incarnation: u32) -> String {
    format!("p{producer}-i{incarnation}.ledger")
}

/// File name of a producer's transactions.
pub fn transactions_file(producer: u32, incarnation: u32) -> String {
    format!("p{producer}-i{incarnation}.txnlog")
}

/// A sequence as a mark with its check.
#[inline]
pub(crate) const fn mark_of(sequence: u64) -> u64 {
    // Multiplicative hashing: the upper bits of the product depend on all bits of the sequence.
    let check = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> MARK_BITS;
    sequence & ((1 << MARK_BITS) - 1) | check << MARK_BITS
}

/// The sequence of a mark.
#[inline]
pub(crate) const fn sequence_of(mark: u64) -> u64 {
    mark & ((1 << MARK_BITS) - 1)
}

/// The sequence of a mark that matches its check.
#[inline]
pub(crate) const fn checked(mark: u64) -> Option<u64> {
    let sequence = sequence_of(mark);
    if mark_of(sequence) == mark { Some(sequence) } else { None }
}

/// An entry of the header's tables: a stream's own sequences, or a range of them that is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) stream: u32,
    /// 0 for a stream's own sequences.
    pub(crate) attempt: u16,
    pub(crate) first: u64,
    /// The reserved mark with its check.
    pub(crate) mark: u64,
    /// One past the last sequence of a resend; 0 for a stream's own sequences, which have no end.
    pub(crate) end: u64,
}

impl Span {
    fn encode(self) -> [u8; SPAN_BYTES] {
        let mut entry = [0; SPAN_BYTES];
        entry[..4].copy_from_slice(&self.stream.to_le_bytes());
        entry[4..8].copy_from_slice(&u32::from(self.attempt).to_le_bytes());
        entry[8..MARK_AT].copy_from_slice(&self.first.to_le_bytes());
        entry[MARK_AT..24].copy_from_slice(&self.mark.to_le_bytes());
        entry[24..].copy_from_slice(&self.end.to_le_bytes());
        entry
    }

    fn decode(entry: &[u8]) -> Self {
        Self {
            stream: u32_at(entry, 0),
            attempt: u32_at(entry, 4) as u16,
            first: u64_at(entry, 8),
            mark: u64_at(entry, MARK_AT),
            end: u64_at(entry, 24),
        }
    }

    /// One past the last sequence that was reserved, if the mark is sound.
    pub(crate) fn reserved(&self) -> Option<u64> {
        checked(self.mark)
    }
}

/// Bytes of the header for this many streams and resends: whole pages.
pub(crate) const fn header_bytes(spans: usize) -> u64 {
    ((FIXED_BYTES + spans * SPAN_BYTES).div_ceil(PAGE_BYTES) * PAGE_BYTES) as u64
}

/// Index of the word that holds the reserved mark of a stream (by slot) or of a resend (counted on behind them).
pub(crate) const fn mark_word(span: usize) -> usize {
    (FIXED_BYTES + span * SPAN_BYTES + MARK_AT) / 8
}

/// Index of the word that holds the mark of the transaction log.
pub(crate) const TRANSACTIONS_WORD: usize = TRANSACTIONS_AT / 8;

/// Index of the word that says that the file is closed, and what it then is the mark of.
pub(crate) const CLOSED_WORD: usize = CLOSED_AT / 8;
pub(crate) const CLOSED: u64 = 1;

/// Bits of a directory's entry that are the page's number.
pub(crate) const NUMBER_BITS: u32 = 40;

/// The page's number in the first half of a directory's entry.
pub(crate) const fn page_number(word: u64) -> u64 {
    word & ((1 << NUMBER_BITS) - 1)
}

/// Makes the header for streams and, behind them, resends.
pub(crate) fn encode_header(identity: Identity, streams: &[Span], resends: &[Span]) -> Vec<u8> {
    let spans = streams.len() + resends.len();
    let mut bytes = vec![0; header_bytes(spans) as usize];
    bytes[..8].copy_from_slice(MAGIC.as_bytes());
    let counts = [streams.len() as u32, resends.len() as u32];
    let fields = [VERSION, identity.run, identity.producer, identity.incarnation, counts[0], counts[1]];
    for (at, field) in fields.into_iter().enumerate() {
        bytes[8 + at * 4..12 + at * 4].copy_from_slice(&field.to_le_bytes());
    }
    for (entry, span) in bytes[FIXED_BYTES..].chunks_exact_mut(SPAN_BYTES).zip(streams.iter().chain(resends)) {
        entry.copy_from_slice(&span.encode());
    }
    let checksum = header_checksum(&bytes, spans);
    bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The fixed part of a header, read from at least 64 bytes; not yet checked.
pub(crate) struct FixedHeader {
    pub(crate) magic_matches: bool,
    pub(crate) version: u32,
    pub(crate) identity: Identity,
    pub(crate) streams: usize,
    pub(crate) resends: usize,
    checksum: u32,
}

impl FixedHeader {
    pub(crate) const BYTES: usize = FIXED_BYTES;

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let field = |at: usize| u32_at(bytes, at);
        Self {
            magic_matches: &bytes[..8] == MAGIC.as_bytes(),
            version: field(8),
            identity: Identity { run: field(12), producer: field(16), incarnation: field(20) },
            streams: field(24) as usize,
            resends: field(28) as usize,
            checksum: field(CHECKSUM_AT),
        }
    }

    /// Streams and resends.
    pub(crate) fn spans(&self) -> usize {
        self.streams + self.resends
    }

    /// Whether the checksum matches the whole header's bytes.
    pub(crate) fn sound(&self, header: &[u8]) -> bool {
        self.checksum == header_checksum(header, self.spans())
    }
}

/// The streams and resends of a header.
pub(crate) fn decode_spans(header: &[u8], spans: usize) -> impl Iterator<Item = Span> {
    header[FIXED_BYTES..].chunks_exact(SPAN_BYTES).take(spans).map(Span::decode)
}

fn header_checksum(bytes: &[u8], spans: usize) -> u32 {
    let entries = bytes[FIXED_BYTES..].chunks_exact(SPAN_BYTES).take(spans);
    entries.fold(crc32c::crc32c(&bytes[..CHECKSUM_AT]), |crc, entry| {
        crc32c::crc32c_append(crc32c::crc32c_append(crc, &entry[..MARK_AT]), &entry[MARK_AT + 8..])
    })
}

/// Where a state page is: its segment and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) index: u32,
}

/// The second half of a directory entry for page `page` of the stream in `slot`.
pub(crate) fn directory_word(identity: Identity, place: Place, slot: u32, page: u64) -> u64 {
    let mut bytes = [0; 32];
    let fields =
        [identity.run, identity.producer, identity.incarnation, place.segment, place.index, slot.wrapping_add(1)];
    for (at, field) in fields.into_iter().enumerate() {
        bytes[at * 4..at * 4 + 4].copy_from_slice(&field.to_le_bytes());
    }
    bytes[24..].copy_from_slice(&page.to_le_bytes());
    u64::from(slot + 1) | (u64::from(crc32c::crc32c(&bytes)) << 32)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_with_a_flipped_bit_is_seen(sequence in 0u64..1 << MARK_BITS, bit in 0..64) {
            let span = Span { stream: 1, attempt: 0, first: 0, mark: mark_of(sequence), end: 0 };
            prop_assert_eq!((span.reserved(), sequence_of(span.mark)), (Some(sequence), sequence));
            prop_assert_eq!(Span { mark: span.mark ^ (1u64 << bit), ..span }.reserved(), None);
        }
    }
}
