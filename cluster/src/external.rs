//! A Kafka that somebody else runs, given by its address and client properties.
//!
//! Nothing is started or stopped. Rights needed at least: describe the cluster and its configs; create, write, read
//! and delete on topics with ackmark's prefix; for transactional profiles also on transactional ids with it.

use std::{fs, path::Path};

use ackmark_client::{AdminClient, ClientProperties, LogSink};
use ackmark_schema::properties::Origin;

use crate::{error::ClusterError, facts::TIMEOUT};

/// A Kafka by its address.
#[derive(Debug, Clone)]
pub struct External {
    bootstrap_servers: String,
    properties: ClientProperties,
}

impl External {
    /// `bootstrap_servers` as `-b` gives them; `file` is a client properties file (`-F`); `flags` are `-X name=value`,
    /// which win over the file. `-b` wins over both.
    ///
    /// # Errors
    /// A file that cannot be read, or a property that librdkafka does not take.
    pub fn new(bootstrap_servers: &str, file: Option<&Path>, flags: &[(String, String)]) -> Result<Self, ClusterError> {
        let mut properties = match file {
            Some(file) => from_file(file)?,
            None => ClientProperties::new(),
        };
        for (name, value) in flags {
            properties.set(name, value, Origin::Flag);
        }
        Ok(Self::with_properties(bootstrap_servers, properties))
    }

    /// With properties that were put together elsewhere.
    pub fn with_properties(bootstrap_servers: &str, mut properties: ClientProperties) -> Self {
        properties.set("bootstrap.servers", bootstrap_servers, Origin::Flag);
        Self { bootstrap_servers: bootstrap_servers.to_owned(), properties }
    }

    /// As given.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// All client properties, secrets in clear.
    pub fn client_properties(&self) -> &ClientProperties {
        &self.properties
    }

    /// Whether brokers answer there.
    ///
    /// # Errors
    /// They do not within ten seconds, or a property is refused.
    pub fn check(&self) -> Result<(), ClusterError> {
        let unreachable = |reason: String| ClusterError::Unreachable {
            servers: self.bootstrap_servers.clone(),
            reason: format!("{reason}; check the address, and the security settings given by -X or -F"),
        };
        AdminClient::new(&self.properties, LogSink::discard())
            .and_then(|admin| admin.metadata(TIMEOUT))
            .map(drop)
            .map_err(|error| unreachable(error.to_string()))
    }
}

/// Reads a client properties file as Kafka's tools take it.
///
/// # Errors
/// It cannot be read, a line is no property, or librdkafka does not know a name (Java's `sasl.jaas.config`, for one).
pub fn from_file(file: &Path) -> Result<ClientProperties, ClusterError> {
    let refused = |reason: String| ClusterError::Properties { file: file.to_owned(), reason };
    let text = fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let mut properties = ClientProperties::new();
    properties
        .add_text(&text, &file.display().to_string(), Origin::File)
        .and_then(|properties| properties.check())
        .map_err(|error| refused(with_hint(&text, error.to_string())))?;
    Ok(properties)
}

/// Java's names that librdkafka has another way for.
fn with_hint(text: &str, reason: String) -> String {
    let hints = [
        ("sasl.jaas.config", "use sasl.username and sasl.password"),
        ("ssl.truststore.location", "use ssl.ca.location with a PEM file"),
        (
            "ssl.keystore.type",
            "use ssl.keystore.location with a PKCS#12 file, or ssl.certificate.location and ssl.key.location",
        ),
    ];
    match hints.iter().find(|(name, _)| reason.contains(name) && text.contains(name)) {
        Some((name, cure)) => format!("{reason} ({name} is Java's: {cure})"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_address_over_both() {
        let file = file("# comment\n! another\n\nsecurity.protocol=PLAINTEXT\nclient.id = a\nbootstrap.servers=x:1\n");
        let flags = [("client.id".to_owned(), "b".to_owned())];
        let external = External::new("127.0.0.1:9", Some(file.path()), &flags).unwrap();
        let properties = external.client_properties();
        assert_eq!(properties.value("security.protocol"), Some("PLAINTEXT"));
        assert_eq!(properties.get("client.id").unwrap().origin, Origin::Flag);
        assert_eq!(properties.value("client.id"), Some("b"));
        assert_eq!(properties.value("bootstrap.servers"), Some("127.0.0.1:9"));
    }

    #[test]
    fn java_s_own_properties_are_refused_with_the_cure() {
        let file = file("security.protocol=SASL_SSL\nsasl.jaas.config=x required;\n");
        let message = from_file(file.path()).unwrap_err().to_string();
        assert!(message.contains("use sasl.username and sasl.password"), "{message}");
        assert!(message.contains(&file.path().display().to_string()), "{message}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let message = from_file(Path::new("/nonexistent/client.properties")).unwrap_err().to_string();
        assert!(message.contains("/nonexistent/client.properties") && message.contains("cannot be read"), "{message}");
    }
}
