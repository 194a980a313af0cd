//! One load, from its spec to its report.
//!
//! Order: the spec is checked; the cluster is asked; producers are created and, with transactions,
//! initialised; ledgers are made, then the manifest that names them; then the threads send. So a folder
//! without a manifest is one of a load that sent nothing, and with it every ledger is whole, whenever the
//! load is killed. At the end what is outstanding is waited for, within the bound, and the reports are
//! written. What is wrong before the first message is an error; what goes wrong later ends the run as
//! failed, with what was measured until then.
//!
//! A next incarnation of a run does the same. What it sends again it sends first, before its clock starts and
//! outside of all figures.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use ackmark_client::{ClientProperties, LogSink, RawProducer, stats::History};
use ackmark_ledger::{DeliveryLedger, Identity, SendLedger, TransactionLog};
use ackmark_schema::{
    load_spec::{LoadSpec, SPEC_FILE, Schedule},
    manifest::{MANIFEST_FILE, Manifest, ProducerEntry, Stream},
    promise::{Basis, Promise},
    properties::{Property, value},
    report::{
        load::{Counts, LOAD_FILE, LoadReport},
        timeline::{TIMELINE_FILE, Timeline},
    },
    version::SchemaId,
};
use jiff::Timestamp;

use crate::{
    clock::Clock,
    cluster::Target,
    delivery::{Delivered, Delivery},
    error::LoadError,
    files,
    flow::{Flow, Halt},
    hlog::{self, LATENCY_FILE, LatencyFile, TRANSACTIONS_FILE},
    keys::KeySource,
    life::{Life, Resumption},
    outlet::Outlet,
    payload::{Pool, PoolPlan},
    progress::{Progress, Stage, Update},
    properties,
    report::{self, Findings, RunFacts},
    schedule,
    sender::{Bounds, Sender, Sent, Sequences},
    slab::slab,
    timeline::{Collector, ProducerSecond},
    transactions::{Surroundings, Transactions},
    usage::Usage,
    values::Values,
    window::Window,
};

