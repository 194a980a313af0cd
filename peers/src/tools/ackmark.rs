//! ackmark itself: `ackmark load` with header, checksum and ledger on, `ackmark verify` of the whole log.

use std::{path::PathBuf, process::Command};

use ackmark_schema::{
    latency::LatencySummary,
    report::{
        load::{LoadReport, TransactionFigures},
        verify::{Verdict, VerifyReport},
    },
    text,
};

use super::{Builder, Job, Told, Tool, workspace::Built};
use crate::{
    arguments::Kind,
    cell::{self, CellPlan, PARTITIONS},
    child::Done,
    contender::Contender,
    error::PeersError,
    transactions::ToldTransactions,
};

/// ackmark, or a variant of it.
#[derive(Debug)]
pub(super) struct Ackmark {
    contender: Contender,
    program: PathBuf,
    version: String,
}

impl Ackmark {
    /// Asks it for its version; `remark` goes with that.
    pub(super) fn find(
        contender: Contender,
        builder: &Builder<'_>,
        built: &Built,
        remark: &str,
    ) -> Result<Self, PeersError> {
        let mut ask = Command::new(&built.ackmark);
        ask.arg("--version");
        let done = builder.run(ask)?.map_err(PeersError::NoAckmark)?;
        let version = format!("{}{remark}", done.stdout.lines().next().unwrap_or_default());
        Ok(Self { contender, program: built.ackmark.clone(), version })
    }
}

impl Tool for Ackmark {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.program);
        match job.cell.kind() {
            Kind::Produce | Kind::Transact => {
                let producers = self.contender.producers();
                load(&mut command, job, self.profile(job.cell), producers).arg("--no-seal")
            }
            Kind::Consume => command.arg("verify").arg(job.load).args(["-b", job.servers]),
        };
        command.args(["--output", "json", "--progress", "none"]);
        command
    }

    fn told(&self, job: &Job<'_>, done: &Done) -> Result<Told, String> {
        match job.cell.kind() {
            Kind::Produce | Kind::Transact => loaded(&done.stdout),
            Kind::Consume => verified(&done.stdout),
        }
    }
}

impl Ackmark {
    /// The cell's, or the variant's own.
    fn profile(&self, cell: &CellPlan) -> &'static str {
        match self.contender {
            Contender::AckmarkIdempotent => "idempotent",
            Contender::AckmarkAllAcks => "all-acks",
            _ => cell.profile(),
        }
    }
}

/// Adds what a load of the cell's setting takes. What may be outstanding is shared among producers.
fn load<'c>(command: &'c mut Command, job: &Job<'_>, profile: &str, producers: u32) -> &'c mut Command {
    command.args(["load", "--yes", "-b", job.servers, "-t", job.topic, "--profile", profile]);
    if let Some(ms) = job.transaction_ms {
        command.args(["--transaction-duration", &format!("{ms}ms")]);
    }
    command.args(["--messages", &job.messages.to_string(), "--size", &format!("{}B", job.cell.value_bytes)]);
    if producers > 1 {
        command.args(["--producers", &producers.to_string()]);
    }
    command.args(["--outstanding", &(cell::OUTSTANDING / producers).to_string()]);
    command.args(["--outstanding-bytes", &format!("{}KiB", cell::OUTSTANDING_KIB / producers)]);
    for property in [
        format!("linger.ms={}", cell::LINGER_MS),
        format!("batch.size={}", cell::BATCH_BYTES),
        format!("batch.num.messages={}", cell::BATCH_MESSAGES),
        format!("max.in.flight.requests.per.connection={}", cell::IN_FLIGHT),
        "compression.type=none".to_owned(),
    ] {
        command.args(["-X", &property]);
    }
    command.arg("--out").arg(job.load)
}

/// The command that writes the topic of a reading cell: sealed, so that it can be judged.
pub(crate) fn write_command(tool: &dyn Tool, job: &Job<'_>) -> Command {
    let mut command = Command::new(tool.command(job).get_program());
    load(&mut command, job, job.cell.profile(), 1).args(["--output", "json", "--progress", "none"]);
    command
}

/// What `load.json` says.
pub(crate) fn loaded(json: &str) -> Result<Told, String> {
    let report: LoadReport = text::from_json("load.json", json).map_err(|error| error.to_string())?;
    let transactions = report.transactions.as_ref().map(told_transactions).transpose()?;
    Ok(Told { transactions, ..Told::new(report.measured.delivered, report.measured.duration_s) })
}

/// What it says of transactions. One that was not committed is in the way of a figure.
fn told_transactions(figures: &TransactionFigures) -> Result<ToldTransactions, String> {
    let TransactionFigures { committed, aborted, indeterminate, .. } = *figures;
    if aborted + indeterminate > 0 {
        return Err(format!("of its transactions {aborted} were aborted, {indeterminate} have an unknown fate"));
    }
    let p50_ms = |times: &LatencySummary| Some(times.at(50.0)?.value_us? as f64 / 1e3);
    let (flush_p50_ms, commit_p50_ms) = (p50_ms(&figures.flush), p50_ms(&figures.commit));
    Ok(ToldTransactions { committed, flush_p50_ms, commit_p50_ms })
}

