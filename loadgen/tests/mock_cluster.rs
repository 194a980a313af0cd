//! Whole loads against librdkafka's mock cluster: what does not depend on a broker's guarantees.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ackmark_client::{
    BatchConsumer, ClientProperties, DeliveryBatch, ErrorCode, EventSink, Fetched, LogSink, MessageBatch, MockCluster,
    RawProducer, StartOffset, fast_read_properties, mock::API_PRODUCE,
};
use ackmark_ledger::{Fate, Identity, LedgerReader, State, StreamLedger, StreamStart, create, states_file};
use ackmark_loadgen::{LATENCY_FILE, LoadError, Progress, Resume, Resumption, Stage, Update, resume, run};
use ackmark_schema::{
    latency::LatencySummary,
    load_spec::{LoadSpec, Schedule},
    manifest::{MANIFEST_FILE, Manifest},
    profile::Transactions,
    properties::{Origin, Property},
    record::{Decoded, Header},
    report::{
        Ending,
        load::{LOAD_FILE, LoadReport, Provocations},
        timeline::{Second, TIMELINE_FILE, Timeline},
    },
    scenario::{Arrivals, Keys, LogNormalSize, Message, Payload, Size},
    text::from_json,
    units::{Bytes, Count, Rate, Span},
};
use tempfile::TempDir;

const TOPIC: &str = "load";
const PARTITIONS: u32 = 3;
/// Kafka's number of the `ListOffsets` request.
const API_LIST_OFFSETS: i16 = 2;
/// Kafka's number of the `EndTxn` request.
const API_END_TXN: i16 = 26;

fn cluster() -> MockCluster {
    let cluster = MockCluster::start(3).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS as i32, 3).unwrap();
    cluster
}

fn property(name: &str, value: &str) -> Property {
    Property { name: name.into(), value: value.into(), origin: Origin::Flag }
}

fn spec(cluster: &MockCluster, profile: &str) -> LoadSpec {
    support::spec(cluster, TOPIC, PARTITIONS, profile)
}

fn rate(messages: f64, arrivals: Arrivals) -> Schedule {
    Schedule::Rate { messages: Rate::per_second(messages).unwrap(), arrivals }
}

/// A load that has run, with its files read back.
struct Loaded {
    report: LoadReport,
    manifest: Manifest,
    timeline: Timeline,
    ledger: LedgerReader,
    folder: TempDir,
}

fn load(spec: &LoadSpec) -> Loaded {
    load_until(spec, &(), &AtomicBool::new(false))
}

fn load_until(spec: &LoadSpec, progress: &dyn Progress, stop: &AtomicBool) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let report = run(spec, folder.path(), progress, stop).unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let manifest: Manifest = from_json(MANIFEST_FILE, &text(MANIFEST_FILE)).unwrap();
    assert_eq!(from_json::<LoadReport>(LOAD_FILE, &text(LOAD_FILE)).unwrap(), report);
    for (name, schema) in [(LOAD_FILE, "load"), (TIMELINE_FILE, "timeline"), (MANIFEST_FILE, "manifest")] {
        let path = format!("{}/../schema/json/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text(name)).unwrap();
        let found = jsonschema::validate(&schema, &document);
        assert!(found.is_ok(), "{name}: {found:?}");
    }
    for left in std::fs::read_dir(folder.path()).unwrap() {
        let name = left.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with('.'), "{name} was left behind");
    }
    let timeline = from_json(TIMELINE_FILE, &text(TIMELINE_FILE)).unwrap();
    let ledger = LedgerReader::open(folder.path(), &manifest).unwrap();
    Loaded { report, manifest, timeline, ledger, folder }
}

impl Loaded {
    /// Messages of the ledger in a state.
    fn in_state(&self, wanted: State) -> u64 {
        let runs = self.ledger.streams().flat_map(StreamLedger::runs);
        runs.filter(|(_, state)| *state == wanted).map(|(range, _)| range.end - range.start).sum()
    }

    /// What holds for every load: report, ledger and timeline tell the same.
    fn check(&self) {
        let total = self.report.total;
        assert_eq!(total.sent, total.acknowledged + total.failed + total.indeterminate + total.open);
        let states = [State::Acknowledged, State::Failed, State::Indeterminate, State::Open];
        let counted = [total.acknowledged, total.failed, total.indeterminate, total.open];
        if self.report.spec.verified {
            assert_eq!(states.map(|state| self.in_state(state)), counted);
        }
        let sum = |of: fn(&Second) -> u64| self.timeline.seconds.iter().map(of).sum::<u64>();
        assert_eq!(sum(|second| second.sent), total.sent);
        assert_eq!(sum(|second| second.errors), self.report.errors.iter().map(|error| error.count).sum::<u64>());
        assert_eq!(sum(|second| second.delivered + second.errors), total.sent - total.open);
        assert_eq!(self.timeline.seconds.last().unwrap().outstanding, total.open);
        let interval_s = if self.report.spec.duration.0 < Duration::from_secs(10) { 0.25 } else { 1.0 };
        for (at, second) in self.timeline.seconds.iter().enumerate() {
            assert!((second.from_s - at as f64 * interval_s).abs() < 1e-9 && second.length_s <= interval_s);
        }
    }

