//! One transaction of a producer: begun, filled, flushed, committed.
//!
//! Two lives with the same `transactional.id` fence each other: what an earlier one left open is aborted as soon as a
//! later one initialises, and an earlier one that wakes up again is refused. So any error ends this one, and its next life
//! settles what it left; a producer that goes on aborts where librdkafka says so ([`super::exactly_once`]).

use std::time::Duration;

use ackmark_schema::{
    process::{MemberSpec, Point, ProduceWork},
    record::{HEADER_LEN, Header, body_checksum},
};
use rdkafka::producer::{BaseRecord, Producer as _};

use super::exactly_once::{retried, send};
use crate::{
    app::App,
    clients::{Deliveries, Producer, client, drain},
    error::{Doing as _, WorkloadError},
};

/// How long a step may take.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) fn run(spec: &MemberSpec, work: &ProduceWork, app: &mut App) -> Result<(), WorkloadError> {
    let producer: Producer = client(&spec.properties)
        .set("transactional.id", &work.transactional_id)
        .set("transaction.timeout.ms", work.transaction_timeout.0.as_millis().to_string())
        .create_with_context(Deliveries::default())
        .doing("create a producer")?;
    retried(|| producer.init_transactions(TIMEOUT)).doing("initialise transactions")?;
    producer.begin_transaction().doing("begin a transaction")?;
    for number in 0..work.messages {
        let topic = &work.topics[number as usize % work.topics.len().max(1)];
        let value = value(spec, number, work.size.0 as usize);
        // By their keys over all partitions: without, a burst goes to one.
        send(&producer, BaseRecord::to(topic).payload(&value).key(&number.to_be_bytes()))?;
    }
    drain(&producer, TIMEOUT)?;
    app.reached_alone(Point::AfterProduce);
    retried(|| producer.commit_transaction(TIMEOUT)).doing("commit the transaction")?;
    app.reached_alone(Point::AfterCommit);
    Ok(())
}

/// A message: the member's stream, its number there, the life that sent it.
fn value(spec: &MemberSpec, number: u64, size: usize) -> Vec<u8> {
    let mut value = vec![0; size.max(HEADER_LEN)];
    let body = body_checksum(&value[HEADER_LEN..]);
    let header = Header {
        run: 0,
        stream: spec.member,
        sequence: number,
        attempt: 0,
        incarnation: spec.incarnation,
        transaction: 1,
        intended_ns: 0,
        send_delay_us: 0,
        sentinel: false,
        warm_up: false,
        source: None,
    };
    header.encode(&mut value, body);
    value
}
