//! Ledgers, read back.
//!
//! A stream's ledger is a list of parts. Each incarnation that used it has one for its own sequences: it continues
//! where the one before it ended, and two that hold the same sequence are refused. It has one more for each range
//! that it sent again. So a sequence has one part per attempt, and what is known of a message follows from all of
//! them: it is acknowledged if any attempt was, failed if all failed, else indeterminate.
//!
//! What a damaged file does not tell any more is indeterminate too, where its reader is to go on ([`OnDamage`]); parts
//! say of which sequences that is so.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use ackmark_schema::{
    manifest::{Manifest, ProducerEntry},
    report::verify::{LedgerCounts, LedgerDamage},
};

use crate::{
    close::{page_at, states_check},
    damage::{Damages, OnDamage},
    error::LedgerError,
    layout::{
        CLOSED, CLOSED_WORD, FixedHeader, Identity, MAGIC, NUMBER_BITS, PAGE_BYTES, PAGE_MESSAGES, PAGE_WORDS, Place,
        SEGMENT_BYTES, SEGMENT_PAGES, Span, State, TRANSACTIONS_WORD, VERSION, WORD_MESSAGES, checked, decode_spans,
        directory_word, header_bytes, mark_of, mark_word, page_number, states_file, transactions_file,
    },
    map::{Mapping, Page},
    transactions::{self, Entry, Kind},
};

/// All ledgers of a load folder.
#[derive(Debug)]
pub struct LedgerReader {
    streams: BTreeMap<u32, StreamLedger>,
    transactions: Vec<Transaction>,
    damages: Vec<LedgerDamage>,
}

impl LedgerReader {
    /// Opens the ledgers that the manifest names. All writers must have ended (see
    /// [`refuse_writers`](crate::refuse_writers)): a later reservation is not seen.
    ///
    /// # Errors
    /// A ledger that is missing, cut off, damaged, of another run or version.
    pub fn open(folder: &Path, manifest: &Manifest) -> Result<Self, LedgerError> {
        Self::open_with(folder, manifest, OnDamage::Refuse)
    }

    /// As [`open`](Self::open), and goes on with what is sound of a damaged ledger where that is asked for.
    ///
    /// # Errors
    /// As [`open`](Self::open); of those, salvaging leaves a ledger that is missing, or of another run or version.
    pub fn open_with(folder: &Path, manifest: &Manifest, on_damage: OnDamage) -> Result<Self, LedgerError> {
        let mut streams = BTreeMap::new();
        for stream in manifest.producers.iter().flat_map(|producer| &producer.streams) {
            streams.insert(stream.stream, StreamLedger::new(stream.stream));
        }
        let mut transactions = Vec::new();
        let mut damages = Damages::new(on_damage);
        for producer in &manifest.producers {
            for &incarnation in &producer.incarnations {
                let identity = Identity { run: manifest.run, producer: producer.producer, incarnation };
                let path = folder.join(states_file(producer.producer, incarnation));
                let states = open_states(&path, producer, identity, &mut damages)?;
                transactions.extend(open_transactions(folder, producer, identity, &states, &mut damages)?);
                for stream in states.unbounded {
                    streams.entry(stream).and_modify(|stream| stream.is_bounded = false);
                }
                for (stream, part) in states.parts {
                    let unknown = || LedgerError::ForeignStream { path: path.clone(), stream };
                    streams.get_mut(&stream).ok_or_else(unknown)?.add(part)?;
                }
            }
        }
        Ok(Self { streams, transactions, damages: damages.into_found() })
    }

    /// What could not be read.
    pub fn damages(&self) -> &[LedgerDamage] {
        &self.damages
    }

    /// Whether damage leaves nothing unknown of any message.
    pub fn is_all_known(&self) -> bool {
        self.damages.iter().all(|damage| damage.messages_unknown == Some(0))
    }

    /// Whether it is known of every stream and attempt which sequences were reserved.
    pub fn is_bounded(&self) -> bool {
        self.damages.iter().all(|damage| damage.messages_unknown.is_some())
    }

    /// Every stream of the manifest, by rising id.
    pub fn streams(&self) -> impl Iterator<Item = &StreamLedger> {
        self.streams.values()
    }

