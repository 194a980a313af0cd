//! What the user typed.

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, parser::ValueSource};

use crate::{
    command::{
        bench, chart, cluster, completions, doctor, load, log, process, profiles, recommend, schema, seal, verify,
    },
    connection::Servers,
    console, document,
    exit::{self, Exit},
    progress,
};

const ABOUT: &str = "Measures what a Kafka delivery setting costs and proves what it keeps, in the same run";

/// Measures what a Kafka delivery setting costs and proves what it keeps, in the same run.
#[derive(Debug, Parser)]
#[command(name = "ackmark", about = ABOUT, long_about = None, max_term_width = 100, propagate_version = false)]
pub(crate) struct Arguments {
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(crate) color: Color,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const PRECEDENCE: &str = "\
Client properties: what is typed (-X) beats the environment (ACKMARK_X_…), which beats a file (-F), then \
the profile, then the scenario, then librdkafka's defaults. `ackmark profiles NAME --effective` shows each \
value with its origin.";

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario: load, verify, judge, plot
    Bench(Box<bench::Arguments>),
    /// Run producers against a topic and keep a ledger of every message
    Load(Box<load::Arguments>),
    /// Close a topic's log after a load, so that it can be judged
    Seal(seal::Arguments),
    /// Account for every message of a load in Kafka's log
    Verify(verify::Arguments),
    /// Show the records or batches of a topic as they lie in the log
    Log(log::Arguments),
    /// Run a consumer or a pipeline, kill it where it hurts, and judge what it did
    Process(Box<process::Arguments>),
    /// A member of such a group.
    #[command(hide = true)]
    Member,
    /// A local three-broker Kafka to keep
    Cluster(cluster::Arguments),
    /// Draw the charts of a result
    Chart(chart::Arguments),
    /// List the delivery profiles and the patterns of consumers, and what each promises
    Profiles(profiles::Arguments),
    /// Recommend a delivery setting for a requirement
    Recommend(recommend::Arguments),
    /// Print the JSON Schema of a file format
    Schema(schema::Arguments),
    /// Tell what this machine, or a Kafka, lacks
    Doctor(doctor::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// Where data goes to and in which form.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Form of what is printed on stdout
    #[arg(short, long, value_name = "FORM", default_value = "human")]
    pub(crate) output: Form,
}

/// The form of what is printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Tables and sentences
    Human,
    /// The file format of the outcome (see `ackmark schema`)
    Json,
    /// Tables and sentences as Markdown
    Markdown,
}

impl Output {
    /// Prints an outcome: its contract as JSON, or its document.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub(crate) fn print(
        self,
        contract: &impl serde::Serialize,
        document: impl FnOnce() -> document::Document,
    ) -> Result<(), crate::problem::Problem> {
        match self.output {
            Form::Human => console::data(&document().render(document::Form::Terminal)),
            Form::Markdown => console::data(&document().render(document::Form::Markdown)),
            Form::Json => console::json(contract),
        }
    }
}

/// What is told while work goes on.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Progress {
    /// What is told on stderr meanwhile
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub(crate) progress: progress::Form,
}

/// The outcome of parsing.
pub(crate) enum Parsed {
    /// A command to run.
    Command(Box<Arguments>),
    /// Help or an error was printed.
    Done(Exit),
}

impl Arguments {
    /// Parses the process' arguments. Prints help, version and errors itself.
    pub(crate) fn parse() -> Parsed {
        let parsed = command().try_get_matches().and_then(|matches| {
            let mut arguments = Self::from_arg_matches(&matches)?;
            if let Some(servers) = arguments.command.servers_mut() {
                servers.typed = typed(&matches, "bootstrap_server");
            }
            Ok(arguments)
        });
        match parsed {
            Ok(arguments) => {
                console::set_color(arguments.color);
                Parsed::Command(Box::new(arguments))
            }
            Err(error) => {
                // A reader that has gone away is no error.
                let _ = error.print();
                Parsed::Done(if error.use_stderr() { Exit::Usage } else { Exit::Success })
            }
        }
    }
}

/// The command line's definition, for parsing and for completions.
pub(crate) fn command() -> clap::Command {
    let version = format!("{} (librdkafka {})", env!("CARGO_PKG_VERSION"), ackmark_client::librdkafka_version());
    let help = format!("Begin with:\n  ackmark bench quick\n\n{PRECEDENCE}\n\n{}", exit::HELP);
    Arguments::command().version(version).after_help(help)
}

/// Whether an argument of the innermost command was typed.
fn typed(matches: &ArgMatches, id: &str) -> bool {
    match matches.subcommand() {
        Some((_, inner)) => typed(inner, id),
        None => matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine),
    }
}

impl Command {
    fn servers_mut(&mut self) -> Option<&mut Servers> {
        match self {
            Self::Bench(arguments) => Some(&mut arguments.servers),
            Self::Load(arguments) => Some(&mut arguments.servers),
            Self::Seal(arguments) => Some(&mut arguments.servers),
            Self::Verify(arguments) => Some(&mut arguments.servers),
            Self::Log(arguments) => Some(&mut arguments.servers),
            Self::Process(arguments) => Some(&mut arguments.servers),
            Self::Doctor(arguments) => Some(&mut arguments.servers),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::command().debug_assert();
    }
}
