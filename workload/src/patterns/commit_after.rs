//! Commit after processing: at least once.
//!
//! `enable.auto.commit=false`; the offsets of a batch are committed, and the commit waited for, once all of it is
//! processed. What was processed and not committed when the process dies is read and processed again.

use ackmark_schema::process::Point;

use crate::{
    app::App,
    batch::{OnRevocation, next_batch},
    clients::{Consumer, Settings},
    error::WorkloadError,
};

pub(crate) fn run(settings: &Settings, consumer: &Consumer, app: &mut App) -> Result<(), WorkloadError> {
    while app.goes_on() {
        let batch = next_batch(consumer, settings, OnRevocation::LetGo)?;
        if batch.is_empty() {
            continue;
        }
        app.reached(Point::AfterPoll, &batch);
        app.process(&batch)?;
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
