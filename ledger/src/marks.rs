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
    layout::{Identity, checked, mark_word, states_file},
    map::Mapping,
    reader::{LedgerReader, read_header},
};

/// Reserved marks, read from the mapped headers while the writers live, or from a ledger at rest. A mark is raised
/// before its message is handed to a client, so what a reader of the log sees lies below it, or was invented.
#[derive(Debug)]
pub struct ReservedMarks {
    /// Per stream its marks, one per incarnation.
    streams: HashMap<u32, Vec<Mark>>,
}

#[derive(Debug)]
enum Mark {
    /// In this word of a header.
    Live(Arc<Mapping>, usize),
    /// It rises no more.
    AtRest(u64),
}

impl Mark {
    /// A mark that is damaged bounds nothing.
    fn reserved(&self) -> u64 {
        match self {
            Self::Live(mapping, word) => checked(mapping.words()[*word].load(Ordering::Acquire)).unwrap_or(u64::MAX),
            Self::AtRest(reserved) => *reserved,
        }
    }
}

/// Of a stream whose end is not known everything may have been reserved.
impl From<&LedgerReader> for ReservedMarks {
    fn from(ledger: &LedgerReader) -> Self {
        let mark = |end: Option<u64>| Mark::AtRest(end.unwrap_or(u64::MAX));
        Self { streams: ledger.streams().map(|stream| (stream.stream, vec![mark(stream.known_end())])).collect() }
    }
}

impl ReservedMarks {
    /// Opens the ledgers that the manifest names.
    ///
    /// # Errors
    /// As [`LedgerReader::open`](crate::LedgerReader::open); a ledger that is just being made is missing or
    /// cut off for a moment.
    pub fn open(folder: &Path, manifest: &Manifest) -> Result<Self, LedgerError> {
        let mut streams: HashMap<u32, Vec<Mark>> = HashMap::new();
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
                    streams.entry(span.stream).or_default().push(Mark::Live(Arc::clone(&mapping), mark_word(slot)));
                }
            }
        }
        Ok(Self { streams })
    }

    /// One past the highest sequence that any incarnation has reserved by now, `u64::MAX` where damage hides it; `None`
    /// for a stream that no ledger holds.
    pub fn reserved(&self, stream: u32) -> Option<u64> {
        self.streams.get(&stream)?.iter().map(Mark::reserved).max()
    }
}
