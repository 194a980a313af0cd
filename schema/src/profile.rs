//! A delivery setting by name: librdkafka properties as data.
//!
//! The five built-in profiles are TOML files read by the same code as a user's own. A profile says
//! what is set, never what is promised: the promise is derived from the properties in effect
//! ([`crate::promise`]); a profile can only tighten it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Class,
    text::{self, TextError},
    units::{Bytes, Count, Span},
};

/// A delivery setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// Lower-case letters, digits and dashes.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// When to choose it.
    #[serde(default)]
    pub use_when: String,
    /// librdkafka properties; all that is not named keeps the scenario's value or librdkafka's default.
    pub properties: IndexMap<String, String>,
    /// What the setting is measured with where a scenario and the command line say nothing else.
    #[serde(default, skip_serializing_if = "Tuning::is_default")]
    pub tuning: Tuning,
    /// How messages are grouped in transactions; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Transactions>,
    /// Classes that must not occur, beyond those that follow from the properties.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not: Vec<Class>,
}

/// How much is under way and in what batches: no part of the setting, but chosen for it by measurement. Weaker than a
/// scenario's values and the command line's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Tuning {
    /// Most messages that one producer has outstanding. Default 500k.
    pub outstanding: Count,
    /// Most bytes that one producer has outstanding. Default 128MiB.
    pub outstanding_bytes: Bytes,
    /// librdkafka properties, for example `linger.ms`.
    pub properties: IndexMap<String, String>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { outstanding: Count(500_000), outstanding_bytes: Bytes(128 << 20), properties: IndexMap::new() }
    }
}

impl Tuning {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How messages are grouped in transactions: whichever bound is reached first ends one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Transactions {
    /// A transaction ends this long after it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// A transaction ends after this many messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Count>,
    /// The share of transactions that are aborted instead of committed, spread evenly: 0 to 1. All of their messages are
    /// in the log by then.
    #[serde(default)]
    pub abort_share: f64,
}

impl Transactions {
    /// What ends one, to read: `100ms`, `10k messages`, `100ms or 10k messages`.
    pub fn bounds(&self) -> String {
        let duration = self.duration.map(|duration| duration.to_string());
        let messages = self.messages.map(|messages| format!("{messages} messages"));
        duration.into_iter().chain(messages).collect::<Vec<_>>().join(" or ")
    }

