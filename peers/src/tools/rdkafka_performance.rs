//! `rdkafka_performance`: librdkafka's own benchmark, built from the source that rdkafka-sys ships and with the very
//! library that ackmark links.

use std::{env, fs, path::PathBuf, process::Command};

use ackmark_schema::peers::Work;

use super::{Builder, Job, Told, Tool, between, librdkafka::producer_properties, unexpected, workspace::Built};
use crate::{child::Done, error::PeersError};

const NAME: &str = "rdkafka_performance";

/// The program.
#[derive(Debug)]
pub(super) struct RdkafkaPerformance {
    program: PathBuf,
}

impl RdkafkaPerformance {
    /// Builds it in cargo's copy of the source, by librdkafka's own makefile.
    pub(super) fn build(builder: &Builder<'_>, built: &Built) -> Result<Result<Self, String>, PeersError> {
        let built = match built.beside() {
            Ok(built) => built,
            Err(why) => return Ok(Err(why)),
        };
        let examples = built.librdkafka.join("examples");
        let mut make = Command::new("make");
        make.arg("-C").arg(&examples).arg(NAME);
        // zstd, for one, is a static library of cargo's: the makefile knows its name only.
        match env::join_paths(&built.libraries) {
            Ok(folders) => make.env("LIBRARY_PATH", folders),
            Err(error) => return Ok(Err(format!("it could not be built: {error}"))),
        };
        if let Err(why) = builder.run(make)? {
            return Ok(Err(format!("it could not be built in {}: {why}", examples.display())));
        }
        let program = builder.target.join(NAME);
        let copied =
            fs::copy(examples.join(NAME), &program).map_err(|error| format!("it could not be copied: {error}"));
        Ok(copied.map(|_| Self { program }))
    }
}

impl Tool for RdkafkaPerformance {
    fn version(&self) -> String {
        format!("librdkafka {}", ackmark_client::librdkafka_version())
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-P", "-b", job.servers, "-t", job.topic]);
        command.args(["-s", &job.cell.value_bytes.to_string(), "-c", &job.messages.to_string()]);
        if let Work::Produce { all_acks, idempotent, .. } = job.cell.work {
            for property in producer_properties(all_acks, idempotent) {
                command.args(["-X", &property]);
            }
        }
        command
    }

    fn told(&self, _job: &Job<'_>, done: &Done) -> Result<Told, String> {
        summary(&done.stdout).ok_or_else(|| unexpected(&done.stdout))
    }
}

/// `% N messages produced (B bytes), D delivered (offset O, F failed) in Tms: …`, from before the first message to the
/// last report.
fn summary(output: &str) -> Option<Told> {
    let line = output.lines().rfind(|line| line.contains(" messages produced "))?;
    let delivered = between(line, " bytes), ", " delivered ")?.parse().ok()?;
    let failed: u64 = between(line, ", ", " failed)")?.rsplit(", ").next()?.parse().ok()?;
    let ms: u64 = between(line, " failed) in ", "ms: ")?.parse().ok()?;
    (failed == 0).then(|| Told::new(delivered, ms as f64 / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cell::CELLS,
        tools::tests::{arguments, done, job},
    };

    const RECORDED: &str = include_str!("recorded/rdkafka_performance.txt");

    #[test]
    fn the_last_summary_counts_and_failures_are_no_result() {
        assert_eq!(summary(RECORDED), Some(Told::new(200_000, 2.638)));
        assert_eq!(summary(&RECORDED.replace("91641, 0 failed", "91641, 3 failed")), None);
        assert_eq!(summary("% ERROR: no brokers"), None);
        let tool = RdkafkaPerformance { program: NAME.into() };
        let lost = tool.told(&job(&CELLS[0], 1), &done("% ERROR: no brokers\n", ""));
        assert!(lost.is_err_and(|why| why.contains("no brokers")));
    }

    #[test]
    fn equal_settings_are_on_the_command_line_of_rdkafka_performance() {
        let tool = RdkafkaPerformance { program: NAME.into() };
        insta::assert_snapshot!(arguments(&tool.command(&job(&CELLS[2], 5_000_000))));
    }
}
