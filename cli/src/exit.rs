//! Exit codes. They are part of the contract with scripts: the README and `ackmark --help` list them.

use std::process::ExitCode;

use ackmark_schema::report::verify::Verdict;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that was promised was held, or the command did its work.
    Success,
    /// Something failed while it ran.
    Runtime,
    /// The command, a file or a value cannot be used; nothing was started.
    Usage,
    /// A promise was broken.
    Broken,
    /// The measurement is invalid, or no verdict could be reached.
    Inconclusive,
    /// Ctrl-C or SIGTERM; what was measured was written.
    Interrupted,
}

impl Exit {
    /// The code that the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Runtime => 1,
            Self::Usage => 2,
            Self::Broken => 3,
            Self::Inconclusive => 4,
            Self::Interrupted => 130,
        }
    }

    /// The exit that a verdict asks for.
    pub(crate) const fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Held | Verdict::HeldUnprovoked | Verdict::NotJudged => Self::Success,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Broken => Self::Broken,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table of exit codes, as help prints it.
pub(crate) const HELP: &str = "\
Exit codes:
  0    all promises were held, or the command did its work
  1    something failed while it ran
  2    the command line, a file or a value cannot be used; nothing was started
  3    a promise was broken
  4    the measurement is invalid, or no verdict could be reached
  5    reserved: a regression was found
  99   reserved: a service level was missed
  130  interrupted; what was measured was written";
