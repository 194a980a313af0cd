//! Damaged and truncated ledgers: refused with the place and the cause, or read as far as they are sound.
//!
//! The ledger of two lives of a transactional producer is damaged byte by byte where there are checksums, and at random
//! places elsewhere, and is cut off. Refusing, a reader never takes what was changed for sound; salvaging, it never
//! claims what the whole ledger did not say. Excepted are changes within the states of a producer that was killed, which
//! have no checksum.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use ackmark_ledger::{
    Fate, Identity, LedgerError, LedgerReader, OnDamage, Resend, ReservedMarks, State, StreamStart, TransactionLog,
    create, states_file, transactions_file,
};
use ackmark_schema::{manifest::Manifest, report::verify::LedgerDamage};
use proptest::prelude::*;
use support::{RUN, manifest};

const PAGE: u64 = 4096;
const PAGE_MESSAGES: u64 = 16_384;
/// The streams of the only producer.
const STREAMS: [u32; 2] = [3, 7];
/// Where an entry of a header holds its mark, and how long one is.
const MARK_AT: u64 = 16;
const SPAN: u64 = 32;
const HEADER: u64 = 64;

fn starts(firsts: [u64; 2]) -> [StreamStart; 2] {
    [0, 1].map(|at| StreamStart { stream: STREAMS[at], first_sequence: firsts[at] })
}

fn identity(incarnation: u32) -> Identity {
    Identity { run: RUN, producer: 0, incarnation }
}

/// A run of two lives. The first has three pages of one stream and one of the other, in three transactions; it dies in
/// the last one. The second sends again what that one left, then more.
fn written() -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let (mut send, mut delivery) = create(folder.path(), identity(0), &starts([0, 0]), &[]).unwrap();
    let mut log = TransactionLog::create(folder.path(), identity(0)).unwrap();
    for transaction in 1..=3 {
        log.begin(transaction, 10).unwrap();
        for slot in 0..2 {
            let n = [13_000, 700][slot];
            log.member(STREAMS[slot], send.reserved(slot)).unwrap();
            let range = send.reserve(slot, n).unwrap();
            delivery.mark(slot, range.start, n - 20, State::Acknowledged).unwrap();
            delivery.mark(slot, range.end - 20, 10, State::Failed).unwrap();
        }
        match transaction {
            1 => (log.intent_commit(20).unwrap(), log.committed(30).unwrap()),
            2 => (log.intent_abort(20).unwrap(), log.aborted(30).unwrap()),
            _ => ((), ()),
        };
    }
    drop((send, delivery, log));
    let again = |slot, sequences| Resend { slot, sequences, attempt: 1 };
    let resends = [again(0, 26_000..30_000), again(0, 35_000..39_000), again(1, 1_400..2_100)];
    let (mut send, mut delivery) = create(folder.path(), identity(1), &starts([39_000, 2_100]), &resends).unwrap();
    let mut log = TransactionLog::create(folder.path(), identity(1)).unwrap();
    log.begin(4, 40).unwrap();
    log.member(STREAMS[0], 26_000).unwrap();
    send.resend(0, 4_000).unwrap();
    send.resend(0, 1_000).unwrap();
    delivery.mark(0, 26_000, 4_000, State::Acknowledged).unwrap();
    delivery.mark(0, 35_000, 1_000, State::Acknowledged).unwrap();
    log.intent_commit(50).unwrap();
    log.committed(60).unwrap();
    log.begin(5, 40).unwrap();
    log.member(STREAMS[1], 1_400).unwrap();
    send.resend(1, 700).unwrap();
    delivery.mark(1, 1_400, 700, State::Acknowledged).unwrap();
    send.reserve(1, 5_000).unwrap();
    delivery.mark(1, 2_100, 5_000, State::Acknowledged).unwrap();
    log.intent_commit(50).unwrap();
    (folder, manifest(&[(&STREAMS, &[0, 1])], true))
}

/// What is said of sequences, rising.
type Runs<T> = Vec<(Range<u64>, T)>;

