//! Each class by itself: something is wrong, and the verdict says exactly how much.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use ackmark_ledger::{LedgerReader, ReservedMarks, State};
use ackmark_schema::{
    anomaly::Class,
    promise::{Acks, Promise, Ruling},
    record::Header,
    report::{
        load::Provocations,
        seal::SealState,
        verify::{Examined, Isolation, Verdict},
    },
};
use ackmark_verifier::{
    accounting::{Eye, PartitionAccount, Witness},
    evidence::{Look, ScanAccounts},
    live::{SIGHTINGS_MAX, Sightings},
    observation::{Observation, Record},
    verdict::{Circumstances, Judgement, judge},
};
use support::{World, basis, corrupt, counted, counts, header, message, value};

const N: u64 = 100;
type Log = Vec<Option<Vec<u8>>>;

/// One stream of acknowledged messages, all in the log.
fn sound() -> (World, Log) {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Acknowledged; N as usize]);
    let log = (0..N).map(|sequence| message(0, sequence, 0)).collect();
    (world, log)
}

fn found(world: &World, log: Log) -> Vec<(Class, u64)> {
    counts(&world.weigh(&[world.scan(Isolation::ReadUncommitted, &[log])]))
}

fn circumstances(world: &World) -> Circumstances {
    Circumstances {
        seal: SealState::Sealed,
        simulated: false,
        provocations: Some(Provocations::NONE),
        ledger: LedgerReader::open(world.folder.path(), &world.manifest).unwrap().counts(),
    }
}

fn judged(world: &World, scans: &[ScanAccounts], change: impl FnOnce(&mut Circumstances)) -> Judgement {
    let mut circumstances = circumstances(world);
    change(&mut circumstances);
    judge(world.weigh(scans), &world.manifest.promise, &circumstances)
}

fn judged_log(log: Log, change: impl FnOnce(&mut Circumstances)) -> Judgement {
    let (world, _) = sound();
    judged(&world, &[world.scan(Isolation::ReadUncommitted, &[log])], change)
}

fn of(judgement: &Judgement, class: Class) -> &ackmark_schema::report::verify::Finding {
    judgement.findings.iter().find(|finding| finding.class == class).unwrap()
}

#[test]
fn a_sound_log_has_no_findings() {
    let (world, log) = sound();
    assert_eq!(found(&world, log), []);
}

#[test]
fn messages_left_out_are_lost_wherever_they_are() {
    for (from, end) in [(0, 1), (N - 1, N), (50, 51), (0, 10), (90, 100), (0, 100)] {
        let (world, mut log) = sound();
        log.drain(from as usize..end as usize);
        let evidence = world.weigh(&[world.scan(Isolation::ReadUncommitted, &[log])]);
        assert_eq!(counts(&evidence), [(Class::Lost, end - from)]);
        let Look::Counted(tally) = evidence.looks[&Class::Lost].clone() else { panic!("not counted") };
        let example = &tally.into_examples()[0];
        assert_eq!((example.sequence, example.run_length, example.offset), (Some(from), end - from, None));
    }
}

#[test]
fn copies_are_duplicates_by_their_attempt() {
    for at in [0, 50, N - 1] {
        for (to, attempt, class) in
            [(at + 1, 0, Class::DuplicateRetry), (N, 0, Class::DuplicateRetry), (N, 1, Class::DuplicateResend)]
        {
            let (world, mut log) = sound();
            log.insert(to as usize, message(0, at, attempt));
            let evidence = world.weigh(&[world.scan(Isolation::ReadUncommitted, &[log])]);
            assert_eq!(counts(&evidence), [(class, 1)]);
            let Look::Counted(tally) = evidence.looks[&class].clone() else { panic!("not counted") };
            assert_eq!(tally.into_examples()[0].offset, Some(to as i64), "the second copy's offset");
        }
    }
}

