//! Log bytes that other clients had a real Kafka write (`golden/make.py`), read and compared with what Kafka's own
//! `DumpLogSegments` and the clients say of them; and the same bytes damaged.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use ackmark_wire::{
    batch::{Batch, Batches, Resumed, TimestampType},
    codec::{Codec, Decompressor},
    record::Marker,
};
use proptest::prelude::*;
use serde::Deserialize;

mod support;

use support::seal;

#[derive(Debug, Deserialize)]
struct Expected {
    client: String,
    broker: String,
    batches: Vec<ExpectedBatch>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedBatch {
    base_offset: i64,
    last_offset: i64,
    count: i32,
    base_sequence: i32,
    last_sequence: i32,
    producer_id: i64,
    producer_epoch: i16,
    partition_leader_epoch: i32,
    position: usize,
    size: usize,
    crc: u32,
    timestamp_type: String,
    max_timestamp: i64,
    transactional: bool,
    control: bool,
    delete_horizon: Option<i64>,
    codec: String,
    records: Vec<ExpectedRecord>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum ExpectedRecord {
    Marker {
        offset: i64,
        timestamp: i64,
        sequence: i32,
        marker: String,
        coordinator_epoch: i32,
    },
    Data {
        offset: i64,
        timestamp: i64,
        sequence: i32,
        key: Option<String>,
        value: Option<String>,
        times: usize,
        headers: Vec<(String, Option<String>)>,
    },
}

/// Strings hold bytes: a code point below 256 for each.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|point| u8::try_from(u32::from(point)).unwrap()).collect()
}

struct Golden {
    name: String,
    bytes: Vec<u8>,
    expected: Expected,
}

static GOLDEN: LazyLock<Vec<Golden>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let golden = |log: PathBuf| Golden {
        name: log.file_stem().unwrap().to_string_lossy().into_owned(),
        bytes: fs::read(&log).unwrap(),
        expected: serde_json::from_str(&fs::read_to_string(log.with_extension("json")).unwrap()).unwrap(),
    };
    logs.into_iter().map(golden).collect()
});

fn assert_batch(batch: &Batch<'_>, expected: &ExpectedBatch) {
    let header = &batch.header;
    assert_eq!(header.base_offset, expected.base_offset);
    assert_eq!(header.last_offset(), expected.last_offset);
    assert_eq!(header.next_offset(), expected.last_offset + 1);
    assert_eq!(header.count, expected.count);
    assert_eq!(header.base_sequence, expected.base_sequence);
    assert_eq!(header.last_sequence(), expected.last_sequence);
    assert_eq!(header.producer_id, expected.producer_id);
    assert_eq!(header.producer_epoch, expected.producer_epoch);
    assert_eq!(header.partition_leader_epoch, expected.partition_leader_epoch);
    assert_eq!(batch.position, expected.position);
    assert_eq!((header.size(), batch.bytes().len()), (expected.size, expected.size));
    assert_eq!(header.crc, expected.crc);
    assert_eq!(format!("{:?}", header.timestamp_type()), expected.timestamp_type);
    assert_eq!(header.max_timestamp, expected.max_timestamp);
    assert_eq!(header.is_transactional(), expected.transactional);
    assert_eq!(header.is_control(), expected.control);
    assert_eq!(header.delete_horizon(), expected.delete_horizon);
    assert_eq!(header.codec().unwrap().name(), expected.codec);
}

fn assert_records(batch: &Batch<'_>, expected: &ExpectedBatch, decompressor: &mut Decompressor) {
    let mut records = batch.records(decompressor).unwrap();
    assert_eq!(records.remaining(), expected.records.len());
    for expected in &expected.records {
        let record = records.next().unwrap().unwrap();
        let sequence_found = batch.header.sequence_at((record.offset - batch.header.base_offset) as i32);
        match expected {
            ExpectedRecord::Marker { offset, timestamp, sequence, marker, coordinator_epoch } => {
                assert!(batch.header.is_control());
                assert_eq!((record.offset, record.timestamp, sequence_found), (*offset, *timestamp, *sequence));
                let coordinator_epoch = *coordinator_epoch;
                let expected = match marker.as_str() {
                    "COMMIT" => Marker::Commit { coordinator_epoch },
                    "ABORT" => Marker::Abort { coordinator_epoch },
                    other => panic!("{other}"),
                };
                assert_eq!(Marker::of(&record), Ok(expected));
            }
            ExpectedRecord::Data { offset, timestamp, sequence, key, value, times, headers } => {
                assert!(!batch.header.is_control());
                assert_eq!((record.offset, record.timestamp, sequence_found), (*offset, *timestamp, *sequence));
                assert_eq!(record.key.map(<[u8]>::to_vec), key.as_deref().map(latin1), "key at {offset}");
                let value = value.as_deref().map(|value| latin1(value).repeat(*times));
                assert!(record.value.map(<[u8]>::to_vec) == value, "value at {offset}");
                let found = record.headers.iter().map(Result::unwrap);
                let found: Vec<_> =
                    found.map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec))).collect();
                let headers = headers.iter().map(|(key, value)| (latin1(key), value.as_deref().map(latin1)));
                assert_eq!(found, headers.collect::<Vec<_>>(), "headers at {offset}");
            }
        }
    }
    assert!(records.next().is_none());
}

