//! One partition as a scan has seen it.
//!
//! Fed with observations in the order in which a reader was shown them. The state is independent of other
//! partitions, so each is owned by the thread that reads it. What can be told record by record is counted
//! here (duplicates and their causes, order, strangers, damage, inventions, offset gaps); what needs the ledger's states
//! is left to [`crate::evidence`].
//!
//! A damaged record's header is not trusted: it counts as corrupt, and its message as not seen; whether it is
//! another run's is told by the rule of `others`.
//!
//! The log's eye is shown more than the application's: then each message's origin is known, an offset without anything
//! counts as a gap, and of transactions a second account is kept of what their markers make visible.

use std::{ops::Range, sync::Arc};

use ackmark_ledger::ReservedMarks;
use ackmark_schema::{
    manifest::Manifest,
    record::{Decoded, Header},
    report::verify::LogFacts,
};

use crate::{
    committed::Committed,
    digest::{self, Digest, Sum},
    observation::{Batch, Ending, Marker, Observation, Record},
    origin::{BatchOrigin, Session},
    others::{OtherRuns, Owner},
    stream::{Sight, StreamAccount},
    tally::{FurtherCopy, Spot, Tally},
};

/// Nanoseconds of a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eye {
    /// A consumer: records, and nothing of what it is not shown.
    Application,
    /// The log reader: batches, markers, and whether there is nothing at an offset.
    Log,
}

/// Sees each of this run's messages beside the accounting: what a live scan measures.
pub trait Witness {
    /// A message of this run, its first copy or another.
    fn message(&mut self, header: &Header, first_copy: bool);
}

/// No witness.
impl Witness for () {
    #[inline]
    fn message(&mut self, _header: &Header, _first_copy: bool) {}
}

/// What was counted record by record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordTallies {
    /// Equal attempt at a second offset.
    pub duplicate_retry: Tally,
    /// Another attempt at a second offset.
    pub duplicate_resend: Tally,
    /// After a higher sequence, and not by an older incarnation.
    pub reordered: Tally,
    /// Never reserved, or in a partition that is not its stream's.
    pub phantom: Tally,
    /// Damaged.
    pub corrupt: Tally,
    /// Of an older incarnation than one before it in the stream.
    pub zombie: Tally,
    /// At an offset that does not follow the one before.
    pub non_monotonic: Tally,
    /// Offsets that hold nothing, for the log's eye.
    pub offset_gap: Tally,
}

impl RecordTallies {
    /// Adds another partition's.
    pub fn merge(&mut self, other: &Self) {
        self.duplicate_retry.merge(&other.duplicate_retry);
        self.duplicate_resend.merge(&other.duplicate_resend);
        self.reordered.merge(&other.reordered);
        self.phantom.merge(&other.phantom);
        self.corrupt.merge(&other.corrupt);
        self.zombie.merge(&other.zombie);
        self.non_monotonic.merge(&other.non_monotonic);
        self.offset_gap.merge(&other.offset_gap);
    }
}

/// Plain sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// This run's sound messages, copies included, phantoms apart.
    pub messages: u64,
    /// Records of others.
    pub strangers: u64,
    /// Value bytes of all records.
    pub value_bytes: u64,
    /// Offsets below the position that hold nothing that was shown.
    pub hidden_offsets: u64,
}

impl Totals {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.strangers += other.strangers;
        self.value_bytes += other.value_bytes;
        self.hidden_offsets += other.hidden_offsets;
    }
}

/// A stream of this partition.
#[derive(Debug)]
struct Stream {
    id: u32,
    /// The reserved mark when it was last looked at: below it, a sequence needs no look.
    reserved: u64,
    incarnation: u32,
    account: StreamAccount,
}

/// What a scan has seen of a partition.
#[derive(Debug)]
pub struct PartitionAccount {
    run: u32,
    topic: Arc<str>,
    partition: u32,
    marks: Arc<ReservedMarks>,
    /// By rising id.
    streams: Vec<Stream>,
    /// The stream of the last message: most likely that of the next.
    latest: usize,
    position: i64,
    log_start: Option<i64>,
    last_stable: Option<i64>,
    totals: Totals,
    tallies: RecordTallies,
    others: OtherRuns,
    /// Of the records at hand.
    origin: BatchOrigin,
    /// What only the log's eye is shown.
    log: Option<Log>,
    /// What markers make visible, where transactions are to be judged by them.
    committed: Option<Box<Committed>>,
    digest: Option<Digest>,
}

