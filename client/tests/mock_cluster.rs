//! The client against librdkafka's mock cluster: what does not depend on a broker's guarantees.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ackmark_client::admin::ConfigResource;
use ackmark_client::mock::API_PRODUCE;
use ackmark_client::seal::{fence, write_last_messages};
use ackmark_client::stats::Statistics;
use ackmark_client::{
    AdminClient, BatchConsumer, ClientProperties, DeliveryBatch, ErrorCode, EventSink, Fetched, LogSink, MessageBatch,
    MockCluster, Outcome, PersistenceStatus, RawProducer, StartOffset, fast_read_properties,
};
use ackmark_schema::properties::{Origin, value};

const SOON: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);

/// A message as its report told.
#[derive(Debug, Clone, PartialEq)]
struct Report {
    partition: i32,
    opaque: u64,
    code: Option<ErrorCode>,
    status: PersistenceStatus,
    outcome: Outcome,
    offset: Option<i64>,
    broker: Option<i32>,
}

#[derive(Default)]
struct Reports {
    messages: Vec<Report>,
    batches: usize,
    errors: Vec<(ErrorCode, String, bool)>,
    statistics: Vec<Statistics>,
}

impl EventSink for Reports {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        self.batches += 1;
        assert_eq!(batch.iter().len(), batch.len());
        self.messages.extend(batch.iter().map(|message| Report {
            partition: message.partition(),
            opaque: message.opaque(),
            code: message.error_code(),
            status: message.status(),
            outcome: message.outcome(),
            offset: message.offset(),
            broker: message.broker_id(),
        }));
    }

    fn error(&mut self, code: ErrorCode, reason: &str, fatal: bool) {
        self.errors.push((code, reason.to_owned(), fatal));
    }

    fn stats(&mut self, json: &str) {
        self.statistics.push(Statistics::parse(json).unwrap());
    }
}

fn cluster_with(topic: &str, partitions: i32) -> MockCluster {
    let cluster = MockCluster::start(3).unwrap();
    cluster.create_topic(topic, partitions, 3).unwrap();
    cluster
}

fn properties(cluster: &MockCluster, more: &[(&str, &str)]) -> ClientProperties {
    let mut properties = ClientProperties::with_bootstrap(cluster.bootstrap_servers(), Origin::Flag);
    for (name, value) in more {
        properties.set(name, value, Origin::Profile);
    }
    properties
}

fn producer(cluster: &MockCluster, more: &[(&str, &str)]) -> RawProducer {
    RawProducer::new(&properties(cluster, more), LogSink::discard()).unwrap()
}

/// Produces numbered messages, as the opaque and as the payload, in runs; all must be accepted.
fn produce(producer: &RawProducer, topic: &str, partition: i32, numbers: std::ops::Range<u64>) {
    let topic = producer.topic(topic).unwrap();
    let payloads: Vec<[u8; 8]> = numbers.clone().map(u64::to_le_bytes).collect();
    let mut spare = MessageBatch::new(1_000);
    for chunk in payloads.chunks(1_000) {
        let mut batch = spare.recycle();
        for payload in chunk {
            batch.push(payload, Some(b"key"), u64::from_le_bytes(*payload));
        }
        let outcome = producer.produce_run(&topic, partition, &mut batch);
        assert_eq!((outcome.accepted, outcome.first_rejected), (chunk.len(), None));
        assert!(outcome.is_prefix());
        spare = batch.recycle();
    }
}