    /// Whether transaction `number`, counted from 1, is one of those that are aborted.
    pub fn aborts(&self, number: u32) -> bool {
        let until = |number: u32| (f64::from(number) * self.abort_share).floor();
        until(number) > until(number.saturating_sub(1))
    }
}

/// The built-in profiles, from the weakest to the strongest.
const BUILT_IN: [(&str, &str); 5] = [
    ("at-most-once", include_str!("../profiles/at-most-once.toml")),
    ("leader-ack", include_str!("../profiles/leader-ack.toml")),
    ("all-acks", include_str!("../profiles/all-acks.toml")),
    ("idempotent", include_str!("../profiles/idempotent.toml")),
    ("transactional", include_str!("../profiles/transactional.toml")),
];

/// The built-in profiles, from the weakest to the strongest.
///
/// # Panics
/// Never: the files are part of the program and read in a test.
pub fn built_in() -> Vec<Profile> {
    BUILT_IN
        .iter()
        .map(|(name, text)| Profile::from_toml(name, text).expect("a built-in profile is read in a test"))
        .collect()
}

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    /// Not TOML, an unknown key, or a value that cannot work.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, TextError> {
        let profile: Self = text::from_toml(file, text)?;
        profile.check().map_err(|problem| TextError { file: file.into(), problem })?;
        Ok(profile)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The problem, naming the field and the accepted form.
    pub fn check(&self) -> Result<(), String> {
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(sound) {
            return Err(format!("profile name \"{}\": use 1 to 40 lower-case letters, digits and dashes", self.name));
        }
        for name in ["transactional.id", "bootstrap.servers", "metadata.broker.list"] {
            if self.properties.contains_key(name) || self.tuning.properties.contains_key(name) {
                return Err(format!("profile {}: `{name}` is set by each run; take it out of [properties]", self.name));
            }
        }
        if let Some(name) = self.tuning.properties.keys().find(|name| self.properties.contains_key(*name)) {
            return Err(format!(
                "profile {}: `{name}` stands in [properties] and in [tuning.properties]; keep one of them",
                self.name
            ));
        }
        if self.tuning.outstanding.0 == 0 || self.tuning.outstanding_bytes.0 == 0 {
            return Err(format!(
                "profile {}: tuning.outstanding and tuning.outstanding-bytes must be above zero",
                self.name
            ));
        }
        match self.transactions {
            Some(Transactions { duration: None, messages: None, .. }) => Err(format!(
                "profile {}: [transactions] needs `duration` (like \"100ms\"), `messages` (like \"10k\") or both",
                self.name
            )),
            Some(Transactions { messages: Some(Count(0)), .. }) => {
                Err(format!("profile {}: transactions.messages must be at least 1", self.name))
            }
            Some(Transactions { duration: Some(span), .. }) if span.0.is_zero() => {
                Err(format!("profile {}: transactions.duration must be above zero", self.name))
            }
            Some(Transactions { abort_share, .. }) if !(0.0..=1.0).contains(&abort_share) => Err(format!(
                "profile {}: transactions.abort-share = {abort_share} must be from 0 (none) to 1 (all)",
                self.name
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_built_in_profiles_are_sound_and_named_as_their_files() {
        let names: Vec<_> = built_in().into_iter().map(|profile| profile.name).collect();
        assert_eq!(names, BUILT_IN.map(|(name, _)| name));
    }

    #[test]
    fn aborts_are_spread_evenly() {
        let aborted = |abort_share: f64, of: u32| {
            let transactions = Transactions { duration: None, messages: Some(Count(1)), abort_share };
            (1..=of).filter(|number| transactions.aborts(*number)).collect::<Vec<_>>()
        };
        assert!(aborted(0.0, 1_000).is_empty());
        assert_eq!(aborted(0.25, 12), [4, 8, 12]);
        assert_eq!(aborted(0.4, 10), [3, 5, 8, 10]);
        assert_eq!(aborted(1.0, 4), [1, 2, 3, 4]);
    }

    #[test]
    fn what_ends_a_transaction_is_told() {
        let bounds = |duration_ms: Option<u64>, messages: Option<u64>| {
            let duration = duration_ms.map(|ms| Span(std::time::Duration::from_millis(ms)));
            Transactions { duration, messages: messages.map(Count), abort_share: 0.0 }.bounds()
        };
        assert_eq!(bounds(Some(100), None), "100ms");
        assert_eq!(bounds(None, Some(10_000)), "10k messages");
        assert_eq!(bounds(Some(1_000), Some(100)), "1s or 100 messages");
    }

    #[test]
    fn a_profile_that_cannot_work_is_refused() {
        let base = "name = \"x\"\ndescription = \"\"\n[properties]\n";
        assert!(Profile::from_toml("p", base).is_ok());
        let refused = |text: &str| Profile::from_toml("p", text).unwrap_err().problem;
        assert!(refused(&base.replace("\"x\"", "\"X y\"")).contains("lower-case"));
        assert!(refused(&format!("{base}\"transactional.id\" = \"t\"")).contains("set by each run"));
        assert!(refused(&format!("{base}[transactions]\n")).contains("duration"));
        assert!(refused(&format!("{base}[transactions]\nmessages = 0")).contains("at least 1"));
        assert!(refused(&format!("{base}[transactions]\nmessages = 9\nabort-share = 1.1")).contains("from 0"));
        assert!(refused(&format!("{base}[transactions]\nmessages = 9\nabort-share = nan")).contains("from 0"));
        let twice = format!("{base}\"linger.ms\" = \"1\"\n[tuning.properties]\n\"linger.ms\" = \"2\"\n");
        assert!(refused(&twice).contains("keep one of them"));
        assert!(refused(&format!("{base}[tuning]\noutstanding = 0\n")).contains("above zero"));
        assert!(refused(&format!("{base}[transaction]\n")).contains("did you mean `transactions`"));
    }
}
