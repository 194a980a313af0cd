//! The end of a log, for error messages.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// No more than this is read from the end of a file.
const BYTES_MAX: u64 = 64 * 1024;

/// The last `lines` lines of a file; empty when it is not there or has none.
pub(super) fn tail(file: &Path, lines: usize) -> String {
    let text = read_end(file).unwrap_or_default();
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn read_end(file: &Path) -> std::io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_lines_in_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), (0..100_000).map(|i| format!("line {i}")).collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(tail(file.path(), 2), "line 99998\nline 99999");
        assert_eq!(tail(Path::new("/nonexistent"), 2), "");
    }
}
