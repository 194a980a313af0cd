//! Latency histograms of several trials as one: from their HDR interval logs, never from their percentiles.
//!
//! `latency.hlog` holds the series `intended` and `send`, `end-to-end.hlog` the live reader's, `transactions.hlog` the
//! times of transactions, `visibility.hlog` how long they took to be shown; all hold the measured part only, and as many
//! samples as the trial's reports say, or they are not used.

use std::{fmt::Debug, fs, path::Path};

use ackmark_schema::{
    latency::LatencySummary,
    report::{END_TO_END_FILE, VISIBILITY_FILE, load::TransactionFigures},
    result::{CurvePoint, Trial, TrialLoad},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};

/// A kind of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// From the intended send time to the delivery report.
    Intended,
    /// From the actual send to the delivery report.
    Send,
    /// From the intended send time to a live reader.
    EndToEnd,
    /// From a transaction's begin to its commit's success.
    BeginToCommitted,
    /// Draining what is outstanding before a commit.
    Flush,
    /// A commit itself.
    Commit,
    /// An abort on purpose itself.
    Abort,
    /// From asking for a commit until its transaction is shown to a live reader.
    Visibility,
}

impl Series {
    /// To read, in a sentence.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Intended => "latency from the intended time",
            Self::Send => "latency from the send",
            Self::EndToEnd => "latency to a live reader",
            Self::BeginToCommitted => "time from begin to committed",
            Self::Flush => "time of flushes",
            Self::Commit => "time of commits",
            Self::Abort => "time of aborts",
            Self::Visibility => "time until transactions are shown",
        }
    }

    /// Its file and its tag there.
    const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Intended => ("latency.hlog", "intended"),
            Self::Send => ("latency.hlog", "send"),
            Self::EndToEnd => (END_TO_END_FILE, "end-to-end"),
            Self::BeginToCommitted => ("transactions.hlog", "begin-to-committed"),
            Self::Flush => ("transactions.hlog", "flush"),
            Self::Commit => ("transactions.hlog", "commit"),
            Self::Abort => ("transactions.hlog", "abort"),
            Self::Visibility => (VISIBILITY_FILE, "visibility"),
        }
    }

    /// What the trial's own report says; `None` where it has no such latency.
    fn reported(self, trial: &Trial) -> Option<&LatencySummary> {
        let load = |latency: fn(&TrialLoad) -> Option<&LatencySummary>| trial.load.as_ref().and_then(latency);
        let transactions = || trial.load.as_ref()?.transactions.as_ref();
        let of_transactions = |time: fn(&TransactionFigures) -> &LatencySummary| transactions().map(time);
        match self {
            Self::Intended => load(|load| load.latency_intended.as_ref()),
            Self::Send => load(|load| load.latency_send.as_ref()),
            Self::EndToEnd => Some(&trial.verification.as_ref()?.latency_end_to_end.as_ref()?.latency),
            Self::BeginToCommitted => of_transactions(|figures| &figures.begin_to_committed),
            Self::Flush => of_transactions(|figures| &figures.flush),
            Self::Commit => of_transactions(|figures| &figures.commit),
            Self::Abort => transactions()?.abort.as_ref(),
            Self::Visibility => trial.verification.as_ref()?.visibility.as_ref(),
        }
    }
}

/// Latencies of several trials.
#[derive(Debug, PartialEq)]
pub(crate) struct Merged {
    delivered: Histogram<u64>,
    /// Messages that were sent, delivered or not.
    sent: u64,
}

impl Merged {
    /// Its reported percentiles.
    pub(crate) fn summary(&self) -> LatencySummary {
        ackmark_stats::latency_summary(&self.delivered, self.sent)
    }

    /// Its percentile curve.
    pub(crate) fn curve(&self) -> Vec<CurvePoint> {
        ackmark_stats::curve(&self.delivered, self.sent)
    }
}

/// The histogram over these trials; `None` when none of them has such a latency.
///
/// # Errors
/// A log that is missing, cannot be read, or does not hold as many samples as the trial's report says.
pub(crate) fn merge(series: Series, trials: &[&Trial], folder: &Path) -> Result<Option<Merged>, String> {
    let mut sum: Option<Merged> = None;
    for trial in trials {
        let Some(reported) = series.reported(trial) else { continue };
        let found = read(series, &folder.join(&trial.folder))?;
        if found.len() != reported.count {
            return Err(format!(
                "{} holds {} samples in {} where its report says {}",
                trial.folder,
                found.len(),
                series.place().0,
                reported.count
            ));
        }
        match &mut sum {
            None => sum = Some(Merged { delivered: found, sent: reported.sent }),
            Some(sum) => {
                sum.delivered.add(&found).map_err(|error| format!("{}: {error:?}", trial.folder))?;
                sum.sent += reported.sent;
            }
        }
    }
    Ok(sum)
}

