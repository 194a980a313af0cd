//! What a reader should know before trusting the figures, each with its cure. The conditions of a run are
//! among them: a figure without them is none.

use ackmark_schema::{
    report::Ending,
    result::{Provider, RunResult, Steadiness, Trial, Warning},
    scenario::{Load, Phase},
};

/// Share of stolen CPU time that is worth a word.
const STEAL_WORTH_A_WORD: f64 = 0.01;
/// Share of all processors' time that the client alone used: the figure is its limit then.
const CLIENT_SATURATED: f64 = 0.9;
/// Trials that an interval needs.
const INTERVAL_TRIALS: u32 = 6;

/// All that follows from a result as it stands.
pub(crate) fn warnings(result: &RunResult) -> Vec<Warning> {
    let mut all = conditions(result);
    all.extend(ending(result));
    for phase in &result.scenario.phases {
        all.extend(of_phase(result, phase));
    }
    all.extend(stolen(&result.trials));
    all.extend(saturated(result));
    all
}

fn warning(what: String, cure: &str) -> Warning {
    Warning { what, cure: cure.to_owned() }
}

fn conditions(result: &RunResult) -> Vec<Warning> {
    let mut all = Vec::new();
    match result.cluster.provider {
        Provider::Local => all.push(warning(
            format!(
                "the load and all brokers ran on one machine with {} processors, so they took CPU time from each other",
                result.environment.cpus
            ),
            "compare profiles with each other; for the figures of a cluster point -b at it from another machine",
        )),
        Provider::Simulated => all.push(warning(
            "the brokers were librdkafka's mock: nothing here says anything about Kafka".into(),
            "run without --simulated, or point -b at a Kafka",
        )),
        Provider::External => {}
    }
    match &result.warm_up {
        Some(record) if !record.settled => all.push(warning(
            format!(
"the brokers' warm-up ended after {} messages before throughput was seen to level off, so early trials may be too slow",
                record.messages
            ),
            "raise warm-up.messages-max and warm-up.duration-max in the scenario",
        )),
        _ => {}
    }
    if !result.scenario.verify.enabled {
        all.push(warning(
            "verification was off: nothing is known of loss or duplicates".into(),
            "leave verify.enabled = true; it costs a few per cent at most",
        ));
    }
    all
}

fn ending(result: &RunResult) -> Option<Warning> {
    let (ran, planned) = (result.trials.len(), result.trials_planned);
    (result.ending != Ending::Completed && ran < planned as usize).then(|| {
        warning(format!("{ran} of {planned} trials ran: the run did not get to its end"), "run it again for the rest")
    })
}

fn of_phase(result: &RunResult, phase: &Phase) -> Vec<Warning> {
    let trials: Vec<&Trial> = result.trials.iter().filter(|trial| trial.phase == phase.name).collect();
    let name = &phase.name;
    let mut all = Vec::new();
    let count = |wanted: &dyn Fn(&Trial) -> bool| trials.iter().filter(|trial| wanted(trial)).count();
    let of = |count: usize| format!("{count} of {} trials", trials.len());
    let failed = count(&|trial| trial.ending == Ending::Failed);
    if failed > 0 {
        // Without the end of a log that it may carry.
        let first = trials.iter().find_map(|trial| trial.error.as_deref()?.lines().next());
        let first = first.unwrap_or("no reason was given").trim_end_matches(':');
        all.push(warning(
            format!("phase {name}: {} failed and have no figures; the first: {first}", of(failed)),
            "see the trials' folders for what is there",
        ));
    }
    let completed = |trial: &Trial, label| trial.ending == Ending::Completed && trial.steadiness == label;
    let short = count(&|trial| completed(trial, Steadiness::TooShort));
    if short > 0 {
        all.push(warning(
            format!(
                "phase {name}: {} were too short to tell whether they were steady, and are used all the same",
                of(short)
            ),
            "make the phase's duration longer",
        ));
    }
    let cure = "warm up longer (the phase's warm-up), measure longer, or keep other work off the machine";
    let drifting = count(&|trial| completed(trial, Steadiness::Drifting));
    if drifting > 0 {
        all.push(warning(format!("phase {name}: {} drifted; they are used all the same", of(drifting)), cure));
    }
    let never = count(&|trial| completed(trial, Steadiness::NeverSteady));
    if never > 0 {
        all.push(warning(format!("phase {name}: {} were never steady and are left out", of(never)), cure));
    }
    let invalid = count(&|trial| !trial.invalid.is_empty());
    if invalid > 0 {
        let first = trials.iter().find_map(|trial| trial.invalid.first()).map_or("", String::as_str);
        all.push(warning(
            format!("phase {name}: {} are invalid and left out; the first: {first}", of(invalid)),
            "lower the rate, or give the load a machine that is idle otherwise",
        ));
    }
    if matches!(phase.load, Load::Max(_)) && phase.rounds < INTERVAL_TRIALS {
        all.push(warning(
            format!(
                "phase {name} has {} round(s): its figures have no interval and no claim can be answered",
                phase.rounds
            ),
            "six rounds or more give intervals: raise the phase's rounds, or run `ackmark bench delivery`",
        ));
    }
    all
}