    /// All of `count` was sent and delivered, or a panic that tells what happened instead.
    #[track_caller]
    fn completed(&self, count: u64) {
        self.check();
        let LoadReport { ending, error, total, errors, trouble, transactions, .. } = &self.report;
        assert!(
            (*ending, total.sent, total.failed, total.open) == (Ending::Completed, count, 0, 0) && errors.is_empty(),
            "{ending:?} {error:?}\n{total:?}\n{errors:?}\n{trouble:?}\n{transactions:?}"
        );
    }

    /// The 90th percentiles from the intended time and from the send.
    fn latencies(&self) -> (u64, u64) {
        (p90(self.report.latency_intended.as_ref()), p90(self.report.latency_send.as_ref()))
    }
}

/// A distribution's 90th percentile in microseconds.
fn p90(summary: Option<&LatencySummary>) -> u64 {
    summary.unwrap().at(90.0).unwrap().value_us.unwrap()
}

/// Every message of the topic: its partition, key and header, in order within its partition.
fn read_all(cluster: &MockCluster, count: u64) -> Vec<(u32, Option<Vec<u8>>, Header)> {
    let mut properties = fast_read_properties();
    properties.merge(&ClientProperties::with_bootstrap(cluster.bootstrap_servers(), Origin::Flag));
    let mut consumer = BatchConsumer::new(&properties, LogSink::discard()).unwrap();
    for partition in 0..PARTITIONS as i32 {
        consumer.assign(TOPIC, partition, StartOffset::Beginning).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut found = Vec::new();
    while (found.len() as u64) < count {
        assert!(Instant::now() < deadline, "all messages are read in time: {} of {count}", found.len());
        for entry in consumer.poll_batch(Duration::from_millis(50)).iter() {
            if let Fetched::Record(record) = entry {
                let Decoded::Ours(header) = Header::decode(record.payload().unwrap()) else { panic!("not ours") };
                found.push((record.partition() as u32, record.key().map(<[u8]>::to_vec), header));
            }
        }
    }
    found
}

#[test]
fn as_fast_as_possible_every_message_is_sent_once_and_acknowledged() {
    let cluster = cluster();
    let loaded = load(&LoadSpec { messages: Some(Count(50_000)), ..spec(&cluster, "all-acks") });
    loaded.check();
    let report = &loaded.report;
    assert_eq!((report.ending, report.error.as_deref()), (Ending::Completed, None));
    assert_eq!((report.total.sent, report.total.acknowledged), (50_000, 50_000));
    assert_eq!((report.total.value_bytes, report.measured.delivered), (5_000_000, 50_000));
    assert_eq!(report.measured.counts, report.total);
    assert!(!report.provocations.is_some(), "{:?}", report.provocations);
    assert_eq!(report.provocations.leader_changes, Some(0));
    assert!(report.latency_intended.is_none() && !loaded.folder.path().join(LATENCY_FILE).exists());
    assert!(report.measured.delivered_per_s > 0.0 && report.measured.cpu.total_s() > 0.0);
    assert!((report.measured.delivered_per_s * report.measured.duration_s - 50_000.0).abs() < 1.0);

    let mut next = [0_u64; PARTITIONS as usize];
    for (partition, key, header) in read_all(&cluster, 50_000) {
        assert_eq!((header.run, header.stream, header.transaction, key), (0xace, partition, 0, None));
        assert_eq!(header.sequence, next[partition as usize], "in order, without a gap");
        next[partition as usize] += 1;
    }
    // A turn is about a batch, at most a partition's share of what may be outstanding, in whole runs.
    let turn = loaded.report.spec.outstanding.0 / u64::from(PARTITIONS) + 1_000;
    let (least, most) = (next.iter().min().unwrap(), next.iter().max().unwrap());
    assert!(most - least <= turn, "partitions take turns of at most {turn}: {next:?}");
    assert_eq!(next.iter().sum::<u64>(), 50_000);
    assert_eq!(loaded.manifest.topics[0].start_offsets, [0, 0, 0]);
}

#[test]
fn an_open_loop_sends_every_message_of_its_schedule_and_times_it_from_when_it_was_due() {
    let cluster = cluster();
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let loaded = load(&LoadSpec {
            schedule: rate(4_000.0, arrivals),
            producers: 2,
            warm_up: Span(Duration::from_millis(500)),
            duration: Span(Duration::from_millis(1_500)),
            ..spec(&cluster, "all-acks")
        });
        loaded.check();
        let (total, measured) = (loaded.report.total, loaded.report.measured);
        assert_eq!(total.acknowledged, total.sent);
        match arrivals {
            Arrivals::Constant => assert_eq!((total.sent, measured.counts.sent), (8_000, 6_000)),
            // Four standard deviations.
            Arrivals::Poisson => assert!((total.sent as f64 - 8_000.0).abs() < 4.0 * 8_000_f64.sqrt()),
        }
        assert_eq!(measured.offered_per_s, Some(4_000.0));
        let intended = loaded.report.latency_intended.as_ref().unwrap();
        let send = loaded.report.latency_send.as_ref().unwrap();
        assert_eq!((intended.count, send.count), (measured.counts.sent, measured.counts.sent));
        assert_eq!(loaded.report.generator.schedule_lag.unwrap().count, measured.counts.sent);
        assert!(intended.max_us >= send.max_us && intended.at(50.0).unwrap().value_us.is_some());
        assert!(loaded.timeline.seconds.iter().any(|second| second.p99_us.is_some()));
        assert!((loaded.timeline.measured_from_s - 0.5).abs() < 1e-9);
        let log = std::fs::read_to_string(loaded.folder.path().join(LATENCY_FILE)).unwrap();
        assert!(log.contains("Tag=intended") && log.contains("Tag=send"));
    }
}

