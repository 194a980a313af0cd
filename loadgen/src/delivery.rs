//! The delivery thread of a producer: reports into ledger, counters and latencies.
//!
//! One clock reading per event. Messages that are reported alike and in order are accounted for as one run;
//! in an open loop each message's latency is recorded too.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

use ackmark_client::{DeliveryBatch, ErrorCode, EventSink, Outcome, RawProducer, stats::Statistics};
use ackmark_ledger::{DeliveryLedger, State};
use ackmark_schema::report::load::{Counts, ErrorCount, ErrorOutcome};

use crate::{
    clock::Clock,
    flow::{Amount, Flow, Halt},
    latency::{Latencies, record_ns},
    payload::Layout,
    runs::{Run, RunBuilder},
    slab::{Giver, Stamp},
    timeline::ProducerSecond,
    window::Window,
};

/// Longest wait for an event, so that seconds are closed and the end is seen in time.
const POLL: Duration = Duration::from_millis(20);

/// A message that the client refused: it has no delivery report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rejection {
    /// As attached to the message.
    pub(crate) opaque: u64,
    /// Why.
    pub(crate) code: ErrorCode,
}

/// What a delivery thread is made of.
pub(crate) struct Delivery<'r> {
    /// The producer's number.
    pub(crate) producer: u32,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// The run's end for a reason.
    pub(crate) halt: &'r Halt<'r>,
    /// The measured part.
    pub(crate) window: &'r Window,
    /// Shared with the sender.
    pub(crate) flow: &'r Flow,
    /// The first measured sequence of each stream; `u64::MAX` until there is one.
    pub(crate) measured_from: &'r [AtomicU64],
    /// Sizes of values.
    pub(crate) layout: Layout,
    /// The ledger, when the run is verified.
    pub(crate) ledger: Option<DeliveryLedger>,
    /// Stamps, in an open loop.
    pub(crate) stamps: Option<Giver>,
    /// What the client refused.
    pub(crate) rejections: Receiver<Rejection>,
    /// Closed seconds go here.
    pub(crate) seconds: Sender<ProducerSecond>,
    /// Emptied histograms come back here.
    pub(crate) spare: Receiver<Box<Latencies>>,
    /// How often statistics come.
    pub(crate) statistics_interval: Duration,
}

/// Errors of the client with one code.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    /// How often it came.
    pub(crate) count: u64,
    /// librdkafka's text of the latest.
    pub(crate) latest: String,
}

/// What a delivery thread found.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// All messages, by outcome (`sent` and bytes are the sender's).
    pub(crate) total: Counts,
    /// Those whose send was measured.
    pub(crate) measured: Counts,
    /// Delivered after the warm-up, whenever sent.
    pub(crate) after_warm_up: Amount,
    /// Time of the last report.
    pub(crate) last_report_ns: u64,
    /// Errors by cause.
    pub(crate) errors: Vec<ErrorCount>,
    /// What the client said of its connections.
    pub(crate) complaints: BTreeMap<ErrorCode, Complaint>,
    /// Messages that a broker answered with an error.
    pub(crate) rejected_by_broker: u64,
    /// Messages that the client refused.
    pub(crate) refused: u64,
    /// The last statistics.
    pub(crate) statistics: Option<Statistics>,
}

impl Delivery<'_> {
    /// Serves the producer until its sender has ended and nothing is outstanding, or `drain` is over.
    pub(crate) fn run(self, producer: &RawProducer, drain: Duration) -> Delivered {
        let (flow, clock, halt) = (self.flow, self.clock, self.halt);
        let _ends = flow.reporting();
        let mut sink = Sink::new(self);
        let served = halt.guard("a delivery thread", || sink.serve(producer, drain));
        if served.is_none() {
            // What the event at hand brought until the panic is in the ledger.
            let now_ns = clock.now_ns();
            sink.end_event(now_ns);
            sink.roll(now_ns);
        }
        sink.close_second(clock.now_ns());
        if served.is_some() {
            sink.wait_for_statistics(producer);
        }
        sink.finish()
    }
}

