//! The ledger against the scans: an exact tally for each class that could be looked for.
//!
//! Interval algebra per stream, with A, F, I for acknowledged, definitely failed, indeterminate or open,
//! and "log" for the `read_uncommitted` scan:
//!
//! | class | set |
//! |---|---|
//! | lost | A ∩ unseen in the log; in transactions only of committed ones (a delivery report is no commit) |
//! | expired | the same where the log start has passed the start of the run |
//! | absent when closed | I ∩ unseen in the log; A of transactions whose commit was not answered too |
//! | failed but in the log | F ∩ seen in the log |
//! | aborted but visible | aborted or dead before the commit was asked for, not F, ∩ seen under `read_committed` |
//! | committed but invisible | A ∩ committed ∩ seen in the log ∩ unseen under `read_committed` |
//! | torn transaction | of A and of what is in the log, some but not all seen under `read_committed` |
//!
//! A message that was sent again has several attempts, each with its own state, its own transaction and its own copies
//! in the log. It is lost if it is not there at all and any attempt was acknowledged (and committed); transactions and
//! failures are looked at attempt by attempt.
//!
//! Of a ledger that was damaged and salvaged, what is not known convicts nobody: a message without a known state, or of an
//! unknown transaction, is neither lost nor absent. What is found among the others counts, and where nothing is found a
//! class is examined only if what is unknown could not change it: if all messages of unknown state are in the log, none
//! is lost.
//!
//! Duplicates by resend are counted under `read_committed` where there is such a scan: an aborted copy is
//! none to the application.
//!
//! What `read_committed` shows is what a consumer was shown, or, where none read, what the transaction markers say that
//! it would be. Where both are known, markers tell more than the sender's ledger: a message that is shown although its
//! marker says abort is *aborted but visible*, and one that is not shown although it says commit is *committed but
//! invisible*, also where the sender does not know how its transaction ended.
//!
//! Where retention took records of the run, the scans may have found different ones: then none of them is held against
//! another in that partition, and what is left of these classes is what one scan alone shows.

use std::{collections::HashMap, ops::Range};

use ackmark_ledger::{Fate, LedgerReader, Part, State, StreamLedger, Transaction};
use ackmark_schema::{anomaly::Class, manifest::Manifest, report::verify::Isolation};

use crate::{
    accounting::{PartitionAccount, RecordTallies},
    live::{SIGHTINGS_MAX, Sightings},
    stream::{OfAttempt, StreamAccount},
    tally::{Spot, Tally},
};

/// One scan's accounts.
#[derive(Debug)]
pub struct ScanAccounts {
    /// What it was shown.
    pub isolation: Isolation,
    /// Why it is incomplete, if it is.
    pub incomplete: Option<String>,
    /// All partitions of the run.
    pub partitions: Vec<PartitionAccount>,
    /// When messages were seen, if it was live.
    pub sightings: Option<Sightings>,
}

impl ScanAccounts {
    fn streams(&self) -> HashMap<u32, &StreamAccount> {
        self.partitions.iter().flat_map(PartitionAccount::streams).collect()
    }

    /// What the markers of this scan make visible; `None` where it did not follow them. Incomplete where this scan is,
    /// and where a transaction has no marker: what is behind one that is open is not shown by a broker.
    pub fn take_committed(&mut self) -> Option<Self> {
        let open = self.partitions.iter().find_map(|account| {
            let (producer_id, offset) = account.first_open()?;
            let place = format!("{}-{}", account.topic(), account.partition());
            Some(format!(
                "the transaction of producer id {producer_id} in {place}, from offset {offset}, has no marker"
            ))
        });
        let partitions: Option<Vec<_>> = self.partitions.iter_mut().map(PartitionAccount::take_committed).collect();
        Some(Self {
            isolation: Isolation::ReadCommitted,
            incomplete: self.incomplete.clone().or(open),
            partitions: partitions?,
            sightings: None,
        })
    }

