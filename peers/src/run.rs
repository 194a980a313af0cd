//! All of it, in order: contenders, brokers, warm-up, cells, rounds, runs. After each run the result is written.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ackmark_bench::{environment, result_folder::ResultFolder};
use ackmark_schema::{
    peers::{Cell, Contender as ContenderFacts, Failure, PeersResult, Run},
    report::{CpuTime, Ending},
    units::grouped,
    version::SchemaId,
};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::{
    arguments::{Arguments, Kind},
    cell::{CELLS, CellPlan, PARTITIONS},
    child::{self, Done, Undone},
    contender::Contender,
    error::PeersError,
    judge,
    kafka::{self, Kafka},
    plan::Plan,
    table,
    tools::{self, Entrant, Job, Source, Tool, ackmark},
    transactions::{self, EqualTime},
};

/// The name of a result folder's end.
const NAME: &str = "peers";
/// A run's bound: a start on a busy machine, and the slowest rate that is waited for.
const RUN_MIN: Duration = Duration::from_mins(1);
const RATE_MIN_PER_S: f64 = 20_000.0;
/// Failures in a row after which a contender is left out of the rest of a cell.
const FAILURES_MAX: usize = 2;

/// What is left of a series.
#[derive(Debug)]
pub struct Outcome {
    /// The result, as it was last written.
    pub result: PeersResult,
    /// Where.
    pub folder: PathBuf,
}

impl Outcome {
    /// 0 only where every run has a figure.
    pub fn exit_code(&self) -> u8 {
        match self.result.ending {
            Ending::Interrupted => crate::INTERRUPTED,
            Ending::Completed if self.result.cells.iter().all(|cell| cell.failures.is_empty()) => 0,
            Ending::Completed | Ending::Failed => 1,
        }
    }
}

/// Runs a series.
///
/// # Errors
/// It could not begin. Once something was measured, an error is part of the outcome.
pub(crate) fn run(
    arguments: &Arguments,
    plan: &Plan,
    stop: &Arc<AtomicBool>,
    say: &dyn Fn(&str),
) -> Result<Outcome, PeersError> {
    let options = kafka::options(stop);
    let entrants = tools::prepare(&plan.contenders, &options, &Source::of(arguments), stop, say)?;
    let work = tempfile::Builder::new().prefix("ackmark-peers-").tempdir();
    let work = work.map_err(PeersError::io("create a temporary folder"))?;
    let kafka = Kafka::start(arguments.bootstrap_server.as_deref(), &options, say)?;
    plan.cells.iter().try_for_each(|cell| kafka.check_disk(cell))?;
    let environment = environment(kafka.java_version());
    let folder = ResultFolder::named(&arguments.results, &environment.host, NAME)?;
    let now = Timestamp::now();
    let result = PeersResult {
        schema: SchemaId::default(),
        id: folder.id(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: now,
        finished: now,
        ending: Ending::Interrupted,
        error: None,
        command: command_line(plan.seed, arguments.words.clone()),
        seed: plan.seed,
        rounds: plan.rounds,
        warm_up_messages: plan.warm_up_before(),
        environment,
        cluster: kafka.facts.clone(),
        contenders: entrants.iter().map(facts).collect(),
        cells: Vec::new(),
    };
    let mut series = Series {
        plan,
        entrants: &entrants,
        kafka: &kafka,
        folder: &folder,
        work: work.path(),
        stop,
        result,
        prefix: format!("ackmark-peers-{:08x}", rand::random::<u32>()),
        topics: 0,
    };
    let ended = series.all(say);
    let mut result = series.result;
    match ended {
        Ok(()) => result.ending = Ending::Completed,
        Err(PeersError::Interrupted) => {}
        Err(error) => {
            result.ending = Ending::Failed;
            result.error = Some(error.to_string());
        }
    }
    write(&folder, &mut result)?;
    kafka.stop()?;
    Ok(Outcome { result, folder: folder.path().to_owned() })
}

fn facts(entrant: &Entrant) -> ContenderFacts {
    ContenderFacts {
        name: entrant.contender.name().to_owned(),
        version: entrant.tool.as_ref().ok().map(|tool| tool.version()),
        unavailable: entrant.tool.as_ref().err().cloned(),
    }
}

fn write(folder: &ResultFolder, result: &mut PeersResult) -> Result<(), PeersError> {
    result.finished = Timestamp::now();
    Ok(folder.write_with(result, &table::text(result))?)
}

/// The command line that repeats a series, its seed included.
fn command_line(seed: u64, mut words: Vec<String>) -> String {
    if !words.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
        words.extend(["--seed".to_owned(), seed.to_string()]);
    }
    format!("make peers ARGS='{}'", words.join(" "))
}

