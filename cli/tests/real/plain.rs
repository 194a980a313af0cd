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
    /// The life that began it.
    pub(crate) incarnation: u32,
    /// As in its messages' headers.
    pub(crate) number: u32,
    /// What became of it.
    pub(crate) fate: Fate,
    /// First sequence by stream.
    pub(crate) members: BTreeMap<u32, u64>,
}

/// What one life knows of its attempt at some of a stream's sequences.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The life.
    pub(crate) incarnation: u32,
    /// Which attempt.
    pub(crate) number: u16,
    /// The first sequence.
    pub(crate) first: u64,
    /// What is known of it and those behind it.
    pub(crate) known: Vec<Known>,
}

/// The ledger of a load folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The manifest beside it.
    pub(crate) manifest: Manifest,
    /// What was attempted in each stream.
    pub(crate) streams: BTreeMap<u32, Vec<Attempt>>,
    /// Transactions by producer, in order.
    pub(crate) transactions: BTreeMap<u32, Vec<Transaction>>,
}

/// A message of the run in the log.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Where it is: the topic.
    pub(crate) topic: String,
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

/// How many messages a states file has reserved, those that are sent again included; 0 where its header is not there
/// yet.
pub(crate) fn reserved(states: &Path) -> u64 {
    let bytes = fs::read(states).unwrap_or_default();
    if bytes.len() < PAGE || !bytes.starts_with(b"AKMLEDGR") {
        return 0;
    }
    let spans = (u32_at(&bytes, 24) + u32_at(&bytes, 28)) as usize;
    let reserved = |entry: usize| mark(&bytes, entry) - u64_at(&bytes, entry + 8);
    (0..spans).map(|span| reserved(64 + 32 * span)).sum()
}

impl Ledger {
    /// Reads a load folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let manifest: Manifest =
            serde_json::from_str(&fs::read_to_string(folder.join(MANIFEST_FILE)).unwrap()).unwrap();
        let mut streams: BTreeMap<u32, Vec<Attempt>> = BTreeMap::new();
        let mut transactions: BTreeMap<u32, Vec<Transaction>> = BTreeMap::new();
        for entry in &manifest.producers {
            for &incarnation in &entry.incarnations {
                let name = format!("p{}-i{incarnation}", entry.producer);
                for (stream, attempt) in states(&fs::read(folder.join(format!("{name}.ledger"))).unwrap()) {
                    streams.entry(stream).or_default().push(attempt);
                }
                if entry.transactional_id.is_some() {
                    let log = replay(&fs::read(folder.join(format!("{name}.txnlog"))).unwrap(), incarnation);
                    transactions.entry(entry.producer).or_default().extend(log);
                }
            }
        }
        Self { manifest, streams, transactions }
    }

    /// Where a stream is.
    pub(crate) fn place(&self, stream: u32) -> (&str, i32) {
        let mut streams = self.manifest.producers.iter().flat_map(|producer| &producer.streams);
        let found = streams.find(|known| known.stream == stream).unwrap();
        (&self.manifest.topics[found.topic as usize].name, found.partition as i32)
    }

    /// All messages of the run in all of its topics.
    pub(crate) fn log(&self, kafka: &Kafka, isolation: &str) -> Vec<Found> {
        let manifest = &self.manifest;
        manifest.topics.iter().flat_map(|topic| log(kafka, &topic.name, manifest.run, isolation)).collect()
    }
}

/// What a states file knows of each stream and of what it sent again.
fn states(bytes: &[u8]) -> Vec<(u32, Attempt)> {
    let (incarnation, streams) = (u32_at(bytes, 20), u32_at(bytes, 24) as usize);
    let spans = streams + u32_at(bytes, 28) as usize;
    let segments = (64 + 32 * spans).next_multiple_of(PAGE);
    let mut pages = BTreeMap::new();
    for segment in (segments..).step_by(SEGMENT).take_while(|segment| segment + SEGMENT <= bytes.len()) {
        for index in 0..256 {
            let entry = segment + 16 * index;
            if let Some(slot) = u32_at(bytes, entry + 8).checked_sub(1) {
                // Above its number stands what its states are checked by.
                let number = u64_at(bytes, entry) & ((1 << 40) - 1);
                pages.insert((slot as usize, number), segment + PAGE * (index + 1));
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
    let stream = |span: usize| {
        let entry = 64 + 32 * span;
        let (stream, attempt, first) = (u32_at(bytes, entry), u32_at(bytes, entry + 4), u64_at(bytes, entry + 8));
        let slot = (0..streams).find(|slot| u32_at(bytes, 64 + 32 * slot) == stream).unwrap();
        let known = (first..mark(bytes, entry)).map(|sequence| known(slot, sequence)).collect();
        (stream, Attempt { incarnation, number: attempt as u16, first, known })
    };
    (0..spans).map(stream).collect()
}

/// The reserved mark of an entry: its lower 48 bits, which the upper ones check.
fn mark(bytes: &[u8], entry: usize) -> u64 {
    u64_at(bytes, entry + 16) & ((1 << 48) - 1)
}

/// The transactions of a log.
fn replay(bytes: &[u8], incarnation: u32) -> Vec<Transaction> {
    assert!(bytes.len().is_multiple_of(32), "no entry is half there");
    let mut all: Vec<Transaction> = Vec::new();
    for entry in bytes.chunks_exact(32).skip(1) {
        let (kind, number, stream, value) = (u32_at(entry, 4), u32_at(entry, 8), u32_at(entry, 12), u64_at(entry, 16));
        if kind == 1 {
            all.push(Transaction { incarnation, number, fate: Fate::Aborted, members: BTreeMap::new() });
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
    read(kafka, topic, run, isolation).into_iter().map(|(found, _)| found).collect()
}

/// All messages with their keys.
pub(crate) fn log_with_keys(kafka: &Kafka, topic: &str, run: u32) -> Vec<(Found, Vec<u8>)> {
    read(kafka, topic, run, "read_uncommitted")
}

fn read(kafka: &Kafka, topic: &str, run: u32, isolation: &str) -> Vec<(Found, Vec<u8>)> {
    let mut found = Vec::new();
    for Record { partition, offset, key, value } in records(kafka, topic, isolation) {
        match Header::decode(&value) {
            Decoded::Ours(header) => {
                assert_eq!(header.run, run);
                if !header.sentinel {
                    found.push((Found { topic: topic.to_owned(), partition, offset, header }, key));
                }
            }
            other => panic!("{other:?} at offset {offset} of {topic}-{partition}"),
        }
    }
    found
}

/// The headers of all records, sentinels among them.
pub(crate) fn headers(kafka: &Kafka, topic: &str, isolation: &str) -> Vec<Header> {
    let header = |record: Record| match Header::decode(&record.value) {
        Decoded::Ours(header) => header,
        other => panic!("{other:?} at offset {} of {topic}-{}", record.offset, record.partition),
    };
    records(kafka, topic, isolation).into_iter().map(header).collect()
}

/// A record as a consumer is shown it.
pub(crate) struct Record {
    partition: i32,
    offset: i64,
    key: Vec<u8>,
    /// Its value.
    pub(crate) value: Vec<u8>,
}

/// All records of a topic, as a consumer of this isolation level is shown them.
pub(crate) fn records(kafka: &Kafka, topic: &str, isolation: &str) -> Vec<Record> {
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
        found.push(Record {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().unwrap().to_vec(),
        });
    }
    found
}