    /// What was counted record by record, over all partitions.
    pub fn tallies(&self) -> RecordTallies {
        let mut all = RecordTallies::default();
        self.partitions.iter().for_each(|partition| all.merge(&partition.tallies()));
        all
    }
}

/// What was found of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// An exact tally.
    Counted(Tally),
    /// This run could not show it: nothing is left open.
    NotApplicable(String),
    /// It should have been looked for and could not be: the question stays open.
    Unfinished(String),
}

/// What the ledger says together with what was seen.
#[derive(Debug)]
pub struct Evidence {
    /// One look per class of [`Class::ALL`].
    pub looks: HashMap<Class, Look>,
    /// What of the ledger could not be read, if so.
    pub damage: Option<String>,
}

/// What is weighed.
#[derive(Debug)]
pub struct Case<'a> {
    /// The run.
    pub manifest: &'a Manifest,
    /// What the sender knows.
    pub ledger: &'a LedgerReader,
    /// The scans that count, at most one per isolation level.
    pub scans: &'a [ScanAccounts],
    /// What the markers make visible, beside a `read_committed` scan of a consumer.
    pub markers: Option<&'a ScanAccounts>,
    /// Whether each of the manifest's topics keeps all of its records above its log start.
    pub cleanup: &'a [Cleanup],
    /// Whether each offset was read twice and by two readers, who agree.
    pub read_twice: bool,
    /// Whether anything was acknowledged, or may have been where damage hides it.
    pub acknowledged: bool,
    /// Why no stuck last stable offset can be told, if so.
    pub unfenced: Option<String>,
}

/// What a topic's `cleanup.policy` does to the middle of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleanup {
    /// Nothing: records go from the front, by retention.
    Nothing,
    /// Records may go from anywhere: `compact` is among its policies.
    Compacts,
    /// It is not known, and why.
    Unknown(String),
}

const NO_TRANSACTIONS: &str = "no transactions";

/// Weighs the ledger against the scans.
pub fn weigh(case: &Case<'_>) -> Evidence {
    let scan = |isolation| case.scans.iter().find(|scan| scan.isolation == isolation);
    let committed = scan(Isolation::ReadCommitted);
    let transactional = case.manifest.promise.basis.transactional;
    // Without transactions both levels show the same.
    let log = scan(Isolation::ReadUncommitted).or(committed.filter(|_| !transactional));
    let mut looks = HashMap::new();
    looks.insert(Class::InconsistentOffset, twice(case));
    looks.insert(Class::OffsetGap, offset_gaps(case, log));
    by_record(case, log, committed, &mut looks);
    by_stream(case, log, &mut looks);
    by_transaction(case, log, committed, &mut looks);
    looks.insert(Class::StuckLso, stuck(case, log));
    Evidence { looks, damage: damage(case.ledger) }
}

/// What of the ledger could not be read, the first of it.
fn damage(ledger: &LedgerReader) -> Option<String> {
    let (first, others) = ledger.damages().split_first()?;
    let more = if others.is_empty() { String::new() } else { format!("; {} more damages", others.len()) };
    Some(format!("the ledger is damaged: {first}{more}"))
}

/// A look by a ledger that is not whole: what was found stays, that nothing was is not known.
fn salvaged(look: Look, unknown: Option<&String>) -> Look {
    match (look, unknown) {
        (Look::Counted(tally), Some(why)) if tally.count() == 0 => Look::Unfinished(why.clone()),
        (look, _) => look,
    }
}

fn twice(case: &Case<'_>) -> Look {
    if case.read_twice {
        Look::Counted(Tally::default())
    } else {
        Look::NotApplicable("each offset was read once per isolation level".into())
    }
}

