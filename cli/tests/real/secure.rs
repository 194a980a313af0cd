//! TLS and SASL: the log reader and librdkafka over the same listeners, and what is wrong is told in bounded time.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ackmark_cluster::local::{MECHANISMS, Protocol, SecureListener};
use ackmark_schema::log::{Content, LogLine};
use libtest_mimic::Trial;

use crate::{
    common::{self, Run},
    kafka::Kafka,
    trial,
};

/// What fails by its settings has failed by then, on a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "secure::the_log_reader_reads_over_every_listener", log_reader),
        trial(kafka, "secure::a_load_is_made_sealed_and_verified_over_every_listener", load_and_verify),
        trial(kafka, "secure::what_keeps_the_log_reader_out_is_told", log_reader_is_kept_out),
        trial(kafka, "secure::what_keeps_a_load_out_is_told_and_nothing_is_written", load_is_kept_out),
        trial(kafka, "secure::what_the_log_reader_does_not_speak_is_told", not_spoken),
    ]
}

/// A listener with its settings, and those on top that make each way into it.
fn ways(kafka: &Kafka) -> Vec<(SecureListener, Vec<String>)> {
    let mut ways = Vec::new();
    for protocol in Protocol::ALL {
        let listener = kafka.listener(protocol);
        if protocol == Protocol::Ssl {
            ways.push((listener.clone(), Vec::new()));
        } else {
            let mechanism = |mechanism| (listener.clone(), vec![format!("sasl.mechanism={mechanism}")]);
            ways.extend(MECHANISMS.map(mechanism));
        }
    }
    ways
}

/// Runs a command with a listener's properties.
fn run(folder: &std::path::Path, arguments: &[&str], listener: &SecureListener, properties: &[String]) -> Run {
    let file = listener.client_properties.to_str().unwrap();
    let properties = properties.iter().flat_map(|pair| ["-X", pair]);
    common::run(folder, &[arguments, &["-F", file], &properties.collect::<Vec<_>>()].concat())
}

