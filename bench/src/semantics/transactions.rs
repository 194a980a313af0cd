//! Transactions: over several topics; open, committed and aborted under both isolation levels.

use std::time::{Duration, Instant};

use ackmark_schema::{
    anomaly::Class,
    process::Point,
    report::verify::{Examined, Isolation, VerifyReport},
};
use tokio::sync::mpsc;

use super::{
    Shown,
    fencing::{settle, wait_reached},
    stage::{Producer, Stage},
};

pub(super) const SEVERAL_TOPICS: &str =
    "transactions over two topics by three producers, a quarter aborted: all or none of each, in both topics";
pub(super) const ISOLATION: &str =
    "one topic read both ways: committed, aborted, and open, at which readers of committed data stop";

const MESSAGES: &str = "12000";
/// With a shorter one librdkafka's idempotent producer polls without pause (README, notes on figures).
pub(super) const LINGER: &str = "linger.ms=50";
/// Nobody runs out of time here.
const LONG: Duration = Duration::from_mins(1);

/// What a class was counted as; an error where it was not examined.
pub(super) fn counted(report: &VerifyReport, class: Class) -> Result<u64, String> {
    match report.findings.iter().find(|finding| finding.class == class).map(|finding| &finding.examined) {
        Some(Examined::Counted(count)) => Ok(*count),
        Some(Examined::NotExamined { why }) => Err(format!("{} was not examined: {why}", class.label())),
        None => Err(format!("{} was not judged", class.label())),
    }
}

pub(super) async fn several_topics(stage: &Stage<'_>) -> Result<Shown, String> {
    let (orders, payments) = (stage.topic("orders").await?, stage.topic("payments").await?);
    let flags = ["-t", &orders, "-t", &payments, "--profile", "transactional", "--abort-share", "0.25"];
    let counts = ["--messages", MESSAGES, "--size", "100B", "--producers", "3", "--transaction-messages", "200"];
    let load = stage.load("transactions", &[&flags[..], &counts, &["--warm-up", "0s", "-X", LINGER]].concat()).await?;
    let verdict = stage.verify("transactions").await?;
    let figures = load.transactions.as_ref().ok_or("the load had no transactions")?;
    let seen = |isolation| {
        let scan = verdict.scans.iter().find(|scan| scan.isolation == isolation && scan.complete);
        scan.map(|scan| scan.messages).ok_or(format!("no whole scan at {}", isolation.as_str()))
    };
    let (all, committed) = (seen(Isolation::ReadUncommitted)?, seen(Isolation::ReadCommitted)?);
    let mut shown = Shown::default();
    for class in [Class::TornTransaction, Class::AbortedVisible, Class::CommittedInvisible, Class::Lost] {
        shown.check(class.label(), 0, counted(&verdict, class)?);
    }
    let aborted = figures.messages_aborted_on_purpose;
    shown.check("messages that readers of committed data are shown", load.total.sent - aborted, committed);
    shown.control("aborted messages in the log, shown to read_uncommitted", aborted, all - committed);
    Ok(shown)
}

pub(super) async fn isolation(stage: &Stage<'_>) -> Result<Shown, String> {
    const COMMITTED: u64 = 300;
    const ABORTED: u64 = 100;
    const OPEN: u64 = 200;
    let topic = stage.topic("isolation").await?;
    let (send, mut heard) = mpsc::unbounded_channel();
    let ids = ["committed", "aborted", "open"].map(|what| stage.transactional_id(what));
    let producer = |member: u32, messages: u64, stop_at: Option<Point>| Producer {
        member,
        incarnation: 0,
        id: &ids[member as usize],
        topic: &topic,
        messages,
        timeout: LONG,
        stop_at,
    };
    let committed = stage.produce(producer(0, COMMITTED, None), &send).await?;
    committed.gone().await;
    // One dies with its transaction open; its successor, which sends nothing, ends it.
    let dead = stage.produce(producer(1, ABORTED, Some(Point::AfterProduce)), &send).await?;
    wait_reached(&mut heard, 1).await?;
    dead.kill().await;
    let successor = Producer { incarnation: 1, ..producer(1, 0, None) };
    stage.produce(successor, &send).await?.gone().await;
    let mut open = stage.produce(producer(2, OPEN, Some(Point::AfterProduce)), &send).await?;
    wait_reached(&mut heard, 2).await?;

    let mut shown = Shown::default();
    let of = |headers: &[ackmark_schema::record::Header], member: u32| {
        headers.iter().filter(|header| header.stream == member).count() as u64
    };
    let (strict, all) =
        (stage.read(&topic, Isolation::ReadCommitted).await?, stage.read(&topic, Isolation::ReadUncommitted).await?);
    shown.check("committed messages shown while another transaction is open", COMMITTED, of(&strict, 0));
    shown.check("messages of the open transaction shown to read_committed", 0, of(&strict, 2));
    shown.check("aborted messages shown to read_committed", 0, of(&strict, 1));
    shown.control("messages of the open transaction shown to read_uncommitted", OPEN, of(&all, 2));
    shown.control("aborted messages shown to read_uncommitted", ABORTED, of(&all, 1));
    let held = stage.ends(&topic).await?.iter().filter(|(stable, high)| stable < high).count() as u64;
    shown.control("whether a last stable offset is below its high watermark", 1, u64::from(held > 0));
    let named = stage.coordinated(&ids[2]).await?;
    shown.check(
        "open transactions that the coordinator names",
        1,
        u64::from(named.is_some_and(|one| one.state == "Ongoing")),
    );
    let begun = Instant::now();
    open.go().await;
    open.gone().await;
    settle(stage, &topic, LONG).await?;
    shown.times.push(ackmark_schema::semantics::Time {
        what: "from when it may commit until the last stable offset is at the end".into(),
        seconds: begun.elapsed().as_secs_f64(),
        bound_s: Some(LONG.as_secs_f64()),
    });
    let strict = stage.read(&topic, Isolation::ReadCommitted).await?;
    shown.check("its messages shown to read_committed after its commit", OPEN, of(&strict, 2));
    shown.check("aborted messages shown to read_committed at rest", 0, of(&strict, 1));
    Ok(shown)
}