struct Series<'a> {
    plan: &'a Plan,
    entrants: &'a [Entrant],
    kafka: &'a Kafka,
    folder: &'a ResultFolder,
    work: &'a Path,
    stop: &'a AtomicBool,
    result: PeersResult,
    /// Of its topics' names.
    prefix: String,
    topics: u32,
}

impl Series<'_> {
    fn all(&mut self, say: &dyn Fn(&str)) -> Result<(), PeersError> {
        write(self.folder, &mut self.result)?;
        self.warm_up(say)?;
        let start = Instant::now();
        for (number, cell) in self.plan.cells.iter().enumerate() {
            let left = left(start.elapsed(), self.plan.cells_from(0), self.plan.cells_from(number));
            let (name, title, messages) = (cell.name, cell.title, grouped(cell.messages));
            say(&format!("{name}: {title}, {messages} messages a run; about {left} min left"));
            self.result.cells.push(empty(cell));
            match cell.kind() {
                Kind::Produce | Kind::Transact => self.rounds(cell, None, say)?,
                Kind::Consume => {
                    let load = self.work.join("load");
                    self.with_topic(cell, |series, topic| {
                        let records = series.write_topic(cell, topic, &load, say)?;
                        series.rounds(cell, Some((topic, records)), say)
                    })?;
                    remove(&load)?;
                }
            }
        }
        Ok(())
    }

    /// Brokers that have just started are several times slower.
    fn warm_up(&mut self, say: &dyn Fn(&str)) -> Result<(), PeersError> {
        let messages = self.plan.warm_up_before();
        if messages == 0 {
            return Ok(());
        }
        say(&format!("warming the brokers by {} messages", grouped(messages)));
        let (cell, load) = (&CELLS[0], self.work.join("load"));
        self.with_topic(cell, |series, topic| series.write_by_ackmark(cell, topic, &load, messages))?;
        remove(&load)
    }

    /// Does something with a fresh topic, which is deleted afterwards, whatever became of it.
    fn with_topic<T>(
        &mut self,
        cell: &CellPlan,
        work: impl FnOnce(&mut Self, &str) -> Result<T, PeersError>,
    ) -> Result<T, PeersError> {
        self.topics += 1;
        let topic = format!("{}-{}", self.prefix, self.topics);
        self.kafka.create(cell, &topic)?;
        let done = work(self, &topic);
        let deleted = self.kafka.delete(&topic);
        // What went wrong first is the cause.
        done.and_then(|done| deleted.map(|()| done))
    }

    /// Writes the topic that all readers read, and tells how many records it holds.
    fn write_topic(&self, cell: &CellPlan, topic: &str, load: &Path, say: &dyn Fn(&str)) -> Result<u64, PeersError> {
        say("  writing the topic that is read");
        self.write_by_ackmark(cell, topic, load, cell.messages)?;
        // Its own messages, and the sentinel that seals each partition.
        let expected = cell.messages + u64::from(PARTITIONS);
        let records = self.kafka.records(cell, topic, expected)?;
        if records == expected { Ok(records) } else { Err(PeersError::NoTopic(differs(expected, records))) }
    }

    fn write_by_ackmark(&self, cell: &CellPlan, topic: &str, load: &Path, messages: u64) -> Result<(), PeersError> {
        let tool = self.tool(Contender::Ackmark).map_err(|why| PeersError::NoAckmark(why.to_owned()))?;
        let servers = self.kafka.servers();
        let job = Job { cell, servers: &servers, topic, transaction_ms: None, messages, load };
        match child::run(ackmark::write_command(tool, &job), self.work, bound(messages), self.stop) {
            Ok(_) => Ok(()),
            Err(Undone::Failed(why)) => Err(PeersError::NoTopic(why)),
            Err(Undone::Stopped) => Err(PeersError::Interrupted),
        }
    }

    /// All rounds of the last cell of the result. Readers share the `written` topic, with its number of records.
    fn rounds(&mut self, cell: &CellPlan, written: Option<(&str, u64)>, say: &dyn Fn(&str)) -> Result<(), PeersError> {
        let there: Vec<Contender> =
            self.entrants.iter().filter(|entrant| entrant.tool.is_ok()).map(|entrant| entrant.contender).collect();
        let mut failed: BTreeMap<Contender, usize> = BTreeMap::new();
        let followers = Contender::ALL.into_iter().filter(|contender| contender.follows_kafka());
        let follow = |ms| followers.map(|contender| (contender, EqualTime::new(contender, ms))).collect();
        let mut equal_times: BTreeMap<Contender, EqualTime> = cell.transaction_ms().map(follow).unwrap_or_default();
        for round in 0..=self.plan.rounds {
            for contender in self.plan.order(cell, round, &there) {
                if failed.get(&contender).is_some_and(|times| *times >= FAILURES_MAX) {
                    continue;
                }
                if self.stop.load(Ordering::Relaxed) {
                    return Err(PeersError::Interrupted);
                }
                let transaction_ms = transaction_ms(cell, contender, equal_times.get(&contender));
                let outcome = match written {
                    Some((topic, records)) => self.one(cell, contender, topic, records, transaction_ms)?,
                    None => self.with_topic(cell, |series, topic| {
                        series.one(cell, contender, topic, cell.messages, transaction_ms)
                    })?,
                };
                let had = outcome.as_ref().ok().and_then(|run| run.transactions.as_ref());
                if let Some(had) = had {
                    for equal_time in equal_times.values_mut() {
                        equal_time.learn(contender, had);
                    }
                }
                say(&told(cell, contender, round, self.plan.rounds, &outcome));
                let times = if outcome.is_ok() { 0 } else { failed.get(&contender).copied().unwrap_or_default() + 1 };
                failed.insert(contender, times);
                self.keep(contender, round, outcome, times)?;
            }
        }
        Ok(())
    }

    /// Keeps a run, or why there is none, and what follows.
    fn keep(
        &mut self,
        contender: Contender,
        round: u32,
        outcome: Result<Run, String>,
        failures: usize,
    ) -> Result<(), PeersError> {
        let Some(cell) = self.result.cells.last_mut() else { return Ok(()) };
        match outcome {
            Ok(run) => cell.runs.push(Run { round, ..run }),
            Err(mut reason) => {
                // A broker that has died is the cause, whatever the contender says.
                self.kafka.check()?;
                if failures >= FAILURES_MAX {
                    reason.push_str("; left out of the rest of this cell");
                }
                cell.failures.push(Failure { contender: contender.name().to_owned(), round, reason });
            }
        }
        cell.figures = judge::figures(&cell.name, &cell.runs, cell.messages);
        write(self.folder, &mut self.result)
    }

    /// One run of one contender. The inner error tells why it has no figure.
    fn one(
        &mut self,
        cell: &CellPlan,
        contender: Contender,
        topic: &str,
        messages: u64,
        transaction_ms: Option<u32>,
    ) -> Result<Result<Run, String>, PeersError> {
        let (servers, scratch) = (self.kafka.servers(), self.work.join("run"));
        // Readers need the ledger of the topic; a producer writes one of its own.
        let load = if cell.kind() == Kind::Consume { self.work.join("load") } else { scratch.join("load") };
        fs::create_dir_all(&scratch).map_err(PeersError::io("create a temporary folder"))?;
        let job = Job { cell, servers: &servers, topic, transaction_ms, messages, load: &load };
        let tool = match self.tool(contender) {
            Ok(tool) => tool,
            Err(why) => return Ok(Err(why.to_owned())),
        };
        let command = tool.command(&job);
        let shown = shown(&command, &load);
        let brokers_before = self.kafka.cpu();
        let done = child::run(command, &scratch, bound(messages), self.stop);
        let run = match done {
            Ok(done) => self.checked(cell, contender, &job, &done, brokers_before)?,
            Err(Undone::Failed(why)) => Err(why),
            Err(Undone::Stopped) => return Err(PeersError::Interrupted),
        };
        remove(&scratch)?;
        if let Some(cell) = self.result.cells.last_mut() {
            cell.commands.entry(contender.name().to_owned()).or_insert(shown);
        }
        Ok(run)
    }

    /// A run's figures, if it did all of its work. `brokers_before`: the brokers' CPU time when it began.
    fn checked(
        &self,
        cell: &CellPlan,
        contender: Contender,
        job: &Job<'_>,
        done: &Done,
        brokers_before: Option<CpuTime>,
    ) -> Result<Result<Run, String>, PeersError> {
        let told = match self.tool(contender).map_err(str::to_owned).and_then(|tool| tool.told(job, done)) {
            Ok(told) => told,
            Err(why) => return Ok(Err(why)),
        };
        if told.messages != job.messages {
            return Ok(Err(format!("it says that it did {} of {} messages", told.messages, job.messages)));
        }
        if told.interval_s.is_some_and(|interval| interval <= 0.0) {
            return Ok(Err("it says that it took no time".into()));
        }
        if cell.kind() != Kind::Consume {
            let records = self.kafka.records(cell, job.topic, job.messages)?;
            // Markers are among the records of a run in transactions, whose log is read below.
            if records != job.messages && job.transaction_ms.is_none() {
                return Ok(Err(differs(job.messages, records)));
            }
        }
        let brokers_cpu = self.kafka.cpu().zip(brokers_before).map(|(after, before)| after - before);
        let transactions = match job.transaction_ms {
            None => None,
            Some(asked_ms) => {
                let of_run = self.kafka.log(job.topic, self.stop)?.and_then(|log| {
                    transactions::of_run(
                        asked_ms,
                        contender.producers(),
                        job.messages,
                        told.interval_s,
                        told.transactions,
                        &log,
                    )
                });
                match of_run {
                    Ok(found) => Some(found),
                    Err(why) => return Ok(Err(why)),
                }
            }
        };
        Ok(Ok(Run {
            contender: contender.name().to_owned(),
            round: 0,
            interval_s: told.interval_s,
            process_s: done.process.as_secs_f64(),
            cpu: done.cpu,
            brokers_cpu,
            after_warm_up_per_s: told.after_warm_up_per_s,
            transactions,
        }))
    }

    fn tool(&self, contender: Contender) -> Result<&dyn Tool, &str> {
        match self.entrants.iter().find(|entrant| entrant.contender == contender) {
            Some(Entrant { tool: Ok(tool), .. }) => Ok(tool.as_ref()),
            Some(Entrant { tool: Err(why), .. }) => Err(why),
            None => Err("it does not take part"),
        }
    }
}

