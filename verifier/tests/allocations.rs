//! Accounting allocates nothing per message, and reading no more for many messages than for few.
//!
//! Counts Rust's allocations of the whole process; librdkafka and its mock use C's allocator. One test, so that nothing
//! else is counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ackmark_client::{
    ClientProperties, DeliveryBatch, ErrorCode, EventSink, LogSink, MessageBatch, MockCluster, RawProducer,
};
use ackmark_ledger::{ReservedMarks, State};
use ackmark_schema::{properties::Origin, report::verify::Isolation};
use ackmark_verifier::{
    accounting::{Eye, PartitionAccount},
    observation::{Observation, Record},
    reader::{Limits, ScanPlan, ScanState, Target, scan},
};
use support::{TOPIC, World, header, value};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let done = work();
    (ALLOCATIONS.load(Ordering::Relaxed) - before, done)
}

struct Nothing;

impl EventSink for Nothing {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        assert!(batch.iter().all(|message| message.error_code().is_none()));
    }

    fn error(&mut self, code: ErrorCode, reason: &str, _fatal: bool) {
        panic!("{code}: {reason}");
    }
}

fn account(world: &World) -> PartitionAccount {
    let marks = Arc::new(ReservedMarks::open(world.folder.path(), &world.manifest).unwrap());
    PartitionAccount::new(&world.manifest, 0, 0, 0, marks, Eye::Application)
}

/// Two producers' messages in turn, in order.
fn values(each: u64) -> Vec<Vec<u8>> {
    (0..each).flat_map(|sequence| (0..2).map(move |stream| value(&header(stream, sequence, 0)))).collect()
}

fn accounting(values: &[Vec<u8>], world: &World) {
    let records: Vec<_> = (0..).zip(values).map(|(offset, value)| Record { offset, value: Some(value) }).collect();
    let mut account = account(world);
    let (first, rest) = records.split_at(2);
    account.observe(&Observation::Records(first), &mut ());
    let (count, ()) = allocations(|| {
        rest.chunks(1_000).for_each(|slice| account.observe(&Observation::Records(slice), &mut ()));
    });
    assert_eq!(account.totals().messages, values.len() as u64);
    assert_eq!(count, 0, "in order");

    // The first message of each hundred comes as the last one: a gap is kept and filled.
    let mut displaced = records.clone();
    displaced.chunks_exact_mut(100).for_each(|hundred| hundred.rotate_left(1));
    let displaced: Vec<_> =
        (0..).zip(&displaced).map(|(offset, record)| Record { offset, value: record.value }).collect();
    let mut account = self::account(world);
    let (count, ()) = allocations(|| account.observe(&Observation::Records(&displaced), &mut ()));
    let reordered = account.tallies().reordered.count();
    assert_eq!(reordered, values.len() as u64 / 100);
    assert!(count <= reordered + 100, "{count} allocations for {reordered} gaps of {} messages", values.len());
}

/// Allocations of a scan by librdkafka's consumer of so many messages.
fn reading(values: &[Vec<u8>], world: &World) -> u64 {
    let mock = MockCluster::start(1).unwrap();
    mock.create_topic(TOPIC, 1, 1).unwrap();
    let connection = ClientProperties::with_bootstrap(mock.bootstrap_servers(), Origin::Flag);
    let producer = RawProducer::new(&connection, LogSink::discard()).unwrap();
    let topic = producer.topic(TOPIC).unwrap();
    let mut batch = MessageBatch::new(values.len());
    for value in values {
        batch.push(value, None, 0);
    }
    assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, values.len());
    assert!(producer.drain(Duration::from_secs(20), &mut Nothing));
    let targets = [Target { topic: 0, partition: 0, start: 0, log_start: 0 }];
    let marks = Arc::new(ReservedMarks::open(world.folder.path(), &world.manifest).unwrap());
    let patience = Duration::from_secs(20);
    let plan = ScanPlan {
        connection: &connection,
        isolation: Isolation::ReadUncommitted,
        live: false,
        threads: 1,
        manifest: &world.manifest,
        marks: &marks,
        targets: &targets,
        digest: false,
        limits: Limits { no_progress: patience, idle: patience, deadline: patience },
    };
    let state = ScanState::default();
    assert!(state.ends.set(vec![values.len() as i64]).is_ok());
    let (count, outcome) = allocations(|| scan(&plan, &state, &AtomicBool::new(false), || {}));
    let accounts = outcome.unwrap().accounts;
    assert_eq!(accounts.incomplete, None);
    assert_eq!(accounts.partitions[0].totals().messages, values.len() as u64);
    count
}

#[test]
fn nothing_is_allocated_per_message() {
    const EACH: u64 = 25_000;
    let mut world = World::new(2, 1, false);
    for producer in 0..2 {
        world.send(producer, 0, &vec![State::Acknowledged; EACH as usize]);
    }
    let many = values(EACH);
    accounting(&many, &world);
    let (few, all) = (reading(&many[..1_000], &world), reading(&many, &world));
    // Batches of up to 10,000 records, looks at the clock: not messages.
    assert!(all < few + EACH / 50, "{few} allocations to read 1,000 messages, {all} for {}", many.len());
}
