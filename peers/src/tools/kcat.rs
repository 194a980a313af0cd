//! kcat, from the system. It reports no time, so its whole process is what is compared.

use std::{path::PathBuf, process::Command};

use super::{Builder, Job, Told, Tool, between, program, unexpected};
use crate::{cell, child::Done, error::PeersError};

/// The program.
#[derive(Debug)]
pub(super) struct Kcat {
    program: PathBuf,
    version: String,
}

impl Kcat {
    /// Finds it.
    pub(super) fn find(builder: &Builder<'_>) -> Result<Result<Self, String>, PeersError> {
        let Some(program) = program("kcat", &[]) else {
            return Ok(Err(
                "no kcat was found in PATH: install the package kcat (Debian, Ubuntu: apt-get install kcat)".into(),
            ));
        };
        let mut ask = Command::new(&program);
        ask.arg("-V");
        Ok(builder.run(ask)?.map(|done| Self { program, version: version(&done.stdout) }))
    }
}

/// From `kcat -V`.
fn version(text: &str) -> String {
    let own = between(text, "Version ", " (").unwrap_or("of an unknown version");
    let library = text.split_once("librdkafka ").and_then(|(_, rest)| rest.split([' ', ',', ')']).next());
    library.map_or_else(|| format!("kcat {own}"), |library| format!("kcat {own}, librdkafka {library}"))
}

impl Tool for Kcat {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.program);
        // Reads to the end of each partition, says where that was, prints nothing of the messages.
        command.args(["-C", "-b", job.servers, "-t", job.topic, "-o", "beginning", "-e", "-f", ""]);
        command.args(["-X", &format!("fetch.max.bytes={}", cell::FETCH_BYTES)]);
        command.args(["-X", &format!("fetch.message.max.bytes={}", cell::PARTITION_FETCH_BYTES)]);
        command
    }

    fn told(&self, _job: &Job<'_>, done: &Done) -> Result<Told, String> {
        let messages = ends(&done.stderr).ok_or_else(|| unexpected(&done.stderr))?;
        Ok(Told { messages, interval_s: None, after_warm_up_per_s: None, transactions: None })
    }
}

/// The sum of `% Reached end of topic T [P] at offset N`, which it says of each partition once.
fn ends(output: &str) -> Option<u64> {
    let offsets = output.lines().filter(|line| line.contains("Reached end of topic")).map(|line| {
        let (_, offset) = line.split_once(" at offset ")?;
        offset.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    let offsets: Vec<u64> = offsets.collect::<Option<_>>()?;
    (offsets.len() as u32 == cell::PARTITIONS).then(|| offsets.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_all_partitions_are_what_it_read() {
        let recorded = include_str!("recorded/kcat.txt");
        assert_eq!(ends(recorded), Some(200_006));
        let five: Vec<&str> = recorded.lines().skip(1).collect();
        assert_eq!(ends(&five.join("\n")), None, "a partition whose end was not reached");
    }

    #[test]
    fn versions_of_program_and_library_are_told() {
        assert_eq!(version(include_str!("recorded/kcat-version.txt")), "kcat 1.7.1, librdkafka 2.0.2");
    }
}
