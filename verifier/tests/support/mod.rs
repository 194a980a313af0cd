//! Small runs with a real ledger and logs made by hand.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod bytes;

use std::{fs::OpenOptions, os::unix::fs::FileExt, sync::Arc};

use ackmark_ledger::{
    DeliveryLedger, Identity, LedgerReader, OnDamage, ReservedMarks, SendLedger, State, StreamStart, TransactionLog,
    create,
};
use ackmark_schema::{
    anomaly::Class,
    manifest::{Manifest, ProducerEntry, Stream, TopicStart},
    profile,
    promise::{Acks, Basis, Promise},
    record::{Header, body_checksum},
    report::verify::{Examined, Isolation},
    version::SchemaId,
};
use ackmark_verifier::{
    accounting::{Eye, PartitionAccount},
    evidence::{Case, Cleanup, Evidence, Look, ScanAccounts, weigh},
    observation::{Batch, Ending, Marker, Observation, Record},
};

pub(crate) const RUN: u32 = 77;
pub(crate) const TOPIC: &str = "t";

pub(crate) fn basis(transactional: bool) -> Basis {
    Basis {
        acks: Acks::All,
        idempotence: true,
        transactional,
        retries: 5,
        max_in_flight: 5,
        replication_factor: 3,
        min_insync_replicas: 2,
        unclean_leader_election: false,
    }
}

/// Stream `producer * partitions + partition` for each producer and partition.
pub(crate) fn manifest(producers: u32, partitions: u32, transactional: bool) -> Manifest {
    let entry = |producer| ProducerEntry {
        producer,
        transactional_id: transactional.then(|| format!("id-{producer}")),
        incarnations: vec![0],
        streams: (0..partitions)
            .map(|partition| Stream { stream: producer * partitions + partition, topic: 0, partition })
            .collect(),
    };
    Manifest {
        schema: SchemaId::default(),
        run: RUN,
        started: "2026-01-01T00:00:00Z".parse().unwrap(),
        bootstrap_servers: "localhost:1".into(),
        cluster_id: None,
        profile: profile::built_in().remove(3),
        properties: Vec::new(),
        promise: Promise::derive(basis(transactional), &[]),
        topics: vec![TopicStart { name: TOPIC.into(), id: None, start_offsets: vec![0; partitions as usize] }],
        producers: (0..producers).map(entry).collect(),
        resumed: Vec::new(),
        simulated: false,
    }
}

/// A producer's ledgers.
pub(crate) struct Sender {
    /// Until the producer ends.
    pub(crate) states: Option<(SendLedger, DeliveryLedger)>,
    pub(crate) transactions: Option<TransactionLog>,
}

/// A run in a temporary folder.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) manifest: Manifest,
    pub(crate) senders: Vec<Sender>,
    /// How its ledger is read.
    pub(crate) on_damage: OnDamage,
}

impl World {
    pub(crate) fn new(producers: u32, partitions: u32, transactional: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(producers, partitions, transactional);
        let senders = manifest
            .producers
            .iter()
            .map(|producer| {
                let identity = Identity { run: RUN, producer: producer.producer, incarnation: 0 };
                let streams: Vec<_> =
                    producer.streams.iter().map(|s| StreamStart { stream: s.stream, first_sequence: 0 }).collect();
                let states = Some(create(folder.path(), identity, &streams, &[]).unwrap());
                let transactions = transactional.then(|| TransactionLog::create(folder.path(), identity).unwrap());
                Sender { states, transactions }
            })
            .collect();
        Self { folder, manifest, senders, on_damage: OnDamage::Refuse }
    }

    /// Flips a bit of a file of the ledger, which is salvaged from now on.
    pub(crate) fn damage(&mut self, file: &str, at: usize) {
        let file = OpenOptions::new().read(true).write(true).open(self.folder.path().join(file)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at as u64).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
        self.on_damage = OnDamage::Salvage;
    }

    pub(crate) fn ledger(&self) -> LedgerReader {
        LedgerReader::open_with(self.folder.path(), &self.manifest, self.on_damage).unwrap()
    }

    fn marks(&self) -> Arc<ReservedMarks> {
        Arc::new(match self.on_damage {
            OnDamage::Refuse => ReservedMarks::open(self.folder.path(), &self.manifest).unwrap(),
            OnDamage::Salvage => (&self.ledger()).into(),
        })
    }

    /// Reserves one message per state.
    pub(crate) fn send(&mut self, producer: usize, slot: usize, states: &[State]) {
        let (send, delivery) = self.senders[producer].states.as_mut().unwrap();
        let range = send.reserve(slot, states.len() as u64).unwrap();
        for (sequence, state) in range.zip(states) {
            delivery.mark(slot, sequence, 1, *state).unwrap();
        }
    }

    /// Ends all producers: no more can be sent.
    pub(crate) fn end(&mut self) {
        self.senders.iter_mut().for_each(|sender| sender.states = None);
    }

    pub(crate) fn account(&self, partition: u32, log: &[Option<Vec<u8>>]) -> PartitionAccount {
        let marks = self.marks();
        let mut account = PartitionAccount::new(&self.manifest, 0, partition, 0, marks, Eye::Application);
        let records: Vec<_> =
            (0..).zip(log).map(|(offset, value)| Record { offset, value: value.as_deref() }).collect();
        for slice in records.chunks(7) {
            account.observe(&Observation::Records(slice), &mut ());
        }
        account.observe(&Observation::LogStart(0), &mut ());
        account.observe(&Observation::LastStableOffset(log.len() as i64), &mut ());
        account.observe(&Observation::End(log.len() as i64), &mut ());
        account
    }

