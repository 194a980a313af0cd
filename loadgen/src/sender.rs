//! The send thread of a producer: takes what is due, writes headers, hands runs to the client.
//!
//! Per message there is no allocation, lock or system call here; per run one clock reading, one store of
//! the ledger's reserved mark and one call of the client. `max` sends as long as the bound on what is
//! outstanding allows and then waits for reports; an open loop sleeps until the next intended time, never
//! skips a message, and sleeps at least 50 µs at a time: what falls due meanwhile goes together. So at most some 15,000
//! times per second it wakes, and it does not keep a processor busy that the brokers may share.
//!
//! An open loop records its own lateness: how long after a message was due *and* the sender was free it was sent.
//! The sender is not free while it waits for reports, because as much is outstanding as may be or the client's
//! queue is full (until the report comes), and while a transaction ends. That lateness is Kafka's doing and
//! stands in the latency. Limit: a delivery thread that takes reports late looks like Kafka.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ackmark_client::{ErrorCode, MessageBatch};
use ackmark_ledger::{LedgerError, Resend, SendLedger, TransactionLog};
use ackmark_schema::record::Header;
use hdrhistogram::Histogram;

use crate::{
    assign::{Assignment, Group},
    clock::{Clock, wake_promptly},
    fill::Run,
    flow::{Amount, Flow, Halt},
    keys::{Key, KeySource, Placement},
    latency::{histogram, record_ns},
    outlet::{Outlet, WAIT},
    schedule::Schedule,
    slab::Taker,
    transactions::{TransactionTally, Transactions, TransactionsEnd},
    values::Values,
    window::{Party, Window},
};

/// Most messages that are handed over by one call.
pub(crate) const RUN_MESSAGES_MAX: usize = 1_000;
/// About the most bytes that are handed over by one call.
const RUN_BYTES: u64 = 1 << 20;
/// Shortest sleep in an open loop.
pub(crate) const NAP_NS: u64 = 50_000;
/// Longest sleep in an open loop.
const SLEEP_NS: u64 = 20_000_000;
/// A single wait for the last reports.
const FLUSH_SLICE: Duration = Duration::from_millis(50);

/// How much may be outstanding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Messages.
    pub(crate) messages: u64,
    /// Value bytes.
    pub(crate) bytes: u64,
}

impl Bounds {
    /// Messages of one run: as many as fit several times into the bounds and into a call.
    pub(crate) fn run_messages(&self, largest_value: usize) -> usize {
        let largest = largest_value.max(1) as u64;
        let by_bytes = RUN_BYTES.min(self.bytes / 8) / largest;
        by_bytes.min(self.messages / 8).clamp(1, RUN_MESSAGES_MAX as u64) as usize
    }
}

/// Sequences of the producer's streams, in the ledger when there is one.
pub(crate) struct Sequences {
    next: Vec<u64>,
    ledger: Option<SendLedger>,
}

impl Sequences {
    /// Each stream begins at its place in `next`.
    pub(crate) fn new(next: Vec<u64>, ledger: Option<SendLedger>) -> Self {
        Self { next, ledger }
    }

    /// What a stream sends again next.
    fn next_resend(&self, slot: usize) -> Option<&Resend> {
        self.ledger.as_ref()?.next_resend(slot)
    }

    /// Reserves the first `n` of it.
    fn resend(&mut self, slot: usize, n: u64) -> Result<(), LedgerError> {
        self.ledger.as_mut().map_or(Ok(()), |ledger| ledger.resend(slot, n))
    }

    /// Reserves the next `n` of a stream; gives the first.
    #[inline]
    fn reserve(&mut self, slot: usize, n: u64) -> Result<u64, LedgerError> {
        if let Some(ledger) = &mut self.ledger {
            ledger.reserve(slot, n)?;
        }
        let first = self.next[slot];
        self.next[slot] = first + n;
        Ok(first)
    }
}

