//! The result folder: `<date>-<host>-<name>`, with `-2`, `-3` … where that is taken.
//!
//! It has its final name from the start. `result.json` is replaced as a whole after each trial (a temporary
//! file, flushed, renamed), so that at any time the file there is complete and holds all that was measured.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use ackmark_schema::{
    result::{RESULT_FILE, RunResult},
    scenario::Scenario,
};
use jiff::ZonedDateTime;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::{error::BenchError, readme};

/// The scenario in effect.
pub const SCENARIO_FILE: &str = "scenario.toml";
/// The result for people.
pub const README_FILE: &str = "README.md";
/// Where charts go.
pub const CHARTS_FOLDER: &str = "charts";
/// Most results of one day, host and scenario.
const SAME_NAME_MAX: u32 = 10_000;
/// What must be free for reports and ledgers.
const PROBE_BYTES: usize = 1 << 20;

/// A result folder that can be written to.
#[derive(Debug, Clone)]
pub struct ResultFolder {
    path: PathBuf,
}

impl ResultFolder {
    /// Makes one below `results`, tries that it can be written to, and puts the scenario there.
    ///
    /// # Errors
    /// A folder that cannot be made or written to: read-only, full, a file in its place.
    pub fn create(results: &Path, host: &str, scenario: &Scenario) -> Result<Self, BenchError> {
        Self::with(results, host, &scenario.name, |folder| {
            let text = toml::to_string(scenario).map_err(io::Error::other)?;
            folder.replace(SCENARIO_FILE, text.as_bytes())
        })
    }

    /// Makes one of that name below `results`, with nothing in it, and tries that it can be written to.
    ///
    /// # Errors
    /// A folder that cannot be made or written to: read-only, full, a file in its place.
    pub fn named(results: &Path, host: &str, name: &str) -> Result<Self, BenchError> {
        Self::with(results, host, name, |_| Ok(()))
    }

    fn with(
        results: &Path,
        host: &str,
        name: &str,
        fill: impl FnOnce(&Self) -> io::Result<()>,
    ) -> Result<Self, BenchError> {
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| BenchError::Unwritable { path, source }
        };
        fs::create_dir_all(results).map_err(unwritable(results))?;
        let name = format!("{}-{}-{name}", ZonedDateTime::now().date(), slug(host));
        let path = make_unique(results, &name).map_err(unwritable(results))?;
        let folder = Self { path };
        let prepared = folder.probe().and_then(|()| fill(&folder));
        if let Err(source) = prepared {
            // Only what was made here a moment ago; an empty or half-written folder is no result.
            let _ = fs::remove_dir_all(&folder.path);
            return Err(BenchError::Unwritable { path: folder.path, source });
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name: the result's id.
    pub fn id(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Writes the result as it stands, for programs and for people.
    ///
    /// # Errors
    /// The disk is full, or the folder has gone.
    pub fn write(&self, result: &RunResult) -> Result<(), BenchError> {
        self.write_with(result, &readme::text(result, &self.charts()))
    }

    /// Writes a result of any contract as it stands, and its text for people.
    ///
    /// # Errors
    /// The disk is full, or the folder has gone.
    pub fn write_with(&self, result: &impl Serialize, readme: &str) -> Result<(), BenchError> {
        let mut text = serde_json::to_string_pretty(result)
            .map_err(|error| self.unwritable(RESULT_FILE, io::Error::other(error)))?;
        text.push('\n');
        self.replace(RESULT_FILE, text.as_bytes()).map_err(|source| self.unwritable(RESULT_FILE, source))?;
        self.replace(README_FILE, readme.as_bytes()).map_err(|source| self.unwritable(README_FILE, source))
    }

    /// Names of the charts that are there, as SVG, in order.
    fn charts(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path.join(CHARTS_FOLDER)) else { return Vec::new() };
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".svg").map(str::to_owned)).collect();
        names.sort();
        names
    }

    fn unwritable(&self, name: &str, source: io::Error) -> BenchError {
        BenchError::Unwritable { path: self.path.join(name), source }
    }

    /// Replaces a file as a whole: a reader sees the old one or the new one.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::with_prefix_in(".ackmark-", &self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        set_readable(file.as_file())?;
        file.persist(self.path.join(name)).map(drop).map_err(|error| error.error)
    }

    /// Writes and removes a file, so that a folder that is read-only or full is found before load starts.
    fn probe(&self) -> io::Result<()> {
        let mut file = NamedTempFile::with_prefix_in(".ackmark-", &self.path)?;
        file.write_all(&vec![0_u8; PROBE_BYTES])?;
        file.as_file().sync_all()
    }
}

