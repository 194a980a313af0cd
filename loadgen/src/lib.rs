//! The load: schedule → produce → delivery reports → ledger, latency.
//!
//! # Model
//! Each producer has a thread that sends and a thread that hears of deliveries. They share counters of
//! which each has one writer, and nothing that locks. Values are prepared beforehand; a header is written
//! in front of a body and a run of messages of one partition is handed to librdkafka by one call.
//!
//! - `max`: as fast as the bound on what is outstanding allows; for throughput, not for latency.
//! - `rate`: an open loop. The intended time of each message is fixed beforehand; latencies count from it.
//!
//! One more thread, the caller's, collects the seconds, watches the clock and tells how it goes.
//!
//! # Limits
//! Linux only. 64 producers, 10,000 partitions, 2^48 messages per stream. What is outstanding is bounded
//! for the whole run; so are all waits. Each producer holds its own pool of values and, in an open loop, 32
//! bytes per message that may be outstanding.
//!
//! | module | what |
//! |---|---|
//! | [`mod@run`] | one load, from its spec to its report |
//! | `life` | where a next incarnation goes on with a run, and what it sends again |
//! | [`progress`] | how it goes |
//! | [`error`] | why it does not start |
//! | `properties`, `cluster` | what the client gets, what the cluster says |
//! | `schedule`, `window` | when messages are sent, which of them are measured |
//! | `payload`, `calibrate`, `size`, `keys`, `assign` | what is sent, and where to |
//! | `sender`, `fill`, `outlet`, `transactions` | the send thread |
//! | `delivery`, `runs`, `opaque`, `slab` | the delivery thread, and what a report tells it |
//! | `flow` | what the two tell each other |
//! | `latency`, `timeline`, `hlog`, `report` | what comes out |
//! | `clock`, `usage`, `files` | the machine |

#![deny(unsafe_code)]

mod assign;
mod calibrate;
mod clock;
mod cluster;
mod delivery;
pub mod error;
mod files;
mod fill;
mod flow;
mod hlog;
mod keys;
mod latency;
mod life;
mod opaque;
mod outlet;
mod payload;
pub mod progress;
mod properties;
mod report;
pub mod run;
mod runs;
mod schedule;
mod sender;
mod size;
mod slab;
#[doc(hidden)]
pub mod steps;
mod timeline;
mod transactions;
mod usage;
mod values;
mod window;

pub use error::LoadError;
pub use hlog::{LATENCY_FILE, TRANSACTIONS_FILE};
pub use life::{Resume, Resumption};
pub use progress::{Progress, Stage, Update};
pub use run::{resume, run};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble;