#[test]
fn messages_that_go_one_by_one_come_to_every_partition_of_every_topic() {
    let cluster = cluster();
    cluster.create_topic("other", PARTITIONS as i32, 3).unwrap();
    for topics in [&["load", "other"][..], &["load"]] {
        let loaded = load(&LoadSpec {
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            schedule: rate(200.0, Arrivals::Constant),
            messages: Some(Count(120)),
            ..spec(&cluster, "all-acks")
        });
        loaded.completed(120);
        let streams: Vec<u64> = loaded.ledger.streams().map(StreamLedger::end).collect();
        assert_eq!(streams.len(), topics.len() * PARTITIONS as usize);
        // Each has its share; what is late goes together, and may give some a few more.
        let share = 120 / streams.len() as u64;
        assert!(streams.iter().all(|sent| sent.abs_diff(share) <= share / 2), "{streams:?}");
    }
}

#[test]
fn intended_times_in_the_log_are_those_of_the_schedule() {
    let cluster = cluster();
    let messages = 1_000;
    load(&LoadSpec {
        schedule: rate(1_000.0, Arrivals::Constant),
        messages: Some(Count(messages)),
        ..spec(&cluster, "idempotent")
    });
    let mut intended: Vec<u64> = read_all(&cluster, messages).iter().map(|(_, _, header)| header.intended_ns).collect();
    intended.sort_unstable();
    for (at, two) in intended.windows(2).enumerate() {
        assert_eq!(two[1] - two[0], 1_000_000, "message {at}");
    }
}

#[test]
fn latency_counts_from_the_intended_time_when_the_cluster_is_slow() {
    let cluster = cluster();
    cluster.set_round_trip(Duration::from_millis(400));
    let loaded = load(&LoadSpec {
        schedule: rate(2_000.0, Arrivals::Constant),
        duration: Span(Duration::from_secs(1)),
        // A quarter of a second's messages: the open loop has to wait for reports.
        outstanding: Count(500),
        ..spec(&cluster, "all-acks")
    });
    loaded.check();
    assert_eq!(loaded.report.total.acknowledged, 2_000, "none is skipped");
    assert!(loaded.report.generator.queue_full > 0);
    let (intended, send) = loaded.latencies();
    let lag = p90(loaded.report.generator.schedule_lag.as_ref());
    assert!(send >= 400_000, "{send}");
    assert!(intended > send + 200_000, "{intended} {send}");
    assert!(lag < 200_000, "waiting for reports is not the generator's lateness: {lag}");
}

#[test]
fn a_commit_that_takes_long_is_not_the_generators_lateness() {
    let cluster = cluster();
    cluster.set_round_trip(Duration::from_millis(200));
    let mut spec = LoadSpec {
        schedule: rate(2_000.0, Arrivals::Constant),
        duration: Span(Duration::from_secs(3)),
        ..spec(&cluster, "transactional")
    };
    spec.profile.transactions =
        Some(Transactions { duration: Some(Span(Duration::from_millis(500))), ..Default::default() });
    let loaded = load(&spec);
    loaded.completed(6_000);
    let (intended, send) = loaded.latencies();
    // A flush and a commit are a round trip each at least, so more than a third of the messages fall due while they
    // last, and a tenth waits for most of that time. How much more their own sending takes than that of the others
    // depends on how they come into requests, so half a round trip is asked for.
    assert!(intended > send + 100_000, "{intended} {send}");
    let lag = loaded.report.generator.schedule_lag.as_ref();
    assert_eq!(lag.unwrap().count, 6_000);
    assert!(p90(lag) < 100_000, "{lag:?}");
}

#[test]
fn a_generator_that_cannot_keep_its_schedule_says_so() {
    let cluster = cluster();
    let loaded = load(&LoadSpec {
        // Far more per second than it can send, all due within 6 ms, and room for all of it.
        schedule: rate(50_000_000.0, Arrivals::Constant),
        messages: Some(Count(300_000)),
        outstanding: Count(400_000),
        ..spec(&cluster, "all-acks")
    });
    loaded.check();
    let generator = &loaded.report.generator;
    let lag = generator.schedule_lag.as_ref();
    assert_eq!((lag.unwrap().count, generator.queue_full), (300_000, 0));
    assert!(p90(lag) > 20_000, "{lag:?}");
}

#[test]
fn acks_0_acknowledges_nothing_and_is_delivered_all_the_same() {
    let cluster = cluster();
    let loaded = load(&LoadSpec { messages: Some(Count(10_000)), ..spec(&cluster, "at-most-once") });
    loaded.check();
    let total = loaded.report.total;
    assert_eq!((total.sent, total.acknowledged, total.indeterminate), (10_000, 0, 10_000));
    assert_eq!(loaded.report.measured.delivered, 10_000);
    assert!(!loaded.report.latency_is_acknowledgement && loaded.report.errors.is_empty());
}

