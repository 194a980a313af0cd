//! What verification and measurement cost per message while producing, as isolated loops: the code of the send and
//! the delivery thread without client and cluster.
//!
//! ```text
//! cargo bench -p ackmark-loadgen --bench steps
//! ```
//!
//! criterion prints the time of a run or a report and the rate in messages: 100 Melem/s are 10 ns per message. Targets:
//! sending at most 10 ns, a report at most 2 ns. The time is the thread's CPU time, so that what else runs on the
//! machine shows only through the caches. Not in here: the call of the client, that the client's messages lie
//! apart in memory, and that values do: a block that was written is the next to be written again, while a load walks
//! through all that may be outstanding.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::{hint::black_box, time::Duration};

use ackmark_loadgen::steps::{REPORT_MESSAGES, RUN_MESSAGES, Sending, ledger, report};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};

/// The CPU time of this thread that so many calls take.
fn cpu_time(calls: u64, mut call: impl FnMut()) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32)
    };
    let start = now();
    (0..calls).for_each(|_| call());
    now().saturating_sub(start)
}

fn sending(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sending");
    group.throughput(Throughput::Elements(RUN_MESSAGES as u64));
    for (name, bytes, open_loop, lent) in [
        ("100 B", 100, false, true),
        ("1 KiB", 1024, false, true),
        ("100 B, to be copied", 100, false, false),
        ("100 B, open loop: stamps out and back", 100, true, true),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut sending = Sending::new(bytes, open_loop, lent, ledger(folder.path()).0);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| {
                cpu_time(calls, || {
                    black_box(sending.prepare_run());
                })
            });
        });
    }
    group.finish();
}

fn reports(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("report of 10,000 messages");
    group.throughput(Throughput::Elements(REPORT_MESSAGES as u64));
    for (name, every) in [("in order", 0), ("each hundredth timed out", 100), ("every other one timed out", 2)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        report(ledger(folder.path()), every, |next| {
            group.bench_function(name, |bencher| bencher.iter_custom(|calls| cpu_time(calls, &mut *next)));
        });
    }
    group.finish();
}

criterion_group!(benches, sending, reports);
criterion_main!(benches);
