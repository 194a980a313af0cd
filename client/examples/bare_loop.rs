//! The bare librdkafka produce loop: the ceiling that ackmark's own producing is compared with.
//!
//! `bare_loop BOOTSTRAP TOPIC COUNT SIZE [PARTITIONS] [key=value …]` sends COUNT messages of SIZE bytes in
//! runs of 1,000, a batch to each partition in turn as ackmark does, at most 500,000 outstanding, with a delivery
//! thread that only counts. No header, no checksum, no ledger, no histogram. stdout: how many messages were
//! acknowledged, from the first send to the last acknowledgement, in what time; it connects before. `make peers` runs it
//! beside other tools.
#![allow(clippy::print_stdout, reason = "the figure is what this program is for")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ackmark_client::{ClientProperties, DeliveryBatch, ErrorCode, EventSink, LogSink, MessageBatch, RawProducer};
use ackmark_schema::properties::Origin;

const RUN: usize = 1_000;
const DEFAULTS: [(&str, &str); 7] = [
    ("acks", "all"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "10000"),
    ("max.in.flight", "5"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "1048576"),
];

/// Counts reports; errors of the client go to stderr.
struct Count<'a> {
    done: &'a AtomicU64,
    failed: &'a AtomicU64,
}

impl EventSink for Count<'_> {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        let failed = batch.iter().filter(|message| message.error_code().is_some()).count();
        self.failed.fetch_add(failed as u64, Ordering::Relaxed);
        self.done.fetch_add(batch.len() as u64, Ordering::Release);
    }

    fn error(&mut self, code: ErrorCode, reason: &str, _fatal: bool) {
        eprintln!("{code}: {reason}");
    }
}

/// Ends the delivery thread however the sending ends.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (settings, arguments): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.contains('='));
    let [bootstrap, topic, count, size, rest @ ..] = &arguments[..] else {
        return Err("usage: bare_loop BOOTSTRAP TOPIC COUNT SIZE [PARTITIONS] [key=value …]".into());
    };
    let (count, size): (u64, usize) = (count.parse()?, size.parse()?);
    let partitions: i32 = rest.first().map_or(Ok(6), |text| text.parse())?;
    let mut properties = ClientProperties::with_bootstrap(bootstrap, Origin::Flag);
    for (name, value) in DEFAULTS {
        properties.set(name, value, Origin::Tool);
    }
    properties.add_text(&settings.join("\n"), "arguments", Origin::Flag)?;
    let producer = RawProducer::new(&properties, LogSink::new(|line| eprintln!("{}", line.message)))?;
    producer.connect(topic, Duration::from_secs(30))?;
    let topic = producer.topic(topic)?;
    // Many small batches cost the brokers more than the same messages in few.
    let number = |name| properties.value(name).map_or(Ok(usize::MAX), str::parse);
    let runs_per_turn = number("batch.num.messages")?.min(number("batch.size")? / size.max(1)).div_ceil(RUN);
    let payload = vec![b'x'; size];
    let (done, failed, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));

    let start = Instant::now();
    std::thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        scope.spawn(|| {
            let mut sink = Count { done: &done, failed: &failed };
            while done.load(Ordering::Acquire) < count && !stop.load(Ordering::Acquire) {
                producer.poll_events(Duration::from_millis(100), &mut sink);
            }
        });
        let mut batch = MessageBatch::new(RUN);
        for (run, first) in (0..count).step_by(RUN).enumerate() {
            batch.clear();
            for i in first..count.min(first + RUN as u64) {
                batch.push(&payload, None, i);
            }
            let partition = (run / runs_per_turn) as i32 % partitions;
            while let Some(code) = producer.produce_run(&topic, partition, &mut batch).first_error() {
                if code != ErrorCode::QUEUE_FULL {
                    return Err(format!("a message was refused: {code}; {}", code.cure()));
                }
                batch.retain_rejected();
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if producer.flush(Duration::from_mins(5)) { Ok(()) } else { Err("not flushed in 5 min".to_owned()) }
    })?;
    if failed.load(Ordering::Relaxed) > 0 {
        return Err(format!(
            "{} messages were not delivered; check the topic's partitions",
            failed.load(Ordering::Relaxed)
        )
        .into());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{count} messages acknowledged in {seconds:.6} s: {:.0} messages/s", count as f64 / seconds);
    Ok(())
}