/// Reads partitions from their start to their end: numbers by partition.
fn read_all(cluster: &MockCluster, topic: &str, partitions: i32) -> BTreeMap<i32, Vec<u64>> {
    let mut properties = fast_read_properties();
    properties.merge(&properties_of(cluster));
    let mut consumer = BatchConsumer::new(&properties, LogSink::discard()).unwrap();
    for partition in 0..partitions {
        consumer.assign(topic, partition, StartOffset::Beginning).unwrap();
    }
    let deadline = Instant::now() + SOON;
    let mut found: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    let mut ended = 0;
    while ended < partitions {
        assert!(Instant::now() < deadline, "the ends are reached in time");
        for entry in consumer.poll_batch(TICK).iter() {
            match entry {
                Fetched::Record(record) => {
                    let numbers = found.entry(record.partition()).or_default();
                    assert_eq!(record.offset(), numbers.len() as i64);
                    assert_eq!((record.key(), record.topic()), (Some(&b"key"[..]), topic));
                    assert!(record.timestamp_ms().unwrap() > 1_700_000_000_000);
                    numbers.push(u64::from_le_bytes(record.payload().unwrap().try_into().unwrap()));
                }
                Fetched::End { topic: name, partition, offset } => {
                    assert_eq!(name, topic);
                    assert_eq!(offset, found.get(&partition).map_or(0, Vec::len) as i64);
                    ended += 1;
                }
                Fetched::Error { code, reason, .. } => panic!("{code}: {reason}"),
            }
        }
    }
    found
}

fn properties_of(cluster: &MockCluster) -> ClientProperties {
    properties(cluster, &[])
}

#[test]
fn what_is_produced_is_reported_in_order_and_read_back() {
    let cluster = cluster_with("trip", 2);
    let producer = producer(&cluster, &[("acks", "all"), ("linger.ms", "5")]);
    produce(&producer, "trip", 0, 0..5_000);
    produce(&producer, "trip", 1, 5_000..12_000);
    let mut reports = Reports::default();
    assert!(producer.drain(SOON, &mut reports));
    assert_eq!(producer.outq_len(), 0);
    for (partition, expected) in [(0, 0..5_000), (1, 5_000..12_000)] {
        let of_it: Vec<_> = reports.messages.iter().filter(|report| report.partition == partition).collect();
        assert!(of_it.iter().map(|report| report.opaque).eq(expected), "opaques come back in order");
        assert!(of_it.iter().map(|report| report.offset.unwrap()).eq(0..of_it.len() as i64));
        assert!(of_it.iter().all(|report| report.outcome == Outcome::Acknowledged));
        assert!(of_it.iter().all(|report| report.status == PersistenceStatus::Persisted));
        assert!(of_it.iter().all(|report| matches!(report.broker, Some(1..=3))));
    }
    assert!(reports.batches < 1_000, "reports come in batches: {}", reports.batches);
    let found = read_all(&cluster, "trip", 2);
    assert!(found[&0].iter().copied().eq(0..5_000));
    assert!(found[&1].iter().copied().eq(5_000..12_000));
}

#[test]
fn a_full_queue_takes_a_prefix_and_the_rest_can_be_tried_again() {
    let cluster = cluster_with("full", 1);
    let producer = producer(&cluster, &[("queue.buffering.max.messages", "100"), ("linger.ms", "0")]);
    let topic = producer.topic("full").unwrap();
    let payloads: Vec<[u8; 8]> = (0..250_u64).map(u64::to_le_bytes).collect();
    let mut batch = MessageBatch::new(250);
    for (i, payload) in payloads.iter().enumerate() {
        batch.set(i, payload, Some(b"key"), i as u64);
    }
    let outcome = producer.produce_run(&topic, 0, &mut batch);
    assert_eq!(outcome.accepted, 100);
    assert_eq!(outcome.first_rejected, Some((100, ErrorCode::QUEUE_FULL)));
    assert!(outcome.is_prefix() && outcome.is_queue_full());
    assert_eq!((batch.rejection(99), batch.rejection(100)), (None, Some(ErrorCode::QUEUE_FULL)));
    let mut reports = Reports::default();
    let deadline = Instant::now() + SOON;
    batch.retain_rejected();
    assert_eq!((batch.len(), batch.opaque(0)), (150, 100));
    while !batch.is_empty() {
        assert!(Instant::now() < deadline, "the rest is taken in time");
        producer.poll_events(TICK, &mut reports);
        producer.produce_run(&topic, 0, &mut batch);
        batch.retain_rejected();
    }
    assert!(producer.drain(SOON, &mut reports));
    assert!(reports.messages.iter().map(|report| report.opaque).eq(0..250));
    assert!(read_all(&cluster, "full", 1)[&0].iter().copied().eq(0..250));
}

