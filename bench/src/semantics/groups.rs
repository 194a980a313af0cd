//! Consumers and pipelines that are killed at points of their cycle.

use ackmark_schema::{
    process::{Deviation, Pattern, Point},
    report::process::{ProcessReport, ProcessVerdict},
    semantics::{CauseShare, Incidence},
};

use super::{Killed, Shown, stage::Stage};

pub(super) const AUTO_COMMIT: &str =
    "offsets committed before processing: what was in hand at a crash is skipped, exactly that many";
pub(super) const COMMIT_AFTER: &str = "offsets committed after processing: what was processed and not committed at a crash is repeated, exactly that many; none is skipped";
pub(super) const PIPELINES: &str = "consume, process, produce, killed at each point: an ordinary commit repeats outputs, offsets in the transaction do not";
pub(super) const REBALANCES: &str = "exactly once through rebalances: one of two members is killed, one of three is frozen until others have its partitions";
pub(super) const DEDUPLICATION: &str =
    "copies in, one effect each, through crashes: ids and effects in one transaction of a database";

const MESSAGES: &str = "9000";
/// Of a cycle.
const BATCH: &str = "200";
const IN_HAND: u64 = 200;

/// The input of all groups, loaded once.
async fn input(stage: &Stage<'_>) -> Result<String, String> {
    const NAME: &str = "input";
    if let Some(topic) = stage.known(NAME) {
        return Ok(topic);
    }
    let topic = stage.topic(NAME).await?;
    // Keys spread a small load over all partitions.
    let flags = ["-t", &topic, "--profile", "all-acks", "--size", "100B", "--messages", MESSAGES, "--no-seal"];
    stage.load(NAME, &[&flags[..], &["--keys", "uniform:600", "--warm-up", "0s"]].concat()).await?;
    Ok(topic)
}

async fn process(
    stage: &Stage<'_>,
    pattern: Pattern,
    topic: &str,
    name: &str,
    flags: &[&str],
) -> Result<(ProcessReport, ProcessVerdict), String> {
    // A cycle is full, however slow the machine: what is in hand at a crash is counted on.
    let wait: &[&str] = if flags.contains(&"--batch-wait") { &[] } else { &["--batch-wait", "2s"] };
    let fixed = [pattern.name(), "-t", topic, "-X", "auto.commit.interval.ms=100"];
    let batch: &[&str] = if flags.contains(&"--batch") { &[] } else { &["--batch", BATCH] };
    let done = stage.process(name, &[&fixed[..], wait, batch, flags].concat()).await?;
    match &done.0.error {
        Some(error) => Err(format!("{pattern}: {error}")),
        None => Ok(done),
    }
}

fn found(verdict: &ProcessVerdict, deviation: Deviation) -> u64 {
    verdict.findings.iter().filter(|finding| finding.deviation == deviation).map(|finding| finding.found).sum()
}

/// What became of a pattern's messages when it was killed.
fn killed(pattern: Pattern, (report, verdict): &(ProcessReport, ProcessVerdict)) -> Killed {
    let crashes = report.crashes.len();
    let provoked_by = format!("{crashes} crashes, one at each point of its cycle or more");
    let incidence = |deviation, causes: Vec<CauseShare>| Incidence {
        count: Some(found(verdict, deviation)),
        of: verdict.messages,
        causes,
        provoked_by: provoked_by.clone(),
    };
    let repeated = found(verdict, Deviation::Repeated);
    Killed {
        setting: pattern.name().to_owned(),
        duplicates: incidence(Deviation::Repeated, vec![CauseShare { cause: "redelivery".into(), count: repeated }]),
        lost: incidence(Deviation::Skipped, Vec::new()),
    }
}

fn points(points: &[Point]) -> String {
    points.iter().map(|point| point.name()).collect::<Vec<_>>().join(",")
}

pub(super) async fn auto_commit(stage: &Stage<'_>) -> Result<Shown, String> {
    let topic = input(stage).await?;
    let crash = points(&[Point::AfterPoll, Point::AfterProcess]);
    let outcome = process(stage, Pattern::AutoCommit, &topic, "auto-commit", &["--crash", &crash]).await?;
    let control =
        process(stage, Pattern::CommitAfter, &topic, "auto-commit-control", &["--crash", "after-poll"]).await?;
    let mut shown = Shown::default();
    shown.check(
        "skipped: in hand and committed at the crash before processing",
        IN_HAND,
        found(&outcome.1, Deviation::Skipped),
    );
    shown.check("repeated", 0, found(&outcome.1, Deviation::Repeated));
    shown.control(
        "skipped after the same crash where offsets are committed afterwards",
        0,
        found(&control.1, Deviation::Skipped),
    );
    shown.incidences.push(killed(Pattern::AutoCommit, &outcome));
    Ok(shown)
}

