//! A load folder and its log are judged twice: by the tool, and in plain code (see `plain`). The two must agree in
//! every count, and the promise must be kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use ackmark_schema::{
    anomaly::Class,
    promise::{Acks, Ruling},
    report::{
        load::LOAD_FILE,
        verify::{Examined, Isolation, Verdict, VerifyReport},
    },
};

use crate::{
    common,
    kafka::Kafka,
    plain::{Fate, Found, Known, Ledger},
};

/// Closes the log and judges it.
pub(crate) fn close_and_judge(kafka: &Kafka, load: &Path) -> Account {
    common::run(load, &["seal", ".", "-b", &kafka.servers(), "--quiet-time", "1s"]).exits(0);
    judge(kafka, load)
}

/// Judges a log that is closed, and compares the verdict with what ledger and log say in plain code.
pub(crate) fn judge(kafka: &Kafka, load: &Path) -> Account {
    let (run, report) = kafka.verify(load);
    let ledger = Ledger::read(load);
    let stored = ledger.log(kafka, "read_uncommitted");
    let transactional = ledger.manifest.promise.basis.transactional;
    let shown = transactional.then(|| ledger.log(kafka, "read_committed"));
    let found = Account::of(&ledger, &stored);
    let told = report.ledger;

    // The sums add up, and the verdict's are the ledger's.
    assert_eq!(told.acknowledged + told.failed + told.indeterminate, told.reserved);
    assert_eq!((told.reserved, told.acknowledged, told.failed), (found.reserved, found.acknowledged, found.failed));
    // What was acknowledged is in the log, what failed is not, and nothing is there that was not reserved.
    assert_eq!(found.acknowledged_unseen, 0);
    assert_eq!(found.failed_seen, 0);
    assert_eq!(found.not_reserved, 0);
    let application = shown.as_ref().map_or((found.copies, found.resent_copies), |shown| {
        let account = Account::of(&ledger, shown);
        (account.copies, account.resent_copies)
    });
    let expected = [
        (Class::Lost, 0),
        (Class::FailedVisible, 0),
        (Class::Phantom, 0),
        (Class::Corrupt, 0),
        (Class::AbsentWhenClosed, found.unknown_unseen),
        (Class::Reordered, found.reordered),
        (Class::DuplicateRetry, found.copies),
        (Class::DuplicateResend, application.1),
    ];
    let acknowledged = ledger.manifest.promise.basis.acks != Acks::None && found.acknowledged > 0;
    for (class, count) in expected {
        match counted(&report, class) {
            None => assert!(class == Class::Lost && !acknowledged, "{class:?} was not examined"),
            Some(told) => assert_eq!(told, count, "{class:?}: {report:#?}"),
        }
    }
    for scan in report.scans.iter().filter(|scan| scan.isolation == Isolation::ReadUncommitted) {
        let all = stored.len() as u64;
        assert_eq!((scan.messages, scan.distinct), (all, all - found.copies - found.resent_copies));
        assert!(scan.complete && scan.strangers == 0, "{scan:?}");
    }
    if let Some(shown) = shown {
        judge_transactions(&ledger, &stored, &shown, &report);
    }

    let resend = report.findings.iter().find(|finding| finding.class == Class::DuplicateResend).unwrap();
    assert!(application.1 == 0 || resend.ruling == Ruling::May, "{resend:?}");
    assert_ne!(report.verdict, Verdict::Broken, "{}", report.reason);
    if found.reserved == 0 {
        assert_eq!((run.code, report.verdict), (4, Verdict::Inconclusive), "{}", report.reason);
    } else if acknowledged || ledger.manifest.promise.basis.acks == Acks::None {
        assert_eq!((run.code, report.verdict.is_held()), (0, true), "{}", report.reason);
    }
    let first_life = ledger.manifest.resumed.is_empty();
    assert!(!first_life || report.provocations_known == load.join(LOAD_FILE).exists());
    found
}

/// What a class was counted as; `None` where it was not examined.
fn counted(report: &VerifyReport, class: Class) -> Option<u64> {
    match report.findings.iter().find(|finding| finding.class == class).unwrap().examined {
        Examined::Counted(count) => Some(count),
        Examined::NotExamined { .. } => None,
    }
}

/// Ledger and log side by side. Messages are counted once, whatever was attempted; what is acknowledged or failed and
/// seen is compared attempt by attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Messages.
    pub(crate) reserved: u64,
    /// By any attempt.
    pub(crate) acknowledged: u64,
    /// By all attempts.
    pub(crate) failed: u64,
    /// Attempts.
    pub(crate) acknowledged_unseen: u64,
    /// Attempts.
    pub(crate) failed_seen: u64,
    /// Neither acknowledged nor failed, and not in the log by any attempt.
    pub(crate) unknown_unseen: u64,
    /// Records of attempts that no ledger has, or in a partition that is not their stream's.
    pub(crate) not_reserved: u64,
    /// Records of an attempt that is there already.
    pub(crate) copies: u64,
    /// Records of a message that is there already by another attempt.
    pub(crate) resent_copies: u64,
    /// First records after a higher sequence, by a first attempt.
    pub(crate) reordered: u64,
    /// Messages that were attempted again.
    pub(crate) resent: u64,
}

/// An attempt, its life, and what is known of it.
type One = (u16, u32, Known);

