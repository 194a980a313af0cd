//! Batches of another encoder (the kafka-protocol crate's), of our own pen where no encoder writes such ones, and of
//! no one: damaged and random bytes.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use ackmark_wire::{
    batch::{BatchError, BatchHeader, Batches, HEADER_BYTES, Incomplete, Resumed, TimestampType},
    bytes_at::Malformed,
    codec::{Codec, Decompressor},
    record::{Marker, Record},
};
use kafka_protocol::{
    protocol::StrBytes,
    records::{Compression, Record as Encoded, RecordBatchEncoder, RecordEncodeOptions, TimestampType as Type},
};
use proptest::prelude::*;

mod support;

use support::{Sent, batch, header, payload, seal, varint};

const COMPRESSIONS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// What a test compares: a record without its lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn owned(record: &Record<'_>) -> Owned {
    let headers =
        record.headers.iter().map(|header| header.map(|header| (header.key.to_vec(), header.value.map(Into::into))));
    Owned {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        headers: headers.collect::<Result<_, _>>().unwrap(),
    }
}

/// Every header and record, or the first error.
fn read(bytes: &[u8]) -> Result<(Vec<BatchHeader>, Vec<Owned>), BatchError> {
    let mut decompressor = Decompressor::new();
    let (mut headers, mut records) = (Vec::new(), Vec::new());
    for batch in Batches::new(bytes) {
        let batch = batch?;
        headers.push(batch.header);
        for record in batch.records(&mut decompressor)? {
            records.push(owned(&record?));
        }
    }
    Ok((headers, records))
}

fn encode(records: &[Encoded], compression: Compression) -> Vec<u8> {
    let mut bytes = Vec::new();
    RecordBatchEncoder::encode(&mut bytes, records, &RecordEncodeOptions { version: 2, compression }).unwrap();
    bytes
}

fn bytes_of(max: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..max))
}

prop_compose! {
    fn encoded()(
        transactional: bool,
        producer_id in -1_i64..5_000,
        producer_epoch in 0_i16..100,
        base_sequence in prop_oneof![0..1_000_i32, i32::MAX - 20..=i32::MAX],
        base_offset in 0_i64..1 << 40,
        leader_epoch in -1..10,
        records in proptest::collection::vec(
            (bytes_of(40), bytes_of(200), 0_i64..1 << 41, proptest::collection::vec(("[a-z]{0,9}", bytes_of(20)), 0..4)),
            1..30,
        ),
    ) -> Vec<Encoded> {
        let idempotent = producer_id >= 0;
        let mut encoded = Vec::new();
        for (index, (key, value, timestamp, headers)) in records.into_iter().enumerate() {
            let index = index as i32;
            encoded.push(Encoded {
                transactional: transactional && idempotent,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: leader_epoch,
                producer_id,
                producer_epoch: if idempotent { producer_epoch } else { -1 },
                timestamp_type: Type::Creation,
                offset: base_offset + i64::from(index),
                sequence: if idempotent { base_sequence.wrapping_add(index) } else { index - 1 },
                timestamp,
                key: key.map(Into::into),
                value: value.map(Into::into),
                headers: headers.into_iter().map(|(key, value)| (StrBytes::from_string(key), value.map(Into::into))).collect(),
            });
        }
        encoded
    }
}

fn expected(record: &Encoded) -> Owned {
    Owned {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.as_ref().map(|key| key.to_vec()),
        value: record.value.as_ref().map(|value| value.to_vec()),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.as_ref().map(|value| value.to_vec())))
            .collect(),
    }
}

