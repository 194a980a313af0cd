//! What only the log's eye sees: why a message is there twice, holes, and how transactions ended. Logs are made by hand
//! with the producer id, epoch and sequence that is wanted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use ackmark_ledger::State;
use ackmark_schema::{
    anomaly::{Cause, Class},
    promise::Promise,
    record::Header,
    report::{
        load::Provocations,
        seal::SealState,
        verify::{CauseCount, Isolation, LogFacts, Verdict},
    },
};
use ackmark_verifier::{
    evidence::{Cleanup, Evidence, Look, ScanAccounts},
    observation::{Batch, Ending, Observation},
    verdict::{Circumstances, judge},
};
use proptest::prelude::*;
use support::{Entry, World, basis, batch, counts, header, message, plain, value};

const N: u64 = 100;

/// One stream of acknowledged messages, and nothing yet in the log.
fn world() -> World {
    let mut world = World::new(1, 1, false);
    world.send(0, 0, &[State::Acknowledged; N as usize]);
    world
}

/// Messages of a range, with one attempt and incarnation.
fn messages(sequences: std::ops::Range<u64>, attempt: u16, incarnation: u32) -> Vec<Option<Vec<u8>>> {
    sequences.map(|sequence| Some(value(&Header { incarnation, ..header(0, sequence, attempt) }))).collect()
}

fn causes(evidence: &Evidence, class: Class) -> Vec<(Cause, u64)> {
    let Look::Counted(tally) = evidence.looks[&class].clone() else { panic!("{class:?} was not counted") };
    let causes = tally.causes();
    assert_eq!(causes.iter().map(|found| found.count).sum::<u64>(), tally.count(), "each has one cause");
    causes.into_iter().map(|CauseCount { cause, count }| (cause, count)).collect()
}

/// The duplicates of a log of sound messages with `again` behind them: class, and its causes.
fn duplicates(first: Batch, again: Batch, attempt: u16, incarnation: u32) -> (Class, Vec<(Cause, u64)>) {
    let world = world();
    let log =
        vec![Entry::Batch(first, messages(0..N, 0, 0)), Entry::Batch(again, messages(20..30, attempt, incarnation))];
    let evidence = world.weigh(&[world.scan_of_log(&[log])]);
    let found = counts(&evidence);
    assert_eq!((found.len(), found[0].1), (1, 10), "{found:?}");
    let class = found[0].0;
    let Look::Counted(tally) = evidence.looks[&class].clone() else { panic!("not counted") };
    let causes = causes(&evidence, class);
    let example = &tally.into_examples()[0];
    assert_eq!((example.sequence, example.run_length, example.offset), (Some(20), 10, Some(100)));
    assert_eq!(example.cause, Some(causes[0].0));
    (class, causes)
}

#[test]
fn every_cause_of_a_duplicate_is_told_by_its_rule() {
    let id = |sequence| batch(7, 0, sequence);
    let (retry, resend) = (Class::DuplicateRetry, Class::DuplicateResend);
    for (first, again, attempt, incarnation, class, cause) in [
        // The same id, epoch and sequence: 20 is where message 20 was.
        (id(0), id(20), 0, 0, retry, Cause::BrokerFault),
        (id(0), id(20), 1, 0, resend, Cause::BrokerFault),
        // Sequences wrap.
        (id(i32::MAX - 9), id(10), 0, 0, retry, Cause::BrokerFault),
        (id(i32::MAX - 9), id(11), 0, 0, retry, Cause::Resend),
        // The same id and epoch under another sequence.
        (id(0), id(100), 0, 0, retry, Cause::Resend),
        (id(0), id(100), 1, 0, resend, Cause::Resend),
        // Another epoch or id: a new life of the producer, or a new session of its client.
        (id(0), batch(7, 1, 0), 0, 1, retry, Cause::Restart),
        (id(0), batch(7, 1, 0), 1, 1, resend, Cause::Restart),
        (id(0), batch(8, 0, 20), 1, 1, resend, Cause::Restart),
        (id(0), batch(7, 1, 20), 0, 0, retry, Cause::NewSession),
        (id(0), batch(8, 0, 20), 0, 0, retry, Cause::NewSession),
        (id(0), batch(8, 0, 20), 1, 0, resend, Cause::Resend),
        // No ids.
        (plain(), plain(), 0, 0, retry, Cause::ClientRetry),
        (plain(), plain(), 1, 0, resend, Cause::Resend),
        (plain(), plain(), 1, 1, resend, Cause::Restart),
        // One with an id, one without: two kinds of producer wrote one message.
        (plain(), id(20), 0, 0, retry, Cause::Unexplained),
        (id(0), plain(), 0, 0, retry, Cause::Unexplained),
    ] {
        let found = duplicates(first, again, attempt, incarnation);
        assert_eq!(found, (class, vec![(cause, 10)]), "{first:?} {again:?} {attempt} {incarnation}");
    }
}

