//! Each delivery semantic put to the test, and what it costs: `ackmark bench semantics`.
//!
//! ```text
//! warm-up ─► demonstrations (counts that have to come) ─► rates (interleaved rounds) ─► comparison
//! ```
//!
//! The work is done by this program's own commands, as a user would type them; what is needed beside are single
//! transactional producers that stop where they are told to ([`crate::group::member`]).
//!
//! | module | what |
//! |---|---|
//! | `stage` | topics, children and members, readings: what demonstrations are made of |
//! | `transactions` | over several topics; open, committed and aborted under both isolation levels |
//! | `fencing` | rivals, successors, time-outs |
//! | `sessions` | producers that are killed and go on |
//! | `groups` | consumers and pipelines that are killed |
//! | `rates` | what each costs |
//! | `comparison` | the table |
//!
//! Limits: three rounds of a rate carry no interval at 95 % (six would); what is told is the median and where all lie. On a
//! slow machine there are fewer, since all of it is to take six minutes.
//! `ackmark bench delivery` measures profiles with intervals.

mod comparison;
mod fencing;
mod groups;
mod rates;
mod sessions;
mod stage;
mod transactions;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use ackmark_schema::{
    report::Ending,
    semantics::{Check, Demonstration, Incidence, SemanticsResult, StallSample, Time},
    version::SchemaId,
};
use jiff::Timestamp;

use crate::{
    environment::environment,
    error::BenchError,
    event::{BenchEvent, Events},
    options::BenchOptions,
    result_folder::ResultFolder,
    target::Target,
};
use stage::Stage;

/// Rounds of each rate, where there is time.
const ROUNDS: u32 = 3;
/// After so long no further round is begun that would end later: with a cluster's start and end, all takes six minutes.
const BUDGET: Duration = Duration::from_secs(320);

/// Names of the demonstrations, in order.
pub const DEMONSTRATIONS: [&str; 11] = [
    "transactions",
    "isolation",
    "fencing",
    "successor",
    "timeout",
    "sessions",
    "auto-commit",
    "commit-after",
    "pipelines",
    "rebalances",
    "deduplication",
];

/// Those that are asked for, in order; all where none is named.
pub fn demonstrations(only: &[String]) -> impl Iterator<Item = &'static str> {
    DEMONSTRATIONS.into_iter().filter(|name| only.is_empty() || only.iter().any(|asked| asked == name))
}

/// What is to be shown.
#[derive(Debug, Clone, Default)]
pub struct SemanticsChoices {
    /// These demonstrations alone, and no rates; all and the comparison where it is empty.
    pub only: Vec<String>,
    /// The command line that repeats it.
    pub command: String,
}

/// What a demonstration brought.
#[derive(Debug, Default)]
struct Shown {
    checks: Vec<Check>,
    times: Vec<Time>,
    stall: Vec<StallSample>,
    /// What became of a setting's messages when it was killed: duplicates and losses.
    incidences: Vec<Killed>,
}

/// What became of a setting's messages when it was killed.
#[derive(Debug, Clone)]
struct Killed {
    setting: String,
    duplicates: Incidence,
    lost: Incidence,
}

impl Shown {
    fn check(&mut self, what: impl Into<String>, expected: u64, found: u64) {
        self.checks.push(Check { what: what.into(), expected, found, is_control: false });
    }

    fn control(&mut self, what: impl Into<String>, expected: u64, found: u64) {
        self.checks.push(Check { what: what.into(), expected, found, is_control: true });
    }
}

/// Runs the demonstrations and, unless single ones were asked for, the comparison. The result is on disk after each; it
/// is returned as it stands there at the end. `render` makes its text for people.
///
/// # Errors
/// A result folder that cannot be made or written to, a Kafka that cannot be asked.
pub async fn run(
    target: &Target<'_>,
    choices: &SemanticsChoices,
    options: &BenchOptions,
    events: Events,
    render: &(dyn Fn(&SemanticsResult) -> String + Send + Sync),
) -> Result<SemanticsResult, BenchError> {
    let environment = environment(target.java_version.clone());
    let folder = ResultFolder::named(&options.results, &environment.host, "semantics")?;
    let now = Timestamp::now();
    let result = SemanticsResult {
        schema: SchemaId::default(),
        id: folder.id(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: now,
        finished: now,
        ending: Ending::Interrupted,
        command: choices.command.clone(),
        environment,
        cluster: target.facts.clone(),
        rounds: 0,
        demonstrations: Vec::new(),
        settings: Vec::new(),
        variants: Vec::new(),
        stall: Vec::new(),
        failures: Vec::new(),
    };
    let stage = Stage::new(target, options, events.clone(), folder.path())?;
    let trials = demonstrations(&choices.only).count() as u32;
    events(BenchEvent::Ready { folder: folder.path().to_owned(), trials });
    let until = Instant::now() + BUDGET;
    let mut show = Show { until, stage, folder, result, killed: Vec::new(), events, render };
    show.save()?;
    let done = show.all(choices).await;
    // Whatever came of it: the cluster may be somebody's.
    let left = show.stage.clear().await;
    done?;
    if !show.stage.stopping() {
        show.result.ending = Ending::Completed;
    }
    for (topic, why) in left {
        let failure = format!("topic {topic} could not be deleted: {why}");
        show.say(&failure);
        show.result.failures.push(failure);
    }
    // What did not come as it had to may be looked at.
    if show.result.demonstrations.iter().all(Demonstration::is_shown) && !options.keep_ledgers {
        show.stage.remove_runs();
    }
    show.save()?;
    Ok(show.result)
}

/// A show in progress.
struct Show<'a> {
    /// When the last round is to have ended.
    until: Instant,
    stage: Stage<'a>,
    folder: ResultFolder,
    result: SemanticsResult,
    killed: Vec<Killed>,
    events: Events,
    render: &'a (dyn Fn(&SemanticsResult) -> String + Send + Sync),
}

