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
//! | 28 | 4 | CRC-32C over bytes 0 to 27 and the first 16 bytes of each stream entry |
//! | 64 | 32 each | streams: id (4), zero (4), first sequence (8), reserved mark (8), zero (8) |
//!
//! A directory page has one entry of 16 bytes per state page of its segment: the page's number in its
//! stream (8), the stream's slot + 1 (4), CRC-32C (4) over identity, place and content. All zero: not
//! handed out. The second half is stored last, so a writer that dies in between leaves it unused.
//!
//! A state page holds 16,384 messages, two bits each, lowest bits first. Page `p` of a stream holds the
//! sequences from `p · 16384`. Pages are absolute, so a later incarnation begins where it continues.

/// Version of the layout of both files.
pub const VERSION: u32 = 1;
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
const STREAM_BYTES: usize = 32;
const CHECKSUM_AT: usize = 28;

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

/// Bytes of the header for this many streams: whole pages.
pub(crate) const fn header_bytes(streams: usize) -> u64 {
    ((FIXED_BYTES + streams * STREAM_BYTES).div_ceil(PAGE_BYTES) * PAGE_BYTES) as u64
}

/// Index of the word that holds a stream's reserved mark.
pub(crate) const fn reserved_word(slot: usize) -> usize {
    (FIXED_BYTES + slot * STREAM_BYTES + 16) / 8
}

/// Makes the header for `(stream, first sequence)` pairs, reserved marks included.
pub(crate) fn encode_header(identity: Identity, streams: &[(u32, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; header_bytes(streams.len()) as usize];
    bytes[..8].copy_from_slice(MAGIC.as_bytes());
    let fields = [VERSION, identity.run, identity.producer, identity.incarnation, streams.len() as u32];
    for (at, field) in fields.into_iter().enumerate() {
        bytes[8 + at * 4..12 + at * 4].copy_from_slice(&field.to_le_bytes());
    }
    for (entry, (stream, first)) in bytes[FIXED_BYTES..].chunks_exact_mut(STREAM_BYTES).zip(streams) {
        entry[..4].copy_from_slice(&stream.to_le_bytes());
        entry[8..16].copy_from_slice(&first.to_le_bytes());
        entry[16..24].copy_from_slice(&first.to_le_bytes());
    }
    let checksum = header_checksum(&bytes, streams.len());
    bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The fixed part of a header, read from at least 64 bytes; not yet checked.
pub(crate) struct FixedHeader {
    pub(crate) magic_matches: bool,
    pub(crate) version: u32,
    pub(crate) identity: Identity,
    pub(crate) streams: usize,
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
            checksum: field(CHECKSUM_AT),
        }
    }

    /// Whether the checksum matches the whole header's bytes.
    pub(crate) fn sound(&self, header: &[u8]) -> bool {
        self.checksum == header_checksum(header, self.streams)
    }
}

/// The streams of a header: `(stream, first sequence, reserved mark)`.
pub(crate) fn decode_streams(header: &[u8], streams: usize) -> impl Iterator<Item = (u32, u64, u64)> {
    header[FIXED_BYTES..]
        .chunks_exact(STREAM_BYTES)
        .take(streams)
        .map(|entry| (u32_at(entry, 0), u64_at(entry, 8), u64_at(entry, 16)))
}

fn header_checksum(bytes: &[u8], streams: usize) -> u32 {
    bytes[FIXED_BYTES..]
        .chunks_exact(STREAM_BYTES)
        .take(streams)
        .fold(crc32c::crc32c(&bytes[..CHECKSUM_AT]), |crc, entry| crc32c::crc32c_append(crc, &entry[..16]))
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