/// By stream, attempt and incarnation.
type ByAttempt<T> = BTreeMap<(u32, u16, u32), Runs<T>>;

/// All that a ledger says.
#[derive(Debug, PartialEq)]
struct Told {
    states: ByAttempt<State>,
    /// With the transaction's number.
    fates: ByAttempt<(u32, Fate)>,
}

fn told(ledger: &LedgerReader) -> Told {
    let mut told = Told { states: BTreeMap::new(), fates: BTreeMap::new() };
    for stream in ledger.streams() {
        for part in stream.parts() {
            let known = told.states.entry((stream.stream, part.attempt, part.incarnation)).or_default();
            known.extend(part.runs_within(part.range()));
        }
    }
    for transaction in ledger.transactions() {
        for member in &transaction.members {
            let key = (member.stream, member.attempt, transaction.incarnation);
            let fates = told.fates.entry(key).or_default();
            fates.push((member.sequences.clone(), (transaction.transaction, transaction.fate)));
        }
    }
    told.fates.values_mut().for_each(|fates| fates.sort_by_key(|(range, ..)| range.start));
    told
}

/// What is said of the sequences of `range`, by runs.
fn at<T: Clone>(runs: Option<&Runs<T>>, range: &Range<u64>) -> Runs<Option<T>> {
    let mut found = Vec::new();
    let mut at = range.start;
    for (run, what) in runs.into_iter().flatten() {
        let (start, end) = (run.start.max(range.start), run.end.min(range.end));
        if start < end {
            if at < start {
                found.push((at..start, None));
            }
            found.push((start..end, Some(what.clone())));
            at = end;
        }
    }
    if at < range.end {
        found.push((at..range.end, None));
    }
    found
}

/// Whether nothing is claimed that the whole ledger does not say; how many attempts are not known any more.
fn claims_only(salvaged: &Told, whole: &Told) -> Result<u64, String> {
    let mut forgotten = 0;
    for (key, runs) in &salvaged.states {
        for (range, state) in runs {
            for (part, before) in at(whole.states.get(key), range) {
                match (state, before) {
                    (_, None) => return Err(format!("{key:?} {part:?} was never reserved")),
                    (state, Some(before)) if *state == before => {}
                    (State::Indeterminate, Some(_)) => forgotten += part.end - part.start,
                    (state, before) => return Err(format!("{key:?} {part:?} is {state:?} and was {before:?}")),
                }
            }
        }
    }
    for (key, runs) in &whole.states {
        let there = |range: &Range<u64>| at(salvaged.states.get(key), range);
        let lost = runs.iter().flat_map(|(range, _)| there(range)).filter(|(_, state)| state.is_none());
        forgotten += lost.map(|(range, _)| range.end - range.start).sum::<u64>();
    }
    for (key, runs) in &salvaged.fates {
        for (range, (number, fate)) in runs {
            for (part, before) in at(whole.fates.get(key), range) {
                match (fate, before) {
                    (Fate::Unknown, Some(_)) => forgotten += part.end - part.start,
                    (_, Some(before)) if (*number, *fate) == before => {}
                    (fate, before) => return Err(format!("{key:?} {part:?} is {fate:?} and was {before:?}")),
                }
            }
        }
    }
    Ok(forgotten)
}

/// How many messages a reader says are unknown; `None`: not known how many.
fn unknown(damages: &[LedgerDamage]) -> Option<u64> {
    damages.iter().map(|damage| damage.messages_unknown).sum()
}

/// A change of a file.
#[derive(Debug, Clone, Copy)]
enum Change {
    Flip(u64, u8),
    Cut(u64),
}

/// A sound ledger that is damaged again and again.
struct Damaged {
    folder: tempfile::TempDir,
    manifest: Manifest,
    whole: Told,
    /// Its files with their bytes.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Damaged {
    fn new() -> Self {
        let (folder, manifest) = written();
        let whole = told(&LedgerReader::open(folder.path(), &manifest).unwrap());
        let names = [states_file(0, 0), states_file(0, 1), transactions_file(0, 0), transactions_file(0, 1)];
        let files = names.map(|name| folder.path().join(name)).map(|path| (path.clone(), fs::read(&path).unwrap()));
        Self { folder, manifest, whole, files: files.into() }
    }