/// Longest wait for a producer id.
const INIT_TIMEOUT: Duration = Duration::from_mins(1);
/// A single wait within it: long, for the call is better not resumed (see [`crate::transactions`]).
const INIT_SLICE: Duration = Duration::from_secs(5);
/// How often whoever watches hears of the run.
const UPDATE_INTERVAL: Duration = Duration::from_millis(250);
/// Room that is kept for the reports until the end: of a run as such, of each second in its timeline, and of each
/// partition in its seal, all as JSON.
const REPORT_BYTES: u64 = 128 * 1024;
const SECOND_BYTES: u64 = 320;
const PARTITION_BYTES: u64 = 512;
const REPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Runs a load and writes its files into `folder`, which is made if need be and must not hold another run.
///
/// `stop` ends the sending when it becomes true; what is outstanding is still waited for, 15 s at most. Whatever the
/// brokers do, sending and waiting end `drain_timeout` after the run's planned end; those of a run that ends by a count,
/// as soon as nothing was reported for `drain_timeout` and `linger.ms`.
///
/// # Errors
/// What is wrong before the first message is sent, or files that cannot be written. What goes wrong later
/// is in the report: its ending says so.
pub fn run(
    spec: &LoadSpec,
    folder: &Path,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<LoadReport, LoadError> {
    run_arranged(spec, folder, progress, stop, |_| {})
}

/// Goes on with the run of a load folder in a new incarnation: first with what was left undecided, then with the same
/// streams behind what was reserved. What is sent again takes the time that it needs, before the run's own: it is given
/// up, and the run with it, when the brokers report nothing of it for `drain_timeout` and `linger.ms`.
///
/// # Errors
/// As [`run`], and where the cluster, the topic, or what the promise rests on is another than before.
pub fn resume(resumption: Resumption, progress: &dyn Progress, stop: &AtomicBool) -> Result<LoadReport, LoadError> {
    let Resumption { folder, spec, life } = resumption;
    live(&spec, life, &folder, progress, stop, |_| {})
}

/// A run whose threads' parts are arranged before they start: tests break them here.
pub(crate) fn run_arranged(
    spec: &LoadSpec,
    folder: &Path,
    progress: &dyn Progress,
    stop: &AtomicBool,
    arrange: impl FnOnce(&mut [Line<'_>]),
) -> Result<LoadReport, LoadError> {
    spec.check().map_err(LoadError::Spec)?;
    prepare_folder(folder)?;
    live(spec, Life::first(spec), folder, progress, stop, arrange)
}

/// One incarnation.
fn live(
    spec: &LoadSpec,
    mut life: Life,
    folder: &Path,
    progress: &dyn Progress,
    stop: &AtomicBool,
    arrange: impl FnOnce(&mut [Line<'_>]),
) -> Result<LoadReport, LoadError> {
    let asked: Vec<ClientProperties> =
        (0..spec.producers).map(|producer| properties::of_producer(spec, producer)).collect::<Result<_, _>>()?;
    let producers = create_producers(&asked)?;
    let in_effect = producers[0].properties_in_effect().to_vec();
    properties::refuse_unusable(&in_effect)?;
    let target = Target::open(spec, &asked[0])?;
    target.check_sizes(spec, &in_effect)?;
    let basis = Basis::from_effective(&in_effect, target.facts).map_err(LoadError::Spec)?;
    let promise = Promise::derive(basis, &spec.profile.must_not);
    let pool = Pool::build(&spec.message, &pool_plan(spec, &in_effect), spec.streams() as usize)?;
    let manifest = manifest(spec, &asked, &in_effect, &promise, &target);
    life.check(&manifest)?;
    // This ends what an earlier incarnation has open.
    if spec.profile.transactions.is_some() {
        producers.iter().try_for_each(|producer| init_transactions(producer, stop))?;
    }
    let estates = (0..spec.producers).map(|producer| Estate::create(spec, &life, folder, producer));
    let mut estates: Vec<Estate> = estates.collect::<Result<_, _>>()?;
    let bytes = report_bytes(spec);
    let reserve =
        files::reserve(folder, bytes).map_err(|source| LoadError::NoRoom { path: folder.into(), bytes, source })?;
    if life.incarnation == 0 {
        write_json(folder, SPEC_FILE, &report::redacted(spec))?;
    }
    life.put_reports_aside(folder)?;
    write_json(folder, MANIFEST_FILE, &life.manifest(manifest))?;
    let mut latency_file = match spec.schedule {
        Schedule::Max => None,
        Schedule::Rate { .. } => {
            Some(LatencyFile::create(folder, LATENCY_FILE).map_err(|source| cannot_write(folder, source))?)
        }
    };

    let mut resent = None;
    if life.has_resends() {
        let again = resend(spec, &life, folder, &in_effect, &producers, estates, &pool, progress, stop)?;
        estates = again.estates;
        resent = Some((again.sent, again.delivered, again.error));
    }
    life.keys = Vec::new();
    let life = &life;
    let clock = Clock::start();
    let started = Timestamp::from_nanosecond(i128::from(clock.epoch_ns(0))).unwrap_or(Timestamp::UNIX_EPOCH);
    let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX / 4);
    let warm_up_ns = ns(spec.warm_up.0);
    let window = Window::new(warm_up_ns, warm_up_ns.saturating_add(ns(spec.duration.0)), spec.messages.map(|n| n.0));
    let halt = Halt::new(stop, clock, window.end_ns.saturating_add(ns(spec.drain_timeout.0)));
    if let Some(error) = resent.as_mut().and_then(|(_, _, error)| error.take()) {
        halt.fail(error);
    }
    // A run that has ended already sends nothing; late reports of what was sent again have no stamps.
    let ended = halt.is_raised().then(|| LoadSpec { schedule: Schedule::Max, ..spec.clone() });
    let sends = ended.as_ref().unwrap_or(spec);
    let (halt, in_effect) = (&halt, &in_effect[..]);
    let common = Common { spec: sends, life, folder, clock, halt, window: &window, in_effect, resends: false };
    let (flows, borders) = (flows(spec), borders(spec));
    let Crew { mut lines, spares, seconds } = crew(&common, &producers, &flows, &borders, estates, &pool)?;
    arrange(&mut lines);
    let log = match &mut latency_file {
        None => None,
        Some(file) => Some(file.begin(clock.epoch_ns(0)).map_err(|source| cannot_write(folder, source))?),
    };
    let mut watch = Watch::new(&common, &flows, progress, Collector::new(spares, log));
    let (mut sent, mut delivered) = drive(&common, lines, &producers, &seconds, &mut watch)?;
    let usage_at_end = Usage::now();
    let Watch { collector, clock_step_ns, .. } = watch;
    let (seconds, latencies) = (collector.seconds, collector.latencies);

    let at_end = sent.iter().map(|sent| sent.outstanding).sum();
    let outstanding_max = seconds.iter().map(|second| second.outstanding).chain([at_end]).max();
    let resent = resent.map_or_else(Counts::default, |(sent_again, delivered_again, _)| {
        let counts = report::counts(&sent_again, &delivered_again);
        sent.iter_mut().zip(&sent_again).for_each(|(own, earlier)| own.absorb(earlier));
        delivered.iter_mut().zip(delivered_again).for_each(|(own, earlier)| own.absorb(earlier));
        counts
    });
    let findings = Findings { sent, delivered, latencies };
    let facts = RunFacts {
        spec,
        incarnation: life.incarnation,
        resent,
        in_effect: in_effect.to_vec(),
        promise,
        started,
        window: &window,
        error: halt.error().map(str::to_owned),
        interrupted: halt.is_interrupted(),
        usage_at_end,
        queue_full: flows.iter().map(|flow| flow.queue_full.load(Ordering::Relaxed)).sum(),
        outstanding_max: outstanding_max.unwrap_or(0),
        clock_step_ns,
        closing: target.closing_look(),
    };
    let report = report::assemble(facts, &findings);
    let measured_from_s = window.begun().map_or(spec.warm_up.0.as_secs_f64(), |begin| begin.from_ns as f64 / 1e9);
    // The disk may be full by now.
    drop(reserve);
    write_json(folder, LOAD_FILE, &report)?;
    write_json(folder, TIMELINE_FILE, &Timeline { schema: SchemaId::default(), started, measured_from_s, seconds })?;
    if let Some(file) = latency_file {
        file.finish().map_err(|source| cannot_write(folder, source))?;
    }
    if let Some(tally) = findings.transactions() {
        let length = Duration::from_secs_f64(measured_from_s + report.measured.duration_s);
        hlog::write_transactions(folder, clock.epoch_ns(0), length, &tally)
            .map_err(|source| cannot_write(&folder.join(TRANSACTIONS_FILE), source))?;
    }
    Ok(report)
}

/// Room for the reports of a run, that of its seal included.
fn report_bytes(spec: &LoadSpec) -> u64 {
    let seconds = (spec.warm_up.0 + spec.duration.0 + spec.drain_timeout.0).as_secs();
    (REPORT_BYTES + seconds.saturating_mul(SECOND_BYTES) + u64::from(spec.streams()) * PARTITION_BYTES)
        .min(REPORT_BYTES_MAX)
}

/// What to do when nothing is reported.
const TRY_AGAIN: &str = "see what keeps the brokers from answering, then go on with the run once more";

/// What sending again left.
struct Again {
    sent: Vec<Sent>,
    delivered: Vec<Delivered>,
    estates: Vec<Estate>,
    /// What went wrong: then the run has ended.
    error: Option<String>,
}

/// Sends again what earlier incarnations left undecided and waits for the reports. It is never measured: its window
/// does not begin. How long it takes depends on how much there is, so it goes on for as long as reports come: it is
/// given up when none has come for the drain timeout, while it sends and after that.
#[expect(clippy::too_many_arguments, reason = "what a run is made of, from its one caller")]
fn resend(
    spec: &LoadSpec,
    life: &Life,
    folder: &Path,
    in_effect: &[Property],
    producers: &[RawProducer],
    estates: Vec<Estate>,
    pool: &Pool,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Again, LoadError> {
    let mut spec = LoadSpec { schedule: Schedule::Max, ..spec.clone() };
    // What is sent again is to be committed.
    if let Some(transactions) = &mut spec.profile.transactions {
        transactions.abort_share = 0.0;
    }
    let spec = &spec;
    let (clock, window) = (Clock::start(), Window::new(u64::MAX / 4, u64::MAX / 2, None));
    let halt = &Halt::new(stop, clock, u64::MAX);
    let common = Common { spec, life, folder, clock, halt, window: &window, in_effect, resends: true };
    let (flows, borders) = (flows(spec), borders(spec));
    let Crew { lines, spares, seconds } = crew(&common, producers, &flows, &borders, estates, pool)?;
    let mut watch = Watch::new(&common, &flows, progress, Collector::new(spares, None));
    let (mut sent, mut delivered) = drive(&common, lines, producers, &seconds, &mut watch)?;
    // A report that came later would be taken for one of what is sent next; nothing is, where the caller wants an end.
    let open = flows.iter().map(|flow| flow.outstanding().messages).sum::<u64>();
    if open > 0 && !halt.is_interrupted() {
        let within = spec.drain_timeout.0;
        halt.fail(format!("{}, but {open} of them were not reported within {within:?}: {TRY_AGAIN}", watch.sent()));
    }
    let estates = sent.iter_mut().zip(&mut delivered).map(|(sent, delivered)| Estate {
        send: sent.ledger.take(),
        delivery: delivered.ledger.take(),
        transactions: sent.transaction_log.take(),
        statistics: std::mem::take(&mut delivered.statistics),
    });
    let estates = estates.collect();
    Ok(Again { sent, delivered, estates, error: halt.error().map(str::to_owned) })
}

fn flows(spec: &LoadSpec) -> Vec<Flow> {
    (0..spec.producers).map(|_| Flow::default()).collect()
}

/// The first measured sequence of each stream: none yet.
fn borders(spec: &LoadSpec) -> Vec<Vec<AtomicU64>> {
    (0..spec.producers).map(|_| (0..spec.streams()).map(|_| AtomicU64::new(u64::MAX)).collect()).collect()
}

/// All threads of a run, and what comes from and goes to its delivery threads.
struct Crew<'r> {
    lines: Vec<Line<'r>>,
    spares: Vec<mpsc::Sender<Box<crate::latency::Latencies>>>,
    seconds: Receiver<ProducerSecond>,
}

fn crew<'r>(
    common: &Common<'r>,
    producers: &'r [RawProducer],
    flows: &'r [Flow],
    borders: &'r [Vec<AtomicU64>],
    estates: Vec<Estate>,
    pool: &Pool,
) -> Result<Crew<'r>, LoadError> {
    let (out, seconds) = mpsc::channel();
    let (mut lines, mut spares) = (Vec::new(), Vec::new());
    for (number, (producer, estate)) in producers.iter().zip(estates).enumerate() {
        let (give_back, spare) = mpsc::channel();
        spares.push(give_back);
        let (flow, measured_from) = (&flows[number], &borders[number][..]);
        let own = Own { number: number as u32, producer, flow, measured_from, estate };
        lines.push(line(common, own, pool.clone(), out.clone(), spare)?);
    }
    Ok(Crew { lines, spares, seconds })
}

/// What all producers of a run share.
struct Common<'r> {
    spec: &'r LoadSpec,
    folder: &'r Path,
    life: &'r Life,
    clock: Clock,
    halt: &'r Halt<'r>,
    window: &'r Window,
    in_effect: &'r [Property],
    /// Whether they send again, and no more.
    resends: bool,
}

/// What is one producer's.
struct Own<'r> {
    number: u32,
    producer: &'r RawProducer,
    flow: &'r Flow,
    measured_from: &'r [AtomicU64],
    estate: Estate,
}