/// Offsets that hold nothing, of topics that are not compacted.
fn offset_gaps(case: &Case<'_>, log: Option<&ScanAccounts>) -> Look {
    let Some(scan) = log else { return presence(None, Tally::default()) };
    if scan.partitions.iter().any(|account| account.log_facts().is_none()) {
        return Look::NotApplicable("a consumer is not shown markers, so a gap means nothing to it".into());
    }
    let homes = homes(case);
    if homes.values().any(|home| home.expired) {
        return Look::NotApplicable("records were deleted: the log start has passed the start of the run".into());
    }
    let mut tally = Tally::default();
    let mut why = None;
    let mut examined = false;
    for (topic, cleanup) in case.manifest.topics.iter().zip(case.cleanup) {
        match cleanup {
            Cleanup::Nothing => {
                examined = true;
                let of_topic = scan.partitions.iter().filter(|account| account.topic() == topic.name);
                of_topic.for_each(|account| tally.merge(&account.tallies().offset_gap));
            }
            Cleanup::Compacts => why = Some(format!("topic {} is compacted", topic.name)),
            Cleanup::Unknown(reason) => {
                why = Some(format!("the cleanup.policy of topic {} is not known: {reason}", topic.name));
            }
        }
    }
    match why {
        Some(why) if !examined || tally.count() == 0 => Look::NotApplicable(why),
        _ => presence(log, tally),
    }
}

/// A look at something that a scan may show: what was found counts, nothing found counts if it read all.
fn presence(scan: Option<&ScanAccounts>, tally: Tally) -> Look {
    match scan {
        None => Look::Unfinished("no such scan was made".into()),
        Some(ScanAccounts { incomplete: Some(reason), .. }) if tally.count() == 0 => {
            Look::Unfinished(format!("only a part was read: {reason}"))
        }
        Some(_) => Look::Counted(tally),
    }
}

/// A look at something that a scan may lack: counts only if it read all.
fn absence(scans: &[Option<&ScanAccounts>], tally: Tally) -> Look {
    for scan in scans {
        match scan {
            None => return Look::Unfinished("no such scan was made".into()),
            Some(ScanAccounts { incomplete: Some(reason), .. }) => {
                return Look::Unfinished(format!("only a part was read: {reason}"));
            }
            Some(_) => {}
        }
    }
    Look::Counted(tally)
}

fn by_record(
    case: &Case<'_>,
    log: Option<&ScanAccounts>,
    committed: Option<&ScanAccounts>,
    looks: &mut HashMap<Class, Look>,
) {
    let tallies = log.map(ScanAccounts::tallies).unwrap_or_default();
    let (application, shown) = match committed {
        Some(scan) => (Some(scan), scan.tallies()),
        None => (log, tallies.clone()),
    };
    let mut backwards = Tally::default();
    case.scans.iter().for_each(|scan| backwards.merge(&scan.tallies().non_monotonic));
    looks.insert(Class::NonMonotonicRead, presence(log.or(committed), backwards));
    looks.insert(Class::DuplicateRetry, presence(log, tallies.duplicate_retry));
    looks.insert(Class::DuplicateResend, presence(application, shown.duplicate_resend));
    looks.insert(Class::Reordered, presence(log, tallies.reordered));
    let unbounded = damage(case.ledger).filter(|_| !case.ledger.is_bounded());
    looks.insert(Class::Phantom, salvaged(presence(log, tallies.phantom), unbounded.as_ref()));
    looks.insert(Class::Corrupt, presence(log, tallies.corrupt));
    let several_lives = case.manifest.producers.iter().any(|producer| producer.incarnations.len() > 1);
    let zombie = if several_lives {
        presence(log, tallies.zombie)
    } else {
        Look::NotApplicable("one incarnation per producer".into())
    };
    looks.insert(Class::ZombieWrite, zombie);
}

/// Where a stream lives.
struct Home<'a> {
    topic: &'a str,
    partition: u32,
    /// Whether its log start has passed the start of the run.
    expired: bool,
}

