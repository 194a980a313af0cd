//! The messages of a cycle.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ackmark_schema::process::InHand;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Message as _},
};

use crate::{
    clients::{Consumer, Settings},
    error::{Doing as _, WorkloadError},
};

/// How long a consumer waits for the first message of a cycle.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The messages of a cycle, in the order of each partition.
#[derive(Debug)]
pub struct Batch<'c> {
    messages: Vec<BorrowedMessage<'c>>,
    begun: Instant,
}

/// What becomes of messages in hand when their partitions are revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRevocation {
    /// Those of partitions that were taken away are another member's now, who begins at the committed offsets: they are let
    /// go. Eager protocols take all, cooperative ones some.
    LetGo,
    /// Their offsets are committed already, so nobody else will see them: they stay.
    Keep,
}

/// The messages of the next cycle: those that come within a short time of the first, up to a bound. Empty when nothing
/// comes.
///
/// # Errors
/// A fatal error of the consumer. Others pass: librdkafka goes on by itself.
pub(crate) fn next_batch<'c>(
    consumer: &'c Consumer,
    settings: &Settings,
    on_revocation: OnRevocation,
) -> Result<Batch<'c>, WorkloadError> {
    let (most, wait) = (settings.work.batch as usize, settings.work.batch_wait.0);
    let mut batch = Batch { messages: Vec::new(), begun: Instant::now() };
    let revocations = consumer.context().revocations();
    loop {
        let left = if batch.messages.is_empty() { FIRST_WAIT } else { wait.saturating_sub(batch.begun.elapsed()) };
        let polled = consumer.poll(left);
        if on_revocation == OnRevocation::LetGo && consumer.context().revocations() != revocations {
            let own = consumer
                .assignment()
                .map_err(|source| WorkloadError::Kafka { doing: "ask for the assignment", source })?;
            batch.messages.retain(|message| own.find_partition(message.topic(), message.partition()).is_some());
            return Ok(batch);
        }
        match polled {
            Some(Ok(message)) => {
                if batch.messages.is_empty() {
                    batch.begun = Instant::now();
                }
                batch.messages.push(message);
            }
            Some(Err(error)) if is_fatal(&error) => {
                return Err(WorkloadError::Kafka { doing: "read", source: error });
            }
            Some(Err(error)) => eprintln!("read: {error}"),
            None if batch.messages.is_empty() || batch.begun.elapsed() >= wait => return Ok(batch),
            None => {}
        }
        if batch.messages.len() >= most || (!batch.messages.is_empty() && batch.begun.elapsed() >= wait) {
            return Ok(batch);
        }
    }
}

/// What does not mend by itself: this consumer's place was taken, or what it asks for is not there or not allowed.
fn is_fatal(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::Authentication
        )
    )
}

/// Whether the group has gone on, or goes on, without this member: it joins again by itself.
fn has_lost_its_place(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
        )
    )
}

impl<'c> Batch<'c> {
    /// Its messages.
    pub fn messages(&self) -> &[BorrowedMessage<'c>] {
        &self.messages
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// When its first message came.
    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// What is in hand, by partition.
    pub(crate) fn in_hand(&self) -> Vec<InHand> {
        let mut by_partition: BTreeMap<i32, InHand> = BTreeMap::new();
        for message in &self.messages {
            let (partition, offset) = (message.partition(), message.offset());
            let held =
                by_partition.entry(partition).or_insert(InHand { partition, first: offset, next: offset, records: 0 });
            held.next = offset + 1;
            held.records += 1;
        }
        by_partition.into_values().collect()
    }

    /// Commits the offsets behind it, and waits for that.
    ///
    /// # Errors
    /// The coordinator refuses for another reason than that the group went on without this member.
    ///
    /// # Returns
    /// Whether they are committed. If not, its partitions are others' by now, or about to be, who begin at what was
    /// committed before.
    pub(crate) fn commit(&self, consumer: &Consumer) -> Result<bool, WorkloadError> {
        let offsets = self.next_offsets().doing("tell what to commit")?;
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => Ok(true),
            Err(error) if has_lost_its_place(&error) => {
                eprintln!("commit: {error}");
                Ok(false)
            }
            Err(source) => Err(WorkloadError::Kafka { doing: "commit offsets", source }),
        }
    }

    /// The offsets to commit once it is processed: one past the last of each partition.
    pub(crate) fn next_offsets(&self) -> Result<TopicPartitionList, KafkaError> {
        self.offsets(|held| held.next)
    }

    /// The offsets to read it again from.
    pub(crate) fn first_offsets(&self) -> Result<TopicPartitionList, KafkaError> {
        self.offsets(|held| held.first)
    }

    fn offsets(&self, which: impl Fn(&InHand) -> i64) -> Result<TopicPartitionList, KafkaError> {
        let mut offsets = TopicPartitionList::new();
        let topic = self.messages.first().map_or("", |message| message.topic());
        for held in self.in_hand() {
            offsets.add_partition_offset(topic, held.partition, Offset::Offset(which(&held)))?;
        }
        Ok(offsets)
    }
}
