//! The bare librdkafka loops: the client crate's examples `bare_loop` and `bare_read`.

use std::{path::PathBuf, process::Command};

use ackmark_schema::peers::Work;

use super::{Job, Told, Tool, between, unexpected, workspace::Built};
use crate::{cell, child::Done};

/// Both loops.
#[derive(Debug)]
pub(super) struct Librdkafka {
    bare_loop: PathBuf,
    bare_read: PathBuf,
}

impl Librdkafka {
    pub(super) fn new(built: &Built) -> Result<Self, String> {
        built.beside().map(|built| Self { bare_loop: built.bare_loop.clone(), bare_read: built.bare_read.clone() })
    }
}

impl Tool for Librdkafka {
    fn version(&self) -> String {
        format!("librdkafka {}", ackmark_client::librdkafka_version())
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let Work::Produce { all_acks, idempotent, .. } = job.cell.work else {
            let mut command = Command::new(&self.bare_read);
            command.args([job.servers, job.topic]);
            command.arg(format!("fetch.max.bytes={}", cell::FETCH_BYTES));
            command.arg(format!("fetch.message.max.bytes={}", cell::PARTITION_FETCH_BYTES));
            return command;
        };
        let mut command = Command::new(&self.bare_loop);
        command.args([job.servers, job.topic, &job.messages.to_string(), &job.cell.value_bytes.to_string()]);
        command.arg(cell::PARTITIONS.to_string()).args(producer_properties(all_acks, idempotent));
        command
    }

    fn told(&self, job: &Job<'_>, done: &Done) -> Result<Told, String> {
        let told = match job.cell.work {
            Work::Produce { .. } => messages_in_seconds(&done.stdout, " messages acknowledged in "),
            Work::Consume => messages_in_seconds(&done.stdout, " messages read in "),
        };
        told.ok_or_else(|| unexpected(&done.stdout))
    }
}

/// The cell's setting in librdkafka's words, as `key=value`.
pub(super) fn producer_properties(all_acks: bool, idempotent: bool) -> [String; 8] {
    [
        format!("acks={}", if all_acks { "all" } else { "1" }),
        format!("enable.idempotence={idempotent}"),
        format!("linger.ms={}", cell::LINGER_MS),
        format!("batch.size={}", cell::BATCH_BYTES),
        format!("batch.num.messages={}", cell::BATCH_MESSAGES),
        format!("max.in.flight={}", cell::IN_FLIGHT),
        format!("queue.buffering.max.messages={}", cell::OUTSTANDING),
        format!("queue.buffering.max.kbytes={}", cell::OUTSTANDING_KIB),
    ]
}

/// `5000000 messages acknowledged in 2.512345 s: 1990172 messages/s`.
fn messages_in_seconds(line: &str, did: &str) -> Option<Told> {
    let messages = line.split_once(did)?.0.trim().parse().ok()?;
    Some(Told::new(messages, between(line, did, " s:")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cell::CELLS,
        tools::tests::{arguments, done, job},
    };

    fn tool() -> Librdkafka {
        Librdkafka { bare_loop: "bare_loop".into(), bare_read: "bare_read".into() }
    }

    #[test]
    fn both_loops_tell_messages_and_seconds() {
        let sent = done("300000 messages acknowledged in 0.250000 s: 1200000 messages/s\n", "");
        assert_eq!(tool().told(&job(&CELLS[0], 300_000), &sent), Ok(Told::new(300_000, 0.25)));
        let read = done("300006 messages read in 0.125000 s: 2400048 messages/s\n", "");
        assert_eq!(tool().told(&job(&CELLS[4], 300_006), &read), Ok(Told::new(300_006, 0.125)));
        assert!(tool().told(&job(&CELLS[0], 1), &read).is_err_and(|why| why.contains("300006 messages read")));
    }

    #[test]
    fn equal_settings_are_on_the_command_line_of_librdkafka() {
        insta::assert_snapshot!(
            [
                arguments(&tool().command(&job(&CELLS[1], 5_000_000))),
                arguments(&tool().command(&job(&CELLS[4], 10_000_006)))
            ]
            .join("\n")
        );
    }
}
