//! Steps that close a log: fence a transactional id, write a last message to each partition.
//!
//! The order of steps, and what follows when one fails, is the caller's.

use std::time::Duration;

use ackmark_schema::properties::Origin;

use crate::errors::{ClientError, ErrorCode};
use crate::events::{DeliveryBatch, EventSink};
use crate::logs::LogSink;
use crate::outcome::Outcome;
use crate::producer::{MessageBatch, RawProducer};
use crate::properties::ClientProperties;

/// Ends whatever a transactional id has open: a new producer of that id takes the next epoch, which
/// fences older ones and aborts their transaction. Returns once the coordinator has done so.
pub fn fence(
    connection: &ClientProperties,
    transactional_id: &str,
    timeout: Duration,
    logs: LogSink,
) -> Result<(), ClientError> {
    let mut properties = connection.connection_only();
    properties.set("transactional.id", transactional_id, Origin::Tool);
    RawProducer::new(&properties, logs)?.init_transactions(timeout)?;
    Ok(())
}

/// Where a last message came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastMessage {
    /// Its partition.
    pub partition: i32,
    /// Its offset, or why it was not acknowledged in time.
    pub result: Result<i64, ErrorCode>,
}

/// Writes one message to each partition (`payloads[i]` to partition *i*), idempotently with acks=all, and
/// waits for the acknowledgements. One entry per partition, in order.
pub fn write_last_messages(
    connection: &ClientProperties,
    topic: &str,
    payloads: &[Vec<u8>],
    timeout: Duration,
    logs: LogSink,
) -> Result<Vec<LastMessage>, ClientError> {
    let mut properties = connection.connection_only();
    // Its own client: one client cannot hold two acks settings for a topic.
    properties
        .set("acks", "all", Origin::Tool)
        .set("enable.idempotence", "true", Origin::Tool)
        .set("linger.ms", "0", Origin::Tool)
        .set("message.timeout.ms", &timeout.as_millis().max(1).to_string(), Origin::Tool);
    let producer = RawProducer::new(&properties, logs)?;
    let topic = producer.topic(topic)?;
    let waiting = |partition| LastMessage { partition, result: Err(ErrorCode::TIMED_OUT) };
    let mut offsets = Offsets((0..).zip(payloads).map(|(partition, _)| waiting(partition)).collect());
    for (i, payload) in payloads.iter().enumerate() {
        let mut batch = MessageBatch::new(1);
        batch.set(0, payload, None, i as u64);
        let partition = offsets.0[i].partition;
        if let Some(code) = producer.produce_run(&topic, partition, &mut batch).first_error() {
            offsets.0[i].result = Err(code);
        }
    }
    producer.drain(timeout, &mut offsets);
    Ok(offsets.0)
}

struct Offsets(Vec<LastMessage>);

impl EventSink for Offsets {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        for message in batch.iter() {
            self.0[message.opaque() as usize].result = match (message.outcome(), message.error_code()) {
                // Under idempotence a duplicate is a success without an offset.
                (Outcome::Acknowledged, _) => Ok(message.offset().unwrap_or(-1)),
                (_, code) => Err(code.unwrap_or(ErrorCode::UNKNOWN)),
            };
        }
    }

    fn error(&mut self, _code: ErrorCode, _reason: &str, _fatal: bool) {}
}
