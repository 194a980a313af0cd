//! What the user typed.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use ackmark_schema::units::Count;
use clap::{Parser, ValueEnum};

use crate::{
    cell::{self, CellPlan},
    contender::Contender,
};

/// Compare ackmark with other tools on the same work and the same brokers.
///
/// Without -b it starts a local three-broker Kafka and stops it at the end. Contenders that this machine lacks are
/// built or named with the reason; none is left out silently.
#[derive(Debug, Clone, Parser)]
#[command(name = "peers", version, max_term_width = 110)]
#[command(after_help = "\
Examples (make peers ARGS='…'):
  --dry-run
  --only produce --rounds 10
  --only transact --contenders kafka,ackmark-equal-time
  --cells all-acks-100,consume-100 --contenders ackmark,franz-go")]
pub struct Arguments {
    /// Only cells of this kind
    #[arg(long, value_name = "KIND")]
    pub(crate) only: Option<Kind>,
    /// Only these cells
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = cell::named)]
    pub(crate) cells: Vec<CellPlan>,
    /// Only these contenders; ackmark, which all are compared with, always takes part
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) contenders: Vec<Contender>,
    /// Measured rounds of each cell; below six there are no intervals
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Messages of each run, instead of each cell's own count
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = messages)]
    pub(crate) messages: Option<Count>,
    /// Messages that warm the brokers before the first cell, its discarded round included
    #[arg(long, value_name = "COUNT", default_value = "10M")]
    pub(crate) warm_up: Count,
    /// Seed of the order of contenders [default: drawn]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// A Kafka on this machine to use instead of starting one (see `ackmark cluster up`)
    #[arg(short = 'b', long = "bootstrap-server", value_name = "HOST:PORT", value_parser = loopback)]
    pub(crate) bootstrap_server: Option<String>,
    /// The folder that results go to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// Print what would be run and how long it takes, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Measure this ackmark instead of building the workspace's; the librdkafka loops and `rdkafka_performance`, which are
    /// built with it, are then left out
    #[arg(long, value_name = "PROGRAM", conflicts_with = "unoptimised")]
    pub(crate) ackmark: Option<PathBuf>,
    /// Build ackmark without optimisation: to try this command, never for figures
    #[arg(long)]
    pub(crate) unoptimised: bool,
    /// As they were typed, to be repeated.
    #[arg(skip)]
    pub(crate) words: Vec<String>,
}

impl Arguments {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self { words: std::env::args().skip(1).collect(), ..Self::parse() }
    }
}

/// A kind of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Sending without transactions
    Produce,
    /// Sending in transactions
    Transact,
    /// Reading
    Consume,
}

/// Most messages of a run: ten of the largest default.
const MESSAGES_MAX: u64 = 100_000_000;

fn messages(text: &str) -> Result<Count, String> {
    match text.parse::<Count>() {
        Ok(count) if (1..=MESSAGES_MAX).contains(&count.0) => Ok(count),
        Ok(_) => Err("give 1 to 100M".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Load goes to this machine only.
fn loopback(text: &str) -> Result<String, String> {
    let is_here = |server: &str| {
        let host = server.rsplit_once(':').map_or("", |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    };
    if text.split(',').all(is_here) {
        Ok(text.to_owned())
    } else {
        Err("contenders run as fast as they can, so only brokers of this machine are taken: 127.0.0.1:PORT".into())
    }
}

/// Prints to stdout. A reader that goes away is no error.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_elsewhere_are_refused() {
        assert!(loopback("127.0.0.1:9092,localhost:9093,[::1]:9094").is_ok());
        for elsewhere in ["kafka.example.org:9092", "127.0.0.1:9092,10.0.0.1:9092", "127.0.0.1", ""] {
            assert!(loopback(elsewhere).is_err_and(|why| why.contains("127.0.0.1:PORT")), "{elsewhere}");
        }
    }

    #[test]
    fn arguments_are_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