/// The home of each stream.
fn homes<'a>(case: &Case<'a>) -> HashMap<u32, Home<'a>> {
    let expired = |topic: &str, partition: u32, start: i64| {
        let partitions = case.scans.iter().flat_map(|scan| &scan.partitions);
        partitions
            .filter(|account| account.topic() == topic && account.partition() == partition)
            .any(|account| account.log_start().is_some_and(|log_start| log_start > start))
    };
    let streams = case.manifest.producers.iter().flat_map(|producer| &producer.streams);
    streams
        .map(|stream| {
            let topic = &case.manifest.topics[stream.topic as usize];
            let start = topic.start_offsets.get(stream.partition as usize).copied().unwrap_or(0);
            let expired = expired(&topic.name, stream.partition, start);
            (stream.stream, Home { topic: &topic.name, partition: stream.partition, expired })
        })
        .collect()
}

impl Home<'_> {
    fn spot(&self, stream: u32, sequence: u64) -> Spot<'_> {
        let message = Some((stream, sequence));
        Spot { topic: self.topic, partition: self.partition, message, offset: None, copy: None }
    }

    fn add(&self, tally: &mut Tally, stream: u32, range: &Range<u64>) {
        tally.add(range.end - range.start, self.spot(stream, range.start));
    }
}

#[derive(Default)]
struct StreamTallies {
    lost: Tally,
    absent: Tally,
    expired: Tally,
    failed_visible: Tally,
    /// Messages of which damage hides what their absence would mean, and that are absent.
    unknown_unseen: u64,
    /// Messages without a known state that are in the log.
    unknown_seen: u64,
}

fn by_stream(case: &Case<'_>, log: Option<&ScanAccounts>, looks: &mut HashMap<Class, Look>) {
    let accounts = log.map(ScanAccounts::streams).unwrap_or_default();
    let homes = homes(case);
    let fates = fates(case.ledger.transactions());
    let nothing = StreamAccount::default();
    let mut tallies = StreamTallies::default();
    for stream in case.ledger.streams() {
        let account = accounts.get(&stream.stream).copied().unwrap_or(&nothing);
        absent(stream, account, &homes[&stream.stream], &fates, &mut tallies);
        for part in stream.parts() {
            for (range, _) in part.runs_within(part.range()).filter(|(_, state)| *state == State::Failed) {
                for seen in account.of_attempt(part.attempt).seen(range) {
                    homes[&stream.stream].add(&mut tallies.failed_visible, stream.stream, &seen);
                }
            }
            let seen = |range| account.of_attempt(part.attempt).seen_count(range);
            tallies.unknown_seen += part.unknown_within(part.range()).map(seen).sum::<u64>();
        }
    }
    let damage = damage(case.ledger);
    let unknown = |of: u64| damage.as_ref().filter(|_| of > 0 || !case.ledger.is_bounded());
    let (unseen, seen) = (unknown(tallies.unknown_unseen), unknown(tallies.unknown_seen));
    let lost = if case.acknowledged {
        salvaged(absence(&[log], tallies.lost), unseen)
    } else {
        Look::NotApplicable("nothing was acknowledged".into())
    };
    // What is absent by all that is known may be lost by what is not.
    let absent = match unseen {
        Some(why) => Look::Unfinished(why.clone()),
        None => absence(&[log], tallies.absent),
    };
    looks.insert(Class::Lost, lost);
    looks.insert(Class::AbsentWhenClosed, absent);
    looks.insert(Class::Expired, salvaged(absence(&[log], tallies.expired), unseen));
    looks.insert(Class::FailedVisible, salvaged(presence(log, tallies.failed_visible), seen));
}

/// What an absent message would have to be by one attempt at it, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It may be absent.
    Absent,
    /// Damage hides which of the two.
    Unknown,
    /// It must be there.
    Kept,
}

