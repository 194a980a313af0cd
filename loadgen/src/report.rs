//! What the threads found, put together.

use std::collections::BTreeMap;

use ackmark_client::{ErrorCode, librdkafka_version, stats::Statistics};
use ackmark_schema::{
    latency::LatencySummary,
    load_spec::{LoadSpec, Schedule},
    profile::Profile,
    promise::{Acks, Promise},
    properties::{Property, REDACTED, is_secret},
    report::{
        Ending,
        load::{Counts, ErrorCount, Generator, LoadReport, Measured, Provocations, TransactionFigures},
    },
    result::Warning,
    version::SchemaId,
};
use ackmark_stats::latency_summary;
use hdrhistogram::Histogram;
use jiff::Timestamp;

use crate::{
    cluster::ClosingLook,
    delivery::Delivered,
    flow::Amount,
    latency::{self, Latencies},
    sender::Sent,
    transactions::TransactionTally,
    usage::Usage,
    window::{Begin, Window},
};

/// What a run was.
pub(crate) struct RunFacts<'a> {
    pub(crate) spec: &'a LoadSpec,
    pub(crate) incarnation: u32,
    pub(crate) resent: Counts,
    pub(crate) in_effect: Vec<Property>,
    pub(crate) promise: Promise,
    pub(crate) started: Timestamp,
    pub(crate) window: &'a Window,
    pub(crate) error: Option<String>,
    pub(crate) interrupted: bool,
    pub(crate) usage_at_end: Usage,
    pub(crate) queue_full: u64,
    pub(crate) outstanding_max: u64,
    pub(crate) clock_step_ns: u64,
    pub(crate) closing: ClosingLook,
}

/// What the threads found.
pub(crate) struct Findings {
    pub(crate) sent: Vec<Sent>,
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) latencies: Latencies,
}

impl Findings {
    /// Transactions of all producers together; `None` where they had none.
    pub(crate) fn transactions(&self) -> Option<TransactionTally> {
        let mut tallies = self.sent.iter().filter_map(|sent| sent.transactions.as_ref()).peekable();
        tallies.peek()?;
        let mut sum = TransactionTally::new();
        for tally in tallies {
            sum.committed += tally.committed;
            sum.aborted += tally.aborted;
            sum.indeterminate += tally.indeterminate;
            sum.aborted_on_purpose += tally.aborted_on_purpose;
            sum.messages_aborted_on_purpose += tally.messages_aborted_on_purpose;
            sum.messages += tally.messages;
            sum.stalled_ns += tally.stalled_ns;
            latency::add(&mut sum.begin_to_committed, &tally.begin_to_committed);
            latency::add(&mut sum.flush, &tally.flush);
            latency::add(&mut sum.commit, &tally.commit);
            latency::add(&mut sum.abort, &tally.abort);
        }
        Some(sum)
    }
}

/// Puts the report together.
pub(crate) fn assemble(facts: RunFacts<'_>, findings: &Findings) -> LoadReport {
    let open_loop = matches!(facts.spec.schedule, Schedule::Rate { .. });
    let acknowledged = facts.promise.basis.acks != Acks::None;
    let tallies: Vec<&TransactionTally> = findings.sent.iter().filter_map(|sent| sent.transactions.as_ref()).collect();
    let summary = |histogram, sent| open_loop.then(|| latency_summary(histogram, sent));
    let begin = facts.window.begun();
    let total = counts(&findings.sent, &findings.delivered);
    let measured = measured(&facts, findings, &tallies);
    LoadReport {
        schema: SchemaId::default(),
        spec: redacted(facts.spec),
        incarnation: facts.incarnation,
        promise: facts.promise,
        librdkafka_version: librdkafka_version(),
        ending: match (&facts.error, facts.interrupted) {
            (Some(_), _) => Ending::Failed,
            (None, true) => Ending::Interrupted,
            (None, false) => Ending::Completed,
        },
        error: facts.error,
        started: facts.started,
        total,
        resent: facts.resent,
        latency_intended: summary(&findings.latencies.intended, measured.counts.sent),
        latency_send: summary(&findings.latencies.send, measured.counts.sent),
        latency_is_acknowledgement: acknowledged,
        transactions: findings.transactions().map(|sum| transactions(&sum, tallies.len(), measured.duration_s)),
        provocations: provocations(findings, &tallies, facts.closing.leader_changes),
        errors: errors(&findings.delivered),
        trouble: facts.closing.trouble.into_iter().chain(complaints(&findings.delivered)).collect(),
        generator: Generator {
            schedule_lag: lag(&findings.sent),
            queue_full: facts.queue_full,
            outstanding_max: facts.outstanding_max,
            clock_step_us: facts.clock_step_ns / 1_000,
            steal_share: begin.and_then(|begin| facts.usage_at_end.steal_share_since(&begin.usage)),
            involuntary_switches: begin.map_or(0, |begin| {
                facts.usage_at_end.involuntary_switches.saturating_sub(begin.usage.involuntary_switches)
            }),
        },
        measured,
        properties: facts.in_effect,
    }
}

