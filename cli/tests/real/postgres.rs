//! A PostgreSQL of a test's own, from the system's package: in its own folder, on a free port of the loopback, without
//! root's rights, and stopped when it is dropped.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::common;

/// No start takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// `nobody` and `nogroup`: PostgreSQL refuses to be started by root.
const NOBODY: u32 = 65_534;

/// A running server.
pub(crate) struct Postgres {
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a database cluster and starts a server on it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, socket) = (folder.path().join("data"), folder.path().display().to_string());
        if geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let made = program("initdb")
            .args(["--auth", "trust", "--username", "ackmark", "--no-sync", "--locale", "C", "--pgdata"])
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(folder.path().join("server.log")).unwrap();
        let server = program("postgres")
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", &socket, "-D"])
            .arg(&data)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self { server, port, _folder: folder };
        let is_ready = || {
            program("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap().success()
        };
        common::wait_until("PostgreSQL answers", PATIENCE, is_ready);
        started
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://ackmark@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown; its own processes end with it.
        if let Some(pid) = Pid::from_raw(self.server.id().cast_signed()) {
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.server.wait();
    }
}

/// One of PostgreSQL's programs, run without root's rights. Debian keeps them out of the PATH.
fn program(name: &str) -> Command {
    let path = installed(name).unwrap_or_else(|| PathBuf::from(name));
    if !geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    let user = NOBODY.to_string();
    // `setpriv` becomes the program, so its process id is the program's.
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(path);
    command
}

fn installed(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let mut programs: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    programs.retain(|path| Path::exists(path));
    programs.sort();
    programs.pop()
}
