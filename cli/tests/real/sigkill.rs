//! A load is killed by SIGKILL at a random moment; what its ledger says, what the log holds and what the verdict
//! counts are then one and the same. The log and the ledger are compared in plain code (see `plain` and `judge`), and the
//! tool's counts with what that finds.
//!
//! Moments: before and while the files are made, in the warm-up, while it sends, between the steps of a
//! transaction, when all is sent and not all reported, and while reports are written and the log is closed.
//!
//! `ACKTEST_KILLS` says how many (10), `ACKTEST_SEED` which ones (drawn, and printed): a failure is repeated with
//! the same two and the name of its test. What is drawn is repeated exactly; when the process is hit within what
//! it does then is not.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ackmark_schema::{manifest::MANIFEST_FILE, profile, report::load::LOAD_FILE};
use libtest_mimic::Trial;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use rustix::process::Signal;

use crate::{
    common,
    judge::{Account, close_and_judge},
    kafka::Kafka,
    plain::{self, Ledger},
    trial,
};

/// A load that does not come to its moment is killed all the same.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether the moment has come.
const LOOK: Duration = Duration::from_micros(200);

/// When a load is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
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
pub(crate) struct Kill {
    seed: u64,
    number: u64,
    profile: String,
    moment: Moment,
    delay: Duration,
    producers: u64,
    flags: Vec<String>,
    messages: u64,
    /// Messages before the moment, where it is one of sending or of a transaction's steps.
    after: u64,
    /// Which life of the run.
    incarnation: u32,
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
        Self {
            seed,
            number,
            profile: profile.name.clone(),
            moment,
            delay,
            producers,
            flags,
            messages,
            after,
            incarnation: 0,
        }
    }

    /// A kill in the midst of sending, of the built-in profile of that number.
    pub(crate) fn while_sending(profile: u64) -> Self {
        let mut kill = Self::draw(profile, profile);
        (kill.moment, kill.after, kill.delay) = (Moment::Sending, 5_000, Duration::from_millis(20));
        kill.flags = ["--duration", "1m", "--outstanding", "4000"].map(str::to_owned).to_vec();
        if kill.profile == "transactional" {
            kill.flags.extend(["--transaction-messages", "300"].map(str::to_owned));
        }
        kill
    }

    /// A kill when a commit is asked for, after more and more messages.
    pub(crate) fn before_a_commit(number: u64) -> Self {
        let sending = Self::while_sending(4);
        let moment = Moment::Transaction(INTENT_COMMIT);
        Self { moment, after: 1_000 + 700 * number, delay: Duration::ZERO, producers: 1, ..sending }
    }

    /// The same with more flags.
    pub(crate) fn with_flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// The same in another life, as soon as that one has sent something.
    pub(crate) fn of_life(mut self, incarnation: u32, moment: Moment) -> Self {
        (self.incarnation, self.moment, self.after, self.delay) = (incarnation, moment, 0, Duration::ZERO);
        self
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
            close_and_judge(kafka, &load).to_string()
        } else {
            never_began(kafka, folder.path(), &topic);
            "it sent nothing".into()
        };
        eprintln!("{}: {ended}; {found}", self.name());
    }

    /// Whether it was alive when the signal came.
    pub(crate) fn load_until_killed(&self, kafka: &Kafka, folder: &Path, topic: &str) -> bool {
        let mut command = common::ackmark(folder);
        command
            .args(["load", "--yes", "--topic", topic, "--out", "load", "--profile", &self.profile, "--size", "100B"])
            .args(["--producers", &self.producers.to_string(), "-b", &kafka.servers(), "--progress", "none"])
            .args(&self.flags);
        self.run_until_killed(&mut command, &folder.join("load"))
    }

    /// Goes on with a load folder. Whether it was alive when the signal came.
    pub(crate) fn resume_until_killed(&self, kafka: &Kafka, load: &Path) -> bool {
        let mut command = common::ackmark(load);
        command.args(["load", "--yes", "--resume", ".", "-b", &kafka.servers(), "--progress", "none"]);
        self.run_until_killed(&mut command, load)
    }

    fn run_until_killed(&self, command: &mut Command, load: &Path) -> bool {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.wait_for_moment(&mut child, load);
        thread::sleep(self.delay);
        // It may have ended by itself: then it is judged as it is.
        child.kill().unwrap();
        child.wait().unwrap().signal() == Some(Signal::KILL.as_raw())
    }

    fn wait_for_moment(&self, child: &mut Child, load: &Path) {
        let begun = Instant::now();
        let reserved = || -> u64 {
            let file = |number| load.join(format!("p{number}-i{}.ledger", self.incarnation));
            (0..self.producers).map(|number| plain::reserved(&file(number))).sum()
        };
        let came = || match self.moment {
            Moment::StartUp => true,
            Moment::File(name) => load.join(name).exists(),
            Moment::WarmUp | Moment::Sending => reserved() > self.after,
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
    stored.extend([stored[8].clone(), invented]);
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
