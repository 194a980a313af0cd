//! The bare librdkafka batch-consume loop: what reading costs without looking at what is read.
//!
//! `bare_read BOOTSTRAP TOPIC [key=value …]` reads all partitions from their start to their end as it is when they are
//! reached, in batches, and only counts. stdout: how many messages were read, from the creation of the client to the
//! last end of a partition, in what time. `make peers` runs it beside other tools.
#![allow(clippy::print_stdout, reason = "the figure is what this program is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use ackmark_client::{
    AdminClient, BatchConsumer, ClientProperties, Fetched, LogSink, StartOffset, fast_read_properties,
};
use ackmark_schema::properties::Origin;

/// How long a broker may take to tell of the topic.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time without a message or an end.
const SILENCE_MAX: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let (settings, arguments): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.contains('='));
    let [bootstrap, topic] = &arguments[..] else {
        return Err("usage: bare_read BOOTSTRAP TOPIC [key=value …]".into());
    };
    let connection = ClientProperties::with_bootstrap(bootstrap, Origin::Flag);
    let partitions = AdminClient::new(&connection, LogSink::discard())?.topic(topic, TIMEOUT)?.partitions.len();
    let mut properties = fast_read_properties();
    properties.merge(&connection).add_text(&settings.join("\n"), "arguments", Origin::Flag)?;

    let start = Instant::now();
    let mut consumer = BatchConsumer::new(&properties, LogSink::new(|line| eprintln!("{}", line.message)))?;
    for partition in 0..partitions {
        consumer.assign(topic, partition as i32, StartOffset::Beginning)?;
    }
    let (mut messages, mut open, mut last) = (0_u64, partitions, start);
    while open > 0 {
        let batch = consumer.poll_batch(Duration::from_millis(20));
        if batch.is_empty() {
            if last.elapsed() > SILENCE_MAX {
                return Err(format!("nothing came for {} s", SILENCE_MAX.as_secs()).into());
            }
            continue;
        }
        last = Instant::now();
        for entry in batch.iter() {
            match entry {
                Fetched::Record(_) => messages += 1,
                Fetched::End { .. } => open -= 1,
                Fetched::Error { code, reason, partition, .. } => {
                    return Err(format!("partition {partition} cannot be read: {code} {reason}").into());
                }
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{messages} messages read in {seconds:.6} s: {:.0} messages/s", messages as f64 / seconds);
    Ok(())
}
