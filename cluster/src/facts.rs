//! What a cluster says about itself: for the result, for the promise, for the doctor.
//!
//! Brokers tell no version by their public API; it is known only of those that were started here.

use std::time::Duration;

use ackmark_client::{
    AdminClient, ClientProperties, LogSink,
    admin::{ClusterMetadata, ConfigResource},
};
use ackmark_schema::result::{BrokerFacts, ClusterFacts, Provider};

use crate::error::ClusterError;

/// How long one question to a cluster may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Broker configs that a promise or a figure rests on.
pub const RELEVANT_CONFIGS: [&str; 18] = [
    "auto.create.topics.enable",
    "broker.session.timeout.ms",
    "compression.type",
    "default.replication.factor",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.retention.bytes",
    "log.retention.ms",
    "log.segment.bytes",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.replica.fetchers",
    "replica.lag.time.max.ms",
    "transaction.max.timeout.ms",
    "transaction.state.log.min.isr",
    "unclean.leader.election.enable",
];

/// Asks for brokers and configs. Without the right to read configs the facts have none; the mock has none either.
///
/// # Errors
/// No broker answers in time.
pub fn ask(provider: Provider, properties: &ClientProperties) -> Result<ClusterFacts, ClusterError> {
    let servers = properties.value("bootstrap.servers").unwrap_or_default();
    let unreachable = |reason: String| ClusterError::Unreachable { servers: servers.to_owned(), reason };
    let admin = AdminClient::new(properties, LogSink::discard()).map_err(|error| unreachable(error.to_string()))?;
    let found = admin.metadata(TIMEOUT).map_err(|error| unreachable(error.to_string()))?;
    let configs = match (provider, found.brokers.first()) {
        (Provider::Simulated, _) | (_, None) => Vec::new(),
        (_, Some(broker)) => admin.configs(&ConfigResource::Broker(broker.id), TIMEOUT).unwrap_or_default(),
    };
    let relevant = configs.into_iter().filter(|config| RELEVANT_CONFIGS.contains(&config.name.as_str()));
    let mut configs: Vec<_> = relevant.filter_map(|config| Some((config.name, config.value?))).collect();
    configs.sort();
    Ok(ClusterFacts {
        provider,
        cluster_id: found.cluster_id.clone(),
        kafka_version: None,
        brokers: brokers(&found),
        configs: configs.into_iter().collect(),
    })
}

fn brokers(found: &ClusterMetadata) -> Vec<BrokerFacts> {
    found
        .brokers
        .iter()
        .map(|broker| BrokerFacts { id: broker.id, address: format!("{}:{}", broker.host, broker.port) })
        .collect()
}
