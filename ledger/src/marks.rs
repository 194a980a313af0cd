//! Reserved marks of a run that may still be under way.

use std::{
    collections::HashMap,
    fs::File,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use ackmark_schema::manifest::Manifest;

use crate::{
    error::LedgerError,
    layout::{Identity, mark_word, sequence_of, states_file},
    map::Mapping,
    reader::read_header,
};

/// Reserved marks, read from the mapped headers while the writers live. A mark is raised before its
/// message is handed to a client, so what a reader of the log sees lies below it, or was invented.
#[derive(Debug)]
pub struct ReservedMarks {
    /// Per stream the words that hold its mark, one per incarnation.
    streams: HashMap<u32, Vec<(Arc<Mapping>, usize)>>,
}

impl ReservedMarks {
    /// Opens the ledgers that the manifest names.
    ///
    /// # Errors
    /// As [`LedgerReader::open`](crate::LedgerReader::open); a ledger that is just being made is missing or
    /// cut off for a moment.
    pub fn open(folder: &Path, manifest: &Manifest) -> Result<Self, LedgerError> {
        let mut streams: HashMap<u32, Vec<_>> = HashMap::new();
        for producer in &manifest.producers {
            for &incarnation in &producer.incarnations {
                let path = folder.join(states_file(producer.producer, incarnation));
                let failed = |doing: &'static str| {
                    let path = path.clone();
                    move |source| LedgerError::Io { path, doing, source }
                };
                let file = File::open(&path).map_err(failed("open"))?;
                let length = file.metadata().map_err(failed("open"))?.len();
                let identity = Identity { run: manifest.run, producer: producer.producer, incarnation };
                let (mapping, header) = read_header(&path, &file, length, identity)?;
                let mapping = Arc::new(mapping);
                for (slot, span) in header.streams.iter().enumerate() {
                    streams.entry(span.stream).or_default().push((Arc::clone(&mapping), mark_word(slot)));
                }
            }
        }
        Ok(Self { streams })
    }

    /// One past the highest sequence that any incarnation has reserved by now; `None` for a stream that no
    /// ledger holds.
    pub fn reserved(&self, stream: u32) -> Option<u64> {
        let marks = self.streams.get(&stream)?;
        marks.iter().map(|(mapping, word)| sequence_of(mapping.words()[*word].load(Ordering::Acquire))).max()
    }
}
