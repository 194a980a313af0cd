//! The table of a cell's transactions: how long they were to take and took, and what of that was waiting.

use std::fmt::Write as _;

use ackmark_schema::peers::{Cell, CountedBy, Measure, RunTransactions};
use ackmark_stats::{median_interval, samples_needed};

use super::{estimate, ratio_of, times};
use crate::{arguments::Kind, contender::Contender};

/// Appends it; nothing where no run had transactions.
pub(super) fn table(text: &mut String, cell: &Cell) {
    if cell.runs.iter().all(|run| run.transactions.is_none()) {
        return;
    }
    line!(
        text,
        "| transactions of | asked for, ms | begin to committed, ms | ackmark's take … times as long | the same at equal \
         time | by two ids | flush, ms | commit, ms | in a run | counted by |"
    );
    line!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    for contender in Contender::ALL {
        let runs: Vec<&RunTransactions> = cell
            .runs
            .iter()
            .filter(|run| run.round > 0 && run.contender == contender.name())
            .filter_map(|run| run.transactions.as_ref())
            .collect();
        if let Some(last) = runs.last() {
            row(text, cell, contender, &runs, last);
        }
    }
    line!(text, "");
}

fn row(text: &mut String, cell: &Cell, contender: Contender, runs: &[&RunTransactions], last: &RunTransactions) {
    let over_rounds = |value: fn(&RunTransactions) -> Option<f64>| {
        median_interval(&runs.iter().filter_map(|run| value(run)).collect::<Vec<_>>())
    };
    let shown = |value| over_rounds(value).map(|found| estimate(&found, 1.0));
    let ratio = |measure| ratio_of(cell, contender, measure).map(times).unwrap_or_default();
    let reported = |value| match last.counted_by {
        // Only a report has these; it had too few transactions for a median.
        Some(CountedBy::Report) => {
            shown(value).unwrap_or_else(|| format!("n/a (needs {} transactions)", samples_needed(0.5)))
        }
        _ => String::new(),
    };
    let asked = over_rounds(|run| Some(run.asked_ms.into())).map_or(String::new(), |asked| {
        // Asked for the same in each round, or for what was learnt in the rounds before.
        if asked.min < asked.max { estimate(&asked, 1.0) } else { format!("{:.0}", asked.median) }
    });
    line!(
        text,
        "| {} | {asked} | {} | {} | {} | {} | {} | {} | {} | {} |",
        contender.label(Kind::Transact),
        shown(|run| run.mean_ms).unwrap_or("n/a".into()),
        ratio(Measure::TransactionTime),
        ratio(Measure::EqualTransactionTime),
        ratio(Measure::TwoIdsTransactionTime),
        reported(|run| run.flush_p50_ms),
        reported(|run| run.commit_p50_ms),
        over_rounds(|run| Some(run.committed? as f64)).map_or("n/a".into(), |found| format!("{:.0}", found.median)),
        counted_by(last)
    );
}

fn counted_by(run: &RunTransactions) -> &'static str {
    match run.counted_by {
        Some(CountedBy::Report) => "its report",
        Some(CountedBy::Epochs) => "producer epochs of the commit markers in the log",
        None => "n/a (needs brokers with transaction.version 2)",
    }
}