proptest! {
    #[test]
    fn what_another_encoder_writes_is_read_as_it_was(records in encoded(), codec in 0..5_usize) {
        let bytes = encode(&records, COMPRESSIONS[codec]);
        let (headers, read) = read(&bytes).unwrap();
        prop_assert_eq!(headers.len(), 1);
        let (header, first) = (headers[0], &records[0]);
        prop_assert_eq!(header.base_offset, first.offset);
        prop_assert_eq!(header.next_offset(), first.offset + records.len() as i64);
        prop_assert_eq!(header.size(), bytes.len());
        prop_assert_eq!(header.partition_leader_epoch, first.partition_leader_epoch);
        prop_assert_eq!(header.codec(), Ok(Codec::ALL[codec]));
        prop_assert_eq!(header.is_transactional(), first.transactional);
        prop_assert!(!header.is_control());
        prop_assert_eq!(header.producer_id, first.producer_id);
        prop_assert_eq!(header.producer_epoch, first.producer_epoch);
        prop_assert_eq!(header.count as usize, records.len());
        prop_assert_eq!(header.max_timestamp, records.iter().map(|record| record.timestamp).max().unwrap());
        for (index, record) in records.iter().enumerate() {
            // The encoder's sequences do not wrap as a broker's do.
            let sequence = if first.producer_id < 0 { -1 } else { record.sequence & i32::MAX };
            prop_assert_eq!(header.sequence_at(index as i32), sequence);
        }
        prop_assert_eq!(read, records.iter().map(expected).collect::<Vec<_>>());
    }

    /// A flipped bit is seen by the checksum, except in the four fields that it does not cover.
    #[test]
    fn a_flipped_bit_is_told(records in encoded(), codec in 0..5_usize, place: prop::sample::Index, bit in 0..8_u32) {
        let sound = encode(&records, COMPRESSIONS[codec]);
        let offset = records[0].offset;
        let mut bytes = sound.clone();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let found = Batches::fetched_at(&bytes, offset).next();
        match place {
            // Base offset: seen where it goes back behind what was asked for, or below zero.
            0..8 => match found.unwrap() {
                Ok(batch) => prop_assert!(batch.header.next_offset() > offset && batch.header.base_offset != offset),
                Err(error) => {
                    let told = matches!(error, BatchError::Order { .. } | BatchError::Header { .. });
                    prop_assert!(told);
                }
            },
            // Length: too long is a cut-off batch, too short a wrong checksum.
            8..12 => match found {
                None => {
                    let mut batches = Batches::fetched_at(&bytes, offset);
                    prop_assert!(batches.next().is_none());
                    let incomplete = batches.incomplete().unwrap();
                    prop_assert_eq!(incomplete.here, bytes.len());
                    prop_assert!(incomplete.size.unwrap() > bytes.len());
                }
                Some(found) => {
                    let told = matches!(found.unwrap_err(), BatchError::Crc { .. } | BatchError::Length { .. });
                    prop_assert!(told);
                }
            },
            // Leader epoch.
            12..16 => prop_assert!(found.unwrap().unwrap().header.partition_leader_epoch != records[0].partition_leader_epoch),
            16 => {
                let told = matches!(found.unwrap().unwrap_err(), BatchError::OldFormat { .. } | BatchError::UnknownFormat { .. });
                prop_assert!(told);
            }
            _ => match found.unwrap().unwrap_err() {
                BatchError::Crc { offset: told, .. } => prop_assert_eq!(told, offset),
                other => prop_assert!(false, "{}", other),
            },
        }
    }

    /// Cut anywhere, it ends without an error after the last whole batch, and says what is missing.
    #[test]
    fn a_cut_is_no_error(first in encoded(), second in encoded(), cut: prop::sample::Index) {
        let whole = encode(&first, Compression::None);
        let mut bytes = whole.clone();
        let mut second = second;
        let shift = first[0].offset + first.len() as i64 - second[0].offset;
        for record in &mut second {
            record.offset += shift;
        }
        bytes.extend(encode(&second, Compression::None));
        let cut = cut.index(bytes.len());
        let mut batches = Batches::new(&bytes[..cut]);
        let count = batches.by_ref().map(Result::unwrap).count();
        let (begin, size) = if cut < whole.len() { (0, whole.len()) } else { (whole.len(), bytes.len() - whole.len()) };
        prop_assert_eq!(count, usize::from(begin > 0));
        prop_assert_eq!(batches.position(), begin);
        let here = cut - begin;
        let expected = (here > 0).then(|| Incomplete { here, size: (here >= 12).then_some(size) });
        prop_assert_eq!(batches.incomplete(), expected);
        prop_assert_eq!(batches.resume(), Resumed::Behind(batches.next_offset()..batches.next_offset()));
    }

    /// Whatever stands behind a sound header: an error with the batch's offset, or records within the batch's bounds.
    #[test]
    fn arbitrary_payloads(codec in 0..8_i16, count in 0..50_i32, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut header = header(count);
        header.attributes = codec;
        walk(&batch(&header, &bytes), 100)?;
    }

    /// The same with payloads that decompress to nonsense, and nearly to sense.
    #[test]
    fn arbitrary_records(codec in 0..5_usize, count in 1..5_i32, bytes in proptest::collection::vec(0..40_u8, 0..100)) {
        let mut header = header(count);
        header.attributes = codec as i16;
        walk(&batch(&header, &compress(&bytes, Codec::ALL[codec])), 100)?;
    }

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        walk(&bytes, i64::MIN)?;
    }

    /// Magic 2 in its place, so that more is looked at.
    #[test]
    fn arbitrary_headers(bytes in proptest::collection::vec(any::<u8>(), 61..300), length in 40..250_i32) {
        let mut bytes = bytes;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        walk(&bytes, i64::MIN)?;
        if let Some(batch) = bytes.get_mut(..12 + length as usize) {
            seal(batch);
        }
        walk(&bytes, i64::MIN)?;
    }
}