#[test]
fn a_consumer_explains_what_headers_and_properties_tell() {
    let explained = |idempotence, attempt, incarnation| {
        let mut world = world();
        world.manifest.promise = Promise::derive(ackmark_schema::promise::Basis { idempotence, ..basis(false) }, &[]);
        let log = [messages(0..N, 0, 0), messages(3..4, attempt, incarnation)].concat();
        let evidence = world.weigh(&[world.scan(Isolation::ReadUncommitted, &[log])]);
        let class = if attempt == 0 { Class::DuplicateRetry } else { Class::DuplicateResend };
        causes(&evidence, class)
    };
    assert_eq!(explained(true, 0, 0), [(Cause::Unexplained, 1)], "it may be the broker's fault");
    assert_eq!(explained(false, 0, 0), [(Cause::ClientRetry, 1)]);
    for idempotence in [true, false] {
        assert_eq!(explained(idempotence, 1, 0), [(Cause::Resend, 1)]);
        assert_eq!(explained(idempotence, 1, 1), [(Cause::Restart, 1)]);
    }
}

#[test]
fn causes_are_counted_apart_and_told_with_the_verdict() {
    let world = world();
    let log = vec![
        Entry::Batch(batch(7, 0, 0), messages(0..N, 0, 0)),
        Entry::Batch(batch(7, 0, 10), messages(10..13, 0, 0)),
        Entry::Batch(batch(8, 0, 0), messages(50..55, 0, 1)),
        // A third copy, as the second.
        Entry::Batch(batch(8, 0, 0), messages(50..51, 0, 1)),
    ];
    let evidence = world.weigh(&[world.scan_of_log(&[log])]);
    assert_eq!(causes(&evidence, Class::DuplicateRetry), [(Cause::BrokerFault, 4), (Cause::Restart, 5)]);
    let circumstances = Circumstances {
        seal: SealState::Sealed,
        simulated: false,
        provocations: Some(Provocations::default()),
        ledger: ackmark_ledger::LedgerReader::open(world.folder.path(), &world.manifest).unwrap().counts(),
    };
    let judgement = judge(evidence, &world.manifest.promise, &circumstances);
    assert_eq!(judgement.verdict, Verdict::Broken);
    assert_eq!(
        judgement.reason,
        "must not occur and did: 9 duplicate (same attempt) (cause: 4 broker fault, 5 restart)"
    );
}

// Holes.

fn with_holes() -> (World, Vec<Entry>) {
    let of = |from: u64, end: u64| Entry::Batch(batch(7, 0, from as i32), messages(from..end, 0, 0));
    (world(), vec![of(0, 40), Entry::Nothing(3), of(40, 70), Entry::Nothing(1), of(70, 100), Entry::Nothing(2)])
}

