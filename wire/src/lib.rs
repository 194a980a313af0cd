//! Kafka's protocol without a client: what the log reader and the doctor, and later the proxy, speak to brokers.
//!
//! | module | what |
//! |---|---|
//! | [`bytes_at`] | primitives of the protocol in a slice |
//! | [`batch`], [`record`], [`codec`] | record batches as they lie in the log, without a copy |
//! | [`config`], [`tls`], [`sasl`], [`socket`] | how a broker is reached |
//! | [`patience`] | waits that end: silence, deadline, stop |
//! | [`connection`], [`pool`] | requests and answers on one connection; connections that stay open |
//! | [`metadata`], [`fetch`] | who leads what; the log's bytes |
//! | [`transactions`] | transactions as coordinators and leaders know them |
//! | [`groups`] | consumer groups as coordinators know them |
//! | [`mod@scan`] | partitions read from start to end, over as many brokers as lead them |
//!
//! Limits: message format v2 only (Kafka 0.11 and later). It reads; nothing is written to a cluster.

pub mod batch;
pub mod bytes_at;
pub mod codec;
pub mod config;
pub mod connection;
pub mod error;
pub mod fetch;
pub mod groups;
pub mod metadata;
pub mod patience;
pub mod pool;
pub mod record;
pub mod sasl;
pub mod scan;
pub mod socket;
pub mod tls;
pub mod transactions;
