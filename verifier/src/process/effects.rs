//! Where effects are read from.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientProperties, LogSink, ReadBounds, read_to_end};
use ackmark_ledger::journal::read_journals;
use ackmark_schema::{
    process::{EFFECTS_TABLE, message_id},
    record::{Decoded, Header},
    report::verify::Isolation,
};
use futures_util::TryStreamExt as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use super::{accounting::Accounting, error::ProcessError};

/// The longest time in which nothing comes.
const SILENCE: Duration = Duration::from_mins(1);
/// Before it is looked again whether a topic is at rest.
const REST_LOOK: Duration = Duration::from_millis(50);
/// How long a database may take.
const DATABASE: Duration = Duration::from_mins(5);

/// The messages of the input, as readers with `isolation.level=read_committed` are shown them.
pub(super) fn input(
    accounting: &mut Accounting,
    properties: &ClientProperties,
    topic: &str,
    stop: &AtomicBool,
) -> Result<(), ProcessError> {
    read(properties, "input", topic, stop, |partition, offset, value| {
        accounting.record(partition, offset, message_id(value, partition, offset));
    })
}

/// What consumers have written that they processed.
pub(super) fn journal(accounting: &mut Accounting, folder: &Path) -> Result<(), ProcessError> {
    for processed in read_journals(folder)? {
        accounting.effect(processed.partition, processed.offset);
    }
    Ok(())
}

/// What a pipeline has written, as readers with `isolation.level=read_committed` are shown it: each record tells its input.
pub(super) fn output(
    accounting: &mut Accounting,
    properties: &ClientProperties,
    topic: &str,
    stop: &AtomicBool,
) -> Result<(), ProcessError> {
    read(properties, "output", topic, stop, |partition, offset, value| {
        let source = if let Decoded::Ours(header) = Header::decode(value) { header.source } else { None };
        match source {
            Some(source) => accounting.effect(source.partition.cast_signed(), source.offset.cast_signed()),
            None => accounting.effect_of_nothing(partition, offset),
        }
    })
}

/// Waits until no transaction holds up a topic: commits are acknowledged before their markers are everywhere.
///
/// # Returns
/// Whether it came to that.
pub(super) fn wait_for_rest(
    properties: &ClientProperties,
    topic: &str,
    stop: &AtomicBool,
) -> Result<bool, ProcessError> {
    let failed = |source| ProcessError::Topic { what: "output", source };
    let admin = AdminClient::new(properties, LogSink::discard()).map_err(failed)?;
    let begun = Instant::now();
    loop {
        let offsets = admin.offsets(topic, SILENCE).map_err(failed)?;
        if offsets.iter().all(|offsets| offsets.last_stable == offsets.high) {
            return Ok(true);
        }
        if begun.elapsed() >= SILENCE || stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        std::thread::sleep(REST_LOOK);
    }
}

fn read(
    properties: &ClientProperties,
    what: &'static str,
    topic: &str,
    stop: &AtomicBool,
    mut each: impl FnMut(i32, i64, &[u8]),
) -> Result<(), ProcessError> {
    let bounds = ReadBounds { silence: SILENCE, stop };
    read_to_end(properties, topic, Isolation::ReadCommitted.as_str(), bounds, |record| {
        each(record.partition(), record.offset(), record.payload().unwrap_or_default());
    })
    .map(drop)
    .map_err(|source| ProcessError::Topic { what, source })
}

/// The rows of a database.
pub(super) fn database(accounting: &mut Accounting, url: &str) -> Result<(), ProcessError> {
    let failed = |error: &sqlx::Error| ProcessError::Database(error.to_string());
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProcessError::Runtime)?;
    let reading = async {
        let mut connection = AnyConnection::connect(url).await?;
        let select = format!("SELECT stream, sequence, part, place FROM {EFFECTS_TABLE}");
        let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut connection);
        while let Some(row) = rows.try_next().await? {
            let id = (row.try_get(0)?, row.try_get(1)?);
            let partition = i32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(-1);
            accounting.effect_of(id, partition, row.try_get(3)?);
        }
        drop(rows);
        connection.close().await
    };
    match runtime.block_on(async { tokio::time::timeout(DATABASE, reading).await }) {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(_) => Err(ProcessError::Database(format!("it did not answer within {} s", DATABASE.as_secs()))),
    }
}
