//! A log as lines: a table for people, JSON for programs, written as it is read.
//!
//! A table that is written while it grows cannot know its widest cell: columns are as wide as what they usually hold
//! and what the plan says (partitions, offsets); a wider cell moves the rest of its line.

use std::io::{self, Write};

use ackmark_schema::log::{BatchLine, Content, LogLine, Message, ProducerState, RecordLine};
use jiff::Timestamp;

use crate::{arguments::Form, figures::NONE};

/// What a line of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// A record.
    Records,
    /// A batch.
    Batches,
}

/// A column: its title, how wide it is at least, and whether it holds figures.
type Column = (&'static str, usize, bool);

const TIME: usize = "2026-11-25 10:00:00.123".len();

const RECORDS: [Column; 10] = [
    ("partition", 0, true),
    ("offset", 0, true),
    ("timestamp (UTC)", TIME, false),
    ("producer id", 0, true),
    ("epoch", 0, true),
    ("producer seq.", 0, true),
    ("in", "transaction".len(), false),
    ("codec", "snappy".len(), false),
    ("value bytes", 0, true),
    ("content", 0, false),
];

const BATCHES: [Column; 12] = [
    ("partition", 0, true),
    ("offsets", 0, true),
    ("records", 0, true),
    ("latest timestamp (UTC)", TIME, false),
    ("leader epoch", 0, true),
    ("producer id", 0, true),
    ("epoch", 0, true),
    ("producer seq.", "10000-20000".len(), true),
    ("in", "transaction".len(), false),
    ("codec", "snappy".len(), false),
    ("bytes", 8, true),
    ("checksum", 0, false),
];

/// Writes lines as they come.
pub(crate) struct Sheet<W> {
    out: W,
    form: Form,
    columns: Vec<Column>,
    begun: bool,
}

impl<W: Write> Sheet<W> {
    /// A sheet for offsets up to `highest`.
    pub(crate) fn new(out: W, form: Form, view: View, highest: i64) -> Self {
        let digits = highest.max(0).to_string().len();
        let mut columns = match view {
            View::Records => RECORDS.to_vec(),
            View::Batches => BATCHES.to_vec(),
        };
        columns[1].1 = if view == View::Records { digits } else { 2 * digits + 1 };
        for (title, width, _) in &mut columns {
            *width = (*width).max(title.chars().count());
        }
        Self { out, form, columns, begun: false }
    }

    /// Writes a line, behind the table's head if it is the first.
    ///
    /// # Errors
    /// The output cannot be written to.
    pub(crate) fn line(&mut self, line: &LogLine) -> io::Result<()> {
        if self.form == Form::Json {
            serde_json::to_writer(&mut self.out, line)?;
            return self.out.write_all(b"\n");
        }
        if !self.begun {
            self.begun = true;
            self.head()?;
        }
        let cells = match line {
            LogLine::Record(record) => record_cells(record),
            LogLine::Batch(batch) => batch_cells(batch),
            LogLine::Unreadable(range) => {
                let (partition, last, reason) = (range.partition, range.to - 1, &range.reason);
                let mut cells = vec![String::new(); self.columns.len()];
                cells[0] = partition.to_string();
                cells[1] = if last > range.from { format!("{}-{last}", range.from) } else { range.from.to_string() };
                cells.truncate(2);
                cells.push(format!("UNREADABLE: {reason}"));
                cells
            }
        };
        self.row(&cells)
    }

    /// Hands what was written over to the reader.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn head(&mut self) -> io::Result<()> {
        let titles: Vec<String> = self.columns.iter().map(|(title, ..)| (*title).to_owned()).collect();
        self.row(&titles)?;
        if self.form == Form::Markdown {
            let rules = self.columns.iter().map(|(_, width, figures)| {
                let dashes = "-".repeat(*width + 1);
                if *figures { format!("{dashes}:") } else { format!("{dashes}-") }
            });
            let rules: Vec<String> = rules.collect();
            writeln!(self.out, "|{}|", rules.join("|"))?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[String]) -> io::Result<()> {
        let markdown = self.form == Form::Markdown;
        let padded = cells.iter().zip(&self.columns).map(|(cell, (_, width, figures))| {
            let cell = if markdown { cell.replace('|', "\\|") } else { cell.clone() };
            if *figures { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let padded: Vec<String> = padded.collect();
        if markdown {
            let missing = " |".repeat(self.columns.len() - cells.len());
            writeln!(self.out, "| {} |{missing}", padded.join(" | "))
        } else {
            writeln!(self.out, "{}", padded.join("  ").trim_end())
        }
    }
}

fn record_cells(record: &RecordLine) -> Vec<String> {
    let [id, epoch] = producer(record.producer);
    let sequence = record.producer.and_then(|producer| producer.sequence);
    vec![
        record.partition.to_string(),
        record.offset.to_string(),
        time(record.timestamp_ms),
        id,
        epoch,
        or_none(sequence),
        kind(record.transactional, matches!(record.content, Content::Marker { .. })),
        record.codec.clone(),
        or_none(record.value_bytes),
        content(&record.content, record.value_bytes.is_none()),
    ]
}

fn batch_cells(batch: &BatchLine) -> Vec<String> {
    let [id, epoch] = producer(batch.producer);
    let sequences = batch.producer.and_then(|producer| producer.sequence).map(|first| {
        // After 2^31 - 1 comes 0.
        let last = i64::from(first) + (batch.last_offset - batch.base_offset);
        range(i64::from(first), last & i64::from(i32::MAX))
    });
    vec![
        batch.partition.to_string(),
        range(batch.base_offset, batch.last_offset),
        batch.records.to_string(),
        time(batch.max_timestamp_ms),
        batch.leader_epoch.to_string(),
        id,
        epoch,
        or_none(sequences),
        kind(batch.transactional, batch.control),
        batch.codec.clone(),
        batch.bytes.to_string(),
        "right".to_owned(),
    ]
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or(NONE.to_owned(), |value| value.to_string())
}

fn range(first: i64, last: i64) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn producer(producer: Option<ProducerState>) -> [String; 2] {
    [or_none(producer.map(|producer| producer.id)), or_none(producer.map(|producer| producer.epoch))]
}

fn kind(transactional: bool, control: bool) -> String {
    match (control, transactional) {
        (true, _) => "control",
        (false, true) => "transaction",
        (false, false) => NONE,
    }
    .to_owned()
}

/// Milliseconds are all that the log has.
fn time(milliseconds: i64) -> String {
    match Timestamp::from_millisecond(milliseconds) {
        Ok(time) if milliseconds >= 0 => time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        _ => NONE.to_owned(),
    }
}

fn content(content: &Content, tombstone: bool) -> String {
    match content {
        Content::Message(message) => told(message),
        Content::Marker { marker, coordinator_epoch: Some(epoch) } => {
            format!("{marker} marker, coordinator epoch {epoch}")
        }
        Content::Marker { marker, coordinator_epoch: None } => format!("control record of type {marker}"),
        Content::Stranger if tombstone => "not ackmark's, no value".to_owned(),
        Content::Stranger => "not ackmark's".to_owned(),
        Content::Corrupt { damage } => format!("CORRUPT: {damage}"),
    }
}

fn told(message: &Message) -> String {
    if message.sentinel {
        return format!("seal of run {}", message.run);
    }
    let mut text = format!("run {} stream {} sequence {}", message.run, message.stream, message.sequence);
    for (name, number) in [("attempt", u32::from(message.attempt)), ("incarnation", message.incarnation)] {
        if number > 0 {
            text.extend([" ", name, " ", &number.to_string()]);
        }
    }
    if let Some(transaction) = message.transaction {
        text.extend([" transaction ", &transaction.to_string()]);
    }
    if message.warm_up {
        text += " warm-up";
    }
    if let Some(source) = message.source {
        text.extend([" from partition ", &source.partition.to_string(), " offset ", &source.offset.to_string()]);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_schema::{
        log::{TimestampType, UnreadableLine},
        version::SchemaId,
    };

    use super::*;

    fn record(offset: i64, producer: Option<ProducerState>, content: Content) -> LogLine {
        LogLine::Record(RecordLine {
            schema: SchemaId::default(),
            partition: 3,
            offset,
            timestamp_ms: 1_795_600_800_123,
            timestamp_type: TimestampType::CreateTime,
            batch: 1000,
            leader_epoch: 5,
            producer,
            transactional: producer.is_some(),
            codec: "zstd".into(),
            key_bytes: None,
            value_bytes: Some(100),
            headers: 0,
            content,
        })
    }

    fn message() -> Message {
        Message {
            run: 77,
            stream: 2,
            sequence: 500,
            attempt: 0,
            incarnation: 0,
            transaction: None,
            intended_ns: 1,
            send_delay_us: 2,
            sentinel: false,
            warm_up: false,
            source: None,
        }
    }

    fn unreadable() -> LogLine {
        let reason = "the batch at offset 1006 has the checksum 00000001".to_owned();
        LogLine::Unreadable(UnreadableLine { schema: SchemaId::default(), partition: 3, from: 1006, to: 1010, reason })
    }

    fn records() -> Vec<LogLine> {
        let producer = Some(ProducerState { id: 4001, epoch: 0, sequence: Some(12) });
        let ended = Some(ProducerState { id: 4001, epoch: 0, sequence: None });
        let resent = Message { attempt: 1, incarnation: 2, transaction: Some(9), warm_up: true, ..message() };
        let marker = Content::Marker { marker: "commit".into(), coordinator_epoch: Some(4) };
        vec![
            record(1000, producer, Content::Message(message())),
            record(1001, None, Content::Message(resent)),
            record(1002, None, Content::Stranger),
            record(1003, None, Content::Corrupt { damage: "checksum mismatch".into() }),
            record(1004, ended, marker),
            record(1005, None, Content::Message(Message { sentinel: true, ..message() })),
            unreadable(),
        ]
    }

    fn batch(first: i64, sequence: Option<i32>, control: bool) -> LogLine {
        LogLine::Batch(BatchLine {
            schema: SchemaId::default(),
            partition: 3,
            base_offset: first,
            last_offset: first + if control { 0 } else { 9 },
            records: if control { 1 } else { 10 },
            max_timestamp_ms: if control { -1 } else { 1_795_600_800_123 },
            timestamp_type: TimestampType::LogAppendTime,
            leader_epoch: 5,
            producer: Some(ProducerState { id: 4001, epoch: 0, sequence }),
            transactional: true,
            control,
            codec: "none".into(),
            bytes: 1234,
            crc: "0badcafe".into(),
            delete_horizon_ms: None,
        })
    }

    fn written(form: Form, view: View, lines: &[LogLine]) -> String {
        let mut sheet = Sheet::new(Vec::new(), form, view, 100_000);
        for line in lines {
            sheet.line(line).unwrap();
        }
        String::from_utf8(sheet.out).unwrap()
    }

    #[test]
    fn records_are_told() {
        insta::assert_snapshot!("log-records", written(Form::Human, View::Records, &records()));
        insta::assert_snapshot!("log-records-markdown", written(Form::Markdown, View::Records, &records()));
        insta::assert_snapshot!("log-records-json", written(Form::Json, View::Records, &records()));
    }

    #[test]
    fn batches_are_told() {
        // The last one wraps.
        let lines = [batch(1000, Some(0), false), batch(1010, None, true), batch(1011, Some(i32::MAX - 4), false)];
        insta::assert_snapshot!("log-batches", written(Form::Human, View::Batches, &lines));
        insta::assert_snapshot!("log-batches-json", written(Form::Json, View::Batches, &lines));
    }

    #[test]
    fn json_lines_follow_their_contract() {
        for line in written(Form::Json, View::Records, &records()).lines() {
            assert!(serde_json::from_str::<LogLine>(line).is_ok(), "{line}");
        }
        let lines = written(Form::Json, View::Records, &records());
        let back: Vec<LogLine> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, records());
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(written(Form::Human, View::Records, &[]), "");
    }
}