#[test]
fn transactions_end_by_count_and_by_time_and_hold_every_message() {
    let cluster = cluster();
    let by_count = Transactions { messages: Some(Count(1_500)), ..Default::default() };
    let by_time = Transactions { duration: Some(Span(Duration::from_millis(50))), ..Default::default() };
    for (schedule, bounds) in [
        (Schedule::Max, by_count),
        (Schedule::Max, by_time),
        (rate(3_000.0, Arrivals::Constant), by_count),
        (rate(3_000.0, Arrivals::Constant), by_time),
    ] {
        let mut spec = spec(&cluster, "transactional");
        spec.profile.transactions = Some(bounds);
        spec.messages = Some(Count(4_000));
        spec.schedule = schedule;
        let loaded = load(&spec);
        loaded.check();
        assert_eq!((loaded.report.total.sent, loaded.report.total.acknowledged), (4_000, 4_000));
        assert_eq!(loaded.report.measured.delivered, 4_000);
        let figures = loaded.report.transactions.as_ref().unwrap();
        let found = loaded.ledger.transactions();
        assert_eq!((figures.committed, figures.aborted, figures.indeterminate), (found.len() as u64, 0, 0));
        assert!(found.iter().all(|transaction| transaction.fate == Fate::Committed));
        let members = found.iter().flat_map(|transaction| &transaction.members);
        assert_eq!(members.map(|member| member.sequences.end - member.sequences.start).sum::<u64>(), 4_000);
        assert_eq!((figures.flush.count, figures.commit.count), (figures.committed, figures.committed));
        assert!((figures.messages_mean * figures.committed as f64 - 4_000.0).abs() < 1e-6);
        assert!((0.0..=1.0).contains(&figures.stalled_share));
        if bounds.messages.is_some() {
            assert_eq!(found.len(), 3, "1,500 + 1,500 + 1,000");
        } else if schedule != Schedule::Max {
            // 1.33 s in transactions of at least 50 ms.
            assert!((2..=27).contains(&found.len()), "{}", found.len());
        }
        assert_eq!(loaded.manifest.producers[0].transactional_id.as_deref(), Some("ackmark-00000ace-0"));
    }
}

#[test]
fn a_warm_up_is_sent_and_verified_but_not_measured() {
    let cluster = cluster();
    for profile in ["all-acks", "transactional"] {
        let loaded = load(&LoadSpec {
            warm_up: Span(Duration::from_millis(700)),
            messages: Some(Count(2_000)),
            outstanding: Count(2_000),
            ..spec(&cluster, profile)
        });
        loaded.check();
        let report = &loaded.report;
        assert_eq!((report.measured.counts.sent, report.measured.counts.acknowledged), (2_000, 2_000));
        assert!(report.total.sent > 2_000 && report.total.acknowledged == report.total.sent);
        assert!(loaded.timeline.measured_from_s >= 0.7);
        if profile == "transactional" {
            assert_eq!(report.measured.delivered, 2_000, "no transaction lies across the border");
        }
    }
}

/// Partitions of delivered messages by what was attached to them.
#[derive(Default)]
struct Partitions(BTreeMap<u64, u32>);

impl EventSink for Partitions {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        self.0.extend(batch.iter().map(|message| (message.opaque(), message.partition() as u32)));
    }

    fn error(&mut self, code: ErrorCode, reason: &str, _fatal: bool) {
        panic!("{code}: {reason}");
    }
}

#[test]
fn keys_go_where_librdkafkas_murmur2_partitioner_would_put_them() {
    let cluster = cluster();
    let messages = 3_000;
    let loaded = load(&LoadSpec {
        message: Message { keys: Keys::Uniform(Count(50)), ..spec(&cluster, "all-acks").message },
        messages: Some(Count(messages)),
        ..spec(&cluster, "all-acks")
    });
    loaded.check();
    let mut ours: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let mut next = [0_u64; PARTITIONS as usize];
    for (partition, key, header) in read_all(&cluster, messages) {
        assert_eq!((header.stream, header.sequence), (partition, next[partition as usize]));
        next[partition as usize] += 1;
        assert_eq!(*ours.entry(key.unwrap()).or_insert(partition), partition);
    }
    assert_eq!(ours.len(), 50);

    let mut properties = ClientProperties::with_bootstrap(cluster.bootstrap_servers(), Origin::Flag);
    properties.set("partitioner", "murmur2", Origin::Flag);
    let producer = RawProducer::new(&properties, LogSink::discard()).unwrap();
    let topic = producer.topic(TOPIC).unwrap();
    let mut batch = MessageBatch::new(ours.len());
    for (at, key) in ours.keys().enumerate() {
        batch.push(b"x", Some(key), at as u64);
    }
    // Partition -1: librdkafka chooses.
    assert_eq!(producer.produce_run(&topic, -1, &mut batch).accepted, ours.len());
    let mut theirs = Partitions::default();
    assert!(producer.drain(Duration::from_secs(20), &mut theirs));
    assert_eq!(ours.values().collect::<Vec<_>>(), theirs.0.values().collect::<Vec<_>>());
}

