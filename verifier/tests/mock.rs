//! Whole verifications against librdkafka's mock cluster: reading, ends, folders. No broker guarantee is
//! tested here; the manifest does not say "simulated" so that verdicts can be looked at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ackmark_client::{
    ClientProperties, DeliveryBatch, ErrorCode, EventSink, LogSink, MessageBatch, MockCluster, RawProducer,
};
use ackmark_ledger::{Ended, Identity, LedgerError, LedgerReader, OnDamage, Resend, State, StreamStart, create};
use ackmark_schema::{
    anomaly::Class,
    manifest::{MANIFEST_FILE, Manifest},
    properties::Origin,
    record::Header,
    report::{
        seal::{SEAL_FILE, SealReport, SealState, SealedPartition},
        verify::{Examined, Isolation, ReaderChoice, VERIFY_FILE, Verdict, VerifyReport},
    },
    text,
    version::SchemaId,
};
use ackmark_verifier::{
    Eyes, Progress, ProgressEvent, VerifyError, VerifyOptions,
    evidence::ScanAccounts,
    log_reader::{LogReaderError, LogVisitor},
    observation::{Observation, Record},
    reader::{self, ScanOutcome, ScanPlan, ScanState},
    verify, verify_by,
};
use ackmark_wire::{config::ConfigError, scan::Visitor as _};
use support::{RUN, TOPIC, World, counted, header, message, value};

const SOON: Duration = Duration::from_secs(20);
const N: u64 = 3_000;
const PARTITIONS: u32 = 3;
/// A message written behind the others.
const SENTINELS: i64 = 1;

struct Nothing;

impl EventSink for Nothing {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        assert!(batch.iter().all(|message| message.error_code().is_none()));
    }

    fn error(&mut self, _code: ErrorCode, _reason: &str, _fatal: bool) {}
}

struct Cluster {
    mock: MockCluster,
    producer: RawProducer,
}

impl Cluster {
    fn start() -> Self {
        let mock = MockCluster::start(1).unwrap();
        mock.create_topic(TOPIC, PARTITIONS as i32, 1).unwrap();
        let mut properties = ClientProperties::with_bootstrap(mock.bootstrap_servers(), Origin::Flag);
        properties.set("linger.ms", "1", Origin::Flag);
        Self { producer: RawProducer::new(&properties, LogSink::discard()).unwrap(), mock }
    }

    fn write(&self, partition: u32, values: &[Vec<u8>]) {
        let topic = self.producer.topic(TOPIC).unwrap();
        let mut batch = MessageBatch::new(values.len());
        for (at, value) in values.iter().enumerate() {
            batch.set(at, value, None, 0);
        }
        assert!(self.producer.produce_run(&topic, partition as i32, &mut batch).first_error().is_none());
        self.producer.drain(SOON, &mut Nothing);
    }

    fn options(&self) -> VerifyOptions {
        let connection = ClientProperties::with_bootstrap(self.mock.bootstrap_servers(), Origin::Flag);
        let mut options = VerifyOptions::new(connection);
        options.limits.no_progress = Duration::from_secs(5);
        // The mock does not answer what a topic's configs are.
        options.request_timeout = Duration::from_secs(2);
        options
    }
}

/// One producer with `N` acknowledged messages per partition, nothing written yet.
fn world() -> World {
    let mut world = World::new(1, PARTITIONS, false);
    for slot in 0..PARTITIONS as usize {
        world.send(0, slot, &[State::Acknowledged; N as usize]);
    }
    write_manifest(&world, &world.manifest);
    world.end();
    world
}

fn write_manifest(world: &World, manifest: &Manifest) {
    let json = serde_json::to_string(manifest).unwrap();
    let path = world.folder.path().join(MANIFEST_FILE);
    fs::write(path.with_extension("tmp"), json).unwrap();
    fs::rename(path.with_extension("tmp"), path).unwrap();
}

