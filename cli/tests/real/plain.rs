//! A load folder and its log, read in plain code: a judge beside the tool's own readers and accounting. All that
//! is shared with the tool is the record header; the ledger's files are decoded by what their layout says, byte by
//! byte, and the log is read by a plain consumer.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use ackmark_schema::{
    manifest::{MANIFEST_FILE, Manifest},
    record::{Decoded, Header},
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use crate::kafka::Kafka;

/// No read of a small log takes longer.
const TIMEOUT: Duration = Duration::from_mins(1);
const PAGE: usize = 4096;
const PAGE_MESSAGES: u64 = 16_384;
/// A directory page and the 256 pages that it names.
const SEGMENT: usize = 257 * PAGE;

/// What the sender knows of a message, as its two bits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// 0.
    Open,
    /// 1.
    Acknowledged,
    /// 2.
    Failed,
    /// 3.
    Indeterminate,
}

/// What became of a transaction by its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Committed.
    Committed,
    /// Aborted, or dead before its commit was asked for.
    Aborted,
    /// Its commit was asked for and not answered.
    Unanswered,
}

/// A transaction: its number, fate, and the first sequence of each stream in it.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// As in its messages' headers.
    pub(crate) number: u32,
    /// What became of it.
    pub(crate) fate: Fate,
    /// First sequence by stream.
    pub(crate) members: BTreeMap<u32, u64>,
}

/// The ledger of a load folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The manifest beside it.
    pub(crate) manifest: Manifest,
    /// What is known of each sequence of each stream, from 0.
    pub(crate) streams: BTreeMap<u32, Vec<Known>>,
    /// Transactions by producer, in order.
    pub(crate) transactions: BTreeMap<u32, Vec<Transaction>>,
}

/// A message of the run in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) partition: i32,
    /// Where it is.
    pub(crate) offset: i64,
    /// Its header.
    pub(crate) header: Header,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The sum of a states file's reserved marks; 0 where its header is not there yet.
pub(crate) fn reserved(states: &Path) -> u64 {
    let bytes = fs::read(states).unwrap_or_default();
    if bytes.len() < PAGE || !bytes.starts_with(b"AKMLEDGR") {
        return 0;
    }
    (0..u32_at(&bytes, 24) as usize).map(|slot| u64_at(&bytes, 64 + 32 * slot + 16)).sum()
}

impl Ledger {
    /// Reads a load folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let manifest: Manifest =
            serde_json::from_str(&fs::read_to_string(folder.join(MANIFEST_FILE)).unwrap()).unwrap();
        let (mut streams, mut transactions) = (BTreeMap::new(), BTreeMap::new());
        for entry in &manifest.producers {
            let name = format!("p{}-i0", entry.producer);
            streams.extend(states(&fs::read(folder.join(format!("{name}.ledger"))).unwrap()));
            if entry.transactional_id.is_some() {
                let log = fs::read(folder.join(format!("{name}.txnlog"))).unwrap();
                transactions.insert(entry.producer, replay(&log));
            }
        }
        Self { manifest, streams, transactions }
    }

    /// Where a stream is.
    pub(crate) fn partition(&self, stream: u32) -> i32 {
        let mut streams = self.manifest.producers.iter().flat_map(|producer| &producer.streams);
        streams.find(|known| known.stream == stream).unwrap().partition as i32
    }
}

/// What a states file knows of each stream.
fn states(bytes: &[u8]) -> BTreeMap<u32, Vec<Known>> {
    let streams = u32_at(bytes, 24) as usize;
    let segments = (64 + 32 * streams).next_multiple_of(PAGE);
    let mut pages = BTreeMap::new();
    for segment in (segments..).step_by(SEGMENT).take_while(|segment| segment + SEGMENT <= bytes.len()) {
        for index in 0..256 {
            let entry = segment + 16 * index;
            if let Some(slot) = u32_at(bytes, entry + 8).checked_sub(1) {
                pages.insert((slot as usize, u64_at(bytes, entry)), segment + PAGE * (index + 1));
            }
        }
    }
    let known = |slot: usize, sequence: u64| {
        let at = sequence % PAGE_MESSAGES;
        match bytes[pages[&(slot, sequence / PAGE_MESSAGES)] + (at / 4) as usize] >> (at % 4 * 2) & 3 {
            0 => Known::Open,
            1 => Known::Acknowledged,
            2 => Known::Failed,
            _ => Known::Indeterminate,
        }
    };
    let stream = |slot: usize| {
        let entry = 64 + 32 * slot;
        assert_eq!(u64_at(bytes, entry + 8), 0, "the first sequence of a first life");
        (u32_at(bytes, entry), (0..u64_at(bytes, entry + 16)).map(|sequence| known(slot, sequence)).collect())
    };
    (0..streams).map(stream).collect()
}

/// The transactions of a log.
fn replay(bytes: &[u8]) -> Vec<Transaction> {
    assert!(bytes.len().is_multiple_of(32), "no entry is half there");
    let mut all: Vec<Transaction> = Vec::new();
    for entry in bytes.chunks_exact(32).skip(1) {
        let (kind, number, stream, value) = (u32_at(entry, 4), u32_at(entry, 8), u32_at(entry, 12), u64_at(entry, 16));
        if kind == 1 {
            all.push(Transaction { number, fate: Fate::Aborted, members: BTreeMap::new() });
        }
        let open = all.last_mut().unwrap();
        assert_eq!(open.number, number);
        match kind {
            1 | 5 => {}
            2 => assert_eq!(open.members.insert(stream, value), None),
            3 => open.fate = Fate::Unanswered,
            4 => open.fate = Fate::Committed,
            6 => open.fate = Fate::Aborted,
            _ => panic!("entry of kind {kind}"),
        }
    }
    all
}

/// All messages of the run in the log, sentinels apart, as a consumer of this isolation level is shown them. The
/// topic is the run's alone: whatever else is in it fails the test.
pub(crate) fn log(kafka: &Kafka, topic: &str, run: u32, isolation: &str) -> Vec<Found> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.servers())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .create()
        .unwrap();
    let partitions = kafka.admin().offsets(topic, TIMEOUT).unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, partition.partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut found, mut ended) = (Vec::new(), 0);
    while ended < partitions.len() {
        let message = match consumer.poll(TIMEOUT).expect("the end of each partition is told") {
            Ok(message) => message,
            Err(KafkaError::PartitionEOF(_)) => {
                ended += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        match Header::decode(message.payload().unwrap()) {
            Decoded::Ours(header) => {
                assert_eq!(header.run, run);
                if !header.sentinel {
                    found.push(Found { partition: message.partition(), offset: message.offset(), header });
                }
            }
            other => panic!("{other:?} at offset {} of {topic}-{}", message.offset(), message.partition()),
        }
    }
    found
}
