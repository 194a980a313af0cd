//! Help, errors and exit codes of the shipped binary, without a Kafka.

#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, process::Stdio};

use common::{ackmark, finish, run};

/// Every command that has a help.
const COMMANDS: [&[&str]; 19] = [
    &[],
    &["bench"],
    &["load"],
    &["seal"],
    &["verify"],
    &["log"],
    &["process"],
    &["recommend"],
    &["cluster"],
    &["cluster", "prepare"],
    &["cluster", "up"],
    &["cluster", "down"],
    &["cluster", "status"],
    &["cluster", "logs"],
    &["chart"],
    &["profiles"],
    &["schema"],
    &["doctor"],
    &["completions"],
];

/// A scenario that is sound, for breaking.
const SCENARIO: &str = r#"
name = "small"
profiles = ["all-acks"]
[[phase]]
name = "max"
rounds = 1
duration = "2s"
load = { max = {} }
"#;

fn in_temp(arguments: &[&str]) -> common::Run {
    run(tempfile::tempdir().unwrap().path(), arguments)
}

#[test]
fn every_command_has_a_help_with_an_example() {
    for command in COMMANDS {
        let name = if command.is_empty() { "ackmark".to_owned() } else { command.join("-") };
        let help = in_temp(&[command, &["--help"]].concat()).exits(0);
        assert_eq!(help.stderr, "");
        assert!(help.stdout.contains("ackmark "), "{name} has no example");
        insta::assert_snapshot!(format!("help-{name}"), help.stdout);
    }
}

#[test]
fn version_names_the_client() {
    let version = in_temp(&["--version"]).exits(0).stdout;
    assert!(version.starts_with(concat!("ackmark ", env!("CARGO_PKG_VERSION"), " (librdkafka 2.")), "{version}");
}

#[test]
fn the_built_in_profiles_are_listed_with_their_promise() {
    insta::assert_snapshot!("profiles", in_temp(&["profiles"]).exits(0).stdout);
    insta::assert_snapshot!("profiles-markdown", in_temp(&["profiles", "--output", "markdown"]).exits(0).stdout);
    insta::assert_snapshot!("profile-idempotent", in_temp(&["profiles", "idempotent"]).exits(0).stdout);
}

#[test]
fn the_promise_follows_from_the_properties_in_effect() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("client.properties"), "linger.ms=7\nacks=0\n").unwrap();
    let arguments = ["profiles", "all-acks", "--effective", "-F", "client.properties", "-X", "acks=1", "-o", "json"];
    let found = finish(ackmark(folder.path()).args(arguments).env("ACKMARK_X_LINGER_MS", "9")).exits(0);
    let found: serde_json::Value = found.json();
    let property = |name: &str| {
        let all = found["profiles"][0]["properties"].as_array().unwrap();
        all.iter().find(|property| property["name"] == name).unwrap().clone()
    };
    assert_eq!(property("acks")["value"], "1");
    assert_eq!(property("acks")["origin"], "flag");
    assert_eq!(property("linger.ms")["value"], "9");
    assert_eq!(property("linger.ms")["origin"], "environment");
    assert_eq!(property("retries")["origin"], "profile");
    assert_eq!(property("batch.size")["origin"], "default");
    assert_eq!(found["profiles"][0]["promise"]["basis"]["acks"], "leader");
    let lost =
        found["profiles"][0]["promise"]["clauses"].as_array().unwrap().iter().find(|clause| clause["class"] == "lost");
    assert_eq!(lost.unwrap()["ruling"], "may");
}

#[test]
fn a_secret_is_never_printed() {
    let arguments = ["profiles", "idempotent", "--effective", "-X", "ssl.key.password=hunter2"];
    let found = in_temp(&arguments).exits(0);
    assert!(!found.text().contains("hunter2"));
    assert!(found.stdout.contains("[redacted]"), "{}", found.stdout);
}

#[test]
fn schemas_are_the_committed_ones() {
    for (name, schema) in ackmark_schema::export::schemas() {
        assert_eq!(in_temp(&["schema", name]).exits(0).stdout, ackmark_schema::export::text(&schema), "{name}");
    }
    insta::assert_snapshot!("schema-list", in_temp(&["schema"]).exits(0).stdout);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = in_temp(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("bootstrap-server"), "{shell}");
    }
}