#[test]
fn every_field_is_what_kafka_and_the_clients_say() {
    let mut decompressor = Decompressor::new();
    for golden in GOLDEN.iter() {
        eprintln!("{}: {} to {}", golden.name, golden.expected.client, golden.expected.broker);
        let mut batches = Batches::fetched_at(&golden.bytes, 0);
        for expected in &golden.expected.batches {
            let batch = batches.next().unwrap().unwrap();
            assert_batch(&batch, expected);
            assert_records(&batch, expected, &mut decompressor);
        }
        assert!(batches.next().is_none());
        assert_eq!(batches.incomplete(), None);
        assert_eq!(batches.position(), golden.bytes.len());
    }
}

/// What the files are there for is in them.
#[test]
fn the_files_hold_what_they_are_there_for() {
    let names: BTreeSet<_> = GOLDEN.iter().map(|golden| golden.name.as_str()).collect();
    for client in ["java", "go", "python"] {
        for codec in Codec::ALL {
            let name = format!("{client}-{codec}");
            assert!(names.contains(name.as_str()), "{name}");
            let golden = GOLDEN.iter().find(|golden| golden.name == name).unwrap();
            assert!(golden.expected.batches.iter().any(|batch| batch.codec == codec.name()), "{name}");
            let records = golden.expected.batches.iter().flat_map(|batch| &batch.records);
            let forms: BTreeSet<_> = records
                .map(|record| match record {
                    ExpectedRecord::Data { key, value, headers, .. } => {
                        (key.is_none(), value.is_none(), headers.iter().any(|(_, value)| value.is_none()))
                    }
                    ExpectedRecord::Marker { .. } => panic!("{name} has no transaction"),
                })
                .collect();
            let all = [(false, false, false), (true, false, false), (false, true, false), (true, true, false)];
            assert!(all.iter().chain([&(false, false, true)]).all(|form| forms.contains(form)), "{name}: {forms:?}");
        }
        let name = format!("{client}-transactions");
        let golden = GOLDEN.iter().find(|golden| golden.name == name).unwrap();
        let markers = golden.expected.batches.iter().flat_map(|batch| &batch.records);
        let markers: Vec<_> = markers
            .filter_map(|record| match record {
                ExpectedRecord::Marker { marker, .. } => Some(marker.as_str()),
                ExpectedRecord::Data { .. } => None,
            })
            .collect();
        assert_eq!(markers, ["COMMIT", "ABORT", "COMMIT"], "{name}");
    }
    let compacted = GOLDEN.iter().find(|golden| golden.name == "java-compacted").unwrap();
    let batches = &compacted.expected.batches;
    assert!(batches.iter().any(|batch| batch.count == 0), "an emptied batch");
    assert!(batches.iter().any(|batch| batch.delete_horizon.is_some()), "a delete horizon");
    assert!(
        batches.iter().any(|batch| batch.count > 0 && i64::from(batch.count) <= batch.last_offset - batch.base_offset)
    );
    let append_time = GOLDEN.iter().find(|golden| golden.name == "java-append-time-gzip").unwrap();
    let header = Batches::new(&append_time.bytes).next().unwrap().unwrap().header;
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u32),
    Overwrite(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Cut(prop::sample::Index),
    Splice(usize, prop::sample::Index, prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = proptest::collection::vec(prop_oneof![Just(0), Just(0x7f), Just(0xff), any::<u8>()], 1..12);
    prop_oneof![
        (any::<prop::sample::Index>(), 0..8_u32).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        (any::<prop::sample::Index>(), bytes).prop_map(|(place, bytes)| Damage::Overwrite(place, bytes)),
        (any::<prop::sample::Index>(), 1..200_usize).prop_map(|(place, count)| Damage::Remove(place, count)),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (any::<usize>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..300_usize)
            .prop_map(|(from, to, place, count)| Damage::Splice(from, to, place, count)),
    ]
}

impl Damage {
    fn work(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip(place, bit) => {
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
            }
            Self::Overwrite(place, new) => {
                let place = place.index(bytes.len());
                let end = (place + new.len()).min(bytes.len());
                bytes[place..end].copy_from_slice(&new[..end - place]);
            }
            Self::Remove(place, count) => {
                let place = place.index(bytes.len());
                bytes.drain(place..(place + count).min(bytes.len()));
            }
            Self::Cut(place) => bytes.truncate(place.index(bytes.len())),
            Self::Splice(from, to, place, count) => {
                let other = &GOLDEN[from % GOLDEN.len()].bytes;
                let place = place.index(other.len());
                let piece = &other[place..(place + count).min(other.len())];
                let to = to.index(bytes.len());
                bytes.splice(to..to, piece.iter().copied());
            }
        }
    }
}