fn read(series: Series, folder: &Path) -> Result<Histogram<u64>, String> {
    let (name, tag) = series.place();
    let path = folder.join(name);
    let wrong = |problem: &dyn Debug| format!("{}: {problem:?}", path.display());
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut sum = Histogram::new(3).map_err(|error| wrong(&error))?;
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(interval) = entry.map_err(|error| wrong(&error))? else { continue };
        if interval.tag().map(|tag| tag.as_str()) != Some(tag) {
            continue;
        }
        let encoded = STANDARD.decode(interval.encoded_histogram()).map_err(|error| wrong(&error))?;
        let one: Histogram<u64> = deserializer.deserialize(&mut encoded.as_slice()).map_err(|error| wrong(&error))?;
        sum.add(&one).map_err(|error| wrong(&error))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::synthetic;
    use ackmark_schema::{report::verify::Isolation, result::EndToEnd};
    use hdrhistogram::serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    };
    use std::time::{Duration, SystemTime};

    /// A log of one-second intervals, each with these latencies under the series' tag and another.
    fn write(series: Series, folder: &Path, seconds: &[&[u64]]) {
        fs::create_dir_all(folder).unwrap();
        let (name, tag) = series.place();
        let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_base_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let mut log = builder.begin_log_with(&mut bytes, &mut serializer).unwrap();
        for (second, latencies) in seconds.iter().enumerate() {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            for latency in *latencies {
                histogram.record(*latency).unwrap();
            }
            let (from, length) = (Duration::from_secs(second as u64), Duration::from_secs(1));
            log.write_histogram(&histogram, from, length, Tag::new(tag)).unwrap();
            log.write_histogram(&histogram, from, length, Tag::new("another")).unwrap();
        }
        drop(log);
        fs::write(folder.join(name), bytes).unwrap();
    }

    fn trials(counts: &[u64]) -> Vec<Trial> {
        let mut trials = synthetic::trials(&[("all-acks", 1000.0)], counts.len() as u32);
        for (trial, count) in trials.iter_mut().zip(counts) {
            let latency = LatencySummary { count: *count, sent: *count + 1, ..LatencySummary::default() };
            trial.load.as_mut().unwrap().latency_intended = Some(latency.clone());
            trial.verification.as_mut().unwrap().latency_end_to_end =
                Some(EndToEnd { isolation: Isolation::ReadUncommitted, latency });
        }
        trials
    }

    #[test]
    fn logs_are_merged_over_trials() {
        let folder = tempfile::tempdir().unwrap();
        let trials = trials(&[3, 2]);
        write(Series::Intended, &folder.path().join(&trials[0].folder), &[&[100, 200], &[300]]);
        write(Series::Intended, &folder.path().join(&trials[1].folder), &[&[400, 500]]);
        let used: Vec<&Trial> = trials.iter().collect();
        let merged = merge(Series::Intended, &used, folder.path()).unwrap().unwrap();
        assert_eq!((merged.delivered.len(), merged.delivered.min(), merged.delivered.max()), (5, 100, 500));
        assert_eq!(merged.summary().sent, 7, "one of each trial was not delivered");
        assert_eq!(merge(Series::Send, &used, folder.path()).unwrap(), None, "no report has it");
        write(Series::EndToEnd, &folder.path().join(&trials[0].folder), &[&[7, 8, 9]]);
        let live = merge(Series::EndToEnd, &used[..1], folder.path()).unwrap().unwrap();
        assert_eq!((live.delivered.len(), live.delivered.max()), (3, 9));
    }

    #[test]
    fn times_of_transactions_are_merged_over_trials_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut trials = trials(&[0, 0]);
        for trial in &mut trials {
            let flush = LatencySummary { count: 3, sent: 3, ..LatencySummary::default() };
            trial.load.as_mut().unwrap().transactions = Some(TransactionFigures { flush, ..Default::default() });
            write(Series::Flush, &folder.path().join(&trial.folder), &[&[100, 200, 300]]);
        }
        let used: Vec<&Trial> = trials.iter().collect();
        let merged = merge(Series::Flush, &used, folder.path()).unwrap().unwrap().summary();
        assert_eq!(
            (merged.count, merged.at(50.0).unwrap().value_us),
            (6, Some(200)),
            "six carry a median, three do not"
        );
        for trial in &mut trials {
            let verification = trial.verification.as_mut().unwrap();
            verification.visibility = Some(LatencySummary { count: 2, sent: 3, ..LatencySummary::default() });
            write(Series::Visibility, &folder.path().join(&trial.folder), &[&[40, 50]]);
        }
        let used: Vec<&Trial> = trials.iter().collect();
        let shown = merge(Series::Visibility, &used, folder.path()).unwrap().unwrap().summary();
        assert_eq!((shown.count, shown.sent), (4, 6), "two were not shown");
        assert_eq!(merge(Series::Abort, &used, folder.path()).unwrap(), None, "nothing was aborted on purpose");
        let commit = merge(Series::Commit, &used, folder.path()).unwrap().unwrap().summary();
        assert_eq!((commit.count, commit.max_us), (0, None), "a series without samples has no line");
    }

    #[test]
    fn a_log_that_lacks_samples_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let trials = trials(&[4]);
        assert!(merge(Series::Intended, &[&trials[0]], folder.path()).is_err(), "there is none");
        write(Series::Intended, &folder.path().join(&trials[0].folder), &[&[100, 200], &[300]]);
        let error = merge(Series::Intended, &[&trials[0]], folder.path()).unwrap_err();
        assert!(error.contains("holds 3 samples") && error.contains("says 4"), "{error}");
    }
}
