//! A run goes on in a new incarnation: what was left undecided is sent again, once, and is a duplicate exactly where it
//! was in the log already. Ledger and log are compared in plain code (see `plain` and `judge`).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ackmark_client::admin::NewTopic;
use ackmark_schema::{
    manifest::MANIFEST_FILE,
    report::{
        load::{LOAD_FILE, LoadReport},
        seal::{SEAL_FILE, SealReport},
        verify::VERIFY_FILE,
    },
};
use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::{
    common::Run,
    judge::{Account, close_and_judge, judge},
    kafka::{Kafka, PARTITIONS},
    plain::{self, Fate, Known, Ledger},
    sigkill::{Kill, Moment},
    trial,
    trouble::start_load,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    let each = ackmark_schema::profile::built_in().into_iter().enumerate().map(|(number, profile)| {
        let name = format!("resume::a_killed_{}_load_goes_on", profile.name.replace('-', "_"));
        trial(kafka, name, move |kafka| goes_on(kafka, number as u64))
    });
    each.chain([
        trial(kafka, "resume::a_load_that_has_ended_goes_on", ended),
        trial(kafka, "resume::what_is_killed_while_it_sends_again_goes_on", again),
        trial(kafka, "resume::a_commit_without_an_answer_is_sent_again_where_asked_for", unanswered),
        trial(kafka, "resume::keyed_messages_have_their_keys_again", keyed),
        trial(kafka, "resume::a_run_that_cannot_go_on_is_refused", refused),
        trial(kafka, "resume::a_running_load_is_not_gone_on_with", running),
    ])
    .collect()
}

/// A load folder and its topic.
struct Killed {
    folder: tempfile::TempDir,
    topic: String,
}

impl Killed {
    /// A load that is killed while it sends.
    fn load(kafka: &Kafka, kill: &Kill) -> Self {
        let (folder, topic) = (tempfile::tempdir().unwrap(), kafka.topic());
        assert!(kill.load_until_killed(kafka, folder.path(), &topic), "it was alive");
        Self { folder, topic }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("load")
    }

    /// Goes on; the log is left open.
    fn resume(&self, kafka: &Kafka, flags: &[&str]) -> Run {
        resume(kafka, &self.path(), &[&["--no-seal", "--output", "json"], flags].concat())
    }
}

fn resume(kafka: &Kafka, folder: &Path, flags: &[&str]) -> Run {
    kafka.run(folder, &[&["load", "--resume", "."], flags].concat())
}

/// Stream and sequence.
type Message = (u32, u64);

/// What the first life left undecided, by the plain reading: without transactions what is neither acknowledged nor
/// failed; with them what was in a transaction without an end, except what failed.
fn undecided(ledger: &Ledger, fates: &[Fate]) -> BTreeSet<Message> {
    let mut all = BTreeSet::new();
    for (stream, attempts) in &ledger.streams {
        let producer = ledger.manifest.producers.iter().find(|entry| entry.streams.iter().any(|s| s.stream == *stream));
        let transactions = ledger.transactions.get(&producer.unwrap().producer);
        for (sequence, known) in (0..).zip(&attempts[0].known) {
            let open = match transactions {
                None => matches!(known, Known::Open | Known::Indeterminate),
                Some(all) => {
                    let mut own =
                        all.iter().filter(|one| one.members.get(stream).is_some_and(|first| *first <= sequence));
                    *known != Known::Failed && own.next_back().is_some_and(|one| fates.contains(&one.fate))
                }
            };
            if open {
                all.insert((*stream, sequence));
            }
        }
    }
    all
}

/// What a life attempted again.
fn resent(ledger: &Ledger, attempt: u16) -> BTreeSet<Message> {
    let all = ledger.streams.iter().flat_map(|(stream, attempts)| {
        let own = attempts.iter().filter(move |one| one.number == attempt);
        own.flat_map(move |one| (one.first..).take(one.known.len()).map(move |sequence| (*stream, sequence)))
    });
    all.collect()
}

/// The messages in the log, as a consumer is shown them, by attempt.
fn in_log(kafka: &Kafka, ledger: &Ledger, topic: &str, isolation: &str, attempt: u16) -> BTreeSet<Message> {
    let log = plain::log(kafka, topic, ledger.manifest.run, isolation);
    let own = log.iter().filter(|one| one.header.attempt == attempt);
    own.map(|one| (one.header.stream, one.header.sequence)).collect()
}

