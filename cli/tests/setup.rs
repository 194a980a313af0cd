//! The set-up step: what a bare system is told or given, and that Kafka's jars are fetched by it.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use common::{Run, ackmark, finish};

/// What every system has, as far as setup.sh needs it.
const BASE: [&str; 9] = ["bash", "cat", "cut", "dirname", "head", "sed", "sort", "tr", "uname"];

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Copied by another process: while other threads of this one fork, what it has open for writing cannot be run.
fn script(file: &Path, text: &str) {
    let written = tempfile::NamedTempFile::new().unwrap();
    fs::write(written.path(), format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(written.path(), fs::Permissions::from_mode(0o755)).unwrap();
    finish(Command::new("cp").arg(written.path()).arg(file)).exits(0);
}

/// A system with the base packages, this Rust, and nothing else.
struct Bare(tempfile::TempDir);

impl Bare {
    fn new(rust: &str) -> Self {
        let bare = Self(tempfile::tempdir().unwrap());
        for name in BASE {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
            symlink(found.iter().find(|file| file.exists()).unwrap(), bare.path(name)).unwrap();
        }
        bare.tool("cargo", &format!("[ \"$1\" = --version ] && echo 'cargo {rust} (a)'"));
        bare.tool("rustc", &format!("echo 'rustc {rust} (b)'"));
        bare
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn tool(&self, name: &str, text: &str) {
        script(&self.path(name), text);
    }

    /// What apt-get would bring; the compiler finds every header.
    fn tools(&self) {
        for name in ["c++", "make", "pkg-config", "mvn"] {
            self.tool(name, "exit 0");
        }
        self.tool("cc", "cat > /dev/null");
        self.tool("java", "echo 'openjdk version \"17.0.9\"' >&2");
    }

    fn setup(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(self.path("bash"));
        command.arg(repository().join("setup.sh")).args(arguments);
        finish(command.env("PATH", self.0.path()).env_remove("JAVA_HOME"))
    }
}

#[test]
fn a_bare_debian_gets_what_is_missing() {
    const PACKAGES: &str = "default-jre-headless g++ gcc libc6-dev libssl-dev make maven pkg-config zlib1g-dev";
    let bare = Bare::new("1.99.0");
    let log = bare.path("log");
    bare.tool("apt-get", &format!("echo \"$*\" >> {}", log.display()));
    // What apt-get claims to have done and has not is told, and never taken for done.
    let run = bare.setup(&[]).exits(1);
    if !rustix::process::geteuid().is_root() {
        let told = format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {PACKAGES}");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
        return;
    }
    let said = fs::read_to_string(&log).unwrap();
    let wanted = format!("update -qq\ninstall -y -qq --no-install-recommends {PACKAGES}\n");
    assert_eq!(said, wanted);
    assert!(run.stderr.contains("still missing") && run.stderr.contains("java"), "{}", run.stderr);
    // And now it does its work.
    let full = Bare::new("1.99.0");
    full.tools();
    let names = ["cc", "c++", "make", "pkg-config", "mvn", "java"];
    let links = names.map(|name| format!("/bin/ln -s {} {}", full.path(name).display(), bare.0.path().display()));
    bare.tool("apt-get", &format!("[ $1 = install ] || exit 0\n{}", links.join("\n")));
    bare.setup(&[]).exits(0);
    // A second time there is nothing to do.
    bare.tool("apt-get", "exit 7");
    assert_eq!(bare.setup(&[]).exits(0).stderr, "");
}

#[test]
fn elsewhere_the_command_is_printed() {
    for (manager, told) in [
        ("dnf", "sudo dnf install -y gcc gcc-c++ java-latest-openjdk-headless make maven openssl-devel"),
        ("pacman", "sudo pacman -S --needed gcc jre-openjdk-headless make maven openssl pkgconf zlib"),
        ("apk", "sudo apk add g++ gcc make maven musl-dev openjdk21-jre-headless openssl-dev pkgconf zlib-dev"),
    ] {
        let bare = Bare::new("1.99.0");
        bare.tool(manager, "exit 7");
        let run = bare.setup(&[]).exits(1);
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
}

#[test]
fn an_old_rust_and_missing_lints_are_named_with_the_command() {
    let old = Bare::new("1.63.0");
    old.tools();
    let run = old.setup(&[]).exits(1);
    assert!(run.stderr.contains("cargo 1.63.0 is too old") && run.stderr.contains("rustup update"), "{}", run.stderr);
    let mixed = Bare::new("1.99.0");
    mixed.tools();
    mixed.tool("rustc", "echo 'rustc 1.63.0 (b)'");
    assert!(mixed.setup(&[]).exits(1).stderr.contains("rustc 1.63.0 is too old"));
    // Only who formats and lints needs the tools for it.
    let without = Bare::new("1.99.0");
    without.tools();
    without.setup(&[]).exits(0);
    let run = without.setup(&["lint"]).exits(1);
    assert!(run.stderr.contains("run:  rustup component add rustfmt clippy"), "{}", run.stderr);
}

#[test]
fn bench_and_test_set_up_first_and_set_up_fetches_kafka() {
    for (target, own) in [("bench", "-- bench"), ("test", "cargo test"), ("setup", "")] {
        let told = finish(Command::new("make").args(["-n", target]).current_dir(repository())).exits(0).stdout;
        let place = |what: &str| told.find(what).unwrap_or_else(|| panic!("{what} is not in:\n{told}"));
        let prepare = place("--bin ackmark -- cluster prepare");
        assert!(place("./setup.sh") < prepare && (own.is_empty() || prepare < place(own)), "{told}");
    }
}

#[test]
fn jars_are_fetched_by_prepare_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let prepare = |arguments: &[&str]| finish(ackmark(folder.path()).args(["cluster", "prepare"]).args(arguments));
    assert!(prepare(&[]).exits(0).stderr.contains("is ready to be started"));
    // All is there now: neither Maven nor a training run is needed.
    assert_eq!(prepare(&[]).exits(0).stderr.lines().count(), 1);
    // A home with nothing in it is filled by Maven: with none in PATH that is what fails.
    let java = folder.path().join("bin");
    fs::create_dir(&java).unwrap();
    let program = ackmark_cluster::local::Java::find().unwrap().program;
    symlink(program.canonicalize().unwrap(), java.join("java")).unwrap();
    let mut bare = ackmark(folder.path());
    bare.args(["cluster", "prepare", "--home", "home"])
        .env("PATH", &java)
        .env_remove("JAVA_HOME")
        .env_remove("KAFKA_HOME");
    assert!(finish(&mut bare).exits(1).stderr.contains("Maven (mvn) was not found"));
}