    /// One stream.
    pub fn stream(&self, stream: u32) -> Option<&StreamLedger> {
        self.streams.get(&stream)
    }

    /// Every transaction, by producer, incarnation and number.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// Messages and transactions by what is known of them. Reads every state once.
    pub fn counts(&self) -> LedgerCounts {
        let mut counts = LedgerCounts::default();
        for (range, state) in self.streams.values().flat_map(StreamLedger::runs) {
            let n = range.end - range.start;
            counts.reserved += n;
            match state {
                State::Acknowledged => counts.acknowledged += n,
                State::Failed => counts.failed += n,
                State::Open | State::Indeterminate => counts.indeterminate += n,
            }
        }
        let resent = self.streams.values().flat_map(|stream| &stream.resent);
        counts.resent = resent.map(|part| part.reserved - part.first).sum();
        for transaction in &self.transactions {
            match transaction.fate {
                Fate::Committed => counts.committed_transactions += 1,
                Fate::Aborted => counts.aborted_transactions += 1,
                Fate::Indeterminate => counts.indeterminate_transactions += 1,
                Fate::Unknown => {}
            }
        }
        counts
    }
}

/// What is known of one stream.
#[derive(Debug)]
pub struct StreamLedger {
    /// The stream.
    pub stream: u32,
    /// Each incarnation's own sequences, rising.
    own: Vec<Part>,
    /// What was sent again, by incarnation and sequence.
    resent: Vec<Part>,
    /// Whether the reserved marks of all incarnations are known.
    is_bounded: bool,
}

impl StreamLedger {
    fn new(stream: u32) -> Self {
        Self { stream, own: Vec::new(), resent: Vec::new(), is_bounded: true }
    }

    /// The reserved sequences, as one range per incarnation, rising.
    pub fn reserved(&self) -> impl Iterator<Item = Range<u64>> {
        self.own.iter().map(Part::range)
    }

    /// One past the last reserved sequence of any incarnation; at least that, where [`known_end`](Self::known_end) is
    /// `None`.
    pub fn end(&self) -> u64 {
        self.own.last().map_or(0, |part| part.reserved)
    }

    /// The same, unless damage leaves it unknown.
    pub fn known_end(&self) -> Option<u64> {
        self.is_bounded.then(|| self.end())
    }

    /// Whether a sequence was reserved.
    pub fn is_reserved(&self, sequence: u64) -> bool {
        self.reserved().any(|range| range.contains(&sequence))
    }

    /// Every part: what one incarnation knows of one attempt at a range of sequences.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.own.iter().chain(&self.resent)
    }

    /// What is known of all reserved sequences, as runs of equal state, rising. Whole words at a time.
    pub fn runs(&self) -> impl Iterator<Item = (Range<u64>, State)> {
        self.runs_within(0..u64::MAX)
    }

    /// What is known of the reserved ones among `sequences`.
    pub fn runs_within(&self, sequences: Range<u64>) -> impl Iterator<Item = (Range<u64>, State)> {
        joined(Merged::new(self.parts().filter_map(|part| part.within(&sequences)).collect()))
    }

    fn add(&mut self, part: Part) -> Result<(), LedgerError> {
        if part.range().is_empty() {
            return Ok(());
        }
        if part.attempt > 0 {
            self.resent.push(part);
            return Ok(());
        }
        let at = self.own.partition_point(|known| known.first < part.first);
        let before = at.checked_sub(1).map(|at| &self.own[at]);
        if before.is_some_and(|known| known.reserved > part.first) {
            return Err(LedgerError::Overlap { stream: self.stream, sequence: part.first });
        }
        if let Some(next) = self.own.get(at).filter(|next| next.first < part.reserved) {
            return Err(LedgerError::Overlap { stream: self.stream, sequence: next.first });
        }
        self.own.insert(at, part);
        Ok(())
    }
}

/// What one incarnation knows of one attempt at a range of sequences.
#[derive(Debug, Clone)]
pub struct Part {
    /// The incarnation.
    pub incarnation: u32,
    /// The attempt in the messages' headers: 0 for the incarnation's own sequences.
    pub attempt: u16,
    first: u64,
    reserved: u64,
    /// The pages of the sequences, as far as there is one; the last one is there.
    pages: Vec<Option<Page>>,
    /// The sequences without a page, rising.
    unknown: Vec<Range<u64>>,
}

