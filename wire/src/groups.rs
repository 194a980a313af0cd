//! Consumer groups as their coordinators know them: committed offsets, and who is in a group.
//!
//! While a transaction holds new offsets of a group (KIP-447), the coordinator tells the ones before them or, asked for
//! stable ones, answers `UNSTABLE_OFFSET_COMMIT`: then it is asked again until that transaction has ended.
//!
//! Limits: each answer is of its own moment; while a coordinator moves it is looked for again, as long as there is
//! patience.

use std::{collections::BTreeMap, time::Duration};

use kafka_protocol::{
    ResponseError,
    messages::{
        ApiKey, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, OffsetFetchRequest,
        offset_fetch_request::OffsetFetchRequestTopic,
    },
    protocol::StrBytes,
};

use crate::{
    config::{Address, WireConfig},
    connection::{Connection, api_name},
    error::WireError,
    metadata::topic_name,
    patience::Patience,
};

/// `key_type` of a group in `FindCoordinator`.
const KEY_OF_GROUP: i8 = 0;
/// Before a coordinator that is not there, or not ready, is asked again.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// Consumer groups, over connections that are kept.
#[derive(Debug)]
pub struct Groups<'c> {
    config: &'c WireConfig,
    coordinators: BTreeMap<String, Connection>,
}

/// Which offsets to ask for while a transaction holds new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Those that no transaction is about to change.
    Stable,
    /// Those that are committed now.
    AsTheyAre,
}

/// How a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupState {
    /// Members.
    pub members: usize,
    /// Whether its partitions are shared out, and nobody comes or goes.
    pub is_stable: bool,
}

/// Offsets by partition; `None` where the group has none.
pub type Committed = BTreeMap<i32, Option<i64>>;

impl<'c> Groups<'c> {
    /// Nothing is asked yet.
    pub fn new(config: &'c WireConfig) -> Self {
        Self { config, coordinators: BTreeMap::new() }
    }

    /// The offsets that a group has committed for partitions of a topic.
    ///
    /// # Errors
    /// The coordinator cannot be found or refuses, or a transaction held offsets as long as there was patience.
    pub fn committed(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
        stability: Stability,
        patience: &Patience<'_>,
    ) -> Result<Committed, WireError> {
        let topics =
            OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(partitions.to_vec());
        let request = OffsetFetchRequest::default()
            .with_group_id(group_id(group))
            .with_topics(Some(vec![topics]))
            .with_require_stable(stability == Stability::Stable);
        self.asked(group, patience, |connection| {
            // Version 7 is the first that can ask for stable offsets, and the last for one group.
            let version = connection.version::<OffsetFetchRequest>(7, 7)?;
            let answer = connection.call(&request, version, patience)?;
            let refused =
                |connection: &Connection, code| connection.refused(api_name(ApiKey::OffsetFetch as i16), code);
            if let Some(code) = ResponseError::try_from_code(answer.error_code) {
                return Err(refused(connection, code));
            }
            let mut committed: Committed = partitions.iter().map(|partition| (*partition, None)).collect();
            for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
                if let Some(code) = ResponseError::try_from_code(partition.error_code) {
                    return Err(refused(connection, code));
                }
                let offset = Some(partition.committed_offset).filter(|offset| *offset >= 0);
                committed.insert(partition.partition_index, offset);
            }
            Ok(committed)
        })
    }

    /// How a group stands; one that is not there has no members.
    ///
    /// # Errors
    /// The coordinator cannot be found, or refuses.
    pub fn state(&mut self, group: &str, patience: &Patience<'_>) -> Result<GroupState, WireError> {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        self.asked(group, patience, |connection| {
            let version = connection.version::<DescribeGroupsRequest>(0, 5)?;
            let answer = connection.call(&request, version, patience)?;
            let Some(described) = answer.groups.first() else { return Ok(GroupState::default()) };
            match ResponseError::try_from_code(described.error_code) {
                Some(ResponseError::GroupIdNotFound) => Ok(GroupState::default()),
                Some(code) => Err(connection.refused(api_name(ApiKey::DescribeGroups as i16), code)),
                None => Ok(GroupState {
                    members: described.members.len(),
                    is_stable: described.group_state.as_str() == "Stable",
                }),
            }
        })
    }

    /// Asks a group's coordinator, again while it may help.
    fn asked<A>(
        &mut self,
        group: &str,
        patience: &Patience<'_>,
        mut ask: impl FnMut(&mut Connection) -> Result<A, WireError>,
    ) -> Result<A, WireError> {
        loop {
            let answer = match self.coordinators.remove(group) {
                Some(connection) => Ok(connection),
                None => self.coordinator(group, patience),
            }
            .and_then(|mut connection| ask(&mut connection).map(|answer| (answer, connection)));
            match answer {
                Ok((answer, connection)) => {
                    self.coordinators.insert(group.to_owned(), connection);
                    return Ok(answer);
                }
                Err(error) if passes(&error) && patience.pause(RETRY_WAIT) => {}
                Err(_) if patience.is_stopped() => return Err(WireError::Stopped),
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection to a group's coordinator, found through any broker.
    fn coordinator(&self, group: &str, patience: &Patience<'_>) -> Result<Connection, WireError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(group.to_owned()))
            .with_key_type(KEY_OF_GROUP);
        let mut last = None;
        for broker in &self.config.bootstrap {
            let found = Connection::open(self.config, broker, patience).and_then(|mut connection| {
                // Version 3 is the last for one key.
                let version = connection.version::<FindCoordinatorRequest>(1, 3)?;
                let answer = connection.call(&request, version, patience)?;
                match ResponseError::try_from_code(answer.error_code) {
                    Some(code) => Err(connection.refused(api_name(ApiKey::FindCoordinator as i16), code)),
                    None => Ok(Address {
                        host: answer.host.to_string(),
                        port: u16::try_from(answer.port).unwrap_or_default(),
                    }),
                }
            });
            match found {
                Ok(address) => return Connection::open(self.config, &address, patience),
                Err(error @ WireError::Stopped) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(WireError::NoBroker { last: Box::new(last.unwrap_or(WireError::Stopped)) })
    }
}

/// What is another answer soon: a coordinator that moves or loads, offsets of a transaction that is about to end.
fn passes(error: &WireError) -> bool {
    match error {
        WireError::Refused { code, .. } => {
            matches!(
                code,
                ResponseError::UnstableOffsetCommit
                    | ResponseError::NotCoordinator
                    | ResponseError::CoordinatorNotAvailable
                    | ResponseError::CoordinatorLoadInProgress
            ) || error.is_retriable()
        }
        WireError::NoBroker { last } => passes(last),
        _ => error.is_retriable(),
    }
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}
