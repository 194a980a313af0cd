//! Each contender: how it is had, its command line, its output.
//!
//! | module | contender | where it comes from |
//! |---|---|---|
//! | [`ackmark`] | ackmark and its variants | this workspace |
//! | [`librdkafka`] | the bare librdkafka loop | the client crate's examples |
//! | [`rdkafka_performance`] | rdkafka_performance | the source that rdkafka-sys ships, with the library that ackmark links |
//! | [`franz_go`] | franz-go | the Go module `franz-go/` beside this crate |
//! | [`kafka`] | Kafka's own tools | the jars that run the brokers |
//! | [`kcat`] | kcat | the system |

pub(crate) mod ackmark;
mod franz_go;
mod kafka;
mod kcat;
mod librdkafka;
mod rdkafka_performance;
mod workspace;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

use ackmark_cluster::local::LocalOptions;

use self::workspace::Built;
use crate::{
    arguments::Arguments, cell::CellPlan, child::Done, contender::Contender, error::PeersError,
    transactions::ToldTransactions,
};

/// One run to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    /// The work.
    pub(crate) cell: &'a CellPlan,
    /// Brokers to begin with.
    pub(crate) servers: &'a str,
    /// A fresh topic to write to, or the one to read.
    pub(crate) topic: &'a str,
    /// After how long a transaction is to be committed, milliseconds; `None` for a run without transactions.
    pub(crate) transaction_ms: Option<u32>,
    /// Messages to send, or records that the topic holds.
    pub(crate) messages: u64,
    /// The load folder: one to be made by `ackmark load`, or that of the topic to be read.
    pub(crate) load: &'a Path,
}

/// What a contender says that it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Told {
    /// Messages that were acknowledged, or read.
    pub(crate) messages: u64,
    /// From the first send to the last acknowledgement, or from the start of reading to the last message.
    pub(crate) interval_s: Option<f64>,
    /// Messages per second after a warm-up of its own.
    pub(crate) after_warm_up_per_s: Option<f64>,
    /// Its transactions, where it tells of them.
    pub(crate) transactions: Option<ToldTransactions>,
}

impl Told {
    fn new(messages: u64, interval_s: f64) -> Self {
        Self { messages, interval_s: Some(interval_s), after_warm_up_per_s: None, transactions: None }
    }
}

/// A contender that is there.
pub(crate) trait Tool {
    /// Its program, library and version.
    fn version(&self) -> String;
    /// The command that does a job.
    fn command(&self, job: &Job<'_>) -> Command;
    /// What it says that it did.
    ///
    /// # Errors
    /// It says something else than expected: its words.
    fn told(&self, job: &Job<'_>, done: &Done) -> Result<Told, String>;
}

/// A contender with its tool, or with the reason why there is none.
pub(crate) struct Entrant {
    /// Who.
    pub(crate) contender: Contender,
    /// Its tool; else why it could not be had.
    pub(crate) tool: Result<Box<dyn Tool>, String>,
}

/// Where ackmark comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// This workspace, with what else it holds.
    Workspace {
        /// Whether for figures.
        optimised: bool,
    },
    /// A program that was built before.
    Program(PathBuf),
}

impl Source {
    /// What the flags say.
    pub(crate) fn of(arguments: &Arguments) -> Self {
        match &arguments.ackmark {
            Some(program) => Self::Program(program.clone()),
            None => Self::Workspace { optimised: !arguments.unoptimised },
        }
    }

    /// What a reader of figures must know of it.
    fn remark(&self) -> &'static str {
        match self {
            Self::Workspace { optimised: true } => "",
            Self::Workspace { optimised: false } => ", **built without optimisation: these are no figures**",
            Self::Program(_) => ", built elsewhere",
        }
    }
}

