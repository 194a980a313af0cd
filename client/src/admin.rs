//! Asking and changing a cluster: blocking calls, each with a bound.
//!
//! Only what is asked for is created: no call here makes a broker create a topic by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ackmark_schema::properties::Origin;

use crate::errors::{ClientError, ErrorCode};
use crate::ffi::admin::{self as requests, OffsetQuery};
use crate::ffi::handle::{Handle, Kind, Queue};
use crate::logs::LogSink;
use crate::properties::ClientProperties;

/// Pause between two looks at a state that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait for a broker to learn of a topic.
const NEW_TOPIC_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that a single look may take, so that a wait sees a broker that comes back.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// The first wait for a broker's answer; each further one is twice as long.
const FIRST_ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long brokers may refuse the client's credentials or certificates before that counts as their answer: one of
/// several may be set up otherwise than the others.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(3);
/// When a connection on which nothing comes is given up, milliseconds, unless the user's properties say otherwise. An
/// overloaded broker takes seconds.
const SILENCE_MS: u32 = 10_000;

/// A broker as clients reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// Host of its advertised listener.
    pub host: String,
    /// Port of its advertised listener.
    pub port: u16,
}

/// A cluster as its brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMetadata {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The controller. Under `KRaft` brokers name any broker that takes admin requests.
    pub controller_id: Option<i32>,
    /// Brokers by id.
    pub brokers: Vec<Broker>,
}

/// A partition and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// From 0.
    pub id: i32,
    /// The leader's broker id; `None` while there is none.
    pub leader: Option<i32>,
    /// Broker ids that hold it.
    pub replicas: Vec<i32>,
    /// Those of them in sync.
    pub isr: Vec<i32>,
}

impl PartitionMetadata {
    /// Whether it has a leader and every replica is in sync.
    pub fn is_ready(&self) -> bool {
        self.leader.is_some() && self.isr.len() == self.replicas.len()
    }
}

/// A topic's partitions, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Its partitions by id.
    pub partitions: Vec<PartitionMetadata>,
}

impl TopicMetadata {
    /// The smallest number of replicas of any partition; 0 without partitions.
    pub fn replication_factor(&self) -> usize {
        self.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0)
    }
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the broker's default.
    pub partitions: i32,
    /// Replicas of each; -1 for the broker's default.
    pub replication_factor: i32,
    /// Ids of each partition's brokers, the one that leads at first; empty: the cluster chooses. Given with a
    /// replication factor of -1.
    pub assignment: Vec<Vec<i32>>,
    /// Topic configs, for example `min.insync.replicas`.
    pub configs: Vec<(String, String)>,
}

/// What a configuration is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic by name.
    Topic(String),
    /// A broker by id.
    Broker(i32),
}

/// One config of a topic or broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` when the broker does not tell (secrets).
    pub value: Option<String>,
    /// Where the value comes from, by librdkafka's names, for example `DYNAMIC_TOPIC_CONFIG`.
    pub source: String,
    /// Whether it is the default.
    pub is_default: bool,
    /// Whether it is a secret.
    pub is_sensitive: bool,
}

/// Offsets of one partition at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// Which.
    pub partition: i32,
    /// The first offset that the log still has.
    pub low: i64,
    /// One past the last replicated record: the high watermark.
    pub high: i64,
    /// One past the last record that no open transaction holds back; at most `high`.
    pub last_stable: i64,
}

/// An admin client. Calls from several threads take turns.
pub struct AdminClient {
    turn: Mutex<()>,
    handle: Arc<Handle>,
    /// Asked for brokers only, so it never knows a topic: see `requests::metadata`.
    topicless: Arc<Handle>,
    /// Errors of both clients. Without these queues librdkafka would log each.
    events: [Queue; 2],
    /// The weightiest of them since a broker answered last: why nobody does, where a request only timed out.
    complaint: Mutex<Option<Complaint>>,
}

/// An error that a client reported by itself: its code and librdkafka's text.
type Complaint = (ErrorCode, String);