/// The log beside its records.
#[derive(Debug, Default)]
struct Log {
    facts: LogFacts,
    leader_epoch: Option<i32>,
    /// The first offsets of which the leader brought nothing.
    unproved: Option<Range<i64>>,
}

impl PartitionAccount {
    /// An empty account of `partition` of the manifest's topic number `topic`, read from `start` by `eye`.
    pub fn new(
        manifest: &Manifest,
        topic: u32,
        partition: u32,
        start: i64,
        marks: Arc<ReservedMarks>,
        eye: Eye,
    ) -> Self {
        let of_here =
            |stream: &&ackmark_schema::manifest::Stream| stream.topic == topic && stream.partition == partition;
        let all = manifest.producers.iter().flat_map(|producer| &producer.streams);
        let mut streams: Vec<_> = all
            .filter(of_here)
            .map(|stream| Stream { id: stream.stream, reserved: 0, incarnation: 0, account: StreamAccount::default() })
            .collect();
        streams.sort_by_key(|stream| stream.id);
        let basis = &manifest.promise.basis;
        // That a producer without idempotence has no id need not be shown.
        let session = if basis.idempotence || basis.transactional { Session::NOT_TOLD } else { Session::NONE };
        let by_markers = eye == Eye::Log && basis.transactional;
        Self {
            run: manifest.run,
            topic: manifest.topics[topic as usize].name.as_str().into(),
            partition,
            marks,
            committed: by_markers.then(|| Box::new(Committed::new(streams.len()))),
            streams,
            latest: 0,
            position: start,
            log_start: None,
            last_stable: None,
            totals: Totals::default(),
            tallies: RecordTallies::default(),
            others: OtherRuns::default(),
            origin: BatchOrigin::of_session(session),
            log: (eye == Eye::Log).then(Log::default),
            digest: None,
        }
    }

    /// Sums up what is shown, so that it can be compared with another reading.
    #[must_use]
    pub fn with_digest(mut self) -> Self {
        self.digest = Some(Digest::new(self.position));
        self
    }

    /// Takes one observation.
    pub fn observe(&mut self, observation: &Observation<'_>, witness: &mut impl Witness) {
        match *observation {
            Observation::Batch(ref batch) => self.batch(batch),
            Observation::Records(records) => records.iter().for_each(|record| self.record(record, witness)),
            Observation::Marker(ref marker) => self.marker(marker),
            Observation::Hidden { from, end } => self.hidden(from, end),
            Observation::Nothing { from, end } => self.nothing(from, end),
            Observation::LogStart(offset) => self.log_start = self.log_start.max(Some(offset)),
            Observation::LastStableOffset(offset) => self.last_stable = Some(offset),
            Observation::End(offset) => self.nothing_until(offset),
        }
    }

    fn batch(&mut self, batch: &Batch) {
        self.nothing_until(batch.base_offset);
        let session = Session::of_batch(batch.producer_id, batch.producer_epoch);
        self.origin = BatchOrigin::new(session, batch.base_offset, batch.base_sequence);
        if let Some(log) = &mut self.log {
            log.facts.batches += 1;
            let before = log.leader_epoch.replace(batch.leader_epoch);
            log.facts.leader_epoch_changes += u64::from(before.is_some_and(|before| before != batch.leader_epoch));
        }
        if let Some(committed) = &mut self.committed {
            committed.batch(batch);
        }
    }

    fn marker(&mut self, marker: &Marker) {
        self.nothing_until(marker.offset);
        self.hidden(marker.offset, marker.offset.saturating_add(1));
        if let Some(log) = &mut self.log {
            match marker.ending {
                Ending::Commit => log.facts.commit_markers += 1,
                Ending::Abort => log.facts.abort_markers += 1,
            }
        }
        if let Some(committed) = &mut self.committed {
            let tell = shown_again(&self.topic, self.partition, &self.streams);
            committed.marker(marker, tell);
        }
    }

    /// Nothing was shown of `from..end`; what was shown already is not hidden.
    fn hidden(&mut self, from: i64, end: i64) {
        let from = from.max(self.position);
        if end > from {
            self.totals.hidden_offsets += end.abs_diff(from);
            self.position = end;
        }
    }