pub(super) async fn commit_after(stage: &Stage<'_>) -> Result<Shown, String> {
    let topic = input(stage).await?;
    let crash = points(Pattern::CommitAfter.about().points);
    let outcome = process(stage, Pattern::CommitAfter, &topic, "commit-after", &["--crash", &crash]).await?;
    let control =
        process(stage, Pattern::AutoCommit, &topic, "commit-after-control", &["--crash", "after-process"]).await?;
    let mut shown = Shown::default();
    shown.check("repeated: processed and not committed at the crash", IN_HAND, found(&outcome.1, Deviation::Repeated));
    shown.check("skipped", 0, found(&outcome.1, Deviation::Skipped));
    shown.control(
        "repeated after the same crash where offsets were committed before",
        0,
        found(&control.1, Deviation::Repeated),
    );
    shown.incidences.push(killed(Pattern::CommitAfter, &outcome));
    Ok(shown)
}

pub(super) async fn pipelines(stage: &Stage<'_>) -> Result<Shown, String> {
    let topic = input(stage).await?;
    let (copied, once) = (stage.topic_name("copied"), stage.topic_name("once"));
    let crash = points(Pattern::Copy.about().points);
    let copy = process(stage, Pattern::Copy, &topic, "copy", &["--to", &copied, "--crash", &crash]).await?;
    let crash = points(Pattern::ExactlyOnce.about().points);
    let exactly =
        process(stage, Pattern::ExactlyOnce, &topic, "exactly-once", &["--to", &once, "--crash", &crash]).await?;
    let mut shown = Shown::default();
    for deviation in [Deviation::Skipped, Deviation::Repeated, Deviation::Uncommitted] {
        shown.check(format!("exactly-once: {}", deviation.label()), 0, found(&exactly.1, deviation));
    }
    shown.check("exactly-once: inputs with an output", exactly.1.messages, exactly.1.effects);
    shown.control("ordinary commit: outputs repeated", IN_HAND, found(&copy.1, Deviation::Repeated));
    shown.check("ordinary commit: skipped", 0, found(&copy.1, Deviation::Skipped));
    shown.incidences.push(killed(Pattern::Copy, &copy));
    shown.incidences.push(killed(Pattern::ExactlyOnce, &exactly));
    Ok(shown)
}

pub(super) async fn rebalances(stage: &Stage<'_>) -> Result<Shown, String> {
    let topic = input(stage).await?;
    let mut shown = Shown::default();
    let crash = points(&[Point::AfterSendOffsets]);
    let freeze = points(&[Point::AfterProduce]);
    for (members, blow, point) in [("2", "--crash", &crash), ("3", "--freeze", &freeze)] {
        let (output, name) = (stage.topic_name(&format!("once-by-{members}")), format!("rebalances-{members}"));
        let flags = ["--to", &output, "--members", members, "--rejoin", "dynamic", "--batch", "50", blow, point];
        let flags = [&flags[..], &["--batch-wait", "20ms"]].concat();
        let done = process(stage, Pattern::ExactlyOnce, &topic, &name, &flags).await?;
        for deviation in [Deviation::Skipped, Deviation::Repeated, Deviation::Uncommitted] {
            shown.check(format!("{members} members: {}", deviation.label()), 0, found(&done.1, deviation));
        }
        shown.check(format!("{members} members: inputs with an output"), done.1.messages, done.1.effects);
        let sum = |of: fn(&ackmark_schema::process::Life) -> u64| done.0.lives.iter().map(of).sum::<u64>();
        let rebalanced = sum(|life| life.revocations) > 0;
        shown.control(format!("{members} members: whether partitions changed hands"), 1, u64::from(rebalanced));
        if blow == "--freeze" {
            let refused = sum(|life| life.aborted) > 0;
            shown.control("3 members: whether the zombie's transaction was refused", 1, u64::from(refused));
        }
    }
    Ok(shown)
}

pub(super) async fn deduplication(stage: &Stage<'_>) -> Result<Shown, String> {
    let topic = input(stage).await?;
    let copied = stage.topic_name("with-copies");
    let crash = points(&[Point::AfterProduce, Point::AfterProduce]);
    let copies = process(stage, Pattern::Copy, &topic, "copies", &["--to", &copied, "--crash", &crash]).await?;
    let copies = found(&copies.1, Deviation::Repeated);
    let crash = points(Pattern::Deduplicate.about().points);
    let outcome = process(stage, Pattern::Deduplicate, &copied, "deduplicate", &["--crash", &crash]).await?;
    let control = process(stage, Pattern::CommitAfter, &copied, "deduplicate-control", &[]).await?;
    let mut shown = Shown::default();
    shown.check("copies in the input", 2 * IN_HAND, outcome.1.records - outcome.1.messages);
    shown.check("effects beyond the first of a message", 0, found(&outcome.1, Deviation::Repeated));
    shown.check("messages without an effect", 0, found(&outcome.1, Deviation::Skipped));
    shown.control("effects beyond the first without ids", copies, control.1.effects - outcome.1.messages);
    shown.incidences.push(killed(Pattern::Deduplicate, &outcome));
    Ok(shown)
}
