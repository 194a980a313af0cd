//! Transactions over several topics, with a share of them aborted: all or none of each, in every topic.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::Duration,
};

use ackmark_ledger::transactions_file;
use ackmark_schema::{
    anomaly::Class,
    latency::LatencySummary,
    report::{
        coordinators::{COORDINATORS_FILE, Coordinators},
        load::{LOAD_FILE, LoadReport},
        verify::{Isolation, VERIFY_FILE, Verdict, VerifyReport},
    },
};
use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::{
    common::{self, Running},
    judge::judge,
    kafka::Kafka,
    plain::{Fate, Ledger},
    trial,
};

const MESSAGES: u64 = 6_000;
/// Of a transaction.
const EACH: u64 = 50;
const PRODUCERS: u32 = 3;
const ABORTED: &str = "0.25";
/// No short load or verification takes longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "transactions::all_or_none_over_two_topics", two_topics),
        trial(kafka, "transactions::keys_go_to_the_same_partition_of_both_topics", keyed),
        trial(kafka, "transactions::when_a_reader_is_shown_them_is_measured", shown),
        trial(kafka, "transactions::coordinators_are_followed_while_a_load_runs", followed),
        trial(kafka, "transactions::what_the_brokers_do_not_allow_is_refused_with_its_cure", not_allowed),
        trial(kafka, "transactions::a_commit_that_was_none_is_told_with_its_messages", claimed),
    ]
}

/// A load of two topics, in its folder.
struct Pair {
    folder: tempfile::TempDir,
    report: LoadReport,
}

fn load(kafka: &Kafka, flags: &[&str]) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let (orders, payments) = (kafka.topic(), kafka.topic());
    let (messages, each, producers) = (MESSAGES.to_string(), EACH.to_string(), PRODUCERS.to_string());
    let fixed = ["load", "-t", &orders, "-t", &payments, "--out", "load", "--output", "json", "--size", "100B"];
    let counts = ["--messages", &messages, "--transaction-messages", &each, "--producers", &producers];
    let profile = ["--profile", "transactional", "--abort-share", ABORTED];
    let run = kafka.run(folder.path(), &[&fixed[..], &counts, &profile, flags].concat());
    Pair { report: run.exits(0).json(), folder }
}

