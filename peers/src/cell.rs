//! The work: cells, counts, and the settings that are the same for all contenders.

use ackmark_schema::{peers::Work, units::grouped};
use indexmap::IndexMap;

use crate::arguments::Kind;

/// `linger.ms` of all producers.
pub(crate) const LINGER_MS: u32 = 5;
/// Most bytes of a batch.
pub(crate) const BATCH_BYTES: u32 = 1_000_000;
/// Most messages of a batch, for the contenders that count them.
pub(crate) const BATCH_MESSAGES: u32 = 10_000;
/// Requests in flight per broker.
pub(crate) const IN_FLIGHT: u32 = 5;
/// Most messages outstanding, for the contenders that count them.
pub(crate) const OUTSTANDING: u32 = 500_000;
/// Most KiB outstanding, for the contenders that count messages too.
pub(crate) const OUTSTANDING_KIB: u32 = 128 << 10;
/// `buffer.memory` of the Java producer, which bounds what is outstanding by bytes alone.
pub(crate) const JAVA_BUFFER_BYTES: u32 = 128 << 20;
/// Most bytes of a fetch.
pub(crate) const FETCH_BYTES: u32 = 64 << 20;
/// Most bytes of one partition in a fetch.
pub(crate) const PARTITION_FETCH_BYTES: u32 = 8 << 20;
/// Partitions of every topic.
pub(crate) const PARTITIONS: u32 = 6;

/// One kind of work with one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellPlan {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// As a heading.
    pub(crate) title: &'static str,
    /// What is done.
    pub(crate) work: Work,
    /// Bytes of each value.
    pub(crate) value_bytes: u32,
    /// Messages of each run.
    pub(crate) messages: u64,
    /// Whether one broker leads all partitions, alone.
    pub(crate) one_broker: bool,
}

const fn produce(
    name: &'static str,
    title: &'static str,
    all_acks: bool,
    idempotent: bool,
    value_bytes: u32,
) -> CellPlan {
    let messages = if value_bytes > 500 { 1_000_000 } else { 5_000_000 };
    let work = Work::Produce { all_acks, idempotent, transaction_ms: None };
    CellPlan { name, title, work, value_bytes, messages, one_broker: false }
}

const fn transact(name: &'static str, title: &'static str, transaction_ms: u32, messages: u64) -> CellPlan {
    let work = Work::Produce { all_acks: true, idempotent: true, transaction_ms: Some(transaction_ms) };
    CellPlan { name, title, work, value_bytes: 100, messages, one_broker: false }
}

const fn consume(name: &'static str, title: &'static str, value_bytes: u32, one_broker: bool) -> CellPlan {
    let messages = if value_bytes > 500 { 2_000_000 } else { 10_000_000 };
    CellPlan { name, title, work: Work::Consume, value_bytes, messages, one_broker }
}

/// All cells, in the order in which they run.
pub(crate) const CELLS: [CellPlan; 11] = [
    produce("all-acks-100", "Producing 100 B, acks=all", true, false, 100),
    produce("leader-ack-100", "Producing 100 B, acks=1", false, false, 100),
    produce("idempotent-100", "Producing 100 B, idempotent", true, true, 100),
    produce("all-acks-1024", "Producing 1 KiB, acks=all", true, false, 1024),
    consume("consume-100", "Reading 100 B from three brokers", 100, false),
    consume("consume-100-one-broker", "Reading 100 B from one broker", 100, true),
    consume("consume-1024", "Reading 1 KiB from three brokers", 1024, false),
    consume("consume-1024-one-broker", "Reading 1 KiB from one broker", 1024, true),
    // At 10 ms a run is slow, at 1000 ms it is to have more than a few transactions.
    transact("transactions-10ms", "Producing 100 B in transactions of 10 ms", 10, 1_000_000),
    transact("transactions-100ms", "Producing 100 B in transactions of 100 ms", 100, 5_000_000),
    transact("transactions-1000ms", "Producing 100 B in transactions of 1000 ms", 1000, 8_000_000),
];

/// The cell of a name, for the command line.
pub(crate) fn named(name: &str) -> Result<CellPlan, String> {
    let known = || CELLS.map(|cell| cell.name).join(", ");
    CELLS.into_iter().find(|cell| cell.name == name).ok_or_else(|| format!("no such cell; there are: {}", known()))
}

