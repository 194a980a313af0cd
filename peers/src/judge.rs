//! From runs to figures: medians over rounds, and ackmark over each contender, paired by round.

use std::collections::BTreeMap;

use ackmark_schema::peers::{Figure, Measure, Ratio, Run};
use ackmark_stats::{median_interval, paired_ratio};

use crate::{contender::Contender, goals};

/// All measures, in the order of the result.
const MEASURES: [Measure; 10] = [
    Measure::Interval,
    Measure::AfterWarmUp,
    Measure::Process,
    Measure::Cpu,
    Measure::BrokersCpu,
    Measure::TransactionTime,
    // Each before the rate that it is a condition of.
    Measure::EqualTransactionTime,
    Measure::AtEqualTime,
    Measure::TwoIdsTransactionTime,
    Measure::TwoIdsAtEqualTime,
];

/// What follows from the runs of the cell of that name. Those of round 0 are discarded.
pub(crate) fn figures(cell: &str, runs: &[Run], messages: u64) -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    for contender in Contender::ALL {
        for measure in MEASURES {
            let own = by_round(runs, contender, measure, messages);
            let values: Vec<f64> = own.values().copied().collect();
            let Some(estimate) = median_interval(&values) else { continue };
            let (mut ackmark_over_this, mut goal) = (None, None);
            if contender != Contender::Ackmark {
                ackmark_over_this = over(&ackmark(runs, measure, messages), &own);
                let is_time = |last: &&Figure| {
                    matches!(last.measure, Measure::EqualTransactionTime | Measure::TwoIdsTransactionTime)
                };
                let times = figures.last().filter(is_time);
                let times = times.and_then(|times| times.ackmark_over_this.as_ref());
                goal = goals::goal(cell, contender, measure, ackmark_over_this.as_ref(), times);
            }
            figures.push(Figure { contender: contender.name().to_owned(), measure, estimate, ackmark_over_this, goal });
        }
    }
    figures
}

/// ackmark's side of a ratio: it has no warm-up of its own, so that its whole interval is compared.
fn ackmark(runs: &[Run], measure: Measure, messages: u64) -> BTreeMap<u32, f64> {
    let (who, measure) = match measure {
        Measure::AfterWarmUp => (Contender::Ackmark, Measure::Interval),
        Measure::AtEqualTime => (Contender::AckmarkEqualTime, Measure::Interval),
        Measure::EqualTransactionTime => (Contender::AckmarkEqualTime, Measure::TransactionTime),
        Measure::TwoIdsAtEqualTime => (Contender::AckmarkTwoIds, Measure::Interval),
        Measure::TwoIdsTransactionTime => (Contender::AckmarkTwoIds, Measure::TransactionTime),
        measure => (Contender::Ackmark, measure),
    };
    by_round(runs, who, measure, messages)
}

fn by_round(runs: &[Run], contender: Contender, measure: Measure, messages: u64) -> BTreeMap<u32, f64> {
    let of_it = runs.iter().filter(|run| run.round > 0 && run.contender == contender.name());
    of_it.filter_map(|run| Some((run.round, value(run, measure, messages as f64)?))).collect()
}

fn value(run: &Run, measure: Measure, messages: f64) -> Option<f64> {
    match measure {
        Measure::Interval => Some(messages / run.interval_s?),
        Measure::AfterWarmUp => run.after_warm_up_per_s,
        Measure::Process => Some(messages / run.process_s),
        Measure::Cpu => Some(run.cpu.total_s() / messages * 1e6),
        Measure::TransactionTime => run.transactions.as_ref()?.mean_ms,
        // What is made equal are ackmark's transactions, to those of Kafka's tool.
        Measure::EqualTransactionTime | Measure::TwoIdsTransactionTime => {
            run.transactions.as_ref().filter(|_| is_followed(run))?.mean_ms
        }
        Measure::AtEqualTime | Measure::TwoIdsAtEqualTime => {
            run.transactions.as_ref().filter(|_| is_followed(run)).and(Some(messages / run.interval_s?))
        }
        Measure::BrokersCpu => Some(run.brokers_cpu?.total_s() / messages * 1e6),
    }
}

