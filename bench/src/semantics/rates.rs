//! What each setting costs: as fast as possible, in interleaved rounds, each time in another order.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ackmark_schema::{
    latency::LatencySummary,
    process::Pattern,
    profile::{self, Profile},
};
use rand::seq::SliceRandom as _;

use super::{stage::Stage, transactions::LINGER};

/// Messages that warm the brokers.
const WARM_UP: &str = "3000000";
/// Messages that a group reads in a round.
const INPUT: &str = "12000";
/// The most that a producer sends in a round.
const SENT_MAX: &str = "500000";
/// Of a cycle, where nothing else is said.
const BATCH: u64 = 1_000;
/// The transactions of the profile.
const DURATION: &str = "100ms";

/// A setting or a variant of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rated {
    /// A producer's profile; for transactions their duration.
    Producer { profile: String, duration: Option<&'static str> },
    /// A pattern, in cycles of so many messages.
    Group { pattern: Pattern, batch: u64 },
}

impl Rated {
    /// A profile as it is compared with others.
    pub(super) fn profile(profile: &Profile) -> Self {
        let duration = profile.transactions.is_some().then_some(DURATION);
        Self::Producer { profile: profile.name.clone(), duration }
    }

    /// A pattern as it is compared with others.
    pub(super) fn pattern(pattern: Pattern) -> Self {
        Self::Group { pattern, batch: BATCH }
    }
}

/// What a round brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    /// Messages per second.
    pub(super) rate: f64,
    /// Median of a transaction's commit, or of a cycle, microseconds.
    pub(super) median_us: Option<u64>,
}

/// What rounds brought, by setting; a round in which one failed is left out for all.
pub(super) type Measured = BTreeMap<Rated, Vec<Reached>>;

/// What rounds brought, and why some did not.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// How many were measured.
    pub(super) done: u32,
    pub(super) measured: Measured,
    pub(super) failed: Vec<String>,
}

/// All settings and variants, in order.
fn all() -> Vec<Rated> {
    let profiles = profile::built_in().into_iter().map(|profile| Rated::profile(&profile));
    let transactions =
        ["10ms", "1s"].map(|duration| Rated::Producer { profile: "transactional".into(), duration: Some(duration) });
    let patterns = Pattern::ALL.map(Rated::pattern);
    let batches = [100, 10_000].map(|batch| Rated::Group { pattern: Pattern::ExactlyOnce, batch });
    profiles.chain(transactions).chain(patterns).chain(batches).collect()
}

/// Cold brokers are several times slower.
pub(super) async fn warm_up(stage: &Stage<'_>) -> Result<(), String> {
    let topic = stage.topic("warm-up").await?;
    let flags = ["-t", &topic, "--profile", "all-acks", "--size", "100B", "--messages", WARM_UP];
    stage.load("warm-up", &[&flags[..], &["--unverified", "--warm-up", "0s"]].concat()).await?;
    stage.delete(topic).await
}

/// Measures all, in one round at least. What fails in a round leaves that round out for all; one that would most likely end
/// too late is not begun.
pub(super) async fn measure(stage: &Stage<'_>, rounds: u32, until: Instant) -> Result<Rounds, String> {
    let input = stage.topic("rates").await?;
    let flags = ["-t", &input, "--profile", "all-acks", "--size", "1KiB", "--messages", INPUT];
    stage
        .load("rates-input", &[&flags[..], &["--keys", "uniform:600", "--warm-up", "0s", "--no-seal"]].concat())
        .await?;
    let mut rounds_done = Rounds::default();
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let begun = Instant::now();
        if round > 0 && begun + longest > until {
            break;
        }
        match one_round(stage, round, &input).await {
            Ok(reached) => {
                rounds_done.done += 1;
                for (rated, one) in reached {
                    rounds_done.measured.entry(rated).or_default().push(one);
                }
            }
            Err(error) => rounds_done.failed.push(format!("round {round} of the rates: {error}")),
        }
        longest = longest.max(begun.elapsed());
        if stage.stopping() {
            break;
        }
    }
    Ok(rounds_done)
}

/// All settings once, in random order.
async fn one_round(stage: &Stage<'_>, round: u32, input: &str) -> Result<BTreeMap<Rated, Reached>, String> {
    let mut order = all();
    order.shuffle(&mut rand::rng());
    let mut reached = BTreeMap::new();
    for rated in order {
        if stage.stopping() {
            return Err("interrupted".into());
        }
        let name = format!("rate-{round}-{}", reached.len());
        let one = match &rated {
            Rated::Producer { profile, duration } => produce(stage, &name, profile, *duration).await?,
            Rated::Group { pattern, batch } => process(stage, &name, input, *pattern, *batch).await?,
        };
        reached.insert(rated, one);
    }
    Ok(reached)
}

async fn produce(
    stage: &Stage<'_>,
    name: &str,
    profile: &str,
    duration: Option<&'static str>,
) -> Result<Reached, String> {
    let topic = stage.topic(name).await?;
    let flags = ["-t", &topic, "--profile", profile, "--size", "1KiB", "--warm-up", "500ms", "--duration", "1s"];
    let bounds = ["--no-seal", "--messages", SENT_MAX, "-X", LINGER];
    let transactions: Vec<&str> = duration.map_or(vec![], |duration| vec!["--transaction-duration", duration]);
    let report = stage.load(name, &[&flags[..], &bounds, &transactions].concat()).await;
    stage.delete(topic).await?;
    let report = report?;
    let commit = report.transactions.as_ref().and_then(|figures| median(&figures.commit));
    Ok(Reached { rate: report.measured.delivered_per_s, median_us: commit })
}

async fn process(stage: &Stage<'_>, name: &str, input: &str, pattern: Pattern, batch: u64) -> Result<Reached, String> {
    let (batch, output) = (batch.to_string(), stage.topic_name(name));
    let to: Vec<&str> = if pattern.has_output() { vec!["--to", &output] } else { vec![] };
    let flags = [pattern.name(), "-t", input, "--batch", &batch];
    let (report, _) = stage.process(name, &[&flags[..], &to].concat()).await?;
    let life = report.lives.first().filter(|life| life.error.is_none() && life.busy_s > 0.0);
    let life =
        life.ok_or_else(|| format!("{pattern}: no member came to its end: {}", report.error.unwrap_or_default()))?;
    Ok(Reached { rate: life.messages as f64 / life.busy_s, median_us: median(&life.cycle) })
}

fn median(summary: &LatencySummary) -> Option<u64> {
    summary.at(50.0).and_then(|entry| entry.value_us)
}
