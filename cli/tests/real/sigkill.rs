//! A load is killed by SIGKILL at a random moment; what its ledger says, what the log holds and what the verdict
//! counts are then one and the same. The log and the ledger are compared in plain code (see `plain`), and the
//! tool's counts with what that finds.
//!
//! Moments: before and while the files are made, in the warm-up, while it sends, between the steps of a
//! transaction, when all is sent and not all reported, and while reports are written and the log is closed.
//!
//! `ACKTEST_KILLS` says how many (10), `ACKTEST_SEED` which ones (drawn, and printed): a failure is repeated with
//! the same two and the name of its test. What is drawn is repeated exactly; when the process is hit within what
//! it does then is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ackmark_schema::{
    anomaly::Class,
    manifest::MANIFEST_FILE,
    profile,
    promise::Acks,
    report::{
        load::LOAD_FILE,
        verify::{Examined, Isolation, Verdict, VerifyReport},
    },
};
use libtest_mimic::Trial;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use rustix::process::Signal;

use crate::{
    common,
    kafka::Kafka,
    plain::{self, Fate, Found, Known, Ledger},
    trial,
};

/// A load that does not come to its moment is killed all the same.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether the moment has come.
const LOOK: Duration = Duration::from_micros(200);

/// When a load is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// At any time from its start.
    StartUp,
    /// When a file with this end is there.
    File(&'static str),
    /// While it warms up.
    WarmUp,
    /// While it sends what is measured.
    Sending,
    /// When its transaction log ends with an entry of this kind.
    Transaction(u32),
    /// When all is sent.
    Drain,
    /// When its report is there.
    Closing,
}

const BEGIN: u32 = 1;
const MEMBER: u32 = 2;
const INTENT_COMMIT: u32 = 3;
const COMMITTED: u32 = 4;

impl Moment {
    fn of(transactional: bool) -> Vec<Self> {
        let all = [
            Self::StartUp,
            Self::File("p0-i0.ledger"),
            Self::File(MANIFEST_FILE),
            Self::WarmUp,
            Self::Sending,
            Self::Sending,
            Self::Drain,
            Self::Closing,
        ];
        let steps = [BEGIN, MEMBER, INTENT_COMMIT, INTENT_COMMIT, COMMITTED].map(Self::Transaction);
        if transactional { [&all[..], &steps, &[Self::File("p0-i0.txnlog")]].concat() } else { all.to_vec() }
    }

    /// How long after the moment the signal comes, at most.
    fn delay(self) -> Duration {
        match self {
            Self::StartUp => Duration::from_millis(600),
            Self::File(_) => Duration::from_millis(5),
            Self::Transaction(_) => Duration::from_millis(2),
            Self::WarmUp | Self::Sending => Duration::from_secs(1),
            Self::Drain => Duration::from_millis(40),
            Self::Closing => Duration::from_millis(400),
        }
    }

