//! Partitions read from start to end.

use std::{error::Error, time::Duration};

use crate::{
    batch::{Batch, BatchError},
    codec::Decompressor,
    config::WireConfig,
    fetch::FetchSizes,
};

/// What is to be read of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The first offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

/// Takes what is read of one partition, on the thread that reads it at the moment.
///
/// Batches come in the order of the log, each once; between them and `unreadable` ranges nothing that the log had
/// was left out, so a gap in offsets is a gap in the log.
pub trait Visitor: Send {
    /// The first offset that the log has, when it changes: compaction leaves it, retention raises it.
    fn log_start(&mut self, offset: i64);

    /// Up to where no transaction is open, when it changes.
    fn last_stable(&mut self, offset: i64);

    /// A batch with a right checksum. The first may begin below the target's start, the last may reach beyond its end:
    /// records outside are the visitor's to skip.
    ///
    /// # Errors
    /// Records that cannot be read; the batch is then told as unreadable.
    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError>;

    /// What stands from `from` to `end` (exclusive) cannot be read. The scan goes on behind it.
    fn unreadable(&mut self, from: i64, end: i64, error: &(dyn Error + 'static));

    /// All that the log has below `offset`, the target's end, was handed over.
    fn end(&mut self, offset: i64);
}

/// How long a scan may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time in which no partition comes further.
    pub no_progress: Duration,
    /// Longest time for the scan as a whole.
    pub deadline: Duration,
    /// Longest time in which a broker that was asked sends nothing; then the partition's leader is looked for again.
    pub silence: Duration,
}

impl Default for Limits {
    /// A minute without progress, a day in all; a broker may be silent for 10 s (an ousted leader is replaced after
    /// `broker.session.timeout.ms`, 9 s).
    fn default() -> Self {
        Self {
            no_progress: Duration::from_mins(1),
            deadline: Duration::from_hours(24),
            silence: Duration::from_secs(10),
        }
    }
}

/// How to scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanPlan<'a> {
    /// How to reach the brokers.
    pub config: &'a WireConfig,
    /// Bounds.
    pub limits: Limits,
    /// Size of fetches.
    pub sizes: FetchSizes,
    /// Connections to each broker; unless given, two where one broker leads all, else one.
    pub connections_per_broker: Option<usize>,
}

impl<'a> ScanPlan<'a> {
    /// One with all defaults.
    pub fn new(config: &'a WireConfig) -> Self {
        Self { config, limits: Limits::default(), sizes: FetchSizes::default(), connections_per_broker: None }
    }
}

/// How far a scan has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Records handed over, by the batches' headers; control records are among them.
    pub records: u64,
    /// Bytes of the batches handed over, as they lie in the log.
    pub bytes: u64,
    /// Partitions that are not finished.
    pub unfinished: usize,
    /// Time since the scan began.
    pub elapsed: Duration,
    /// The latest trouble.
    pub trouble: Option<String>,
}

/// Whether a partition was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was; ranges that cannot be read were told to the visitor.
    Complete,
    /// It was not.
    Incomplete {
        /// Where it stands, and why.
        reason: String,
    },
}

/// A partition after a scan.
#[derive(Debug)]
pub struct Scanned<V> {
    /// What was to be read.
    pub target: Target,
    /// Who took it.
    pub visitor: V,
    /// The next offset that would be read.
    pub position: i64,
    /// Whether all was read.
    pub outcome: Outcome,
}