/// Whether others' transactions are made as long as those of this one.
fn is_followed(run: &Run) -> bool {
    run.contender == Contender::Kafka.name()
}

fn over(ackmark: &BTreeMap<u32, f64>, other: &BTreeMap<u32, f64>) -> Option<Ratio> {
    let pairs: Vec<(f64, f64)> = ackmark.iter().filter_map(|(round, own)| Some((*own, *other.get(round)?))).collect();
    let found = paired_ratio(&pairs)?;
    Some(Ratio {
        ratio: found.ratio,
        low: found.interval.map(|interval| interval.low),
        high: found.interval.map(|interval| interval.high),
        confidence: found.interval.map(|interval| interval.confidence),
        pairs: found.pairs,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use ackmark_schema::{
        peers::{CountedBy, RunTransactions},
        report::CpuTime,
        result::Answer,
    };

    use super::*;

    /// A run of 1 s by default.
    pub(crate) fn run(contender: Contender, round: u32, interval_s: f64, cpu_s: f64) -> Run {
        Run {
            contender: contender.name().to_owned(),
            round,
            interval_s: Some(interval_s),
            process_s: interval_s + 0.5,
            cpu: CpuTime { user_s: cpu_s, system_s: 0.0 },
            brokers_cpu: Some(CpuTime { user_s: 2.0 * cpu_s, system_s: 0.0 }),
            after_warm_up_per_s: None,
            transactions: None,
        }
    }

    fn find(figures: &[Figure], contender: Contender, measure: Measure) -> &Figure {
        let found = figures.iter().find(|figure| figure.contender == contender.name() && figure.measure == measure);
        found.unwrap_or_else(|| panic!("no {measure:?} of {contender:?}: {figures:?}"))
    }

    #[test]
    fn ratios_are_paired_by_round_and_round_0_is_discarded() {
        let mut runs = Vec::new();
        for round in 0..=6 {
            // The machine gets slower from round to round; ackmark is always twice as fast, but for round 0.
            let slow = f64::from(1 << round);
            runs.push(run(Contender::Ackmark, round, if round == 0 { 100.0 } else { slow }, 0.3 * slow));
            runs.push(Run {
                after_warm_up_per_s: Some(0.5e6 / slow),
                ..run(Contender::Kafka, round, 2.0 * slow, 1.2 * slow)
            });
        }
        let figures = figures("all-acks-100", &runs, 1_000_000);
        let rate = find(&figures, Contender::Kafka, Measure::Interval);
        assert_eq!((rate.estimate.n, rate.estimate.max), (6, 0.25e6));
        let ratio = rate.ackmark_over_this.as_ref().expect("six pairs");
        assert!((ratio.ratio - 2.0).abs() < 1e-9 && ratio.pairs == 6, "{ratio:?}");
        assert!((ratio.low.expect("six pairs") - 2.0).abs() < 1e-9 && ratio.confidence > Some(0.95), "{ratio:?}");
        let warm =
            find(&figures, Contender::Kafka, Measure::AfterWarmUp).ackmark_over_this.as_ref().expect("six pairs");
        assert!((warm.ratio - 2.0).abs() < 1e-9, "ackmark's whole interval against the warm figure: {warm:?}");
        let cpu = find(&figures, Contender::Kafka, Measure::Cpu).ackmark_over_this.as_ref().expect("six pairs");
        assert!((cpu.ratio - 0.25).abs() < 1e-9, "{cpu:?}");
        assert!(find(&figures, Contender::Ackmark, Measure::Process).ackmark_over_this.is_none());
    }

    /// A run with transactions that took so long.
    pub(crate) fn in_transactions(contender: Contender, round: u32, interval_s: f64, mean_ms: f64) -> Run {
        let transactions = RunTransactions {
            asked_ms: 100,
            committed: Some((interval_s * 1e3 / mean_ms) as u64),
            counted_by: Some(if contender == Contender::Kafka { CountedBy::Epochs } else { CountedBy::Report }),
            markers: 60,
            ids: contender.producers(),
            mean_ms: Some(mean_ms),
            flush_p50_ms: (contender != Contender::Kafka).then_some(mean_ms / 2.0),
            commit_p50_ms: None,
        };
        Run { transactions: Some(transactions), ..run(contender, round, interval_s, 1.0) }
    }

    #[test]
    fn rates_at_equal_time_are_those_of_the_variant_and_count_only_where_times_are_equal() {
        for (equal_ms, answer) in [(104.0, Answer::Confirmed), (130.0, Answer::Inconclusive)] {
            let mut runs = Vec::new();
            for round in 0..=6 {
                runs.push(in_transactions(Contender::Ackmark, round, 1.0, 200.0));
                runs.push(in_transactions(Contender::AckmarkEqualTime, round, 1.25, equal_ms));
                runs.push(in_transactions(Contender::AckmarkTwoIds, round, 1.0, equal_ms));
                runs.push(run(Contender::AckmarkIdempotent, round, 0.95, 1.0));
                runs.push(in_transactions(Contender::Kafka, round, 3.0, 100.0));
            }
            let figures = figures("transactions-100ms", &runs, 1_000_000);
            let ratio = |contender, measure| {
                find(&figures, contender, measure).ackmark_over_this.as_ref().map_or(f64::NAN, |ratio| ratio.ratio)
            };
            assert!((ratio(Contender::Kafka, Measure::Interval) - 3.0).abs() < 1e-9);
            assert!((ratio(Contender::Kafka, Measure::AtEqualTime) - 2.4).abs() < 1e-9, "the variant's rate");
            assert!((ratio(Contender::Kafka, Measure::TransactionTime) - 2.0).abs() < 1e-9);
            assert!((ratio(Contender::Kafka, Measure::EqualTransactionTime) - equal_ms / 100.0).abs() < 1e-9);
            assert!((ratio(Contender::Kafka, Measure::TwoIdsAtEqualTime) - 3.0).abs() < 1e-9);
            assert!((ratio(Contender::Kafka, Measure::TwoIdsTransactionTime) - equal_ms / 100.0).abs() < 1e-9);
            let goal = |contender, measure| find(&figures, contender, measure).goal.map(|goal| goal.answer);
            assert_eq!(goal(Contender::Kafka, Measure::AtEqualTime), Some(answer));
            assert_eq!(goal(Contender::Kafka, Measure::TwoIdsAtEqualTime), Some(answer));
            assert_eq!(goal(Contender::Kafka, Measure::Interval), None, "unequal times");
            assert_eq!(goal(Contender::AckmarkIdempotent, Measure::Interval), Some(Answer::Confirmed));
            assert_eq!(goal(Contender::AckmarkIdempotent, Measure::Cpu), None, "it is ackmark itself");
            let of_variants = |measure| figures.iter().filter(|figure| figure.measure == measure).count();
            assert_eq!(of_variants(Measure::AtEqualTime), 1, "of Kafka's tool alone");
            assert_eq!(of_variants(Measure::TransactionTime), 4, "of those with transactions");
        }
    }

    #[test]
    fn a_round_that_one_lacks_is_no_pair_and_below_six_there_is_no_interval() {
        let mut runs: Vec<Run> = (1..=6).map(|round| run(Contender::Ackmark, round, 1.0, 1.0)).collect();
        runs.extend(
            (2..=6).map(|round| run(Contender::Kcat, round, 2.0, 1.0)).map(|run| Run { interval_s: None, ..run }),
        );
        let figures = figures("consume-100", &runs, 1_000_000);
        let process = find(&figures, Contender::Kcat, Measure::Process).ackmark_over_this.as_ref().expect("five pairs");
        assert_eq!((process.pairs, process.low), (5, None));
        assert!(!figures.iter().any(|figure| figure.contender == "kcat" && figure.measure == Measure::Interval));
    }
}