/// Takes events.
struct Sink<'r> {
    parts: Delivery<'r>,
    found: Delivered,
    errors: BTreeMap<(ErrorCode, ErrorOutcome), u64>,
    latencies: Option<Box<Latencies>>,
    /// The second of the timeline that is open, and how long each is.
    second: u64,
    interval_ns: u64,
    second_delivered: u64,
    second_errors: u64,
    /// What the event at hand reported, and what of it without an error.
    event: (Amount, Amount),
    statistics: String,
    statistics_ns: u64,
}

impl<'r> Sink<'r> {
    fn new(parts: Delivery<'r>) -> Self {
        let latencies = parts.stamps.is_some().then(|| Box::new(Latencies::new()));
        Self {
            interval_ns: parts.window.interval_ns(),
            parts,
            found: Delivered::default(),
            errors: BTreeMap::new(),
            latencies,
            second: 0,

            second_delivered: 0,
            second_errors: 0,
            event: Default::default(),
            statistics: String::new(),
            statistics_ns: 0,
        }
    }

    fn serve(&mut self, producer: &RawProducer, drain: Duration) {
        let drain_ns = drain.as_nanos() as u64;
        loop {
            producer.poll_events(POLL, self);
            self.take_rejections();
            let now_ns = self.parts.clock.now_ns();
            self.roll(now_ns);
            if let Some(ended_ns) = self.parts.flow.ended_ns()
                && (self.parts.flow.outstanding().messages == 0
                    || now_ns > ended_ns.saturating_add(drain_ns).min(self.parts.halt.give_up_ns()))
            {
                return;
            }
        }
    }

    /// Accounts for messages that are reported together.
    fn account(&mut self, reports: impl Iterator<Item = (u64, Option<ErrorCode>, Outcome)>) {
        let now_ns = self.parts.clock.now_ns();
        self.roll(now_ns);
        let mut runs = RunBuilder::default();
        for (opaque, code, outcome) in reports {
            let message = match &mut self.parts.stamps {
                None => opaque,
                Some(stamps) => {
                    let stamp = stamps.give(opaque);
                    if code.is_none() {
                        self.record(stamp, now_ns);
                    }
                    stamp.message
                }
            };
            if let Some(run) = runs.push(message, code, outcome) {
                self.account_run(&run);
            }
        }
        if let Some(run) = runs.finish() {
            self.account_run(&run);
        }
        self.end_event(now_ns);
    }

    #[inline]
    fn record(&mut self, stamp: Stamp, now_ns: u64) {
        let Some(latencies) = &mut self.latencies else { return };
        let latency_ns = now_ns.saturating_sub(stamp.intended_ns);
        if stamp.intended_ns < self.parts.window.warm_up_ns {
            return record_ns(&mut latencies.warm_up, latency_ns);
        }
        record_ns(&mut latencies.intended, latency_ns);
        record_ns(&mut latencies.send, now_ns.saturating_sub(stamp.sent_ns));
    }

    fn account_run(&mut self, run: &Run) {
        // What may fail comes before anything is counted.
        let measured_from = self.parts.measured_from[run.slot()].load(Ordering::Relaxed);
        let amount = Amount { messages: run.len, bytes: self.parts.layout.bytes(run.slot(), run.sequence(), run.len) };
        let (state, count): (_, fn(&mut Counts) -> &mut u64) = match run.outcome {
            Outcome::Acknowledged => (State::Acknowledged, |counts| &mut counts.acknowledged),
            Outcome::Failed => (State::Failed, |counts| &mut counts.failed),
            Outcome::Indeterminate => (State::Indeterminate, |counts| &mut counts.indeterminate),
        };
        if let Some(ledger) = &mut self.parts.ledger
            && let Err(error) = ledger.mark(run.slot(), run.sequence(), run.len, state)
        {
            self.parts.halt.fail(error.to_string());
        }
        *count(&mut self.found.total) += run.len;
        *count(&mut self.found.measured) += run.count_from(measured_from);
        self.event.0 += amount;
        match run.code {
            None => self.event.1 += amount,
            Some(code) => {
                let outcome = match run.outcome {
                    Outcome::Failed => ErrorOutcome::Failed,
                    Outcome::Acknowledged | Outcome::Indeterminate => ErrorOutcome::Indeterminate,
                };
                *self.errors.entry((code, outcome)).or_default() += run.len;
            }
        }
    }

