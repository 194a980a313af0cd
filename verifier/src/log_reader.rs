//! The log's eye: the whole log as the brokers keep it, by `ackmark_wire`.
//!
//! Each partition's account is a visitor of a scan. It is shown every batch with its producer and every marker, so that
//! causes, gaps and the fate of transactions can be told; see [`crate::accounting`]. What cannot be read (a batch whose
//! checksum is wrong) is no gap: it leaves the scan incomplete. So does, unless the topic is compacted, that a leader
//! brings nothing where its log goes on ([`PartitionAccount::unproved`]): the policy is asked for by [`crate::scans`].
//!
//! Limits: what is asked of the log at rest, between offsets that are known; message format v2. Security and protocol
//! that `ackmark_wire` does not speak are told by [`LogReaderError::is_not_spoken`], before anything is read.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use ackmark_client::ClientProperties;
use ackmark_ledger::ReservedMarks;
use ackmark_schema::{manifest::Manifest, report::verify::Isolation};
use ackmark_wire::{
    batch::{Batch, BatchError, BatchHeader},
    codec::Decompressor,
    config::{ConfigError, WireConfig},
    error::WireError,
    record::Marker,
    scan::{self, Outcome, Visitor},
};
use thiserror::Error;

use crate::{
    accounting::{Eye, PartitionAccount},
    evidence::ScanAccounts,
    observation::{self, Ending, Observation, Record},
    reader::{ScanOutcome, ScanPlan, ScanState},
};

/// Name of this reader in reports.
pub const LOG_READER: &str = "log-reader";
/// Name, in reports, of what the markers that it saw make visible.
pub const BY_MARKERS: &str = "log-reader-markers";

/// The log could not be read at all.
#[derive(Debug, Error)]
pub enum LogReaderError {
    /// The client properties are not for it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The brokers are not for it, or cannot be asked.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl LogReaderError {
    /// Whether a librdkafka consumer may still read.
    pub fn is_not_spoken(&self) -> bool {
        match self {
            Self::Config(error) => error.is_unsupported(),
            Self::Wire(error) => error.is_not_spoken(),
        }
    }
}

/// Reads all targets from their starts to `state.ends`, which must be known. `tick` runs on the calling thread twenty
/// times per second.
///
/// # Errors
/// Properties or brokers that it cannot use. What cannot be read leaves the scan incomplete.
///
/// # Panics
/// When ends are not known.
pub fn scan(
    plan: &ScanPlan<'_>,
    state: &ScanState,
    stop: &AtomicBool,
    mut tick: impl FnMut(),
) -> Result<ScanOutcome, LogReaderError> {
    let begun = Instant::now();
    let config = config(plan.connection)?;
    let ends = state.ends.get().expect("a log is read at rest");
    let target = |(target, end): (&crate::reader::Target, &i64)| {
        let topic = plan.manifest.topics[target.topic as usize].name.clone();
        let mut visitor = LogVisitor::new(plan.manifest, target, plan.marks, *end);
        if plan.digest {
            visitor = visitor.with_digest();
        }
        (scan::Target { topic, partition: target.partition as i32, start: target.start, end: *end }, visitor)
    };
    let targets = plan.targets.iter().zip(ends).map(target).collect();
    let limits = scan::Limits {
        no_progress: plan.limits.no_progress,
        deadline: plan.limits.deadline,
        ..scan::Limits::default()
    };
    let wire_plan = scan::ScanPlan { limits, ..scan::ScanPlan::new(&config) };
    let scanned = scan::scan(&wire_plan, targets, stop, |progress| {
        state.records.store(progress.records, Ordering::Relaxed);
        tick();
    })?;
    let mut accounts = ScanAccounts {
        isolation: Isolation::ReadUncommitted,
        incomplete: None,
        partitions: Vec::with_capacity(scanned.len()),
        sightings: None,
    };
    for part in scanned {
        let (account, unreadable) = part.visitor.into_parts();
        let unreadable = unreadable.map(|what| format!("{}-{}: {what}", account.topic(), account.partition()));
        let stands = match part.outcome {
            Outcome::Complete => None,
            Outcome::Incomplete { reason } => Some(reason),
        };
        accounts.incomplete = accounts.incomplete.or(unreadable).or(stands);
        accounts.partitions.push(account);
    }
    accounts.partitions.sort_by(|a, b| (a.topic(), a.partition()).cmp(&(b.topic(), b.partition())));
    Ok(ScanOutcome { accounts, latency: None, duration: begun.elapsed() })
}

