//! A transaction that never ends: on a cluster whose brokers do not check whether a transaction is known to its
//! coordinator, as none did before Kafka 3.6 (KIP-890).

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ackmark_cluster::LocalOptions;
use ackmark_wire::{config::WireConfig, connection::Connection, metadata::Directory, patience::Patience};
use bytes::BytesMut;
use kafka_protocol::{
    messages::{
        ProduceRequest, TopicName, TransactionalId,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
    records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType},
};
use libtest_mimic::Trial;

use crate::{cluster::Cluster, common};

const TIMEOUT: Duration = Duration::from_secs(30);
const PRODUCER_ID: i64 = 4_242;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("outage::the_doctor_finds_a_transaction_that_hangs", || {
        hangs();
        Ok(())
    })]
}

fn hangs() {
    let unchecked = ("transaction.partition.verification.enable".to_owned(), "false".to_owned());
    let cluster = Cluster::start_with(LocalOptions { overrides: vec![unchecked], ..LocalOptions::default() });
    cluster.create(&["orders", "first"]);
    // There are coordinators from the first transaction on.
    cluster.load("first", "transactional", &["--messages", "10"]).finish(2 * TIMEOUT).exits(0);
    let folder = tempfile::tempdir().unwrap();
    let doctor = || common::run(folder.path(), &["doctor", "-o", "json", "-b", &cluster.servers()]);
    let named = |run: common::Run| -> Vec<serde_json::Value> {
        let checks: Vec<serde_json::Value> = run.json();
        checks.into_iter().filter(|check| check["what"] == "a hanging transaction").collect()
    };
    assert!(named(doctor().exits(0)).is_empty());
    append_unknown_transaction(&cluster.servers(), "orders", 1);
    let found = named(doctor().exits(0));
    assert_eq!(found.len(), 1, "{found:?}");
    let text = |key: &str| found[0][key].as_str().unwrap();
    assert_eq!(text("state"), "warn");
    assert!(text("found").starts_with("orders-1: open from offset 0 by producer 4242 epoch 0,"), "{found:?}");
    assert!(text("cure").ends_with("abort --topic orders --partition 1 --start-offset 0"), "{found:?}");
}

/// Appends a record of a transaction that no coordinator has heard of.
fn append_unknown_transaction(servers: &str, topic: &str, partition: i32) {
    let config = WireConfig::from_properties([("bootstrap.servers", servers)]).unwrap();
    let stop = AtomicBool::new(false);
    let patience = Patience::new(&stop, TIMEOUT);
    let (_, topics) = Directory::new(&config).cluster(&patience).unwrap();
    let leader = topics.leader(topic, partition).unwrap();
    let record = Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: PRODUCER_ID,
        producer_epoch: 0,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: 0,
        timestamp: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64,
        key: None,
        value: Some("an order".into()),
        headers: [].into_iter().collect(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options).unwrap();
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.freeze()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("nobody"))))
        .with_acks(-1)
        .with_timeout_ms(TIMEOUT.as_millis() as i32)
        .with_topic_data(vec![topic]);
    let mut connection = Connection::open(&config, &leader.broker.address, &patience).unwrap();
    // From version 12 on brokers tell the coordinator by themselves.
    let version = connection.version::<ProduceRequest>(9, 11).unwrap();
    let answer = connection.call(&request, version, &patience).unwrap();
    let appended = &answer.responses[0].partition_responses[0];
    assert_eq!((appended.error_code, appended.base_offset), (0, 0), "{:?}", appended.error_message);
}