impl CellPlan {
    /// Its kind.
    pub(crate) fn kind(&self) -> Kind {
        match self.work {
            Work::Produce { transaction_ms: Some(_), .. } => Kind::Transact,
            Work::Produce { .. } => Kind::Produce,
            Work::Consume => Kind::Consume,
        }
    }

    /// After how long transactions are to be committed, milliseconds; `None` without any.
    pub(crate) fn transaction_ms(&self) -> Option<u32> {
        if let Work::Produce { transaction_ms, .. } = self.work { transaction_ms } else { None }
    }

    /// Replicas of each partition of its topics.
    pub(crate) fn replication_factor(&self) -> u32 {
        if self.one_broker { 1 } else { 3 }
    }

    /// `min.insync.replicas` of its topics.
    pub(crate) fn min_insync_replicas(&self) -> u32 {
        if self.one_broker { 1 } else { 2 }
    }

    /// Bytes of a topic with all its replicas, from above: a record takes less than 20 bytes beside its value.
    pub(crate) fn topic_bytes(&self) -> u64 {
        self.messages * u64::from(self.value_bytes + 20) * u64::from(self.replication_factor())
    }

    /// The profile of ackmark's that has its setting. A topic that is read is written like acks=all.
    pub(crate) fn profile(&self) -> &'static str {
        match self.work {
            Work::Produce { all_acks: false, .. } => "leader-ack",
            Work::Produce { transaction_ms: Some(_), .. } => "transactional",
            Work::Produce { idempotent: true, .. } => "idempotent",
            Work::Produce { .. } | Work::Consume => "all-acks",
        }
    }

    /// What is the same for all contenders, in words.
    pub(crate) fn settings(&self) -> IndexMap<String, String> {
        let topic = if self.one_broker {
            format!("{PARTITIONS} partitions, all on one broker, replication factor 1")
        } else {
            format!("{PARTITIONS} partitions, replication factor 3, min.insync.replicas 2")
        };
        let work = match self.work {
            Work::Produce { all_acks, idempotent, .. } => vec![
                ("acks", if all_acks { "all" } else { "1" }.to_owned()),
                ("idempotence", if idempotent { "on" } else { "off" }.to_owned()),
                ("linger", format!("{LINGER_MS} ms")),
                (
                    "batch",
                    format!(
                        "{} MB; {} messages where the client counts them",
                        BATCH_BYTES / 1_000_000,
                        grouped(BATCH_MESSAGES.into())
                    ),
                ),
                ("partitions", "a batch to each in turn, or the client's own sticky partitioner".to_owned()),
                ("in flight", format!("{IN_FLIGHT} requests per broker")),
                ("compression", "none".to_owned()),
                (
                    "outstanding",
                    format!(
                        "{} messages and {} MiB; the Java producer: {} MiB",
                        grouped(OUTSTANDING.into()),
                        OUTSTANDING_KIB >> 10,
                        JAVA_BUFFER_BYTES >> 20
                    ),
                ),
            ],
            Work::Consume => vec![
                (
                    "fetch",
                    format!(
                        "{} MiB, {} MiB of a partition, where the client lets it be set",
                        FETCH_BYTES >> 20,
                        PARTITION_FETCH_BYTES >> 20
                    ),
                ),
                ("page cache", "the topic is in it: written just before".to_owned()),
            ],
        };
        let transactions =
            self.transaction_ms().map(|ms| ("transactions", format!("committed {ms} ms after they began")));
        let all = [("topic", topic)].into_iter().chain(work).chain(transactions);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_by_name_and_others_are_refused_with_the_names() {
        for cell in CELLS {
            assert_eq!(named(cell.name), Ok(cell));
        }
        assert!(named("all-acks-10").is_err_and(|why| why.contains("all-acks-100, leader-ack-100")));
    }

    #[test]
    fn settings_read_well() {
        insta::assert_json_snapshot!([
            CELLS[0].settings(),
            CELLS[4].settings(),
            CELLS[5].settings(),
            CELLS[9].settings()
        ]);
    }
}
