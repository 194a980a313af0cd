//! Reading what children left in a trial's folder.

use std::path::Path;

use ackmark_schema::text;
use serde::de::DeserializeOwned;

/// A report by its file name: `None` where there is none, an error where it cannot be read.
pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, String> {
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => text::from_json(&path.display().to_string(), &text).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}
