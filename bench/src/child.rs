//! Child processes of this program: `load`, `seal`, `verify`.
//!
//! Each has a bound in time. What it is told is on its stdin (see `handover`). Its stderr is read line by line:
//! progress as JSON, everything else is talk, of which the last lines are kept as the error's words. Children are
//! in process groups of their own, so that a Ctrl-C of the terminal reaches this process only, which then asks
//! them to end (SIGINT), waits for a bounded time, and kills what is left. A handle that is dropped kills its
//! process.

use std::{
    collections::VecDeque,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{self, ChildStderr, Command},
    task::JoinHandle,
};

use crate::event::{BenchEvent, ChildKind, Events, Progress};

/// Tells a child whose death it is not to survive: the process id of the bench. The child's side of it is the
/// command line's.
pub const PARENT_VARIABLE: &str = "ACKMARK_PARENT";
/// Start of a child and what it does before and after its work.
pub(crate) const CHILD_OVERHEAD: Duration = Duration::from_mins(1);
/// How often a stop is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a child may take to end after SIGINT: a load drains what is outstanding.
const GRACE: Duration = Duration::from_secs(30);
/// How long the rest of stderr is waited for after the process has ended.
const STDERR_WAIT: Duration = Duration::from_secs(2);
/// Lines of talk that are kept for an error message.
const TALK_MAX: usize = 12;
/// Longest line that is kept; the rest of stderr's bytes are read and dropped.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A child that did not do its work.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub(crate) enum ChildError {
    /// It could not be started.
    #[error("`ackmark {command}` could not be started: {reason}")]
    Start {
        /// Its subcommand.
        command: &'static str,
        /// Why.
        reason: String,
    },
    /// It took too long and was ended.
    #[error("`ackmark {command}` did not end within {} s and was stopped{}", bound.as_secs(), said(talk))]
    TooLong {
        /// Its subcommand.
        command: &'static str,
        /// Its bound.
        bound: Duration,
        /// Its last words.
        talk: String,
    },
    /// Its work had become useless, so it was asked to end.
    #[error("`ackmark {command}` was stopped: {reason}")]
    Useless {
        /// Its subcommand.
        command: &'static str,
        /// Why.
        reason: String,
    },
    /// It ended with an error.
    #[error("`ackmark {command}` failed ({status}){}", said(talk))]
    Failed {
        /// Its subcommand.
        command: &'static str,
        /// Exit code or signal.
        status: String,
        /// Its last words.
        talk: String,
    },
}

fn said(talk: &str) -> String {
    if talk.is_empty() { String::new() } else { format!(": {talk}") }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an exit code that the caller accepts.
    Code(i32),
    /// After this process had asked it to, by the user's wish.
    Stopped,
}

/// What children have in common.
#[derive(Clone)]
pub(crate) struct Children {
    /// The program.
    pub(crate) program: PathBuf,
    /// Who is told.
    pub(crate) events: Events,
    /// The user's wish to end.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Children {
    /// Whether the user wants an end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Starts a child, with `input` on its stdin.
    pub(crate) fn start(&self, kind: ChildKind, arguments: &[String], input: String) -> Result<Child, ChildError> {
        let mut command = Command::new(&self.program);
        // What the environment says has gone into the arguments already.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ACKMARK_") {
                command.env_remove(name);
            }
        }
        command
            .env(PARENT_VARIABLE, std::process::id().to_string())
            .arg(kind.command())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let failed = |reason: String| ChildError::Start { command: kind.command(), reason };
        let mut process = command.spawn().map_err(|error| failed(format!("{error} ({})", self.program.display())))?;
        let mut stdin = process.stdin.take().ok_or_else(|| failed("it has no stdin".into()))?;
        // One that ends before it has read all says itself why; the pipe ends with it.
        tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
        let stderr = process.stderr.take().ok_or_else(|| failed("it has no stderr".into()))?;
        let talk = Arc::new(Mutex::new(VecDeque::new()));
        let reader = tokio::spawn(read(kind, stderr, self.events.clone(), Arc::clone(&talk)));
        Ok(Child { kind, process, reader, talk, stop: Arc::clone(&self.stop) })
    }

    /// Starts a child and waits for its end.
    pub(crate) async fn run(
        &self,
        kind: ChildKind,
        arguments: &[String],
        input: String,
        bound: Duration,
        accepted: &[i32],
    ) -> Result<Ended, ChildError> {
        self.start(kind, arguments, input)?.wait(bound, accepted).await
    }

    /// Runs a load to its end, unless `useless` tells before why there is no point in going on.
    pub(crate) async fn load(
        &self,
        arguments: &[String],
        input: String,
        bound: Duration,
        useless: impl Fn() -> Option<String>,
    ) -> Result<Ended, ChildError> {
        self.start(ChildKind::Load, arguments, input)?.wait_unless(bound, &[0], useless).await
    }
}

