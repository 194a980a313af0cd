//! A ledger that was damaged and salvaged: what is known convicts exactly, what is not convicts nobody, and nothing is
//! held.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use ackmark_ledger::State;
use ackmark_schema::{
    anomaly::Class,
    record::Header,
    report::{
        load::Provocations,
        seal::SealState,
        verify::{Examined, Isolation, Verdict},
    },
};
use ackmark_verifier::{
    evidence::ScanAccounts,
    verdict::{Circumstances, Judgement, judge},
};
use support::{World, counts, header, message, value};

const STATES: &str = "p0-i0.ledger";
const TRANSACTIONS: &str = "p0-i0.txnlog";
/// Messages of a state page.
const PAGE: u64 = 16_384;
/// Three pages of them.
const N: u64 = 40_000;
/// Where the directory has the entry of a page.
const ENTRY: [usize; 4] = [4096, 4096 + 16, 4096 + 32, 4096 + 48];
/// Where the header has the mark of the first stream.
const MARK: usize = 64 + 16;
type Log = Vec<Option<Vec<u8>>>;

fn log(stream: u32, without: &[u64]) -> Log {
    (0..N).filter(|sequence| !without.contains(sequence)).map(|sequence| message(stream, sequence, 0)).collect()
}

/// Two streams of acknowledged messages in two partitions; the pages of the first are handed out first.
fn world() -> World {
    let mut world = World::new(1, 2, false);
    (0..2).for_each(|slot| world.send(0, slot, &vec![State::Acknowledged; N as usize]));
    world
}

fn judged(world: &World, scans: &[ScanAccounts]) -> Judgement {
    let circumstances = Circumstances {
        seal: SealState::Sealed,
        simulated: false,
        provocations: Some(Provocations { retransmitted: 3, ..Provocations::NONE }),
        ledger: world.ledger().counts(),
    };
    judge(world.weigh(scans), &world.manifest.promise, &circumstances)
}

fn judged_log(world: &World, logs: &[Log; 2]) -> Judgement {
    judged(world, &[world.scan(Isolation::ReadUncommitted, logs)])
}

/// The count of a class; `None` where it was not examined.
fn found(judgement: &Judgement, class: Class) -> Option<u64> {
    let finding = judgement.findings.iter().find(|finding| finding.class == class).unwrap();
    support::counted(&finding.examined)
}

fn classes(judgement: &Judgement) -> [Option<u64>; 3] {
    [Class::Lost, Class::AbsentWhenClosed, Class::FailedVisible].map(|class| found(judgement, class))
}

#[test]
fn what_is_lost_by_a_sound_page_is_lost_and_by_a_damaged_one_is_not_known() {
    let mut world = world();
    world.damage(STATES, ENTRY[1]);
    let judgement = judged_log(&world, &[log(0, &[5, PAGE, PAGE + 1, N - 1]), log(1, &[PAGE])]);
    assert_eq!(judgement.verdict, Verdict::Broken);
    assert_eq!(classes(&judgement), [Some(3), None, None]);
    let lost = &judgement.findings.iter().find(|finding| finding.class == Class::Lost).unwrap().examples;
    let spots: Vec<_> = lost.iter().map(|example| (example.stream, example.sequence, example.run_length)).collect();
    assert_eq!(spots, [(Some(0), Some(5), 1), (Some(0), Some(N - 1), 1), (Some(1), Some(PAGE), 1)]);
    for words in ["3 lost", "there may be more", "p0-i0.ledger at byte 4112"] {
        assert!(judgement.reason.contains(words), "{}", judgement.reason);
    }

    let judgement = judged_log(&world, &[log(0, &[PAGE, PAGE + 1]), log(1, &[])]);
    assert_eq!((judgement.verdict, classes(&judgement)), (Verdict::Inconclusive, [None; 3]));
    let expected = "the ledger is damaged: p0-i0.ledger at byte 4112: checksum mismatch in the page directory (messages \
                    unknown for it: 16384)";
    assert_eq!(judgement.reason, expected);
}

