//! Transactional producers with the same `transactional.id`: rivals, successors, and nobody at all.

use std::time::{Duration, Instant};

use ackmark_schema::{
    process::{MemberSays, Point},
    record::Header,
    report::verify::Isolation,
    semantics::{StallSample, Time},
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    Shown,
    stage::{Producer, Stage},
};
use crate::group::Heard;

pub(super) const RIVAL: &str = "a second producer with the same transactional.id fences the first, whose commit fails and whose records stay invisible";
pub(super) const SUCCESSOR: &str =
    "the open transaction of a producer that died is ended at once by a next one with its transactional.id";
pub(super) const TIMEOUT: &str =
    "without a successor it holds up readers of committed data until transaction.timeout.ms has passed";

const MESSAGES: u64 = 500;
/// `transaction.timeout.ms` where a transaction is not to run out of time, and where it is.
const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_secs(5);
/// How long a producer may take to be heard of.
const PATIENCE: Duration = Duration::from_secs(30);
/// What brokers may take to write markers, beside what they are told to wait.
const SLACK: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// Waits until a member waits at its point.
pub(super) async fn wait_reached(heard: &mut UnboundedReceiver<Heard>, member: u32) -> Result<(), String> {
    let says = wait_for(heard, |heard| {
        heard.member == member && matches!(heard.says, Some(MemberSays::Reached { .. } | MemberSays::Ended(_)))
    })
    .await?;
    match says {
        MemberSays::Reached { .. } => Ok(()),
        MemberSays::Ended(life) => Err(life.error.unwrap_or_else(|| "a producer ended before it was to".into())),
    }
}

async fn wait_for(heard: &mut UnboundedReceiver<Heard>, is_it: impl Fn(&Heard) -> bool) -> Result<MemberSays, String> {
    let mut told_of = Vec::new();
    let listening = async {
        while let Some(heard) = heard.recv().await {
            if is_it(&heard) {
                return heard.says;
            }
            told_of.push(heard);
        }
        None
    };
    match tokio::time::timeout(PATIENCE, listening).await {
        Ok(Some(says)) => Ok(says),
        Ok(None) => Err("a producer ended without a word".into()),
        Err(_) => {
            let others: Vec<String> = told_of.iter().map(|heard| format!("{heard:?}")).collect();
            let others = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
            Err(format!("what was waited for was not heard within {} s; heard was {others}", PATIENCE.as_secs()))
        }
    }
}

