//! A record batch as it lies in the log.
//!
//! The log is a row of batches, each a header of 61 bytes and the records behind it, compressed or not
//! (message format v2, Kafka 0.11 and later: <https://kafka.apache.org/documentation/#recordbatch>):
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 0..8 | base offset | | 27..35 | base timestamp |
//! | 8..12 | length of what follows | | 35..43 | max timestamp |
//! | 12..16 | partition leader epoch | | 43..51 | producer id |
//! | 16 | magic, 2 | | 51..53 | producer epoch |
//! | 17..21 | CRC-32C of all that follows | | 53..57 | base sequence |
//! | 21..23 | attributes | | 57..61 | number of records |
//! | 23..27 | last offset delta | | 61.. | records |
//!
//! [`Batches`] walks bytes as a Fetch hands them over. Base offset, length and leader epoch are not covered by the
//! checksum (the broker sets them); so offsets must rise from batch to batch (where one leaves a hole, the next one in
//! the bytes must lie behind it), and a batch whose checksum is wrong has no length that can be trusted:
//! [`Batches::resume`] goes on behind it only where a sound batch proves the length.
//!
//! Limits: the older formats (v0, v1) are refused with an error that says so.

use std::ops::Range;

use thiserror::Error;

use crate::{
    bytes_at::{BytesAt, Malformed},
    codec::{Codec, Decompressor},
    record::Records,
};

/// Bytes of a batch's header.
pub const HEADER_BYTES: usize = 61;
/// Bytes in front of what the length counts.
const PREFIX_BYTES: usize = 12;
/// The least that the length counts: the rest of the header.
const LENGTH_MIN: i32 = (HEADER_BYTES - PREFIX_BYTES) as i32;
/// The least length of a message of the older formats (v0: checksum, magic, attributes, two lengths).
const OLD_LENGTH_MIN: i32 = 14;
const MAGIC: i8 = 2;
const MAGIC_AT: usize = 16;
const CHECKED_FROM: usize = 21;
/// What producer id, producer epoch and sequence are where there is none.
pub const NONE: i64 = -1;

const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// A batch or a record that cannot be read. Each names the offset: the batch's base offset as its header says it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Message format v0 or v1.
    #[error(
        "the message at offset {offset} has message format v{magic}, which no Kafka since 4.0 writes and the log \
         reader does not read: read this topic with the librdkafka consumer"
    )]
    OldFormat {
        /// Its offset.
        offset: i64,
        /// 0 or 1.
        magic: i8,
    },
    /// A format that does not exist yet.
    #[error(
        "the batch at offset {offset} has message format v{magic}: the log is damaged there, or written by a Kafka \
         that is newer than this ackmark"
    )]
    UnknownFormat {
        /// Its offset.
        offset: i64,
        /// What stands in its place.
        magic: i8,
    },
    /// A length that no batch has.
    #[error("the batch at offset {offset} has a length of {length} bytes, below that of a header: the log is damaged")]
    Length {
        /// Its offset.
        offset: i64,
        /// What the header says.
        length: i32,
    },
    /// The bytes are not those that were written.
    #[error(
        "the batch at offset {offset} has the checksum {computed:08x}, its header says {stored:08x}: the log is \
         damaged, run Kafka's DumpLogSegments on every replica"
    )]
    Crc {
        /// Its offset.
        offset: i64,
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A header that contradicts itself, under a right checksum.
    #[error("the batch at offset {offset} has a header that cannot be: {what}")]
    Header {
        /// Its offset.
        offset: i64,
        /// The contradiction.
        what: &'static str,
    },
    /// Offsets go back, from the batch before or to the one behind.
    #[error(
        "the batch at offset {offset} stands where offsets from {expected} on belong: its base offset or that of the \
         next one, which no checksum covers, is damaged, or the log repeats itself"
    )]
    Order {
        /// What its header says.
        offset: i64,
        /// The least that is right.
        expected: i64,
    },
    /// A compression that does not exist yet.
    #[error("the batch at offset {offset} is compressed by codec {id}, which this ackmark does not know")]
    Codec {
        /// Its offset.
        offset: i64,
        /// Its number.
        id: i16,
    },
    /// Compressed bytes that their codec refuses.
    #[error("the batch at offset {offset} cannot be decompressed ({codec}): {cause}")]
    Decompress {
        /// Its offset.
        offset: i64,
        /// How it is compressed.
        codec: Codec,
        /// What the codec says.
        cause: String,
    },
    /// More than a batch may have when decompressed.
    #[error("the batch at offset {offset} has more than {limit} bytes when decompressed ({codec}), the most allowed")]
    TooLarge {
        /// Its offset.
        offset: i64,
        /// How it is compressed.
        codec: Codec,
        /// The bound, in bytes.
        limit: usize,
    },
    /// A record that cannot be read, in a batch with a right checksum: its producer wrote it so.
    #[error("record {index} of the batch at offset {offset} is malformed: {cause}")]
    Record {
        /// The batch's offset.
        offset: i64,
        /// Which, from 0.
        index: u32,
        /// Why.
        cause: Malformed,
    },
    /// Bytes behind the last record.
    #[error("the batch at offset {offset} has bytes left over behind its {count} records")]
    LeftOver {
        /// Its offset.
        offset: i64,
        /// How many records its header says.
        count: u32,
    },
    /// A control batch whose record is not what a broker writes.
    #[error("the control record at offset {offset} is malformed: {cause}")]
    Control {
        /// The record's offset.
        offset: i64,
        /// Why.
        cause: Malformed,
    },
}

