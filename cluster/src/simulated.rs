//! librdkafka's mock cluster in this process, for trying the tool without Java.
//!
//! It listens on loopback, so child processes reach it by its address. It is no Kafka: acknowledgements follow no
//! replication, duplicates are not detected, nothing is fenced. Every output says so, and verdicts on it are always
//! inconclusive.

use ackmark_client::MockCluster;

use crate::error::ClusterError;

/// Brokers that are simulated.
pub const BROKERS: i32 = 3;

/// A simulated cluster; ends when dropped.
pub struct Simulated {
    mock: MockCluster,
}

impl Simulated {
    /// Starts one.
    ///
    /// # Errors
    /// librdkafka cannot.
    pub fn start() -> Result<Self, ClusterError> {
        let mock =
            MockCluster::start(BROKERS).map_err(|error| ClusterError::Simulation { reason: error.to_string() })?;
        Ok(Self { mock })
    }

    /// `host:port,…`, for this and other processes.
    pub fn bootstrap_servers(&self) -> &str {
        self.mock.bootstrap_servers()
    }

    /// Makes a topic, which the mock takes by no admin request.
    ///
    /// # Errors
    /// The topic is there, or its numbers are impossible.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), ClusterError> {
        self.mock
            .create_topic(name, partitions, BROKERS)
            .map_err(|error| ClusterError::Simulation { reason: error.to_string() })
    }
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulated").field("bootstrap_servers", &self.bootstrap_servers()).finish()
    }
}