impl Part {
    fn new(incarnation: u32, attempt: u16, range: Range<u64>, pages: Vec<Option<Page>>) -> Self {
        let Range { start: first, end: reserved } = range;
        let mut part = Self { incarnation, attempt, first, reserved, pages, unknown: Vec::new() };
        let first_page = first / PAGE_MESSAGES;
        let mut at = first;
        for (page, _) in (first_page..).zip(&part.pages).filter(|(_, page)| page.is_some()) {
            let sequences = page * PAGE_MESSAGES..(page + 1) * PAGE_MESSAGES;
            if at < sequences.start {
                part.unknown.push(at..sequences.start.min(reserved));
            }
            at = sequences.end;
        }
        if at < reserved {
            part.unknown.push(at..reserved);
        }
        part
    }

    /// The sequences that were reserved.
    pub fn range(&self) -> Range<u64> {
        self.first..self.reserved
    }

    /// The states of those among `sequences`, as runs of equal state, rising. Whole words at a time.
    pub fn runs_within(&self, sequences: Range<u64>) -> impl Iterator<Item = (Range<u64>, State)> {
        joined(self.within(&sequences).into_iter().flatten())
    }

    /// The same, of those whose state is known.
    pub fn known_within(&self, sequences: Range<u64>) -> impl Iterator<Item = (Range<u64>, State)> {
        let runs = self.within(&sequences).into_iter().flatten();
        runs.filter(|(range, _)| self.word(range.start).is_some())
    }

    /// Those among `sequences` whose state is not known for damage, as rising ranges; [`runs_within`] calls them
    /// indeterminate.
    ///
    /// [`runs_within`]: Self::runs_within
    pub fn unknown_within(&self, sequences: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let clipped = move |unknown: &Range<u64>| unknown.start.max(sequences.start)..unknown.end.min(sequences.end);
        self.unknown.iter().map(clipped).filter(|range| range.start < range.end)
    }

    fn unknown_count(&self) -> u64 {
        self.unknown.iter().map(|range| range.end - range.start).sum()
    }

    fn within(&self, sequences: &Range<u64>) -> Option<Runs<'_>> {
        let (at, end) = (self.first.max(sequences.start), self.reserved.min(sequences.end));
        (at < end).then_some(Runs { part: self, at, end })
    }

    /// The word of a sequence, if its page is there.
    fn word(&self, sequence: u64) -> Option<u64> {
        let page = (sequence / PAGE_MESSAGES - self.first / PAGE_MESSAGES) as usize;
        let words = self.pages.get(page)?.as_ref()?.words();
        Some(words[(sequence % PAGE_MESSAGES / WORD_MESSAGES) as usize].load(Ordering::Relaxed))
    }

    /// Where what is not known from `sequence` on ends.
    fn unknown_until(&self, sequence: u64) -> u64 {
        let at = self.unknown.partition_point(|range| range.end <= sequence);
        self.unknown.get(at).map_or(self.reserved, |range| range.end)
    }
}

/// Runs of what is known by all attempts together.
struct Merged<'a> {
    /// Parts that begin later, the next one last.
    later: Vec<Runs<'a>>,
    /// Parts at hand, each with the run that reaches beyond what was told.
    active: Vec<(Range<u64>, State, Runs<'a>)>,
    at: u64,
}

impl<'a> Merged<'a> {
    fn new(mut parts: Vec<Runs<'a>>) -> Self {
        parts.sort_by_key(|part| std::cmp::Reverse(part.at));
        Self { later: parts, active: Vec::new(), at: 0 }
    }
}

impl Iterator for Merged<'_> {
    type Item = (Range<u64>, State);

    /// The next run in which no part's state changes; its neighbour may be of the same state.
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        self.active.retain_mut(|(run, state, rest)| {
            if run.end <= at
                && let Some(next) = rest.next()
            {
                (*run, *state) = next;
            }
            run.end > at
        });
        if self.active.is_empty() {
            self.at = self.later.last()?.at;
        }
        while let Some(mut part) = self.later.pop_if(|part| part.at <= self.at) {
            self.active.extend(part.next().map(|(run, state)| (run, state, part)));
        }
        let state = self.active.iter().map(|(_, state, _)| *state).reduce(State::or)?;
        let ends = self.active.iter().map(|(run, ..)| run.end).chain(self.later.last().map(|part| part.at));
        let range = self.at..ends.min()?;
        self.at = range.end;
        Some((range, state))
    }
}

