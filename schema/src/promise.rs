//! What a delivery setting may and must not do, derived from what is in effect.
//!
//! Model: the promise follows from the producer's properties as librdkafka reports them, and from the
//! topic's replication factor and `min.insync.replicas`; a profile's name plays no part. It holds for
//! the failures that these settings are made for: up to `min.insync.replicas - 1` brokers lost at
//! once, clean leader elections, and a page cache that survives (Kafka does not fsync by default).
//!
//! Sources: Kafka's documentation of producer configs (`acks`, `enable.idempotence`, `retries`,
//! `max.in.flight.requests.per.connection`), KIP-98 (idempotence, transactions), KIP-679.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Class,
    properties::{self, Property},
};

/// What the promise is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// Acknowledgements asked for.
    pub acks: Acks,
    /// `enable.idempotence`.
    pub idempotence: bool,
    /// Whether a `transactional.id` is set.
    pub transactional: bool,
    /// `retries`: how often a client sends a message again.
    pub retries: u32,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: u32,
    /// Replicas per partition.
    pub replication_factor: u32,
    /// The topic's `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// The topic's `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
}

/// The `acks` property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Acks {
    /// `acks=0`: none.
    None,
    /// `acks=1`: the leader.
    Leader,
    /// `acks=all` (-1): all in-sync replicas.
    All,
}

/// The topic facts that a promise rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicFacts {
    /// Replicas per partition, the fewest of any partition.
    pub replication_factor: u32,
    /// `min.insync.replicas` in effect.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable` in effect.
    pub unclean_leader_election: bool,
}

/// How a promise rules on a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// One occurrence breaks the promise.
    MustNot,
    /// Allowed, and counted.
    May,
    /// Cannot occur with this setting, or is no failure: counted where seen.
    NoClaim,
}

/// One class and how it is ruled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// The class.
    pub class: Class,
    /// The ruling.
    pub ruling: Ruling,
    /// Why, in a few words.
    pub reason: String,
}

/// The whole promise: one clause per class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// What it follows from.
    pub basis: Basis,
    /// One clause per class of [`Class::ALL`], in that order.
    pub clauses: Vec<Clause>,
}

impl Basis {
    /// Reads the basis from the properties in effect.
    ///
    /// # Errors
    /// A property that is missing or has a value that librdkafka does not know.
    pub fn from_effective(effective: &[Property], topic: TopicFacts) -> Result<Self, String> {
        let get = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| properties::value(effective, name))
                .ok_or_else(|| format!("`{}` is missing among the properties in effect", names[0]))
        };
        let number = |names: &[&str]| {
            let text = get(names)?;
            text.parse::<u32>().map_err(|_| format!("`{}` = \"{text}\" is not a whole number", names[0]))
        };
        let acks = match get(&["acks", "request.required.acks"])? {
            "0" => Acks::None,
            "1" => Acks::Leader,
            "-1" | "all" => Acks::All,
            other => {
                return Err(format!(
                    "acks = \"{other}\": librdkafka passes other numbers on, Kafka knows 0, 1 and all"
                ));
            }
        };
        Ok(Self {
            acks,
            idempotence: get(&["enable.idempotence"])? == "true",
            transactional: properties::value(effective, "transactional.id").is_some_and(|id| !id.is_empty()),
            retries: number(&["retries", "message.send.max.retries"])?,
            max_in_flight: number(&["max.in.flight.requests.per.connection", "max.in.flight"])?,
            replication_factor: topic.replication_factor,
            min_insync_replicas: topic.min_insync_replicas,
            unclean_leader_election: topic.unclean_leader_election,
        })
    }
}

impl Promise {
    /// Derives the promise, tightened by `must_not`.
    pub fn derive(basis: Basis, must_not: &[Class]) -> Self {
        let clauses = Class::ALL
            .into_iter()
            .map(|class| {
                let (ruling, reason) = rule(class, &basis);
                match (ruling, must_not.contains(&class)) {
                    (Ruling::May | Ruling::NoClaim, true) => {
                        Clause { class, ruling: Ruling::MustNot, reason: "the profile demands it".into() }
                    }
                    _ => Clause { class, ruling, reason },
                }
            })
            .collect();
        Self { basis, clauses }
    }

    /// The clause of a class.
    ///
    /// # Panics
    /// Never for a promise made by [`Promise::derive`].
    pub fn clause(&self, class: Class) -> &Clause {
        self.clauses.iter().find(|clause| clause.class == class).expect("a promise rules on every class")
    }
}