/// What a send thread is made of.
pub(crate) struct Sender<'r> {
    /// The producer's number.
    pub(crate) number: u32,
    /// The run in every header.
    pub(crate) run: u32,
    /// The producer's life in every header.
    pub(crate) incarnation: u32,
    /// Whether messages carry a header.
    pub(crate) verified: bool,
    /// The id of its first stream.
    pub(crate) first_stream: u32,
    /// Topics.
    pub(crate) topics: u32,
    /// Partitions of each.
    pub(crate) partitions: u32,
    /// Messages without a key that go to one partition of each topic before the next has its turn, in `max`: about a batch,
    /// since many small batches cost brokers more than the same messages in few. Open loops and transactions,
    /// which are to span partitions, change the partition with each run.
    pub(crate) turn_messages: u64,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// The run's end for a reason.
    pub(crate) halt: &'r Halt<'r>,
    /// The measured part.
    pub(crate) window: &'r Window,
    /// Its place at the border of the measured part.
    pub(crate) party: Party<'r>,
    /// Shared with the delivery thread.
    pub(crate) flow: &'r Flow,
    /// The first measured sequence of each stream.
    pub(crate) measured_from: &'r [AtomicU64],
    /// The way to the client.
    pub(crate) outlet: Outlet<'r>,
    /// Values.
    pub(crate) values: Values,
    /// Sequences.
    pub(crate) sequences: Sequences,
    /// Keys, if messages have them.
    pub(crate) keys: Option<KeySource>,
    /// Stamps, in an open loop.
    pub(crate) stamps: Option<Taker>,
    /// How much may be outstanding.
    pub(crate) bounds: Bounds,
    /// Transactions, if the profile has them.
    pub(crate) transactions: Option<Transactions<'r>>,
    /// Longest wait at the end.
    pub(crate) drain: Duration,
}

/// What a send thread did.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// All messages.
    pub(crate) total: Amount,
    /// Measured ones.
    pub(crate) measured: Amount,
    /// When it ended.
    pub(crate) ended_ns: u64,
    /// Messages outstanding at that time.
    pub(crate) outstanding: u64,
    /// The generator's own lateness, measured messages; in an open loop.
    pub(crate) lag: Option<Histogram<u64>>,
    /// Its transactions.
    pub(crate) transactions: Option<TransactionTally>,
    /// Its ledgers, for whoever goes on with them.
    pub(crate) ledger: Option<SendLedger>,
    pub(crate) transaction_log: Option<TransactionLog>,
}

impl Sent {
    /// Adds what the same producer sent before.
    pub(crate) fn absorb(&mut self, earlier: &Self) {
        self.total += earlier.total;
        if let (Some(own), Some(earlier)) = (&mut self.transactions, &earlier.transactions) {
            own.absorb(earlier);
        }
    }
}

impl<'r> Sender<'r> {
    /// Sends again what earlier incarnations left undecided, as fast as the bounds allow; none of it is measured.
    /// `keys` are those of each stream's messages, in order.
    pub(crate) fn run_resends(self, keys: &[Vec<Key>]) -> Sent {
        self.run(|line| line.run_resends(keys), true)
    }

    /// Sends as fast as the bounds allow until the window or the run ends.
    pub(crate) fn run_max(self) -> Sent {
        self.run(Line::run_max, true)
    }

    /// Sends by a schedule.
    pub(crate) fn run_rate(self, mut schedule: Schedule) -> Sent {
        wake_promptly();
        self.run(|line| line.run_rate(&mut schedule), false)
    }

    fn run(self, send: impl FnOnce(&mut Line<'r>) -> Result<(), TransactionsEnd>, flush: bool) -> Sent {
        let (flow, clock, halt) = (self.flow, self.clock, self.halt);
        let _ends = flow.sending(clock);
        flow.register_sender();
        let mut line = Line::new(self);
        let result = halt.guard("a send thread", || send(&mut line).and_then(|()| line.end_transaction()));
        if let Some(Err(error)) = result {
            halt.fail(error.to_string());
        }
        let (ended_ns, outstanding) = (clock.now_ns(), flow.outstanding().messages);
        flow.end_sending(ended_ns);
        if flush {
            line.flush(ended_ns);
        }
        let (transactions, transaction_log) = line.parts.transactions.map(Transactions::into_parts).unzip();
        let transaction_log = transaction_log.flatten();
        Sent {
            total: line.sent,
            measured: line.measured,
            ended_ns,
            outstanding,
            lag: line.lag,
            ledger: line.parts.sequences.ledger,
            transactions,
            transaction_log,
        }
    }
}

/// A send thread at work.
struct Line<'r> {
    parts: Sender<'r>,
    assignment: Assignment,
    /// Intended times of the chunk at hand.
    intended: Vec<u64>,
    /// The reusable array of messages.
    spare: Option<MessageBatch<'static>>,
    chunk: usize,
    largest: u64,
    turn: u32,
    /// Messages that the partition has had in this turn.
    in_turn: u64,
    measuring: bool,
    /// Whether what is due has to wait for reports.
    held: bool,
    /// Since when the sender has been free, nanoseconds from the start.
    free_ns: u64,
    /// The generator's own lateness.
    lag: Option<Histogram<u64>>,
    sent: Amount,
    measured: Amount,
}

