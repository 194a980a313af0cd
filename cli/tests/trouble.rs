//! Trouble that needs no Kafka: each ends in bounded time with one message that names the cure and with the
//! documented exit code.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

use common::{MARK, ackmark, finish, home, marked, run, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";
/// What cannot be reached is given up by then.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn brokers_that_cannot_be_reached_are_named_in_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 3] = [
        &["load", "--yes", "--topic", "a", "--out", "load"],
        &["doctor"],
        &["bench", "quick", "--yes", "--progress", "none"],
    ];
    for arguments in cases {
        let begun = Instant::now();
        let run = run(folder.path(), &[arguments, &["-b", NOBODY]].concat()).exits(1);
        assert!(begun.elapsed() < PATIENCE, "{arguments:?} took {:?}", begun.elapsed());
        assert!(run.stderr.contains("error: ") && run.stderr.contains(NOBODY), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("check that the brokers run"), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of what never began");
}

#[test]
fn a_load_folder_that_is_not_there_is_not_gone_on_with_nor_made() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), &["load", "--resume", "typo", "--yes", "-b", NOBODY]).exits(2);
    assert!(run.stderr.contains("typo/manifest.json") && run.stderr.contains("name the folder"), "{}", run.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

/// `/proc` refuses every user, also root, who can write to a folder without write permission.
#[test]
fn an_output_folder_that_refuses_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let bench = run(folder.path(), &["bench", "quick", "--simulated", "--results", "/proc/ackmark"]);
    assert_eq!(bench.code, 2, "{}", bench.text());
    assert!(bench.stderr.contains("/proc/ackmark") && bench.stderr.contains("--results"), "{}", bench.stderr);
}

#[test]
fn a_plan_that_the_disk_cannot_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
name = "huge"
profiles = ["all-acks"]
[[phase]]
name = "max"
rounds = 1
duration = "30d"
load = { max = {} }
"#;
    fs::write(folder.path().join("huge.toml"), text).unwrap();
    let plan = run(folder.path(), &["bench", "huge.toml", "--dry-run", "--output", "json"]).exits(0);
    let plan: serde_json::Value = plan.json();
    assert!(plan["disk_peak_bytes"].as_u64().unwrap() > 1 << 45, "{plan}");
    let refused = run(folder.path(), &["bench", "huge.toml", "--progress", "none"]);
    assert_eq!(refused.code, 2, "{}", refused.text());
    assert!(refused.stderr.contains("are free"), "{}", refused.stderr);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = ackmark(folder.path());
    command.args(["cluster", "up", "--port", &port]).env("ACKMARK_HOME", home(folder.path()));
    let refused = finish(&mut command).exits(2);
    assert!(refused.stderr.contains(&format!("port {port} on 127.0.0.1 is in use")), "{}", refused.stderr);
}

/// No Kafka is asked for it: it is known from the plan.
#[test]
fn a_plan_that_is_too_much_names_the_flag_that_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    for scenario in ["delivery", "thorough"] {
        let plan = ["bench", scenario, "-b", NOBODY, "--dry-run"];
        let refused = run(folder.path(), &plan).exits(2);
        let (_, value) = refused.stderr.split_once("--max-bytes ").unwrap_or_else(|| panic!("{}", refused.stderr));
        let value = value.split_whitespace().next().unwrap();
        run(folder.path(), &[&plan[..], &["--max-bytes", value]].concat()).exits(0);
    }
    let slow = ["bench", "quick", "-b", NOBODY, "--dry-run", "--max-rate", "1MiB"];
    let refused = run(folder.path(), &slow).exits(2);
    assert!(refused.stderr.contains("--max-rate 5MiB"), "{}", refused.stderr);
    run(folder.path(), &[&slow[..5], &["--max-rate", "5MiB"]].concat()).exits(0);
}

/// The first Ctrl-C is not made to wait until Kafka is up.
#[test]
fn an_interruption_while_kafka_starts_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    for (arguments, signal) in [
        (&["bench", "quick", "--progress", "none"][..], Signal::INT),
        (&["bench", "quick", "--progress", "none"], Signal::TERM),
        (&["cluster", "up"], Signal::INT),
    ] {
        let mark = format!("{}-{signal:?}-{}", arguments[0], std::process::id());
        let mut command = ackmark(folder.path());
        command.args(arguments).env("ACKMARK_HOME", &home).env(MARK, &mark);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let brokers = || marked(&mark).values().filter(|line| line.contains("kafka.Kafka")).count();
        wait_until("JVMs run", Duration::from_mins(1), || brokers() == 4);
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
        let begun = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(marked(&mark), BTreeMap::new());
        let left = fs::read_dir(home.join("clusters")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert_eq!(left.count(), 0);
        assert!(!folder.path().join("results").exists());
    }
}

#[test]
fn without_java_the_cure_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("bin");
    fs::create_dir(&empty).unwrap();
    for arguments in [&["bench", "quick"][..], &["cluster", "up"]] {
        let mut command = ackmark(folder.path());
        command.args(arguments).env("ACKMARK_HOME", folder.path().join("home"));
        let refused = finish(command.env("PATH", &empty).env_remove("JAVA_HOME")).exits(1);
        assert!(refused.stderr.contains("Java") && refused.stderr.contains("install"), "{}", refused.stderr);
        assert!(!folder.path().join("results").exists());
    }
}