#[test]
fn a_refused_message_in_the_middle_is_told_apart() {
    let cluster = cluster_with("large", 1);
    let producer = producer(&cluster, &[("message.max.bytes", "1000")]);
    let topic = producer.topic("large").unwrap();
    let (small, large) = ([0_u8; 10], [0_u8; 2_000]);
    let mut batch = MessageBatch::new(3);
    batch.push(&small, None, 0);
    batch.push(&large, None, 1);
    batch.push(&small, None, 2);
    let outcome = producer.produce_run(&topic, 0, &mut batch);
    assert_eq!((outcome.accepted, outcome.first_rejected), (2, Some((1, ErrorCode::MSG_SIZE_TOO_LARGE))));
    assert!(!outcome.is_prefix());
    assert!((0..3).map(|i| batch.rejection(i).is_some()).eq([false, true, false]));
    let mut reports = Reports::default();
    assert!(producer.drain(SOON, &mut reports));
    assert!(reports.messages.iter().map(|report| report.opaque).eq([0, 2]));
}

#[test]
fn lent_values_arrive_as_they_were_written_though_their_memory_is_used_again() {
    let cluster = cluster_with("lent", 2);
    let producer = producer(&cluster, &[("acks", "all"), ("linger.ms", "1")]);
    let topic = producer.topic("lent").unwrap();
    let lender = producer.lender(3, 800).unwrap();
    assert_eq!((lender.blocks(), lender.block_bytes(), lender.free()), (3, 800, 3));
    let mut reports = Reports::default();
    let (mut spare, mut expected) = (MessageBatch::new(30), BTreeMap::from([(0, Vec::new()), (1, Vec::new())]));
    let (mut number, mut turns, deadline) = (0_u64, 0, Instant::now() + 3 * SOON);
    while number < 20_000 {
        assert!(Instant::now() < deadline, "blocks come back in time");
        let Some(mut block) = lender.take() else {
            producer.poll_events(TICK, &mut reports);
            continue;
        };
        turns += 1;
        // Some of it is reported, and none of it free, while the rest is still to be written.
        while block.remaining() > 0 {
            let partition = (number / 70 % 2) as i32;
            let mut batch = spare.recycle();
            let count = (block.remaining() / 8).min(30);
            for mut value in block.hand_out(8 * count).chunks_exact(8) {
                value.copy_from_slice(&number.to_le_bytes());
                expected.get_mut(&partition).unwrap().push(number);
                batch.push(value, Some(b"key"), number);
                number += 1;
            }
            assert_eq!(producer.produce_run(&topic, partition, &mut batch).accepted, count);
            spare = batch.recycle();
            producer.poll_events(Duration::ZERO, &mut reports);
        }
    }
    assert_eq!(turns, 200);
    assert!(producer.drain(SOON, &mut reports));
    assert_eq!(lender.free(), 3);
    assert_eq!(reports.messages.len(), 20_000);
    assert_eq!(read_all(&cluster, "lent", 2), expected);
}