/// Writes README.md again, for one that has charts now.
///
/// # Errors
/// The folder cannot be written to.
pub fn renew_readme(folder: &Path, result: &RunResult) -> Result<(), BenchError> {
    let folder = ResultFolder { path: folder.to_owned() };
    folder
        .replace(README_FILE, readme::text(result, &folder.charts()).as_bytes())
        .map_err(|source| folder.unwritable(README_FILE, source))
}

/// Temporary files are the user's own; results are for everybody whom the folder lets in.
fn set_readable(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn make_unique(results: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 1..=SAME_NAME_MAX {
        let path = results.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
    Err(io::Error::other(format!("{SAME_NAME_MAX} results are called {name} already")))
}

/// A host's name without its domain, in lower-case letters, digits and dashes.
fn slug(host: &str) -> String {
    let short = host.split('.').next().unwrap_or_default().to_lowercase();
    let slug: String = short.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if slug.is_empty() { "host".into() } else { slug }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::{judge, synthetic};
    use ackmark_schema::text;

    #[test]
    fn a_second_result_of_a_day_gets_a_name_of_its_own() {
        let results = tempfile::tempdir().unwrap();
        let below = results.path().join("not/yet/there");
        let scenario = synthetic::scenario();
        let first = ResultFolder::create(&below, "Host.example.org", &scenario).unwrap();
        let second = ResultFolder::create(&below, "Host.example.org", &scenario).unwrap();
        assert!(first.id().ends_with("-host-synthetic"), "{}", first.id());
        assert_eq!(second.id(), format!("{}-2", first.id()));
        let text = fs::read_to_string(first.path().join(SCENARIO_FILE)).unwrap();
        assert_eq!(Scenario::from_toml("again", &text).unwrap(), scenario);
    }

    #[test]
    fn a_result_is_replaced_as_a_whole_and_read_back() {
        let results = tempfile::tempdir().unwrap();
        let mut result = synthetic::result();
        let folder = ResultFolder::create(results.path(), "h", &result.scenario).unwrap();
        folder.write(&result).unwrap();
        result.trials = synthetic::trials(&[("all-acks", 1000.0), ("transactional", 600.0)], 6);
        judge(&mut result, folder.path());
        folder.write(&result).unwrap();
        let text = fs::read_to_string(folder.path().join(RESULT_FILE)).unwrap();
        assert_eq!(text::from_json::<RunResult>("result", &text).unwrap(), result);
        let left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with('.'))
            .collect();
        assert!(left.is_empty(), "no temporary file is left: {left:?}");
    }

    #[test]
    fn the_result_validates_against_its_committed_schema() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../schema/json/result.schema.json")).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("at-most-once", 1200.0), ("all-acks", 1000.0)], 6);
        judge(&mut result, Path::new("."));
        let value = serde_json::to_value(&result).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let mut broken = value;
        broken["verdict"] = "fine".into();
        assert!(!validator.is_valid(&broken), "the check can fail");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let results = tempfile::tempdir().unwrap();
        let file = results.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = ResultFolder::create(&file, "h", &synthetic::scenario()).unwrap_err().to_string();
        assert!(error.contains("cannot write to") && error.contains("--results"), "{error}");
    }
}
