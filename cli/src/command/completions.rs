//! `ackmark completions`: a completion script for a shell.

use clap_complete::Shell;

use crate::{arguments, console, exit::Exit, problem::Problem};

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ackmark completions bash > /etc/bash_completion.d/ackmark")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// stdout cannot be written to.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut arguments::command(), "ackmark", &mut script);
    console::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
