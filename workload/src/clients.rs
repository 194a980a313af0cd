//! librdkafka clients as the patterns use them: what the user set, and what each role needs.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ackmark_schema::{
    process::{MemberSpec, ProcessWork},
    properties::Property,
};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{Producer as _, ProducerContext, ThreadedProducer},
};

use crate::error::{Doing as _, WorkloadError};

/// How often it is looked whether all is acknowledged.
const DRAIN_LOOK: Duration = Duration::from_micros(200);

/// For the producers of pipelines, unless the user says otherwise.
///
/// - A linger that is enough for a burst to go in few requests, and one of them in flight. With more, librdkafka 2.12.1's
///   idempotent producer polls without a pause from the end of the linger until the request before is answered
///   (`rd_kafka_toppar_producer_serve` compares messages with its limit).
/// - A short `retry.backoff.ms` (default 100). A commit is answered before its markers are everywhere; the next
///   transaction's first requests are refused with `CONCURRENT_TRANSACTIONS` until then, and tried again after it. Cycles of
///   100 messages took 125 ms with 100, 88 with 20, 50 with 5 (three local brokers, medians of 100 cycles).
const PIPELINE: [(&str, &str); 3] =
    [("linger.ms", "1"), ("max.in.flight.requests.per.connection", "1"), ("retry.backoff.ms", "5")];

/// A consumer that counts revocations.
pub(crate) type Consumer = BaseConsumer<Membership>;
/// A producer that is polled by a thread of its own, and counts what was not delivered.
pub(crate) type Producer = ThreadedProducer<Deliveries>;

/// What a pattern is made with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Properties of any client: how Kafka is reached, and the user's own.
    common: Vec<Property>,
    /// The member, from 0.
    member: u32,
    /// Its work.
    pub(crate) work: ProcessWork,
}

/// Properties that only a producer, or only a consumer, takes.
enum Role {
    Consumer,
    Producer,
}

impl Settings {
    /// Those of a member.
    pub(crate) fn new(spec: &MemberSpec, work: &ProcessWork) -> Self {
        Self { common: spec.properties.clone(), member: spec.member, work: work.clone() }
    }

    fn client(&self, role: &Role) -> ClientConfig {
        let mut config = client(&self.common);
        // What the pattern rests on wins: a user's value of it was refused before.
        for (name, value) in self.work.pattern.about().properties {
            let is_producers = matches!(*name, "enable.idempotence" | "acks");
            if is_producers == matches!(role, Role::Producer) {
                config.set(*name, *value);
            }
        }
        config
    }

    /// A member of the group, subscribed to the input.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub(crate) fn consumer(&self) -> Result<Consumer, WorkloadError> {
        let mut config = self.client(&Role::Consumer);
        config.set("group.id", &self.work.group).set("auto.offset.reset", "earliest");
        if self.work.is_static {
            config.set("group.instance.id", format!("{}-{}", self.work.group, self.member));
        }
        let consumer: Consumer = config.create_with_context(Membership::default()).doing("create a consumer")?;
        consumer.subscribe(&[&self.work.input]).doing("subscribe")?;
        Ok(consumer)
    }

    /// A producer; with a `transactional.id` of the member's own for a pattern with transactions, so that a next life
    /// fences this one.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub(crate) fn producer(&self, is_transactional: bool) -> Result<Producer, WorkloadError> {
        let mut config = self.client(&Role::Producer);
        for (name, value) in PIPELINE {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        if is_transactional {
            config.set("transactional.id", format!("{}-{}", self.work.group, self.member));
        }
        config.create_with_context(Deliveries::default()).doing("create a producer")
    }

    /// The output topic.
    ///
    /// # Errors
    /// None was given.
    pub(crate) fn output(&self) -> Result<&str, WorkloadError> {
        let missing = WorkloadError::Missing { pattern: self.work.pattern.name(), what: "an output topic" };
        self.work.output.as_deref().ok_or(missing)
    }
}

/// A client with what the user set.
pub(crate) fn client(properties: &[Property]) -> ClientConfig {
    let mut config = ClientConfig::new();
    for property in properties {
        config.set(&property.name, &property.value);
    }
    config.set("enable.metrics.push", "false").set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Rebalances, as a member sees them.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    revocations: AtomicU64,
    is_held: AtomicBool,
}

impl Membership {
    /// From now on partitions are paused as they are assigned.
    pub(crate) fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    /// From now on they are not. Revocations are counted from here.
    pub(crate) fn release(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        self.revocations.store(0, Ordering::Relaxed);
    }

    /// Revocations so far.
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Relaxed)
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        eprintln!("{level:?} {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("error: {error}: {reason}");
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(partitions) = rebalance else { return };
        self.revocations.fetch_add(1, Ordering::Relaxed);
        // A partition that goes while it is paused is paused still when it comes back.
        if self.is_held.load(Ordering::Relaxed)
            && let Err(error) = consumer.resume(partitions)
        {
            eprintln!("resume: {error}");
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let (true, Rebalance::Assign(partitions)) = (self.is_held.load(Ordering::Relaxed), rebalance)
            && let Err(error) = consumer.pause(partitions)
        {
            eprintln!("pause: {error}");
        }
    }
}

/// Waits until brokers have answered for all that was handed over. `flush` of the rdkafka crate (0.39) waits in steps of a
/// tenth of a second, as its `BaseProducer::poll` does not return before its time is up. Unlike librdkafka's flush this
/// does not cut short the linger: pipelines hand over a whole cycle in a burst, so theirs is short ([`PIPELINE`]).
///
/// # Errors
/// Not in time.
pub(crate) fn drain(producer: &Producer, timeout: Duration) -> Result<(), WorkloadError> {
    let begun = Instant::now();
    while producer.in_flight_count() > 0 {
        if begun.elapsed() >= timeout {
            let source = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
            return Err(WorkloadError::Kafka { doing: "wait for outputs to be acknowledged", source });
        }
        std::thread::sleep(DRAIN_LOOK);
    }
    Ok(())
}

/// What was not delivered.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    failed: AtomicU64,
    first: Mutex<Option<String>>,
}

impl Deliveries {
    /// Whether all was delivered that was flushed.
    ///
    /// # Errors
    /// What was not.
    pub(crate) fn all_delivered(&self) -> Result<(), WorkloadError> {
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            count => {
                let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
                Err(WorkloadError::NotDelivered { count, first })
            }
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        eprintln!("{level:?} {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("error: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.fetch_add(1, Ordering::Relaxed);
            self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        }
    }
}