/// A load of a profile that is killed while it sends, is gone on with, and is judged.
fn goes_on(kafka: &Kafka, profile: u64) {
    let load = Killed::load(kafka, &Kill::while_sending(profile));
    let before = Ledger::read(&load.path());
    let basis = before.manifest.promise.basis;
    // By default nothing is sent again where nothing is acknowledged, and no commit that may have succeeded.
    let expected = match before.manifest.profile.name.as_str() {
        "at-most-once" => BTreeSet::new(),
        _ => undecided(&before, &[Fate::Aborted]),
    };
    let stored = in_log(kafka, &before, &load.topic, "read_uncommitted", 0);
    let report: LoadReport = load.resume(kafka, &["--messages", "3000", "--duration", "1m"]).exits(0).json();
    assert_eq!((report.incarnation, report.measured.counts.sent), (1, 3000));
    assert_eq!(report.resent.sent, expected.len() as u64);
    assert_eq!(report.total.sent, 3000 + report.resent.sent);

    let ledger = Ledger::read(&load.path());
    assert_eq!(resent(&ledger, 1), expected);
    let account = close_and_judge(kafka, &load.path());
    assert_eq!(account.resent, expected.len() as u64);
    let seal: SealReport = serde_json::from_str(&fs::read_to_string(load.path().join(SEAL_FILE)).unwrap()).unwrap();
    assert_eq!(seal.messages_resent, Some(account.resent));
    assert!(account.resent == 0 || seal.quiet_s.is_some(), "first attempts may still arrive: {seal:?}");
    assert_eq!(account.resent_copies, expected.intersection(&stored).count() as u64, "duplicates were there already");
    let visible = if basis.transactional { "read_committed" } else { "read_uncommitted" };
    let again = in_log(kafka, &ledger, &load.topic, visible, 1);
    assert_eq!(again, expected, "all that was sent again is there, whole and committed");
    eprintln!("resume of {}: {account}", before.manifest.profile.name);
}

fn ended(kafka: &Kafka) {
    for profile in ["all-acks", "transactional"] {
        let load = kafka.load(&["--profile", profile, "--messages", "2000", "--size", "100B", "--producers", "2"]);
        let folder = load.folder();
        judge(kafka, &folder);
        let run = resume(kafka, &folder, &["--messages", "500", "--output", "json"]).exits(0);
        let report: LoadReport = run.json();
        assert_eq!((report.incarnation, report.resent.sent, report.total.sent), (1, 0, 500));
        assert!(folder.join("load-i0.json").exists(), "the report of the first life is kept");
        assert!(!folder.join(VERIFY_FILE).exists(), "what was found of the log is of the past");
        let account = judge(kafka, &folder);
        let sound = Account { reserved: 2_500, acknowledged: 2_500, ..Account::default() };
        assert_eq!(account, sound);
        // With nothing to send again, no more means nothing at all.
        let report: LoadReport = resume(kafka, &folder, &["--messages", "0", "--output", "json"]).exits(0).json();
        assert_eq!((report.incarnation, report.total.sent), (2, 0));
        assert_eq!(judge(kafka, &folder), sound);
    }
}

/// Two lives are killed, the second one while it sends again what the first one left.
fn again(kafka: &Kafka) {
    for profile in [2, 4] {
        let load = Killed::load(kafka, &Kill::while_sending(profile));
        let left = undecided(&Ledger::read(&load.path()), &[Fate::Aborted]).len() as u64;
        // Small transactions, so that some of them are committed before the end.
        let second = Kill::while_sending(profile).of_life(1, Moment::Sending);
        second.resume_until_killed(kafka, &load.path());
        let ledger = Ledger::read(&load.path());
        let second = resent(&ledger, 1).len() as u64;
        let report: LoadReport = load.resume(kafka, &["--messages", "0"]).exits(0).json();
        assert_eq!(report.incarnation, 2);
        let account = close_and_judge(kafka, &load.path());
        let ledger = Ledger::read(&load.path());
        assert!(second <= left);
        assert!(report.resent.sent >= left - second, "{account}");
        for (stream, attempts) in &ledger.streams {
            let ends = attempts.iter().filter(|one| one.number == 0).map(|one| one.first + one.known.len() as u64);
            assert!(ends.is_sorted(), "stream {stream} goes on where it ended");
        }
        eprintln!("again: {left} left, {second} sent again, {} once more; {account}", report.resent.sent);
    }
}

/// All of the transaction that was killed between the question and the answer is sent again; whether it is there twice
/// depends on what became of it.
fn unanswered(kafka: &Kafka) {
    let mut killed = None;
    for try_number in 0..20 {
        let load = Killed::load(kafka, &Kill::before_a_commit(try_number));
        let before = Ledger::read(&load.path());
        if before.transactions.values().flatten().any(|one| one.fate == Fate::Unanswered) {
            killed = Some((load, before));
            break;
        }
    }
    let (load, before) = killed.expect("one of twenty kills hits a commit that takes milliseconds");
    let expected = undecided(&before, &[Fate::Aborted, Fate::Unanswered]);
    let report: LoadReport = load.resume(kafka, &["--resend", "indeterminate", "--messages", "0"]).exits(0).json();
    assert_eq!(report.resent.sent, expected.len() as u64);
    let first = in_log(kafka, &before, &load.topic, "read_committed", 0);
    let ledger = Ledger::read(&load.path());
    let again = in_log(kafka, &ledger, &load.topic, "read_committed", 1);
    assert_eq!(again, expected);
    // What is judged in there: the duplicates that applications see are as many as were visible before.
    let account = close_and_judge(kafka, &load.path());
    eprintln!("unanswered: {} of them were committed; {account}", first.intersection(&again).count());
}

