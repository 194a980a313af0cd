//! Transactions as their coordinators and the leaders of partitions know them: what librdkafka has no calls for (KIP-664).
//!
//! A coordinator knows the state of each transactional id: `Ongoing` until its producer asks for the end, `PrepareCommit`
//! or `PrepareAbort` until each partition has its marker, then `CompleteCommit` or `CompleteAbort`; `Empty` before the
//! first one. A leader knows which producer has a transaction open on a partition, and from which offset: there the last
//! stable offset stops. One that is open on a partition without a coordinator that knows of it never ends by itself: it
//! hangs.
//!
//! Limits: each answer is of its own moment, so what two of them say together may never have been true at once; times are
//! by the brokers' clocks. Coordinators leave out, without a word, transactional ids that this user may not describe: one
//! who may read a topic only sees its transactions without their coordinators.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use kafka_protocol::{
    ResponseError,
    messages::{
        ApiKey, DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
        ListTransactionsRequest, describe_producers_request::TopicRequest,
    },
};

use crate::{
    config::WireConfig,
    connection::{Connection, api_name},
    error::WireError,
    metadata::{Broker, Directory, Topics, topic_name},
    patience::Patience,
    pool::Pool,
};

/// Transactional ids, and partitions of a leader, that are asked for together.
const PER_REQUEST: usize = 1_000;
/// Where coordinators keep what they know: who leads one of its partitions coordinates the ids in it.
const STATE_TOPIC: &str = "__transaction_state";

/// A transactional id as its coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// `transactional.id`.
    pub id: String,
    /// The coordinator's word for its state, for example `Ongoing`.
    pub state: String,
    /// Its producer.
    pub producer_id: i64,
    /// Its producer's epoch.
    pub producer_epoch: i16,
    /// `transaction.timeout.ms` of its producer.
    pub timeout: Duration,
    /// When the open one began, milliseconds since the Unix epoch; `None` where none is open.
    pub started_ms: Option<i64>,
    /// Partitions in it, by topic.
    pub partitions: BTreeMap<String, Vec<i32>>,
    /// Its coordinator.
    pub coordinator: Broker,
}

impl Transaction {
    /// Whether it holds a partition open.
    fn holds(&self, topic: &str, partition: i32) -> bool {
        self.is_ongoing() && self.partitions.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// How long it has been open, at a time in milliseconds since the Unix epoch; nothing where none is.
    pub fn age(&self, now_ms: i64) -> Duration {
        let age_ms = self.started_ms.map_or(0, |started_ms| now_ms.saturating_sub(started_ms).max(0));
        Duration::from_millis(age_ms.unsigned_abs())
    }

    /// Whether it is open, or decided and not yet in all of its partitions.
    pub fn is_ongoing(&self) -> bool {
        matches!(self.state.as_str(), "Ongoing" | "PrepareCommit" | "PrepareAbort" | "PrepareEpochFence")
    }
}

/// A transaction that is open on a partition, as the partition's leader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Its producer.
    pub producer_id: i64,
    /// Its producer's epoch.
    pub producer_epoch: i32,
    /// The offset of its first record: the last stable offset is not above it.
    pub first_offset: i64,
    /// The epoch of the coordinator that last wrote a marker for the producer; -1 before the first.
    pub coordinator_epoch: i32,
}

/// What coordinators know.
#[derive(Debug, Clone, Default)]
pub struct Coordinated {
    /// Transactional ids.
    pub transactions: Vec<Transaction>,
    /// Ids that had another coordinator when they were described: nothing is known of them.
    pub moved: usize,
}

impl OpenTransaction {
    /// What it is told by: a producer's next transaction begins at another offset.
    pub fn key(&self) -> (&str, i32, i64, i64) {
        (&self.topic, self.partition, self.producer_id, self.first_offset)
    }
}

/// All transactional ids that brokers coordinate, and that this user may describe.
///
/// # Errors
/// A broker does not answer, or refuses.
pub fn coordinated(pool: &mut Pool<'_>, brokers: &[Broker], patience: &Patience<'_>) -> Result<Coordinated, WireError> {
    let mut found = Coordinated::default();
    for broker in brokers {
        pool.ask(&broker.address, patience, |connection| found.add(broker, connection, patience))?;
    }
    Ok(found)
}