    /// What is before it is a gap; whether this is one too is told by who knows the topic's policy.
    fn nothing(&mut self, from: i64, end: i64) {
        self.nothing_until(from);
        self.hidden(from, end);
        if let Some(log) = &mut self.log {
            log.unproved.get_or_insert(from..end);
        }
    }

    /// What comes next is at `offset`, or nothing does: the log's eye knows that nothing is before it.
    #[inline]
    fn nothing_until(&mut self, offset: i64) {
        if offset > self.position {
            if self.log.is_some() {
                let gap = offset.abs_diff(self.position);
                self.tallies.offset_gap.add(gap, spot(&self.topic, self.partition, None, self.position));
            }
            self.hidden(self.position, offset);
        }
    }

    /// Takes one record.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>, witness: &mut impl Witness) {
        if record.offset != self.position {
            self.out_of_place(record.offset);
        }
        self.position = record.offset.saturating_add(1);
        let decoded = record.value.map_or(Decoded::Stranger, |value| {
            let bytes = value.len() as u64;
            self.totals.value_bytes += bytes;
            if let Some(committed) = &mut self.committed {
                committed.totals().value_bytes += bytes;
            }
            Header::decode(value)
        });
        if let Some(digest) = &mut self.digest {
            let mix = digest::mix(record.offset, record.value, matches!(decoded, Decoded::Ours(_)));
            digest.add(record.offset, mix);
            if let Some(committed) = &mut self.committed {
                committed.sum().add(mix);
            }
        }
        match decoded {
            Decoded::Ours(header) => self.message(record.offset, &header, witness),
            Decoded::Stranger => self.stranger(1),
            Decoded::Corrupt(_) => self.damaged(record.offset, record.value.unwrap_or_default()),
        }
    }

    #[cold]
    fn out_of_place(&mut self, offset: i64) {
        if offset < self.position {
            self.tallies.non_monotonic.add(1, spot(&self.topic, self.partition, None, offset));
        } else {
            self.nothing_until(offset);
        }
    }

    fn stranger(&mut self, records: u64) {
        self.totals.strangers += records;
        if let Some(committed) = &mut self.committed {
            committed.totals().strangers += records;
        }
    }

    #[cold]
    fn damaged(&mut self, offset: i64, value: &[u8]) {
        let spot = spot(&self.topic, self.partition, None, offset);
        match self.others.owner(value, self.run) {
            Owner::ThisRun => self.tallies.corrupt.add(1, spot),
            Owner::Stranger => self.stranger(1),
            Owner::Unknown(run) => self.others.keep(run, spot),
        }
    }

    /// A sound record of another run; its sentinels are no strangers' messages but tell of it too.
    #[cold]
    fn other_run(&mut self, header: &Header) {
        let records = u64::from(!header.sentinel) + self.others.sound(header.run);
        self.stranger(records);
    }

    /// Accounts for a sound header at an offset.
    #[inline]
    pub fn message(&mut self, offset: i64, header: &Header, witness: &mut impl Witness) {
        if header.run != self.run {
            return self.other_run(header);
        }
        if header.sentinel {
            return;
        }
        let here = || Some((header.stream, header.sequence));
        let Some(index) = self.find(header.stream).filter(|index| self.is_reserved(*index, header.sequence)) else {
            return self.tallies.phantom.add(1, spot(&self.topic, self.partition, here(), offset));
        };
        self.totals.messages += 1;
        let stream = &mut self.streams[index];
        if header.incarnation != stream.incarnation {
            if header.incarnation < stream.incarnation {
                self.tallies.zombie.add(1, spot(&self.topic, self.partition, here(), offset));
            }
            stream.incarnation = stream.incarnation.max(header.incarnation);
        }
        let origin = self.origin.of(offset, header.sequence, header.incarnation, header.attempt);
        let sight = stream.account.see(header.sequence, origin);
        if let Some(committed) = &mut self.committed {
            let tell = shown_again(&self.topic, self.partition, &self.streams);
            committed.message(index, header, offset, origin, tell);
        }
        witness.message(header, sight.is_first_copy());
        let copy = |cause| Some(FurtherCopy { cause, sent_s: header.sent_ns() / SECOND_NS });
        let (tally, copy) = match sight {
            Sight::New | Sight::Late => return,
            // Order is promised within a session; a record of an ended one is told as a zombie's write.
            Sight::Reordered if header.incarnation < self.streams[index].incarnation => return,
            Sight::Reordered => (&mut self.tallies.reordered, None),
            Sight::DuplicateRetry(cause) => (&mut self.tallies.duplicate_retry, copy(cause)),
            Sight::DuplicateResend(cause) => (&mut self.tallies.duplicate_resend, copy(cause)),
        };
        tally.add(1, Spot { copy, ..spot(&self.topic, self.partition, here(), offset) });
    }

    #[inline]
    fn find(&mut self, id: u32) -> Option<usize> {
        if self.streams.get(self.latest).is_none_or(|stream| stream.id != id) {
            self.latest = self.streams.binary_search_by_key(&id, |stream| stream.id).ok()?;
        }
        Some(self.latest)
    }

    #[inline]
    fn is_reserved(&mut self, index: usize, sequence: u64) -> bool {
        let stream = &mut self.streams[index];
        if sequence >= stream.reserved {
            stream.reserved = self.marks.reserved(stream.id).unwrap_or(0);
        }
        sequence < stream.reserved
    }

    /// Its topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// One past the last offset that was shown or known to be hidden.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The first offset that the log still has, if it was observed.
    pub fn log_start(&self) -> Option<i64> {
        self.log_start
    }

    /// The last stable offset, if it was observed.
    pub fn last_stable(&self) -> Option<i64> {
        self.last_stable
    }

    /// Sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What was counted record by record.
    pub fn tallies(&self) -> RecordTallies {
        let mut tallies = self.tallies.clone();
        self.others.add_unknown_to(&mut tallies.corrupt);
        tallies
    }

    /// What the log shows beside its records; nothing for the application's eye.
    pub fn log_facts(&self) -> Option<LogFacts> {
        self.log.as_ref().map(|log| log.facts)
    }

    /// The first offsets of which the leader brought nothing, without an error, though its log goes on behind them.
    pub fn unproved(&self) -> Option<&Range<i64>> {
        self.log.as_ref().and_then(|log| log.unproved.as_ref())
    }

    /// The digest, if it was asked for.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The sum of what the markers make visible; without [`Self::with_digest`] it is zero.
    pub fn committed_sum(&self) -> Option<Sum> {
        self.committed.as_ref().map(|committed| committed.sum)
    }

    /// The first transaction whose marker was not seen, where markers are followed: producer id and first offset.
    pub fn first_open(&self) -> Option<(i64, i64)> {
        self.committed.as_ref().and_then(|committed| committed.first_open())
    }

    /// What the markers make visible, as an account of its own; `None` where they are not followed. Order, damage and
    /// the like are told by this account alone.
    pub fn take_committed(&mut self) -> Option<Self> {
        let committed = *self.committed.take()?;
        let streams = self.streams.iter().zip(committed.streams);
        Some(Self {
            run: self.run,
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            marks: Arc::clone(&self.marks),
            streams: streams.map(|(stream, account)| Stream { account, ..*stream }).collect(),
            latest: 0,
            position: self.position,
            log_start: self.log_start,
            last_stable: self.last_stable,
            totals: committed.totals,
            tallies: committed.tallies,
            others: OtherRuns::default(),
            origin: self.origin,
            log: None,
            committed: None,
            digest: None,
        })
    }

    /// Its streams with their accounts.
    pub fn streams(&self) -> impl Iterator<Item = (u32, &StreamAccount)> {
        self.streams.iter().map(|stream| (stream.id, &stream.account))
    }
}

fn spot(topic: &str, partition: u32, message: Option<(u32, u64)>, offset: i64) -> Spot<'_> {
    Spot { topic, partition, message, offset: Some(offset), copy: None }
}

/// Adds duplicates that become visible to their tally.
fn shown_again(
    topic: &str,
    partition: u32,
    streams: &[Stream],
) -> impl FnMut(&mut Tally, usize, u64, i64, FurtherCopy) {
    move |tally, stream, sequence, offset, copy| {
        let message = Some((streams[stream].id, sequence));
        tally.add(1, Spot { copy: Some(copy), ..spot(topic, partition, message, offset) });
    }
}