    /// As the log's eye is shown it, from offset 0.
    pub(crate) fn account_of_log(&self, partition: u32, log: &[Entry]) -> PartitionAccount {
        let marks = self.marks();
        let mut account = PartitionAccount::new(&self.manifest, 0, partition, 0, marks, Eye::Log);
        let mut offset = 0;
        for entry in log {
            match entry {
                Entry::Batch(facts, values) => {
                    account.observe(&Observation::Batch(Batch { base_offset: offset, ..*facts }), &mut ());
                    let records: Vec<_> = (offset..)
                        .zip(values)
                        .map(|(offset, value)| Record { offset, value: value.as_deref() })
                        .collect();
                    account.observe(&Observation::Records(&records), &mut ());
                    offset += values.len() as i64;
                }
                Entry::Marker(producer_id, ending) => {
                    let marker = Marker { offset, producer_id: *producer_id, ending: *ending };
                    account.observe(&Observation::Marker(marker), &mut ());
                    offset += 1;
                }
                Entry::Nothing(offsets) => offset += offsets,
            }
        }
        account.observe(&Observation::LogStart(0), &mut ());
        account.observe(&Observation::LastStableOffset(offset), &mut ());
        account.observe(&Observation::End(offset), &mut ());
        account
    }

    /// A whole scan of one log per partition by the log's eye.
    pub(crate) fn scan_of_log(&self, logs: &[Vec<Entry>]) -> ScanAccounts {
        let partitions = (0..).zip(logs).map(|(partition, log)| self.account_of_log(partition, log)).collect();
        ScanAccounts { isolation: Isolation::ReadUncommitted, incomplete: None, partitions, sightings: None }
    }

    /// A whole scan of one log per partition.
    pub(crate) fn scan(&self, isolation: Isolation, logs: &[Vec<Option<Vec<u8>>>]) -> ScanAccounts {
        let partitions = (0..).zip(logs).map(|(partition, log)| self.account(partition, log)).collect();
        ScanAccounts { isolation, incomplete: None, partitions, sightings: None }
    }

    pub(crate) fn weigh(&self, scans: &[ScanAccounts]) -> Evidence {
        self.weigh_with(scans, None, &[Cleanup::Nothing])
    }

    pub(crate) fn weigh_with(
        &self,
        scans: &[ScanAccounts],
        markers: Option<&ScanAccounts>,
        cleanup: &[Cleanup],
    ) -> Evidence {
        let ledger = self.ledger();
        let acknowledged = ledger.counts().acknowledged > 0 || !ledger.is_all_known();
        weigh(&Case {
            manifest: &self.manifest,
            ledger: &ledger,
            scans,
            markers,
            cleanup,
            read_twice: false,
            acknowledged,
            unfenced: None,
        })
    }
}

/// What stands in a log.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A batch, its base offset apart, with the values of its records.
    Batch(Batch, Vec<Option<Vec<u8>>>),
    /// The end of a producer's transaction.
    Marker(i64, Ending),
    /// So many offsets that hold nothing.
    Nothing(i64),
}

/// A batch of a producer with an id.
pub(crate) fn batch(producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Batch {
    Batch { base_offset: 0, leader_epoch: 0, producer_id, producer_epoch, base_sequence, transactional: false }
}

/// A batch of a producer without one.
pub(crate) fn plain() -> Batch {
    batch(-1, -1, -1)
}

pub(crate) fn header(stream: u32, sequence: u64, attempt: u16) -> Header {
    Header {
        run: RUN,
        stream,
        sequence,
        attempt,
        incarnation: 0,
        transaction: 0,
        intended_ns: 0,
        send_delay_us: 0,
        sentinel: false,
        warm_up: false,
        source: None,
    }
}

pub(crate) fn value(header: &Header) -> Vec<u8> {
    let body = [header.sequence as u8; 10];
    let mut value = vec![0; header.encoded_len()];
    value.extend_from_slice(&body);
    header.encode(&mut value, body_checksum(&body));
    value
}

#[expect(clippy::unnecessary_wraps, reason = "the form in which a log holds values")]
pub(crate) fn message(stream: u32, sequence: u64, attempt: u16) -> Option<Vec<u8>> {
    Some(value(&header(stream, sequence, attempt)))
}

pub(crate) fn corrupt(mut value: Option<Vec<u8>>) -> Option<Vec<u8>> {
    if let Some(last) = value.as_mut().and_then(|value| value.last_mut()) {
        *last ^= 1;
    }
    value
}

/// The exact count of a class.
pub(crate) fn count(evidence: &Evidence, class: Class) -> u64 {
    match &evidence.looks[&class] {
        Look::Counted(tally) => tally.count(),
        other => panic!("{class:?} was not counted: {other:?}"),
    }
}

/// All classes that were counted above zero.
pub(crate) fn counts(evidence: &Evidence) -> Vec<(Class, u64)> {
    let count = |class| match &evidence.looks[&class] {
        Look::Counted(tally) if tally.count() > 0 => Some((class, tally.count())),
        _ => None,
    };
    Class::ALL.into_iter().filter_map(count).collect()
}

pub(crate) fn counted(examined: &Examined) -> Option<u64> {
    match examined {
        Examined::Counted(count) => Some(*count),
        Examined::NotExamined { .. } => None,
    }
}
