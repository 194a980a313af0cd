//! Encryption: what librdkafka's `ssl.*` properties ask for, by rustls.
//!
//! Certificates are trusted by the system's store unless a CA is given. A broker's name is looked for among its
//! certificate's subject alternative names; a common name alone, which OpenSSL still takes, is not enough for rustls.
//! Two properties weaken this when a user says so, and only then: no check of names
//! (`ssl.endpoint.identification.algorithm=none`), no check of certificates (`enable.ssl.certificate.verification=
//! false`). Even then the broker must prove that it has the key of the certificate that it shows.
//!
//! A broken connection is explained by [`TlsFault`], whose message names the property that cures it. In TLS 1.3 a
//! broker refuses a client's certificate after the handshake, so [`fault_of`] explains errors of later reads too.

use std::{fmt, fs, io, path::PathBuf, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, UnixTime,
    pem::{Error as PemError, PemObject},
};
use thiserror::Error;

use crate::config::ConfigError;

/// A text in PEM form, or the file that holds it.
#[derive(Clone)]
pub(crate) enum Pem {
    File { property: &'static str, path: PathBuf },
    Text { property: &'static str, text: String },
}

impl Pem {
    /// Takes a file, unless the text itself is there.
    pub(crate) fn set_file(slot: &mut Option<Self>, property: &'static str, path: &str) {
        if !matches!(slot, Some(Self::Text { .. })) {
            *slot = Some(Self::File { property, path: path.into() });
        }
    }

    fn property(&self) -> &'static str {
        match self {
            Self::File { property, .. } | Self::Text { property, .. } => property,
        }
    }

    fn read(&self) -> Result<Vec<u8>, ConfigError> {
        match self {
            Self::Text { text, .. } => Ok(text.clone().into_bytes()),
            Self::File { property, path } => {
                fs::read(path).map_err(|source| ConfigError::File { property, path: path.clone(), source })
            }
        }
    }
}

/// What `ssl.*` properties say.
#[derive(Default)]
pub(crate) struct TlsFiles {
    /// A file, a folder of files, or `probe` for the system's store.
    pub(crate) ca_location: Option<PathBuf>,
    pub(crate) ca_pem: Option<String>,
    pub(crate) certificate: Option<Pem>,
    pub(crate) key: Option<Pem>,
    pub(crate) trust_any_certificate: bool,
    pub(crate) trust_any_name: bool,
}

/// A client's side of TLS 1.2 and 1.3, ready for connections. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads files and keys.
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::invalid("security.protocol", error.to_string()))?;
        let builder = if files.trust_any_certificate {
            let verifier = Relaxed { roots: None, algorithms };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        } else if files.trust_any_name {
            let verifier = Relaxed { roots: Some(roots(files)?), algorithms };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            builder.with_root_certificates(roots(files)?)
        };
        let config = match identity(files)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
                ConfigError::invalid("ssl.key.location", format!("{error}: give the certificate's key"))
            })?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }

    /// A connection to be, to the broker of that name; nothing is sent yet.
    pub(crate) fn connection(&self, host: &str) -> Result<ClientConnection, TlsFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFault::NoName)?;
        ClientConnection::new(self.0.clone(), name).map_err(|error| TlsFault::of(&error))
    }
}

fn roots(files: &TlsFiles) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    let location = files.ca_location.as_ref().filter(|location| location.as_os_str() != "probe");
    if let Some(location) = location {
        let metadata = fs::metadata(location).map_err(|source| ConfigError::File {
            property: "ssl.ca.location",
            path: location.clone(),
            source,
        })?;
        let (file, folder) = if metadata.is_dir() { (None, Some(location)) } else { (Some(location), None) };
        let found = rustls_native_certs::load_certs_from_paths(file.map(AsRef::as_ref), folder.map(AsRef::as_ref));
        add(&mut roots, "ssl.ca.location", found.certs)?;
    }
    if let Some(text) = &files.ca_pem {
        add(&mut roots, "ssl.ca.pem", certificates("ssl.ca.pem", text.as_bytes())?)?;
    }
    if location.is_none() && files.ca_pem.is_none() {
        add(&mut roots, "ssl.ca.location", rustls_native_certs::load_native_certs().certs).map_err(|_| {
            ConfigError::Missing {
                property: "ssl.ca.location",
                reason: "this system's store holds no CA certificates, so no broker could be trusted",
            }
        })?;
    }
    Ok(roots)
}

/// Adds the certificates that can be anchors of trust; at least one must be.
fn add(
    roots: &mut RootCertStore,
    property: &str,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<(), ConfigError> {
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(ConfigError::invalid(property, "no CA certificate in PEM form is there")),
        _ => Ok(()),
    }
}

