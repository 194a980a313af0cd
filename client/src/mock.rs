//! A simulated cluster inside this process: librdkafka's mock cluster.
//!
//! It speaks Kafka's protocol on loopback, so other processes can use it by its bootstrap servers. It is
//! no Kafka: no acks semantics, no in-sync set, no plain idempotent deduplication, no fencing, no
//! transaction markers; each partition keeps at most 5 MiB and drops the oldest batches. It can test a
//! harness and show a client's ceiling. It proves nothing about delivery.

use std::time::Duration;

use crate::errors::{ClientError, ErrorCode};
use crate::ffi::handle::{Handle, Kind};
use crate::ffi::mock::Mock;
use crate::logs::LogSink;
use crate::properties::ClientProperties;

/// Kafka's number of the Produce request.
pub const API_PRODUCE: i16 = 0;

/// A simulated cluster, stopped when dropped.
pub struct MockCluster {
    mock: Mock,
    bootstrap_servers: String,
    brokers: i32,
}

impl MockCluster {
    /// Starts brokers 1 to `brokers` on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// A broker finds no port.
    pub fn start(brokers: i32) -> Result<Self, ClientError> {
        let conf = ClientProperties::new().conf(LogSink::discard())?;
        let handle = Handle::new(Kind::Producer, conf)?;
        let mock = Mock::new(handle, brokers).ok_or(ClientError::Mock { brokers })?;
        Ok(MockCluster { bootstrap_servers: mock.bootstrap_servers(), mock, brokers })
    }

    /// `host:port,…` of its brokers.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// How many brokers it has.
    pub fn brokers(&self) -> i32 {
        self.brokers
    }

    /// Creates a topic. Admin requests to create topics are not simulated; topics that clients ask for
    /// come into being with four partitions.
    ///
    /// # Errors
    /// The topic is there, or its numbers are impossible.
    pub fn create_topic(&self, name: &str, partitions: i32, replication_factor: i32) -> Result<(), ClientError> {
        self.mock.create_topic(name, partitions, replication_factor)
    }

    /// Answers the next requests of that kind with these codes instead, one each.
    pub fn fail_requests(&self, api_key: i16, codes: &[ErrorCode]) {
        let codes: Vec<i32> = codes.iter().map(|code| code.raw()).collect();
        self.mock.push_request_errors(api_key, &codes);
    }

    /// Answers what is asked of a topic with this code from now on, and of each of its partitions.
    ///
    /// # Errors
    /// A name with a zero byte.
    pub fn fail_topic(&self, name: &str, code: ErrorCode) -> Result<(), ClientError> {
        self.mock.set_topic_error(name, code.raw())
    }

    /// Delays every answer of every broker by `time`.
    pub fn set_round_trip(&self, time: Duration) {
        for broker in 1..=self.brokers {
            self.set_round_trip_of(broker, time);
        }
    }

    /// Delays every answer of a broker by `time`.
    pub fn set_round_trip_of(&self, broker: i32, time: Duration) {
        self.mock.set_round_trip(broker, time);
    }
}
