//! HDR interval logs of a load.
//!
//! `latency.hlog`, of an open loop, has a line per second and series. Series by tag: `intended` (from the intended send
//! time to the delivery report) and `send` (from the actual send). Only messages of the measured part are in it, in the
//! second in which they were reported.
//!
//! `transactions.hlog`, of a load with transactions, has a line per series over the whole measured part: `begin-to-committed`,
//! `flush`, `commit` and, where a share is aborted on purpose, `abort`.
//!
//! Microseconds, V2 with deflate; the line's maximum is in milliseconds. Any `HdrHistogram` tool reads it.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, IntervalLogWriterError, Tag},
    },
};
use tempfile::{NamedTempFile, TempPath};

use crate::transactions::TransactionTally;

/// File name of the latency log in a load folder.
pub const LATENCY_FILE: &str = "latency.hlog";
/// File name of the log of transactions' times in a load folder.
pub const TRANSACTIONS_FILE: &str = "transactions.hlog";

/// Writes the times of a run's transactions; the run started at a time of the Unix epoch and was this long.
pub(crate) fn write_transactions(
    folder: &Path,
    epoch_ns: u64,
    length: Duration,
    tally: &TransactionTally,
) -> io::Result<()> {
    let mut file = LatencyFile::create(folder, TRANSACTIONS_FILE)?;
    let mut log = file.begin(epoch_ns)?;
    for (series, histogram) in [
        ("begin-to-committed", &tally.begin_to_committed),
        ("flush", &tally.flush),
        ("commit", &tally.commit),
        ("abort", &tally.abort),
    ] {
        log.write(series, Duration::ZERO, length, histogram)?;
    }
    file.finish()
}

/// The file behind a log.
pub(crate) struct LatencyFile {
    lines: WholeLines,
    temporary: TempPath,
    path: PathBuf,
    serializer: V2DeflateSerializer,
}

/// A log that is being written.
pub(crate) struct LatencyLog<'f>(IntervalLogWriter<'f, 'f, WholeLines, V2DeflateSerializer>);

/// Writes lines to a file whole or not at all: what was written before the disk was full stays readable.
#[derive(Debug)]
struct WholeLines {
    file: File,
    length: u64,
    line: Vec<u8>,
}

impl Write for WholeLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if bytes.last() == Some(&b'\n') {
            let written = self.file.write_all_at(&self.line, self.length);
            let length = std::mem::take(&mut self.line).len() as u64;
            written.inspect_err(|_| {
                // The first error is what counts.
                let _ = self.file.set_len(self.length);
            })?;
            self.length += length;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LatencyFile {
    /// A file that gets its name when it is finished.
    pub(crate) fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let (file, temporary) = NamedTempFile::with_prefix_in(".latency-", folder)?.into_parts();
        Ok(Self {
            lines: WholeLines { file, length: 0, line: Vec::new() },
            temporary,
            path: folder.join(name),
            serializer: V2DeflateSerializer::new(),
        })
    }

    /// Begins the log of a run that started at a time of the Unix epoch.
    pub(crate) fn begin(&mut self, epoch_ns: u64) -> io::Result<LatencyLog<'_>> {
        let start = UNIX_EPOCH + Duration::from_nanos(epoch_ns);
        IntervalLogWriterBuilder::new()
            .add_comment("ackmark latencies in microseconds, measured part")
            .with_start_time(start)
            .with_base_time(start)
            .with_max_value_divisor(1000.0)
            .begin_log_with(&mut self.lines, &mut self.serializer)
            .map(LatencyLog)
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> io::Result<()> {
        crate::files::publish(&self.lines.file, self.temporary, &self.path)
    }
}

#[cfg(test)]
impl LatencyFile {
    /// One that nothing more can be written to once the other one is called.
    #[expect(clippy::unwrap_used, reason = "for tests")]
    pub(crate) fn on_a_disk_that_fills(folder: &Path) -> (Self, impl FnOnce()) {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        let mut full = Self::create(folder, LATENCY_FILE).unwrap();
        full.lines.file = memfd_create("lines", MemfdFlags::ALLOW_SEALING).unwrap().into();
        let same = full.lines.file.try_clone().unwrap();
        (full, move || fcntl_add_seals(&same, SealFlags::GROW | SealFlags::WRITE).unwrap())
    }
}

