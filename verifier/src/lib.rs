//! Reads the log back, accounts for every message, judges the promise. Reads only.
//!
//! ```text
//! reader ─► observations ─► accounting (per partition) ─┐
//!                             └─ stream, intervals      ├─► evidence ─► verdict ─► verify report
//!                                     ledger ───────────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`observation`] | what a reader can tell of a partition |
//! | [`intervals`], `runs`, [`stream`] | which sequences were seen, and from where: memory grows with gaps, not with messages |
//! | [`origin`] | where a copy came from, and why it is there once more |
//! | [`accounting`] | one partition as a scan has seen it |
//! | `committed` | what `read_committed` shows, by the markers |
//! | `others` | whose a damaged record is |
//! | [`evidence`] | the ledger against the scans: an exact tally per class |
//! | [`verdict`] | tallies against the promise |
//! | [`log_reader`] | the log's eye: the whole log at rest |
//! | [`reader`] | the application's eye: librdkafka consumers in threads |
//! | [`digest`], [`compare`] | one eye held against the other |
//! | [`scans`] | who reads, and when |
//! | [`live`], [`latency`], `visibility` | what is measured beside accounting when a load is followed |
//! | [`process`] | what a group of consumers did, against what its pattern promises |
//! | [`mod@verify`] | one verification, from load folder to report |
//!
//! Limits: a consumer is not shown markers, producer ids or holes, so what it reads leaves causes unexplained and gaps
//! unexamined. A log is judged up to its seal.

pub mod accounting;
mod committed;
pub mod compare;
mod cpu;
pub mod digest;
pub mod error;
pub mod evidence;
pub mod intervals;
pub mod latency;
pub mod live;
pub mod log_reader;
pub mod observation;
pub mod origin;
mod others;
pub mod process;
pub mod progress;
pub mod reader;
mod runs;
pub mod scans;
pub mod stream;
pub mod tally;
pub mod verdict;
pub mod verify;
mod visibility;

pub use error::VerifyError;
pub use progress::{Progress, ProgressEvent};
pub use reader::Limits;
pub use scans::Eyes;
pub use verify::{VerifyOptions, verify, verify_by};
