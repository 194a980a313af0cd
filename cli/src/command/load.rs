//! `ackmark load`: one producer run.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ackmark_client::{
    AdminClient, ClientProperties, ErrorCode, LogSink, TransactionError,
    admin::{NewTopic, until_known},
};
use ackmark_ledger::LedgerError;
use ackmark_loadgen::{LoadError, Resume, Resumption, Update};
use ackmark_schema::{
    load_spec::LoadSpec,
    manifest::Resends,
    report::{
        Ending,
        coordinators::COORDINATORS_FILE,
        load::LoadReport,
        seal::{SealReport, SealState},
    },
    text,
};
use clap::ValueEnum;

use super::{load_flags::Run, seal};
use crate::{
    arguments::{Form, Output, Progress},
    connection::{self, Properties, Servers},
    consent, console,
    exit::Exit,
    files, folder, interrupt, print,
    problem::Problem,
    progress::{Event, Reporter},
    watch::Watch,
};

/// How long a broker may take to answer before the load starts.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Kafka's number for "as the broker is set".
const BROKERS_DEFAULT: i32 = -1;

/// Run producers against a topic and keep a ledger of every message.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackmark load -b localhost:9092 -t orders --create-topic 6 --profile all-acks --duration 30s
  ackmark load -b localhost:9092 -t orders --messages 1M --rate 20k/s --arrivals poisson --out run1
then
  ackmark verify run1 -b localhost:9092
and, when it was killed or is to go on
  ackmark load --resume run1 -b localhost:9092

--resume starts the producers of a load folder again, as its next incarnation: same topic, same streams, same \
transactional ids, and what was asked for the first time. It first sends again what was left undecided (--resend), \
marked with its attempt, which takes the time that it needs and is given up when brokers report nothing of it for \
the --drain-timeout of the first time; then it goes on behind what was sent, for as long as was asked for or as \
--duration and --messages say; --messages 0 sends again and no more. An application that restarts does not know better either: \
what may or may not be in the log is sent twice, or perhaps never. A ledger that is damaged is refused: what it does \
not tell any more would be sent again, or under a sequence that was used.

When something breaks:
  Brokers that do not answer are given up after 15 s, those of a transaction's coordinator after a minute. Whatever \
they do, sending and waiting end --drain-timeout after the planned end of the run (15 s after Ctrl-C); those of a run \
that ends by --messages, when nothing was reported for --drain-timeout and linger.ms. The log \
is closed within another minute or counts as not closed. load.json then says what stood in the way; messages without \
an answer count as indeterminate or open, never as lost. A full disk ends the run: its reports have their room from the start.")]
pub(crate) struct Arguments {
    /// A run as a file (see `ackmark schema load-spec`), or - for stdin; the flags below stand for such a file
    #[arg(long, value_name = "FILE", conflicts_with = "flags")]
    pub(crate) spec: Option<PathBuf>,
    /// Go on with the run of this load folder, whose load was killed or has ended
    #[arg(long, value_name = "DIR", conflicts_with_all = FIRST_TIME)]
    pub(crate) resume: Option<PathBuf>,
    /// What a resumed run sends again [default: indeterminate; with transactions uncommitted; with acks=0 none]
    #[arg(long, value_name = "WHAT", requires = "resume")]
    pub(crate) resend: Option<Resend>,
    #[command(flatten)]
    pub(crate) run: Run,
    /// Folder for the ledger and the reports; must not hold another run [default: load-<time>]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Leave the log open; `ackmark seal` closes it
    #[arg(long)]
    pub(crate) no_seal: bool,
    /// Write to a Kafka that ackmark did not start without asking
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Where a kept local cluster is, which is written to without asking.
    #[arg(long, value_name = "DIR", env = "ACKMARK_HOME", hide = true)]
    home: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) properties: Properties,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) progress: Progress,
}

/// What is asked for the first time only.
const FIRST_TIME: [&str; 20] = [
    "spec",
    "out",
    "topic",
    "create_topic",
    "profile",
    "rate",
    "arrivals",
    "size",
    "payload",
    "keys",
    "producers",
    "outstanding",
    "outstanding_bytes",
    "transaction_duration",
    "transaction_messages",
    "abort_share",
    "warm_up",
    "drain_timeout",
    "unverified",
    "seed",
];

/// What a resumed run sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resend {
    /// All that may or may not be there, acknowledged or committed: at least once
    Indeterminate,
    /// What was in a transaction that never asked to commit, so it is not visible and cannot be there twice
    Uncommitted,
    /// Nothing: at most once
    None,
}

impl From<Resend> for Resends {
    fn from(resend: Resend) -> Self {
        match resend {
            Resend::Indeterminate => Self::Indeterminate,
            Resend::Uncommitted => Self::Uncommitted,
            Resend::None => Self::None,
        }
    }
}

