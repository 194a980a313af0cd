//! The two writers of message states.
//!
//! [`SendLedger`] hands out sequences and pages; [`DeliveryLedger`] writes states into them. New pages
//! travel from the one to the other through a channel that is looked into only when a page is missing,
//! about once per 16,384 messages of a stream. The channel holds at most the pages of the run.
//!
//! Ordering: a page is sent before its reserved mark is raised, and the mark before the message is
//! handed to the client; the client's own queues order that before its delivery report. So the words
//! need no ordering among themselves. Each has a single writer: plain (relaxed) stores are enough. What
//! the kernel keeps after SIGKILL is each thread's stores in program order; the reserved mark is stored
//! with release so that the compiler keeps it behind the directory entry.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc},
};

use crate::{
    error::LedgerError,
    file::NewFile,
    layout::{
        self, Identity, PAGE_MESSAGES, PAGE_WORDS, Place, SEGMENT_BYTES, SEGMENT_PAGES, State, WORD_MESSAGES,
        directory_word, header_bytes, reserved_word, states_file,
    },
    map::{Mapping, Page},
};

/// A stream and where this incarnation begins in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStart {
    /// The id in record headers.
    pub stream: u32,
    /// The first sequence that this incarnation may reserve: 0, or where the one before it ended.
    pub first_sequence: u64,
}

/// Makes a producer's states file in `folder`. It is locked for as long as either of its writers lives:
/// [`refuse_writers`](crate::refuse_writers) tells. The *slot* of a stream is its position in `streams`.
///
/// # Errors
/// The file exists, cannot be created or locked, or the disk has no room for its header and first segment.
pub fn create(
    folder: &Path,
    identity: Identity,
    streams: &[StreamStart],
) -> Result<(SendLedger, DeliveryLedger), LedgerError> {
    let file = NewFile::create(folder, &states_file(identity.producer, identity.incarnation))?;
    let table: Vec<_> = streams.iter().map(|start| (start.stream, start.first_sequence)).collect();
    let header = layout::encode_header(identity, &table);
    // Before the header, so that a reader never finds a sound file whose writer it cannot tell.
    file.lock()?;
    file.allocate(0, header.len() as u64)?;
    std::os::unix::fs::FileExt::write_all_at(&file.file, &header, 0).map_err(|e| file.failed("write", e))?;
    let header = Arc::new(Mapping::writable(&file.file, 0, header.len()).map_err(|error| file.failed("map", error))?);
    let file = Arc::new(file);
    let (pages_out, pages_in) = mpsc::channel();
    let mut send = SendLedger {
        file: Arc::clone(&file),
        identity,
        header: Arc::clone(&header),
        reserved: streams.iter().map(|start| start.first_sequence).collect(),
        // The end of the last page that each stream has; below its first sequence: none.
        backed: streams.iter().map(|start| start.first_sequence / PAGE_MESSAGES * PAGE_MESSAGES).collect(),
        segment: None,
        segments: 0,
        pages: pages_out,
    };
    send.grow()?;
    let delivery = DeliveryLedger {
        _locked: file,
        header,
        streams: streams
            .iter()
            .map(|start| DeliveryStream { first_page: start.first_sequence / PAGE_MESSAGES, pages: Vec::new() })
            .collect(),
        pages: pages_in,
    };
    Ok((send, delivery))
}

/// A page on its way from the sender to the delivery side; pages of a stream come in order.
type HandedPage = (usize, Page);

/// The segment that pages are handed out from.
#[derive(Debug)]
struct Segment {
    mapping: Arc<Mapping>,
    number: u32,
    used: usize,
}

/// Reserves sequences. Owned by the thread that sends.
#[derive(Debug)]
pub struct SendLedger {
    file: Arc<NewFile>,
    identity: Identity,
    header: Arc<Mapping>,
    reserved: Vec<u64>,
    backed: Vec<u64>,
    segment: Option<Segment>,
    segments: u32,
    pages: mpsc::Sender<HandedPage>,
}

impl SendLedger {
    /// Reserves the next `n` sequences of the stream in `slot`, on disk, before they are handed to the
    /// client. What is reserved and never handed over stays [`State::Open`].
    ///
    /// # Errors
    /// No room for another page or segment; then nothing has been reserved.
    ///
    /// # Panics
    /// When there is no such slot.
    #[inline]
    pub fn reserve(&mut self, slot: usize, n: u64) -> Result<Range<u64>, LedgerError> {
        let first = self.reserved[slot];
        let end = first + n;
        while self.backed[slot] < end {
            self.hand_out(slot)?;
        }
        self.reserved[slot] = end;
        self.header.words()[reserved_word(slot)].store(end, Ordering::Release);
        Ok(first..end)
    }