/// Writes sentinels and the seal; `ends` are the partitions' ends without them.
fn seal(cluster: &Cluster, world: &World, ends: &[i64], run: u32) {
    let ledger = LedgerReader::open(world.folder.path(), &world.manifest).unwrap();
    let sentinel = value(&Header { sentinel: true, stream: u32::MAX, ..header(0, 0, 0) });
    let partition = |(partition, end): (u32, &i64)| {
        cluster.write(partition, std::slice::from_ref(&sentinel));
        SealedPartition {
            topic: TOPIC.into(),
            partition,
            high_watermark_found: *end,
            last_stable_offset_found: *end,
            sentinel_offset: Some(*end),
            end_offset: *end + SENTINELS,
        }
    };
    let report = SealReport {
        schema: SchemaId::default(),
        run,
        finished: jiff::Timestamp::now(),
        duration_s: 0.0,
        state: SealState::Sealed,
        fenced: Vec::new(),
        quiet_s: None,
        messages_reserved: Some(ledger.counts().reserved),
        messages_resent: Some(ledger.counts().resent),
        partitions: (0..).zip(ends).map(partition).collect(),
    };
    let path = world.folder.path().join(SEAL_FILE);
    fs::write(path.with_extension("tmp"), serde_json::to_string(&report).unwrap()).unwrap();
    fs::rename(path.with_extension("tmp"), path).unwrap();
}

fn messages(stream: u32, sequences: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    sequences.filter_map(|sequence| message(stream, sequence, 0)).collect()
}