/// Reads all that can be read of bytes that were damaged, and gives the batches that were handed out as sound.
fn survivors(bytes: &[u8]) -> Result<Vec<Vec<u8>>, TestCaseError> {
    let mut decompressor = Decompressor::with_limit(1 << 22);
    let mut batches = Batches::fetched_at(bytes, 0);
    let (mut sound, mut next_offset) = (Vec::new(), 0);
    loop {
        match batches.next() {
            None => return Ok(sound),
            Some(Ok(batch)) => {
                prop_assert!(batch.header.base_offset >= next_offset);
                next_offset = batch.header.next_offset();
                sound.push(batch.bytes().to_vec());
                match batch.records(&mut decompressor) {
                    Err(error) => prop_assert_eq!(error.offset(), batch.header.base_offset),
                    Ok(records) => {
                        for record in records {
                            match record {
                                Err(error) => prop_assert_eq!(error.offset(), batch.header.base_offset),
                                Ok(record) if batch.header.is_control() => drop(Marker::of(&record)),
                                Ok(record) => {
                                    prop_assert!(record.headers.iter().count() <= batch.bytes().len() + (1 << 22));
                                }
                            }
                        }
                    }
                }
            }
            Some(Err(error)) => {
                prop_assert!(error.to_string().contains(&format!("offset {}", error.offset())), "{}", error);
                match batches.resume() {
                    Resumed::Behind(range) => {
                        prop_assert!(range.start == next_offset && range.end >= range.start);
                        next_offset = range.end;
                    }
                    Resumed::Cut { needed } => {
                        prop_assert!(needed > bytes.len());
                        return Ok(sound);
                    }
                    Resumed::Lost => return Ok(sound),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// No damage panics, and what is handed out as sound is what a broker once wrote: apart from what no checksum
    /// covers (base offset and leader epoch), its bytes are those of a golden batch.
    #[test]
    fn damaged_bytes(golden: usize, damages in proptest::collection::vec(damage(), 1..4)) {
        let mut bytes = GOLDEN[golden % GOLDEN.len()].bytes.clone();
        for damage in &damages {
            damage.work(&mut bytes);
        }
        for found in survivors(&bytes)? {
            let written = GOLDEN.iter().flat_map(|golden| Batches::new(&golden.bytes)).any(|batch| {
                let batch = batch.unwrap().bytes();
                batch.len() == found.len() && batch[16..] == found[16..]
            });
            prop_assert!(written);
        }
    }

    /// Damage below a right checksum, as a bad producer could write it: what stands behind it is looked at too.
    #[test]
    fn damaged_below_the_checksum(
        golden: usize,
        which: prop::sample::Index,
        damages in proptest::collection::vec(damage(), 1..4),
    ) {
        let golden = &GOLDEN[golden % GOLDEN.len()].bytes;
        let batches: Vec<_> = Batches::new(golden).map(Result::unwrap).collect();
        let mut bytes = batches[which.index(batches.len())].bytes().to_vec();
        let header = bytes[..17].to_vec();
        for damage in &damages {
            damage.work(&mut bytes);
        }
        if bytes.len() >= 61 {
            bytes[..17].copy_from_slice(&header);
            let length = bytes.len() as i32 - 12;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            seal(&mut bytes);
        }
        survivors(&bytes)?;
    }
}
