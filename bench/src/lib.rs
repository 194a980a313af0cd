//! The main job: plan, trials, judgement; writes the result.
//!
//! ```text
//! scenario ─► plan ─► warm-up ─► trials ─► judge ─► result folder
//!             guards            │ topic, load, seal, verify (child processes)
//!             budget            └ after each trial the result is written again
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`shipped`] | the scenarios that come with the program |
//! | [`plan`] | which trial runs when: profiles × phases × rounds, paired and shuffled |
//! | [`outline`] | a plan for a person to read: `--dry-run` |
//! | [`budget`] | how long a plan takes and what it writes, from above |
//! | `disk` | room for a local cluster's topics |
//! | [`guards`] | what is allowed on somebody else's cluster |
//! | [`rates`] | rates of open-loop phases that are derived from measured ones |
//! | [`target`] | the Kafka under test, as little as is needed of it |
//! | `child` | child processes of this program, bounded and stoppable |
//! | `topics`, `load_spec`, `handover`, `warm_up`, `trial` | one trial from its topic to its record |
//! | `evidence` | topics that stay where a verdict leaves a doubt |
//! | [`group`] | groups of consumers under test: members as child processes, killed and started again |
//! | [`semantics`] | each delivery semantic put to the test, and what it costs |
//! | `steadiness`, `validity` | whether a trial's figures may be used |
//! | [`judge`] | summaries, comparisons, claims, verdicts over trials |
//! | [`result_folder`], [`readme`] | what is left on disk |
//! | [`event`] | what is told meanwhile; nothing is printed here |
//!
//! Figures come from the children's reports (`load.json`, `seal.json`, `verify.json`, `timeline.json`), never
//! from their progress lines.

#![deny(unsafe_code)]

pub mod budget;
mod child;
mod comparability;
mod disk;
mod environment;
mod error;
pub mod event;
mod evidence;
pub mod group;
pub mod guards;
mod handover;
pub mod judge;
mod latencies;
mod load_spec;
pub mod options;
pub mod outline;
pub mod plan;
pub mod rates;
pub mod readme;
mod redaction;
mod reports;
pub mod result_folder;
mod run;
pub mod semantics;
pub mod shipped;
mod steadiness;
pub mod target;
mod topics;
mod trial;
mod validity;
mod warm_up;
mod warnings;

pub use child::PARENT_VARIABLE;
pub use environment::environment;
pub use error::BenchError;
pub use event::{BenchEvent, ChildKind, Events, Progress};
pub use handover::PROPERTIES_FROM_STDIN;
pub use options::BenchOptions;
pub use plan::{Choices, Plan, PlannedTrial};
pub use run::run;
pub use target::Target;