    fn name(self) -> String {
        match self {
            Self::File(name) => format!("when_{}_is_there", name.replace(['.', '-'], "_")),
            Self::Transaction(BEGIN) => "when_a_transaction_begins".into(),
            Self::Transaction(MEMBER) => "when_a_partition_joins".into(),
            Self::Transaction(INTENT_COMMIT) => "before_a_commit".into(),
            Self::Transaction(_) => "after_a_commit".into(),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// One kill: all of it is drawn from the seed and the number.
#[derive(Debug, Clone)]
struct Kill {
    seed: u64,
    number: u64,
    profile: String,
    moment: Moment,
    delay: Duration,
    producers: u64,
    flags: Vec<String>,
    messages: u64,
    /// Messages before the step of a transaction that is waited for.
    after: u64,
}

impl Kill {
    fn draw(seed: u64, number: u64) -> Self {
        let profiles = profile::built_in();
        let profile = &profiles[number as usize % profiles.len()];
        let mut moments = Moment::of(profile.transactions.is_some());
        // The same order for all kills of a profile, so that they take turns.
        moments.shuffle(&mut StdRng::seed_from_u64(seed ^ (number % profiles.len() as u64)));
        let moment = moments[number as usize / profiles.len() % moments.len()];
        let mut random = StdRng::seed_from_u64(seed.rotate_left(32) ^ number);
        let delay = moment.delay().mul_f64(random.random_range(0.0..1.0));
        let producers: u64 = random.random_range(1..=2);
        let (messages, after) = (random.random_range(2_000..40_000), random.random_range(0..10_000));
        let mut flags = vec![("--outstanding", random.random_range(500..20_000).to_string())];
        if random.random_bool(0.5) {
            flags.push(("--rate", format!("{}/s", random.random_range(2_000..40_000))));
        }
        if random.random_bool(0.3) {
            flags.push(("--keys", "uniform:1k".into()));
        }
        if profile.transactions.is_some() {
            flags.push(if random.random_bool(0.5) {
                ("--transaction-duration", format!("{}ms", random.random_range(2..60)))
            } else {
                ("--transaction-messages", random.random_range(10..5_000).to_string())
            });
        }
        flags.push(match moment {
            Moment::WarmUp => ("--warm-up", "1m".into()),
            Moment::Drain | Moment::Closing => ("--messages", messages.to_string()),
            _ => ("--duration", "1m".into()),
        });
        let flags = flags.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self { seed, number, profile: profile.name.clone(), moment, delay, producers, flags, messages, after }
    }

    fn name(&self) -> String {
        format!("sigkill::{:03}_{}_{}", self.number, self.profile.replace('-', "_"), self.moment.name())
    }

    fn run(&self, kafka: &Kafka) {
        let _tells = TellsOnPanic(self);
        let folder = tempfile::tempdir().unwrap();
        let topic = kafka.topic();
        let ended = if self.load_until_killed(kafka, folder.path(), &topic) { "killed" } else { "ended by itself" };
        let load = folder.path().join("load");
        let found = if load.join(MANIFEST_FILE).exists() {
            judge(kafka, &load, &topic).to_string()
        } else {
            never_began(kafka, folder.path(), &topic);
            "it sent nothing".into()
        };
        eprintln!("{}: {ended}; {found}", self.name());
    }

    /// Whether it was alive when the signal came.
    fn load_until_killed(&self, kafka: &Kafka, folder: &Path, topic: &str) -> bool {
        let mut child = common::ackmark(folder)
            .args(["load", "--yes", "--topic", topic, "--out", "load", "--profile", &self.profile, "--size", "100B"])
            .args(["--producers", &self.producers.to_string(), "-b", &kafka.servers(), "--progress", "none"])
            .args(&self.flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.wait_for_moment(&mut child, &folder.join("load"));
        thread::sleep(self.delay);
        // It may have ended by itself: then it is judged as it is.
        child.kill().unwrap();
        child.wait().unwrap().signal() == Some(Signal::KILL.as_raw())
    }

    fn wait_for_moment(&self, child: &mut Child, load: &Path) {
        let begun = Instant::now();
        let reserved = || -> u64 {
            (0..self.producers).map(|number| plain::reserved(&load.join(format!("p{number}-i0.ledger")))).sum()
        };
        let came = || match self.moment {
            Moment::StartUp => true,
            Moment::File(name) => load.join(name).exists(),
            Moment::WarmUp | Moment::Sending => reserved() > 0,
            Moment::Transaction(kind) => {
                reserved() > self.after && last_entry(&load.join("p0-i0.txnlog")) == Some(kind)
            }
            Moment::Drain => reserved() >= self.messages,
            Moment::Closing => load.join(LOAD_FILE).exists(),
        };
        while !came() && begun.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
            thread::sleep(LOOK);
        }
    }
}

/// The kind of a transaction log's last entry.
fn last_entry(path: &Path) -> Option<u32> {
    let bytes = fs::read(path).ok()?;
    let entry = bytes.chunks_exact(32).skip(1).last()?;
    Some(u32::from_le_bytes(entry[4..8].try_into().unwrap()))
}

/// Says what was drawn when a test fails.
struct TellsOnPanic<'a>(&'a Kill);

impl Drop for TellsOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Kill { seed, number, .. } = self.0;
            eprintln!("repeat with ACKTEST_SEED={seed} ACKTEST_KILLS={} {}: {:?}", number + 1, self.0.name(), self.0);
        }
    }
}

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    let seed = number("ACKTEST_SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
    let kills = number("ACKTEST_KILLS").unwrap_or(10);
    eprintln!("sigkill: {kills} kills of seed {seed}");
    let kills = (0..kills).map(|number| {
        let kill = Kill::draw(seed, number);
        trial(kafka, kill.name(), move |kafka| kill.run(kafka))
    });
    kills.chain([trial(kafka, "sigkill::the_plain_judge_sees_what_is_wrong", seen)]).collect()
}