#[test]
fn offsets_that_hold_nothing_are_gaps_wherever_they_are() {
    let (world, log) = with_holes();
    let evidence = world.weigh(&[world.scan_of_log(std::slice::from_ref(&log))]);
    assert_eq!(counts(&evidence), [(Class::OffsetGap, 6)]);
    let Look::Counted(tally) = evidence.looks[&Class::OffsetGap].clone() else { panic!("not counted") };
    let examples: Vec<_> =
        tally.into_examples().iter().map(|found| (found.offset.unwrap(), found.run_length)).collect();
    assert_eq!(examples, [(40, 3), (73, 1), (104, 2)]);
    let mut first = log;
    first.insert(0, Entry::Nothing(5));
    assert_eq!(counts(&world.weigh(&[world.scan_of_log(&[first])])), [(Class::OffsetGap, 11)]);
}

#[test]
fn gaps_mean_nothing_where_records_may_go() {
    let (world, log) = with_holes();
    let scan = || world.scan_of_log(std::slice::from_ref(&log));
    let why = |evidence: Evidence| match &evidence.looks[&Class::OffsetGap] {
        Look::NotApplicable(why) => why.clone(),
        look => panic!("{look:?}"),
    };
    assert_eq!(why(world.weigh_with(&[scan()], None, &[Cleanup::Compacts])), "topic t is compacted");
    let unknown = Cleanup::Unknown("not allowed".into());
    assert!(why(world.weigh_with(&[scan()], None, &[unknown])).ends_with("is not known: not allowed"));
    let mut deleted = scan();
    deleted.partitions[0].observe(&Observation::LogStart(9), &mut ());
    assert!(why(world.weigh(&[deleted])).starts_with("records were deleted"));
    let by_consumer = world.scan(Isolation::ReadUncommitted, &[messages(0..N, 0, 0)]);
    assert!(why(world.weigh(&[by_consumer])).contains("consumer"));
    let mut part = scan();
    part.incomplete = Some("interrupted".into());
    assert_eq!(counts(&world.weigh(&[part]))[0], (Class::OffsetGap, 6), "what was found counts");
}

#[test]
fn markers_are_no_gaps_and_are_counted() {
    let world = world();
    let transactional = Batch { transactional: true, ..batch(7, 0, 0) };
    let later = Batch { leader_epoch: 4, ..batch(7, 0, 50) };
    let log = vec![
        Entry::Batch(transactional, messages(0..50, 0, 0)),
        Entry::Marker(7, Ending::Commit),
        Entry::Marker(9, Ending::Abort),
        Entry::Batch(later, messages(50..N, 0, 0)),
    ];
    let scan = world.scan_of_log(&[log]);
    let facts = LogFacts { batches: 2, commit_markers: 1, abort_markers: 1, leader_epoch_changes: 1 };
    assert_eq!(scan.partitions[0].log_facts(), Some(facts));
    assert_eq!(scan.partitions[0].totals().hidden_offsets, 2);
    assert_eq!(counts(&world.weigh(&[scan])), []);
}

// Transactions by their markers.

const ID: i64 = 7;

fn of_transaction(sequences: std::ops::Range<u64>) -> Entry {
    let facts = Batch { transactional: true, ..batch(ID, 0, sequences.start as i32) };
    Entry::Batch(facts, messages(sequences, 0, 0))
}

/// Transactions of ten messages each, that end by the ledger as told: committed, aborted, or not answered.
fn transactions(endings: &[Option<Ending>]) -> World {
    let mut world = World::new(1, 1, true);
    for (number, ending) in (1..).zip(endings) {
        let log = world.senders[0].transactions.as_mut().unwrap();
        log.begin(number, 0).unwrap();
        log.member(0, 10 * u64::from(number - 1)).unwrap();
        world.send(0, 0, &[State::Acknowledged; 10]);
        let log = world.senders[0].transactions.as_mut().unwrap();
        match ending {
            Some(Ending::Commit) => {
                log.intent_commit(1).unwrap();
                log.committed(2).unwrap();
            }
            Some(Ending::Abort) => {
                log.intent_abort(1).unwrap();
                log.aborted(2).unwrap();
            }
            None => log.intent_commit(1).unwrap(),
        }
    }
    world
}