#[test]
fn sizes_of_a_distribution_are_counted_to_the_byte() {
    let cluster = cluster();
    let size = LogNormalSize { median: Bytes(300), sigma: 0.8, min: Bytes(60), max: Bytes(3_000) };
    let loaded = load(&LoadSpec {
        message: Message { size: Size::LogNormal(size), ..spec(&cluster, "all-acks").message },
        messages: Some(Count(5_000)),
        outstanding_bytes: Bytes(200_000),
        ..spec(&cluster, "all-acks")
    });
    loaded.check();
    assert_eq!(loaded.report.total.acknowledged, 5_000);
    // 300 * exp(0.8² / 2), a little less for the clamping.
    let mean = loaded.report.total.value_bytes as f64 / 5_000.0;
    assert!((350.0..470.0).contains(&mean), "{mean}");
}

#[test]
fn without_verification_there_is_no_header_and_no_ledger() {
    let cluster = cluster();
    let loaded = load(&LoadSpec {
        message: Message { size: Size::Fixed(Bytes(10)), ..spec(&cluster, "leader-ack").message },
        messages: Some(Count(20_000)),
        verified: false,
        ..spec(&cluster, "leader-ack")
    });
    loaded.check();
    assert_eq!((loaded.report.total.acknowledged, loaded.report.total.value_bytes), (20_000, 200_000));
    assert!(loaded.manifest.producers[0].incarnations.is_empty());
    for entry in std::fs::read_dir(loaded.folder.path()).unwrap() {
        assert!(!entry.unwrap().file_name().to_string_lossy().contains("ledger"));
    }
}

#[test]
fn what_the_cluster_rejects_is_counted_by_cause_and_marked_in_the_ledger() {
    let cluster = cluster();
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::INVALID_RECORD, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND]);
    let mut spec = spec(&cluster, "all-acks");
    spec.properties.extend([property("retries", "0"), property("batch.num.messages", "100")]);
    let loaded = load(&LoadSpec { messages: Some(Count(5_000)), ..spec });
    loaded.check();
    let report = &loaded.report;
    assert_eq!(report.ending, Ending::Completed);
    assert!(report.total.failed > 0 && report.total.indeterminate > 0, "{:?}", report.total);
    assert_eq!(report.errors.len(), 2, "{:?}", report.errors);
    assert_eq!(report.provocations.produce_errors, report.total.failed + report.total.indeterminate);
    assert_eq!(report.provocations.retransmitted, 0);
    assert_eq!(report.measured.delivered, report.total.acknowledged);
}

#[test]
fn messages_that_are_sent_again_are_a_provocation() {
    let cluster = cluster();
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::REQUEST_TIMED_OUT]);
    let loaded = load(&LoadSpec { messages: Some(Count(5_000)), ..spec(&cluster, "all-acks") });
    loaded.check();
    assert_eq!(loaded.report.total.acknowledged, 5_000);
    assert!(loaded.report.provocations.retransmitted > 0, "{:?}", loaded.report.provocations);
}

#[test]
fn an_aborted_transaction_is_followed_by_another_one_and_known_as_aborted() {
    let cluster = cluster();
    // Fails the first batch for good: its transaction must be aborted.
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::INVALID_RECORD]);
    let mut spec = spec(&cluster, "transactional");
    spec.profile.transactions = Some(Transactions { messages: Some(Count(500)), ..Default::default() });
    let loaded = load(&LoadSpec { messages: Some(Count(3_000)), ..spec });
    loaded.check();
    let figures = loaded.report.transactions.as_ref().unwrap();
    assert_eq!((loaded.report.ending, loaded.report.error.as_deref()), (Ending::Completed, None));
    let fates: Vec<Fate> = loaded.ledger.transactions().iter().map(|transaction| transaction.fate).collect();
    // Each goes to one partition. librdkafka fails the next one of the first partition as well, for
    // "skipped sequence numbers".
    assert_eq!((figures.committed + figures.aborted, figures.indeterminate, fates.len()), (6, 0, 6));
    assert_eq!((fates[0], fates[1], fates[5]), (Fate::Aborted, Fate::Committed, Fate::Committed));
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Committed).count() as u64, figures.committed);
    assert_eq!(loaded.report.measured.delivered, figures.committed * 500, "what was aborted was not delivered");
    assert_eq!(loaded.report.total.acknowledged, figures.committed * 500);
}

#[test]
fn a_fatal_error_ends_it_as_failed_with_what_was_measured() {
    let cluster = cluster();
    cluster.fail_requests(API_END_TXN, &[ErrorCode::INVALID_PRODUCER_EPOCH]);
    let loaded = load(&spec(&cluster, "transactional"));
    loaded.check();
    assert_eq!(loaded.report.ending, Ending::Failed);
    let error = loaded.report.error.as_deref().unwrap();
    assert!(error.contains("FENCED"), "{error}");
    let figures = loaded.report.transactions.as_ref().unwrap();
    assert_eq!((figures.committed, figures.indeterminate), (0, 1));
    assert!(loaded.report.provocations.transaction_errors > 0, "{:?}", loaded.report.provocations);
}