fn found(report: &VerifyReport) -> Vec<(Class, u64)> {
    let counts = report.findings.iter().filter_map(|finding| Some((finding.class, counted(&finding.examined)?)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn run(cluster: &Cluster, world: &World) -> Result<VerifyReport, VerifyError> {
    verify(world.folder.path(), &cluster.options(), &(), &AtomicBool::new(false))
}

#[test]
fn a_log_is_read_to_its_seal_and_what_is_wrong_is_counted() {
    let (cluster, world) = (Cluster::start(), world());
    // Before the run: not read.
    cluster.write(0, &[b"before".to_vec()]);
    let mut manifest = world.manifest.clone();
    manifest.topics[0].start_offsets[0] = 1;
    write_manifest(&world, &manifest);
    cluster.write(0, &messages(0, 0..N));
    cluster.write(1, &messages(1, 0..N - 7));
    let mut third = messages(2, 0..N);
    third.swap(10, 11);
    third.push(third[5].clone());
    third.push(b"hello".to_vec());
    cluster.write(2, &third);
    seal(&cluster, &world, &[N as i64 + 1, N as i64 - 7, N as i64 + 2], RUN);
    // Behind the seal: not counted.
    cluster.write(1, &messages(1, N - 7..N));
    let report = run(&cluster, &world).unwrap();
    assert_eq!(found(&report), [(Class::Lost, 7), (Class::DuplicateRetry, 1), (Class::Reordered, 1)]);
    assert_eq!(report.verdict, Verdict::Broken);
    let scan = &report.scans[0];
    assert!(scan.complete && !scan.live, "{scan:?}");
    assert_eq!((scan.messages, scan.distinct, scan.strangers), (3 * N - 7 + 1, 3 * N - 7, 1));
    let text = fs::read_to_string(world.folder.path().join(VERIFY_FILE)).unwrap();
    let written: VerifyReport = text::from_json(VERIFY_FILE, &text).unwrap();
    // Figures in decimal may lose their last bit.
    assert_eq!((written.findings, written.reason, written.ledger), (report.findings, report.reason, report.ledger));
}

#[test]
fn a_sound_log_is_held_and_without_a_seal_nothing_is() {
    let (cluster, world) = (Cluster::start(), world());
    for partition in 0..PARTITIONS {
        cluster.write(partition, &messages(partition, 0..N));
    }
    let report = run(&cluster, &world).unwrap();
    assert_eq!((report.verdict, found(&report)), (Verdict::Inconclusive, vec![]));
    assert!(report.reason.contains("no seal.json"), "{}", report.reason);
    seal(&cluster, &world, &[N as i64; 3], RUN);
    let report = run(&cluster, &world).unwrap();
    assert_eq!((report.verdict, found(&report)), (Verdict::HeldUnprovoked, vec![]), "{}", report.reason);
    assert!(!report.provocations_known);
    let mut options = cluster.options();
    options.isolation = Some(Isolation::ReadCommitted);
    let report = verify(world.folder.path(), &options, &(), &AtomicBool::new(false)).unwrap();
    assert_eq!(report.scans[0].isolation, Isolation::ReadCommitted);
    assert_eq!(report.verdict, Verdict::HeldUnprovoked, "without transactions both levels show the same");
}

#[test]
fn a_log_is_not_judged_while_its_producers_send() {
    let cluster = Cluster::start();
    let mut world = World::new(1, PARTITIONS, false);
    write_manifest(&world, &world.manifest);
    world.send(0, 0, &[State::Acknowledged; 5]);
    cluster.write(0, &messages(0, 0..5));
    seal(&cluster, &world, &[5, 0, 0], RUN);
    let error = run(&cluster, &world).unwrap_err();
    assert!(matches!(error, VerifyError::Ledger(LedgerError::BeingWritten { producer: 0, .. })), "{error}");
    assert!(error.to_string().contains("wait for its load to end, or end it"), "{error}");
    // What is sent after the seal lies behind its end: it is not lost.
    world.send(0, 0, &[State::Acknowledged; 3]);
    cluster.write(0, &messages(0, 5..8));
    world.end();
    let report = run(&cluster, &world).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive, "{}", report.reason);
    assert!(report.reason.contains("messages were sent after the seal"), "{}", report.reason);
    assert!(report.reason.contains("(5 were known then, 8 are now)"), "{}", report.reason);
}

#[test]
fn a_log_that_ends_below_its_seal_is_inconclusive_at_once() {
    let (cluster, world) = (Cluster::start(), world());
    seal(&cluster, &world, &[0; 3], RUN);
    let text = fs::read_to_string(world.folder.path().join(SEAL_FILE))
        .unwrap()
        .replace("\"end_offset\":1", "\"end_offset\":9");
    fs::write(world.folder.path().join(SEAL_FILE), text).unwrap();
    let report = run(&cluster, &world).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(
        report.scans[0].incomplete_reason.as_ref().unwrap().contains("ends at offset 1, below the seal's 9"),
        "{report:?}"
    );
    assert!(report.scans[0].duration_s < 5.0);
}

/// Lets the load go on once the live scan runs.
struct Begun(AtomicBool);

impl Progress for Begun {
    fn event(&self, event: &ProgressEvent<'_>) {
        if matches!(event, ProgressEvent::Scanning { live: true, .. }) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn wait_for(flag: &AtomicBool) {
    for _ in 0..2_000 {
        if flag.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 20 s");
}

#[test]
fn a_load_is_followed_from_before_its_start_to_its_seal() {
    let cluster = Cluster::start();
    let world = Mutex::new(World::new(1, PARTITIONS, false));
    let folder = world.lock().unwrap().folder.path().to_path_buf();
    let (begun, stop) = (Begun(AtomicBool::new(false)), AtomicBool::new(false));
    let mut options = cluster.options();
    options.follow = true;
    let now_ns = || jiff::Timestamp::now().as_nanosecond() as u64;
    let report = std::thread::scope(|scope| {
        let verifying = scope.spawn(|| verify(&folder, &options, &begun, &stop).unwrap());
        let mut world = world.lock().unwrap();
        world.manifest.started = jiff::Timestamp::now();
        write_manifest(&world, &world.manifest);
        wait_for(&begun.0);
        for round in 0..10 {
            for slot in 0..PARTITIONS {
                world.send(0, slot as usize, &[State::Acknowledged; 10]);
                let values: Vec<_> = (round * 10..round * 10 + 10)
                    .filter(|sequence| (slot, *sequence) != (1, 42))
                    .map(|sequence| value(&Header { intended_ns: now_ns(), ..header(slot, sequence, 0) }))
                    .collect();
                cluster.write(slot, &values);
            }
        }
        world.end();
        seal(&cluster, &world, &[100, 99, 100], RUN);
        verifying.join().unwrap()
    });
    assert_eq!(found(&report), [(Class::Lost, 1)]);
    let readers: Vec<_> = report.scans.iter().map(|scan| (scan.live, scan.reader.as_str())).collect();
    assert_eq!(readers, [(true, "librdkafka-consumer"), (false, "log-reader")]);
    assert!(report.scans[0].live && report.scans[0].complete, "{:?}", report.scans[0]);
    assert_eq!(report.scans[0].messages, 299);
    let hlog = fs::read_to_string(folder.join("end-to-end.hlog")).unwrap();
    assert!(hlog.contains("Tag=end-to-end,0.000,1.000,"), "{hlog}");
}

/// Goes on with the load once its log is read at rest.
struct Resumes<'w>(&'w World);

impl Progress for Resumes<'_> {
    fn event(&self, event: &ProgressEvent<'_>) {
        if matches!(event, ProgressEvent::Scanning { live: false, .. }) {
            let mut manifest = self.0.manifest.clone();
            manifest.producers[0].incarnations.push(1);
            write_manifest(self.0, &manifest);
        }
    }
}

#[test]
fn a_load_that_is_resumed_while_it_is_followed_is_not_judged() {
    let (cluster, world) = (Cluster::start(), world());
    let mut options = cluster.options();
    options.follow = true;
    options.limits.idle = Duration::from_millis(600);
    // What its new life sends was never reserved by what was read when it was begun to be followed.
    cluster.write(0, &messages(0, 0..N + 10));
    let verified = verify(world.folder.path(), &options, &Resumes(&world), &AtomicBool::new(false));
    let error = verified.unwrap_err();
    assert!(matches!(error, VerifyError::Resumed), "{error}");
    assert!(error.to_string().contains("resumed while it was followed"), "{error}");
    assert!(!world.folder.path().join(VERIFY_FILE).exists());
}

#[test]
fn a_load_that_dies_without_a_seal_is_read_again_and_left_open() {
    let (cluster, world) = (Cluster::start(), world());
    cluster.write(0, &messages(0, 0..N));
    let mut options = cluster.options();
    options.follow = true;
    options.limits.idle = Duration::from_millis(600);
    let report = verify(world.folder.path(), &options, &(), &AtomicBool::new(false)).unwrap();
    assert_eq!(report.scans.len(), 2);
    assert!(!report.scans[0].complete && report.scans[1].complete);
    assert_eq!((report.verdict, found(&report)), (Verdict::Inconclusive, vec![(Class::Lost, 2 * N)]));
}

#[test]
fn an_interrupted_scan_is_no_pass() {
    let (cluster, world) = (Cluster::start(), world());
    seal(&cluster, &world, &[0; 3], RUN);
    let report = verify(world.folder.path(), &cluster.options(), &(), &AtomicBool::new(true)).unwrap();
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let reason = report.scans[0].incomplete_reason.as_ref().unwrap();
    assert!(reason.ends_with("interrupted"), "{reason}");
}

#[test]
fn a_damaged_ledger_is_refused_before_anything_is_read_or_judged_by_what_is_sound() {
    let (cluster, mut world) = (Cluster::start(), world());
    cluster.write(0, &messages(0, 0..N));
    cluster.write(1, &messages(1, 0..N - 7));
    cluster.write(2, &messages(2, 0..N - 5));
    seal(&cluster, &world, &[N as i64, N as i64 - 7, N as i64 - 5], RUN);
    // Of the third stream the page.
    world.damage("p0-i0.ledger", 4096 + 2 * 16);
    let error = run(&cluster, &world).unwrap_err();
    assert!(matches!(error, VerifyError::Ledger(LedgerError::Corrupt { offset: 4128, .. })), "{error}");
    assert!(!world.folder.path().join(VERIFY_FILE).exists());

    let salvage = VerifyOptions { damaged_ledger: OnDamage::Salvage, ..cluster.options() };
    let verify_with = |options: &VerifyOptions| verify(world.folder.path(), options, &(), &AtomicBool::new(false));
    let report = verify_with(&salvage).unwrap();
    assert_eq!((report.verdict, found(&report)), (Verdict::Broken, vec![(Class::Lost, 7)]), "{}", report.reason);
    let [damage] = report.ledger_damage.as_slice() else { panic!("{:?}", report.ledger_damage) };
    assert_eq!((damage.offset, damage.messages_unknown), (4128, Some(N)));
    assert_eq!((report.ledger.acknowledged, report.ledger.indeterminate), (2 * N, N));
    let text = fs::read_to_string(world.folder.path().join(VERIFY_FILE)).unwrap();
    assert_eq!(text::from_json::<VerifyReport>(VERIFY_FILE, &text).unwrap().ledger_damage, report.ledger_damage);

    let followed = VerifyOptions { follow: true, ..salvage };
    assert!(matches!(verify_with(&followed), Err(VerifyError::SalvageFollowed)));
}

/// An incarnation that sent nothing behind its seal is sealed, also where it is not known how much it sent; of several
/// it is not known which the seal was for.
#[test]
fn a_lost_mark_does_not_open_a_sealed_log() {
    let (cluster, mut world) = (Cluster::start(), world());
    (0..PARTITIONS).for_each(|partition| cluster.write(partition, &messages(partition, 1..N)));
    seal(&cluster, &world, &[N as i64 - 1; 3], RUN);
    world.damage("p0-i0.ledger", 64 + 16);
    let salvage = VerifyOptions { damaged_ledger: OnDamage::Salvage, ..cluster.options() };
    let judge = || verify(world.folder.path(), &salvage, &(), &AtomicBool::new(false)).unwrap();
    let report = judge();
    assert_eq!((&report.seal, report.verdict), (&SealState::Sealed, Verdict::Broken), "{}", report.reason);
    assert_eq!(found(&report), [(Class::Lost, 3)]);

    let mut manifest = world.manifest.clone();
    manifest.producers[0].incarnations = vec![0, 1];
    let second = Identity { run: RUN, producer: 0, incarnation: 1 };
    let starts = [0, 1, 2].map(|stream| StreamStart { stream, first_sequence: N });
    create(world.folder.path(), second, &starts, &[]).unwrap();
    write_manifest(&world, &manifest);
    let report = judge();
    assert!(matches!(&report.seal, SealState::Unsealed { reason } if reason.contains("damaged")), "{:?}", report.seal);
    assert_eq!((report.verdict, found(&report)), (Verdict::Inconclusive, vec![(Class::Lost, 3)]));
}

#[test]
fn a_seal_closes_no_log_for_what_was_sent_again_after_it() {
    let (cluster, world) = (Cluster::start(), world());
    (0..PARTITIONS).for_each(|stream| cluster.write(stream, &messages(stream, 0..N)));
    seal(&cluster, &world, &[N as i64; 3], RUN);
    let second = Identity { run: RUN, producer: 0, incarnation: 1 };
    let starts: Vec<StreamStart> = (0..PARTITIONS).map(|stream| StreamStart { stream, first_sequence: N }).collect();
    let again = Resend { slot: 0, sequences: 5..9, attempt: 1 };
    let (mut send, delivery) = create(world.folder.path(), second, &starts, &[again]).unwrap();
    send.resend(0, 4).unwrap();
    drop((send, delivery));
    let mut manifest = world.manifest.clone();
    manifest.producers[0].incarnations.push(1);
    write_manifest(&world, &manifest);
    let report = run(&cluster, &world).unwrap();
    assert_eq!((report.ledger.resent, report.verdict), (4, Verdict::Inconclusive), "{}", report.reason);
    assert!(report.reason.contains("messages were sent again after the seal"), "{}", report.reason);
}

/// A cluster that only librdkafka can read.
struct NotSpoken;

impl Eyes for NotSpoken {
    fn log(
        &self,
        _plan: &ScanPlan<'_>,
        _state: &ScanState,
        _stop: &AtomicBool,
        _tick: &mut dyn FnMut(),
    ) -> Result<ScanOutcome, LogReaderError> {
        let (property, value) = ("sasl.mechanism".to_owned(), "GSSAPI".to_owned());
        Err(ConfigError::Unsupported { property, value }.into())
    }
}

/// Somebody tries to go on with the load while its log is read.
struct GoneOnWith<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    refused: AtomicBool,
}

impl Eyes for GoneOnWith<'_> {
    fn log(
        &self,
        plan: &ScanPlan<'_>,
        state: &ScanState,
        stop: &AtomicBool,
        tick: &mut dyn FnMut(),
    ) -> Result<ScanOutcome, LogReaderError> {
        let taken = Ended::take(self.folder, self.manifest);
        self.refused.store(matches!(taken, Err(LedgerError::BeingRead { .. })), Ordering::Relaxed);
        NotSpoken.log(plan, state, stop, tick)
    }
}

#[test]
fn nobody_goes_on_with_a_load_while_its_log_is_judged() {
    let (cluster, world) = (Cluster::start(), world());
    seal(&cluster, &world, &[0; 3], RUN);
    let (folder, manifest) = (world.folder.path(), &world.manifest);
    let eyes = GoneOnWith { folder, manifest, refused: AtomicBool::new(false) };
    verify_by(&eyes, folder, &cluster.options(), &(), &AtomicBool::new(false)).unwrap();
    assert!(eyes.refused.load(Ordering::Relaxed));
    drop(Ended::take(folder, manifest).unwrap());
}

#[test]
fn a_cluster_that_the_log_reader_does_not_speak_with_is_read_by_a_consumer_and_that_is_told() {
    let (cluster, world) = (Cluster::start(), world());
    seal(&cluster, &world, &[0; 3], RUN);
    let by =
        |options: &VerifyOptions| verify_by(&NotSpoken, world.folder.path(), options, &(), &AtomicBool::new(false));
    let report = by(&cluster.options()).unwrap();
    let readers: Vec<_> = report.scans.iter().map(|scan| scan.reader.as_str()).collect();
    assert_eq!((report.readers.choice, readers), (ReaderChoice::Auto, vec!["librdkafka-consumer"]));
    let why = report.readers.fallback.unwrap();
    assert!(why.contains("does not speak sasl.mechanism=GSSAPI"), "{why}");
    let gaps = report.findings.iter().find(|finding| finding.class == Class::OffsetGap).unwrap();
    assert!(matches!(gaps.examined, Examined::NotExamined { .. }), "{gaps:?}");
    // Asked for by name, it is not replaced in silence.
    for reader in [ReaderChoice::Log, ReaderChoice::Both] {
        let error = by(&VerifyOptions { reader, ..cluster.options() }).unwrap_err();
        assert!(matches!(&error, VerifyError::Log(error) if error.is_not_spoken()), "{error}");
    }
}

#[test]
fn every_choice_of_readers_counts_the_same() {
    let (cluster, world) = (Cluster::start(), world());
    cluster.write(0, &messages(0, 0..N));
    cluster.write(1, &messages(1, 0..N - 7));
    let mut third = messages(2, 0..N);
    third.swap(10, 11);
    third.push(third[5].clone());
    cluster.write(2, &third);
    seal(&cluster, &world, &[N as i64, N as i64 - 7, N as i64 + 1], RUN);
    for (reader, scans) in [
        (ReaderChoice::Auto, vec!["log-reader"]),
        (ReaderChoice::Log, vec!["log-reader"]),
        (ReaderChoice::Consumer, vec!["librdkafka-consumer"]),
        (ReaderChoice::Both, vec!["log-reader", "librdkafka-consumer"]),
    ] {
        let options = VerifyOptions { reader, ..cluster.options() };
        let report = verify(world.folder.path(), &options, &(), &AtomicBool::new(false)).unwrap();
        assert_eq!(found(&report), [(Class::Lost, 7), (Class::DuplicateRetry, 1), (Class::Reordered, 1)]);
        assert_eq!(report.scans.iter().map(|scan| scan.reader.as_str()).collect::<Vec<_>>(), scans);
        for scan in &report.scans {
            assert_eq!(
                (scan.messages, scan.strangers, scan.log.is_some()),
                (3 * N - 6, 0, scan.reader == "log-reader")
            );
        }
        let lost = report.findings.iter().find(|finding| finding.class == Class::Lost).unwrap();
        let shown = format!("ackmark log t --partition 1 --run {RUN} --stream 1 --sequence {}..{N} -b ", N - 7);
        assert!(lost.examples[0].command.starts_with(&shown), "{}", lost.examples[0].command);
    }
}

/// A consumer in the place of the log reader, which is shown one record too many, if it is so wished.
struct Twice {
    too_many: bool,
}

impl Eyes for Twice {
    fn log(
        &self,
        plan: &ScanPlan<'_>,
        state: &ScanState,
        stop: &AtomicBool,
        tick: &mut dyn FnMut(),
    ) -> Result<ScanOutcome, LogReaderError> {
        let mut outcome = reader::scan(plan, state, stop, tick).unwrap();
        if self.too_many {
            let record = Record { offset: 2_000, value: Some(b"never stored") };
            outcome.accounts.partitions[1].observe(&Observation::Records(&[record]), &mut ());
        }
        Ok(outcome)
    }
}

#[test]
fn where_two_readers_differ_nothing_is_judged() {
    let (cluster, world) = (Cluster::start(), world());
    for partition in 0..PARTITIONS {
        cluster.write(partition, &messages(partition, 0..N));
    }
    seal(&cluster, &world, &[N as i64; 3], RUN);
    let options = VerifyOptions { reader: ReaderChoice::Both, ..cluster.options() };
    let stop = AtomicBool::new(false);
    let by = |too_many| verify_by(&Twice { too_many }, world.folder.path(), &options, &(), &stop);
    let report = by(false).unwrap();
    let comparison = report.readers.comparison.unwrap();
    assert_eq!((comparison.records, comparison.partitions), (3 * (N + 1), 3));
    assert_eq!((comparison.difference, comparison.incomplete_reason), (None, None));
    assert_eq!(report.scans.len(), 2);
    let twice = report.findings.iter().find(|finding| finding.class == Class::InconsistentOffset).unwrap();
    assert_eq!(counted(&twice.examined), Some(0), "each offset was read twice");

    let error = by(true).unwrap_err();
    let VerifyError::ReadersDiffer { difference } = &error else { panic!("{error}") };
    assert!(
        difference.starts_with("in t-1, first in offsets 1024..2048: the log reader was shown 3002 records"),
        "{difference}"
    );
    let text = fs::read_to_string(world.folder.path().join(VERIFY_FILE)).unwrap();
    let written: VerifyReport = text::from_json(VERIFY_FILE, &text).unwrap();
    assert_eq!(written.verdict, Verdict::Inconclusive);
    assert_eq!(written.reason, format!("the two readers differ: {difference}"));
    assert_eq!(written.readers.comparison.unwrap().difference.as_ref(), Some(difference));
}

/// A leader that brings nothing of its last messages, as one whose tiered storage does not answer.
struct Tiered;

impl Eyes for Tiered {
    fn log(
        &self,
        plan: &ScanPlan<'_>,
        state: &ScanState,
        _stop: &AtomicBool,
        _tick: &mut dyn FnMut(),
    ) -> Result<ScanOutcome, LogReaderError> {
        let ends = state.ends.get().unwrap();
        let partitions = plan.targets.iter().zip(ends).map(|(target, end)| {
            let mut visitor = LogVisitor::new(plan.manifest, target, plan.marks, *end);
            visitor.nothing(target.start, *end);
            visitor.end(*end);
            visitor.into_parts().0
        });
        let (isolation, partitions) = (Isolation::ReadUncommitted, partitions.collect());
        let accounts = ScanAccounts { isolation, incomplete: None, partitions, sightings: None };
        Ok(ScanOutcome { accounts, latency: None, duration: Duration::ZERO })
    }
}

#[test]
fn what_a_leader_does_not_bring_is_not_lost() {
    let (cluster, world) = (Cluster::start(), world());
    for partition in 0..PARTITIONS {
        cluster.write(partition, &messages(partition, 0..N));
    }
    seal(&cluster, &world, &[N as i64; 3], RUN);
    let report = verify_by(&Tiered, world.folder.path(), &cluster.options(), &(), &AtomicBool::new(false)).unwrap();
    assert_eq!((report.verdict, found(&report)), (Verdict::Inconclusive, vec![]));
    let why = report.scans[0].incomplete_reason.clone().unwrap();
    assert!(why.starts_with("the leader of t-0 brings nothing of offsets 0..3001 though its log goes on"), "{why}");
    assert!(why.contains("whether the topic is compacted is not known"), "the mock tells no configs: {why}");
}

#[test]
fn an_isolation_level_is_a_consumers() {
    let (cluster, world) = (Cluster::start(), world());
    for reader in [ReaderChoice::Log, ReaderChoice::Both] {
        let options = VerifyOptions { reader, isolation: Some(Isolation::ReadCommitted), ..cluster.options() };
        let error = verify(world.folder.path(), &options, &(), &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(error, VerifyError::Level), "{error}");
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (cluster, world) = (Cluster::start(), world());
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = world.manifest.clone();
        change(&mut manifest);
        write_manifest(&world, &manifest);
        run(&cluster, &world).unwrap_err()
    };
    let error = refused(&|manifest| manifest.run = 5);
    assert!(matches!(error, VerifyError::Ledger(_)), "{error}");
    let error = refused(&|manifest| manifest.topics[0].name = "gone".into());
    assert!(matches!(error, VerifyError::Topic { .. } | VerifyError::Partitions { .. }), "{error}");
    let error = refused(&|manifest| manifest.topics[0].start_offsets = vec![0; 9]);
    assert!(matches!(error, VerifyError::Partitions { found: 3, expected: 9, .. }), "{error}");
    let error = refused(&|manifest| manifest.producers[0].streams[1].topic = 4);
    assert_eq!(error.to_string(), "manifest.json: stream 1 is in a topic or partition that has no start offset");
    let error = refused(&|manifest| manifest.producers[0].streams[1].stream = 0);
    assert_eq!(error.to_string(), "manifest.json: stream 0 is there twice");
    let error = refused(&|manifest| manifest.cluster_id = Some("another".into()));
    assert!(matches!(&error, VerifyError::OtherCluster { expected, .. } if expected == "another"), "{error}");
    write_manifest(&world, &world.manifest);
    seal(&cluster, &world, &[0; 3], RUN + 1);
    assert!(matches!(run(&cluster, &world), Err(VerifyError::OtherRun { .. })));
    fs::remove_file(world.folder.path().join(MANIFEST_FILE)).unwrap();
    assert!(matches!(run(&cluster, &world), Err(VerifyError::NoManifest { waited: false, .. })));
    fs::write(world.folder.path().join(MANIFEST_FILE), "{\"schema\": \"ackmark-manifest/9\"}").unwrap();
    let error = run(&cluster, &world).unwrap_err();
    assert!(error.to_string().contains("use the ackmark that wrote it"), "{error}");
}