/// The log scan and what its markers make visible.
fn by_markers(world: &World, log: Vec<Entry>) -> [ScanAccounts; 2] {
    let mut scan = world.scan_of_log(&[log]);
    let shown = scan.take_committed().unwrap();
    [scan, shown]
}

#[test]
fn what_the_ledger_says_is_held_against_the_markers() {
    use Ending::{Abort, Commit};
    let (commit, abort) = (Some(Ending::Commit), Some(Ending::Abort));
    let world = transactions(&[commit, abort, None]);
    let log = |endings: [Ending; 3]| {
        let one = |(number, ending): (u64, Ending)| {
            [of_transaction(10 * number..10 * number + 10), Entry::Marker(ID, ending)]
        };
        (0..).zip(endings).flat_map(one).collect::<Vec<_>>()
    };
    let found = |endings| counts(&world.weigh(&by_markers(&world, log(endings))));
    assert_eq!(found([Commit, Abort, Commit]), []);
    assert_eq!(found([Commit, Abort, Abort]), [], "a commit that was not answered may have come to nothing");
    assert_eq!(found([Commit, Commit, Commit]), [(Class::AbortedVisible, 10)]);
    assert_eq!(found([Abort, Abort, Commit]), [(Class::CommittedInvisible, 10)]);
}

#[test]
fn a_marker_that_is_missing_leaves_its_transaction_open() {
    let world = transactions(&[Some(Ending::Commit)]);
    let mut scans = by_markers(&world, vec![of_transaction(0..10)]);
    let why = scans[1].incomplete.clone().unwrap();
    assert!(why.contains("producer id 7") && why.contains("t-0") && why.contains("offset 0"), "{why}");
    assert!(matches!(world.weigh(&scans).looks[&Class::CommittedInvisible], Look::Unfinished(_)));
    // The broker holds the last stable offset there.
    scans[0].partitions[0].observe(&Observation::LastStableOffset(0), &mut ());
    assert_eq!(counts(&world.weigh(&scans)), [(Class::StuckLso, 1)]);
}

#[test]
fn a_consumer_is_held_against_the_markers() {
    // The sender does not know how the second ended; the markers do.
    let world = transactions(&[Some(Ending::Commit), None]);
    let log = |ending| {
        vec![
            of_transaction(0..10),
            Entry::Marker(ID, Ending::Commit),
            of_transaction(10..20),
            Entry::Marker(ID, ending),
        ]
    };
    let found = |ending, shown: std::ops::Range<u64>| {
        let [scan, markers] = by_markers(&world, log(ending));
        let consumer = world.scan(Isolation::ReadCommitted, &[messages(shown, 0, 0)]);
        counts(&world.weigh_with(&[scan, consumer], Some(&markers), &[Cleanup::Nothing]))
    };
    assert_eq!(found(Ending::Commit, 0..20), []);
    assert_eq!(found(Ending::Abort, 0..10), []);
    assert_eq!(found(Ending::Abort, 0..20), [(Class::AbortedVisible, 10)]);
    assert_eq!(found(Ending::Commit, 0..10), [(Class::CommittedInvisible, 10)]);
    assert_eq!(
        found(Ending::Abort, 0..13),
        [(Class::AbortedVisible, 3), (Class::TornTransaction, 1)],
        "each occurrence counts once"
    );
    // What the ledger alone convicts is not counted again.
    assert_eq!(found(Ending::Abort, 3..10), [(Class::TornTransaction, 1), (Class::CommittedInvisible, 3)]);
}

