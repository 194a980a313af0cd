//! One partition as a scan has seen it.
//!
//! Fed with observations in the order in which a reader was shown them. The state is independent of other
//! partitions, so each is owned by the thread that reads it. What can be told record by record is counted
//! here (duplicates, order, strangers, damage, inventions); what needs the ledger's states is left to
//! [`crate::evidence`].
//!
//! A damaged record's header is not trusted: it counts as corrupt, and its message as not seen; whether it is
//! another run's is told by the rule of `others`.

use std::sync::Arc;

use ackmark_ledger::ReservedMarks;
use ackmark_schema::{
    manifest::Manifest,
    record::{Decoded, Header},
};

use crate::{
    observation::{Observation, Record},
    others::{OtherRuns, Owner},
    stream::{Sight, StreamAccount},
    tally::{Spot, Tally},
};

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
    /// After a higher sequence.
    pub reordered: Tally,
    /// Never reserved, or in a partition that is not its stream's.
    pub phantom: Tally,
    /// Damaged.
    pub corrupt: Tally,
    /// Of an older incarnation than one before it in the stream.
    pub zombie: Tally,
    /// At an offset that does not follow the one before.
    pub non_monotonic: Tally,
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
}

impl PartitionAccount {
    /// An empty account of `partition` of the manifest's topic number `topic`, read from `start`.
    pub fn new(manifest: &Manifest, topic: u32, partition: u32, start: i64, marks: Arc<ReservedMarks>) -> Self {
        let of_here =
            |stream: &&ackmark_schema::manifest::Stream| stream.topic == topic && stream.partition == partition;
        let all = manifest.producers.iter().flat_map(|producer| &producer.streams);
        let mut streams: Vec<_> = all
            .filter(of_here)
            .map(|stream| Stream { id: stream.stream, reserved: 0, incarnation: 0, account: StreamAccount::default() })
            .collect();
        streams.sort_by_key(|stream| stream.id);
        Self {
            run: manifest.run,
            topic: manifest.topics[topic as usize].name.as_str().into(),
            partition,
            marks,
            streams,
            latest: 0,
            position: start,
            log_start: None,
            last_stable: None,
            totals: Totals::default(),
            tallies: RecordTallies::default(),
            others: OtherRuns::default(),
        }
    }

    /// Takes one observation.
    pub fn observe(&mut self, observation: &Observation<'_>, witness: &mut impl Witness) {
        match *observation {
            Observation::Records(records) => records.iter().for_each(|record| self.record(record, witness)),
            Observation::ControlBatch { first, last } => self.hidden(first, last + 1),
            Observation::OffsetGap { from, end } => self.hidden(from, end),
            Observation::LogStart(offset) => self.log_start = self.log_start.max(Some(offset)),
            Observation::LastStableOffset(offset) => self.last_stable = Some(offset),
            Observation::End(offset) => self.hidden(self.position, offset),
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

    #[inline]
    fn record(&mut self, record: &Record<'_>, witness: &mut impl Witness) {
        if record.offset < self.position {
            self.tallies.non_monotonic.add(1, spot(&self.topic, self.partition, None, record.offset));
        }
        self.position = record.offset.saturating_add(1);
        let Some(value) = record.value else {
            self.totals.strangers += 1;
            return;
        };
        self.totals.value_bytes += value.len() as u64;
        match Header::decode(value) {
            Decoded::Ours(header) => self.message(record.offset, &header, witness),
            Decoded::Stranger => self.totals.strangers += 1,
            Decoded::Corrupt(_) => self.damaged(record.offset, value),
        }
    }

    #[cold]
    fn damaged(&mut self, offset: i64, value: &[u8]) {
        let spot = spot(&self.topic, self.partition, None, offset);
        match self.others.owner(value, self.run) {
            Owner::ThisRun => self.tallies.corrupt.add(1, spot),
            Owner::Stranger => self.totals.strangers += 1,
            Owner::Unknown(run) => self.others.keep(run, spot),
        }
    }

    /// A sound record of another run; its sentinels are no strangers' messages but tell of it too.
    #[cold]
    fn stranger(&mut self, header: &Header) {
        self.totals.strangers += u64::from(!header.sentinel) + self.others.sound(header.run);
    }

    /// Accounts for a sound header at an offset.
    #[inline]
    pub fn message(&mut self, offset: i64, header: &Header, witness: &mut impl Witness) {
        if header.run != self.run {
            return self.stranger(header);
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
        let sight = stream.account.see(header.sequence, header.attempt);
        witness.message(header, !matches!(sight, Sight::DuplicateRetry | Sight::DuplicateResend));
        let tally = match sight {
            Sight::New | Sight::Late => return,
            Sight::Reordered => &mut self.tallies.reordered,
            Sight::DuplicateRetry => &mut self.tallies.duplicate_retry,
            Sight::DuplicateResend => &mut self.tallies.duplicate_resend,
        };
        tally.add(1, spot(&self.topic, self.partition, here(), offset));
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

    /// Its streams with their accounts.
    pub fn streams(&self) -> impl Iterator<Item = (u32, &StreamAccount)> {
        self.streams.iter().map(|stream| (stream.id, &stream.account))
    }
}

fn spot(topic: &str, partition: u32, message: Option<(u32, u64)>, offset: i64) -> Spot<'_> {
    Spot { topic, partition, message, offset: Some(offset) }
}
