//! A run: checks, warm-up, trials in order, the result after each.

use ackmark_schema::{
    profile::Profile,
    report::{Ending, load::LoadReport, verify::Verdict},
    result::{ProfileRecord, RunResult, Trial, Warning},
    units::{Bytes, Rate},
    version::SchemaId,
};
use jiff::Timestamp;

use crate::{
    child::Children,
    comparability,
    disk::Disk,
    environment::environment,
    error::BenchError,
    event::{BenchEvent, Events},
    evidence::Evidence,
    guards, handover, judge,
    load_spec::Common,
    options::BenchOptions,
    plan::{Plan, PlannedTrial},
    rates, redaction,
    result_folder::ResultFolder,
    target::Target,
    topics::Topics,
    trial::{Bed, Finished},
    warm_up::WarmUp,
    warnings,
};

/// Trials in a row with the same error after which the rest is not tried.
const SAME_FAILURES_MAX: usize = 3;

/// Runs a plan. The result is on disk after each trial; it is returned as it stands there at the end, also
/// when the user stopped the run ([`Ending::Interrupted`]) or trials kept failing ([`Ending::Failed`]).
///
/// # Errors
/// What keeps a run from starting: nobody has confirmed it, too few brokers, too little disk, a result
/// folder that cannot be written to; and a result folder that can no longer be written to.
pub async fn run(
    plan: &Plan,
    target: &Target<'_>,
    options: &BenchOptions,
    events: Events,
) -> Result<RunResult, BenchError> {
    check(plan, target, options)?;
    let disk = Disk::new(target.data_folder.as_deref(), plan.budget.largest_topic_bytes);
    disk.check()?;
    let environment = environment(target.java_version.clone());
    let folder = ResultFolder::create(&options.results, &environment.host, &redaction::scenario(&plan.scenario))?;
    let connection = handover::connection(&target.properties);
    let topics = Topics::new(target, &plan.scenario.topic)?;
    let children = Children { program: options.ackmark.clone(), events: events.clone(), stop: options.stop.clone() };
    let common = Common { scenario: &plan.scenario, properties: &target.properties, simulated: target.is_simulated() };
    let bed = Bed {
        plan,
        target,
        common: &common,
        children: &children,
        topics: &topics,
        evidence: Evidence::default(),
        connection: &connection,
        disk: &disk,
        folder: folder.path(),
        run: rand::random(),
        keep_topics: options.keep_topics,
        keep_ledgers: options.keep_ledgers,
    };
    let result = new_result(plan, target, environment, &folder);
    let mut run = Run { bed, folder: &folder, result, remarks: Vec::new(), events };
    run.save()?;
    run.tell(BenchEvent::Ready { folder: run.folder.path().to_owned(), trials: plan.trials.len() as u32 });
    run.measure().await.map_err(|error| error.during_run(folder.path()))
}

fn check(plan: &Plan, target: &Target<'_>, options: &BenchOptions) -> Result<(), BenchError> {
    if target.guards.must_confirm && !options.confirmed {
        return Err(BenchError::NotConfirmed);
    }
    let (wanted, found) = (plan.scenario.topic.replication_factor, target.facts.brokers.len());
    if wanted as usize > found {
        return Err(BenchError::TooFewBrokers { wanted, found });
    }
    Ok(())
}

fn new_result(
    plan: &Plan,
    target: &Target<'_>,
    environment: ackmark_schema::result::Environment,
    folder: &ResultFolder,
) -> RunResult {
    let now = Timestamp::now();
    let profiles = plan.profiles.iter().map(redaction::profile);
    RunResult {
        schema: SchemaId::default(),
        id: folder.id(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        // Until it has ended otherwise: a file that is found after a crash says so.
        ending: Ending::Interrupted,
        error: None,
        started: now,
        updated: now,
        scenario: redaction::scenario(&plan.scenario),
        comparability_key: comparability::key(
            &plan.scenario,
            &plan.rates,
            &target.properties.redacted(),
            &target.facts,
            &environment,
        ),
        environment,
        cluster: target.facts.clone(),
        warm_up: None,
        profiles: profiles.map(|profile| ProfileRecord { profile, properties: Vec::new(), promise: None }).collect(),
        rates: plan.rates.clone(),
        trials_planned: plan.trials.len() as u32,
        trials: Vec::new(),
        summaries: Vec::new(),
        comparisons: Vec::new(),
        claims: Vec::new(),
        verdicts: Vec::new(),
        verdict: Verdict::NotJudged,
        warnings: Vec::new(),
    }
}

/// A run in progress.
struct Run<'a> {
    bed: Bed<'a>,
    folder: &'a ResultFolder,
    result: RunResult,
    /// What trials and warm-up remarked, beside what follows from the result.
    remarks: Vec<Warning>,
    events: Events,
}

