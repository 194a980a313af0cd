//! Follows the coordinators of transactions while a load runs.
//!
//! A thread asks coordinators, and the leaders of the load's topics, once a second over connections of its own, and never
//! makes the load wait. A broker that does not answer leaves that time unknown; one that refuses, or does not speak it,
//! ends the following.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use ackmark_client::ClientProperties;
use ackmark_schema::{
    report::coordinators::{Coordinators, Look, Told, UnderWay},
    result::Warning,
    version::SchemaId,
};
use ackmark_wire::{
    config::WireConfig,
    error::WireError,
    patience::Patience,
    transactions::{Coordinator, OpenTransaction, Scope, Survey, Surveyor},
};
use jiff::Timestamp;

use crate::{checks::transactions as checks, connection};

/// From one look to the next, at first.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A transaction that is open for longer than this, and than twice what the load asks for, is warned of.
const LONG_MIN: Duration = Duration::from_secs(30);
/// Looks that are kept: at so many every second one goes, and half as many come from then on.
const LOOKS_MAX: usize = 4_000;

/// Follows until it is told to end.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Coordinators>>,
}

impl Watch {
    /// Begins to follow the coordinators of the cluster of these properties, and the leaders of `topics`; the load's
    /// transactions are to take `asked`.
    pub(crate) fn begin(properties: &ClientProperties, topics: &[String], asked: Option<Duration>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let servers = properties.value("bootstrap.servers").unwrap_or_default().to_owned();
        let config = connection::wire(&properties.connection_only()).map_err(|problem| problem.message);
        let long = LONG_MIN.max(asked.unwrap_or_default() * 2);
        let (topics, until) = (topics.to_vec(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || match config {
            Ok(config) => follow(&config, &topics, &servers, long, &until),
            Err(why) => Coordinators { given_up: Some(why), ..none_yet() },
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; `None` where it did not survive.
    pub(crate) fn end(mut self) -> Option<Coordinators> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for Watch {
    /// A load that fails does not wait for the answers.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn none_yet() -> Coordinators {
    Coordinators {
        schema: SchemaId::default(),
        started: Timestamp::now(),
        looks: Vec::new(),
        warnings: Vec::new(),
        given_up: None,
    }
}

fn follow(config: &WireConfig, topics: &[String], servers: &str, long: Duration, stop: &AtomicBool) -> Coordinators {
    let (mut report, begun) = (none_yet(), Instant::now());
    let (mut surveyor, mut before) = (Surveyor::new(config), Before::default());
    let (mut interval, mut due) = (INTERVAL, Duration::ZERO);
    while Patience::new(stop, interval * 2).pause(due.saturating_sub(begun.elapsed())) {
        let at_s = begun.elapsed().as_secs_f64();
        match surveyor.survey(Scope::Topics(topics), &Patience::new(stop, TIMEOUT)) {
            Ok(mut survey) => {
                let now_ms = checks::now_ms();
                let told = before.compare(&mut survey, now_ms);
                report.looks.push(Look { at_s, told: Told::Answered(told) });
                let warnings = warnings(&survey, long, now_ms, servers);
                if !warnings.is_empty() {
                    report.warnings = warnings;
                }
            }
            Err(WireError::Stopped) => break,
            Err(error) if may_answer_later(&error) => {
                report.looks.push(Look { at_s, told: Told::Unanswered { why: error.to_string() } });
            }
            Err(error) => {
                report.given_up = Some(error.to_string());
                break;
            }
        }
        if report.looks.len() >= LOOKS_MAX {
            thin(&mut report.looks);
            interval *= 2;
        }
        // Where answers took long, looks are left out rather than made up for.
        due = (due + interval).max(begun.elapsed());
    }
    report
}

/// Leaves every second one out.
fn thin(looks: &mut Vec<Look>) {
    let mut is_kept = false;
    looks.retain(|_| {
        is_kept = !is_kept;
        is_kept
    });
}

/// Whether another look may find what this one did not: not where a broker refuses, or does not speak it.
fn may_answer_later(error: &WireError) -> bool {
    match error {
        WireError::NoBroker { last } => may_answer_later(last),
        WireError::Connect(_) | WireError::Disconnected { .. } => true,
        other => other.is_retriable(),
    }
}

/// What the next look is compared with.
#[derive(Default)]
struct Before {
    /// Transactions that no coordinator told of.
    unknown: Vec<OpenTransaction>,
    /// As they were when all of them were known last.
    coordinators: Option<Vec<Coordinator>>,
}

impl Before {
    /// What is under way. Of what no coordinator told, that is left in the survey which was there before too.
    fn compare(&mut self, survey: &mut Survey, now_ms: i64) -> UnderWay {
        let then = std::mem::replace(&mut self.unknown, survey.unknown.clone());
        survey.retain_unknown_of(&then);
        let ongoing = || survey.coordinated.iter().filter(|one| one.is_ongoing());
        let oldest = ongoing().filter(|one| one.started_ms.is_some()).max_by_key(|one| one.age(now_ms));
        UnderWay {
            ids: survey.coordinated.len() as u64,
            under_way: ongoing().count() as u64,
            oldest_ms: oldest.map(|one| one.age(now_ms).as_millis() as u64),
            oldest_id: oldest.map(|one| one.id.clone()),
            open_on_partitions: survey.open.len() as u64,
            unaccounted: survey.settled.then_some(survey.unknown.len() as u64),
            not_examined: survey.unseen as u64,
            coordinator_epoch: survey.coordinator_epoch(),
            coordinators_changed: self.changed(survey),
        }
    }

    fn changed(&mut self, survey: &Survey) -> Option<u64> {
        let now = survey.coordinators.as_ref()?;
        let then = self.coordinators.replace(now.clone())?;
        Some(then.iter().filter(|one| !now.contains(one)).count() as u64)
    }
}

/// Long ones as `ackmark doctor` tells them; those that no coordinator told of are left to it, since they may be sound
/// ones of which this user is told nothing.
fn warnings(survey: &Survey, long: Duration, now_ms: i64, servers: &str) -> Vec<Warning> {
    let unaccounted = survey.unknown.first().filter(|_| survey.settled).map(|one| Warning {
        what: format!(
            "{} transactions are open without a coordinator that told of them, the first on {}-{} from offset {}",
            survey.unknown.len(),
            one.topic,
            one.partition,
            one.first_offset
        ),
        cure: format!("`ackmark doctor -b {servers}` tells whether they hang, and how they are ended"),
    });
    let long = checks::long_ones(survey, long, now_ms).into_iter();
    let long = long.map(|check| Warning { what: check.found, cure: check.cure.unwrap_or_default() });
    unaccounted.into_iter().chain(long).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_wire::{config::Address, metadata::Broker, transactions::Transaction};

    use super::*;

    const NOW_MS: i64 = 100_000;

    fn of(id: &str, state: &str, started_ms: Option<i64>) -> Transaction {
        Transaction {
            id: id.into(),
            state: state.into(),
            producer_id: 1,
            producer_epoch: 0,
            timeout: Duration::from_mins(1),
            started_ms,
            partitions: [("orders".to_owned(), vec![0])].into(),
            coordinator: Broker { id: 1, address: Address { host: "h".into(), port: 1 } },
        }
    }

    fn open(producer_id: i64) -> OpenTransaction {
        let (topic, coordinator_epoch) = ("orders".to_owned(), 0);
        OpenTransaction { topic, partition: 0, producer_id, producer_epoch: 0, first_offset: 5, coordinator_epoch }
    }

    fn survey(unknown: &[OpenTransaction], coordinators: &[(i32, i32)]) -> Survey {
        let at = |(partition, (broker, epoch)): (usize, &(i32, i32))| Coordinator {
            partition: partition as i32,
            broker: *broker,
            epoch: *epoch,
        };
        Survey {
            coordinated: vec![
                of("old", "Ongoing", Some(NOW_MS - 40_000)),
                of("young", "PrepareCommit", Some(NOW_MS - 200)),
                of("done", "CompleteCommit", Some(NOW_MS - 90_000)),
            ],
            open: unknown.to_vec(),
            unknown: unknown.to_vec(),
            unseen: 1,
            coordinators: Some(coordinators.iter().enumerate().map(at).collect()),
            settled: true,
        }
    }

    #[test]
    fn a_look_counts_what_is_under_way_and_what_changed_since_the_one_before() {
        let mut before = Before::default();
        let first = before.compare(&mut survey(&[open(9)], &[(1, 4), (2, 7)]), NOW_MS);
        let expected = UnderWay {
            ids: 3,
            under_way: 2,
            oldest_ms: Some(40_000),
            oldest_id: Some("old".into()),
            open_on_partitions: 1,
            unaccounted: Some(0),
            not_examined: 1,
            coordinator_epoch: Some(7),
            coordinators_changed: None,
        };
        assert_eq!(first, expected, "what is seen once may have just ended");
        let second = before.compare(&mut survey(&[open(8), open(9)], &[(1, 4), (3, 8)]), NOW_MS);
        assert_eq!(
            (second.unaccounted, second.coordinators_changed, second.coordinator_epoch),
            (Some(1), Some(1), Some(8))
        );
        let unknown = Survey { coordinators: None, settled: false, ..survey(&[open(8), open(9)], &[]) };
        let third = before.compare(&mut unknown.clone(), NOW_MS);
        assert_eq!(
            (third.unaccounted, third.coordinators_changed, third.coordinator_epoch),
            (None, None, None),
            "what is not known is not zero"
        );
        let fourth = before.compare(&mut survey(&[], &[(1, 4), (3, 9)]), NOW_MS);
        assert_eq!(fourth.coordinators_changed, Some(1), "beside the last look that knew them");
    }

    #[test]
    fn long_transactions_and_those_without_a_coordinator_are_told_with_their_cure() {
        let told = warnings(&survey(&[open(9)], &[(1, 4)]), LONG_MIN, NOW_MS, "h:1");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].what.contains("orders-0 from offset 5") && told[0].cure.contains("doctor -b h:1"), "{told:?}");
        assert!(told[1].what.starts_with("old: Ongoing, began 40.0 s ago"), "{told:?}");
        assert!(warnings(&survey(&[], &[]), Duration::from_mins(1), NOW_MS, "h:1").is_empty());
    }

    #[test]
    fn of_too_many_looks_every_second_one_is_kept() {
        let look = |at: u32| Look { at_s: f64::from(at), told: Told::Answered(UnderWay::default()) };
        let mut looks: Vec<Look> = (0..5).map(look).collect();
        thin(&mut looks);
        assert_eq!(looks.iter().map(|look| look.at_s).collect::<Vec<_>>(), [0.0, 2.0, 4.0]);
    }

    #[test]
    fn a_cluster_that_cannot_be_asked_is_told_and_ends_it() {
        let mut properties = ClientProperties::default();
        properties.set("bootstrap.servers", "h:1", ackmark_schema::properties::Origin::Flag);
        properties.set("security.protocol", "SASL_SSL", ackmark_schema::properties::Origin::Flag);
        properties.set("sasl.mechanisms", "GSSAPI", ackmark_schema::properties::Origin::Flag);
        let report = Watch::begin(&properties, &[], None).end().unwrap();
        assert!(report.given_up.is_some() && report.looks.is_empty(), "{report:?}");
    }
}
