//! Tests of what goes wrong within the generator itself.
#![allow(clippy::unwrap_used)]

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use ackmark_client::{ErrorCode, MockCluster, mock::API_PRODUCE};
use ackmark_ledger::{
    Identity, LedgerReader,
    transactions::{self, Kind},
    transactions_file,
};
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    manifest::{MANIFEST_FILE, Manifest},
    profile::Transactions,
    properties::{Origin, Property},
    report::{
        Ending,
        load::{LOAD_FILE, LoadReport},
        timeline::{TIMELINE_FILE, Timeline},
    },
    scenario::{Arrivals, Keys, LogNormalSize, Message, Size},
    text::from_json,
    units::{Bytes, Count, Rate, Span},
};
use tempfile::TempDir;

use crate::{
    payload::{Pool, PoolPlan},
    run::{Line, run_arranged},
    tests,
    values::Values,
};

const PARTITIONS: u32 = 3;
/// Kafka's number of the `EndTxn` request.
const API_END_TXN: i16 = 26;

fn cluster() -> MockCluster {
    let cluster = MockCluster::start(1).unwrap();
    cluster.create_topic("t", PARTITIONS as i32, 1).unwrap();
    cluster
}

/// A load that would go on for minutes.
fn spec(cluster: &MockCluster, profile: &str) -> LoadSpec {
    let servers = cluster.bootstrap_servers().to_owned();
    LoadSpec {
        properties: vec![Property { name: "bootstrap.servers".into(), value: servers, origin: Origin::Flag }],
        partitions: PARTITIONS,
        outstanding: Count(10_000),
        duration: Span(Duration::from_mins(3)),
        drain_timeout: Span(Duration::from_secs(3)),
        ..tests::spec(profile)
    }
}

