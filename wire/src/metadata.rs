//! Who leads what, and which offsets a log has.
//!
//! A [`Directory`] asks the brokers that it knows, the one that answered last first, and learns of others from the
//! answers. Leaders and offsets are of the moment of the answer: both may have changed when they are used.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, ListOffsetsRequest, MetadataRequest, TopicName,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
    },
    protocol::StrBytes,
};

use crate::{
    config::{Address, WireConfig},
    connection::Connection,
    error::WireError,
    fetch,
    patience::Patience,
};

/// Before leaders that did not answer are looked for again.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// Where clients reach it.
    pub address: Address,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broker {} ({})", self.id, self.address)
    }
}

/// Who leads a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The broker.
    pub broker: Broker,
    /// Its epoch; -1 where the broker that was asked does not tell.
    pub epoch: i32,
}

/// Leaders by partition, or why there is none.
type Leaders = BTreeMap<i32, Result<Leader, ResponseError>>;
/// A partition and its offset, or why there is none.
pub type PartitionOffset = (i32, Result<i64, ResponseError>);

/// What is known of topics.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    by_name: BTreeMap<String, Result<Leaders, ResponseError>>,
}

impl Topics {
    /// Names of all of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// All but one of them.
    #[must_use]
    pub(crate) fn without(mut self, topic: &str) -> Self {
        self.by_name.remove(topic);
        self
    }

    /// Partitions of a topic.
    ///
    /// # Errors
    /// Why the topic cannot be described.
    pub fn partitions(&self, topic: &str) -> Result<impl Iterator<Item = i32> + use<'_>, ResponseError> {
        match self.by_name.get(topic) {
            Some(Ok(partitions)) => Ok(partitions.keys().copied()),
            Some(Err(code)) => Err(*code),
            None => Err(ResponseError::UnknownTopicOrPartition),
        }
    }

    /// Who leads a partition.
    ///
    /// # Errors
    /// There is no such partition, or no leader at the moment.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<&Leader, ResponseError> {
        match self.by_name.get(topic) {
            Some(Ok(partitions)) => match partitions.get(&partition) {
                Some(Ok(leader)) => Ok(leader),
                Some(Err(code)) => Err(*code),
                None => Err(ResponseError::UnknownTopicOrPartition),
            },
            Some(Err(code)) => Err(*code),
            None => Err(ResponseError::UnknownTopicOrPartition),
        }
    }
}

/// Which offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that the log has: the log start offset.
    Earliest,
    /// One past the last that consumers may see: the high watermark.
    Latest,
    /// Up to where no transaction is open.
    LastStable,
}

impl OffsetSpec {
    /// Isolation level and timestamp that stand for it in `ListOffsets`.
    fn encoded(self) -> (i8, i64) {
        match self {
            Self::Earliest => (fetch::READ_UNCOMMITTED, -2),
            Self::Latest => (fetch::READ_UNCOMMITTED, -1),
            Self::LastStable => (fetch::READ_COMMITTED, -1),
        }
    }
}

/// What is asked of the brokers about the cluster.
#[derive(Debug)]
pub struct Directory<'c> {
    config: &'c WireConfig,
    known: Vec<Address>,
    connection: Option<Connection>,
}

impl<'c> Directory<'c> {
    /// One that knows the bootstrap servers. Nothing is asked yet.
    pub fn new(config: &'c WireConfig) -> Self {
        Self { config, known: config.bootstrap.clone(), connection: None }
    }

