//! One thread with one connection, which reads the partitions that a broker leads.
//!
//! ```text
//! receive answer n ─► look over: next offsets ─► send Fetch n+1 ─► judge answer n ─► receive answer n+1 …
//! ```
//! So the broker works while batches are judged. What stands aside (a batch that cannot be read, a position outside
//! the log) is looked at when no Fetch is under way.

use std::{ops::Range, sync::mpsc::Sender, time::Duration};

use kafka_protocol::ResponseError;

use super::{
    Visitor,
    coordinator::Event,
    reading::{Aside, Left, Reading, Shared, is_foreign},
};
use crate::{
    batch::{Batches, Resumed},
    codec::Decompressor,
    connection::{ANSWER_BYTES_MAX, Connection, Sent},
    error::{WireError, may_pass},
    fetch::{self, Asked, FetchSizes},
    metadata::{Broker, OffsetSpec, list_offsets},
    patience::Patience,
};

/// Larger and larger fetches of a batch whose end is not there, before its length is taken for wrong.
const ENLARGEMENTS_MAX: u32 = 4;
/// Of a Fetch that looks for a sound batch; its first batch comes whole in any case.
const PROBE_BYTES: i32 = 64 * 1024;

pub(super) struct Reader<'a, V> {
    shared: Shared<'a>,
    broker: Broker,
    events: Sender<Event<'a, V>>,
    /// Partitions keep their slot, so that an answer finds them; those that left are none.
    slots: Vec<Option<Reading<V>>>,
    /// Slots that the Fetch under way asks for, in its order, and the offsets.
    asked: Vec<(usize, i64)>,
    /// What is to be judged: slots, and where in the buffer their records are.
    parts: Vec<(usize, Range<usize>)>,
    /// The slot that the next Fetch asks for first: the first ones are served first, so each has its turn.
    turn: usize,
    /// How long the broker delays answers to us.
    throttle: Duration,
    buffer: Vec<u8>,
    decompressor: Decompressor,
}

/// One partition, fetched alone.
struct Alone {
    code: Option<ResponseError>,
    high_watermark: i64,
    records: Range<usize>,
}

impl<'a, V: Visitor> Reader<'a, V> {
    pub(super) fn new(
        shared: Shared<'a>,
        broker: Broker,
        events: Sender<Event<'a, V>>,
        readings: Vec<Reading<V>>,
    ) -> Self {
        Self {
            shared,
            broker,
            events,
            asked: Vec::with_capacity(readings.len()),
            parts: Vec::with_capacity(readings.len()),
            slots: readings.into_iter().map(Some).collect(),
            turn: 0,
            throttle: Duration::ZERO,
            buffer: Vec::new(),
            decompressor: Decompressor::new(),
        }
    }

    /// Reads until all partitions have left.
    pub(super) fn run(&mut self) {
        let Err(error) = self.read() else { return };
        let passes = error.is_retriable() || matches!(error, WireError::Stopped);
        let why = format!("leader {}: {error}", self.broker.id);
        for slot in 0..self.slots.len() {
            self.leave(slot, if passes { Left::Moved(why.clone()) } else { Left::Failed(why.clone()) });
        }
    }

    fn read(&mut self) -> Result<(), WireError> {
        let patience = self.shared.patience();
        let opening = patience.within(patience.silence);
        let mut connection = Connection::open(self.shared.plan.config, &self.broker.address, &opening)?;
        let version = fetch::version(&connection)?;
        let mut under_way = None;
        loop {
            if self.shared.is_halted() {
                return Err(WireError::Stopped);
            }
            if let Some(sent) = under_way.take() {
                self.receive(&mut connection, sent)?;
                if !self.has_asides() && self.wants_more() {
                    under_way = Some(self.ask(&mut connection, version)?);
                }
                self.judge();
            } else {
                self.tend_asides(&mut connection, version)?;
                self.let_go();
                if self.slots.iter().all(Option::is_none) {
                    return Ok(());
                }
                if self.wants_more() {
                    under_way = Some(self.ask(&mut connection, version)?);
                }
            }
            self.let_go();
        }
    }

    fn readings(&self) -> impl Iterator<Item = &Reading<V>> {
        self.slots.iter().flatten()
    }

    fn has_asides(&self) -> bool {
        self.readings().any(|reading| reading.aside.is_some())
    }

    fn wants_more(&self) -> bool {
        self.readings().any(Reading::is_wanted)
    }