/// Joins neighbours of one state.
fn joined(mut runs: impl Iterator<Item = (Range<u64>, State)>) -> impl Iterator<Item = (Range<u64>, State)> {
    let mut ahead = runs.next();
    std::iter::from_fn(move || {
        let (mut range, state) = ahead.take()?;
        for (next, found) in runs.by_ref() {
            if next.start != range.end || found != state {
                ahead = Some((next, found));
                break;
            }
            range.end = next.end;
        }
        Some((range, state))
    })
}

/// Runs of equal state.
struct Runs<'a> {
    part: &'a Part,
    at: u64,
    end: u64,
}

impl Iterator for Runs<'_> {
    type Item = (Range<u64>, State);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        let within = |sequence: u64| sequence % WORD_MESSAGES * 2;
        let Some(first) = self.part.word(start) else {
            self.at = self.part.unknown_until(start).min(self.end);
            return Some((start..self.at, State::Indeterminate));
        };
        let state = State::from_bits(first >> within(start));
        while self.at < self.end {
            let Some(word) = self.part.word(self.at) else { break };
            // Bits that differ from the run's state, from here to the end of the word.
            let differs = (word ^ state.word()) >> within(self.at);
            let left = WORD_MESSAGES - self.at % WORD_MESSAGES;
            let same = (u64::from(differs.trailing_zeros()) / 2).min(left);
            self.at += same;
            if same < left {
                break;
            }
        }
        self.at = self.at.min(self.end);
        Some((start..self.at, state))
    }
}

/// What a states file tells.
struct States {
    /// Streams with their parts.
    parts: Vec<(u32, Part)>,
    /// Streams whose end it does not tell, for damage.
    unbounded: Vec<u32>,
    /// The mark of the transaction log, with its check; `None` where its header is lost.
    transactions: Option<u64>,
}

/// Opens a states file.
fn open_states(
    path: &Path,
    producer: &ProducerEntry,
    expected: Identity,
    damages: &mut Damages,
) -> Result<States, LedgerError> {
    let failed = |doing: &'static str| move |source| LedgerError::Io { path: path.into(), doing, source };
    let file = File::open(path).map_err(failed("open"))?;
    let length = file.metadata().map_err(failed("open"))?.len();
    let header = match read_header(path, &file, length, expected) {
        Ok((_, header)) => header,
        Err(cause) => {
            damages.note(cause, 0, None)?;
            let unbounded = producer.streams.iter().map(|stream| stream.stream).collect();
            return Ok(States { parts: Vec::new(), unbounded, transactions: None });
        }
    };
    let mapping = Arc::new(Mapping::readable(&file, (length / 8 * 8) as usize).map_err(failed("map"))?);
    let transactions = mapping.words()[TRANSACTIONS_WORD].load(Ordering::Relaxed);
    let closed = mapping.words()[CLOSED_WORD].load(Ordering::Relaxed);
    let checked_by = (closed != 0).then_some(&file);
    let mut directory = read_directory(path, &mapping, length, &header, checked_by)?;
    if closed != 0 && closed != mark_of(CLOSED) {
        let at = CLOSED_WORD as u64 * 8;
        directory.bad.insert(0, corrupt(path, at, "the mark of the end does not match its check"));
    }
    let mut states = States { parts: Vec::new(), unbounded: Vec::new(), transactions: Some(transactions) };
    let mut bad_marks = Vec::new();
    let mut missing = None;
    for span in 0..header.streams.len() + header.resends.len() {
        let (stream, slot) = header.stream(path, span)?;
        let part = match header.reserved(path, span) {
            Ok(reserved) => header.part(span, slot, reserved, &directory),
            Err(bad) => {
                bad_marks.push(bad);
                if span < header.streams.len() {
                    states.unbounded.push(stream);
                }
                header.part_at_least(span, slot, &directory)
            }
        };
        if let (Some(unknown), None) = (part.unknown.first(), &missing) {
            let (page, reserved) = (unknown.start / PAGE_MESSAGES, part.reserved);
            let what = format!("stream {stream}: page {page} below reserved mark {reserved} is missing");
            missing = Some(corrupt(path, mark_word(span) as u64 * 8, what));
        }
        states.parts.push((stream, part));
    }
    let more = bad_marks.len().saturating_sub(1);
    if let Some(first) = bad_marks.into_iter().next() {
        damages.note(first, more, None)?;
    }
    if missing.is_some()
        && let Some(expected) = partial_segment(length, &header)
    {
        // What is missing was in the part that is cut off.
        directory.bad.push(LedgerError::Truncated { path: path.into(), length, expected });
    }
    let more = directory.bad.len().saturating_sub(1);
    if let Some(first) = directory.bad.into_iter().next().or(missing) {
        let unknown = states.parts.iter().map(|(_, part)| part.unknown_count()).sum();
        damages.note(first, more, Some(unknown))?;
    }
    Ok(states)
}

