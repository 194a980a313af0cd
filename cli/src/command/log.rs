//! `ackmark log`: the evidence behind a verdict, as the log reader sees it.
//!
//! Partitions are read one after the other, in order of offsets, so that the same question has the same answer. Lines
//! are written while the log is read; nothing of it is kept, and reading ends with the last line that is wanted, or
//! when nobody reads them any more.

use std::{
    error::Error,
    io::{self, BufWriter, ErrorKind, Stdout},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ackmark_schema::{
    log::{BatchLine, Content, LogLine, ProducerState, RecordLine, TimestampType, UnreadableLine},
    record::{Decoded, Header},
    version::SchemaId,
};
use ackmark_wire::{
    batch::{self, Batch, BatchError, BatchHeader},
    codec::Decompressor,
    config::WireConfig,
    metadata::{Directory, OffsetSpec},
    patience::Patience,
    record::{Marker, Record},
    scan::{Outcome, ScanPlan, Target, Visitor, scan},
};

use crate::{
    arguments::Output,
    command::log_flags::Shown,
    connection::{self, Properties, Servers},
    console,
    exit::Exit,
    interrupt,
    print::log::{Sheet, View},
    problem::{self, Problem},
};

/// How long the cluster may take to tell what it holds, and one broker to say a word of it.
const ASK_MAX: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Show the records or batches of a topic as they lie in the log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What no consumer shows is there too: producer ids, epochs and sequences, the markers that end transactions, \
records of aborted transactions, and what cannot be read. Where a record is one of ackmark's, its header is told. \
Nothing is written to the cluster.

Example:
  ackmark log orders --partition 3 --offset 1000..1010 -b localhost:9092
  ackmark log orders --run 4159 --stream 2 --sequence 500 -b localhost:9092
  ackmark log orders --batches --producer-id 4001 --all --output json -b localhost:9092")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    output: Output,
}

/// Shows what is asked for.
///
/// # Errors
/// The topic or a partition is not there, the log cannot be read to the end, stdout cannot be written to.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let interrupted = interrupt::watch()?;
    let properties = connection::resolve(&arguments.servers, &arguments.properties)?;
    let config = connection::wire(&properties)?;
    let shown = &arguments.shown;
    let targets = targets(shown, &config, &interrupted)?;
    if targets.is_empty() {
        console::say("nothing of that lies in the log");
        return Ok(Exit::Success);
    }

    let view = if shown.batches { View::Batches } else { View::Records };
    let highest = targets.iter().map(|target| target.end).max().unwrap_or_default();
    let out = BufWriter::new(io::stdout());
    let mut viewer = Viewer {
        shown,
        sheet: Sheet::new(out, arguments.output.output, view, highest),
        left: if shown.all { u64::MAX } else { shown.limit },
        enough: false,
        partition: 0,
        offsets: 0..0,
        halt: &AtomicBool::new(false),
        written: false,
        failed: None,
    };
    for target in targets {
        viewer.partition = target.partition;
        viewer.offsets = target.start..target.end;
        read(&config, target, &mut viewer, &interrupted)?;
        if viewer.halt.load(Ordering::Relaxed) {
            break;
        }
    }
    viewer.end(&interrupted)
}

/// What is to be read: as little as the flags allow.
fn targets(shown: &Shown, config: &WireConfig, stop: &AtomicBool) -> Result<Vec<Target>, Problem> {
    let topic = &shown.topic;
    let patience = Patience { silence: SILENCE_MAX, ..Patience::new(stop, ASK_MAX) };
    let mut directory = Directory::new(config);
    let failed = |error| connection::wire_problem(&error).about(topic);
    let known = directory.partitions(topic, &patience).map_err(failed)?;
    if let Some(partition) = shown.partition.iter().find(|partition| !known.contains(partition)) {
        return Err(Problem::usage(format!("topic {topic} has no partition {partition}"))
            .hint(format!("it has {}, counted from 0", known.len())));
    }
    let wanted = if shown.partition.is_empty() { &known } else { &shown.partition };
    let mut ask = |which| directory.offsets(topic, wanted, which, &patience).map_err(failed);
    let (starts, ends) = (ask(OffsetSpec::Earliest)?, ask(OffsetSpec::Latest)?);
    let mut targets = Vec::new();
    for (partition, first) in starts {
        let last = ends.get(&partition).copied().unwrap_or(first);
        let (from, to) = shown.offset.map_or((0, None), |offset| (offset.from, offset.to));
        let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (start, end) = (first.max(bound(from)), to.map_or(last, |to| last.min(bound(to))));
        if start < end {
            targets.push(Target { topic: topic.clone(), partition, start, end });
        } else if shown.offset.is_some() && !shown.partition.is_empty() {
            console::say(format_args!("partition {partition} holds offsets {first}..{last}"));
        }
    }
    Ok(targets)
}

