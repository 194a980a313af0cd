//! What children are told on their stdin, as JSON: load specs, and how brokers are reached.
//!
//! Both hold secrets in clear. A pipe is gone with its two processes, however they end; a file would be left
//! behind by a kill, and arguments and environments can be read by others. JSON carries values of several lines,
//! such as the PEM text of a key.

use std::path::Path;

use ackmark_client::ClientProperties;
use ackmark_schema::{load_spec::LoadSpec, properties::Property};

/// The flag of `seal` and `verify` that takes [`connection`]'s text from stdin. The command line's side of it is
/// there.
pub const PROPERTIES_FROM_STDIN: &str = "properties-from-stdin";

/// The arguments of `ackmark load`, whose spec is on stdin. The log stays open: the seal has its own child with
/// its own deadline.
pub(crate) fn load_arguments(out: &Path) -> Vec<String> {
    let out = out.display().to_string();
    ["--spec", "-", "--out", &out, "--no-seal", "--progress", "json"].map(str::to_owned).into()
}

/// A load's spec.
pub(crate) fn spec(spec: &LoadSpec) -> Result<String, String> {
    serde_json::to_string(spec).map_err(|error| format!("a load spec is no JSON: {error}"))
}

/// Properties for children that read or seal: an array of them.
pub(crate) fn connection(properties: &ClientProperties) -> String {
    let connection = properties.connection_only();
    let all: Vec<&Property> = connection.iter().collect();
    serde_json::to_string(&all).expect("texts are JSON")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_schema::properties::Origin;

    use super::*;

    #[test]
    fn values_of_several_lines_pass_and_only_the_connection_is_told() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n";
        let mut properties = ClientProperties::with_bootstrap("kafka:9092", Origin::Flag);
        properties.set("ssl.key.pem", pem, Origin::File).set("linger.ms", "7", Origin::Flag);
        let told: Vec<Property> = serde_json::from_str(&connection(&properties)).unwrap();
        let value = |name: &str| told.iter().find(|property| property.name == name).map(|found| found.value.as_str());
        assert_eq!((value("ssl.key.pem"), value("linger.ms")), (Some(pem), None));
    }
}