    fn ask(&mut self, connection: &mut Connection, version: i16) -> Result<Sent, WireError> {
        self.asked.clear();
        let count = self.slots.len();
        for slot in (0..count).map(|slot| (slot + self.turn) % count) {
            if let Some(reading) = self.slots[slot].as_ref().filter(|reading| reading.is_wanted()) {
                self.asked.push((slot, reading.ahead));
            }
        }
        let partitions = self.asked.iter().filter_map(|(slot, offset)| {
            let reading = self.slots[*slot].as_ref()?;
            Some(Asked {
                topic: &reading.target.topic,
                partition: reading.target.partition,
                offset: *offset,
                leader_epoch: reading.leader_epoch,
                max_bytes: reading.max_bytes,
            })
        });
        let request = fetch::request(partitions, &self.shared.plan.sizes);
        connection.send(&request, version, &self.shared.patience())
    }

    /// For an answer: the broker may wait for data as long as a Fetch lets it, and delay what it says for a quota.
    fn patience(&self) -> Patience<'a> {
        let mut patience = self.shared.patience();
        patience.silence += self.shared.plan.sizes.max_wait + self.throttle;
        patience
    }

    /// Receives an answer and looks it over: what is to be judged, what stands aside, who leaves.
    fn receive(&mut self, connection: &mut Connection, sent: Sent) -> Result<(), WireError> {
        let version = sent.version;
        let patience = self.patience();
        let body = connection.receive(sent, &mut self.buffer, &patience)?;
        let Self { slots, asked, parts, buffer, shared, .. } = self;
        parts.clear();
        let mut leaving = Vec::new();
        let (mut expected, mut first, mut turn) = (0, true, None);
        let walked = fetch::walk(&buffer[body.clone()], version, |answered| {
            let of = |slots: &[Option<Reading<V>>], slot: usize| {
                slots[slot].as_ref().is_some_and(|reading| {
                    reading.target.partition == answered.partition && reading.target.topic == answered.topic
                })
            };
            // Brokers answer in the order of the request; none is obliged to.
            let found = (expected..asked.len()).chain(0..expected).find(|at| of(slots, asked[*at].0));
            let Some(at) = found else { return };
            expected = at + 1;
            let (slot, offset) = asked[at];
            let Some(reading) = &mut slots[slot] else { return };
            // What was asked for before a batch turned out not to be readable is asked for again.
            if reading.aside.is_some() || reading.position != offset {
                return;
            }
            match ResponseError::try_from_code(answered.error_code) {
                None => {
                    reading.look_over(&answered, first, shared.plan.sizes.max_bytes, shared.counters);
                    if !answered.records.is_empty() {
                        let begin = offset_in(buffer, answered.records);
                        parts.push((slot, begin..begin + answered.records.len()));
                        (first, turn) = (false, Some(slot + 1));
                    }
                }
                Some(ResponseError::OffsetOutOfRange) => reading.aside = Some(Aside::OutOfRange),
                Some(ResponseError::CorruptMessage) => reading.aside = Some(Aside::Unreadable { base: None }),
                Some(code) => leaving.push((slot, code)),
            }
        });
        let head = walked.map_err(|error| connection.malformed("Fetch", error.to_string()))?;
        self.throttle = head.throttle;
        if let Some(code) = ResponseError::try_from_code(head.error_code) {
            return Err(connection.refused("Fetch", code));
        }
        if let Some(turn) = turn {
            self.turn = turn;
        }
        for (slot, code) in leaving {
            self.leave_for(slot, code);
        }
        Ok(())
    }

    fn judge(&mut self) {
        for (slot, range) in &self.parts {
            if let Some(reading) = &mut self.slots[*slot] {
                reading.hand_over(&self.buffer[range.clone()], &mut self.decompressor, &self.shared);
            }
        }
        self.parts.clear();
    }

    /// Partitions at their end leave.
    fn let_go(&mut self) {
        for slot in 0..self.slots.len() {
            if let Some(reading) = self.slots[slot].as_mut().filter(|reading| reading.is_done()) {
                reading.visitor.end(reading.target.end);
                self.leave(slot, Left::Done);
            }
        }
    }

    fn leave(&mut self, slot: usize, why: Left) {
        if let Some(reading) = self.slots[slot].take() {
            // Nobody listens any more only when the scan itself came to a bad end.
            let _ = self.events.send(Event::Left(reading, why));
        }
    }

    fn leave_for(&mut self, slot: usize, code: ResponseError) {
        let why = format!("{} answers {code:?}: {code}", self.broker);
        self.leave(slot, if may_pass(code) { Left::Moved(why) } else { Left::Failed(why) });
    }

    fn tend_asides(&mut self, connection: &mut Connection, version: i16) -> Result<(), WireError> {
        for slot in 0..self.slots.len() {
            match self.slots[slot].as_ref().and_then(|reading| reading.aside) {
                None => {}
                Some(Aside::OutOfRange) => self.locate(connection, slot)?,
                Some(Aside::Unreadable { base }) => self.mend(connection, version, slot, base)?,
            }
        }
        Ok(())
    }

    /// Finds out where the log begins and ends for a position that is outside.
    fn locate(&mut self, connection: &mut Connection, slot: usize) -> Result<(), WireError> {
        let Some(reading) = &self.slots[slot] else { return Ok(()) };
        let led = [(reading.target.partition, reading.leader_epoch)];
        let mut bounds = [0; 2];
        for (bound, which) in bounds.iter_mut().zip([OffsetSpec::Earliest, OffsetSpec::Latest]) {
            let topic = &reading.target.topic;
            let answer = list_offsets(connection, topic, &led, which, &self.patience())?;
            match answer.first() {
                Some((_, Ok(offset))) => *bound = *offset,
                Some((_, Err(code))) => {
                    self.leave_for(slot, *code);
                    return Ok(());
                }
                None => return Err(connection.malformed("ListOffsets", "the partition is not in it")),
            }
        }
        let [earliest, latest] = bounds;
        let Some(reading) = &mut self.slots[slot] else { return Ok(()) };
        reading.start_over();
        if earliest > reading.position {
            reading.tell_log_start(earliest);
            reading.go_to(earliest, self.shared.counters);
        } else {
            let why = format!("{} has the log from offset {earliest} to {latest} only", self.broker);
            self.leave(slot, Left::Moved(why));
        }
        Ok(())
    }

    /// Reads again what could not be read; if it cannot be read now either, goes on at the next sound batch.
    ///
    /// # Arguments
    /// * `base` - what the batch that could not be read says of its base offset, where it was seen.
    fn mend(
        &mut self,
        connection: &mut Connection,
        version: i16,
        slot: usize,
        base: Option<i64>,
    ) -> Result<(), WireError> {
        let Some(reading) = &mut self.slots[slot] else { return Ok(()) };
        reading.start_over();
        let (position, mut max_bytes) = (reading.position, reading.max_bytes);
        let mut enlargements = 0;
        let (error, high_watermark) = loop {
            let alone = self.fetch_alone(connection, version, slot, position, max_bytes)?;
            match alone.code {
                None => {}
                Some(code @ ResponseError::CorruptMessage) => {
                    break (Box::new(code) as Box<dyn std::error::Error>, i64::MAX);
                }
                Some(ResponseError::OffsetOutOfRange) => return self.locate(connection, slot),
                Some(code) => {
                    self.leave_for(slot, code);
                    return Ok(());
                }
            }
            let Self { slots, buffer, decompressor, shared, .. } = self;
            let Some(reading) = &mut slots[slot] else { return Ok(()) };
            let records = &buffer[alone.records];
            let mut batches = Batches::fetched_at(records, position);
            let (error, needed) = match batches.next() {
                Some(Ok(batch)) => {
                    let begin = batch.header.base_offset;
                    if base.is_some_and(|base| begin > base.max(position)) {
                        let why =
                            "a damaged batch stands there, which ends below by its header: the broker steps over it";
                        reading.tell_unreadable(begin, &*Box::<dyn std::error::Error>::from(why), shared.counters);
                    }
                    // Or it was damaged on its way.
                    reading.hand_over(records, decompressor, shared);
                    return Ok(());
                }
                Some(Err(error)) if is_foreign(&error) => {
                    self.leave(slot, Left::Failed(error.to_string()));
                    return Ok(());
                }
                Some(Err(error)) => match batches.resume() {
                    Resumed::Behind(range) => {
                        // Empty where the damage was told before, and the broker comes back to it: by its header the
                        // batch ends above.
                        if !range.is_empty() {
                            reading.tell_unreadable(range.end, &error, shared.counters);
                        }
                        // What is behind it is here; to fetch it again may bring the same batch first for ever.
                        reading.hand_over(&records[batches.position()..], decompressor, shared);
                        return Ok(());
                    }
                    Resumed::Cut { needed } => (Box::new(error) as Box<dyn std::error::Error>, Some(needed)),
                    Resumed::Lost => (Box::new(error) as _, None),
                },
                // Nothing there is for the next Fetch to find out.
                None if records.is_empty() => return Ok(()),
                None => {
                    let size = batches.incomplete().and_then(|incomplete| incomplete.size);
                    (format!("the batch at offset {position} does not end: the log is damaged").into(), size)
                }
            };
            let needed =
                needed.filter(|needed| *needed <= ANSWER_BYTES_MAX).and_then(|needed| i32::try_from(needed).ok());
            match needed.filter(|needed| *needed > max_bytes && enlargements < ENLARGEMENTS_MAX) {
                Some(needed) => (max_bytes, enlargements) = (needed, enlargements + 1),
                None => break (error, alone.high_watermark),
            }
        };
        let Some(reading) = &self.slots[slot] else { return Ok(()) };
        let limit = reading.target.end.min(high_watermark);
        if limit <= position {
            self.leave(slot, Left::Moved(error.to_string()));
            return Ok(());
        }
        let sound = self.find_sound(connection, version, slot, position, limit)?;
        // It may have left, for another leader.
        if let (Some(reading), Some(end)) = (&mut self.slots[slot], sound) {
            reading.tell_unreadable(end, &*error, self.shared.counters);
        }
        Ok(())
    }

    /// Looks for the lowest offset above `bad` at which the broker has a sound batch: it finds batches by its index,
    /// so what a damaged batch says of its own length does not matter. Offsets up to some offset lead to the damaged
    /// batch, those above it to sound ones: doubled steps and halving find it in at most 126 fetches.
    ///
    /// # Returns
    /// Where that batch begins; `limit` where there is none below. None when the partition left.
    fn find_sound(
        &mut self,
        connection: &mut Connection,
        version: i16,
        slot: usize,
        bad: i64,
        limit: i64,
    ) -> Result<Option<i64>, WireError> {
        let (mut below, mut step, mut found) = (bad, 1_i64, None);
        loop {
            let probe = match found {
                // Halving, between what leads to damage and what does not.
                Some((above, _)) if above - below > 1 => below + (above - below) / 2,
                Some((_, begin)) => return Ok(Some(begin)),
                None => {
                    let probe = bad.saturating_add(step);
                    if probe >= limit {
                        if below >= limit - 1 {
                            return Ok(Some(limit));
                        }
                        // The last offset has its own look.
                        limit - 1
                    } else {
                        step = step.saturating_mul(2);
                        probe
                    }
                }
            };
            let alone = self.fetch_alone(connection, version, slot, probe, PROBE_BYTES)?;
            match alone.code {
                None | Some(ResponseError::CorruptMessage) => {}
                Some(code) => {
                    self.leave_for(slot, code);
                    return Ok(None);
                }
            }
            match Batches::fetched_at(&self.buffer[alone.records], probe).next() {
                Some(Ok(batch)) => found = Some((probe, batch.header.base_offset.max(bad + 1))),
                _ => below = probe,
            }
        }
    }

    fn fetch_alone(
        &mut self,
        connection: &mut Connection,
        version: i16,
        slot: usize,
        offset: i64,
        max_bytes: i32,
    ) -> Result<Alone, WireError> {
        let patience = self.patience();
        let mut alone = Alone { code: None, high_watermark: -1, records: 0..0 };
        let Some(reading) = &self.slots[slot] else { return Ok(alone) };
        let (topic, partition) = (reading.target.topic.as_str(), reading.target.partition);
        let asked = Asked { topic, partition, offset, leader_epoch: reading.leader_epoch, max_bytes };
        let sizes = FetchSizes { max_bytes, partition_max_bytes: max_bytes, ..self.shared.plan.sizes };
        let sent = connection.send(&fetch::request([asked], &sizes), version, &patience)?;
        let body = connection.receive(sent, &mut self.buffer, &patience)?;
        let mut is_there = false;
        let head = fetch::walk(&self.buffer[body], version, |answered| {
            if answered.partition == partition && answered.topic == topic {
                is_there = true;
                let begin = offset_in(&self.buffer, answered.records);
                alone = Alone {
                    code: ResponseError::try_from_code(answered.error_code),
                    high_watermark: answered.high_watermark,
                    records: begin..begin + answered.records.len(),
                };
            }
        });
        let head = head.map_err(|error| connection.malformed("Fetch", error.to_string()))?;
        self.throttle = head.throttle;
        if let Some(code) = ResponseError::try_from_code(head.error_code) {
            return Err(connection.refused("Fetch", code));
        }
        if !is_there {
            return Err(connection.malformed("Fetch", "the partition is not in it"));
        }
        Ok(alone)
    }
}

/// Where a part of a buffer begins in it.
fn offset_in(buffer: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - buffer.as_ptr() as usize
}