    /// Publishes what the event brought.
    fn end_event(&mut self, now_ns: u64) {
        let (reported, delivered) = std::mem::take(&mut self.event);
        if reported.messages == 0 {
            return;
        }
        self.second_delivered += delivered.messages;
        self.second_errors += reported.messages - delivered.messages;
        if now_ns >= self.parts.window.warm_up_ns {
            self.found.after_warm_up += delivered;
        }
        self.found.last_report_ns = now_ns;
        self.parts.flow.last_report_ns.store(now_ns, Ordering::Relaxed);
        if let Some(stamps) = &self.parts.stamps {
            stamps.publish();
        }
        self.parts.flow.delivered.add(delivered);
        self.parts.flow.reported.add(reported);
        self.parts.flow.wake_sender();
    }

    /// Accounts for what the client refused: it is in no log.
    fn take_rejections(&mut self) {
        let Ok(first) = self.parts.rejections.try_recv() else { return };
        let refused: Vec<Rejection> = std::iter::once(first).chain(self.parts.rejections.try_iter()).collect();
        self.found.refused += refused.len() as u64;
        self.account(refused.into_iter().map(|one| (one.opaque, Some(one.code), Outcome::Failed)));
    }

    /// Closes the seconds that are over.
    fn roll(&mut self, now_ns: u64) {
        while now_ns >= (self.second + 1) * self.interval_ns {
            self.close_second((self.second + 1) * self.interval_ns);
        }
    }

    fn close_second(&mut self, end_ns: u64) {
        let latencies = self.latencies.take();
        if latencies.is_some() {
            self.latencies = Some(self.parts.spare.try_recv().unwrap_or_else(|_| Box::new(Latencies::new())));
        }
        let closed = ProducerSecond {
            producer: self.parts.producer,
            second: self.second,
            from_ns: self.second * self.interval_ns,
            length_ns: end_ns.saturating_sub(self.second * self.interval_ns),
            sent: self.parts.flow.sent.get().messages,
            outstanding: self.parts.flow.outstanding().messages,
            delivered: std::mem::take(&mut self.second_delivered),
            errors: std::mem::take(&mut self.second_errors),
            latencies,
        };
        // A collector that is gone has ended for an error of its own.
        let _ = self.parts.seconds.send(closed);
        self.second += 1;
    }

    /// Waits until statistics come that know of the end.
    fn wait_for_statistics(&mut self, producer: &RawProducer) {
        let ended_ns = self.parts.clock.now_ns();
        let deadline_ns = ended_ns + 2 * self.parts.statistics_interval.as_nanos() as u64;
        while self.statistics_ns < ended_ns && self.parts.clock.now_ns() < deadline_ns {
            producer.poll_events(POLL, self);
        }
    }

    fn finish(mut self) -> Delivered {
        self.found.statistics = Statistics::parse(&self.statistics).ok();
        let errors = self.errors.into_iter().map(|((code, outcome), count)| ErrorCount {
            name: code.name(),
            code: code.raw(),
            outcome,
            count,
        });
        self.found.errors = errors.collect();
        self.found
    }
}

impl EventSink for Sink<'_> {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        let mut rejected = 0;
        self.account(batch.iter().map(|message| {
            let code = message.error_code();
            if code.is_some() {
                rejected += u64::from(message.is_rejected_by_broker());
            }
            (message.opaque(), code, message.outcome())
        }));
        self.found.rejected_by_broker += rejected;
    }

    fn error(&mut self, code: ErrorCode, reason: &str, fatal: bool) {
        if fatal {
            self.parts.halt.fail(format!("the producer ended: {code}: {reason}; {}", code.cure()));
            return;
        }
        let complaint = self.found.complaints.entry(code).or_default();
        complaint.count += 1;
        reason.clone_into(&mut complaint.latest);
    }

    fn stats(&mut self, json: &str) {
        self.statistics.clear();
        self.statistics.push_str(json);
        self.statistics_ns = self.parts.clock.now_ns();
    }
}
