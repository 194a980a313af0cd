//! Transactions of a run: how many there were and how long they took, and what ackmark is to be asked for so that its
//! own take as long as those of Kafka's tool.
//!
//! Each contender begins a transaction with the message that follows the commit before, so that the time from begin to
//! committed is, on average, the run's interval over the number of transactions; times two where two transactional ids
//! overlap. The last one of an id, which ends with the messages, is shorter than the others, and among them.
//!
//! A contender's report tells how many there were, or else the log does ([`Tally::epochs`]). The log is read in any case:
//! all messages are to be in it, committed.

use ackmark_schema::peers::{CountedBy, RunTransactions};

use crate::{cell::PARTITIONS, contender::Contender, log::Tally};

/// What a contender says of its transactions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ToldTransactions {
    /// All of them: committed.
    pub(crate) committed: u64,
    /// Draining what is outstanding before the commit, median, milliseconds; `None` where there were too few.
    pub(crate) flush_p50_ms: Option<f64>,
    /// The commit itself, likewise.
    pub(crate) commit_p50_ms: Option<f64>,
}

/// The transactions of a run, by so many `ids`, that says that it sent `messages`.
///
/// # Errors
/// Not all of its messages are in the log and committed, or it says something else than the log.
pub(crate) fn of_run(
    asked_ms: u32,
    ids: u32,
    messages: u64,
    interval_s: Option<f64>,
    told: Option<ToldTransactions>,
    log: &Tally,
) -> Result<RunTransactions, String> {
    if log.records != messages {
        return Err(format!("the log has {} records where {messages} were to be written", log.records));
    }
    if log.aborts > 0 || log.commits == 0 {
        return Err(format!("the log has {} commit markers and {} abort markers", log.commits, log.aborts));
    }
    let (committed, counted_by) = match (told, log.epochs) {
        (Some(told), _) => (Some(told.committed), Some(CountedBy::Report)),
        (None, Some(epochs)) => (Some(epochs), Some(CountedBy::Epochs)),
        (None, None) => (None, None),
    };
    // Each transaction wrote to one partition at least, and to all at most.
    if committed.is_some_and(|n| log.commits < n || log.commits > n * u64::from(PARTITIONS)) {
        return Err(format!("{} commit markers cannot be of {committed:?} transactions", log.commits));
    }
    Ok(RunTransactions {
        asked_ms,
        ids,
        committed,
        counted_by,
        markers: log.commits,
        mean_ms: interval_s
            .zip(committed)
            .map(|(interval_s, committed)| interval_s * 1e3 * f64::from(ids) / committed as f64),
        flush_p50_ms: told.and_then(|told| told.flush_p50_ms),
        commit_p50_ms: told.and_then(|told| told.commit_p50_ms),
    })
}

/// Finds after how long ackmark is to commit so that its transactions take as long as those of Kafka's tool, from run to
/// run of a cell: what was asked for last, times what is to come of it over what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EqualTime {
    /// Whose transactions are to be made equal.
    of: Contender,
    /// What the cell asks for.
    nominal_ms: u32,
    /// What Kafka's took in its last run.
    target_ms: Option<f64>,
    /// What ackmark was asked for last, and what its transactions took.
    last: Option<(u32, f64)>,
    /// Whether that was in a run of this kind.
    own: bool,
}

impl EqualTime {
    /// Nothing is known yet of a contender's.
    pub(crate) fn new(of: Contender, nominal_ms: u32) -> Self {
        Self { of, nominal_ms, target_ms: None, last: None, own: false }
    }

    /// After how long ackmark is to commit. Never longer than the whole is to take, nor below 1 ms.
    pub(crate) fn ask_ms(&self) -> u32 {
        let Some((target_ms, (asked_ms, took_ms))) = self.target_ms.zip(self.last) else { return self.nominal_ms };
        (f64::from(asked_ms) * target_ms / took_ms).min(target_ms).round().max(1.0) as u32
    }