/// What `verify.json` says. A reader that did not judge, or found the promise broken, has not done the work.
fn verified(json: &str) -> Result<Told, String> {
    let report: VerifyReport = text::from_json("verify.json", json).map_err(|error| error.to_string())?;
    if matches!(report.verdict, Verdict::Broken | Verdict::Inconclusive) {
        return Err(format!("the verdict is {}: {}", report.verdict.label(), report.reason));
    }
    let [scan] = &report.scans[..] else {
        return Err(format!("it read the log {} times", report.scans.len()));
    };
    if !scan.complete {
        return Err(format!("the log was not read to its end: {}", scan.incomplete_reason.as_deref().unwrap_or("")));
    }
    // It reads the sentinel that seals each partition, too, and does not count it.
    let sentinels = u64::from(PARTITIONS);
    Ok(Told::new(scan.messages + scan.strangers + sentinels, scan.duration_s))
}

#[cfg(test)]
mod tests {
    use ackmark_schema::latency::Percentile;

    use super::*;
    use crate::{
        cell::CELLS,
        tools::tests::{arguments, job},
    };

    const LOAD: &str = include_str!("../../../cli/tests/fixtures/load.json");
    const VERIFY: &str = include_str!("../../../cli/tests/fixtures/verify.json");

    #[test]
    fn a_load_is_told_by_its_report() {
        let told = loaded(LOAD).expect("a report");
        assert_eq!(told.messages, 20_000);
        assert!(told.interval_s.is_some_and(|interval| interval > 0.0 && interval < 60.0), "{told:?}");
        assert!(loaded("{}").is_err_and(|why| why.contains("load.json")));
    }

    #[test]
    fn transactions_are_told_where_all_were_committed() {
        let times = |median_us| LatencySummary {
            percentiles: vec![Percentile { percentile: 50.0, value_us: median_us, ..Percentile::default() }],
            ..LatencySummary::default()
        };
        let figures = TransactionFigures {
            committed: 12,
            flush: times(Some(46_500)),
            commit: times(None),
            ..TransactionFigures::default()
        };
        let told = told_transactions(&figures).expect("all were");
        assert_eq!(told, ToldTransactions { committed: 12, flush_p50_ms: Some(46.5), commit_p50_ms: None });
        let why = told_transactions(&TransactionFigures { aborted: 1, ..figures }).expect_err("one was not");
        assert!(why.contains("1 were aborted"), "{why}");
    }

    #[test]
    fn a_verification_counts_only_where_it_judged_all() {
        let told = verified(VERIFY).expect("a report");
        assert_eq!((told.messages, told.interval_s), (20_006, Some(0.153_251_447)));
        let broken = VERIFY.replacen(
            "\"verdict\": \"held-unprovoked\",\n \"reason\"",
            "\"verdict\": \"broken\",\n \"reason\"",
            1,
        );
        assert_ne!(broken, VERIFY);
        assert!(verified(&broken).is_err_and(|why| why.contains("BROKEN")), "{:?}", verified(&broken));
        let half = VERIFY.replace("\"complete\": true", "\"complete\": false");
        assert!(verified(&half).is_err_and(|why| why.contains("not read to its end")));
    }

    #[test]
    fn equal_settings_are_on_the_command_line_of_ackmark() {
        let tool = |contender| Ackmark { contender, program: "ackmark".into(), version: "ackmark 0.1.0".into() };
        let variant = Job { transaction_ms: None, ..job(&CELLS[9], 5_000_000) };
        let line = |contender, job: &Job<'_>| arguments(&tool(contender).command(job));
        insta::assert_snapshot!(
            [
                line(Contender::Ackmark, &job(&CELLS[2], 5_000_000)),
                line(Contender::Ackmark, &job(&CELLS[4], 10_000_006)),
                line(Contender::Ackmark, &job(&CELLS[9], 5_000_000)),
                line(Contender::AckmarkEqualTime, &Job { transaction_ms: Some(42), ..job(&CELLS[9], 5_000_000) }),
                line(Contender::AckmarkTwoIds, &Job { transaction_ms: Some(21), ..job(&CELLS[9], 5_000_000) }),
                line(Contender::AckmarkIdempotent, &variant),
                line(Contender::AckmarkAllAcks, &variant),
            ]
            .join("\n")
        );
        let tool = tool(Contender::Ackmark);
        let write = write_command(&tool, &job(&CELLS[4], 10_000_000));
        assert!(!arguments(&write).contains("--no-seal"), "what is read is sealed");
    }
}
