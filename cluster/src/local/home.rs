//! Where a local Kafka lives on disk, and who is alive there.
//!
//! ```text
//! <home>/lock                 held while jars are fetched or the start kit is made
//! <home>/jars/<version>-<pom> Kafka's jars
//! <home>/kits/<key>           what makes a start fast
//! <home>/clusters/lock        held while folders are made and swept
//! <home>/clusters/<name>/     one cluster: lock, state.json, a folder per node
//! ```
//!
//! A cluster's folder is in use for as long as somebody holds the lock on its `lock` file. The owner holds it, and so
//! does every JVM, which inherits the open file: on Linux the lock is an flock(2), which belongs to the open file, not to a process. So nothing
//! needs to be guessed from process ids, and a folder can be swept exactly when its last process is gone.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::stop::Stop;
use crate::error::ClusterError;

/// How the names of folders begin that are being filled; they are renamed when whole.
pub(super) const UNFINISHED: &str = "unfinished-";
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Sweeping deletes a few gigabytes at most.
const SWEEP_WAIT_MAX: Duration = Duration::from_mins(1);

/// The folder of all local clusters of a user.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The given folder, or `ackmark` in the user's cache folder (`XDG_CACHE_HOME`, `~/.cache`).
    ///
    /// # Errors
    /// None is given and neither variable is set, or it cannot be made.
    pub fn open(path: Option<&Path>) -> Result<Self, ClusterError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => user_cache().ok_or(ClusterError::NoHome)?.join("ackmark"),
        };
        // Absolute: it goes into server.properties, and nodes run in other folders.
        let path = std::path::absolute(&path).map_err(ClusterError::io(format!("resolve {}", path.display())))?;
        let home = Self { path };
        create_folder(&home.clusters())?;
        Ok(home)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn jars(&self) -> PathBuf {
        self.path.join("jars")
    }

    pub(super) fn kits(&self) -> PathBuf {
        self.path.join("kits")
    }

    pub(super) fn clusters(&self) -> PathBuf {
        self.path.join("clusters")
    }

    /// Waits for the lock on what is shared by all clusters; released when dropped.
    pub(super) fn lock(&self, wait_max: Duration, stop: &Stop) -> Result<File, ClusterError> {
        lock(&self.path.join("lock"), wait_max, stop)
    }

    /// Removes what a fetch or a training run left that was killed. Call it with the home locked: then none is running.
    pub(super) fn sweep_unfinished(&self) -> Result<(), ClusterError> {
        for folder in [self.jars(), self.kits()] {
            // Nothing was ever fetched, or it cannot be read, which its user will say.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(UNFINISHED) {
                    remove_folder(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Removes the folders of clusters that are no more; tells their names.
    pub(super) fn sweep(&self, stop: &Stop) -> Result<Vec<String>, ClusterError> {
        let _guard = lock(&self.clusters().join("lock"), SWEEP_WAIT_MAX, stop)?;
        let what = || format!("read {}", self.clusters().display());
        let mut swept = Vec::new();
        for entry in fs::read_dir(self.clusters()).map_err(ClusterError::io(what()))? {
            let path = entry.map_err(ClusterError::io(what()))?.path();
            if path.is_dir() && !is_in_use(&path)? {
                remove_folder(&path)?;
                swept.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        Ok(swept)
    }

    /// Makes a cluster's folder, in use from the start. `None`: one of that name is in use.
    pub(super) fn create(&self, name: &str, stop: &Stop) -> Result<Option<Folder>, ClusterError> {
        let _guard = lock(&self.clusters().join("lock"), SWEEP_WAIT_MAX, stop)?;
        let path = self.clusters().join(name);
        if path.exists() {
            if is_in_use(&path)? {
                return Ok(None);
            }
            remove_folder(&path)?;
        }
        // For its user alone: a cluster with secure listeners has passwords in its configuration.
        DirBuilder::new().mode(0o700).create(&path).map_err(ClusterError::io(format!("create {}", path.display())))?;
        let lock = try_lock(&path.join("lock"))?;
        Ok(lock.map(|lock| Folder { path, lock, removed_when_dropped: true }))
    }
}

/// A cluster's folder, in use while this or a child that inherited its lock is alive; removed when dropped, unless
/// it is kept.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
    removed_when_dropped: bool,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle on the lock, for a child to inherit.
    pub(super) fn lock(&self) -> Result<OwnedFd, ClusterError> {
        let lock =
            self.lock.try_clone().map_err(ClusterError::io(format!("share the lock of {}", self.path.display())))?;
        Ok(lock.into())
    }

    pub(super) fn keep(&mut self) {
        self.removed_when_dropped = false;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.removed_when_dropped {
            // Nobody is left to tell; what stays is swept at the next start.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Whether a cluster's folder belongs to a living process.
pub(super) fn is_in_use(folder: &Path) -> Result<bool, ClusterError> {
    match try_lock(&folder.join("lock")) {
        Ok(lock) => Ok(lock.is_none()),
        // Removed by its owner just now.
        Err(ClusterError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn create_folder(path: &Path) -> Result<(), ClusterError> {
    fs::create_dir_all(path).map_err(ClusterError::io(format!("create {}", path.display())))
}

pub(super) fn remove_folder(path: &Path) -> Result<(), ClusterError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ClusterError::Io { what: format!("remove {}", path.display()), source: error })
        }
        _ => Ok(()),
    }
}

pub(super) fn write_file(path: &Path, text: &str) -> Result<(), ClusterError> {
    fs::write(path, text).map_err(ClusterError::io(format!("write {}", path.display())))
}

fn lock(path: &Path, wait_max: Duration, stop: &Stop) -> Result<File, ClusterError> {
    let start = Instant::now();
    loop {
        if let Some(lock) = try_lock(path)? {
            return Ok(lock);
        }
        stop.check()?;
        if start.elapsed() > wait_max {
            return Err(ClusterError::Locked { path: path.to_owned(), waited_s: wait_max.as_secs() });
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// `None`: somebody else holds it.
fn try_lock(path: &Path) -> Result<Option<File>, ClusterError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(ClusterError::io(format!("open {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(ClusterError::Io { what: format!("lock {}", path.display()), source }),
    }
}

fn user_cache() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stale_folders_are_swept_and_those_in_use_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(Some(folder.path())).unwrap();
        let alive = home.create("alive", &Stop::default()).unwrap().unwrap();
        for stale in ["stale", "stale-without-lock"] {
            fs::create_dir_all(home.clusters().join(stale).join("broker-1/data")).unwrap();
        }
        fs::write(home.clusters().join("stale/lock"), "").unwrap();

        let mut swept = home.sweep(&Stop::default()).unwrap();
        swept.sort();
        assert_eq!(swept, ["stale", "stale-without-lock"]);
        assert!(alive.path().exists());
        assert!(home.sweep(&Stop::default()).unwrap().is_empty());
    }

    #[test]
    fn a_folder_is_in_use_while_a_child_holds_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(Some(folder.path())).unwrap();
        let mut cluster = home.create("kept", &Stop::default()).unwrap().unwrap();
        cluster.keep();
        let mut sleeper = std::process::Command::new("sleep");
        sleeper.arg("60");
        let mut child = super::super::spawn::spawn(
            sleeper,
            super::super::spawn::Fate::DiesWithParent,
            Some(cluster.lock().unwrap()),
        )
        .unwrap();
        drop(cluster);
        assert!(home.create("kept", &Stop::default()).unwrap().is_none(), "the child holds the lock");
        assert!(home.sweep(&Stop::default()).unwrap().is_empty());

        child.kill().unwrap();
        child.wait().unwrap();
        // A process that another test starts just now has what is open here, the lock too, until it becomes its program.
        let begun = std::time::Instant::now();
        let mut swept = home.sweep(&Stop::default()).unwrap();
        while swept.is_empty() && begun.elapsed() < std::time::Duration::from_secs(10) {
            std::thread::sleep(std::time::Duration::from_millis(5));
            swept = home.sweep(&Stop::default()).unwrap();
        }
        assert_eq!(swept, ["kept"]);
    }

    #[test]
    fn what_a_killed_fetch_left_is_swept_and_whole_folders_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(Some(folder.path())).unwrap();
        home.sweep_unfinished().unwrap();
        for path in
            [home.jars().join("4.3.1-0"), home.jars().join("unfinished-a/libs"), home.kits().join("unfinished-b")]
        {
            fs::create_dir_all(path).unwrap();
        }
        home.sweep_unfinished().unwrap();
        assert!(home.jars().join("4.3.1-0").exists());
        assert!(!home.jars().join("unfinished-a").exists() && !home.kits().join("unfinished-b").exists());
    }

    #[test]
    fn a_dropped_folder_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(Some(folder.path())).unwrap();
        let path = home.create("run", &Stop::default()).unwrap().unwrap().path().to_owned();
        assert!(!path.exists());
    }
}
