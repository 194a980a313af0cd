//! Each profile's verdict over its trials.
//!
//! One broken trial breaks the profile. One that was not judged, whatever its ending, leaves it open, for what
//! was lost there is not known. Where all held, one trial that was provoked makes it held; without any it is
//! unprovoked.

use ackmark_schema::{
    anomaly::{Cause, Class},
    promise::Ruling,
    report::{
        load::Provocations,
        verify::{CauseCount, Examined, LedgerCounts, Verdict},
    },
    result::{ProfileVerdict, Trial, TrialFinding, TrialVerification},
    scenario::Scenario,
};

/// One per profile of the scenario, in its order.
pub(super) fn verdicts(scenario: &Scenario, trials: &[Trial]) -> Vec<ProfileVerdict> {
    let of = |profile: &String| -> Vec<&Trial> { trials.iter().filter(|trial| &trial.profile == profile).collect() };
    scenario.profiles.iter().map(|profile| profile_verdict(profile, &of(profile), scenario.verify.enabled)).collect()
}

/// The worst of them; not judged when there are none.
pub(super) fn worst(verdicts: &[ProfileVerdict]) -> Verdict {
    verdicts.iter().map(|verdict| verdict.verdict).max().unwrap_or(Verdict::NotJudged)
}

fn profile_verdict(profile: &str, trials: &[&Trial], verified: bool) -> ProfileVerdict {
    let judged: Vec<&TrialVerification> = trials.iter().filter_map(|trial| trial.verification.as_ref()).collect();
    let unjudged = trials.len() - judged.len();
    let (verdict, reason) = match (verified, judged.is_empty(), unjudged) {
        (false, _, _) => (Verdict::NotJudged, "verification is off".to_owned()),
        (true, true, 0) => (Verdict::NotJudged, "no trial was run".to_owned()),
        (true, true, _) => (Verdict::Inconclusive, "no trial could be verified".to_owned()),
        (true, false, unjudged) => combined(&judged, unjudged),
    };
    ProfileVerdict {
        profile: profile.to_owned(),
        verdict,
        reason,
        trials: judged.len() as u32,
        ledger: judged.iter().fold(LedgerCounts::default(), |sum, one| add_ledgers(sum, one.ledger)),
        messages_in_log: judged.iter().map(|one| one.messages_in_log).sum(),
        findings: findings(&judged),
        provocations: trials
            .iter()
            .filter(|trial| trial.verification.is_some())
            .filter_map(|trial| Some(trial.load.as_ref()?.provocations))
            .reduce(Provocations::and)
            .unwrap_or_default(),
    }
}

fn combined(judged: &[&TrialVerification], unjudged: usize) -> (Verdict, String) {
    let count = |verdict| judged.iter().filter(|one| one.verdict == verdict).count();
    let first = |verdict| judged.iter().find(|one| one.verdict == verdict).map_or("", |one| one.reason.as_str());
    let (all, broken, open) = (judged.len(), count(Verdict::Broken), count(Verdict::Inconclusive));
    let verdict = combine(&judged.iter().map(|one| one.verdict).collect::<Vec<_>>(), unjudged > 0);
    let reason = match verdict {
        Verdict::Broken => format!("broken in {broken} of {all} trials; the first: {}", first(Verdict::Broken)),
        Verdict::Inconclusive if open > 0 => {
            format!("{open} of {all} trials could not be judged; the first: {}", first(Verdict::Inconclusive))
        }
        Verdict::Inconclusive => format!("held in {all} trials, but {unjudged} could not be verified"),
        Verdict::Held => format!("held in {all} trials, {} of them put to the test", count(Verdict::Held)),
        Verdict::HeldUnprovoked => {
            format!("held in {all} trials, none of which is known to have been put to the test")
        }
        Verdict::NotJudged => "no claim was judged".to_owned(),
    };
    (verdict, reason)
}

/// Broken before inconclusive before held before unprovoked; not judged only when nothing else is there.
fn combine(verdicts: &[Verdict], open: bool) -> Verdict {
    let any = |wanted| verdicts.contains(&wanted);
    if any(Verdict::Broken) {
        Verdict::Broken
    } else if open || any(Verdict::Inconclusive) {
        Verdict::Inconclusive
    } else if any(Verdict::Held) {
        Verdict::Held
    } else if any(Verdict::HeldUnprovoked) {
        Verdict::HeldUnprovoked
    } else {
        Verdict::NotJudged
    }
}

/// One per class that any trial reports, in the order in which a verdict lists them.
fn findings(judged: &[&TrialVerification]) -> Vec<TrialFinding> {
    Class::ALL
        .into_iter()
        .filter_map(|class| {
            let of_class: Vec<Option<&TrialFinding>> =
                judged.iter().map(|one| one.findings.iter().find(|finding| finding.class == class)).collect();
            let present: Vec<&TrialFinding> = of_class.iter().copied().flatten().collect();
            let ruling = strictest(&present)?;
            let examined = if present.len() < of_class.len() { not_in_every_trial() } else { examined(&present) };
            let causes = if matches!(examined, Examined::Counted(_)) { causes(&present) } else { Vec::new() };
            let verdict = combine(&present.iter().map(|finding| finding.verdict).collect::<Vec<_>>(), false);
            Some(TrialFinding { class, examined, ruling, verdict, causes })
        })
        .collect()
}

/// Each cause that any of them tells, summed.
fn causes(findings: &[&TrialFinding]) -> Vec<CauseCount> {
    let told = || findings.iter().flat_map(|finding| &finding.causes);
    let of = |cause| told().filter(|one| one.cause == cause).map(|one| one.count).sum();
    let counts = Cause::ALL.into_iter().map(|cause| CauseCount { cause, count: of(cause) });
    counts.filter(|found| found.count > 0).collect()
}