#[test]
fn a_doubled_batch_is_one_example() {
    let (world, mut log) = sound();
    log.splice(30..30, (10..30).map(|sequence| message(0, sequence, 0)));
    let evidence = world.weigh(&[world.scan(Isolation::ReadUncommitted, &[log])]);
    let Look::Counted(tally) = evidence.looks[&Class::DuplicateRetry].clone() else { panic!("not counted") };
    assert_eq!(tally.count(), 20);
    let examples = tally.into_examples();
    assert_eq!(
        (examples.len(), examples[0].sequence, examples[0].run_length, examples[0].offset),
        (1, Some(10), 20, Some(30))
    );
}

#[test]
fn swapped_neighbours_are_one_reorder_and_a_late_resend_is_none() {
    for at in [0, 50, N as usize - 2] {
        let (world, mut log) = sound();
        log.swap(at, at + 1);
        assert_eq!(found(&world, log), [(Class::Reordered, 1)]);
    }
    let (world, mut log) = sound();
    log.remove(10);
    log.push(message(0, 10, 1));
    assert_eq!(found(&world, log), []);
}

#[test]
fn a_damaged_record_is_corrupt_and_its_message_lost() {
    for at in [0, 50, N as usize - 1] {
        let (world, mut log) = sound();
        log[at] = corrupt(log[at].take());
        assert_eq!(found(&world, log), [(Class::Lost, 1), (Class::Corrupt, 1)]);
    }
}

/// A record of run `run`, damaged in its body.
fn damaged_of(run: u32) -> Option<Vec<u8>> {
    corrupt(Some(value(&Header { run, ..header(0, 3, 0) })))
}

#[test]
fn a_damaged_record_of_a_run_that_is_there_is_a_strangers() {
    let other = 1;
    let sound_other = || Some(value(&Header { run: other, ..header(0, 3, 0) }));
    let sentinel = || Some(value(&Header { run: other, sentinel: true, stream: u32::MAX, ..header(0, 0, 0) }));
    // Behind a sound record of its run, and before one, and before its sentinel.
    let orders = [
        (vec![sound_other(), damaged_of(other)], 2),
        (vec![damaged_of(other), damaged_of(other), sound_other()], 3),
        (vec![damaged_of(other), sentinel()], 1),
    ];
    for (records, strangers) in orders {
        let (world, mut log) = sound();
        log.splice(5..5, records);
        let scan = world.scan(Isolation::ReadUncommitted, &[log]);
        assert_eq!(scan.partitions[0].totals().strangers, strangers);
        assert_eq!(counts(&world.weigh(&[scan])), []);
    }
}

#[test]
fn damage_that_may_sit_in_the_run_field_is_this_runs() {
    // Nothing tells that there is such a run; beyond the bound of runs too.
    for runs in [1, 3, 100] {
        let (world, mut log) = sound();
        log.extend((1_000..1_000 + runs).map(damaged_of));
        assert_eq!(found(&world, log), [(Class::Corrupt, u64::from(runs))]);
    }
    // There is, but putting this run back mends the record.
    let (world, mut log) = sound();
    log[7].as_mut().unwrap()[8..12].copy_from_slice(&1u32.to_le_bytes());
    log.push(Some(value(&Header { run: 1, ..header(0, 3, 0) })));
    assert_eq!(found(&world, log), [(Class::Lost, 1), (Class::Corrupt, 1)]);
    // Too short to name a run.
    let (world, mut log) = sound();
    log[7].as_mut().unwrap().truncate(10);
    assert_eq!(found(&world, log), [(Class::Lost, 1), (Class::Corrupt, 1)]);
}

#[test]
fn what_was_never_reserved_is_a_phantom_and_hurts_nothing_else() {
    let foreign = [header(0, N, 0), header(0, u64::MAX, 0), header(5, 0, 0)];
    for header in foreign {
        let (world, mut log) = sound();
        log.insert(3, Some(value(&header)));
        assert_eq!(found(&world, log), [(Class::Phantom, 1)]);
    }
    // A message in a partition that is not its stream's.
    let mut world = World::new(1, 2, false);
    world.send(0, 0, &[State::Acknowledged; 2]);
    let logs = [vec![message(0, 0, 0)], vec![message(0, 1, 0)]];
    let evidence = world.weigh(&[world.scan(Isolation::ReadUncommitted, &logs)]);
    assert_eq!(counts(&evidence), [(Class::Lost, 1), (Class::Phantom, 1)]);
}

