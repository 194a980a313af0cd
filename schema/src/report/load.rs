//! What one producer run did: `load.json`.
//!
//! Times are seconds from the start of the run unless the name says otherwise. "Measured" is the part
//! between the end of the warm-up and the last delivery report.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CpuTime, Ending};
use crate::{
    latency::LatencySummary,
    load_spec::LoadSpec,
    promise::Promise,
    properties::Property,
    result::Warning,
    version::{SchemaId, contract},
};

contract!(LoadReport, "ackmark-load/1");

/// File name of the load report in a load folder.
pub const LOAD_FILE: &str = "load.json";

/// What one producer run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadReport {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<LoadReport>,
    /// What was asked for, secrets redacted.
    pub spec: LoadSpec,
    /// Which life of the run's producers it was, from 0.
    #[serde(default)]
    pub incarnation: u32,
    /// Properties in effect, read back from librdkafka; secrets redacted.
    pub properties: Vec<Property>,
    /// What follows from them and from the topic.
    pub promise: Promise,
    /// librdkafka's version.
    pub librdkafka_version: String,
    /// How it ended.
    pub ending: Ending,
    /// The error, when it failed.
    pub error: Option<String>,
    /// When the first message was to be sent.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// All messages, warm-up included: these are the ones that the verifier accounts for.
    pub total: Counts,
    /// Those of them that earlier incarnations had sent and that were sent again. They are not measured.
    #[serde(default)]
    pub resent: Counts,
    /// The measured part.
    pub measured: Measured,
    /// Latency from the intended send time to the delivery report (open loop only).
    pub latency_intended: Option<LatencySummary>,
    /// Latency from the actual send to the delivery report (open loop only: in a `max` phase it would
    /// measure the queue).
    pub latency_send: Option<LatencySummary>,
    /// Whether a delivery report is a broker's answer: false under acks=0, where it fires when the
    /// request is written to the socket.
    pub latency_is_acknowledgement: bool,
    /// Transactions, if there were any.
    pub transactions: Option<TransactionFigures>,
    /// What put the promise to the test.
    pub provocations: Provocations,
    /// Delivery errors by cause.
    pub errors: Vec<ErrorCount>,
    /// What stood in the way of messages, each with its cure: the topic as it was at the end, where that is not well,
    /// and what clients said of their connections. A connection that is lost once and made again is among it.
    pub trouble: Vec<Warning>,
    /// How the generator itself kept up.
    pub generator: Generator,
}

/// Messages by what the sender knows of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Handed to librdkafka.
    pub sent: u64,
    /// Acknowledged by the broker(s). Always 0 under acks=0.
    pub acknowledged: u64,
    /// Definitely not in the log.
    pub failed: u64,
    /// Neither: also all that acks=0 wrote to a socket.
    pub indeterminate: u64,
    /// Without a delivery report at the end (counted as indeterminate by a verdict).
    pub open: u64,
    /// Value bytes sent.
    pub value_bytes: u64,
}

/// The measured part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// From the end of the warm-up to the last delivery report (or end of transaction).
    pub duration_s: f64,
    /// Messages whose send falls in the measured part.
    pub counts: Counts,
    /// Messages that were delivered in the measured part: acknowledged ones, under acks=0 those written
    /// to a socket, in transactions those whose commit succeeded.
    pub delivered: u64,
    /// `delivered / duration_s`.
    pub delivered_per_s: f64,
    /// Value bytes of the delivered messages per second.
    pub delivered_bytes_per_s: f64,
    /// Messages per second that the schedule asked for (open loop only).
    pub offered_per_s: Option<f64>,
    /// Messages per second that were sent while sending.
    pub sent_per_s: f64,
    /// This process' CPU time.
    pub cpu: CpuTime,
}

/// Transactions of a run. Times in microseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransactionFigures {
    /// Committed.
    pub committed: u64,
    /// Aborted.
    pub aborted: u64,
    /// Of these, aborted because a share was to be.
    #[serde(default)]
    pub aborted_on_purpose: u64,
    /// Messages of these in the measured part: nobody at `read_committed` is to see them.
    #[serde(default)]
    pub messages_aborted_on_purpose: u64,
    /// Asked to commit, fate unknown.
    pub indeterminate: u64,
    /// Messages per committed transaction, mean.
    pub messages_mean: f64,
    /// From begin to the commit's success.
    pub begin_to_committed: LatencySummary,
    /// Draining what is outstanding before the commit.
    pub flush: LatencySummary,
    /// The commit itself.
    pub commit: LatencySummary,
    /// The abort itself, of those on purpose; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<LatencySummary>,
    /// Share of the measured time in which nothing could be sent, 0 to 1.
    pub stalled_share: f64,
}

