//! What tests of several modules share.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    profile,
    scenario::{Keys, Message, Payload, Size},
    units::{Bytes, Count, Span},
    version::SchemaId,
};

/// A small spec of a built-in profile.
pub(crate) fn spec(profile: &str) -> LoadSpec {
    LoadSpec {
        schema: SchemaId::default(),
        run: 1,
        profile: profile::built_in().into_iter().find(|known| known.name == profile).unwrap(),
        properties: Vec::new(),
        topic: "t".into(),
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