    /// Leaders of the partitions of topics.
    ///
    /// # Errors
    /// No broker answers. What is wrong with a single topic or partition is in the answer.
    pub fn topics<'t>(
        &mut self,
        names: impl IntoIterator<Item = &'t str>,
        patience: &Patience<'_>,
    ) -> Result<Topics, WireError> {
        self.brokers_and_topics(names, patience).map(|(_, topics)| topics)
    }

    /// All brokers, and the leaders of the partitions of all topics, as far as the brokers let one know.
    ///
    /// # Errors
    /// No broker answers.
    pub fn cluster(&mut self, patience: &Patience<'_>) -> Result<(Vec<Broker>, Topics), WireError> {
        self.describe(None, patience)
    }

    /// All brokers, and the leaders of the partitions of some topics.
    ///
    /// # Errors
    /// As of [`Self::topics`].
    pub fn brokers_and_topics<'t>(
        &mut self,
        names: impl IntoIterator<Item = &'t str>,
        patience: &Patience<'_>,
    ) -> Result<(Vec<Broker>, Topics), WireError> {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let topics =
            names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name)))).collect();
        self.describe(Some(topics), patience)
    }

    /// Some topics, or all.
    fn describe(
        &mut self,
        topics: Option<Vec<MetadataRequestTopic>>,
        patience: &Patience<'_>,
    ) -> Result<(Vec<Broker>, Topics), WireError> {
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let answer = self.ask(patience, |connection| {
            // Version 4 is the first that does not create topics, 12 the last that needs no topic ids.
            let version = connection.version::<MetadataRequest>(4, 12)?;
            // Told before a scan begins, not in the middle of it.
            fetch::version(connection)?;
            connection.call(&request, version, patience)
        })?;
        let mut brokers = BTreeMap::new();
        for broker in &answer.brokers {
            let port = u16::try_from(broker.port).unwrap_or_default();
            let address = Address { host: broker.host.to_string(), port };
            if !self.known.contains(&address) {
                self.known.push(address.clone());
            }
            brokers.insert(broker.node_id, Broker { id: broker.node_id.0, address });
        }
        let mut by_name = BTreeMap::new();
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            let described = match ResponseError::try_from_code(topic.error_code) {
                Some(code) => Err(code),
                None => Ok(topic
                    .partitions
                    .iter()
                    .map(|partition| {
                        let leader = brokers.get(&partition.leader_id).cloned();
                        let leader = match (leader, ResponseError::try_from_code(partition.error_code)) {
                            (Some(broker), None) => Ok(Leader { broker, epoch: partition.leader_epoch }),
                            (_, Some(code)) => Err(code),
                            (None, None) => Err(ResponseError::LeaderNotAvailable),
                        };
                        (partition.partition_index, leader)
                    })
                    .collect()),
            };
            by_name.insert(name.to_string(), described);
        }
        Ok((brokers.into_values().collect(), Topics { by_name }))
    }

    /// The partitions of a topic.
    ///
    /// # Errors
    /// No broker answers, or the topic is not there.
    pub fn partitions(&mut self, topic: &str, patience: &Patience<'_>) -> Result<Vec<i32>, WireError> {
        let topics = self.topics([topic], patience)?;
        let partitions = topics.partitions(topic).map_err(|code| self.refused(code))?;
        Ok(partitions.collect())
    }

    /// An offset of partitions of a topic, asked of their leaders: again and again, as long as there is patience, where
    /// a partition has no leader at the moment or its leader does not answer.
    ///
    /// # Errors
    /// The topic or a partition is not there, the brokers refuse, or nobody answers in time.
    pub fn offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        which: OffsetSpec,
        patience: &Patience<'_>,
    ) -> Result<BTreeMap<i32, i64>, WireError> {
        loop {
            match self.offsets_now(topic, partitions, which, patience) {
                Err(error) if passes(&error) && patience.pause(RETRY_WAIT) => {}
                Err(_) if patience.is_stopped() => return Err(WireError::Stopped),
                done => return done,
            }
        }
    }

    fn offsets_now(
        &mut self,
        topic: &str,
        partitions: &[i32],
        which: OffsetSpec,
        patience: &Patience<'_>,
    ) -> Result<BTreeMap<i32, i64>, WireError> {
        let topics = self.topics([topic], patience)?;
        let _ = topics.partitions(topic).map_err(|code| self.refused(code))?;
        let untold = |partition, code| WireError::Offset { topic: topic.to_owned(), partition, code };
        let mut by_leader: BTreeMap<i32, (Broker, Vec<(i32, i32)>)> = BTreeMap::new();
        for &partition in partitions {
            let leader = topics.leader(topic, partition).map_err(|code| untold(partition, code))?;
            let (_, led) = by_leader.entry(leader.broker.id).or_insert_with(|| (leader.broker.clone(), Vec::new()));
            led.push((partition, leader.epoch));
        }
        let mut found = BTreeMap::new();
        for (broker, led) in by_leader.into_values() {
            let mut connection = Connection::open(self.config, &broker.address, patience)?;
            for (partition, offset) in list_offsets(&mut connection, topic, &led, which, patience)? {
                found.insert(partition, offset.map_err(|code| untold(partition, code))?);
            }
        }
        Ok(found)
    }

    /// That the broker which answered last has no such topic.
    fn refused(&self, code: ResponseError) -> WireError {
        let asked = self.connection.as_ref().map_or(&self.known[0], Connection::address);
        WireError::Refused { address: asked.clone(), api: "Metadata", code }
    }

    /// Asks the broker that answered last, then the others, until one answers.
    fn ask<A>(
        &mut self,
        patience: &Patience<'_>,
        request: impl Fn(&mut Connection) -> Result<A, WireError>,
    ) -> Result<A, WireError> {
        let mut last = None;
        if let Some(mut connection) = self.connection.take() {
            match request(&mut connection) {
                Ok(answer) => {
                    self.connection = Some(connection);
                    return Ok(answer);
                }
                Err(error @ WireError::Stopped) => return Err(error),
                // The same broker is tried again below, by a fresh connection.
                Err(error) => last = Some(error),
            }
        }
        for index in 0..self.known.len() {
            let asked = Connection::open(self.config, &self.known[index], patience).and_then(|mut connection| {
                let answer = request(&mut connection)?;
                Ok((connection, answer))
            });
            match asked {
                Ok((connection, answer)) => {
                    self.connection = Some(connection);
                    // The next time begins here, should this connection end.
                    self.known.swap(0, index);
                    return Ok(answer);
                }
                Err(error @ WireError::Stopped) => return Err(error),
                // What no other try can cure is what to tell.
                Err(error) if !error.is_retriable() || last.as_ref().is_none_or(WireError::is_retriable) => {
                    last = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(WireError::NoBroker { last: Box::new(last.unwrap_or(WireError::Stopped)) })
    }
}

/// Whether leaders may answer when they are asked again. That no broker at all can be used, or that there is no such
/// topic, is most likely a mistake of who asks, who need not wait to be told.
fn passes(error: &WireError) -> bool {
    let is_mistake = match error {
        WireError::NoBroker { .. } => true,
        WireError::Refused { code, .. } | WireError::Offset { code, .. } => {
            *code == ResponseError::UnknownTopicOrPartition
        }
        _ => false,
    };
    !is_mistake && error.is_retriable()
}

/// Asks a leader for an offset of partitions, given with the epochs of their leader.
///
/// # Errors
/// The broker does not answer. What is wrong with a single partition is in the answer.
pub fn list_offsets(
    connection: &mut Connection,
    topic: &str,
    partitions: &[(i32, i32)],
    which: OffsetSpec,
    patience: &Patience<'_>,
) -> Result<Vec<PartitionOffset>, WireError> {
    // Version 2 is the first with an isolation level.
    let version = connection.version::<ListOffsetsRequest>(2, 7)?;
    let (isolation, timestamp) = which.encoded();
    let partitions = partitions
        .iter()
        .map(|(partition, epoch)| {
            ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_current_leader_epoch(if version >= 4 { *epoch } else { -1 })
                .with_timestamp(timestamp)
        })
        .collect();
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation)
        .with_topics(vec![ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)]);
    let answer = connection.call(&request, version, patience)?;
    let answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
    Ok(answered
        .map(|partition| {
            let offset = match ResponseError::try_from_code(partition.error_code) {
                None => Ok(partition.offset),
                Some(code) => Err(code),
            };
            (partition.partition_index, offset)
        })
        .collect())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