/// Sequences of ackmark's messages in JSON lines.
fn sequences(lines: &str) -> Vec<(u32, u64)> {
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut found: Vec<_> = lines
        .filter_map(|line| match line {
            LogLine::Record(record) => Some(record.content),
            _ => None,
        })
        .filter_map(|content| match content {
            Content::Message(message) if !message.sentinel => Some((message.stream, message.sequence)),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found
}

fn log_reader(kafka: &Kafka) {
    let base = kafka.base();
    let all = ["log", &base.topic, "--all", "--output", "json"];
    let folder = tempfile::tempdir().unwrap();
    let plain = sequences(&common::run(folder.path(), &[&all[..], &["-b", &kafka.servers()]].concat()).exits(0).stdout);
    assert_eq!(plain.len(), 1000);
    for (listener, properties) in ways(kafka) {
        let secure = run(folder.path(), &all, &listener, &properties).exits(0);
        assert!(sequences(&secure.stdout) == plain, "{listener:?} {properties:?}");
    }
    // A listener that asks for a client's certificate lets one in that has none, unless it insists.
    let ssl = kafka.listener(Protocol::Ssl);
    let anonymous = folder.path().join("anonymous.properties");
    let properties = fs::read_to_string(&ssl.client_properties).unwrap();
    let lines = properties.lines().filter(|line| !line.contains("ssl.certificate") && !line.contains("ssl.key"));
    fs::write(&anonymous, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let secure = run(folder.path(), &all, &SecureListener { client_properties: anonymous, ..ssl }, &[]).exits(0);
    assert!(sequences(&secure.stdout) == plain);
}

fn load_and_verify(kafka: &Kafka) {
    for (listener, properties) in ways(kafka) {
        let folder = tempfile::tempdir().unwrap();
        let topic = kafka.topic();
        let load = ["load", "--topic", &topic, "--out", "load", "--messages", "500", "--size", "100B", "--yes"];
        run(folder.path(), &load, &listener, &properties).exits(0);
        let verified = run(folder.path(), &["verify", "load", "--output", "json"], &listener, &properties).exits(0);
        assert!(!verified.text().contains(&password(&listener)), "{}", verified.text());
        let reports = fs::read_dir(folder.path().join("load")).unwrap().map(|entry| entry.unwrap().path());
        for report in reports.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
            assert!(!fs::read_to_string(&report).unwrap().contains(&password(&listener)), "{}", report.display());
        }
    }
}

/// The listener's password; without one, words that nobody says.
fn password(listener: &SecureListener) -> String {
    let properties = fs::read_to_string(&listener.client_properties).unwrap();
    let password = properties.lines().find_map(|line| line.strip_prefix("sasl.password="));
    password.unwrap_or("no password is there").to_owned()
}

/// Another CA's certificate, in a file of the folder.
fn other_ca(folder: &std::path::Path) -> PathBuf {
    let path = folder.join("other-ca.pem");
    let certified = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    fs::write(&path, certified.cert.pem()).unwrap();
    path
}

/// A wrong setting: whose listener, what is set, and words of what is said.
type Wrong = (Protocol, Vec<String>, Vec<&'static str>);

/// What anybody may get wrong.
fn wrong_settings(kafka: &Kafka, folder: &std::path::Path) -> Vec<Wrong> {
    let first = |servers: &str| servers.split(',').next().unwrap().to_owned();
    let port = |protocol| first(&kafka.listener(protocol).bootstrap_servers).replace("127.0.0.1:", "");
    let set = |pairs: &[&str]| pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>();
    let plain_servers = format!("bootstrap.servers={}", kafka.servers());
    let by_name = format!("bootstrap.servers=localhost:{}", port(Protocol::SaslSsl));
    let ca = format!("ssl.ca.location={}", other_ca(folder).display());
    vec![
        (Protocol::SaslSsl, set(&["sasl.password=wrong"]), vec!["SCRAM-SHA-512", "sasl.password"]),
        (
            Protocol::SaslPlaintext,
            set(&["sasl.mechanism=PLAIN", "sasl.password=wrong"]),
            vec!["PLAIN", "sasl.password"],
        ),
        (Protocol::SaslPlaintext, set(&["sasl.username=nobody"]), vec!["SCRAM-SHA-512", "sasl.username"]),
        (Protocol::SaslSsl, set(&[&ca]), vec!["certificate", "ssl.ca.location"]),
        (Protocol::SaslSsl, set(&[&by_name]), vec!["certificate", "ssl.endpoint.identification.algorithm"]),
        (Protocol::Ssl, set(&["security.protocol=plaintext"]), vec!["security.protocol"]),
        (Protocol::SaslSsl, set(&["security.protocol=sasl_plaintext"]), vec!["security.protocol"]),
        (Protocol::SaslPlaintext, set(&["security.protocol=plaintext"]), vec!["security.protocol"]),
        (Protocol::SaslPlaintext, set(&["security.protocol=sasl_ssl"]), vec!["security.protocol"]),
        (Protocol::Ssl, set(&[&plain_servers]), vec!["security.protocol"]),
    ]
}

fn log_reader_is_kept_out(kafka: &Kafka) {
    let topic = &kafka.base().topic;
    let folder = tempfile::tempdir().unwrap();
    for (protocol, properties, words) in wrong_settings(kafka, folder.path()) {
        let listener = kafka.listener(protocol);
        let begun = Instant::now();
        let out = run(folder.path(), &["log", topic], &listener, &properties).exits(1);
        let took = begun.elapsed();
        eprintln!("log, {} {properties:?} ({took:.1?}): {}", protocol.name(), out.stderr);
        assert!(took < SOON, "{took:?}: {}", out.stderr);
        for word in words {
            assert!(out.stderr.contains(word), "{properties:?}, {word}: {}", out.stderr);
        }
        assert!(out.stdout.is_empty() && !out.stderr.contains(&password(&listener)), "{}", out.text());
    }
}

fn load_is_kept_out(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    let load = ["load", "--topic", &topic, "--out", "load", "--messages", "10", "--size", "100B", "--yes"];
    // Of the ways to speak another protocol than the listener, one: librdkafka waits for its brokers each time.
    for (protocol, properties, words) in wrong_settings(kafka, folder.path()).into_iter().take(6) {
        let listener = kafka.listener(protocol);
        let begun = Instant::now();
        let out = run(folder.path(), &load, &listener, &properties).exits(1);
        let took = begun.elapsed();
        eprintln!("load, {} {properties:?} ({took:.1?}): {}", protocol.name(), out.stderr);
        assert!(took < SOON, "{took:?}: {}", out.stderr);
        for word in words.iter().filter(|word| word.contains('.')) {
            assert!(out.stderr.contains(word), "{properties:?}, {word}: {}", out.stderr);
        }
        assert!(!out.stderr.contains(&password(&listener)), "{}", out.text());
        assert!(!folder.path().join("load").exists());
    }
}

fn not_spoken(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let listener = kafka.listener(Protocol::SaslSsl);
    let kerberos = ["sasl.mechanism=OAUTHBEARER".to_owned()];
    let out = run(folder.path(), &["log", &kafka.base().topic], &listener, &kerberos).exits(2);
    assert!(out.stderr.contains("does not speak sasl.mechanism=OAUTHBEARER"), "{}", out.stderr);
}