/// Sorts what a stream lacks in the log by what its sender knows.
fn absent(stream: &StreamLedger, account: &StreamAccount, home: &Home<'_>, fates: &Fates, tallies: &mut StreamTallies) {
    for unseen in stream.reserved().flat_map(|reserved| account.unseen(reserved)) {
        let mut claims = Vec::new();
        for part in stream.parts() {
            let fates = fates.get(&(stream.stream, part.attempt)).map_or(&[][..], Vec::as_slice);
            for (range, state) in part.known_within(unseen.clone()) {
                match state {
                    State::Failed => {}
                    State::Open | State::Indeterminate => claims.push((range, Claim::Absent)),
                    State::Acknowledged => split(range, fates, |range, fate| match fate {
                        None | Some(Fate::Committed) => claims.push((range, Claim::Kept)),
                        Some(Fate::Indeterminate) => claims.push((range, Claim::Absent)),
                        Some(Fate::Aborted) => {}
                        Some(Fate::Unknown) => claims.push((range, Claim::Unknown)),
                    }),
                }
            }
            claims.extend(part.unknown_within(unseen.clone()).map(|range| (range, Claim::Unknown)));
        }
        strongest(&claims, |range, claim| match claim {
            Claim::Kept if home.expired => home.add(&mut tallies.expired, stream.stream, &range),
            Claim::Kept => home.add(&mut tallies.lost, stream.stream, &range),
            Claim::Unknown => tallies.unknown_unseen += range.end - range.start,
            Claim::Absent => home.add(&mut tallies.absent, stream.stream, &range),
        });
    }
}

/// The strongest claim on each sequence, rising.
fn strongest(claims: &[(Range<u64>, Claim)], mut each: impl FnMut(Range<u64>, Claim)) {
    let mut borders: Vec<(u64, Claim, bool)> =
        claims.iter().flat_map(|(range, claim)| [(range.start, *claim, true), (range.end, *claim, false)]).collect();
    borders.sort_unstable();
    let (mut at, mut open) = (0, [0_usize; 3]);
    for (border, claim, begins) in borders {
        let strongest =
            [Claim::Kept, Claim::Unknown, Claim::Absent].into_iter().find(|claim| open[*claim as usize] > 0);
        if let Some(strongest) = strongest.filter(|_| at < border) {
            each(at..border, strongest);
        }
        at = border;
        if begins { open[claim as usize] += 1 } else { open[claim as usize] -= 1 }
    }
}

/// The fates of each stream's sequences by attempt, rising.
type Fates = HashMap<(u32, u16), Vec<(Range<u64>, Fate)>>;

fn fates(transactions: &[Transaction]) -> Fates {
    let mut all = Fates::new();
    for transaction in transactions {
        for member in &transaction.members {
            let fates = all.entry((member.stream, member.attempt)).or_default();
            fates.push((member.sequences.clone(), transaction.fate));
        }
    }
    for fates in all.values_mut() {
        fates.sort_by_key(|(range, _)| range.start);
    }
    all
}

/// Cuts a range where fates change.
fn split(range: Range<u64>, fates: &[(Range<u64>, Fate)], mut each: impl FnMut(Range<u64>, Option<Fate>)) {
    let mut at = range.start;
    let first = fates.partition_point(|(known, _)| known.end <= at);
    for (known, fate) in fates[first..].iter().take_while(|(known, _)| known.start < range.end) {
        if known.start > at {
            each(at..known.start, None);
        }
        let part = known.start.max(at)..known.end.min(range.end);
        at = part.end.max(at);
        if !part.is_empty() {
            each(part, Some(*fate));
        }
    }
    if at < range.end {
        each(at..range.end, None);
    }
}

#[derive(Default)]
struct TransactionTallies {
    aborted_visible: Tally,
    torn: Tally,
    committed_invisible: Tally,
}