/// What a producer's threads leave to those that go on with it: its ledgers, none when the run is not verified, and
/// what its client has counted.
struct Estate {
    send: Option<SendLedger>,
    delivery: Option<DeliveryLedger>,
    transactions: Option<TransactionLog>,
    statistics: History,
}

impl Estate {
    fn create(spec: &LoadSpec, life: &Life, folder: &Path, producer: u32) -> Result<Self, LoadError> {
        if !spec.verified {
            return Ok(Self { send: None, delivery: None, transactions: None, statistics: History::default() });
        }
        let identity = Identity { run: spec.run, producer, incarnation: life.incarnation };
        let (starts, resends) = (life.starts(spec, producer), &life.resends[producer as usize]);
        let (send, delivery) = ackmark_ledger::create(folder, identity, &starts, resends)?;
        let transactional = spec.profile.transactions.is_some();
        let transactions = transactional.then(|| TransactionLog::create(folder, identity)).transpose()?;
        Ok(Self { send: Some(send), delivery: Some(delivery), transactions, statistics: History::default() })
    }
}

/// The two threads of a producer.
pub(crate) type Line<'r> = (Sender<'r>, Delivery<'r>);

/// Prepares a producer's threads.
fn line<'r>(
    common: &Common<'r>,
    own: Own<'r>,
    pool: Pool,
    seconds: mpsc::Sender<ProducerSecond>,
    spare: Receiver<Box<crate::latency::Latencies>>,
) -> Result<Line<'r>, LoadError> {
    let spec = common.spec;
    let (taker, giver) = match spec.schedule {
        Schedule::Max => (None, None),
        Schedule::Rate { .. } => {
            let (taker, giver) = slab(spec.outstanding.0.clamp(1, 1 << 31) as usize);
            (Some(taker), Some(giver))
        }
    };
    let Estate { send: send_ledger, delivery: delivery_ledger, transactions: log, statistics } = own.estate;
    let transactions = spec.profile.transactions.map(|bounds| {
        let transaction_timeout =
            properties::milliseconds(common.in_effect, "transaction.timeout.ms").unwrap_or(INIT_TIMEOUT);
        let around = Surroundings {
            producer: own.producer,
            clock: common.clock,
            flow: own.flow,
            halt: common.halt,
            transaction_timeout,
            streams: spec.streams() as usize,
        };
        let last = common.life.transaction[own.number as usize];
        let number = log.as_ref().map_or(last, |log| log.last().max(last));
        Transactions::new(&around, bounds, log, number)
    });
    let (reject, rejections) = mpsc::channel();
    let delivery = Delivery {
        producer: own.number,
        clock: common.clock,
        halt: common.halt,
        window: common.window,
        flow: own.flow,
        measured_from: own.measured_from,
        layout: pool.layout().clone(),
        ledger: delivery_ledger,
        stamps: giver,
        rejections,
        seconds,
        spare,
        statistics,
        statistics_interval: properties::milliseconds(common.in_effect, "statistics.interval.ms").unwrap_or_default(),
    };
    let bounds = Bounds { messages: spec.outstanding.0, bytes: spec.outstanding_bytes.0 };
    let sender = Sender {
        number: own.number,
        run: spec.run,
        incarnation: common.life.incarnation,
        verified: spec.verified,
        first_stream: stream_of(spec, own.number, 0),
        topics: spec.topics.len() as u32,
        partitions: spec.partitions,
        turn_messages: properties::batch_messages(common.in_effect, spec.message.size.mean_bytes())
            .min(spec.outstanding.0 / u64::from(spec.streams())),
        clock: common.clock,
        halt: common.halt,
        window: common.window,
        party: common.window.party(common.clock),
        flow: own.flow,
        measured_from: own.measured_from,
        outlet: Outlet {
            producer: own.producer,
            topics: spec.topics.iter().map(|topic| own.producer.topic(topic)).collect::<Result<_, _>>()?,
            partitions: spec.partitions,
            flow: own.flow,
            halt: common.halt,
            rejections: reject,
            refused: 0,
        },
        values: Values::new(pool, own.producer, bounds),
        sequences: Sequences::new(common.life.next[own.number as usize].clone(), send_ledger),
        keys: KeySource::new(&spec.message.keys, own.number, common.life.incarnation, spec.seed),
        stamps: taker,
        bounds,
        transactions,
        drain: spec.drain_timeout.0,
    };
    Ok((sender, delivery))
}

