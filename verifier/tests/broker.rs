//! Transactions on a real Kafka: what the two isolation levels show, up to a seal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{fs, sync::atomic::AtomicBool, time::Duration};

use ackmark_client::{
    AdminClient, ClientProperties, DeliveryBatch, ErrorCode, EventSink, LogSink, MessageBatch, RawProducer,
    admin::NewTopic,
    seal::{SealPlan, seal},
};
use ackmark_ledger::State;
use ackmark_schema::{
    anomaly::Class,
    manifest::MANIFEST_FILE,
    properties::Origin,
    record::Header,
    report::{
        seal::SEAL_FILE,
        verify::{Isolation, Verdict, VerifyReport},
    },
};
use ackmark_verifier::{VerifyOptions, verify};
use support::{RUN, World, counted, header, value};

const SOON: Duration = Duration::from_secs(30);
const PER_TRANSACTION: usize = 500;

#[derive(Default)]
struct Acknowledged(usize);

impl EventSink for Acknowledged {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        assert!(batch.iter().all(|message| message.error_code().is_none()));
        self.0 += batch.len();
    }

    fn error(&mut self, _code: ErrorCode, _reason: &str, _fatal: bool) {}
}

fn found(report: &VerifyReport) -> Vec<(Class, u64)> {
    let counts = report.findings.iter().filter_map(|finding| Some((finding.class, counted(&finding.examined)?)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
#[ignore = "needs a Kafka of three brokers at ACKMARK_TEST_BROKERS, for example of `ackmark cluster up`"]
fn committed_aborted_and_dead_transactions_are_told_apart() {
    let brokers = std::env::var("ACKMARK_TEST_BROKERS").expect("ACKMARK_TEST_BROKERS is set");
    let connection = ClientProperties::with_bootstrap(&brokers, Origin::Flag);
    let admin = AdminClient::new(&connection, LogSink::discard()).unwrap();
    let unique = jiff::Timestamp::now().as_nanosecond();
    let (topic, id) = (format!("verifier-test-{unique}"), format!("verifier-test-{unique}"));
    let new = NewTopic {
        name: topic.clone(),
        partitions: 2,
        replication_factor: 3,
        assignment: Vec::new(),
        configs: Vec::new(),
    };
    admin.create_topic(&new, SOON).unwrap();

    let mut world = World::new(1, 2, true);
    world.manifest.topics[0].name.clone_from(&topic);
    world.manifest.producers[0].transactional_id = Some(id.clone());
    fs::write(world.folder.path().join(MANIFEST_FILE), serde_json::to_string(&world.manifest).unwrap()).unwrap();

    let mut properties = connection.clone();
    properties.set("transactional.id", &id, Origin::Profile);
    let producer = RawProducer::new(&properties, LogSink::discard()).unwrap();
    producer.init_transactions(SOON).unwrap();
    let handle = producer.topic(&topic).unwrap();
    for (transaction, ending) in [(1, "commit"), (2, "abort"), (3, "commit"), (4, "die")] {
        producer.begin_transaction().unwrap();
        world.senders[0].transactions.as_mut().unwrap().begin(transaction, 0).unwrap();
        for slot in 0..2u32 {
            let first = world.senders[0].states.as_ref().unwrap().0.reserved(slot as usize);
            world.senders[0].transactions.as_mut().unwrap().member(slot, first).unwrap();
            world.send(0, slot as usize, &[State::Acknowledged; PER_TRANSACTION]);
            let values: Vec<_> = (first..first + PER_TRANSACTION as u64)
                .map(|sequence| value(&Header { transaction, ..header(slot, sequence, 0) }))
                .collect();
            let mut batch = MessageBatch::new(values.len());
            for value in &values {
                batch.push(value, None, 0);
            }
            assert!(producer.produce_run(&handle, slot as i32, &mut batch).first_error().is_none());
        }
        let mut acknowledged = Acknowledged::default();
        assert!(producer.drain(SOON, &mut acknowledged));
        assert_eq!(acknowledged.0, 2 * PER_TRANSACTION);
        let log = world.senders[0].transactions.as_mut().unwrap();
        match ending {
            "commit" => {
                log.intent_commit(1).unwrap();
                producer.commit_transaction(SOON).unwrap();
                log.committed(2).unwrap();
            }
            "abort" => {
                log.intent_abort(1).unwrap();
                producer.abort_transaction(SOON).unwrap();
                log.aborted(2).unwrap();
            }
            _ => {}
        }
    }
    world.end();
    let mut options = VerifyOptions::new(connection.clone());
    options.limits.no_progress = Duration::from_secs(10);
    let stop = AtomicBool::new(false);

    // Before the seal the dead transaction holds the last stable offset: no verdict, and no wait.
    let report = verify(world.folder.path(), &options, &(), &stop).unwrap();
    assert_eq!((report.verdict, found(&report)), (Verdict::Inconclusive, vec![]), "{}", report.reason);

    let plan = SealPlan {
        run: RUN,
        topics: vec![topic.clone()],
        transactional_ids: vec![id],
        unacknowledged: false,
        quiet: Duration::ZERO,
        timeout: SOON,
    };
    let sealed = seal(&connection, &plan, &LogSink::discard()).unwrap();
    fs::write(world.folder.path().join(SEAL_FILE), serde_json::to_string(&sealed).unwrap()).unwrap();
    let report = verify(world.folder.path(), &options, &(), &stop).unwrap();
    assert_eq!(
        (report.verdict, found(&report)),
        (Verdict::HeldUnprovoked, vec![]),
        "{} {:?}",
        report.reason,
        report.scans
    );
    let messages = |isolation| {
        let scan = report.scans.iter().find(|scan| scan.isolation == isolation).unwrap();
        assert!(scan.complete, "{scan:?}");
        scan.messages
    };
    assert_eq!(messages(Isolation::ReadUncommitted), 4 * 2 * PER_TRANSACTION as u64);
    assert_eq!(messages(Isolation::ReadCommitted), 2 * 2 * PER_TRANSACTION as u64);
    let ledger = report.ledger;
    assert_eq!((ledger.committed_transactions, ledger.aborted_transactions), (2, 2));

    // Read as if the aborted ones had been committed: the control that the counts can fail.
    let log = world.senders[0].transactions.as_mut().unwrap();
    log.intent_commit(3).unwrap();
    log.committed(4).unwrap();
    let report = verify(world.folder.path(), &options, &(), &stop).unwrap();
    assert_eq!(found(&report), [(Class::CommittedInvisible, 2 * PER_TRANSACTION as u64)]);
    assert_eq!(report.verdict, Verdict::Broken);
    admin.delete_topic(&topic, SOON).unwrap();
}