#[test]
fn a_topic_that_is_gone_ends_transactions_too() {
    for schedule in [Schedule::Max, rate(2_000.0, Arrivals::Constant)] {
        let cluster = cluster();
        let is_gone = || cluster.fail_topic(TOPIC, ErrorCode::UNKNOWN_TOPIC_OR_PART).unwrap();
        let progress = OnceMeasuring { then: is_gone, updates: RefCell::default() };
        let mut spec = LoadSpec { schedule, ..spec(&cluster, "transactional") };
        spec.profile.transactions =
            Some(Transactions { duration: Some(Span(Duration::from_millis(100))), ..Default::default() });
        spec.properties.push(property("topic.metadata.refresh.interval.ms", "200"));
        spec.properties.push(property("topic.metadata.propagation.max.ms", "0"));
        let start = Instant::now();
        let loaded = load_until(&spec, &progress, &AtomicBool::new(false));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        loaded.check();
        let (total, error) = (loaded.report.total, loaded.report.error.unwrap());
        assert_eq!(loaded.report.ending, Ending::Failed);
        assert!(error.starts_with("the client refuses messages: _UNKNOWN_"), "{error}");
        assert!(total.failed > 0 && total.acknowledged > 0, "{total:?}");
        let figures = loaded.report.transactions.unwrap();
        assert!(figures.committed > 0 && figures.indeterminate == 0, "{figures:?}");
        let of_committed = (figures.messages_mean * figures.committed as f64).round() as u64;
        assert_eq!(of_committed, loaded.report.measured.delivered, "{figures:?} {total:?}");
    }
}

#[test]
fn a_fatal_error_under_a_flush_ends_it_before_a_commit_is_asked_for() {
    let cluster = cluster();
    // Who sends with an old epoch was fenced.
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::INVALID_PRODUCER_EPOCH]);
    let mut spec = LoadSpec { messages: Some(Count(1_000)), ..spec(&cluster, "transactional") };
    // All of it is sent by the flush.
    spec.properties.push(property("linger.ms", "20000"));
    let start = Instant::now();
    let loaded = load(&spec);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    loaded.check();
    assert_eq!((loaded.report.ending, loaded.report.total.acknowledged), (Ending::Failed, 0));
    let figures = loaded.report.transactions.as_ref().unwrap();
    assert_eq!((figures.committed, figures.aborted, figures.indeterminate), (0, 0, 0));
    let fates: Vec<Fate> = loaded.ledger.transactions().iter().map(|transaction| transaction.fate).collect();
    assert!(!fates.contains(&Fate::Committed) && !fates.contains(&Fate::Unknown), "{fates:?}");
}

#[test]
fn a_commit_that_the_coordinator_puts_off_is_a_provocation_and_nothing_else_is() {
    let cluster = cluster();
    cluster.fail_requests(API_END_TXN, &[ErrorCode::COORDINATOR_LOAD_IN_PROGRESS]);
    let loaded = load(&LoadSpec { messages: Some(Count(1_000)), ..spec(&cluster, "transactional") });
    loaded.check();
    assert_eq!((loaded.report.ending, loaded.report.total.acknowledged), (Ending::Completed, 1_000));
    let provoked = Provocations { transaction_errors: 1, ..Provocations::NONE };
    assert_eq!(loaded.report.provocations, provoked);
}

#[test]
fn what_the_client_finds_out_by_itself_is_no_provocation() {
    let cluster = cluster();
    let silence = || cluster.set_round_trip(Duration::from_mins(1));
    let progress = OnceMeasuring { then: silence, updates: RefCell::default() };
    let mut spec = LoadSpec { schedule: rate(1_000.0, Arrivals::Constant), ..spec(&cluster, "all-acks") };
    // Messages give up before their request does.
    spec.properties.extend([property("message.timeout.ms", "1500"), property("max.in.flight", "1")]);
    spec.duration = Span(Duration::from_secs(4));
    let loaded = load_until(&spec, &progress, &AtomicBool::new(false));
    loaded.check();
    assert!(loaded.report.errors.iter().any(|error| error.name == "_MSG_TIMED_OUT"), "{:?}", loaded.report.errors);
    assert_eq!(loaded.report.provocations.produce_errors, 0, "{:?}", loaded.report.provocations);
}

#[test]
fn what_is_not_delivered_ranks_above_every_latency() {
    let cluster = cluster();
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::INVALID_RECORD]);
    let mut spec = LoadSpec { schedule: rate(10_000.0, Arrivals::Constant), ..spec(&cluster, "all-acks") };
    // A batch of half a second, of which none is delivered.
    spec.properties.extend([property("linger.ms", "500"), property("batch.num.messages", "1000000")]);
    spec.duration = Span(Duration::from_secs(4));
    let loaded = load(&spec);
    loaded.check();
    let (counts, intended) = (loaded.report.measured.counts, loaded.report.latency_intended.unwrap());
    assert!(counts.failed > 0 && counts.acknowledged > counts.failed, "{counts:?}");
    assert_eq!((intended.sent, intended.count), (counts.sent, counts.acknowledged));
    let highest = intended.at(99.9).unwrap();
    assert_eq!(highest.value_us, None, "more than a thousandth was not delivered");
    assert!(intended.why_absent(highest).unwrap().ends_with("% not delivered"));
    assert!(intended.at(50.0).unwrap().value_us.is_some() && intended.largest().is_err());
}

/// Does something once messages are measured.
struct OnceMeasuring<F: Fn()> {
    then: F,
    updates: RefCell<Vec<Update>>,
}

impl<F: Fn()> Progress for OnceMeasuring<F> {
    fn update(&self, update: &Update) {
        if update.stage == Stage::Measuring && update.delivered > 0 {
            (self.then)();
        }
        self.updates.borrow_mut().push(*update);
    }
}