    fn path(&self, file: usize) -> &Path {
        &self.files[file].0
    }

    fn length(&self, file: usize) -> u64 {
        self.files[file].1.len() as u64
    }

    fn open(&self, on_damage: OnDamage) -> Result<LedgerReader, LedgerError> {
        LedgerReader::open_with(self.folder.path(), &self.manifest, on_damage)
    }

    /// Changes a file, looks, and puts it right again.
    fn with<T>(&self, file: usize, change: Change, look: impl FnOnce() -> T) -> T {
        let (path, bytes) = &self.files[file];
        let open = || OpenOptions::new().write(true).open(path).unwrap();
        match change {
            Change::Flip(at, bits) => open().write_all_at(&[bytes[at as usize] ^ bits], at).unwrap(),
            Change::Cut(length) => open().set_len(length).unwrap(),
        }
        let seen = look();
        match change {
            Change::Flip(at, _) => open().write_all_at(&bytes[at as usize..=at as usize], at).unwrap(),
            Change::Cut(length) => {
                let file: File = open();
                file.set_len(bytes.len() as u64).unwrap();
                file.write_all_at(&bytes[length as usize..], length).unwrap();
            }
        }
        seen
    }

    /// What must hold of any change.
    fn check(&self, file: usize, change: Change) -> Result<(), String> {
        let (refused, salvaged) = self.with(file, change, || {
            let read = |on_damage| self.open(on_damage).map(|ledger| (told(&ledger), ledger.damages().to_vec()));
            (read(OnDamage::Refuse), read(OnDamage::Salvage))
        });
        let fail = |what: &dyn std::fmt::Debug| Err(format!("{change:?} of {}: {what:?}", self.path(file).display()));
        match (refused, salvaged) {
            (Ok((told, damages)), Ok(salvaged)) => {
                let is_whole = told == self.whole && damages.is_empty() && salvaged == (told, damages);
                if is_whole { Ok(()) } else { fail(&"it is read as sound and differs") }
            }
            (Err(refused), Ok((told, damages))) => {
                let Some((path, offset, _)) = refused.damage() else { return fail(&refused) };
                if offset > self.length(file) || !damages.iter().any(|damage| path.ends_with(&damage.file)) {
                    return fail(&(refused, damages));
                }
                match (claims_only(&told, &self.whole), unknown(&damages)) {
                    (Ok(forgotten), Some(unknown)) if forgotten > unknown => fail(&(forgotten, damages)),
                    (Ok(_), _) => Ok(()),
                    (Err(claim), _) => fail(&(claim, damages)),
                }
            }
            // What does not say whose it is, is refused in any case.
            (Err(refused), Err(salvage)) if refused.to_string() == salvage.to_string() => match refused {
                LedgerError::NotALedger { .. } | LedgerError::Version { .. } => Ok(()),
                other => fail(&other),
            },
            (refused, salvaged) => fail(&(refused.err(), salvaged.err())),
        }
    }
}

/// Every byte that is under a checksum: headers, the directory's entries, the transaction logs, and some states.
#[test]
fn each_byte_that_says_something_is_told_to_be_damaged() {
    let damaged = Damaged::new();
    for file in 0..4 {
        let length = damaged.length(file);
        let states = (2 * PAGE..2 * PAGE + 300).chain(3 * PAGE - 2..3 * PAGE + 5);
        let checked: Vec<u64> = if file < 2 {
            (0..HEADER + 6 * SPAN).chain(PAGE..PAGE + 8 * 16).chain(states).collect()
        } else {
            (0..length).collect()
        };
        for at in checked {
            for bits in [1, 0x80, 0xFF] {
                damaged.check(file, Change::Flip(at, bits)).unwrap();
            }
        }
    }
}

