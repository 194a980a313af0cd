//! The application's eye: librdkafka consumers with an isolation level, one per thread.
//!
//! Partitions are spread over threads, each account is owned by the thread that reads it. A partition is
//! read from its start to its end offset; without ends (a live scan) until they become known. Batches whose
//! checksum is wrong are not shown by librdkafka: the scan is incomplete then.
//!
//! Bounds: a scan that makes no progress for a stated time, or reaches its deadline, ends as incomplete
//! with the reason. librdkafka queues at most 256 MiB, all threads together.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ackmark_client::{
    BatchConsumer, ClientError, ClientProperties, ErrorCode, Fetched, FetchedBatch, LogSink, StartOffset,
    events::{DeliveryBatch, EventSink},
    fast_read_properties,
};
use ackmark_ledger::ReservedMarks;
use ackmark_schema::{manifest::Manifest, properties::Origin, report::verify::Isolation};

use crate::{
    accounting::{Eye, PartitionAccount, Witness},
    evidence::ScanAccounts,
    latency::LatencySeconds,
    live::{LiveWitness, Sightings},
    observation::{Observation, Record},
};

/// Name of this reader in reports.
pub const READER: &str = "librdkafka-consumer";
const QUEUED_KIB_MAX: usize = 256 * 1024;
/// How often the calling thread looks at what goes on beside.
const TICK: Duration = Duration::from_millis(50);
/// After this time without an answer a broker counts as gone: below [`Limits::no_progress`], so that a scan goes on
/// with another leader when one is frozen. librdkafka's default is a minute. A link must carry one answer to a Fetch
/// (`fetch.max.bytes`, 64 MiB at most) in this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// librdkafka's `_AUTO_OFFSET_RESET`: the offset is not in the log and the policy is to say so.
const AUTO_OFFSET_RESET: i32 = -140;
/// librdkafka's `_BAD_MSG`: the checksum of a batch is wrong.
const BAD_MSG: i32 = -199;

/// A partition to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Index into the manifest's topics.
    pub topic: u32,
    /// Partition.
    pub partition: u32,
    /// Where to begin.
    pub start: i64,
    /// The first offset that the log has.
    pub log_start: i64,
}

/// How long a scan may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time without progress once ends are known.
    pub no_progress: Duration,
    /// Longest time without progress while a load is followed.
    pub idle: Duration,
    /// Longest time for one scan as a whole.
    pub deadline: Duration,
}

/// One scan.
#[derive(Debug)]
pub struct ScanPlan<'a> {
    /// How to reach the brokers.
    pub connection: &'a ClientProperties,
    /// What it is shown.
    pub isolation: Isolation,
    /// Whether it follows a load.
    pub live: bool,
    /// Threads, each with its own consumer.
    pub threads: usize,
    /// The run.
    pub manifest: &'a Manifest,
    /// How far it has come.
    pub marks: &'a Arc<ReservedMarks>,
    /// What to read.
    pub targets: &'a [Target],
    /// Whether what is shown is summed up, to be compared with another reading.
    pub digest: bool,
    /// Bounds.
    pub limits: Limits,
}

/// What others may look at while a scan runs.
#[derive(Debug, Default)]
pub struct ScanState {
    /// End offset of each target, once known.
    pub ends: OnceLock<Vec<i64>>,
    /// Records read so far.
    pub records: AtomicU64,
    /// Why there is nothing left to be read.
    pub gone: OnceLock<String>,
    /// The first intended send time that a live scan saw, nanoseconds since the Unix epoch.
    pub origin_ns: Arc<OnceLock<u64>>,
}

/// What a scan brought.
#[derive(Debug)]
pub struct ScanOutcome {
    /// The accounts.
    pub accounts: ScanAccounts,
    /// Latency of a live scan.
    pub latency: Option<LatencySeconds>,
    /// How long it took.
    pub duration: Duration,
}