#[test]
fn strangers_and_sentinels_are_no_findings() {
    let (world, mut log) = sound();
    log.insert(0, None);
    log.push(Some(b"hello".to_vec()));
    log.push(Some(value(&Header { run: 1, ..header(0, 3, 0) })));
    log.push(Some(value(&Header { sentinel: true, stream: u32::MAX, ..header(0, 0, 0) })));
    let scan = world.scan(Isolation::ReadUncommitted, &[log]);
    let totals = scan.partitions[0].totals();
    assert_eq!((totals.messages, totals.strangers), (N, 3));
    assert_eq!(counts(&world.weigh(&[scan])), []);
}

#[test]
fn states_decide_what_absence_means() {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Acknowledged, State::Indeterminate, State::Failed, State::Open, State::Failed]);
    assert_eq!(
        found(&world, vec![message(0, 0, 0), message(0, 4, 0)]),
        [(Class::AbsentWhenClosed, 2), (Class::FailedVisible, 1)]
    );
}

#[test]
fn what_retention_may_have_taken_is_expired_and_leaves_the_verdict_open() {
    let (world, log) = sound();
    let mut scan = world.scan(Isolation::ReadUncommitted, &[log[10..].to_vec()]);
    scan.partitions[0].observe(&Observation::LogStart(10), &mut ());
    let judgement = judged(&world, &[scan], |_| {});
    assert_eq!(counted(&of(&judgement, Class::Expired).examined), Some(10));
    assert_eq!(counted(&of(&judgement, Class::Lost).examined), Some(0));
    assert_eq!(
        (of(&judgement, Class::Lost).verdict, judgement.verdict),
        (Verdict::Inconclusive, Verdict::Inconclusive)
    );
    assert!(judgement.reason.contains("10 expired"), "{}", judgement.reason);
}

#[test]
fn offsets_that_go_back_and_hidden_ones_are_counted() {
    let (world, log) = sound();
    let marks = Arc::new(ReservedMarks::open(world.folder.path(), &world.manifest).unwrap());
    let mut account = PartitionAccount::new(&world.manifest, 0, 0, 5, marks, Eye::Application);
    let at = |offset: i64, sequence: usize| Record { offset, value: log[sequence].as_deref() };
    account.observe(&Observation::Hidden { from: 5, end: 7 }, &mut ());
    account.observe(&Observation::Records(&[at(7, 0), at(8, 1), at(8, 2), at(4, 3)]), &mut ());
    account.observe(&Observation::Hidden { from: 5, end: 6 }, &mut ());
    account.observe(&Observation::End(9), &mut ());
    assert_eq!(account.tallies().non_monotonic.count(), 2);
    assert_eq!((account.totals().hidden_offsets, account.position()), (2 + 1 + 3, 9));
}

#[test]
fn an_older_incarnation_after_a_newer_one_is_a_zombie() {
    let (mut world, mut log) = sound();
    world.manifest.promise = Promise::derive(basis(false), &[Class::ZombieWrite]);
    for (at, incarnation) in [(3, 1), (4, 0), (5, 1)] {
        log[at] = Some(value(&Header { incarnation, ..header(0, at as u64, 0) }));
    }
    let scan = world.scan(Isolation::ReadUncommitted, &[log]);
    assert_eq!(scan.tallies().zombie.count(), 95, "4 and all from 6 on");
    assert!(matches!(world.weigh(&[scan]).looks[&Class::ZombieWrite], Look::NotApplicable(_)));
}

/// Notes which copies it is shown as first ones.
struct Copies(Vec<(u64, bool)>);

impl Witness for Copies {
    fn message(&mut self, header: &Header, first_copy: bool) {
        self.0.push((header.sequence, first_copy));
    }
}