fn by_transaction(
    case: &Case<'_>,
    log: Option<&ScanAccounts>,
    committed: Option<&ScanAccounts>,
    looks: &mut HashMap<Class, Look>,
) {
    let classes = [Class::AbortedVisible, Class::TornTransaction, Class::CommittedInvisible, Class::EarlyVisible];
    if !case.manifest.promise.basis.transactional {
        for class in classes {
            looks.insert(class, Look::NotApplicable(NO_TRANSACTIONS.into()));
        }
        return;
    }
    let nothing = StreamAccount::default();
    let complete = |scan: &&ScanAccounts| scan.incomplete.is_none();
    let markers = case.markers.filter(complete).filter(|_| committed.as_ref().is_some_and(complete));
    let (shown, stored, marked) = (streams_of(committed), streams_of(log), markers.map(ScanAccounts::streams));
    let homes = homes(case);
    let mut tallies = TransactionTallies::default();
    for transaction in case.ledger.transactions() {
        one_transaction(case, transaction, &homes, &mut tallies, |stream| Views {
            shown: shown.get(&stream).copied().unwrap_or(&nothing),
            stored: stored.get(&stream).copied().unwrap_or(&nothing),
            marked: marked.as_ref().map(|marked| marked.get(&stream).copied().unwrap_or(&nothing)),
        });
    }
    let expired = homes.values().any(|home| home.expired);
    let unless_expired = |look| match look {
        Look::Counted(tally) if expired && tally.count() == 0 => {
            Look::Unfinished("the log start has passed the start of the run".into())
        }
        look => look,
    };
    let damage = damage(case.ledger).filter(|_| !case.ledger.is_all_known());
    let found = [
        (Class::AbortedVisible, unless_expired(presence(committed, tallies.aborted_visible))),
        (Class::TornTransaction, unless_expired(absence(&[committed, log], tallies.torn))),
        (Class::CommittedInvisible, unless_expired(absence(&[committed, log], tallies.committed_invisible))),
        (Class::EarlyVisible, early(case, committed, &homes)),
    ];
    looks.extend(found.map(|(class, look)| (class, salvaged(look, damage.as_ref()))));
}

fn streams_of(scan: Option<&ScanAccounts>) -> HashMap<u32, &StreamAccount> {
    scan.map(ScanAccounts::streams).unwrap_or_default()
}

/// A stream as it was seen.
struct Views<'s> {
    /// Under `read_committed`.
    shown: &'s StreamAccount,
    /// In the log.
    stored: &'s StreamAccount,
    /// Visible by its markers, where that is known beside what was shown.
    marked: Option<&'s StreamAccount>,
}

fn one_transaction<'s>(
    case: &Case<'_>,
    transaction: &Transaction,
    homes: &HashMap<u32, Home<'_>>,
    tallies: &mut TransactionTallies,
    views: impl Fn(u32) -> Views<'s>,
) {
    let (mut visible, mut whole) = (0, 0);
    // Where the first message is that should be visible with the others and is not.
    let mut missing = None;
    let mut expired = false;
    for member in &transaction.members {
        let (Some(stream), Some(home)) = (case.ledger.stream(member.stream), homes.get(&member.stream)) else {
            continue;
        };
        let Views { shown, stored, marked } = views(member.stream);
        let [shown, stored] = [shown, stored].map(|account| account.of_attempt(member.attempt));
        let marked = marked.map(|account| account.of_attempt(member.attempt));
        expired |= home.expired;
        let own = |part: &&Part| (part.incarnation, part.attempt) == (transaction.incarnation, member.attempt);
        let runs = stream.parts().filter(own).flat_map(|part| part.known_within(member.sequences.clone()));
        for (range, state) in runs {
            if state == State::Failed {
                continue;
            }
            let length = range.end - range.start;
            let seen = shown.seen_count(range.clone());
            visible += seen;
            whole += if state == State::Acknowledged { length } else { stored.seen_count(range.clone()).max(seen) };
            if transaction.fate == Fate::Aborted {
                for part in &shown.seen(range.clone()) {
                    home.add(&mut tallies.aborted_visible, member.stream, part);
                }
            }
            // Two scans of a log whose start moves between them differ by no fault of the brokers.
            if let Some(marked) = marked.filter(|_| !home.expired) {
                let known = (transaction.fate, state);
                against_markers(known, &range, [shown, marked], |tally, part| {
                    home.add(tallies.of_markers(tally), member.stream, part);
                });
            }
            for unseen in shown.unseen(range) {
                if state == State::Acknowledged && missing.is_none() {
                    missing = Some(home.spot(member.stream, unseen.start));
                }
                for hidden in stored.seen(unseen) {
                    missing = missing.or(Some(home.spot(member.stream, hidden.start)));
                    if state == State::Acknowledged && transaction.fate == Fate::Committed && !home.expired {
                        home.add(&mut tallies.committed_invisible, member.stream, &hidden);
                    }
                }
            }
        }
    }
    // Behind damage it is not known where one ends and the next begins.
    let is_one = transaction.fate != Fate::Unknown;
    if let Some(spot) = missing.filter(|_| is_one && visible > 0 && visible < whole && !expired) {
        tallies.torn.add(1, spot);
    }
}