fn certificates(property: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(ConfigError::invalid(property, "no certificate in PEM form is there")),
        Err(_) => Err(ConfigError::invalid(property, "it is no PEM text")),
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's certificate and key, if it has them.
fn identity(files: &TlsFiles) -> Result<Option<Identity>, ConfigError> {
    let (certificate, key) = match (&files.certificate, &files.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (None, Some(_)) => {
            return Err(ConfigError::Missing { property: "ssl.certificate.location", reason: "a key is given for it" });
        }
        (Some(_), None) => {
            return Err(ConfigError::Missing { property: "ssl.key.location", reason: "a certificate is given for it" });
        }
    };
    let chain = certificates(certificate.property(), &certificate.read()?)?;
    Ok(Some((chain, private_key(key)?)))
}

fn private_key(key: &Pem) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let pem = key.read()?;
    let text = String::from_utf8_lossy(&pem);
    // PKCS#8, and the older form of OpenSSL.
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(ConfigError::unsupported(key.property(), "(a key with a password)"));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let reason = match error {
            PemError::NoItemsFound => "no private key in PEM form is there",
            _ => "it is no PEM text",
        };
        ConfigError::invalid(key.property(), reason)
    })
}

/// Checks less than rustls does by itself, because a user said so.
#[derive(Debug)]
struct Relaxed {
    /// None: any certificate will do. Some: it must come from one of these, whatever name it bears.
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Relaxed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Why there is no encrypted connection, with its cure.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// No trusted CA issued the certificate.
    #[error(
        "no CA that is trusted here issued the broker's certificate: give the CA that did by ssl.ca.location or ssl.ca.pem"
    )]
    UnknownIssuer,
    /// The certificate is for other names.
    #[error(
        "the broker's certificate is for {presented}, not for this address: use one of these names, have a certificate \
         made that holds this one, or give up the check by ssl.endpoint.identification.algorithm=none"
    )]
    WrongName {
        /// Its subject alternative names, as they stand there.
        presented: String,
    },
    /// The host is neither a DNS name nor an IP address.
    #[error("the host is neither a DNS name nor an IP address, so no certificate can be for it")]
    NoName,
    /// The certificate's time is over.
    #[error("the broker's certificate has expired: have it renewed, and check this machine's clock")]
    Expired,
    /// The certificate's time has not come.
    #[error("the broker's certificate is not valid yet: check this machine's clock and the broker's certificate")]
    NotYetValid,
    /// The broker shows the CA's own certificate.
    #[error(
        "the broker shows a CA's certificate as its own, which rustls does not take: have one issued by that CA for the \
         broker (basicConstraints CA:FALSE)"
    )]
    CaAsServer,
    /// Something else is wrong with the certificate.
    #[error("the broker's certificate is refused ({reason}): have it made anew, or read by the librdkafka consumer")]
    Certificate {
        /// By rustls.
        reason: String,
    },
    /// The broker wants another certificate of the client than it got, or one at all.
    #[error(
        "the broker refuses this client's certificate ({alert}): give one that it trusts by ssl.certificate.location and \
         ssl.key.location"
    )]
    ClientCertificate {
        /// The alert it sent.
        alert: String,
    },
    /// No version or cipher in common.
    #[error(
        "the broker and this client have no TLS version or cipher in common ({reason}): allow TLS 1.2 or 1.3 on the \
         broker (ssl.enabled.protocols, ssl.cipher.suites)"
    )]
    NothingInCommon {
        /// By rustls.
        reason: String,
    },
    /// What answers speaks another protocol.
    #[error(
        "what answers there does not speak TLS: is security.protocol right, and is this the port of a listener with TLS?"
    )]
    NotTls,
    /// The connection ended in the middle of the handshake.
    #[error(
        "the connection was closed during the TLS handshake: is this the port of a listener with TLS? If it is one \
         without, set security.protocol to plaintext or sasl_plaintext"
    )]
    Closed,
    /// Anything else.
    #[error("TLS failed: {reason}; check security.protocol and the broker's log")]
    Other {
        /// By rustls.
        reason: String,
    },
}

impl TlsFault {
    fn of(error: &rustls::Error) -> Self {
        let reason = error.to_string();
        match error {
            rustls::Error::InvalidCertificate(error) => Self::of_certificate(error),
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::PeerIncompatible(_) => Self::NothingInCommon { reason },
            _ => Self::Other { reason },
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForName => Self::WrongName { presented: "another name".to_owned() },
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongName { presented: names(presented) }
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Other(OtherError(error)) if error.to_string().contains("CaUsedAsEndEntity") => {
                Self::CaAsServer
            }
            other => Self::Certificate { reason: other.to_string() },
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::NoCertificate => Self::ClientCertificate { alert: format!("{alert:?}") },
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
                Self::NothingInCommon { reason: format!("{alert:?}") }
            }
            // OpenSSL and Java send it also where no certificate came or no cipher is in common.
            other => Self::Other { reason: format!("the broker sent the alert {other:?}") },
        }
    }
}

fn names(presented: &[String]) -> String {
    // webpki writes them with their types: DnsName("a"), IpAddress(127.0.0.1).
    match presented {
        [] => "no name at all (it has no subject alternative names)".to_owned(),
        names => names.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", "),
    }
}

fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

/// What a failed read or write says about TLS. `None`: it says nothing, the network failed.
pub fn fault_of(error: &io::Error) -> Option<TlsFault> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(TlsFault::of(inner))
}
