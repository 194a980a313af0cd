//! How random a body must be for a batch to compress to a stated ratio.
//!
//! Model: one full batch of up to 1,000,000 bytes as librdkafka sends it (record framing, headers that count
//! up, bodies), compressed by zstd at its default level, 3. The share of random bytes is bisected until the
//! measured ratio is within half a per cent; what header and framing make impossible is refused with what
//! can be had.
//!
//! Limit: the ratio is zstd's. Other codecs find the same repetitions but code them differently.

use ackmark_schema::{
    record::{Header, body_checksum},
    scenario::Message,
};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::{
    payload::{Mixer, PayloadError, PoolPlan},
    size,
};

const BATCH_BYTES: usize = 1_000_000;
const LEVEL: i32 = 3;
const STEPS_MAX: u32 = 24;
/// A measured ratio this near to the one asked for is good.
const NEAR: f64 = 0.005;
/// A ratio at the edge of what is possible may be off by this much.
const EDGE: f64 = 0.02;

/// The share of random bytes, 0 to 1, with which a batch compresses `ratio` times.
pub(crate) fn random_share(message: &Message, plan: &PoolPlan, ratio: f64) -> Result<f64, PayloadError> {
    let measured = |share| ratio_of(&sample(message, plan, share));
    let (highest, lowest) = (measured(0.0), measured(1.0));
    if ratio > highest * (1.0 + EDGE) || ratio < lowest * (1.0 - EDGE) {
        return Err(PayloadError::Ratio { asked: ratio, lowest, highest });
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS_MAX {
        let share = f64::midpoint(low, high);
        let found = measured(share);
        if (found / ratio - 1.0).abs() < NEAR {
            return Ok(share);
        }
        if found > ratio { low = share } else { high = share }
    }
    Ok(f64::midpoint(low, high))
}

fn ratio_of(batch: &[u8]) -> f64 {
    let packed = zstd::bulk::compress(batch, LEVEL).expect("memory for a batch");
    batch.len() as f64 / packed.len() as f64
}

/// A batch with that share of random bytes.
fn sample(message: &Message, plan: &PoolPlan, share: f64) -> Vec<u8> {
    let mut random = Pcg64Mcg::seed_from_u64(plan.seed);
    let mut mixer = Mixer::new(share, Pcg64Mcg::seed_from_u64(plan.seed + 1));
    let mut batch = Batch::new(*plan, 0);
    loop {
        let mut value = vec![0; size::draw(&message.size, &mut random)];
        let body = &mut value[plan.header_len()..];
        mixer.fill(body);
        let checksum = body_checksum(body);
        if !batch.add(&mut value, checksum) {
            return batch.bytes;
        }
    }
}

/// A batch as librdkafka would compress it: `rdkafka_msgset_writer.c`, message format 2.
struct Batch {
    bytes: Vec<u8>,
    plan: PoolPlan,
    first: u64,
    records: u64,
}

impl Batch {
    fn new(plan: PoolPlan, first: u64) -> Self {
        Self { bytes: Vec::with_capacity(BATCH_BYTES), plan, first, records: 0 }
    }

    /// Adds a record; false when it would not fit any more.
    fn add(&mut self, value: &mut [u8], checksum: u32) -> bool {
        let intended_ns = 1_800_000_000_000_000_000 + (self.first + self.records) * self.plan.spacing_ns;
        if self.plan.verified {
            let header = Header {
                run: 0x5bd1_e995,
                stream: 3,
                sequence: self.first + self.records,
                attempt: 0,
                incarnation: 0,
                transaction: 0,
                intended_ns,
                // An open loop is a little late, each message by another while.
                send_delay_us: if self.plan.spacing_ns == 0 { 0 } else { checksum % 60 },
                sentinel: false,
                warm_up: false,
                source: None,
            };
            header.encode(value, checksum);
        }
        let mut record = vec![0];
        varint(&mut record, 0);
        varint(&mut record, self.records);
        // No key: length -1.
        record.push(1);
        varint(&mut record, value.len() as u64);
        let bytes = record.len() + value.len() + 1;
        if self.records > 0 && self.bytes.len() + bytes + 5 > BATCH_BYTES {
            return false;
        }
        varint(&mut self.bytes, bytes as u64);
        self.bytes.extend_from_slice(&record);
        self.bytes.extend_from_slice(value);
        self.bytes.push(0);
        self.records += 1;
        true
    }
}

/// Appends a zigzag varint.
fn varint(to: &mut Vec<u8>, value: u64) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// A full batch of one stream from a pool, for tests.
#[cfg(test)]
pub(crate) fn batch_of(pool: &mut crate::payload::Pool, plan: &PoolPlan, first: u64) -> Vec<u8> {
    let mut batch = Batch::new(*plan, first);
    loop {
        let index = pool.layout().index(0, first + batch.records);
        let (value, checksum) = pool.values_mut(index, 1).next().expect("one value");
        if !batch.add(value, checksum) {
            return batch.bytes;
        }
    }
}
