//! The hot path allocates nothing per message: a run of many messages allocates no more than one of few.
//!
//! Counts Rust's allocations of the whole process; librdkafka and its mock use C's allocator.
#![allow(clippy::unwrap_used)]

mod support;

use std::{alloc::System, sync::atomic::AtomicBool, time::Duration};

use ackmark_client::MockCluster;
use ackmark_loadgen::run;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    scenario::{Arrivals, Keys, Message},
    units::{Count, Rate, Span},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations of a run of so many messages.
fn allocations(schedule: Schedule, keys: Keys, messages: u64) -> u64 {
    let cluster = MockCluster::start(1).unwrap();
    cluster.create_topic("t", 4, 1).unwrap();
    let base = support::spec(&cluster, "t", 4, "all-acks");
    let spec = LoadSpec {
        message: Message { keys, ..base.message },
        schedule,
        duration: Span(Duration::from_mins(1)),
        messages: Some(Count(messages)),
        ..base
    };
    let folder = tempfile::tempdir().unwrap();
    let region = Region::new(ALLOCATOR);
    let report = run(&spec, folder.path(), &(), &AtomicBool::new(false)).unwrap();
    assert_eq!(report.total.acknowledged, messages);
    let made = region.change();
    (made.allocations + made.reallocations) as u64
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
