//! Mapped memory as atomic words: the only unsafe code of this crate.

use std::{
    fs::File,
    io, slice,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use memmap2::{MmapOptions, MmapRaw};

use crate::layout::PAGE_WORDS;

/// A part of a file, mapped `MAP_SHARED`, for as long as this lives; it never moves.
#[derive(Debug)]
pub(crate) struct Mapping(MmapRaw);

impl Mapping {
    /// Maps `bytes` (a multiple of 8) from `offset` for reading and writing. The space must be there:
    /// touching what the file does not hold is a SIGBUS.
    pub(crate) fn writable(file: &File, offset: u64, bytes: usize) -> io::Result<Self> {
        MmapOptions::new().offset(offset).len(bytes).map_raw(file).map(Self)
    }

    /// Maps `bytes` (a multiple of 8) from the start for reading.
    pub(crate) fn readable(file: &File, bytes: usize) -> io::Result<Self> {
        MmapOptions::new().len(bytes).map_raw_read_only(file).map(Self)
    }

    /// The mapping as words.
    #[inline]
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a multiple of 4096")]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is live for as long as `self`, its start is aligned to a page (offsets are
        // multiples of 4096), its length is in bounds, any bit pattern is a valid word, and all access in
        // this process is through atomics. On a read-only mapping callers only load.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast::<AtomicU64>(), self.0.len() / 8) }
    }

    /// The mapping as bytes of now.
    pub(crate) fn copy(&self) -> Vec<u8> {
        self.words().iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect()
    }
}

/// One state page within a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    mapping: Arc<Mapping>,
    from: usize,
}

impl Page {
    /// The page that begins at word `from`.
    pub(crate) fn new(mapping: Arc<Mapping>, from: usize) -> Self {
        Self { mapping, from }
    }

    /// Its words.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.mapping.words()[self.from..self.from + PAGE_WORDS]
    }
}
