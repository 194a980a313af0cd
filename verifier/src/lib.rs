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
//! | [`intervals`], [`stream`] | which sequences were seen: memory grows with gaps, not with messages |
//! | [`accounting`] | one partition as a scan has seen it |
//! | `others` | whose a damaged record is |
//! | [`evidence`] | the ledger against the scans: an exact tally per class |
//! | [`verdict`] | tallies against the promise |
//! | [`reader`] | the application's eye: librdkafka consumers in threads |
//! | [`live`], [`latency`] | what is measured beside accounting when a load is followed |
//! | [`mod@verify`] | one verification, from load folder to report |
//!
//! Limits: at rest only what a consumer is shown can be judged: hidden control records leave gaps in
//! offsets which are counted and mean nothing by themselves. A log is judged up to its seal.

pub mod accounting;
mod cpu;
pub mod error;
pub mod evidence;
pub mod intervals;
pub mod latency;
pub mod live;
pub mod observation;
mod others;
pub mod progress;
pub mod reader;
pub mod stream;
pub mod tally;
pub mod verdict;
pub mod verify;

pub use error::VerifyError;
pub use progress::{Progress, ProgressEvent};
pub use reader::Limits;
pub use verify::{VerifyOptions, verify};