impl BatchError {
    /// The offset that it names.
    pub fn offset(&self) -> i64 {
        match *self {
            Self::OldFormat { offset, .. }
            | Self::UnknownFormat { offset, .. }
            | Self::Length { offset, .. }
            | Self::Crc { offset, .. }
            | Self::Header { offset, .. }
            | Self::Order { offset, .. }
            | Self::Codec { offset, .. }
            | Self::Decompress { offset, .. }
            | Self::TooLarge { offset, .. }
            | Self::Record { offset, .. }
            | Self::LeftOver { offset, .. }
            | Self::Control { offset, .. } => offset,
        }
    }
}

/// Whose clock the timestamps are of (the topic's `message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's, one per record.
    CreateTime,
    /// The broker's, one for the whole batch: its max timestamp.
    LogAppendTime,
}

/// What stands in front of a batch's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record that the producer sent in it; stays when compaction removes that record.
    pub base_offset: i64,
    /// Bytes behind the length field: those of the batch less 12.
    pub length: i32,
    /// Epoch of the leader that appended it; -1 unknown.
    pub partition_leader_epoch: i32,
    /// CRC-32C as stored.
    pub crc: u32,
    /// Flags; read them by the methods.
    pub attributes: i16,
    /// Last offset less base offset; stays when compaction removes the last record.
    pub last_offset_delta: i32,
    /// What records' timestamps are relative to, in milliseconds since 1970; with [`delete_horizon`](Self::delete_horizon)
    /// it is the time from which tombstones may go. -1 where there is none.
    pub base_timestamp: i64,
    /// The latest timestamp, in milliseconds since 1970; with log append time that of all records. -1 where there is
    /// none.
    pub max_timestamp: i64,
    /// Who sent it; -1 without idempotence.
    pub producer_id: i64,
    /// Which life of the producer id; -1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence of the first record; -1 without idempotence and in control batches.
    pub base_sequence: i32,
    /// Records that are in it now: fewer than offsets after compaction, 0 where it is kept for its producer's state.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header that begins with `bytes[0]`. Nothing is looked at but format and length; the checksum is not.
    ///
    /// # Returns
    /// None where the bytes end before the header does.
    ///
    /// # Errors
    /// [`BatchError::OldFormat`], [`BatchError::UnknownFormat`], [`BatchError::Length`].
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, BatchError> {
        if bytes.len() <= MAGIC_AT {
            return Ok(None);
        }
        let mut at = BytesAt::new(bytes);
        let Ok((base_offset, length, partition_leader_epoch, magic)) = Self::prefix(&mut at) else { return Ok(None) };
        if magic != MAGIC || length < LENGTH_MIN {
            return Err(Self::refuse(base_offset, length, magic));
        }
        Ok(Self::behind_magic(&mut at, base_offset, length, partition_leader_epoch).ok())
    }

    #[inline]
    fn prefix(at: &mut BytesAt<'_>) -> Result<(i64, i32, i32, i8), Malformed> {
        Ok((at.i64()?, at.i32()?, at.i32()?, at.i8()?))
    }

    #[inline]
    fn behind_magic(
        at: &mut BytesAt<'_>,
        base_offset: i64,
        length: i32,
        partition_leader_epoch: i32,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            base_offset,
            length,
            partition_leader_epoch,
            crc: at.u32()?,
            attributes: at.i16()?,
            last_offset_delta: at.i32()?,
            base_timestamp: at.i64()?,
            max_timestamp: at.i64()?,
            producer_id: at.i64()?,
            producer_epoch: at.i16()?,
            base_sequence: at.i32()?,
            count: at.i32()?,
        })
    }

    #[cold]
    fn refuse(offset: i64, length: i32, magic: i8) -> BatchError {
        match magic {
            0 | 1 if length >= OLD_LENGTH_MIN => BatchError::OldFormat { offset, magic },
            0..=MAGIC => BatchError::Length { offset, length },
            _ => BatchError::UnknownFormat { offset, magic },
        }
    }

    /// Bytes of the whole batch.
    #[inline]
    pub fn size(&self) -> usize {
        PREFIX_BYTES + self.length.max(0) as usize
    }

    /// Offset of the last record that the producer sent in it.
    #[inline]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// One past [`last_offset`](Self::last_offset): where the next batch begins on a log without gaps.
    #[inline]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::Codec`].
    #[inline]
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let id = self.attributes & CODEC_MASK;
        Codec::from_id(id).ok_or(BatchError::Codec { offset: self.base_offset, id })
    }

    /// Whose clock the timestamps are of.
    #[inline]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether it belongs to a transaction: then a marker behind it, of the same producer id, says its fate.
    #[inline]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether a broker wrote it: its record is a [`Marker`](crate::record::Marker), no message.
    #[inline]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When compaction may remove its tombstones or its marker, in milliseconds since 1970 (KIP-534); None before
    /// compaction has seen it.
    #[inline]
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether producer id, epoch and sequence say who sent which record.
    #[inline]
    pub fn has_sequence(&self) -> bool {
        self.producer_id >= 0 && self.base_sequence >= 0
    }

    /// Sequence of the record at base offset + `delta`; 2^31 wraps to 0 (Kafka's `DefaultRecordBatch.incrementSequence`).
    /// -1 without a sequence.
    #[inline]
    pub fn sequence_at(&self, delta: i32) -> i32 {
        if self.has_sequence() { self.base_sequence.wrapping_add(delta) & i32::MAX } else { NONE as i32 }
    }

    /// Sequence of the last record that the producer sent in it; -1 without.
    #[inline]
    pub fn last_sequence(&self) -> i32 {
        self.sequence_at(self.last_offset_delta)
    }

    /// Refuses what no sound header says, once the checksum is known to be right.
    #[inline]
    fn check(&self) -> Result<(), BatchError> {
        let what = if self.base_offset < 0 {
            "its base offset is negative"
        } else if self.last_offset_delta < 0 {
            "its last offset lies before its first"
        } else if self.next_offset() < 0 {
            "its last offset is above the highest that there is"
        } else if self.count < 0 {
            "its number of records is negative"
        } else if i64::from(self.count) > i64::from(self.last_offset_delta) + 1 {
            "it has more records than offsets"
        } else {
            return Ok(());
        };
        Err(BatchError::Header { offset: self.base_offset, what })
    }
}