fn rule(class: Class, basis: &Basis) -> (Ruling, String) {
    use Ruling::{May, MustNot, NoClaim};
    let say = |ruling, reason: &str| (ruling, reason.to_owned());
    let transactional_only = |reason: &str| {
        if basis.transactional { say(MustNot, reason) } else { say(NoClaim, "no transactions") }
    };
    match class {
        Class::Lost => lost(basis),
        Class::AbsentWhenClosed if basis.acks == Acks::None => say(May, "acks=0: nothing is acknowledged"),
        Class::AbsentWhenClosed => say(May, "never acknowledged"),
        Class::Expired => say(NoClaim, "retention is not delivery; it leaves the verdict open"),
        Class::DuplicateRetry | Class::Reordered if basis.idempotence => say(MustNot, "enable.idempotence=true"),
        Class::DuplicateRetry if basis.acks == Acks::None && basis.retries == 0 => {
            say(MustNot, "acks=0 and retries=0: nothing is sent twice")
        }
        Class::DuplicateRetry => say(May, "a retry without idempotence may be stored twice"),
        Class::DuplicateResend if basis.transactional => say(MustNot, "a resend belongs to a transaction of its own"),
        Class::DuplicateResend => say(May, "an application that sends again is not deduplicated"),
        Class::Reordered if basis.retries == 0 && basis.acks == Acks::None => {
            say(May, "a new leader is written to by another connection")
        }
        // One request in flight does not help: what an old connection still holds can be stored late.
        Class::Reordered => say(May, "a retried request can arrive after a later one"),
        Class::FailedVisible => say(MustNot, "what the sender knows to be rejected was never stored"),
        Class::AbortedVisible | Class::EarlyVisible => {
            transactional_only("read_committed shows committed messages only")
        }
        // What loses acknowledged messages loses parts of transactions and commit markers too.
        Class::TornTransaction | Class::CommittedInvisible if basis.transactional && lost(basis).0 == May => {
            lost(basis)
        }
        Class::TornTransaction => transactional_only("all of a transaction or none of it"),
        Class::CommittedInvisible => transactional_only("a committed message is visible"),
        Class::StuckLso => transactional_only("once its producer has been fenced no transaction stays open"),
        Class::ZombieWrite => transactional_only("a fenced producer's writes are refused"),
        Class::Phantom => say(MustNot, "nothing is invented"),
        Class::Corrupt => say(MustNot, "what is stored is what was sent"),
        Class::InconsistentOffset => say(MustNot, "an offset has one value"),
        Class::NonMonotonicRead => say(MustNot, "a partition is read in order"),
        Class::OffsetGap => say(MustNot, "a log that is not compacted holds something at every offset"),
    }
}

fn lost(basis: &Basis) -> (Ruling, String) {
    let (rf, min_isr) = (basis.replication_factor, basis.min_insync_replicas);
    match basis.acks {
        Acks::None => (Ruling::NoClaim, "acks=0: nothing is acknowledged, so nothing counts as lost".into()),
        Acks::Leader => (Ruling::May, "acks=1: when the leader dies before a follower has copied".into()),
        Acks::All if basis.unclean_leader_election => {
            (Ruling::May, "unclean.leader.election.enable=true: a stale replica may become leader".into())
        }
        Acks::All if min_isr < 2 => {
            (Ruling::May, format!("acks=all with min.insync.replicas={min_isr}: one copy is enough to acknowledge"))
        }
        Acks::All => (
            Ruling::MustNot,
            format!(
                "acks=all, replication factor {rf}, min.insync.replicas={min_isr}: survives {} lost broker(s)",
                min_isr - 1
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::properties::Origin;

    const TOPIC: TopicFacts =
        TopicFacts { replication_factor: 3, min_insync_replicas: 2, unclean_leader_election: false };

    fn effective(pairs: &[(&str, &str)]) -> Vec<Property> {
        let mut all = vec![("acks", "-1"), ("enable.idempotence", "false"), ("retries", "5"), ("max.in.flight", "5")];
        for pair in pairs {
            all.retain(|(name, _)| name != &pair.0);
            all.push(*pair);
        }
        let property =
            |(name, value): (&str, &str)| Property { name: name.into(), value: value.into(), origin: Origin::Flag };
        all.into_iter().map(property).collect()
    }

    fn ruling(pairs: &[(&str, &str)], topic: TopicFacts, class: Class) -> Ruling {
        let basis = Basis::from_effective(&effective(pairs), topic).unwrap();
        Promise::derive(basis, &[]).clause(class).ruling
    }

    #[test]
    fn loss_is_ruled_by_acks_and_by_the_topic() {
        assert_eq!(ruling(&[], TOPIC, Class::Lost), Ruling::MustNot);
        assert_eq!(ruling(&[("acks", "1")], TOPIC, Class::Lost), Ruling::May);
        assert_eq!(ruling(&[("acks", "0")], TOPIC, Class::Lost), Ruling::NoClaim);
        assert_eq!(ruling(&[], TopicFacts { min_insync_replicas: 1, ..TOPIC }, Class::Lost), Ruling::May);
        assert_eq!(ruling(&[], TopicFacts { unclean_leader_election: true, ..TOPIC }, Class::Lost), Ruling::May);
    }

    #[test]
    fn duplicates_and_order_are_ruled_by_idempotence() {
        for class in [Class::DuplicateRetry, Class::Reordered] {
            assert_eq!(ruling(&[], TOPIC, class), Ruling::May);
            assert_eq!(ruling(&[("enable.idempotence", "true")], TOPIC, class), Ruling::MustNot);
        }
        assert_eq!(ruling(&[("max.in.flight", "1")], TOPIC, Class::Reordered), Ruling::May);
        assert_eq!(ruling(&[("acks", "0"), ("retries", "0")], TOPIC, Class::DuplicateRetry), Ruling::MustNot);
    }

    #[test]
    fn transactions_add_their_clauses_and_a_profile_can_only_tighten() {
        let torn = Class::TornTransaction;
        assert_eq!(ruling(&[], TOPIC, torn), Ruling::NoClaim);
        assert_eq!(ruling(&[("transactional.id", "t")], TOPIC, torn), Ruling::MustNot);
        let one_copy = TopicFacts { min_insync_replicas: 1, ..TOPIC };
        assert_eq!(ruling(&[("transactional.id", "t")], one_copy, torn), Ruling::May);
        let basis = Basis::from_effective(&effective(&[]), TOPIC).unwrap();
        let promise = Promise::derive(basis, &[Class::Reordered]);
        assert_eq!(promise.clause(Class::Reordered).ruling, Ruling::MustNot);
        assert_eq!(promise.clauses.len(), Class::ALL.len());
    }

    #[test]
    fn a_basis_without_acks_is_refused() {
        let error = Basis::from_effective(&[], TOPIC).unwrap_err();
        assert!(error.contains("`acks` is missing"), "{error}");
        assert!(Basis::from_effective(&effective(&[("acks", "2")]), TOPIC).is_err());
    }
}