/// A running child.
pub(crate) struct Child {
    kind: ChildKind,
    process: process::Child,
    reader: JoinHandle<()>,
    talk: Arc<Mutex<VecDeque<String>>>,
    stop: Arc<AtomicBool>,
}

impl Child {
    /// Waits for its end, at most `bound`; codes other than the accepted ones are errors. When the user
    /// wants an end it is asked to end and waited for.
    pub(crate) async fn wait(self, bound: Duration, accepted: &[i32]) -> Result<Ended, ChildError> {
        self.wait_unless(bound, accepted, || None).await
    }

    /// As [`Child::wait`]; asks it to end, too, when `useless` tells why there is no point in going on.
    pub(crate) async fn wait_unless(
        mut self,
        bound: Duration,
        accepted: &[i32],
        useless: impl Fn() -> Option<String>,
    ) -> Result<Ended, ChildError> {
        let start = Instant::now();
        loop {
            if let Ok(status) = tokio::time::timeout(LOOK_INTERVAL, self.process.wait()).await {
                let status = status.map_err(|error| self.failed(error.to_string()))?;
                self.read_rest().await;
                return self.judge(status, accepted);
            }
            if self.stop.load(Ordering::Relaxed) {
                self.end().await;
                return Ok(Ended::Stopped);
            }
            if let Some(reason) = useless() {
                self.end().await;
                self.read_rest().await;
                return Err(ChildError::Useless { command: self.kind.command(), reason });
            }
            if start.elapsed() >= bound {
                self.end().await;
                self.read_rest().await;
                return Err(ChildError::TooLong { command: self.kind.command(), bound, talk: self.last_words() });
            }
        }
    }

    /// Asks it to end, waits for a bounded time, kills it.
    pub(crate) async fn end(&mut self) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // A process that has just ended needs no signal.
            let _ = kill_process(pid, Signal::INT);
        }
        if tokio::time::timeout(GRACE, self.process.wait()).await.is_err() {
            // It is gone afterwards, or cannot be ended by anybody.
            let _ = self.process.kill().await;
        }
    }

    /// Kills it by SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.process.kill().await;
        self.read_rest().await;
    }

    async fn read_rest(&mut self) {
        if tokio::time::timeout(STDERR_WAIT, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
    }

    fn judge(&self, status: ExitStatus, accepted: &[i32]) -> Result<Ended, ChildError> {
        match status.code() {
            Some(code) if accepted.contains(&code) => Ok(Ended::Code(code)),
            Some(130) if self.stop.load(Ordering::Relaxed) => Ok(Ended::Stopped),
            Some(code) => Err(self.failed(format!("exit code {code}"))),
            None => Err(self.failed(status.to_string())),
        }
    }

    fn failed(&self, status: String) -> ChildError {
        ChildError::Failed { command: self.kind.command(), status, talk: self.last_words() }
    }

    fn last_words(&self) -> String {
        let talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        talk.iter().map(String::as_str).collect::<Vec<_>>().join(" / ")
    }
}