#[test]
fn a_raised_flag_ends_it_with_everything_accounted_for() {
    let cluster = cluster();
    for (profile, schedule) in [
        ("all-acks", Schedule::Max),
        ("transactional", Schedule::Max),
        ("idempotent", rate(1_000.0, Arrivals::Constant)),
    ] {
        let stop = AtomicBool::new(false);
        let progress = OnceMeasuring { then: || stop.store(true, Ordering::Relaxed), updates: RefCell::default() };
        let start = Instant::now();
        let loaded = load_until(&LoadSpec { schedule, ..spec(&cluster, profile) }, &progress, &stop);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        loaded.check();
        assert_eq!(loaded.report.ending, Ending::Interrupted);
        assert_eq!(loaded.report.total.acknowledged, loaded.report.total.sent);
        assert!(loaded.report.measured.delivered > 0);
        let updates = progress.updates.borrow();
        assert!(updates.windows(2).all(|two| two[1].elapsed >= two[0].elapsed + Duration::from_millis(250)));
    }
}

#[test]
fn what_is_not_answered_by_the_end_of_the_drain_stays_open() {
    /// Silences the brokers, and ends the load when messages wait for them.
    struct Silence<'a>(&'a MockCluster, AtomicBool, AtomicBool);
    impl Progress for Silence<'_> {
        fn update(&self, update: &Update) {
            if self.1.load(Ordering::Relaxed) && update.outstanding > 0 {
                self.2.store(true, Ordering::Relaxed);
            } else if update.delivered > 0 && !self.1.swap(true, Ordering::Relaxed) {
                self.0.set_round_trip(Duration::from_mins(1));
            }
        }
    }
    let cluster = cluster();
    let progress = Silence(&cluster, AtomicBool::new(false), AtomicBool::new(false));
    let mut spec = LoadSpec { schedule: rate(20_000.0, Arrivals::Constant), ..spec(&cluster, "all-acks") };
    spec.drain_timeout = Span(Duration::from_secs(1));
    let start = Instant::now();
    let loaded = load_until(&spec, &progress, &progress.2);
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    loaded.check();
    let total = loaded.report.total;
    assert!(total.open > 0 && total.acknowledged > 0 && total.failed == 0, "{total:?}");
    assert_eq!(loaded.report.ending, Ending::Interrupted);
}

#[test]
fn leaders_that_do_not_know_of_a_fresh_topic_yet_are_asked_again() {
    let cluster = cluster();
    cluster.fail_requests(API_LIST_OFFSETS, &[ErrorCode::NOT_LEADER_FOR_PARTITION; 6]);
    let loaded = load(&LoadSpec { messages: Some(Count(100)), ..spec(&cluster, "all-acks") });
    loaded.check();
    assert_eq!(loaded.report.total.acknowledged, 100);
}

fn refused(spec: &LoadSpec) -> LoadError {
    let folder = tempfile::tempdir().unwrap();
    run(spec, folder.path(), &(), &AtomicBool::new(false)).unwrap_err()
}

#[test]
fn what_cannot_work_is_refused_before_the_first_message_with_its_cure() {
    let cluster = cluster();
    let told = |change: fn(&mut LoadSpec)| {
        let mut spec = spec(&cluster, "all-acks");
        change(&mut spec);
        refused(&spec).to_string()
    };
    assert!(told(|spec| spec.message.size = Size::Fixed(Bytes(20))).contains("48-byte header"));
    assert!(told(|spec| spec.partitions = 7).contains("has 3 partitions, 7 are asked for"));
    assert!(told(|spec| spec.message.size = Size::Fixed(Bytes(1 << 20))).contains("-X message.max.bytes"));
    assert!(told(|spec| spec.properties.push(property("ackss", "1"))).contains("did you mean"));
    assert!(told(|spec| spec.message.payload = Payload::Compressible(50.0)).contains("choose a ratio in between"));
    assert!(told(|spec| spec.message.payload = Payload::Samples("no/such/file".into())).contains("no/such/file"));
    assert!(told(|spec| spec.properties.push(property("acks", "2"))).contains("Kafka knows 0, 1 and all"));
}

#[test]
fn a_folder_that_holds_a_run_or_cannot_be_written_is_refused() {
    let cluster = cluster();
    let spec = LoadSpec { messages: Some(Count(10)), ..spec(&cluster, "all-acks") };
    let loaded = load(&spec);
    let again = run(&spec, loaded.folder.path(), &(), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(again, LoadError::FolderUsed { .. }), "{again}");
    let file = loaded.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = run(&spec, &file.join("below"), &(), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, LoadError::Write { .. }), "{error}");
}

