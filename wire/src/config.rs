//! How a broker is reached, in librdkafka's property names.
//!
//! One set of client properties drives librdkafka and this crate, and both must mean the same by it. What this crate
//! does not speak yet is [`ConfigError::Unsupported`], with the property that asks for it: the caller then reads
//! through librdkafka instead. A property that concerns security is never skipped because it is unknown here, so no
//! connection is weaker than what was asked for; what a chosen mechanism makes no use of (Kerberos' properties under
//! PLAIN) is skipped. Properties that are no security and no address (queues, fetch sizes, buffers) are skipped too.
//!
//! Files are read and keys are parsed once, here: a bad one is told before anything connects.
//!
//! Limits: SASL PLAIN and SCRAM, PEM keys without a password; no certificate revocation lists.

use std::{fmt, io, path::PathBuf, str::FromStr, time::Duration};

use thiserror::Error;

use crate::{
    sasl::{Credentials, Mechanism},
    tls::{Pem, Tls, TlsFiles},
};

/// librdkafka's defaults.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
const PORT: u16 = 9092;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Name or IP address, the latter without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; the port is 9092 unless given.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a broker is written host:port or [v6 address]:port";
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(FORM)?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(FORM)?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(FORM);
        }
        let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| "a port is a number from 1 to 65535"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Which IP addresses of a name are tried (`broker.address.family`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// All, in the resolver's order.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// How brokers are reached. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct WireConfig {
    /// Brokers to begin with; at least one.
    pub bootstrap: Vec<Address>,
    /// What brokers log and set quotas by.
    pub client_id: String,
    /// How long connecting may take in all: TCP, TLS and authentication.
    pub setup_timeout: Duration,
    /// How long the answer to a request may take, beyond what the request lets the broker wait.
    pub request_timeout: Duration,
    /// Which IP addresses are tried.
    pub address_family: AddressFamily,
    /// Encryption; none: plain TCP.
    pub tls: Option<Tls>,
    /// Authentication; none: anonymous, or by the client's certificate.
    pub sasl: Option<Credentials>,
}

/// Properties that do not tell how to reach a Kafka. No message shows a secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Valid for librdkafka, and not spoken here.
    #[error("the log reader does not speak {property}={value} yet; the librdkafka consumer does")]
    Unsupported {
        /// The property that asks for it.
        property: String,
        /// What it asks for; described where the value itself is a secret.
        value: String,
    },
    /// A value that means nothing.
    #[error("{property} is refused: {reason}")]
    Invalid {
        /// The property.
        property: String,
        /// What is wrong, and the accepted form.
        reason: String,
    },
    /// A property that others make necessary.
    #[error("{property} is missing: {reason}")]
    Missing {
        /// The property.
        property: &'static str,
        /// What needs it.
        reason: &'static str,
    },
    /// A file that cannot be read.
    #[error("{property}: {} cannot be read ({source}): check the path and the file's permissions", path.display())]
    File {
        /// The property that names it.
        property: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl ConfigError {
    /// Whether librdkafka can do what this crate cannot: a reason to read by librdkafka's consumer, not to stop.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    pub(crate) fn invalid(property: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { property: property.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unsupported(property: &str, value: impl Into<String>) -> Self {
        Self::Unsupported { property: property.to_owned(), value: value.into() }
    }
}

impl WireConfig {
    /// Reads librdkafka's properties, aliases included; of a property that comes twice the later one counts. An empty
    /// value is none, as in librdkafka.
    ///
    /// # Errors
    /// What is not spoken here, a value that means nothing, a file that cannot be read or holds no such key or
    /// certificate.
    pub fn from_properties<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ConfigError> {
        let mut given = Given::default();
        for (name, value) in properties {
            if !value.is_empty() {
                given.take(name, value)?;
            }
        }
        given.resolve()
    }
}

/// Properties as found; what belongs together is judged when all are there.
#[derive(Default)]
struct Given {
    bootstrap: Option<Vec<Address>>,
    client_id: Option<String>,
    setup_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    address_family: AddressFamily,
    encrypted: bool,
    authenticated: bool,
    files: TlsFiles,
    mechanism: Option<String>,
    username: Option<String>,
    password: Option<String>,
    /// What is not spoken, if TLS is used at all.
    not_spoken_in_tls: Option<(String, String)>,
}

