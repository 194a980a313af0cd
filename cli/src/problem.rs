//! What went wrong, in one message, with its cure.

use std::{error::Error, fmt};

use ackmark_schema::text::TextError;

use crate::exit::Exit;

/// A reason to end without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The exit that it leads to.
    pub(crate) exit: Exit,
    /// What failed, causes included.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// Bad input: nothing was started.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, &message.to_string())
    }

    /// A failure of the machine, the network or Kafka.
    pub(crate) fn runtime(message: impl fmt::Display) -> Self {
        Self::new(Exit::Runtime, &message.to_string())
    }

    /// The user wanted an end before there was an outcome.
    pub(crate) fn interrupted(error: &(dyn Error + 'static)) -> Self {
        Self::new(Exit::Interrupted, &chain(error))
    }

    /// A failure with its chain of causes.
    pub(crate) fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::new(Exit::Runtime, &chain(error))
    }

    /// Bad input with its chain of causes.
    pub(crate) fn refused(error: &(dyn Error + 'static)) -> Self {
        Self::new(Exit::Usage, &chain(error))
    }

    /// Says what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says whom it is about, unless that is told already.
    #[must_use]
    pub(crate) fn about(mut self, whom: &str) -> Self {
        if !self.message.contains(whom) {
            self.message = format!("{whom}: {}", self.message);
        }
        self
    }

    /// A message may end with its own `hint: …` line.
    fn new(exit: Exit, message: &str) -> Self {
        match message.rsplit_once("\nhint: ") {
            Some((message, hint)) => {
                Self { exit, message: message.trim_end().to_owned(), hint: Some(hint.trim_end().to_owned()) }
            }
            None => Self { exit, message: message.trim_end().to_owned(), hint: None },
        }
    }
}

impl From<TextError> for Problem {
    fn from(error: TextError) -> Self {
        Self::usage(error)
    }
}

/// An error and its causes; a cause that the error's own text already tells is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hint_in_the_message_becomes_the_hint() {
        let problem = Problem::usage("x.toml: unknown field `a`\nhint: did you mean `b`?");
        assert_eq!(problem.message, "x.toml: unknown field `a`");
        assert_eq!(problem.hint.as_deref(), Some("did you mean `b`?"));
        assert_eq!(problem.exit, Exit::Usage);
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug)]
        struct Outer(bool, std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.0 { write!(f, "cannot read a: {}", self.1) } else { f.write_str("cannot read a") }
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.1)
            }
        }
        for told in [true, false] {
            let problem = Problem::failed(&Outer(told, std::io::Error::other("disk on fire")));
            assert_eq!(problem.message, "cannot read a: disk on fire");
        }
    }
}
