//! `ackmark bench`: the main job.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use ackmark_bench::{BenchError, BenchOptions, Choices, Plan, Target, guards, shipped};
use ackmark_client::ClientProperties;
use ackmark_cluster::{Cluster, External, Guards, Local, Simulated};
use ackmark_schema::{
    report::{Ending, verify::Verdict},
    result::RunResult,
    scenario::Phase,
    units::Bytes,
};

use super::{
    chart,
    cluster::{self, Kafka},
    semantics,
};
use crate::{
    arguments::{Output, Progress},
    connection::{self, Properties, Servers},
    consent, console,
    exit::Exit,
    interrupt,
    narration::Narrator,
    parent, print,
    problem::Problem,
};

/// Run a scenario: load, verify, judge, plot.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without -b it starts a local three-broker Kafka and stops it at the end.

`semantics` is no scenario of profiles: it puts each delivery semantic to the test (transactions, fencing, restarts, \
consumers, pipelines, deduplication), holds each count against the one that has to come, and fills the comparison table.

Examples:
  ackmark bench quick
  ackmark bench transactions
  ackmark bench delivery --dry-run
  ackmark bench semantics
  ackmark bench own.toml -b localhost:9092 -X compression.type=lz4")]
pub(crate) struct Arguments {
    /// A shipped scenario, or a TOML file of your own (see `ackmark schema scenario`)
    #[arg(value_name = "SCENARIO", default_value = shipped::DEFAULT)]
    scenario: String,
    /// Run these profiles instead of the scenario's
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) profiles: Vec<String>,
    /// Seed of every random choice [default: the scenario's, or drawn]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Show these demonstrations alone (semantics)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = semantics::DEMONSTRATIONS)]
    pub(super) only: Vec<String>,
    /// Print the plan, how long it takes and the bytes it writes, and run nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Take the rates of open-loop phases from an earlier result, so that both can be compared
    #[arg(long, value_name = "RESULT")]
    rates_from: Option<PathBuf>,
    /// The folder that results go to
    #[arg(long, value_name = "DIR", default_value = "results", env = "ACKMARK_RESULTS", hide_env_values = true)]
    pub(super) results: PathBuf,
    /// Leave all topics there; without it up to three stay whose promise was not seen to be kept, unless the
    /// cluster ends with the run
    #[arg(long)]
    keep_topics: bool,
    /// Leave the ledgers there of trials that kept their promise; the others always stay
    #[arg(long)]
    pub(super) keep_ledgers: bool,
    /// Most message bytes, before replication, to write to a Kafka that ackmark did not start [default: 8GiB]
    #[arg(long, value_name = "SIZE")]
    max_bytes: Option<Bytes>,
    /// Most message bytes per second to send at a rate to a Kafka that ackmark did not start; a phase as fast as
    /// possible is bounded in messages by it, and not slowed down [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    max_rate: Option<Bytes>,
    /// Write to a Kafka that ackmark did not start without asking
    #[arg(short, long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    /// Use librdkafka's mock cluster: tries the tool without Java and proves nothing about Kafka
    #[arg(long, help_heading = "Kafka")]
    simulated: bool,
    #[command(flatten)]
    pub(super) kafka: Kafka,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) progress: Progress,
}

/// Plans, runs, tells, draws.
///
/// # Errors
/// Bad input, no consent, a Kafka that cannot be had or reached, a folder that cannot be written to.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let stop = interrupt::watch()?;
    let source = Source::of(arguments)?;
    if arguments.scenario == semantics::NAME {
        return semantics::run(arguments, &source, stop);
    }
    if !arguments.only.is_empty() {
        return Err(Problem::usage("--only is for `ackmark bench semantics`").hint("choose with --profiles here"));
    }
    let scenario = shipped::scenario(&arguments.scenario).map_err(|error| problem(&error))?;
    let plan =
        Plan::new(&scenario, &arguments.choices(), &source.guards(arguments)).map_err(|error| problem(&error))?;
    if arguments.dry_run {
        arguments.output.print(&print::plan::outline(&plan), || print::plan::document(&plan))?;
        return Ok(Exit::Success);
    }
    if let Source::External { servers, ours: false, .. } = &source {
        let what = guards::what_is_written(&plan, &source.guards(arguments), servers);
        consent::ask(&what, "look at the plan with --dry-run", arguments.yes)?;
    }
    let narrator = Narrator::new(arguments.progress.progress);
    let cluster = source.start(&arguments.kafka, &stop, &narrator)?;
    let options = BenchOptions {
        ackmark: parent::program()?,
        results: arguments.results.clone(),
        keep_topics: arguments.keep_topics,
        keep_ledgers: arguments.keep_ledgers,
        confirmed: true,
        stop,
    };
    let mut target = Target::new(&cluster, source.properties()).map_err(|error| cluster::problem(&error))?;
    target.guards = source.guards(arguments);
    let outcome = bench(&plan, &target, &options, &narrator);
    drop(target);
    let stopped = stop_cluster(cluster);
    let exit = tell(arguments, &outcome?, narrator)?;
    stopped.map(|()| exit)
}

/// Runs the plan on a runtime of its own.
fn bench(
    plan: &Plan,
    target: &Target<'_>,
    options: &BenchOptions,
    narrator: &Arc<Narrator>,
) -> Result<RunResult, Problem> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Problem::runtime(format!("cannot start the threads that watch over children: {error}")))?;
    runtime.block_on(ackmark_bench::run(plan, target, options, narrator.events())).map_err(|error| problem(&error))
}