#[test]
fn what_borrows_a_block_is_copied_unless_it_was_given_up() {
    let cluster = cluster_with("borrowed", 1);
    let producer = producer(&cluster, &[("linger.ms", "60000")]);
    let lender = producer.lender(2, 8).unwrap();
    let topic = producer.topic("borrowed").unwrap();
    let mut block = lender.take().unwrap();
    let mut batch = MessageBatch::new(1);
    let mut own = block.hand_out(8);
    own.copy_from_slice(&7_u64.to_le_bytes());
    batch.push(&own[..], Some(b"key"), 0);
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, 1);
    // Recycled, it may lend again; the value of another producer is copied all the same.
    let other = self::producer(&cluster, &[]);
    let strange = other.lender(1, 8).unwrap();
    let mut strange_block = strange.take().unwrap();
    let mut batch = batch.recycle();
    own.fill(0xff);
    let mut foreign = strange_block.hand_out(8);
    foreign.copy_from_slice(&8_u64.to_le_bytes());
    batch.push(foreign, Some(b"key"), 1);
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, 1);
    drop(batch);
    drop((strange_block, block));
    assert_eq!((lender.free(), strange.free()), (2, 1), "nothing is lent");
    // Emptied, the batch lends again.
    let mut batch = MessageBatch::new(1);
    batch.push(&[0; 8], None, 2);
    let mut block = lender.take().unwrap();
    let mut batch = batch.recycle();
    let mut own = block.hand_out(8);
    own.copy_from_slice(&9_u64.to_le_bytes());
    batch.push(own, Some(b"key"), 2);
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, 1);
    drop(batch);
    drop(block);
    assert_eq!(lender.free(), 1);
    strange.take().unwrap().hand_out(8).fill(0xff);
    let (flushed, reports) = with_delivery_thread(&producer, || producer.flush(SOON));
    assert!(flushed);
    assert_eq!((reports.messages.len(), lender.free()), (3, 2));
    assert_eq!(read_all(&cluster, "borrowed", 1)[&0], [7, 8, 9]);
}

#[test]
fn a_value_without_bytes_holds_no_block() {
    let cluster = cluster_with("empty", 1);
    let producer = producer(&cluster, &[("linger.ms", "60000")]);
    let lender = producer.lender(2, 8).unwrap();
    let topic = producer.topic("empty").unwrap();
    // Where the first block ends, the second begins, which nobody has.
    let mut first = lender.take().unwrap();
    let (_, none) = first.hand_out(8).split_at(8);
    let mut batch = MessageBatch::new(1);
    batch.push(none, None, 0);
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, 1);
    drop(batch);
    let second = lender.take().unwrap();
    drop(first);
    let (flushed, reports) = with_delivery_thread(&producer, || producer.flush(SOON));
    assert!(flushed);
    assert_eq!((reports.messages.len(), lender.free()), (1, 1), "the second block has a writer");
    drop(second);
    assert_eq!(lender.free(), 2);
}

#[test]
fn who_hears_of_failures_only_cannot_lend() {
    let cluster = cluster_with("silent", 1);
    assert!(producer(&cluster, &[("delivery.report.only.error", "t")]).lender(1, 8).is_none());
}

#[test]
fn a_broker_that_is_silent_is_not_asked_for_ever() {
    let cluster = cluster_with("frozen", 1);
    let admin = AdminClient::new(&properties_of(&cluster), LogSink::discard()).unwrap();
    admin.topic("frozen", SOON).unwrap();
    // One of them is the broker that was asked last, and so would be asked again and again.
    let mut waited = Duration::ZERO;
    for broker in 1..=3 {
        cluster.set_round_trip_of(broker, Duration::from_hours(1));
        let start = Instant::now();
        admin.topic("frozen", Duration::from_secs(30)).unwrap();
        waited = waited.max(start.elapsed());
        cluster.set_round_trip_of(broker, Duration::ZERO);
    }
    assert!(waited > Duration::from_secs(1), "none of them was the one: {waited:?}");
}