/// The judge of this test is judged: one message is taken out of what was read, one is there twice, one was never
/// reserved.
fn seen(kafka: &Kafka) {
    let base = kafka.base();
    let ledger = Ledger::read(&base.folder());
    let mut stored = plain::log(kafka, &base.topic, ledger.manifest.run, "read_uncommitted");
    let sound = Account::of(&ledger, &stored);
    assert_eq!(sound, Account { reserved: 1_000, acknowledged: 1_000, ..Account::default() });
    let taken = stored.swap_remove(7);
    let mut invented = taken;
    invented.header.sequence = 1_000;
    stored.extend([stored[8], invented]);
    let found = Account::of(&ledger, &stored);
    assert_eq!((found.acknowledged_unseen, found.copies, found.not_reserved), (1, 1, 1), "{found}");
}

/// A load that left no manifest sent nothing, and every command says so.
fn never_began(kafka: &Kafka, folder: &Path, topic: &str) {
    let ends = kafka.admin().offsets(topic, PATIENCE).unwrap();
    assert!(ends.iter().all(|partition| partition.high == 0), "{ends:?}");
    for command in ["seal", "verify"] {
        let run = common::run(folder, &[command, "load", "-b", &kafka.servers()]).exits(2);
        assert!(run.stderr.contains("a load that left no manifest sent nothing"), "{}", run.stderr);
    }
}

/// Closes the log, judges it, and compares the verdict with what ledger and log say in plain code.
fn judge(kafka: &Kafka, load: &Path, topic: &str) -> Account {
    common::run(load, &["seal", ".", "-b", &kafka.servers(), "--quiet-time", "1s"]).exits(0);
    let (run, report) = kafka.verify(load);
    let ledger = Ledger::read(load);
    let stored = plain::log(kafka, topic, report.run, "read_uncommitted");
    let transactional = ledger.manifest.promise.basis.transactional;
    let shown = transactional.then(|| plain::log(kafka, topic, report.run, "read_committed"));
    let found = Account::of(&ledger, &stored);
    let told = report.ledger;

    // The sums add up, and the verdict's are the ledger's.
    assert_eq!(told.acknowledged + told.failed + told.indeterminate, told.reserved);
    assert_eq!((told.reserved, told.acknowledged, told.failed), (found.reserved, found.acknowledged, found.failed));
    // What was acknowledged is in the log, what failed is not, and nothing is there that was not reserved.
    assert_eq!(found.acknowledged_unseen, 0);
    assert_eq!(found.failed_seen, 0);
    assert_eq!(found.not_reserved, 0);
    let expected = [
        (Class::Lost, 0),
        (Class::FailedVisible, 0),
        (Class::Phantom, 0),
        (Class::Corrupt, 0),
        (Class::AbsentWhenClosed, found.unknown_unseen),
        (Class::Reordered, found.reordered),
        (Class::DuplicateRetry, found.copies),
    ];
    let acknowledged = ledger.manifest.promise.basis.acks != Acks::None && found.acknowledged > 0;
    for (class, count) in expected {
        match counted(&report, class) {
            None => assert!(class == Class::Lost && !acknowledged, "{class:?} was not examined"),
            Some(told) => assert_eq!(told, count, "{class:?}: {report:#?}"),
        }
    }
    for scan in report.scans.iter().filter(|scan| scan.isolation == Isolation::ReadUncommitted) {
        assert_eq!((scan.messages, scan.distinct), (stored.len() as u64, stored.len() as u64 - found.copies));
        assert!(scan.complete && scan.strangers == 0, "{scan:?}");
    }
    if let Some(shown) = shown {
        judge_transactions(&ledger, &stored, &shown, &report);
    }

    assert_ne!(report.verdict, Verdict::Broken, "{}", report.reason);
    if found.reserved == 0 {
        assert_eq!((run.code, report.verdict), (4, Verdict::Inconclusive), "{}", report.reason);
    } else if acknowledged || ledger.manifest.promise.basis.acks == Acks::None {
        assert_eq!((run.code, report.verdict.is_held()), (0, true), "{}", report.reason);
    }
    assert_eq!(report.provocations_known, load.join(LOAD_FILE).exists());
    found
}