impl AdminClient {
    /// Creates a client; properties of producers and consumers are dropped. Does not wait for a broker.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(properties: &ClientProperties, logs: LogSink) -> Result<Self, ClientError> {
        let mut properties = properties.connection_only();
        properties.set("allow.auto.create.topics", "false", Origin::Tool);
        properties.set_if_absent("socket.timeout.ms", &SILENCE_MS.to_string(), Origin::Tool);
        let create = |logs| {
            let mut conf = properties.conf(logs)?;
            conf.enable_events(false);
            Handle::new(Kind::Producer, conf)
        };
        let handle = create(logs.clone())?;
        let topicless = create(logs)?;
        let events = [handle.main_queue(), topicless.main_queue()];
        Ok(AdminClient { turn: Mutex::new(()), handle, topicless, events, complaint: Mutex::default() })
    }

    /// The weightiest complaint since a broker answered last.
    fn complaint(&self) -> Option<Complaint> {
        let mut kept = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        for events in &self.events {
            while let Some(event) = events.poll(Duration::ZERO) {
                let Some(code) = event.error() else { continue };
                if kept.as_ref().is_none_or(|(known, _)| weight(code) >= weight(*known)) {
                    *kept = Some((code, event.error_reason()));
                }
            }
        }
        kept.clone()
    }

    /// A broker has answered: what was complained of before is over.
    fn answered<T>(&self, answer: T) -> T {
        let _ = self.complaint();
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = None;
        answer
    }

    /// A refusal as an error. Where it only says that no answer came, the reason is what the client complained of.
    fn failed(&self, what: String, (code, reason): Complaint) -> ClientError {
        match self.complaint() {
            Some((cause, text)) if is_silence(code) => {
                // The code of a broken connection or of a timeout says how callers may go on.
                let code = if is_refusal(cause) { cause } else { code };
                ClientError::operation(what, code, &text)
            }
            _ => ClientError::operation(what, code, &reason),
        }
    }

    /// Asks until a broker answers. librdkafka asks the one whose connection was used last
    /// (`rd_kafka_broker_weight_usable` of 2.12.1), and that one may be frozen: then it is another one's turn when the
    /// connection has been silent for [`SILENCE_MS`] and is given up. Brokers that refuse the client's credentials or
    /// certificates end it early.
    fn ask<T>(
        &self,
        what: impl FnOnce() -> String,
        timeout: Duration,
        ask: impl Fn(Duration) -> Result<T, Complaint>,
    ) -> Result<T, ClientError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let mut patience = FIRST_ASK_TIMEOUT;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            let refusal = match ask(left.min(patience)) {
                Ok(found) => return Ok(self.answered(found)),
                Err(refusal) => refusal,
            };
            let refused = self.complaint().is_some_and(|(code, _)| is_refusal(code));
            let goes_on = is_silence(refusal.0) && !(refused && start.elapsed() >= REFUSAL_TIMEOUT);
            if !goes_on || start.elapsed() + LOOK_INTERVAL >= timeout {
                return Err(self.failed(what(), refusal));
            }
            patience *= 2;
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// A queue for one request's answer: one that comes too late must not be taken for the next one's.
    fn answer_queue(&self) -> Queue {
        let _ = self.complaint();
        self.handle.new_queue()
    }

    /// The cluster's brokers. Fails when no broker answers in time, so it also tells that one is there.
    ///
    /// # Errors
    /// The code by which it failed; timed out when no broker answered.
    pub fn metadata(&self, timeout: Duration) -> Result<ClusterMetadata, ClientError> {
        let what = || "ask for the cluster's brokers".to_owned();
        self.ask(what, timeout, |patience| requests::metadata(&self.topicless, patience))
    }

    /// Waits until the cluster shows at least `brokers` brokers.
    ///
    /// # Errors
    /// Not in time, with what was there instead.
    pub fn wait_for_brokers(&self, brokers: usize, timeout: Duration) -> Result<ClusterMetadata, ClientError> {
        wait(timeout, &format!("fewer than {brokers} brokers came up"), |left| {
            let found = self.metadata(left).map_err(|error| error.to_string())?;
            if found.brokers.len() >= brokers { Ok(found) } else { Err(format!("{} brokers", found.brokers.len())) }
        })
    }

    /// A topic's partitions; `UNKNOWN_TOPIC_OR_PART` when it does not exist.
    ///
    /// # Errors
    /// The code by which it failed.
    pub fn topic(&self, name: &str, timeout: Duration) -> Result<TopicMetadata, ClientError> {
        let topic = self.handle.topic(name)?;
        let what = || format!("describe topic '{name}'");
        self.ask(what, timeout, |patience| requests::describe_topic(&self.handle, &topic, patience))
    }

    /// A topic's own id, by which one that was deleted and created again under its name is told. `None` where the
    /// brokers have none (before Kafka 2.8, librdkafka's mock).
    ///
    /// # Errors
    /// The code by which it failed.
    pub fn topic_id(&self, name: &str, timeout: Duration) -> Result<Option<String>, ClientError> {
        let what = || format!("ask for the id of topic '{name}'");
        self.ask(what, timeout, |patience| requests::topic_id(&self.handle, &self.answer_queue(), name, patience))
    }

    /// Waits until each partition of the topic has a leader and all its replicas in sync.
    ///
    /// # Errors
    /// Not in time, with what was there instead.
    pub fn wait_until_ready(&self, name: &str, timeout: Duration) -> Result<TopicMetadata, ClientError> {
        wait(timeout, &format!("topic '{name}' did not get leaders and all its replicas in sync"), |left| {
            let topic = self.topic(name, left).map_err(|error| error.to_string())?;
            let waiting: Vec<_> = topic.partitions.iter().filter(|partition| !partition.is_ready()).collect();
            match waiting.first() {
                None if topic.partitions.is_empty() => Err("no partitions yet".to_owned()),
                None => Ok(topic),
                Some(first) => Err(format!(
                    "{} partitions are not ready; partition {} has leader {:?}, replicas {:?}, in sync {:?}",
                    waiting.len(),
                    first.id,
                    first.leader,
                    first.replicas,
                    first.isr
                )),
            }
        })
    }

    /// Creates topics; the first refusal is the error. Those before it are there.
    ///
    /// # Errors
    /// The first refusal; the other topics of the call are created all the same.
    pub fn create_topics(&self, topics: &[NewTopic], timeout: Duration) -> Result<(), ClientError> {
        let results = requests::create_topics(&self.handle, &self.answer_queue(), topics, timeout)?;
        first_refusal(results, "create")
    }

    /// Creates a topic and waits until it can be used: all replicas in sync, and every leader answers for its
    /// partitions. That some broker describes it as ready is not enough: each learns of it at its own time.
    ///
    /// # Errors
    /// The refusal, or not in time.
    pub fn create_topic(&self, topic: &NewTopic, timeout: Duration) -> Result<TopicMetadata, ClientError> {
        let start = Instant::now();
        let left = || timeout.saturating_sub(start.elapsed());
        self.create_topics(std::slice::from_ref(topic), timeout)?;
        let ready = self.wait_until_ready(&topic.name, left())?;
        // The next broker that is asked may not have heard of the topic: that one is asked again too.
        until_known_within(left(), || self.offsets(&topic.name, left().max(LOOK_INTERVAL)))?;
        Ok(ready)
    }

    /// Deletes topics. Brokers free the space later (`file.delete.delay.ms`).
    ///
    /// # Errors
    /// The first refusal; the other topics of the call are deleted all the same.
    pub fn delete_topics(&self, names: &[&str], timeout: Duration) -> Result<(), ClientError> {
        let results = requests::delete_topics(&self.handle, &self.answer_queue(), names, timeout)?;
        first_refusal(results, "delete")
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The refusal.
    pub fn delete_topic(&self, name: &str, timeout: Duration) -> Result<(), ClientError> {
        self.delete_topics(&[name], timeout)
    }

    /// The configuration of a topic or a broker, with the source of each value.
    ///
    /// # Errors
    /// The code by which it failed.
    pub fn configs(&self, resource: &ConfigResource, timeout: Duration) -> Result<Vec<ConfigEntry>, ClientError> {
        let what = || match resource {
            ConfigResource::Topic(name) => format!("describe the configs of topic '{name}'"),
            ConfigResource::Broker(id) => format!("describe the configs of broker {id}"),
        };
        let ask = |patience| requests::describe_configs(&self.handle, &self.answer_queue(), resource, patience);
        self.ask(what, timeout, ask)
    }

    /// Low and high watermark of a partition.
    ///
    /// # Errors
    /// The code by which it failed, for one that the partition has no leader.
    pub fn watermarks(&self, topic: &str, partition: i32, timeout: Duration) -> Result<(i64, i64), ClientError> {
        let low = self.list_offsets(topic, &[partition], OffsetQuery::Earliest, timeout)?;
        let high = self.list_offsets(topic, &[partition], OffsetQuery::HighWatermark, timeout)?;
        Ok((low[0].1, high[0].1))
    }

    /// The last stable offset of a partition.
    ///
    /// # Errors
    /// The code by which it failed, for one that the partition has no leader.
    pub fn last_stable_offset(&self, topic: &str, partition: i32, timeout: Duration) -> Result<i64, ClientError> {
        Ok(self.list_offsets(topic, &[partition], OffsetQuery::LastStable, timeout)?[0].1)
    }

    /// All offsets of all partitions of a topic, by partition. The last stable offsets are read first, so
    /// that `last_stable <= high` holds while others write. While leaders move or have not heard of a fresh
    /// topic yet they are asked again, until the time is up.
    ///
    /// # Errors
    /// The first code by which a partition failed.
    pub fn offsets(&self, topic: &str, timeout: Duration) -> Result<Vec<PartitionOffsets>, ClientError> {
        let start = Instant::now();
        // A topic that does not exist is no matter of time.
        self.topic(topic, timeout)?;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            match self.offsets_now(topic, left.min(LOOK_TIMEOUT).max(LOOK_INTERVAL)) {
                Err(error) if error.code().is_some_and(leader_unsettled) && !left.is_zero() => {
                    std::thread::sleep(LOOK_INTERVAL);
                }
                answered => return answered,
            }
        }
    }

    fn offsets_now(&self, topic: &str, timeout: Duration) -> Result<Vec<PartitionOffsets>, ClientError> {
        let partitions: Vec<i32> = self.topic(topic, timeout)?.partitions.iter().map(|found| found.id).collect();
        let stable = self.list_offsets(topic, &partitions, OffsetQuery::LastStable, timeout)?;
        let high = self.list_offsets(topic, &partitions, OffsetQuery::HighWatermark, timeout)?;
        let low = self.list_offsets(topic, &partitions, OffsetQuery::Earliest, timeout)?;
        let together = partitions.iter().enumerate().map(|(i, partition)| PartitionOffsets {
            partition: *partition,
            low: low[i].1,
            high: high[i].1,
            last_stable: stable[i].1,
        });
        Ok(together.collect())
    }

    /// One offset per partition, in the order asked for.
    fn list_offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        query: OffsetQuery,
        timeout: Duration,
    ) -> Result<Vec<(i32, i64)>, ClientError> {
        let what = |partition: i32| format!("list the offsets of {topic}-{partition}");
        let first = partitions.first().copied().unwrap_or(-1);
        let answers = requests::list_offsets(&self.handle, &self.answer_queue(), topic, partitions, query, timeout)
            .map_err(|refusal| self.failed(what(first), refusal))?;
        let one = |partition: &i32| {
            let answer = answers.iter().find(|(id, _)| id == partition).map(|(_, offset)| *offset);
            match answer.unwrap_or(Err(ErrorCode::UNKNOWN_PARTITION)) {
                Ok(offset) => Ok((*partition, offset)),
                Err(code) => Err(ClientError::operation(what(*partition), code, "")),
            }
        };
        partitions.iter().map(one).collect()
    }
}

