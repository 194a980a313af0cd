//! What a run in transactions left in the log, by ackmark's own log reader: its records, and the markers that end
//! transactions. It is read once the run's time and CPU time are taken.

use std::{collections::BTreeSet, error::Error, sync::atomic::AtomicBool};

use ackmark_client::admin::PartitionOffsets;
use ackmark_wire::{
    batch::{Batch, BatchError},
    codec::Decompressor,
    config::WireConfig,
    error::WireError,
    record::Marker,
    scan::{Outcome, ScanPlan, Target, Visitor, scan},
};

/// What is in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Records that a producer wrote, of whatever transaction.
    pub(crate) records: u64,
    /// Commit markers: one for each partition of each transaction.
    pub(crate) commits: u64,
    /// Abort markers.
    pub(crate) aborts: u64,
    /// Different producer epochs of the commit markers: so many transactions were committed. `None` where an epoch ends
    /// two transactions of one partition: their client does not speak transaction version 2 (KIP-890), or the cluster
    /// does not, and epochs count nothing.
    pub(crate) epochs: Option<u64>,
}

/// Reads a topic from its start to its end. The inner error tells what of it could not be read.
///
/// # Errors
/// No broker can be used at all.
pub(crate) fn read(
    config: &WireConfig,
    topic: &str,
    offsets: &[PartitionOffsets],
    stop: &AtomicBool,
) -> Result<Result<Tally, String>, WireError> {
    let targets = offsets.iter().filter(|partition| partition.low < partition.high).map(|found| {
        let (topic, partition) = (topic.to_owned(), found.partition);
        (Target { topic, partition, start: found.low, end: found.high }, Partition::default())
    });
    let mut partitions = Vec::new();
    for scanned in scan(&ScanPlan::new(config), targets.collect(), stop, |_| {})? {
        if let Outcome::Incomplete { reason } = scanned.outcome {
            return Ok(Err(reason));
        }
        partitions.push(scanned.visitor);
    }
    Ok(Tally::of(partitions))
}

impl Tally {
    fn of(partitions: Vec<Partition>) -> Result<Self, String> {
        let mut all = Partition::default();
        for one in partitions {
            all.records += one.records;
            all.commits += one.commits;
            all.aborts += one.aborts;
            all.epochs.extend(one.epochs);
            all.epochs_repeat |= one.epochs_repeat;
            if let Some(why) = one.unread {
                return Err(why);
            }
        }
        let epochs = (!all.epochs_repeat).then_some(all.epochs.len() as u64);
        Ok(Self { records: all.records, commits: all.commits, aborts: all.aborts, epochs })
    }
}

/// Counts one partition.
#[derive(Debug, Default)]
struct Partition {
    records: u64,
    commits: u64,
    aborts: u64,
    /// Producer id and epoch of the commit markers.
    epochs: BTreeSet<(i64, i16)>,
    epochs_repeat: bool,
    /// What could not be read.
    unread: Option<String>,
}

impl Visitor for Partition {
    fn log_start(&mut self, _offset: i64) {}

    fn last_stable(&mut self, _offset: i64) {}

    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        let header = &batch.header;
        if !header.is_control() {
            self.records += u64::from(header.count.unsigned_abs());
            return Ok(());
        }
        for record in batch.records(decompressor)? {
            match Marker::of(&record?)? {
                Marker::Commit { .. } => {
                    self.commits += 1;
                    self.epochs_repeat |= !self.epochs.insert((header.producer_id, header.producer_epoch));
                }
                Marker::Abort { .. } => self.aborts += 1,
                Marker::Other(_) => {}
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, _from: i64, _end: i64, error: &(dyn Error + 'static)) {
        self.unread = Some(error.to_string());
    }

    fn nothing(&mut self, from: i64, end: i64) {
        self.unread = Some(format!("the leader brings nothing at the offsets {from} to {end}"));
    }

    fn end(&mut self, _offset: i64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(commits: u64, epochs: &[(i64, i16)], repeat: bool) -> Partition {
        Partition {
            records: 10,
            commits,
            epochs: epochs.iter().copied().collect(),
            epochs_repeat: repeat,
            ..Partition::default()
        }
    }

    #[test]
    fn transactions_over_several_partitions_count_once() {
        // Three transactions, the first in both partitions; the third has a new producer id, since epochs ran out.
        let tally = Tally::of(vec![partition(2, &[(7, 1), (7, 2)], false), partition(2, &[(7, 1), (8, 1)], false)]);
        assert_eq!(tally, Ok(Tally { records: 20, commits: 4, aborts: 0, epochs: Some(3) }));
    }

    #[test]
    fn epochs_that_end_two_transactions_count_nothing() {
        let tally = Tally::of(vec![partition(2, &[(7, 0)], true), partition(1, &[(7, 0)], false)]);
        assert_eq!(tally.map(|tally| (tally.commits, tally.epochs)), Ok((3, None)));
    }

    #[test]
    fn what_could_not_be_read_is_no_count() {
        let mut hole = partition(1, &[(7, 1)], false);
        hole.nothing(5, 9);
        let why = Tally::of(vec![partition(1, &[(7, 1)], false), hole]).expect_err("a hole");
        assert!(why.contains("5 to 9"), "{why}");
    }
}