#[test]
fn bad_command_lines_end_with_2_and_the_cure() {
    let cases: [(&str, &[&str]); 16] = [
        ("no-command", &[]),
        ("unknown-command", &["bensh"]),
        ("unknown-flag", &["bench", "--profile", "x"]),
        ("unknown-profile", &["profiles", "idempotnt"]),
        ("unknown-schema", &["schema", "results"]),
        ("size-no-size", &["load", "-t", "a", "--size", "ten"]),
        ("size-unknown-spread", &["load", "-t", "a", "--size", "normal:1:2"]),
        ("rate-zero", &["load", "-t", "a", "--rate", "0"]),
        ("duration-without-unit", &["load", "-t", "a", "--duration", "30"]),
        ("arrivals-without-rate", &["load", "-t", "a", "--arrivals", "poisson"]),
        ("load-without-topic", &["load", "-b", "127.0.0.1:1"]),
        ("load-without-kafka", &["load", "-t", "a"]),
        ("message-too-small", &["load", "-t", "a", "-b", "127.0.0.1:1", "--size", "20B"]),
        ("transactions-of-none", &["load", "-t", "a", "-b", "127.0.0.1:1", "--transaction-messages", "10"]),
        ("property-without-value", &["load", "-t", "a", "-b", "127.0.0.1:1", "-X", "acks"]),
        ("property-unknown", &["load", "-t", "a", "-b", "127.0.0.1:1", "-X", "linger.mss=1"]),
    ];
    for (name, arguments) in cases {
        let run = in_temp(arguments).exits(2);
        assert_eq!(run.stdout, "", "{name}");
        insta::assert_snapshot!(format!("refused-{name}"), run.stderr);
    }
}

#[test]
fn a_missing_or_wrong_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.properties"), "no property\n").unwrap();
    fs::write(folder.path().join("bad.toml"), "name = \"x\"\ndescription = \"\"\n[property]\n").unwrap();
    fs::write(folder.path().join("spec.json"), "{\"schema\": \"ackmark-load-spec/99\"}").unwrap();
    let cases: [(&str, &[&str]); 7] = [
        ("properties-missing", &["profiles", "-F", "none.properties"]),
        ("properties-bad", &["profiles", "-F", "bad.properties"]),
        ("profile-missing", &["profiles", "none.toml"]),
        ("profile-bad", &["profiles", "bad.toml"]),
        ("spec-missing", &["load", "--spec", "none.json"]),
        ("spec-of-another-version", &["load", "--spec", "spec.json"]),
        ("no-load-folder", &["verify", "none", "-b", "127.0.0.1:1"]),
    ];
    for (name, arguments) in cases {
        let run = run(folder.path(), arguments).exits(2);
        insta::assert_snapshot!(format!("file-{name}"), run.stderr);
    }
}

#[test]
fn a_scenario_that_cannot_work_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("unknown-key", "rounds = 1", "round = 1"),
        ("unknown-profile", "all-acks", "all-ack"),
        ("message-too-small", "[[phase]]", "[message]\nsize = \"20B\"\n[[phase]]"),
        ("impossible-value", "rounds = 1", "rounds = 0"),
        ("not-toml", "name = ", "name : "),
    ];
    for (name, from, to) in cases {
        assert!(SCENARIO.contains(from), "{from}");
        fs::write(folder.path().join("own.toml"), SCENARIO.replacen(from, to, 1)).unwrap();
        let run = run(folder.path(), &["bench", "own.toml"]).exits(2);
        insta::assert_snapshot!(format!("scenario-{name}"), run.stderr);
        assert!(!folder.path().join("results").exists());
    }
    for (name, arguments) in [
        ("missing", &["bench", "none.toml"][..]),
        ("unknown", &["bench", "quik"]),
        ("profiles-unknown", &["bench", "quick", "--profiles", "all-acks,idempotnt"]),
    ] {
        let run = run(folder.path(), arguments).exits(2);
        insta::assert_snapshot!(format!("scenario-{name}"), run.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = ackmark(folder.path()).args(["schema", "result"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn colour_only_where_it_is_asked_for() {
    assert!(!in_temp(&["profiles"]).stdout.contains('\u{1b}'));
    assert!(in_temp(&["profiles", "--color", "always"]).stdout.contains('\u{1b}'));
    assert!(!in_temp(&["profiles", "--color", "never"]).stdout.contains('\u{1b}'));
    let folder = tempfile::tempdir().unwrap();
    let forced = |no_color: &str| {
        finish(ackmark(folder.path()).arg("profiles").env("CLICOLOR_FORCE", "1").env("NO_COLOR", no_color)).stdout
    };
    assert!(forced("").contains('\u{1b}'));
    assert!(!forced("1").contains('\u{1b}'));
}

#[test]
fn the_doctor_tells_what_is_missing_for_a_local_kafka() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("bin");
    fs::create_dir(&empty).unwrap();
    let found =
        finish(ackmark(folder.path()).args(["doctor", "-o", "json"]).env("PATH", &empty).env_remove("JAVA_HOME"));
    let checks: serde_json::Value = found.exits(1).json();
    let java = checks.as_array().unwrap().iter().find(|check| check["what"] == "Java").unwrap();
    assert_eq!(java["state"], "fail");
    assert!(java["cure"].as_str().unwrap().contains("17"));
}
