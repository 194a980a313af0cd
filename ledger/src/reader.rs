//! Ledgers, read back.
//!
//! A stream's ledger is a list of parts. Each incarnation that used it has one for its own sequences: it continues
//! where the one before it ended, and two that hold the same sequence are refused. It has one more for each range
//! that it sent again. So a sequence has one part per attempt, and what is known of a message follows from all of
//! them: it is acknowledged if any attempt was, failed if all failed, else indeterminate.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use ackmark_schema::{
    manifest::{Manifest, ProducerEntry},
    report::verify::LedgerCounts,
};

use crate::{
    error::LedgerError,
    layout::{
        FixedHeader, Identity, MAGIC, PAGE_BYTES, PAGE_MESSAGES, PAGE_WORDS, Place, SEGMENT_BYTES, SEGMENT_PAGES, Span,
        State, VERSION, WORD_MESSAGES, decode_spans, directory_word, header_bytes, mark_word, states_file,
        transactions_file,
    },
    map::{Mapping, Page},
    transactions::{self, Entry, Kind},
};

/// All ledgers of a load folder.
#[derive(Debug)]
pub struct LedgerReader {
    streams: BTreeMap<u32, StreamLedger>,
    transactions: Vec<Transaction>,
}

impl LedgerReader {
    /// Opens the ledgers that the manifest names. All writers must have ended (see
    /// [`refuse_writers`](crate::refuse_writers)): a later reservation is not seen.
    ///
    /// # Errors
    /// A ledger that is missing, cut off, damaged, of another run or version.
    pub fn open(folder: &Path, manifest: &Manifest) -> Result<Self, LedgerError> {
        let mut streams = BTreeMap::new();
        for stream in manifest.producers.iter().flat_map(|producer| &producer.streams) {
            streams.insert(stream.stream, StreamLedger { stream: stream.stream, own: Vec::new(), resent: Vec::new() });
        }
        let mut transactions = Vec::new();
        for producer in &manifest.producers {
            for &incarnation in &producer.incarnations {
                let identity = Identity { run: manifest.run, producer: producer.producer, incarnation };
                let parts = open_states(&folder.join(states_file(producer.producer, incarnation)), identity)?;
                transactions.extend(open_transactions(folder, producer, identity, &parts)?);
                for (stream, part) in parts {
                    let unknown = || LedgerError::Corrupt {
                        path: folder.join(states_file(producer.producer, incarnation)),
                        offset: FixedHeader::BYTES as u64,
                        what: format!("stream {stream} is not in the manifest"),
                    };
                    streams.get_mut(&stream).ok_or_else(unknown)?.add(part)?;
                }
            }
        }
        Ok(Self { streams, transactions })
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
}

impl StreamLedger {
    /// The reserved sequences, as one range per incarnation, rising.
    pub fn reserved(&self) -> impl Iterator<Item = Range<u64>> {
        self.own.iter().map(Part::range)
    }

    /// One past the last reserved sequence of any incarnation.
    pub fn end(&self) -> u64 {
        self.own.last().map_or(0, |part| part.reserved)
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
    /// A page for each of the sequences.
    pages: Vec<Page>,
}

impl Part {
    /// The sequences that were reserved.
    pub fn range(&self) -> Range<u64> {
        self.first..self.reserved
    }

    /// The states of those among `sequences`, as runs of equal state, rising. Whole words at a time.
    pub fn runs_within(&self, sequences: Range<u64>) -> impl Iterator<Item = (Range<u64>, State)> {
        Runs { part: self, at: self.first.max(sequences.start), end: self.reserved.min(sequences.end) }
    }

    fn within(&self, sequences: &Range<u64>) -> Option<Runs<'_>> {
        let (at, end) = (self.first.max(sequences.start), self.reserved.min(sequences.end));
        (at < end).then_some(Runs { part: self, at, end })
    }