/// Runs the threads to their end.
fn drive<'r>(
    common: &'r Common<'r>,
    lines: Vec<Line<'r>>,
    producers: &'r [RawProducer],
    seconds: &Receiver<ProducerSecond>,
    watch: &mut Watch<'_>,
) -> Result<(Vec<Sent>, Vec<Delivered>), LoadError> {
    let spec = common.spec;
    thread::scope(|scope| {
        let (mut senders, mut deliveries) = (Vec::new(), Vec::new());
        let spawned = lines.into_iter().zip(producers).try_for_each(|((sender, delivery), producer)| {
            let number = sender.number;
            let flow = sender.flow;
            let drain = spec.drain_timeout.0;
            let name = |what: &str| format!("ackmark-{what}-{number}");
            let schedule = match spec.schedule {
                Schedule::Max => None,
                Schedule::Rate { messages, arrivals } => {
                    Some(schedule::Schedule::new(messages.as_f64(), arrivals, number, spec.producers, spec.seed))
                }
            };
            let report = thread::Builder::new().name(name("report"));
            deliveries.push(report.spawn_scoped(scope, move || delivery.run(producer, drain))?);
            let send = thread::Builder::new().name(name("send"));
            let again = common.resends.then(|| &common.life.keys[number as usize][..]);
            let sending = send.spawn_scoped(scope, move || match (again, schedule) {
                (Some(keys), _) => sender.run_resends(keys),
                (None, None) => sender.run_max(),
                (None, Some(schedule)) => sender.run_rate(schedule),
            });
            // Without its sender the delivery thread would wait for ever.
            if sending.is_err() {
                flow.end_sending(0);
            }
            senders.push(sending?);
            Ok(())
        });
        if let Err(source) = spawned {
            common.halt.fail("a thread could not be started");
            return Err(LoadError::Thread { source });
        }
        watch.follow(seconds);
        // Threads catch their panics; these would be panics after that.
        let sent = senders.into_iter().zip(watch.flows).map(|(thread, flow)| {
            thread.join().unwrap_or_else(|panic| {
                common.halt.fail_by_panic("a send thread", panic.as_ref());
                Sent { total: flow.sent.get(), ended_ns: flow.ended_ns().unwrap_or(0), ..Sent::default() }
            })
        });
        let sent = sent.collect();
        let delivered = deliveries.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|panic| {
                common.halt.fail_by_panic("a delivery thread", panic.as_ref());
                Delivered::default()
            })
        });
        Ok((sent, delivered.collect()))
    })
}

