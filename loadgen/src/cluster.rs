//! What is asked of the cluster before and after a load: is it there, does the topic fit, what is its
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

/// The cluster and the topic at the start of a load.
pub(crate) struct Target {
    admin: AdminClient,
    topic: TopicMetadata,
    /// The cluster's own id.
    pub(crate) cluster_id: Option<String>,
    /// What the promise rests on.
    pub(crate) facts: TopicFacts,
    /// End offsets.
    pub(crate) start: TopicStart,
    max_message_bytes: Option<u64>,
}

impl Target {
    /// Looks at the cluster and the topic.
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
        let topic = until_known(|| admin.topic(&spec.topic, ANSWER_TIMEOUT)).map_err(|error| missing(error, spec))?;
        let found = topic.partitions.len() as u32;
        if found < spec.partitions {
            let topic = spec.topic.clone();
            return Err(LoadError::TooFewPartitions { topic, found, wanted: spec.partitions });
        }
        let offsets = until_known(|| admin.offsets(&spec.topic, ANSWER_TIMEOUT))?;
        // The mock has no configs: it promises nothing.
        let configs = if spec.simulated {
            Vec::new()
        } else {
            until_known(|| admin.configs(&ConfigResource::Topic(spec.topic.clone()), ANSWER_TIMEOUT))?
        };
        let config = |name: &str| value_of(&configs, name);
        // Nor has it a controller, which would be waited for.
        let id = if spec.simulated { None } else { until_known(|| admin.topic_id(&spec.topic, ANSWER_TIMEOUT))? };
        Ok(Self {
            facts: TopicFacts {
                replication_factor: topic.replication_factor() as u32,
                min_insync_replicas: config("min.insync.replicas").and_then(|text| text.parse().ok()).unwrap_or(1),
                unclean_leader_election: config("unclean.leader.election.enable") == Some("true"),
            },
            max_message_bytes: config("max.message.bytes").and_then(|text| text.parse().ok()),
            start: TopicStart {
                name: spec.topic.clone(),
                id,
                start_offsets: offsets.into_iter().map(|partition| partition.high).collect(),
            },
            cluster_id: cluster.cluster_id,
            topic,
            admin,
        })
    }

    /// Checks that client and topic take the largest message and the largest batch.
    ///
    /// # Errors
    /// What is too large, with the limit.
    pub(crate) fn check_sizes(&self, spec: &LoadSpec, in_effect: &[Property]) -> Result<(), LoadError> {
        let message = spec.message.size.bounds().1.0 + KEY_BYTES as u64 + BATCH_OVERHEAD_BYTES;
        let client = number(in_effect, "message.max.bytes").unwrap_or(u64::MAX);
        let topic = self.max_message_bytes.unwrap_or(u64::MAX);
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

    /// Looks at the topic once more, for what changed and what is in the way.
    pub(crate) fn closing_look(&self) -> ClosingLook {
        let now = match self.admin.topic(&self.topic.name, CLOSING_TIMEOUT) {
            Ok(now) => now,
            Err(error) => {
                let trouble = Some(self.unseen(&error));
                return ClosingLook { leader_changes: None, trouble };
            }
        };
        let changed = self.topic.partitions.iter().zip(&now.partitions).filter(|(old, new)| old.leader != new.leader);
        ClosingLook { leader_changes: Some(changed.count() as u64), trouble: self.unable(&now) }
    }

    /// Why the topic could not be described.
    fn unseen(&self, error: &ClientError) -> Warning {
        let topic = &self.topic.name;
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
        let all = now.partitions.len();
        let leaderless = now.partitions.iter().filter(|partition| partition.leader.is_none()).count();
        let in_sync = now.partitions.iter().map(|partition| partition.isr.len()).min().unwrap_or(0);
        let wanted = self.facts.min_insync_replicas as usize;
        let what = if leaderless > 0 {
            format!("at the end {leaderless} of {all} partitions of topic {} had no leader", self.topic.name)
        } else if in_sync < wanted {
            format!(
                "at the end only {in_sync} replica(s) of some partition of topic {} were in sync: below \
                 min.insync.replicas={wanted} brokers refuse messages with acks=all",
                self.topic.name
            )
        } else {
            return None;
        };
        Some(Warning { what, cure: "bring the brokers back that are gone".into() })
    }
}

/// What a look at the topic found after the load.
pub(crate) struct ClosingLook {
    /// Partitions whose leader is another one now; `None` when nobody could tell.
    pub(crate) leader_changes: Option<u64>,
    /// What is in the way of messages, if anything.
    pub(crate) trouble: Option<Warning>,
}

fn missing(error: ClientError, spec: &LoadSpec) -> LoadError {
    if error.is_unknown_topic() { LoadError::MissingTopic { topic: spec.topic.clone() } } else { error.into() }
}

fn value_of<'a>(configs: &'a [ConfigEntry], name: &str) -> Option<&'a str> {
    configs.iter().find(|entry| entry.name == name)?.value.as_deref()
}
