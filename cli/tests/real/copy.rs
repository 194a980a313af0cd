//! Copies a log record by record into a fresh topic, with a plain consumer and a plain producer, so that what
//! is changed on the way is all that differs.

use std::{fs, path::Path, time::Duration};

use ackmark_schema::{
    manifest::{MANIFEST_FILE, Manifest},
    record::{Decoded, HEADER_LEN, Header, body_checksum},
    report::{seal::SEAL_FILE, verify::VERIFY_FILE},
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::kafka::{Kafka, Load, PARTITIONS};

/// No read or write of a small log takes longer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Records of a batch that the plain producer writes.
pub(crate) const BATCH: usize = 100;

/// The values of a partition, in order.
pub(crate) type Records = Vec<Vec<u8>>;

/// The messages of each partition of a sealed load, without the sentinels.
pub(crate) fn read(kafka: &Kafka, load: &Load) -> Vec<Records> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.servers())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_uncommitted")
        .create()
        .unwrap();
    let read_partition = |partition: i32| {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&load.topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        let mut records = Records::new();
        loop {
            let message = consumer.poll(TIMEOUT).expect("a sentinel ends each partition").unwrap();
            let value = message.payload().unwrap().to_vec();
            match Header::decode(&value) {
                Decoded::Ours(header) if header.sentinel => return records,
                _ => records.push(value),
            }
        }
    };
    (0..PARTITIONS).map(read_partition).collect()
}

/// The same body under another header.
pub(crate) fn re_headed(value: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let Decoded::Ours(mut header) = Header::decode(value) else { panic!("the base log holds our messages only") };
    change(&mut header);
    let mut value = value.to_vec();
    let checksum = body_checksum(&value[HEADER_LEN..]);
    header.encode(&mut value, checksum);
    value
}

/// Writes partitions to a topic in order, in batches of [`BATCH`].
pub(crate) fn write(kafka: &Kafka, topic: &str, partitions: &[Records]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.servers())
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "500")
        .set("batch.num.messages", BATCH.to_string())
        .create()
        .unwrap();
    for (partition, records) in (0..).zip(partitions) {
        for value in records {
            let record = BaseRecord::<(), _>::to(topic).partition(partition).payload(value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(TIMEOUT).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
    let written: i64 = kafka.admin().offsets(topic, TIMEOUT).unwrap().iter().map(|partition| partition.high).sum();
    assert_eq!(written as usize, partitions.iter().map(Vec::len).sum::<usize>());
}

/// Copies a load folder as if it had written to `topic`; its log is open again.
pub(crate) fn copy_folder(load: &Load, topic: &str, to: &Path) {
    for entry in fs::read_dir(load.folder()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    for report in [SEAL_FILE, VERIFY_FILE] {
        let _ = fs::remove_file(to.join(report));
    }
    let path = to.join(MANIFEST_FILE);
    let mut manifest: Manifest = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    topic.clone_into(&mut manifest.topics[0].name);
    manifest.topics[0].id = None;
    manifest.topics[0].start_offsets.fill(0);
    fs::write(&path, serde_json::to_string(&manifest).unwrap()).unwrap();
}
