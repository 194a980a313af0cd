//! What reading costs per record: walking batches, with and without their checksum, touching each record's fields.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use ackmark_wire::{
    batch::Batches,
    codec::{Codec, Decompressor},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Sent, batch, header, payload};

/// As our producers fill batches: 1 MB or 10,000 messages.
const BATCH_BYTES: usize = 1_000_000;
const BATCH_RECORDS_MAX: usize = 10_000;
/// What one Fetch brings of all partitions.
const FETCH_BYTES: usize = 16 << 20;

/// A Fetch's worth of batches of values that do not compress well, and how many records they hold.
fn fetched(value_bytes: usize, codec: Codec) -> (Vec<u8>, u64) {
    let count = (BATCH_BYTES / value_bytes).min(BATCH_RECORDS_MAX);
    let mut random = 1_u64;
    let mut value = || {
        let mut value = Vec::with_capacity(value_bytes + 8);
        while value.len() < value_bytes {
            // Marsaglia's xorshift64 (https://doi.org/10.18637/jss.v008.i14).
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Half of the bits: so that compressors find something.
            value.extend((random & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes());
        }
        value.truncate(value_bytes);
        value
    };
    let records: Vec<_> = (0..count)
        .map(|index| Sent {
            offset_delta: index as i32,
            timestamp_delta: index as i64 / 1_000,
            value: Some(value()),
            ..Sent::default()
        })
        .collect();
    let payload = compressed(&payload(&records), codec);
    let mut header = header(count as i32);
    header.attributes = Codec::ALL.iter().position(|&known| known == codec).expect("it is one of all") as i16;
    let (mut bytes, mut batches) = (Vec::new(), 0);
    while bytes.len() < FETCH_BYTES {
        header.base_offset = batches as i64 * count as i64;
        bytes.extend(batch(&header, &payload));
        batches += 1;
    }
    (bytes, batches * count as u64)
}

fn compressed(records: &[u8], codec: Codec) -> Vec<u8> {
    use std::io::Write;
    match codec {
        Codec::None => records.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(records).expect("memory");
            encoder.finish().expect("memory")
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(records).expect("below 4 GiB"),
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(records).expect("memory");
            encoder.finish().expect("memory")
        }
        Codec::Zstd => zstd::bulk::compress(records, 3).expect("memory"),
    }
}

/// What the verifier looks at in each record, as little as keeps the compiler from skipping it.
fn read(batches: Batches<'_>, decompressor: &mut Decompressor) -> (u64, i64) {
    let (mut count, mut sum) = (0, 0);
    for batch in batches {
        for record in batch.expect("sound").records(decompressor).expect("sound") {
            let record = record.expect("sound");
            let first = record.value.and_then(|value| value.first()).copied().unwrap_or_default();
            sum ^= record.offset ^ record.timestamp ^ i64::from(first);
            count += 1;
        }
    }
    (count, sum)
}

fn iterating(criterion: &mut Criterion) {
    let mut decompressor = Decompressor::new();
    for (name, value_bytes) in [("100 B", 100), ("1 KiB", 1 << 10)] {
        let (bytes, records) = fetched(value_bytes, Codec::None);
        let mut group = criterion.benchmark_group(format!("batches, {name}"));
        group.throughput(Throughput::Elements(records)).sample_size(20);
        group.bench_function("records, no checksum", |bencher| {
            bencher.iter(|| {
                let (count, sum) = read(Batches::new(black_box(&bytes)).without_crc(), &mut decompressor);
                assert_eq!(count, records);
                sum
            });
        });
        group.bench_function("checksum alone", |bencher| {
            bencher
                .iter(|| Batches::new(black_box(&bytes)).map(|batch| batch.expect("sound").header.base_offset).max());
        });
        group.bench_function("records and checksum", |bencher| {
            bencher.iter(|| read(Batches::new(black_box(&bytes)), &mut decompressor));
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("batches, 100 B, compressed");
    for codec in &Codec::ALL[1..] {
        let (bytes, records) = fetched(100, *codec);
        group.throughput(Throughput::Elements(records)).sample_size(10);
        group.bench_function(codec.name(), |bencher| {
            bencher.iter(|| read(Batches::new(black_box(&bytes)), &mut decompressor));
        });
    }
    group.finish();
}

criterion_group!(benches, iterating);
criterion_main!(benches);
