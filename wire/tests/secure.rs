//! The socket against TLS servers that are sound, wrong, silent or none.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use ackmark_wire::{
    config::{Address, ConfigError, WireConfig},
    patience::Patience,
    socket::{ConnectError, Socket},
    tls::{TlsFault, fault_of},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::PrivateKeyDer;

/// A CA that nobody knows until its certificate is given.
struct Ca {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }
}

/// Listens on loopback and serves one connection.
fn serve(serve: impl FnOnce(TcpStream) + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    Address { host: "127.0.0.1".to_owned(), port }
}

/// A TLS server that sends back what it gets; it wants a certificate of `clients` where that is given.
fn echo(identity: &Identity, clients: Option<&Ca>) -> Address {
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.certificate.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = Arc::new(builder.with_single_cert(vec![identity.certificate.der().clone()], key).unwrap());
    serve(move |tcp| {
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        let mut buffer = vec![0; 100_000];
        // An error is the client's business: it sees the alert.
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).and_then(|()| stream.flush()).is_err() {
                break;
            }
        }
    })
}

fn config(properties: &[(&str, &str)]) -> Result<WireConfig, ConfigError> {
    let fixed = [
        ("bootstrap.servers", "127.0.0.1:1"),
        ("security.protocol", "ssl"),
        ("socket.connection.setup.timeout.ms", "5000"),
        ("socket.timeout.ms", "5000"),
    ];
    WireConfig::from_properties(fixed.into_iter().chain(properties.iter().copied()))
}

static GO_ON: AtomicBool = AtomicBool::new(false);

fn patience() -> Patience<'static> {
    Patience::new(&GO_ON, Duration::from_secs(20))
}

fn connect(address: &Address, properties: &[(&str, &str)]) -> Result<Socket, ConnectError> {
    Socket::connect(address, &config(properties).unwrap(), &patience())
}

fn fault(address: &Address, properties: &[(&str, &str)]) -> TlsFault {
    match connect(address, properties).unwrap_err() {
        ConnectError::Tls { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

/// Sends and receives at the same time: the server's own buffers hold little.
fn assert_echoes(mut socket: Socket) {
    assert!(socket.is_encrypted());
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| ((number * 7) >> 3) as u8).collect();
    let mut received = vec![0; sent.len()];
    for (out, back) in sent.chunks(70_000).zip(received.chunks_mut(70_000)) {
        patience().write_all(&mut socket, out).unwrap();
        patience().read_exact(&mut socket, back).unwrap();
    }
    assert!(sent == received);
}

#[test]
fn a_trusted_broker_is_talked_to_however_its_ca_is_given() {
    let ca = Ca::new("ca");
    let identity = ca.issue(&["127.0.0.1", "localhost"], |_| {});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, ca.pem()).unwrap();
    let (file, folder) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
    for given in [("ssl.ca.pem", ca.pem().as_str()), ("ssl.ca.location", file), ("ssl.ca.location", folder)] {
        assert_echoes(connect(&echo(&identity, None), &[given]).unwrap());
    }
    let mut by_name = echo(&identity, None);
    by_name.host = "localhost".to_owned();
    assert_echoes(connect(&by_name, &[("ssl.ca.location", file), ("broker.address.family", "v4")]).unwrap());
}

#[test]
fn a_certificate_that_proves_nothing_is_refused_with_the_cure() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let good = ca.issue(&["127.0.0.1"], |_| {});
    let trusted = ("ssl.ca.pem", ca.pem());
    let trusted = (trusted.0, trusted.1.as_str());

    assert_eq!(fault(&echo(&good, None), &[("ssl.ca.pem", &other.pem())]), TlsFault::UnknownIssuer);

    let named = ca.issue(&["kafka.example.org", "10.1.2.3"], |_| {});
    let wrong = fault(&echo(&named, None), &[trusted]);
    let TlsFault::WrongName { presented } = &wrong else { panic!("{wrong}") };
    assert_eq!(presented, "kafka.example.org, 10.1.2.3");
    assert!(wrong.to_string().contains("ssl.endpoint.identification.algorithm=none"));

    let old = ca.issue(&["127.0.0.1"], |params| params.not_after = date_time_ymd(2001, 1, 1));
    assert_eq!(fault(&echo(&old, None), &[trusted]), TlsFault::Expired);
    let early = ca.issue(&["127.0.0.1"], |params| params.not_before = date_time_ymd(3001, 1, 1));
    assert_eq!(fault(&echo(&early, None), &[trusted]), TlsFault::NotYetValid);

    let ca_itself = ca.issue(&["127.0.0.1"], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(fault(&echo(&ca_itself, None), &[trusted]), TlsFault::CaAsServer);
    let nameless = ca.issue(&[], |params| params.distinguished_name.push(DnType::CommonName, "127.0.0.1"));
    let message = fault(&echo(&nameless, None), &[trusted]).to_string();
    assert!(message.contains("no subject alternative names"), "{message}");
}

#[test]
fn checks_are_given_up_only_as_far_as_asked() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let named = ca.issue(&["kafka.example.org"], |_| {});
    let no_name = ("ssl.endpoint.identification.algorithm", "none");
    assert_echoes(connect(&echo(&named, None), &[("ssl.ca.pem", &ca.pem()), no_name]).unwrap());
    // No name is looked at, the issuer still is.
    assert_eq!(fault(&echo(&named, None), &[("ssl.ca.pem", &other.pem()), no_name]), TlsFault::UnknownIssuer);
    assert_echoes(connect(&echo(&named, None), &[("enable.ssl.certificate.verification", "false")]).unwrap());
}

