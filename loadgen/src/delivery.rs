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

use ackmark_client::{
    DeliveryBatch, ErrorCode, EventSink, Outcome, RawProducer,
    stats::{History, Statistics},
};
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
    /// The client's statistics until now.
    pub(crate) statistics: History,
    /// How often they come.
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
    /// The client's statistics.
    pub(crate) statistics: History,
    /// Whether they are of after the end: else they count too little.
    pub(crate) counted_to_end: bool,
    /// The ledger, for whoever goes on with it.
    pub(crate) ledger: Option<DeliveryLedger>,
}

impl Delivered {
    /// Adds what was reported to the same producer before. Its statistics were taken over.
    pub(crate) fn absorb(&mut self, earlier: Self) {
        self.total.acknowledged += earlier.total.acknowledged;
        self.total.failed += earlier.total.failed;
        self.total.indeterminate += earlier.total.indeterminate;
        for error in earlier.errors {
            match self.errors.iter_mut().find(|own| (own.code, own.outcome) == (error.code, error.outcome)) {
                Some(own) => own.count += error.count,
                None => self.errors.push(error),
            }
        }
        for (code, complaint) in earlier.complaints {
            let own = self.complaints.entry(code).or_default();
            if own.count == 0 {
                own.latest = complaint.latest;
            }
            own.count += complaint.count;
        }
        self.rejected_by_broker += earlier.rejected_by_broker;
        self.refused += earlier.refused;
    }
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
pub(crate) struct Sink<'r> {
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
}