/// Reads all that can be read; errors must name an offset that is not below `offset_min`, records lie in their batch.
fn walk(bytes: &[u8], offset_min: i64) -> Result<(), TestCaseError> {
    let mut decompressor = Decompressor::with_limit(1 << 20);
    let mut batches = Batches::new(bytes);
    let mut steps = 0;
    loop {
        steps += 1;
        prop_assert!(steps <= bytes.len() + 1);
        match batches.next() {
            None => break,
            Some(Err(error)) => {
                prop_assert!(error.offset() >= offset_min);
                prop_assert!(error.to_string().contains(&error.offset().to_string()));
                prop_assert!(batches.incomplete().is_none());
                prop_assert!(batches.clone().next().is_none(), "an error ends it");
                match batches.resume() {
                    Resumed::Behind(range) => prop_assert!(range.start <= range.end),
                    Resumed::Cut { needed } => {
                        prop_assert!(needed > bytes.len());
                        break;
                    }
                    Resumed::Lost => break,
                }
            }
            Some(Ok(batch)) => match batch.records(&mut decompressor) {
                Err(error) => prop_assert_eq!(error.offset(), batch.header.base_offset),
                Ok(mut records) => {
                    let mut before = batch.header.base_offset - 1;
                    for record in records.by_ref() {
                        match record {
                            Err(error) => prop_assert_eq!(error.offset(), batch.header.base_offset),
                            Ok(record) => {
                                prop_assert!(record.offset > before && record.offset <= batch.header.last_offset());
                                before = record.offset;
                                prop_assert!(record.headers.iter().count() <= bytes.len().max(1 << 20));
                            }
                        }
                    }
                    prop_assert_eq!(records.remaining(), 0);
                    prop_assert!(records.next().is_none(), "an error ends it");
                }
            },
        }
    }
    Ok(())
}