/// What put a promise to the test: only what met the requests that carry it. What the client refused by itself
/// is none, nor is what became of connections over which nothing was produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provocations {
    /// Transmissions of messages beyond the first of each, at least: librdkafka's transmissions less all messages
    /// that it took. (Messages that it took and never transmitted hide as many.)
    pub retransmitted: u64,
    /// Messages whose Produce request a broker answered with an error that was not retried (own count of delivery
    /// reports; what was retried is in `retransmitted`).
    pub produce_errors: u64,
    /// Transactional requests that met an error: those that librdkafka sent again to the coordinator, and commits
    /// and aborts that failed with a broker's error code.
    pub transaction_errors: u64,
    /// Requests that timed out, of brokers to which Produce requests were sent.
    pub request_timeouts: u64,
    /// Connections lost, of brokers to which Produce requests were sent.
    pub disconnects: u64,
    /// Partitions whose leader changed between the start and the end of the run (from metadata); unknown where
    /// nobody could tell.
    pub leader_changes: Option<u64>,
    /// Whether the client's own counters (messages sent again, transactional requests, timeouts, disconnects) are of
    /// after the end. Otherwise they are of some time before it, or it was not recorded: at least so many. What a broker
    /// that has left the cluster counted in its last second is in neither.
    #[serde(default)]
    pub counted_to_end: bool,
}

impl Provocations {
    /// All is known, and nothing happened.
    pub const NONE: Self = Self {
        retransmitted: 0,
        produce_errors: 0,
        transaction_errors: 0,
        request_timeouts: 0,
        disconnects: 0,
        leader_changes: Some(0),
        counted_to_end: true,
    };

    /// What each count counts, in the plural, with the count where it is known.
    pub fn named(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("messages sent again", Some(self.retransmitted)),
            ("messages answered with an error", Some(self.produce_errors)),
            ("transactional requests that met an error", Some(self.transaction_errors)),
            ("request timeouts", Some(self.request_timeouts)),
            ("disconnects", Some(self.disconnects)),
            ("leader changes", self.leader_changes),
        ]
    }

    /// Whether anything that is known tested the promise.
    pub fn is_some(&self) -> bool {
        self.named().into_iter().any(|(_, count)| count.is_some_and(|count| count > 0))
    }

    /// What is not known of them, to read; `None` when all is.
    pub fn unknown(&self) -> Option<&'static str> {
        match (self.leader_changes, self.counted_to_end) {
            (Some(_), true) => None,
            (None, true) => Some("leader changes"),
            (Some(_), false) => Some("what the client counted last"),
            (None, false) => Some("leader changes and what the client counted last"),
        }
    }

    /// Both together; unknown where one of them is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            retransmitted: self.retransmitted + other.retransmitted,
            produce_errors: self.produce_errors + other.produce_errors,
            transaction_errors: self.transaction_errors + other.transaction_errors,
            request_timeouts: self.request_timeouts + other.request_timeouts,
            disconnects: self.disconnects + other.disconnects,
            leader_changes: self.leader_changes.zip(other.leader_changes).map(|(one, two)| one + two),
            counted_to_end: self.counted_to_end && other.counted_to_end,
        }
    }
}

/// Delivery errors of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorCount {
    /// librdkafka's error name, for example `_MSG_TIMED_OUT`.
    pub name: String,
    /// librdkafka's error code.
    pub code: i32,
    /// The outcome that it was counted as: `failed` or `indeterminate`.
    pub outcome: ErrorOutcome,
    /// Messages.
    pub count: u64,
}

/// What a delivery error says of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorOutcome {
    /// Definitely not in the log.
    Failed,
    /// May be in the log.
    Indeterminate,
}

/// How the generator itself kept up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// How late the generator itself was (open loop only): the send minus the moment from which the message was due
    /// and the sender free. It is not free while it waits for room or a transaction ends: that lateness is Kafka's,
    /// and the difference of `latency_intended` and `latency_send`.
    pub schedule_lag: Option<LatencySummary>,
    /// How often the queue was full, warm-up and drain included; expected in a `max` phase, a warning in an open
    /// loop.
    pub queue_full: u64,
    /// Most messages outstanding, sampled once per second and at the end of sending.
    pub outstanding_max: u64,
    /// Largest step of the wall clock against the monotonic clock, microseconds.
    pub clock_step_us: u64,
    /// Share of CPU time stolen by the hypervisor while measured, 0 to 1; absent where unknown.
    pub steal_share: Option<f64>,
    /// Involuntary context switches while measured.
    pub involuntary_switches: u64,
}

/// From here on, microseconds, a generator's own lateness at the 99th percentile is told as a schedule that was not
/// kept: several times what an idle processor's timer costs.
const LATE_US: u64 = 1_000;

impl Generator {
    /// How late one message in a hundred was sent by the generator's own doing, microseconds, where that is so much
    /// that the schedule was not kept; `None` where it was, and where nothing was scheduled.
    pub fn late_us(&self) -> Option<u64> {
        let lag = self.schedule_lag.as_ref()?;
        lag.at(99.0)?.value_us.filter(|lag_us| *lag_us > LATE_US)
    }
}
