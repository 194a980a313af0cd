//! The log reader while brokers stop answering: each record is still read once. On a cluster of its own, since a
//! broker that is gone would disturb the other tests.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientProperties, LogSink, admin::PartitionMetadata};
use ackmark_cluster::{Local, LocalOptions, Settings};
use ackmark_schema::properties::Origin;
use ackmark_wire::{
    batch::{Batch, BatchError},
    codec::Decompressor,
    config::WireConfig,
    metadata::{Directory, OffsetSpec},
    patience::Patience,
    scan::{Limits, Outcome, ScanPlan, Scanned, Target, Visitor, scan},
};
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::common;

const PARTITIONS: i32 = 6;
const MESSAGES: i64 = 300_000;
const TOPIC: &str = "faults";
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("log_reader::brokers_that_freeze_and_die_under_a_scan_cost_no_record", || {
        brokers_that_freeze_and_die();
        Ok(())
    })]
}

/// Counts records, and that each follows the one before it.
struct Dense {
    next: i64,
    faulted: Arc<AtomicBool>,
    unreadable: Vec<String>,
}

impl Visitor for Dense {
    fn log_start(&mut self, _offset: i64) {}

    fn last_stable(&mut self, _offset: i64) {}

    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        for record in batch.records(decompressor)? {
            let offset = record?.offset;
            assert_eq!(offset, self.next, "a record is missing, or comes twice");
            self.next += 1;
        }
        // Until the fault is there no partition goes beyond its first batch.
        let begun = Instant::now();
        while !self.faulted.load(Ordering::Relaxed) {
            assert!(begun.elapsed() < PATIENCE, "the fault does not come");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn unreadable(&mut self, from: i64, end: i64, error: &(dyn Error + 'static)) {
        self.unreadable.push(format!("{from}..{end}: {error}"));
    }

    fn nothing(&mut self, from: i64, end: i64) {
        self.unreadable.push(format!("{from}..{end}: nothing came"));
    }

    fn end(&mut self, _offset: i64) {}
}

/// Scans the topic; `fault` runs once, when reading has begun.
fn scan_under(config: &WireConfig, ends: &BTreeMap<i32, i64>, fault: impl FnOnce()) -> Vec<Scanned<Dense>> {
    let faulted = Arc::new(AtomicBool::new(false));
    let targets = ends.iter().map(|(&partition, &end)| {
        let dense = Dense { next: 0, faulted: Arc::clone(&faulted), unreadable: Vec::new() };
        (Target { topic: TOPIC.to_owned(), partition, start: 0, end }, dense)
    });
    let limits = Limits { no_progress: PATIENCE, silence: Duration::from_secs(2), deadline: 2 * PATIENCE };
    let mut plan = ScanPlan { limits, ..ScanPlan::new(config) };
    // Many fetches, so that the fault is in the middle of them.
    plan.sizes.partition_max_bytes = 64 * 1024;
    let mut fault = Some(fault);
    scan(&plan, targets.collect(), &AtomicBool::new(false), |progress| {
        if progress.elapsed > Duration::from_millis(200)
            && let Some(fault) = fault.take()
        {
            fault();
            faulted.store(true, Ordering::Relaxed);
        }
    })
    .unwrap()
}

fn assert_all_read(scanned: &[Scanned<Dense>]) {
    for one in scanned {
        assert_eq!(one.outcome, Outcome::Complete, "partition {}", one.target.partition);
        assert_eq!(one.visitor.next, one.target.end, "partition {}", one.target.partition);
        assert!(one.visitor.unreadable.is_empty(), "{:?}", one.visitor.unreadable);
    }
    assert_eq!(scanned.iter().map(|one| one.visitor.next).sum::<i64>(), MESSAGES);
}

fn brokers_that_freeze_and_die() {
    let options = LocalOptions { settings: Settings::Fault, ..LocalOptions::default() };
    let local = Local::start(&options, &|_| {}).unwrap_or_else(|error| panic!("{error}"));
    let servers = local.bootstrap_servers();
    let folder = tempfile::tempdir().unwrap();
    let (partitions, messages) = (PARTITIONS.to_string(), MESSAGES.to_string());
    let load = ["load", "--yes", "--topic", TOPIC, "--create-topic", &partitions, "--messages", &messages];
    let rest = ["--size", "100B", "--unverified", "--out", "load", "--no-seal", "--progress", "none", "-b", &servers];
    common::run(folder.path(), &[&load[..], &rest].concat()).exits(0);

    let config = WireConfig::from_properties([("bootstrap.servers", servers.as_str())]).unwrap();
    let stop = AtomicBool::new(false);
    let patience = Patience::new(&stop, PATIENCE);
    let partitions: Vec<_> = (0..PARTITIONS).collect();
    let ends = Directory::new(&config).offsets(TOPIC, &partitions, OffsetSpec::Latest, &patience).unwrap();
    assert_eq!(ends.len() as i32, PARTITIONS);
    let signal = |broker: usize, signal| {
        let pid = local.brokers()[broker].pid;
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    };

    assert_all_read(&scan_under(&config, &ends, || ()));
    assert_all_read(&scan_under(&config, &ends, || signal(1, Signal::STOP)));
    signal(1, Signal::CONT);
    // It must be back before the next one goes, or a partition may be left without a replica in sync.
    let begun = Instant::now();
    let properties = ClientProperties::with_bootstrap(&servers, Origin::Flag);
    let admin = AdminClient::new(&properties, LogSink::discard()).unwrap();
    while !admin.topic(TOPIC, PATIENCE).unwrap().partitions.iter().all(PartitionMetadata::is_ready) {
        assert!(begun.elapsed() < PATIENCE, "the broker that was frozen does not come back");
        thread::sleep(Duration::from_millis(100));
    }
    assert_all_read(&scan_under(&config, &ends, || signal(2, Signal::KILL)));
}