#[test]
fn what_is_lent_comes_back_when_it_is_refused_or_purged_and_no_earlier() {
    let cluster = cluster_with("refused", 1);
    let mut producer = producer(&cluster, &[("message.max.bytes", "1000")]);
    let lender = producer.lender(2, 4_000).unwrap();
    let topic = producer.topic("refused").unwrap();
    let mut block = lender.take().unwrap();
    let (small, rest) = block.hand_out(4_000).split_at(10);
    let mut batch = MessageBatch::new(3);
    batch.push(small, None, 0);
    batch.push(rest, None, 1);
    let outcome = producer.produce_run(&topic, 0, &mut batch);
    assert_eq!((outcome.accepted, outcome.first_rejected), (1, Some((1, ErrorCode::MSG_SIZE_TOO_LARGE))));
    drop(block);
    assert_eq!(lender.free(), 1, "one message is not reported yet");
    assert!(producer.drain(SOON, &mut Reports::default()));
    assert_eq!(lender.free(), 2);

    // Nobody answers: what is purged is reported.
    producer = self::producer(&cluster, &[("bootstrap.servers", "127.0.0.1:9"), ("acks", "all")]);
    let lender = producer.lender(2, 100).unwrap();
    let topic = producer.topic("refused").unwrap();
    let mut block = lender.take().unwrap();
    let mut batch = MessageBatch::new(1);
    batch.push(block.hand_out(100), None, 7);
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, 1);
    drop(block);
    assert_eq!(lender.free(), 1);
    producer.purge(true);
    let mut reports = Reports::default();
    assert!(producer.drain(SOON, &mut reports));
    assert_eq!((reports.messages.len(), lender.free()), (1, 2));
}

#[test]
fn values_elsewhere_are_copied_beside_lent_ones() {
    let cluster = cluster_with("beside", 1);
    let producer = producer(&cluster, &[("linger.ms", "200")]);
    let lender = producer.lender(1, 8).unwrap();
    let topic = producer.topic("beside").unwrap();
    let mut block = lender.take().unwrap();
    let (mut own, mut lent) = (1_u64.to_le_bytes(), block.hand_out(8));
    lent.copy_from_slice(&0_u64.to_le_bytes());
    let mut batch = MessageBatch::new(2);
    batch.push(lent, Some(b"key"), 0);
    batch.push(&own, Some(b"key"), 1);
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, 2);
    drop(batch.recycle());
    own.fill(0xff);
    drop(block);
    // Both were copied, so the block is free at once and may be written.
    lender.take().unwrap().hand_out(8).fill(0xff);
    assert!(producer.drain(SOON, &mut Reports::default()));
    assert_eq!(read_all(&cluster, "beside", 1)[&0], [0, 1]);
}

#[test]
fn a_brokers_refusals_have_the_outcome_that_the_rule_gives() {
    // TRANSACTION_ABORTABLE (KIP-890): librdkafka 2.12.1 has no name for it.
    let unheard_of = ErrorCode::from_raw(120).unwrap();
    for (code, expected) in [
        (ErrorCode::MSG_SIZE_TOO_LARGE, Outcome::Failed),
        (ErrorCode::INVALID_RECORD, Outcome::Failed),
        (ErrorCode::REQUEST_TIMED_OUT, Outcome::Indeterminate),
        (ErrorCode::NOT_ENOUGH_REPLICAS, Outcome::Indeterminate),
        (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, Outcome::Indeterminate),
        (unheard_of, Outcome::Indeterminate),
    ] {
        let cluster = cluster_with("refused", 1);
        let producer = producer(&cluster, &[("retries", "0")]);
        // As many as there may be requests: where the thread is held up, not all messages go in one.
        cluster.fail_requests(API_PRODUCE, &[code; 3]);
        produce(&producer, "refused", 0, 0..3);
        let mut reports = Reports::default();
        assert!(producer.drain(SOON, &mut reports));
        assert_eq!(reports.messages.len(), 3);
        for report in &reports.messages {
            assert_eq!((report.code, report.outcome, report.offset), (Some(code), expected, None));
        }
    }
}

#[test]
fn under_acks_0_nothing_is_acknowledged() {
    let cluster = cluster_with("none", 1);
    let producer = producer(&cluster, &[("acks", "0")]);
    produce(&producer, "none", 0, 0..100);
    let mut reports = Reports::default();
    assert!(producer.drain(SOON, &mut reports));
    assert_eq!(reports.messages.len(), 100);
    for report in &reports.messages {
        assert_eq!((report.code, report.outcome, report.offset), (None, Outcome::Indeterminate, None));
        assert_eq!(report.status, PersistenceStatus::PossiblyPersisted);
    }
}

