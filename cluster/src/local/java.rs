//! The Java that runs the brokers.

use std::{
    env,
    ffi::OsStr,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::ClusterError;

/// Lowest major version that Kafka 4 brokers run on (KIP-1013).
pub const MINIMUM_JAVA: u32 = 17;

/// A Java that is new enough.
#[derive(Debug, Clone)]
pub struct Java {
    /// Its program.
    pub program: PathBuf,
    /// Its version, for example `17.0.15`.
    pub version: String,
    /// All that `java -version` says: tells builds of one version apart.
    pub(super) build: String,
}

impl Java {
    /// Finds `java` in `JAVA_HOME`, then in `PATH`.
    ///
    /// # Errors
    /// None is there, or it is too old.
    pub fn find() -> Result<Self, ClusterError> {
        let home =
            env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java")).filter(|java| is_program(java));
        let program = home.or_else(|| in_path("java")).ok_or(ClusterError::NoJava { minimum: MINIMUM_JAVA })?;
        Self::ask(program)
    }

    fn ask(program: PathBuf) -> Result<Self, ClusterError> {
        let output = without_java_options(&mut Command::new(&program))
            .arg("-version")
            // A Ctrl-C in the terminal is for this process alone, which then ends in order.
            .process_group(0)
            .stdin(Stdio::null())
            .output()
            .map_err(ClusterError::io(format!("run {}", program.display())))?;
        let build = String::from_utf8_lossy(&output.stderr).into_owned();
        let version = quoted(&build).unwrap_or("of an unknown version").to_owned();
        match major(&version) {
            Some(major) if major >= MINIMUM_JAVA => Ok(Self { program, version, build }),
            _ => Err(ClusterError::OldJava { java: program, found: version, minimum: MINIMUM_JAVA }),
        }
    }
}

/// Removes the variables by which a JVM takes flags from its surroundings, so that brokers are alike everywhere.
pub(super) fn without_java_options(command: &mut Command) -> &mut Command {
    for name in ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"] {
        command.env_remove(name);
    }
    command
}

/// Finds a program in `PATH`.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    // An empty entry would mean the current folder, from which no program is taken.
    let folders = env::split_paths(&path).filter(|folder| folder.as_os_str() != OsStr::new(""));
    folders.map(|folder| folder.join(name)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn quoted(text: &str) -> Option<&str> {
    text.split('"').nth(1)
}

/// `17.0.15` is 17, `21-ea` is 21, `1.8.0_452` is 8.
fn major(version: &str) -> Option<u32> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn major_versions() {
        let cases = [("17.0.15", Some(17)), ("21", Some(21)), ("25-ea", Some(25)), ("1.8.0_452", Some(8)), ("?", None)];
        for (version, expected) in cases {
            assert_eq!(major(version), expected, "{version}");
        }
    }

    #[test]
    fn an_old_java_is_refused_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let java = folder.path().join("java");
        // Copied by another process: while other threads of this one fork, what it has open for writing cannot be run.
        let text = folder.path().join("text");
        fs::write(&text, "#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n").unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new("cp").arg(&text).arg(&java).status().unwrap().success());
        let error = Java::ask(java).unwrap_err();
        assert!(matches!(&error, ClusterError::OldJava { found, .. } if found == "11.0.2"), "{error}");
    }
}
