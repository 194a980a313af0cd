//! `ackmark cluster`: a local three-broker Kafka to keep.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use ackmark_cluster::{
    ClusterError, Local, LocalOptions, Settings,
    local::{KAFKA_VERSION, NodeState, kept},
};
use clap::{Subcommand, ValueEnum};

use crate::{arguments::Output, connection, console, exit::Exit, interrupt, print, problem::Problem};

/// A local three-broker Kafka to keep.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Three brokers and a controller as JVM processes on this machine, until `cluster down`. `ackmark bench` \
without -b starts one of its own and stops it at the end.

Example:
  ackmark cluster up --port 19092
  ackmark bench quick -b 127.0.0.1:19092
  ackmark cluster down")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Fetch Kafka's jars and make starts fast; starts nothing
    #[command(after_help = "Example:\n  ackmark cluster prepare --kafka-version 4.3.1")]
    Prepare {
        #[command(flatten)]
        kafka: Kafka,
    },
    /// Start it and leave it running
    #[command(after_help = "Example:\n  ackmark cluster up --port 19092\n  ackmark cluster up --secure")]
    Up(Up),
    /// Stop it and remove its data
    #[command(after_help = "Example:\n  ackmark cluster down")]
    Down {
        #[command(flatten)]
        home: Home,
    },
    /// Tell whether it runs, and where; exit code 1 when it does not, or not wholly
    #[command(after_help = "Example:\n  ackmark cluster status --output json")]
    Status {
        #[command(flatten)]
        home: Home,
        #[command(flatten)]
        output: Output,
    },
    /// Print the end of each node's log
    #[command(after_help = "Example:\n  ackmark cluster logs --lines 200")]
    Logs {
        /// Last lines of each log
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
        lines: u32,
        #[command(flatten)]
        home: Home,
    },
}

#[derive(Debug, clap::Args)]
struct Home {
    /// Where Kafka's jars and data go [default: ackmark in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "ACKMARK_HOME", hide_env_values = true)]
    home: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Up {
    #[command(flatten)]
    kafka: Kafka,
    /// Port of the first broker; the others follow [default: free ones]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Named settings of the brokers
    #[arg(long, value_name = "NAME", default_value = "measured")]
    settings: NamedSettings,
    /// A server property on top, for every node; may be given several times
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = connection::pair)]
    overrides: Vec<(String, String)>,
    /// Listeners with TLS and SASL beside the plain one, each with a client properties file for -F
    #[arg(long)]
    secure: bool,
    #[command(flatten)]
    output: Output,
}

/// Which Kafka is started, and where its files go.
#[derive(Debug, clap::Args)]
pub(crate) struct Kafka {
    /// Kafka's version.
    #[arg(long, value_name = "VERSION", env = "ACKMARK_KAFKA_VERSION", hide_env_values = true, help = format!(
        "Kafka's version, fetched by Maven the first time; KAFKA_HOME names an unpacked Kafka instead [default: {KAFKA_VERSION}]"
    ))]
    pub(crate) kafka_version: Option<String>,
    /// Where Kafka's jars and data go [default: ackmark in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "ACKMARK_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
}

impl Kafka {
    /// Options of a local cluster of that version, whose start ends when `stop` says so.
    pub(crate) fn options(&self, stop: Arc<AtomicBool>) -> LocalOptions {
        LocalOptions {
            version: self.kafka_version.clone(),
            home: self.home.clone(),
            stop: stop.into(),
            ..LocalOptions::default()
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NamedSettings {
    /// Kafka's default timings and 1 GiB heaps: for figures
    Measured,
    /// Short timeouts and small heaps: for faults and proofs, never for figures
    Fault,
}

/// Does what is asked.
///
/// # Errors
/// What a start can fail by, or there is no such cluster.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    match &arguments.action {
        Action::Prepare { kafka } => prepare(kafka),
        Action::Up(arguments) => up(arguments),
        Action::Down { home } => down(home),
        Action::Status { home, output } => status(home, *output),
        Action::Logs { lines, home } => logs(home, *lines),
    }
}

fn prepare(kafka: &Kafka) -> Result<Exit, Problem> {
    let version = Local::prepare(&kafka.options(interrupt::watch()?), &|line| console::say(line))
        .map_err(|error| problem(&error))?;
    console::say(format_args!("Kafka {version} is ready to be started"));
    Ok(Exit::Success)
}

fn up(arguments: &Up) -> Result<Exit, Problem> {
    let options = LocalOptions {
        settings: match arguments.settings {
            NamedSettings::Measured => Settings::Measured,
            NamedSettings::Fault => Settings::Fault,
        },
        overrides: arguments.overrides.clone(),
        port: arguments.port,
        secure: arguments.secure,
        ..arguments.kafka.options(interrupt::watch()?)
    };
    let (state, took) = kept::up(&options, &|line| console::say(line)).map_err(|error| problem(&error))?;
    console::say(format_args!("started in {}", crate::figures::seconds(took.as_secs_f64())));
    arguments.output.print(&state, || print::cluster::started(&state))?;
    Ok(Exit::Success)
}

fn down(home: &Home) -> Result<Exit, Problem> {
    let state = kept::down(home.home.as_deref()).map_err(|error| problem(&error))?;
    console::say(format_args!("stopped {} node(s) and removed their data", state.nodes.len()));
    Ok(Exit::Success)
}

fn status(home: &Home, output: Output) -> Result<Exit, Problem> {
    let state = kept::status(home.home.as_deref()).map_err(|error| problem(&error))?;
    output.print(&state, || print::cluster::status(state.as_ref()))?;
    let whole = state.is_some_and(|state| state.nodes.iter().all(NodeState::is_alive));
    Ok(if whole { Exit::Success } else { Exit::Runtime })
}

fn logs(home: &Home, lines: u32) -> Result<Exit, Problem> {
    for (node, text) in kept::logs(home.home.as_deref(), lines as usize).map_err(|error| problem(&error))? {
        console::data(&format!("==> {} {}: {} <==\n{}\n\n", node.role, node.id, node.log.display(), text.trim_end()))?;
    }
    Ok(Exit::Success)
}

/// What the user can mend by another command line is bad input, the rest is the machine's.
pub(crate) fn problem(error: &ClusterError) -> Problem {
    match error {
        ClusterError::PortInUse { .. }
        | ClusterError::Override { .. }
        | ClusterError::KafkaHome { .. }
        | ClusterError::KafkaHomeVersion { .. }
        | ClusterError::Properties { .. }
        | ClusterError::Guard { .. }
        | ClusterError::AlreadyUp { .. } => Problem::refused(error),
        ClusterError::Interrupted => Problem::interrupted(error),
        _ => Problem::failed(error),
    }
}