impl<'r> Line<'r> {
    fn new(parts: Sender<'r>) -> Self {
        let largest = parts.values.pool.layout().largest();
        let chunk = parts.bounds.run_messages(largest);
        Self {
            assignment: Assignment::new(chunk, Placement::new(parts.topics, parts.partitions)),
            intended: Vec::with_capacity(chunk),
            spare: Some(MessageBatch::new(chunk)),
            chunk,
            largest: largest as u64,
            // Producers begin at different partitions.
            turn: parts.number % parts.partitions,
            in_turn: 0,
            measuring: false,
            held: false,
            free_ns: 0,
            lag: parts.stamps.is_some().then(histogram),
            sent: Amount::default(),
            measured: Amount::default(),
            parts,
        }
    }

    fn run_max(&mut self) -> Result<(), TransactionsEnd> {
        while !self.parts.halt.is_raised() {
            let now_ns = self.parts.clock.now_ns();
            if !self.measuring && now_ns >= self.parts.window.warm_up_ns {
                self.begin_measuring()?;
                continue;
            }
            if now_ns >= self.parts.window.full_end_ns() {
                break;
            }
            if self.end_due_transaction(now_ns)? {
                continue;
            }
            let most = self.chunk_room();
            if self.room() < most {
                self.wait_for_room();
                continue;
            }
            let n = if self.measuring { self.parts.window.claim(most) } else { most };
            if n == 0 {
                break;
            }
            self.intended.clear();
            self.intended.resize(n as usize, now_ns);
            self.send_chunk(now_ns)?;
        }
        Ok(())
    }

    fn run_resends(&mut self, keys: &[Vec<Key>]) -> Result<(), TransactionsEnd> {
        for slot in 0..self.parts.sequences.next.len() {
            let mut keys = keys.get(slot).map_or(&[][..], Vec::as_slice);
            while let Some(resend) = self.parts.sequences.next_resend(slot) {
                let Range { start: first, end } = resend.sequences;
                let attempt = resend.attempt;
                if self.parts.halt.is_raised() {
                    return Ok(());
                }
                let now_ns = self.parts.clock.now_ns();
                if self.end_due_transaction(now_ns)? {
                    continue;
                }
                let n = self.chunk_room().min(end - first);
                if self.room() < n {
                    self.wait_for_room();
                    continue;
                }
                let (own, rest) = keys.split_at(keys.len().min(n as usize));
                keys = rest;
                self.assignment.assign_again_to(slot as u32, n as usize, own);
                self.intended.clear();
                self.intended.resize(n as usize, now_ns);
                if let Some(transactions) = &mut self.parts.transactions {
                    transactions.begin()?;
                    transactions.enter(slot, self.parts.first_stream + slot as u32, first, n)?;
                }
                self.parts.sequences.resend(slot, n)?;
                if let Some(code) = self.hand_over(self.assignment.groups()[0], first, attempt, now_ns) {
                    self.take_refusal(code)?;
                }
            }
        }
        Ok(())
    }

    fn run_rate(&mut self, schedule: &mut Schedule) -> Result<(), TransactionsEnd> {
        let (warm_up_ns, end_ns) = (self.parts.window.warm_up_ns, self.parts.window.end_ns);
        // What is late is sent after the end too, but not for ever.
        let give_up_ns = self.parts.halt.give_up_ns();
        while !self.parts.halt.is_raised() {
            let (now_ns, next_ns) = (self.parts.clock.now_ns(), schedule.next_ns());
            if next_ns >= end_ns || now_ns > give_up_ns {
                break;
            }
            if self.end_due_transaction(now_ns)? {
                continue;
            }
            if next_ns > now_ns {
                self.sleep(now_ns, next_ns);
                continue;
            }
            if !self.measuring && next_ns >= warm_up_ns {
                self.begin_measuring()?;
                continue;
            }
            let (room, chunk_room) = (self.room(), self.chunk_room());
            if room == 0 {
                self.wait_for_room();
                self.held = true;
                continue;
            }
            if std::mem::take(&mut self.held) {
                self.free_since_report();
            }
            let border_ns = if self.measuring { end_ns } else { warm_up_ns };
            schedule.take_due(now_ns, border_ns, room.min(chunk_room) as usize, &mut self.intended);
            let due = self.intended.len() as u64;
            let claimed = if self.measuring { self.parts.window.claim(due) } else { due };
            self.intended.truncate(claimed as usize);
            if claimed > 0 {
                self.record_lag(now_ns);
                let queue_full = self.parts.flow.queue_full.load(Ordering::Relaxed);
                self.send_chunk(now_ns)?;
                if self.parts.flow.queue_full.load(Ordering::Relaxed) > queue_full {
                    self.free_since_report();
                }
                self.held = room < chunk_room && schedule.next_ns() <= now_ns;
            }
            if claimed < due {
                break;
            }
        }
        Ok(())
    }

