//! librdkafka's statistics: the part that a run reports.
//!
//! Emitted each `statistics.interval.ms`. Counters are totals since the client began. Not a source of latencies:
//! librdkafka's windows are summaries.
//!
//! Mind `txretries`: it counts requests that were sent again, and a Produce request never is. librdkafka
//! puts its *messages* back and builds new requests (`rdkafka_request.c`, 2.12.1). So message retries are
//! [`Statistics::txmsgs`] (which counts each transmission) less the messages that were transmitted once;
//! see [`Statistics::retransmitted`].
//!
//! Mind brokers, too: one that metadata does not name any more is removed with all that was counted of it
//! (`rd_kafka_metadata_decommission_unavailable_brokers`, 2.12.1), and begins anew when it is named again. The broker
//! that was killed or fenced is just the one whose timeouts matter: [`History`] keeps them. What was counted of it
//! after the last emission that names it is lost. While it is being removed a new one of its name may stand beside it:
//! then the old one is read, and the new one from the next emission on.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::errors::ClientError;

/// One emission.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// When it was taken, before its counters were read, in µs of the monotonic clock (`CLOCK_MONOTONIC` on Linux).
    pub ts: i64,
    /// Messages in the producer's queue.
    pub msg_cnt: u64,
    /// Messages put into Produce requests, each transmission counted.
    pub txmsgs: u64,
    /// Brokers by name. Bootstrap entries and logical ones (coordinators) are among them.
    pub brokers: BTreeMap<String, BrokerStatistics>,
}

/// One broker, all connections to it one after the other.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BrokerStatistics {
    /// Its id, -1 for bootstrap and logical entries.
    pub nodeid: i32,
    /// `UP`, `DOWN`, `CONNECT` and others.
    pub state: String,
    /// Requests sent.
    pub tx: u64,
    /// Bytes sent.
    pub txbytes: u64,
    /// Requests sent again; never Produce requests (see the module).
    pub txretries: u64,
    /// Requests that timed out.
    pub req_timeouts: u64,
    /// Connection attempts.
    pub connects: u64,
    /// Lost connections.
    pub disconnects: u64,
    /// Requests sent, by kind.
    pub req: BTreeMap<String, u64>,
}

impl Statistics {
    /// Reads one emission. What else librdkafka tells is skipped.
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
}

impl BrokerStatistics {
    /// Whether this began after `earlier` was told: it counts less.
    fn began_after(&self, earlier: &Self) -> bool {
        self.tx < earlier.tx
            || self.connects < earlier.connects
            || self.disconnects < earlier.disconnects
            || self.req_timeouts < earlier.req_timeouts
    }

    /// Adds what was counted before this began.
    fn add(&mut self, earlier: &Self) {
        self.tx += earlier.tx;
        self.txbytes += earlier.txbytes;
        self.txretries += earlier.txretries;
        self.req_timeouts += earlier.req_timeouts;
        self.connects += earlier.connects;
        self.disconnects += earlier.disconnects;
        for (request, sent) in &earlier.req {
            *self.req.entry(request.clone()).or_default() += sent;
        }
    }
}

/// All statistics of a client's life, from one emission after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    latest: Option<Statistics>,
    /// What was counted of brokers by name before they were removed.
    removed: BTreeMap<String, BrokerStatistics>,
}

impl History {
    /// The next emission.
    pub fn push(&mut self, next: Statistics) {
        let before = self.latest.take().map(|statistics| statistics.brokers).unwrap_or_default();
        // A broker whose address changes is the same under another name.
        let renamed = |broker: &BrokerStatistics| {
            broker.nodeid >= 0
                && next.brokers.values().any(|now| now.nodeid == broker.nodeid && !now.began_after(broker))
        };
        for (name, broker) in before {
            let goes_on = next.brokers.get(&name).map_or_else(|| renamed(&broker), |now| !now.began_after(&broker));
            if !goes_on {
                let removed = self.removed.entry(name).or_default();
                removed.add(&broker);
                // A connection that was up is lost.
                removed.disconnects += u64::from(broker.state == "UP");
            }
        }
        self.latest = Some(next);
    }

    /// When the latest emission was taken, in µs of the monotonic clock.
    pub fn until_us(&self) -> Option<i64> {
        self.latest.as_ref().map(|latest| latest.ts)
    }