#[test]
fn a_witness_sees_every_copy_and_knows_the_first() {
    let (world, _) = sound();
    let mut account = world.account(0, &[]);
    let mut copies = Copies(Vec::new());
    for (offset, (sequence, attempt)) in (0..).zip([(0, 0), (2, 0), (0, 0), (1, 0), (2, 1), (4, 1), (3, 1)]) {
        account.message(offset, &header(0, sequence, attempt), &mut copies);
    }
    let expected = [(0, true), (2, true), (0, false), (1, true), (2, false), (4, true), (3, true)];
    assert_eq!(copies.0, expected, "a message that comes late is still a first copy");
}

// Verdicts.

#[test]
fn a_kept_promise_is_held_only_where_something_tested_it() {
    let (_, log) = sound();
    let judgement = judged_log(log.clone(), |_| {});
    assert_eq!(judgement.verdict, Verdict::HeldUnprovoked);
    assert!(judgement.reason.starts_with("100 of 100 messages acknowledged"), "{}", judgement.reason);
    let judgement =
        judged_log(log.clone(), |c| c.provocations = Some(Provocations { retransmitted: 3, ..Provocations::NONE }));
    assert_eq!(judgement.verdict, Verdict::Held);
    assert!(judgement.reason.ends_with("under 3 messages sent again"), "{}", judgement.reason);
    let nobody_could_tell = Provocations { leader_changes: None, ..Provocations::NONE };
    let judgement = judged_log(log.clone(), |c| c.provocations = Some(nobody_could_tell));
    assert_eq!(judgement.verdict, Verdict::HeldUnprovoked);
    assert!(judgement.reason.ends_with("unknown: leader changes"), "{}", judgement.reason);
    let unknown_beside = Provocations { disconnects: 1, ..nobody_could_tell };
    let judgement = judged_log(log.clone(), |c| c.provocations = Some(unknown_beside));
    assert_eq!(judgement.verdict, Verdict::Held);
    assert!(judgement.reason.ends_with("under 1 disconnects (unknown: leader changes)"), "{}", judgement.reason);
    let uncounted = Provocations { counted_to_end: false, ..Provocations::NONE };
    let judgement = judged_log(log.clone(), |c| c.provocations = Some(uncounted));
    assert_eq!(judgement.verdict, Verdict::HeldUnprovoked);
    assert!(judgement.reason.ends_with("unknown: what the client counted last"), "{}", judgement.reason);
    let judgement = judged_log(log, |c| c.provocations = None);
    assert_eq!(judgement.verdict, Verdict::HeldUnprovoked);
    assert!(judgement.reason.contains("unknown"), "{}", judgement.reason);
    for class in [Class::InconsistentOffset, Class::TornTransaction, Class::EarlyVisible] {
        let finding = of(&judgement, class);
        assert!(matches!(finding.examined, Examined::NotExamined { .. }), "{class:?}");
        assert_eq!(finding.verdict, Verdict::NotJudged);
    }
}

#[test]
fn a_broken_clause_breaks_the_promise_and_an_allowed_one_does_not() {
    let (mut world, mut log) = sound();
    log.remove(3);
    log.push(message(0, 0, 0));
    let judgement = judged_log(log.clone(), |_| {});
    assert_eq!(judgement.verdict, Verdict::Broken);
    assert_eq!(judgement.reason, "must not occur and did: 1 lost, 1 duplicate (same attempt) (cause: 1 unexplained)");
    let weak = ackmark_schema::promise::Basis { acks: Acks::Leader, idempotence: false, ..basis(false) };
    world.manifest.promise = Promise::derive(weak, &[]);
    let judgement = judged(&world, &[world.scan(Isolation::ReadUncommitted, &[log])], |_| {});
    assert_eq!(judgement.verdict, Verdict::HeldUnprovoked);
    let lost = of(&judgement, Class::Lost);
    assert_eq!((lost.ruling, counted(&lost.examined), lost.verdict), (Ruling::May, Some(1), Verdict::NotJudged));
}

