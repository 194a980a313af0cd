//! The command line of ackmark: arguments, progress, printing, exit codes.
//!
//! It decides nothing about Kafka: each command turns arguments into a contract of the schema, calls the
//! crate that does the work, and prints the contract that comes back.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`] | what the user typed |
//! | [`connection`] | `-b`, `-X`, `-F` and the environment, as client properties with their origin |
//! | [`consent`] | to what is written to a Kafka that ackmark did not start |
//! | [`command`] | one module per command: from arguments to the outcome |
//! | [`print`] | one module per contract: from the outcome to a document |
//! | [`document`] | headings, sentences and tables, for a terminal or as Markdown |
//! | [`progress`] | what is told while work goes on, on stderr |
//! | [`recommendation`] | from a requirement to a setting |
//! | [`narration`] | what a bench tells, from its events |
//! | [`watch`] | follows coordinators while a load runs |
//! | [`parent`] | a child of a bench does not outlive it |
//! | [`interrupt`] | Ctrl-C: first a clean end, then the end; a limit on file sizes is an error |
//! | [`checks`] | what stands in the way of a run |
//! | [`folder`], [`files`] | what is read and written |
//! | [`problem`] | what went wrong, with its cure |
//! | [`exit`] | exit codes |
//!
//! stdout carries data, stderr talk. A reader of stdout that goes away (a broken pipe) is no error.

mod arguments;
mod checks;
mod command;
mod connection;
mod consent;
mod console;
mod document;
mod exit;
mod figures;
mod files;
mod folder;
mod interrupt;
mod narration;
mod parent;
mod print;
mod problem;
mod progress;
mod recommendation;
mod watch;

use std::process::ExitCode;

use arguments::{Arguments, Parsed};

/// Runs the command that the process' arguments ask for.
pub fn main() -> ExitCode {
    if let Err(exit) = parent::die_with_it() {
        return exit.into();
    }
    interrupt::survive_file_limit();
    let arguments = match Arguments::parse() {
        Parsed::Command(arguments) => arguments,
        Parsed::Done(exit) => return exit.into(),
    };
    let exit = command::run(*arguments).unwrap_or_else(|problem| {
        console::complain(&problem);
        problem.exit
    });
    exit.into()
}