/// Reads all targets. `tick` runs on the calling thread twenty times per second.
///
/// # Errors
/// A consumer that cannot be made. What cannot be read leaves the scan incomplete.
///
/// # Panics
/// When a reading thread panicked.
pub fn scan(
    plan: &ScanPlan<'_>,
    state: &ScanState,
    stop: &AtomicBool,
    mut tick: impl FnMut(),
) -> Result<ScanOutcome, ClientError> {
    let begun = Instant::now();
    let threads = plan.threads.clamp(1, plan.targets.len().max(1));
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let own: Vec<usize> = (thread..plan.targets.len()).step_by(threads).collect();
                scope.spawn(move || Worker::new(plan, state, &own, threads)?.run(plan, state, stop))
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            tick();
            std::thread::park_timeout(TICK);
        }
        workers.into_iter().map(|worker| worker.join().expect("a reading thread panicked")).collect::<Vec<_>>()
    });
    let mut accounts = ScanAccounts {
        isolation: plan.isolation,
        incomplete: None,
        partitions: Vec::with_capacity(plan.targets.len()),
        sightings: plan.live.then(Sightings::default),
    };
    let mut latency = plan.live.then(|| LatencySeconds::new(Arc::clone(&state.origin_ns)));
    for part in parts {
        let part = match part {
            Ok(part) => part,
            // Brokers that went away meanwhile; the others' parts stay.
            Err(error @ ClientError::Operation { .. }) => {
                accounts.incomplete.get_or_insert(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        accounts.partitions.extend(part.accounts);
        accounts.incomplete = accounts.incomplete.or(part.incomplete);
        if let (Some((sightings, seconds)), Some(all), Some(latency)) =
            (part.live, &mut accounts.sightings, &mut latency)
        {
            all.merge(sightings);
            latency.merge(&seconds);
        }
    }
    accounts.partitions.sort_by(|a, b| (a.topic(), a.partition()).cmp(&(b.topic(), b.partition())));
    Ok(ScanOutcome { accounts, latency, duration: begun.elapsed() })
}

/// What one thread brought.
struct Part {
    accounts: Vec<PartitionAccount>,
    incomplete: Option<String>,
    live: Option<(Sightings, LatencySeconds)>,
}

/// A partition that a worker reads.
struct Assigned {
    /// Index into the plan's targets.
    target: usize,
    account: PartitionAccount,
    done: bool,
}

impl Assigned {
    fn name(&self) -> String {
        format!("{}-{}", self.account.topic(), self.account.partition())
    }
}

/// One thread with its consumer.
struct Worker {
    consumer: BatchConsumer,
    assigned: Vec<Assigned>,
    /// By topic and partition.
    index: HashMap<(u32, i32), usize>,
    topics: Vec<String>,
    witness: Option<LiveWitness>,
    /// What could not be read.
    unreadable: Option<String>,
    /// The latest trouble: the likely cause when nothing comes any more.
    trouble: Option<String>,
}

impl Worker {
    fn new(plan: &ScanPlan<'_>, state: &ScanState, own: &[usize], threads: usize) -> Result<Self, ClientError> {
        let mut properties = fast_read_properties();
        properties.set("queued.max.messages.kbytes", &(QUEUED_KIB_MAX / threads).to_string(), Origin::Tool);
        properties.set("socket.timeout.ms", &ANSWER_TIMEOUT.as_millis().to_string(), Origin::Tool);
        properties.merge(&plan.connection.connection_only());
        properties.set("isolation.level", plan.isolation.as_str(), Origin::Tool);
        properties.set("check.crcs", "true", Origin::Tool);
        let mut consumer = BatchConsumer::new(&properties, LogSink::discard())?;
        let (mut assigned, mut index) = (Vec::new(), HashMap::new());
        for &number in own {
            let target = plan.targets[number];
            let topic = &plan.manifest.topics[target.topic as usize].name;
            consumer.assign(topic, target.partition as i32, StartOffset::At(target.start))?;
            let marks = Arc::clone(plan.marks);
            let mut account = PartitionAccount::new(
                plan.manifest,
                target.topic,
                target.partition,
                target.start,
                marks,
                Eye::Application,
            );
            if plan.digest {
                account = account.with_digest();
            }
            account.observe(&Observation::LogStart(target.log_start), &mut ());
            index.insert((target.topic, target.partition as i32), assigned.len());
            assigned.push(Assigned { target: number, account, done: false });
        }
        Ok(Self {
            consumer,
            assigned,
            index,
            topics: plan.manifest.topics.iter().map(|topic| topic.name.clone()).collect(),
            witness: plan.live.then(|| LiveWitness::new(Arc::clone(&state.origin_ns), threads)),
            unreadable: None,
            trouble: None,
        })
    }

    fn run(mut self, plan: &ScanPlan<'_>, state: &ScanState, stop: &AtomicBool) -> Result<Part, ClientError> {
        let begun = Instant::now();
        let mut progress = Instant::now();
        // A live poll is short, since a batch is handed over only when it is full or the time is up.
        let timeout = Duration::from_millis(if plan.live { 1 } else { 20 });
        let mut positions = self.positions();
        let incomplete = loop {
            let ends = state.ends.get().map(Vec::as_slice);
            self.finish_partitions(ends)?;
            if self.assigned.iter().all(|assigned| assigned.done) {
                break None;
            }
            if stop.load(Ordering::Relaxed) {
                break Some("interrupted".to_owned());
            }
            if let Some(reason) = state.gone.get() {
                break Some(reason.clone());
            }
            state.records.fetch_add(self.read_batch(timeout, ends), Ordering::Relaxed);
            self.consumer.poll_events(Duration::ZERO, &mut Troubles(&mut self.trouble));
            let now = self.positions();
            if now != positions {
                (positions, progress) = (now, Instant::now());
            }
            let patience = if ends.is_some() { plan.limits.no_progress } else { plan.limits.idle };
            if progress.elapsed() > patience {
                break Some(self.stuck(ends, patience));
            }
            if begun.elapsed() > plan.limits.deadline {
                break Some(format!("not done within {:?}", plan.limits.deadline));
            }
        };
        Ok(Part {
            accounts: self.assigned.into_iter().map(|assigned| assigned.account).collect(),
            incomplete: self.unreadable.or(incomplete),
            live: self.witness.map(LiveWitness::finish),
        })
    }

    /// A number that changes when any position does.
    fn positions(&self) -> i64 {
        self.assigned.iter().fold(0, |sum, assigned| sum.wrapping_add(assigned.account.position()))
    }

    /// Stops reading partitions that are at their end.
    fn finish_partitions(&mut self, ends: Option<&[i64]>) -> Result<(), ClientError> {
        let Some(ends) = ends else { return Ok(()) };
        for assigned in self.assigned.iter_mut().filter(|assigned| !assigned.done) {
            if assigned.account.position() >= ends[assigned.target] {
                assigned.done = true;
                self.consumer.unassign(assigned.account.topic(), assigned.account.partition() as i32)?;
            }
        }
        Ok(())
    }

    fn stuck(&self, ends: Option<&[i64]>, patience: Duration) -> String {
        let trouble = self.trouble.as_ref().map_or(String::new(), |trouble| format!(" ({trouble})"));
        let Some(ends) = ends else {
            return format!("nothing came for {patience:?} and the log was not sealed{trouble}");
        };
        let behind: Vec<_> = self.assigned.iter().filter(|assigned| !assigned.done).collect();
        let first = behind.first().map_or(String::new(), |assigned| {
            format!("{} stands at offset {} of {}", assigned.name(), assigned.account.position(), ends[assigned.target])
        });
        format!("no progress for {patience:?}: {first}, {} partitions unfinished{trouble}", behind.len())
    }

    /// Reads one batch into the accounts; how many records it had.
    fn read_batch(&mut self, timeout: Duration, ends: Option<&[i64]>) -> u64 {
        let batch = self.consumer.poll_batch(timeout);
        if batch.is_empty() {
            return 0;
        }
        let mut desk = Desk {
            assigned: &mut self.assigned,
            index: &self.index,
            topics: &self.topics,
            unreadable: &mut self.unreadable,
            trouble: &mut self.trouble,
            ends,
        };
        match &mut self.witness {
            Some(witness) => {
                witness.batch(now_ns());
                desk.take(batch, witness)
            }
            None => desk.take(batch, &mut ()),
        }
    }
}

/// Sorts a batch into observations of partitions.
struct Desk<'a> {
    assigned: &'a mut [Assigned],
    index: &'a HashMap<(u32, i32), usize>,
    topics: &'a [String],
    unreadable: &'a mut Option<String>,
    trouble: &'a mut Option<String>,
    ends: Option<&'a [i64]>,
}

impl Desk<'_> {
    fn take(&mut self, batch: FetchedBatch<'_>, witness: &mut impl Witness) -> u64 {
        let mut records = Vec::with_capacity(batch.len());
        // The partition that `records` are of: entries of one partition come in runs.
        let mut current = usize::MAX;
        let mut key = -1;
        let mut count = 0;
        for entry in batch.iter() {
            let (topic, partition) = match entry {
                Fetched::Record(record) if self.topics.len() == 1 => (None, record.partition()),
                Fetched::Record(record) => (Some(record.topic()), record.partition()),
                Fetched::End { topic, partition, .. } | Fetched::Error { topic, partition, .. } => {
                    (Some(topic), partition)
                }
            };
            if topic.is_some() || partition != key || current == usize::MAX {
                self.hand_over(current, &mut records, witness);
                key = partition;
                current = self.find(topic, partition).unwrap_or(usize::MAX);
            }
            match entry {
                Fetched::Record(record) => {
                    count += 1;
                    if current != usize::MAX && self.is_before_end(current, record.offset()) {
                        records.push(Record { offset: record.offset(), value: record.payload() });
                    }
                }
                Fetched::End { offset, .. } if current != usize::MAX => {
                    self.assigned[current].account.observe(&Observation::End(offset), witness);
                }
                Fetched::End { .. } => {}
                Fetched::Error { offset, code, reason, .. } => self.failed(current, offset, code, reason),
            }
        }
        self.hand_over(current, &mut records, witness);
        count
    }

    fn find(&self, topic: Option<&str>, partition: i32) -> Option<usize> {
        let topic = match topic {
            None => 0,
            Some(name) => self.topics.iter().position(|known| known == name)?,
        };
        self.index.get(&(topic as u32, partition)).copied()
    }

    fn is_before_end(&self, index: usize, offset: i64) -> bool {
        self.ends.is_none_or(|ends| offset < ends[self.assigned[index].target])
    }

    /// Hands records of one partition over, cut where offsets are missing.
    fn hand_over(&mut self, index: usize, records: &mut Vec<Record<'_>>, witness: &mut impl Witness) {
        if let Some(assigned) = self.assigned.get_mut(index) {
            let mut rest = records.as_slice();
            while let Some(first) = rest.first() {
                let position = assigned.account.position();
                if first.offset > position {
                    let gap = Observation::Hidden { from: position, end: first.offset };
                    assigned.account.observe(&gap, witness);
                }
                let dense = rest.windows(2).position(|pair| pair[1].offset != pair[0].offset + 1);
                let (run, after) = rest.split_at(dense.map_or(rest.len(), |at| at + 1));
                assigned.account.observe(&Observation::Records(run), witness);
                rest = after;
            }
        }
        records.clear();
    }

    #[cold]
    fn failed(&mut self, index: usize, offset: i64, code: ErrorCode, reason: &str) {
        let place = self.assigned.get(index).map_or("the client".to_owned(), Assigned::name);
        let what = format!("{place}: {code} {reason}");
        if code.raw() == BAD_MSG || code == ErrorCode::INVALID_MSG {
            self.unreadable.get_or_insert(format!("{place}: a batch at offset {offset} cannot be read: {reason}"));
        } else if code.raw() == AUTO_OFFSET_RESET || code == ErrorCode::OFFSET_OUT_OF_RANGE {
            self.unreadable.get_or_insert(format!("{place}: offset {offset} is not in the log: {reason}"));
            if let Some(assigned) = self.assigned.get_mut(index) {
                assigned.done = true;
            }
        }
        *self.trouble = Some(what);
    }
}

/// Keeps the latest error of a client.
struct Troubles<'a>(&'a mut Option<String>);

impl EventSink for Troubles<'_> {
    fn delivery(&mut self, _batch: &DeliveryBatch<'_>) {}

    fn error(&mut self, code: ErrorCode, reason: &str, _fatal: bool) {
        *self.0 = Some(format!("{code} {reason}"));
    }
}

pub(crate) fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