/// Follows a run: collects its seconds, watches the clock, tells how it goes.
struct Watch<'a> {
    common: &'a Common<'a>,
    flows: &'a [Flow],
    progress: &'a dyn Progress,
    collector: Collector<'a>,
    errors: u64,
    /// Time and messages delivered at the last update.
    last: (u64, u64),
    drift_ns: i64,
    clock_step_ns: u64,
    /// Messages that each producer had heard of, and since when it has heard of no more while it waits for some.
    heard: Vec<(u64, u64)>,
    /// How long it may hear of none.
    patience: Duration,
}

impl<'a> Watch<'a> {
    fn new(common: &'a Common<'a>, flows: &'a [Flow], progress: &'a dyn Progress, collector: Collector<'a>) -> Self {
        // What lingers is not reported, and nothing is wrong.
        let linger = properties::milliseconds(common.in_effect, "linger.ms").unwrap_or_default();
        Self {
            common,
            flows,
            progress,
            collector,
            errors: 0,
            last: (0, 0),
            drift_ns: common.clock.wall_drift_ns(),
            clock_step_ns: 0,
            heard: vec![(0, 0); flows.len()],
            patience: common.spec.drain_timeout.0 + linger,
        }
    }

    /// Until every delivery thread has ended.
    fn follow(&mut self, seconds: &Receiver<ProducerSecond>) {
        loop {
            match seconds.recv_timeout(UPDATE_INTERVAL) {
                Ok(part) => {
                    self.errors += part.errors;
                    let logged = self.collector.take(part);
                    self.check_log(logged);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    for producer in 0..self.flows.len() as u32 {
                        let logged = self.collector.end(producer);
                        self.check_log(logged);
                    }
                    return;
                }
            }
            let now_ns = self.common.clock.now_ns();
            // An interruption counts from here on, whatever the other threads are waiting for.
            self.common.halt.give_up_ns();
            if self.common.resends || self.common.spec.messages.is_some() {
                self.watch_reports(now_ns);
            }
            if now_ns >= self.last.0 + UPDATE_INTERVAL.as_nanos() as u64 {
                self.watch_clock();
                self.tell(now_ns);
            }
        }
    }

