//! What tests and benches of whole loads share.
#![allow(clippy::unwrap_used, reason = "a test or a bench that cannot go on fails")]

use std::time::Duration;

use ackmark_client::MockCluster;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    profile,
    properties::{Origin, Property},
    scenario::{Keys, Message, Payload, Size},
    units::{Bytes, Count, Span},
    version::SchemaId,
};

/// A load of 100 B messages with a built-in profile, as fast as possible, for at most half a minute.
pub(crate) fn spec(cluster: &MockCluster, topic: &str, partitions: u32, profile: &str) -> LoadSpec {
    let servers = cluster.bootstrap_servers().to_owned();
    LoadSpec {
        schema: SchemaId::default(),
        run: 0xace,
        profile: profile::built_in().into_iter().find(|known| known.name == profile).unwrap(),
        properties: vec![Property { name: "bootstrap.servers".into(), value: servers, origin: Origin::Flag }],
        topics: vec![topic.into()],
        partitions,
        message: Message { size: Size::Fixed(Bytes(100)), payload: Payload::Random, keys: Keys::None },
        producers: 1,
        outstanding: Count(20_000),
        outstanding_bytes: Bytes(64 << 20),
        schedule: Schedule::Max,
        warm_up: Span(Duration::ZERO),
        duration: Span(Duration::from_secs(30)),
        messages: None,
        drain_timeout: Span(Duration::from_secs(20)),
        seed: 42,
        verified: true,
        simulated: true,
    }
}