#[test]
fn an_open_log_convicts_by_what_is_there_and_never_by_what_is_missing() {
    let (_, log) = sound();
    let open = |c: &mut Circumstances| c.seal = SealState::Unsealed { reason: "LSO stuck".into() };
    let judgement = judged_log(log[..90].to_vec(), open);
    assert_eq!(
        (of(&judgement, Class::Lost).verdict, judgement.verdict),
        (Verdict::Inconclusive, Verdict::Inconclusive)
    );
    assert_eq!(counted(&of(&judgement, Class::Lost).examined), Some(10));
    assert!(judgement.reason.contains("LSO stuck"), "{}", judgement.reason);
    let mut doubled = log.clone();
    doubled.push(message(0, 0, 0));
    assert_eq!(judged_log(doubled, open).verdict, Verdict::Broken);
    assert_eq!(judged_log(log, open).verdict, Verdict::Inconclusive);
}

#[test]
fn a_part_of_a_log_is_never_a_pass() {
    let (world, log) = sound();
    let part = |log: &[Option<Vec<u8>>]| {
        let mut scan = world.scan(Isolation::ReadUncommitted, &[log.to_vec()]);
        scan.incomplete = Some("no progress for 30s".into());
        judged(&world, &[scan], |_| {})
    };
    let judgement = part(&log[..50]);
    assert_eq!(
        (of(&judgement, Class::Lost).verdict, judgement.verdict),
        (Verdict::Inconclusive, Verdict::Inconclusive)
    );
    assert!(matches!(of(&judgement, Class::Corrupt).examined, Examined::NotExamined { .. }));
    let judgement = part(&[log[0].clone(), log[0].clone()]);
    assert_eq!(counted(&of(&judgement, Class::DuplicateRetry).examined), Some(1));
    assert_eq!(judgement.verdict, Verdict::Broken);
    assert_eq!(judged(&world, &[], |_| {}).verdict, Verdict::Inconclusive, "no scan at all");
}

#[test]
fn simulated_brokers_and_empty_runs_prove_nothing() {
    let (_, log) = sound();
    let judgement = judged_log(log[1..].to_vec(), |c| c.simulated = true);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    let world = World::new(1, 1, false);
    let judgement = judged(&world, &[world.scan(Isolation::ReadUncommitted, &[vec![]])], |_| {});
    assert_eq!(
        (judgement.verdict, judgement.reason.as_str()),
        (Verdict::Inconclusive, "nothing was sent, so nothing was tested")
    );
}

#[test]
fn without_acknowledgements_nothing_is_lost_and_nothing_is_zero() {
    let mut world = World::new(1, 1, false);
    let none = ackmark_schema::promise::Basis { acks: Acks::None, idempotence: false, retries: 0, ..basis(false) };
    world.manifest.promise = Promise::derive(none, &[]);
    world.send(0, 0, &[State::Indeterminate; 10]);
    let log = (0..8).map(|sequence| message(0, sequence, 0)).collect();
    let judgement = judged(&world, &[world.scan(Isolation::ReadUncommitted, &[log])], |_| {});
    assert!(matches!(of(&judgement, Class::Lost).examined, Examined::NotExamined { .. }));
    assert_eq!(counted(&of(&judgement, Class::AbsentWhenClosed).examined), Some(2));
    assert_eq!(judgement.verdict, Verdict::HeldUnprovoked);
}

// Transactions.

/// One transaction over two partitions, ten messages each, committed at 1,000 ns.
fn transactional() -> (World, [Log; 2]) {
    let mut world = World::new(1, 2, true);
    world.senders[0].transactions.as_mut().unwrap().begin(1, 0).unwrap();
    for slot in 0..2 {
        world.senders[0].transactions.as_mut().unwrap().member(slot as u32, 0).unwrap();
        world.send(0, slot, &[State::Acknowledged; 10]);
    }
    let log = world.senders[0].transactions.as_mut().unwrap();
    log.intent_commit(1_000).unwrap();
    log.committed(2_000).unwrap();
    (world, [0, 1].map(|stream| (0..10).map(|sequence| message(stream, sequence, 0)).collect()))
}