#[test]
fn unreachable_brokers_are_told_in_bounded_time() {
    let cluster = cluster();
    let mut spec = spec(&cluster, "all-acks");
    spec.properties = vec![property("bootstrap.servers", "127.0.0.1:1")];
    let start = Instant::now();
    let error = refused(&spec);
    assert!(matches!(error, LoadError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

/// Messages of each partition that were reserved and of which nothing more is known.
const UNDECIDED: u64 = 2_000;

/// The folder of a load that was killed when it had reserved those.
fn killed(spec: &LoadSpec) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(&LoadSpec { messages: Some(Count(3)), ..spec.clone() }, folder.path(), &(), &AtomicBool::new(false)).unwrap();
    std::fs::remove_file(folder.path().join(states_file(0, 0))).unwrap();
    let identity = Identity { run: spec.run, producer: 0, incarnation: 0 };
    let starts: Vec<_> = (0..PARTITIONS).map(|stream| StreamStart { stream, first_sequence: 0 }).collect();
    let (mut send, _delivery) = create(folder.path(), identity, &starts, &[]).unwrap();
    for slot in 0..PARTITIONS as usize {
        send.reserve(slot, UNDECIDED).unwrap();
    }
    folder
}

/// Sends again what a killed load left, and no more.
fn send_again(folder: &TempDir, progress: &dyn Progress, stop: &AtomicBool) -> LoadReport {
    let (messages, duration) = (Some(Count(0)), Some(Span(Duration::from_millis(1))));
    let how = Resume { messages, duration, ..Resume::default() };
    let resumption = Resumption::open(folder.path(), &how).unwrap();
    assert_eq!(resumption.resends(), 3 * UNDECIDED);
    let start = Instant::now();
    let report = resume(resumption, progress, stop).unwrap();
    assert!(start.elapsed() < Duration::from_secs(40), "it ends in time: {:?}", start.elapsed());
    report
}

/// What brokers that do not take messages answer: the client tries again until a message is five minutes old.
fn refuse_messages(cluster: &MockCluster) {
    cluster.fail_requests(API_PRODUCE, &[ErrorCode::NOT_LEADER_FOR_PARTITION; 2_000]);
}

#[test]
fn what_is_sent_again_takes_the_time_that_it_needs() {
    let cluster = cluster();
    let (outstanding, drain_timeout) = (Count(250), Span(Duration::from_secs(3)));
    let folder = killed(&LoadSpec { outstanding, drain_timeout, ..spec(&cluster, "all-acks") });
    // 24 round trips and more, while run and end are to last for hardly more than three seconds.
    cluster.set_round_trip(Duration::from_millis(200));
    let start = Instant::now();
    let report = send_again(&folder, &(), &AtomicBool::new(false));
    assert!(start.elapsed() > Duration::from_millis(4_400), "{:?}", start.elapsed());
    assert_eq!((report.ending, report.error.as_deref()), (Ending::Completed, None));
    assert_eq!((report.resent.sent, report.resent.acknowledged), (3 * UNDECIDED, 3 * UNDECIDED));
}

#[test]
fn sending_again_is_given_up_when_nothing_is_reported() {
    let cluster = cluster();
    // First more than may be outstanding, then less: what is handed over is waited for too.
    for (outstanding, sent, why) in [
        (1_000, 1_000, "then nothing was reported for 2.005s"),
        (20_000, 6_000, "6000 of them were not reported within 2s"),
    ] {
        let (outstanding, drain_timeout) = (Count(outstanding), Span(Duration::from_secs(2)));
        let folder = killed(&LoadSpec { outstanding, drain_timeout, ..spec(&cluster, "all-acks") });
        refuse_messages(&cluster);
        let report = send_again(&folder, &(), &AtomicBool::new(false));
        assert_eq!((report.ending, report.resent.sent, report.resent.open), (Ending::Failed, sent, sent));
        let error = report.error.unwrap();
        assert!(error.starts_with(&format!("{sent} of 6000 messages were sent again, ")), "{error}");
        assert!(error.contains(why) && error.contains("go on with the run once more"), "{error}");
    }
}

#[test]
fn a_load_that_ends_by_a_count_is_given_up_when_nothing_is_reported() {
    let cluster = cluster();
    refuse_messages(&cluster);
    for schedule in [Schedule::Max, rate(20_000.0, Arrivals::Constant)] {
        let mut spec = LoadSpec { schedule, messages: Some(Count(5_000)), ..spec(&cluster, "all-acks") };
        (spec.outstanding, spec.drain_timeout) = (Count(1_000), Span(Duration::from_secs(2)));
        spec.duration = Span(Duration::from_hours(1));
        let start = Instant::now();
        let loaded = load(&spec);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        loaded.check();
        let (total, error) = (loaded.report.total, loaded.report.error.unwrap());
        assert_eq!((loaded.report.ending, total.sent, total.open), (Ending::Failed, 1_000, 1_000));
        assert!(error.starts_with("1000 messages were sent, then nothing was reported for 2.005s: "), "{error}");
    }
}

#[test]
fn sending_again_that_is_interrupted_is_no_failure() {
    struct Interrupts(AtomicBool);
    impl Progress for Interrupts {
        fn update(&self, update: &Update) {
            if update.outstanding >= 1_000 {
                self.0.store(true, Ordering::Relaxed);
            }
        }
    }
    let cluster = cluster();
    let (outstanding, drain_timeout) = (Count(1_000), Span(Duration::from_secs(2)));
    let folder = killed(&LoadSpec { outstanding, drain_timeout, ..spec(&cluster, "all-acks") });
    refuse_messages(&cluster);
    let interrupts = Interrupts(AtomicBool::new(false));
    let report = send_again(&folder, &interrupts, &interrupts.0);
    assert_eq!((report.ending, report.error.as_deref()), (Ending::Interrupted, None));
    assert_eq!((report.resent.sent, report.resent.open), (1_000, 1_000));
}