#[test]
fn a_log_start_that_moves_between_two_scans_contradicts_nobody() {
    let world = transactions(&[Some(Ending::Commit), None]);
    let open = |evidence: &Evidence| {
        [Class::AbortedVisible, Class::TornTransaction, Class::CommittedInvisible]
            .iter()
            .all(|class| matches!(evidence.looks[class], Look::Unfinished(_)))
    };
    let log = |ending| {
        vec![
            of_transaction(0..10),
            Entry::Marker(ID, Ending::Commit),
            of_transaction(10..20),
            Entry::Marker(ID, ending),
        ]
    };
    let weighed = |[mut scan, markers]: [ScanAccounts; 2], shown: std::ops::Range<u64>| {
        let mut consumer = world.scan(Isolation::ReadCommitted, &[messages(shown, 0, 0)]);
        for scan in [&mut scan, &mut consumer] {
            scan.partitions[0].observe(&Observation::LogStart(8), &mut ());
        }
        world.weigh_with(&[scan, consumer], Some(&markers), &[Cleanup::Nothing])
    };
    // The log reader comes first, and retention before the consumer.
    let evidence = weighed(by_markers(&world, log(Ending::Commit)), 8..20);
    assert_eq!(counts(&evidence), []);
    assert!(open(&evidence), "{:?}", evidence.looks);
    // A consumer has followed the load, and retention came before the log reader.
    let later = vec![Entry::Nothing(8), of_transaction(8..10), Entry::Marker(ID, Ending::Commit)];
    let later = [later, log(Ending::Commit).split_off(2)].concat();
    let evidence = weighed(by_markers(&world, later), 0..20);
    assert_eq!(counts(&evidence), [(Class::Expired, 8)]);
    assert!(open(&evidence), "{:?}", evidence.looks);
    // What one scan alone shows still convicts.
    let aborted = transactions(&[Some(Ending::Abort)]);
    let [mut scan, markers] = by_markers(&aborted, vec![of_transaction(0..10), Entry::Marker(ID, Ending::Abort)]);
    scan.partitions[0].observe(&Observation::LogStart(8), &mut ());
    let consumer = aborted.scan(Isolation::ReadCommitted, &[messages(0..10, 0, 0)]);
    let evidence = aborted.weigh_with(&[scan, consumer], Some(&markers), &[Cleanup::Nothing]);
    assert_eq!(counts(&evidence), [(Class::AbortedVisible, 10)]);
}

/// What happens to one of three producers' transactions in a partition.
#[derive(Debug, Clone)]
enum Step {
    Send { producer: usize, count: u64, transactional: bool, again: bool },
    Stranger { producer: usize },
    End { producer: usize, ending: Ending },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0usize..3, 1u64..5, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(producer, count, transactional, again)| Step::Send { producer, count, transactional, again }),
        1 => (0usize..3).prop_map(|producer| Step::Stranger { producer }),
        3 => (0usize..3, any::<bool>()).prop_map(|(producer, commit)| {
            Step::End { producer, ending: if commit { Ending::Commit } else { Ending::Abort } }
        }),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    /// Against a plain list of records with a flag.
    #[test]
    fn markers_show_what_a_plain_model_shows(steps in steps()) {
        let mut world = World::new(3, 1, true);
        for producer in 0..3 {
            world.send(producer, 0, &[State::Acknowledged; 200]);
        }
        let mut log = Vec::new();
        // Producer, sequence (none: a stranger), and whether it is visible, once known.
        let mut model: Vec<(usize, Option<u64>, Option<bool>)> = Vec::new();
        let mut next = [0u64; 3];
        let facts = |producer: usize, transactional, sequence: u64| {
            Batch { transactional, ..batch(producer as i64, 0, sequence as i32) }
        };
        for step in steps {
            match step {
                Step::Send { producer, count, transactional, again } => {
                    let first = if again { next[producer].saturating_sub(count) } else { next[producer] };
                    let values: Vec<_> = (first..first + count).map(|n| message(producer as u32, n, u16::from(again))).collect();
                    let records = (first..first + count).map(|n| (producer, Some(n), (!transactional).then_some(true)));
                    model.extend(records);
                    next[producer] = next[producer].max(first + count);
                    log.push(Entry::Batch(facts(producer, transactional, first), values));
                }
                Step::Stranger { producer } => {
                    model.push((producer, None, None));
                    log.push(Entry::Batch(facts(producer, true, next[producer]), vec![Some(b"hello".to_vec())]));
                }
                Step::End { producer, ending } => {
                    let open = model.iter_mut().filter(|(of, _, visible)| *of == producer && visible.is_none());
                    open.for_each(|(_, _, visible)| *visible = Some(ending == Ending::Commit));
                    log.push(Entry::Marker(producer as i64, ending));
                }
            }
        }
        let mut account = world.account_of_log(0, &log);
        let is_open = model.iter().any(|(_, _, visible)| visible.is_none());
        prop_assert_eq!(account.first_open().is_some(), is_open);
        let shown = account.take_committed().unwrap();
        let visible: Vec<_> = model.iter().filter(|(_, _, visible)| *visible == Some(true)).collect();
        let mut copies: BTreeMap<(usize, u64), u64> = BTreeMap::new();
        visible.iter().filter_map(|(producer, sequence, _)| sequence.map(|n| (*producer, n))).for_each(|key| *copies.entry(key).or_default() += 1);
        prop_assert_eq!(shown.totals().messages, copies.values().sum::<u64>());
        prop_assert_eq!(shown.totals().strangers, visible.iter().filter(|(_, sequence, _)| sequence.is_none()).count() as u64);
        for (stream, seen) in shown.streams() {
            let expected: Vec<u64> = copies.keys().filter(|(producer, _)| *producer as u32 == stream).map(|(_, n)| *n).collect();
            prop_assert_eq!(seen.seen(0..200).flatten().collect::<Vec<_>>(), expected);
        }
        let tallies = shown.tallies();
        let further: u64 = copies.values().map(|count| count - 1).sum();
        prop_assert_eq!(tallies.duplicate_retry.count() + tallies.duplicate_resend.count(), further);
        prop_assert_eq!(account.totals().messages, model.iter().filter(|(_, sequence, _)| sequence.is_some()).count() as u64);
    }
}