/// Runs a load with broken parts; its report, which is the one in the folder.
fn run_broken(spec: &LoadSpec, arrange: impl FnOnce(&mut [Line<'_>])) -> (LoadReport, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let report = run_arranged(spec, folder.path(), &(), &AtomicBool::new(false), arrange).unwrap();
    assert!(start.elapsed() < Duration::from_mins(1), "it ends in time: {:?}", start.elapsed());
    let text = std::fs::read_to_string(folder.path().join(LOAD_FILE)).unwrap();
    assert_eq!(from_json::<LoadReport>(LOAD_FILE, &text).unwrap(), report);
    (report, folder)
}

/// The ledger's counts are the report's: reserved, acknowledged, failed, indeterminate.
fn check_ledger(report: &LoadReport, folder: &TempDir) {
    let text = std::fs::read_to_string(folder.path().join(MANIFEST_FILE)).unwrap();
    let manifest: Manifest = from_json(MANIFEST_FILE, &text).unwrap();
    let counts = LedgerReader::open(folder.path(), &manifest).unwrap().counts();
    let total = report.total;
    assert_eq!(
        (counts.reserved, counts.acknowledged, counts.failed),
        (total.sent, total.acknowledged, total.failed),
        "{counts:?}, {total:?}"
    );
    assert_eq!(total.sent, total.acknowledged + total.failed + total.indeterminate + total.open);
}

fn failed_by_panic(report: &LoadReport, thread: &str) {
    assert_eq!(report.ending, Ending::Failed);
    let error = report.error.as_deref().unwrap();
    assert!(error.starts_with(&format!("{thread} panicked: index out of bounds")), "{error}");
}

fn rate(messages: f64) -> Schedule {
    Schedule::Rate { messages: Rate::per_second(messages).unwrap(), arrivals: Arrivals::Constant }
}

#[test]
fn a_delivery_thread_that_panics_ends_the_run_at_once_and_its_messages_stay_open() {
    let cluster = cluster();
    for (profile, schedule) in [
        ("all-acks", Schedule::Max),
        ("transactional", Schedule::Max),
        ("all-acks", rate(20_000.0)),
        ("transactional", rate(20_000.0)),
    ] {
        let spec = LoadSpec { schedule, producers: 2, ..spec(&cluster, profile) };
        let (report, folder) = run_broken(&spec, |lines| lines[1].1.measured_from = &[]);
        failed_by_panic(&report, "a delivery thread");
        assert!(report.total.open > 0, "{profile}: {:?}", report.total);
        assert!(!report.provocations.counted_to_end, "one of two has no statistics of the end");
        check_ledger(&report, &folder);
    }
}

#[test]
fn a_send_thread_that_panics_ends_the_run_at_once_with_what_was_sent() {
    let cluster = cluster();
    for profile in ["all-acks", "transactional"] {
        let spec = LoadSpec { producers: 2, ..spec(&cluster, profile) };
        let (report, folder) = run_broken(&spec, |lines| lines[1].0.partitions = PARTITIONS + 1);
        failed_by_panic(&report, "a send thread");
        let total = report.total;
        assert!(total.sent > 0 && total.acknowledged == total.sent, "{profile}: {total:?}");
        check_ledger(&report, &folder);
    }
}

#[test]
fn what_is_refused_ends_its_transaction_and_the_other_partitions_go_into_the_next() {
    for schedule in [Schedule::Max, rate(200_000.0)] {
        let cluster = cluster();
        // The first batch fails while the sender waits for room: so the next chunk is refused from its start on.
        cluster.set_round_trip(Duration::from_millis(40));
        cluster.fail_requests(API_PRODUCE, &[ErrorCode::INVALID_RECORD]);
        let mut spec = spec(&cluster, "transactional");
        spec.message = Message { keys: Keys::Uniform(Count(1_000)), ..spec.message };
        (spec.schedule, spec.messages) = (schedule, Some(Count(40_000)));
        spec.profile.transactions =
            Some(Transactions { duration: Some(Span(Duration::from_mins(2))), ..Default::default() });
        let (report, folder) = run_broken(&spec, |lines| {
            // A partition's messages of a chunk are handed over by several calls.
            lines[0].0.values.blocks = None;
            lines[0].0.values.pool.cut(50);
            lines[0].1.layout = lines[0].0.values.pool.layout().clone();
        });
        assert_eq!((report.ending, report.error.as_deref()), (Ending::Completed, None));
        check_ledger(&report, &folder);
        let figures = report.transactions.as_ref().unwrap();
        assert!(figures.aborted > 0 && figures.committed > 0, "{figures:?}");
        let refused: u64 = report.errors.iter().filter(|error| error.name == "_STATE").map(|error| error.count).sum();
        // A third of a chunk of at most 1,000, and more than four standard deviations of 15.
        assert!((1..=figures.aborted * 400).contains(&refused), "{schedule:?}: {refused} in {}", figures.aborted);
        assert_eq!(report.total.sent, 40_000, "none of a chunk vanishes");
    }
}

#[test]
fn messages_that_are_refused_for_their_size_are_in_no_transaction() {
    let cluster = cluster();
    let mut spec = spec(&cluster, "transactional");
    spec.messages = Some(Count(10_000));
    spec.properties.push(Property { name: "message.max.bytes".into(), value: "1000".into(), origin: Origin::Flag });
    let (report, folder) = run_broken(&spec, |lines| {
        let size = LogNormalSize { median: Bytes(500), sigma: 1.0, min: Bytes(60), max: Bytes(3_000) };
        let message = Message { size: Size::LogNormal(size), ..spec.message.clone() };
        let plan = PoolPlan { verified: true, batch_bytes: 1_000_000, spacing_ns: 0, seed: 1 };
        let pool = Pool::build(&message, &plan, PARTITIONS as usize).unwrap();
        lines[0].1.layout = pool.layout().clone();
        lines[0].0.values = Values { pool, blocks: None };
    });
    check_ledger(&report, &folder);
    let (total, figures) = (report.total, report.transactions.unwrap());
    assert_eq!((report.ending, report.error), (Ending::Completed, None));
    // About a quarter is larger than a message may be.
    assert!((1_500..4_000).contains(&total.failed), "{total:?}");
    assert_eq!((total.sent, total.acknowledged), (10_000, 10_000 - total.failed));
    let of_committed = (figures.messages_mean * figures.committed as f64).round() as u64;
    assert_eq!((of_committed, figures.aborted), (total.acknowledged, 0), "{figures:?}");
}

#[test]
fn no_transaction_of_any_producer_lies_across_the_border_when_one_of_them_is_slow() {
    let cluster = cluster();
    // One of the warm-up's commits is put off: its producer comes to the border 100 ms after the others.
    cluster.fail_requests(API_END_TXN, &[ErrorCode::COORDINATOR_LOAD_IN_PROGRESS]);
    let mut spec = spec(&cluster, "transactional");
    // None of them can take all of it before the others have begun.
    cluster.set_round_trip(Duration::from_millis(20));
    (spec.producers, spec.messages, spec.outstanding) = (3, Some(Count(30_000)), Count(1_000));
    spec.warm_up = Span(Duration::from_millis(300));
    spec.profile.transactions =
        Some(Transactions { duration: Some(Span(Duration::from_mins(2))), ..Default::default() });
    let (report, folder) = run_broken(&spec, |_| {});
    assert_eq!((report.ending, report.error.as_deref()), (Ending::Completed, None));
    assert_eq!((report.measured.counts.sent, report.measured.delivered), (30_000, 30_000));

    let text = std::fs::read_to_string(folder.path().join(TIMELINE_FILE)).unwrap();
    let timeline: Timeline = from_json(TIMELINE_FILE, &text).unwrap();
    let begun_ns = timeline.started.as_nanosecond() as u64 + (timeline.measured_from_s * 1e9).round() as u64;
    let mut measured = 0;
    for producer in 0..spec.producers {
        let identity = Identity { run: spec.run, producer, incarnation: 0 };
        let entries = transactions::read(&folder.path().join(transactions_file(producer, 0)), identity).unwrap();
        let times = |kind| entries.iter().filter(move |entry| entry.kind == kind).map(|entry| entry.value);
        for (from_ns, to_ns) in times(Kind::Begin).zip(times(Kind::Committed)) {
            assert!(to_ns <= begun_ns || from_ns >= begun_ns, "{from_ns} to {to_ns} lies across {begun_ns}");
            measured += u64::from(from_ns >= begun_ns);
        }
    }
    assert_eq!(measured, 3, "one of each producer");
}
