//! The Kafka under test: as little as a run needs of it.

use std::path::PathBuf;

use ackmark_client::ClientProperties;
use ackmark_cluster::{Cluster, ClusterError, Guards};
use ackmark_schema::{
    properties::Origin,
    report::CpuTime,
    result::{ClusterFacts, Provider},
};

/// Reads the CPU time of all brokers since they started.
pub type BrokersCpu<'a> = Box<dyn Fn() -> Option<CpuTime> + Send + Sync + 'a>;
/// Tells why the brokers can no longer be measured, once one that ackmark started has ended by itself.
pub type BrokerLost<'a> = Box<dyn Fn() -> Option<ClusterError> + Send + Sync + 'a>;
/// Makes a topic where no admin request does: name, partitions.
pub type MakeTopic<'a> = Box<dyn Fn(&str, i32) -> Result<(), ClusterError> + Send + Sync + 'a>;

/// The Kafka under test.
pub struct Target<'a> {
    /// How clients reach it, with what the user set (`-F`, `-X`); secrets in clear.
    pub properties: ClientProperties,
    /// What it says about itself.
    pub facts: ClusterFacts,
    /// What may be done to it.
    pub guards: Guards,
    /// CPU time of local brokers; `None` as a value where it is not known.
    pub brokers_cpu: BrokersCpu<'a>,
    /// Looks whether local brokers are still there; of others nothing is known.
    pub broker_lost: BrokerLost<'a>,
    /// Java's version, where the brokers are local.
    pub java_version: Option<String>,
    /// Where local brokers keep their data, for the check of free disk.
    pub data_folder: Option<PathBuf>,
    /// Replaces the admin request that creates a topic (simulated brokers). Such topics are not deleted.
    pub make_topic: Option<MakeTopic<'a>>,
}

impl<'a> Target<'a> {
    /// A cluster as a target; `user` are the properties that the user set, which win over the cluster's own.
    ///
    /// # Errors
    /// It does not answer.
    pub fn new(cluster: &'a Cluster, user: &ClientProperties) -> Result<Self, ClusterError> {
        let mut properties = cluster.client_properties();
        let servers = cluster.bootstrap_servers();
        properties.merge(user);
        // Where ackmark started the brokers, nothing that the user set can point elsewhere.
        if cluster.is_ours() {
            properties.set("bootstrap.servers", &servers, Origin::Tool);
        }
        let local = if let Cluster::Local(local) = cluster { Some(local) } else { None };
        let simulated = if let Cluster::Simulated(simulated) = cluster { Some(simulated) } else { None };
        Ok(Self {
            properties,
            facts: cluster.facts()?,
            guards: cluster.guards(),
            brokers_cpu: Box::new(move || local.and_then(ackmark_cluster::Local::cpu)),
            broker_lost: Box::new(move || local?.check().err()),
            java_version: local.map(|local| local.java_version().to_owned()),
            data_folder: local.map(|local| local.folder().to_owned()),
            make_topic: simulated.map(|simulated| -> MakeTopic<'a> {
                Box::new(move |name, partitions| simulated.create_topic(name, partitions))
            }),
        })
    }

    /// Why it can no longer be measured, in words; see [`Target::broker_lost`].
    pub(crate) fn lost(&self) -> Option<String> {
        (self.broker_lost)().map(|error| error.to_string())
    }

    /// Whether what it shows says nothing about Kafka.
    pub fn is_simulated(&self) -> bool {
        self.facts.provider == Provider::Simulated
    }

    /// Whether brokers and load share the machine.
    pub fn is_local(&self) -> bool {
        self.facts.provider == Provider::Local
    }

    /// Its addresses.
    pub fn bootstrap_servers(&self) -> &str {
        self.properties.value("bootstrap.servers").unwrap_or_default()
    }
}
