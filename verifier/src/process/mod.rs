//! Whether a group of consumers did its work once per message, as its pattern promises.
//!
//! ```text
//! input (read_committed) ─► messages ─┐
//! journal · output · database ─► effects ─┼─► accounting ─► process-verdict.json
//! group's offsets (coordinator) ──────┘
//! ```
//!
//! Where a message is told by its offset (journal and output), each record of the input is one. Where it is told by its id
//! (database), copies of a message in the input are one: to have an effect once is then the pattern's work.
//!
//! What each crash left behind says how much has to be skipped or repeated (`process.json`); a count that differs from it
//! is not explained, and the verdict is inconclusive.
//!
//! | module | what |
//! |---|---|
//! | `accounting` | messages and effects, counted |
//! | `effects` | where effects are read from |
//! | `judge` | counts against the promise |
//!
//! Limits: four bytes for each offset of the input, 24 for each entry of the journal, and some 100 for each message where
//! it is told by its id.

mod accounting;
mod effects;
mod error;
mod judge;

pub use error::ProcessError;
pub use judge::{ProcessOptions, judge};
