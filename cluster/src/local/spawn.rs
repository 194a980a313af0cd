//! Child processes that die with this process, however it ends.
//!
//! `PR_SET_PDEATHSIG` sends its signal when the *thread* that forked the child ends, not the process. So one thread
//! that lives as long as the process forks all of them. Each child is the leader of its own session: a Ctrl-C in the
//! terminal reaches ackmark, which still needs its brokers to end cleanly, and not the brokers.
//!
//! A child has standard streams and the one file that it is to inherit, and nothing that this process was started with:
//! a broker that is kept would hold somebody else's pipe or lock open for ever.
//!
//! The one module of this crate with unsafe code: what runs between fork and exec, and what other code's files are
//! marked by.

use std::{
    fs, io,
    os::{
        fd::{BorrowedFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
    sync::{
        OnceLock,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use rustix::{
    io::{FdFlags, fcntl_getfd, fcntl_setfd},
    process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal, setsid},
};

/// What becomes of a child when its parent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Killed at once, also when the parent is.
    DiesWithParent,
    /// Lives on.
    Survives,
}

struct Job {
    command: Command,
    fate: Fate,
    inherited: Option<OwnedFd>,
    answer: SyncSender<io::Result<Child>>,
}

/// Starts `command` in a session of its own. `inherited` stays open in the child: a lock on it is held for as long as
/// the child lives.
pub(super) fn spawn(command: Command, fate: Fate, inherited: Option<OwnedFd>) -> io::Result<Child> {
    let (answer, result) = mpsc::sync_channel(1);
    let gone = || io::Error::other("the thread that starts processes has ended");
    spawner()?.send(Job { command, fate, inherited, answer }).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}

/// Starts `command` in a session of its own; it is killed when this process ends, however that happens.
///
/// # Errors
/// The system's, for a program that is not there or cannot be run.
pub fn spawn_bound(command: Command) -> io::Result<Child> {
    spawn(command, Fate::DiesWithParent, None)
}

/// The thread that forks, started at first use; it never ends.
fn spawner() -> io::Result<&'static SyncSender<Job>> {
    static SPAWNER: OnceLock<Result<SyncSender<Job>, String>> = OnceLock::new();
    let started = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::sync_channel(16);
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || serve(&queue))
            .map(|_| jobs)
            .map_err(|error| format!("cannot start a thread: {error}"))
    });
    started.as_ref().map_err(|error| io::Error::other(error.clone()))
}

fn serve(queue: &Receiver<Job>) {
    while let Ok(Job { mut command, fate, inherited, answer }) = queue.recv() {
        let parent = getpid();
        let prepare = move || prepare_child(parent, fate, inherited.as_ref());
        // SAFETY: `prepare` runs in the forked child and makes only direct system calls (prctl, getppid, setsid,
        // fcntl); it neither allocates nor takes a lock.
        unsafe { command.pre_exec(prepare) };
        // A caller that has gone away has no use for the child.
        if let Err(mpsc::SendError(Ok(mut orphan))) = answer.send(close_on_exec().and_then(|()| command.spawn())) {
            let _ = orphan.kill();
            let _ = orphan.wait();
        }
    }
}

/// Marks all open files but the standard streams so that no child inherits them. Rust opens its own that way; what the
/// caller's shell left open is not.
fn close_on_exec() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if number <= 2 {
            continue;
        }
        // SAFETY: used for two calls only, which fail where the file was closed meanwhile. Where another thread has
        // opened one under its number, that one is marked, which is what all of them are to be.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        if let Ok(flags) = fcntl_getfd(file)
            && !flags.contains(FdFlags::CLOEXEC)
        {
            // It fails only where it was closed.
            let _ = fcntl_setfd(file, flags | FdFlags::CLOEXEC);
        }
    }
    Ok(())
}

/// Runs between fork and exec.
fn prepare_child(parent: Pid, fate: Fate, inherited: Option<&OwnedFd>) -> io::Result<()> {
    if fate == Fate::DiesWithParent {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent can have died before the line above: then nobody sends the signal any more.
        if getppid() != Some(parent) {
            return Err(io::Error::from(rustix::io::Errno::SRCH));
        }
    }
    setsid()?;
    if let Some(fd) = inherited {
        fcntl_setfd(fd, FdFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_child_inherits_nothing_that_the_caller_was_started_with() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
        let (strange, own) = (file("strange"), file("own"));
        // As a shell leaves one.
        fcntl_setfd(strange.as_fd(), FdFlags::empty()).unwrap();
        let mut sleeper = Command::new("sleep");
        sleeper.arg("60");
        let mut child = spawn(sleeper, Fate::DiesWithParent, Some(own.into())).unwrap();
        let files = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        let held: Vec<_> = files.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect();
        assert!(held.contains(&folder.path().join("own")), "{held:?}");
        assert!(!held.contains(&folder.path().join("strange")), "{held:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