impl Given {
    fn take(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let text = || value.to_owned();
        match name {
            "bootstrap.servers" | "metadata.broker.list" => self.bootstrap = Some(addresses(name, value)?),
            "client.id" => self.client_id = Some(text()),
            "socket.connection.setup.timeout.ms" => self.setup_timeout = Some(milliseconds(name, value)?),
            "socket.timeout.ms" => self.request_timeout = Some(milliseconds(name, value)?),
            "broker.address.family" => {
                self.address_family = match value {
                    "any" => AddressFamily::Any,
                    "v4" => AddressFamily::V4,
                    "v6" => AddressFamily::V6,
                    _ => return Err(ConfigError::invalid(name, "it is any, v4 or v6")),
                }
            }
            "client.dns.lookup" if value != "use_all_dns_ips" => return Err(ConfigError::unsupported(name, value)),
            "security.protocol" => {
                (self.encrypted, self.authenticated) = match value.to_ascii_lowercase().as_str() {
                    "plaintext" => (false, false),
                    "ssl" => (true, false),
                    "sasl_plaintext" => (false, true),
                    "sasl_ssl" => (true, true),
                    _ => {
                        let reason = "it is plaintext, ssl, sasl_plaintext or sasl_ssl";
                        return Err(ConfigError::invalid(name, reason));
                    }
                }
            }
            "sasl.mechanism" | "sasl.mechanisms" => self.mechanism = Some(text()),
            "sasl.username" => self.username = Some(text()),
            "sasl.password" => self.password = Some(text()),
            "ssl.ca.location" => self.files.ca_location = Some(value.into()),
            "ssl.ca.pem" => self.files.ca_pem = Some(text()),
            // The text wins over the file, as in librdkafka, which loads it later.
            "ssl.certificate.location" => Pem::set_file(&mut self.files.certificate, "ssl.certificate.location", value),
            "ssl.certificate.pem" => {
                self.files.certificate = Some(Pem::Text { property: "ssl.certificate.pem", text: text() });
            }
            "ssl.key.location" => Pem::set_file(&mut self.files.key, "ssl.key.location", value),
            "ssl.key.pem" => self.files.key = Some(Pem::Text { property: "ssl.key.pem", text: text() }),
            "enable.ssl.certificate.verification" => self.files.trust_any_certificate = !boolean(name, value)?,
            "ssl.endpoint.identification.algorithm" => {
                self.files.trust_any_name = match value {
                    "https" => false,
                    "none" => true,
                    _ => return Err(ConfigError::invalid(name, "it is https or none")),
                }
            }
            // Without meaning here: for an encrypted key (which is refused where it is found), for Windows, and
            // what a keystore or an engine would need, which are refused by their own names.
            "ssl.key.password" | "ssl.keystore.password" | "ssl.ca.certificate.stores" | "ssl.engine.id" => {}
            _ if name.starts_with("ssl.") => {
                self.not_spoken_in_tls.get_or_insert_with(|| (name.to_owned(), value.to_owned()));
            }
            // Other mechanisms' properties (sasl.kerberos.…, sasl.oauthbearer.…) mean nothing under PLAIN and SCRAM,
            // and all that is no security does not matter to a reader.
            _ => {}
        }
        Ok(())
    }

    fn resolve(self) -> Result<WireConfig, ConfigError> {
        let Some(bootstrap) = self.bootstrap else {
            return Err(ConfigError::Missing { property: "bootstrap.servers", reason: "give host:port of a broker" });
        };
        if let (true, Some((property, value))) = (self.encrypted, self.not_spoken_in_tls) {
            return Err(ConfigError::Unsupported { property, value });
        }
        let sasl = if self.authenticated {
            Some(credentials(self.mechanism.as_deref(), self.username, self.password)?)
        } else {
            None
        };
        Ok(WireConfig {
            bootstrap,
            client_id: self.client_id.unwrap_or_else(|| "ackmark".to_owned()),
            setup_timeout: self.setup_timeout.unwrap_or(SETUP_TIMEOUT),
            request_timeout: self.request_timeout.unwrap_or(REQUEST_TIMEOUT),
            address_family: self.address_family,
            tls: if self.encrypted { Some(Tls::new(&self.files)?) } else { None },
            sasl,
        })
    }
}

fn credentials(
    mechanism: Option<&str>,
    username: Option<String>,
    password: Option<String>,
) -> Result<Credentials, ConfigError> {
    // librdkafka's default.
    let mechanism = mechanism.unwrap_or("GSSAPI");
    let mechanism =
        Mechanism::from_name(mechanism).ok_or_else(|| ConfigError::unsupported("sasl.mechanism", mechanism))?;
    let missing = |property| ConfigError::Missing { property, reason: "SASL PLAIN and SCRAM authenticate by it" };
    let username = username.ok_or_else(|| missing("sasl.username"))?;
    let password = password.ok_or_else(|| missing("sasl.password"))?;
    for (property, value) in [("sasl.username", &username), ("sasl.password", &password)] {
        if value.contains('\0') {
            return Err(ConfigError::invalid(property, "it holds a NUL character, which no mechanism can send"));
        }
    }
    Ok(Credentials { mechanism, username, password })
}

fn addresses(property: &str, value: &str) -> Result<Vec<Address>, ConfigError> {
    let mut found = Vec::new();
    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        if text.contains("://") {
            return Err(ConfigError::unsupported(property, value));
        }
        found.push(text.parse().map_err(|reason| ConfigError::invalid(property, format!("{text}: {reason}")))?);
    }
    if found.is_empty() {
        return Err(ConfigError::invalid(property, "it names no broker: give host:port"));
    }
    Ok(found)
}

