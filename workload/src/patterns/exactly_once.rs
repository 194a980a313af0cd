//! Consume, process, produce, exactly once: the input's offsets are committed in the transaction of the outputs.
//!
//! - `isolation.level=read_committed`: an input that was aborted is none.
//! - A `transactional.id` for each member, the same in its next life: `init_transactions` then ends what the one before
//!   left open, and fences it.
//! - The group's metadata goes with the offsets (KIP-447): a member that has lost its partitions is refused.
//! - Under `read_committed` a consumer that is given a partition waits for the end of a transaction that holds its
//!   offsets (`require_stable`), so it never starts from offsets that are about to change.
//! - What may be tried again is (librdkafka's `is_retriable`, with the same arguments). After any other error that is not
//!   fatal the transaction is aborted, and its inputs are read again.
//! - A fatal error (fenced, timed out, not authorized) ends the member, and so does a step that may still be tried again
//!   after a minute of it: whether such a commit is one is not known, and only its like may follow it. The next life's
//!   `init_transactions` settles either.

use std::time::{Duration, Instant};

use ackmark_schema::process::Point;
use rdkafka::{
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::Message as _,
    producer::{BaseRecord, Producer as _},
};

use crate::{
    app::App,
    batch::{Batch, OnRevocation, next_batch},
    clients::{Consumer, Producer, Settings, drain},
    effect,
    error::{Doing as _, WorkloadError},
};

/// How long a step of a transaction may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Before a step is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(50);
/// A queue that is full has room again when some outputs are acknowledged.
const QUEUE_WAIT: Duration = Duration::from_millis(1);

pub(crate) fn run(settings: &Settings, consumer: &Consumer, app: &mut App) -> Result<(), WorkloadError> {
    let producer = settings.producer(true)?;
    retried(|| producer.init_transactions(TIMEOUT)).doing("initialise transactions")?;
    while app.goes_on() {
        let batch = next_batch(consumer, settings, OnRevocation::LetGo)?;
        if batch.is_empty() {
            continue;
        }
        app.reached(Point::AfterPoll, &batch);
        match transact(settings, consumer, &producer, &batch, app) {
            Ok(()) => {
                app.committed(&batch);
                app.reached(Point::AfterCommit, &batch);
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                eprintln!("aborting: {error}");
                retried(|| producer.abort_transaction(TIMEOUT)).doing("abort the transaction")?;
                rewind(consumer, &batch)?;
                app.aborted();
            }
        }
    }
    Ok(())
}

fn transact(
    settings: &Settings,
    consumer: &Consumer,
    producer: &Producer,
    batch: &Batch<'_>,
    app: &mut App,
) -> Result<(), WorkloadError> {
    let topic = settings.output()?;
    let mut output = Vec::new();
    producer.begin_transaction().doing("begin a transaction")?;
    for message in batch.messages() {
        effect::output(message, &mut output);
        let record = BaseRecord::to(topic).partition(message.partition()).payload(&output);
        send(producer, record.key(message.key().unwrap_or_default()))?;
    }
    // To stop here is to have the outputs in the log.
    app.reached_once(Point::AfterProduce, batch, || drain(producer, TIMEOUT))?;
    app.commits();
    let offsets = batch.next_offsets().doing("tell what to commit")?;
    let group = consumer.group_metadata().ok_or(WorkloadError::NoGroup)?;
    retried(|| producer.send_offsets_to_transaction(&offsets, &group, TIMEOUT))
        .doing("send offsets to the transaction")?;
    // A commit waits for the outputs anyway, in larger steps.
    drain(producer, TIMEOUT)?;
    app.reached(Point::AfterSendOffsets, batch);
    retried(|| producer.commit_transaction(TIMEOUT)).doing("commit the transaction")
}

/// Hands a record over, waiting for room.
pub(super) fn send(producer: &Producer, mut record: BaseRecord<'_, [u8], Vec<u8>>) -> Result<(), WorkloadError> {
    loop {
        record = match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
            Err((source, _)) => return Err(WorkloadError::Kafka { doing: "produce", source }),
        };
        std::thread::sleep(QUEUE_WAIT);
    }
}

/// A step of a transaction, again while librdkafka says that it may help.
pub(super) fn retried(step: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    let begun = Instant::now();
    loop {
        match step() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && begun.elapsed() < TIMEOUT => {
                std::thread::sleep(RETRY_WAIT);
            }
            done => return done,
        }
    }
}

/// What no abort mends.
fn is_final(error: &WorkloadError) -> bool {
    match error {
        WorkloadError::Kafka { source: KafkaError::Transaction(cause), .. } => {
            cause.is_fatal() || cause.is_retriable() && !cause.txn_requires_abort()
        }
        WorkloadError::Kafka { source, .. } => source.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal),
        _ => true,
    }
}

/// Reads the batch again, as far as its partitions are still this member's.
fn rewind(consumer: &Consumer, batch: &Batch<'_>) -> Result<(), WorkloadError> {
    let own = consumer.assignment().doing("ask for the assignment")?;
    let mut again = rdkafka::TopicPartitionList::new();
    let first = batch.first_offsets().doing("tell what to read again")?;
    for element in first.elements() {
        if own.find_partition(element.topic(), element.partition()).is_some() {
            again
                .add_partition_offset(element.topic(), element.partition(), element.offset())
                .doing("tell what to read again")?;
        }
    }
    if again.count() > 0 {
        // One that did not go back would commit past what was aborted.
        let gone_back = consumer.seek_partitions(again, TIMEOUT).doing("go back")?;
        gone_back
            .elements()
            .iter()
            .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)
            .doing("go back")?;
    }
    Ok(())
}