    /// The next sequence of the stream in `slot`.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn reserved(&self, slot: usize) -> u64 {
        self.reserved[slot]
    }

    /// Gives the stream in `slot` its next page.
    #[cold]
    fn hand_out(&mut self, slot: usize) -> Result<(), LedgerError> {
        if self.segment.as_ref().is_none_or(|segment| segment.used == SEGMENT_PAGES) {
            self.grow()?;
        }
        let segment = self.segment.as_mut().expect("grown above");
        let place = Place { segment: segment.number, index: segment.used as u32 };
        let page = self.backed[slot] / PAGE_MESSAGES;
        let words = segment.mapping.words();
        words[segment.used * 2].store(page, Ordering::Relaxed);
        words[segment.used * 2 + 1].store(directory_word(self.identity, place, slot as u32, page), Ordering::Release);
        segment.used += 1;
        let page = Page::new(Arc::clone(&segment.mapping), segment.used * PAGE_WORDS);
        // A delivery side that is gone hears of nothing any more: then its messages stay open.
        let _ = self.pages.send((slot, page));
        self.backed[slot] += PAGE_MESSAGES;
        Ok(())
    }

    /// Allocates and maps the next segment. Earlier ones stay where they are.
    fn grow(&mut self) -> Result<(), LedgerError> {
        let at = header_bytes(self.reserved.len()) + u64::from(self.segments) * SEGMENT_BYTES;
        self.file.allocate(at, SEGMENT_BYTES)?;
        let mapping = Mapping::writable(&self.file.file, at, SEGMENT_BYTES as usize)
            .map_err(|error| self.file.failed("map", error))?;
        self.segment = Some(Segment { mapping: Arc::new(mapping), number: self.segments, used: 0 });
        self.segments += 1;
        Ok(())
    }
}

#[derive(Debug)]
struct DeliveryStream {
    first_page: u64,
    pages: Vec<Page>,
}

/// Marks what became of messages. Owned by the thread that hears of deliveries.
#[derive(Debug)]
pub struct DeliveryLedger {
    /// Keeps the file's lock for as long as anything may still be marked.
    _locked: Arc<NewFile>,
    header: Arc<Mapping>,
    streams: Vec<DeliveryStream>,
    pages: mpsc::Receiver<HandedPage>,
}

impl DeliveryLedger {
    /// Marks `n` messages of the stream in `slot` from `first` on: whole words at a time, both ends exact.
    ///
    /// # Errors
    /// Sequences that were never reserved; then nothing is marked.
    ///
    /// # Panics
    /// When there is no such slot.
    #[inline]
    pub fn mark(&mut self, slot: usize, first: u64, n: u64, state: State) -> Result<(), LedgerError> {
        let end = first.saturating_add(n);
        let reserved = self.header.words()[reserved_word(slot)].load(Ordering::Relaxed);
        if end > reserved || first / PAGE_MESSAGES < self.streams[slot].first_page {
            return Err(LedgerError::NotReserved { slot, first, end, reserved });
        }
        let mut at = first;
        while at < end {
            let page = at / PAGE_MESSAGES;
            let page_end = end.min((page + 1) * PAGE_MESSAGES);
            mark_words(self.page(slot, page).words(), at % PAGE_MESSAGES, page_end - page * PAGE_MESSAGES, state);
            at = page_end;
        }
        Ok(())
    }

    #[inline]
    fn page(&mut self, slot: usize, page: u64) -> &Page {
        let index = (page - self.streams[slot].first_page) as usize;
        if index >= self.streams[slot].pages.len() {
            self.take_pages();
        }
        &self.streams[slot].pages[index]
    }

    /// Takes over the pages that were handed out meanwhile.
    #[cold]
    fn take_pages(&mut self) {
        while let Ok((slot, page)) = self.pages.try_recv() {
            self.streams[slot].pages.push(page);
        }
    }
}

/// Marks the messages `from..end` of a page.
#[inline]
fn mark_words(words: &[std::sync::atomic::AtomicU64], from: u64, end: u64, state: State) {
    let (first, last) = ((from / WORD_MESSAGES) as usize, ((end - 1) / WORD_MESSAGES) as usize);
    // Bits from the first message up, and up to the last one.
    let head = u64::MAX << (from % WORD_MESSAGES * 2);
    let tail = u64::MAX >> (62 - (end - 1) % WORD_MESSAGES * 2);
    let merge = |at: usize, mask: u64| {
        let old = words[at].load(Ordering::Relaxed);
        words[at].store((old & !mask) | (state.word() & mask), Ordering::Relaxed);
    };
    if first == last {
        return merge(first, head & tail);
    }
    merge(first, head);
    for word in &words[first + 1..last] {
        word.store(state.word(), Ordering::Relaxed);
    }
    merge(last, tail);
}
