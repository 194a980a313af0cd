//! Counts against the promise.
//!
//! | ruling | found | verdict |
//! |---|---|---|
//! | may, no claim | anything | not judged |
//! | must not | not applicable to this run | not judged |
//! | must not | could not be finished | inconclusive |
//! | must not | none, the log not closed | inconclusive |
//! | must not | some that is absent, the log not closed | inconclusive: it may still come |
//! | must not | some | broken |
//! | must not | none | held where something tested it, else held but unprovoked |
//!
//! The whole is the worst of its parts, and inconclusive at best where the ledger is damaged. Against librdkafka's mock all is inconclusive: it proves nothing
//! about Kafka.

use ackmark_schema::{
    anomaly::Class,
    promise::{Promise, Ruling},
    report::{
        load::Provocations,
        seal::SealState,
        verify::{CauseCount, Examined, Finding, LedgerCounts, Verdict},
    },
};

use crate::{
    evidence::{Evidence, Look},
    tally::Tally,
};

/// What a verdict depends on beside the counts.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Whether the log was closed.
    pub seal: SealState,
    /// Whether the brokers were librdkafka's mock.
    pub simulated: bool,
    /// What put the promise to the test; unknown where the load left no report.
    pub provocations: Option<Provocations>,
    /// What the ledger says.
    pub ledger: LedgerCounts,
}

/// The verdict on a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// One finding per class.
    pub findings: Vec<Finding>,
    /// The worst of them.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
}

/// Judges what was found.
pub fn judge(evidence: Evidence, promise: &Promise, circumstances: &Circumstances) -> Judgement {
    let Evidence { mut looks, damage } = evidence;
    let expired = matches!(looks.get(&Class::Expired), Some(Look::Counted(tally)) if tally.count() > 0);
    let findings: Vec<Finding> = Class::ALL
        .into_iter()
        .map(|class| {
            let look = looks.remove(&class).unwrap_or_else(|| Look::Unfinished("it was not looked for".into()));
            finding(class, look, promise, circumstances, expired)
        })
        .collect();
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::NotJudged);
    let (verdict, reason) = match damage {
        Some(damage) => of_damaged(verdict, &damage, &findings, circumstances, expired),
        None if circumstances.ledger.reserved == 0 => {
            (Verdict::Inconclusive, "nothing was sent, so nothing was tested".into())
        }
        None => (verdict, reason(verdict, &findings, circumstances, expired)),
    };
    Judgement { findings, verdict, reason }
}

/// The whole where not all of the ledger could be read: what is known convicts, and nothing acquits.
fn of_damaged(
    verdict: Verdict,
    damage: &str,
    findings: &[Finding],
    circumstances: &Circumstances,
    expired: bool,
) -> (Verdict, String) {
    match verdict {
        Verdict::Broken => {
            let reason = reason(verdict, findings, circumstances, expired);
            (verdict, format!("{reason}; there may be more, for {damage}"))
        }
        _ if circumstances.simulated => (Verdict::Inconclusive, doubt(findings, circumstances, expired)),
        _ => (Verdict::Inconclusive, damage.to_owned()),
    }
}

fn finding(class: Class, look: Look, promise: &Promise, circumstances: &Circumstances, expired: bool) -> Finding {
    let clause = promise.clause(class);
    let verdict = match clause.ruling {
        Ruling::May | Ruling::NoClaim => Verdict::NotJudged,
        Ruling::MustNot => of_clause(class, &look, circumstances, expired),
    };
    let (examined, tally) = match look {
        Look::Counted(tally) => (Examined::Counted(tally.count()), tally),
        Look::NotApplicable(why) | Look::Unfinished(why) => (Examined::NotExamined { why }, Tally::default()),
    };
    Finding {
        class,
        examined,
        ruling: clause.ruling,
        ruling_reason: clause.reason.clone(),
        verdict,
        causes: tally.causes(),
        over_time: tally.over_time(),
        examples: tally.into_examples(),
    }
}

