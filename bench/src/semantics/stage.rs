//! What demonstrations are made of: topics, this program's commands as children, single producers, readings.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ackmark_client::{AdminClient, ClientProperties, LogSink, ReadBounds, admin::NewTopic, read_to_end};
use ackmark_schema::{
    process::{MemberSpec, Point, ProduceWork, StopAt, Work},
    record::{Decoded, Header},
    report::{
        load::{LOAD_FILE, LoadReport},
        process::{PROCESS_FILE, PROCESS_VERDICT_FILE, ProcessReport, ProcessVerdict},
        verify::{Isolation, VERIFY_FILE, VerifyReport},
    },
    units::{Bytes, Span},
};
use ackmark_wire::{
    config::WireConfig,
    metadata::Directory,
    patience::Patience,
    pool::Pool,
    transactions::{Transaction, coordinated},
};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    child::{Children, Ended},
    error::BenchError,
    event::{BenchEvent, ChildKind, Events, Progress},
    group::{Heard, Launch, Member},
    handover::{self, PROPERTIES_FROM_STDIN},
    options::BenchOptions,
    reports,
    target::Target,
};

/// How long an admin request, a reading or a child may take.
const ASK: Duration = Duration::from_mins(1);
const CHILD: Duration = Duration::from_mins(3);
/// How long a load that is to be killed may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// The folder of children's reports, in the result folder.
const RUNS: &str = "runs";
/// Partitions of a topic.
const PARTITIONS: i32 = 3;

/// What demonstrations are made of.
pub(super) struct Stage<'a> {
    target: &'a Target<'a>,
    children: Children,
    admin: Arc<AdminClient>,
    config: Arc<WireConfig>,
    connection: String,
    folder: PathBuf,
    run: u32,
    /// Messages that the running load has told of.
    sent: Arc<AtomicU64>,
    /// Topics that were made.
    topics: Mutex<Vec<String>>,
}