/// A time-out above the brokers' limit; the folder serves the next try.
fn not_allowed(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let fixed = ["load", "-t", &topic, "--out", "load", "--profile", "transactional", "--messages", "100"];
    let refused = kafka.run(folder.path(), &[&fixed[..], &["-X", "transaction.timeout.ms=900001"]].concat()).exits(2);
    for part in ["INVALID_TRANSACTION_TIMEOUT", "lower transaction.timeout.ms", "transaction.max.timeout.ms"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    kafka.run(folder.path(), &[&fixed[..], &["-X", "transaction.timeout.ms=900000"]].concat()).exits(0);
}

/// What other tests have under way in the same cluster is told too.
fn followed(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let fixed = ["load", "-t", &topic, "--out", "load", "--profile", "transactional", "--producers", "2"];
    let shape = ["--rate", "500/s", "--warm-up", "0s", "--duration", "4s", "--transaction-duration", "1500ms"];
    let run = kafka.run(folder.path(), &[&fixed[..], &shape].concat());
    let told = run.exits(0).text();
    assert!(told.contains("Transactions of the cluster ("), "{told}");
    let text = fs::read_to_string(folder.path().join("load").join(COORDINATORS_FILE)).unwrap();
    let report: Coordinators = serde_json::from_str(&text).unwrap();
    assert_eq!(report.given_up, None);
    let found: Vec<_> = report.answered().collect();
    // On a busy machine a look may take longer than the second until the next.
    assert!(found.len() >= 2 && found.windows(2).all(|pair| pair[0].0 < pair[1].0), "{report:?}");
    assert!(found.iter().any(|(_, found)| found.ids >= 2 && found.under_way >= 1), "{report:?}");
    assert!(found.iter().any(|(_, found)| found.oldest_ms.is_some() && found.open_on_partitions >= 1), "{report:?}");
    assert!(found.iter().any(|(_, found)| found.coordinator_epoch.is_some()), "{report:?}");
}

fn two_topics(kafka: &Kafka) {
    let Pair { folder, report } = load(kafka, &[]);
    let load = folder.path().join("load");
    let figures = report.transactions.as_ref().unwrap();
    // Messages go to the producers as they come, so that each may end with a transaction that is not full.
    let ended = figures.committed + figures.aborted;
    assert!((MESSAGES / EACH..=MESSAGES / EACH + u64::from(PRODUCERS)).contains(&ended), "{figures:?}");
    assert_eq!((figures.aborted, figures.indeterminate), (figures.aborted_on_purpose, 0));
    let ledger = Ledger::read(&load);
    let aborted_of = |all: usize| all as u64 / 4;
    assert_eq!(figures.aborted, ledger.transactions.values().map(|own| aborted_of(own.len())).sum::<u64>());
    assert_eq!(figures.abort.as_ref().unwrap().count, figures.aborted);

    // Ledger, log and verdict say the same, message by message and transaction by transaction.
    let account = judge(kafka, &load);
    assert_eq!((account.reserved, account.acknowledged), (MESSAGES, MESSAGES));
    // Each transaction is in both topics: that is what they are for.
    let mut topics: BTreeMap<(u32, u32), BTreeSet<String>> = BTreeMap::new();
    let streams = report.spec.streams();
    let stored = ledger.log(kafka, "read_uncommitted");
    for found in &stored {
        let of = (found.header.stream / streams, found.header.transaction);
        topics.entry(of).or_default().insert(found.topic.clone());
    }
    assert!(topics.values().all(|topics| topics.len() == 2), "{topics:?}");
    let (_, verdict) = kafka.verify(&load);
    let scan = |isolation| verdict.scans.iter().find(|scan| scan.isolation == isolation).unwrap().messages;
    assert_eq!(scan(Isolation::ReadUncommitted), MESSAGES);
    assert_eq!(scan(Isolation::ReadCommitted), MESSAGES - messages_of(&ledger, &stored, Fate::Aborted));
    assert!(verdict.verdict.is_held(), "{}", verdict.reason);
}

/// Messages of the transactions that ended so.
fn messages_of(ledger: &Ledger, stored: &[crate::plain::Found], fate: Fate) -> u64 {
    let streams = ledger.manifest.producers[0].streams.len() as u32;
    let ended: BTreeSet<(u32, u32)> = ledger
        .transactions
        .iter()
        .flat_map(|(producer, own)| own.iter().map(move |one| (*producer, one)))
        .filter(|(_, one)| one.fate == fate)
        .map(|(producer, one)| (producer, one.number))
        .collect();
    let is_of =
        |header: &ackmark_schema::record::Header| ended.contains(&(header.stream / streams, header.transaction));
    stored.iter().filter(|found| is_of(&found.header)).count() as u64
}

fn keyed(kafka: &Kafka) {
    let Pair { folder, report } = load(kafka, &["--keys", "uniform:40"]);
    let load = folder.path().join("load");
    judge(kafka, &load);
    let mut partitions: BTreeMap<Vec<u8>, BTreeSet<i32>> = BTreeMap::new();
    let mut counts = Vec::new();
    for topic in &report.spec.topics {
        let found = crate::plain::log_with_keys(kafka, topic, report.spec.run);
        counts.push(found.len() as u64);
        for (found, key) in found {
            partitions.entry(key).or_default().insert(found.partition);
        }
    }
    assert_eq!(partitions.len(), 40);
    assert!(partitions.values().all(|of_key| of_key.len() == 1), "{partitions:?}");
    // In turn: each producer may have sent one more to the first.
    assert_eq!(counts.iter().sum::<u64>(), MESSAGES);
    assert!(counts[0] - counts[1] <= u64::from(PRODUCERS), "{counts:?}");
}

/// A reader at `read_committed` follows the load: every committed transaction is shown to it, whole, after its commit was
/// asked for.
fn shown(kafka: &Kafka) {
    let (folder, topic, servers) = (tempfile::tempdir().unwrap(), kafka.topic(), kafka.servers());
    let start = |name: &str, arguments: &[&str]| {
        let mut command = common::ackmark(folder.path());
        command.args(arguments).args(["-b", &servers, "--progress", "json"]);
        Running::start(&mut command, folder.path(), name)
    };
    let fixed = ["load", "--yes", "-t", &topic, "--out", "load", "--profile", "transactional", "--size", "100B"];
    let flags = ["--rate", "1k/s", "--warm-up", "1s", "--duration", "2m", "--transaction-messages", "50"];
    let load = start("load", &[&fixed[..], &flags, &["--abort-share", ABORTED]].concat());
    let mut verify = start("verify", &["verify", "load", "--follow"]);
    verify.wait_for_messages("verify", PATIENCE);
    let until = load.messages("load") + 4_000;
    common::wait_until("the load to go on beside its reader", PATIENCE, || load.messages("load") >= until);
    load.signal(Signal::INT);
    load.finish(PATIENCE).exits(130);
    verify.finish(PATIENCE).exits(0);
    let read = |name: &str| fs::read_to_string(folder.path().join("load").join(name)).unwrap();
    let load: LoadReport = serde_json::from_str(&read(LOAD_FILE)).unwrap();
    let verdict: VerifyReport = serde_json::from_str(&read(VERIFY_FILE)).unwrap();
    let live = verdict.scans.iter().find(|scan| scan.live).unwrap();
    assert_eq!((live.isolation, live.complete), (Isolation::ReadCommitted, true));
    let figures = load.transactions.as_ref().unwrap();
    let (visible, committed) = (live.visibility.as_ref().unwrap(), &figures.commit);
    // Those of the measured part since the reader began, all of them shown, and none that was aborted.
    assert_eq!(visible.count, visible.sent, "{visible:?}");
    assert!((30..=committed.count).contains(&visible.count), "{visible:?} {committed:?}");
    assert!(figures.aborted_on_purpose > 0 && committed.count < figures.committed, "{figures:?}");
    let half = |summary: &LatencySummary| summary.at(50.0).unwrap().value_us.unwrap();
    let log = read("visibility.hlog");
    assert_eq!(log.lines().filter(|line| line.starts_with("Tag=visibility,")).count(), 1, "{log}");
    // Nothing is shown before its commit; what is sent at the beginning of a transaction waits for its end.
    let end_to_end = half(live.latency_end_to_end.as_ref().unwrap());
    let visible = half(visible);
    assert!(visible > 0 && visible < end_to_end, "{visible} {end_to_end}");
    assert!(half(committed) < end_to_end, "{committed:?}");
}

/// The control: an application that takes an abort for a commit. Of one transaction the ledger says that it was committed,
/// and applications see none of its messages: exactly these are told.
fn claimed(kafka: &Kafka) {
    let Pair { folder, .. } = load(kafka, &[]);
    let load = folder.path().join("load");
    let ledger = Ledger::read(&load);
    let stored = ledger.log(kafka, "read_uncommitted");
    let aborted = ledger.transactions[&0].iter().find(|one| one.fate == Fate::Aborted).unwrap().number;
    let streams = ledger.manifest.producers[0].streams.len() as u32;
    let is_of =
        |found: &&crate::plain::Found| found.header.stream / streams == 0 && found.header.transaction == aborted;
    let messages = stored.iter().filter(is_of).count() as u64;
    assert!(messages > 0 && messages <= EACH);

    // The entries of its end become those of a commit.
    let path = load.join(transactions_file(0, 0));
    let mut bytes = fs::read(&path).unwrap();
    claim_commit(&mut bytes, aborted);
    fs::write(&path, bytes).unwrap();
    let (run, verdict) = kafka.verify(&load);
    run.exits(3);
    assert_eq!(verdict.verdict, Verdict::Broken, "{}", verdict.reason);
    assert_eq!(common::found(&verdict, Class::CommittedInvisible), Some(messages), "{}", verdict.reason);
    for class in [Class::TornTransaction, Class::AbortedVisible, Class::Lost] {
        assert_eq!(common::found(&verdict, class), Some(0), "{class:?}");
    }
}

/// Intent to abort and abort of a transaction, in a transaction log (its layout: `ackmark_ledger::transactions`), become
/// intent to commit and commit.
fn claim_commit(log: &mut [u8], transaction: u32) {
    const ENTRY: usize = 32;
    let mut chain = 0;
    for entry in log.chunks_exact_mut(ENTRY) {
        if entry[8..12] == transaction.to_le_bytes() {
            match entry[4] {
                5 => entry[4] = 3,
                6 => entry[4] = 4,
                _ => {}
            }
        }
        chain = crc32c::crc32c_append(chain, &entry[4..]);
        entry[..4].copy_from_slice(&chain.to_le_bytes());
    }
}