/// After how long a contender is to commit its transactions in its next run; `None` where it is to have none.
fn transaction_ms(cell: &CellPlan, contender: Contender, equal_time: Option<&EqualTime>) -> Option<u32> {
    match contender {
        contender if contender.follows_kafka() => equal_time.map(EqualTime::ask_ms),
        contender if contender.has_transactions() => cell.transaction_ms(),
        _ => None,
    }
}

fn empty(cell: &CellPlan) -> Cell {
    Cell {
        name: cell.name.to_owned(),
        work: cell.work,
        value_bytes: cell.value_bytes.into(),
        messages: cell.messages,
        partitions: PARTITIONS,
        replication_factor: cell.replication_factor(),
        min_insync_replicas: cell.min_insync_replicas(),
        leading_brokers: if cell.one_broker { 1 } else { 3 },
        settings: cell.settings(),
        commands: IndexMap::new(),
        runs: Vec::new(),
        failures: Vec::new(),
        figures: Vec::new(),
    }
}

/// Minutes that are left, by how the estimate has fitted until now.
fn left(passed: Duration, all: Duration, rest: Duration) -> u64 {
    let done = all.saturating_sub(rest).as_secs_f64();
    let pace = if done > 0.0 { passed.as_secs_f64() / done } else { 1.0 };
    (rest.as_secs_f64() * pace / 60.0).ceil() as u64
}

