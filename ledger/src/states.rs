//! The two writers of message states.
//!
//! [`SendLedger`] hands out sequences and pages; [`DeliveryLedger`] writes states into them. New pages
//! travel from the one to the other through a channel that is looked into only when a page is missing,
//! about once per 16,384 messages of a stream. The channel holds at most the pages of the run.
//!
//! A later incarnation may send again what an earlier one left undecided: those sequences lie below its streams'
//! first ones and are reserved by [`SendLedger::resend`], marked like all others and kept apart from what the
//! earlier incarnation knew, which stands in that one's file.
//!
//! Ordering: a page is sent before its reserved mark is raised, and the mark before the message is
//! handed to the client; the client's own queues order that before its delivery report. So the words
//! need no ordering among themselves. Each has a single writer: plain (relaxed) stores are enough. What
//! the kernel keeps after SIGKILL is each thread's stores in program order; the reserved mark is stored
//! with release so that the compiler keeps it behind the directory entry.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc},
};

use crate::{
    close::close,
    error::LedgerError,
    file::NewFile,
    layout::{
        self, Identity, PAGE_MESSAGES, PAGE_WORDS, Place, SEGMENT_BYTES, SEGMENT_PAGES, Span, State, WORD_MESSAGES,
        directory_word, header_bytes, mark_of, mark_word, sequence_of, states_file,
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

/// Sequences of a stream that this incarnation sends again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resend {
    /// The stream's slot.
    pub slot: usize,
    /// Below the stream's first sequence.
    pub sequences: Range<u64>,
    /// The attempt in their headers, from 1.
    pub attempt: u16,
}

/// Makes a producer's states file in `folder`. It is locked for as long as either of its writers lives:
/// [`refuse_writers`](crate::refuse_writers) tells. The *slot* of a stream is its position in `streams`.
/// `resends` rise by slot and sequence and do not overlap; a first incarnation has none.
///
/// # Errors
/// The file exists, cannot be created or locked, or the disk has no room for its header and first segment.
///
/// # Panics
/// When a resend is out of order, or not below its stream's first sequence.
pub fn create(
    folder: &Path,
    identity: Identity,
    streams: &[StreamStart],
    resends: &[Resend],
) -> Result<(SendLedger, DeliveryLedger), LedgerError> {
    check(streams, resends);
    let file = NewFile::create(folder, &states_file(identity.producer, identity.incarnation))?;
    let header = layout::encode_header(
        identity,
        &streams.iter().map(|start| own_span(*start)).collect::<Vec<_>>(),
        &resends.iter().map(|resend| resend_span(streams[resend.slot].stream, resend)).collect::<Vec<_>>(),
    );
    // Before the header, so that a reader never finds a sound file whose writer it cannot tell.
    file.lock()?;
    file.allocate(0, header.len() as u64)?;
    std::os::unix::fs::FileExt::write_all_at(&file.file, &header, 0).map_err(|e| file.failed("write", e))?;
    let header = Arc::new(Mapping::writable(&file.file, 0, header.len()).map_err(|error| file.failed("map", error))?);
    let file = Arc::new(file);
    let (pages_out, pages_in) = mpsc::channel();
    let mut to_resend = vec![VecDeque::new(); streams.len()];
    let mut resent: Vec<Vec<(Range<u64>, usize)>> = vec![Vec::new(); streams.len()];
    for (span, resend) in (streams.len()..).zip(resends) {
        to_resend[resend.slot].push_back((span, resend.clone()));
        resent[resend.slot].push((resend.sequences.clone(), span));
    }
    let mut send = SendLedger {
        file: Arc::clone(&file),
        identity,
        header: Arc::clone(&header),
        header_bytes: header_bytes(streams.len() + resends.len()),
        reserved: streams.iter().map(|start| start.first_sequence).collect(),
        first_page: streams.iter().map(|start| start.first_sequence / PAGE_MESSAGES).collect(),
        // The end of the last page that each stream has; below its first sequence: none.
        backed: streams.iter().map(|start| start.first_sequence / PAGE_MESSAGES * PAGE_MESSAGES).collect(),
        to_resend,
        backed_below: vec![0; streams.len()],
        segment: None,
        segments: 0,
        pages: pages_out,
    };
    send.grow()?;
    let stream = |(start, resent): (&StreamStart, _)| DeliveryStream {
        first_sequence: start.first_sequence,
        first_page: start.first_sequence / PAGE_MESSAGES,
        pages: Vec::new(),
        earlier: BTreeMap::new(),
        resent,
    };
    let delivery = DeliveryLedger {
        file,
        header_bytes: header_bytes(streams.len() + resends.len()),
        header,
        streams: streams.iter().zip(resent).map(stream).collect(),
        pages: pages_in,
    };
    Ok((send, delivery))
}

fn check(streams: &[StreamStart], resends: &[Resend]) {
    for Resend { slot, sequences, .. } in resends {
        assert!(sequences.end <= streams[*slot].first_sequence, "{sequences:?} is not below the stream's own");
    }
    for pair in resends.windows(2) {
        let in_order = (pair[0].slot, pair[0].sequences.end) <= (pair[1].slot, pair[1].sequences.start);
        assert!(in_order || pair[0].slot < pair[1].slot, "{pair:?} are out of order");
    }
}

fn own_span(start: StreamStart) -> Span {
    let StreamStart { stream, first_sequence: first } = start;
    Span { stream, attempt: 0, first, mark: mark_of(first), end: 0 }
}

fn resend_span(stream: u32, resend: &Resend) -> Span {
    let Range { start: first, end } = resend.sequences;
    Span { stream, attempt: resend.attempt, first, mark: mark_of(first), end }
}

/// A page on its way from the sender to the delivery side, with slot and number. Those of a stream's own sequences
/// come in order.
type HandedPage = (usize, u64, Page);

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
    header_bytes: u64,
    reserved: Vec<u64>,
    /// The page of each stream's first sequence.
    first_page: Vec<u64>,
    backed: Vec<u64>,
    /// What each stream still has to send again, with the number of its span.
    to_resend: Vec<VecDeque<(usize, Resend)>>,
    /// One past the last page below `first_page` that each stream has, for resends.
    backed_below: Vec<u64>,
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
            self.hand_out_own(slot)?;
        }
        self.reserved[slot] = end;
        self.header.words()[mark_word(slot)].store(mark_of(end), Ordering::Release);
        Ok(first..end)
    }

    /// What the stream in `slot` sends again next: all that is left of a range.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn next_resend(&self, slot: usize) -> Option<&Resend> {
        self.to_resend[slot].front().map(|(_, resend)| resend)
    }

    /// Reserves the first `n` sequences of [`next_resend`](Self::next_resend), on disk, before they are handed to
    /// the client.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    ///
    /// # Panics
    /// When there is no such slot, or it has not as much to send again.
    pub fn resend(&mut self, slot: usize, n: u64) -> Result<(), LedgerError> {
        let (span, Resend { sequences, .. }) = self.to_resend[slot].front().expect("the caller has looked");
        let (span, first, end) = (*span, sequences.start, sequences.start + n);
        assert!(end <= sequences.end, "more than is left");
        for page in first / PAGE_MESSAGES..end.div_ceil(PAGE_MESSAGES) {
            let shared = page >= self.first_page[slot];
            if shared && page * PAGE_MESSAGES == self.backed[slot] {
                self.hand_out_own(slot)?;
            } else if !shared && page >= self.backed_below[slot] {
                self.hand_out(slot, page)?;
                self.backed_below[slot] = page + 1;
            }
        }
        self.header.words()[mark_word(span)].store(mark_of(end), Ordering::Release);
        let resends = &mut self.to_resend[slot];
        if let Some((_, resend)) = resends.front_mut() {
            resend.sequences.start = end;
        }
        if resends.front().is_some_and(|(_, resend)| resend.sequences.is_empty()) {
            resends.pop_front();
        }
        Ok(())
    }

    /// The next sequence of the stream in `slot`.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn reserved(&self, slot: usize) -> u64 {
        self.reserved[slot]
    }

    /// Gives the stream in `slot` the next page for its own sequences.
    #[cold]
    fn hand_out_own(&mut self, slot: usize) -> Result<(), LedgerError> {
        self.hand_out(slot, self.backed[slot] / PAGE_MESSAGES)?;
        self.backed[slot] += PAGE_MESSAGES;
        Ok(())
    }

    #[cold]
    fn hand_out(&mut self, slot: usize, page: u64) -> Result<(), LedgerError> {
        if self.segment.as_ref().is_none_or(|segment| segment.used == SEGMENT_PAGES) {
            self.grow()?;
        }
        let segment = self.segment.as_mut().expect("grown above");
        let place = Place { segment: segment.number, index: segment.used as u32 };
        let words = segment.mapping.words();
        words[segment.used * 2].store(page, Ordering::Relaxed);
        words[segment.used * 2 + 1].store(directory_word(self.identity, place, slot as u32, page), Ordering::Release);
        segment.used += 1;
        let words = Page::new(Arc::clone(&segment.mapping), segment.used * PAGE_WORDS);
        // A delivery side that is gone hears of nothing any more: then its messages stay open.
        let _ = self.pages.send((slot, page, words));
        Ok(())
    }

    /// Allocates and maps the next segment. Earlier ones stay where they are.
    fn grow(&mut self) -> Result<(), LedgerError> {
        let at = self.header_bytes + u64::from(self.segments) * SEGMENT_BYTES;
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
    first_sequence: u64,
    /// The number of the first of `pages`.
    first_page: u64,
    pages: Vec<Page>,
    /// Pages below them, for resends.
    earlier: BTreeMap<u64, Page>,
    /// What may be sent again, rising, each with the number of its span.
    resent: Vec<(Range<u64>, usize)>,
}

