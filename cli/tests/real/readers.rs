//! The log reader and a consumer hold each other: for all profiles and codecs they are shown the same, each mutation of
//! a log counts the same under both, and only the log reader tells why a message is there twice.

use std::{ops::Range, sync::Arc, time::Duration};

use ackmark_schema::{
    anomaly::{Cause, Class},
    record::Header,
    report::verify::{CauseCount, Examined, Isolation, VerifyReport},
};
use libtest_mimic::Trial;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    copy::{self, Records, re_headed},
    kafka::{Kafka, Load, PARTITIONS},
    trial,
};

const MESSAGES: u64 = 20_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    let profiles = ackmark_schema::profile::built_in().into_iter().map(|profile| {
        let name = format!("readers::both_agree_on_{}", profile.name.replace('-', "_"));
        trial(kafka, name, move |kafka| agree(kafka, &["--profile", &profile.name]))
    });
    let codecs = CODECS.into_iter().map(|codec| {
        let name = format!("readers::both_agree_on_{codec}");
        let codec = format!("compression.type={codec}");
        trial(kafka, name, move |kafka| agree(kafka, &["--payload", "compressible:4", "-X", &codec]))
    });
    let mut trials: Vec<Trial> = profiles.chain(codecs).collect();
    trials.push(trial(kafka, "readers::markers_show_what_a_consumer_is_shown", by_markers));
    for (name, again, class, cause) in [
        ("a_resend", Again::Resend, Class::DuplicateResend, Cause::Resend),
        ("a_message_given_twice", Again::Twice, Class::DuplicateRetry, Cause::Resend),
        ("a_restart", Again::Restart, Class::DuplicateResend, Cause::Restart),
        ("a_new_session", Again::NewSession, Class::DuplicateRetry, Cause::NewSession),
        ("a_client_without_idempotence", Again::WithoutId, Class::DuplicateRetry, Cause::ClientRetry),
        ("another_kind_of_producer", Again::OtherKind, Class::DuplicateRetry, Cause::Unexplained),
    ] {
        let name = format!("readers::{name}_is_explained");
        trials.push(trial(kafka, name, move |kafka| explained(kafka, again, class, cause)));
    }
    trials
}

fn agree(kafka: &Kafka, flags: &[&str]) {
    let count = MESSAGES.to_string();
    let load = kafka.load(&[flags, &["--messages", &count, "--size", "200B", "--producers", "2"]].concat());
    let (run, report) = kafka.verify_with(&load.folder(), &["--reader", "both"]);
    run.exits(0);
    let comparison = report.readers.comparison.as_ref().unwrap();
    assert_eq!((&comparison.difference, &comparison.incomplete_reason), (&None, &None));
    let levels = report.scans.len() as u64 - 1;
    assert_eq!(comparison.partitions, levels as u32 * PARTITIONS as u32);
    assert_eq!(comparison.records, levels * (MESSAGES + PARTITIONS as u64), "messages and sentinels");
    for scan in &report.scans {
        assert_eq!((scan.messages, scan.distinct, scan.strangers), (MESSAGES, MESSAGES, 0), "{scan:?}");
    }
    assert_eq!(report.scans[0].reader, "log-reader");
    assert!(report.scans[0].log.unwrap().batches > 0);
    for class in [Class::InconsistentOffset, Class::OffsetGap] {
        let found = report.findings.iter().find(|finding| finding.class == class).unwrap();
        assert_eq!(found.examined, Examined::Counted(0), "{class:?}");
    }
}

