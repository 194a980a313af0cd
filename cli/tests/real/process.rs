//! Consumers and pipelines, killed at points of their cycle: what has to be skipped or repeated is, and nothing else. Each
//! count is taken a second time here, in plain code: from journals by the layout that their module gives, from outputs by
//! a plain consumer.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ackmark_schema::{
    process::Deviation,
    report::{
        process::{ProcessReport, ProcessVerdict},
        verify::Verdict,
    },
};
use ackmark_workload::Store;
use libtest_mimic::Trial;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde::Deserialize;
use sqlx::Connection as _;

use crate::{
    common::{self, Run},
    kafka::Kafka,
    plain,
    postgres::Postgres,
    trial,
};

const MESSAGES: u64 = 3_000;
/// Of a cycle.
const BATCH: u64 = 100;

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "process::auto_commit_skips_what_was_in_hand", auto_commit),
        trial(kafka, "process::commit_after_repeats_what_was_processed", commit_after),
        trial(kafka, "process::an_ordinary_commit_repeats_outputs_and_a_transaction_does_not", pipelines),
        trial(kafka, "process::exactly_once_through_rebalances_of_two_members", |kafka| rebalances(kafka, 2)),
        trial(kafka, "process::exactly_once_through_rebalances_of_three_members", |kafka| rebalances(kafka, 3)),
        trial(kafka, "process::a_zombie_is_refused_and_reads_again", zombie),
        trial(kafka, "process::copies_have_one_effect_by_sqlite", |kafka| deduplicate(kafka, None)),
        trial(kafka, "process::copies_have_one_effect_by_postgresql", |kafka| {
            deduplicate(kafka, Some(&Postgres::start().url()));
        }),
        trial(kafka, "process::a_copy_outside_of_the_window_is_not_recognised", window),
        trial(kafka, "process::what_is_missing_or_there_twice_is_told", damage),
        trial(kafka, "process::bad_input_is_told_before_anything_is_done", bad_input),
        trial(kafka, "process::a_database_that_is_locked_or_away_ends_it", bad_database),
    ]
}

/// As `--output json` prints it.
#[derive(Debug, Deserialize)]
struct Outcome {
    process: ProcessReport,
    verdict: ProcessVerdict,
}

impl Outcome {
    fn found(&self, deviation: Deviation) -> u64 {
        self.verdict.findings.iter().find(|finding| finding.deviation == deviation).unwrap().found
    }

    /// Skipped, repeated, done and not committed, unfounded.
    fn counts(&self) -> [u64; 4] {
        Deviation::ALL.map(|deviation| self.found(deviation))
    }

    fn in_hand(&self) -> Vec<u64> {
        self.process.crashes.iter().map(|crash| crash.in_hand.iter().map(|held| held.records).sum()).collect()
    }
}

/// An input of its own, with a folder to work in.
struct Input {
    topic: String,
    folder: tempfile::TempDir,
}

impl Input {
    /// A topic with some thousand messages and the sentinels of its seal.
    fn load(kafka: &Kafka) -> Self {
        Self::load_to(kafka, kafka.topic())
    }

    fn load_to(kafka: &Kafka, topic: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let messages = MESSAGES.to_string();
        let fixed = ["load", "-t", &topic, "--profile", "idempotent", "--size", "100B", "--out", "load"];
        // Keys spread a small load over all partitions; without them it may go to one alone.
        let keys = ["--keys", "uniform:600", "--warm-up", "0s"];
        kafka.run(folder.path(), &[&fixed[..], &["--messages", &messages], &keys].concat()).exits(0);
        Self { topic, folder }
    }

    fn try_process(&self, kafka: &Kafka, name: &str, flags: &[&str]) -> Run {
        let fixed = ["process", "--yes", "--out", name, "--output", "json", "-X", "auto.commit.interval.ms=100"];
        let batch = BATCH.to_string();
        // A cycle is full, however slow the machine.
        let wait: &[&str] = if flags.contains(&"--batch-wait") { &[] } else { &["--batch-wait", "2s"] };
        let topic: &[&str] = if flags.contains(&"-t") { &[] } else { &["-t", &self.topic] };
        let batch: &[&str] = if flags.contains(&"--batch") { &[] } else { &["--batch", &batch] };
        kafka.run(self.folder.path(), &[&fixed[..], topic, wait, batch, flags].concat())
    }