/// Reads one partition until its end or until the viewer has enough.
fn read(config: &WireConfig, target: Target, viewer: &mut Viewer<'_>, interrupted: &AtomicBool) -> Result<(), Problem> {
    let (plan, halt) = (ScanPlan::new(config), viewer.halt);
    let scanned = scan(&plan, vec![(target, &mut *viewer)], halt, |_| {
        if interrupted.load(Ordering::Relaxed) {
            halt.store(true, Ordering::Relaxed);
        }
    })
    .map_err(|error| connection::wire_problem(&error))?;
    let outcome = scanned.into_iter().next().map(|one| one.outcome);
    if let Some(Outcome::Incomplete { reason }) = outcome
        && !halt.load(Ordering::Relaxed)
    {
        // What was found before is not taken back.
        let _ = viewer.sheet.flush();
        return Err(Problem::runtime(format!("partition {} was not read to its end: {reason}", viewer.partition)));
    }
    Ok(())
}

/// Writes what it is shown of one partition after the other.
struct Viewer<'a> {
    shown: &'a Shown,
    sheet: Sheet<BufWriter<Stdout>>,
    /// Lines that may still be written, and whether that is none.
    left: u64,
    enough: bool,
    partition: i32,
    offsets: std::ops::Range<i64>,
    /// Ends the reading.
    halt: &'a AtomicBool,
    written: bool,
    failed: Option<io::Error>,
}

impl Viewer<'_> {
    fn write(&mut self, line: &LogLine) {
        if self.halt.load(Ordering::Relaxed) {
            return;
        }
        self.written = true;
        let outcome = self.sheet.line(line);
        self.note(outcome);
        if !matches!(line, LogLine::Unreadable(_)) {
            self.left -= 1;
            if self.left == 0 {
                self.enough = true;
                self.halt.store(true, Ordering::Relaxed);
            }
        }
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.failed = Some(error);
            self.halt.store(true, Ordering::Relaxed);
        }
    }

    fn show_batch(&mut self, header: &BatchHeader, crc: u32) {
        let codec = header.codec().map_or_else(|_| "unknown".to_owned(), |codec| codec.to_string());
        self.write(&LogLine::Batch(BatchLine {
            schema: SchemaId::default(),
            partition: self.partition,
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            records: header.count,
            max_timestamp_ms: header.max_timestamp,
            timestamp_type: timestamp_type(header),
            leader_epoch: header.partition_leader_epoch,
            producer: producer(header, header.base_sequence),
            transactional: header.is_transactional(),
            control: header.is_control(),
            codec,
            bytes: header.size() as u64,
            crc: format!("{crc:08x}"),
            delete_horizon_ms: header.delete_horizon(),
        }));
    }

    fn show_record(&mut self, header: &BatchHeader, codec: &str, record: &Record<'_>, content: Content) {
        let delta = record.offset - header.base_offset;
        self.write(&LogLine::Record(RecordLine {
            schema: SchemaId::default(),
            partition: self.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp,
            timestamp_type: timestamp_type(header),
            batch: header.base_offset,
            leader_epoch: header.partition_leader_epoch,
            producer: producer(header, header.sequence_at(delta as i32)),
            transactional: header.is_transactional(),
            codec: codec.to_owned(),
            key_bytes: record.key.map(|key| key.len() as u64),
            value_bytes: record.value.map(|value| value.len() as u64),
            headers: record.headers.len() as u32,
            content,
        }));
    }

    /// Whether only some records of a batch are wanted, so that each must be looked at.
    fn looks_at_headers(&self) -> bool {
        self.shown.run.is_some() || self.shown.stream.is_some() || self.shown.sequence.is_some()
    }

    /// Whether a record's content is among what is wanted.
    fn wants(&self, content: &Decoded) -> bool {
        if !self.looks_at_headers() {
            return true;
        }
        let Decoded::Ours(Header { run, stream, sequence, sentinel: false, .. }) = content else { return false };
        self.shown.run.is_none_or(|wanted| wanted == *run)
            && self.shown.stream.is_none_or(|wanted| wanted == *stream)
            && self.shown.sequence.is_none_or(|wanted| wanted.has(*sequence))
    }

    /// Tells how it went.
    fn end(mut self, interrupted: &AtomicBool) -> Result<Exit, Problem> {
        let outcome = self.sheet.flush();
        match self.failed.take().map_or(outcome, Err) {
            // Nobody reads on: that is how `| head` works.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Success),
            Err(error) => return Err(Problem::runtime(format!("cannot write to stdout: {error}"))),
            Ok(()) => {}
        }
        if interrupted.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted);
        }
        if !self.written {
            console::say("nothing of that lies in the log");
        } else if self.enough {
            let limit = self.shown.limit;
            console::say(format_args!("ended after {limit}: there may be more, which --limit COUNT or --all shows"));
        }
        Ok(Exit::Success)
    }
}

