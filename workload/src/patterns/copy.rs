//! Consume, process, produce, with an ordinary commit: at least once.
//!
//! Brokers have acknowledged all outputs of a batch before its offsets are committed. What was
//! produced and not committed when the process dies is read and produced again: the idempotent producer does not help,
//! for the next process has another producer id.

use std::time::Duration;

use ackmark_schema::process::Point;
use rdkafka::{
    message::Message as _,
    producer::{BaseRecord, Producer as _},
};

use super::exactly_once::send;
use crate::{
    app::App,
    batch::{OnRevocation, next_batch},
    clients::{Consumer, Settings, drain},
    effect,
    error::WorkloadError,
};

/// How long brokers may take to acknowledge a batch.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) fn run(settings: &Settings, consumer: &Consumer, app: &mut App) -> Result<(), WorkloadError> {
    let producer = settings.producer(false)?;
    let topic = settings.output()?;
    let mut output = Vec::new();
    while app.goes_on() {
        let batch = next_batch(consumer, settings, OnRevocation::LetGo)?;
        if batch.is_empty() {
            continue;
        }
        app.reached(Point::AfterPoll, &batch);
        for message in batch.messages() {
            effect::output(message, &mut output);
            let record = BaseRecord::to(topic).partition(message.partition()).payload(&output);
            send(&producer, record.key(message.key().unwrap_or_default()))?;
        }
        drain(&producer, TIMEOUT)?;
        producer.context().all_delivered()?;
        app.reached(Point::AfterProduce, &batch);
        app.commits();
        if !batch.commit(consumer)? {
            // Its partitions are others' by now, who begin with it.
            app.refused();
            continue;
        }
        app.committed(&batch);
        app.reached(Point::AfterCommit, &batch);
    }
    Ok(())
}