    fn process(&self, kafka: &Kafka, name: &str, flags: &[&str]) -> Outcome {
        self.try_process(kafka, name, flags).exits(0).json()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Records of the input, by partition and offset.
    fn records(&self, kafka: &Kafka) -> u64 {
        let offsets = kafka.admin().offsets(&self.topic, common::ADMIN).unwrap();
        offsets.iter().map(|offsets| (offsets.high - offsets.low).unsigned_abs()).sum()
    }
}

/// How often each message was processed, by the journals of a folder.
fn processed(folder: &Path) -> BTreeMap<(i32, i64), u64> {
    const ENTRY: usize = 24;
    let mut times = BTreeMap::new();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "journal")) {
        for entry in fs::read(path).unwrap().chunks_exact(ENTRY).skip(1) {
            let partition = i32::from_le_bytes(entry[4..8].try_into().unwrap());
            let offset = i64::from_le_bytes(entry[8..16].try_into().unwrap());
            *times.entry((partition, offset)).or_default() += 1;
        }
    }
    times
}

fn repeats(times: &BTreeMap<(i32, i64), u64>) -> u64 {
    times.values().map(|times| times - 1).sum()
}

/// How often each input is in an output, as committed.
fn outputs(kafka: &Kafka, topic: &str) -> BTreeMap<(i32, i64), u64> {
    let mut times = BTreeMap::new();
    for header in plain::headers(kafka, topic, "read_committed") {
        let source = header.source.unwrap();
        *times.entry((source.partition.cast_signed(), source.offset.cast_signed())).or_default() += 1;
    }
    times
}

fn auto_commit(kafka: &Kafka) {
    let input = Input::load(kafka);
    let all = input.records(kafka);
    let outcome = input.process(kafka, "auto", &["auto-commit", "--crash", "after-poll,after-process,after-poll"]);
    assert_eq!(outcome.in_hand(), [BATCH; 3]);
    // What was in hand at both crashes before processing is gone; the one after it did no harm.
    assert_eq!(outcome.counts(), [2 * BATCH, 0, 0, 0]);
    assert_eq!(outcome.verdict.verdict, Verdict::Held, "{}", outcome.verdict.reason);
    let times = processed(&input.path("auto"));
    assert_eq!((times.len() as u64, repeats(&times)), (all - 2 * BATCH, 0));
    for held in outcome.process.crashes.iter().filter(|crash| crash.to_be_skipped > 0).flat_map(|crash| &crash.in_hand)
    {
        assert!((held.first..held.next).all(|offset| !times.contains_key(&(held.partition, offset))), "{held:?}");
    }
    // The control: the same crashes, offsets committed after processing.
    let control = input.process(kafka, "after", &["commit-after", "--crash", "after-poll,after-poll,after-poll"]);
    assert_eq!(control.counts(), [0; 4]);
    assert_eq!(processed(&input.path("after")).len() as u64, all);
}

fn commit_after(kafka: &Kafka) {
    let input = Input::load(kafka);
    let all = input.records(kafka);
    let flags = ["commit-after", "--members", "2", "--crash", "after-process,after-process,after-commit,after-poll"];
    let outcome = input.process(kafka, "after", &flags);
    assert_eq!(outcome.process.crashes.len(), 4);
    assert_eq!(outcome.counts(), [0, 2 * BATCH, 0, 0]);
    let times = processed(&input.path("after"));
    assert_eq!((times.len() as u64, repeats(&times)), (all, 2 * BATCH));
    let repeated =
        outcome.process.crashes.iter().filter(|crash| crash.to_be_repeated > 0).flat_map(|crash| &crash.in_hand);
    for held in repeated {
        assert!((held.first..held.next).all(|offset| times[&(held.partition, offset)] == 2), "{held:?}");
    }
    // The control: the same crash, and offsets that are committed in the background before it.
    let control = input.process(kafka, "auto", &["auto-commit", "--crash", "after-process"]);
    assert_eq!(control.counts(), [0; 4]);
}

fn pipelines(kafka: &Kafka) {
    let input = Input::load(kafka);
    let all = input.records(kafka);
    let (copied, once) = (format!("{}-copied", input.topic), format!("{}-once", input.topic));
    let points = "after-poll,after-produce,after-commit,after-produce";
    let outcome = input.process(kafka, "copy", &["copy", "--to", &copied, "--crash", points]);
    assert_eq!(outcome.counts(), [0, 2 * BATCH, 0, 0]);
    let times = outputs(kafka, &copied);
    assert_eq!((times.len() as u64, repeats(&times)), (all, 2 * BATCH));

    let points = "after-poll,after-produce,after-send-offsets,after-commit,after-produce,after-send-offsets";
    let outcome = input.process(kafka, "once", &["exactly-once", "--to", &once, "--crash", points]);
    assert_eq!(outcome.process.crashes.len(), 6);
    assert_eq!(outcome.counts(), [0; 4]);
    assert_eq!(outcome.verdict.verdict, Verdict::Held, "{}", outcome.verdict.reason);
    let times = outputs(kafka, &once);
    assert_eq!((times.len() as u64, repeats(&times)), (all, 0));
    // What the crashes had produced is in the log, and shown to nobody who asks for what was committed.
    let stored = plain::headers(kafka, &once, "read_uncommitted").len() as u64;
    assert_eq!(stored, all + 4 * BATCH);
}

