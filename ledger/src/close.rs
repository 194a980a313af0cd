//! What a states file is checked by once nothing is marked in it any more.
//!
//! States are written per message, so no checksum goes with each of them. Whoever marks leaves one per page at its end,
//! beside the page's number in the directory, and then the word that says so. A load that was killed has left none: its
//! states are as they were stored, and damage to them is not seen.
//!
//! Pages are read, not mapped: what is only looked at once is not to count as this process's memory.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::layout::{
    CLOSED, CLOSED_WORD, NUMBER_BITS, PAGE_BYTES, SEGMENT_BYTES, SEGMENT_PAGES, mark_of, page_number, u64_at,
};

/// Leaves the checks of all pages that were handed out, and then the word.
pub(crate) fn close(file: &File, header_bytes: u64) -> io::Result<()> {
    let length = file.metadata()?.len();
    // A part of a segment at the end has no page (see `reader`).
    let whole = (length - header_bytes) / SEGMENT_BYTES;
    let mut directory = [0; PAGE_BYTES];
    for at in (0..whole).map(|segment| header_bytes + segment * SEGMENT_BYTES) {
        file.read_exact_at(&mut directory, at)?;
        for index in 0..SEGMENT_PAGES {
            let [number, tag] = [0, 8].map(|half| u64_at(&directory, index * 16 + half));
            if tag != 0 {
                let check = states_check(file, page_at(at, index))?;
                let word = page_number(number) | check << NUMBER_BITS;
                file.write_all_at(&word.to_le_bytes(), at + index as u64 * 16)?;
            }
        }
    }
    file.write_all_at(&mark_of(CLOSED).to_le_bytes(), CLOSED_WORD as u64 * 8)
}

/// Where the page of a directory's entry begins.
pub(crate) fn page_at(directory: u64, index: usize) -> u64 {
    directory + (index as u64 + 1) * PAGE_BYTES as u64
}

/// What the states of a page are checked by: 24 bits of their CRC-32C, and 0 where nothing was marked.
pub(crate) fn states_check(file: &File, at: u64) -> io::Result<u64> {
    let mut states = [0; PAGE_BYTES];
    file.read_exact_at(&mut states, at)?;
    let is_marked = states.iter().any(|byte| *byte != 0);
    Ok(if is_marked { u64::from(crc32c::crc32c(&states) >> 8) } else { 0 })
}
