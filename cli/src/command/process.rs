//! `ackmark process`: a consumer or pipeline under test, killed where it hurts, and judged.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use ackmark_bench::group::{Answered, Crew, CrewPlan, GroupError, Launch};
use ackmark_client::{
    AdminClient, ClientProperties, LogSink,
    admin::{ConfigResource, NewTopic},
};
use ackmark_schema::{
    process::{Database, Effect, Pattern, Point},
    properties::Origin,
    report::{
        Ending,
        process::{Blow, PROCESS_FILE, PROCESS_VERDICT_FILE, ProcessReport, ProcessVerdict},
    },
    text,
    units::{Count, Span},
};
use ackmark_verifier::process::{ProcessError, ProcessOptions, judge};
use ackmark_workload::Store;
use clap::{ValueEnum, builder::PossibleValue};
use serde::Serialize;

use crate::{
    arguments::{Output, Progress},
    connection::{self, Properties, Servers},
    consent, console,
    exit::Exit,
    files, folder, interrupt, parent, print,
    problem::Problem,
    progress::{Event, Reporter},
};

/// How long a broker may take to answer an admin request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long judging may take once the user wants an end, and how often that is looked for.
const JUDGE_INTERRUPTED: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
/// The database of a group that is given none, in its folder.
const OWN_DATABASE: &str = "effects.db";
const MIN_INSYNC: &str = "min.insync.replicas";
/// Properties that say who a member is: ackmark's to set.
const OWN: [&str; 7] = [
    "group.id",
    "group.instance.id",
    "group.protocol",
    "transactional.id",
    "auto.offset.reset",
    "enable.partition.eof",
    "isolation.level",
];
/// Offsets that are committed in the background are waited for so long before a member is killed.
const AUTO_COMMIT_MS_MAX: u64 = 5_000;

/// Run a consumer or a pipeline, kill it where it hurts, and judge what it did.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Members of a consumer group are child processes of this one. --crash names points of their cycle: there a member waits \
until it is killed by SIGKILL, and a next life takes its place. What the crash leaves behind (messages in hand, the \
group's offsets) says what must come of it; afterwards the journal, the output or the database is read back and compared.

The input is processed as it is there when the group begins, up to its end; `ackmark load` writes one. The source of each \
pattern is short and stands alone: `ackmark profiles PATTERN` names it.

Exit codes: 0 held · 3 the promise was broken · 4 no verdict could be reached

Examples:
  ackmark process commit-after -b localhost:9092 -t orders --crash after-process,after-commit
  ackmark process exactly-once -b localhost:9092 -t orders --to invoices --crash after-send-offsets --members 2
  ackmark process deduplicate -b localhost:9092 -t invoices --database sqlite:///tmp/effects.db?mode=rwc")]
pub(crate) struct Arguments {
    /// The pattern
    #[arg(value_name = "PATTERN")]
    pattern: Named<Pattern>,
    /// The topic that is read
    #[arg(short, long, value_name = "TOPIC")]
    topic: String,
    /// The topic that a pipeline writes: one that is empty, or that is not there and is made like the input
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// The group [default: one of its own]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Members at a time
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    members: u32,
    /// How a member that was killed comes back
    #[arg(long, value_name = "HOW", default_value = "static")]
    rejoin: Rejoin,
    /// Most messages of a cycle
    #[arg(long, value_name = "COUNT", default_value = "500")]
    batch: Count,
    /// How long a cycle waits for more once it has a message
    #[arg(long, value_name = "TIME", default_value = "20ms")]
    batch_wait: Span,
    /// Points at which members are killed, one crash each, in order and in turn
    #[arg(long, value_name = "POINTS", value_delimiter = ',')]
    crash: Vec<Named<Point>>,
    /// Points at which members are frozen (SIGSTOP) until others have their partitions, and let go on then as zombies;
    /// after those of --crash
    #[arg(long, value_name = "POINTS", value_delimiter = ',')]
    freeze: Vec<Named<Point>>,
    /// In which cycle of its life a member is struck
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    crash_cycle: u64,
    /// Where effects and ids go, for deduplicate.
    #[arg(
        long,
        value_name = "URL",
        env = "ACKMARK_DATABASE",
        hide_env_values = true,
        help = "\
Where effects and ids go, for deduplicate: sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST/NAME
[default: an SQLite file in the folder]"
    )]
    database: Option<String>,
    /// Offsets of each partition whose ids are kept, for deduplicate; a copy that comes later is not recognised
    #[arg(long, value_name = "COUNT", default_value = "10M")]
    window: Count,
    /// Give up when the group's offsets do not move for this long
    #[arg(long, value_name = "TIME", default_value = "1m")]
    timeout: Span,
    /// Folder for journals and reports; must not hold another run [default: process-<time>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write to a Kafka that ackmark did not start without asking
    #[arg(short, long)]
    yes: bool,
    /// Where a kept local cluster is, which is written to without asking.
    #[arg(long, value_name = "DIR", env = "ACKMARK_HOME", hide = true)]
    home: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    progress: Progress,
}