fn compress(bytes: &[u8], codec: Codec) -> Vec<u8> {
    match codec {
        Codec::None => bytes.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Codec::Lz4 => lz4(bytes, lz4_flex::frame::BlockMode::Independent),
        Codec::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

fn lz4(bytes: &[u8], mode: lz4_flex::frame::BlockMode) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(mode)
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .content_checksum(true)
        .block_checksums(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// snappy-java's framing, in blocks of so many bytes.
fn xerial(bytes: &[u8], block: usize) -> Vec<u8> {
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for chunk in bytes.chunks(block) {
        let compressed = snap::raw::Encoder::new().compress_vec(chunk).unwrap();
        framed.extend((compressed.len() as i32).to_be_bytes());
        framed.extend(compressed);
    }
    framed
}

fn sent(count: i32) -> Vec<Sent> {
    (0..count)
        .map(|index| Sent {
            offset_delta: index,
            timestamp_delta: i64::from(index) * 10,
            key: (index % 3 != 0).then(|| format!("key {index}").into_bytes()),
            value: (index % 5 != 0).then(|| format!("value {index}").repeat(80).into_bytes()),
            headers: (0..index % 3).map(|n| (vec![b'a' + n as u8], (n > 0).then(|| vec![n as u8]))).collect(),
        })
        .collect()
}

fn as_read(header: &BatchHeader, records: &[Sent]) -> Vec<Owned> {
    let owned = |sent: &Sent| Owned {
        offset: header.base_offset + i64::from(sent.offset_delta),
        timestamp: header.base_timestamp + sent.timestamp_delta,
        key: sent.key.clone(),
        value: sent.value.clone(),
        headers: sent.headers.clone(),
    };
    records.iter().map(owned).collect()
}

/// What compressors write in more than one way.
#[test]
fn every_form_of_every_codec() {
    let records = sent(500);
    let plain = payload(&records);
    assert!(plain.len() > 3 * (64 << 10), "several blocks");
    let (front, back) = plain.split_at(plain.len() / 2);
    let twice = |codec| [compress(front, codec), compress(back, codec)].concat();
    for (id, form, bytes) in [
        (1, "gzip", compress(&plain, Codec::Gzip)),
        (1, "gzip, two members", twice(Codec::Gzip)),
        (2, "snappy, raw", compress(&plain, Codec::Snappy)),
        (2, "snappy-java, 32 KiB", xerial(&plain, 32 << 10)),
        (2, "snappy-java, two streams", [xerial(front, 1 << 10), xerial(back, 1 << 10)].concat()),
        (3, "lz4, independent", lz4(&plain, lz4_flex::frame::BlockMode::Independent)),
        (3, "lz4, linked", lz4(&plain, lz4_flex::frame::BlockMode::Linked)),
        (4, "zstd, size unknown", compress(&plain, Codec::Zstd)),
        (4, "zstd, size known", zstd::bulk::compress(&plain, 9).unwrap()),
        (4, "zstd, two frames", twice(Codec::Zstd)),
    ] {
        let mut header = header(500);
        header.attributes = id;
        let (_, read) = read(&batch(&header, &bytes)).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(read, as_read(&header, &records), "{form}");
    }
}

#[test]
fn compressed_bytes_that_are_cut_or_claim_too_much() {
    let plain = payload(&sent(100));
    let mut decompressor = Decompressor::with_limit(plain.len() - 1);
    for (id, codec) in Codec::ALL.into_iter().enumerate().skip(1) {
        let bytes = compress(&plain, codec);
        let error = decompressor.decompress(codec, &bytes, 7).unwrap_err();
        assert_eq!(error, BatchError::TooLarge { offset: 7, codec, limit: plain.len() - 1 });
        assert_eq!(
            error.to_string(),
            format!(
                "the batch at offset 7 has more than {} bytes when decompressed ({codec}), the most allowed",
                plain.len() - 1
            )
        );
        let mut header = header(100);
        header.attributes = id as i16;
        for cut in [bytes.len() / 2, bytes.len() - 1] {
            let bytes = batch(&header, &bytes[..cut]);
            let found = read(&bytes);
            // A cut LZ4 end mark (four zero bytes) takes nothing from the records.
            if !(codec == Codec::Lz4 && cut == bytes.len() - 1 - HEADER_BYTES) {
                assert_eq!(found.map(|_| ()).unwrap_err().offset(), 100, "{codec} cut at {cut}");
            }
        }
    }
    let mut decompressor = Decompressor::new();
    let mut claim = Vec::new();
    // Snappy's length is a plain varint: 1 GiB.
    claim.extend([0x80, 0x80, 0x80, 0x80, 0x04]);
    let error = decompressor.decompress(Codec::Snappy, &claim, 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the batch at offset 9 cannot be decompressed (snappy): 5 bytes cannot hold the 1073741824 that their header \
         claims"
    );
    let mut framed = xerial(&plain, 1 << 10);
    framed[16..20].copy_from_slice(&(-5_i32).to_be_bytes());
    let error = decompressor.decompress(Codec::Snappy, &framed, 9).unwrap_err();
    assert!(error.to_string().contains("a block of snappy-java's framing has the length -5"), "{error}");
}

#[test]
fn what_compaction_leaves() {
    // Records 1 and 4 of 6, in a batch that keeps its first and last offset.
    let records: Vec<_> = sent(6).into_iter().filter(|sent| matches!(sent.offset_delta, 1 | 4)).collect();
    let mut thin = header(2);
    thin.last_offset_delta = 5;
    (thin.producer_id, thin.producer_epoch, thin.base_sequence) = (7, 0, i32::MAX - 2);
    let mut bytes = batch(&thin, &payload(&records));
    // None of 3, kept for its producer's state; a compressed one keeps no codec's bytes either.
    let mut empty = BatchHeader { base_offset: 106, last_offset_delta: 2, count: 0, ..thin };
    empty.base_sequence = 3;
    bytes.extend(batch(&empty, &[]));
    bytes.extend(batch(&BatchHeader { base_offset: 120, attributes: 4, ..empty }, &[]));
    let (headers, read) = read(&bytes).unwrap();
    assert_eq!(read, as_read(&thin, &records));
    assert_eq!(headers.iter().map(BatchHeader::next_offset).collect::<Vec<_>>(), [106, 109, 123]);
    assert_eq!([headers[0].sequence_at(1), headers[0].sequence_at(4)], [i32::MAX - 1, 1]);
    assert_eq!([headers[1].base_sequence, headers[1].last_sequence()], [3, 5]);
}

#[test]
fn timestamps_and_flags() {
    let records = sent(3);
    let mut header = header(3);
    header.attributes = 1 << 3 | 1 << 4 | 1 << 6;
    header.producer_id = 5;
    let (headers, read) = read(&batch(&header, &payload(&records))).unwrap();
    assert_eq!(headers[0].timestamp_type(), TimestampType::LogAppendTime);
    assert!(headers[0].is_transactional());
    assert!(!headers[0].is_control());
    assert_eq!(headers[0].delete_horizon(), Some(header.base_timestamp));
    assert!(!headers[0].has_sequence(), "no base sequence");
    assert!(read.iter().all(|record| record.timestamp == header.max_timestamp));
}

#[test]
fn markers() {
    let marker = |kind: i16, value: &[u8]| {
        let mut header = header(1);
        header.attributes = 1 << 4 | 1 << 5;
        (header.producer_id, header.producer_epoch) = (9, 2);
        let key = [0_i16.to_be_bytes(), kind.to_be_bytes()].concat();
        let record = Sent { key: Some(key), value: Some(value.into()), ..Sent::default() };
        batch(&header, &payload(&[record]))
    };
    let read = |bytes: &[u8]| {
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        assert!(batch.header.is_control() && !batch.header.has_sequence());
        let mut decompressor = Decompressor::new();
        let record = batch.records(&mut decompressor).unwrap().next().unwrap().unwrap();
        Marker::of(&record)
    };
    assert_eq!(read(&marker(0, &[0, 0, 0, 0, 0, 7])), Ok(Marker::Abort { coordinator_epoch: 7 }));
    assert_eq!(read(&marker(1, &[0, 0, 0, 0, 0, 8])), Ok(Marker::Commit { coordinator_epoch: 8 }));
    // A later version has more behind.
    assert_eq!(read(&marker(1, &[0, 1, 0, 0, 0, 8, 1, 2])), Ok(Marker::Commit { coordinator_epoch: 8 }));
    assert_eq!(read(&marker(2, &[])), Ok(Marker::Other(2)));
    let cut = read(&marker(1, &[0, 0, 0])).unwrap_err();
    assert_eq!(cut, BatchError::Control { offset: 100, cause: Malformed::EndsEarly });
}

#[test]
fn records_that_are_not_what_they_say() {
    let refused = |header: &BatchHeader, payload: &[u8]| read(&batch(header, payload)).map(|_| ()).unwrap_err();
    let malformed = |index, cause| BatchError::Record { offset: 100, index, cause };
    let two = payload(&sent(2));
    assert_eq!(refused(&header(1), &two), BatchError::LeftOver { offset: 100, count: 1 });
    assert_eq!(refused(&header(3), &two), malformed(2, Malformed::EndsEarly));
    let error = refused(&header(2), &two[..two.len() - 1]);
    assert_eq!(error.to_string(), "record 1 of the batch at offset 100 is malformed: it ends within a field");
    let mut repeated = sent(2);
    repeated[1].offset_delta = 0;
    assert_eq!(refused(&header(2), &payload(&repeated)), malformed(1, Malformed::OffsetDelta));
    repeated[1].offset_delta = 2;
    assert_eq!(refused(&header(2), &payload(&repeated)), malformed(1, Malformed::OffsetDelta));
    // A record whose length has room behind its last field.
    let mut loose = two.clone();
    loose[0] += 2;
    assert_eq!(refused(&header(2), &loose), malformed(0, Malformed::LeftOver));
    // Attributes, deltas, no key, no value; then a number of headers.
    for (headers, cause) in [(1 << 30, Malformed::HeaderCount), (-1, Malformed::NegativeLength)] {
        let mut body = vec![0, 0, 0, 1, 1];
        varint(&mut body, headers);
        let mut bytes = Vec::new();
        varint(&mut bytes, body.len() as i64);
        bytes.extend(body);
        assert_eq!(refused(&header(1), &bytes), malformed(0, cause));
    }
    // One header told, and bytes behind it; its key without a length.
    for (tail, cause) in [(&[2, 2, b'k', 1, 0][..], Malformed::LeftOver), (&[2, 1, 1], Malformed::NegativeLength)] {
        let mut body = vec![0, 0, 0, 1, 1];
        body.extend(tail);
        let mut bytes = Vec::new();
        varint(&mut bytes, body.len() as i64);
        bytes.extend(body);
        let bytes = batch(&header(1), &bytes);
        let mut decompressor = Decompressor::new();
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let mut headers = batch.records(&mut decompressor).unwrap().next().unwrap().unwrap().headers.iter();
        assert_eq!(headers.next(), Some(Err(cause)));
        assert_eq!(headers.next(), None);
    }
}

#[test]
fn headers_that_are_not_what_they_say() {
    let told = |change: fn(&mut BatchHeader)| {
        let mut header = header(3);
        change(&mut header);
        read(&batch(&header, &payload(&sent(3)))).map(|_| ()).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            told(|header| header.count = 4),
            told(|header| header.count = -1),
            told(|header| header.last_offset_delta = -1),
            told(|header| header.base_offset = -1),
            told(|header| header.base_offset = i64::MAX - 2),
            told(|header| header.attributes = 5),
        ]
        .join("\n"),
        @r"
    the batch at offset 100 has a header that cannot be: it has more records than offsets
    the batch at offset 100 has a header that cannot be: its number of records is negative
    the batch at offset 100 has a header that cannot be: its last offset lies before its first
    the batch at offset -1 has a header that cannot be: its base offset is negative
    the batch at offset 9223372036854775805 has a header that cannot be: its last offset is above the highest that there is
    the batch at offset 100 is compressed by codec 5, which this ackmark does not know
    "
    );
}

#[test]
fn other_formats() {
    let told = |magic: u8, length: i32| {
        let mut bytes = batch(&header(1), &payload(&sent(1)));
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = magic;
        read(&bytes).map(|_| ()).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [told(0, 40), told(1, 40), told(1, 0), told(2, 48), told(3, 49), told(255, 49)].join("\n"),
        @r"
    the message at offset 100 has message format v0, which no Kafka since 4.0 writes and the log reader does not read: read this topic with the librdkafka consumer
    the message at offset 100 has message format v1, which no Kafka since 4.0 writes and the log reader does not read: read this topic with the librdkafka consumer
    the batch at offset 100 has a length of 0 bytes, below that of a header: the log is damaged
    the batch at offset 100 has a length of 48 bytes, below that of a header: the log is damaged
    the batch at offset 100 has message format v3: the log is damaged there, or written by a Kafka that is newer than this ackmark
    the batch at offset 100 has message format v-1: the log is damaged there, or written by a Kafka that is newer than this ackmark
    "
    );
    let nothing = [0; 64];
    assert_eq!(read(&nothing).unwrap_err(), BatchError::Length { offset: 0, length: 0 }, "a hole in a file");
}

/// Five batches of three records each.
fn five() -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut begins) = (Vec::new(), Vec::new());
    for index in 0..5 {
        begins.push(bytes.len());
        let mut header = header(3);
        header.base_offset += index * 3;
        bytes.extend(batch(&header, &payload(&sent(3))));
    }
    (bytes, begins)
}