impl Run<'_> {
    fn tell(&self, event: BenchEvent) {
        (self.events)(event);
    }

    async fn measure(mut self) -> Result<RunResult, BenchError> {
        self.warm_up().await?;
        self.trials().await?;
        self.end()
    }

    async fn warm_up(&mut self) -> Result<(), BenchError> {
        let bed = &self.bed;
        let warm_up = WarmUp {
            plan: bed.plan,
            target: bed.target,
            common: bed.common,
            children: bed.children,
            topics: bed.topics,
            disk: bed.disk,
            topic: bed.topic_name("warm-up"),
        };
        match warm_up.run().await {
            Ok(record) => {
                if let Some(record) = &record {
                    self.tell(BenchEvent::WarmedUp(record.clone()));
                }
                self.result.warm_up = record;
            }
            Err(problem) => self.remark(
                format!("the brokers could not be warmed: {problem}"),
                "see what the load said, and whether `ackmark doctor` finds anything",
            ),
        }
        self.save()
    }

    async fn trials(&mut self) -> Result<(), BenchError> {
        let plan = self.bed.plan;
        let mut failures = Failures::default();
        for planned in &plan.trials {
            if self.bed.children.stopping() || self.has_lost_a_broker() || self.has_sent_too_much() {
                break;
            }
            let rate = self.rate(planned);
            self.tell(BenchEvent::TrialStarted {
                index: planned.index,
                total: plan.trials.len() as u32,
                phase: plan.phase(planned).name.clone(),
                profile: plan.profile(planned).name.clone(),
                round: planned.round,
            });
            let finished = self.bed.run(planned, rate).await;
            self.take(planned, finished);
            self.save()?;
            if let Some(trial) = self.result.trials.last() {
                self.tell(BenchEvent::TrialFinished(Box::new(trial.clone())));
                if let Some(error) = failures.after(trial) {
                    self.result.ending = Ending::Failed;
                    self.result.error = Some(error.to_string());
                    break;
                }
            }
        }
        if !self.bed.children.stopping() {
            self.has_lost_a_broker();
        }
        Ok(())
    }

    /// Whether a broker of ours has died: what would be measured from here on is another cluster.
    fn has_lost_a_broker(&mut self) -> bool {
        let Some(reason) = self.bed.target.lost() else { return false };
        self.result.ending = Ending::Failed;
        self.result.error = Some(reason);
        true
    }

    /// Whether as much was written to somebody else's cluster as is allowed: the plan's figure is an estimate.
    fn has_sent_too_much(&mut self) -> bool {
        let sent = guards::sent_bytes(&self.result);
        let Some(allowed) = self.bed.target.guards.bytes_max.filter(|allowed| sent >= *allowed) else { return false };
        let error = BenchError::SentTooMuch { sent: Bytes(sent).approximate(), allowed: Bytes(allowed).approximate() };
        self.result.ending = Ending::Failed;
        self.result.error = Some(error.to_string());
        true
    }

    /// The rate of an open-loop phase; a share is fixed once, by what has been measured when its first trial
    /// begins.
    fn rate(&mut self, planned: &PlannedTrial) -> Option<Rate> {
        let phase = self.bed.plan.phase(planned);
        let known = crate::budget::fixed_rate(phase, &self.result.rates);
        let per_s = known.or_else(|| {
            let scenario = &self.bed.plan.scenario;
            let share = rates::share_of_max(phase, scenario, &self.result.trials)?;
            let (share, said) = guards::hold(share, &phase.name, scenario, &self.bed.target.guards);
            if let Some(said) = said {
                self.remark(said, "allow more with --max-rate, or lower the phase's share");
            }
            self.result.rates.insert(phase.name.clone(), share);
            Some(share)
        })?;
        Rate::per_second(per_s)
    }

    fn take(&mut self, planned: &PlannedTrial, finished: Finished) {
        let profile = self.bed.plan.profile(planned);
        if let Some(report) = &finished.report {
            describe(&mut self.result.profiles, profile, report);
        }
        for Warning { what, cure } in finished.remarks {
            self.remark(format!("trial {} ({}): {what}", planned.index, profile.name), &cure);
        }
        self.result.trials.push(finished.trial);
    }

    fn remark(&mut self, what: String, cure: &str) {
        let warning = Warning { what, cure: cure.to_owned() };
        self.tell(BenchEvent::Warning(warning.clone()));
        self.remarks.push(warning);
    }

    /// Judges what is there and writes it.
    fn save(&mut self) -> Result<(), BenchError> {
        let unmerged = judge::judge(&mut self.result, self.folder.path());
        self.result.warnings = warnings::warnings(&self.result);
        self.result.warnings.extend(unmerged);
        self.result.warnings.extend(self.remarks.iter().cloned());
        self.result.updated = Timestamp::now();
        self.folder.write(&self.result)
    }

    fn end(mut self) -> Result<RunResult, BenchError> {
        let all_ran = self.result.trials.len() == self.bed.plan.trials.len();
        let interrupted = self.result.trials.iter().any(|trial| trial.ending == Ending::Interrupted);
        if self.result.ending != Ending::Failed && all_ran && !interrupted {
            self.result.ending = Ending::Completed;
        }
        self.save()?;
        self.tell(BenchEvent::Written(self.folder.path().to_owned()));
        Ok(self.result)
    }
}