pub(crate) struct Header {
    identity: Identity,
    bytes: u64,
    /// By slot.
    pub(crate) streams: Vec<Span>,
    resends: Vec<Span>,
}

/// Maps and checks the header of a file of `length` bytes.
pub(crate) fn read_header(
    path: &Path,
    file: &File,
    length: u64,
    expected: Identity,
) -> Result<(Mapping, Header), LedgerError> {
    let map = |bytes: u64| {
        if length < bytes {
            return Err(LedgerError::Truncated { path: path.into(), length, expected: bytes });
        }
        Mapping::readable(file, bytes as usize).map_err(|source| LedgerError::Io {
            path: path.into(),
            doing: "map",
            source,
        })
    };
    let fixed = FixedHeader::decode(&map(FixedHeader::BYTES as u64)?.copy());
    if !fixed.magic_matches {
        return Err(LedgerError::NotALedger { path: path.into(), magic: MAGIC });
    }
    if fixed.version != VERSION {
        return Err(LedgerError::Version { path: path.into(), found: fixed.version, known: VERSION });
    }
    let bytes = header_bytes(fixed.spans());
    let mapping = map(bytes)?;
    let header = mapping.copy();
    if !fixed.sound(&header) {
        return Err(corrupt(path, 0, "checksum mismatch in the header"));
    }
    expected.compare(fixed.identity).map_err(|(what, found, expected)| LedgerError::Foreign {
        path: path.into(),
        what,
        found,
        expected,
    })?;
    let mut streams: Vec<Span> = decode_spans(&header, fixed.spans()).collect();
    let resends = streams.split_off(fixed.streams);
    Ok((mapping, Header { identity: fixed.identity, bytes, streams, resends }))
}

/// The length that the file would have with its last segment whole, where that is cut off.
fn partial_segment(length: u64, header: &Header) -> Option<u64> {
    let segments = length - header.bytes;
    (!segments.is_multiple_of(SEGMENT_BYTES)).then(|| header.bytes + segments.next_multiple_of(SEGMENT_BYTES))
}

/// What the page directory tells.
struct Directory {
    /// Pages by slot and number.
    pages: BTreeMap<(u32, u64), Page>,
    /// How many pages it has room for.
    capacity: usize,
    /// Entries that are damaged.
    bad: Vec<LedgerError>,
}

