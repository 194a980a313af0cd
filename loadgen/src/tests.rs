//! What tests of several modules share.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    manifest::{Manifest, ProducerEntry, Stream, TopicStart},
    profile,
    promise::{Acks, Basis, Promise},
    scenario::{Keys, Message, Payload, Size},
    units::{Bytes, Count, Span},
    version::SchemaId,
};
use jiff::Timestamp;

/// A small spec of a built-in profile.
pub(crate) fn spec(profile: &str) -> LoadSpec {
    LoadSpec {
        schema: SchemaId::default(),
        run: 1,
        profile: profile::built_in().into_iter().find(|known| known.name == profile).unwrap(),
        properties: Vec::new(),
        topics: vec!["t".into()],
        partitions: 6,
        message: Message { size: Size::Fixed(Bytes(100)), payload: Payload::Random, keys: Keys::None },
        producers: 1,
        outstanding: Count(50_000),
        outstanding_bytes: Bytes(64 << 20),
        schedule: Schedule::Max,
        warm_up: Span(Duration::ZERO),
        duration: Span(Duration::from_secs(1)),
        messages: None,
        drain_timeout: Span(Duration::from_secs(10)),
        seed: 1,
        verified: true,
        simulated: true,
    }
}

/// The manifest of one producer's run 1, a stream for each partition.
pub(crate) fn manifest(partitions: u32) -> Manifest {
    let basis = Basis {
        acks: Acks::All,
        idempotence: false,
        transactional: false,
        retries: 5,
        max_in_flight: 5,
        replication_factor: 3,
        min_insync_replicas: 2,
        unclean_leader_election: false,
    };
    Manifest {
        schema: SchemaId::default(),
        run: 1,
        started: Timestamp::UNIX_EPOCH,
        bootstrap_servers: String::new(),
        cluster_id: None,
        profile: spec("all-acks").profile,
        properties: Vec::new(),
        promise: Promise::derive(basis, &[]),
        topics: vec![TopicStart { name: "t".into(), id: None, start_offsets: vec![0; partitions as usize] }],
        producers: vec![ProducerEntry {
            producer: 0,
            transactional_id: None,
            incarnations: vec![0],
            streams: (0..partitions).map(|partition| Stream { stream: partition, topic: 0, partition }).collect(),
        }],
        resumed: Vec::new(),
        simulated: true,
    }
}