impl Visitor for &mut Viewer<'_> {
    fn log_start(&mut self, _: i64) {}

    fn last_stable(&mut self, _: i64) {}

    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        let header = &batch.header;
        if self.shown.producer_id.is_some_and(|wanted| wanted != header.producer_id) {
            return Ok(());
        }
        if self.shown.batches && !self.looks_at_headers() {
            if header.base_offset < self.offsets.end && header.last_offset() >= self.offsets.start {
                self.show_batch(header, header.crc);
            }
        } else {
            let codec = header.codec()?.name();
            for record in batch.records(decompressor)? {
                let record = record?;
                if !self.offsets.contains(&record.offset) {
                    continue;
                }
                let content = if header.is_control() {
                    if self.looks_at_headers() {
                        continue;
                    }
                    marker(Marker::of(&record)?)
                } else {
                    let decoded = record.value.map_or(Decoded::Stranger, Header::decode);
                    if !self.wants(&decoded) {
                        continue;
                    }
                    Content::from(&decoded)
                };
                if self.shown.batches {
                    self.show_batch(header, header.crc);
                    break;
                }
                self.show_record(header, codec, &record, content);
                if self.halt.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        // A line that was found goes out even if the next one is far away.
        if self.written {
            let outcome = self.sheet.flush();
            self.note(outcome);
        }
        Ok(())
    }

    fn unreadable(&mut self, from: i64, end: i64, error: &(dyn Error + 'static)) {
        let partition = self.partition;
        let (from, to) = (from.max(self.offsets.start), end.min(self.offsets.end));
        if from < to {
            let reason = problem::chain(error);
            self.write(&LogLine::Unreadable(UnreadableLine {
                schema: SchemaId::default(),
                partition,
                from,
                to,
                reason,
            }));
        }
    }

    // That it brings nothing is what it has to show.
    fn nothing(&mut self, _: i64, _: i64) {}

    fn end(&mut self, _: i64) {}
}

fn timestamp_type(header: &BatchHeader) -> TimestampType {
    match header.timestamp_type() {
        batch::TimestampType::CreateTime => TimestampType::CreateTime,
        batch::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
    }
}

fn producer(header: &BatchHeader, sequence: i32) -> Option<ProducerState> {
    (header.producer_id >= 0).then(|| ProducerState {
        id: header.producer_id,
        epoch: header.producer_epoch,
        sequence: (sequence >= 0).then_some(sequence),
    })
}

fn marker(marker: Marker) -> Content {
    let (name, epoch) = match marker {
        Marker::Commit { coordinator_epoch } => ("commit".to_owned(), Some(coordinator_epoch)),
        Marker::Abort { coordinator_epoch } => ("abort".to_owned(), Some(coordinator_epoch)),
        Marker::Other(kind) => (kind.to_string(), None),
    };
    Content::Marker { marker: name, coordinator_epoch: epoch }
}
