//! From a requirement to a setting: which profile or pattern keeps it, with what properties, for librdkafka and for the
//! Java client.
//!
//! Pure; a test holds it against what patterns promise. The weakest setting that keeps the requirement is the
//! answer, for each stronger one costs more.

use std::time::Duration;

use ackmark_schema::{
    process::Pattern,
    profile::{self, Profile},
};
use serde::Serialize;

/// What a program does with Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// It writes messages
    Produce,
    /// It reads messages, and has effects outside of Kafka
    Consume,
    /// It reads messages and writes others for them
    Transform,
}

/// A requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Requirement {
    /// What the program does.
    pub(crate) role: Role,
    /// Whether a message may be lost.
    pub(crate) may_lose: bool,
    /// Whether a message may be there, or have its effect, twice.
    pub(crate) may_duplicate: bool,
    /// Whether messages of several topics or partitions must all become visible, or none.
    pub(crate) together: bool,
    /// The longest time until a reader may see a message.
    #[serde(skip)]
    pub(crate) latency: Option<Duration>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Recommendation {
    /// Profile or pattern.
    pub(crate) setting: String,
    /// Why this one.
    pub(crate) why: String,
    /// Properties for librdkafka, and for the Java client where it has one of the kind.
    pub(crate) properties: Vec<Recommended>,
    /// What properties alone do not do.
    pub(crate) also: Vec<String>,
}

/// A property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Recommended {
    /// Whose.
    pub(crate) client: Client,
    /// librdkafka's name and value.
    pub(crate) librdkafka: (String, String),
    /// The Java client's.
    pub(crate) java: Option<(String, String)>,
}

/// Whose property it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    /// The producer's.
    Producer,
    /// The consumer's.
    Consumer,
}

/// The weakest setting that keeps a requirement.
pub(crate) fn recommend(requirement: &Requirement) -> Recommendation {
    match requirement.role {
        Role::Produce => producer(requirement),
        Role::Consume => consumer(requirement),
        Role::Transform => pipeline(requirement),
    }
}

fn producer(requirement: &Requirement) -> Recommendation {
    let Requirement { may_lose, may_duplicate, together, latency, .. } = *requirement;
    let (name, why) = match (together, may_lose, may_duplicate) {
        (true, ..) => (
            "transactional",
            "only transactions make the messages of several partitions and topics visible all or none",
        ),
        (false, true, false) => {
            ("at-most-once", "what may be lost need not be sent twice: nothing is retried, so nothing is doubled")
        }
        (false, true, true) => {
            ("leader-ack", "one copy acknowledges, retries fill most gaps; what that leader has alone is lost with it")
        }
        (false, false, true) => {
            ("all-acks", "an acknowledged message survives a lost broker; a retry may double or reorder it")
        }
        (false, false, false) => {
            ("idempotent", "brokers recognise what a client retries, so none is doubled or reordered within its life")
        }
    };
    let profile = built_in(name);
    let mut properties = of_profile(&profile);
    let mut also =
        vec!["the topic: replication.factor=3, min.insync.replicas=2, unclean.leader.election.enable=false".to_owned()];
    if may_lose {
        also.clear();
    } else {
        also.push("the program: look at every delivery report, and flush before it ends; what it drops itself no setting saves".into());
    }
    if name == "all-acks" {
        also.push("where order matters: idempotent, for a retry may put a message behind later ones here".into());
    }
    if name == "idempotent" {
        also.push("an application that sends again what it is not sure of, after a restart or a time-out, doubles it all the same: let readers remove copies by an id, or use transactions".into());
    }
    if name == "transactional" {
        properties.push(property(Client::Producer, "transactional.id", "<one per producer, the same after a restart>"));
        properties.push(property(Client::Consumer, "isolation.level", "read_committed"));
        let duration = latency.map_or_else(|| "100ms".to_owned(), |latency| format!("{:?}", latency / 2));
        also.push(format!(
            "commit at least every {duration}: a message is shown when its transaction is committed, with all before it"
        ));
    } else if let Some(latency) = latency {
        // Half of the bound is left for the way and the queue.
        let linger = (latency / 2).as_millis().min(50).to_string();
        properties.retain(|known| known.librdkafka.0 != "linger.ms");
        properties.push(property(Client::Producer, "linger.ms", &linger));
    }
    Recommendation { setting: name.to_owned(), why: why.to_owned(), properties, also }
}

fn consumer(requirement: &Requirement) -> Recommendation {
    let (pattern, why) = match (requirement.may_lose, requirement.may_duplicate) {
        (true, true) => (
            Pattern::AutoCommit,
            "offsets are committed in the background; a crash skips what was in hand, and may repeat a little",
        ),
        (false, true) => (
            Pattern::CommitAfter,
            "offsets are committed once their messages are processed; a crash repeats what was not committed",
        ),
        (_, false) => (
            Pattern::Deduplicate,
            "only the store of the effects can tell that a message had its effect: its id is written in the same transaction",
        ),
    };
    let mut also = Vec::new();
    if pattern == Pattern::Deduplicate {
        also.push("keep ids for longer than a message and its copy can lie apart; what falls out of that window is taken for a new message".to_owned());
        also.push("where effects have no transactions, make them idempotent: an upsert by the message's id".to_owned());
    }
    if requirement.together {
        also.push(
            "isolation.level=read_committed, to see all messages of a transaction or none: those of each partition at a moment \
             of their own"
                .to_owned(),
        );
    }
    if let Some(latency) = requirement.latency {
        also.push(format!(
            "a message is fetched as soon as it may be read (fetch.min.bytes=1, the default): within {latency:?} is for its \
             producer, and for how long the processing of those before it takes"
        ));
    }
    of_pattern(pattern, why, also)
}

