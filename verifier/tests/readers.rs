//! Two readers of one log: what the log reader makes of the bytes of batches, and what happens when the two differ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use ackmark_ledger::{ReservedMarks, State};
use ackmark_schema::{
    anomaly::{Cause, Class},
    report::verify::{CauseCount, Isolation, LogFacts},
};
use ackmark_verifier::{
    accounting::{Eye, PartitionAccount},
    compare::compare,
    evidence::{Look, ScanAccounts},
    log_reader::LogVisitor,
    observation::{Observation, Record},
    reader::Target,
};
use ackmark_wire::{batch::Batches, codec::Decompressor, scan::Visitor};
use support::{World, batch, bytes, count, counts, message};

const N: u64 = 300;
const TARGET: Target = Target { topic: 0, partition: 0, start: 0, log_start: 0 };

type Values = Vec<Option<Vec<u8>>>;

fn world() -> World {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Acknowledged; N as usize]);
    world
}

fn messages(sequences: std::ops::Range<u64>) -> Values {
    sequences.map(|sequence| message(0, sequence, 0)).collect()
}

fn marks(world: &World) -> Arc<ReservedMarks> {
    Arc::new(ReservedMarks::open(world.folder.path(), &world.manifest).unwrap())
}

fn scan_of(account: PartitionAccount, isolation: Isolation) -> ScanAccounts {
    ScanAccounts { isolation, incomplete: None, partitions: vec![account], sightings: None }
}

/// What the log reader's visitor makes of the bytes of a log that begins at offset 0.
fn read_bytes(world: &World, log: &[u8], end: i64) -> ScanAccounts {
    let mut visitor = LogVisitor::new(&world.manifest, &TARGET, &marks(world), end).with_digest();
    let mut decompressor = Decompressor::new();
    for batch in Batches::new(log) {
        visitor.batch(&batch.unwrap(), &mut decompressor).unwrap();
    }
    visitor.end(end);
    let (account, unreadable) = visitor.into_parts();
    assert_eq!(unreadable, None);
    scan_of(account, Isolation::ReadUncommitted)
}

/// What a consumer's account is of records at these offsets.
fn shown(world: &World, records: &[(i64, Option<Vec<u8>>)]) -> ScanAccounts {
    let mut account = PartitionAccount::new(&world.manifest, 0, 0, 0, marks(world), Eye::Application).with_digest();
    for (offset, value) in records {
        account.observe(&Observation::Records(&[Record { offset: *offset, value: value.as_deref() }]), &mut ());
    }
    scan_of(account, Isolation::ReadUncommitted)
}

/// Batches of a hundred, of an idempotent producer, and the offset behind them.
fn sound_log() -> (Vec<u8>, i64) {
    let batches = (0..3u64)
        .flat_map(|n| bytes::batch(&batch(7, 0, 100 * n as i32), 100 * n as i64, &messages(100 * n..100 * n + 100)));
    (batches.collect(), N as i64)
}

#[test]
fn the_visitor_accounts_for_the_bytes_of_a_log() {
    let world = world();
    let (log, end) = sound_log();
    let scan = read_bytes(&world, &log, end);
    assert_eq!(scan.partitions[0].log_facts(), Some(LogFacts { batches: 3, ..LogFacts::default() }));
    assert_eq!((scan.partitions[0].totals().messages, scan.partitions[0].position()), (N, end));
    assert_eq!(counts(&world.weigh(&[scan])), []);
    // Only up to the end that counts.
    let scan = read_bytes(&world, &log, 250);
    assert_eq!(counts(&world.weigh(&[scan])), [(Class::Lost, 50)]);
}

/// No broker can be made to do it: its log is written here.
#[test]
fn a_batch_that_a_broker_stored_twice_is_its_fault() {
    let world = world();
    let (mut log, end) = sound_log();
    // What a broker does that forgot that it had the batch: the same producer id, epoch and sequence at new offsets.
    log.extend(bytes::batch(&batch(7, 0, 100), end, &messages(100..200)));
    let evidence = world.weigh(&[read_bytes(&world, &log, end + 100)]);
    assert_eq!(counts(&evidence), [(Class::DuplicateRetry, 100)]);
    let Look::Counted(tally) = evidence.looks[&Class::DuplicateRetry].clone() else { panic!("not counted") };
    assert_eq!(tally.causes(), [CauseCount { cause: Cause::BrokerFault, count: 100 }]);
}

