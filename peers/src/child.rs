//! One process: started, bounded, stopped when the user wants an end; its time and its CPU time.
//!
//! The CPU time is what the kernel added to this process' ended children while this one ended, so only one child may
//! end at a time: contenders run one after the other, and brokers end only when a series does.

use std::{
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ackmark_cluster::local::spawn_bound;
use ackmark_schema::report::CpuTime;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

/// How often a stop is looked for.
const LOOK_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Most of an output that is kept: contenders print some lines.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Lines of stderr in an error.
const LAST_WORDS: usize = 8;

/// A process that did its work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    /// Its stdout.
    pub(crate) stdout: String,
    /// Its stderr.
    pub(crate) stderr: String,
    /// From its start to its end.
    pub(crate) process: Duration,
    /// Its CPU time, that of its own children included.
    pub(crate) cpu: CpuTime,
}

/// A process that did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Why, with its last words.
    Failed(String),
    /// The user wants an end.
    Stopped,
}

/// Runs a command to its end, at most `bound`; exit codes other than 0 are failures. `folder` takes its output.
pub(crate) fn run(mut command: Command, folder: &Path, bound: Duration, stop: &AtomicBool) -> Result<Done, Undone> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |what: &str| {
        let what = format!("{name}: {what}");
        move |error: io::Error| Undone::Failed(format!("{what}: {error}"))
    };
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    command
        .stdin(Stdio::null())
        .stdout(File::create(&out).map_err(failed("cannot keep its output"))?)
        .stderr(File::create(&err).map_err(failed("cannot keep its output"))?);
    let before = children_cpu();
    let start = Instant::now();
    let mut child = spawn_bound(command).map_err(failed("cannot be started"))?;
    let ended = wait(&mut child, start + bound, stop);
    let process = start.elapsed();
    if !matches!(ended, Ok(true)) {
        end(&mut child);
    }
    let status = child.wait().map_err(failed("cannot be waited for"))?;
    let cpu = children_cpu() - before;
    let (stdout, stderr) = (text(&out), text(&err));
    match ended {
        Err(error) => Err(failed("cannot be waited for")(error)),
        Ok(false) if stop.load(Ordering::Relaxed) => Err(Undone::Stopped),
        Ok(false) => Err(Undone::Failed(format!("{name} did not end within {} s{}", bound.as_secs(), said(&stderr)))),
        Ok(true) if status.success() => Ok(Done { stdout, stderr, process, cpu }),
        Ok(true) => Err(Undone::Failed(format!("{name} failed ({status}){}", said(&stderr)))),
    }
}

/// Whether it ended by itself before the deadline and before a stop.
fn wait(child: &mut Child, deadline: Instant, stop: &AtomicBool) -> io::Result<bool> {
    let pid = Pid::from_child(child);
    // Held before the child is waited for, so the number cannot mean another process.
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)], Some(&LOOK_INTERVAL)) {
            // Of a signal, Ctrl-C it may be: what it set is looked at below.
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        if stop.load(Ordering::Relaxed) || Instant::now() >= deadline {
            return Ok(false);
        }
    }
}

/// Kills it and all that it started: it leads a session of its own.
fn end(child: &mut Child) {
    // One that has just ended needs no signal.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// CPU time of all children of this process that have ended.
fn children_cpu() -> CpuTime {
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    // Fails only for an invalid argument.
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or_else(
        |_| CpuTime::default(),
        |usage| CpuTime { user_s: seconds(usage.user_time()), system_s: seconds(usage.system_time()) },
    )
}

fn text(file: &Path) -> String {
    let mut bytes = fs::read(file).unwrap_or_default();
    bytes.truncate(OUTPUT_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn said(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", lines[lines.len().saturating_sub(LAST_WORDS)..].join(" / "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    fn shell(script: &str, bound: Duration, stop: bool) -> Result<Done, Undone> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, folder.path(), bound, &AtomicBool::new(stop))
    }

    #[test]
    fn output_time_and_cpu_time_are_told() {
        // These tests share one process, so the CPU time is at least that of this child.
        let done =
            shell("echo out; echo err >&2; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done", BOUND, false).unwrap();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
        assert!(done.cpu.total_s() > 0.005 && done.process > Duration::from_millis(5), "{done:?}");
    }

    #[test]
    fn a_failure_carries_the_last_words() {
        let Undone::Failed(why) = shell("echo first >&2; echo no such topic >&2; exit 3", BOUND, false).unwrap_err()
        else {
            panic!("it was not stopped");
        };
        assert_eq!(why, "sh failed (exit status: 3): first / no such topic");
    }

    #[test]
    fn one_that_takes_too_long_ends_with_all_that_it_started() {
        let start = Instant::now();
        let Undone::Failed(why) = shell("sleep 60 & wait", Duration::from_millis(200), false).unwrap_err() else {
            panic!("it was not stopped");
        };
        assert!(why.contains("did not end within 0 s"), "{why}");
        assert_eq!(shell("sleep 60", BOUND, true), Err(Undone::Stopped));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(Command::new("/no/such/program"), folder.path(), BOUND, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(&error, Undone::Failed(why) if why.contains("program: cannot be started")), "{error:?}");
    }
}
