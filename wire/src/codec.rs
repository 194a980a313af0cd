//! Compressed records.
//!
//! A batch's records are compressed as one piece. A [`Decompressor`] undoes it into a buffer that it keeps, so that a
//! reader allocates while its first batches are read and little after; of a batch beyond 32 MiB, which few brokers
//! take, the buffer is given back with the next one. How much comes out is bounded, and memory grows
//! with what really comes out, not with what a header claims (zstd's window excepted, which is at most 128 MiB).
//!
//! | codec | what clients write |
//! |---|---|
//! | gzip | RFC 1952, one member or several |
//! | snappy | one raw block (librdkafka, franz-go), or snappy-java's framing: blocks behind their lengths (Java) |
//! | lz4 | one LZ4 frame, of independent or linked blocks |
//! | zstd | one frame or several, with or without its content size |

use std::{
    fmt,
    io::{self, Read},
};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name};

use crate::{batch::BatchError, bytes_at::BytesAt};

/// The most that a batch may have when decompressed, in bytes. A batch is below 2 GiB; brokers take 1 MiB by default.
pub const LIMIT_DEFAULT: usize = 1 << 30;

/// The most that is kept from one batch to the next, in bytes.
const KEPT_MAX: usize = 32 << 20;

/// snappy-java's framing: magic, then version and compatible version, of four bytes each
/// (<https://github.com/xerial/snappy-java>, `SnappyCodec`).
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
/// Snappy's densest element copies 64 bytes and takes three
/// (<https://github.com/google/snappy/blob/main/format_description.txt>).
const SNAPPY_RATIO_MAX: usize = 64 / 3 + 1;
/// How much zstd's output grows by, at the least.
const ZSTD_STEP_BYTES: usize = 64 << 10;

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// All, by their number in a batch's attributes.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number in a batch's attributes.
    #[inline]
    pub fn from_id(id: i16) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Decompresses batches, one at a time, into a buffer that is used again.
pub struct Decompressor {
    buffer: Vec<u8>,
    limit: usize,
    zstd: Option<DCtx<'static>>,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Decompressor")
            .field("buffer", &self.buffer.capacity())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Why nothing came out.
enum Failure {
    TooLarge,
    Codec(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Codec(error.to_string())
    }
}

impl From<snap::Error> for Failure {
    fn from(error: snap::Error) -> Self {
        Self::Codec(error.to_string())
    }
}

impl Decompressor {
    /// With [`LIMIT_DEFAULT`]. Nothing is allocated yet.
    pub fn new() -> Self {
        Self::with_limit(LIMIT_DEFAULT)
    }

    /// With another limit, in bytes: a batch that is larger when decompressed is refused.
    pub fn with_limit(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit, zstd: None }
    }

    /// Decompresses `input`, the payload of the batch at `offset`.
    ///
    /// # Errors
    /// [`BatchError::Decompress`], [`BatchError::TooLarge`].
    pub fn decompress<'r>(&'r mut self, codec: Codec, input: &'r [u8], offset: i64) -> Result<&'r [u8], BatchError> {
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_MAX {
            self.buffer = Vec::new();
        }
        let done = match codec {
            Codec::None => return Ok(input),
            Codec::Gzip => self.read_all(MultiGzDecoder::new(input)),
            Codec::Lz4 => self.read_all(FrameDecoder::new(input)),
            Codec::Snappy => self.snappy(input),
            Codec::Zstd => self.zstd(input),
        };
        match done {
            Ok(()) => Ok(&self.buffer),
            Err(Failure::TooLarge) => Err(BatchError::TooLarge { offset, codec, limit: self.limit }),
            Err(Failure::Codec(cause)) => Err(BatchError::Decompress { offset, codec, cause }),
        }
    }

    fn read_all(&mut self, decoder: impl Read) -> Result<(), Failure> {
        decoder.take(self.limit as u64 + 1).read_to_end(&mut self.buffer)?;
        if self.buffer.len() > self.limit { Err(Failure::TooLarge) } else { Ok(()) }
    }