    /// Gives up a run that ends by a count, or what is sent again, when a producer hears nothing any more.
    fn watch_reports(&mut self, now_ns: u64) {
        let patience = self.patience;
        let mut is_stuck = false;
        for (flow, (heard, since_ns)) in self.flows.iter().zip(&mut self.heard) {
            let reported = flow.reported.get().messages;
            if reported != *heard || flow.outstanding().messages == 0 {
                (*heard, *since_ns) = (reported, now_ns);
            }
            // Once it has sent all of it, it waits for as long by itself.
            is_stuck |= flow.ended_ns().is_none() && Duration::from_nanos(now_ns - *since_ns) > patience;
        }
        // An interruption has a bound of its own.
        if is_stuck && !self.common.halt.is_raised() {
            let nothing = format!("{}, then nothing was reported for {patience:?}: {TRY_AGAIN}", self.sent());
            self.common.halt.give_up(nothing);
        }
    }

    /// What was sent until now, in words.
    fn sent(&self) -> String {
        let sent: u64 = self.flows.iter().map(|flow| flow.sent.get().messages).sum();
        if self.common.resends {
            format!("{sent} of {} messages were sent again", self.common.life.messages_to_resend())
        } else {
            format!("{sent} messages were sent")
        }
    }

    fn check_log(&self, logged: std::io::Result<()>) {
        if let Err(source) = logged {
            let path = self.common.folder.join(LATENCY_FILE);
            self.common.halt.fail(cannot_write(&path, source).to_string());
        }
    }

