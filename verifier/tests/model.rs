//! The interval verdict against a naive model of plain sets, over random histories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ackmark_ledger::State;
use ackmark_schema::{anomaly::Class, record::Header, report::verify::Isolation};
use ackmark_verifier::evidence::{Evidence, Look};
use proptest::{prelude::*, sample::Index};
use support::{RUN, World, corrupt, count, header, value};

const PRODUCERS: u32 = 2;
const PARTITIONS: u32 = 2;
const STREAMS: usize = (PRODUCERS * PARTITIONS) as usize;

/// Stream, sequence, state, index of its transaction.
type Message = (u32, u64, State, usize);

/// A record as the model knows it.
#[derive(Debug, Clone, Copy)]
enum Item {
    Message(Header),
    Corrupt(Header),
    Stranger,
    Tombstone,
}

impl Item {
    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Message(header) => Some(value(&header)),
            Self::Corrupt(header) => corrupt(Some(value(&header))),
            Self::Stranger => Some(b"someone else's".to_vec()),
            Self::Tombstone => None,
        }
    }
}

#[derive(Debug, Clone)]
enum Mutation {
    Drop(Index),
    DropTail(Index),
    Copy(Index, Index, u16),
    Swap(Index, Index),
    Corrupt(Index),
    Insert(Index, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        4 => at().prop_map(Mutation::Drop),
        1 => at().prop_map(Mutation::DropTail),
        4 => (at(), at(), 0u16..3).prop_map(|(from, to, more)| Mutation::Copy(from, to, more)),
        3 => (at(), at()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        2 => at().prop_map(Mutation::Corrupt),
        3 => (at(), 0u8..6).prop_map(|(to, kind)| Mutation::Insert(to, kind)),
    ]
}

fn mutate(log: &mut Vec<Item>, partition: u32, reserved: u64, mutation: &Mutation) {
    let insert = |log: &mut Vec<Item>, to: &Index, item| log.insert(to.index(log.len() + 1), item);
    if let Mutation::Insert(to, kind) = mutation {
        let own = header(partition, 3, 0);
        let item = match kind {
            0 => Item::Stranger,
            1 => Item::Tombstone,
            2 => Item::Message(Header { run: RUN + 1, ..own }),
            3 => Item::Message(Header { stream: 99, ..own }),
            4 => Item::Message(Header { stream: 1 - partition, ..own }),
            _ => Item::Message(Header { sequence: reserved + 5, ..own }),
        };
        return insert(log, to, item);
    }
    if log.is_empty() {
        return;
    }
    let n = log.len();
    match mutation {
        Mutation::Drop(at) => {
            log.remove(at.index(n));
        }
        Mutation::DropTail(at) => log.truncate(at.index(n)),
        Mutation::Copy(from, to, more) => {
            let mut item = log[from.index(n)];
            if let Item::Message(header) | Item::Corrupt(header) = &mut item {
                header.attempt += more;
            }
            insert(log, to, item);
        }
        Mutation::Swap(a, b) => log.swap(a.index(n), b.index(n)),
        Mutation::Corrupt(at) => {
            let at = at.index(n);
            if let Item::Message(header) = log[at] {
                log[at] = Item::Corrupt(header);
            }
        }
        Mutation::Insert(..) => {}
    }
}

/// What plain sets say of a log.
#[derive(Debug, Default)]
struct Naive {
    /// Attempts by message.
    seen: BTreeMap<(u32, u64), BTreeSet<u16>>,
    counts: BTreeMap<Class, u64>,
    strangers: u64,
}

fn naive(logs: &[Vec<Item>], reserved: &[u64]) -> Naive {
    let mut naive = Naive::default();
    for (partition, log) in (0u32..).zip(logs) {
        // A damaged record is another run's where a sound one of that run stands in the same partition.
        let sound: BTreeSet<u32> = log
            .iter()
            .filter_map(|item| if let Item::Message(header) = item { Some(header.run) } else { None })
            .collect();
        for item in log {
            let class = match *item {
                Item::Corrupt(header) if header.run == RUN || !sound.contains(&header.run) => Some(Class::Corrupt),
                Item::Message(header) if header.run == RUN => of_message(&mut naive, header, partition, reserved),
                _ => {
                    naive.strangers += 1;
                    None
                }
            };
            if let Some(class) = class {
                *naive.counts.entry(class).or_default() += 1;
            }
        }
    }
    naive
}

fn of_message(naive: &mut Naive, header: Header, partition: u32, reserved: &[u64]) -> Option<Class> {
    let known = reserved.get(header.stream as usize);
    if header.stream % PARTITIONS != partition || known.is_none_or(|reserved| header.sequence >= *reserved) {
        return Some(Class::Phantom);
    }
    let key = (header.stream, header.sequence);
    let higher = naive.seen.range((key.0, key.1 + 1)..(key.0 + 1, 0)).next().is_some();
    let class = match naive.seen.get(&key) {
        Some(attempts) if attempts.contains(&header.attempt) => Some(Class::DuplicateRetry),
        Some(_) => Some(Class::DuplicateResend),
        None => (higher && header.attempt == 0).then_some(Class::Reordered),
    };
    naive.seen.entry(key).or_default().insert(header.attempt);
    class
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        6 => Just(State::Acknowledged),
        1 => Just(State::Open),
        1 => Just(State::Failed),
        1 => Just(State::Indeterminate),
    ]
}

