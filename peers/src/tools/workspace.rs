//! What this workspace builds: ackmark, the librdkafka loops, and librdkafka itself with its own benchmark.
//!
//! cargo tells where it put them, so that no path is guessed.

use std::{
    env,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::Message;

use super::Builder;
use crate::error::PeersError;

/// Programs that were built.
#[derive(Debug, Clone, Default)]
pub(super) struct Built {
    pub(super) ackmark: PathBuf,
    /// What else the workspace holds; absent where ackmark does not come from it.
    pub(super) beside: Option<Beside>,
}

/// What the workspace holds beside ackmark.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    pub(super) bare_loop: PathBuf,
    pub(super) bare_read: PathBuf,
    /// The folder in which librdkafka was built: its whole source and its library.
    pub(super) librdkafka: PathBuf,
    /// Folders of static libraries that librdkafka may need.
    pub(super) libraries: Vec<PathBuf>,
}

impl Built {
    /// An ackmark that was built before.
    pub(super) fn of(ackmark: &Path) -> Self {
        Self { ackmark: ackmark.to_owned(), beside: None }
    }

    /// What was built beside ackmark.
    ///
    /// # Errors
    /// Nothing was: why, in words.
    pub(super) fn beside(&self) -> Result<&Beside, String> {
        self.beside.as_ref().ok_or_else(|| "it is built together with ackmark, which --ackmark replaces".to_owned())
    }
}

/// Builds them. The inner error tells why they could not be built.
pub(super) fn build(builder: &Builder<'_>, optimised: bool) -> Result<Result<Built, String>, PeersError> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&builder.workspace).args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    // All members' features together: as few dependencies as possible are built once more.
    command.args(["--workspace", "--bin", "ackmark"]);
    command.args(["--example", "bare_loop", "--example", "bare_read"]);
    if optimised {
        command.arg("--release");
    }
    Ok(builder.run(command)?.and_then(|done| built(&done.stdout)))
}

/// What cargo's messages say.
fn built(messages: &str) -> Result<Built, String> {
    let (mut ackmark, mut built) = (PathBuf::new(), Beside::default());
    for message in Message::parse_stream(BufReader::new(messages.as_bytes())) {
        match message {
            Ok(Message::CompilerArtifact(artifact)) => {
                let Some(program) = artifact.executable else { continue };
                match artifact.target.name.as_str() {
                    "ackmark" => ackmark = program.into(),
                    "bare_loop" => built.bare_loop = program.into(),
                    "bare_read" => built.bare_read = program.into(),
                    _ => {}
                }
            }
            Ok(Message::BuildScriptExecuted(script)) => {
                let folders = script.linked_paths.iter().filter_map(|path| path.as_str().strip_prefix("native="));
                built.libraries.extend(folders.map(PathBuf::from));
                if script.package_id.repr.contains("#rdkafka-sys@") {
                    built.librdkafka = script.out_dir.into();
                }
            }
            Ok(_) => {}
            Err(error) => return Err(format!("cargo's messages cannot be read: {error}")),
        }
    }
    let wanted = [&ackmark, &built.bare_loop, &built.bare_read, &built.librdkafka];
    if wanted.iter().any(|path| path.as_os_str().is_empty()) {
        return Err(format!("cargo built less than was asked for: {built:?}"));
    }
    Ok(Built { ackmark, beside: Some(built) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_where_it_put_things() {
        let messages = include_str!("recorded/cargo.jsonl");
        let built = built(messages).expect("recorded from cargo");
        assert!(built.ackmark.ends_with("debug/ackmark"), "{built:?}");
        let built = built.beside().expect("it comes from the workspace");
        assert!(built.bare_loop.ends_with("debug/examples/bare_loop"), "{built:?}");
        assert!(built.bare_read.ends_with("debug/examples/bare_read"), "{built:?}");
        assert!(built.librdkafka.ends_with("out"), "{built:?}");
        assert!(built.libraries.iter().any(|folder| folder.to_string_lossy().contains("zstd-sys")), "{built:?}");
        let less: Vec<&str> = messages.lines().filter(|line| !line.contains("bare_read")).collect();
        assert!(super::built(&less.join("\n")).is_err_and(|why| why.contains("less than was asked for")));
    }
}