/// A transactional producer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Producer<'a> {
    /// Its stream.
    pub(super) member: u32,
    /// Its life.
    pub(super) incarnation: u32,
    /// `transactional.id`.
    pub(super) id: &'a str,
    /// Where it writes.
    pub(super) topic: &'a str,
    /// How many.
    pub(super) messages: u64,
    /// `transaction.timeout.ms`.
    pub(super) timeout: Duration,
    /// Where it stops and waits.
    pub(super) stop_at: Option<Point>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        target: &'a Target<'a>,
        options: &BenchOptions,
        events: Events,
        folder: &Path,
    ) -> Result<Self, BenchError> {
        let connection = target.properties.connection_only();
        let pairs = connection.iter().map(|property| (property.name.as_str(), property.value.as_str()));
        let config = WireConfig::from_properties(pairs).map_err(|error| BenchError::Coordinator(error.to_string()))?;
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let events: Events = Arc::new(move |event| {
            if let BenchEvent::Progress(Progress::Load { messages, .. }) = &event {
                counted.store(*messages, Ordering::Relaxed);
            }
            events(event);
        });
        Ok(Self {
            target,
            children: Children { program: options.ackmark.clone(), events, stop: Arc::clone(&options.stop) },
            admin: Arc::new(AdminClient::new(&target.properties, LogSink::discard())?),
            config: Arc::new(config),
            connection: handover::connection(&target.properties),
            folder: folder.join(RUNS),
            run: rand::random(),
            sent,
            topics: Mutex::default(),
        })
    }

    pub(super) fn stopping(&self) -> bool {
        self.children.stopping()
    }

    /// Removes children's reports and ledgers, of which the result holds what is needed.
    pub(super) fn remove_runs(&self) {
        // What cannot be removed stays.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// The folder of a child's reports.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A topic that was made before.
    pub(super) fn known(&self, what: &str) -> Option<String> {
        let name = self.named(what);
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.contains(&name).then_some(name)
    }

    fn named(&self, what: &str) -> String {
        format!("{}semantics-{:08x}-{what}", ackmark_cluster::guards::TOPIC_PREFIX, self.run)
    }

    /// The name of a topic that nobody else has.
    pub(super) fn topic_name(&self, what: &str) -> String {
        let name = self.named(what);
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        name
    }

    /// Makes a topic of three replicas (or as many as there are brokers), of which two must be in sync.
    pub(super) async fn topic(&self, what: &str) -> Result<String, String> {
        let replicas = self.target.facts.brokers.len().clamp(1, 3) as i32;
        let name = self.topic_name(what);
        let topic = NewTopic {
            name: name.clone(),
            partitions: PARTITIONS,
            replication_factor: replicas,
            assignment: Vec::new(),
            configs: vec![("min.insync.replicas".into(), replicas.min(2).to_string())],
        };
        self.ask(move |admin| admin.create_topic(&topic, ASK).map(drop)).await?;
        Ok(name)
    }

    /// Deletes a topic that is no longer needed.
    pub(super) async fn delete(&self, name: String) -> Result<(), String> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).retain(|topic| *topic != name);
        self.ask(move |admin| admin.delete_topic(&name, ASK)).await
    }

    /// Deletes all topics that are left.
    ///
    /// # Returns
    /// Those that could not be deleted, and why.
    pub(super) async fn clear(&self) -> Vec<(String, String)> {
        let left = std::mem::take(&mut *self.topics.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stay = Vec::new();
        for name in left {
            let topic = name.clone();
            let deleted = self.ask(move |admin| match admin.delete_topic(&topic, ASK) {
                // One that was never made, for its maker had failed.
                Err(error) if error.is_unknown_topic() => Ok(()),
                done => done,
            });
            if let Err(why) = deleted.await {
                stay.push((name, why));
            }
        }
        stay
    }

    /// Admin calls block, so they run on a thread of their own.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&AdminClient) -> Result<T, ackmark_client::ClientError> + Send + 'static,
    ) -> Result<T, String> {
        let admin = Arc::clone(&self.admin);
        blocking(move || question(&admin).map_err(|error| error.to_string())).await
    }

    /// A command's arguments behind those that say where Kafka is.
    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let reach =
            ["-b", self.target.bootstrap_servers(), &format!("--{PROPERTIES_FROM_STDIN}"), "--progress", "json"]
                .map(str::to_owned);
        arguments.iter().map(|argument| (*argument).to_owned()).chain(reach).collect()
    }

    async fn run(&self, kind: ChildKind, arguments: &[&str], accepted: &[i32]) -> Result<(), String> {
        let arguments = self.arguments(arguments);
        match self.children.run(kind, &arguments, self.connection.clone(), CHILD, accepted).await {
            Ok(Ended::Code(_)) => Ok(()),
            Ok(Ended::Stopped) => Err("interrupted".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Runs `ackmark load` to its end.
    pub(super) async fn load(&self, name: &str, flags: &[&str]) -> Result<LoadReport, String> {
        let out = self.path(name);
        let path = out.display().to_string();
        let arguments = [&["--yes", "--out", &path], flags].concat();
        self.run(ChildKind::Load, &arguments, &[0]).await?;
        report(&out, LOAD_FILE)
    }

    /// Runs `ackmark load`, and kills it by SIGKILL once it has told of messages.
    pub(super) async fn load_until_killed(&self, name: &str, flags: &[&str]) -> Result<(), String> {
        let out = self.path(name).display().to_string();
        let arguments = self.arguments(&[&["--yes", "--out", &out], flags].concat());
        self.sent.store(0, Ordering::Relaxed);
        let child = self
            .children
            .start(ChildKind::Load, &arguments, self.connection.clone())
            .map_err(|error| error.to_string())?;
        let has_sent = async {
            while self.sent.load(Ordering::Relaxed) == 0 && !self.stopping() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let begun = tokio::time::timeout(BEGIN, has_sent).await;
        child.kill().await;
        begun.map_err(|_| format!("the load of {name} did not begin within {} s", BEGIN.as_secs()))
    }

    /// Goes on with a load that was killed.
    pub(super) async fn resume(&self, name: &str, flags: &[&str]) -> Result<LoadReport, String> {
        let out = self.path(name);
        let path = out.display().to_string();
        let arguments = [&["--yes", "--resume", &path], flags].concat();
        self.run(ChildKind::Load, &arguments, &[0]).await?;
        report(&out, LOAD_FILE)
    }

    /// Closes the log of a load that was killed.
    pub(super) async fn seal(&self, name: &str) -> Result<(), String> {
        let out = self.path(name).display().to_string();
        let reach = ["-b", self.target.bootstrap_servers(), &format!("--{PROPERTIES_FROM_STDIN}")].map(str::to_owned);
        let arguments: Vec<String> = [out].into_iter().chain(reach).collect();
        match self.children.run(ChildKind::Seal, &arguments, self.connection.clone(), CHILD, &[0]).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Accounts for a load.
    pub(super) async fn verify(&self, name: &str) -> Result<VerifyReport, String> {
        let out = self.path(name);
        self.run(ChildKind::Verify, &[&out.display().to_string()], &[0, 3, 4]).await?;
        report(&out, VERIFY_FILE)
    }

    /// Runs a group of consumers.
    pub(super) async fn process(&self, name: &str, flags: &[&str]) -> Result<(ProcessReport, ProcessVerdict), String> {
        let out = self.path(name);
        let path = out.display().to_string();
        let arguments = [flags, &["--yes", "--out", &path]].concat();
        self.run(ChildKind::Process, &arguments, &[0, 3, 4]).await?;
        Ok((report(&out, PROCESS_FILE)?, report(&out, PROCESS_VERDICT_FILE)?))
    }

    /// Starts a transactional producer.
    pub(super) async fn produce(
        &self,
        producer: Producer<'_>,
        heard: &UnboundedSender<Heard>,
    ) -> Result<Member, String> {
        let spec = MemberSpec {
            member: producer.member,
            incarnation: producer.incarnation,
            properties: self.target.properties.connection_only().iter().cloned().collect(),
            stop_at: producer.stop_at.map(|point| StopAt { point, cycle: 1 }),
            work: Work::Produce(ProduceWork {
                transactional_id: producer.id.to_owned(),
                transaction_timeout: Span(producer.timeout),
                topics: vec![producer.topic.to_owned()],
                messages: producer.messages,
                size: Bytes(100),
            }),
        };
        let launch = Launch { ackmark: self.children.program.clone(), folder: self.path(producer.id) };
        std::fs::create_dir_all(&launch.folder)
            .map_err(|error| format!("cannot write to {}: {error}", launch.folder.display()))?;
        launch.start(&spec, heard.clone()).await.map_err(|error| format!("cannot start a producer: {error}"))
    }

    /// A transactional id of this show's own.
    pub(super) fn transactional_id(&self, what: &str) -> String {
        format!("ackmark-{:08x}-{what}", self.run)
    }

    /// The headers of a topic's records, as readers of an isolation level are shown them.
    pub(super) async fn read(&self, topic: &str, isolation: Isolation) -> Result<Vec<Header>, String> {
        let (properties, topic): (ClientProperties, String) = (self.target.properties.clone(), topic.to_owned());
        blocking(move || {
            let mut headers = Vec::new();
            let bounds = ReadBounds { silence: ASK, stop: &AtomicBool::new(false) };
            read_to_end(&properties, &topic, isolation.as_str(), bounds, |record| {
                if let Decoded::Ours(header) = Header::decode(record.payload().unwrap_or_default()) {
                    headers.push(header);
                }
            })
            .map_err(|error| error.to_string())?;
            Ok(headers)
        })
        .await
    }

    /// Last stable offset and high watermark of each partition.
    pub(super) async fn ends(&self, topic: &str) -> Result<Vec<(u64, u64)>, String> {
        let topic = topic.to_owned();
        let offsets = self.ask(move |admin| admin.offsets(&topic, ASK)).await?;
        let both = |offset: &ackmark_client::admin::PartitionOffsets| {
            (offset.last_stable.max(0).unsigned_abs(), offset.high.max(0).unsigned_abs())
        };
        Ok(offsets.iter().map(both).collect())
    }

    /// A transactional id as its coordinator knows it.
    pub(super) async fn coordinated(&self, id: &str) -> Result<Option<Transaction>, String> {
        let (config, id) = (Arc::clone(&self.config), id.to_owned());
        blocking(move || {
            let stop = AtomicBool::new(false);
            let patience = Patience::new(&stop, ASK);
            let (brokers, _) = Directory::new(&config).cluster(&patience).map_err(|error| error.to_string())?;
            let all = coordinated(&mut Pool::new(&config), &brokers, &patience).map_err(|error| error.to_string())?;
            Ok(all.transactions.into_iter().find(|one| one.id == id))
        })
        .await
    }

    /// How often a coordinator looks for transactions that have run out of time
    /// (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
    pub(super) async fn cleanup_interval(&self) -> Duration {
        const NAME: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
        const DEFAULT: Duration = Duration::from_secs(10);
        let Some(broker) = self.target.facts.brokers.first().map(|broker| broker.id) else { return DEFAULT };
        let asked =
            self.ask(move |admin| admin.configs(&ackmark_client::admin::ConfigResource::Broker(broker), ASK)).await;
        let value = asked.ok().and_then(|configs| configs.into_iter().find(|config| config.name == NAME)?.value);
        value.and_then(|value| value.parse().ok()).map_or(DEFAULT, Duration::from_millis)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("a thread of ours panicked: {error}"))?
}

fn report<T: serde::de::DeserializeOwned>(folder: &Path, file: &str) -> Result<T, String> {
    reports::read(folder, file)?.ok_or_else(|| format!("{} holds no {file}", folder.display()))
}