fn both(world: &World, stored: &[Log; 2], shown: &[Log; 2]) -> [ScanAccounts; 2] {
    [world.scan(Isolation::ReadUncommitted, stored), world.scan(Isolation::ReadCommitted, shown)]
}

#[test]
fn a_committed_transaction_must_be_whole() {
    let (world, logs) = transactional();
    assert_eq!(counts(&world.weigh(&both(&world, &logs, &logs))), []);
    let mut shown = logs.clone();
    shown[1].truncate(9);
    assert_eq!(
        counts(&world.weigh(&both(&world, &logs, &shown))),
        [(Class::TornTransaction, 1), (Class::CommittedInvisible, 1)]
    );
    assert_eq!(counts(&world.weigh(&both(&world, &shown, &shown))), [(Class::Lost, 1), (Class::TornTransaction, 1)]);
    let none = [vec![], vec![]];
    assert_eq!(counts(&world.weigh(&both(&world, &logs, &none))), [(Class::CommittedInvisible, 20)]);
    let only = [world.scan(Isolation::ReadCommitted, &logs)];
    assert!(
        matches!(world.weigh(&only).looks[&Class::Lost], Look::Unfinished(_)),
        "one level does not tell lost from invisible"
    );
}

#[test]
fn a_transaction_that_died_before_its_commit_must_not_show() {
    let (mut world, mut logs) = transactional();
    world.senders[0].transactions.as_mut().unwrap().begin(2, 0).unwrap();
    world.senders[0].transactions.as_mut().unwrap().member(0, 10).unwrap();
    world.send(0, 0, &[State::Acknowledged; 5]);
    let before = logs.clone();
    logs[0].extend((10..15).map(|sequence| message(0, sequence, 0)));
    assert_eq!(counts(&world.weigh(&both(&world, &logs, &before))), []);
    assert_eq!(counts(&world.weigh(&both(&world, &logs, &logs))), [(Class::AbortedVisible, 5)]);
    assert_eq!(counts(&world.weigh(&both(&world, &before, &before))), [], "what was not committed is not lost");
}

#[test]
fn what_was_seen_before_its_commit_was_asked_for_is_early() {
    let (world, logs) = transactional();
    let mut scans = both(&world, &logs, &logs);
    assert!(matches!(world.weigh(&scans).looks[&Class::EarlyVisible], Look::NotApplicable(_)));
    let mut sightings = Sightings::default();
    sightings.add(0, 1, 999, 4);
    sightings.add(0, 1, 1_000, 6);
    sightings.add(1, 1, 5_000, 10);
    scans[1].sightings = Some(sightings);
    assert_eq!(counts(&world.weigh(&scans)), [(Class::EarlyVisible, 4)]);
}

#[test]
fn early_sightings_beyond_the_bound_are_not_examined_and_never_zero() {
    let (world, logs) = transactional();
    let full = |first_ns| {
        let mut sightings = Sightings::default();
        sightings.add(0, 1, first_ns, 4);
        (1..SIGHTINGS_MAX as u32).for_each(|transaction| sightings.add(9, transaction, 5_000, 1));
        sightings.add(1, 1, 2, 6);
        let mut scans = both(&world, &logs, &logs);
        scans[1].sightings = Some(sightings);
        world.weigh(&scans)
    };
    let Look::NotApplicable(why) = full(1_000).looks[&Class::EarlyVisible].clone() else { panic!("counted") };
    assert!(why.contains("6 messages were seen beyond"), "{why}");
    assert_eq!(counts(&full(999)), [(Class::EarlyVisible, 4)], "what was kept counts");
}

#[test]
fn a_last_stable_offset_below_the_end_is_stuck() {
    let (world, logs) = transactional();
    let mut scans = both(&world, &logs, &logs);
    scans[0].partitions[1].observe(&Observation::LastStableOffset(4), &mut ());
    assert_eq!(counts(&world.weigh(&scans)), [(Class::StuckLso, 1)]);
}