/// Runs the producers, then closes the log.
///
/// # Errors
/// Bad input, a Kafka that cannot be reached, a topic that is not there, a folder that cannot be used.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let stop = interrupt::watch()?;
    let teller = || Teller(Reporter::new(arguments.progress.progress, "load"));
    let (out, connection, report, watch) = if let Some(folder) = &arguments.resume {
        let (resumption, connection) = resumption(folder, arguments)?;
        let watch = watch(resumption.spec(), &connection);
        let report = ackmark_loadgen::resume(resumption, &teller(), &stop).map_err(|error| problem(&error))?;
        (folder.clone(), connection, report, watch)
    } else {
        let out = arguments.out.clone().unwrap_or_else(|| folder::default_name("load"));
        folder::refuse_used(&out)?;
        let (spec, connection) = match &arguments.spec {
            Some(path) => from_file(path, arguments)?,
            None => from_flags(arguments)?,
        };
        folder::create(&out)?;
        let watch = watch(&spec, &connection);
        let report = ackmark_loadgen::run(&spec, &out, &teller(), &stop).map_err(|error| problem(&error))?;
        (out, connection, report, watch)
    };
    let coordinators = watch.and_then(Watch::end);
    if let Some(found) = &coordinators {
        // The load's own reports are written already, and stand without it.
        if let Err(problem) = folder::write(&out, COORDINATORS_FILE, found) {
            console::complain(&problem);
        }
    }
    let verified = report.spec.verified;
    // Whatever comes of it: the report is there to be told.
    let seal = (verified && !arguments.no_seal).then(|| close(&out, &connection));
    arguments.output.print(&report, || {
        let mut document = print::load::document(&report);
        if let Some(found) = &coordinators {
            document.append(print::coordinators::document(found));
        }
        match &seal {
            None => {}
            Some(Ok(seal)) => _ = document.sentence(print::seal::state(&seal.state, seal.duration_s)),
            Some(Err(problem)) => _ = document.sentence(print::seal::not_closed(&problem.message)),
        }
        document
    })?;
    if arguments.output.output != Form::Human {
        complain(&report, seal.as_ref());
    }
    if arguments.progress.progress.is_for_people() {
        console::say(format_args!("results: {}", out.display()));
        if verified {
            let flags = connection::flags(&arguments.servers, &arguments.properties);
            console::say(format_args!("next:    ackmark verify {}{flags}", out.display()));
        }
    }
    let sealed = seal.is_none_or(|seal| seal.is_ok_and(|seal| seal.state == SealState::Sealed));
    Ok(match report.ending {
        Ending::Interrupted => Exit::Interrupted,
        Ending::Failed => Exit::Runtime,
        Ending::Completed if !sealed => Exit::Inconclusive,
        Ending::Completed => Exit::Success,
    })
}

/// Where a load has transactions, their coordinators are followed; of the mock there is nothing to tell.
fn watch(spec: &LoadSpec, connection: &ClientProperties) -> Option<Watch> {
    let transactions = spec.profile.transactions.filter(|_| !spec.simulated)?;
    Some(Watch::begin(connection, &spec.topics, transactions.duration.map(|duration| duration.0)))
}

fn close(out: &Path, connection: &ClientProperties) -> Result<SealReport, Problem> {
    seal::close(out, &folder::manifest(out)?, connection, seal::Timing::default())
}

/// What people read on stdout already.
fn complain(report: &LoadReport, seal: Option<&Result<SealReport, Problem>>) {
    if let Some(error) = &report.error {
        console::complain(&Problem::runtime(error));
    }
    let reason = match seal {
        Some(Ok(SealReport { state: SealState::Unsealed { reason }, .. })) => reason,
        Some(Err(problem)) => &problem.message,
        _ => return,
    };
    console::complain(&Problem::runtime(print::seal::not_closed(reason)));
}

/// What the user can mend by another command line is bad input, the rest is not.
fn problem(error: &LoadError) -> Problem {
    match error {
        LoadError::Client(error) => connection::problem(error),
        LoadError::Spec(_)
        | LoadError::Property { .. }
        | LoadError::MissingTopic { .. }
        | LoadError::TooFewPartitions { .. }
        | LoadError::TooLarge { .. }
        | LoadError::Payload(_)
        | LoadError::FolderUsed { .. }
        | LoadError::Resume(_)
        | LoadError::Transactions {
            answer: TransactionError { code: ErrorCode::INVALID_TRANSACTION_TIMEOUT, .. },
            ..
        }
        | LoadError::Ledger(
            LedgerError::Exists { .. }
            | LedgerError::BeingWritten { .. }
            | LedgerError::BeingRead { .. }
            | LedgerError::NotALedger { .. }
            | LedgerError::Version { .. }
            | LedgerError::Foreign { .. }
            | LedgerError::ForeignStream { .. }
            | LedgerError::Truncated { .. }
            | LedgerError::Corrupt { .. }
            | LedgerError::Overlap { .. },
        ) => Problem::refused(error),
        _ => Problem::failed(error),
    }
}

/// The load's updates.
struct Teller(Reporter);

impl ackmark_loadgen::Progress for Teller {
    fn update(&self, update: &Update) {
        self.0.tell(&Event::Load {
            elapsed_s: update.elapsed.as_secs_f64(),
            messages: update.delivered,
            rate_per_s: update.rate_per_s,
            errors: update.errors,
            outstanding: update.outstanding,
            p99_us: update.p99_us,
        });
    }
}

