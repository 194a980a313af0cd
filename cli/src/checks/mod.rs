//! What stands in the way of a run: checks of the machine and of a Kafka.

pub(crate) mod kafka;
pub(crate) mod machine;
pub(crate) mod transactions;

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// A run is possible; its figures or its promise suffer.
    Warn,
    /// A run is not possible, or would prove nothing.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) what: &'static str,
    /// How it came out.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it, where it is not ok.
    pub(crate) cure: Option<String>,
}

impl Check {
    /// As it should be.
    pub(crate) fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Ok, found: found.into(), cure: None }
    }

    /// Not as it should be.
    pub(crate) fn cured(what: &'static str, state: State, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, state, found: found.into(), cure: Some(cure.into()) }
    }
}