impl<'r> Sink<'r> {
    /// Nothing was reported so far.
    pub(crate) fn new(mut parts: Delivery<'r>) -> Self {
        let latencies = parts.stamps.is_some().then(|| Box::new(Latencies::new()));
        let statistics = std::mem::take(&mut parts.statistics);
        Self {
            interval_ns: parts.window.interval_ns(),
            parts,
            found: Delivered { statistics, ..Delivered::default() },
            errors: BTreeMap::new(),
            latencies,
            second: 0,
            second_delivered: 0,
            second_errors: 0,
            event: Default::default(),
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
    pub(crate) fn account(&mut self, reports: impl Iterator<Item = (u64, Option<ErrorCode>, Outcome)>) {
        let now_ns = self.parts.clock.now_ns();
        self.roll(now_ns);
        let mut runs = RunBuilder::default();
        match self.parts.stamps.take() {
            None => {
                for (message, code, outcome) in reports {
                    if let Some(run) = runs.push(message, code, outcome) {
                        self.account_run(&run);
                    }
                }
            }
            Some(mut stamps) => {
                for (place, code, outcome) in reports {
                    let stamp = stamps.give(place);
                    if code.is_none() {
                        self.record(stamp, now_ns);
                    }
                    if let Some(run) = runs.push(stamp.message, code, outcome) {
                        self.account_run(&run);
                    }
                }
                self.parts.stamps = Some(stamps);
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

    #[inline(never)]
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

    /// Waits until statistics come that know of the end, and so of all that was sent again.
    fn wait_for_statistics(&mut self, producer: &RawProducer) {
        let ended_ns = self.parts.clock.now_ns();
        let deadline_ns = ended_ns + 2 * self.parts.statistics_interval.as_nanos() as u64;
        let ended_us = self.parts.clock.monotonic_us(ended_ns);
        let counted = |found: &Delivered| found.statistics.until_us().is_some_and(|until_us| until_us >= ended_us);
        while !counted(&self.found) && self.parts.clock.now_ns() < deadline_ns {
            producer.poll_events(POLL, self);
        }
        self.found.counted_to_end = counted(&self.found);
    }

    fn finish(mut self) -> Delivered {
        let errors = self.errors.into_iter().map(|((code, outcome), count)| ErrorCount {
            name: code.name(),
            code: code.raw(),
            outcome,
            count,
        });
        self.found.errors = errors.collect();
        self.found.ledger = self.parts.ledger;
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
        // Without statistics that can be read, what they count is told as unknown.
        if let Ok(statistics) = Statistics::parse(json) {
            self.found.statistics.push(statistics);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        collections::BTreeMap,
        sync::{atomic::AtomicBool, mpsc},
    };

    use ackmark_ledger::{Identity, LedgerReader, StreamStart};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        opaque,
        payload::{Pool, PoolPlan},
        slab::slab,
        tests::{manifest, spec},
    };

    const SLOTS: usize = 3;
    const MESSAGES: u64 = 200;

    const FATES: [(Option<ErrorCode>, Outcome, State); 4] = [
        (None, Outcome::Acknowledged, State::Acknowledged),
        (None, Outcome::Indeterminate, State::Indeterminate),
        (Some(ErrorCode::MSG_TIMED_OUT), Outcome::Indeterminate, State::Indeterminate),
        (Some(ErrorCode::MSG_SIZE_TOO_LARGE), Outcome::Failed, State::Failed),
    ];

    #[test]
    fn complaints_of_what_was_sent_again_are_kept() {
        let found = |complaints: &[(ErrorCode, u64, &str)]| Delivered {
            complaints: complaints
                .iter()
                .map(|(code, count, latest)| (*code, Complaint { count: *count, latest: (*latest).to_owned() }))
                .collect(),
            ..Delivered::default()
        };
        let mut all = found(&[(ErrorCode::TRANSPORT, 2, "later")]);
        all.absorb(found(&[(ErrorCode::TRANSPORT, 3, "sooner"), (ErrorCode::ALL_BROKERS_DOWN, 1, "all")]));
        let told: Vec<_> = all.complaints.iter().map(|(code, one)| (*code, one.count, one.latest.as_str())).collect();
        let mut expected = vec![(ErrorCode::TRANSPORT, 5, "later"), (ErrorCode::ALL_BROKERS_DOWN, 1, "all")];
        expected.sort_unstable();
        assert_eq!(told, expected);
    }

    /// Messages by slot and sequence, in runs, in any order, some never reported; each with its fate.
    fn reports() -> impl Strategy<Value = Vec<(usize, u64, usize)>> {
        let all: Vec<_> = (0..SLOTS).flat_map(|slot| (0..MESSAGES).map(move |sequence| (slot, sequence))).collect();
        let swaps = prop::collection::vec(any::<[prop::sample::Index; 2]>(), 0..60);
        let odd = prop::collection::vec((any::<prop::sample::Index>(), 1..FATES.len()), 0..60);
        (swaps, odd, 0..all.len()).prop_map(move |(swaps, odd, unreported)| {
            let mut reports: Vec<_> = all.iter().map(|(slot, sequence)| (*slot, *sequence, 0)).collect();
            for [a, b] in swaps {
                reports.swap(a.index(all.len()), b.index(all.len()));
            }
            for (at, fate) in odd {
                reports[at.index(all.len())].2 = fate;
            }
            reports.truncate(all.len() - unreported / 4);
            reports
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever comes in whatever order, in however many events: ledger and counters are those of plain counting.
        #[test]
        fn each_message_is_accounted_for_as_it_was_reported(
            reports in reports(), events in 1_usize..90, open_loop: bool, measured_from in 0..MESSAGES
        ) {
            let folder = tempfile::tempdir().unwrap();
            let streams: Vec<_> = (0..SLOTS as u32).map(|stream| StreamStart { stream, first_sequence: 0 }).collect();
            let identity = Identity { run: 1, producer: 0, incarnation: 0 };
            let (mut send, ledger) = ackmark_ledger::create(folder.path(), identity, &streams, &[]).unwrap();
            (0..SLOTS).for_each(|slot| assert!(send.reserve(slot, MESSAGES).is_ok()));
            let (taker, giver) = open_loop.then(|| slab(SLOTS * MESSAGES as usize)).unzip();
            let mut taker = taker;
            let stop = AtomicBool::new(false);
            let halt = Halt::new(&stop, Clock::start(), u64::MAX);
            let (window, flow) = (Window::new(0, u64::MAX / 2, None), Flow::default());
            let borders: Vec<_> = (0..SLOTS).map(|_| AtomicU64::new(measured_from)).collect();
            let (rejections, seconds, spare) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
            let plan = PoolPlan { verified: true, batch_bytes: 1, spacing_ns: 0, seed: 1 };
            let mut sink = Sink::new(Delivery {
                producer: 0,
                clock: Clock::start(),
                halt: &halt,
                window: &window,
                flow: &flow,
                measured_from: &borders,
                layout: Pool::build(&spec("all-acks").message, &plan, SLOTS).unwrap().layout().clone(),
                ledger: Some(ledger),
                stamps: giver,
                rejections: rejections.1,
                seconds: seconds.0,
                spare: spare.1,
                statistics: History::default(),
                statistics_interval: Duration::ZERO,
            });
            let mut states = BTreeMap::new();
            let (mut total, mut measured) = (Counts::default(), Counts::default());
            let (mut errors, mut undelivered) = (BTreeMap::new(), 0);
            let mut attached = Vec::new();
            for (slot, sequence, fate) in &reports {
                let (code, outcome, state) = FATES[*fate];
                states.insert((*slot as u32, *sequence), state);
                for counts in [Some(&mut total), (*sequence >= measured_from).then_some(&mut measured)].into_iter().flatten() {
                    match state {
                        State::Acknowledged => counts.acknowledged += 1,
                        State::Failed => counts.failed += 1,
                        _ => counts.indeterminate += 1,
                    }
                }
                if let Some(code) = code {
                    *errors.entry(code.raw()).or_insert(0) += 1;
                    undelivered += 1;
                }
                let message = opaque::pack(*slot, *sequence);
                let opaque = taker.as_mut().map_or(message, |taker| {
                    taker.take(Stamp { message, intended_ns: 1, sent_ns: 2 })
                });
                attached.push((opaque, code, outcome));
            }
            for event in attached.chunks(events) {
                sink.account(event.iter().copied());
            }

            prop_assert_eq!(halt.error(), None);
            prop_assert_eq!(sink.found.total, total);
            prop_assert_eq!(sink.found.measured, measured);
            prop_assert_eq!(flow.reported.get(), Amount { messages: reports.len() as u64, bytes: reports.len() as u64 * 100 });
            prop_assert_eq!(flow.delivered.get().messages, reports.len() as u64 - undelivered);
            if let Some(latencies) = &sink.latencies {
                prop_assert_eq!(latencies.intended.len(), reports.len() as u64 - undelivered);
            }
            let found: BTreeMap<_, _> = sink.finish().errors.iter().map(|error| (error.code, error.count)).collect();
            prop_assert_eq!(found, errors);
            let reader = LedgerReader::open(folder.path(), &manifest(SLOTS as u32)).unwrap();
            for stream in 0..SLOTS as u32 {
                for (range, state) in reader.stream(stream).unwrap().runs() {
                    for sequence in range {
                        prop_assert_eq!(state, states.get(&(stream, sequence)).copied().unwrap_or(State::Open));
                    }
                }
            }
        }
    }
}
