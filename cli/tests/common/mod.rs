//! The shipped binary, run as a user runs it.

#![allow(clippy::unwrap_used, dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use ackmark_cluster::{Local, LocalOptions, local::Home};

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Run {
    /// Exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// What it printed as data.
    pub(crate) stdout: String,
    /// What it said.
    pub(crate) stderr: String,
}

impl Run {
    /// The run with this exit code, or a panic that tells what happened instead.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// As one text for a snapshot.
    pub(crate) fn text(&self) -> String {
        format!("exit code: {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// stdout as a contract.
    #[track_caller]
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The binary in a folder, without what the surroundings might set.
pub(crate) fn ackmark(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ackmark"));
    command.current_dir(folder).env("COLUMNS", "100");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ACKMARK_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary in a folder to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Run {
    finish(ackmark(folder).args(arguments))
}

/// A home of the test's own, so that a cluster that somebody keeps on this machine is not in the way; what was
/// fetched for all is shared.
pub(crate) fn home(folder: &Path) -> PathBuf {
    Local::prepare(&LocalOptions::default(), &|_| {}).unwrap();
    let (shared, own) = (Home::open(None).unwrap(), folder.join("home"));
    std::fs::create_dir(&own).unwrap();
    for name in ["jars", "kits"] {
        symlink(shared.path().join(name), own.join(name)).unwrap();
    }
    own
}

/// A variable of the environment that all descendants of a process have, also when their parents are gone.
pub(crate) const MARK: &str = "ACKTEST_MARK";

/// Command lines of the living processes with that mark, by process id.
pub(crate) fn marked(mark: &str) -> BTreeMap<i32, String> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        // What has ended since, or is a zombie, has no environment.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted).then_some(())?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, line.replace('\0', " ")))
    })
    .collect()
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
