//! Transactions under way in a Kafka, and those that never end. It is only asked; nothing is written.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ackmark_client::ClientProperties;
use ackmark_wire::{
    config::WireConfig,
    error::WireError,
    patience::Patience,
    transactions::{OpenTransaction, Scope, Survey, Surveyor, Transaction},
};

use super::{Check, State};
use crate::{connection, figures};

/// A broker that says nothing for so long is given up, and all of it takes no longer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Coordinators look for transactions that have run out of time this often
/// (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
const CLEANUP: Duration = Duration::from_secs(10);
/// How many are told one by one.
const TOLD_MAX: usize = 10;
const WHAT: &str = "transactions";

/// Before leaders and coordinators are asked once more of what no coordinator told of.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks a Kafka. Warns of transactions that are open for longer than `old`.
pub(crate) fn all(properties: &ClientProperties, old: Duration) -> Vec<Check> {
    let servers = properties.value("bootstrap.servers").unwrap_or_default();
    let config = match connection::wire(&properties.connection_only()) {
        Ok(config) => config,
        Err(problem) => return vec![unexamined(&problem.message, "ask over PLAINTEXT, TLS, SASL PLAIN or SCRAM")],
    };
    match ask(&config) {
        Ok(found) => judge(&found, old, now_ms(), servers),
        Err(error @ WireError::NotSpoken { .. }) => vec![unexamined(&error, "brokers tell it from Kafka 3.0 on")],
        Err(error) => {
            vec![unexamined(
                &error,
                "look again when all brokers answer; asking needs READ on topics and DESCRIBE on transactional ids",
            )]
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

fn unexamined(error: impl std::fmt::Display, cure: &str) -> Check {
    Check::cured(WHAT, State::Warn, format!("not examined: {error}"), cure)
}

fn ask(config: &WireConfig) -> Result<Survey, WireError> {
    let stop = AtomicBool::new(false);
    let patience = Patience::new(&stop, TIMEOUT);
    let mut surveyor = Surveyor::new(config);
    let mut found = surveyor.survey(Scope::Cluster, &patience)?;
    if !found.unknown.is_empty() && patience.pause(PAUSE) {
        // What hangs is there the next time, too.
        let first = std::mem::take(&mut found.unknown);
        let settled = found.settled;
        found = surveyor.survey(Scope::Cluster, &patience)?;
        found.settled &= settled;
        found.retain_unknown_of(&first);
    }
    Ok(found)
}

/// What a survey says: the sum, then what is long or hangs.
fn judge(found: &Survey, old: Duration, now_ms: i64, servers: &str) -> Vec<Check> {
    let ongoing = || found.coordinated.iter().filter(|one| one.is_ongoing());
    let oldest = ongoing().map(|one| one.age(now_ms)).max();
    let oldest = oldest.map(|age| format!(", the oldest for {}", figures::seconds(age.as_secs_f64())));
    let ids = found.coordinated.len();
    let sum = format!(
        "{ids} transactional ids, {} with a transaction under way{}; open on {} partitions{}",
        ongoing().count(),
        oldest.unwrap_or_default(),
        found.open.len(),
        found.coordinator_epoch().map(|epoch| format!("; coordinator epochs up to {epoch}")).unwrap_or_default()
    );
    let mut checks = vec![match found.unseen {
        0 => Check::ok(WHAT, sum),
        unseen => Check::cured(
            WHAT,
            State::Warn,
            format!("{sum}; {unseen} partitions or ids not examined"),
            "look again when all partitions have a leader, with READ on topics and DESCRIBE on transactional ids",
        ),
    }];
    let unknown = found.unknown.iter().map(|one| hangs(one, found.settled, servers));
    checks.extend(told(unknown.collect(), "hanging transactions"));
    checks.extend(long_ones(found, old, now_ms));
    checks
}

/// The transactions of a survey that are open for longer than `old`, the oldest first.
pub(crate) fn long_ones(found: &Survey, old: Duration, now_ms: i64) -> Vec<Check> {
    let mut slow: Vec<&Transaction> =
        found.coordinated.iter().filter(|one| one.is_ongoing() && one.age(now_ms) > old).collect();
    slow.sort_by_key(|one| std::cmp::Reverse(one.age(now_ms)));
    told(slow.iter().map(|one| long(one, one.age(now_ms))).collect(), "long transactions")
}

/// The first of them, and how many there are more.
fn told(mut checks: Vec<Check>, what: &'static str) -> Vec<Check> {
    let more = checks.len().saturating_sub(TOLD_MAX);
    checks.truncate(TOLD_MAX);
    if more > 0 {
        checks.push(Check::cured(what, State::Warn, format!("{more} more"), "end those above, then look again"));
    }
    checks
}

/// One that is open, or decided and not written, for long.
fn long(one: &Transaction, age: Duration) -> Check {
    let Transaction { id, state, producer_id, producer_epoch, timeout, coordinator, .. } = one;
    let seconds = |time: Duration| figures::seconds(time.as_secs_f64());
    let places: Vec<String> = one
        .partitions
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(move |partition| format!("{topic}-{partition}")))
        .take(TOLD_MAX)
        .collect();
    let found = format!(
        "{id}: {state}, began {} ago, producer {producer_id} epoch {producer_epoch}, {coordinator}, on {}",
        seconds(age),
        if places.is_empty() { "no partition".to_owned() } else { places.join(" ") }
    );
    let waiting = "readers with isolation.level=read_committed wait behind it";
    let cure = if state != "Ongoing" {
        format!("its end is decided, and {waiting}: if it stays so, see why its partitions' leaders take no marker")
    } else if age > *timeout + CLEANUP {
        format!("its time of {} is over, and {waiting}: see why its coordinator does not abort it", seconds(*timeout))
    } else {
        format!(
            "{waiting}: if its application is gone, one with the same transactional.id ends it as it starts; else it is aborted {} after it began",
            seconds(*timeout)
        )
    };
    Check::cured("a long transaction", State::Warn, found, cure)
}

/// One that no coordinator told of.
fn hangs(one: &OpenTransaction, settled: bool, servers: &str) -> Check {
    let OpenTransaction { topic, partition, producer_id, producer_epoch, first_offset, coordinator_epoch, .. } = one;
    let found = format!(
        "{topic}-{partition}: open from offset {first_offset} by producer {producer_id} epoch {producer_epoch}, coordinator epoch {coordinator_epoch}, and no coordinator told of it"
    );
    let cure = if settled {
        format!(
            "if this user may describe all transactional ids, it never ends, and readers with isolation.level=read_committed do not get past it: kafka-transactions.sh --bootstrap-server {servers} abort --topic {topic} --partition {partition} --start-offset {first_offset}"
        )
    } else {
        "coordinators moved, or have no leader, meanwhile: look again when the cluster is at rest".to_owned()
    };
    Check::cured("a hanging transaction", State::Warn, found, cure)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ackmark_wire::{config::Address, metadata::Broker, transactions::Coordinator};

    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn transaction(id: &str, state: &str, started_ms: Option<i64>) -> Transaction {
        Transaction {
            id: id.into(),
            state: state.into(),
            producer_id: 7,
            producer_epoch: 3,
            timeout: Duration::from_mins(1),
            started_ms,
            partitions: BTreeMap::from([("orders".into(), vec![0, 2])]),
            coordinator: Broker { id: 2, address: Address { host: "kafka".into(), port: 9092 } },
        }
    }

    fn told_of(coordinated: Vec<Transaction>, hanging: Vec<OpenTransaction>) -> Vec<Check> {
        let coordinators = Some(vec![Coordinator { partition: 0, broker: 2, epoch: 5 }]);
        let found =
            Survey { coordinated, open: hanging.clone(), unknown: hanging, unseen: 0, coordinators, settled: true };
        judge(&found, Duration::from_secs(30), NOW_MS, "kafka:9092")
    }

    #[test]
    fn transactions_that_are_open_for_long_are_named_with_their_cure() {
        let young = transaction("young", "Ongoing", Some(NOW_MS - 2_000));
        let told = told_of(vec![young.clone(), transaction("idle", "CompleteCommit", None)], vec![]);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].state, told[0].found.as_str()),
            (
                State::Ok,
                "2 transactional ids, 1 with a transaction under way, the oldest for 2.00 s; open on 0 partitions; coordinator epochs up to 5"
            )
        );
        let old = transaction("old", "Ongoing", Some(NOW_MS - 40_000));
        let over = transaction("over", "Ongoing", Some(NOW_MS - 90_000));
        let decided = transaction("decided", "PrepareCommit", Some(NOW_MS - 31_000));
        let told = told_of(vec![young, old, over, decided], vec![]);
        let named = |at: usize| (told[at].state, told[at].found.clone(), told[at].cure.clone().unwrap_or_default());
        let (state, found, cure) = named(1);
        assert_eq!(state, State::Warn);
        assert!(found.starts_with("over: Ongoing, began ") && found.contains("orders-0 orders-2"), "{found}");
        assert!(cure.contains("does not abort it"), "{cure}");
        let (_, found, cure) = named(2);
        assert!(found.starts_with("old: ") && found.contains("broker 2 (kafka:9092)"), "{found}");
        assert!(cure.contains("the same transactional.id ends it"), "{cure}");
        let (_, found, cure) = named(3);
        assert!(found.starts_with("decided: PrepareCommit") && cure.contains("take no marker"), "{found}: {cure}");
        assert_eq!(told.len(), 4);
    }

    #[test]
    fn one_that_hangs_is_named_and_many_are_counted() {
        let open = |partition| OpenTransaction {
            topic: "orders".into(),
            partition,
            producer_id: 9,
            producer_epoch: 0,
            first_offset: 17,
            coordinator_epoch: 4,
        };
        let told = told_of(vec![], (0..12).map(open).collect());
        assert_eq!(told.len(), 1 + 10 + 1);
        assert_eq!(told[1].state, State::Warn);
        assert!(told[1].found.contains("coordinator epoch 4"), "{}", told[1].found);
        let cure = told[1].cure.clone().unwrap_or_default();
        assert!(cure.ends_with("abort --topic orders --partition 0 --start-offset 17"), "{cure}");
        assert_eq!(told[11].found, "2 more");
        let moving = Survey { unknown: vec![open(0)], unseen: 3, ..Survey::default() };
        let told = judge(&moving, Duration::from_secs(30), NOW_MS, "kafka:9092");
        assert_eq!(told[0].state, State::Warn);
        assert!(told[0].found.ends_with("3 partitions or ids not examined"), "{}", told[0].found);
        // No command that would end a sound transaction.
        assert!(told[1].cure.as_deref().is_some_and(|cure| cure.ends_with("at rest")), "{:?}", told[1].cure);
    }
}