/// Reads the directory as far as the file goes. A part of a segment at the end is an allocation that failed on a full
/// disk, so no page of it was handed out; if it is a copy's cut instead, pages below the reserved marks are missing.
///
/// Where the file was closed, the states of its pages are checked.
fn read_directory(
    path: &Path,
    mapping: &Arc<Mapping>,
    length: u64,
    header: &Header,
    checked_by: Option<&File>,
) -> Result<Directory, LedgerError> {
    let segments = (length - header.bytes).div_ceil(SEGMENT_BYTES);
    let capacity = segments as usize * SEGMENT_PAGES;
    let mut directory = Directory { pages: BTreeMap::new(), capacity, bad: Vec::new() };
    for segment in 0..segments {
        let at = header.bytes + segment * SEGMENT_BYTES;
        let base = (at / 8) as usize;
        for index in 0..SEGMENT_PAGES {
            let Some([page, tag]) = mapping.words().get(base + index * 2..).and_then(<[_]>::first_chunk) else { break };
            let [entry, tag] = [page, tag].map(|half| half.load(Ordering::Relaxed));
            let page = page_number(entry);
            if tag == 0 {
                continue;
            }
            let slot = (tag as u32).wrapping_sub(1);
            let place = Place { segment: segment as u32, index: index as u32 };
            let mut bad = |what| directory.bad.push(corrupt(path, at + index as u64 * 16, what));
            if slot as usize >= header.streams.len() || directory_word(header.identity, place, slot, page) != tag {
                bad("checksum mismatch in the page directory");
                continue;
            }
            let states_at = page_at(at, index);
            let from = (states_at / 8) as usize;
            if from + PAGE_WORDS > mapping.words().len() {
                continue;
            }
            if let Some(file) = checked_by {
                let failed = |source| LedgerError::Io { path: path.into(), doing: "read", source };
                if states_check(file, states_at).map_err(failed)? != entry >> NUMBER_BITS {
                    let stream = header.streams[slot as usize].stream;
                    let first = page * PAGE_MESSAGES;
                    let what = format!("stream {stream}: checksum mismatch in the states from sequence {first} on");
                    directory.bad.push(corrupt(path, states_at, what));
                    continue;
                }
            }
            if directory.pages.insert((slot, page), Page::new(Arc::clone(mapping), from)).is_some() {
                // Which of the two is right is not known.
                directory.pages.remove(&(slot, page));
                bad("the page directory names a page twice");
            }
        }
    }
    Ok(directory)
}

impl Directory {
    /// The pages of a slot from that of `first` on, as far as there are any below `end`.
    fn pages(&self, slot: u32, sequences: Range<u64>) -> Vec<Option<Page>> {
        let first = sequences.start / PAGE_MESSAGES;
        let end = if sequences.is_empty() { first } else { sequences.end.div_ceil(PAGE_MESSAGES) };
        let mut pages = Vec::new();
        for ((_, number), page) in self.pages.range((slot, first)..(slot, end)) {
            let index = (number - first) as usize;
            // Pages are handed out in order, so as many as are before it have a place in the directory.
            if index >= self.capacity {
                break;
            }
            pages.resize(index, None);
            pages.push(Some(page.clone()));
        }
        pages
    }
}

impl Header {
    /// A stream by slot, or a resend, counted on behind them.
    fn span(&self, span: usize) -> &Span {
        self.streams.get(span).unwrap_or_else(|| &self.resends[span - self.streams.len()])
    }

    /// The stream of a span, and its slot.
    fn stream(&self, path: &Path, span: usize) -> Result<(u32, u32), LedgerError> {
        let stream = self.span(span).stream;
        let slot = self.streams.iter().position(|own| own.stream == stream);
        let unknown = || bad_mark(path, span, stream, "it is sent again and not among the streams");
        Ok((stream, slot.ok_or_else(unknown)? as u32))
    }

    /// One past the last sequence of a span that was reserved.
    fn reserved(&self, path: &Path, span: usize) -> Result<u64, LedgerError> {
        let found = self.span(span);
        let bad = |what: &str| bad_mark(path, span, found.stream, what);
        let reserved = found.reserved().ok_or_else(|| bad("the reserved mark does not match its check"))?;
        if reserved < found.first || found.attempt > 0 && reserved > found.end {
            return Err(bad(&format!("reserved mark {reserved} is outside of its sequences from {}", found.first)));
        }
        Ok(reserved)
    }

    fn part(&self, span: usize, slot: u32, reserved: u64, directory: &Directory) -> Part {
        let Span { attempt, first, .. } = *self.span(span);
        Part::new(self.identity.incarnation, attempt, first..reserved, directory.pages(slot, first..reserved))
    }