/// A value of the schema, by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<T>(pub(crate) T);

impl ValueEnum for Named<Pattern> {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Pattern::AutoCommit),
            Self(Pattern::CommitAfter),
            Self(Pattern::Deduplicate),
            Self(Pattern::Copy),
            Self(Pattern::ExactlyOnce),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.about().description))
    }
}

impl ValueEnum for Named<Point> {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(Point::AfterPoll),
            Self(Point::InProcess),
            Self(Point::AfterProcess),
            Self(Point::AfterProduce),
            Self(Point::AfterSendOffsets),
            Self(Point::AfterCommit),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rejoin {
    /// It takes its place at once (`group.instance.id`), without a rebalance
    Static,
    /// As a new member: the others take over after session.timeout.ms (6 s unless -X says otherwise), by rebalances
    Dynamic,
}

/// What a group did, and what was found of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// What it did.
    pub(crate) process: ProcessReport,
    /// What was found.
    pub(crate) verdict: ProcessVerdict,
}

/// Runs a group and judges it.
///
/// # Errors
/// Bad input, no consent, a Kafka that cannot be reached, a group in use, effects that cannot be read back.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let stop = interrupt::watch()?;
    let pattern = arguments.pattern.0;
    arguments.check()?;
    let properties = arguments.client_properties()?;
    let out = arguments.out.clone().unwrap_or_else(|| folder::default_name("process"));
    if out.join(PROCESS_FILE).exists() {
        return Err(Problem::usage(format!("the folder {} holds a run already", out.display()))
            .hint("a folder holds one run: name another with --out"));
    }
    let database = arguments.database(pattern, &out);
    if arguments.database.is_some() {
        open_database(database.as_ref())?;
    }
    consent::to_process(&arguments.what(), &properties, arguments.home.as_deref(), arguments.yes)?;
    folder::create(&out)?;
    if arguments.database.is_none() {
        open_database(database.as_ref())?;
    }
    let plan = CrewPlan {
        pattern,
        group: arguments.group.clone().unwrap_or_else(|| format!("ackmark-{pattern}-{:08x}", rand::random::<u32>())),
        input: arguments.topic.clone(),
        output: arguments.to.clone(),
        database: database.clone(),
        members: arguments.members,
        is_static: arguments.rejoin == Rejoin::Static,
        batch: arguments.batch.0,
        batch_wait: arguments.batch_wait.0,
        crashes: arguments.blows().collect(),
        crash_cycle: arguments.crash_cycle,
        stall: arguments.timeout.0,
    };
    let report = process(&plan, &out, &properties, &stop, arguments.progress)?;
    let is_told = arguments.progress.progress.is_for_people();
    let again = arguments.again(&out);
    let url = database.as_ref().map(|database| database.url.as_str());
    let judged = judge_by(&out, report, &properties, url, &delayed(&stop));
    let outcome = judged.map_err(|problem| {
        if stop.load(Ordering::Relaxed) {
            Problem { exit: Exit::Interrupted, ..problem }.hint(format!("what the group left is judged by `{again}`"))
        } else {
            problem
        }
    })?;
    let exit = tell(&outcome, arguments.output)?;
    if is_told {
        console::say(format_args!("results: {}\nagain:   {again}", out.display()));
    }
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { exit })
}

