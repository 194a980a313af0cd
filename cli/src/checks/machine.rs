//! What the machine lacks. Facts come from `/proc` and `/sys`; where a machine does not tell, that is said.

use std::{fs, path::Path, process::Command};

use ackmark_cluster::local::{Java, MINIMUM_JAVA};
use rustix::process::Resource;

use super::{Check, State};
use crate::figures;

const GIB: u64 = 1 << 30;
/// What the scenario `delivery` needs, replicas included, with room.
const DISK_BYTES_GOOD: u64 = 40 * GIB;
const DISK_BYTES_MIN: u64 = 2 * GIB;
/// Three brokers of 1 GiB heap, a controller, page cache and the client.
const MEMORY_BYTES_GOOD: u64 = 8 * GIB;
const MEMORY_BYTES_MIN: u64 = 5 * GIB;
/// A broker holds three files per segment and a socket per connection.
const OPEN_FILES_GOOD: u64 = 4096;

/// What a load of any Kafka needs. `folder` is where results go.
pub(crate) fn client(folder: &Path) -> Vec<Check> {
    vec![disk(folder), processors(), governor(), clock(), open_files()]
}

/// What a Kafka on this machine needs beside that.
pub(crate) fn local_kafka() -> Vec<Check> {
    vec![java(), maven(), memory()]
}

fn java() -> Check {
    let what = "Java";
    match Java::find() {
        Ok(java) => Check::ok(what, format!("{} at {}", java.version, java.program.display())),
        Err(error) => Check::cured(
            what,
            State::Fail,
            error.to_string(),
            format!("install Java {MINIMUM_JAVA} or later, or use -b with a Kafka elsewhere"),
        ),
    }
}

fn maven() -> Check {
    let what = "Maven";
    if let Some(home) = std::env::var_os("KAFKA_HOME") {
        return Check::ok(what, format!("not needed: KAFKA_HOME is {}", home.display()));
    }
    match output_of("mvn", &["-v"]) {
        Some(text) => Check::ok(what, first_line(&text)),
        None => Check::cured(
            what,
            State::Warn,
            "no `mvn` on the PATH; it fetches Kafka's jars the first time",
            "install it (Debian: apt-get install maven), or set KAFKA_HOME to an unpacked Kafka",
        ),
    }
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(text)
}

fn first_line(text: &str) -> String {
    anstream::adapter::strip_str(text.lines().next().unwrap_or_default()).to_string()
}

fn memory() -> Check {
    let what = "memory";
    let Some(available) = meminfo_bytes("MemAvailable") else {
        return Check::ok(what, "the machine does not tell");
    };
    let found = format!("{} available", gib(available));
    let cure = "end what else runs; three brokers have heaps of 1 GiB each and live on the page cache";
    match available {
        MEMORY_BYTES_GOOD.. => Check::ok(what, found),
        MEMORY_BYTES_MIN.. => Check::cured(what, State::Warn, found, cure),
        _ => Check::cured(what, State::Fail, found, cure),
    }
}

fn meminfo_bytes(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn disk(folder: &Path) -> Check {
    let what = "disk";
    // The folder need not be there yet.
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let facts = match rustix::fs::statvfs(existing) {
        Ok(facts) => facts,
        Err(error) => {
            return Check::cured(what, State::Fail, format!("{}: {error}", existing.display()), "name another folder");
        }
    };
    let free = facts.f_bavail * facts.f_frsize;
    let found = format!("{} free at {}", gib(free), existing.display());
    let cure = "free some space; `ackmark bench --dry-run` tells how many bytes a plan writes";
    match free {
        DISK_BYTES_GOOD.. => Check::ok(what, found),
        DISK_BYTES_MIN.. => Check::cured(what, State::Warn, found, cure),
        _ => Check::cured(what, State::Fail, found, cure),
    }
}

fn processors() -> Check {
    let what = "processors";
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let found = format!("{count} usable");
    match count {
        4.. => Check::ok(what, found),
        _ => Check::cured(
            what,
            State::Warn,
            found,
            "client and local brokers share these: figures compare settings, they are no Kafka's limit; \
             use more cores or -b with brokers elsewhere",
        ),
    }
}

fn governor() -> Check {
    let what = "frequency governor";
    match fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        Err(_) => Check::ok(what, "the machine does not tell"),
        Ok(text) if text.trim() == "performance" => Check::ok(what, "performance"),
        Ok(text) => Check::cured(
            what,
            State::Warn,
            text.trim(),
            "set it to performance while measuring: cpupower frequency-set -g performance",
        ),
    }
}

fn clock() -> Check {
    let what = "clock source";
    match fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource") {
        Err(_) => Check::ok(what, "the machine does not tell"),
        Ok(text) if matches!(text.trim(), "hpet" | "acpi_pm" | "jiffies" | "refined-jiffies") => Check::cured(
            what,
            State::Warn,
            text.trim(),
            "reading it costs a microsecond or more per message; boot with tsc or kvm-clock",
        ),
        Ok(text) => Check::ok(what, text.trim()),
    }
}

fn open_files() -> Check {
    let what = "open files";
    let limit = rustix::process::getrlimit(Resource::Nofile);
    match limit.current {
        Some(soft) if soft < OPEN_FILES_GOOD => Check::cured(
            what,
            State::Warn,
            format!("at most {}", figures::count(soft)),
            format!("raise the limit: ulimit -n {OPEN_FILES_GOOD}"),
        ),
        Some(soft) => Check::ok(what, format!("at most {}", figures::count(soft))),
        None => Check::ok(what, "no limit"),
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}