fn strictest(findings: &[&TrialFinding]) -> Option<Ruling> {
    let strictness = |ruling: &Ruling| match ruling {
        Ruling::MustNot => 2,
        Ruling::May => 1,
        Ruling::NoClaim => 0,
    };
    findings.iter().map(|finding| finding.ruling).max_by_key(strictness)
}

/// The sum where every trial counted; otherwise why the first that did not could not.
fn examined(findings: &[&TrialFinding]) -> Examined {
    let mut sum = 0;
    for finding in findings {
        match &finding.examined {
            Examined::Counted(count) => sum += count,
            not @ Examined::NotExamined { .. } => return not.clone(),
        }
    }
    Examined::Counted(sum)
}

fn not_in_every_trial() -> Examined {
    Examined::NotExamined { why: "not examined in every trial".into() }
}

fn add_ledgers(a: LedgerCounts, b: LedgerCounts) -> LedgerCounts {
    LedgerCounts {
        reserved: a.reserved + b.reserved,
        acknowledged: a.acknowledged + b.acknowledged,
        failed: a.failed + b.failed,
        indeterminate: a.indeterminate + b.indeterminate,
        resent: a.resent + b.resent,
        committed_transactions: a.committed_transactions + b.committed_transactions,
        aborted_transactions: a.aborted_transactions + b.aborted_transactions,
        indeterminate_transactions: a.indeterminate_transactions + b.indeterminate_transactions,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_schema::report::Ending;

    use super::*;
    use crate::judge::synthetic;

    fn of(change: impl Fn(&mut Vec<Trial>)) -> ProfileVerdict {
        let mut scenario = synthetic::scenario();
        scenario.profiles = vec!["all-acks".into()];
        let mut trials = synthetic::trials(&[("all-acks", 1000.0)], 4);
        change(&mut trials);
        verdicts(&scenario, &trials).remove(0)
    }

    fn set(trial: &mut Trial, verdict: Verdict, lost: u64) {
        let verification = trial.verification.as_mut().unwrap();
        verification.verdict = verdict;
        verification.reason = format!("{lost} lost");
        verification.findings[0].verdict = verdict;
        verification.findings[0].examined = Examined::Counted(lost);
    }

    #[test]
    fn one_loss_in_one_trial_breaks_the_profile_and_is_counted() {
        let found = of(|trials| {
            set(&mut trials[1], Verdict::Broken, 7);
            set(&mut trials[2], Verdict::Inconclusive, 0);
        });
        assert_eq!(found.verdict, Verdict::Broken);
        assert_eq!(found.reason, "broken in 1 of 4 trials; the first: 7 lost");
        assert_eq!(found.findings[0].examined, Examined::Counted(7));
        assert_eq!(found.findings[0].verdict, Verdict::Broken);
        assert_eq!(worst(&[found]), Verdict::Broken);
    }

    #[test]
    fn a_trial_that_could_not_be_judged_leaves_the_profile_open() {
        assert_eq!(of(|trials| set(&mut trials[3], Verdict::Inconclusive, 0)).verdict, Verdict::Inconclusive);
        for ending in [Ending::Failed, Ending::Interrupted, Ending::Completed] {
            let unjudged = of(|trials| {
                trials[0].verification = None;
                trials[0].ending = ending;
            });
            assert_eq!(unjudged.verdict, Verdict::Inconclusive, "{ending:?}");
            assert_eq!(unjudged.reason, "held in 3 trials, but 1 could not be verified");
        }
    }

    #[test]
    fn one_provoked_trial_makes_it_held_and_none_unprovoked() {
        assert_eq!(of(|_| {}).verdict, Verdict::HeldUnprovoked);
        let held = of(|trials| {
            set(&mut trials[2], Verdict::Held, 0);
            trials[2].load.as_mut().unwrap().provocations.retransmitted = 3;
        });
        assert_eq!((held.verdict, held.provocations.retransmitted), (Verdict::Held, 3));
        assert_eq!((held.trials, held.ledger.reserved, held.messages_in_log), (4, 12_000, 12_000));
    }

    #[test]
    fn leader_changes_are_a_sum_only_where_every_trial_could_tell() {
        let changes = |of_each: [Option<u64>; 4]| {
            let found = of(|trials| {
                for (trial, changes) in trials.iter_mut().zip(of_each) {
                    trial.load.as_mut().unwrap().provocations.leader_changes = changes;
                }
            });
            found.provocations.leader_changes
        };
        assert_eq!(changes([Some(1), Some(0), Some(2), Some(0)]), Some(3));
        assert_eq!(changes([Some(1), None, Some(2), Some(0)]), None);
    }

    #[test]
    fn a_class_that_one_trial_did_not_examine_has_no_sum() {
        let found = of(|trials| {
            let verification = trials[1].verification.as_mut().unwrap();
            verification.findings[0].examined = Examined::NotExamined { why: "the scan was incomplete".into() };
        });
        assert_eq!(found.findings[0].examined, Examined::NotExamined { why: "the scan was incomplete".into() });
    }

    #[test]
    fn nothing_verified_is_not_judged_and_never_held() {
        let found = of(Vec::clear);
        assert_eq!(found.verdict, Verdict::NotJudged);
        let all_failed = of(|trials| {
            for trial in trials {
                trial.verification = None;
                trial.ending = Ending::Failed;
            }
        });
        assert_eq!(all_failed.verdict, Verdict::Inconclusive);
    }
}
