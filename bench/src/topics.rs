//! The topics of a run: one at a time, created and deleted through the admin API.
//!
//! A topic can be used once every partition's leader answers for it. That some broker describes it as ready is
//! not enough: brokers learn of it each at its own time, and a busy one may be a second late. A broker
//! puts a topic into its metadata before it leads a partition of it, so leaders that answer also know the topic.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientError, ErrorCode, LogSink, admin::NewTopic};
use ackmark_schema::scenario::Topic;

use crate::{error::BenchError, target::Target};

/// How long a topic may take to be there with all its replicas, or to go.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long one question may take, and how long to wait before it is asked again.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
const QUESTION_INTERVAL: Duration = Duration::from_millis(25);
/// What a broker says that has not heard of a topic, or not of its leadership, yet.
const NOT_YET: [ErrorCode; 6] = [
    ErrorCode::UNKNOWN_TOPIC_OR_PART,
    ErrorCode::UNKNOWN_TOPIC,
    ErrorCode::UNKNOWN_PARTITION,
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode::NOT_LEADER_FOR_PARTITION,
    ErrorCode::TIMED_OUT,
];

/// Makes and deletes topics as the scenario says.
pub(crate) struct Topics<'a> {
    admin: Arc<AdminClient>,
    target: &'a Target<'a>,
    like: &'a Topic,
}

impl<'a> Topics<'a> {
    pub(crate) fn new(target: &'a Target<'a>, like: &'a Topic) -> Result<Self, BenchError> {
        let admin = AdminClient::new(&target.properties, LogSink::discard())?;
        Ok(Self { admin: Arc::new(admin), target, like })
    }

    /// Creates a topic and waits until it can be used.
    pub(crate) async fn create(&self, name: &str) -> Result<(), String> {
        if let Some(make) = &self.target.make_topic {
            return make(name, self.like.partitions.cast_signed()).map_err(|error| error.to_string());
        }
        let topic = self.topic(name);
        self.ask(move |admin| {
            admin.create_topic(&topic, TIMEOUT)?;
            wait_for_leaders(admin, &topic.name)
        })
        .await
    }

    /// Deletes a topic; simulated ones go with their cluster.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), String> {
        if self.target.make_topic.is_some() {
            return Ok(());
        }
        let name = name.to_owned();
        self.ask(move |admin| admin.delete_topic(&name, TIMEOUT)).await
    }

    fn topic(&self, name: &str) -> NewTopic {
        let further = self.like.configs.iter().map(|(name, value)| (name.clone(), value.clone()));
        let mut configs = vec![("min.insync.replicas".to_owned(), self.like.min_insync_replicas.to_string())];
        configs.extend(further);
        NewTopic {
            name: name.to_owned(),
            partitions: self.like.partitions.cast_signed(),
            replication_factor: self.like.replication_factor.cast_signed(),
            configs,
        }
    }

    /// Admin calls block, so they run on a thread of their own.
    async fn ask(
        &self,
        question: impl FnOnce(&AdminClient) -> Result<(), ClientError> + Send + 'static,
    ) -> Result<(), String> {
        let admin = Arc::clone(&self.admin);
        match tokio::task::spawn_blocking(move || question(&admin)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(error) => Err(format!("asking the cluster failed: {error}")),
        }
    }
}

/// Asks all leaders for their offsets until every one answers.
fn wait_for_leaders(admin: &AdminClient, topic: &str) -> Result<(), ClientError> {
    let start = Instant::now();
    loop {
        match admin.offsets(topic, QUESTION_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => {
                let not_yet = error.code().is_some_and(|code| NOT_YET.contains(&code));
                if !not_yet || start.elapsed() >= TIMEOUT {
                    return Err(error);
                }
            }
        }
        thread::sleep(QUESTION_INTERVAL);
    }
}