/// Builds or finds the contenders. Slow the first time.
///
/// # Errors
/// ackmark itself could not be built, or the user wants an end.
pub(crate) fn prepare(
    contenders: &[Contender],
    kafka: &LocalOptions,
    source: &Source,
    stop: &AtomicBool,
    say: &dyn Fn(&str),
) -> Result<Vec<Entrant>, PeersError> {
    let builder = Builder::new(stop)?;
    let built = match source {
        Source::Program(program) => Built::of(program),
        Source::Workspace { optimised } => {
            say("building ackmark and the librdkafka loops");
            workspace::build(&builder, *optimised)?.map_err(PeersError::NoAckmark)?
        }
    };
    let mut entrants = Vec::new();
    for &contender in contenders {
        let tool: Result<Box<dyn Tool>, String> = match contender {
            Contender::Ackmark
            | Contender::AckmarkEqualTime
            | Contender::AckmarkTwoIds
            | Contender::AckmarkIdempotent
            | Contender::AckmarkAllAcks => {
                boxed(Ok(ackmark::Ackmark::find(contender, &builder, &built, source.remark())?))
            }
            Contender::Librdkafka => boxed(librdkafka::Librdkafka::new(&built)),
            Contender::RdkafkaPerformance => boxed(rdkafka_performance::RdkafkaPerformance::build(&builder, &built)?),
            Contender::FranzGo => {
                say("building the franz-go driver");
                boxed(franz_go::FranzGo::build(&builder)?)
            }
            Contender::Kafka => boxed(kafka::KafkaPerfTest::find(kafka, say)?),
            Contender::Kcat => boxed(kcat::Kcat::find(&builder)?),
        };
        if let Err(why) = &tool {
            say(&format!("{} is not available: {why}", contender.name()));
        }
        entrants.push(Entrant { contender, tool });
    }
    let is_without = |entrant: &Entrant| entrant.contender == Contender::Kafka && entrant.tool.is_err();
    if entrants.iter().any(is_without) {
        for entrant in entrants.iter_mut().filter(|entrant| entrant.contender.follows_kafka()) {
            entrant.tool = Err("Kafka's tool, whose transactions it follows, is not available".into());
        }
    }
    Ok(entrants)
}

fn boxed<T: Tool + 'static>(tool: Result<T, String>) -> Result<Box<dyn Tool>, String> {
    tool.map(|tool| Box::new(tool) as Box<dyn Tool>)
}

/// What building needs.
struct Builder<'a> {
    /// The workspace's folder.
    workspace: PathBuf,
    /// Where builds go that are not cargo's.
    target: PathBuf,
    /// Takes outputs.
    scratch: tempfile::TempDir,
    stop: &'a AtomicBool,
}

impl<'a> Builder<'a> {
    fn new(stop: &'a AtomicBool) -> Result<Self, PeersError> {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = crate_folder.parent().unwrap_or(crate_folder).to_owned();
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from).join("peers");
        std::fs::create_dir_all(&target).map_err(PeersError::io(format!("create {}", target.display())))?;
        let scratch = tempfile::tempdir().map_err(PeersError::io("create a temporary folder"))?;
        Ok(Self { workspace, target, scratch, stop })
    }

    /// Runs a command of a build. The inner error tells how it failed.
    fn run(&self, command: Command) -> Result<Result<Done, String>, PeersError> {
        use crate::child::{Undone, run};
        match run(command, self.scratch.path(), BUILD_MAX, self.stop) {
            Ok(done) => Ok(Ok(done)),
            Err(Undone::Failed(why)) => Ok(Err(why)),
            Err(Undone::Stopped) => Err(PeersError::Interrupted),
        }
    }
}

/// A first build on a slow machine.
const BUILD_MAX: std::time::Duration = std::time::Duration::from_mins(40);

/// Finds a program in `PATH`, or in a folder where it is put by habit.
fn program(name: &str, habit: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(habit.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_absolute() && program.is_file())
}

/// The part of `text` between two marks.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(part, _)| part)
}

/// An error that shows what a contender said instead.
fn unexpected(output: &str) -> String {
    let last: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    format!("its output is not what was expected: {}", last[last.len().saturating_sub(3)..].join(" / "))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use ackmark_schema::report::CpuTime;

    use super::*;

    /// An output as it was recorded.
    pub(crate) fn done(stdout: &str, stderr: &str) -> Done {
        let (process, cpu) = (Duration::from_secs(1), CpuTime::default());
        Done { stdout: stdout.into(), stderr: stderr.into(), process, cpu }
    }

    /// A job of a cell.
    pub(crate) fn job(cell: &CellPlan, messages: u64) -> Job<'_> {
        let (servers, load, transaction_ms) = ("127.0.0.1:9092", Path::new("/work/load"), cell.transaction_ms());
        Job { cell, servers, topic: "t", transaction_ms, messages, load }
    }

    /// A command line without its program.
    pub(crate) fn arguments(command: &Command) -> String {
        command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_last_lines_of_an_output_are_shown() {
        assert_eq!(unexpected("a\nb\n\nc\nd\n"), "its output is not what was expected: b / c / d");
        assert_eq!(between("in 12 ms: 3", "in ", " ms"), Some("12"));
        assert_eq!(between("in 12 s", "in ", " ms"), None);
    }

    #[test]
    fn programs_are_found() {
        assert!(program("sh", &[]).is_some());
        assert_eq!(program("no-such-program", &["/usr/bin"]), None);
    }
}
