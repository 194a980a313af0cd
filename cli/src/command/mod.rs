//! One module per command: from arguments to the outcome.

pub(crate) mod bench;
pub(crate) mod chart;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod load;
pub(crate) mod load_flags;
pub(crate) mod log;
pub(crate) mod log_flags;
pub(crate) mod member;
pub(crate) mod process;
pub(crate) mod profiles;
pub(crate) mod recommend;
pub(crate) mod schema;
pub(crate) mod seal;
pub(crate) mod semantics;
pub(crate) mod verify;

use crate::{
    arguments::{Arguments, Command},
    exit::Exit,
    problem::Problem,
};

/// Runs a command.
///
/// # Errors
/// It could not do its work.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Problem> {
    match arguments.command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Seal(arguments) => seal::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Process(arguments) => process::run(&arguments),
        Command::Member => member::run(),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Chart(arguments) => chart::run(&arguments),
        Command::Profiles(arguments) => profiles::run(&arguments),
        Command::Recommend(arguments) => recommend::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
