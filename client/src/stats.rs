//! librdkafka's statistics: the part that a run reports.
//!
//! Emitted each `statistics.interval.ms`. Counters are totals since the client began; windows cover the
//! last interval. Times are in µs, as in librdkafka. Not a source of latencies: windows are summaries.
//!
//! Mind `txretries`: it counts requests that were sent again, and a Produce request never is. librdkafka
//! puts its *messages* back and builds new requests (`rdkafka_request.c`, 2.12.1). So message retries are
//! [`Statistics::txmsgs`] (which counts each transmission) less the messages that were transmitted once;
//! see [`Statistics::retransmitted`].

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::errors::ClientError;

/// One emission.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// The client's name.
    pub name: String,
    /// Wall clock in seconds since the epoch.
    pub time: i64,
    /// When it was taken, before its counters were read, in µs of the monotonic clock (`CLOCK_MONOTONIC` on Linux).
    pub ts: i64,
    /// Time since the client began, in µs.
    pub age: i64,
    /// Messages in the producer's queue.
    pub msg_cnt: u64,
    /// Their bytes.
    pub msg_size: u64,
    /// Requests sent to all brokers.
    pub tx: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Messages put into Produce requests, each transmission counted.
    pub txmsgs: u64,
    /// Their bytes.
    pub txmsg_bytes: u64,
    /// Messages consumed.
    pub rxmsgs: u64,
    /// Their bytes.
    pub rxmsg_bytes: u64,
    /// Brokers by name. Bootstrap entries and logical ones (coordinators) are among them.
    pub brokers: BTreeMap<String, BrokerStatistics>,
    /// Topics by name.
    pub topics: BTreeMap<String, TopicStatistics>,
    /// The idempotent or transactional producer's state.
    pub eos: EosStatistics,
}

/// One connection to a broker.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BrokerStatistics {
    /// Its name.
    pub name: String,
    /// Its id, -1 for bootstrap and logical entries.
    pub nodeid: i32,
    /// `UP`, `DOWN`, `CONNECT` and others.
    pub state: String,
    /// Requests sent.
    pub tx: u64,
    /// Bytes sent.
    pub txbytes: u64,
    /// Transmission errors.
    pub txerrs: u64,
    /// Requests sent again; never Produce requests (see the module).
    pub txretries: u64,
    /// Requests that timed out.
    pub req_timeouts: u64,
    /// Connection attempts.
    pub connects: u64,
    /// Lost connections.
    pub disconnects: u64,
    /// Round trips of the last interval, µs.
    pub rtt: Window,
    /// Time in the producer's queue, µs.
    pub int_latency: Window,
    /// Time from request to socket, µs.
    pub outbuf_latency: Window,
    /// Throttling, ms.
    pub throttle: Window,
    /// Requests sent, by kind.
    pub req: BTreeMap<String, u64>,
}

/// A summary of the last interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Window {
    /// Smallest value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// Mean.
    pub avg: i64,
    /// Sum of the values.
    pub sum: i64,
    /// How many values.
    pub cnt: i64,
    /// Median.
    pub p50: i64,
    /// 95th percentile.
    pub p95: i64,
    /// 99th percentile.
    pub p99: i64,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TopicStatistics {
    /// Bytes of a batch.
    pub batchsize: Window,
    /// Messages of a batch.
    pub batchcnt: Window,
    /// Partitions by number; -1 holds messages that have none yet.
    pub partitions: BTreeMap<String, PartitionStatistics>,
}

/// One partition.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PartitionStatistics {
    /// Its number.
    pub partition: i32,
    /// The leader as the client knows it, -1 for none.
    pub leader: i32,
    /// Messages transmitted, each transmission counted.
    pub txmsgs: u64,
    /// Their bytes.
    pub txbytes: u64,
    /// Messages in flight.
    pub msgs_inflight: u64,
}

/// State of the idempotent or transactional producer; all empty for others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EosStatistics {
    /// The idempotent producer's state.
    pub idemp_state: String,
    /// The transactional producer's state.
    pub txn_state: String,
    /// The producer id; -1 for none.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// How often the epoch was raised.
    pub epoch_cnt: u64,
}

impl Statistics {
    /// Reads one emission. What librdkafka adds in newer versions is skipped.
    ///
    /// # Errors
    /// Text that is no such JSON.
    pub fn parse(json: &str) -> Result<Self, ClientError> {
        Ok(serde_json::from_str(json)?)
    }

    /// Brokers to which requests of a kind were sent, by librdkafka's name of it (`Produce`, `EndTxn`): a
    /// bootstrap connection or a coordinator's is an entry of its own and among them only if it carried some.
    pub fn sent_to(&self, request: &str) -> impl Iterator<Item = &BrokerStatistics> {
        self.brokers.values().filter(move |broker| broker.req.get(request).is_some_and(|sent| *sent > 0))
    }

    /// Transmissions of messages beyond the first of each, given how many messages were transmitted at
    /// all. Exact once nothing is outstanding and every message was transmitted.
    pub fn retransmitted(&self, transmitted: u64) -> u64 {
        self.txmsgs.saturating_sub(transmitted)
    }

    /// Leaders by topic and partition, as the client knows them.
    pub fn leaders(&self) -> BTreeMap<(&str, i32), i32> {
        let mut leaders = BTreeMap::new();
        for (topic, found) in &self.topics {
            for partition in found.partitions.values().filter(|partition| partition.partition >= 0) {
                leaders.insert((topic.as_str(), partition.partition), partition.leader);
            }
        }
        leaders
    }
}
