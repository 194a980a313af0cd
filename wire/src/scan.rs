//! Partitions read from start to end, over as many brokers as lead them.
//!
//! ```text
//! coordinator (the calling thread)                      readers (a thread and a connection each)
//! waiting ─► ask for leaders ─► deal to readers ─────►  fetch ahead, judge, hand over to visitors
//!    ▲                                                    │
//!    └── leader moved, connection lost, log too short ◄───┼──► at its end ─► finished
//! ```
//!
//! What is handed over: each batch of the log once, in order, its checksum right. A partition's position moves only
//! when a batch was handed over, and an answer counts only if it was asked for at that position, so neither retries nor
//! new leaders repeat or skip anything. What was written by transactions that are open or aborted is among it.
//!
//! What cannot be read is told, never guessed: a batch that cannot be read is fetched again; if it still cannot, the
//! scan goes on where a sound batch proves the way (behind it in the same bytes, or at a higher offset that the broker
//! finds by its index). A position below the log's start goes on at the start, which is told. Where a broker twice
//! brings nothing though its high watermark lies further on, the scan goes on there and tells that too: compaction
//! leaves a log so, but a broker that waits in vain for a tiered segment answers the same.
//!
//! Bounds: a broker that sends nothing for `silence` is given up and the leader looked for again, by waits of 50 ms
//! doubled to 1 s. The scan ends by `no_progress` after the last step of any partition, by `deadline` in any case, and
//! within 100 ms when it is stopped (a visitor that works longer on one batch is waited for). A partition that brokers
//! deny for 5 s is given up, one whose log ends below the target's end after `no_progress`. Memory: a connection has
//! one buffer as large as its largest answer (16 MiB and a batch), and one for the records of the compressed batch at
//! hand: 1 GiB at the most, of which 32 MiB are kept for the next one.
//!
//! Limits: logs in tiered storage were not tried. A host name's lookup ends when the system's resolver ends it.

mod coordinator;
mod reader;
mod reading;

use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    batch::{Batch, BatchError},
    codec::Decompressor,
    config::WireConfig,
    error::WireError,
    fetch::FetchSizes,
};

use self::{
    coordinator::Coordinator,
    reading::{Counters, Shared},
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
/// Batches come in the order of the log, each once; between them and the ranges of `unreadable` and `nothing` nothing
/// that the log had was left out, so a gap in offsets is a gap in the log.
pub trait Visitor: Send {
    /// The first offset that the log has, when it changes: compaction leaves it, retention raises it.
    fn log_start(&mut self, offset: i64);

    /// Up to where no transaction is open, when it changes.
    fn last_stable(&mut self, offset: i64);

    /// A batch with a right checksum. The first may begin below the target's start or the log's, the last may reach
    /// beyond the target's end: records outside are the visitor's to skip.
    ///
    /// # Errors
    /// Records that cannot be read; the batch is then told as unreadable.
    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError>;

    /// What stands from `from` to `end` (exclusive) cannot be read. The scan goes on behind it.
    fn unreadable(&mut self, from: i64, end: i64, error: &(dyn Error + 'static));

    /// The leader twice answered with nothing at `from`, without an error, though its log goes on to `end` (exclusive)
    /// or beyond. A compacted log may have nothing there; of any other log it was not read.
    fn nothing(&mut self, from: i64, end: i64);

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
    /// Longest time in which a broker that was asked sends nothing, beyond what a Fetch lets it wait and what it says
    /// that it delays for a quota; then the partition's leader is looked for again.
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
    /// It was; ranges that cannot be read, or where a broker brought nothing, were told to the visitor.
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

/// Reads all targets. `tick` runs on the calling thread, twenty times a second. Results come in the order of the
/// targets.
///
/// # Errors
/// The brokers cannot be used at all (not spoken, not let in), or a thread panicked. Brokers that do not answer leave
/// partitions incomplete.
pub fn scan<V: Visitor>(
    plan: &ScanPlan<'_>,
    targets: Vec<(Target, V)>,
    stop: &AtomicBool,
    mut tick: impl FnMut(&Progress),
) -> Result<Vec<Scanned<V>>, WireError> {
    let halt = AtomicBool::new(false);
    let counters = Counters::default();
    let shared = Shared { plan, halt: &halt, counters: &counters, begun: Instant::now() };
    thread::scope(|scope| {
        let _halted = HaltOnDrop(&halt);
        Coordinator::new(scope, shared, targets).run(stop, &mut tick)
    })
}

/// A tick that panics must not leave threads behind that nobody ends.
struct HaltOnDrop<'a>(&'a AtomicBool);

impl Drop for HaltOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
