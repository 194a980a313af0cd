//! Kafka's own tools, from the jars that run the brokers: `kafka-producer-perf-test` and `kafka-consumer-perf-test`.
//!
//! The producer sends its first third as a warm-up of its own (`--warmup-records`): its figure for all messages is the
//! one that is compared, the one after the warm-up stands beside it. A run of some seconds is short for a JVM.
//!
//! Of its transactions it tells nothing. It begins one with a message, commits with the first one that comes after the
//! duration, and its interval ends after the last commit (4.3.1, `ProducerPerformance.start`).

use std::process::Command;

use ackmark_cluster::local::{KafkaTools, Local, LocalOptions};
use ackmark_schema::peers::Work;

use super::{Job, Told, Tool, unexpected};
use crate::{cell, child::Done, error::PeersError};

/// Flags of Kafka's own start scripts (`kafka-producer-perf-test.sh`, `kafka-run-class.sh`; 4.3.1).
const JVM_FLAGS: [&str; 7] = [
    "-Xmx512M",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];
/// The part of the messages that is the warm-up.
const WARM_UP_PART: u64 = 3;

/// Both tools.
#[derive(Debug)]
pub(super) struct KafkaPerfTest {
    tools: KafkaTools,
}

impl KafkaPerfTest {
    /// Finds the jars, or fetches them.
    pub(super) fn find(options: &LocalOptions, say: &dyn Fn(&str)) -> Result<Result<Self, String>, PeersError> {
        match Local::tools(options, say) {
            Ok(tools) => Ok(Ok(Self { tools })),
            Err(error @ ackmark_cluster::ClusterError::Interrupted) => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

impl Tool for KafkaPerfTest {
    fn version(&self) -> String {
        format!("Kafka {}, Java {}", self.tools.version, self.tools.java.version)
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.tools.java.program);
        command.args(JVM_FLAGS).args(["-cp", &self.tools.class_path]);
        add_work(&mut command, job);
        command
    }

    fn told(&self, job: &Job<'_>, done: &Done) -> Result<Told, String> {
        match job.cell.work {
            Work::Produce { .. } => produced(&done.stdout),
            Work::Consume => consumed(&done.stdout),
        }
        .ok_or_else(|| unexpected(&format!("{}{}", done.stdout, done.stderr)))
    }
}

/// Adds the tool and what it is to do.
fn add_work(command: &mut Command, job: &Job<'_>) {
    let messages = job.messages.to_string();
    match job.cell.work {
        Work::Produce { all_acks, idempotent, .. } => {
            command.args(["org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", job.servers]);
            command.args(["--topic", job.topic, "--num-records", &messages, "--throughput", "-1"]);
            command.args(["--record-size", &job.cell.value_bytes.to_string()]);
            command.args(["--warmup-records", &(job.messages / WARM_UP_PART).to_string()]);
            if let Some(ms) = job.transaction_ms {
                // An id of its own for each run, as the topic is.
                command.args(["--transactional-id", job.topic, "--transaction-duration-ms", &ms.to_string()]);
            }
            command.arg("--command-property").args([
                format!("acks={}", if all_acks { "all" } else { "1" }),
                format!("enable.idempotence={idempotent}"),
                format!("linger.ms={}", cell::LINGER_MS),
                format!("batch.size={}", cell::BATCH_BYTES),
                format!("max.in.flight.requests.per.connection={}", cell::IN_FLIGHT),
                "compression.type=none".to_owned(),
                format!("buffer.memory={}", cell::JAVA_BUFFER_BYTES),
            ]);
        }
        Work::Consume => {
            command.args(["org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", job.servers]);
            command.args(["--topic", job.topic, "--num-records", &messages, "--hide-header"]);
            command.args(["--timeout", "30000", "--fetch-size", &cell::PARTITION_FETCH_BYTES.to_string()]);
            command.arg("--command-property").arg(format!("fetch.max.bytes={}", cell::FETCH_BYTES));
        }
    }
}

/// The final lines: `N records sent, R records/sec (…)` for all messages, and with a warm-up the same with
/// `N steady state records sent`. Lines of intervals have no percentiles.
fn produced(output: &str) -> Option<Told> {
    let finals = || output.lines().filter(|line| line.contains("ms 99.9th"));
    let rate = |line: &str| -> Option<f64> { line.split(", ").nth(1)?.split(' ').next()?.parse().ok() };
    let whole = finals().rfind(|line| line.contains(" records sent") && !line.contains("steady state"))?;
    let messages: u64 = whole.split(' ').next()?.parse().ok()?;
    let steady = finals().rfind(|line| line.contains("steady state")).and_then(rate);
    Some(Told { after_warm_up_per_s: steady, ..Told::new(messages, messages as f64 / rate(whole)?) })
}

/// One line: start, end, MB, MB/s, messages, messages/s, rebalance ms, fetch ms, fetch MB/s, fetch messages/s. The
/// interval is the fetch time: joining a group, which takes seconds, is not in it.
fn consumed(output: &str) -> Option<Told> {
    let line = output.lines().rfind(|line| line.split(", ").count() == 10)?;
    let fields: Vec<&str> = line.split(", ").collect();
    let fetch_ms: f64 = fields[7].trim().parse().ok()?;
    Some(Told::new(fields[4].trim().parse().ok()?, fetch_ms / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{
        cell::CELLS,
        tools::tests::{arguments, job},
    };

    const PRODUCER: &str = include_str!("recorded/kafka-producer-perf-test.txt");
    const CONSUMER: &str = include_str!("recorded/kafka-consumer-perf-test.txt");

    #[test]
    fn the_whole_run_and_the_part_after_the_warm_up_are_told_apart() {
        let told = produced(PRODUCER).expect("recorded");
        assert_eq!((told.messages, told.after_warm_up_per_s), (300_000, Some(36_042.530_186)));
        assert!(told.interval_s.is_some_and(|interval| (interval - 300_000.0 / 21_500.752_526).abs() < 1e-6));
        // Without a warm-up there is one final line.
        let plain: Vec<&str> = PRODUCER.lines().filter(|line| !line.to_lowercase().contains("steady")).collect();
        assert_eq!(produced(&plain.join("\n")).map(|told| told.after_warm_up_per_s), Some(None));
        let unfinished: Vec<&str> = PRODUCER.lines().take(4).collect();
        assert_eq!(produced(&unfinished.join("\n")), None, "lines of intervals are no figure");
    }

    #[test]
    fn a_consumer_s_interval_is_its_fetch_time() {
        assert_eq!(consumed(CONSUMER), Some(Told::new(200_006, 3.832)));
        assert_eq!(consumed("WARNING: Exiting before consuming the expected number of records"), None);
    }

    #[test]
    fn equal_settings_are_on_the_command_line_of_kafka() {
        let line = |cell, messages| {
            let mut command = Command::new("java");
            add_work(&mut command, &job(cell, messages));
            arguments(&command)
        };
        insta::assert_snapshot!(
            [line(&CELLS[2], 5_000_000), line(&CELLS[4], 10_000_006), line(&CELLS[9], 5_000_000)].join("\n")
        );
    }
}
