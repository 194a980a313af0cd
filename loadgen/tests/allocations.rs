//! The hot path allocates nothing per message: a run of many messages allocates no more than one of few.
//!
//! Counts Rust's allocations of the whole process; librdkafka and its mock use C's allocator.
#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use ackmark_client::MockCluster;
use ackmark_loadgen::run;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    profile,
    properties::{Origin, Property},
    scenario::{Arrivals, Keys, Message, Payload, Size},
    units::{Bytes, Count, Rate, Span},
    version::SchemaId,
};

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

/// Allocations of a run of so many messages.
fn allocations(schedule: Schedule, keys: Keys, messages: u64) -> u64 {
    let cluster = MockCluster::start(1).unwrap();
    cluster.create_topic("t", 4, 1).unwrap();
    let servers = cluster.bootstrap_servers().to_owned();
    let spec = LoadSpec {
        schema: SchemaId::default(),
        run: 1,
        profile: profile::built_in().into_iter().find(|known| known.name == "all-acks").unwrap(),
        properties: vec![Property { name: "bootstrap.servers".into(), value: servers, origin: Origin::Flag }],
        topic: "t".into(),
        partitions: 4,
        message: Message { size: Size::Fixed(Bytes(100)), payload: Payload::Random, keys },
        producers: 1,
        outstanding: Count(20_000),
        outstanding_bytes: Bytes(64 << 20),
        schedule,
        warm_up: Span(Duration::ZERO),
        duration: Span(Duration::from_mins(1)),
        messages: Some(Count(messages)),
        drain_timeout: Span(Duration::from_secs(20)),
        seed: 1,
        verified: true,
        simulated: true,
    };
    let folder = tempfile::tempdir().unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let report = run(&spec, folder.path(), &(), &AtomicBool::new(false)).unwrap();
    assert_eq!(report.total.acknowledged, messages);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn a_run_of_many_messages_allocates_no_more_than_one_of_few() {
    let rate = Schedule::Rate { messages: Rate::per_second(100_000.0).unwrap(), arrivals: Arrivals::Poisson };
    for (schedule, keys) in [(Schedule::Max, Keys::None), (Schedule::Max, Keys::Uniform(Count(99))), (rate, Keys::None)]
    {
        let (few, many) = (allocations(schedule, keys, 10_000), allocations(schedule, keys, 210_000));
        // Seconds, statistics and ledger pages allocate: some hundred times per second, not per message.
        assert!(many < few + 4_000, "{schedule:?}, {keys:?}: {few} allocations for 10k, {many} for 210k messages");
    }
}