    fn snappy(&mut self, input: &[u8]) -> Result<(), Failure> {
        if !input.starts_with(XERIAL_MAGIC) {
            return self.snappy_block(input);
        }
        let mut at = BytesAt::new(input);
        let cut = |_| Failure::Codec("snappy-java's framing ends within a block".into());
        while !at.is_empty() {
            // Concatenated streams begin anew, as snappy-java's own reader allows.
            if at.rest().starts_with(XERIAL_MAGIC) {
                at.slice(XERIAL_HEADER_BYTES).map_err(cut)?;
                continue;
            }
            let length = at.i32().map_err(cut)?;
            let length = usize::try_from(length)
                .map_err(|_| Failure::Codec(format!("a block of snappy-java's framing has the length {length}")))?;
            self.snappy_block(at.slice(length).map_err(cut)?)?;
        }
        Ok(())
    }

    /// Appends one raw block.
    fn snappy_block(&mut self, input: &[u8]) -> Result<(), Failure> {
        let length = snap::raw::decompress_len(input)?;
        if length > input.len().saturating_mul(SNAPPY_RATIO_MAX) {
            let (have, claim) = (input.len(), length);
            return Err(Failure::Codec(format!("{have} bytes cannot hold the {claim} that their header claims")));
        }
        let start = self.buffer.len();
        if length > self.limit - start {
            return Err(Failure::TooLarge);
        }
        self.buffer.resize(start + length, 0);
        snap::raw::Decoder::new().decompress(input, &mut self.buffer[start..])?;
        Ok(())
    }

    fn zstd(&mut self, input: &[u8]) -> Result<(), Failure> {
        let failed = |code| Failure::Codec(get_error_name(code).into());
        let context = match &mut self.zstd {
            Some(context) => context,
            none => none.insert(DCtx::try_create().ok_or_else(|| Failure::Codec("no memory for zstd".into()))?),
        };
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        let mut input = InBuffer::around(input);
        loop {
            if self.buffer.len() == self.buffer.capacity() {
                let length = self.buffer.len();
                // One byte above the limit shows that there is more.
                let room = (self.limit + 1).checked_sub(length).filter(|&room| room > 0).ok_or(Failure::TooLarge)?;
                self.buffer.reserve_exact(room.min(length.max(ZSTD_STEP_BYTES)));
            }
            let length = self.buffer.len();
            let mut output = OutBuffer::around_pos(&mut self.buffer, length);
            let hint = context.decompress_stream(&mut output, &mut input).map_err(failed)?;
            let (all_in, room) = (input.pos() == input.src.len(), self.buffer.len() < self.buffer.capacity());
            match (all_in, room) {
                // A frame is done, and nothing is behind it.
                (true, _) if hint == 0 => break,
                (true, true) => return Err(Failure::Codec("it ends within a frame".into())),
                _ => {}
            }
        }
        if self.buffer.len() > self.limit { Err(Failure::TooLarge) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_one_batch_needed_is_not_kept_for_ever() {
        let outlier = zstd::bulk::compress(&vec![0; KEPT_MAX + 1], 1).unwrap();
        let usual = zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap();
        let mut decompressor = Decompressor::new();
        assert_eq!(decompressor.decompress(Codec::Zstd, &outlier, 0).unwrap().len(), KEPT_MAX + 1);
        assert!(decompressor.buffer.capacity() > KEPT_MAX);
        decompressor.decompress(Codec::Zstd, &usual, 0).unwrap();
        let kept = decompressor.buffer.capacity();
        assert!((1 << 20..KEPT_MAX).contains(&kept), "{kept}");
        decompressor.decompress(Codec::Zstd, &usual, 0).unwrap();
        assert_eq!(decompressor.buffer.capacity(), kept, "what is usual is");
        decompressor.decompress(Codec::Zstd, &outlier, 0).unwrap();
        decompressor.decompress(Codec::None, &usual, 0).unwrap();
        assert_eq!(decompressor.buffer.capacity(), 0);
    }
}