    /// The latest emission, with what was counted of brokers that were removed; all zero where none came.
    pub fn whole(&self) -> Statistics {
        let mut whole = self.latest.clone().unwrap_or_default();
        for (name, broker) in &self.removed {
            whole.brokers.entry(name.clone()).or_default().add(broker);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(state: &str, tx: u64, req_timeouts: u64, disconnects: u64) -> BrokerStatistics {
        let req = BTreeMap::from([("Produce".to_owned(), tx)]);
        let (nodeid, connects, txbytes, txretries) = (-1, 1, 100, 0);
        BrokerStatistics {
            nodeid,
            state: state.into(),
            tx,
            txbytes,
            txretries,
            req_timeouts,
            connects,
            disconnects,
            req,
        }
    }

    fn emission<const N: usize>(ts: i64, brokers: [(&str, BrokerStatistics); N]) -> Statistics {
        let brokers = brokers.into_iter().map(|(name, broker)| (name.to_owned(), broker)).collect();
        Statistics { ts, brokers, ..Statistics::default() }
    }

    fn counts(history: &History) -> Vec<(u64, u64, u64)> {
        history.whole().sent_to("Produce").map(|broker| (broker.tx, broker.req_timeouts, broker.disconnects)).collect()
    }

    #[test]
    fn what_a_removed_broker_counted_stays_also_when_it_comes_back() {
        let mut history = History::default();
        assert_eq!((history.until_us(), history.whole()), (None, Statistics::default()));
        history.push(emission(1, [("a", broker("UP", 10, 0, 0)), ("b", broker("UP", 20, 3, 0))]));
        history.push(emission(2, [("a", broker("UP", 11, 0, 0))]));
        assert_eq!(counts(&history), [(11, 0, 0), (20, 3, 1)]);
        // A broker that is back counts on, its earlier life once.
        history.push(emission(3, [("a", broker("UP", 12, 0, 0)), ("b", broker("UP", 5, 1, 0))]));
        assert_eq!(counts(&history), [(12, 0, 0), (25, 4, 1)]);
        history.push(emission(4, [("a", broker("UP", 13, 0, 0)), ("b", broker("UP", 6, 1, 0))]));
        assert_eq!(counts(&history), [(13, 0, 0), (26, 4, 1)]);
        // Removed and back between two emissions: it counts less than before.
        history.push(emission(5, [("a", broker("UP", 14, 0, 0)), ("b", broker("DOWN", 2, 0, 0))]));
        assert_eq!(counts(&history), [(14, 0, 0), (28, 4, 2)]);
        // A connection that was down when its broker was removed is not lost once more.
        history.push(emission(6, [("a", broker("UP", 14, 0, 0))]));
        assert_eq!(counts(&history), [(14, 0, 0), (28, 4, 2)]);
        assert_eq!(history.until_us(), Some(6));
    }

    #[test]
    fn a_broker_of_another_address_is_the_same_one() {
        let of = |nodeid, tx| BrokerStatistics { nodeid, ..broker("UP", tx, 1, 0) };
        let mut history = History::default();
        history.push(emission(1, [("a:1", of(1, 10)), ("b:1", of(2, 20))]));
        history.push(emission(2, [("a:2", of(1, 11)), ("b:1", of(2, 21))]));
        assert_eq!(counts(&history), [(11, 1, 0), (21, 1, 0)]);
        // A new one with its id counts less.
        history.push(emission(3, [("a:3", of(1, 2)), ("b:1", of(2, 22))]));
        assert_eq!(counts(&history), [(11, 1, 1), (2, 1, 0), (22, 1, 0)]);
    }

    #[test]
    fn what_counts_less_in_any_respect_began_anew() {
        let before = BrokerStatistics { connects: 3, ..broker("DOWN", 10, 1, 2) };
        let anew = |change: fn(&mut BrokerStatistics)| {
            let mut now = before.clone();
            change(&mut now);
            now.began_after(&before)
        };
        assert!(!anew(|_| {}) && !anew(|now| now.tx += 1));
        assert!(anew(|now| now.tx -= 1) && anew(|now| now.connects -= 1));
        assert!(anew(|now| now.disconnects -= 1) && anew(|now| now.req_timeouts -= 1));
    }
}
