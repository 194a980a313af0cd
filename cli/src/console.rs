//! The two streams: stdout for data, stderr for talk. Colour only where a terminal is and `NO_COLOR` is
//! not set, unless `--color` says otherwise.

use std::io::{self, ErrorKind, Write};

use owo_colors::{OwoColorize, Style};

use crate::{arguments::Color, problem::Problem};

/// Sets whether either stream is coloured.
pub(crate) fn set_color(color: Color) {
    match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Writes data to stdout.
///
/// # Errors
/// stdout cannot be written to; a reader that has gone away is none.
pub(crate) fn data(text: &str) -> Result<(), Problem> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Problem::runtime(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a JSON value to stdout.
///
/// # Errors
/// As [`data`].
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::runtime(format!("cannot write the outcome as JSON: {error}")))?;
    data(&format!("{text}\n"))
}

/// Says a line on stderr. A stderr that is gone silences it.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Tells a problem on stderr.
pub(crate) fn complain(problem: &Problem) {
    say(format_args!("{} {}", "error:".style(Style::new().red().bold()), problem.message));
    if let Some(hint) = &problem.hint {
        say(format_args!("{} {hint}", "hint:".style(Style::new().cyan().bold())));
    }
}

/// Whether stderr is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// Asks a yes-or-no question; `None` when there is no terminal to ask on.
pub(crate) fn confirm(question: &str) -> Option<bool> {
    if !io::IsTerminal::is_terminal(&io::stdin()) || !stderr_is_terminal() {
        return None;
    }
    let mut stderr = anstream::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).ok()?;
    drop(stderr);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