fn by_markers(kafka: &Kafka) {
    let flags = ["--profile", "transactional", "--transaction-messages", "700"];
    let load = kafka.load(&[&flags[..], &["--messages", "10000", "--size", "100B"]].concat());
    let (run, report) = kafka.verify_with(&load.folder(), &["--reader", "log"]);
    run.exits(0);
    let readers: Vec<_> = report.scans.iter().map(|scan| (scan.isolation, scan.reader.as_str())).collect();
    let expected = [(Isolation::ReadUncommitted, "log-reader"), (Isolation::ReadCommitted, "log-reader-markers")];
    assert_eq!(readers, expected);
    assert!(report.scans.iter().all(|scan| scan.messages == 10_000), "{:?}", report.scans);
    let log = report.scans[0].log.unwrap();
    assert!(log.commit_markers >= report.ledger.committed_transactions && log.abort_markers == 0, "{log:?}");
    for class in [Class::TornTransaction, Class::AbortedVisible, Class::CommittedInvisible, Class::StuckLso] {
        let found = report.findings.iter().find(|finding| finding.class == class).unwrap();
        assert_eq!(found.examined, Examined::Counted(0), "{class:?}");
    }
    // By default a consumer looks at what applications see.
    let (run, report) = kafka.verify_with(&load.folder(), &[]);
    run.exits(0);
    assert_eq!(report.scans[1].reader, "librdkafka-consumer");
}

/// How a message comes into the log once more.
#[derive(Debug, Clone, Copy)]
enum Again {
    /// By its producer, as another attempt.
    Resend,
    /// By its producer, as the same attempt.
    Twice,
    /// By the next incarnation.
    Restart,
    /// By another producer that claims to be the same life.
    NewSession,
    /// By a producer without idempotence, and so was the first copy.
    WithoutId,
    /// By a producer without idempotence, and the first copy by one with.
    OtherKind,
}

/// Messages that are there again, of a partition that has as many: a small load may have been sent to one alone.
const COPIES: Range<usize> = 50..80;

fn explained(kafka: &Kafka, again: Again, class: Class, cause: Cause) {
    let base = kafka.base();
    let partitions = copy::read(kafka, base);
    let topic = kafka.topic();
    let first = producer(kafka, !matches!(again, Again::WithoutId));
    send(&first, &topic, &partitions);
    let changed = |change: fn(&mut Header)| -> Vec<Records> {
        let some = partitions.iter().map(|records| records.get(COPIES).unwrap_or_default());
        some.map(|records| records.iter().map(|value| re_headed(value, change)).collect()).collect()
    };
    match again {
        Again::Resend => send(&first, &topic, &changed(|header| header.attempt += 1)),
        Again::Twice => send(&first, &topic, &changed(|_| {})),
        Again::Restart => send(
            &producer(kafka, true),
            &topic,
            &changed(|header| (header.attempt, header.incarnation) = (header.attempt + 1, header.incarnation + 1)),
        ),
        Again::NewSession => send(&producer(kafka, true), &topic, &changed(|_| {})),
        Again::WithoutId | Again::OtherKind => send(&producer(kafka, false), &topic, &changed(|_| {})),
    }
    let report = judge(kafka, base, &topic);
    let found = report.findings.iter().find(|finding| finding.class == class).unwrap();
    let count = partitions.iter().filter_map(|records| records.get(COPIES)).map(<[_]>::len).sum::<usize>() as u64;
    assert_ne!(count, 0);
    assert_eq!(found.examined, Examined::Counted(count), "{report:#?}");
    assert_eq!(found.causes, [CauseCount { cause, count }]);
    assert!(found.examples.iter().all(|example| example.cause == Some(cause)));
}

fn judge(kafka: &Kafka, base: &Load, topic: &str) -> VerifyReport {
    let folder = tempfile::tempdir().unwrap();
    copy::copy_folder(base, topic, folder.path());
    kafka.seal(folder.path()).exits(0);
    kafka.verify(folder.path()).1
}

fn producer(kafka: &Kafka, idempotent: bool) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.servers())
        .set("acks", "all")
        .set("enable.idempotence", idempotent.to_string())
        .create()
        .unwrap()
}

fn send(producer: &BaseProducer, topic: &str, partitions: &[Records]) {
    for (partition, records) in (0..).zip(partitions) {
        for value in records {
            let record = BaseRecord::<(), _>::to(topic).partition(partition).payload(value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(TIMEOUT).unwrap();
}