/// A batch, in the bytes that were fetched.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// Where it begins in the bytes that [`Batches`] walks.
    pub position: usize,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The whole batch, header included.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they lie in the log: compressed where [`BatchHeader::codec`] says so.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Compares the stored checksum with that of the bytes.
    ///
    /// # Errors
    /// [`BatchError::Crc`].
    #[inline]
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.bytes[CHECKED_FROM..]);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(BatchError::Crc { offset: self.header.base_offset, stored: self.header.crc, computed })
    }

    /// Its records, read in place, or decompressed into the decompressor's buffer.
    ///
    /// # Errors
    /// [`BatchError::Codec`], [`BatchError::Decompress`], [`BatchError::TooLarge`].
    #[inline]
    pub fn records<'r>(&self, decompressor: &'r mut Decompressor) -> Result<Records<'r>, BatchError>
    where
        'a: 'r,
    {
        let payload = match self.header.codec()? {
            Codec::None => self.payload(),
            // What compaction leaves of an emptied batch is a header alone.
            _ if self.payload().is_empty() && self.header.count == 0 => self.payload(),
            codec => decompressor.decompress(codec, self.payload(), self.header.base_offset)?,
        };
        Ok(Records::new(&self.header, payload))
    }

    /// The batch at `bytes[position]`, if it is there whole; nothing of its content is checked.
    #[inline]
    fn at(bytes: &'a [u8], position: usize) -> Result<Option<Self>, BatchError> {
        let rest = &bytes[position..];
        let Some(header) = BatchHeader::parse(rest)? else { return Ok(None) };
        Ok(rest.get(..header.size()).map(|bytes| Self { header, position, bytes }))
    }
}