impl Account {
    /// Compares.
    pub(crate) fn of(ledger: &Ledger, stored: &[Found]) -> Self {
        let mut account = Self::default();
        let mut known: BTreeMap<u32, BTreeMap<u64, Vec<One>>> = BTreeMap::new();
        for (stream, attempts) in &ledger.streams {
            let messages = known.entry(*stream).or_default();
            for attempt in attempts {
                for (sequence, state) in (attempt.first..).zip(&attempt.known) {
                    let one = (attempt.number, attempt.incarnation, *state);
                    messages.entry(sequence).or_default().push(one);
                }
            }
        }
        let mut seen: BTreeMap<u32, BTreeMap<u64, BTreeSet<u16>>> = BTreeMap::new();
        for Found { topic, partition, header, .. } in stored {
            let attempts = known.get(&header.stream).and_then(|messages| messages.get(&header.sequence));
            let attempted = |(attempt, incarnation, _): &(u16, u32, Known)| {
                (*attempt, *incarnation) == (header.attempt, header.incarnation)
            };
            if !attempts.is_some_and(|attempts| attempts.iter().any(attempted))
                || ledger.place(header.stream) != (topic.as_str(), *partition)
            {
                account.not_reserved += 1;
                continue;
            }
            let seen = seen.entry(header.stream).or_default();
            let highest = seen.last_key_value().map(|(highest, _)| *highest);
            let attempts = seen.entry(header.sequence).or_default();
            if attempts.is_empty() {
                let late = header.attempt == 0 && highest.is_some_and(|highest| highest > header.sequence);
                account.reordered += u64::from(late);
            } else if attempts.contains(&header.attempt) {
                account.copies += 1;
            } else {
                account.resent_copies += 1;
            }
            attempts.insert(header.attempt);
        }
        for (stream, messages) in &known {
            let mut seen = seen.remove(stream).unwrap_or_default();
            for (sequence, attempts) in messages {
                account.message(attempts, &seen.remove(sequence).unwrap_or_default());
            }
        }
        account
    }

    fn message(&mut self, attempts: &[(u16, u32, Known)], seen: &BTreeSet<u16>) {
        self.reserved += 1;
        self.resent += u64::from(attempts.len() > 1);
        for (attempt, _, state) in attempts {
            match state {
                Known::Acknowledged => self.acknowledged_unseen += u64::from(!seen.contains(attempt)),
                Known::Failed => self.failed_seen += u64::from(seen.contains(attempt)),
                Known::Open | Known::Indeterminate => {}
            }
        }
        if attempts.iter().any(|(.., state)| *state == Known::Acknowledged) {
            self.acknowledged += 1;
        } else if attempts.iter().all(|(.., state)| *state == Known::Failed) {
            self.failed += 1;
        } else {
            self.unknown_unseen += u64::from(seen.is_empty());
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reserved, acknowledged, failed, unknown_unseen, copies, resent, resent_copies, .. } = self;
        let unknown = reserved - acknowledged - failed;
        let there = unknown - unknown_unseen;
        write!(f, "{reserved} reserved, {acknowledged} acknowledged, {failed} failed, {unknown} unknown of which ")?;
        write!(f, "{there} are in the log; {resent} sent again; duplicates: {copies} copies, {resent_copies} resends")
    }
}

/// Topic, partition and offset.
type Place = (String, i32, i64);

/// Whose messages applications see: all of a committed transaction's, none of an aborted one's, all or none of one
/// whose commit was not answered.
fn judge_transactions(ledger: &Ledger, stored: &[Found], shown: &[Found], report: &VerifyReport) {
    let producer_of = |stream: u32| {
        let mut all = ledger.manifest.producers.iter();
        all.find(|entry| entry.streams.iter().any(|known| known.stream == stream)).unwrap().producer
    };
    let by_transaction = |found: &[Found]| {
        let mut all: BTreeMap<(u32, u32), BTreeSet<Place>> = BTreeMap::new();
        for one in found {
            let key = (producer_of(one.header.stream), one.header.transaction);
            assert!(all.entry(key).or_default().insert((one.topic.clone(), one.partition, one.offset)));
        }
        all
    };
    let (mut stored_in, mut shown_in) = (by_transaction(stored), by_transaction(shown));
    let mut counts = [0; 3];
    for (producer, transactions) in &ledger.transactions {
        for transaction in transactions {
            let key = (*producer, transaction.number);
            let (stored, shown) =
                (stored_in.remove(&key).unwrap_or_default(), shown_in.remove(&key).unwrap_or_default());
            counts[transaction.fate as usize] += 1;
            match transaction.fate {
                Fate::Committed => assert_eq!(shown, stored, "committed: {transaction:?}"),
                Fate::Aborted => assert_eq!(shown, BTreeSet::new(), "aborted: {transaction:?}"),
                Fate::Unanswered => assert!(shown.is_empty() || shown == stored, "torn: {transaction:?}"),
            }
        }
    }
    assert!(stored_in.is_empty() && shown_in.is_empty(), "transactions that never began: {stored_in:?}");
    // Each record is in the transaction that the ledger has it in.
    for Found { header, .. } in stored {
        let transactions = ledger.transactions[&producer_of(header.stream)].iter();
        let own = transactions.filter(|one| one.incarnation == header.incarnation);
        let starts = own.filter_map(|one| Some((one.members.get(&header.stream)?, one.number)));
        let of_ledger = starts.take_while(|(start, _)| **start <= header.sequence).last();
        assert_eq!(of_ledger.map(|(_, number)| number), Some(header.transaction), "{header:?}");
    }
    let told = report.ledger;
    assert_eq!(
        [told.committed_transactions, told.aborted_transactions, told.indeterminate_transactions],
        counts,
        "by fate"
    );
    for class in [Class::AbortedVisible, Class::TornTransaction, Class::CommittedInvisible, Class::StuckLso] {
        assert_eq!(counted(report, class), Some(0), "{class:?}");
    }
}
