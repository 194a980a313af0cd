//! A manifest for ledgers in tests.

use ackmark_schema::{
    manifest::{Manifest, ProducerEntry, Stream, TopicStart},
    profile,
    promise::{Acks, Basis, Promise},
    version::SchemaId,
};

pub(crate) const RUN: u32 = 0xACED;

/// One producer per entry of `producers`, each with its streams and incarnations.
pub(crate) fn manifest(producers: &[(&[u32], &[u32])], transactional: bool) -> Manifest {
    let basis = Basis {
        acks: Acks::All,
        idempotence: transactional,
        transactional,
        retries: 5,
        max_in_flight: 5,
        replication_factor: 3,
        min_insync_replicas: 2,
        unclean_leader_election: false,
    };
    let entry = |(number, (streams, incarnations)): (usize, &(&[u32], &[u32]))| ProducerEntry {
        producer: number as u32,
        transactional_id: transactional.then(|| format!("t{number}")),
        incarnations: incarnations.to_vec(),
        streams: streams.iter().map(|&stream| Stream { stream, topic: 0, partition: stream }).collect(),
    };
    Manifest {
        schema: SchemaId::default(),
        run: RUN,
        started: "2026-01-01T00:00:00Z".parse().unwrap(),
        bootstrap_servers: "localhost:9092".into(),
        cluster_id: None,
        profile: profile::built_in().remove(2),
        properties: Vec::new(),
        promise: Promise::derive(basis, &[]),
        topics: vec![TopicStart { name: "t".into(), id: None, start_offsets: vec![0; 16] }],
        producers: producers.iter().enumerate().map(entry).collect(),
        resumed: Vec::new(),
        simulated: false,
    }
}