impl Show<'_> {
    async fn all(&mut self, choices: &SemanticsChoices) -> Result<(), BenchError> {
        if choices.only.is_empty() {
            self.say("warming the brokers");
            let warmed = rates::warm_up(&self.stage).await;
            warmed.unwrap_or_else(|error| self.say(&format!("the brokers could not be warmed: {error}")));
        }
        for name in demonstrations(&choices.only) {
            if self.stage.stopping() {
                return Ok(());
            }
            self.demonstrate(name).await?;
        }
        if choices.only.is_empty() && !self.stage.stopping() {
            self.say("rates");
            match rates::measure(&self.stage, ROUNDS, self.until).await {
                Ok(rounds) => {
                    self.result.rounds = rounds.done;
                    self.result.settings = comparison::settings(&rounds.measured, &self.killed);
                    self.result.variants = comparison::variants(&rounds.measured);
                    self.result.failures.extend(rounds.failed);
                }
                Err(error) => self.result.failures.push(format!("rates: {error}")),
            }
            for failure in self.result.failures.clone() {
                self.say(&failure);
            }
            self.save()?;
        }
        Ok(())
    }

    async fn demonstrate(&mut self, name: &str) -> Result<(), BenchError> {
        let stage = &self.stage;
        let (demonstration, shown) = match name {
            "transactions" => timed(name, transactions::SEVERAL_TOPICS, transactions::several_topics(stage)).await,
            "isolation" => timed(name, transactions::ISOLATION, transactions::isolation(stage)).await,
            "fencing" => timed(name, fencing::RIVAL, fencing::rival(stage)).await,
            "successor" => timed(name, fencing::SUCCESSOR, fencing::successor(stage)).await,
            "timeout" => timed(name, fencing::TIMEOUT, fencing::timeout(stage)).await,
            "sessions" => timed(name, sessions::SESSIONS, sessions::killed(stage)).await,
            "auto-commit" => timed(name, groups::AUTO_COMMIT, groups::auto_commit(stage)).await,
            "commit-after" => timed(name, groups::COMMIT_AFTER, groups::commit_after(stage)).await,
            "pipelines" => timed(name, groups::PIPELINES, groups::pipelines(stage)).await,
            "rebalances" => timed(name, groups::REBALANCES, groups::rebalances(stage)).await,
            _ => timed(name, groups::DEDUPLICATION, groups::deduplication(stage)).await,
        };
        let word = if demonstration.is_shown() { "as it has to be" } else { "NOT as it has to be" };
        let error = demonstration.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        self.say(&format!("{name}: {word}{error}, {:.1} s", demonstration.duration_s));
        self.result.demonstrations.push(demonstration);
        self.result.stall.extend(shown.stall);
        self.killed.extend(shown.incidences);
        self.save()
    }

    fn say(&self, line: &str) {
        (self.events)(BenchEvent::Said(line.to_owned()));
    }

    fn save(&mut self) -> Result<(), BenchError> {
        self.result.finished = Timestamp::now();
        self.folder.write_with(&self.result, &(self.render)(&self.result))
    }
}

async fn timed(name: &str, shows: &str, work: impl Future<Output = Result<Shown, String>>) -> (Demonstration, Shown) {
    let begun = Instant::now();
    let (shown, error) = match work.await {
        Ok(shown) => (shown, None),
        Err(error) => (Shown::default(), Some(error)),
    };
    let demonstration = Demonstration {
        name: name.to_owned(),
        shows: shows.to_owned(),
        checks: shown.checks.clone(),
        times: shown.times.clone(),
        error,
        duration_s: begun.elapsed().as_secs_f64(),
    };
    (demonstration, shown)
}