    /// A step of the wall clock shows as a change of its distance from the monotonic clock.
    fn watch_clock(&mut self) {
        let drift_ns = self.common.clock.wall_drift_ns();
        self.clock_step_ns = self.clock_step_ns.max(drift_ns.abs_diff(self.drift_ns));
        self.drift_ns = drift_ns;
    }

    fn tell(&mut self, now_ns: u64) {
        let sum = |of: fn(&Flow) -> u64| self.flows.iter().map(of).sum::<u64>();
        let delivered = sum(|flow| flow.delivered.get().messages);
        let second = self.collector.seconds.last();
        let stage = if self.flows.iter().all(|flow| flow.ended_ns().is_some()) {
            Stage::Draining
        } else if self.common.window.begun().is_some() {
            Stage::Measuring
        } else {
            Stage::WarmUp
        };
        self.progress.update(&Update {
            stage,
            elapsed: Duration::from_nanos(now_ns),
            sent: sum(|flow| flow.sent.get().messages),
            delivered,
            rate_per_s: (delivered - self.last.1) as f64 * 1e9 / (now_ns - self.last.0) as f64,
            errors: self.errors,
            outstanding: sum(|flow| flow.outstanding().messages),
            p50_us: second.and_then(|second| second.p50_us),
            p99_us: second.and_then(|second| second.p99_us),
        });
        self.last = (now_ns, delivered);
    }
}

