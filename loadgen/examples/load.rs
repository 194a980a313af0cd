//! The load with everything on, to be compared with the client's example `bare_loop`, whose arguments it
//! takes: what header, ledger and counters cost.
//!
//! `load BOOTSTRAP TOPIC COUNT SIZE [PARTITIONS] [key=value …]`; `mock` as BOOTSTRAP starts librdkafka's mock
//! cluster in this process. stdout: messages per second. stderr: CPU seconds per million messages.
#![allow(clippy::print_stdout, reason = "the figure is what this program is for")]

use std::{error::Error, sync::atomic::AtomicBool, time::Duration};

use ackmark_client::MockCluster;
use ackmark_loadgen::run;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    profile,
    properties::{Origin, Property},
    scenario::{Keys, Message, Payload, Size},
    units::{Bytes, Count, Span},
    version::SchemaId,
};

const DEFAULTS: [(&str, &str); 4] =
    [("linger.ms", "5"), ("batch.size", "1000000"), ("batch.num.messages", "10000"), ("max.in.flight", "5")];

fn main() -> Result<(), Box<dyn Error>> {
    let (settings, arguments): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.contains('='));
    let [bootstrap, topic, count, size, rest @ ..] = &arguments[..] else {
        return Err("usage: load BOOTSTRAP TOPIC COUNT SIZE [PARTITIONS] [key=value …]".into());
    };
    let partitions: u32 = rest.first().map_or(Ok(6), |text| text.parse())?;
    let mock = (bootstrap == "mock").then(|| MockCluster::start(3)).transpose()?;
    if let Some(mock) = &mock {
        mock.create_topic(topic, partitions as i32, 3)?;
    }
    let servers = mock.as_ref().map_or(bootstrap.as_str(), MockCluster::bootstrap_servers);
    let property =
        |(name, value): (&str, &str)| Property { name: name.into(), value: value.into(), origin: Origin::Flag };
    let set = settings.iter().filter_map(|text| text.split_once('='));
    let properties = [("bootstrap.servers", servers)].into_iter().chain(DEFAULTS).chain(set).map(property).collect();
    let profiles = profile::built_in();
    let spec = LoadSpec {
        schema: SchemaId::default(),
        run: 1,
        profile: profiles.into_iter().find(|profile| profile.name == "all-acks").ok_or("no profile all-acks")?,
        properties,
        topics: vec![topic.clone()],
        partitions,
        message: Message { size: Size::Fixed(Bytes(size.parse()?)), payload: Payload::Random, keys: Keys::None },
        producers: 1,
        outstanding: Count(500_000),
        outstanding_bytes: Bytes(512 << 20),
        schedule: Schedule::Max,
        warm_up: Span(Duration::ZERO),
        duration: Span(Duration::from_mins(10)),
        messages: Some(Count(count.parse()?)),
        drain_timeout: Span(Duration::from_mins(1)),
        seed: 1,
        verified: std::env::var_os("UNVERIFIED").is_none(),
        simulated: mock.is_some(),
    };
    let folder = tempfile::tempdir()?;
    let report = run(&spec, folder.path(), &(), &AtomicBool::new(false))?;
    println!("{:.0}", report.measured.delivered_per_s);
    let cpu_s = report.measured.cpu.total_s() / (report.measured.delivered as f64 / 1e6);
    eprintln!("{:?}: {cpu_s:.3} s of CPU per million messages; {:?}", report.ending, report.total);
    Ok(())
}