/// How the log reader, and what else speaks to brokers here, reaches them.
///
/// # Errors
/// It does not speak what the properties ask for.
pub(crate) fn config(connection: &ClientProperties) -> Result<WireConfig, ConfigError> {
    WireConfig::from_properties(
        connection.connection_only().iter().map(|property| (property.name.as_str(), property.value.as_str())),
    )
}

/// Feeds a partition's account with what a scan hands over.
#[derive(Debug)]
pub struct LogVisitor {
    account: PartitionAccount,
    /// One past the last offset that counts.
    end: i64,
    unreadable: Option<String>,
}

impl LogVisitor {
    /// An empty account of a target, for offsets below `end`.
    pub fn new(manifest: &Manifest, target: &crate::reader::Target, marks: &Arc<ReservedMarks>, end: i64) -> Self {
        let marks = Arc::clone(marks);
        let mut account =
            PartitionAccount::new(manifest, target.topic, target.partition, target.start, marks, Eye::Log);
        account.observe(&Observation::LogStart(target.log_start), &mut ());
        Self { account, end, unreadable: None }
    }

    /// As [`PartitionAccount::with_digest`].
    #[must_use]
    pub fn with_digest(mut self) -> Self {
        self.account = self.account.with_digest();
        self
    }

    /// What was seen, and why some of it could not be read.
    pub fn into_parts(self) -> (PartitionAccount, Option<String>) {
        (self.account, self.unreadable)
    }

    #[cold]
    fn control(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        let header = &batch.header;
        for record in batch.records(decompressor)? {
            let record = record?;
            let ending = match Marker::of(&record)? {
                Marker::Commit { .. } => Ending::Commit,
                Marker::Abort { .. } => Ending::Abort,
                Marker::Other(_) => continue,
            };
            let marker = observation::Marker { offset: record.offset, producer_id: header.producer_id, ending };
            self.account.observe(&Observation::Marker(marker), &mut ());
        }
        // Other control records are none of a transaction's, and no gap either.
        self.account.observe(&Observation::End(header.base_offset), &mut ());
        let rest = Observation::Hidden { from: header.base_offset, end: header.next_offset() };
        self.account.observe(&rest, &mut ());
        Ok(())
    }
}

fn facts(header: &BatchHeader) -> observation::Batch {
    observation::Batch {
        base_offset: header.base_offset,
        leader_epoch: header.partition_leader_epoch,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.is_transactional(),
    }
}

impl Visitor for LogVisitor {
    fn log_start(&mut self, offset: i64) {
        self.account.observe(&Observation::LogStart(offset), &mut ());
        // What retention takes while the log is read is no gap.
        let position = self.account.position();
        self.account.observe(&Observation::Hidden { from: position, end: offset.min(self.end) }, &mut ());
    }

    fn last_stable(&mut self, offset: i64) {
        self.account.observe(&Observation::LastStableOffset(offset), &mut ());
    }

    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        let header = &batch.header;
        let first = self.account.position();
        if header.next_offset() <= first || header.base_offset >= self.end {
            return Ok(());
        }
        if header.is_control() {
            return self.control(batch, decompressor);
        }
        self.account.observe(&Observation::Batch(facts(header)), &mut ());
        for record in batch.records(decompressor)? {
            let record = record?;
            if record.offset >= first && record.offset < self.end {
                self.account.record(&Record { offset: record.offset, value: record.value }, &mut ());
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, from: i64, end: i64, error: &(dyn Error + 'static)) {
        let end = end.min(self.end);
        self.account.observe(&Observation::End(from.min(end)), &mut ());
        self.account.observe(&Observation::Hidden { from, end }, &mut ());
        self.unreadable.get_or_insert_with(|| format!("offsets {from}..{end} cannot be read: {error}"));
    }

    fn nothing(&mut self, from: i64, end: i64) {
        let end = end.min(self.end);
        self.account.observe(&Observation::Nothing { from: from.min(end), end }, &mut ());
    }

    fn end(&mut self, offset: i64) {
        self.account.observe(&Observation::End(offset.min(self.end)), &mut ());
    }
}
