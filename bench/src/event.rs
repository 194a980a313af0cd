//! What a run tells while it goes on. Nothing is printed here: the caller decides what people see.

use std::{path::PathBuf, sync::Arc};

use ackmark_schema::result::{Trial, WarmUpRecord, Warning};
use serde::Deserialize;

/// Takes events; called from several tasks, so it must be quick.
pub type Events = Arc<dyn Fn(BenchEvent) + Send + Sync>;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum BenchEvent {
    /// The result folder is there; all checks that need no load have passed.
    Ready {
        /// The result folder.
        folder: PathBuf,
        /// Trials that will run.
        trials: u32,
    },
    /// An interval of the brokers' warm-up has ended.
    WarmUp {
        /// Its number, from 0.
        interval: usize,
        /// Its throughput.
        rate_per_s: f64,
        /// Messages sent so far.
        messages: u64,
    },
    /// The brokers are warm, or the bounds were reached.
    WarmedUp(WarmUpRecord),
    /// A trial begins.
    TrialStarted {
        /// Its number, from 0.
        index: u32,
        /// Trials of the plan.
        total: u32,
        /// Phase name.
        phase: String,
        /// Profile name.
        profile: String,
        /// Round, from 0.
        round: u32,
    },
    /// A child tells how far it is.
    Progress(Progress),
    /// A child said something that is no progress.
    Talk {
        /// Who.
        child: ChildKind,
        /// A line of its stderr.
        line: String,
    },
    /// A trial has ended, however it did.
    TrialFinished(Box<Trial>),
    /// A line for people.
    Said(String),
    /// Something that the result's reader should know.
    Warning(Warning),
    /// A file or folder was written.
    Written(PathBuf),
}

/// A child process by its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildKind {
    /// `ackmark load`.
    Load,
    /// `ackmark seal`.
    Seal,
    /// `ackmark verify`.
    Verify,
    /// `ackmark process`.
    Process,
}

impl ChildKind {
    /// The subcommand.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Seal => "seal",
            Self::Verify => "verify",
            Self::Process => "process",
        }
    }
}

/// A progress line of a child: figures of its last interval, unless they are totals.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// A load.
    Load {
        /// Since its start.
        elapsed_s: f64,
        /// Delivered in total.
        messages: u64,
        /// Delivered per second.
        rate_per_s: f64,
        /// Delivery errors in total.
        errors: u64,
        /// Outstanding now.
        outstanding: u64,
        /// 99th percentile of latency from the intended time; none as fast as possible.
        #[serde(default)]
        p99_us: Option<u64>,
    },
    /// An accounting.
    Verify {
        /// Since its start.
        elapsed_s: f64,
        /// Read in total.
        messages: u64,
        /// To be read, where known.
        #[serde(default)]
        expected: Option<u64>,
        /// Read per second.
        rate_per_s: f64,
    },
}