#[test]
fn a_broker_that_wants_a_certificate_gets_it_or_says_so() {
    let (ca, clients, other) = (Ca::new("ca"), Ca::new("clients"), Ca::new("other"));
    let broker = ca.issue(&["127.0.0.1"], |_| {});
    let pem = ca.pem();
    let trusted = ("ssl.ca.pem", pem.as_str());
    let (client, stranger) = (clients.issue(&["me"], |_| {}), other.issue(&["me"], |_| {}));

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("cert.pem"), client.certificate.pem()).unwrap();
    fs::write(path("key.pem"), client.key.serialize_pem()).unwrap();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    let by_file = [trusted, ("ssl.certificate.location", &certificate), ("ssl.key.location", &key)];
    assert_echoes(connect(&echo(&broker, Some(&clients)), &by_file).unwrap());
    let (certificate, key) = (client.certificate.pem(), client.key.serialize_pem());
    let by_text = [trusted, ("ssl.certificate.pem", &certificate), ("ssl.key.pem", &key)];
    assert_echoes(connect(&echo(&broker, Some(&clients)), &by_text).unwrap());

    // In TLS 1.3 the refusal comes after the handshake.
    let (certificate, key) = (stranger.certificate.pem(), stranger.key.serialize_pem());
    for properties in [&[trusted][..], &[trusted, ("ssl.certificate.pem", &certificate), ("ssl.key.pem", &key)]] {
        let mut socket = connect(&echo(&broker, Some(&clients)), properties).unwrap();
        let sent = patience().write_all(&mut socket, b"hello");
        let error = sent.and_then(|()| patience().read_exact(&mut socket, &mut [0; 5])).unwrap_err();
        let fault = fault_of(&error).unwrap_or_else(|| panic!("{error}"));
        assert!(matches!(fault, TlsFault::ClientCertificate { .. }), "{fault}");
        assert!(fault.to_string().contains("ssl.certificate.location"));
    }
}

