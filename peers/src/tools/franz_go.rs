//! franz-go: the small driver in `franz-go/` beside this crate.

use std::{path::PathBuf, process::Command};

use ackmark_schema::peers::Work;
use serde::Deserialize;

use super::{Builder, Job, Told, Tool, program, unexpected};
use crate::{cell, child::Done, error::PeersError};

/// Where Go's own installation is put.
const HABIT: [&str; 1] = ["/usr/local/go/bin"];
const CURE: &str =
    "install Go 1.26 or later (https://go.dev/doc/install; an older one from 1.21 on fetches it by itself)";

/// The driver.
#[derive(Debug)]
pub(super) struct FranzGo {
    program: PathBuf,
    version: String,
}

/// What the driver prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    messages: u64,
    failed: u64,
    interval_s: f64,
    #[serde(rename = "library")]
    _library: String,
}

impl FranzGo {
    /// Builds the driver.
    pub(super) fn build(builder: &Builder<'_>) -> Result<Result<Self, String>, PeersError> {
        let Some(go) = program("go", &HABIT) else {
            return Ok(Err(format!("no Go was found in PATH or {}: {CURE}", HABIT[0])));
        };
        let source = builder.workspace.join("peers/franz-go");
        let built = builder.target.join("franz-go");
        let mut build = Command::new(&go);
        build.current_dir(&source).args(["build", "-mod=readonly", "-trimpath", "-o"]).arg(&built).arg(".");
        if let Err(why) = builder.run(build)? {
            return Ok(Err(format!("its driver could not be built ({why}): {CURE}")));
        }
        let mut list = Command::new(&go);
        list.args(["version", "-m"]).arg(&built);
        Ok(builder.run(list)?.map(|done| Self { program: built, version: version(&done.stdout) }))
    }
}

/// From `go version -m`.
fn version(text: &str) -> String {
    let library = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("dep") && words.next() == Some("github.com/twmb/franz-go")).then(|| words.next())?
    });
    let go = text.split_whitespace().find(|word| word.starts_with("go1")).unwrap_or("Go");
    format!("franz-go {}, {go}", library.unwrap_or("of an unknown version"))
}

impl Tool for FranzGo {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(if job.cell.work == Work::Consume { "read" } else { "produce" });
        command.args(["-b", job.servers, "-t", job.topic, "-n", &job.messages.to_string()]);
        match job.cell.work {
            Work::Produce { all_acks, idempotent, .. } => {
                command.args(["-s", &job.cell.value_bytes.to_string(), "-acks", if all_acks { "all" } else { "1" }]);
                command.arg(format!("-idempotent={idempotent}")).args(["-linger", &format!("{}ms", cell::LINGER_MS)]);
                command.args(["-batch-bytes", &cell::BATCH_BYTES.to_string()]);
                command.args(["-in-flight", &cell::IN_FLIGHT.to_string()]);
                command.args(["-outstanding", &cell::OUTSTANDING.to_string()]);
                command.args(["-outstanding-bytes", &(u64::from(cell::OUTSTANDING_KIB) << 10).to_string()]);
            }
            Work::Consume => {
                command.args(["-fetch-bytes", &cell::FETCH_BYTES.to_string()]);
                command.args(["-partition-bytes", &cell::PARTITION_FETCH_BYTES.to_string()]);
            }
        }
        command
    }

    fn told(&self, _job: &Job<'_>, done: &Done) -> Result<Told, String> {
        let report: Report = serde_json::from_str(&done.stdout).map_err(|_| unexpected(&done.stdout))?;
        match report.failed {
            0 => Ok(Told::new(report.messages, report.interval_s)),
            failed => {
                Err(format!("{failed} of {} messages were not delivered: {}", report.messages, done.stderr.trim()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cell::CELLS,
        tools::tests::{arguments, done, job},
    };

    const RECORDED: &str = include_str!("recorded/franz-go.json");
    const GO_VERSION: &str = include_str!("recorded/go-version.txt");

    fn tool() -> FranzGo {
        FranzGo { program: "franz-go".into(), version: version(GO_VERSION) }
    }

    #[test]
    fn a_report_is_read_and_failures_are_no_result() {
        let told = tool().told(&job(&CELLS[0], 100_000), &done(RECORDED, ""));
        assert_eq!(told, Ok(Told::new(100_000, 0.951_820_663)));
        let failed = done(&RECORDED.replace("\"failed\":0", "\"failed\":7"), "first failure: timed out\n");
        let why = tool().told(&job(&CELLS[0], 100_000), &failed).expect_err("seven failed");
        assert_eq!(why, "7 of 100000 messages were not delivered: first failure: timed out");
    }

    #[test]
    fn versions_of_library_and_language_are_told() {
        assert_eq!(tool().version(), "franz-go v1.22.2, go1.26.8");
    }

    #[test]
    fn equal_settings_are_on_the_command_line_of_franz_go() {
        insta::assert_snapshot!(
            [
                arguments(&tool().command(&job(&CELLS[1], 5_000_000))),
                arguments(&tool().command(&job(&CELLS[4], 10_000_006)))
            ]
            .join("\n")
        );
    }
}
