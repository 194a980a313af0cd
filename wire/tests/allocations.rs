//! Reading allocates nothing per record, nothing per batch once its buffers have grown, and never what a header
//! merely claims.
#![allow(clippy::unwrap_used)]

use ackmark_wire::{
    batch::Batches,
    codec::{Codec, Decompressor},
};

mod support;

use support::{Sent, batch, header, payload};

/// Calls and bytes that Rust's allocator saw of this thread while `work` ran.
fn counted(work: impl FnOnce()) -> (u64, u64) {
    let made = allocation_counter::measure(work);
    (made.count_total, made.bytes_total)
}

fn read(bytes: &[u8], decompressor: &mut Decompressor) -> usize {
    let mut count = 0;
    for batch in Batches::new(bytes) {
        for record in batch.unwrap().records(decompressor).unwrap() {
            count += 1 + record.unwrap().headers.iter().map(Result::unwrap).count();
        }
    }
    count
}

fn records(count: i32) -> Vec<u8> {
    let sent = |offset_delta| Sent {
        offset_delta,
        value: Some(vec![offset_delta as u8; 100]),
        headers: vec![(b"k".to_vec(), None)],
        ..Sent::default()
    };
    payload(&(0..count).map(sent).collect::<Vec<_>>())
}

#[test]
fn no_allocation_per_record() {
    let mut bytes = Vec::new();
    for index in 0..20 {
        let mut header = header(1_000);
        header.base_offset = index * 1_000;
        bytes.extend(batch(&header, &records(1_000)));
    }
    let mut decompressor = Decompressor::new();
    assert_eq!(counted(|| assert_eq!(read(&bytes, &mut decompressor), 40_000)), (0, 0));
}

#[test]
fn compressed_batches_use_their_buffers_again() {
    let plain = records(1_000);
    let zstd = zstd::bulk::compress(&plain, 3).unwrap();
    let snappy = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    for (codec, bytes) in [(Codec::Zstd, zstd), (Codec::Snappy, snappy)] {
        let mut header = header(1_000);
        header.attributes = Codec::ALL.iter().position(|&known| known == codec).unwrap() as i16;
        let bytes = batch(&header, &bytes);
        let mut decompressor = Decompressor::new();
        read(&bytes, &mut decompressor);
        let again = counted(|| assert_eq!(read(&bytes, &mut decompressor), 2_000));
        assert_eq!(again, (0, 0), "{codec}");
    }
}

/// Small inputs that claim gigabytes.
#[test]
fn claims_are_not_believed() {
    let refused = |codec, bytes: &[u8], most: usize| {
        let mut decompressor = Decompressor::new();
        let (_, allocated) = counted(|| assert!(decompressor.decompress(codec, bytes, 0).is_err()));
        assert!(allocated <= most as u64, "{codec} allocated {allocated} bytes for {}", bytes.len());
    };
    // A varint of 2^32 - 1, and a little.
    refused(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], 1 << 10);
    // Magic, a frame descriptor with an eight-byte content size of 2^40, then nothing.
    let mut zstd = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    zstd.extend([0b1110_0000]);
    zstd.extend((1_u64 << 40).to_le_bytes());
    refused(Codec::Zstd, &zstd, 1 << 18);
    // A block of 4 MiB is the largest that a frame may announce; the decoder reserves two and a window.
    let mut lz4 = 0x184d_2204_u32.to_le_bytes().to_vec();
    lz4.extend([0b0100_0000, 0x70, 0xdf, 0xff, 0xff, 0x3f, 0]);
    refused(Codec::Lz4, &lz4, 16 << 20);
    // Records of which a header says that there are 2^31.
    let mut header = header(1);
    (header.count, header.last_offset_delta) = (i32::MAX, i32::MAX);
    let bytes = batch(&header, &records(3));
    let mut decompressor = Decompressor::new();
    let claimed = counted(|| {
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let found: usize = batch.records(&mut decompressor).unwrap().map(|record| usize::from(record.is_ok())).sum();
        assert_eq!(found, 3);
    });
    assert_eq!(claimed, (0, 0));
}
