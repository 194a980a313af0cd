//! Load folders, where a ledger and the reports on it are, and result folders. The file names are the schema's.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ackmark_schema::{
    manifest::{MANIFEST_FILE, Manifest},
    result::{RESULT_FILE, RunResult},
    semantics::SemanticsResult,
    text,
    version::Contract as _,
};
use serde::{Deserialize, Serialize};

use crate::{files, problem::Problem};

/// Reads the manifest of a load folder.
///
/// # Errors
/// The folder holds no load, or one of another version.
pub(crate) fn manifest(folder: &Path) -> Result<Manifest, Problem> {
    let path = folder.join(MANIFEST_FILE);
    let content = files::read("manifest", &path).map_err(|problem| {
        problem.hint("name the folder that `ackmark load --out` wrote; a load that left no manifest sent nothing")
    })?;
    Ok(text::from_json(&path.display().to_string(), &content)?)
}

/// Refuses a folder that holds a run already.
///
/// # Errors
/// It does.
pub(crate) fn refuse_used(folder: &Path) -> Result<(), Problem> {
    if folder.join(MANIFEST_FILE).exists() {
        return Err(Problem::usage(format!("the folder {} holds a run already", folder.display()))
            .hint("a load folder holds one run: name another with --out"));
    }
    Ok(())
}

/// Makes the folder of a load and sees that it can be written to: found here rather than after the load.
///
/// # Errors
/// It cannot be made or written to.
pub(crate) fn create(folder: &Path) -> Result<(), Problem> {
    let made = fs::create_dir_all(folder).and_then(|()| probe(folder));
    made.map_err(|error| refuses(folder, &error).hint("name another with --out, or mend its permissions"))
}

/// Sees that the folder of a load that is there can be written to.
///
/// # Errors
/// It cannot.
pub(crate) fn refuse_unwritable(folder: &Path) -> Result<(), Problem> {
    probe(folder).map_err(|error| refuses(folder, &error).hint("mend its permissions"))
}

fn probe(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(folder).map(drop)
}

fn refuses(folder: &Path, error: &io::Error) -> Problem {
    Problem::usage(format!("cannot write to the folder {}: {error}", folder.display()))
}

/// Writes a report beside the ledger, whole or not at all.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn write(folder: &Path, name: &str, report: &impl Serialize) -> Result<PathBuf, Problem> {
    let path = folder.join(name);
    let failed = |error: io::Error| {
        Problem::runtime(format!("cannot write {}: {error}", path.display()))
            .hint("free some space or mend the folder's permissions, then run the command again")
    };
    let mut text = serde_json::to_string_pretty(report).map_err(|error| failed(error.into()))?;
    text.push('\n');
    let partial = folder.join(format!(".{name}.partial"));
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path)).map_err(failed)?;
    Ok(path)
}

/// Where the work of a command goes unless the user says otherwise.
pub(crate) fn default_name(command: &str) -> PathBuf {
    format!("{command}-{}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S")).into()
}

/// A result of a bench: each kind is a contract of its own.
#[derive(Debug)]
pub(crate) enum Benched {
    /// Of producers' profiles.
    Profiles(Box<RunResult>),
    /// Of delivery semantics.
    Semantics(Box<SemanticsResult>),
}

/// A result, by its folder or its `result.json`; tells the file and the folder too.
///
/// # Errors
/// There is none, or it cannot be read.
pub(crate) fn result(path: &Path) -> Result<(Benched, String, PathBuf), Problem> {
    let file = if path.is_dir() { path.join(RESULT_FILE) } else { path.to_owned() };
    let content = files::read("result", &file)
        .map_err(|problem| problem.hint("name a folder under results/, or the result.json in it"))?;
    let name = file.display().to_string();
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let result = if is_of_semantics(&content) {
        Benched::Semantics(Box::new(text::from_json(&name, &content)?))
    } else {
        // What is neither is told as what is no result of profiles.
        Benched::Profiles(Box::new(text::from_json(&name, &content)?))
    };
    Ok((result, name, folder))
}

/// Of any version: what is of another one is then told as such.
fn is_of_semantics(content: &str) -> bool {
    #[derive(Deserialize)]
    struct Named {
        schema: String,
    }
    let contract = |id: &str| id.split('/').next().map(str::to_owned);
    let named = serde_json::from_str::<Named>(content).ok().and_then(|named| contract(&named.schema));
    named.is_some_and(|named| Some(named) == contract(SemanticsResult::ID))
}
