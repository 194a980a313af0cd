//! What the verdict costs per message: accounting of headers in order (also with the producer of each batch) and with one
//! message in a hundred displaced, accounting of whole records with their checksum, and the algebra against the ledger.
//!
//! ```text
//! cargo bench -p ackmark-verifier --bench verdict
//! ```
//!
//! Targets, on one core: 100 Melem/s in order, 20 with one in a hundred displaced. Read the fastest of the interval on a
//! machine that does something else too. What it takes in memory: `tests/memory.rs`.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use ackmark_ledger::State;
use ackmark_schema::{record::Header, report::verify::Isolation};
use ackmark_verifier::{
    evidence::ScanAccounts,
    observation::{Batch, Observation, Record},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use support::{World, batch, header, value};

const N: u64 = 2_000_000;
/// Messages of one producer in a row, as batches bring them.
const RUN: u64 = 500;

/// Hands over two producers' messages to one partition, in runs, each hundred of a stream in the given order. Headers
/// are made on the way: kept, they would come from memory and not, as behind a reader, from the cache.
#[inline]
fn each(order: &[u64; 100], mut take: impl FnMut(i64, &Header)) {
    let mut headers = [0, 1].map(|stream| header(stream, 0, 0));
    let mut offset = 0;
    for run in (0..N / 2).step_by(RUN as usize) {
        for header in &mut headers {
            for hundred in (run..run + RUN).step_by(order.len()) {
                for place in order {
                    header.sequence = hundred + place;
                    take(offset, header);
                    offset += 1;
                }
            }
        }
    }
}

fn in_order() -> [u64; 100] {
    std::array::from_fn(|place| place as u64)
}

/// One message in a hundred comes 50 places later.
fn displaced() -> [u64; 100] {
    let mut order = in_order();
    order[..=50].rotate_left(1);
    order
}

fn world() -> World {
    let mut world = World::new(2, 1, false);
    for producer in 0..2 {
        let (send, delivery) = world.senders[producer].states.as_mut().unwrap();
        send.reserve(0, N / 2).unwrap();
        delivery.mark(0, 0, N / 2, State::Acknowledged).unwrap();
    }
    world
}

fn verdict(criterion: &mut Criterion) {
    let world = world();
    let mut group = criterion.benchmark_group("verdict");
    group.throughput(Throughput::Elements(N)).sample_size(20);
    for (name, order) in [("headers in order", in_order()), ("headers, 1 % displaced", displaced())] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || world.account(0, &[]),
                |account| each(&order, |offset, header| account.message(offset, black_box(header), &mut ())),
                BatchSize::LargeInput,
            );
        });
    }
    // As the log's eye is shown them: each run in a batch of its producer's.
    group.bench_function("headers in order, batches told", |bencher| {
        bencher.iter_batched_ref(
            || world.account_of_log(0, &[]),
            |account| {
                each(&in_order(), |offset, header| {
                    if header.sequence % RUN == 0 {
                        account.observe(&Observation::Hidden { from: 0, end: offset }, &mut ());
                        let producer = i64::from(header.stream);
                        let facts = Batch { base_offset: offset, ..batch(producer, 0, header.sequence as i32) };
                        account.observe(&Observation::Batch(facts), &mut ());
                    }
                    account.message(offset, black_box(header), &mut ());
                });
            },
            BatchSize::LargeInput,
        );
    });
    let mut values = Vec::with_capacity(N as usize);
    each(&in_order(), |_, header| values.push(value(header)));
    let records: Vec<_> = (0..).zip(&values).map(|(offset, value)| Record { offset, value: Some(value) }).collect();
    group.bench_function("records of 58 bytes in order, checksum included", |bencher| {
        bencher.iter_batched_ref(
            || world.account(0, &[]),
            |account| account.observe(&Observation::Records(black_box(&records)), &mut ()),
            BatchSize::LargeInput,
        );
    });
    let mut account = world.account(0, &[]);
    each(&displaced(), |offset, header| {
        if offset % 100 != 7 {
            account.message(offset, header, &mut ());
        }
    });
    let scans = [ScanAccounts {
        isolation: Isolation::ReadUncommitted,
        incomplete: None,
        partitions: vec![account],
        sightings: None,
    }];
    group.bench_function("algebra with 1 % lost, ledger read included", |bencher| {
        bencher.iter(|| black_box(world.weigh(&scans)));
    });
    group.finish();
}

criterion_group!(benches, verdict);
criterion_main!(benches);
