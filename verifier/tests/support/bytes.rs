//! Record batches as they lie in a log (message format v2), written with the producer id, epoch and sequence that a test
//! wants. <https://kafka.apache.org/documentation/#recordbatch>

use ackmark_verifier::observation::Batch;

/// The bytes of an uncompressed batch at `base_offset`, a record per value.
pub(crate) fn batch(facts: &Batch, base_offset: i64, values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let records: Vec<u8> = (0..).zip(values).flat_map(|(delta, value)| record(delta, value.as_deref())).collect();
    let count = values.len() as i32;
    let mut checked = Vec::new();
    checked.extend((i16::from(facts.transactional) << 4).to_be_bytes());
    checked.extend((count - 1).to_be_bytes());
    checked.extend(0i64.to_be_bytes());
    checked.extend(0i64.to_be_bytes());
    checked.extend(facts.producer_id.to_be_bytes());
    checked.extend(facts.producer_epoch.to_be_bytes());
    checked.extend(facts.base_sequence.to_be_bytes());
    checked.extend(count.to_be_bytes());
    checked.extend(records);
    let mut bytes = base_offset.to_be_bytes().to_vec();
    // Leader epoch, magic and checksum are counted too.
    bytes.extend((4 + 1 + 4 + checked.len() as i32).to_be_bytes());
    bytes.extend(facts.leader_epoch.to_be_bytes());
    bytes.push(2);
    bytes.extend(ackmark_schema::record::body_checksum(&checked).to_be_bytes());
    bytes.extend(checked);
    bytes
}

fn record(offset_delta: i64, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![0];
    varint(&mut body, 0);
    varint(&mut body, offset_delta);
    varint(&mut body, -1);
    varint(&mut body, value.map_or(-1, |value| value.len() as i64));
    body.extend(value.unwrap_or_default());
    varint(&mut body, 0);
    let mut bytes = Vec::new();
    varint(&mut bytes, body.len() as i64);
    bytes.extend(body);
    bytes
}

/// Zigzag, seven bits per byte, the lowest first.
fn varint(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
