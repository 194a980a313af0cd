//! `ackmark verify`: one accounting of a log against its ledger.

use std::{cell::Cell, path::PathBuf, sync::atomic::Ordering, time::Duration};

use ackmark_ledger::OnDamage;
use ackmark_schema::report::verify::{Isolation, ReaderChoice};
use ackmark_verifier::{ProgressEvent, VerifyError, VerifyOptions, log_reader::LogReaderError};
use clap::ValueEnum;

use super::process;
use crate::{
    arguments::{Output, Progress},
    connection::{self, Properties, Servers},
    exit::Exit,
    interrupt, print,
    problem::Problem,
    progress::{Event, Reporter},
};

/// What to do about a ledger that is damaged.
const SALVAGE: &str = "--damaged-ledger salvage judges by what of it can be read, inconclusively at best";
/// How often the reading is told.
const INTERVAL: Duration = Duration::from_secs(1);

/// Account for every message of a load in Kafka's log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It reads the whole log from where the load began and writes nothing to the cluster. The log reader reads the log as
brokers keep it, and sees producers, sequences and transaction markers; a consumer sees what applications are shown.
With --reader both they are held against each other: where they differ nothing is judged, and the exit code is 1.

When something breaks:
  A scan that makes no progress for a minute (two while it follows a load and nothing is sent) ends, as does one whose \
topic is deleted; answers of brokers are waited for half a minute. What was read until then is in verify.json, and the \
verdict is inconclusive.
  A ledger that is damaged or was not copied whole is refused, with the byte and the cause. With --damaged-ledger \
salvage the log is judged by what is sound of it: of messages that it does not tell any more nothing is claimed, and the \
verdict is inconclusive, or broken by what is known. Of a load that was killed the states of messages have no checksum: damage to them is not seen.

Examples:
  ackmark verify run1 -b localhost:9092
  ackmark verify run1 -b localhost:9092 --reader both")]
pub(crate) struct Arguments {
    /// The folder of the load, or of an `ackmark process`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Threads of a reading consumer
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Read while the load is running, until its log is closed
    #[arg(long)]
    follow: bool,
    /// One scan of this level, by a consumer [default: those that the promise is about]
    #[arg(long, value_name = "LEVEL")]
    isolation: Option<Level>,
    /// Who reads the log at rest
    #[arg(long, value_name = "WHO", default_value = "auto")]
    reader: Who,
    /// What to do with a ledger that is damaged
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    damaged_ledger: DamagedLedger,
    /// The database of its effects, for the folder of an `ackmark process deduplicate` that was given one
    #[arg(long, value_name = "URL", env = "ACKMARK_DATABASE", hide_env_values = true)]
    database: Option<String>,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DamagedLedger {
    /// Judge nothing
    Refuse,
    /// Judge by what is sound of it; not with --follow. What is not a ledger of this load is refused all the same
    Salvage,
}

impl From<DamagedLedger> for OnDamage {
    fn from(choice: DamagedLedger) -> Self {
        match choice {
            DamagedLedger::Refuse => Self::Refuse,
            DamagedLedger::Salvage => Self::Salvage,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Level {
    /// All records
    ReadUncommitted,
    /// What is in no transaction or in a committed one
    ReadCommitted,
}

impl From<Level> for Isolation {
    fn from(level: Level) -> Self {
        match level {
            Level::ReadUncommitted => Self::ReadUncommitted,
            Level::ReadCommitted => Self::ReadCommitted,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    /// The log reader, and a consumer for what `read_committed` shows; a consumer alone where the log reader does not
    /// speak what the cluster needs
    Auto,
    /// The log reader alone; what `read_committed` shows follows from the markers
    Log,
    /// A consumer alone
    Consumer,
    /// Both, compared with each other
    Both,
}

impl From<Who> for ReaderChoice {
    fn from(who: Who) -> Self {
        match who {
            Who::Auto => Self::Auto,
            Who::Log => Self::Log,
            Who::Consumer => Self::Consumer,
            Who::Both => Self::Both,
        }
    }
}

/// Accounts for a load, or for what a group of consumers did, and tells the verdict.
///
/// # Errors
/// Nothing could be verified at all.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let stop = interrupt::watch()?;
    let connection = connection::resolve(&arguments.servers, &arguments.properties)?;
    if let Some(report) = process::report_of(&arguments.folder)? {
        let judged = process::judge_by(&arguments.folder, report, &connection, arguments.database.as_deref(), &stop)?;
        return process::tell(&judged, arguments.output);
    }
    let options = VerifyOptions {
        threads: arguments.threads as usize,
        follow: arguments.follow,
        isolation: arguments.isolation.map(Isolation::from),
        reader: arguments.reader.into(),
        damaged_ledger: arguments.damaged_ledger.into(),
        ..VerifyOptions::new(connection)
    };
    let teller = Teller::new(Reporter::new(arguments.progress.progress, "verify"));
    let report = ackmark_verifier::verify(&arguments.folder, &options, &teller, &stop).map_err(|error| {
        let is_to_be_salvaged = options.damaged_ledger == OnDamage::Refuse && is_damage(&error);
        let problem = problem(&error);
        if is_to_be_salvaged { problem.hint(SALVAGE) } else { problem }
    })?;
    drop(teller);
    arguments.output.print(&report, || print::verify::document(&report))?;
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::of_verdict(report.verdict) })
}

fn is_damage(error: &VerifyError) -> bool {
    matches!(error, VerifyError::Ledger(cause) if cause.damage().is_some())
}

/// A folder or a cluster that is not the load's is bad input.
fn problem(error: &VerifyError) -> Problem {
    match error {
        VerifyError::Client(error) => connection::problem(error),
        VerifyError::File { .. } | VerifyError::ReadersDiffer { .. } => Problem::failed(error),
        VerifyError::Log(cause) => {
            let problem = match cause {
                LogReaderError::Config(_) => Problem::refused(error),
                LogReaderError::Wire(_) => Problem::failed(error),
            };
            if cause.is_not_spoken() { problem.hint("leave --reader out, or give --reader consumer") } else { problem }
        }
        VerifyError::Interrupted => Problem { exit: Exit::Interrupted, ..Problem::failed(error) },
        _ => Problem::refused(error),
    }
}

/// The verifier's events, told once a second.
struct Teller {
    reporter: Reporter,
    last: Cell<Option<(Duration, u64)>>,
}

impl Teller {
    fn new(reporter: Reporter) -> Self {
        Self { reporter, last: Cell::new(None) }
    }

    fn scanning(&self, records: u64, offsets: Option<u64>, elapsed: Duration) {
        // A second scan begins anew.
        let (since, before) = self.last.get().filter(|(at, _)| *at <= elapsed).unwrap_or_default();
        let interval = elapsed.saturating_sub(since);
        if interval < INTERVAL {
            return;
        }
        self.last.set(Some((elapsed, records)));
        self.reporter.tell(&Event::Verify {
            elapsed_s: elapsed.as_secs_f64(),
            messages: records,
            expected: offsets,
            rate_per_s: records.saturating_sub(before) as f64 / interval.as_secs_f64(),
        });
    }
}

impl ackmark_verifier::Progress for Teller {
    fn event(&self, event: &ProgressEvent<'_>) {
        match event {
            ProgressEvent::Scanning { records, offsets, elapsed, .. } => self.scanning(*records, *offsets, *elapsed),
            ProgressEvent::Note(note) => self.reporter.say(note),
            ProgressEvent::Waiting(_) | ProgressEvent::Scanned(_) => {}
        }
    }
}