/// Members that come back as new ones: the others take over their partitions, and give them back.
fn rebalances(kafka: &Kafka, members: u32) {
    let input = Input::load_to(kafka, kafka.wide_topic(6));
    let all = input.records(kafka);
    let output = format!("{}-once", input.topic);
    let members = members.to_string();
    // One of them: who is left sees the rebalance.
    let points = if members == "2" { "after-send-offsets" } else { "after-produce" };
    let flags = ["exactly-once", "--to", &output, "--members", &members, "--rejoin", "dynamic", "--crash-cycle", "2"];
    let outcome = input.process(kafka, "once", &[&flags[..], &["--crash", points, "--batch", "20"]].concat());
    assert_eq!(outcome.process.crashes.len(), 1);
    assert!(outcome.process.lives.iter().map(|life| life.revocations).sum::<u64>() > 0);
    assert_eq!(outcome.counts(), [0; 4]);
    let times = outputs(kafka, &output);
    assert_eq!((times.len() as u64, repeats(&times)), (all, 0));
}

/// A member that is frozen until another has its partitions, and goes on then: it is refused, aborts, and reads again what
/// is its own. The control: offsets committed beside the outputs, where what it had produced is there twice.
fn zombie(kafka: &Kafka) {
    let input = Input::load_to(kafka, kafka.wide_topic(6));
    let all = input.records(kafka);
    let (once, copied) = (format!("{}-once", input.topic), format!("{}-copied", input.topic));
    let fixed = ["--members", "2", "--rejoin", "dynamic", "--batch", "20", "--batch-wait", "20ms"];
    let freeze = ["--freeze", "after-produce"];
    let outcome = input.process(kafka, "once", &[&["exactly-once", "--to", &once][..], &fixed, &freeze].concat());
    assert_eq!(outcome.counts(), [0; 4]);
    assert!(outcome.process.lives.iter().map(|life| life.aborted).sum::<u64>() > 0, "{:?}", outcome.process.lives);
    let times = outputs(kafka, &once);
    assert_eq!((times.len() as u64, repeats(&times)), (all, 0));
    let control = input.process(kafka, "copy", &[&["copy", "--to", &copied][..], &fixed, &freeze].concat());
    let in_hand: u64 = control.in_hand().iter().sum();
    assert!(in_hand > 0 && control.found(Deviation::Repeated) >= in_hand, "{:?}", control.counts());
}

/// A topic with copies: what a pipeline with an ordinary commit leaves.
fn with_copies(kafka: &Kafka, input: &Input) -> String {
    let copied = format!("{}-copied", input.topic);
    let outcome = input.process(kafka, "copy", &["copy", "--to", &copied, "--crash", "after-produce,after-produce"]);
    assert_eq!(outcome.found(Deviation::Repeated), 2 * BATCH);
    copied
}

const CRASHES: &str = "after-poll,in-process,after-process,after-commit";

fn deduplicate(kafka: &Kafka, database: Option<&str>) {
    let input = Input::load(kafka);
    let all = input.records(kafka);
    let copied = with_copies(kafka, &input);
    let flags = ["deduplicate", "-t", &copied, "--crash", CRASHES];
    let url: Vec<&str> = database.map_or(vec![], |url| vec!["--database", url]);
    let outcome = input.process(kafka, "once", &[&flags[..], &url].concat());
    assert_eq!(outcome.process.database.as_ref().unwrap().kind, if url.is_empty() { "SQLite" } else { "PostgreSQL" });
    assert_eq!(outcome.process.crashes.len(), 4);
    // Copies in, none out, through crashes.
    assert_eq!((outcome.verdict.records, outcome.verdict.messages), (all + 2 * BATCH, all));
    assert_eq!((outcome.verdict.effects, outcome.counts()), (all, [0; 4]));
    // The control: the same topic without ids, where each copy is processed.
    let control = input.process(kafka, "twice", &["commit-after", "-t", &copied]);
    assert_eq!(control.verdict.effects, all + 2 * BATCH);
}