fn pipeline(requirement: &Requirement) -> Recommendation {
    if requirement.may_duplicate && !requirement.together {
        return of_pattern(
            Pattern::Copy,
            "outputs are acknowledged before the offsets of their inputs are committed; a crash repeats what was not committed",
            Vec::new(),
        );
    }
    let mut also = vec!["readers of the output: isolation.level=read_committed".to_owned()];
    if let Some(latency) = requirement.latency {
        also.push(format!("cycles of at most {:?}: an output is shown when its cycle is committed", latency / 2));
    }
    of_pattern(
        Pattern::ExactlyOnce,
        "the offsets of the inputs are committed in the transaction of their outputs, so both are there or neither",
        also,
    )
}

fn built_in(name: &str) -> Profile {
    profile::built_in().into_iter().find(|profile| profile.name == name).expect("a built-in profile")
}

fn of_profile(profile: &Profile) -> Vec<Recommended> {
    profile.properties.iter().map(|(name, value)| property(Client::Producer, name, value)).collect()
}

fn of_pattern(pattern: Pattern, why: &str, mut also: Vec<String>) -> Recommendation {
    let about = pattern.about();
    let mut properties: Vec<Recommended> = about
        .properties
        .iter()
        .map(|(name, value)| {
            let is_producers = matches!(*name, "acks" | "enable.idempotence");
            property(if is_producers { Client::Producer } else { Client::Consumer }, name, value)
        })
        .collect();
    if pattern == Pattern::ExactlyOnce {
        properties.push(property(Client::Producer, "transactional.id", "<one per member, the same after a restart>"));
    }
    also.insert(0, format!("the loop: {}", about.source));
    Recommendation { setting: pattern.name().to_owned(), why: why.to_owned(), properties, also }
}

fn property(client: Client, name: &str, value: &str) -> Recommended {
    Recommended { client, librdkafka: (name.to_owned(), value.to_owned()), java: java(name, value) }
}

/// The Java client's property of the kind. Names are the same where both have one; of librdkafka's own, those that
/// profiles and patterns set are here.
fn java(name: &str, value: &str) -> Option<(String, String)> {
    match name {
        // The Java client has no counterpart: its offsets are those of the last poll.
        "enable.auto.offset.store" | "batch.num.messages" => None,
        "message.timeout.ms" => Some(("delivery.timeout.ms".into(), value.into())),
        // The Java client bounds retries by time.
        "retries" if value != "0" => None,
        _ => Some((name.into(), value.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(role: Role, may_lose: bool, may_duplicate: bool, together: bool) -> String {
        recommend(&Requirement { role, may_lose, may_duplicate, together, latency: None }).setting
    }

    #[test]
    fn the_weakest_setting_that_keeps_it_is_recommended() {
        assert_eq!(setting(Role::Produce, true, true, false), "leader-ack");
        assert_eq!(setting(Role::Produce, true, false, false), "at-most-once");
        assert_eq!(setting(Role::Produce, false, true, false), "all-acks");
        assert_eq!(setting(Role::Produce, false, false, false), "idempotent");
        assert_eq!(setting(Role::Produce, true, true, true), "transactional");
        assert_eq!(setting(Role::Consume, true, true, false), "auto-commit");
        assert_eq!(setting(Role::Consume, false, true, false), "commit-after");
        assert_eq!(setting(Role::Consume, false, false, true), "deduplicate");
        assert_eq!(setting(Role::Transform, false, true, false), "copy");
        assert_eq!(setting(Role::Transform, false, false, false), "exactly-once");
    }

    #[test]
    fn no_pattern_is_recommended_that_may_do_what_is_forbidden() {
        use ackmark_schema::{process::Deviation, promise::Ruling};
        for role in [Role::Consume, Role::Transform] {
            for bits in 0..8 {
                let (may_lose, may_duplicate, together) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
                let named = setting(role, may_lose, may_duplicate, together);
                let pattern = Pattern::ALL.into_iter().find(|pattern| pattern.name() == named).expect("a pattern");
                for term in pattern.about().terms.iter().filter(|term| term.ruling == Ruling::May) {
                    let is_forbidden = match term.deviation {
                        Deviation::Skipped => !may_lose,
                        Deviation::Repeated => !may_duplicate,
                        Deviation::Uncommitted | Deviation::Unfounded => false,
                    };
                    assert!(!is_forbidden, "{named} may show {:?}", term.deviation);
                }
            }
        }
    }

    #[test]
    fn a_bound_on_latency_becomes_a_linger_or_the_length_of_a_transaction() {
        let of = |together| {
            recommend(&Requirement {
                role: Role::Produce,
                may_lose: false,
                may_duplicate: false,
                together,
                latency: Some(Duration::from_millis(20)),
            })
        };
        let linger = property(Client::Producer, "linger.ms", "10");
        assert!(of(false).properties.contains(&linger));
        assert!(of(true).also.iter().any(|also| also.contains("every 10ms")), "{:?}", of(true).also);
        let requirement = Requirement {
            role: Role::Consume,
            may_lose: false,
            may_duplicate: true,
            together: false,
            latency: Some(Duration::from_millis(20)),
        };
        let also = recommend(&requirement).also;
        assert!(also.iter().any(|also| also.contains("within 20ms is for its producer")), "{also:?}");
    }

    #[test]
    fn java_has_its_own_names() {
        assert_eq!(java("message.timeout.ms", "5"), Some(("delivery.timeout.ms".into(), "5".into())));
        assert_eq!(java("enable.auto.offset.store", "true"), None);
        assert_eq!(java("acks", "all"), Some(("acks".into(), "all".into())));
    }
}
