//! Batches that tests write themselves: any header over any payload, with a right length and checksum.

#![allow(dead_code, reason = "each test uses a part")]

use ackmark_wire::batch::{BatchHeader, HEADER_BYTES};

/// A record to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Offset less base offset.
    pub(crate) offset_delta: i32,
    /// Timestamp less base timestamp.
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A header without producer id, timestamps of 2026-11-28, offsets from 100 on.
pub(crate) fn header(count: i32) -> BatchHeader {
    BatchHeader {
        base_offset: 100,
        length: 0,
        partition_leader_epoch: 3,
        crc: 0,
        attributes: 0,
        last_offset_delta: (count - 1).max(0),
        base_timestamp: 1_795_900_000_000,
        max_timestamp: 1_795_900_000_500,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        count,
    }
}

/// The bytes of a batch; length and checksum are computed.
pub(crate) fn batch(header: &BatchHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend(header.base_offset.to_be_bytes());
    bytes.extend(((HEADER_BYTES - 12 + payload.len()) as i32).to_be_bytes());
    bytes.extend(header.partition_leader_epoch.to_be_bytes());
    bytes.push(2);
    bytes.extend([0; 4]);
    bytes.extend(header.attributes.to_be_bytes());
    bytes.extend(header.last_offset_delta.to_be_bytes());
    bytes.extend(header.base_timestamp.to_be_bytes());
    bytes.extend(header.max_timestamp.to_be_bytes());
    bytes.extend(header.producer_id.to_be_bytes());
    bytes.extend(header.producer_epoch.to_be_bytes());
    bytes.extend(header.base_sequence.to_be_bytes());
    bytes.extend(header.count.to_be_bytes());
    bytes.extend(payload);
    seal(&mut bytes);
    bytes
}

/// Makes the checksum of a batch right again.
pub(crate) fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Records as they lie in an uncompressed batch.
pub(crate) fn payload(records: &[Sent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let mut body = vec![0];
        varint(&mut body, record.timestamp_delta);
        varint(&mut body, i64::from(record.offset_delta));
        nullable(&mut body, record.key.as_deref());
        nullable(&mut body, record.value.as_deref());
        varint(&mut body, record.headers.len() as i64);
        for (key, value) in &record.headers {
            nullable(&mut body, Some(key));
            nullable(&mut body, value.as_deref());
        }
        varint(&mut bytes, body.len() as i64);
        bytes.extend(body);
    }
    bytes
}

fn nullable(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    varint(bytes, field.map_or(-1, |field| field.len() as i64));
    bytes.extend(field.unwrap_or_default());
}

/// A zigzag number of variable length.
pub(crate) fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut raw = (value << 1 ^ value >> 63) as u64;
    while raw >= 0x80 {
        bytes.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    bytes.push(raw as u8);
}
