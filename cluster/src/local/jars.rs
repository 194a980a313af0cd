//! Kafka's jars: from `KAFKA_HOME`, from the cache, or fetched by Maven with the pinned `kafka/pom.xml`.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    LocalOptions,
    home::{Home, UNFINISHED, create_folder, write_file},
    java::in_path,
    spawn::{Fate, spawn},
    stop::Stop,
    tail::tail,
};
use crate::{Progress, error::ClusterError};

/// The Kafka that is used unless another is asked for.
pub const KAFKA_VERSION: &str = "4.3.1";

const POM: &str = include_str!("../../kafka/pom.xml");
/// 45 MB, also on a slow line.
const FETCH_MAX: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A Kafka's jars.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    pub(super) version: String,
    /// In order of name, so that the class path is always the same: the archive of classes depends on it.
    files: Vec<PathBuf>,
}

impl Jars {
    /// Where the jars are, fetching them if they are nowhere. Call it with the home locked.
    pub(super) fn find(home: &Home, options: &LocalOptions, progress: Progress<'_>) -> Result<Self, ClusterError> {
        if let Some(kafka_home) = &options.kafka_home {
            return Self::in_kafka_home(kafka_home, options.version.as_deref());
        }
        let version = options.version.as_deref().unwrap_or(KAFKA_VERSION);
        let folder = home.jars().join(format!("{version}-{:08x}", hash(POM) as u32));
        if !folder.exists() {
            fetch(home, version, &folder, &options.stop, progress)?;
        }
        // The archive of classes remembers paths, so a home that is reached by a link has the same ones.
        let folder = folder.canonicalize().map_err(ClusterError::io(format!("resolve {}", folder.display())))?;
        Ok(Self { version: version.to_owned(), files: jars_in(&folder)? })
    }

    fn in_kafka_home(kafka_home: &Path, wanted: Option<&str>) -> Result<Self, ClusterError> {
        let missing = || ClusterError::KafkaHome { home: kafka_home.to_owned() };
        let files = jars_in(&kafka_home.join("libs")).map_err(|_| missing())?;
        let version = files.iter().find_map(|jar| kafka_version(jar)).ok_or_else(missing)?;
        match wanted {
            Some(wanted) if wanted != version => {
                Err(ClusterError::KafkaHomeVersion { found: version, wanted: wanted.to_owned() })
            }
            _ => Ok(Self { version, files }),
        }
    }

    /// For `java -cp`.
    pub(super) fn class_path(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|jar| jar.display().to_string()).collect();
        files.join(":")
    }

    /// Changes when any jar does: its path, size or time.
    pub(super) fn fingerprint(&self) -> u64 {
        let stamp = |jar: &PathBuf| jar.metadata().ok().map(|data| (data.len(), data.modified().ok()));
        hash(self.files.iter().map(|jar| (jar, stamp(jar))).collect::<Vec<_>>())
    }
}

pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// `kafka_2.13-4.3.1.jar` is 4.3.1.
fn kafka_version(jar: &Path) -> Option<String> {
    let rest = jar.file_name()?.to_str()?.strip_prefix("kafka_")?.strip_suffix(".jar")?;
    let (_scala, version) = rest.split_once('-')?;
    // Not the sources or test jar.
    version.chars().all(|c| c.is_ascii_digit() || c == '.').then(|| version.to_owned())
}

fn jars_in(folder: &Path) -> Result<Vec<PathBuf>, ClusterError> {
    let what = || format!("read {}", folder.display());
    let mut jars = Vec::new();
    for entry in fs::read_dir(folder).map_err(ClusterError::io(what()))? {
        let path = entry.map_err(ClusterError::io(what()))?.path();
        if path.extension().is_some_and(|extension| extension == "jar") {
            jars.push(path);
        }
    }
    jars.sort();
    Ok(jars)
}