#[test]
fn where_all_unknown_messages_are_in_the_log_none_is_lost_and_still_nothing_is_held() {
    let mut world = world();
    world.damage(STATES, ENTRY[1]);
    let judgement = judged_log(&world, &[log(0, &[]), log(1, &[])]);
    assert_eq!(classes(&judgement), [Some(0), Some(0), None], "one of them may have failed");
    assert_eq!((found(&judgement, Class::Phantom), judgement.verdict), (Some(0), Verdict::Inconclusive));
    // The entry of a page that was never handed out: nothing is unknown.
    let mut world = self::world();
    world.damage(STATES, 4096 + 6 * 16 + 8);
    let judgement = judged_log(&world, &[log(0, &[]), log(1, &[])]);
    assert_eq!(classes(&judgement), [Some(0); 3]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
}

#[test]
fn beyond_a_lost_mark_nothing_is_invented_and_what_is_known_convicts() {
    let mut world = world();
    world.damage(STATES, MARK);
    let beyond = |stream: u32| {
        let mut log = log(stream, &[]);
        log.push(Some(value(&header(stream, N, 0))));
        log
    };
    let judgement = judged_log(&world, &[beyond(0), log(1, &[])]);
    assert_eq!((found(&judgement, Class::Phantom), judgement.verdict), (None, Verdict::Inconclusive));
    assert_eq!(classes(&judgement), [None; 3], "how many there were is not known");
    let judgement = judged_log(&world, &[log(0, &[]), beyond(1)]);
    assert_eq!((found(&judgement, Class::Phantom), judgement.verdict), (Some(1), Verdict::Broken));
    let judgement = judged_log(&world, &[log(0, &[7]), log(1, &[])]);
    assert_eq!((found(&judgement, Class::Lost), judgement.verdict), (Some(1), Verdict::Broken));
}

#[test]
fn of_a_producer_without_a_header_nothing_is_known_and_of_the_others_all() {
    let mut world = World::new(2, 1, false);
    (0..2).for_each(|producer| world.send(producer, 0, &[State::Acknowledged; 100]));
    world.damage(STATES, 70);
    let log = |lost: (u32, u64)| {
        let all = (0..2).flat_map(|stream| (0..100).map(move |sequence| (stream, sequence)));
        all.filter(|one| *one != lost).map(|(stream, sequence)| message(stream, sequence, 0)).collect::<Log>()
    };
    let judge = |lost| judged(&world, &[world.scan(Isolation::ReadUncommitted, &[log(lost)])]);
    let judgement = judge((0, 50));
    assert_eq!((found(&judgement, Class::Lost), judgement.verdict), (None, Verdict::Inconclusive));
    let judgement = judge((1, 50));
    assert_eq!((found(&judgement, Class::Lost), judgement.verdict), (Some(1), Verdict::Broken));
}

#[test]
fn what_is_damaged_is_not_taken_for_nothing() {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Acknowledged; 100]);
    world.damage(STATES, ENTRY[0]);
    let judgement = judged(&world, &[world.scan(Isolation::ReadUncommitted, &[vec![]])]);
    let lost = judgement.findings.iter().find(|finding| finding.class == Class::Lost).unwrap();
    let Examined::NotExamined { why } = &lost.examined else { panic!("{lost:?}") };
    assert!(why.contains("damaged"), "{why}");
    let mut world = World::new(1, 1, false);
    world.damage(STATES, 70);
    let judgement = judged(&world, &[world.scan(Isolation::ReadUncommitted, &[vec![]])]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.contains("damaged"), "{}", judgement.reason);
}

/// Three transactions of ten messages in each of two partitions: committed, aborted, committed.
fn transactional() -> (World, [Log; 2]) {
    let mut world = World::new(1, 2, true);
    for transaction in 1..=3 {
        let log = world.senders[0].transactions.as_mut().unwrap();
        log.begin(transaction, 0).unwrap();
        (0..2).for_each(|stream| log.member(stream, u64::from(transaction - 1) * 10).unwrap());
        (0..2).for_each(|slot| world.send(0, slot, &[State::Acknowledged; 10]));
        let log = world.senders[0].transactions.as_mut().unwrap();
        if transaction == 2 {
            log.intent_abort(1).unwrap();
            log.aborted(2).unwrap();
        } else {
            log.intent_commit(1).unwrap();
            log.committed(2).unwrap();
        }
    }
    let of = |transaction: u64, sequence| Header { transaction: transaction as u32 + 1, ..header(0, sequence, 0) };
    let log = |stream| (0..30).map(|at| Some(value(&Header { stream, ..of(at / 10, at) }))).collect();
    (world, [log(0), log(1)])
}

