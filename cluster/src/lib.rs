//! Where a Kafka comes from: external, local, simulated.
//!
//! | module | what it gives |
//! |---|---|
//! | [`external`] | a Kafka that somebody else runs, given by its address |
//! | [`local`] | a real three-broker Kafka on this machine, started and stopped here |
//! | [`simulated`] | librdkafka's mock in this process: proves nothing about Kafka |
//! | [`facts`] | what a cluster says about itself, for results and promises |
//! | [`guards`] | what may be done to a cluster that is not ours |
//!
//! [`Cluster`] is one of the three, with what callers need of any.

#![deny(unsafe_code)]

mod error;
pub mod external;
pub mod facts;
pub mod guards;
pub mod local;
pub mod simulated;

use ackmark_client::ClientProperties;
use ackmark_schema::{
    properties::Origin,
    result::{ClusterFacts, Provider},
};

pub use error::{ClusterError, LogEnd};
pub use external::External;
pub use guards::Guards;
pub use local::{Local, LocalOptions, Settings};
pub use simulated::Simulated;

/// Takes a line of narration.
pub type Progress<'a> = &'a dyn Fn(&str);

/// A Kafka, or what stands in for one.
#[derive(Debug)]
pub enum Cluster {
    /// Somebody else's.
    External(External),
    /// Ours, for as long as this value lives.
    Local(Local),
    /// No Kafka at all.
    Simulated(Simulated),
}

impl Cluster {
    /// Where it comes from.
    pub fn provider(&self) -> Provider {
        match self {
            Self::External(_) => Provider::External,
            Self::Local(_) => Provider::Local,
            Self::Simulated(_) => Provider::Simulated,
        }
    }

    /// `host:port,…` for clients, of this and of other processes.
    pub fn bootstrap_servers(&self) -> String {
        match self {
            Self::External(external) => external.bootstrap_servers().to_owned(),
            Self::Local(local) => local.bootstrap_servers(),
            Self::Simulated(simulated) => simulated.bootstrap_servers().to_owned(),
        }
    }

    /// What a client needs to reach it.
    pub fn client_properties(&self) -> ClientProperties {
        match self {
            Self::External(external) => external.client_properties().clone(),
            Self::Local(_) | Self::Simulated(_) => {
                ClientProperties::with_bootstrap(&self.bootstrap_servers(), Origin::Tool)
            }
        }
    }

    /// Whether ackmark started it, so that nobody else's data can be there.
    pub fn is_ours(&self) -> bool {
        !matches!(self, Self::External(_))
    }

    /// Whether what it shows says nothing about Kafka.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// What may be done to it.
    pub fn guards(&self) -> Guards {
        if self.is_ours() { Guards::none() } else { Guards::for_somebody_elses() }
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// It does not answer within ten seconds.
    pub fn facts(&self) -> Result<ClusterFacts, ClusterError> {
        let mut facts = facts::ask(self.provider(), &self.client_properties())?;
        if let Self::Local(local) = self {
            facts.kafka_version = Some(local.kafka_version().to_owned());
        }
        Ok(facts)
    }
}