    /// The part of a span whose mark is lost: what has a state was reserved, and so was all before it.
    fn part_at_least(&self, span: usize, slot: u32, directory: &Directory) -> Part {
        let Span { attempt, first, end, .. } = *self.span(span);
        let limit = if attempt > 0 { end.max(first) } else { u64::MAX };
        let pages = directory.pages(slot, first..limit);
        let backed = (first / PAGE_MESSAGES + pages.len() as u64) * PAGE_MESSAGES;
        let all = Part::new(self.identity.incarnation, attempt, first..backed.clamp(first, limit), pages);
        let stated = all.known_within(all.range()).filter(|(_, state)| *state != State::Open);
        let reserved = stated.last().map_or(first, |(range, _)| range.end);
        self.part(span, slot, reserved, directory)
    }
}

fn bad_mark(path: &Path, span: usize, stream: u32, what: &str) -> LedgerError {
    corrupt(path, mark_word(span) as u64 * 8, format!("stream {stream}: {what}"))
}

fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> LedgerError {
    LedgerError::Corrupt { path: PathBuf::from(path), offset, what: what.into() }
}

/// What became of a transaction, as far as its producer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its commit succeeded: all of it must be visible.
    Committed,
    /// Aborted, or its commit was never asked for: none of it may be visible under `read_committed`.
    Aborted,
    /// Its commit was asked for and not answered: all or nothing.
    Indeterminate,
    /// The log is damaged where it would tell. Its members are those of all transactions from this one on.
    Unknown,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its producer.
    pub producer: u32,
    /// Its producer's life.
    pub incarnation: u32,
    /// The producer's count, from 1, as in its messages' headers.
    pub transaction: u32,
    /// What became of it.
    pub fate: Fate,
    /// Whether its end was answered: its producer knew of it and went on.
    pub ended: bool,
    /// When its commit was about to be asked for, nanoseconds since the Unix epoch.
    pub intent_commit_ns: Option<u64>,
    /// Its messages.
    pub members: Vec<Member>,
}

/// A transaction's part of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The stream.
    pub stream: u32,
    /// The attempt in its messages' headers.
    pub attempt: u16,
    /// Its sequences, reserved but never handed over ones included.
    pub sequences: Range<u64>,
}

fn open_transactions(
    folder: &Path,
    producer: &ProducerEntry,
    identity: Identity,
    states: &States,
    damages: &mut Damages,
) -> Result<Vec<Transaction>, LedgerError> {
    if producer.transactional_id.is_none() {
        return Ok(Vec::new());
    }
    let path = folder.join(transactions_file(identity.producer, identity.incarnation));
    let least = states.transactions.map_or(Some(0), checked);
    let sound = transactions::read_sound(&path, identity, least.unwrap_or(0))?;
    let mut replay = Replay::new(producer, identity, states);
    let bad_entry = sound.entries.iter().enumerate().find_map(|(index, entry)| {
        let what = replay.entry(entry).err()?;
        Some(corrupt(&path, ((index + 1) * transactions::ENTRY_BYTES) as u64, what))
    });
    let lost_mark = || {
        let states = folder.join(states_file(identity.producer, identity.incarnation));
        corrupt(&states, TRANSACTIONS_WORD as u64 * 8, "the mark of the transaction log does not match its check")
    };
    let damage = bad_entry.or(sound.damage).or_else(|| least.is_none().then(lost_mark));
    let Some(cause) = damage else { return Ok(replay.finish()) };
    let (transactions, unknown) = replay.break_off();
    damages.note(cause, 0, Some(unknown))?;
    Ok(transactions)
}

/// Turns entries into transactions.
struct Replay<'a> {
    identity: Identity,
    /// The parts of each stream, in the order in which they were sent: what is sent again lies below a stream's own.
    parts: BTreeMap<u32, Vec<&'a Part>>,
    unbounded: &'a [u32],
    all: Vec<Transaction>,
    /// Where each stream's latest member begins, and the transaction that it is in.
    latest: HashMap<u32, (u64, usize)>,
}

impl<'a> Replay<'a> {
    fn new(producer: &ProducerEntry, identity: Identity, states: &'a States) -> Self {
        let mut by_stream: BTreeMap<u32, Vec<&Part>> =
            producer.streams.iter().map(|stream| (stream.stream, Vec::new())).collect();
        for (stream, part) in &states.parts {
            by_stream.entry(*stream).or_default().push(part);
        }
        for parts in by_stream.values_mut() {
            parts.sort_by_key(|part| part.first);
        }
        Self { identity, parts: by_stream, unbounded: &states.unbounded, all: Vec::new(), latest: HashMap::new() }
    }