/// All messages, in order, producers interleaved.
fn whole_log(partition: u32, reserved: &[u64]) -> Vec<Item> {
    let mut log = Vec::new();
    for sequence in 0..reserved.iter().copied().max().unwrap_or(0) {
        for producer in 0..PRODUCERS {
            let stream = producer * PARTITIONS + partition;
            if sequence < reserved[stream as usize] {
                log.push(Item::Message(header(stream, sequence, 0)));
            }
        }
    }
    log
}

fn bytes(logs: &[Vec<Item>]) -> Vec<Vec<Option<Vec<u8>>>> {
    logs.iter().map(|log| log.iter().map(|item| item.bytes()).collect()).collect()
}

/// The classes that the ledger has a say in.
const LEDGER_CLASSES: [Class; 7] = [
    Class::Lost,
    Class::AbsentWhenClosed,
    Class::FailedVisible,
    Class::AbortedVisible,
    Class::TornTransaction,
    Class::CommittedInvisible,
    Class::Phantom,
];

/// Bytes of a states file that say something and can be damaged: all of its header but magic and version, and some
/// entries of the page directory.
fn checked_bytes(streams: usize) -> Vec<usize> {
    (12..36).chain(40..48).chain(64..64 + 32 * streams).chain(4096..4096 + 16 * 6).collect()
}

/// By a damaged ledger nothing is counted that is not there by the whole one, and nothing is said not to be there that
/// is; what was there may be less.
fn claims_no_more(salvaged: &Evidence, whole: &Evidence) -> Result<(), TestCaseError> {
    for class in LEDGER_CLASSES {
        if let (Look::Counted(found), Look::Counted(there)) = (&salvaged.looks[&class], &whole.looks[&class]) {
            let (found, there) = (found.count(), there.count());
            prop_assert!(found <= there && (found > 0 || there == 0), "{:?}: {} of {}", class, found, there);
        }
    }
    Ok(())
}

