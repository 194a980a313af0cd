//! What there is to be processed: the records of the input, as readers with `isolation.level=read_committed` are shown
//! them, when a group begins.

use std::{collections::BTreeMap, sync::atomic::AtomicBool, time::Duration};

use ackmark_client::{ClientProperties, ReadBounds, read_to_end};
use ackmark_schema::report::{process::InputPartition, verify::Isolation};

use super::error::GroupError;

/// The longest time in which nothing comes.
const SILENCE: Duration = Duration::from_mins(1);

/// Counts the records of each partition.
///
/// # Errors
/// The topic cannot be read, or holds nothing.
pub(crate) fn survey(
    properties: &ClientProperties,
    topic: &str,
    stop: &AtomicBool,
) -> Result<Vec<InputPartition>, GroupError> {
    let mut found: BTreeMap<i32, InputPartition> = BTreeMap::new();
    let bounds = ReadBounds { silence: SILENCE, stop };
    let ends = read_to_end(properties, topic, Isolation::ReadCommitted.as_str(), bounds, |record| {
        let (partition, offset) = (record.partition(), record.offset());
        let part =
            found.entry(partition).or_insert(InputPartition { partition, first: offset, end: offset, records: 0 });
        part.end = offset + 1;
        part.records += 1;
    })
    .map_err(GroupError::Input)?;
    if found.is_empty() {
        return Err(GroupError::Empty(topic.to_owned()));
    }
    let empty =
        |(partition, end): (&i32, &i64)| InputPartition { partition: *partition, first: *end, end: *end, records: 0 };
    Ok(ends.iter().map(|ended| found.get(ended.0).copied().unwrap_or_else(|| empty(ended))).collect())
}