/// The verdict on a clause that says "must not".
fn of_clause(class: Class, look: &Look, circumstances: &Circumstances, expired: bool) -> Verdict {
    let open = circumstances.seal != SealState::Sealed;
    match look {
        Look::NotApplicable(_) if class == Class::Lost => Verdict::Inconclusive,
        Look::NotApplicable(_) => Verdict::NotJudged,
        _ if circumstances.simulated => Verdict::Inconclusive,
        Look::Unfinished(_) => Verdict::Inconclusive,
        Look::Counted(tally) if tally.count() > 0 && !(open && may_still_change(class)) => Verdict::Broken,
        Look::Counted(_) if open => Verdict::Inconclusive,
        Look::Counted(_) if expired && class == Class::Lost => Verdict::Inconclusive,
        Look::Counted(_) if tested(circumstances) => Verdict::Held,
        Look::Counted(_) => Verdict::HeldUnprovoked,
    }
}

/// Whether the class may still go away while the log is not closed: what is missing may come, and what holds the
/// last stable offset back may be another application's transaction.
fn may_still_change(class: Class) -> bool {
    matches!(
        class,
        Class::Lost
            | Class::AbsentWhenClosed
            | Class::Expired
            | Class::TornTransaction
            | Class::CommittedInvisible
            | Class::StuckLso
    )
}

fn tested(circumstances: &Circumstances) -> bool {
    circumstances.provocations.is_some_and(|provocations| provocations.is_some())
}

fn reason(verdict: Verdict, findings: &[Finding], circumstances: &Circumstances, expired: bool) -> String {
    let of = |verdict: Verdict| findings.iter().filter(move |finding| finding.verdict == verdict);
    let kept = || {
        let clauses = of(Verdict::Held).chain(of(Verdict::HeldUnprovoked)).count();
        let LedgerCounts { reserved, acknowledged, .. } = circumstances.ledger;
        format!("{acknowledged} of {reserved} messages acknowledged, {clauses} clauses kept")
    };
    match verdict {
        Verdict::Broken => {
            let parts: Vec<_> = of(Verdict::Broken).map(counted).collect();
            format!("must not occur and did: {}", parts.join(", "))
        }
        Verdict::Inconclusive => doubt(findings, circumstances, expired),
        Verdict::HeldUnprovoked => match circumstances.provocations {
            Some(provocations) => match provocations.unknown() {
                Some(unknown) => format!("{}; nothing is known to have tested them; unknown: {unknown}", kept()),
                None => format!(
                    "{}; nothing tested them: no message sent again, error answer, timeout, disconnect or leader change",
                    kept()
                ),
            },
            None => format!("{}; what tested them is unknown: a load that was killed leaves no report", kept()),
        },
        Verdict::Held => format!("{} under {}", kept(), circumstances.provocations.map_or(String::new(), told)),
        Verdict::NotJudged => "the promise makes no claim that this run could test".into(),
    }
}

fn counted(finding: &Finding) -> String {
    match &finding.examined {
        Examined::Counted(count) if finding.causes.is_empty() => format!("{count} {}", finding.class.label()),
        Examined::Counted(count) => {
            let cause = |found: &CauseCount| format!("{} {}", found.count, found.cause.label());
            let causes: Vec<_> = finding.causes.iter().map(cause).collect();
            format!("{count} {} (cause: {})", finding.class.label(), causes.join(", "))
        }
        Examined::NotExamined { why } => format!("{} ({why})", finding.class.label()),
    }
}

/// The first of the reasons that leave a verdict open, the widest first.
fn doubt(findings: &[Finding], circumstances: &Circumstances, expired: bool) -> String {
    if circumstances.simulated {
        return "the brokers were simulated: that proves nothing about Kafka".into();
    }
    if let SealState::Unsealed { reason } = &circumstances.seal {
        return format!("the log was not closed: {reason}");
    }
    if expired {
        let expired = findings.iter().find(|finding| finding.class == Class::Expired);
        return format!("retention may have removed messages: {}", expired.map_or(String::new(), counted));
    }
    let open = findings.iter().find(|finding| finding.verdict == Verdict::Inconclusive);
    open.map_or(String::new(), |finding| format!("cannot be told: {}", counted(finding)))
}

fn told(provocations: Provocations) -> String {
    let known = provocations.named().into_iter().filter_map(|(what, count)| count.map(|count| (what, count)));
    let seen: Vec<String> =
        known.filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
    let unknown = provocations.unknown().map(|unknown| format!(" (unknown: {unknown})"));
    seen.join(", ") + unknown.as_deref().unwrap_or_default()
}