/// What is shown of a sound log.
fn without_second(mut log: Log) -> Log {
    log.drain(10..20);
    log
}

fn without(logs: &[Log; 2], sequences: std::ops::Range<usize>) -> [Log; 2] {
    let mut logs = logs.clone();
    logs[0].drain(sequences);
    logs
}

fn both(world: &World, stored: &[Log; 2], shown: &[Log; 2]) -> [ScanAccounts; 2] {
    [world.scan(Isolation::ReadUncommitted, stored), world.scan(Isolation::ReadCommitted, shown)]
}

const OF_TRANSACTIONS: [Class; 3] = [Class::AbortedVisible, Class::TornTransaction, Class::CommittedInvisible];

/// Entries: header, then begin, two members, intent, end; so the second transaction begins at the sixth.
const SECOND: usize = 6 * 32;

#[test]
fn transactions_before_the_damage_are_judged_and_those_behind_it_are_not() {
    let (mut world, stored) = transactional();
    let shown = stored.clone().map(without_second);
    assert_eq!(counts(&world.weigh(&both(&world, &stored, &shown))), [], "it is sound");
    // In the third one, behind its members: the first two are known.
    world.damage(TRANSACTIONS, SECOND + 8 * 32);
    let judge = |stored: &[Log; 2], shown: &[Log; 2]| judged(&world, &both(&world, stored, shown));

    let judgement = judge(&stored, &shown);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.contains("p0-i0.txnlog at byte 448"), "{}", judgement.reason);
    assert_eq!(OF_TRANSACTIONS.map(|class| found(&judgement, class)), [None; 3]);
    assert_eq!(classes(&judgement), [Some(0), Some(0), Some(0)], "all is in the log, and states are known");

    let judgement = judge(&without(&stored, 3..4), &without(&shown, 3..4));
    assert_eq!(found(&judgement, Class::Lost), Some(1), "of the first one");
    assert_eq!((found(&judgement, Class::TornTransaction), judgement.verdict), (Some(1), Verdict::Broken));
    let judgement = judge(&stored, &stored);
    assert_eq!((found(&judgement, Class::AbortedVisible), judgement.verdict), (Some(20), Verdict::Broken));
    // Of the third one a message is lost, or was aborted: nobody knows.
    let judgement = judge(&without(&stored, 25..26), &without(&shown, 15..16));
    assert_eq!(classes(&judgement), [None, None, Some(0)]);
    assert_eq!(OF_TRANSACTIONS.map(|class| found(&judgement, class)), [None; 3]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn the_last_known_transaction_does_not_swallow_what_is_behind_the_damage() {
    let (mut world, stored) = transactional();
    let shown = stored.clone().map(without_second);
    // Where the second one begins: the first one has ended, and seems to go on.
    world.damage(TRANSACTIONS, SECOND);
    let judgement = judged(&world, &both(&world, &stored, &shown));
    assert_eq!(
        (judgement.verdict, OF_TRANSACTIONS.map(|class| found(&judgement, class))),
        (Verdict::Inconclusive, [None; 3])
    );
    // A copy that ends between two entries says nothing of itself; the states file does.
    let (mut world, stored) = transactional();
    let path = world.folder.path().join(TRANSACTIONS);
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(SECOND as u64).unwrap();
    world.on_damage = ackmark_ledger::OnDamage::Salvage;
    let judgement = judged(&world, &both(&world, &stored, &shown));
    assert_eq!(
        (judgement.verdict, OF_TRANSACTIONS.map(|class| found(&judgement, class))),
        (Verdict::Inconclusive, [None; 3])
    );
    assert!(judgement.reason.contains("cut off here, 512 bytes are needed"), "{}", judgement.reason);
}