/// Properties in effect and promise of a profile, from its first report that has them.
fn describe(profiles: &mut [ProfileRecord], profile: &Profile, report: &LoadReport) {
    let record = profiles.iter_mut().find(|record| record.profile.name == profile.name);
    if let Some(record) = record.filter(|record| record.promise.is_none()) {
        record.properties.clone_from(&report.properties);
        record.promise = Some(report.promise.clone());
    }
}

/// Failures in a row with the same error.
#[derive(Default)]
struct Failures {
    error: String,
    count: usize,
}

impl Failures {
    /// The error that ends the run, when there were too many.
    fn after(&mut self, trial: &Trial) -> Option<BenchError> {
        let Some(error) = trial.error.as_ref().filter(|_| trial.ending == Ending::Failed) else {
            *self = Self::default();
            return None;
        };
        let error = kind(error, trial);
        self.count = if error == self.error { self.count + 1 } else { 1 };
        self.error = error;
        (self.count >= SAME_FAILURES_MAX)
            .then(|| BenchError::KeepsFailing { count: self.count, message: trial.error.clone().unwrap_or_default() })
    }
}

/// An error without what differs from trial to trial: names of topic and folder, and numbers.
fn kind(error: &str, trial: &Trial) -> String {
    let named = error.replace(&trial.folder, "FOLDER").replace(&trial.topic, "TOPIC");
    named.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::judge::synthetic;

    fn failed(trial: &mut Trial, error: &str) {
        trial.ending = Ending::Failed;
        trial.error = Some(format!("{error} for {}-{}", trial.topic, trial.index % 6));
    }

    #[test]
    fn three_failures_in_a_row_with_one_error_end_a_run() {
        let mut trials = synthetic::trials(&[("all-acks", 1.0)], 7);
        for (at, error) in [(0, "no leader"), (1, "no leader"), (3, "no leader"), (4, "other"), (5, "no leader")] {
            failed(&mut trials[at], error);
        }
        let mut failures = Failures::default();
        assert!(trials.iter().all(|trial| failures.after(trial).is_none()));
        let mut failures = Failures::default();
        for trial in &mut trials {
            failed(trial, "no leader");
        }
        let ended: Vec<bool> = trials.iter().map(|trial| failures.after(trial).is_some()).collect();
        assert_eq!(ended[..3], [false, false, true]);
    }
}