#[test]
fn what_is_no_tls_is_told_in_bounded_time() {
    let any = ("enable.ssl.certificate.verification", "false");
    let closes = serve(|mut tcp| {
        // A broker without TLS on that port reads the length of a request, finds it absurd and closes.
        let _ = tcp.read(&mut [0; 4]);
    });
    assert_eq!(fault(&closes, &[any]), TlsFault::Closed);
    let other = serve(|mut tcp| {
        let _ = tcp.read(&mut [0; 4]);
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        // The client ends it.
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    assert_eq!(fault(&other, &[any]), TlsFault::NotTls);

    let bound = ("socket.connection.setup.timeout.ms", "300");
    let silent = serve(|mut tcp| {
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    // Each byte is a sign of life, and the start of a record that never ends.
    let trickling = serve(|mut tcp| {
        for byte in [22, 3, 3, 0x3f, 0xff].into_iter().chain(std::iter::repeat_n(0, 200)) {
            if tcp.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    for address in [silent, trickling] {
        let start = Instant::now();
        let error = connect(&address, &[any, bound]).unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { stage: "TLS handshake", .. }), "{error}");
        assert!(error.is_retriable());
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
}

#[test]
fn a_read_that_waits_too_long_ends() {
    let ca = Ca::new("ca");
    let address = echo(&ca.issue(&["127.0.0.1"], |_| {}), None);
    let mut socket = connect(&address, &[("ssl.ca.pem", &ca.pem())]).unwrap();
    let short = Patience::new(&GO_ON, Duration::from_millis(50));
    assert_eq!(short.read(&mut socket, &mut [0; 10]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    // It is not broken by that.
    assert_echoes(socket);
}

#[test]
fn a_port_that_nobody_listens_on_and_a_name_that_nobody_has_are_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = connect(&Address { host: "127.0.0.1".to_owned(), port }, &[]).unwrap_err();
    assert!(matches!(error, ConnectError::Tcp { .. }) && error.is_retriable(), "{error}");
    let error = connect(&Address { host: "no-such-host.invalid".to_owned(), port }, &[]).unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    let error = connect(&Address { host: "127.0.0.1".to_owned(), port }, &[("broker.address.family", "v6")]);
    assert!(matches!(error, Err(ConnectError::Resolve { .. })));
}

#[test]
fn keys_and_certificates_that_cannot_be_used_are_refused_before_anything_connects() {
    let ca = Ca::new("ca");
    let pem = ca.pem();
    let trusted = ("ssl.ca.pem", pem.as_str());
    let (one, two) = (ca.issue(&["one"], |_| {}), ca.issue(&["two"], |_| {}));
    let (certificate, key, other_key) = (one.certificate.pem(), one.key.serialize_pem(), two.key.serialize_pem());
    let certificate = ("ssl.certificate.pem", certificate.as_str());
    let message = |properties: &[(&str, &str)]| config(properties).unwrap_err().to_string();

    let said = message(&[trusted, certificate]);
    assert_eq!(said, "ssl.key.location is missing: a certificate is given for it");
    let said = message(&[trusted, ("ssl.key.pem", &key)]);
    assert_eq!(said, "ssl.certificate.location is missing: a key is given for it");
    let said = message(&[trusted, certificate, ("ssl.key.pem", &other_key)]);
    assert!(said.starts_with("ssl.key.location is refused: ") && said.contains("the certificate's key"), "{said}");
    let said = message(&[trusted, certificate, ("ssl.key.pem", "no key")]);
    assert_eq!(said, "ssl.key.pem is refused: no private key in PEM form is there");
    for locked in ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"] {
        let error = config(&[trusted, certificate, ("ssl.key.pem", locked)]).unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("a key with a password"), "{error}");
    }
    assert!(message(&[("ssl.ca.pem", "no certificate")]).starts_with("ssl.ca.pem is refused: no certificate"));
    let said = message(&[("ssl.ca.location", "/nonexistent/ca.pem")]);
    assert!(said.starts_with("ssl.ca.location: /nonexistent/ca.pem cannot be read"), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = message(&[("ssl.ca.location", file.path().to_str().unwrap())]);
    assert_eq!(said, "ssl.ca.location is refused: no CA certificate in PEM form is there");
}
