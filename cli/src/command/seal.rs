//! `ackmark seal`: closes a log after a load.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ackmark_client::{
    ClientProperties, LogSink,
    seal::{self, SealPlan},
};
use ackmark_ledger::{LedgerReader, refuse_writers};
use ackmark_schema::{
    manifest::Manifest,
    report::{
        seal::{SEAL_FILE, SealReport, SealState},
        verify::LedgerCounts,
    },
    text,
    units::Span,
};

use crate::{
    arguments::Output,
    connection::{self, Properties, Servers},
    exit::Exit,
    folder, print,
    problem::Problem,
};

/// Close a topic's log after a load, so that it can be judged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The load must have ended: while one of its producers still writes, the command is refused, as `load --resume` is \
while this runs. So is a ledger that is damaged: the seal writes down how much was sent, and later verdicts rely on it.
It fences the run's transactional ids, waits for open transactions to end, and writes one last record to each \
partition. `ackmark load` does so at its end unless --no-seal is given.
What cannot be done within --timeout (and the 5 s of an answer under way) leaves the log open, with the reason in \
seal.json: every verdict is inconclusive until another seal has closed it. A log that was closed stays closed.

Example:
  ackmark seal run1 -b localhost:9092")]
pub(crate) struct Arguments {
    /// The folder of the load
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    output: Output,
}

/// How long a seal waits.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Timing {
    /// The deadline; what is not closed by then is left unsealed
    #[arg(long = "timeout", id = "seal_timeout", value_name = "TIME", default_value_t = Timing::default().timeout)]
    pub(crate) timeout: Span,
    /// How long ends must stand still where messages without acknowledgement may still arrive
    #[arg(long = "quiet-time", value_name = "TIME", default_value_t = Timing::default().quiet)]
    pub(crate) quiet: Span,
}

impl Default for Timing {
    fn default() -> Self {
        Self { timeout: Span(Duration::from_mins(1)), quiet: Span(Duration::from_secs(2)) }
    }
}

/// Closes the log of a load folder.
///
/// # Errors
/// No load folder, one whose producers have not ended, a Kafka that cannot be reached, a report that cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let connection = connection::resolve(&arguments.servers, &arguments.properties)?;
    let manifest = folder::manifest(&arguments.folder)?;
    let report = close(&arguments.folder, &manifest, &connection, arguments.timing)?;
    arguments.output.print(&report, || print::seal::document(&report))?;
    Ok(match report.state {
        SealState::Sealed => Exit::Success,
        SealState::Unsealed { .. } => Exit::Inconclusive,
    })
}

/// Closes the log and writes the report to the folder, unless it failed to close a log that is known to be closed.
///
/// # Errors
/// As [`run`].
pub(crate) fn close(
    folder: &Path,
    manifest: &Manifest,
    connection: &ClientProperties,
    timing: Timing,
) -> Result<SealReport, Problem> {
    // Until the end: what a load sent meanwhile would not be closed.
    let _at_rest = refuse_writers(folder, manifest).map_err(|error| Problem::refused(&error))?;
    let counts = LedgerReader::open(folder, manifest).map_err(|error| Problem::refused(&error))?.counts();
    let plan = SealPlan {
        run: manifest.run,
        topics: manifest.topics.iter().map(|topic| topic.name.clone()).collect(),
        transactional_ids: manifest.producers.iter().filter_map(|producer| producer.transactional_id.clone()).collect(),
        unacknowledged: may_arrive_late(&counts),
        quiet: timing.quiet.0,
        timeout: timing.timeout.0,
    };
    let mut report = seal::seal(connection, &plan, &LogSink::discard()).map_err(|error| connection::problem(&error))?;
    report.messages_reserved = Some(counts.reserved);
    report.messages_resent = Some(counts.resent);
    let is_closed = matches!(report.state, SealState::Sealed);
    if is_closed || !was_closed(folder, &report) {
        folder::write(folder, SEAL_FILE, &report)?;
    }
    Ok(report)
}

/// Whether something may still come into the log that no broker has acknowledged. Where a message was sent again, the
/// counts tell the best that is known of it: one attempt is acknowledged, the other may be under way.
fn may_arrive_late(counts: &LedgerCounts) -> bool {
    counts.acknowledged < counts.reserved || counts.resent > 0
}

/// Whether an earlier seal closed the log for all messages that this one knows of.
fn was_closed(folder: &Path, now: &SealReport) -> bool {
    let earlier = fs::read_to_string(folder.join(SEAL_FILE)).ok();
    let earlier = earlier.and_then(|text| text::from_json::<SealReport>(SEAL_FILE, &text).ok());
    earlier.is_some_and(|earlier| {
        earlier.state == SealState::Sealed
            && (earlier.run, earlier.messages_reserved, earlier.messages_resent)
                == (now.run, now.messages_reserved, now.messages_resent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_quiet_at_once_only_where_each_attempt_was_acknowledged() {
        let counts =
            |acknowledged, resent| LedgerCounts { reserved: 9, acknowledged, resent, ..LedgerCounts::default() };
        assert!(!may_arrive_late(&counts(9, 0)));
        assert!(may_arrive_late(&counts(8, 0)));
        assert!(may_arrive_late(&counts(9, 1)), "the first attempt was not acknowledged");
    }
}