fn stolen(trials: &[Trial]) -> Option<Warning> {
    let worst = trials
        .iter()
        .filter_map(|trial| trial.load.as_ref()?.generator.steal_share)
        .max_by(f64::total_cmp)
        .filter(|share| *share > STEAL_WORTH_A_WORD)?;
    Some(warning(
        format!("the hypervisor took up to {:.1} % of the CPU time during a trial", worst * 100.0),
        "figures of another moment may differ: trust ratios from pairs more than single figures",
    ))
}

/// Where the brokers are elsewhere, a client that uses all of this machine is what was measured.
fn saturated(result: &RunResult) -> Option<Warning> {
    let cpus = f64::from(result.environment.cpus.max(1));
    let share = |trial: &Trial| {
        let measured = trial.load.as_ref()?.measured;
        (measured.duration_s > 0.0).then(|| measured.cpu.total_s() / measured.duration_s / cpus)
    };
    let trials = result.trials.iter().filter_map(|trial| share(trial).map(|share| (trial, share)));
    let (trial, share) = trials.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| *share > CLIENT_SATURATED)?;
    Some(warning(
        format!(
            "the load took {:.0} % of all processors in trial {} ({}): the figure is the client's limit, not Kafka's",
            share * 100.0,
            trial.index,
            trial.profile
        ),
        "use a larger machine for the load",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::synthetic;
    use ackmark_schema::result::WarmUpRecord;

    fn warned(change: impl Fn(&mut RunResult)) -> String {
        let mut result = synthetic::result();
        result.trials = synthetic::trials(&[("all-acks", 1000.0)], 6);
        change(&mut result);
        warnings(&result).into_iter().map(|warning| warning.what + "\n").collect()
    }

    #[test]
    fn a_clean_local_run_states_its_one_condition() {
        let text = warned(|_| {});
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("one machine with 2 processors"), "{text}");
        assert_eq!(warned(|result| result.cluster.provider = Provider::External), "");
    }

    #[test]
    fn each_doubt_is_said() {
        assert!(warned(|result| result.cluster.provider = Provider::Simulated).contains("mock"));
        assert!(
            warned(|result| result.trials[0].steadiness = Steadiness::TooShort)
                .contains("1 of 6 trials were too short")
        );
        let warm_up = WarmUpRecord { messages: 5, duration_s: 1.0, rates_per_s: vec![1.0], settled: false };
        assert!(warned(|result| result.warm_up = Some(warm_up.clone())).contains("warm-up ended after 5 messages"));
        assert!(warned(|result| result.trials[0].steadiness = Steadiness::Drifting).contains("drifted"));
        assert!(
            warned(|result| result.trials[2].invalid.push("the clock stepped".into())).contains("the clock stepped")
        );
        assert!(warned(|result| result.scenario.phases[0].rounds = 2).contains("no claim can be answered"));
        assert!(warned(|result| result.scenario.verify.enabled = false).contains("verification was off"));
        let failed = warned(|result| {
            result.trials[1].ending = Ending::Failed;
            result.trials[1].error = Some("no leader".into());
        });
        assert!(failed.contains("failed") && failed.contains("no leader"), "{failed}");
        let stolen = warned(|result| result.trials[0].load.as_mut().unwrap().generator.steal_share = Some(0.05));
        assert!(stolen.contains("5.0 %"), "{stolen}");
        let saturated = warned(|result| result.trials[0].load.as_mut().unwrap().measured.cpu.user_s = 3.9);
        assert!(saturated.contains("the client's limit"), "{saturated}");
        let interrupted = warned(|result| result.ending = Ending::Interrupted);
        assert!(interrupted.contains("6 of 18 trials ran"), "{interrupted}");
    }
}
