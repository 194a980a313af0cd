//! Consumers and pipelines under test, written as users of librdkafka write them, by the `rdkafka` crate.
//!
//! What is judged, apart from who judges: nothing here decides whether a promise was kept. Each file under [`patterns`]
//! is a loop that can be read by itself: poll, process, commit. Around it is what a test needs and a user's program does
//! not have: a place where the loop stops so that it can be killed ([`App::reached`]), and figures.
//!
//! | module | what |
//! |---|---|
//! | [`patterns`] | the loops |
//! | `batch` | messages of a cycle, as a group's member gets them |
//! | `effect` | what an output is |
//! | `database` | effects and ids in SQLite or PostgreSQL |
//! | `app` | around a loop: points, journal, figures |
//! | `parent` | what is told and heard through pipes |
//! | [`mod@member`] | a member: told what to do, does it, tells how it ended |
//!
//! Limits: a member is one thread and one consumer. What does not pass by itself (librdkafka calls it fatal, or a topic, a
//! right or the database is not there) ends the member, and whoever runs it starts it anew, as a supervisor does.

mod app;
mod batch;
mod clients;
mod database;
mod effect;
mod error;
pub mod member;
mod parent;
pub mod patterns;

pub use app::App;
pub use database::{Store, StoreError};
pub use error::WorkloadError;
pub use member::run;
