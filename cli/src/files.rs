//! Reading what the user names.

use std::{
    fs,
    io::{self, ErrorKind, Read as _},
    path::Path,
};

use crate::problem::Problem;

/// Longest text taken from stdin.
const STDIN_BYTES_MAX: u64 = 16 << 20;

/// Reads stdin to its end; `what` says what it was to be.
///
/// # Errors
/// It is no text, or longer than 16 MiB: bad input.
pub(crate) fn read_stdin(what: &str) -> Result<String, Problem> {
    let mut text = String::new();
    let read = io::stdin().lock().take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > STDIN_BYTES_MAX => {
            Err(Problem::usage(format!("the {what} on stdin is longer than 16 MiB")))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(Problem::usage(format!("cannot read the {what} from stdin: {error}"))),
    }
}

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