/// One message each tenth of a second of the schedule, half of that late.
fn over_time(sequences: std::ops::Range<u64>, attempt: u16) -> Vec<Option<Vec<u8>>> {
    let one = |sequence| Header {
        intended_ns: sequence * 100_000_000,
        send_delay_us: 50_000,
        ..header(0, sequence, attempt)
    };
    sequences.map(|sequence| Some(value(&one(sequence)))).collect()
}

#[test]
fn copies_are_told_by_the_second_in_which_they_were_sent() {
    let seconds = |scan: &ScanAccounts| -> Vec<(i64, Cause, u64)> {
        let tally = scan.partitions[0].tallies().duplicate_resend;
        tally.over_time().into_iter().map(|one| (one.second.as_second(), one.cause, one.count)).collect()
    };
    let again = [(0, Cause::Resend, 5), (1, Cause::Resend, 10), (2, Cause::Resend, 5)];
    let log =
        vec![Entry::Batch(batch(7, 0, 0), over_time(0..N, 0)), Entry::Batch(batch(7, 0, 100), over_time(5..25, 1))];
    assert_eq!(seconds(&world().scan_of_log(&[log])), again);
    // What a marker makes visible is told by when it was sent, not by when it was shown.
    let world = transactions(&[Some(Ending::Commit); 3]);
    let part =
        |base_sequence, values| Entry::Batch(Batch { transactional: true, ..batch(ID, 0, base_sequence) }, values);
    let log = |ending| {
        let first = [part(0, over_time(0..30, 0)), Entry::Marker(ID, Ending::Commit)];
        first.into_iter().chain([part(30, over_time(5..25, 1)), Entry::Marker(ID, ending)]).collect()
    };
    let [all, shown] = by_markers(&world, log(Ending::Commit));
    assert_eq!((seconds(&all), seconds(&shown)), (again.to_vec(), again.to_vec()));
    let [all, shown] = by_markers(&world, log(Ending::Abort));
    assert_eq!((seconds(&all), seconds(&shown)), (again.to_vec(), vec![]));
}