/// A compacted topic takes no message without its key, and keeps the key of what was sent again.
fn keyed(kafka: &Kafka) {
    let topic = NewTopic {
        name: format!("keyed-{}", kafka.topic()),
        partitions: PARTITIONS,
        replication_factor: 3,
        assignment: Vec::new(),
        configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
    };
    kafka.admin().create_topic(&topic, TIMEOUT).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kill = Kill::while_sending(3).with_flags(&["--keys", "zipf:1k:1.0"]);
    assert!(kill.load_until_killed(kafka, folder.path(), &topic.name));
    let load = Killed { folder, topic: topic.name };
    let report: LoadReport = load.resume(kafka, &["--messages", "100"]).exits(0).json();
    assert!(report.resent.sent > 0, "{report:?}");
    let account = close_and_judge(kafka, &load.path());
    let mut keys = std::collections::BTreeMap::new();
    let mut compared = 0;
    for (found, key) in plain::log_with_keys(kafka, &load.topic, report.spec.run) {
        let message = (found.header.stream, found.header.sequence);
        match keys.insert(message, key.clone()) {
            Some(known) => {
                assert_eq!(known, key, "{message:?}");
                compared += 1;
            }
            None => assert_eq!(key.len(), 16),
        }
    }
    assert_eq!(compared, account.resent_copies);
    eprintln!("keyed: {account}");
}

fn refused(kafka: &Kafka) {
    let load = kafka.load(&["--messages", "100", "--size", "100B", "--profile", "all-acks"]);
    let folder = load.folder();
    let refused = |flags: &[&str], words: &[&str]| {
        let before: BTreeSet<_> = names(&folder);
        let run = resume(kafka, &folder, flags).exits(2);
        for word in words {
            assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
        }
        assert_eq!(names(&folder), before, "nothing was changed");
        assert!(folder.join(SEAL_FILE).exists(), "the log is closed as before");
    };
    refused(&["-X", "acks=1"], &["what the promise rests on", "\"acks\":\"leader\""]);
    refused(&["--resend", "uncommitted"], &["profile all-acks has no transactions"]);
    let manifest = folder.join(MANIFEST_FILE);
    let sound = fs::read_to_string(&manifest).unwrap();
    let changed = |field: &str, value: &str| {
        let mut manifest_now: serde_json::Value = serde_json::from_str(&sound).unwrap();
        *manifest_now.pointer_mut(field).unwrap() = value.into();
        fs::write(&manifest, serde_json::to_string(&manifest_now).unwrap()).unwrap();
    };
    changed("/cluster_id", "of-another-cluster");
    refused(&[], &["the cluster's id", "of-another-cluster"]);
    changed("/topics/0/name", "another");
    refused(&[], &["spec.json is of another run than manifest.json"]);
    fs::write(&manifest, &sound).unwrap();
    // Of another run.
    let other = kafka.load(&["--messages", "100", "--size", "100B"]);
    let spec = fs::read_to_string(folder.join("spec.json")).unwrap();
    fs::copy(other.folder().join("spec.json"), folder.join("spec.json")).unwrap();
    refused(&[], &["spec.json is of another run than manifest.json"]);
    fs::remove_file(folder.join("spec.json")).unwrap();
    let run = resume(kafka, &folder, &[]).exits(2);
    assert!(run.stderr.contains("spec.json") && !run.stderr.contains("sent nothing"), "{}", run.stderr);
    fs::write(folder.join("spec.json"), spec).unwrap();
    // The topic is deleted and created again.
    kafka.admin().delete_topic(&load.topic, TIMEOUT).unwrap();
    let topic = NewTopic {
        name: load.topic.clone(),
        partitions: PARTITIONS,
        replication_factor: 3,
        assignment: Vec::new(),
        configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
    };
    crate::common::wait_until("the topic is gone", TIMEOUT, || kafka.admin().topic(&load.topic, TIMEOUT).is_err());
    kafka.admin().create_topic(&topic, TIMEOUT).unwrap();
    refused(&[], &["the id of topic", &load.topic]);
    let run = kafka.run(&folder, &["verify", "."]).exits(2);
    assert!(run.stderr.contains("it was deleted and created again"), "{}", run.stderr);
    // And what holds no run.
    let empty = tempfile::tempdir().unwrap();
    let run = resume(kafka, empty.path(), &[]).exits(2);
    assert!(run.stderr.contains("a load that left no manifest sent nothing"), "{}", run.stderr);
    fs::remove_file(folder.join(LOAD_FILE)).unwrap();
}

fn names(folder: &Path) -> BTreeSet<std::ffi::OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Nobody goes on with a load that runs, and it is not disturbed.
fn running(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_load(kafka, folder.path(), &kafka.topic());
    let load = folder.path().join("load");
    let run = resume(kafka, &load, &[]).exits(2);
    assert!(run.stderr.contains("producer 0 (incarnation 0) still writes"), "{}", run.stderr);
    assert!(child.is_running(), "the load goes on");
    child.signal(Signal::KILL);
    child.finish(TIMEOUT);
}
