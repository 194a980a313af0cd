//! Small disks: a tmpfs in a mount namespace of this process, which its children share and which ends with them.

use std::{env, os::unix::process::CommandExt as _, path::Path, process::Command};

use crate::common;

/// Set in the namespace.
const INSIDE: &str = "ACKTEST_NAMESPACE";

/// Runs this program anew in a mount namespace of its own, where such a thing can be had; the process stays the same.
pub(crate) fn enter_namespace() {
    if env::var_os(INSIDE).is_some() {
        return;
    }
    if let Ok(line) = common::mount_namespace() {
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).arg(env::current_exe().unwrap()).args(env::args_os().skip(1)).env(INSIDE, "1");
        panic!("it ran a moment ago: {}", command.exec());
    }
}

/// Why no disk can be had, if so.
pub(crate) fn refusal() -> Option<String> {
    if env::var_os(INSIDE).is_some() { None } else { common::mount_namespace().err() }
}

/// Mounts a tmpfs of that size (`mount`'s words) on a folder, for as long as this process lives.
pub(crate) fn mount(folder: &Path, size: &str) {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o"]).arg(format!("size={size}")).arg("tmpfs").arg(folder);
    common::finish(&mut command).exits(0);
}