/// Who is interrupted judges what there is, if that does not take long.
fn delayed(stop: &Arc<AtomicBool>) -> Arc<AtomicBool> {
    let (stop, delayed) = (Arc::clone(stop), Arc::new(AtomicBool::new(false)));
    let late = Arc::clone(&delayed);
    std::thread::spawn(move || {
        // Until nobody waits for it any more.
        while Arc::strong_count(&late) > 1 {
            if stop.load(Ordering::Relaxed) {
                std::thread::sleep(JUDGE_INTERRUPTED);
                late.store(true, Ordering::Relaxed);
                return;
            }
            std::thread::sleep(LOOK);
        }
    });
    delayed
}

/// Opens the database before members do, so that what is wrong with it is found here, and its tables are made once.
fn open_database(database: Option<&Database>) -> Result<(), Problem> {
    let Some(database) = database else { return Ok(()) };
    let mut store = Store::open(&database.url).map_err(|error| Problem::refused(&error))?;
    if store.is_empty().map_err(|error| Problem::refused(&error))? {
        return Ok(());
    }
    Err(Problem::usage("the database holds effects or ids already")
        .hint("effects are judged by what is in it: give another, or empty ackmark_processed and ackmark_effects"))
}

/// What a group did whose folder this is; `None` where it is no group's.
///
/// # Errors
/// It cannot be read, or is of another version.
pub(crate) fn report_of(folder: &Path) -> Result<Option<ProcessReport>, Problem> {
    let path = folder.join(PROCESS_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let content = files::read("process report", &path)?;
    Ok(Some(text::from_json(&path.display().to_string(), &content)?))
}

/// Judges what a group did by what it left, and writes the verdict beside it. `database` beats the group's own file.
///
/// # Errors
/// What it left cannot be read.
pub(crate) fn judge_by(
    folder: &Path,
    report: ProcessReport,
    properties: &ClientProperties,
    database: Option<&str>,
    stop: &AtomicBool,
) -> Result<Outcome, Problem> {
    if report.database.is_some() && database.is_none() && !folder.join(OWN_DATABASE).exists() {
        return Err(Problem::usage("the effects of this run are in a database that was given to it")
            .hint("name it with --database"));
    }
    let own = own_database(folder);
    let options =
        ProcessOptions { properties: &properties.connection_only(), database: Some(database.unwrap_or(&own)), stop };
    let verdict = judge(folder, &report, &options).map_err(|error| unjudged(&error, folder))?;
    folder::write(folder, PROCESS_VERDICT_FILE, &verdict)?;
    Ok(Outcome { process: report, verdict })
}

/// Prints an outcome.
///
/// # Errors
/// stdout cannot be written to.
pub(crate) fn tell(outcome: &Outcome, output: Output) -> Result<Exit, Problem> {
    output.print(outcome, || print::process::document(outcome))?;
    Ok(Exit::of_verdict(outcome.verdict.verdict))
}

/// The database of a group that was given none. Members have the same working folder as their parent.
fn own_database(folder: &Path) -> String {
    format!("sqlite://{}?mode=rwc", folder.join(OWN_DATABASE).display())
}

/// Runs the group on a runtime of its own.
fn process(
    plan: &CrewPlan,
    out: &Path,
    properties: &ClientProperties,
    stop: &Arc<AtomicBool>,
    progress: Progress,
) -> Result<ProcessReport, Problem> {
    let ackmark = parent::program()?;
    let folder = fs::canonicalize(out)
        .map_err(|error| Problem::runtime(format!("cannot find the folder {}: {error}", out.display())))?;
    let launch = Launch { ackmark, folder };
    let config = connection::wire(&properties.connection_only())?;
    let reporter = Reporter::new(progress.progress, "process");
    let tell = |answered: Answered| {
        reporter.tell(&Event::Process {
            elapsed_s: answered.elapsed.as_secs_f64(),
            committed: answered.committed,
            of: answered.of,
            crashes: answered.crashes,
        });
    };
    // Members die with the thread that started them: this one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::runtime(format!("cannot start what watches over members: {error}")))?;
    let crew =
        Crew::new(plan, &launch, properties, &config, Arc::clone(stop), tell).map_err(|error| problem(&error))?;
    // Not before it is known that the group can begin.
    if let Some(output) = &plan.output {
        make_output(properties, &plan.input, output)?;
    }
    let report = runtime.block_on(crew.run()).map_err(|error| problem(&error))?;
    if report.ending == Ending::Failed
        && let Some(error) = &report.error
    {
        console::complain(&Problem::runtime(error));
    }
    Ok(report)
}

/// The output topic: empty, or made with the input's partitions, replication factor and `min.insync.replicas`.
fn make_output(properties: &ClientProperties, input: &str, output: &str) -> Result<(), Problem> {
    let admin = AdminClient::new(properties, LogSink::discard()).map_err(|error| connection::problem(&error))?;
    let of = admin.topic(input, TIMEOUT).map_err(|error| connection::problem(&error))?;
    match admin.topic(output, TIMEOUT) {
        Ok(there) if there.partitions.len() < of.partitions.len() => {
            return Err(Problem::usage(format!(
                "{output} has {} partitions, {input} has {}",
                there.partitions.len(),
                of.partitions.len()
            ))
            .hint("an output goes to the partition of its input: give a topic with as many"));
        }
        Ok(_) => {
            let offsets = admin.offsets(output, TIMEOUT).map_err(|error| connection::problem(&error))?;
            if offsets.iter().any(|offsets| offsets.high > 0) {
                return Err(Problem::usage(format!("topic {output} is not empty"))
                    .hint("outputs are judged by what is in their topic: give one that is empty, or not there"));
            }
            return Ok(());
        }
        Err(error) if error.is_unknown_topic() => {}
        Err(error) => return Err(connection::problem(&error)),
    }
    // A principal that may not ask gets the brokers' default.
    let configs = admin.configs(&ConfigResource::Topic(input.to_owned()), TIMEOUT).unwrap_or_default();
    let min_insync = configs.into_iter().find(|config| config.name == MIN_INSYNC).and_then(|config| config.value);
    let replicas = of.partitions.first().map_or(1, |partition| partition.replicas.len());
    let topic = NewTopic {
        name: output.to_owned(),
        partitions: of.partitions.len() as i32,
        replication_factor: replicas as i32,
        assignment: Vec::new(),
        configs: min_insync.into_iter().map(|value| (MIN_INSYNC.to_owned(), value)).collect(),
    };
    admin.create_topic(&topic, TIMEOUT).map(drop).map_err(|error| connection::problem(&error))
}

impl Arguments {
    fn check(&self) -> Result<(), Problem> {
        let pattern = self.pattern.0;
        let about = pattern.about();
        let is_pipeline = about.effect == Effect::Output;
        match (is_pipeline, &self.to) {
            (true, None) => {
                return Err(Problem::usage(format!("{pattern} writes an output"))
                    .hint("name its topic with --to; one that is not there is made"));
            }
            (false, Some(_)) => {
                return Err(Problem::usage(format!("{pattern} writes no output")).hint("leave --to out"));
            }
            (true, Some(output)) if *output == self.topic => {
                return Err(Problem::usage("input and output are the same topic")
                    .hint("a pipeline would read its own outputs for ever: name another with --to"));
            }
            _ => {}
        }
        if about.effect != Effect::Database && self.database.is_some() {
            return Err(Problem::usage(format!("{pattern} uses no database")).hint("leave --database out"));
        }
        if let Some((_, point)) = self.blows().find(|(_, point)| !about.points.contains(point)) {
            let points: Vec<&str> = about.points.iter().map(|point| point.name()).collect();
            return Err(Problem::usage(format!("{pattern} has no point {point}"))
                .hint(format!("its points are {}", points.join(", "))));
        }
        if !self.freeze.is_empty() && (self.members < 2 || self.rejoin == Rejoin::Static) {
            return Err(Problem::usage("--freeze needs others who take over the partitions of a frozen member")
                .hint("add --members 2 --rejoin dynamic"));
        }
        if about.effect == Effect::Database && self.window.0 < self.batch.0 {
            return Err(Problem::usage(format!(
                "--window {} is shorter than a cycle of --batch {}",
                self.window, self.batch
            ))
            .hint("ids must outlive a cycle at least, which is read again after a crash"));
        }
        if self.batch.0 == 0 {
            return Err(Problem::usage("--batch 0: a cycle has at least one message"));
        }
        Ok(())
    }

    /// What comes over members, in order.
    fn blows(&self) -> impl Iterator<Item = (Blow, Point)> {
        let of = |blow: Blow| move |point: &Named<Point>| (blow, point.0);
        self.crash.iter().map(of(Blow::Killed)).chain(self.freeze.iter().map(of(Blow::Frozen)))
    }

    /// What the user set, and what members of a group need; what the pattern rests on is not the user's to set.
    fn client_properties(&self) -> Result<ClientProperties, Problem> {
        let mut properties = connection::resolve(&self.servers, &self.properties)?;
        let pattern = self.pattern.0;
        let of_transactions = ["acks", "enable.idempotence"].into_iter().filter(|_| pattern == Pattern::ExactlyOnce);
        let fixed = pattern.about().properties.iter().map(|(name, _)| *name).chain(OWN).chain(of_transactions);
        for name in fixed {
            if properties.get(name).is_some() {
                return Err(Problem::usage(format!("{name} is what {pattern} is about, or ackmark's to set")).hint(
                    format!("leave it out, or run another pattern; `ackmark profiles {pattern}` tells what it sets"),
                ));
            }
        }
        let interval = properties.value("auto.commit.interval.ms").and_then(|value| value.parse::<u64>().ok());
        if pattern == Pattern::AutoCommit && interval.is_some_and(|ms| ms == 0 || ms > AUTO_COMMIT_MS_MAX) {
            return Err(Problem::usage(format!(
                "auto.commit.interval.ms must be between 1 and {AUTO_COMMIT_MS_MAX} here"
            ))
            .hint("a member is killed once its offsets are committed, so that what must come of it is known"));
        }
        if self.rejoin == Rejoin::Dynamic {
            for (name, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")] {
                if properties.get(name).is_none() {
                    properties.set(name, value, Origin::Tool);
                }
            }
        }
        Ok(properties)
    }

    fn database(&self, pattern: Pattern, out: &Path) -> Option<Database> {
        (pattern.about().effect == Effect::Database).then(|| {
            let url = self.database.clone().unwrap_or_else(|| own_database(out));
            Database { url, window: self.window.0 }
        })
    }

    /// The command that judges once more. A database's URL may hold a password.
    fn again(&self, out: &Path) -> String {
        let database = if self.database.is_some() { " --database URL" } else { "" };
        format!("ackmark verify {}{database}{}", out.display(), connection::flags(&self.servers, &self.properties))
    }

    fn what(&self) -> String {
        let output = self.to.as_ref().map(|output| format!("a record to {output} for each of {}, and ", self.topic));
        format!("{}offsets of a consumer group", output.unwrap_or_default())
    }
}

/// What the user can mend by another command line is bad input, the rest is not.
fn problem(error: &GroupError) -> Problem {
    match error {
        GroupError::Input(cause) if cause.is_unknown_topic() => Problem::refused(cause),
        GroupError::Input(cause) => connection::problem(cause),
        GroupError::Empty(_) | GroupError::InUse { .. } | GroupError::HasOffsets { .. } | GroupError::Config(_) => {
            Problem::refused(error)
        }
        GroupError::Coordinator(_) | GroupError::Start(_) | GroupError::Write { .. } => Problem::failed(error),
    }
}

fn unjudged(error: &ProcessError, out: &Path) -> Problem {
    Problem::failed(error).hint(format!("what the group did is in {}", out.join(PROCESS_FILE).display()))
}