#[test]
fn a_damaged_batch_is_stepped_over_where_the_next_proves_its_length() {
    let (mut bytes, begins) = five();
    // Two in a row.
    bytes[begins[1] + 70] ^= 1;
    bytes[begins[2] + 30] ^= 1;
    let mut batches = Batches::fetched_at(&bytes, 101);
    assert_eq!(batches.next().unwrap().unwrap().header.base_offset, 100);
    let error = batches.next().unwrap().unwrap_err();
    assert!(matches!(error, BatchError::Crc { offset: 103, .. }), "{error}");
    assert!(batches.next().is_none());
    assert_eq!(batches.resume(), Resumed::Behind(103..109));
    let rest: Vec<_> = batches.map(|batch| batch.unwrap().header.base_offset).collect();
    assert_eq!(rest, [109, 112]);
}

#[test]
fn a_damaged_batch_at_the_end_needs_more_bytes() {
    let (mut bytes, begins) = five();
    bytes[begins[4] + 70] ^= 1;
    for end in [bytes.len(), bytes.len() - 1] {
        let mut batches = Batches::fetched_at(&bytes[..end], 100);
        let last = batches.by_ref().last().unwrap();
        if end < bytes.len() {
            assert_eq!(last.unwrap().header.base_offset, 109);
            let incomplete = Incomplete { here: end - begins[4], size: Some(bytes.len() - begins[4]) };
            assert_eq!(batches.incomplete(), Some(incomplete));
        } else {
            last.unwrap_err();
            assert_eq!(batches.incomplete(), None);
            assert_eq!(batches.resume(), Resumed::Cut { needed: end + HEADER_BYTES });
        }
    }
    // The next one is there in part: its header tells how much is missing.
    bytes[begins[3] + 70] ^= 1;
    let mut batches = Batches::fetched_at(&bytes[begins[3]..bytes.len() - 1], 109);
    batches.next().unwrap().unwrap_err();
    assert_eq!(batches.resume(), Resumed::Cut { needed: bytes.len() - begins[3] });
}