/// The last batch of the bytes, of which the end is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete {
    /// Its bytes that are here.
    pub here: usize,
    /// Its bytes in all, as its header says; None where not even that is here. Nothing vouches for it: where it is
    /// more than any batch may have (`max.message.bytes`), or asking for as many brings no more, the log is damaged.
    pub size: Option<usize>,
}

/// How to go on behind a batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// The iterator stands at a sound batch; these offsets could not be read. The lengths in between are proved by
    /// what they lead to: a checksum is right by chance once in 2^32.
    Behind(Range<i64>),
    /// The lengths lead to the end of the bytes, and nothing there proves them. Fetch again from the same offset, for
    /// at least so many bytes; where the log has no more, all up to its end is unreadable.
    Cut {
        /// Bytes from the beginning of these bytes to the end of the header or batch that could prove it.
        needed: usize,
    },
    /// The lengths lead to nothing that is a batch. Where the next one begins is only known to the broker's index:
    /// fetch from a higher offset.
    Lost,
}

/// Batches in the bytes of a Fetch, in their order. Each is whole, has a right checksum (unless told not to look), a
/// header without contradiction and a base offset above all before it.
///
/// It ends without an error where the last batch is cut off, as Fetch answers cut it: see
/// [`incomplete`](Self::incomplete). After an error it ends too, unless [`resume`](Self::resume) finds the way on.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    at: usize,
    /// One past the last offset that was handed out; at first what was asked for.
    next_offset: i64,
    /// Nothing has been handed out: the first batch may begin below what was asked for.
    first: bool,
    check_crc: bool,
    /// Where the batch begins that could not be read.
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Batches from the first byte on, whatever their offsets.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::fetched_at(bytes, 0)
    }

    /// Batches that were fetched from `offset` on: the first one holds it, or lies behind it.
    #[inline]
    pub fn fetched_at(bytes: &'a [u8], offset: i64) -> Self {
        Self { bytes, at: 0, next_offset: offset, first: true, check_crc: true, failed: false }
    }

    /// Leaves the checksums to the caller.
    #[inline]
    #[must_use]
    pub fn without_crc(self) -> Self {
        Self { check_crc: false, ..self }
    }

    /// Bytes that have been handed out (or stepped over by [`resume`](Self::resume)).
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// One past the last offset that has been handed out.
    #[inline]
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The cut-off batch at which it ended; None where the bytes ended with a batch, or where an error ended it.
    pub fn incomplete(&self) -> Option<Incomplete> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() || self.failed || !matches!(Batch::at(self.bytes, self.at), Ok(None)) {
            return None;
        }
        Some(Incomplete { here: rest.len(), size: size_at(rest) })
    }

    /// After an error: steps over the batch that could not be read, and over those behind it that cannot either, if a
    /// sound batch stands where their lengths lead. Without an error: nothing to step over, an empty range.
    pub fn resume(&mut self) -> Resumed {
        if !self.failed {
            return Resumed::Behind(self.next_offset..self.next_offset);
        }
        let mut at = self.at;
        loop {
            match size_at(&self.bytes[at..]) {
                Some(size) if size >= HEADER_BYTES => at += size,
                Some(_) => return Resumed::Lost,
                None => return Resumed::Cut { needed: at + HEADER_BYTES },
            }
            let Some(rest) = self.bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) else {
                return Resumed::Cut { needed: at.saturating_add(HEADER_BYTES) };
            };
            match Batch::at(self.bytes, at) {
                Ok(Some(batch)) => {
                    let offset = batch.header.base_offset;
                    if batch.check_crc().is_ok() && batch.header.check().is_ok() && offset >= self.next_offset {
                        let unreadable = self.next_offset..offset;
                        (self.at, self.next_offset, self.first, self.failed) = (at, offset, false, false);
                        return Resumed::Behind(unreadable);
                    }
                }
                Ok(None) => return Resumed::Cut { needed: at + size_at(rest).unwrap_or(HEADER_BYTES) },
                Err(_) => return Resumed::Lost,
            }
        }
    }

    #[inline]
    fn judge(&self, batch: &Batch<'a>) -> Result<(), BatchError> {
        if self.check_crc {
            batch.check_crc()?;
        }
        batch.header.check()?;
        let rises = if self.first {
            batch.header.next_offset() > self.next_offset
        } else {
            batch.header.base_offset >= self.next_offset
        };
        if rises && (batch.header.base_offset <= self.next_offset || self.fits_what_follows(batch)) {
            return Ok(());
        }
        Err(BatchError::Order { offset: batch.header.base_offset, expected: self.next_offset })
    }

    /// Whether a batch that leaves a hole in front of it may stand there: a base offset that is damaged upwards looks
    /// like one behind records that compaction has removed, but then what follows lies below it. Where two batches
    /// contradict each other, both are taken for unreadable.
    #[cold]
    fn fits_what_follows(&self, batch: &Batch<'a>) -> bool {
        match BatchHeader::parse(&self.bytes[batch.position + batch.bytes.len()..]) {
            Ok(Some(next)) => next.base_offset >= batch.header.next_offset(),
            // Nothing, or nothing that is a batch.
            _ => true,
        }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = match Batch::at(self.bytes, self.at) {
            Ok(None) => return None,
            Ok(Some(batch)) => self.judge(&batch).map(|()| batch),
            Err(error) => Err(error),
        };
        match &found {
            Ok(batch) => {
                self.at += batch.bytes.len();
                self.next_offset = batch.header.next_offset();
                self.first = false;
            }
            Err(_) => self.failed = true,
        }
        Some(found)
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

/// Bytes of the batch at the beginning, as its length field says.
fn size_at(bytes: &[u8]) -> Option<usize> {
    let mut at = BytesAt::new(bytes);
    at.i64().ok()?;
    Some(PREFIX_BYTES + at.i32().ok()?.max(0) as usize)
}
