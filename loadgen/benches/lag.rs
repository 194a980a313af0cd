//! How late an open loop sends, against the simulated cluster, and how late a loop that only sleeps is woken on the same
//! machine, in turns: what the machine does to both is not the generator's doing.
//!
//! ```text
//! cargo bench -p ackmark-loadgen --bench lag
//! ```
//!
//! Targets on an idle machine: p99 at most 100 µs at 10,000 messages/s, 200 µs at 50,000. The cluster is librdkafka's
//! mock, in this process: its threads and the client's share the processors with the send thread. About three minutes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on fails, and it prints its figures"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{sync::atomic::AtomicBool, time::Duration};

use ackmark_client::MockCluster;
use ackmark_loadgen::{run, steps::sleeping_lag};
use ackmark_schema::{
    latency::LatencySummary,
    load_spec::{LoadSpec, Schedule},
    scenario::Arrivals,
    units::{Count, Rate, Span},
};

const ROUNDS: usize = 7;
const TIME: Duration = Duration::from_secs(5);

fn main() {
    println!("schedule lag, us, p50 / p99 / p99.9; simulated: librdkafka's mock cluster, all-acks, 100 B");
    for per_s in [10_000.0, 50_000.0] {
        let mut p99s = [Vec::new(), Vec::new()];
        for round in 1..=ROUNDS {
            let lags = [sleeping_lag(per_s, TIME), sending_lag(per_s)];
            for (p99s, lag) in p99s.iter_mut().zip(&lags) {
                p99s.push(at(lag, 99.0));
            }
            let [sleeping, sending] = lags.map(|lag| [50.0, 99.0, 99.9].map(|percentile| at(&lag, percentile)));
            println!("{per_s:>6}/s round {round}: sleeping {sleeping:?}  sending {sending:?}");
        }
        let [sleeping, sending] = p99s.map(|mut p99s| {
            p99s.sort_unstable();
            (p99s[ROUNDS / 2], p99s[0], p99s[ROUNDS - 1])
        });
        println!("{per_s:>6}/s p99, median (range) of rounds: sleeping {sleeping:?}  sending {sending:?}");
    }
}

fn at(lag: &LatencySummary, percentile: f64) -> u64 {
    lag.at(percentile).unwrap().value_us.unwrap()
}

/// A load's lag in its measured part.
fn sending_lag(per_s: f64) -> LatencySummary {
    let cluster = MockCluster::start(3).unwrap();
    cluster.create_topic("lag", 6, 3).unwrap();
    let spec = LoadSpec {
        outstanding: Count(100_000),
        schedule: Schedule::Rate { messages: Rate::per_second(per_s).unwrap(), arrivals: Arrivals::Constant },
        warm_up: Span(Duration::from_secs(2)),
        duration: Span(TIME),
        ..support::spec(&cluster, "lag", 6, "all-acks")
    };
    let folder = tempfile::tempdir().unwrap();
    let report = run(&spec, folder.path(), &(), &AtomicBool::new(false)).unwrap();
    assert_eq!(report.total.acknowledged, report.total.sent);
    report.generator.schedule_lag.unwrap()
}
