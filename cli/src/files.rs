//! Reading what the user names.

use std::{fs, io::ErrorKind, path::Path};

use crate::problem::Problem;

/// Reads a text file; `what` says what it was to be, for example `scenario`.
///
/// # Errors
/// It is not there, not readable or no text: bad input.
pub(crate) fn read(what: &str, path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|error| {
        let problem = Problem::usage(format!("cannot read the {what} {}: {error}", path.display()));
        match error.kind() {
            ErrorKind::NotFound => problem.hint("check the path; it is taken from the current folder"),
            ErrorKind::InvalidData => problem.hint("it must be UTF-8 text"),
            ErrorKind::IsADirectory => problem.hint("name the file in it"),
            _ => problem,
        }
    })
}