/// Fetches into a folder beside `folder`, then renames: a folder with jars is whole or not there.
fn fetch(home: &Home, version: &str, folder: &Path, stop: &Stop, progress: Progress<'_>) -> Result<(), ClusterError> {
    let mvn = in_path("mvn").ok_or(ClusterError::NoMaven)?;
    progress(&format!("fetching the jars of Kafka {version} by Maven (45 MB, once)"));
    create_folder(&home.jars())?;
    let work = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(home.jars())
        .map_err(ClusterError::io(format!("create a folder in {}", home.jars().display())))?;
    let libs = work.path().join("libs");
    let pom = work.path().join("pom.xml");
    let console = work.path().join("maven.log");
    write_file(&pom, POM)?;

    let mut command = Command::new(&mvn);
    command
        .args(["-B", "-q", "-ntp", "-f"])
        .arg(&pom)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", libs.display()))
        .arg(format!("-Dkafka.version={version}"))
        .current_dir(work.path())
        .stdin(Stdio::null());
    let failed = |reason: String| ClusterError::Fetch { version: version.to_owned(), reason, tail: tail(&console, 15) };
    run(command, &console, FETCH_MAX, stop)?.map_err(&failed)?;
    if !jars_in(&libs).is_ok_and(|jars| jars.iter().any(|jar| kafka_version(jar).is_some())) {
        return Err(failed("no jar of the broker was among what it brought".to_owned()));
    }
    fs::rename(&libs, folder).map_err(ClusterError::io(format!("rename {} to {}", libs.display(), folder.display())))
}

/// Runs a program to its end with its output in `console`. The inner error tells how it failed.
pub(super) fn run(
    mut command: Command,
    console: &Path,
    time_max: Duration,
    stop: &Stop,
) -> Result<Result<(), String>, ClusterError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = File::create(console).map_err(ClusterError::io(format!("create {}", console.display())))?;
    let errors = output.try_clone().map_err(ClusterError::io(format!("open {}", console.display())))?;
    command.stdout(output).stderr(errors);
    let mut child = spawn(command, Fate::DiesWithParent, None).map_err(ClusterError::io(format!("run {name}")))?;
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(ClusterError::io(format!("wait for {name}")))? {
            Some(status) if status.success() => return Ok(Ok(())),
            Some(status) => return Ok(Err(status.to_string())),
            None => {}
        }
        let stopped = stop.check();
        if stopped.is_err() || start.elapsed() > time_max {
            kill_session(&mut child);
            return stopped.map(|()| Err(format!("not done after {} s", time_max.as_secs())));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Ends all of a session: mvn is a script that runs a JVM.
fn kill_session(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_from_jar_names() {
        let version = |name: &str| kafka_version(Path::new(name));
        assert_eq!(version("/k/libs/kafka_2.13-4.3.1.jar").as_deref(), Some("4.3.1"));
        assert_eq!(version("kafka_2.13-4.3.1-sources.jar"), None);
        assert_eq!(version("kafka-clients-4.3.1.jar"), None);
    }

    #[test]
    fn the_pom_pins_the_default_version() {
        assert!(POM.contains(&format!("<kafka.version>{KAFKA_VERSION}</kafka.version>")));
    }

    #[test]
    fn kafka_home_is_used_checked_and_never_mixed_with_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let find = |version| Jars::in_kafka_home(folder.path(), version);
        assert!(matches!(find(None), Err(ClusterError::KafkaHome { .. })));
        fs::create_dir(folder.path().join("libs")).unwrap();
        assert!(matches!(find(None), Err(ClusterError::KafkaHome { .. })));
        fs::write(folder.path().join("libs/kafka_2.13-4.2.0.jar"), "").unwrap();
        assert_eq!(find(None).unwrap().version, "4.2.0");
        assert_eq!(find(Some("4.2.0")).unwrap().version, "4.2.0");
        assert!(matches!(find(Some("4.3.1")), Err(ClusterError::KafkaHomeVersion { .. })));
    }
}
