//! The hot path's steps as loops of their own: what the two threads of a producer do per message, without a client
//! and a cluster. For benches; no interface to build on.

use std::{
    hint::black_box,
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicU64},
        mpsc,
    },
    time::Duration,
};

use ackmark_client::{ClientProperties, ErrorCode, LogSink, MessageBatch, Outcome, RawProducer, stats::History};
use ackmark_ledger::{DeliveryLedger, Identity, SendLedger, StreamStart};
use ackmark_schema::{
    latency::LatencySummary,
    properties::Origin,
    record::Header,
    scenario::{Arrivals, Keys, Message, Payload, Size},
    units::Bytes,
};
use ackmark_stats::latency_summary;

use crate::{
    assign::Assignment,
    clock::{Clock, wake_promptly},
    delivery::{Delivery, Sink},
    fill::Run,
    flow::{Flow, Halt},
    keys::Placement,
    latency::{histogram, record_ns},
    opaque,
    payload::{Pool, PoolPlan},
    schedule::Schedule,
    sender::{Bounds, NAP_NS, RUN_MESSAGES_MAX},
    slab::{Giver, Taker, slab},
    values::Values,
    window::Window,
};

/// Partitions that the runs go to in turn.
const PARTITIONS: usize = 6;
/// Messages that are handed over by one call.
pub const RUN_MESSAGES: usize = RUN_MESSAGES_MAX;
/// Messages of one report: a full batch by the shipped scenarios.
pub const REPORT_MESSAGES: usize = 10_000;
/// Stamps of an open loop.
const OUTSTANDING: usize = 100_000;
/// Between intended times in an open loop, nanoseconds.
const SPACING_NS: u64 = 1_000;

/// A ledger for [`Sending`] and for [`report`].
///
/// # Panics
/// When it cannot be made.
pub fn ledger(folder: &Path) -> (SendLedger, DeliveryLedger) {
    let streams: Vec<_> = (0..PARTITIONS as u32).map(|stream| StreamStart { stream, first_sequence: 0 }).collect();
    let identity = Identity { run: 1, producer: 0, incarnation: 0 };
    ackmark_ledger::create(folder, identity, &streams, &[]).expect("a ledger in a fresh folder")
}

/// The send thread's work but for handing over.
pub struct Sending {
    values: Values,
    ledger: SendLedger,
    assignment: Assignment,
    members: Vec<u32>,
    intended: Vec<u64>,
    taker: Option<Taker>,
    giver: Option<Giver>,
    spare: Option<MessageBatch<'static>>,
    clock: Clock,
    turn: usize,
}

impl Sending {
    /// Messages of `value_bytes`, by a schedule or as fast as possible. Their values are lent, or to be copied by the
    /// client. As nothing is handed over, a block that was written is the next to be written again.
    ///
    /// # Panics
    /// When values cannot be prepared.
    pub fn new(value_bytes: u64, open_loop: bool, lent: bool, ledger: SendLedger) -> Self {
        let spacing_ns = if open_loop { SPACING_NS } else { 0 };
        let (taker, giver) = open_loop.then(|| slab(OUTSTANDING)).unzip();
        // Nobody listens there, and nothing is sent.
        let properties = ClientProperties::with_bootstrap("127.0.0.1:1", Origin::Tool);
        let producer = RawProducer::new(&properties, LogSink::discard()).expect("properties without a fault");
        let bounds = Bounds { messages: OUTSTANDING as u64, bytes: u64::MAX };
        let mut values = Values::new(pool(value_bytes), &producer, bounds);
        if !lent {
            values.blocks = None;
        }
        Self {
            values,
            ledger,
            assignment: Assignment::new(RUN_MESSAGES, Placement::new(1, PARTITIONS as u32)),
            members: (0..RUN_MESSAGES as u32).collect(),
            intended: (0..RUN_MESSAGES as u64).map(|at| at * spacing_ns).collect(),
            taker,
            giver,
            spare: Some(MessageBatch::new(RUN_MESSAGES)),
            clock: Clock::start(),
            turn: 0,
        }
    }