impl LatencyLog<'_> {
    /// Writes one second of a series; an empty one is left out.
    pub(crate) fn write(
        &mut self,
        series: &str,
        from: Duration,
        length: Duration,
        histogram: &Histogram<u64>,
    ) -> io::Result<()> {
        if histogram.is_empty() {
            return Ok(());
        }
        let tag = Tag::new(series).expect("our tags have no comma");
        self.0.write_histogram(histogram, from, length, Some(tag)).map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error,
            IntervalLogWriterError::SerializeError(error) => io::Error::other(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::latency;
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    #[test]
    fn what_is_written_is_read_back_by_tag_and_second() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LatencyFile::create(folder.path(), LATENCY_FILE).unwrap();
        let mut log = file.begin(1_700_000_000_500_000_000).unwrap();
        let (mut intended, mut send) = (latency::histogram(), latency::histogram());
        let second = Duration::from_secs(1);
        for at in 0..3_u64 {
            intended.record(1000 + at).unwrap();
            log.write("intended", second * at as u32, second, &intended).unwrap();
            log.write("send", second * at as u32, second, &send).unwrap();
            send.record(7).unwrap();
        }
        file.finish().unwrap();
        let text = std::fs::read(folder.path().join(LATENCY_FILE)).unwrap();
        let (mut lines, mut headers) = (Vec::new(), 0);
        for entry in IntervalLogIterator::new(&text) {
            match entry.unwrap() {
                LogEntry::Interval(line) => {
                    use base64::Engine as _;
                    let bytes = base64::engine::general_purpose::STANDARD.decode(line.encoded_histogram()).unwrap();
                    let found: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                    lines.push((line.tag().unwrap().as_str(), line.start_timestamp().as_secs(), found.len()));
                }
                LogEntry::BaseTime(at) | LogEntry::StartTime(at) => {
                    assert_eq!(at.as_millis(), 1_700_000_000_500);
                    headers += 1;
                }
            }
        }
        assert_eq!(lines, [("intended", 0, 1), ("intended", 1, 2), ("send", 1, 1), ("intended", 2, 3), ("send", 2, 2)]);
        assert_eq!(headers, 2);
    }

    #[test]
    fn times_of_transactions_have_a_line_each() {
        let folder = tempfile::tempdir().unwrap();
        let mut tally = TransactionTally::new();
        tally.begin_to_committed.record(120_000).unwrap();
        tally.commit.record(7_000).unwrap();
        write_transactions(folder.path(), 1_700_000_000_000_000_000, Duration::from_secs(3), &tally).unwrap();
        let text = std::fs::read_to_string(folder.path().join(TRANSACTIONS_FILE)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("Tag=")).collect();
        assert_eq!(lines.len(), 2, "an empty series is left out: {text}");
        assert!(lines[0].starts_with("Tag=begin-to-committed,0.000,3.000,120."), "{text}");
        assert!(lines[1].starts_with("Tag=commit,0.000,3.000,7."), "{text}");
    }

    #[test]
    fn a_line_that_has_no_room_leaves_none_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "").unwrap();
        // A file that is open for reading refuses every write.
        let open = |file: File, length| WholeLines { file, length, line: Vec::new() };
        let mut lines = open(File::options().write(true).open(&path).unwrap(), 0);
        lines.write_all(b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"", "not before its end");
        lines.write_all(b" line\n").unwrap();
        let mut refused = open(File::open(&path).unwrap(), lines.length);
        assert!(refused.write_all(b"another\n").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"whole line\n");
        // What could not be written is not written later, in the midst of something else.
        refused.file = lines.file;
        refused.write_all(b"third\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole line\nthird\n");
    }
}
