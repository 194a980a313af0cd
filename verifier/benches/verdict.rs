//! What the verdict costs per message: accounting of headers in order and with one message in a hundred
//! displaced, accounting of whole records with their checksum, and the algebra against the ledger.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use ackmark_ledger::State;
use ackmark_schema::{record::Header, report::verify::Isolation};
use ackmark_verifier::{
    evidence::ScanAccounts,
    observation::{Observation, Record},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use support::{World, header, value};

const N: u64 = 2_000_000;
/// Messages of one producer in a row, as batches bring them.
const RUN: u64 = 500;

/// Two producers' messages to one partition, in runs.
fn in_order() -> Vec<Header> {
    (0..N / 2 / RUN)
        .flat_map(|run| (0..2).flat_map(move |stream| (run * RUN..(run + 1) * RUN).map(move |n| header(stream, n, 0))))
        .collect()
}

/// One message in a hundred comes 50 places later.
fn disordered() -> Vec<Header> {
    let mut headers = in_order();
    for at in (0..headers.len() - 50).step_by(100) {
        headers[at..=at + 50].rotate_left(1);
    }
    headers
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
    for (name, headers) in [("headers in order", in_order()), ("headers, 1 % displaced", disordered())] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || world.account(0, &[]),
                |account| {
                    for (offset, header) in (0..).zip(&headers) {
                        account.message(offset, black_box(header), &mut ());
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    let values: Vec<_> = in_order().iter().map(value).collect();
    let records: Vec<_> = (0..).zip(&values).map(|(offset, value)| Record { offset, value: Some(value) }).collect();
    group.bench_function("records of 58 bytes in order, checksum included", |bencher| {
        bencher.iter_batched_ref(
            || world.account(0, &[]),
            |account| account.observe(&Observation::Records(black_box(&records)), &mut ()),
            BatchSize::LargeInput,
        );
    });
    let mut account = world.account(0, &[]);
    for (offset, header) in (0..).zip(disordered()).filter(|(offset, _)| offset % 100 != 7) {
        account.message(offset, &header, &mut ());
    }
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
