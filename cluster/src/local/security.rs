//! Listeners with TLS and SASL beside the plain ones: for trying client settings, and for tests of them.
//!
//! ```text
//! SSL             TLS; a client may show a certificate of the cluster's CA
//! SASL_PLAINTEXT  a name and a password, by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
//! SASL_SSL        both
//! ```
//!
//! CA, keys and password are made anew for each cluster and lie in its folder, readable by its user alone; they go when
//! it goes. For each listener there is a file of client properties, brokers included: `-F` with it is all that a client
//! needs. The brokers' certificates are for 127.0.0.1 alone: another name of this machine shows what a wrong name does.
//!
//! Brokers among themselves, the controller and the plain listener stay as they are. Limits: one user; no ACLs; no
//! Kerberos, no `OAUTHBEARER`.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use super::{base64_uuid, home::create_folder, random, topology::Topology};
use crate::error::ClusterError;

/// The user that the secure listeners know.
pub const USER: &str = "ackmark";
/// SASL mechanisms that they offer.
pub const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The strongest of them.
const DEFAULT_MECHANISM: &str = "SCRAM-SHA-512";

/// What a secure listener speaks; named as Kafka's `security.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Protocol {
    /// TLS.
    Ssl,
    /// Authentication without encryption.
    SaslPlaintext,
    /// Authentication over TLS.
    SaslSsl,
}

impl Protocol {
    /// All of them, in the order of their ports.
    pub const ALL: [Self; 3] = [Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// Kafka's name, which is also the listener's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    fn is_encrypted(self) -> bool {
        self != Self::SaslPlaintext
    }

    fn is_authenticated(self) -> bool {
        self != Self::Ssl
    }
}

/// A secure listener of a local cluster, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecureListener {
    /// What it speaks.
    pub protocol: Protocol,
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// Client properties that reach it, with the password: for `-F`.
    pub client_properties: PathBuf,
}

/// Keys and password of one cluster.
pub(super) struct Security {
    folder: PathBuf,
    password: String,
}

impl Security {
    /// Makes CA, keys and password in `folder`.
    pub(super) fn make(folder: &Path) -> Result<Self, ClusterError> {
        let security = Self { folder: folder.join("security"), password: base64_uuid(random()?) };
        create_folder(&security.folder)?;
        let made = make_keys().map_err(|error| ClusterError::Keys { reason: error.to_string() })?;
        for (name, text) in [
            ("ca.pem", &made.ca),
            ("broker.pem", &made.broker),
            ("client.pem", &made.client),
            ("client-key.pem", &made.client_key),
        ] {
            write_private(&security.file(name), text)?;
        }
        Ok(security)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What Kafka's `StorageTool` must be told so that the cluster knows the user from its first moment. The password is
    /// in it: nothing for a command line.
    pub(super) fn storage_arguments(&self) -> Vec<String> {
        MECHANISMS
            .iter()
            .filter(|mechanism| mechanism.starts_with("SCRAM"))
            .flat_map(|mechanism| {
                ["--add-scram".to_owned(), format!("{mechanism}=[name={USER},password={}]", self.password)]
            })
            .collect()
    }

    /// A broker's properties.
    pub(super) fn server_properties(&self) -> Vec<(String, String)> {
        let module = "org.apache.kafka.common.security";
        let mut lines = vec![
            ("ssl.keystore.type".to_owned(), "PEM".to_owned()),
            ("ssl.keystore.location".to_owned(), self.file("broker.pem").display().to_string()),
            ("ssl.truststore.type".to_owned(), "PEM".to_owned()),
            ("ssl.truststore.location".to_owned(), self.file("ca.pem").display().to_string()),
            ("listener.name.ssl.ssl.client.auth".to_owned(), "requested".to_owned()),
            ("sasl.enabled.mechanisms".to_owned(), MECHANISMS.join(",")),
        ];
        for protocol in Protocol::ALL.into_iter().filter(|protocol| protocol.is_authenticated()) {
            for mechanism in MECHANISMS {
                let login = if mechanism == "PLAIN" {
                    format!("{module}.plain.PlainLoginModule required user_{USER}=\"{}\";", self.password)
                } else {
                    format!("{module}.scram.ScramLoginModule required;")
                };
                let (listener, mechanism) = (protocol.name().to_lowercase(), mechanism.to_lowercase());
                lines.push((format!("listener.name.{listener}.{mechanism}.sasl.jaas.config"), login));
            }
        }
        lines
    }

    /// Writes each listener's client properties.
    pub(super) fn listeners(&self, topology: &Topology) -> Result<Vec<SecureListener>, ClusterError> {
        let listener = |(at, protocol): (usize, Protocol)| {
            let servers: Vec<_> =
                topology.brokers().map(|broker| format!("127.0.0.1:{}", broker.secure_ports[at])).collect();
            let bootstrap_servers = servers.join(",");
            let client_properties = self.file(&format!("{}.properties", protocol.name().to_lowercase()));
            write_private(&client_properties, &self.client_properties(protocol, &bootstrap_servers))?;
            Ok(SecureListener { protocol, bootstrap_servers, client_properties })
        };
        Protocol::ALL.into_iter().enumerate().map(listener).collect()
    }

    fn client_properties(&self, protocol: Protocol, bootstrap_servers: &str) -> String {
        let name = protocol.name();
        let mut text = format!("# A client of the {name} listener of a local Kafka, in librdkafka's names.\n");
        if protocol.is_authenticated() {
            writeln!(text, "# Mechanisms: {}.", MECHANISMS.join(", ")).expect("writing to a String never fails");
        }
        let path = |name| self.file(name).display().to_string();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "{name}={value}").expect("writing to a String never fails");
        };
        line("bootstrap.servers", bootstrap_servers);
        line("security.protocol", name);
        if protocol.is_encrypted() {
            line("ssl.ca.location", &path("ca.pem"));
        }
        if protocol.is_authenticated() {
            line("sasl.mechanism", DEFAULT_MECHANISM);
            line("sasl.username", USER);
            line("sasl.password", &self.password);
        } else {
            line("ssl.certificate.location", &path("client.pem"));
            line("ssl.key.location", &path("client-key.pem"));
        }
        text
    }
}

