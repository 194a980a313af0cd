//! The topics of a run: one at a time, created and deleted through the admin API.

use std::{sync::Arc, time::Duration};

use ackmark_client::{AdminClient, ClientError, LogSink, admin::NewTopic};
use ackmark_schema::scenario::Topic;

use crate::{error::BenchError, target::Target};

/// How long a topic may take to be there with all its replicas, or to go.
const TIMEOUT: Duration = Duration::from_mins(1);
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
        self.ask(move |admin| admin.create_topic(&topic, TIMEOUT).map(|_| ())).await
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
            assignment: Vec::new(),
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