/// Serves a producer's events in a thread of its own while `work` runs.
fn with_delivery_thread<T>(producer: &RawProducer, work: impl FnOnce() -> T) -> (T, Reports) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut reports = Reports::default();
            while !stop.load(Ordering::Acquire) {
                producer.poll_events(TICK, &mut reports);
            }
            producer.poll_events(Duration::ZERO, &mut reports);
            reports
        });
        let result = work();
        stop.store(true, Ordering::Release);
        (result, server.join().unwrap())
    })
}

#[test]
fn flush_sends_what_lingers_while_another_thread_serves() {
    let cluster = cluster_with("linger", 1);
    let producer = producer(&cluster, &[("linger.ms", "60000"), ("message.timeout.ms", "120000")]);
    let (flushed, reports) = with_delivery_thread(&producer, || {
        produce(&producer, "linger", 0, 0..10);
        producer.flush(SOON)
    });
    assert!(flushed);
    assert_eq!(reports.messages.len(), 10);
}

#[test]
fn a_transaction_commits_and_a_misused_one_says_what_to_do() {
    let cluster = cluster_with("txn", 2);
    let producer = producer(&cluster, &[("transactional.id", "t")]);
    let early = producer.begin_transaction().unwrap_err();
    assert_eq!(early.code, ErrorCode::STATE);
    assert!(!early.retriable && !early.requires_abort, "{early}");
    producer.init_transactions(SOON).unwrap();
    let (result, reports) = with_delivery_thread(&producer, || {
        producer.begin_transaction().unwrap();
        produce(&producer, "txn", 0, 0..10);
        produce(&producer, "txn", 1, 10..20);
        producer.commit_transaction(SOON).unwrap();
        producer.begin_transaction().unwrap();
        produce(&producer, "txn", 0, 20..30);
        // Aborting before the first message is in the transaction can fail (librdkafka #4849).
        assert!(producer.flush(SOON));
        producer.abort_transaction(SOON)
    });
    result.unwrap();
    assert_eq!(reports.messages.len(), 30);
    assert_eq!(value(producer.properties_in_effect(), "acks"), Some("-1"));
}

#[test]
fn a_failed_transaction_is_told_from_an_open_one_and_from_the_next() {
    let cluster = cluster_with("txn", 1);
    // None is sent before the flush.
    let producer = producer(&cluster, &[("transactional.id", "t"), ("linger.ms", "30000")]);
    producer.init_transactions(SOON).unwrap();
    let ((), reports) = with_delivery_thread(&producer, || {
        producer.begin_transaction().unwrap();
        assert!(producer.transaction_failure().is_none());
        cluster.fail_requests(API_PRODUCE, &[ErrorCode::INVALID_RECORD]);
        produce(&producer, "txn", 0, 0..10);
        assert!(producer.flush(SOON));
        let failure = producer.transaction_failure().unwrap();
        assert!(failure.requires_abort && !failure.fatal, "{failure}");
        assert_eq!(failure.code, ErrorCode::INVALID_RECORD);
        producer.abort_transaction(SOON).unwrap();
        producer.begin_transaction().unwrap();
        assert!(producer.transaction_failure().is_none(), "asking has not begun or ended it");
        producer.abort_transaction(SOON).unwrap();
    });
    assert_eq!(reports.messages.len(), 10);
}

