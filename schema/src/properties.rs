//! Client properties: librdkafka's names, a value, and where the value came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a value came from, weakest first: a later origin overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// librdkafka's own default.
    Default,
    /// Set by ackmark so that it can do its work (for one, `enable.metrics.push`).
    Tool,
    /// The scenario file, for all profiles.
    Scenario,
    /// The delivery profile.
    Profile,
    /// A client properties file (`-F`).
    File,
    /// An environment variable `ACKMARK_…`.
    Environment,
    /// A flag (`-X`, `-b`).
    Flag,
}

/// One client property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Property {
    /// librdkafka's name, for example `linger.ms`.
    pub name: String,
    /// Its value as librdkafka takes and prints it.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// What stands in place of a secret, in everything that is printed or stored.
pub const REDACTED: &str = "[redacted]";

/// Whether a property's value is a secret, which is never printed or stored.
pub fn is_secret(name: &str) -> bool {
    matches!(name, "sasl.oauthbearer.config" | "ssl.key.pem" | "ssl_key" | "sasl.oauthbearer.assertion.private.key.pem")
        || name.ends_with("password")
        || name.ends_with("secret")
        || name.ends_with("passphrase")
}

/// Looks up a property's value by name.
pub fn value<'a>(properties: &'a [Property], name: &str) -> Option<&'a str> {
    properties.iter().find(|property| property.name == name).map(|property| property.value.as_str())
}