/// Whether a code says only that no answer came.
fn is_silence(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::TIMED_OUT | ErrorCode::TRANSPORT | ErrorCode::ALL_BROKERS_DOWN)
}

/// Whether a broker, or this client, refused to go on with the other: waiting does not help.
fn is_refusal(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::AUTHENTICATION | ErrorCode::SSL)
}

/// How much a complaint explains: a broken connection says more than that no broker is left.
fn weight(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::AUTHENTICATION | ErrorCode::SSL => 3,
        ErrorCode::ALL_BROKERS_DOWN => 1,
        _ => 2,
    }
}

/// What is said of a partition by a broker that does not lead it any more, or has not heard that it does.
fn leader_unsettled(code: ErrorCode) -> bool {
    [
        ErrorCode::NOT_LEADER_FOR_PARTITION,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::UNKNOWN_TOPIC_OR_PART,
        ErrorCode::UNKNOWN_TOPIC,
        ErrorCode::UNKNOWN_PARTITION,
        // What librdkafka makes of metadata without a leader when it lists offsets.
        ErrorCode::NOENT,
        ErrorCode::TIMED_OUT,
        ErrorCode::TRANSPORT,
        ErrorCode::NETWORK_EXCEPTION,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::of(74), // FENCED_LEADER_EPOCH
        ErrorCode::of(75), // UNKNOWN_LEADER_EPOCH
        ErrorCode::OFFSET_NOT_AVAILABLE,
    ]
    .contains(&code)
}