/// The run of a load folder, which is to go on.
fn resumption(folder: &Path, arguments: &Arguments) -> Result<(Resumption, ClientProperties), Problem> {
    let connection = connection::resolve(&arguments.servers, &arguments.properties)?;
    let resume = Resume {
        properties: connection.iter().cloned().collect(),
        resends: arguments.resend.map(Resends::from),
        messages: arguments.run.messages,
        duration: arguments.run.duration,
    };
    let resumption = Resumption::open(folder, &resume).map_err(|error| problem(&error))?;
    // Found here rather than after the consent; a folder that is not there is not made.
    folder::refuse_unwritable(folder)?;
    consent::to_resume(&resumption, &connection, arguments.home.as_deref(), arguments.yes)?;
    Ok((resumption, connection))
}

/// The spec of a file. Secrets, which it does not hold, come from `-F`.
fn from_file(path: &Path, arguments: &Arguments) -> Result<(LoadSpec, ClientProperties), Problem> {
    let (name, text) = if path == Path::new("-") {
        ("stdin".to_owned(), files::read_stdin("load spec")?)
    } else {
        (path.display().to_string(), files::read("load spec", path)?)
    };
    let mut spec: LoadSpec = text::from_json(&name, &text)?;
    spec.check().map_err(|problem| Problem::usage(format!("{name}: {problem}")))?;
    let secrets = arguments.properties.resolve()?;
    for property in secrets.iter() {
        match spec.properties.iter_mut().find(|known| known.name == property.name) {
            // The spec tells where it came from at first.
            Some(known) => known.value.clone_from(&property.value),
            None => spec.properties.push(property.clone()),
        }
    }
    let connection: ClientProperties = spec.properties.iter().cloned().collect();
    if connection.value("bootstrap.servers").is_none() {
        return Err(Problem::usage(format!("{name}: `bootstrap.servers` is missing among its properties")));
    }
    consent::to_load(&spec, None, &connection, arguments.home.as_deref(), arguments.yes)?;
    Ok((spec, connection))
}

/// The spec that the flags stand for. The topic is looked up, or created.
fn from_flags(arguments: &Arguments) -> Result<(LoadSpec, ClientProperties), Problem> {
    let connection = connection::resolve(&arguments.servers, &arguments.properties)?;
    let mut spec = arguments.run.spec(&connection)?;
    consent::to_load(&spec, arguments.run.create_topic, &connection, arguments.home.as_deref(), arguments.yes)?;
    let admin = AdminClient::new(&connection, LogSink::discard()).map_err(|error| connection::problem(&error))?;
    if arguments.run.create_topic.is_some() {
        // None is made unless all can be.
        spec.topics.iter().try_for_each(|topic| refuse_existing(&admin, topic))?;
    }
    let partitions = spec.topics.iter().map(|topic| match arguments.run.create_topic {
        Some(partitions) => create_topic(&admin, topic, partitions),
        None => find_topic(&admin, topic),
    });
    let partitions: Vec<u32> = partitions
        .collect::<Result<_, _>>()
        .map_err(|problem: Problem| problem.about(connection.value("bootstrap.servers").unwrap_or_default()))?;
    spec.partitions = partitions.iter().copied().min().unwrap_or_default();
    if partitions.iter().any(|count| *count != spec.partitions) {
        let each: Vec<String> =
            spec.topics.iter().zip(&partitions).map(|(topic, count)| format!("{topic} {count}")).collect();
        return Err(Problem::usage(format!("the topics have different numbers of partitions: {}", each.join(", ")))
            .hint(
                "write to topics with as many partitions each: the same key then goes to the same partition of all",
            ));
    }
    spec.check().map_err(Problem::usage)?;
    Ok((spec, connection))
}

fn create_topic(admin: &AdminClient, name: &str, partitions: u32) -> Result<u32, Problem> {
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: partitions as i32,
        replication_factor: BROKERS_DEFAULT,
        assignment: Vec::new(),
        configs: Vec::new(),
    };
    let created = admin.create_topic(&topic, TIMEOUT).map_err(|error| match error.code() {
        Some(ErrorCode::TOPIC_ALREADY_EXISTS) => existing(name),
        _ => connection::problem(&error),
    })?;
    Ok(created.partitions.len() as u32)
}

fn existing(name: &str) -> Problem {
    Problem::usage(format!("topic {name} is there already")).hint("leave --create-topic out to write to it")
}

/// Whether it is there, where that can be told: what cannot, creating it tells.
fn refuse_existing(admin: &AdminClient, name: &str) -> Result<(), Problem> {
    if admin.topic(name, TIMEOUT).is_ok() { Err(existing(name)) } else { Ok(()) }
}

fn find_topic(admin: &AdminClient, name: &str) -> Result<u32, Problem> {
    match until_known(|| admin.topic(name, TIMEOUT)) {
        Ok(topic) => Ok(topic.partitions.len() as u32),
        Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PART) => {
            Err(Problem::usage(format!("topic {name} is not there")).hint("create it, for example by --create-topic 6"))
        }
        Err(error) => Err(connection::problem(&error)),
    }
}