    /// The last report made room.
    fn free_since_report(&mut self) {
        self.free_ns = self.parts.flow.last_report_ns.load(Ordering::Relaxed).max(self.free_ns);
    }

    /// Records how late the chunk is by the generator's own doing.
    fn record_lag(&mut self, now_ns: u64) {
        let Some(lag) = self.lag.as_mut().filter(|_| self.measuring) else { return };
        for intended_ns in &self.intended {
            record_ns(lag, now_ns.saturating_sub(self.free_ns.max(*intended_ns)));
        }
    }

    /// Sleeps until the next message or the end of the open transaction.
    fn sleep(&self, now_ns: u64, next_ns: u64) {
        let ends_ns = self.parts.transactions.as_ref().and_then(Transactions::ends_at_ns).unwrap_or(u64::MAX);
        let until_ns = next_ns.min(ends_ns).min(now_ns + SLEEP_NS).max(now_ns + NAP_NS);
        self.parts.clock.sleep_until(until_ns);
    }

    /// From here on messages are measured. No transaction lies across this point.
    fn begin_measuring(&mut self) -> Result<(), TransactionsEnd> {
        let at_the_border_of_all = self.parts.transactions.is_some() && self.parts.stamps.is_none();
        if !at_the_border_of_all {
            self.parts.window.begin(self.parts.window.warm_up_ns);
        }
        self.end_transaction()?;
        for (from, next) in self.parts.measured_from.iter().zip(&self.parts.sequences.next) {
            from.store(*next, Ordering::Relaxed);
        }
        self.measuring = true;
        if at_the_border_of_all {
            let halt = self.parts.halt;
            self.parts.party.come(|| halt.is_raised() || halt.gives_up());
        }
        Ok(())
    }

    /// Messages of the next chunk, at most.
    fn chunk_room(&self) -> u64 {
        let transaction = self.parts.transactions.as_ref().map_or(u64::MAX, Transactions::room);
        (self.chunk as u64).min(transaction)
    }

    /// Messages that may be sent now without exceeding what may be outstanding.
    fn room(&mut self) -> u64 {
        let outstanding = self.parts.flow.outstanding();
        let free = self.parts.bounds.bytes.saturating_sub(outstanding.bytes) / self.largest.max(1);
        // A message that is larger than the bound goes alone.
        let by_bytes = if outstanding.messages == 0 { free.max(1) } else { free };
        let by_messages = match &mut self.parts.stamps {
            Some(stamps) => stamps.available(),
            None => self.parts.bounds.messages.saturating_sub(outstanding.messages),
        };
        by_bytes.min(by_messages)
    }

    fn wait_for_room(&self) {
        self.parts.flow.count_queue_full();
        self.parts.flow.wait_for_reports(WAIT);
    }

    fn end_due_transaction(&mut self, now_ns: u64) -> Result<bool, TransactionsEnd> {
        let due = self.parts.transactions.as_ref().is_some_and(|transactions| transactions.is_due(now_ns));
        if due {
            self.end_transaction()?;
        }
        Ok(due)
    }

    fn end_transaction(&mut self) -> Result<(), TransactionsEnd> {
        let measured = self.measuring;
        let Some(transactions) = &mut self.parts.transactions else { return Ok(()) };
        transactions.end(measured)?;
        self.free_ns = self.parts.clock.now_ns();
        Ok(())
    }

    /// Sends the messages whose intended times are at hand. When the client refuses some of them, the open
    /// transaction ends, and those of the next partitions go into a new one; without transactions the run ends.
    fn send_chunk(&mut self, mut now_ns: u64) -> Result<(), TransactionsEnd> {
        let n = self.intended.len();
        if let Some(keys) = &mut self.parts.keys {
            self.assignment.assign_by_key(keys, n);
        } else {
            self.assignment.assign_to(self.turn, n);
            self.in_turn += (n as u64).div_ceil(u64::from(self.parts.topics));
            let every_run = self.parts.stamps.is_some() || self.parts.transactions.is_some();
            // Not before all topics have had their share: otherwise, with a message at a time, some would never have one
            // in some partitions.
            if every_run && self.assignment.is_even() || self.in_turn >= self.parts.turn_messages {
                self.turn = if self.turn + 1 == self.parts.partitions { 0 } else { self.turn + 1 };
                self.in_turn = 0;
            }
        }
        for at in 0..self.assignment.groups().len() {
            if let Some(transactions) = &mut self.parts.transactions {
                transactions.begin()?;
            }
            let Some(code) = self.send_group(self.assignment.groups()[at], now_ns)? else { continue };
            self.take_refusal(code)?;
            if self.parts.halt.is_raised() {
                break;
            }
            now_ns = self.parts.clock.now_ns();
        }
        Ok(())
    }