#[test]
fn a_batch_that_is_missing_is_a_gap_and_its_messages_are_lost() {
    let world = world();
    let (log, end) = sound_log();
    let second = bytes::batch(&batch(7, 0, 0), 0, &messages(0..100)).len();
    let evidence = world.weigh(&[read_bytes(&world, &[&log[..second], &log[2 * second..]].concat(), end)]);
    assert_eq!((count(&evidence, Class::Lost), count(&evidence, Class::OffsetGap)), (100, 100));
}

#[test]
fn what_cannot_be_read_is_no_gap_and_leaves_the_scan_open() {
    let world = world();
    let mut visitor = LogVisitor::new(&world.manifest, &TARGET, &marks(&world), 50);
    visitor.unreadable(10, 20, &std::io::Error::other("wrong checksum"));
    visitor.end(10);
    let (account, unreadable) = visitor.into_parts();
    assert_eq!(unreadable.unwrap(), "offsets 10..20 cannot be read: wrong checksum");
    assert_eq!((account.position(), account.tallies().offset_gap.count()), (20, 10), "what is before it");
}

#[test]
fn where_a_leader_brings_nothing_is_no_gap_and_is_told() {
    let world = world();
    let mut visitor = LogVisitor::new(&world.manifest, &TARGET, &marks(&world), 50);
    visitor.nothing(10, 60);
    visitor.end(50);
    let account = visitor.into_parts().0;
    assert_eq!(account.unproved(), Some(&(10..50)));
    assert_eq!((account.position(), account.tallies().offset_gap.count()), (50, 10), "what is before it");
}

#[test]
fn what_retention_takes_meanwhile_is_no_gap() {
    let world = world();
    let mut visitor = LogVisitor::new(&world.manifest, &TARGET, &marks(&world), N as i64);
    visitor.log_start(100);
    let (log, end) = sound_log();
    let mut decompressor = Decompressor::new();
    for batch in Batches::new(&log).skip(1) {
        visitor.batch(&batch.unwrap(), &mut decompressor).unwrap();
    }
    visitor.end(end);
    let account = visitor.into_parts().0;
    assert_eq!((account.log_start(), account.tallies().offset_gap.count()), (Some(100), 0));
}

// Comparison.

fn records() -> Vec<(i64, Option<Vec<u8>>)> {
    (0..).zip(messages(0..N)).collect()
}

#[test]
fn readers_of_one_log_agree() {
    let world = world();
    let (log, end) = sound_log();
    let comparison = compare(&read_bytes(&world, &log, end), &[shown(&world, &records())], None);
    assert_eq!((comparison.records, comparison.partitions), (N, 1));
    assert_eq!((comparison.difference, comparison.incomplete_reason), (None, None));
}

/// Offsets and values that a reader was shown.
type Shown = Vec<(i64, Option<Vec<u8>>)>;

#[test]
fn readers_that_differ_are_told_where() {
    let world = world();
    let (log, end) = sound_log();
    let changes: [fn(&mut Shown); 7] = [
        |records| records[17].1 = message(0, 18, 0),
        |records| *records[17].1.as_mut().unwrap().last_mut().unwrap() ^= 1,
        |records| records[17].1 = None,
        |records| drop(records.remove(299)),
        |records| records.push((300, message(0, 299, 0))),
        |records| records[17].0 = 300,
        |records| {
            let (a, b) = (records[4].1.clone(), records[5].1.clone());
            (records[4].1, records[5].1) = (b, a);
        },
    ];
    for change in changes {
        let mut changed = records();
        change(&mut changed);
        let comparison = compare(&read_bytes(&world, &log, end), &[shown(&world, &changed)], None);
        let difference = comparison.difference.unwrap();
        let expected = "in t-0, first in offsets 0..1024: the log reader was shown 300 records";
        assert!(difference.starts_with(expected), "{difference}");
    }
    let mut late = records();
    late.extend([(5_000, None)]);
    let difference = compare(&read_bytes(&world, &log, end), &[shown(&world, &late)], None).difference.unwrap();
    assert!(difference.contains("t-0, first in offsets 4096..5120: "), "{difference}");
    assert!(difference.contains("the consumer 301 records"), "{difference}");
}

#[test]
fn what_was_not_read_to_its_end_is_not_compared() {
    let world = world();
    let (log, end) = sound_log();
    let (by_log, mut part) = (read_bytes(&world, &log, end), shown(&world, &records()[..10]));
    part.incomplete = Some("interrupted".into());
    let comparison = compare(&by_log, &[part], None);
    assert_eq!((comparison.difference, comparison.incomplete_reason.as_deref()), (None, Some("interrupted")));
    let comparison = compare(&by_log, &[shown(&world, &records())], Some("it moved".into()));
    assert_eq!(comparison.incomplete_reason.as_deref(), Some("it moved"));
}