/// What a class was counted as; `None` where it was not examined.
fn counted(report: &VerifyReport, class: Class) -> Option<u64> {
    match report.findings.iter().find(|finding| finding.class == class).unwrap().examined {
        Examined::Counted(count) => Some(count),
        Examined::NotExamined { .. } => None,
    }
}

/// Ledger and log side by side.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    reserved: u64,
    acknowledged: u64,
    failed: u64,
    acknowledged_unseen: u64,
    failed_seen: u64,
    unknown_unseen: u64,
    not_reserved: u64,
    copies: u64,
    reordered: u64,
}

impl Account {
    fn of(ledger: &Ledger, stored: &[Found]) -> Self {
        let mut account = Self::default();
        let mut seen: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        for Found { partition, header, .. } in stored {
            let known = ledger.streams.get(&header.stream).map_or(0, Vec::len) as u64;
            if header.sequence >= known || ledger.partition(header.stream) != *partition {
                account.not_reserved += 1;
                continue;
            }
            let seen = seen.entry(header.stream).or_default();
            let highest = seen.last().copied();
            if !seen.insert(header.sequence) {
                account.copies += 1;
            } else if highest.is_some_and(|highest| highest > header.sequence) {
                account.reordered += 1;
            }
        }
        let unanswered = unanswered(ledger);
        for (stream, states) in &ledger.streams {
            let seen = seen.remove(stream).unwrap_or_default();
            for (sequence, state) in (0..).zip(states) {
                let seen = seen.contains(&sequence);
                account.reserved += 1;
                match state {
                    Known::Acknowledged => {
                        account.acknowledged += 1;
                        account.acknowledged_unseen += u64::from(!seen);
                    }
                    Known::Failed => {
                        account.failed += 1;
                        account.failed_seen += u64::from(seen);
                    }
                    Known::Open | Known::Indeterminate => account.unknown_unseen += u64::from(!seen),
                }
            }
        }
        assert!(unanswered <= ledger.transactions.len(), "a producer has one commit under way at most");
        account
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reserved, acknowledged, failed, unknown_unseen, copies, .. } = self;
        let unknown = reserved - acknowledged - failed;
        let there = unknown - unknown_unseen;
        write!(f, "{reserved} reserved, {acknowledged} acknowledged, {failed} failed, {unknown} unknown of which ")?;
        write!(f, "{there} are in the log; {copies} duplicates")
    }
}

/// Transactions whose commit was not answered.
fn unanswered(ledger: &Ledger) -> usize {
    let all = ledger.transactions.values().flatten();
    all.filter(|transaction| transaction.fate == Fate::Unanswered).count()
}

/// Whose messages applications see: all of a committed transaction's, none of an aborted one's, all or none of one
/// whose commit was not answered.
fn judge_transactions(ledger: &Ledger, stored: &[Found], shown: &[Found], report: &VerifyReport) {
    let producer_of = |stream: u32| {
        let mut all = ledger.manifest.producers.iter();
        all.find(|entry| entry.streams.iter().any(|known| known.stream == stream)).unwrap().producer
    };
    let by_transaction = |found: &[Found]| {
        let mut all: BTreeMap<(u32, u32), BTreeSet<(i32, i64)>> = BTreeMap::new();
        for one in found {
            let key = (producer_of(one.header.stream), one.header.transaction);
            assert!(all.entry(key).or_default().insert((one.partition, one.offset)));
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
        let transactions = &ledger.transactions[&producer_of(header.stream)];
        let starts = transactions.iter().filter_map(|one| Some((one.members.get(&header.stream)?, one.number)));
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