/// A transaction log at any length, between its entries too; the states file where its parts begin and end.
#[test]
fn each_cut_is_told() {
    let damaged = Damaged::new();
    for file in 2..4 {
        for length in 0..damaged.length(file) {
            let change = Change::Cut(length);
            damaged.check(file, change).unwrap();
            assert!(damaged.with(file, change, || damaged.open(OnDamage::Refuse)).is_err(), "{change:?}");
        }
    }
    for file in 0..2 {
        let parts = (0..8).map(|page| page * PAGE);
        for length in parts.flat_map(|at| at.saturating_sub(9)..at + 10).chain(0..HEADER + 8 * SPAN) {
            damaged.check(file, Change::Cut(length)).unwrap();
        }
    }
}

fn change() -> impl Strategy<Value = (usize, prop::sample::Index, Option<u8>)> {
    (0usize..4, any::<prop::sample::Index>(), prop::option::of(1u8..))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_change_is_told_or_does_not_matter(changes in prop::collection::vec(change(), 16)) {
        let damaged = Damaged::new();
        for (file, place, bits) in changes {
            let at = place.index(damaged.length(file) as usize) as u64;
            let change = bits.map_or(Change::Cut(at), |bits| Change::Flip(at, bits));
            damaged.check(file, change).map_err(TestCaseError::fail)?;
        }
    }
}

fn salvage(damaged: &Damaged, file: usize, change: Change) -> LedgerReader {
    damaged.with(file, change, || damaged.open(OnDamage::Salvage)).unwrap()
}

/// First sequences and ends.
fn unknown_of(ledger: &LedgerReader, stream: u32) -> Vec<(u64, u64)> {
    let parts = ledger.stream(stream).unwrap().parts();
    parts.flat_map(|part| part.unknown_within(part.range())).map(|range| (range.start, range.end)).collect()
}

#[test]
fn a_page_whose_entry_is_damaged_is_unknown_and_no_more() {
    let damaged = Damaged::new();
    // Handed out in turn: stream 3, stream 7, stream 3 again.
    let change = Change::Flip(PAGE + 2 * 16, 1);
    let ledger = damaged.with(0, change, || {
        let ledger = damaged.open(OnDamage::Salvage).unwrap();
        assert_eq!(unknown_of(&ledger, 3), [(PAGE_MESSAGES, 2 * PAGE_MESSAGES)]);
        assert_eq!(unknown_of(&ledger, 7), []);
        let states = ledger.stream(3).unwrap().runs_within(10..PAGE_MESSAGES + 5).collect::<Vec<_>>();
        assert_eq!(states.last(), Some(&(PAGE_MESSAGES..PAGE_MESSAGES + 5, State::Indeterminate)));
        ledger
    });
    let damage = LedgerDamage {
        file: states_file(0, 0),
        offset: PAGE + 32,
        what: "checksum mismatch in the page directory".into(),
        messages_unknown: Some(PAGE_MESSAGES),
    };
    assert_eq!(ledger.damages(), [damage]);
    assert!(ledger.is_bounded() && !ledger.is_all_known());
}

#[test]
fn states_that_do_not_match_their_checksum_are_unknown_and_no_more() {
    let damaged = Damaged::new();
    // The second page, of stream 7, of which the first 2,100 messages were reserved.
    let change = Change::Flip(3 * PAGE + 17, 0b10);
    damaged.with(0, change, || {
        let refused = damaged.open(OnDamage::Refuse).unwrap_err().to_string();
        assert!(
            refused.contains("is damaged at byte 12288: stream 7: checksum mismatch in the states from"),
            "{refused}"
        );
        let ledger = damaged.open(OnDamage::Salvage).unwrap();
        assert_eq!((unknown_of(&ledger, 3), unknown_of(&ledger, 7)), (vec![], vec![(0, 2_100)]));
        assert_eq!(ledger.damages()[0].messages_unknown, Some(2_100));
    });
}