pub(super) fn stop_cluster(cluster: Cluster) -> Result<(), Problem> {
    match cluster {
        Cluster::Local(local) => local.stop().map_err(|error| cluster::problem(&error)),
        Cluster::External(_) | Cluster::Simulated(_) => Ok(()),
    }
}

/// Prints the result, draws its charts, says what comes next.
fn tell(arguments: &Arguments, result: &RunResult, narrator: Arc<Narrator>) -> Result<Exit, Problem> {
    let folder = narrator.folder();
    drop(narrator);
    arguments.output.print(result, || print::result::document(result))?;
    if let Some(folder) = &folder {
        let charts = chart::draw(result, folder, &folder.join(chart::FOLDER))?;
        console::say(format_args!(
            "\nresults: {}\ncharts:  {} in {}\nnext:    read {}",
            folder.display(),
            charts.rendered.len(),
            folder.join(chart::FOLDER).display(),
            folder.join("README.md").display()
        ));
        ackmark_bench::result_folder::renew_readme(folder, result).map_err(|error| Problem::failed(&error))?;
    }
    Ok(exit_of(result))
}

/// A broken promise comes first; held promises with trials that failed, or with a phase without a figure, are no
/// success.
fn exit_of(result: &RunResult) -> Exit {
    let failed = result.trials.iter().any(|trial| trial.ending == Ending::Failed);
    let without_figure =
        |phase: &Phase| !result.trials.iter().any(|trial| trial.phase == phase.name && trial.is_used());
    match (result.ending, result.verdict) {
        (_, Verdict::Broken) => Exit::Broken,
        (Ending::Interrupted, _) => Exit::Interrupted,
        (Ending::Failed, _) => Exit::Runtime,
        (Ending::Completed, _) if failed || result.scenario.phases.iter().any(without_figure) => Exit::Inconclusive,
        (Ending::Completed, verdict) => Exit::of_verdict(verdict),
    }
}

impl Arguments {
    fn choices(&self) -> Choices {
        Choices { seed: self.seed, profiles: self.profiles.clone(), rates_from: self.rates_from.clone() }
    }
}

/// Where the Kafka comes from.
pub(super) enum Source {
    /// By its address. `ours` when it is the kept local one.
    External { servers: String, properties: ClientProperties, ours: bool },
    /// Started for this run.
    Local(ClientProperties),
    /// librdkafka's mock.
    Simulated(ClientProperties),
}

impl Source {
    fn of(arguments: &Arguments) -> Result<Self, Problem> {
        let mut properties = arguments.properties.resolve()?;
        if arguments.simulated {
            if arguments.servers.typed {
                return Err(Problem::usage("--simulated and -b name two Kafkas").hint("leave one of them out"));
            }
            return Ok(Self::Simulated(properties));
        }
        match arguments.servers.add_to(&mut properties) {
            Some(servers) => {
                let ours = consent::is_ours(&servers, arguments.kafka.home.as_deref())?;
                Ok(Self::External { servers, properties, ours })
            }
            None => Ok(Self::Local(properties)),
        }
    }

    /// What the user set.
    pub(super) const fn properties(&self) -> &ClientProperties {
        match self {
            Self::External { properties, .. } | Self::Local(properties) | Self::Simulated(properties) => properties,
        }
    }

    fn guards(&self, arguments: &Arguments) -> Guards {
        let somebody_elses = Guards::for_somebody_elses();
        match self {
            Self::External { ours: false, .. } => Guards {
                bytes_max: arguments.max_bytes.map(|most| most.0).or(somebody_elses.bytes_max),
                rate_max_bytes_per_s: arguments.max_rate.map(|most| most.0).or(somebody_elses.rate_max_bytes_per_s),
                ..somebody_elses
            },
            _ => Guards::none(),
        }
    }

    pub(super) fn start(&self, kafka: &Kafka, stop: &Arc<AtomicBool>, narrator: &Narrator) -> Result<Cluster, Problem> {
        let started = match self {
            Self::External { servers, properties, .. } => {
                let external = External::with_properties(servers, properties.clone());
                external.check().map(|()| Cluster::External(external))
            }
            Self::Local(_) => {
                Local::start(&kafka.options(Arc::clone(stop)), &|line| narrator.say(line)).map(Cluster::Local)
            }
            Self::Simulated(_) => Simulated::start().map(Cluster::Simulated),
        };
        started.map_err(|error| cluster::problem(&error))
    }
}

/// What the user can mend by another command line or file is bad input, the rest is not.
pub(super) fn problem(error: &BenchError) -> Problem {
    match error {
        BenchError::Client(error) => connection::problem(error),
        BenchError::Guard(error) => cluster::problem(error),
        BenchError::Child(_) | BenchError::KeepsFailing { .. } | BenchError::Unkept { .. } => Problem::failed(error),
        _ => Problem::refused(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_disk_that_fills_up_is_bad_input_only_before_the_load() {
        let source = || io::Error::from(io::ErrorKind::StorageFull);
        let before = problem(&BenchError::Unwritable { path: "results".into(), source: source() });
        assert_eq!(before.exit, Exit::Usage);
        let (path, folder) = ("results/a/result.json".into(), "results/a".into());
        let during = problem(&BenchError::Unkept { path, folder, source: source() });
        assert_eq!(during.exit, Exit::Runtime);
        assert!(during.message.contains("what was measured before is in results/a"), "{during:?}");
    }
}
