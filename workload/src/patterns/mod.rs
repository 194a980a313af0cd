//! The patterns, each a loop that can be read by itself. What they promise is in
//! [`ackmark_schema::process::Pattern::about`].

mod auto_commit;
mod commit_after;
mod copy;
mod deduplicate;
mod exactly_once;
mod transaction;

use ackmark_schema::process::Pattern;

use crate::{
    app::App,
    clients::{Consumer, Settings},
    error::WorkloadError,
};

pub(crate) use transaction::run as one_transaction;

/// Runs a pattern until the app wants an end.
pub(crate) fn run(settings: &Settings, consumer: &Consumer, app: &mut App) -> Result<(), WorkloadError> {
    match settings.work.pattern {
        Pattern::AutoCommit => auto_commit::run(settings, consumer, app),
        Pattern::CommitAfter => commit_after::run(settings, consumer, app),
        Pattern::Deduplicate => deduplicate::run(settings, consumer, app),
        Pattern::Copy => copy::run(settings, consumer, app),
        Pattern::ExactlyOnce => exactly_once::run(settings, consumer, app),
    }
}