#[test]
fn states_of_a_producer_that_was_killed_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut send, mut delivery) = create(folder.path(), identity(0), &starts([0, 0]), &[]).unwrap();
    send.reserve(0, 1_000).unwrap();
    delivery.mark(0, 0, 1_000, State::Acknowledged).unwrap();
    // As SIGKILL leaves it.
    std::mem::forget(delivery);
    let manifest = manifest(&[(&STREAMS, &[0])], false);
    let path = folder.path().join(states_file(0, 0));
    let failed = || LedgerReader::open(folder.path(), &manifest).unwrap().stream(3).unwrap().runs().collect::<Vec<_>>();
    assert_eq!(failed(), [(0..1_000, State::Acknowledged)]);
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0xaa], 2 * PAGE).unwrap();
    assert_eq!(failed(), [(0..4, State::Failed), (4..1_000, State::Acknowledged)]);
}

#[test]
fn pages_that_are_cut_off_are_unknown_and_those_before_the_cut_are_known() {
    let damaged = Damaged::new();
    // The header, the directory page, three pages and a half.
    let length = 2 * PAGE + 3 * PAGE + PAGE / 2;
    let change = Change::Cut(length);
    damaged.with(0, change, || {
        let ledger = damaged.open(OnDamage::Salvage).unwrap();
        assert_eq!(unknown_of(&ledger, 3), [(2 * PAGE_MESSAGES, 39_000)]);
        let [damage] = ledger.damages() else { panic!("{:?}", ledger.damages()) };
        assert_eq!((damage.offset, damage.messages_unknown), (length, Some(39_000 - 2 * PAGE_MESSAGES)));
        assert!(damage.what.contains("cut off"), "{damage}");
    });
    // A part of a segment that no entry uses is no damage.
    for length in [6 * PAGE, 6 * PAGE + 1, 100 * PAGE] {
        assert!(damaged.with(0, Change::Cut(length), || damaged.open(OnDamage::Refuse)).is_ok(), "{length}");
        assert_eq!(salvage(&damaged, 0, Change::Cut(length)).damages(), []);
    }
}

#[test]
fn a_lost_mark_leaves_the_end_unknown_and_what_has_a_state_reserved() {
    let damaged = Damaged::new();
    // Of the second life's stream 7: its own sequences, all of which have a state.
    let ledger = salvage(&damaged, 1, Change::Flip(HEADER + SPAN + MARK_AT, 1));
    let stream = ledger.stream(7).unwrap();
    assert_eq!((stream.end(), stream.known_end()), (7_100, None));
    let marks = ReservedMarks::from(&ledger);
    assert_eq!((marks.reserved(3), marks.reserved(7), marks.reserved(9)), (Some(39_000), Some(u64::MAX), None));
    assert_eq!(ledger.damages()[0].messages_unknown, None);
    assert!(!ledger.is_bounded());
    // Of the first life's stream 3: the last ten of its messages have none.
    let ledger = salvage(&damaged, 0, Change::Flip(HEADER + MARK_AT, 1));
    assert_eq!(ledger.stream(3).unwrap().reserved().next(), Some(0..38_990));
    // Of what was sent again of stream 3 from 35,000 on.
    let ledger = salvage(&damaged, 1, Change::Flip(HEADER + 3 * SPAN + MARK_AT, 1));
    let stream = ledger.stream(3).unwrap();
    assert_eq!(stream.known_end(), Some(39_000));
    let resent: Vec<_> = stream.parts().filter(|part| part.attempt == 1).map(ackmark_ledger::Part::range).collect();
    assert_eq!(resent, [26_000..30_000, 35_000..36_000]);
}

#[test]
fn a_lost_header_leaves_its_life_unknown_and_the_other_one_known() {
    let damaged = Damaged::new();
    let ledger = salvage(&damaged, 1, Change::Flip(HEADER + 8, 1));
    let stream = ledger.stream(3).unwrap();
    assert_eq!((stream.reserved().count(), stream.end(), stream.known_end()), (1, 39_000, None));
    let [damage] = ledger.damages() else { panic!("{:?}", ledger.damages()) };
    assert_eq!((damage.offset, damage.messages_unknown), (0, None));
}

