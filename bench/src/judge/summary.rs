//! Each profile in each phase over its usable trials.

use std::path::Path;

use ackmark_schema::{
    report::load::TransactionFigures,
    result::{EndToEnd, Estimate, RunResult, Summary, TransactionSummary, Trial, TrialLoad, Warning},
    scenario::{Load, Phase},
};
use ackmark_stats::median_interval;

use super::usable;
use crate::latencies::{self, Merged, Series};

/// One summary per phase and profile that has had a trial.
pub(super) fn summaries(result: &RunResult, folder: &Path) -> (Vec<Summary>, Vec<Warning>) {
    let mut warnings = Vec::new();
    let mut summaries = Vec::new();
    for phase in &result.scenario.phases {
        for profile in &result.scenario.profiles {
            let ran = result.trials.iter().filter(|trial| trial.phase == phase.name && &trial.profile == profile);
            let ran = ran.count();
            if ran == 0 {
                continue;
            }
            let used: Vec<&Trial> = usable(&result.trials, &phase.name, profile).collect();
            summaries.push(summary(phase, profile, &used, ran - used.len(), folder, &mut warnings));
        }
    }
    (summaries, warnings)
}

fn summary(
    phase: &Phase,
    profile: &str,
    used: &[&Trial],
    left_out: usize,
    folder: &Path,
    warnings: &mut Vec<Warning>,
) -> Summary {
    let max = matches!(phase.load, Load::Max(_));
    let loads: Vec<&TrialLoad> = used.iter().filter_map(|trial| trial.load.as_ref()).collect();
    let estimate = |figure: &dyn Fn(&TrialLoad) -> Option<f64>| -> Option<Estimate> {
        let figures: Option<Vec<f64>> = loads.iter().map(|load| figure(load)).collect();
        median_interval(&figures?)
    };
    let mut merged = |series: Series| {
        latencies::merge(series, used, folder).unwrap_or_else(|problem| {
            warnings.push(Warning {
                what: format!(
                    "phase {}, {profile}: {} is not merged over trials: {problem}",
                    phase.name,
                    series.name()
                ),
                cure: "the figures of single trials stand; keep the result folder whole".into(),
            });
            None
        })
    };
    let mut of_open_loop = |series| if max { None } else { merged(series) };
    let (intended, send, end_to_end) =
        (of_open_loop(Series::Intended), of_open_loop(Series::Send), of_open_loop(Series::EndToEnd));
    let transactions = transactions(&loads, &mut merged);
    Summary {
        phase: phase.name.clone(),
        profile: profile.to_owned(),
        trials: used.len() as u32,
        left_out: left_out as u32,
        delivered_per_s: if max { estimate(&|load| Some(load.measured.delivered_per_s)) } else { None },
        delivered_bytes_per_s: if max { estimate(&|load| Some(load.measured.delivered_bytes_per_s)) } else { None },
        client_cpu_s_per_million: estimate(&|load| per_million(load.measured.cpu.total_s(), load.measured.delivered)),
        brokers_cpu_s_per_million: estimate(&|load| per_million(load.brokers_cpu?.total_s(), load.total.sent)),
        latency_intended: intended.as_ref().map(Merged::summary),
        latency_send: send.as_ref().map(Merged::summary),
        latency_end_to_end: end_to_end.as_ref().and_then(|merged| {
            let isolation = used.iter().find_map(|trial| {
                trial.verification.as_ref()?.latency_end_to_end.as_ref().map(|live| live.isolation)
            })?;
            Some(EndToEnd { isolation, latency: merged.summary() })
        }),
        curve_intended: intended.as_ref().map(Merged::curve).unwrap_or_default(),
        latency_is_acknowledgement: loads.iter().all(|load| load.latency_is_acknowledgement) && !loads.is_empty(),
        transactions,
    }
}