impl Coordinated {
    /// What a broker coordinates.
    fn add(&mut self, broker: &Broker, connection: &mut Connection, patience: &Patience<'_>) -> Result<(), WireError> {
        let version = connection.version::<ListTransactionsRequest>(0, 1)?;
        let request = ListTransactionsRequest::default().with_duration_filter(-1);
        let listed = connection.call(&request, version, patience)?;
        if let Some(code) = ResponseError::try_from_code(listed.error_code) {
            return Err(connection.refused(api_name(ApiKey::ListTransactions as i16), code));
        }
        let ids: Vec<_> = listed.transaction_states.into_iter().map(|state| state.transactional_id).collect();
        for ids in ids.chunks(PER_REQUEST) {
            let version = connection.version::<DescribeTransactionsRequest>(0, 0)?;
            let request = DescribeTransactionsRequest::default().with_transactional_ids(ids.to_vec());
            for one in connection.call(&request, version, patience)?.transaction_states {
                match ResponseError::try_from_code(one.error_code) {
                    // It went since it was listed.
                    Some(ResponseError::TransactionalIdNotFound) => continue,
                    Some(ResponseError::NotCoordinator) => {
                        self.moved += 1;
                        continue;
                    }
                    Some(code) => {
                        return Err(connection.refused(api_name(ApiKey::DescribeTransactions as i16), code));
                    }
                    None => {}
                }
                let partitions = one.topics.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions));
                self.transactions.push(Transaction {
                    id: one.transactional_id.to_string(),
                    state: one.transaction_state.to_string(),
                    producer_id: one.producer_id.0,
                    producer_epoch: one.producer_epoch,
                    timeout: Duration::from_millis(u64::try_from(one.transaction_timeout_ms).unwrap_or_default()),
                    started_ms: Some(one.transaction_start_time_ms).filter(|started_ms| *started_ms >= 0),
                    partitions: partitions.collect(),
                    coordinator: broker.clone(),
                });
            }
        }
        Ok(())
    }
}

/// What leaders know.
#[derive(Debug, Clone, Default)]
pub struct OnPartitions {
    /// Transactions that are open.
    pub open: Vec<OpenTransaction>,
    /// Partitions of which nothing is known: without a leader, led elsewhere by now, or not this user's to read.
    pub unseen: usize,
}

/// A broker and the partitions that it leads.
type Led<'t> = (&'t Broker, Vec<(&'t str, i32)>);

/// All transactions that are open on partitions of these topics.
///
/// # Errors
/// A leader does not answer, or refuses.
pub fn open_on_partitions(
    pool: &mut Pool<'_>,
    topics: &Topics,
    patience: &Patience<'_>,
) -> Result<OnPartitions, WireError> {
    let mut found = OnPartitions::default();
    let mut by_leader: BTreeMap<i32, Led<'_>> = BTreeMap::new();
    for topic in topics.names() {
        for partition in topics.partitions(topic).into_iter().flatten() {
            let Ok(leader) = topics.leader(topic, partition) else {
                found.unseen += 1;
                continue;
            };
            let (_, led) = by_leader.entry(leader.broker.id).or_insert_with(|| (&leader.broker, Vec::new()));
            led.push((topic, partition));
        }
    }
    for (broker, led) in by_leader.into_values() {
        pool.ask(&broker.address, patience, |connection| found.describe(connection, &led, patience))?;
    }
    Ok(found)
}

impl OnPartitions {
    /// What a broker tells of partitions that it leads.
    fn describe(
        &mut self,
        connection: &mut Connection,
        led: &[(&str, i32)],
        patience: &Patience<'_>,
    ) -> Result<(), WireError> {
        let version = connection.version::<DescribeProducersRequest>(0, 0)?;
        for led in led.chunks(PER_REQUEST) {
            let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
            for (topic, partition) in led {
                by_topic.entry(topic).or_default().push(*partition);
            }
            let topics = by_topic.into_iter().map(|(topic, partitions)| {
                TopicRequest::default().with_name(topic_name(topic)).with_partition_indexes(partitions)
            });
            let request = DescribeProducersRequest::default().with_topics(topics.collect());
            let answer = connection.call(&request, version, patience)?;
            self.add(answer, connection)?;
        }
        Ok(())
    }

    /// What a leader told of some partitions.
    fn add(&mut self, answer: DescribeProducersResponse, connection: &Connection) -> Result<(), WireError> {
        for topic in answer.topics {
            for partition in topic.partitions {
                match ResponseError::try_from_code(partition.error_code) {
                    Some(
                        ResponseError::NotLeaderOrFollower
                        | ResponseError::UnknownTopicOrPartition
                        | ResponseError::TopicAuthorizationFailed,
                    ) => {
                        self.unseen += 1;
                        continue;
                    }
                    Some(code) => return Err(connection.refused(api_name(ApiKey::DescribeProducers as i16), code)),
                    None => {}
                }
                let open = partition.active_producers.into_iter().filter(|one| one.current_txn_start_offset >= 0);
                self.open.extend(open.map(|one| OpenTransaction {
                    topic: topic.name.to_string(),
                    partition: partition.partition_index,
                    producer_id: one.producer_id.0,
                    producer_epoch: one.producer_epoch,
                    first_offset: one.current_txn_start_offset,
                    coordinator_epoch: one.coordinator_epoch,
                }));
            }
        }
        Ok(())
    }
}

/// Who coordinates the ids in a partition of the coordinators' own topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinator {
    /// The partition.
    pub partition: i32,
    /// The broker's `node.id`.
    pub broker: i32,
    /// The coordinator's epoch: its epoch as the leader of the partition.
    pub epoch: i32,
}