fn milliseconds(property: &str, value: &str) -> Result<Duration, ConfigError> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(Duration::from_millis(number)),
        _ => Err(ConfigError::invalid(property, "it is a positive number of milliseconds")),
    }
}

/// As librdkafka reads one.
fn boolean(property: &str, value: &str) -> Result<bool, ConfigError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(ConfigError::invalid(property, "it is true or false")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(properties: &[(&str, &str)]) -> Result<WireConfig, ConfigError> {
        let bootstrap = [("bootstrap.servers", "broker:9092")];
        WireConfig::from_properties(bootstrap.into_iter().chain(properties.iter().copied()))
    }

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn addresses_are_read_and_written_alike() {
        let properties = [("metadata.broker.list", "a:1, b ,[::1]:3,[fe80::1]")];
        let found = WireConfig::from_properties(properties).unwrap().bootstrap;
        assert_eq!(found, [address("a", 1), address("b", 9092), address("::1", 3), address("fe80::1", 9092)]);
        for address in found {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for text in ["", ",", ":9092", "a:port", "a:70000", "a:", "[::1", "[::1]9092", "a b:1"] {
            let error = WireConfig::from_properties([("bootstrap.servers", text), ("client.id", "c")]).unwrap_err();
            assert!(error.to_string().starts_with("bootstrap.servers is "), "{text}: {error}");
            assert!(!error.is_unsupported());
        }
        assert!(WireConfig::from_properties([("bootstrap.servers", "SSL://a:1")]).unwrap_err().is_unsupported());
    }

    #[test]
    fn defaults_are_librdkafkas() {
        let config = read(&[]).unwrap();
        assert_eq!((config.setup_timeout.as_secs(), config.request_timeout.as_secs()), (30, 60));
        assert!(config.tls.is_none() && config.sasl.is_none());
        assert_eq!(config.address_family, AddressFamily::Any);
        assert_eq!(config.client_id, "ackmark");
    }

    #[test]
    fn the_rest_of_a_clients_properties_does_not_matter() {
        let config = read(&[
            ("acks", "all"),
            ("linger.ms", "5"),
            ("socket.timeout.ms", "1500"),
            ("socket.connection.setup.timeout.ms", "2000"),
            ("client.id", "me"),
            ("broker.address.family", "v4"),
            ("sasl.kerberos.service.name", "kafka"),
            ("ssl.cipher.suites", "for no connection here"),
        ])
        .unwrap();
        assert_eq!((config.setup_timeout.as_millis(), config.request_timeout.as_millis()), (2000, 1500));
        assert_eq!((config.client_id.as_str(), config.address_family), ("me", AddressFamily::V4));
    }

    const SASL: [(&str, &str); 3] =
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.username", "u"), ("sasl.password", "hunter2")];

    #[test]
    fn mechanisms_that_are_spoken() {
        for (name, mechanism) in [
            ("PLAIN", Mechanism::Plain),
            ("SCRAM-SHA-256", Mechanism::ScramSha256),
            ("SCRAM-SHA-512", Mechanism::ScramSha512),
        ] {
            for property in ["sasl.mechanism", "sasl.mechanisms"] {
                let config = read(&[&SASL[..], &[(property, name)]].concat()).unwrap();
                assert_eq!(config.sasl.as_ref().unwrap().mechanism, mechanism);
                assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
            }
        }
    }

    #[test]
    fn what_is_not_spoken_is_told_and_never_weaker() {
        let tls = ("security.protocol", "SSL");
        for (properties, property) in [
            (vec![SASL[0], SASL[1], SASL[2]], "sasl.mechanism"),
            (vec![SASL[0], ("sasl.mechanism", "OAUTHBEARER")], "sasl.mechanism"),
            (vec![tls, ("ssl.keystore.location", "/k.p12")], "ssl.keystore.location"),
            (vec![tls, ("ssl.cipher.suites", "AES")], "ssl.cipher.suites"),
            (vec![tls, ("ssl.crl.location", "/crl")], "ssl.crl.location"),
            (vec![tls, ("ssl.some.day", "x")], "ssl.some.day"),
            (vec![("client.dns.lookup", "resolve_canonical_bootstrap_servers_only")], "client.dns.lookup"),
        ] {
            let error = read(&properties).unwrap_err();
            assert!(error.is_unsupported(), "{error}");
            assert!(error.to_string().contains(property), "{error}");
        }
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        for (name, value) in [
            ("security.protocol", "tls"),
            ("socket.timeout.ms", "0"),
            ("socket.connection.setup.timeout.ms", "soon"),
            ("broker.address.family", "v5"),
            ("enable.ssl.certificate.verification", "maybe"),
            ("ssl.endpoint.identification.algorithm", "http"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is refused: it is ")), "{error}");
        }
        let error = read(&[SASL[0], ("sasl.mechanism", "PLAIN"), SASL[2]]).unwrap_err().to_string();
        assert_eq!(error, "sasl.username is missing: SASL PLAIN and SCRAM authenticate by it");
        let error = read(&[SASL[0], ("sasl.mechanism", "PLAIN"), SASL[1], ("sasl.password", "hunter2\0")]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