/// Which way markers and a consumer differ.
#[derive(Debug, Clone, Copy)]
enum Contradiction {
    /// Shown although its marker says abort.
    AbortedVisible,
    /// Not shown although its marker says commit.
    CommittedInvisible,
}

impl TransactionTallies {
    fn of_markers(&mut self, contradiction: Contradiction) -> &mut Tally {
        match contradiction {
            Contradiction::AbortedVisible => &mut self.aborted_visible,
            Contradiction::CommittedInvisible => &mut self.committed_invisible,
        }
    }
}

/// Where markers and a consumer differ, as far as the ledger alone has not convicted it.
fn against_markers(
    (fate, state): (Fate, State),
    range: &Range<u64>,
    [shown, marked]: [OfAttempt<'_>; 2],
    mut each: impl FnMut(Contradiction, &Range<u64>),
) {
    if fate != Fate::Aborted {
        for part in shown.seen(range.clone()) {
            marked.unseen(part).iter().for_each(|part| each(Contradiction::AbortedVisible, part));
        }
    }
    if fate != Fate::Committed || state != State::Acknowledged {
        for part in marked.seen(range.clone()) {
            shown.unseen(part).iter().for_each(|part| each(Contradiction::CommittedInvisible, part));
        }
    }
}

/// Sightings before the commit was asked for, as far as they were kept. No more is left open by the bound
/// than by a run without a live scan. The clocks of sender and reader are one: both run here.
fn early(case: &Case<'_>, committed: Option<&ScanAccounts>, homes: &HashMap<u32, Home<'_>>) -> Look {
    let Some(sightings) = committed.and_then(|scan| scan.sightings.as_ref()) else {
        return Look::NotApplicable("no live read_committed scan".into());
    };
    let mut tally = Tally::default();
    for transaction in case.ledger.transactions() {
        let Some(asked_ns) = transaction.intent_commit_ns else { continue };
        for member in &transaction.members {
            let seen = sightings.before(member.stream, transaction.transaction, asked_ns);
            if let Some(home) = homes.get(&member.stream).filter(|_| seen > 0) {
                tally.add(seen, home.spot(member.stream, member.sequences.start));
            }
        }
    }
    match sightings.beyond() {
        beyond if beyond > 0 && tally.count() == 0 => Look::NotApplicable(format!(
            "{beyond} messages were seen beyond the {SIGHTINGS_MAX} sightings that reading threads share; none of those was early"
        )),
        _ => presence(committed, tally),
    }
}

/// Partitions whose last stable offset stayed below what the log scan read.
fn stuck(case: &Case<'_>, log: Option<&ScanAccounts>) -> Look {
    if !case.manifest.promise.basis.transactional {
        return Look::NotApplicable(NO_TRANSACTIONS.into());
    }
    if let Some(reason) = &case.unfenced {
        return Look::Unfinished(reason.clone());
    }
    let Some(scan) = log else { return Look::Unfinished("no read_uncommitted scan was made".into()) };
    let mut tally = Tally::default();
    for account in &scan.partitions {
        let Some(stable) = account.last_stable() else {
            return Look::Unfinished("the last stable offset was not read".into());
        };
        if stable < account.position() {
            let (topic, partition) = (account.topic(), account.partition());
            tally.add(1, Spot { topic, partition, message: None, offset: Some(stable), copy: None });
        }
    }
    presence(Some(scan), tally)
}
