//! `ackmark recommend`: a setting for a requirement, with its properties and what it cost where it was measured.

use std::path::{Path, PathBuf};

use ackmark_schema::units::Span;
use serde::Serialize;

use crate::{
    arguments::Output,
    console,
    exit::Exit,
    folder::{self, Benched},
    print,
    problem::Problem,
    recommendation::{self, Recommendation, Requirement, Role},
};

/// Recommend a delivery setting for a requirement.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is not said is asked on a terminal; elsewhere the careful answer counts: nothing may be lost or doubled.

Examples:
  ackmark recommend
  ackmark recommend produce --may-duplicate yes --may-lose no --latency 20ms
  ackmark recommend transform --result results/2026-11-30-vm-semantics")]
pub(crate) struct Arguments {
    /// What the program does with Kafka
    #[arg(value_name = "ROLE")]
    role: Option<Role>,
    /// Whether a message may be lost
    #[arg(long, value_name = "ANSWER")]
    may_lose: Option<Answer>,
    /// Whether a message may be there, or have its effect, twice
    #[arg(long, value_name = "ANSWER")]
    may_duplicate: Option<Answer>,
    /// Whether messages of several topics or partitions must all become visible, or none
    #[arg(long, value_name = "ANSWER")]
    several_topics: Option<Answer>,
    /// The longest time until a reader may see a message
    #[arg(long, value_name = "TIME")]
    latency: Option<Span>,
    /// A result of `ackmark bench`, for what the setting costs
    #[arg(long, value_name = "RESULT")]
    result: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Answer {
    /// It is so
    Yes,
    /// It is not
    No,
}

/// The recommendation with what it rests on.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The requirement.
    pub(crate) requirement: Requirement,
    /// The answer.
    pub(crate) recommendation: Recommendation,
    /// What it cost.
    pub(crate) cost: Option<Cost>,
}

/// What a setting cost where it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Cost {
    /// The result.
    pub(crate) result: String,
    /// Messages per second of the setting, median; absent where the result has none.
    pub(crate) rate: Option<f64>,
    /// Another setting of its kind in the result, and how many times as fast this one is.
    pub(crate) of_other: Option<(String, f64)>,
}

/// Asks what is not said, and answers.
///
/// # Errors
/// A result that cannot be read.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let role = match arguments.role {
        Some(role) => role,
        None if console::confirm("Does it write messages for those that it reads?") == Some(true) => Role::Transform,
        None if console::confirm("Does it read messages?") == Some(true) => Role::Consume,
        None => Role::Produce,
    };
    let answer = |said: Option<Answer>, question: &str| match said {
        Some(answer) => answer == Answer::Yes,
        // Nobody there: the careful answer.
        None => console::confirm(question).unwrap_or(false),
    };
    let requirement = Requirement {
        role,
        may_lose: answer(arguments.may_lose, "May a message be lost?"),
        may_duplicate: answer(arguments.may_duplicate, "May a message be there, or have its effect, twice?"),
        together: answer(
            arguments.several_topics,
            "Must messages of several topics or partitions all become visible, or none?",
        ),
        latency: arguments.latency.map(|span| span.0),
    };
    let recommendation = recommendation::recommend(&requirement);
    let cost = arguments.result.as_deref().map(|path| cost(path, &recommendation.setting)).transpose()?;
    let outcome = Outcome { requirement, recommendation, cost };
    arguments.output.print(&outcome, || print::recommendation::document(&outcome))?;
    Ok(Exit::Success)
}

/// What a result says of a setting, as its own tables do: one of `bench semantics`, or of profiles.
fn cost(path: &Path, setting: &str) -> Result<Cost, Problem> {
    let (result, name, _) = folder::result(path)?;
    let (rate, of_other) = match result {
        Benched::Semantics(result) => {
            let known = result.settings.iter().find(|known| known.name == setting);
            let of_first = known.and_then(|known| {
                let first = result.settings.iter().find(|first| first.kind == known.kind)?;
                Some((first.name.clone(), known.relative.median()?)).filter(|(first, _)| first != setting)
            });
            (known.and_then(|known| known.rate.median()), of_first)
        }
        Benched::Profiles(result) => {
            let of_it = result.summaries.iter().find(|one| one.profile == setting && one.delivered_per_s.is_some());
            let compared = result.comparisons.iter().find(|found| found.profile == setting);
            let of_baseline = compared.map(|found| (found.baseline.clone(), found.ratio));
            (of_it.and_then(|one| Some(one.delivered_per_s?.median)), of_baseline)
        }
    };
    Ok(Cost { result: name, rate, of_other })
}