    fn begin(&mut self, transaction: u32, fate: Fate) {
        self.all.push(Transaction {
            producer: self.identity.producer,
            incarnation: self.identity.incarnation,
            transaction,
            fate,
            ended: false,
            intent_commit_ns: None,
            members: Vec::new(),
        });
    }

    /// Takes the next entry; why it cannot be, if so.
    fn entry(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.kind == Kind::Begin {
            self.begin(entry.transaction, Fate::Aborted);
            return Ok(());
        }
        let current = self.all.last_mut().filter(|current| current.transaction == entry.transaction);
        let current = current.ok_or_else(|| format!("transaction {} has not begun", entry.transaction))?;
        match entry.kind {
            Kind::IntentCommit => {
                current.fate = Fate::Indeterminate;
                current.intent_commit_ns = Some(entry.value);
            }
            Kind::Committed => (current.fate, current.ended) = (Fate::Committed, true),
            // A commit that was asked for may have happened: only a successful abort settles it.
            Kind::Begin | Kind::IntentAbort => {}
            Kind::Aborted => (current.fate, current.ended) = (Fate::Aborted, true),
            Kind::Member => self.member(entry.stream, entry.value)?,
        }
        Ok(())
    }

    fn member(&mut self, stream: u32, first: u64) -> Result<(), String> {
        let parts = self.parts.get(&stream).ok_or_else(|| format!("stream {stream} is not this producer's"))?;
        let end = parts.last().map_or(0, |own| own.reserved);
        if first > end && !self.unbounded.contains(&stream) {
            return Err(format!("stream {stream}: member {first} is beyond reserved mark {end}"));
        }
        let latest = self.latest.get(&stream).copied();
        if let Some((from, transaction)) = latest {
            if from > first {
                return Err(format!("stream {stream}: members go back to {first}"));
            }
            self.all[transaction].members.extend(members(stream, parts, from..first));
        }
        self.latest.insert(stream, (first, self.all.len() - 1));
        Ok(())
    }

    /// All transactions of a whole log: each stream's last member runs to its reserved mark.
    fn finish(mut self) -> Vec<Transaction> {
        for (stream, (from, transaction)) in std::mem::take(&mut self.latest) {
            let tail = members(stream, &self.parts[&stream], from..u64::MAX);
            self.all[transaction].members.extend(tail);
        }
        self.sorted()
    }

    /// The transactions of a log whose end is lost, and how many messages are in none that is known: each stream's last
    /// member ends nobody knows where, and the transaction under way nobody knows how.
    fn break_off(mut self) -> (Vec<Transaction>, u64) {
        match self.all.last_mut() {
            Some(last) if !last.ended => last.fate = Fate::Unknown,
            last => {
                let next = last.map_or(0, |last| last.transaction) + 1;
                self.begin(next, Fate::Unknown);
            }
        }
        let Self { all, latest, parts, .. } = &mut self;
        let tails = parts.iter().flat_map(|(stream, parts)| {
            let from = latest.get(stream).map_or(0, |(from, _)| *from);
            members(*stream, parts, from..u64::MAX)
        });
        let unknown = all.last_mut().map_or(0, |last| {
            last.members.extend(tails);
            last.members.iter().map(|member| member.sequences.end - member.sequences.start).sum()
        });
        (self.sorted(), unknown)
    }

    fn sorted(mut self) -> Vec<Transaction> {
        for transaction in &mut self.all {
            transaction.members.sort_by_key(|member| (member.stream, member.sequences.start));
        }
        self.all
    }
}

/// What of a stream's parts lies in a range.
fn members(stream: u32, parts: &[&Part], range: Range<u64>) -> impl Iterator<Item = Member> {
    parts.iter().filter_map(move |part| {
        let Runs { at, end, .. } = part.within(&range)?;
        Some(Member { stream, attempt: part.attempt, sequences: at..end })
    })
}

const _: () = assert!(PAGE_BYTES == SEGMENT_PAGES * 16, "a directory page has one entry per state page");