    fn word(&self, sequence: u64) -> u64 {
        let page = (sequence / PAGE_MESSAGES - self.first / PAGE_MESSAGES) as usize;
        self.pages[page].words()[(sequence % PAGE_MESSAGES / WORD_MESSAGES) as usize].load(Ordering::Relaxed)
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
        let state = State::from_bits(self.part.word(start) >> within(start));
        while self.at < self.end {
            // Bits that differ from the run's state, from here to the end of the word.
            let differs = (self.part.word(self.at) ^ state.word()) >> within(self.at);
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

/// Opens a states file: its streams with their parts.
fn open_states(path: &Path, expected: Identity) -> Result<Vec<(u32, Part)>, LedgerError> {
    let failed = |doing: &'static str| move |source| LedgerError::Io { path: path.into(), doing, source };
    let file = File::open(path).map_err(failed("open"))?;
    let length = file.metadata().map_err(failed("open"))?.len();
    let (_, header) = read_header(path, &file, length, expected)?;
    let mapping = Arc::new(Mapping::readable(&file, (length / 8 * 8) as usize).map_err(failed("map"))?);
    let directory = read_directory(path, &mapping, length, &header)?;
    let parts = (0..header.streams.len() + header.resends.len()).map(|span| header.part(path, span, &directory));
    parts.collect::<Result<_, _>>().map_err(|error| match partial_segment(length, &header) {
        // What is missing was in the part that is cut off.
        Some(expected) => LedgerError::Truncated { path: path.into(), length, expected },
        None => error,
    })
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

/// The pages of each slot by number.
type Directory = HashMap<(u32, u64), Page>;

/// Reads the whole segments. A part of one at the end is an allocation that failed on a full disk, so no
/// page of it was handed out; if it is a copy's cut instead, pages below the reserved marks are missing.
fn read_directory(path: &Path, mapping: &Arc<Mapping>, length: u64, header: &Header) -> Result<Directory, LedgerError> {
    let mut directory = HashMap::new();
    let segments = (length - header.bytes) / SEGMENT_BYTES;
    for segment in 0..segments {
        let at = header.bytes + segment * SEGMENT_BYTES;
        let base = (at / 8) as usize;
        for index in 0..SEGMENT_PAGES {
            let [page, tag] = [0, 1].map(|half| mapping.words()[base + index * 2 + half].load(Ordering::Relaxed));
            if tag == 0 {
                continue;
            }
            let slot = (tag as u32).wrapping_sub(1);
            let place = Place { segment: segment as u32, index: index as u32 };
            let offset = at + index as u64 * 16;
            if slot as usize >= header.streams.len() || directory_word(header.identity, place, slot, page) != tag {
                return Err(corrupt(path, offset, "checksum mismatch in the page directory"));
            }
            let words = Page::new(Arc::clone(mapping), base + (index + 1) * PAGE_WORDS);
            if directory.insert((slot, page), words).is_some() {
                return Err(corrupt(path, offset, "the page directory names a page twice"));
            }
        }
    }
    Ok(directory)
}

impl Header {
    /// The part of a span: a stream by slot, or a resend, counted on behind them.
    fn part(&self, path: &Path, span: usize, directory: &Directory) -> Result<(u32, Part), LedgerError> {
        let slots = self.streams.len();
        let found = self.streams.get(span).unwrap_or_else(|| &self.resends[span - slots]);
        let Span { stream, attempt, first, .. } = *found;
        let bad = |what: String| corrupt(path, mark_word(span) as u64 * 8, format!("stream {stream}: {what}"));
        let reserved = found.reserved().ok_or_else(|| bad("the reserved mark does not match its check".into()))?;
        if reserved < first || attempt > 0 && reserved > found.end {
            return Err(bad(format!("reserved mark {reserved} is outside of its sequences from {first}")));
        }
        let slot = self.streams.iter().position(|own| own.stream == stream);
        let slot = slot.ok_or_else(|| bad("it is sent again and not among the streams".into()))? as u32;
        let pages = if reserved == first { 0..0 } else { first / PAGE_MESSAGES..reserved.div_ceil(PAGE_MESSAGES) };
        if pages.end - pages.start > directory.len() as u64 {
            return Err(bad(format!("reserved mark {reserved} is beyond its pages")));
        }
        let missing = |page| bad(format!("page {page} below reserved mark {reserved} is missing"));
        let pages = pages.map(|page| directory.get(&(slot, page)).cloned().ok_or_else(|| missing(page)));
        let (incarnation, pages) = (self.identity.incarnation, pages.collect::<Result<_, _>>()?);
        Ok((stream, Part { incarnation, attempt, first, reserved, pages }))
    }
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
    parts: &[(u32, Part)],
) -> Result<Vec<Transaction>, LedgerError> {
    if producer.transactional_id.is_none() {
        return Ok(Vec::new());
    }
    let path = folder.join(transactions_file(identity.producer, identity.incarnation));
    let entries = transactions::read(&path, identity)?;
    replay(&entries, identity, parts)
        .map_err(|(index, what)| corrupt(&path, ((index + 1) * transactions::ENTRY_BYTES) as u64, what))
}

/// Turns entries into transactions. Errors carry the entry's index.
fn replay(entries: &[Entry], identity: Identity, parts: &[(u32, Part)]) -> Result<Vec<Transaction>, (usize, String)> {
    let mut by_stream: HashMap<u32, Vec<&Part>> = HashMap::new();
    for (stream, part) in parts {
        by_stream.entry(*stream).or_default().push(part);
    }
    // In the order in which they were sent: what is sent again lies below a stream's own.
    for parts in by_stream.values_mut() {
        parts.sort_by_key(|part| part.first);
    }
    let mut all: Vec<Transaction> = Vec::new();
    // Where each stream's latest member begins, and the transaction that it is in.
    let mut latest: HashMap<u32, (u64, usize)> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if entry.kind == Kind::Begin {
            all.push(Transaction {
                producer: identity.producer,
                incarnation: identity.incarnation,
                transaction: entry.transaction,
                fate: Fate::Aborted,
                ended: false,
                intent_commit_ns: None,
                members: Vec::new(),
            });
            continue;
        }
        let position = all.len().wrapping_sub(1);
        let current = all.last_mut().filter(|current| current.transaction == entry.transaction);
        let current = current.ok_or_else(|| (index, format!("transaction {} has not begun", entry.transaction)))?;
        match entry.kind {
            Kind::IntentCommit => {
                current.fate = Fate::Indeterminate;
                current.intent_commit_ns = Some(entry.value);
            }
            Kind::Committed => (current.fate, current.ended) = (Fate::Committed, true),
            // A commit that was asked for may have happened: only a successful abort settles it.
            Kind::Begin | Kind::IntentAbort => {}
            Kind::Aborted => (current.fate, current.ended) = (Fate::Aborted, true),
            Kind::Member => {
                let (stream, first) = (entry.stream, entry.value);
                let parts = by_stream.get(&stream);
                let parts = parts.ok_or_else(|| (index, format!("stream {stream} is not this producer's")))?;
                let end = parts.last().map_or(0, |own| own.reserved);
                if first > end {
                    return Err((index, format!("stream {stream}: member {first} is beyond reserved mark {end}")));
                }
                if let Some((from, transaction)) = latest.insert(stream, (first, position)) {
                    if from > first {
                        return Err((index, format!("stream {stream}: members go back to {first}")));
                    }
                    all[transaction].members.extend(members(stream, parts, from..first));
                }
            }
        }
    }
    for (stream, (from, transaction)) in latest {
        all[transaction].members.extend(members(stream, &by_stream[&stream], from..u64::MAX));
    }
    for transaction in &mut all {
        transaction.members.sort_by_key(|m| (m.stream, m.sequences.start));
    }
    Ok(all)
}

/// What of a stream's parts lies in a range.
fn members(stream: u32, parts: &[&Part], range: Range<u64>) -> impl Iterator<Item = Member> {
    parts.iter().filter_map(move |part| {
        let Runs { at, end, .. } = part.within(&range)?;
        Some(Member { stream, attempt: part.attempt, sequences: at..end })
    })
}

const _: () = assert!(PAGE_BYTES == SEGMENT_PAGES * 16, "a directory page has one entry per state page");