/// All coordinators; `None` where one of them is not known, or there are none yet.
fn coordinators(topics: &Topics) -> Option<Vec<Coordinator>> {
    let partitions = topics.partitions(STATE_TOPIC).ok()?;
    let of_partition = |partition| {
        let leader = topics.leader(STATE_TOPIC, partition).ok()?;
        Some(Coordinator { partition, broker: leader.broker.id, epoch: leader.epoch })
    };
    partitions.map(of_partition).collect()
}

/// What a cluster tells of its transactions.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// By their coordinators.
    pub coordinated: Vec<Transaction>,
    /// By leaders of partitions.
    pub open: Vec<OpenTransaction>,
    /// Open all the time, and no coordinator told of them (see [`hanging`]).
    pub unknown: Vec<OpenTransaction>,
    /// Partitions and transactional ids of which nothing is known.
    pub unseen: usize,
    /// Who coordinates; `None` where that is not known of all ids.
    pub coordinators: Option<Vec<Coordinator>>,
    /// Whether coordinators stayed who they were.
    pub settled: bool,
}

impl Survey {
    /// The highest of the coordinators' epochs.
    pub fn coordinator_epoch(&self) -> Option<i32> {
        self.coordinators.iter().flatten().map(|one| one.epoch).max()
    }

    /// Of what no coordinator told, leaves what an earlier survey had so too: what hangs is there each time.
    pub fn retain_unknown_of(&mut self, earlier: &[OpenTransaction]) {
        self.unknown.retain(|one| earlier.iter().any(|then| then.key() == one.key()));
    }
}

/// Whose partitions are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All topics of the cluster.
    Cluster,
    /// Some topics.
    Topics(&'a [String]),
}

/// Asks a cluster again and again, over connections that stay open.
#[derive(Debug)]
pub struct Surveyor<'c> {
    directory: Directory<'c>,
    brokers: Pool<'c>,
}

impl<'c> Surveyor<'c> {
    /// One that has asked nothing yet.
    pub fn new(config: &'c WireConfig) -> Self {
        Self { directory: Directory::new(config), brokers: Pool::new(config) }
    }