/// Transactions over the trials that had any.
fn transactions(loads: &[&TrialLoad], merged: &mut impl FnMut(Series) -> Option<Merged>) -> Option<TransactionSummary> {
    let figures: Vec<&TransactionFigures> = loads.iter().filter_map(|load| load.transactions.as_ref()).collect();
    if figures.is_empty() {
        return None;
    }
    let sum = |count: fn(&TransactionFigures) -> u64| figures.iter().map(|figures| count(figures)).sum();
    let stalled: Vec<f64> = figures.iter().map(|figures| figures.stalled_share).collect();
    let mut times = |series| merged(series).as_ref().map(Merged::summary);
    Some(TransactionSummary {
        committed: sum(|figures| figures.committed),
        aborted: sum(|figures| figures.aborted),
        indeterminate: sum(|figures| figures.indeterminate),
        begin_to_committed: times(Series::BeginToCommitted),
        flush: times(Series::Flush),
        commit: times(Series::Commit),
        abort: times(Series::Abort),
        visibility: times(Series::Visibility),
        stalled_share: median_interval(&stalled),
    })
}

fn per_million(cpu_s: f64, messages: u64) -> Option<f64> {
    (messages > 0).then(|| cpu_s * 1e6 / messages as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::{judge, synthetic};
    use ackmark_schema::result::Steadiness;

    #[test]
    fn only_usable_trials_are_summed_up() {
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("all-acks", 1000.0)], 8);
        result.trials[0].steadiness = Steadiness::NeverSteady;
        result.trials[1].invalid.push("the clock stepped".into());
        result.trials[2].steadiness = Steadiness::TooShort;
        judge(&mut result, Path::new("."));
        let summary = &result.summaries[0];
        assert_eq!((summary.trials, summary.left_out), (6, 2));
        let delivered = summary.delivered_per_s.unwrap();
        assert!((delivered.median - 1000.0).abs() < 50.0 && delivered.low.is_some());
        // 0.5 s of client CPU on 2,000 delivered messages; 2 s of brokers on 3,000 sent ones.
        assert!((summary.client_cpu_s_per_million.unwrap().median - 250.0).abs() < 15.0);
        assert!((summary.brokers_cpu_s_per_million.unwrap().median - 2e6 / 3000.0).abs() < 50.0);
        assert_eq!(result.summaries.len(), 1, "a profile without trials has no summary");
    }

    #[test]
    fn transactions_are_summed_up_and_times_without_a_log_are_absent_and_told() {
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("all-acks", 1000.0), ("transactional", 800.0)], 6);
        for trial in result.trials.iter_mut().filter(|trial| trial.profile == "transactional") {
            trial.load.as_mut().unwrap().transactions = Some(TransactionFigures {
                committed: 10,
                aborted: 1,
                stalled_share: 0.5 + f64::from(trial.round) / 100.0,
                ..TransactionFigures::default()
            });
        }
        let warnings = judge(&mut result, Path::new("no-such-folder"));
        let of = |profile: &str| {
            result.summaries.iter().find(|summary| summary.profile == profile).unwrap().transactions.as_ref()
        };
        assert_eq!(of("all-acks"), None);
        let found = of("transactional").unwrap();
        assert_eq!((found.committed, found.aborted, found.indeterminate), (60, 6, 0));
        assert!((found.stalled_share.unwrap().median - 0.525).abs() < 1e-9);
        assert_eq!((&found.begin_to_committed, &found.flush, &found.commit), (&None, &None, &None));
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[1].what.contains("transactional: time of flushes is not merged"), "{}", warnings[1].what);
    }

    #[test]
    fn cpu_of_brokers_that_are_not_ours_is_absent() {
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("all-acks", 1000.0)], 6);
        result.trials[3].load.as_mut().unwrap().brokers_cpu = None;
        judge(&mut result, Path::new("."));
        assert_eq!(result.summaries[0].brokers_cpu_s_per_million, None);
        assert!(result.summaries[0].client_cpu_s_per_million.is_some());
    }
}
