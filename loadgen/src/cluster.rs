//! What is asked of the cluster before and after a load: is it there, do the topics fit, what is the
//! promise made of. Each question has a bound.

use std::time::Duration;

use ackmark_client::{
    AdminClient, ClientError, ClientProperties, ErrorCode, LogSink,
    admin::{ConfigEntry, ConfigResource, TopicMetadata, until_known},
};
use ackmark_schema::{
    load_spec::LoadSpec, manifest::TopicStart, promise::TopicFacts, properties::Property, result::Warning,
};

use crate::{
    error::LoadError,
    keys::KEY_BYTES,
    properties::{batch_bytes, number},
};

/// Longest wait for a broker, and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest wait for an answer after the load.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);
/// What a batch needs beside its records' values: batch header, record framing (Kafka message format 2).
const BATCH_OVERHEAD_BYTES: u64 = 61 + 32;

/// The cluster and the topics at the start of a load.
pub(crate) struct Target {
    admin: AdminClient,
    topics: Vec<Topic>,
    /// The cluster's own id.
    pub(crate) cluster_id: Option<String>,
    /// What the promise rests on: the weakest of the topics in each respect.
    pub(crate) facts: TopicFacts,
}

/// A topic at the start of a load.
struct Topic {
    metadata: TopicMetadata,
    facts: TopicFacts,
    start: TopicStart,
    max_message_bytes: Option<u64>,
}

impl Target {
    /// Looks at the cluster and the topics.
    ///
    /// # Errors
    /// No broker answers, no such topic, fewer partitions than asked for.
    pub(crate) fn open(spec: &LoadSpec, properties: &ClientProperties) -> Result<Self, LoadError> {
        let admin = AdminClient::new(properties, LogSink::discard())?;
        let cluster = admin.metadata(ANSWER_TIMEOUT).map_err(|source| LoadError::Unreachable {
            servers: properties.value("bootstrap.servers").unwrap_or_default().to_owned(),
            waited_s: ANSWER_TIMEOUT.as_secs(),
            source,
        })?;
        let topics: Vec<Topic> =
            spec.topics.iter().map(|name| Topic::open(name, spec, &admin)).collect::<Result<_, _>>()?;
        let facts = || topics.iter().map(|topic| topic.facts);
        let fewest = |of: fn(TopicFacts) -> u32| facts().map(of).min().unwrap_or_default();
        Ok(Self {
            facts: TopicFacts {
                replication_factor: fewest(|facts| facts.replication_factor),
                min_insync_replicas: fewest(|facts| facts.min_insync_replicas),
                unclean_leader_election: facts().any(|facts| facts.unclean_leader_election),
            },
            cluster_id: cluster.cluster_id,
            topics,
            admin,
        })
    }

    /// End offsets of all partitions.
    pub(crate) fn starts(&self) -> Vec<TopicStart> {
        self.topics.iter().map(|topic| topic.start.clone()).collect()
    }

    /// Checks that client and topic take the largest message and the largest batch.
    ///
    /// # Errors
    /// What is too large, with the limit.
    pub(crate) fn check_sizes(&self, spec: &LoadSpec, in_effect: &[Property]) -> Result<(), LoadError> {
        let message = spec.message.size.bounds().1.0 + KEY_BYTES as u64 + BATCH_OVERHEAD_BYTES;
        let client = number(in_effect, "message.max.bytes").unwrap_or(u64::MAX);
        let topic = self.topics.iter().filter_map(|topic| topic.max_message_bytes).min().unwrap_or(u64::MAX);
        let too_large = |what, bytes, limit_name, limit, cure| {
            if bytes > limit { Err(LoadError::TooLarge { what, bytes, limit_name, limit, cure }) } else { Ok(()) }
        };
        too_large(
            "messages",
            message,
            "the client's message.max.bytes",
            client,
            "lower message.size, or raise it with -X message.max.bytes=…",
        )?;
        let cure = "lower message.size, or raise the topic's max.message.bytes";
        too_large("messages", message, "the topic's max.message.bytes", topic, cure)?;
        let cure = "lower batch.size, or raise the topic's max.message.bytes";
        too_large("batches", batch_bytes(in_effect), "the topic's max.message.bytes", topic, cure)
    }

    /// Looks at the topics once more, for what changed and what is in the way.
    pub(crate) fn closing_look(&self) -> ClosingLook {
        let looks = self.topics.iter().map(|topic| topic.closing_look(&self.admin));
        looks.reduce(ClosingLook::and).unwrap_or_default()
    }
}