const RECORD_CLASSES: [Class; 5] =
    [Class::DuplicateRetry, Class::DuplicateResend, Class::Reordered, Class::Phantom, Class::Corrupt];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn intervals_say_what_sets_say(
        states in proptest::collection::vec(proptest::collection::vec(state(), 0..25), STREAMS),
        mutations in proptest::collection::vec((0..PARTITIONS as usize, mutation()), 0..25),
        damage in (0..PRODUCERS, any::<Index>()),
    ) {
        let mut world = World::new(PRODUCERS, PARTITIONS, false);
        for (stream, states) in states.iter().enumerate() {
            world.send(stream / PARTITIONS as usize, stream % PARTITIONS as usize, states);
        }
        let reserved: Vec<u64> = states.iter().map(|states| states.len() as u64).collect();
        let mut logs: Vec<_> = (0..PARTITIONS).map(|partition| whole_log(partition, &reserved)).collect();
        for (partition, mutation) in &mutations {
            mutate(&mut logs[*partition], *partition as u32, reserved[*partition], mutation);
        }
        let naive = naive(&logs, &reserved);
        let scans = [world.scan(Isolation::ReadUncommitted, &bytes(&logs))];
        let evidence = world.weigh(&scans);
        for class in RECORD_CLASSES {
            prop_assert_eq!(count(&evidence, class), naive.counts.get(&class).copied().unwrap_or(0), "{:?}", class);
        }
        let of = |wanted: &[State], seen: bool| {
            let all = states.iter().enumerate().flat_map(|(stream, states)| {
                states.iter().enumerate().map(move |(sequence, state)| ((stream as u32, sequence as u64), *state))
            });
            all.filter(|(key, state)| wanted.contains(state) && naive.seen.contains_key(key) == seen).count() as u64
        };
        if of(&[State::Acknowledged], true) + of(&[State::Acknowledged], false) > 0 {
            prop_assert_eq!(count(&evidence, Class::Lost), of(&[State::Acknowledged], false));
        }
        prop_assert_eq!(count(&evidence, Class::AbsentWhenClosed), of(&[State::Open, State::Indeterminate], false));
        // The ledger knows one attempt: another attempt's copy is not the one that failed.
        let failed = states.iter().enumerate().flat_map(|(stream, states)| {
            states.iter().enumerate().filter(|(_, state)| **state == State::Failed).map(move |(sequence, _)| (stream as u32, sequence as u64))
        });
        let visible = failed.filter(|key| naive.seen.get(key).is_some_and(|attempts| attempts.contains(&0))).count();
        prop_assert_eq!(count(&evidence, Class::FailedVisible), visible as u64);
        prop_assert_eq!(count(&evidence, Class::Expired), 0);
        let distinct: u64 = scans[0].partitions.iter().flat_map(|p| p.streams().map(|(_, s)| s.distinct())).sum();
        prop_assert_eq!(distinct, naive.seen.len() as u64);
        prop_assert_eq!(scans[0].partitions.iter().map(|p| p.totals().strangers).sum::<u64>(), naive.strangers);

        let (producer, place) = damage;
        world.damage(&format!("p{producer}-i0.ledger"), *place.get(&checked_bytes(PARTITIONS as usize)));
        let salvaged = world.weigh(&[world.scan(Isolation::ReadUncommitted, &bytes(&logs))]);
        claims_no_more(&salvaged, &evidence)?;
    }

    /// Transactions of one producer over two partitions; what each isolation level shows is random.
    #[test]
    fn transactions_are_judged_as_sets_say(
        transactions in proptest::collection::vec((any::<[u8; 2]>(), 0u8..4), 1..6),
        states in proptest::collection::vec(state(), 60),
        stored in proptest::collection::vec(proptest::bool::weighted(0.85), 60),
        shown in proptest::collection::vec(proptest::bool::weighted(0.8), 60),
        damages in proptest::collection::vec((any::<bool>(), any::<Index>()), 1..3),
    ) {
        let mut world = World::new(1, 2, true);
        let mut messages: Vec<Message> = Vec::new();
        let mut pool = states.into_iter();
        for (number, (sizes, ending)) in transactions.iter().enumerate() {
            world.senders[0].transactions.as_mut().unwrap().begin(number as u32 + 1, 0).unwrap();
            for (slot, size) in sizes.iter().enumerate() {
                let states: Vec<_> = pool.by_ref().take(usize::from(size % 6)).collect();
                if states.is_empty() {
                    continue;
                }
                let first = world.senders[0].states.as_ref().unwrap().0.reserved(slot);
                world.senders[0].transactions.as_mut().unwrap().member(slot as u32, first).unwrap();
                world.send(0, slot, &states);
                messages.extend((first..).zip(states).map(|(sequence, state)| (slot as u32, sequence, state, number)));
            }
            let log = world.senders[0].transactions.as_mut().unwrap();
            if *ending > 0 {
                log.intent_commit(1).unwrap();
            }
            match ending {
                2 => log.committed(2).unwrap(),
                3 => { log.intent_abort(2).unwrap(); log.aborted(3).unwrap(); }
                _ => {}
            }
        }
        let reserved = [0, 1].map(|slot| world.senders[0].states.as_ref().unwrap().0.reserved(slot));
        let is_stored: BTreeSet<_> = messages.iter().zip(&stored).filter(|(_, stored)| **stored).map(|(m, _)| (m.0, m.1)).collect();
        let is_shown: BTreeSet<_> = messages.iter().zip(&shown).filter(|(m, shown)| **shown && is_stored.contains(&(m.0, m.1))).map(|(m, _)| (m.0, m.1)).collect();
        let logs = |set: &BTreeSet<(u32, u64)>| [0u32, 1].map(|slot| {
            (0..reserved[slot as usize]).filter(|sequence| set.contains(&(slot, *sequence))).map(|sequence| support::message(slot, sequence, 0)).collect::<Vec<_>>()
        });
        let weigh = |world: &World| world.weigh(&[
            world.scan(Isolation::ReadUncommitted, &logs(&is_stored)),
            world.scan(Isolation::ReadCommitted, &logs(&is_shown)),
        ]);
        let evidence = weigh(&world);

        // Endings: 0 dead before the commit was asked for, 1 not answered, 2 committed, 3 aborted.
        let ending = |message: &Message| transactions[message.3].1;
        let key = |message: &Message| (message.0, message.1);
        let sum = |wanted: &dyn Fn(&Message) -> bool| messages.iter().filter(|m| wanted(m)).count() as u64;
        let acked = |m: &Message| m.2 == State::Acknowledged;
        if messages.iter().any(acked) {
            prop_assert_eq!(count(&evidence, Class::Lost), sum(&|m| acked(m) && ending(m) == 2 && !is_stored.contains(&key(m))));
        }
        prop_assert_eq!(count(&evidence, Class::AbsentWhenClosed), sum(&|m| !is_stored.contains(&key(m)) && match m.2 {
            State::Acknowledged => ending(m) == 1,
            State::Failed => false,
            _ => true,
        }));
        prop_assert_eq!(count(&evidence, Class::FailedVisible), sum(&|m| m.2 == State::Failed && is_stored.contains(&key(m))));
        prop_assert_eq!(count(&evidence, Class::AbortedVisible), sum(&|m| m.2 != State::Failed && matches!(ending(m), 0 | 3) && is_shown.contains(&key(m))));
        prop_assert_eq!(count(&evidence, Class::CommittedInvisible), sum(&|m| acked(m) && ending(m) == 2 && is_stored.contains(&key(m)) && !is_shown.contains(&key(m))));
        let torn = (0..transactions.len()).filter(|number| {
            let members: Vec<_> = messages.iter().filter(|m| m.3 == *number && m.2 != State::Failed && (acked(m) || is_stored.contains(&key(m)))).collect();
            let visible = members.iter().filter(|m| is_shown.contains(&key(m))).count();
            visible > 0 && visible < members.len()
        });
        prop_assert_eq!(count(&evidence, Class::TornTransaction), torn.count() as u64);

        for (of_states, place) in damages {
            if of_states {
                world.damage("p0-i0.ledger", *place.get(&checked_bytes(2)));
            } else {
                let length = std::fs::metadata(world.folder.path().join("p0-i0.txnlog")).unwrap().len() as usize;
                let checked: Vec<_> = (0..length).filter(|at| !(4..12).contains(at)).collect();
                world.damage("p0-i0.txnlog", *place.get(&checked));
            }
            claims_no_more(&weigh(&world), &evidence)?;
        }
    }

    #[test]
    fn arbitrary_bytes_are_accounted_without_panic(values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..70)), 0..20), ours in any::<bool>()) {
        let world = World::new(1, 1, false);
        let log: Vec<_> = values.into_iter().map(|value| value.map(|value| if ours { [b"AKM\x01".as_slice(), &value].concat() } else { value })).collect();
        let account = world.account(0, &log);
        prop_assert_eq!(account.totals().strangers + account.tallies().corrupt.count(), log.len() as u64);
    }
}
