//! Accounting allocates nothing per message, and reading no more for many messages than for few.
//!
//! Counts Rust's allocations of the whole process; librdkafka and its mock use C's allocator. One test, so that nothing
//! else is counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{
    alloc::System,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use ackmark_client::{
    ClientProperties, DeliveryBatch, ErrorCode, EventSink, LogSink, MessageBatch, MockCluster, RawProducer,
};
use ackmark_ledger::{ReservedMarks, State};
use ackmark_schema::{properties::Origin, report::verify::Isolation};
use ackmark_verifier::{
    accounting::{Eye, PartitionAccount},
    log_reader::LogVisitor,
    observation::{Observation, Record},
    reader::{Limits, ScanPlan, ScanState, Target, scan},
};
use ackmark_wire::{batch::Batches, codec::Decompressor, scan::Visitor as _};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{TOPIC, World, bytes, header, plain, value};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let region = Region::new(ALLOCATOR);
    let done = work();
    let made = region.change();
    ((made.allocations + made.reallocations) as u64, done)
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

/// What the log reader does with the bytes that a broker answers with.
fn judging(values: &[Vec<u8>], world: &World) {
    let values: Vec<_> = values.iter().cloned().map(Some).collect();
    let batches = (0..).zip(values.chunks(1_000));
    let log: Vec<u8> = batches.flat_map(|(n, slice)| bytes::batch(&plain(), 1_000 * n, slice)).collect();
    let end = values.len() as i64;
    let marks = Arc::new(ReservedMarks::open(world.folder.path(), &world.manifest).unwrap());
    let target = Target { topic: 0, partition: 0, start: 0, log_start: 0 };
    let mut visitor = LogVisitor::new(&world.manifest, &target, &marks, end);
    let mut decompressor = Decompressor::new();
    // The first batch tells where the messages of its streams come from, which is kept.
    let mut batches = Batches::fetched_at(&log, 0);
    visitor.batch(&batches.next().unwrap().unwrap(), &mut decompressor).unwrap();
    let (count, ()) = allocations(|| {
        for batch in batches {
            visitor.batch(&batch.unwrap(), &mut decompressor).unwrap();
        }
        visitor.end(end);
    });
    assert_eq!(visitor.into_parts().0.totals().messages, values.len() as u64);
    assert_eq!(count, 0, "in order");
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
    judging(&many, &world);
    let (few, all) = (reading(&many[..1_000], &world), reading(&many, &world));
    // Batches of up to 10,000 records, looks at the clock: not messages.
    assert!(all < few + EACH / 50, "{few} allocations to read 1,000 messages, {all} for {}", many.len());
}
