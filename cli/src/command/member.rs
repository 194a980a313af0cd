//! `ackmark member`: a member of a group that `ackmark process` runs. Not for people: it is told what to do on stdin.

use crate::{exit::Exit, problem::Problem};

/// Does what it is told.
///
/// # Errors
/// It was not told what to do, or cannot begin.
pub(crate) fn run() -> Result<Exit, Problem> {
    ackmark_workload::run().map(|()| Exit::Success).map_err(|error| Problem::failed(&error))
}