/// Waits until no transaction holds a partition of a topic.
pub(super) async fn settle(stage: &Stage<'_>, topic: &str, longest: Duration) -> Result<(), String> {
    let begun = Instant::now();
    while !stage.ends(topic).await?.iter().all(|(stable, high)| stable == high) {
        if begun.elapsed() >= longest {
            return Err(format!("a transaction still holds {topic} after {} s", longest.as_secs()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn of(headers: &[Header], incarnation: u32) -> u64 {
    headers.iter().filter(|header| header.incarnation == incarnation).count() as u64
}

/// A life of a producer whose transaction does not run out of time.
fn life<'a>(id: &'a str, topic: &'a str, incarnation: u32, stop_at: Option<Point>) -> Producer<'a> {
    Producer { member: 0, incarnation, id, topic, messages: MESSAGES, timeout: LONG, stop_at }
}

pub(super) async fn rival(stage: &Stage<'_>) -> Result<Shown, String> {
    let (topic, id) = (stage.topic("fencing").await?, stage.transactional_id("fencing"));
    let (send, mut heard) = mpsc::unbounded_channel();
    let producer = |incarnation: u32, stop_at: Option<Point>| life(&id, &topic, incarnation, stop_at);
    let mut first = stage.produce(producer(0, Some(Point::AfterProduce)), &send).await?;
    wait_reached(&mut heard, 0).await?;
    let second = stage.produce(producer(1, None), &send).await?;
    let ended = |incarnation: u32| {
        move |heard: &Heard| heard.incarnation == incarnation && matches!(heard.says, Some(MemberSays::Ended(_)))
    };
    let MemberSays::Ended(rival) = wait_for(&mut heard, ended(1)).await? else { return Err("no end was told".into()) };
    second.gone().await;
    // The first wakes up and commits.
    first.go().await;
    let MemberSays::Ended(zombie) = wait_for(&mut heard, ended(0)).await? else { return Err("no end was told".into()) };
    first.gone().await;
    settle(stage, &topic, PATIENCE).await?;
    let mut shown = Shown::default();
    shown.check("commits of the second that succeeded", 1, u64::from(rival.error.is_none()));
    let is_fenced = zombie.error.as_ref().is_some_and(|error| error.to_lowercase().contains("fenced"));
    shown.check("commits of the first that were refused as fenced", 1, u64::from(is_fenced));
    let committed = stage.read(&topic, Isolation::ReadCommitted).await?;
    let all = stage.read(&topic, Isolation::ReadUncommitted).await?;
    shown.check("messages of the second that are visible", MESSAGES, of(&committed, 1));
    shown.check("messages of the first that are visible", 0, of(&committed, 0));
    shown.control("messages of the first in the log", MESSAGES, of(&all, 0));
    Ok(shown)
}

pub(super) async fn successor(stage: &Stage<'_>) -> Result<Shown, String> {
    let (topic, id) = (stage.topic("successor").await?, stage.transactional_id("successor"));
    let (send, mut heard) = mpsc::unbounded_channel();
    let producer = |incarnation: u32, stop_at: Option<Point>| life(&id, &topic, incarnation, stop_at);
    let first = stage.produce(producer(0, Some(Point::AfterProduce)), &send).await?;
    wait_reached(&mut heard, 0).await?;
    first.kill().await;
    let mut shown = Shown::default();
    let is_held = stage.ends(&topic).await?.iter().any(|(stable, high)| stable < high);
    shown.control("topics held up before the successor starts", 1, u64::from(is_held));
    let begun = Instant::now();
    let second = stage.produce(producer(1, None), &send).await?;
    second.gone().await;
    settle(stage, &topic, PATIENCE).await?;
    shown.times.push(Time {
        what: "from the successor's start until nothing is held up".into(),
        seconds: begun.elapsed().as_secs_f64(),
        // At once: long before the transaction would have run out of time.
        bound_s: Some(LONG.as_secs_f64() / 4.0),
    });
    let committed = stage.read(&topic, Isolation::ReadCommitted).await?;
    shown.check("messages of the successor that are visible", MESSAGES, of(&committed, 1));
    shown.check("messages of the dead producer that are visible", 0, of(&committed, 0));
    let all = stage.read(&topic, Isolation::ReadUncommitted).await?;
    shown.control("messages of the dead producer in the log", MESSAGES, of(&all, 0));
    Ok(shown)
}

pub(super) async fn timeout(stage: &Stage<'_>) -> Result<Shown, String> {
    let (topic, id) = (stage.topic("timeout").await?, stage.transactional_id("timeout"));
    let cleanup = stage.cleanup_interval().await;
    let (send, mut heard) = mpsc::unbounded_channel();
    let dead = Producer { timeout: SHORT, ..life(&id, &topic, 0, Some(Point::AfterProduce)) };
    let producer = stage.produce(dead, &send).await?;
    wait_reached(&mut heard, 0).await?;
    producer.kill().await;
    // A sound producer's messages behind those of the dead one.
    let other = stage.transactional_id("behind");
    let behind = Producer { member: 1, id: &other, stop_at: None, timeout: LONG, ..dead };
    let begun = Instant::now();
    stage.produce(behind, &send).await?.gone().await;
    let visible = stage.read(&topic, Isolation::ReadCommitted).await?;
    let mut shown = Shown::default();
    let of_other = |headers: &[Header]| headers.iter().filter(|header| header.stream == 1).count() as u64;
    let held_up = MESSAGES - of_other(&visible);
    shown.control("whether committed messages behind it are held up", 1, u64::from(held_up > 0));
    let bound = SHORT + cleanup + SLACK;
    loop {
        let ends = stage.ends(&topic).await?;
        let (last_stable, high_watermark) = ends.iter().fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
        shown.stall.push(StallSample { at_s: begun.elapsed().as_secs_f64(), last_stable, high_watermark });
        if last_stable == high_watermark {
            break;
        }
        if begun.elapsed() >= bound {
            return Err(format!("the transaction still holds up readers after {} s", bound.as_secs()));
        }
        tokio::time::sleep(LOOK).await;
    }
    shown.times.push(Time {
        what: format!(
            "stall: from the producer's death until nothing is held up (transaction.timeout.ms {} s, looked at every {} s)",
            SHORT.as_secs(),
            cleanup.as_secs()
        ),
        seconds: begun.elapsed().as_secs_f64(),
        bound_s: Some(bound.as_secs_f64()),
    });
    let committed = stage.read(&topic, Isolation::ReadCommitted).await?;
    shown.check("messages of the dead producer that are visible", 0, of(&committed, 0) - of_other(&committed));
    shown.check("messages behind it that are visible in the end", MESSAGES, of_other(&committed));
    Ok(shown)
}