    /// Prepares a run of [`RUN_MESSAGES`]; gives the opaque of its last message.
    ///
    /// # Panics
    /// When the ledger cannot grow.
    pub fn prepare_run(&mut self) -> u64 {
        let slot = self.turn;
        self.turn = (slot + 1) % PARTITIONS;
        let now_ns = self.clock.now_ns().max(RUN_MESSAGES as u64 * SPACING_NS);
        let sequence = self.ledger.reserve(slot, RUN_MESSAGES as u64).expect("room for the ledger").start;
        let mut header = Header {
            run: 1,
            stream: slot as u32,
            sequence,
            attempt: 0,
            incarnation: 0,
            transaction: 0,
            intended_ns: 0,
            send_delay_us: 0,
            sentinel: false,
            warm_up: false,
            source: None,
        };
        let run = Run {
            slot,
            verified: true,
            clock: self.clock,
            now_ns,
            members: &self.members,
            intended: &self.intended,
            assignment: &self.assignment,
        };
        if let Some(taker) = &mut self.taker {
            taker.available();
        }
        let mut spare = self.spare.take().unwrap_or_else(|| MessageBatch::new(RUN_MESSAGES));
        let (mut done, mut last) = (0, 0);
        while done < RUN_MESSAGES {
            let mut batch = spare.recycle();
            done += run.fill(done, &mut header, &mut self.values, &mut self.taker, &mut batch);
            last = batch.opaque(batch.len() - 1);
            if let Some(giver) = &mut self.giver {
                (0..batch.len()).for_each(|at| {
                    black_box(giver.give(batch.opaque(at)));
                });
                giver.publish();
            }
            spare = batch.recycle();
        }
        self.spare = Some(spare);
        last
    }
}

/// How late an open loop of one sender would be that sends nothing: what the machine's timer and its other work do to a
/// thread that sleeps until each message of a schedule of `per_s` messages per second.
pub fn sleeping_lag(per_s: f64, time: Duration) -> LatencySummary {
    wake_promptly();
    let (clock, mut lag, mut due) = (Clock::start(), histogram(), Vec::with_capacity(RUN_MESSAGES));
    let end_ns = time.as_nanos() as u64;
    let mut schedule = Schedule::new(per_s, Arrivals::Constant, 0, 1, 0);
    while schedule.next_ns() < end_ns {
        let (now_ns, next_ns) = (clock.now_ns(), schedule.next_ns());
        if next_ns > now_ns {
            clock.sleep_until(next_ns.max(now_ns + NAP_NS));
            continue;
        }
        schedule.take_due(now_ns, end_ns, RUN_MESSAGES, &mut due);
        for intended_ns in &due {
            record_ns(&mut lag, now_ns - intended_ns);
        }
    }
    latency_summary(&lag, lag.len())
}

/// One message in a report.
#[derive(Clone, Copy)]
struct Report {
    opaque: u64,
    code: Option<ErrorCode>,
    outcome: Outcome,
}

/// Gives `work` the delivery thread's accounting of a report of [`REPORT_MESSAGES`] messages, of one partition after
/// another. All are acknowledged but for each `every`-th (0: none), which timed out.
///
/// # Panics
/// When the ledger cannot grow.
pub fn report(ledgers: (SendLedger, DeliveryLedger), every: usize, work: impl FnOnce(&mut dyn FnMut())) {
    let (mut send, ledger) = ledgers;
    let stop = AtomicBool::new(false);
    let clock = Clock::start();
    let halt = Halt::new(&stop, clock, u64::MAX);
    let window = Window::new(0, u64::MAX / 2, None);
    let flow = Flow::default();
    let measured_from: Vec<AtomicU64> = (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect();
    let (_reject, rejections) = mpsc::channel();
    let (seconds, _closed) = mpsc::channel();
    let (_give_back, spare) = mpsc::channel();
    let mut sink = Sink::new(Delivery {
        producer: 0,
        clock: Clock::start(),
        halt: &halt,
        window: &window,
        flow: &flow,
        measured_from: &measured_from,
        layout: pool(100).layout().clone(),
        ledger: Some(ledger),
        stamps: None,
        rejections,
        seconds,
        spare,
        statistics: History::default(),
        statistics_interval: Duration::from_secs(1),
    });
    let reports: Vec<Vec<Report>> = (0..PARTITIONS)
        .map(|slot| {
            let sequences = send.reserve(slot, REPORT_MESSAGES as u64).expect("room for the ledger");
            let reports = sequences.map(|sequence| {
                let late = every > 0 && sequence as usize % every == every - 1;
                Report {
                    opaque: opaque::pack(slot, sequence),
                    code: late.then_some(ErrorCode::MSG_TIMED_OUT),
                    outcome: if late { Outcome::Indeterminate } else { Outcome::Acknowledged },
                }
            });
            reports.collect()
        })
        .collect();
    let mut turn = 0;
    work(&mut || {
        sink.account(reports[turn].iter().map(|report| (report.opaque, report.code, report.outcome)));
        turn = (turn + 1) % PARTITIONS;
    });
}

fn pool(value_bytes: u64) -> Pool {
    let message = Message { size: Size::Fixed(Bytes(value_bytes)), payload: Payload::Random, keys: Keys::None };
    let plan = PoolPlan { verified: true, batch_bytes: 1_000_000, spacing_ns: 0, seed: 1 };
    Pool::build(&message, &plan, PARTITIONS).expect("random bodies need nothing")
}
