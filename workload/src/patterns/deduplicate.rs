//! Idempotent processing: at least once from Kafka, once into the database.
//!
//! The ids of a batch and the effects of those that were not there before are written in one transaction of the database;
//! its offsets are committed to Kafka afterwards. What is read again, after a crash or because the input has it twice,
//! finds its id there. Ids are kept of the last offsets of each partition; a copy that comes later than that is taken for
//! a new message, so the window has to be longer than the longest time between a message and its copy.

use ackmark_schema::process::{Point, message_id};
use rdkafka::message::Message as _;

use crate::{
    app::App,
    batch::{OnRevocation, next_batch},
    clients::{Consumer, Settings},
    database::{Row, Store},
    error::WorkloadError,
};

pub(crate) fn run(settings: &Settings, consumer: &Consumer, app: &mut App) -> Result<(), WorkloadError> {
    let missing = || WorkloadError::Missing { pattern: settings.work.pattern.name(), what: "a database" };
    let database = settings.work.database.as_ref().ok_or_else(missing)?;
    let mut store = Store::open(&database.url)?;
    while app.goes_on() {
        let batch = next_batch(consumer, settings, OnRevocation::LetGo)?;
        if batch.is_empty() {
            continue;
        }
        app.reached(Point::AfterPoll, &batch);
        let rows = batch.messages().iter().map(|message| {
            let (partition, offset) = (message.partition(), message.offset());
            let (stream, sequence) = message_id(message.payload().unwrap_or_default(), partition, offset);
            Row { stream, sequence, partition, offset }
        });
        let rows: Vec<Row> = rows.collect();
        let oldest = batch.in_hand().into_iter().map(|held| (held.partition, held.next - database.window as i64));
        let oldest: Vec<(i32, i64)> = oldest.collect();
        let forgotten = store.apply(&rows, &oldest, || app.reached(Point::InProcess, &batch))?;
        app.forgot(forgotten);
        app.reached(Point::AfterProcess, &batch);
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
