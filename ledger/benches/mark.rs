//! What the ledger costs per message: reserving and marking by runs, as a `max` phase does.
//!
//! ```text
//! cargo bench -p ackmark-ledger --bench mark
//! ```
//!
//! Target: at most 2 ns per message in runs (500 Melem/s), the growth of the file included. Read the lower bound of the
//! interval on a machine that does something else too.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use ackmark_ledger::{DeliveryLedger, Identity, SendLedger, State, StreamStart, create};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const STREAMS: usize = 6;
const RUN: u64 = 1_000;
const RUNS: u64 = 4_000;

struct Ledgers {
    _folder: tempfile::TempDir,
    send: SendLedger,
    delivery: DeliveryLedger,
}

fn ledgers() -> Ledgers {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let streams: Vec<_> = (0..STREAMS as u32).map(|stream| StreamStart { stream, first_sequence: 0 }).collect();
    let (send, delivery) =
        create(folder.path(), Identity { run: 1, producer: 0, incarnation: 0 }, &streams, &[]).expect("a ledger");
    Ledgers { _folder: folder, send, delivery }
}

fn marking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(RUN * RUNS)).sample_size(20);
    group.bench_function("reserve and mark, runs of 1,000, file growth included", |bencher| {
        bencher.iter_batched_ref(
            ledgers,
            |ledgers| {
                for run in 0..RUNS {
                    let slot = run as usize % STREAMS;
                    let range = ledgers.send.reserve(slot, RUN).expect("room");
                    ledgers.delivery.mark(slot, range.start, RUN, State::Acknowledged).expect("reserved");
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("mark again, runs of 1,000", |bencher| {
        let mut ledgers = ledgers();
        for slot in 0..STREAMS {
            ledgers.send.reserve(slot, RUN * RUNS).expect("room");
        }
        bencher.iter(|| {
            for run in 0..RUNS {
                let slot = run as usize % STREAMS;
                ledgers.delivery.mark(slot, run / STREAMS as u64 * RUN, RUN, black_box(State::Acknowledged)).expect("");
            }
        });
    });
    group.bench_function("mark again, one by one", |bencher| {
        let mut ledgers = ledgers();
        ledgers.send.reserve(0, RUN * RUNS).expect("room");
        bencher.iter(|| {
            for sequence in 0..RUN * RUNS {
                ledgers.delivery.mark(0, sequence, 1, black_box(State::Acknowledged)).expect("reserved");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, marking);
criterion_main!(benches);
