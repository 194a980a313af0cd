//! One trial: a fresh topic, a load, a seal, an accounting, and the record of it all.
//!
//! ```text
//! max:   create ─► load ─► seal ─► verify ─► delete
//! rate:  create ─► verify --follow ┬─► load ─► seal ─┬─► (its end) ─► delete
//! ```
//! A topic whose log is evidence is not deleted (see `evidence`).
//!
//! After a `max` load the log is read when the load has ended, so that reading does not steal from the
//! figure. A follower that fails is replaced by an accounting afterwards: the verdict does not depend on it,
//! only the live latency does.
//!
//! A load that failed is sealed and verified all the same when it has left a manifest: what a producer knew
//! when it died is worth judging. So is one that was ended because a broker of ours had died. A load that the user
//! stopped is not: the run ends there.

use std::{path::Path, time::Duration};

use ackmark_schema::{
    load_spec::LoadSpec,
    manifest::MANIFEST_FILE,
    report::{
        CpuTime, Ending,
        load::{LOAD_FILE, LoadReport},
        timeline::{TIMELINE_FILE, Timeline},
        verify::{VERIFY_FILE, VerifyReport},
    },
    result::{EndToEnd, Steadiness, Trial, TrialFinding, TrialLoad, TrialVerification, Warning},
    scenario::{Load, Verify},
    units::Rate,
};
use jiff::Timestamp;

use crate::{
    child::{CHILD_OVERHEAD, Child, ChildError, Children, Ended},
    disk::Disk,
    event::ChildKind,
    evidence::{Evidence, Fate},
    handover,
    load_spec::{Common, DRAIN_TIMEOUT},
    plan::{Plan, PlannedTrial},
    reports, steadiness,
    target::Target,
    topics::Topics,
    validity,
};

/// Messages per second that even a slow reader reaches: bounds an accounting.
const SCAN_MESSAGES_PER_S: f64 = 20_000.0;
/// Exit codes of `ackmark verify` that are verdicts: held, broken, inconclusive.
const VERDICTS: [i32; 3] = [0, 3, 4];
/// Exit codes of `ackmark seal`: closed, not closed by the deadline.
const SEALS: [i32; 2] = [0, 4];

/// What trials of a run have in common.
pub(crate) struct Bed<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a Target<'a>,
    pub(crate) common: &'a Common<'a>,
    pub(crate) children: &'a Children,
    pub(crate) topics: &'a Topics<'a>,
    pub(crate) evidence: Evidence,
    /// How brokers are reached, as children are told.
    pub(crate) connection: &'a str,
    pub(crate) disk: &'a Disk<'a>,
    /// The result folder.
    pub(crate) folder: &'a Path,
    /// Makes topics of this run its own.
    pub(crate) run: u32,
    pub(crate) keep_topics: bool,
    pub(crate) keep_ledgers: bool,
}

/// A trial's record, and what else came out.
pub(crate) struct Finished {
    pub(crate) trial: Trial,
    /// The load's report, for what the result says of the profile.
    pub(crate) report: Option<LoadReport>,
    /// What did not spoil the trial but should be known.
    pub(crate) remarks: Vec<Warning>,
}

/// Where a trial's work stands.
#[derive(Default)]
struct Work {
    error: Option<String>,
    interrupted: bool,
    brokers_cpu: Option<CpuTime>,
    remarks: Vec<Warning>,
}

impl Work {
    /// Notes what did not spoil the trial.
    fn remark(&mut self, what: String) {
        self.remarks.push(Warning { what, cure: "its other figures and its verdict stand".to_owned() });
    }
}