fn prepare_folder(folder: &Path) -> Result<(), LoadError> {
    std::fs::create_dir_all(folder).map_err(|source| cannot_write(folder, source))?;
    if folder.join(MANIFEST_FILE).exists() {
        return Err(LoadError::FolderUsed { path: folder.into() });
    }
    Ok(())
}

fn pool_plan(spec: &LoadSpec, in_effect: &[Property]) -> PoolPlan {
    let spacing_ns = match spec.schedule {
        Schedule::Max => 0,
        Schedule::Rate { messages, .. } => (1e9 / messages.as_f64()) as u64,
    };
    let batch_bytes = properties::batch_bytes(in_effect) as usize;
    PoolPlan { verified: spec.verified, batch_bytes, spacing_ns, seed: spec.seed }
}

fn create_producers(asked: &[ClientProperties]) -> Result<Vec<RawProducer>, LoadError> {
    asked.iter().map(|properties| Ok(RawProducer::new(properties, LogSink::discard())?)).collect()
}

/// A fresh cluster's coordinator is still loading at first: asked again within the bound.
fn init_transactions(producer: &RawProducer, stop: &AtomicBool) -> Result<(), LoadError> {
    let start = std::time::Instant::now();
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        let left = INIT_TIMEOUT.saturating_sub(start.elapsed());
        match producer.init_transactions(INIT_SLICE.min(left)) {
            Err(error) if error.retriable && start.elapsed() < INIT_TIMEOUT => {}
            answered => {
                let waited_s = start.elapsed().as_secs();
                return answered.map_err(|answer| LoadError::Transactions { waited_s, answer });
            }
        }
    }
}

fn manifest(
    spec: &LoadSpec,
    asked: &[ClientProperties],
    in_effect: &[Property],
    promise: &Promise,
    target: &Target,
) -> Manifest {
    let producers = asked.iter().enumerate().map(|(number, properties)| ProducerEntry {
        producer: number as u32,
        transactional_id: properties.value("transactional.id").map(str::to_owned),
        incarnations: if spec.verified { vec![0] } else { Vec::new() },
        streams: (0..spec.streams())
            .map(|slot| Stream {
                stream: stream_of(spec, number as u32, slot),
                topic: slot / spec.partitions,
                partition: slot % spec.partitions,
            })
            .collect(),
    });
    Manifest {
        schema: SchemaId::default(),
        run: spec.run,
        started: Timestamp::now(),
        bootstrap_servers: value(in_effect, "bootstrap.servers").unwrap_or_default().to_owned(),
        cluster_id: target.cluster_id.clone(),
        profile: report::redacted(spec).profile,
        properties: in_effect.to_vec(),
        promise: promise.clone(),
        topics: target.starts(),
        producers: producers.collect(),
        resumed: Vec::new(),
        simulated: spec.simulated,
    }
}

/// The stream of a producer in a slot: a partition of a topic.
pub(crate) fn stream_of(spec: &LoadSpec, producer: u32, slot: u32) -> u32 {
    producer * spec.streams() + slot
}

fn write_json(folder: &Path, name: &str, document: &impl serde::Serialize) -> Result<(), LoadError> {
    let path = folder.join(name);
    files::write_json(&path, document).map_err(|source| cannot_write(&path, source))
}

fn cannot_write(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Write { path: path.into(), source }
}
