//! The contracts of ackmark: what goes in, what passes between its processes, what comes out.
//!
//! Pure data: no Kafka, no threads, no I/O. Data flows one way, and each step's file is defined here:
//!
//! ```text
//! scenario ─► load spec ─► manifest + ledger ─► load report ─┐
//!     profile, promise        record header   ─► seal report ┼─► verify report ─► result
//!                                              ─► timeline ──┘
//! ```
//!
//! | module | contract |
//! |---|---|
//! | [`scenario`] | what to run, as a person writes it (TOML) |
//! | [`profile`] | a delivery setting by name: librdkafka properties (TOML) |
//! | [`variant`] | a profile with some of its values changed, inline in a scenario |
//! | [`properties`] | a client property with its value and origin |
//! | [`promise`] | what a setting may and must not do, derived from the properties in effect |
//! | [`anomaly`] | the classes that a verdict counts |
//! | [`mod@record`] | the header at the front of every message |
//! | [`load_spec`] | one producer run, as `ackmark load` takes it |
//! | [`manifest`] | who wrote a ledger and what its streams mean |
//! | [`report`] | what load, seal, verify and process found |
//! | [`log`] | what `ackmark log` prints, a line each |
//! | [`process`] | consumers and pipelines under test, and how their members are told what to do |
//! | [`latency`] | percentiles with their intervals |
//! | [`result`] | one whole run, with verdicts |
//! | [`semantics`] | each delivery semantic put to the test, and what it costs |
//! | [`peers`] | other tools beside ackmark on the same work |
//! | [`units`] | sizes, rates and times as people write them |
//! | [`text`] | reading TOML and JSON contracts with errors that name the cure |
//! | [`export`] | the JSON Schemas |
//!
//! Every file contract carries `schema`: its name and version (see [`version`]). A reader refuses
//! what it does not know.

#![deny(unsafe_code)]

pub mod anomaly;
mod checksum;
pub mod export;
pub mod latency;
pub mod load_spec;
pub mod log;
pub mod manifest;
pub mod peers;
pub mod process;
pub mod profile;
pub mod promise;
pub mod properties;
pub mod record;
pub mod report;
pub mod result;
pub mod scenario;
pub mod semantics;
pub mod text;
pub mod units;
pub mod variant;
pub mod version;
