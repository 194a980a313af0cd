//! The shipped binary, run as a user runs it.

#![allow(clippy::unwrap_used, dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ackmark_cluster::{Local, LocalOptions, local::Home};
use ackmark_schema::{
    anomaly::Class,
    report::verify::{Examined, VerifyReport},
};
use rustix::process::{Pid, Signal, kill_process};

/// How long an admin request may take.
pub(crate) const ADMIN: Duration = Duration::from_secs(30);

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

/// The same, behind everything else that wants a processor. While a partition is blocked, librdkafka's idempotent
/// producer polls without pause (README, notes on figures): some of them on two cores starve brokers with short timeouts
/// until these fence each other, and a test would see that instead of what it did to a broker.
pub(crate) fn with_low_priority(command: &Command) -> Command {
    // Where the kernel shares processors among sessions, `nice` ranks within one: so the session has a rank, too.
    const LOWER: &str = "echo 19 2>/dev/null >/proc/$$/autogroup; exec nice -n 19 \"$@\"";
    let mut lowered = Command::new("setsid");
    lowered.args(["sh", "-c", LOWER, "sh"]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        lowered.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => lowered.env(name, value),
            None => lowered.env_remove(name),
        };
    }
    lowered
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

/// The command line by which a program runs in a mount namespace of its own: disks that are mounted there go with it.
///
/// # Errors
/// Why there is none here.
pub(crate) fn mount_namespace() -> Result<Vec<&'static str>, String> {
    let as_root: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let line = [&["unshare"], as_root, &["--mount", "--propagation", "private"]].concat();
    // Both are needed, and either may be forbidden.
    let probe = ["sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"];
    let output = Command::new(line[0]).args(&line[1..]).args(probe).output();
    match output {
        Ok(output) if output.status.success() => Ok(line),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("unshare: {error}")),
    }
}

/// A run of the binary under way, whose words go to files; killed when a test fails.
pub(crate) struct Running {
    process: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts a command; `name` makes the files its own in `folder`.
    pub(crate) fn start(command: &mut Command, folder: &Path, name: &str) -> Self {
        let (stdout, stderr) = (folder.join(format!("{name}.stdout")), folder.join(format!("{name}.stderr")));
        let file = |path: &Path| std::fs::File::create(path).unwrap();
        command.stdin(Stdio::null()).stdout(file(&stdout)).stderr(file(&stderr));
        Self { process: command.spawn().unwrap(), stdout, stderr }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// The most messages that an event of `--progress json` has told of.
    pub(crate) fn messages(&self, event: &str) -> u64 {
        let told = |line: &str| {
            let told: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            told["messages"].as_u64().filter(|_| told["event"] == event)
        };
        self.said().lines().filter_map(told).max().unwrap_or_default()
    }

    /// Waits for an event of `--progress json` that tells of messages.
    #[track_caller]
    pub(crate) fn wait_for_messages(&mut self, event: &str, limit: Duration) {
        let begun = Instant::now();
        while self.messages(event) == 0 {
            assert!(self.is_running(), "it has ended: {}", self.said());
            assert!(begun.elapsed() < limit, "no messages within {limit:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.process.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self, limit: Duration) -> Run {
        let begun = Instant::now();
        while self.is_running() {
            assert!(begun.elapsed() < limit, "it did not end within {limit:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        let code = self.process.wait().unwrap().code().unwrap_or(-1);
        Run { code, stdout: std::fs::read_to_string(&self.stdout).unwrap(), stderr: self.said() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a verification found of a class; `None` where it was not examined.
pub(crate) fn found(report: &VerifyReport, class: Class) -> Option<u64> {
    match report.findings.iter().find(|finding| finding.class == class).unwrap().examined {
        Examined::Counted(count) => Some(count),
        Examined::NotExamined { .. } => None,
    }
}
