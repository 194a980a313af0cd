//! Closing a log before it is judged.
//!
//! Model: producers have ended. The last stable offset and the high watermark are recorded as found; each
//! transactional id is fenced, which ends what it had open; the last stable offset must reach the high
//! watermark; where messages were never acknowledged, end offsets must stand still for a stated time,
//! since such messages can still arrive (frames in a socket, a frozen broker); at last a sentinel is
//! written to each partition. A scan ends behind the sentinel.
//!
//! Limits: this closes the log for acknowledged messages. A message without an acknowledgement can arrive
//! even later than the quiet time, so it counts as absent *when closed*. What is not done by the deadline
//! leaves the log unsealed.

use std::time::{Duration, Instant};

use ackmark_schema::properties::Origin;
use ackmark_schema::record::{self, Header};
use ackmark_schema::report::seal::{SealReport, SealState, SealedPartition};
use jiff::Timestamp;

use crate::admin::{AdminClient, PartitionMetadata, PartitionOffsets};
use crate::errors::{ClientError, ErrorCode};
use crate::events::{DeliveryBatch, EventSink};
use crate::logs::LogSink;
use crate::outcome::Outcome;
use crate::producer::{MessageBatch, RawProducer};
use crate::properties::ClientProperties;

/// Pause between two looks at the offsets.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What a look at the offsets may take at least, also beyond the deadline: cut short, it would end the seal
/// with "timed out" in place of what it waited for.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What to close.
#[derive(Debug, Clone)]
pub struct SealPlan {
    /// The run in the sentinels' headers.
    pub run: u32,
    /// The topics.
    pub topics: Vec<String>,
    /// The run's transactional ids.
    pub transactional_ids: Vec<String>,
    /// Whether the run has, or may have, messages that were never acknowledged.
    pub unacknowledged: bool,
    /// How long end offsets must stand still then.
    pub quiet: Duration,
    /// The deadline for all steps together.
    pub timeout: Duration,
}