fn bound(messages: u64) -> Duration {
    RUN_MIN + Duration::from_secs_f64(messages as f64 / RATE_MIN_PER_S)
}

fn differs(expected: u64, found: u64) -> String {
    format!("the topic's offsets tell {} records where {} were to be written", grouped(found), grouped(expected))
}

fn remove(folder: &Path) -> Result<(), PeersError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PeersError::io(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

/// A command line as it is kept: without what is this machine's alone.
fn shown(command: &Command, load: &Path) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut words = vec![program];
    let mut jars = false;
    for argument in command.get_args() {
        let word = argument.to_string_lossy();
        words.push(match () {
            () if jars => "JARS".to_owned(),
            () if Path::new(argument) == load => "LOAD".to_owned(),
            () if word.is_empty() => "''".to_owned(),
            () => word.to_string(),
        });
        jars = word == "-cp";
    }
    words.join(" ")
}

/// A line of narration.
fn told(cell: &CellPlan, contender: Contender, round: u32, rounds: u32, outcome: &Result<Run, String>) -> String {
    let round = if round == 0 { "discarded".to_owned() } else { format!("{round}/{rounds}") };
    let who = format!("  {round:<9} {:<20}", contender.name());
    match outcome {
        Ok(run) => {
            let million = cell.messages as f64 / 1e6;
            let interval = run.interval_s.unwrap_or(run.process_s);
            let mut line =
                format!("{who} {:>6.2} M/s   {:.3} CPU s/M", million / interval, run.cpu.total_s() / million);
            if let Some(mean_ms) = run.transactions.as_ref().and_then(|transactions| transactions.mean_ms) {
                let _ = write!(line, "   {mean_ms:.0} ms a transaction");
            }
            line
        }
        Err(why) => format!("{who} no figure: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_repeats_the_seed() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(command_line(7, words("--rounds 2")), "make peers ARGS='--rounds 2 --seed 7'");
        assert_eq!(command_line(7, words("--seed=7")), "make peers ARGS='--seed=7'");
        assert_eq!(command_line(7, Vec::new()), "make peers ARGS='--seed 7'");
    }

    #[test]
    fn a_command_line_is_kept_without_this_machine_s_paths() {
        let mut command = Command::new("/home/user/target/release/ackmark");
        command.args(["verify", "/tmp/x/load", "-f", "", "-cp", "/home/user/a.jar:/home/user/b.jar", "Main"]);
        assert_eq!(shown(&command, Path::new("/tmp/x/load")), "ackmark verify LOAD -f '' -cp JARS Main");
    }

    #[test]
    fn what_is_left_follows_the_pace() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(left(Duration::ZERO, minutes(20), minutes(20)), 20);
        assert_eq!(left(minutes(20), minutes(20), minutes(10)), 20, "half of it took twice as long");
        assert_eq!(left(minutes(5), minutes(20), Duration::ZERO), 0);
    }

    #[test]
    fn only_a_series_without_gaps_is_a_success() {
        assert!(bound(5_000_000) > Duration::from_mins(5));
        let io = PeersError::io("x")(std::io::Error::other("y"));
        let codes = [PeersError::Usage("x".into()), PeersError::Interrupted, PeersError::NoTopic("x".into()), io];
        assert_eq!(codes.map(|error| error.exit_code()), [2, 130, 1, 1]);
    }
}