fn window(kafka: &Kafka) {
    let input = Input::load(kafka);
    let copied = with_copies(kafka, &input);
    // Each batch is behind the last: the ids of the one before are forgotten when its copy comes.
    let narrow = ["deduplicate", "-t", &copied, "--window", "20", "--batch", "20"];
    let run = input.try_process(kafka, "narrow", &narrow).exits(4);
    let outcome: Outcome = run.json();
    assert_eq!(outcome.verdict.verdict, Verdict::Inconclusive);
    assert!(outcome.verdict.reason.contains("longer than the window"), "{}", outcome.verdict.reason);
    let lives = &outcome.process.lives;
    assert!(lives.iter().filter_map(|life| life.ids_forgotten).sum::<u64>() > MESSAGES / 2, "{lives:?}");
    // Those whose copy came in the same batch as they did not fall out.
    let repeated = outcome.found(Deviation::Repeated);
    assert!((2 * BATCH - 40..=2 * BATCH).contains(&repeated), "{repeated}");
}

/// The control of the judge: where effects are taken away or added, it says how many.
fn damage(kafka: &Kafka) {
    let input = Input::load(kafka);
    input.process(kafka, "after", &["commit-after", "--crash", "after-process"]);
    // Seven entries of the second life's journal are gone.
    let journal = input.path("after").join("m0-i1.journal");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 7 * 24]).unwrap();
    let outcome: Outcome = kafka.run(&input.path("after"), &["verify", ".", "--output", "json"]).exits(3).json();
    assert_eq!(outcome.counts(), [7, BATCH, 0, 0]);
    assert_eq!(outcome.verdict.reason, "commit-after must not: 7 skipped");

    // Three outputs are there once more, and one record that has no input.
    let output = format!("{}-once", input.topic);
    input.process(kafka, "once", &["exactly-once", "--to", &output]);
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.servers()).create().unwrap();
    let records = plain::records(kafka, &output, "read_committed");
    for value in records.iter().take(3).map(|record| &record.value[..]).chain([&b"a stranger"[..]]) {
        producer.send(BaseRecord::<(), [u8]>::to(&output).payload(value)).unwrap();
    }
    producer.flush(common::ADMIN).unwrap();
    let outcome: Outcome = kafka.run(&input.path("once"), &["verify", ".", "--output", "json"]).exits(3).json();
    assert_eq!(outcome.counts(), [0, 3, 0, 1]);
}

fn bad_input(kafka: &Kafka) {
    let input = Input::load(kafka);
    let refused = |flags: &[&str], said: &str| {
        let run = input.try_process(kafka, "refused", flags).exits(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(!input.path("refused").join("process.json").exists());
    };
    refused(&["exactly-once"], "name its topic with --to");
    refused(&["copy", "--to", &input.topic], "input and output are the same topic");
    refused(&["commit-after", "--to", "x"], "writes no output");
    refused(&["commit-after", "--crash", "after-produce"], "its points are after-poll, after-process, after-commit");
    refused(&["exactly-once", "--to", "x", "--freeze", "after-produce"], "add --members 2 --rejoin dynamic");
    refused(&["deduplicate", "--window", "10"], "shorter than a cycle");
    refused(&["commit-after", "-X", "isolation.level=read_uncommitted"], "is what commit-after is about");
    refused(&["commit-after", "-X", "enable.auto.commit=true"], "enable.auto.commit is what commit-after is about");
    refused(&["commit-after", "-t", "no-such-topic"], "no-such-topic");
    refused(&["commit-after", "-t", &kafka.topic()], "holds nothing to process");
    refused(&["commit-after", "--database", "sqlite://x"], "uses no database");
    let other = Input::load(kafka);
    refused(&["copy", "--to", &other.topic], "is not empty");
    // A group that has begun.
    input.process(kafka, "first", &["commit-after", "--group", "taken"]);
    refused(&["commit-after", "--group", "taken"], "give another with --group");
}

fn bad_database(kafka: &Kafka) {
    let input = Input::load(kafka);
    let refused = |url: &str, said: &str| {
        let run = input.try_process(kafka, "refused", &["deduplicate", "--database", url]).exits(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(!input.path("refused").join("process.json").exists());
    };
    refused("postgres://ackmark@127.0.0.1:1/none", "of a server that is up");
    refused("mysql://127.0.0.1/none", "give sqlite://");
    let url = format!("sqlite://{}?mode=rwc", input.path("old.db").display());
    drop(Store::open(&url).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(sqlx::AnyConnection::connect(&url)).unwrap();
    let mut sql = |sql: &'static str| runtime.block_on(sqlx::raw_sql(sql).execute(&mut connection)).unwrap();
    sql("UPDATE ackmark_schema SET version = 0");
    refused(&url, "have version 0, this ackmark writes 1");
    sql("UPDATE ackmark_schema SET version = 1");
    sql("BEGIN IMMEDIATE");
    refused(&url, "locked by another process");
}
