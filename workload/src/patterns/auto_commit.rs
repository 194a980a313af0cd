//! Auto-commit, before processing.
//!
//! `enable.auto.commit=true` and `enable.auto.offset.store=true`, librdkafka's defaults: the offset of a message is stored
//! when it is handed over, and committed in the background, every `auto.commit.interval.ms`. What was handed over and not
//! yet processed when the process dies may be committed already: nobody will see it again. (The Java client commits what
//! the *previous* poll returned, so a loop that processes all before it polls again is at least once there.)

use ackmark_schema::process::Point;

use crate::{
    app::App,
    batch::{OnRevocation, next_batch},
    clients::{Consumer, Settings},
    error::WorkloadError,
};

pub(crate) fn run(settings: &Settings, consumer: &Consumer, app: &mut App) -> Result<(), WorkloadError> {
    while app.goes_on() {
        let batch = next_batch(consumer, settings, OnRevocation::Keep)?;
        if batch.is_empty() {
            continue;
        }
        app.reached(Point::AfterPoll, &batch);
        app.process(&batch)?;
        app.reached(Point::AfterProcess, &batch);
        app.ended(&batch);
    }
    Ok(())
}
