//! `ackmark log` shows what lies in the log, and only what was asked for.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use ackmark_schema::log::{BatchLine, Content, LogLine, Message, RecordLine};
use libtest_mimic::Trial;

use crate::{
    common::{self, Run},
    kafka::{Kafka, PARTITIONS},
    trial,
};

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "log::every_record_is_shown_with_what_sent_it", records),
        trial(kafka, "log::filters_show_what_they_say_and_no_more", filters),
        trial(kafka, "log::ends_of_transactions_are_shown", transactions),
        trial(kafka, "log::a_closed_pipe_ends_it", closed_pipe),
        trial(kafka, "log::what_is_not_there_is_told", not_there),
    ]
}

/// Runs it on the base load's topic, or another.
fn log(kafka: &Kafka, topic: &str, arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    common::run(folder.path(), &[&["log", topic, "-b", &kafka.servers()], arguments].concat())
}

fn lines(kafka: &Kafka, topic: &str, arguments: &[&str]) -> Vec<LogLine> {
    let run = log(kafka, topic, &[arguments, &["--output", "json"]].concat()).exits(0);
    run.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn record_lines(kafka: &Kafka, topic: &str, arguments: &[&str]) -> Vec<RecordLine> {
    let lines = lines(kafka, topic, arguments).into_iter();
    lines
        .map(|line| match line {
            LogLine::Record(record) => record,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn batch_lines(kafka: &Kafka, topic: &str, arguments: &[&str]) -> Vec<BatchLine> {
    let lines = lines(kafka, topic, &[arguments, &["--batches"]].concat()).into_iter();
    lines
        .map(|line| match line {
            LogLine::Batch(batch) => batch,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn message(record: &RecordLine) -> Option<&Message> {
    match &record.content {
        Content::Message(message) if !message.sentinel => Some(message),
        _ => None,
    }
}

fn records(kafka: &Kafka) {
    let base = kafka.base();
    let records = record_lines(kafka, &base.topic, &["--all"]);
    let messages: Vec<_> = records.iter().filter_map(|record| Some((record, message(record)?))).collect();
    let ids: BTreeSet<_> = messages.iter().map(|(_, message)| (message.stream, message.sequence)).collect();
    assert_eq!((messages.len(), ids.len()), (1000, 1000));
    for (record, message) in &messages {
        let producer = record.producer.unwrap_or_else(|| panic!("the profile is idempotent: {record:?}"));
        assert!(producer.id >= 0 && producer.sequence.is_some());
        assert_eq!(
            (record.value_bytes, message.attempt, message.run),
            (Some(100), 0, base.report.spec.run),
            "{record:?}"
        );
        assert!(!record.transactional && record.timestamp_ms as u64 >= message.intended_ns / 1_000_000 - 1);
    }
    // In order, partition by partition, and without a gap.
    let places: Vec<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    assert!(places.is_sorted());
    for partition in 0..PARTITIONS {
        let of = places.iter().filter(|(found, _)| *found == partition).map(|(_, offset)| *offset);
        assert!(of.eq(0..places.iter().filter(|(found, _)| *found == partition).count() as i64));
    }
    // The seal's sentinels are the rest.
    assert_eq!(records.len(), 1000 + PARTITIONS as usize);

    let batches = batch_lines(kafka, &base.topic, &["--all"]);
    assert_eq!(batches.iter().map(|batch| batch.records as usize).sum::<usize>(), records.len());
    let table = log(kafka, &base.topic, &["--limit", "3"]).exits(0);
    assert_eq!(table.stdout.lines().count(), 4, "{}", table.stdout);
    assert!(table.stdout.starts_with("partition  "), "{}", table.stdout);
    assert!(table.stderr.contains("ended after 3"), "{}", table.stderr);
}

fn filters(kafka: &Kafka) {
    // By key, so that both partitions have some.
    let keys = ["--keys", "uniform:100", "--messages", "4000", "--size", "100B"];
    let load = kafka.load(&[&["--profile", "idempotent"], &keys[..]].concat());
    let topic = &load.topic;
    let places = |arguments: &[&str]| {
        let records = record_lines(kafka, topic, arguments);
        records.iter().map(|record| (record.partition, record.offset)).collect::<Vec<_>>()
    };
    assert_eq!(places(&["--partition", "1", "--offset", "7"]), [(1, 7)]);
    assert_eq!(places(&["--offset", "5..7"]), [(0, 5), (0, 6), (1, 5), (1, 6)]);
    assert_eq!(places(&["-p", "1,0", "--offset", "..2"]), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(places(&["--limit", "1"]), [(0, 0)]);

    let first = record_lines(kafka, topic, &["--partition", "1", "--offset", "100"]).remove(0);
    assert_eq!(first.offset, 100);
    let wanted = *message(&first).unwrap();
    let (stream, sequence) = (wanted.stream.to_string(), wanted.sequence.to_string());
    let found = record_lines(kafka, topic, &["--stream", &stream, "--sequence", &sequence, "--all"]);
    assert_eq!(found, std::slice::from_ref(&first));
    let of_run = |run: u32| {
        let run = run.to_string();
        record_lines(kafka, topic, &["--run", &run, "--stream", &stream, "--sequence", &sequence, "--all"])
    };
    assert_eq!(of_run(wanted.run), std::slice::from_ref(&first));
    assert_eq!(of_run(wanted.run ^ 1), []);
    let range = format!("{}..{}", wanted.sequence, wanted.sequence + 10);
    let found = record_lines(kafka, topic, &["--stream", &stream, "--sequence", &range, "--all"]);
    assert_eq!(found.len(), 10);
    let batches = batch_lines(kafka, topic, &["--stream", &stream, "--sequence", &sequence, "--all"]);
    assert_eq!(batches.len(), 1);
    assert_eq!((batches[0].partition, batches[0].base_offset), (1, first.batch));

    let id = first.producer.unwrap().id.to_string();
    let by_producer = record_lines(kafka, topic, &["--producer-id", &id, "--all"]);
    // One producer sent all messages, and another one the sentinels of the seal.
    assert_eq!(by_producer.len(), 4000);
    assert!(by_producer.iter().all(|record| message(record).is_some()));
    assert_eq!(record_lines(kafka, topic, &["--producer-id", "-1"]), []);

    let nothing = log(kafka, topic, &["--stream", "77"]).exits(0);
    assert_eq!((nothing.stdout.as_str(), nothing.stderr.as_str()), ("", "nothing of that lies in the log\n"));
    let nothing = log(kafka, topic, &["--partition", "0", "--offset", "1000000.."]).exits(0);
    assert!(nothing.stderr.contains("partition 0 holds offsets 0.."), "{}", nothing.stderr);
}

fn transactions(kafka: &Kafka) {
    let flags = ["--profile", "transactional", "--messages", "2000", "--size", "100B", "--transaction-messages", "200"];
    let load = kafka.load(&flags);
    let records = record_lines(kafka, &load.topic, &["--all"]);
    let ends = |name: &str| {
        let is = |record: &&RecordLine| matches!(&record.content, Content::Marker { marker, .. } if marker == name);
        records.iter().filter(is).count() as u64
    };
    let transactions = load.report.transactions.as_ref().unwrap();
    // Each transaction ends once in each partition that it wrote to.
    let [commits, aborts] = [ends("commit"), ends("abort")];
    assert!(commits >= transactions.committed && commits <= transactions.committed * PARTITIONS as u64, "{commits}");
    assert!(aborts >= transactions.aborted && aborts <= transactions.aborted * PARTITIONS as u64, "{aborts}");
    let messages: Vec<_> = records.iter().filter(|record| message(record).is_some()).collect();
    assert_eq!(messages.len(), 2000);
    assert!(messages.iter().all(|record| record.transactional && message(record).unwrap().transaction.is_some()));
    let control = batch_lines(kafka, &load.topic, &["--all"]).iter().filter(|batch| batch.control).count() as u64;
    assert_eq!(control, commits + aborts);
    let table = log(kafka, &load.topic, &["--all"]).exits(0).stdout;
    assert!(table.contains("commit marker, coordinator epoch "), "{table}");
}

fn closed_pipe(kafka: &Kafka) {
    // More than pipe and buffers hold.
    let topic = &kafka.base().topic;
    let folder = tempfile::tempdir().unwrap();
    let mut command = common::ackmark(folder.path());
    command.args(["log", topic, "--all", "--output", "json", "-b", &kafka.servers()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(100, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("ackmark-log/1"), "{first}");
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

fn not_there(kafka: &Kafka) {
    let run = log(kafka, "ackmark-not-there", &[]).exits(2);
    assert!(run.stderr.contains("ackmark-not-there") && run.stderr.contains("is not there"), "{}", run.stderr);
    let run = log(kafka, &kafka.base().topic, &["-p", "7"]).exits(2);
    assert!(run.stderr.contains("no partition 7") && run.stderr.contains("it has 2"), "{}", run.stderr);
    let folder = tempfile::tempdir().unwrap();
    let run = common::run(folder.path(), &["log", "any", "-b", "127.0.0.1:1"]).exits(1);
    assert!(run.stderr.contains("127.0.0.1:1") && run.stderr.contains("does a broker listen there"), "{}", run.stderr);
}