/// The spec without its secrets.
pub(crate) fn redacted(spec: &LoadSpec) -> LoadSpec {
    let mut spec = spec.clone();
    for property in spec.properties.iter_mut().filter(|property| is_secret(&property.name)) {
        REDACTED.clone_into(&mut property.value);
    }
    let Profile { properties, tuning, .. } = &mut spec.profile;
    let of_profile = properties.iter_mut().chain(&mut tuning.properties);
    for (_, value) in of_profile.filter(|(name, _)| is_secret(name)) {
        REDACTED.clone_into(value);
    }
    spec
}

/// All messages by what became of them.
pub(crate) fn counts(sent: &[Sent], found: &[Delivered]) -> Counts {
    sum(sent.iter().map(|sent| sent.total), found.iter().map(|found| found.total))
}

fn sum(sent: impl Iterator<Item = Amount>, found: impl Iterator<Item = Counts>) -> Counts {
    let mut sum = Counts::default();
    for amount in sent {
        sum.sent += amount.messages;
        sum.value_bytes += amount.bytes;
    }
    for counts in found {
        sum.acknowledged += counts.acknowledged;
        sum.failed += counts.failed;
        sum.indeterminate += counts.indeterminate;
    }
    // A thread that panicked may have counted less than the other one.
    sum.open = sum.sent.saturating_sub(sum.acknowledged + sum.failed + sum.indeterminate);
    sum
}

/// The generators' own lateness, in an open loop.
fn lag(sent: &[Sent]) -> Option<LatencySummary> {
    let mut lags = sent.iter().filter_map(|sent| sent.lag.as_ref());
    let mut sum = lags.next()?.clone();
    lags.for_each(|lag| latency::add(&mut sum, lag));
    Some(latency_summary(&sum, sum.len()))
}

fn measured(facts: &RunFacts<'_>, findings: &Findings, tallies: &[&TransactionTally]) -> Measured {
    let counts =
        sum(findings.sent.iter().map(|sent| sent.measured), findings.delivered.iter().map(|found| found.measured));
    let offered_per_s = match facts.spec.schedule {
        Schedule::Max => None,
        Schedule::Rate { messages, .. } => Some(messages.as_f64()),
    };
    let Some(Begin { from_ns, usage }) = facts.window.begun() else {
        return Measured { counts, offered_per_s, ..Default::default() };
    };
    let (delivered, last_ns) = if tallies.is_empty() {
        let last_ns = findings.delivered.iter().map(|found| found.last_report_ns).max();
        (findings.delivered.iter().map(|found| found.after_warm_up).sum::<Amount>(), last_ns)
    } else {
        let last_ns = tallies.iter().map(|tally| tally.last_end_ns).max();
        (tallies.iter().map(|tally| tally.measured).sum(), last_ns)
    };
    let seconds = |until_ns: u64| until_ns.saturating_sub(*from_ns) as f64 / 1e9;
    let per_s = |amount: u64, over_s: f64| if over_s > 0.0 { amount as f64 / over_s } else { 0.0 };
    let ended_ns = findings.sent.iter().map(|sent| sent.ended_ns).max().unwrap_or(0);
    // Without a report in it, the measured part ends with the sending.
    let duration_s = Some(seconds(last_ns.unwrap_or(0))).filter(|s| *s > 0.0).unwrap_or_else(|| seconds(ended_ns));
    Measured {
        duration_s,
        counts,
        delivered: delivered.messages,
        delivered_per_s: per_s(delivered.messages, duration_s),
        delivered_bytes_per_s: per_s(delivered.bytes, duration_s),
        offered_per_s,
        sent_per_s: per_s(counts.sent, seconds(ended_ns)),
        cpu: facts.usage_at_end.cpu - usage.cpu,
    }
}

fn transactions(sum: &TransactionTally, producers: usize, measured_s: f64) -> TransactionFigures {
    let could_send_s = measured_s * producers as f64;
    // Times of those that ended so, whose number is the sample's.
    let of_ended = |histogram: &Histogram<u64>| latency_summary(histogram, histogram.len());
    TransactionFigures {
        committed: sum.committed,
        aborted: sum.aborted,
        aborted_on_purpose: sum.aborted_on_purpose,
        messages_aborted_on_purpose: sum.messages_aborted_on_purpose,
        indeterminate: sum.indeterminate,
        messages_mean: if sum.committed > 0 { sum.messages as f64 / sum.committed as f64 } else { 0.0 },
        begin_to_committed: of_ended(&sum.begin_to_committed),
        flush: of_ended(&sum.flush),
        commit: of_ended(&sum.commit),
        abort: (!sum.abort.is_empty()).then(|| of_ended(&sum.abort)),
        stalled_share: if could_send_s > 0.0 { (sum.stalled_ns as f64 / 1e9 / could_send_s).min(1.0) } else { 0.0 },
    }
}