    /// Asks leaders, then all coordinators, then leaders again.
    ///
    /// # Errors
    /// A broker does not answer, or refuses.
    pub fn survey(&mut self, scope: Scope<'_>, patience: &Patience<'_>) -> Result<Survey, WireError> {
        let (brokers, topics) = self.describe(scope, patience)?;
        let then = coordinators(&topics);
        let topics = match scope {
            Scope::Cluster => topics,
            Scope::Topics(_) => topics.without(STATE_TOPIC),
        };
        let before = open_on_partitions(&mut self.brokers, &topics, patience)?;
        let coordinated = coordinated(&mut self.brokers, &brokers, patience)?;
        let after = open_on_partitions(&mut self.brokers, &topics, patience)?;
        let (_, now) = self.describe(Scope::Topics(&[]), patience)?;
        let now = coordinators(&now);
        Ok(Survey {
            unknown: hanging(&before.open, &coordinated.transactions, &after.open),
            unseen: after.unseen + coordinated.moved,
            settled: now.is_some() && then == now && coordinated.moved == 0,
            coordinators: now,
            coordinated: coordinated.transactions,
            open: after.open,
        })
    }

    /// The topics of a scope and that of the coordinators.
    fn describe(&mut self, scope: Scope<'_>, patience: &Patience<'_>) -> Result<(Vec<Broker>, Topics), WireError> {
        match scope {
            Scope::Cluster => self.directory.cluster(patience),
            Scope::Topics(names) => {
                let names = names.iter().map(String::as_str).chain([STATE_TOPIC]);
                self.directory.brokers_and_topics(names, patience)
            }
        }
    }
}

/// Of the transactions that are open on partitions, those that no coordinator has told of. `before` and `after` are what
/// leaders told before and after coordinators were asked: one that is in both was open all the time, and its coordinator
/// keeps a partition among its own until the marker is written. So where coordinators stayed who they were
/// ([`Survey::settled`]) and told all, it hangs.
pub fn hanging(
    before: &[OpenTransaction],
    coordinated: &[Transaction],
    after: &[OpenTransaction],
) -> Vec<OpenTransaction> {
    let then: HashSet<_> = before.iter().map(OpenTransaction::key).collect();
    let mut by_producer: BTreeMap<i64, Vec<&Transaction>> = BTreeMap::new();
    for one in coordinated {
        by_producer.entry(one.producer_id).or_default().push(one);
    }
    let known = |one: &OpenTransaction| {
        let own = by_producer.get(&one.producer_id);
        own.is_some_and(|own| own.iter().any(|transaction| transaction.holds(&one.topic, one.partition)))
    };
    after.iter().filter(|one| then.contains(&one.key()) && !known(one)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;

    fn open(partition: i32, producer_id: i64, first_offset: i64) -> OpenTransaction {
        let (producer_epoch, coordinator_epoch) = (0, -1);
        let topic = "orders".to_owned();
        OpenTransaction { topic, partition, producer_id, producer_epoch, first_offset, coordinator_epoch }
    }

    fn of(producer_id: i64, state: &str) -> Transaction {
        Transaction {
            id: format!("t{producer_id}"),
            state: state.into(),
            producer_id,
            producer_epoch: 0,
            timeout: Duration::from_mins(1),
            started_ms: None,
            partitions: BTreeMap::from([("orders".to_owned(), vec![0, 2])]),
            coordinator: Broker { id: 1, address: Address { host: "h".into(), port: 1 } },
        }
    }

    #[test]
    fn what_stays_open_and_no_coordinator_has_under_way_hangs() {
        let before = [open(0, 1, 10), open(1, 2, 20), open(2, 3, 30), open(3, 4, 40)];
        // The one of producer 2 ended and another began; that of 4 ended.
        let after = [open(0, 1, 10), open(1, 2, 25), open(2, 3, 30)];
        let known = [of(1, "Ongoing"), of(3, "CompleteAbort")];
        assert_eq!(hanging(&before, &known, &after), [open(2, 3, 30)]);
        assert_eq!(hanging(&before, &[of(1, "PrepareCommit"), of(3, "PrepareAbort")], &after), []);
        assert_eq!(hanging(&before, &[], &after), [open(0, 1, 10), open(2, 3, 30)]);
        assert_eq!(hanging(&[], &[], &after), []);
        // The producer is busy, but not there: a late record opened it once more.
        let elsewhere = [open(1, 1, 10)];
        assert_eq!(hanging(&elsewhere, &[of(1, "Ongoing")], &elsewhere), elsewhere);
    }
}