/// Closes the log of the plan's topics. A step that fails, or that is not done by the deadline, is no
/// error but leaves the log unsealed, with what was found until then: no partition, where no broker answers or a
/// topic is gone.
///
/// # Errors
/// A property is refused.
pub fn seal(connection: &ClientProperties, plan: &SealPlan, logs: &LogSink) -> Result<SealReport, ClientError> {
    let begun = Instant::now();
    let seal = Seal { connection, plan, logs, admin: AdminClient::new(connection, logs.clone())?, begun };
    let mut partitions = Vec::new();
    let mut report = SealReport {
        schema: ackmark_schema::version::SchemaId::default(),
        run: plan.run,
        finished: Timestamp::now(),
        duration_s: 0.0,
        state: SealState::Sealed,
        fenced: Vec::new(),
        quiet_s: None,
        messages_reserved: None,
        messages_resent: None,
        partitions: Vec::new(),
    };
    let closed = match seal.find() {
        Ok(found) => {
            partitions = found;
            seal.close(&mut partitions, &mut report)
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(reason) = closed {
        report.state = SealState::Unsealed { reason };
    }
    report.partitions = partitions;
    report.finished = Timestamp::now();
    report.duration_s = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// A seal under way.
struct Seal<'a> {
    connection: &'a ClientProperties,
    plan: &'a SealPlan,
    logs: &'a LogSink,
    admin: AdminClient,
    begun: Instant,
}

impl Seal<'_> {
    fn left(&self) -> Duration {
        self.plan.timeout.saturating_sub(self.begun.elapsed())
    }

    /// Each partition as it is found.
    fn find(&self) -> Result<Vec<SealedPartition>, ClientError> {
        let mut found = Vec::new();
        for topic in &self.plan.topics {
            found.extend(self.admin.offsets(topic, self.left())?.into_iter().map(|offsets| SealedPartition {
                topic: topic.clone(),
                partition: offsets.partition as u32,
                high_watermark_found: offsets.high,
                last_stable_offset_found: offsets.last_stable,
                sentinel_offset: None,
                end_offset: offsets.high,
            }));
        }
        Ok(found)
    }

    /// All steps, in order; the reason when one is not done.
    fn close(&self, partitions: &mut [SealedPartition], report: &mut SealReport) -> Result<(), String> {
        for id in &self.plan.transactional_ids {
            fence(self.connection, id, self.left(), self.logs.clone())
                .map_err(|error| format!("transactional.id {id} could not be fenced: {error}"))?;
            report.fenced.push(id.clone());
        }
        if !self.plan.transactional_ids.is_empty() {
            self.wait_until_stable()?;
        }
        if self.plan.unacknowledged {
            report.quiet_s = Some(self.wait_until_quiet()?.as_secs_f64());
        }
        self.write_sentinels(partitions)
    }

    fn offsets(&self) -> Result<Vec<PartitionOffsets>, String> {
        let mut all = Vec::new();
        for topic in &self.plan.topics {
            all.extend(self.admin.offsets(topic, self.left().max(LOOK_TIMEOUT)).map_err(|error| error.to_string())?);
        }
        Ok(all)
    }

    /// Until no open transaction holds back the last stable offset of any partition.
    fn wait_until_stable(&self) -> Result<(), String> {
        loop {
            let held_back = self.offsets()?.iter().filter(|offsets| offsets.last_stable < offsets.high).count();
            if held_back == 0 {
                return Ok(());
            }
            if self.left().is_zero() {
                return Err(format!(
                    "the last stable offset of {held_back} partition(s) stayed below the high watermark"
                ));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Until end offsets stood still for the quiet time; how long they did.
    fn wait_until_quiet(&self) -> Result<Duration, String> {
        let ends = || Ok::<_, String>(self.offsets()?.iter().map(|offsets| offsets.high).collect::<Vec<_>>());
        let mut before = ends()?;
        let mut since = Instant::now();
        while since.elapsed() < self.plan.quiet {
            if self.left().is_zero() {
                return Err(format!("end offsets did not stand still for {:?} by the deadline", self.plan.quiet));
            }
            std::thread::sleep(LOOK_INTERVAL.min(self.plan.quiet));
            let now = ends()?;
            if now != before {
                before = now;
                since = Instant::now();
            }
        }
        Ok(since.elapsed())
    }

    /// A sentinel to each partition: its offset closes the partition.
    fn write_sentinels(&self, partitions: &mut [SealedPartition]) -> Result<(), String> {
        let sentinel = sentinel(self.plan.run);
        for topic in &self.plan.topics {
            let of_topic: Vec<&mut SealedPartition> =
                partitions.iter_mut().filter(|entry| &entry.topic == topic).collect();
            let payloads = vec![sentinel.clone(); of_topic.len()];
            let written = write_last_messages(self.connection, topic, &payloads, self.left(), self.logs.clone())
                .map_err(|error| format!("no sentinel could be written to topic {topic}: {error}"))?;
            for (entry, message) in of_topic.into_iter().zip(written) {
                let offset = match message.result {
                    Ok(offset) if offset >= 0 => offset,
                    Ok(_) => {
                        return Err(format!("the offset of the sentinel in {topic}-{} is unknown", entry.partition));
                    }
                    Err(code) => return Err(self.not_written(topic, entry.partition, code)),
                };
                entry.sentinel_offset = Some(offset);
                entry.end_offset = offset + 1;
            }
        }
        Ok(())
    }
}

impl Seal<'_> {
    /// Why a partition took no sentinel. A time that is over does not say what was in the way; the partition does.
    fn not_written(&self, topic: &str, partition: u32, code: ErrorCode) -> String {
        let found = self.admin.topic(topic, LOOK_TIMEOUT).ok();
        let why = match found.as_ref().and_then(|found| found.partitions.get(partition as usize)) {
            Some(found) if found.leader.is_none() => {
                "it has no leader: bring the brokers back that are gone".to_owned()
            }
            Some(PartitionMetadata { isr, replicas, .. }) if isr.len() < replicas.len() => {
                let (in_sync, all) = (isr.len(), replicas.len());
                format!("{in_sync} of its {all} replicas are in sync: bring the brokers back that are gone")
            }
            _ => format!("{}; {}", code.description(), code.cure()),
        };
        format!("no sentinel could be written to {topic}-{partition}: {code}; {why}")
    }
}

/// The value of a sentinel: a header of the run, of no producer's stream.
fn sentinel(run: u32) -> Vec<u8> {
    let now = Timestamp::now().as_nanosecond();
    let header = Header {
        run,
        stream: record::SENTINEL_STREAM,
        sequence: 0,
        attempt: 0,
        incarnation: 0,
        transaction: 0,
        intended_ns: u64::try_from(now).unwrap_or(0),
        send_delay_us: 0,
        sentinel: true,
        warm_up: false,
        source: None,
    };
    let mut value = vec![0; header.encoded_len()];
    header.encode(&mut value, record::body_checksum(&[]));
    value
}

/// Ends whatever a transactional id has open: a new producer of that id takes the next epoch, which
/// fences older ones and aborts their transaction. Returns once the coordinator has done so.
///
/// # Errors
/// The step that failed; see [`crate::TransactionError`].
pub fn fence(
    connection: &ClientProperties,
    transactional_id: &str,
    timeout: Duration,
    logs: LogSink,
) -> Result<(), ClientError> {
    let mut properties = connection.connection_only();
    properties.set("transactional.id", transactional_id, Origin::Tool);
    RawProducer::new(&properties, logs)?.init_transactions(timeout)?;
    Ok(())
}

/// Where a last message came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastMessage {
    /// Its partition.
    pub partition: i32,
    /// Its offset, or why it was not acknowledged in time.
    pub result: Result<i64, ErrorCode>,
}

/// Writes one message to each partition (`payloads[i]` to partition *i*), idempotently with acks=all, and
/// waits for the acknowledgements. One entry per partition, in order.
///
/// # Errors
/// A property or topic name that librdkafka refuses. What brokers refuse is in the entries.
pub fn write_last_messages(
    connection: &ClientProperties,
    topic: &str,
    payloads: &[Vec<u8>],
    timeout: Duration,
    logs: LogSink,
) -> Result<Vec<LastMessage>, ClientError> {
    let mut properties = connection.connection_only();
    // Its own client: one client cannot hold two acks settings for a topic.
    properties
        .set("acks", "all", Origin::Tool)
        .set("enable.idempotence", "true", Origin::Tool)
        .set("linger.ms", "0", Origin::Tool)
        .set("message.timeout.ms", &timeout.as_millis().max(1).to_string(), Origin::Tool);
    let producer = RawProducer::new(&properties, logs)?;
    let topic = producer.topic(topic)?;
    let waiting = |partition| LastMessage { partition, result: Err(ErrorCode::TIMED_OUT) };
    let mut offsets = Offsets((0..).zip(payloads).map(|(partition, _)| waiting(partition)).collect());
    for (i, payload) in payloads.iter().enumerate() {
        let mut batch = MessageBatch::new(1);
        batch.set(0, payload, None, i as u64);
        let partition = offsets.0[i].partition;
        if let Some(code) = producer.produce_run(&topic, partition, &mut batch).first_error() {
            offsets.0[i].result = Err(code);
        }
    }
    producer.drain(timeout, &mut offsets);
    Ok(offsets.0)
}

struct Offsets(Vec<LastMessage>);

impl EventSink for Offsets {
    fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
        for message in batch.iter() {
            self.0[message.opaque() as usize].result = match (message.outcome(), message.error_code()) {
                // Under idempotence a duplicate is a success without an offset.
                (Outcome::Acknowledged, _) => Ok(message.offset().unwrap_or(-1)),
                (_, code) => Err(code.unwrap_or(ErrorCode::UNKNOWN)),
            };
        }
    }

    fn error(&mut self, _code: ErrorCode, _reason: &str, _fatal: bool) {}
}