/// Errors of all producers by cause, the most frequent first.
fn errors(delivered: &[Delivered]) -> Vec<ErrorCount> {
    let mut sum: Vec<ErrorCount> = Vec::new();
    for error in delivered.iter().flat_map(|found| &found.errors) {
        match sum.iter_mut().find(|known| (known.code, known.outcome) == (error.code, error.outcome)) {
            Some(known) => known.count += error.count,
            None => sum.push(error.clone()),
        }
    }
    sum.sort_by_key(|error| std::cmp::Reverse(error.count));
    sum
}

/// What the clients said of their connections, the most frequent first.
fn complaints(delivered: &[Delivered]) -> Vec<Warning> {
    let mut sum: BTreeMap<ErrorCode, (u64, &str)> = BTreeMap::new();
    for (code, complaint) in delivered.iter().flat_map(|found| &found.complaints) {
        let (count, latest) = sum.entry(*code).or_default();
        *count += complaint.count;
        *latest = &complaint.latest;
    }
    let mut sum: Vec<_> = sum.into_iter().collect();
    sum.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let told = |(code, (count, latest)): (ErrorCode, (u64, &str))| Warning {
        what: format!("{code}, {count} times, at last: {latest}"),
        cure: code.cure().into(),
    };
    sum.into_iter().map(told).collect()
}

fn provocations(findings: &Findings, tallies: &[&TransactionTally], leader_changes: Option<u64>) -> Provocations {
    let whole: Vec<Statistics> = findings.delivered.iter().map(|found| found.statistics.whole()).collect();
    let retransmitted = |((sent, found), statistics): ((&Sent, &Delivered), &Statistics)| {
        statistics.retransmitted(sent.total.messages.saturating_sub(found.refused))
    };
    let sent = findings.sent.iter().zip(&findings.delivered);
    let producing = || whole.iter().flat_map(|statistics| statistics.sent_to("Produce"));
    let coordinators = whole.iter().flat_map(|statistics| statistics.sent_to("EndTxn"));
    Provocations {
        retransmitted: sent.zip(&whole).map(retransmitted).sum(),
        produce_errors: findings.delivered.iter().map(|found| found.rejected_by_broker).sum(),
        transaction_errors: coordinators.map(|broker| broker.txretries).sum::<u64>()
            + tallies.iter().map(|tally| tally.broker_errors).sum::<u64>(),
        request_timeouts: producing().map(|broker| broker.req_timeouts).sum(),
        disconnects: producing().map(|broker| broker.disconnects).sum(),
        leader_changes,
        counted_to_end: findings.delivered.iter().all(|found| found.counted_to_end),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ackmark_client::stats::{BrokerStatistics, History};

    use super::*;

    /// A connection with trouble of every kind, over which requests of one kind were sent.
    fn troubled(request: &str) -> BrokerStatistics {
        let req = BTreeMap::from([("Produce".into(), 0), ("EndTxn".into(), 0), (request.into(), 7)]);
        BrokerStatistics { req, txretries: 1, req_timeouts: 20, disconnects: 300, ..BrokerStatistics::default() }
    }

    fn of_producer(sent: u64, refused: u64, txmsgs: u64, requests: &[&str]) -> (Sent, Delivered) {
        let brokers = requests.iter().map(|request| ((*request).to_owned(), troubled(request))).collect();
        let mut statistics = History::default();
        statistics.push(Statistics { txmsgs, brokers, ..Statistics::default() });
        let sent = Sent {
            total: Amount { messages: sent, bytes: 0 },
            measured: Amount::default(),
            ended_ns: 0,
            outstanding: 0,
            ..Sent::default()
        };
        (sent, Delivered { refused, rejected_by_broker: 2, statistics, counted_to_end: true, ..Delivered::default() })
    }

    fn seen(producers: impl IntoIterator<Item = (Sent, Delivered)>, leader_changes: Option<u64>) -> Provocations {
        let (sent, delivered) = producers.into_iter().unzip();
        provocations(&Findings { sent, delivered, latencies: Latencies::new() }, &[], leader_changes)
    }

    #[test]
    fn only_connections_that_carried_the_promise_can_provoke_it() {
        let elsewhere = seen([of_producer(100, 0, 100, &["Metadata", "ApiVersion", "FindCoordinator"])], Some(0));
        assert_eq!(elsewhere, Provocations { produce_errors: 2, ..Provocations::NONE });
        let carried = seen([of_producer(100, 0, 100, &["Metadata", "Produce", "EndTxn"])], None);
        let found = Provocations {
            retransmitted: 0,
            produce_errors: 2,
            transaction_errors: 1,
            request_timeouts: 20,
            disconnects: 300,
            leader_changes: None,
            counted_to_end: true,
        };
        assert_eq!(carried, found);
    }

    #[test]
    fn refused_messages_hide_no_retransmission_nor_does_another_producer() {
        // Of 100 messages 10 were refused, and 5 of the 90 were transmitted twice.
        let of_one = of_producer(100, 10, 95, &[]);
        let cut_off = of_producer(100, 0, 40, &[]);
        assert_eq!(seen([of_one, cut_off], Some(0)).retransmitted, 5);
    }
}