async fn read(kind: ChildKind, stderr: ChildStderr, events: Events, talk: Arc<Mutex<VecDeque<String>>>) {
    let mut reader = BufReader::new(stderr);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if let Ok(progress) = serde_json::from_str::<Progress>(line) {
            events(BenchEvent::Progress(progress));
            continue;
        }
        // Of other commands progress is not told on.
        if line.starts_with("{\"event\":") {
            continue;
        }
        {
            let mut talk = talk.lock().unwrap_or_else(PoisonError::into_inner);
            if talk.len() == TALK_MAX {
                talk.pop_front();
            }
            talk.push_back(line.to_owned());
        }
        events(BenchEvent::Talk { child: kind, line: line.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program that is a shell script.
    fn children(script: &str) -> (tempfile::TempDir, Children, Arc<Mutex<Vec<BenchEvent>>>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("child");
        // Copied by another process: while other threads of this one fork, what it has open for writing cannot be run.
        let text = folder.path().join("text");
        std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&text, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(std::process::Command::new("cp").arg(&text).arg(&program).status().unwrap().success());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let events: Events = {
            let seen = Arc::clone(&seen);
            Arc::new(move |event| seen.lock().unwrap().push(event))
        };
        (folder, Children { program, events, stop: Arc::default() }, seen)
    }

    const BOUND: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn progress_and_talk_are_told_apart() {
        let (_folder, children, seen) = children(
            "echo '{\"event\":\"load\",\"elapsed_s\":1.0,\"messages\":5,\"rate_per_s\":5.0,\"errors\":0,\"outstanding\":2}' >&2\n\
             echo \"warning: $1 is slow\" >&2",
        );
        assert_eq!(children.run(ChildKind::Load, &[], String::new(), BOUND, &[0]).await, Ok(Ended::Code(0)));
        let seen = seen.lock().unwrap();
        assert!(matches!(&seen[0], BenchEvent::Progress(Progress::Load { messages: 5, p99_us: None, .. })), "{seen:?}");
        assert!(matches!(&seen[1], BenchEvent::Talk { line, .. } if line == "warning: load is slow"), "{seen:?}");
    }

    #[tokio::test]
    async fn an_exit_code_that_is_not_accepted_carries_the_last_words() {
        let (_folder, children, _) = children("echo 'error: no such topic' >&2; exit 1");
        let error = children.run(ChildKind::Verify, &[], String::new(), BOUND, &[0, 3, 4]).await.unwrap_err();
        assert_eq!(error.to_string(), "`ackmark verify` failed (exit code 1): error: no such topic");
        let (_folder, children, _) = self::children("exit 3");
        assert_eq!(children.run(ChildKind::Verify, &[], String::new(), BOUND, &[0, 3, 4]).await, Ok(Ended::Code(3)));
    }

    #[tokio::test]
    async fn what_a_child_is_told_reaches_it_whole_and_ends() {
        let (folder, children, _) = children("cat > \"$(dirname \"$0\")/told\"");
        // More than a pipe holds.
        let input = "a value\nof two lines\0".repeat(20_000);
        assert_eq!(children.run(ChildKind::Seal, &[], input.clone(), BOUND, &[0]).await, Ok(Ended::Code(0)));
        assert_eq!(std::fs::read_to_string(folder.path().join("told")).unwrap(), input);
        let (_folder, deaf, _) = self::children("exit 3");
        assert_eq!(deaf.run(ChildKind::Verify, &[], input, BOUND, &[3]).await, Ok(Ended::Code(3)));
    }

    #[tokio::test]
    async fn a_child_that_takes_too_long_is_ended() {
        let (_folder, children, _) = children("exec sleep 60");
        let start = Instant::now();
        let error =
            children.run(ChildKind::Seal, &[], String::new(), Duration::from_millis(200), &[0]).await.unwrap_err();
        assert!(matches!(error, ChildError::TooLong { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    /// A child that says when it is ready and, asked to end, makes the file of its argument.
    const OBEDIENT: &str = "trap 'touch \"$2\"; exit 130' INT\necho ready >&2\nwhile :; do sleep 0.05; done";

    #[tokio::test]
    async fn a_stop_asks_the_child_to_end_and_lets_it_finish_its_work() {
        let (folder, children, _) = children(OBEDIENT);
        let mark = folder.path().join("ended");
        let child = children.start(ChildKind::Load, &[mark.display().to_string()], String::new()).unwrap();
        while child.talk.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        children.stop.store(true, Ordering::Relaxed);
        assert_eq!(child.wait(BOUND, &[0]).await, Ok(Ended::Stopped));
        assert!(mark.exists(), "it had time to write what it had");
    }

    #[tokio::test]
    async fn a_child_whose_work_is_useless_is_asked_to_end() {
        let (folder, children, _) = children(OBEDIENT);
        let mark = folder.path().join("ended");
        let child = children.start(ChildKind::Load, &[mark.display().to_string()], String::new()).unwrap();
        let talk = Arc::clone(&child.talk);
        let lost = || (!talk.lock().unwrap().is_empty()).then(|| "broker 2 has ended".to_owned());
        let error = child.wait_unless(BOUND, &[0], lost).await.unwrap_err();
        assert_eq!(error.to_string(), "`ackmark load` was stopped: broker 2 has ended");
        assert!(mark.exists(), "it had time to write what it had");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let (_folder, mut children, _) = children("");
        children.program = "/no/such/program".into();
        let error = children.run(ChildKind::Load, &[], String::new(), BOUND, &[0]).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }
}