#[test]
fn statistics_are_read_and_count_each_transmission() {
    let cluster = cluster_with("stats", 1);
    let producer =
        producer(&cluster, &[("statistics.interval.ms", "50"), ("retry.backoff.ms", "10"), ("linger.ms", "60000")]);
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::REQUEST_TIMED_OUT]);
    let (flushed, mut reports) = with_delivery_thread(&producer, || {
        // In one request: they linger until all of them are there.
        produce(&producer, "stats", 0, 0..10);
        producer.flush(SOON)
    });
    assert!(flushed);
    assert!(reports.messages.iter().all(|report| report.outcome == Outcome::Acknowledged), "the retry succeeded");
    let deadline = Instant::now() + SOON;
    // Those that were taken before the retry may come after it.
    let last = loop {
        assert!(Instant::now() < deadline, "statistics come in time");
        producer.poll_events(TICK, &mut reports);
        match reports.statistics.pop() {
            Some(last) if last.txmsgs >= 20 && last.msg_cnt == 0 => break last,
            _ => {}
        }
    };
    assert_eq!(last.txmsgs, 20, "ten messages, each sent twice");
    assert_eq!(last.retransmitted(10), 10);
    let retries: u64 = last.sent_to("Produce").map(|broker| broker.txretries).sum();
    assert_eq!(retries, 0, "librdkafka does not count messages that it sends again as retries");
    assert_eq!(last.sent_to("Produce").count(), 1, "and no entry of a bootstrap connection");
    assert!(last.brokers.values().any(|broker| broker.state == "UP" && broker.req["Produce"] == 2));
    assert!(last.brokers.values().map(|broker| broker.connects).sum::<u64>() >= 1);
}

#[test]
fn a_client_without_a_broker_says_so_in_bounded_time() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let logs = LogSink::new(move |line| sink.lock().unwrap().push(line.message.to_owned()));
    // Port 1 of loopback: refused at once.
    let nowhere = ClientProperties::with_bootstrap("127.0.0.1:1", Origin::Flag);
    let start = Instant::now();
    let admin = AdminClient::new(&nowhere, logs.clone()).unwrap();
    let error = admin.metadata(Duration::from_secs(1)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(error.to_string().starts_with("cannot ask for the cluster's brokers: "), "{error}");
    assert!(error.to_string().contains("check "), "names the cure: {error}");

    let producer = RawProducer::new(&nowhere, logs).unwrap();
    let mut reports = Reports::default();
    let deadline = Instant::now() + SOON;
    while reports.errors.is_empty() {
        assert!(Instant::now() < deadline, "an error event comes in time");
        producer.poll_events(TICK, &mut reports);
    }
    assert!(reports.errors.iter().any(|(code, ..)| *code == ErrorCode::TRANSPORT), "{:?}", reports.errors);
    assert!(reports.errors.iter().all(|(_, _, fatal)| !fatal));
    produce(&producer, "any", 0, 0..10);
    let start = Instant::now();
    drop(producer);
    assert!(start.elapsed() < Duration::from_secs(5), "dropped with messages outstanding: {:?}", start.elapsed());
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("127.0.0.1:1")), "log lines reach the sink");
}

#[test]
fn purged_messages_are_indeterminate() {
    let cluster = cluster_with("purge", 1);
    cluster.set_round_trip(Duration::from_secs(3));
    let producer = producer(&cluster, &[]);
    produce(&producer, "purge", 0, 0..10);
    producer.purge(true);
    let mut reports = Reports::default();
    assert!(producer.drain(SOON, &mut reports));
    assert_eq!(reports.messages.len(), 10);
    assert!(reports.messages.iter().all(|report| report.outcome == Outcome::Indeterminate));
}