    /// Reserves and sends a chunk's messages to one slot, as [`hand_over`](Self::hand_over) does.
    fn send_group(&mut self, group: Group, now_ns: u64) -> Result<Option<ErrorCode>, TransactionsEnd> {
        let slot = group.slot as usize;
        let stream = self.parts.first_stream + group.slot;
        let n = self.assignment.members(group).len() as u64;
        // In this order: a sequence that is reserved is in the transaction that it was reserved for.
        if let Some(transactions) = &mut self.parts.transactions {
            transactions.enter(slot, stream, self.parts.sequences.next[slot], n)?;
        }
        let first = self.parts.sequences.reserve(slot, n)?;
        Ok(self.hand_over(group, first, 0, now_ns))
    }

    /// Hands a chunk's messages to one slot over to the client, which are reserved from `first` on. Gives the
    /// code of a refusal that says more than that a message is too large: what was not yet handed over then counts
    /// as refused too.
    fn hand_over(&mut self, group: Group, first: u64, attempt: u16, now_ns: u64) -> Option<ErrorCode> {
        let slot = group.slot as usize;
        let members = self.assignment.members(group);
        let n = members.len() as u64;
        let amount = Amount { messages: n, bytes: self.parts.values.pool.layout().bytes(slot, first, n) };
        self.sent += amount;
        if self.measuring {
            self.measured += amount;
        }
        self.parts.flow.sent.add(amount);

        let transaction = self.parts.transactions.as_ref().map_or(0, Transactions::number);
        let mut header = Header {
            run: self.parts.run,
            stream: self.parts.first_stream + group.slot,
            sequence: first,
            attempt,
            incarnation: self.parts.incarnation,
            transaction,
            intended_ns: 0,
            send_delay_us: 0,
            sentinel: false,
            warm_up: !self.measuring,
            source: None,
        };
        let run = Run {
            slot,
            verified: self.parts.verified,
            clock: self.parts.clock,
            now_ns,
            members,
            intended: &self.intended,
            assignment: &self.assignment,
        };
        let mut spare = self.spare.take().unwrap_or_else(|| MessageBatch::new(self.chunk));
        let (mut done, mut refused) = (0, None);
        while done < members.len() && refused.is_none() {
            let mut batch = spare.recycle();
            done += run.fill(done, &mut header, &mut self.parts.values, &mut self.parts.stamps, &mut batch);
            refused = self.parts.outlet.hand_over(group.slot, &mut batch);
            spare = batch.recycle();
        }
        self.spare = Some(spare);
        if let Some(code) = refused {
            for opaque in run.rest(done, header.sequence, &mut self.parts.stamps) {
                self.parts.outlet.refuse(opaque, code);
            }
        }
        let count = std::mem::take(&mut self.parts.outlet.refused);
        if let Some(transactions) = &mut self.parts.transactions {
            transactions.count_refused(count);
        }
        refused
    }

    /// The client refused messages for a reason that is not theirs alone.
    #[cold]
    fn take_refusal(&mut self, code: ErrorCode) -> Result<(), TransactionsEnd> {
        if self.parts.transactions.is_some() && code == ErrorCode::STATE {
            // The transaction has failed: its end finds out why and aborts it. Other refusals, of a topic that is gone
            // for example, would come again in the next one, and librdkafka commits a transaction without messages.
            return self.end_transaction();
        }
        let reason = format!("the client refuses messages: {code}: {}; {}", code.description(), code.cure());
        self.parts.halt.fail(reason);
        Ok(())
    }

    /// Sends what lingers and waits for the last reports, within the bound.
    fn flush(&self, ended_ns: u64) {
        let deadline_ns = ended_ns.saturating_add(self.parts.drain.as_nanos() as u64);
        while self.parts.flow.outstanding().messages > 0
            && self.parts.flow.is_served()
            && !self.parts.outlet.producer.flush(FLUSH_SLICE)
            && self.parts.clock.now_ns() < deadline_ns
            && !self.parts.halt.gives_up()
        {}
    }
}
