//! Records of a batch.
//!
//! A record is a length, then attributes (unused), timestamp delta, offset delta, key, value and headers, all numbers
//! of variable length (<https://kafka.apache.org/documentation/#record>). [`Records`] hands them out one after
//! another as slices of the batch: nothing is copied, nothing allocated, and it is inlined into the loop that judges
//! them, since this is the hot path of the log reader.
//!
//! What it accepts is what Kafka's own reader accepts (`DefaultRecord.readFrom`), and offsets must rise: a record has
//! to fill its length exactly and the records the batch. Headers are only looked at when they are asked for.

use crate::{
    batch::{BatchError, BatchHeader, TimestampType},
    bytes_at::{BytesAt, Malformed},
};

/// A header takes two bytes at least: the lengths of its key and value.
const HEADER_BYTES_MIN: usize = 2;

/// A record, in the bytes of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970, of the clock that [`BatchHeader::timestamp_type`] says; -1 where there is none.
    pub timestamp: i64,
    /// None is null: not the same as empty.
    pub key: Option<&'a [u8]>,
    /// None is null: a tombstone, on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// Headers of a record, in the order of its producer; keys may repeat. Read as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: u32,
}

/// A header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8, if its producer was a good one.
    pub key: &'a [u8],
    /// None is null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// How many there are, as the record says.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One after another.
    pub fn iter(&self) -> HeadersIter<'a> {
        HeadersIter { rest: self.bytes, left: self.count }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Result<Header<'a>, Malformed>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Headers<'a> {
    type Item = Result<Header<'a>, Malformed>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// Headers of a record, one after another. An error ends it.
#[derive(Debug, Clone)]
pub struct HeadersIter<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> HeadersIter<'a> {
    fn header(&mut self) -> Result<Header<'a>, Malformed> {
        let mut at = BytesAt::new(self.rest);
        let header = Header { key: at.bytes()?, value: at.nullable_bytes()? };
        self.rest = at.rest();
        if self.left == 0 && !at.is_empty() { Err(Malformed::LeftOver) } else { Ok(header) }
    }
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = Result<Header<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let header = self.header();
        if header.is_err() {
            self.left = 0;
        }
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

/// Records of a batch, in their order. An error ends it.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    /// Those that are still to come.
    left: u32,
    count: u32,
    base_offset: i64,
    /// The least offset delta that the next record may have, and the most.
    delta_min: i32,
    delta_max: i32,
    base_timestamp: i64,
    /// With log append time, that of all.
    append_timestamp: Option<i64>,
}

impl<'a> Records<'a> {
    /// Records of the batch with this header.
    ///
    /// # Arguments
    /// * `payload` - what stands behind the header, decompressed.
    #[inline]
    pub fn new(header: &BatchHeader, payload: &'a [u8]) -> Self {
        let count = header.count.max(0) as u32;
        let append_timestamp = match header.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Self {
            rest: payload,
            left: count,
            count,
            base_offset: header.base_offset,
            delta_min: 0,
            delta_max: header.last_offset_delta,
            base_timestamp: header.base_timestamp,
            append_timestamp,
        }
    }

    /// How many are still to come, as the header says.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.left as usize
    }

    #[inline]
    fn record(&mut self) -> Result<Record<'a>, Malformed> {
        let mut at = BytesAt::new(self.rest);
        let mut record = BytesAt::new(at.bytes()?);
        record.i8()?;
        let timestamp_delta = record.varlong()?;
        let offset_delta = record.varint()?;
        let key = record.nullable_bytes()?;
        let value = record.nullable_bytes()?;
        let headers = record.varint()?;
        let rest = record.rest();
        if headers == 0 {
            if !rest.is_empty() {
                return Err(Malformed::LeftOver);
            }
        } else if headers < 0 {
            return Err(Malformed::NegativeLength);
        } else if headers as usize > rest.len() / HEADER_BYTES_MIN {
            return Err(Malformed::HeaderCount);
        }
        if offset_delta < self.delta_min || offset_delta > self.delta_max {
            return Err(Malformed::OffsetDelta);
        }
        self.delta_min = offset_delta.saturating_add(1);
        self.rest = at.rest();
        let timestamp = match self.append_timestamp {
            None => self.base_timestamp.wrapping_add(timestamp_delta),
            Some(timestamp) => timestamp,
        };
        Ok(Record {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp,
            key,
            value,
            headers: Headers { bytes: rest, count: headers as u32 },
        })
    }

    #[cold]
    fn refuse(&mut self, cause: Malformed) -> BatchError {
        let index = self.count - self.left;
        (self.left, self.rest) = (0, &[]);
        BatchError::Record { offset: self.base_offset, index, cause }
    }

    /// Bytes behind the last record would be records that nobody counted.
    #[cold]
    fn left_over(&mut self) -> BatchError {
        self.rest = &[];
        BatchError::LeftOver { offset: self.base_offset, count: self.count }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return (!self.rest.is_empty()).then(|| Err(self.left_over()));
        }
        match self.record() {
            Ok(record) => {
                self.left -= 1;
                Some(Ok(record))
            }
            Err(cause) => Some(Err(self.refuse(cause))),
        }
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// What a control record says of the transaction of its batch's producer id.
///
/// The batch's producer epoch is that of the transaction, or one more: since transaction version 2 (KIP-890) a broker
/// raises the epoch with each end, and writes the raised one into the marker. The log order tells which records it ends:
/// those of the producer id since the marker before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// It is aborted: its records are void.
    Abort {
        /// Epoch of the transaction coordinator that decided.
        coordinator_epoch: i32,
    },
    /// It is committed.
    Commit {
        /// Epoch of the transaction coordinator that decided.
        coordinator_epoch: i32,
    },
    /// Of another type, which no transaction writes (leader change and snapshot records of the metadata log, later
    /// ones): to be passed over, as every consumer does.
    Other(i16),
}

impl Marker {
    /// Reads a record of a control batch: its key is version and type, its value version and coordinator epoch (Kafka's
    /// `ControlRecordType` and `EndTxnMarker`; later versions append fields).
    ///
    /// # Errors
    /// [`BatchError::Control`].
    pub fn of(record: &Record<'_>) -> Result<Self, BatchError> {
        let read = || {
            let mut key = BytesAt::new(record.key.ok_or(Malformed::EndsEarly)?);
            key.i16()?;
            let kind = key.i16()?;
            if !matches!(kind, 0 | 1) {
                return Ok(Self::Other(kind));
            }
            let mut value = BytesAt::new(record.value.ok_or(Malformed::EndsEarly)?);
            value.i16()?;
            let coordinator_epoch = value.i32()?;
            Ok(if kind == 0 { Self::Abort { coordinator_epoch } } else { Self::Commit { coordinator_epoch } })
        };
        read().map_err(|cause| BatchError::Control { offset: record.offset, cause })
    }
}
