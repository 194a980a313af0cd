//! What the tests on real processes share.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ackmark_cluster::{Local, LocalOptions, Settings, local::Home};
use tempfile::TempDir;

/// Two clusters at once would starve each other of two cores.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A home of its own, with the user's jars and kits, so that nothing is fetched twice and no kept cluster is touched.
pub(crate) fn home() -> TempDir {
    static PREPARED: OnceLock<String> = OnceLock::new();
    PREPARED.get_or_init(|| Local::prepare(&LocalOptions::default(), &|line| eprintln!("{line}")).unwrap());
    let shared = Home::open(None).unwrap();
    let home = empty_home();
    for folder in ["jars", "kits"] {
        symlink(shared.path().join(folder), home.path().join(folder)).unwrap();
    }
    home
}

/// A home with nothing in it.
pub(crate) fn empty_home() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Options for a cluster in that home that starts light: nothing is measured here.
pub(crate) fn options(home: &Path) -> LocalOptions {
    LocalOptions { home: Some(home.to_owned()), settings: Settings::Fault, ..LocalOptions::default() }
}

/// This test binary as a child that runs one of its ignored tests.
pub(crate) fn child(test: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("ACKMARK_TEST_HOME", home).stdin(Stdio::null());
    command
}

/// The home that a child was given.
pub(crate) fn home_of_child() -> std::path::PathBuf {
    std::env::var_os("ACKMARK_TEST_HOME").expect("run by another test").into()
}

pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process lives; a zombie does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Kills a child when a test fails.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
