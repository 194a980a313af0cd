//! Reads a topic as fast as it goes, from all its brokers, and says how fast that was:
//! `cargo run --release -p ackmark-wire --example read -- BOOTSTRAP TOPIC [CONNECTIONS] [MAX_BYTES] [PARTITION_BYTES]`.
//!
//! Every batch's checksum is compared; each record is walked, its offset compared with the one before and its value's
//! bytes counted.

use std::{fs, sync::atomic::AtomicBool, time::Duration};

use ackmark_wire::{
    batch::{Batch, BatchError},
    codec::Decompressor,
    config::WireConfig,
    metadata::{Directory, OffsetSpec},
    patience::Patience,
    scan::{Outcome, ScanPlan, Target, Visitor, scan},
};

#[derive(Default)]
struct Count {
    records: u64,
    control: u64,
    value_bytes: u64,
    next: i64,
    gaps: u64,
    unreadable: u64,
}

impl Visitor for Count {
    fn log_start(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    fn last_stable(&mut self, _offset: i64) {}

    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        if batch.header.is_control() {
            self.control += 1;
            self.next = batch.header.next_offset();
            return Ok(());
        }
        for record in batch.records(decompressor)? {
            let record = record?;
            self.gaps += u64::from(record.offset != self.next);
            self.next = record.offset + 1;
            self.records += 1;
            self.value_bytes += record.value.map_or(0, <[u8]>::len) as u64;
        }
        self.next = batch.header.next_offset();
        Ok(())
    }

    fn unreadable(&mut self, from: i64, end: i64, _error: &(dyn std::error::Error + 'static)) {
        self.unreadable += (end - from).unsigned_abs();
        self.next = end;
    }

    fn nothing(&mut self, _from: i64, end: i64) {
        self.next = end;
    }

    fn end(&mut self, _offset: i64) {}
}

/// Processor time of this process so far, in seconds: user and system, in the kernel's ticks of 10 ms.
fn cpu_s() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

#[allow(clippy::print_stdout, reason = "its figures are its data")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(bootstrap), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("give bootstrap servers and a topic".into());
    };
    let mut number = || arguments.next().map(|text| text.parse::<i32>()).transpose();
    let (connections, max_bytes, partition_max_bytes) = (number()?, number()?, number()?);
    let config = WireConfig::from_properties([("bootstrap.servers", bootstrap.as_str())])?;
    let mut plan = ScanPlan::new(&config);
    plan.connections_per_broker = connections.map(usize::try_from).transpose()?.filter(|connections| *connections > 0);
    plan.sizes.max_bytes = max_bytes.unwrap_or(plan.sizes.max_bytes);
    plan.sizes.partition_max_bytes = partition_max_bytes.unwrap_or(plan.sizes.partition_max_bytes);

    let stop = AtomicBool::new(false);
    let patience = Patience::new(&stop, Duration::from_secs(10));
    let mut directory = Directory::new(&config);
    let partitions = directory.partitions(&topic, &patience)?;
    let starts = directory.offsets(&topic, &partitions, OffsetSpec::Earliest, &patience)?;
    let ends = directory.offsets(&topic, &partitions, OffsetSpec::Latest, &patience)?;
    let targets = starts.iter().map(|(&partition, &start)| {
        let target = Target { topic: topic.clone(), partition, start, end: ends[&partition] };
        (target, Count { next: start, ..Count::default() })
    });
    let cpu_before = cpu_s()?;
    let (mut elapsed, mut bytes) = (Duration::ZERO, 0);
    let scanned = scan(&plan, targets.collect(), &stop, |progress| {
        (elapsed, bytes) = (progress.elapsed, progress.bytes);
    })?;
    let cpu = cpu_s()? - cpu_before;
    let sum = |of: fn(&Count) -> u64| scanned.iter().map(|scanned| of(&scanned.visitor)).sum::<u64>();
    for scanned in &scanned {
        if let Outcome::Incomplete { reason } = &scanned.outcome {
            eprintln!("{reason}");
        }
    }
    let (records, seconds) = (sum(|count| count.records), elapsed.as_secs_f64());
    println!(
        "{{\"records\":{records},\"control\":{},\"gaps\":{},\"unreadable\":{},\"seconds\":{seconds:.3},\
         \"records_per_s\":{:.0},\"mb_per_s\":{:.0},\"value_bytes\":{},\"cpu_s\":{cpu:.2},\"complete\":{}}}",
        sum(|count| count.control),
        sum(|count| count.gaps),
        sum(|count| count.unreadable),
        records as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        sum(|count| count.value_bytes),
        scanned.iter().all(|scanned| scanned.outcome == Outcome::Complete),
    );
    Ok(())
}