/// Marks what became of messages. Owned by the thread that hears of deliveries.
#[derive(Debug)]
pub struct DeliveryLedger {
    /// Keeps the file's lock for as long as anything may still be marked.
    file: Arc<NewFile>,
    header_bytes: u64,
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
        let reserved = sequence_of(self.header.words()[mark_word(slot)].load(Ordering::Relaxed));
        if end > reserved {
            return Err(LedgerError::NotReserved { slot, first, end, reserved });
        }
        if first < self.streams[slot].first_sequence {
            return self.mark_resent(slot, first..end, state);
        }
        self.mark_pages(slot, first..end, state);
        Ok(())
    }

    /// Marks messages of which the first, at least, was sent again.
    #[cold]
    fn mark_resent(&mut self, slot: usize, range: Range<u64>, state: State) -> Result<(), LedgerError> {
        let stream = &self.streams[slot];
        let from = stream.resent.partition_point(|(resent, _)| resent.end <= range.start);
        let mut at = range.start;
        for (resent, span) in stream.resent[from..].iter().take_while(|(resent, _)| resent.start < range.end) {
            let reserved = sequence_of(self.header.words()[mark_word(*span)].load(Ordering::Relaxed));
            if at < resent.start || range.end.min(resent.end) > reserved {
                return Err(LedgerError::NotReserved { slot, first: at, end: range.end, reserved });
            }
            at = resent.end;
        }
        if at < range.end.min(stream.first_sequence) {
            return Err(LedgerError::NotReserved { slot, first: at, end: range.end, reserved: at });
        }
        self.mark_pages(slot, range, state);
        Ok(())
    }

    #[inline]
    fn mark_pages(&mut self, slot: usize, range: Range<u64>, state: State) {
        let mut at = range.start;
        while at < range.end {
            let page = at / PAGE_MESSAGES;
            let page_end = range.end.min((page + 1) * PAGE_MESSAGES);
            mark_words(self.page(slot, page).words(), at % PAGE_MESSAGES, page_end - page * PAGE_MESSAGES, state);
            at = page_end;
        }
    }

    #[inline]
    fn page(&mut self, slot: usize, page: u64) -> &Page {
        let stream = &self.streams[slot];
        let Some(index) = page.checked_sub(stream.first_page) else { return self.earlier_page(slot, page) };
        if index as usize >= stream.pages.len() {
            self.take_pages();
        }
        &self.streams[slot].pages[index as usize]
    }

    #[cold]
    fn earlier_page(&mut self, slot: usize, page: u64) -> &Page {
        if !self.streams[slot].earlier.contains_key(&page) {
            self.take_pages();
        }
        &self.streams[slot].earlier[&page]
    }

    /// Takes over the pages that were handed out meanwhile.
    #[cold]
    fn take_pages(&mut self) {
        while let Ok((slot, number, page)) = self.pages.try_recv() {
            let stream = &mut self.streams[slot];
            if number < stream.first_page {
                stream.earlier.insert(number, page);
            } else {
                stream.pages.push(page);
            }
        }
    }
}

/// Nothing is marked any more: from now on damage to what was is told.
impl Drop for DeliveryLedger {
    fn drop(&mut self) {
        // Where it cannot be, the file is as one that was not closed: sound, and damage to its states is not seen.
        let _ = close(&self.file.file, self.header_bytes);
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