fn first_refusal(results: Vec<(String, Option<(ErrorCode, String)>)>, verb: &str) -> Result<(), ClientError> {
    for (name, refusal) in results {
        if let Some((code, reason)) = refusal {
            return Err(ClientError::operation(format!("{verb} topic '{name}'"), code, &reason));
        }
    }
    Ok(())
}

/// Asks again while the broker that answers does not know the topic, for two seconds at most: each learns of a
/// new topic at its own time, and another than the one that created it may be asked.
///
/// # Errors
/// That of the last answer.
pub fn until_known<T>(ask: impl Fn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    until_known_within(NEW_TOPIC_TIMEOUT, ask)
}

fn until_known_within<T>(timeout: Duration, ask: impl Fn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(error) if error.is_unknown_topic() && begun.elapsed() < timeout => {
                std::thread::sleep(LOOK_INTERVAL);
            }
            answer => return answer,
        }
    }
}

/// Looks until `look` succeeds; it gets the time that it may take, the last time too: what it found then is told.
fn wait<T>(
    timeout: Duration,
    what: &str,
    mut look: impl FnMut(Duration) -> Result<T, String>,
) -> Result<T, ClientError> {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        let found = match look(left.clamp(FIRST_ASK_TIMEOUT, LOOK_TIMEOUT)) {
            Ok(found) => return Ok(found),
            Err(found) => found,
        };
        if start.elapsed() + LOOK_INTERVAL >= timeout {
            return Err(ClientError::NotInTime { what: what.to_owned(), waited: start.elapsed(), found });
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}