impl Bed<'_> {
    /// What the record and the events name a trial by.
    pub(crate) fn folder_name(&self, trial: &PlannedTrial) -> String {
        format!(
            "trials/{:03}-{}-{}-{}",
            trial.index,
            self.plan.phase(trial).name,
            self.plan.profile(trial).name,
            trial.round
        )
    }

    /// A topic of this run.
    pub(crate) fn topic_name(&self, what: &str) -> String {
        format!("{}{:08x}-{what}", crate::guards::topic_prefix(&self.plan.scenario), self.run)
    }

    /// Runs a trial. `rate` is the phase's where it is open loop. Whatever goes wrong stands in the record.
    pub(crate) async fn run(&self, planned: &PlannedTrial, rate: Option<Rate>) -> Finished {
        let started = Timestamp::now();
        let topic = self.topic_name(&format!("{:03}", planned.index));
        let name = self.folder_name(planned);
        let folder = self.folder.join(&name);
        let mut work = Work::default();
        if let Err(error) = self.on_topic(planned, rate, &topic, &folder, &mut work).await {
            work.error = Some(error);
        }
        self.record(planned, rate, started, topic, name, &folder, work)
    }

    /// Makes folder and topic, does the work, deletes the topic unless its log is evidence.
    async fn on_topic(
        &self,
        planned: &PlannedTrial,
        rate: Option<Rate>,
        topic: &str,
        folder: &Path,
        work: &mut Work,
    ) -> Result<(), String> {
        std::fs::create_dir_all(folder).map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
        self.disk.wait_for_room(self.children).await?;
        self.topics.create(topic).await?;
        self.work(planned, rate, topic, folder, work).await;
        if !self.keep_topics && !self.is_evidence(topic, folder, work) {
            let deleted = self.topics.delete(topic).await;
            deleted.unwrap_or_else(|error| work.remark(format!("topic {topic} could not be deleted: {error}")));
        }
        Ok(())
    }

    /// Whether a topic stays, as its log may be looked at again; says so.
    fn is_evidence(&self, topic: &str, folder: &Path, work: &mut Work) -> bool {
        if work.interrupted || !self.plan.scenario.verify.enabled || !folder.join(MANIFEST_FILE).exists() {
            return false;
        }
        match self.evidence.fate(topic, folder, self.target.bootstrap_servers(), self.target.facts.provider) {
            Fate::Goes => false,
            Fate::GoesUnlooked(warning) => {
                work.remarks.push(warning);
                false
            }
            Fate::Stays(warning) => {
                work.remarks.push(warning);
                true
            }
        }
    }

    async fn work(&self, planned: &PlannedTrial, rate: Option<Rate>, topic: &str, folder: &Path, work: &mut Work) {
        let verify = &self.plan.scenario.verify;
        let phase = self.plan.phase(planned);
        let open_loop = matches!(phase.load, Load::Rate(_));
        if open_loop && rate.is_none() {
            work.error = Some(format!(
                "phase {} has no rate: not every profile was measured in the phase that it takes a share of",
                phase.name
            ));
            return;
        }
        let follower = if verify.enabled && open_loop {
            self.follow(folder, verify).map_err(|error| work.remark(error.to_string())).ok()
        } else {
            None
        };
        let spec = self.common.trial(self.plan, planned, rate, topic);
        if let Err(error) = self.load(&spec, folder, work).await {
            work.error = Some(error);
        }
        if work.interrupted || !verify.enabled || !folder.join(MANIFEST_FILE).exists() {
            if let Some(mut follower) = follower {
                follower.end().await;
            }
            return;
        }
        let outcome = self.account(&spec, folder, follower, work).await;
        if let Err(error) = outcome {
            work.error.get_or_insert(error.to_string());
        }
    }

    async fn load(&self, spec: &LoadSpec, folder: &Path, work: &mut Work) -> Result<(), String> {
        let input = handover::spec(spec)?;
        let bound = spec.warm_up.0 + spec.duration.0 + spec.drain_timeout.0 + CHILD_OVERHEAD;
        let before = (self.target.brokers_cpu)();
        let ended = self.children.load(&handover::load_arguments(folder), input, bound, || self.target.lost()).await;
        work.brokers_cpu = before.zip((self.target.brokers_cpu)()).map(|(before, after)| after - before);
        match ended {
            Ok(Ended::Code(_)) => Ok(()),
            Ok(Ended::Stopped) => {
                work.interrupted = true;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Seals, and verifies by the follower or afresh.
    async fn account(
        &self,
        spec: &LoadSpec,
        folder: &Path,
        follower: Option<Child>,
        work: &mut Work,
    ) -> Result<(), ChildError> {
        if let Ended::Stopped = self.seal(folder).await? {
            work.interrupted = true;
            return Ok(());
        }
        let bound = scan_bound(spec, folder);
        if let Some(follower) = follower {
            match follower.wait(bound, &VERDICTS).await {
                Ok(ended) => {
                    work.interrupted = ended == Ended::Stopped;
                    return Ok(());
                }
                Err(error) => work.remark(format!("no live latency: {error}")),
            }
        }
        let arguments = self.verify_arguments(folder, &self.plan.scenario.verify, false);
        work.interrupted =
            self.children.run(ChildKind::Verify, &arguments, self.connection.to_owned(), bound, &VERDICTS).await?
                == Ended::Stopped;
        Ok(())
    }

    async fn seal(&self, folder: &Path) -> Result<Ended, ChildError> {
        let verify = &self.plan.scenario.verify;
        let mut arguments = self.reach(folder);
        arguments.extend([
            "--timeout".into(),
            verify.seal_timeout.to_string(),
            "--quiet-time".into(),
            verify.quiet.to_string(),
        ]);
        let bound = verify.seal_timeout.0 + verify.quiet.0 + CHILD_OVERHEAD;
        self.children.run(ChildKind::Seal, &arguments, self.connection.to_owned(), bound, &SEALS).await
    }

    fn follow(&self, folder: &Path, verify: &Verify) -> Result<Child, ChildError> {
        self.children.start(ChildKind::Verify, &self.verify_arguments(folder, verify, true), self.connection.to_owned())
    }

    fn verify_arguments(&self, folder: &Path, verify: &Verify, follow: bool) -> Vec<String> {
        let mut arguments = self.reach(folder);
        arguments.extend(["--threads".into(), verify.threads.to_string(), "--progress".into(), "json".into()]);
        if follow {
            arguments.push("--follow".into());
        }
        arguments
    }

    /// A load folder and how to reach its brokers.
    fn reach(&self, folder: &Path) -> Vec<String> {
        let servers = self.target.bootstrap_servers().to_owned();
        [folder.display().to_string(), "-b".into(), servers, format!("--{}", handover::PROPERTIES_FROM_STDIN)].into()
    }

    #[expect(clippy::too_many_arguments, reason = "the record's fields, each from another place")]
    fn record(
        &self,
        planned: &PlannedTrial,
        rate: Option<Rate>,
        started: Timestamp,
        topic: String,
        name: String,
        folder: &Path,
        mut work: Work,
    ) -> Finished {
        let phase = self.plan.phase(planned);
        let report: Option<LoadReport> = take(folder, LOAD_FILE, &mut work);
        let timeline: Option<Timeline> = take(folder, TIMELINE_FILE, &mut work);
        let verified: Option<VerifyReport> = if work.interrupted { None } else { take(folder, VERIFY_FILE, &mut work) };
        // What was not found to be held may be judged again.
        if verified.as_ref().is_some_and(|report| report.verdict.is_held()) && !self.keep_ledgers {
            remove_ledgers(folder);
        }
        if work.error.is_none() && !work.interrupted {
            work.error = match &report {
                None => Some(format!("the load left no {LOAD_FILE}")),
                Some(report) => report.error.clone(),
            };
        }
        let steadiness = timeline.map_or(Steadiness::TooShort, |timeline| steadiness::of(&timeline, phase));
        let invalid = report.as_ref().map(|report| validity::invalid(report, phase, rate)).unwrap_or_default();
        let ending = match (&work.error, work.interrupted) {
            (_, true) => Ending::Interrupted,
            (Some(_), false) => Ending::Failed,
            (None, false) => Ending::Completed,
        };
        let trial = Trial {
            index: planned.index,
            round: planned.round,
            phase: phase.name.clone(),
            profile: self.plan.profile(planned).name.clone(),
            topic,
            folder: name,
            started,
            ending,
            error: work.error,
            steadiness,
            invalid,
            load: report.as_ref().map(|report| trial_load(report, work.brokers_cpu)),
            verification: verified.map(verification),
        };
        Finished { trial, report, remarks: work.remarks }
    }
}

/// How long an accounting may take: by what was sent, or could have been.
fn scan_bound(spec: &LoadSpec, folder: &Path) -> Duration {
    let sent = reports::read::<LoadReport>(folder, LOAD_FILE).ok().flatten().map(|report| report.total.sent);
    let most = (spec.warm_up.0 + spec.duration.0).as_secs_f64() * crate::budget::CEILING_MESSAGES_PER_S;
    let messages = sent.map_or(most, |sent| sent as f64);
    // Twice, as transactions are read under two isolation levels.
    CHILD_OVERHEAD + DRAIN_TIMEOUT + Duration::from_secs_f64(2.0 * messages / SCAN_MESSAGES_PER_S)
}

/// Reads a report; one that cannot be read is the trial's error.
fn take<T: serde::de::DeserializeOwned>(folder: &Path, name: &str, work: &mut Work) -> Option<T> {
    reports::read(folder, name).unwrap_or_else(|error| {
        work.error.get_or_insert(error);
        None
    })
}

/// Ledgers are large and have done their work; what cannot be removed stays.
fn remove_ledgers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "ledger" || extension == "txnlog") {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn trial_load(report: &LoadReport, brokers_cpu: Option<CpuTime>) -> TrialLoad {
    TrialLoad {
        total: report.total,
        measured: report.measured,
        latency_intended: report.latency_intended.clone(),
        latency_send: report.latency_send.clone(),
        latency_is_acknowledgement: report.latency_is_acknowledgement,
        transactions: report.transactions.clone(),
        provocations: report.provocations,
        generator: report.generator.clone(),
        brokers_cpu,
    }
}

fn verification(report: VerifyReport) -> TrialVerification {
    let uncommitted = |scan: &&ackmark_schema::report::verify::Scan| {
        scan.isolation == ackmark_schema::report::verify::Isolation::ReadUncommitted
    };
    let in_log = report.scans.iter().filter(uncommitted).map(|scan| scan.messages).max();
    let live = report.scans.iter().find_map(|scan| {
        let latency = scan.latency_end_to_end.clone()?;
        Some(EndToEnd { isolation: scan.isolation, latency })
    });
    let visibility = report.scans.iter().find_map(|scan| scan.visibility.clone());
    TrialVerification {
        sealed: report.seal == ackmark_schema::report::seal::SealState::Sealed,
        ledger: report.ledger,
        messages_in_log: in_log.unwrap_or_default(),
        findings: report
            .findings
            .into_iter()
            .map(|finding| TrialFinding {
                class: finding.class,
                examined: finding.examined,
                ruling: finding.ruling,
                verdict: finding.verdict,
                causes: finding.causes,
            })
            .collect(),
        latency_end_to_end: live,
        visibility,
        verdict: report.verdict,
        reason: report.reason,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ledgers_go_and_reports_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["p0-i0.ledger", "p0-i0.txnlog", "load.json", "latency.hlog"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_ledgers(folder.path());
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["latency.hlog", "load.json"]);
    }
}
