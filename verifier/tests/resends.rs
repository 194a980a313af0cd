//! Messages that a second life of their producer sent again: each attempt is weighed by what is known of it.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that cannot go on fails; the support is shared")]

mod support;

use ackmark_ledger::{DeliveryLedger, Identity, Resend, SendLedger, State, StreamStart, TransactionLog, create};
use ackmark_schema::{anomaly::Class, record::Header, report::verify::Isolation};
use support::{RUN, World, counts, header, value};

type Log = Vec<Option<Vec<u8>>>;

const SECOND: Identity = Identity { run: RUN, producer: 0, incarnation: 1 };

/// A second life of the only producer of a world with one stream, which sends ranges again.
fn second_life(world: &mut World, first_sequence: u64, resends: &[(u64, u64)]) -> (SendLedger, DeliveryLedger) {
    world.end();
    world.manifest.producers[0].incarnations.push(1);
    let resends: Vec<_> =
        resends.iter().map(|(from, end)| Resend { slot: 0, sequences: *from..*end, attempt: 1 }).collect();
    create(world.folder.path(), SECOND, &[StreamStart { stream: 0, first_sequence }], &resends).unwrap()
}

/// A message of the first life.
#[expect(clippy::unnecessary_wraps, reason = "records of a log are values or none")]
fn first(sequence: u64) -> Option<Vec<u8>> {
    Some(value(&header(0, sequence, 0)))
}

/// A message that the second life sent again.
#[expect(clippy::unnecessary_wraps, reason = "records of a log are values or none")]
fn again(sequence: u64) -> Option<Vec<u8>> {
    Some(value(&Header { incarnation: 1, ..header(0, sequence, 1) }))
}

fn found(world: &World, log: Log) -> Vec<(Class, u64)> {
    counts(&world.weigh(&[world.scan(Isolation::ReadUncommitted, &[log])]))
}

/// What the first life left open of four messages, 1 and 3, was sent again; this became of it.
fn sent_again(states: [State; 2]) -> World {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Acknowledged, State::Open, State::Failed, State::Indeterminate]);
    let (mut send, mut delivery) = second_life(&mut world, 4, &[(1, 2), (3, 4)]);
    for (sequence, state) in [(1, states[0]), (3, states[1])] {
        send.resend(0, 1).unwrap();
        delivery.mark(0, sequence, 1, state).unwrap();
    }
    world
}

#[test]
fn it_is_lost_when_any_attempt_was_acknowledged_and_none_is_there() {
    let world = sent_again([State::Acknowledged; 2]);
    assert_eq!(found(&world, vec![first(0), again(1), again(3)]), []);
    assert_eq!(found(&world, vec![first(0), first(1), again(3)]), [], "one attempt is enough");
    assert_eq!(found(&world, vec![first(0), again(1)]), [(Class::Lost, 1)]);
    assert_eq!(found(&world, vec![first(0)]), [(Class::Lost, 2)]);
    let twice = vec![first(0), first(1), again(1), again(3)];
    assert_eq!(found(&world, twice), [(Class::DuplicateResend, 1)]);
    let world = sent_again([State::Open, State::Failed]);
    assert_eq!(found(&world, vec![first(0)]), [(Class::AbsentWhenClosed, 2)], "the first attempt may still be it");
}

#[test]
fn an_attempt_that_failed_may_be_there_by_another_one() {
    let world = sent_again([State::Failed, State::Acknowledged]);
    assert_eq!(found(&world, vec![first(0), first(1), again(3)]), []);
    assert_eq!(found(&world, vec![first(0), again(1), again(3)]), [(Class::FailedVisible, 1)]);
    assert_eq!(found(&world, vec![first(0), first(1), again(1), again(3)]).len(), 2, "a duplicate too");
}

/// Four messages of a transaction that died, sent again in one that was committed.
fn committed_again() -> World {
    let mut world = World::new(1, 1, true);
    let log = world.senders[0].transactions.as_mut().unwrap();
    log.begin(1, 0).unwrap();
    log.member(0, 0).unwrap();
    world.send(0, 0, &[State::Acknowledged; 4]);
    let (mut send, mut delivery) = second_life(&mut world, 4, &[(0, 4)]);
    let mut log = TransactionLog::create(world.folder.path(), SECOND).unwrap();
    log.begin(2, 0).unwrap();
    log.member(0, 0).unwrap();
    send.resend(0, 4).unwrap();
    delivery.mark(0, 0, 4, State::Acknowledged).unwrap();
    log.intent_commit(0).unwrap();
    log.committed(0).unwrap();
    world
}

fn transactional(world: &World, stored: Log, shown: Log) -> Vec<(Class, u64)> {
    let scans = [world.scan(Isolation::ReadUncommitted, &[stored]), world.scan(Isolation::ReadCommitted, &[shown])];
    counts(&world.weigh(&scans))
}

#[test]
fn each_transaction_has_its_own_copies() {
    let world = committed_again();
    let all = || (0..4).map(first).chain((0..4).map(again)).collect::<Log>();
    let one_short = || (0..3).map(again).collect::<Log>();
    assert_eq!(transactional(&world, all(), (0..4).map(again).collect()), []);
    assert_eq!(
        transactional(&world, all(), one_short()),
        [(Class::TornTransaction, 1), (Class::CommittedInvisible, 1)]
    );
    assert_eq!(
        transactional(&world, all(), (0..1).map(first).chain((0..4).map(again)).collect()),
        [(Class::DuplicateResend, 1), (Class::AbortedVisible, 1), (Class::TornTransaction, 1)],
        "of the first transaction one is shown and three are not"
    );
    let without_last = (0..3).map(first).chain(one_short()).collect();
    assert_eq!(transactional(&world, without_last, one_short()), [(Class::Lost, 1), (Class::TornTransaction, 1)]);
}

#[test]
fn what_an_ended_incarnation_sent_late_is_a_zombies_and_no_reorder() {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Indeterminate; 3]);
    drop(second_life(&mut world, 3, &[]));
    let of = |incarnation, sequence| Some(value(&Header { incarnation, ..header(0, sequence, 0) }));
    let late = |last| vec![of(0, 0), of(1, 2), last];
    let tallies = |log| world.scan(Isolation::ReadUncommitted, &[log]).tallies();
    let of_old = tallies(late(of(0, 1)));
    assert_eq!((of_old.zombie.count(), of_old.reordered.count()), (1, 0));
    let of_new = tallies(late(of(1, 1)));
    assert_eq!((of_new.zombie.count(), of_new.reordered.count()), (0, 1));
}