    /// Learns from a run. ackmark's with the cell's own setting counts until there is one of its own.
    pub(crate) fn learn(&mut self, contender: Contender, run: &RunTransactions) {
        let Some(mean_ms) = run.mean_ms else { return };
        match contender {
            Contender::Kafka => self.target_ms = Some(mean_ms),
            own if own == self.of => (self.last, self.own) = (Some((run.asked_ms, mean_ms)), true),
            Contender::Ackmark if !self.own => self.last = Some((run.asked_ms, mean_ms)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Tally = Tally { records: 1_000, commits: 30, aborts: 0, epochs: Some(10) };

    #[test]
    fn the_log_s_epochs_count_where_a_contender_does_not() {
        let run = of_run(100, 1, 1_000, Some(1.2), None, &LOG).expect("a sound run");
        assert_eq!((run.committed, run.counted_by, run.markers), (Some(10), Some(CountedBy::Epochs), 30));
        assert!(run.mean_ms.is_some_and(|mean| (mean - 120.0).abs() < 1e-9), "{run:?}");
        let two = of_run(100, 2, 1_000, Some(1.2), None, &LOG).expect("a sound run");
        assert!(two.mean_ms.is_some_and(|mean| (mean - 240.0).abs() < 1e-9), "they overlap: {two:?}");
        let unknown = of_run(100, 1, 1_000, Some(1.2), None, &Tally { epochs: None, ..LOG }).expect("a sound run");
        assert_eq!((unknown.committed, unknown.counted_by, unknown.mean_ms), (None, None, None));
    }

    #[test]
    fn a_report_counts_before_the_log_and_must_agree_with_it() {
        let told = |committed| ToldTransactions { committed, flush_p50_ms: Some(46.0), commit_p50_ms: None };
        let run = of_run(100, 1, 1_000, Some(1.2), Some(told(6)), &Tally { epochs: None, ..LOG }).expect("a sound run");
        assert_eq!((run.committed, run.counted_by), (Some(6), Some(CountedBy::Report)));
        assert_eq!((run.flush_p50_ms, run.commit_p50_ms), (Some(46.0), None));
        for wrong in [4, 31] {
            let why = of_run(100, 1, 1_000, Some(1.2), Some(told(wrong)), &LOG).expect_err("30 markers");
            assert!(why.contains("30 commit markers cannot be"), "{why}");
        }
    }

    #[test]
    fn what_is_not_in_the_log_or_not_committed_is_no_work() {
        for log in [Tally { records: 999, ..LOG }, Tally { aborts: 1, ..LOG }, Tally { commits: 0, ..LOG }] {
            assert!(of_run(100, 1, 1_000, Some(1.2), None, &log).is_err(), "{log:?}");
        }
    }

    fn took(asked_ms: u32, mean_ms: f64) -> RunTransactions {
        let run = of_run(asked_ms, 1, 1_000, Some(1.0), None, &LOG).expect("a sound run");
        RunTransactions { mean_ms: Some(mean_ms), ..run }
    }

    #[test]
    fn equal_time_is_found_in_a_few_runs() {
        let mut equal = EqualTime::new(Contender::AckmarkEqualTime, 100);
        equal.learn(Contender::Kafka, &took(100, 110.0));
        assert_eq!(equal.ask_ms(), 100, "nothing is known of ackmark's");
        equal.learn(Contender::Ackmark, &took(100, 220.0));
        assert_eq!(equal.ask_ms(), 50);
        // A producer whose backlog, and with it the flush, grows with what it is asked for, up to a bound.
        let takes = |asked_ms: u32| f64::from(asked_ms) + (2.0 * f64::from(asked_ms)).min(120.0) + 3.0;
        for _ in 0..3 {
            let asked_ms = equal.ask_ms();
            equal.learn(Contender::AckmarkEqualTime, &took(asked_ms, takes(asked_ms)));
        }
        assert!((takes(equal.ask_ms()) / 110.0 - 1.0).abs() < 0.05, "{equal:?}");
        equal.learn(Contender::Ackmark, &took(100, 1_000.0));
        assert!((takes(equal.ask_ms()) / 110.0 - 1.0).abs() < 0.05, "its own runs count: {equal:?}");
    }

    #[test]
    fn what_is_asked_for_has_bounds() {
        let mut equal = EqualTime::new(Contender::AckmarkEqualTime, 10);
        equal.learn(Contender::Kafka, &took(10, 12.0));
        equal.learn(Contender::AckmarkEqualTime, &took(10, 400.0));
        assert_eq!(equal.ask_ms(), 1);
        equal.learn(Contender::AckmarkEqualTime, &took(10, 2.0));
        assert_eq!(equal.ask_ms(), 12);
    }
}