impl Topic {
    fn open(name: &str, spec: &LoadSpec, admin: &AdminClient) -> Result<Self, LoadError> {
        let metadata = until_known(|| admin.topic(name, ANSWER_TIMEOUT)).map_err(|error| missing(error, name))?;
        let found = metadata.partitions.len() as u32;
        if found < spec.partitions {
            return Err(LoadError::TooFewPartitions { topic: name.to_owned(), found, wanted: spec.partitions });
        }
        let offsets = until_known(|| admin.offsets(name, ANSWER_TIMEOUT))?;
        // The mock has no configs: it promises nothing.
        let configs = if spec.simulated {
            Vec::new()
        } else {
            until_known(|| admin.configs(&ConfigResource::Topic(name.to_owned()), ANSWER_TIMEOUT))?
        };
        let config = |name: &str| value_of(&configs, name);
        // Nor has it a controller, which would be waited for.
        let id = if spec.simulated { None } else { until_known(|| admin.topic_id(name, ANSWER_TIMEOUT))? };
        Ok(Self {
            facts: TopicFacts {
                replication_factor: metadata.replication_factor() as u32,
                min_insync_replicas: config("min.insync.replicas").and_then(|text| text.parse().ok()).unwrap_or(1),
                unclean_leader_election: config("unclean.leader.election.enable") == Some("true"),
            },
            max_message_bytes: config("max.message.bytes").and_then(|text| text.parse().ok()),
            start: TopicStart {
                name: name.to_owned(),
                id,
                start_offsets: offsets.into_iter().map(|partition| partition.high).collect(),
            },
            metadata,
        })
    }

    fn closing_look(&self, admin: &AdminClient) -> ClosingLook {
        let now = match admin.topic(&self.metadata.name, CLOSING_TIMEOUT) {
            Ok(now) => now,
            Err(error) => return ClosingLook { leader_changes: None, trouble: vec![self.unseen(&error)] },
        };
        let pairs = self.metadata.partitions.iter().zip(&now.partitions);
        let changed = pairs.filter(|(old, new)| old.leader != new.leader).count();
        ClosingLook { leader_changes: Some(changed as u64), trouble: self.unable(&now).into_iter().collect() }
    }

    /// Why the topic could not be described.
    fn unseen(&self, error: &ClientError) -> Warning {
        let topic = &self.metadata.name;
        if error.is_unknown_topic() {
            return Warning {
                what: format!("topic {topic} is gone: it was deleted while the load ran"),
                cure: "what it held cannot be verified any more: run the load again and keep the topic until then"
                    .into(),
            };
        }
        let cure = error.code().map_or("check that the brokers run", ErrorCode::cure).to_owned();
        Warning { what: format!("at the end nobody could tell of topic {topic}: {error}"), cure }
    }

    /// Partitions that take no message, or none with acks=all.
    fn unable(&self, now: &TopicMetadata) -> Option<Warning> {
        let topic = &self.metadata.name;
        let all = now.partitions.len();
        let leaderless = now.partitions.iter().filter(|partition| partition.leader.is_none()).count();
        let in_sync = now.partitions.iter().map(|partition| partition.isr.len()).min().unwrap_or(0);
        let wanted = self.facts.min_insync_replicas as usize;
        let what = if leaderless > 0 {
            format!("at the end {leaderless} of {all} partitions of topic {topic} had no leader")
        } else if in_sync < wanted {
            format!(
                "at the end only {in_sync} replica(s) of some partition of topic {topic} were in sync: below \
                 min.insync.replicas={wanted} brokers refuse messages with acks=all"
            )
        } else {
            return None;
        };
        Some(Warning { what, cure: "bring the brokers back that are gone".into() })
    }
}

/// What a look at the topics found after the load.
pub(crate) struct ClosingLook {
    /// Partitions whose leader is another one now; `None` when nobody could tell.
    pub(crate) leader_changes: Option<u64>,
    /// What is in the way of messages.
    pub(crate) trouble: Vec<Warning>,
}

impl Default for ClosingLook {
    /// Nothing changed, and nothing is in the way.
    fn default() -> Self {
        Self { leader_changes: Some(0), trouble: Vec::new() }
    }
}

impl ClosingLook {
    fn and(mut self, other: Self) -> Self {
        self.leader_changes = self.leader_changes.zip(other.leader_changes).map(|(one, two)| one + two);
        self.trouble.extend(other.trouble);
        self
    }
}

fn missing(error: ClientError, topic: &str) -> LoadError {
    if error.is_unknown_topic() { LoadError::MissingTopic { topic: topic.to_owned() } } else { error.into() }
}

fn value_of<'a>(configs: &'a [ConfigEntry], name: &str) -> Option<&'a str> {
    configs.iter().find(|entry| entry.name == name)?.value.as_deref()
}