#[test]
fn behind_a_damaged_entry_no_transaction_is_known() {
    let damaged = Damaged::new();
    let fates = |entry: u64| {
        let ledger = salvage(&damaged, 2, Change::Flip(entry * 32 + 9, 1));
        let unknown = ledger.damages()[0].messages_unknown;
        let of_first_life = ledger.transactions().iter().filter(|transaction| transaction.incarnation == 0);
        let told = of_first_life.map(|one| {
            let members = one.members.iter().map(|member| (member.stream, member.sequences.clone()));
            (one.transaction, one.fate, members.collect::<Vec<_>>())
        });
        (told.collect::<Vec<_>>(), unknown)
    };
    // Entries: header, then begin, two members, intent, end; so the second one begins at 6.
    let (found, unknown) = fates(8);
    let tails = vec![(3, 13_000..39_000), (7, 0..2_100)];
    let expected = [(1, Fate::Committed, vec![(3, 0..13_000)]), (2, Fate::Unknown, tails)];
    assert_eq!((found.as_slice(), unknown), (&expected[..], Some(26_000 + 2_100)));
    // Where the first one has ended, what it had last of each stream ends nobody knows where.
    let tails = vec![(3, 0..39_000), (7, 0..2_100)];
    let expected = [(1, Fate::Committed, vec![]), (2, Fate::Unknown, tails.clone())];
    assert_eq!(fates(6), (expected.to_vec(), Some(41_100)));
    // Its commit was asked for: whether it was answered is not known.
    assert_eq!(fates(5), (vec![(1, Fate::Unknown, tails.clone())], Some(41_100)));
    // Nothing at all.
    assert_eq!(fates(1), (vec![(1, Fate::Unknown, tails)], Some(41_100)));
}

#[test]
fn a_ledger_of_another_run_or_none_is_refused_even_so() {
    let damaged = Damaged::new();
    let mut manifest = damaged.manifest.clone();
    manifest.run ^= 1;
    let open = |manifest| LedgerReader::open_with(damaged.folder.path(), manifest, OnDamage::Salvage);
    assert!(matches!(open(&manifest), Err(LedgerError::Foreign { what: "run", .. })));
    for file in [0, 2] {
        let (magic, version) = if file == 0 { (0, 8) } else { (4, 8) };
        let salvaged = |at| damaged.with(file, Change::Flip(at, 1), || open(&damaged.manifest));
        assert!(matches!(salvaged(magic), Err(LedgerError::NotALedger { .. })));
        assert!(matches!(salvaged(version), Err(LedgerError::Version { .. })));
        fs::rename(damaged.path(file), damaged.path(file).with_extension("away")).unwrap();
        assert!(matches!(open(&damaged.manifest), Err(LedgerError::Io { .. })));
        fs::rename(damaged.path(file).with_extension("away"), damaged.path(file)).unwrap();
    }
}

/// Damage all over a file makes no more than two entries of a report.
#[test]
fn much_damage_is_told_in_few_words() {
    let damaged = Damaged::new();
    let (path, bytes) = &damaged.files[0];
    let mut bytes = bytes.clone();
    (0..STREAMS.len() as u64).for_each(|span| bytes[(HEADER + span * SPAN + MARK_AT) as usize] ^= 1);
    bytes[PAGE as usize..2 * PAGE as usize].fill(0xA5);
    fs::write(path, bytes).unwrap();
    let ledger = damaged.open(OnDamage::Salvage).unwrap();
    let [marks, pages] = ledger.damages() else { panic!("{:?}", ledger.damages()) };
    assert!(marks.what.ends_with("and 1 more like it"), "{marks}");
    assert!(pages.what.ends_with("and 255 more like it"), "{pages}");
    assert_eq!(ledger.stream(3).unwrap().parts().filter(|part| part.incarnation == 0).count(), 0);
}