/// PEM texts.
struct Keys {
    ca: String,
    /// Key and certificate, as Kafka's PEM keystore has them.
    broker: String,
    client: String,
    client_key: String,
}

fn make_keys() -> Result<Keys, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ackmark local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let ca = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);

    let (broker, broker_key) = issue(&issuer, "broker", &["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth)?;
    let (client, client_key) = issue(&issuer, USER, &[], ExtendedKeyUsagePurpose::ClientAuth)?;
    Ok(Keys { ca, broker: broker_key + &broker, client, client_key })
}

/// A certificate and its key.
fn issue(
    issuer: &Issuer<'_, KeyPair>,
    name: &str,
    addresses: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(addresses.iter().map(|&address| address.into()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

/// A new file that its user alone may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), ClusterError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(ClusterError::io(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn no_two_clusters_share_a_secret_and_nobody_else_reads_it() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, two] = folders.each_ref().map(|folder| Security::make(folder.path()).unwrap());
        assert_ne!(one.password, two.password);
        for entry in fs::read_dir(&one.folder).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            let other = fs::read_to_string(two.folder.join(path.file_name().unwrap())).unwrap();
            assert_ne!(fs::read_to_string(&path).unwrap(), other, "{}", path.display());
        }
    }

    #[test]
    fn a_client_is_told_what_its_listener_needs() {
        let folder = tempfile::tempdir().unwrap();
        let security = Security::make(folder.path()).unwrap();
        let told = |protocol| security.client_properties(protocol, "127.0.0.1:1");
        let (ssl, plain, both) = (told(Protocol::Ssl), told(Protocol::SaslPlaintext), told(Protocol::SaslSsl));
        assert!(ssl.contains("ssl.ca.location") && ssl.contains("ssl.key.location") && !ssl.contains("sasl.password"));
        assert!(plain.contains("sasl.password") && !plain.contains("ssl.ca"));
        assert!(both.contains("sasl.password") && both.contains("ssl.ca.location"));
        assert!(both.contains("\nsecurity.protocol=SASL_SSL\n"));
    }
}
