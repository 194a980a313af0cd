//! Two readers of one log, held against each other.
//!
//! Both sum up what they were shown, see [`crate::digest`]. What the log reader says that `read_committed` shows, by the
//! markers, is compared in the same way with what a consumer was shown at that level. Only what both read to the end
//! can be compared.

use ackmark_schema::report::verify::{Isolation, ReaderComparison};

use crate::{
    accounting::PartitionAccount,
    digest::{Digest, Sum},
    evidence::ScanAccounts,
};

/// Compares the log reader's scan with consumers' scans.
///
/// # Arguments
/// * `moved` - why they did not all read the same offsets, if so.
pub fn compare(log: &ScanAccounts, consumers: &[ScanAccounts], moved: Option<String>) -> ReaderComparison {
    let mut comparison = ReaderComparison { records: 0, partitions: 0, difference: None, incomplete_reason: None };
    let unfinished = std::iter::once(log).chain(consumers).find_map(|scan| scan.incomplete.clone());
    let open = log.partitions.iter().find(|account| account.first_open().is_some());
    let open = open.map(|account| format!("a transaction in {} has no marker", name(account)));
    comparison.incomplete_reason = unfinished.or(moved).or(open);
    if comparison.incomplete_reason.is_some() {
        return comparison;
    }
    for scan in consumers {
        for (of_log, of_consumer) in log.partitions.iter().zip(&scan.partitions) {
            let shown = of_consumer.digest().map(Digest::total).unwrap_or_default();
            if scan.isolation == Isolation::ReadCommitted && of_log.committed_sum().is_some() {
                let by_markers = of_log.committed_sum().unwrap_or_default();
                hold(&mut comparison, [by_markers, shown], || format!("{} under read_committed", name(of_log)));
            } else {
                let of_log_sum = of_log.digest().map(Digest::total).unwrap_or_default();
                hold(&mut comparison, [of_log_sum, shown], || place(of_log, of_consumer));
            }
        }
    }
    comparison
}

/// The partition, and where in it they differ.
fn place(of_log: &PartitionAccount, of_consumer: &PartitionAccount) -> String {
    let blocks = of_log.digest().zip(of_consumer.digest());
    match blocks.and_then(|(of_log, of_consumer)| of_log.first_difference(of_consumer)) {
        Some(offsets) => format!("{}, first in offsets {}..{}", name(of_log), offsets.start, offsets.end),
        None => name(of_log),
    }
}

fn name(account: &PartitionAccount) -> String {
    format!("{}-{}", account.topic(), account.partition())
}

fn hold(comparison: &mut ReaderComparison, [log, consumer]: [Sum; 2], place: impl Fn() -> String) {
    comparison.partitions += 1;
    comparison.records += log.records;
    if log != consumer {
        comparison.difference.get_or_insert_with(|| {
            let records = |sum: Sum| format!("{} records (digest {:016x})", sum.records, sum.mixes);
            format!("in {}: the log reader was shown {}, the consumer {}", place(), records(log), records(consumer))
        });
    }
}
