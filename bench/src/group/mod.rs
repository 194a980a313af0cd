//! Groups of consumers under test: members as child processes, killed at points of their cycle, started again, until the
//! input is processed.
//!
//! ```text
//! survey of the input ─► members ─► a crash at each point ─► offsets at the input's end ─► process.json
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`mod@member`] | one member, as a handle |
//! | `survey` | what there is to be processed |
//! | `crew` | all members of a group |
//!
//! What a crash leaves behind is told by the group's coordinator and by the point, so what must come of it is known before
//! it has come. Whether it did is the verifier's to find.
//!
//! Limits: what is written to the input after the survey may be processed, and is not judged.

mod crew;
mod error;
pub mod member;
mod survey;

pub use crew::{Answered, Crew, CrewPlan};
pub use error::GroupError;
pub use member::{Heard, Launch, Member};