#[test]
fn admin_sees_brokers_topics_and_offsets() {
    let cluster = cluster_with("seen", 3);
    let admin = AdminClient::new(&properties_of(&cluster), LogSink::discard()).unwrap();
    let metadata = admin.wait_for_brokers(3, SOON).unwrap();
    assert!(metadata.brokers.iter().map(|broker| broker.id).eq(1..=3));
    let servers: Vec<_> = metadata.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect();
    assert_eq!(servers.join(","), cluster.bootstrap_servers());
    let topic = admin.wait_until_ready("seen", SOON).unwrap();
    assert_eq!((topic.partitions.len(), topic.replication_factor()), (3, 3));
    assert!(topic.partitions.iter().map(|partition| partition.id).eq(0..3));

    let producer = producer(&cluster, &[]);
    produce(&producer, "seen", 1, 0..42);
    assert!(producer.drain(SOON, &mut Reports::default()));
    assert_eq!(admin.watermarks("seen", 1, SOON).unwrap(), (0, 42));
    let offsets = admin.offsets("seen", SOON).unwrap();
    assert!(offsets.iter().map(|found| (found.partition, found.low, found.high)).eq([
        (0, 0, 0),
        (1, 0, 42),
        (2, 0, 0)
    ]));

    let missing = admin.topic("missing", SOON).unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PART));
    let never = admin.wait_for_brokers(4, Duration::from_millis(300)).unwrap_err();
    assert!(never.to_string().contains("fewer than 4 brokers came up within "), "{never}");
    assert!(never.to_string().contains(": 3 brokers; check that all brokers run"), "{never}");
    // The mock answers no DescribeConfigs: an error, not a wait.
    assert!(admin.configs(&ConfigResource::Topic("seen".to_owned()), Duration::from_secs(2)).is_err());
}

#[test]
fn a_reader_reports_what_it_cannot_read() {
    let cluster = cluster_with("short", 1);
    let mut consumer = BatchConsumer::new(&properties_of(&cluster), LogSink::discard()).unwrap();
    assert_eq!(value(consumer.properties_in_effect(), "isolation.level"), Some("read_committed"));
    let missing = consumer.assign("short", 1, StartOffset::Beginning).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read short-1: _UNKNOWN_PARTITION: the topic has 1 "), "{missing}");
    consumer.assign("short", 0, StartOffset::At(1_000)).unwrap();
    let deadline = Instant::now() + SOON;
    let code = 'found: loop {
        assert!(Instant::now() < deadline, "the error comes in time");
        for entry in consumer.poll_batch(TICK).iter() {
            match entry {
                Fetched::Error { code, partition, .. } => {
                    assert_eq!(partition, 0);
                    break 'found code;
                }
                Fetched::Record(_) => panic!("nothing is there to be read"),
                Fetched::End { .. } => {}
            }
        }
    };
    assert_eq!(code.name(), "_AUTO_OFFSET_RESET");
    consumer.unassign("short", 0).unwrap();
    assert!(consumer.poll_batch(TICK).is_empty());
}

#[test]
fn several_readers_in_several_threads_share_nothing() {
    let cluster = cluster_with("shared", 4);
    let producer = producer(&cluster, &[]);
    for partition in 0..4_u64 {
        produce(&producer, "shared", partition as i32, partition * 1_000..(partition + 1) * 1_000);
    }
    assert!(producer.drain(SOON, &mut Reports::default()));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| read_all(&cluster, "shared", 4))).collect();
        for reader in readers {
            let found = reader.join().unwrap();
            assert!(found.into_values().flatten().eq(0..4_000));
        }
    });
}

#[test]
fn the_steps_that_close_a_log() {
    let cluster = cluster_with("closed", 2);
    fence(&properties_of(&cluster), "old", SOON, LogSink::discard()).unwrap();
    let payloads = [b"last of 0".to_vec(), b"last of 1".to_vec()];
    let written = write_last_messages(&properties_of(&cluster), "closed", &payloads, SOON, LogSink::discard()).unwrap();
    assert!(written.iter().map(|last| (last.partition, last.result)).eq([(0, Ok(0)), (1, Ok(0))]));
    // A partition that is not there is told, and the others are written.
    let three = [vec![1], vec![2], vec![3]];
    let written = write_last_messages(&properties_of(&cluster), "closed", &three, SOON, LogSink::discard()).unwrap();
    assert_eq!((written[0].result, written[1].result), (Ok(1), Ok(1)));
    assert_eq!(written[2].result, Err(ErrorCode::UNKNOWN_PARTITION));
}
