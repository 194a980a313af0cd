//! Primitives of the protocol in a slice.
//!
//! A [`BytesAt`] is a place in bytes that a stranger wrote. Every step is checked against their end, so no bytes
//! make it panic; what it hands out are slices of them, so nothing is copied or allocated.
//! Numbers are big endian; variable-length ones are zigzag, seven bits a byte, lowest first
//! (<https://kafka.apache.org/protocol#protocol_types>).

use thiserror::Error;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Fewer bytes than a field needs.
    #[error("it ends within a field")]
    EndsEarly,
    /// Too many bytes say that another follows.
    #[error("a variable-length number does not end")]
    VarintTooLong,
    /// A length below zero where nothing may be missing.
    #[error("a length is negative")]
    NegativeLength,
    /// More bytes than its fields need.
    #[error("bytes are left over behind its last field")]
    LeftOver,
    /// More headers than its bytes can hold.
    #[error("it has fewer bytes than its number of headers needs")]
    HeaderCount,
    /// The offset does not rise, or is above the batch's last.
    #[error("its offset does not lie between that of the record before it and the last of the batch")]
    OffsetDelta,
}

/// A place in bytes, from which fields are read one after another.
#[derive(Debug, Clone, Copy)]
pub struct BytesAt<'a> {
    rest: &'a [u8],
    /// Of the slice that it began with.
    length: usize,
}

impl<'a> BytesAt<'a> {
    /// The beginning of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    /// Bytes read so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.length - self.rest.len()
    }

    /// What has not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn slice(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (slice, rest) = self.rest.split_at_checked(count).ok_or(Malformed::EndsEarly)?;
        self.rest = rest;
        Ok(slice)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::EndsEarly)?;
        self.rest = rest;
        Ok(*array)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn i8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_be_bytes)
    }

    /// The next two bytes.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// The next four bytes.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// The next four bytes.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight bytes.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`].
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A zigzag number of at most five bytes. As in Kafka's own reader, bits beyond the 32nd are dropped.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`], [`Malformed::VarintTooLong`].
    #[inline]
    pub fn varint(&mut self) -> Result<i32, Malformed> {
        let raw = self.unsigned::<5>()? as u32;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag number of at most ten bytes. As in Kafka's own reader, bits beyond the 64th are dropped.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`], [`Malformed::VarintTooLong`].
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, Malformed> {
        let raw = self.unsigned::<10>()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// An unsigned number of at most five bytes without zigzag, as compact types have it.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`], [`Malformed::VarintTooLong`].
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        self.unsigned::<5>().map(|raw| raw as u32)
    }

    /// Bytes behind their length, a varint; a negative length is null, as in Kafka's own reader.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`], [`Malformed::VarintTooLong`].
    #[inline]
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.slice(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Bytes behind their length, a varint.
    ///
    /// # Errors
    /// [`Malformed::EndsEarly`], [`Malformed::VarintTooLong`], [`Malformed::NegativeLength`].
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.nullable_bytes()?.ok_or(Malformed::NegativeLength)
    }

    // Almost every number of a record fits one byte, lengths of 64 bytes and more two: those are inlined.
    #[inline]
    fn unsigned<const MAX_BYTES: usize>(&mut self) -> Result<u64, Malformed> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.unsigned_long::<MAX_BYTES>(),
        }
    }

    fn unsigned_long<const MAX_BYTES: usize>(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for index in 0..MAX_BYTES {
            let byte = *self.rest.get(index).ok_or(Malformed::EndsEarly)?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed::VarintTooLong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zigzag(value: i64) -> Vec<u8> {
        let mut raw = (value << 1 ^ value >> 63) as u64;
        let mut bytes = Vec::new();
        while raw >= 0x80 {
            bytes.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        bytes.push(raw as u8);
        bytes
    }

    #[test]
    fn fields_follow_each_other_and_the_end_is_told() {
        let bytes = [0xff, 0xff, 0xfe, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7];
        let mut at = BytesAt::new(&bytes);
        assert_eq!(at.i8(), Ok(-1));
        assert_eq!(at.i16(), Ok(-2));
        assert_eq!(at.i32(), Ok(256));
        assert_eq!(at.i64(), Ok(2));
        assert_eq!(at.position(), 15);
        assert_eq!(at.i16(), Err(Malformed::EndsEarly));
        assert_eq!(at.rest(), [7], "an error moves nothing");
        assert_eq!(at.slice(1), Ok(&[7][..]));
        assert!(at.is_empty());
        assert_eq!(at.varint(), Err(Malformed::EndsEarly));
    }

    #[test]
    fn known_varints() {
        // https://protobuf.dev/programming-guides/encoding/#signed-ints
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x01], -1),
            (&[0x02], 1),
            (&[0x7f], -64),
            (&[0x80, 0x01], 64),
            (&[0xfe, 0xff, 0xff, 0xff, 0x0f], i32::MAX),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], i32::MIN),
        ] {
            assert_eq!(BytesAt::new(bytes).varint(), Ok(value));
            assert_eq!(BytesAt::new(bytes).varlong(), Ok(i64::from(value)));
        }
        assert_eq!(BytesAt::new(&[0xac, 0x02]).unsigned_varint(), Ok(300));
        assert_eq!(BytesAt::new(&[0x80; 5]).varint(), Err(Malformed::VarintTooLong));
        assert_eq!(BytesAt::new(&[0x80; 4]).varint(), Err(Malformed::EndsEarly));
        assert_eq!(BytesAt::new(&[0xff; 10]).varlong(), Err(Malformed::VarintTooLong));
    }

    #[test]
    fn lengths_below_zero() {
        assert_eq!(BytesAt::new(&[1]).nullable_bytes(), Ok(None));
        assert_eq!(BytesAt::new(&[1]).bytes(), Err(Malformed::NegativeLength));
        assert_eq!(BytesAt::new(&[4, 8, 9, 10]).bytes(), Ok(&[8, 9][..]));
        assert_eq!(BytesAt::new(&[4, 8]).bytes(), Err(Malformed::EndsEarly));
    }

    proptest! {
        #[test]
        fn varints_come_back(value: i64, tail: Vec<u8>) {
            let mut bytes = zigzag(value);
            let length = bytes.len();
            bytes.extend(tail);
            let mut at = BytesAt::new(&bytes);
            prop_assert_eq!(at.varlong(), Ok(value));
            prop_assert_eq!(at.position(), length);
            let mut bytes = zigzag(i64::from(value as i32));
            bytes.push(0x80);
            prop_assert_eq!(BytesAt::new(&bytes).varint(), Ok(value as i32));
        }
    }
}
