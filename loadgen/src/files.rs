//! Files of a load folder: written under another name and renamed, so that none is ever half there.

use std::{fs::File, io, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

/// Writes a document as JSON.
pub(crate) fn write_json(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    let (mut file, temporary) = NamedTempFile::with_prefix_in(".new-", folder_of(path))?.into_parts();
    file.write_all(&text)?;
    publish(&file, temporary, path)
}

/// Takes room on the disk of a folder until it is dropped, also by a crash: so that what has to be written at the end
/// can be, even when the disk has filled meanwhile.
///
/// # Errors
/// There is no such room.
pub(crate) fn reserve(folder: &Path, bytes: u64) -> io::Result<File> {
    let file = tempfile::tempfile_in(folder)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        // A file system that cannot promise room.
        Err(Errno::OPNOTSUPP) => {}
        taken => taken?,
    }
    Ok(file)
}

/// Gives a written file its name and the usual rights (a temporary file is its owner's alone).
pub(crate) fn publish(file: &File, temporary: TempPath, path: &Path) -> io::Result<()> {
    file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    temporary.persist(path).map_err(|error| error.error)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}