#[test]
fn a_damaged_length_leads_nowhere() {
    let (mut bytes, begins) = five();
    let length = begins[1] - 12;
    for wrong in [length - 1, 49, 0, length + 3] {
        bytes[begins[1] + 8..begins[1] + 12].copy_from_slice(&(wrong as i32).to_be_bytes());
        let mut batches = Batches::fetched_at(&bytes, 100);
        batches.next().unwrap().unwrap();
        batches.next().unwrap().unwrap_err();
        assert_eq!(batches.resume(), Resumed::Lost, "{wrong}");
        assert!(batches.next().is_none());
    }
    // Longer than all that is here: nobody can tell it from a cut.
    bytes[begins[1] + 8] = 0x40;
    let mut batches = Batches::fetched_at(&bytes, 100);
    batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    assert!(batches.incomplete().unwrap().size.unwrap() > 1 << 30);
    // Unless what lies in between is stepped over to it.
    bytes[begins[0] + 70] ^= 1;
    let mut batches = Batches::fetched_at(&bytes, 100);
    batches.next().unwrap().unwrap_err();
    assert!(matches!(batches.resume(), Resumed::Cut { needed } if needed > 1 << 30));
}

#[test]
fn offsets_must_rise() {
    let (bytes, begins) = five();
    let twice = [&bytes[..begins[2]], &bytes[begins[1]..begins[2]], &bytes[begins[2]..]].concat();
    let mut batches = Batches::fetched_at(&twice, 100);
    assert_eq!(batches.by_ref().take(2).map(|batch| batch.unwrap().header.next_offset()).last(), Some(106));
    assert_eq!(batches.next().unwrap().unwrap_err(), BatchError::Order { offset: 103, expected: 106 });
    assert_eq!(batches.resume(), Resumed::Behind(106..106));
    assert_eq!(batches.map(|batch| batch.unwrap().header.base_offset).collect::<Vec<_>>(), [106, 109, 112]);
    // What was asked for lies behind the first batch.
    let error = Batches::fetched_at(&bytes, 103).next().unwrap().unwrap_err();
    assert_eq!(error, BatchError::Order { offset: 100, expected: 103 });
    assert!(Batches::fetched_at(&bytes, 102).next().unwrap().is_ok());
    // A gap is no error: compaction, or markers that a reader does not ask for.
    let gap = [&bytes[..begins[1]], &bytes[begins[2]..]].concat();
    assert_eq!(Batches::fetched_at(&gap, 100).map(|batch| batch.unwrap().header.base_offset).last(), Some(112));
}

#[test]
fn a_base_offset_that_is_damaged_upwards_is_told_by_what_follows() {
    // None of these bits is set in 103.
    for bit in [62, 40, 20, 4] {
        let (mut bytes, begins) = five();
        let wrong = 103 + (1 << bit);
        bytes[begins[1]..begins[1] + 8].copy_from_slice(&i64::to_be_bytes(wrong));
        // Also as the first of the bytes.
        for (from, expected) in [(0, 100), (1, 103)] {
            let mut batches = Batches::fetched_at(&bytes[begins[from]..], expected);
            let error = batches.by_ref().find_map(Result::err).unwrap();
            assert_eq!(error, BatchError::Order { offset: wrong, expected: 103 }, "{bit}");
            assert_eq!(batches.resume(), Resumed::Behind(103..106));
            assert_eq!(batches.map(|batch| batch.unwrap().header.base_offset).collect::<Vec<_>>(), [106, 109, 112]);
        }
    }
}

#[test]
fn without_checksums_the_bytes_are_taken_as_they_are() {
    let (mut bytes, _) = five();
    bytes[70] ^= 1;
    let mut batches = Batches::new(&bytes).without_crc();
    let batch = batches.next().unwrap().unwrap();
    assert!(matches!(batch.check_crc(), Err(BatchError::Crc { offset: 100, .. })));
    assert_eq!(batch.bytes().len(), batch.payload().len() + HEADER_BYTES);
    assert!(batches.next().unwrap().unwrap().check_crc().is_ok());
}
