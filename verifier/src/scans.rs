//! Who reads the log, up to which offsets, and what their scans say.
//!
//! At rest, by [`ReaderChoice`]:
//!
//! | choice | the whole log | what `read_committed` shows of transactions |
//! |---|---|---|
//! | auto | the log reader; a consumer where it does not speak what the cluster needs | a consumer, held against the markers |
//! | log | the log reader | what the markers say: what an application would be shown |
//! | consumer | a consumer | a consumer |
//! | both | the log reader, and a consumer that is compared with it | a consumer, compared with the markers |
//!
//! A promise on transactions is about what applications see, and brokers tell consumers of aborted transactions by an
//! index that is not in the log. So a consumer looks at it by default, and the markers alone only where that is asked
//! for. An isolation level that is asked for is a consumer's.
//!
//! A load is followed by a consumer: that is live latency, and when an application is shown what. Such a scan counts as
//! the consumer's of its level when it is complete, unless two readers are to be compared.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientError, admin::ConfigResource};
use ackmark_ledger::ReservedMarks;
use ackmark_schema::{
    manifest::{Manifest, TopicStart},
    report::{
        seal::{SEAL_FILE, SealReport, SealState},
        verify::{Isolation, LogFacts, ReaderChoice, Readers, Scan},
    },
};

use crate::{
    accounting::{PartitionAccount, Totals},
    compare::compare,
    error::VerifyError,
    evidence::{Cleanup, ScanAccounts},
    latency::LatencySeconds,
    log_reader::{self, BY_MARKERS, LOG_READER, LogReaderError},
    progress::{Progress, ProgressEvent},
    reader::{self, READER, ScanOutcome, ScanPlan, ScanState, Target},
    verify::{VerifyOptions, read_optional, seal_state},
};

/// What reads: the two eyes, or what stands in for them.
pub trait Eyes {
    /// The log reader, as [`log_reader::scan`].
    ///
    /// # Errors
    /// Properties or brokers that it cannot use.
    fn log(
        &self,
        plan: &ScanPlan<'_>,
        state: &ScanState,
        stop: &AtomicBool,
        tick: &mut dyn FnMut(),
    ) -> Result<ScanOutcome, LogReaderError> {
        log_reader::scan(plan, state, stop, tick)
    }

    /// A consumer, as [`reader::scan`].
    ///
    /// # Errors
    /// It cannot be made.
    fn consumer(
        &self,
        plan: &ScanPlan<'_>,
        state: &ScanState,
        stop: &AtomicBool,
        tick: &mut dyn FnMut(),
    ) -> Result<ScanOutcome, ClientError> {
        reader::scan(plan, state, stop, tick)
    }
}

/// The two eyes.
#[derive(Debug, Clone, Copy)]
pub struct BothEyes;

impl Eyes for BothEyes {}

/// When nothing is read for this long, the topics are looked after.
const SILENCE: Duration = Duration::from_secs(3);

/// Notices that nothing is read for a while.
struct Silence {
    records: u64,
    since: Instant,
}

impl Silence {
    fn new() -> Self {
        Self { records: 0, since: Instant::now() }
    }

    /// Whether nothing new has come for [`SILENCE`], told once in that time.
    fn lasts(&mut self, records: u64) -> bool {
        let lasts = records == self.records && self.since.elapsed() > SILENCE;
        if lasts || records != self.records {
            *self = Self { records, since: Instant::now() };
        }
        lasts
    }
}

/// A verification under way.
pub(crate) struct Run<'a> {
    pub(crate) eyes: &'a dyn Eyes,
    pub(crate) folder: &'a Path,
    pub(crate) options: &'a VerifyOptions,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) manifest: &'a Manifest,
    pub(crate) marks: Arc<ReservedMarks>,
    pub(crate) admin: AdminClient,
}

/// Offsets of a partition as the brokers tell them.
#[derive(Clone, Copy)]
struct Offsets {
    low: i64,
    high: i64,
    last_stable: i64,
}

/// All scans.
pub(crate) struct Scans {
    /// Those that count; of two of one isolation level, the first. The log reader's is before the consumers'.
    pub(crate) accounts: Vec<ScanAccounts>,
    /// What the markers make visible, beside a consumer's scan of `read_committed`.
    pub(crate) markers: Option<ScanAccounts>,
    /// What the report says of each.
    pub(crate) told: Vec<Scan>,
    /// The live latency.
    pub(crate) latency: Option<LatencySeconds>,
    /// Who read.
    pub(crate) readers: Readers,
}

/// What is read of the log at rest.
struct Extent {
    targets: Vec<Target>,
    /// One past the last offset of each.
    ends: Vec<i64>,
    /// Why that is less than what was sealed, if it is.
    short: Option<String>,
}

impl Run<'_> {
    /// All scans.
    pub(crate) fn scans(&self) -> Result<Scans, VerifyError> {
        let choice = self.options.reader;
        let mut readers = Readers { choice, fallback: None, comparison: None };
        let (mut told, mut latency, mut live) = (Vec::new(), None, None);
        if self.options.follow {
            let outcome = self.live_scan()?;
            told.push(self.tell(&outcome.accounts, READER, true, outcome.duration));
            if let Some(reason) = &outcome.accounts.incomplete {
                self.note(&format!("the live scan is incomplete: {reason}"));
            }
            latency = outcome.latency;
            live = Some(outcome.accounts);
        }

        let whole = match self.extent(Isolation::ReadUncommitted) {
            Err(VerifyError::Client(error)) => {
                let isolations = self.isolations().into_iter().filter(|isolation| {
                    live.as_ref().is_none_or(|live| live.isolation != *isolation || live.incomplete.is_some())
                });
                let mut accounts: Vec<ScanAccounts> =
                    isolations.map(|isolation| self.nothing_read(isolation, &error).accounts).collect();
                told.extend(accounts.iter().map(|accounts| self.tell(accounts, READER, false, Duration::ZERO)));
                accounts.extend(live);
                return Ok(Scans { accounts, markers: None, told, latency, readers });
            }
            whole => whole?,
        };
        let asks_log = choice != ReaderChoice::Consumer && self.options.isolation.is_none();
        let mut log = None;
        if asks_log && !(live.is_some() && self.is_stopped()) {
            match self.log_scan(&whole) {
                Ok(outcome) => {
                    told.push(self.tell(&outcome.accounts, LOG_READER, false, outcome.duration));
                    log = Some(outcome);
                }
                Err(error) if choice == ReaderChoice::Auto && error.is_not_spoken() => {
                    self.note(&format!("the log reader cannot read here, a consumer does: {error}"));
                    readers.fallback = Some(error.to_string());
                }
                // A consumer's scan ends at once, as interrupted.
                Err(_) if self.is_stopped() => {}
                Err(error) => return Err(error.into()),
            }
        }

        let (mut consumers, mut extents) = (Vec::new(), Vec::new());
        for isolation in self.isolations() {
            if self.is_known(isolation, log.is_some(), live.as_ref()) {
                continue;
            }
            // The whole log is read up to the same offsets by all readers.
            let own = (isolation == Isolation::ReadCommitted).then(|| self.extent(isolation)).transpose();
            let read = own.and_then(|own| {
                let outcome = self.full_scan(isolation, own.as_ref().unwrap_or(&whole))?;
                Ok((own, outcome))
            });
            let (own, outcome) = match read {
                Err(VerifyError::Client(error)) => (None, self.nothing_read(isolation, &error)),
                read => read?,
            };
            told.push(self.tell(&outcome.accounts, READER, false, outcome.duration));
            extents.extend(own);
            let mut accounts = outcome.accounts;
            if let Some(live) = live.as_mut().filter(|live| live.isolation == isolation) {
                accounts.sightings = live.sightings.take().filter(|_| live.incomplete.is_none());
            }
            consumers.push(accounts);
        }
        if let (ReaderChoice::Both, Some(outcome)) = (choice, &log) {
            let moved = match self.offsets() {
                Ok(now) => moved(&whole, &extents, &self.targets(&now)),
                Err(VerifyError::Client(error)) => {
                    Some(format!("whether the log's start has moved meanwhile could not be told: {error}"))
                }
                Err(error) => return Err(error),
            };
            readers.comparison = Some(compare(&outcome.accounts, &consumers, moved));
        }

        let mut markers = None;
        let mut accounts = Vec::new();
        if let Some(ScanOutcome { accounts: mut by_log, duration, .. }) = log {
            markers = by_log.take_committed();
            accounts.push(by_log);
            let seen = |scan: &ScanAccounts| scan.isolation == Isolation::ReadCommitted && scan.incomplete.is_none();
            if choice == ReaderChoice::Log
                && !live.as_ref().is_some_and(seen)
                && let Some(by_markers) = markers.take()
            {
                told.push(self.tell(&by_markers, BY_MARKERS, false, duration));
                accounts.push(by_markers);
            }
        }
        accounts.extend(consumers);
        accounts.extend(live);
        self.observe_offsets(&mut accounts, &mut told)?;
        Ok(Scans { accounts, markers, told, latency, readers })
    }

    /// A scan that could not begin.
    fn nothing_read(&self, isolation: Isolation, error: &ClientError) -> ScanOutcome {
        let reason = error.to_string();
        self.note(&format!("nothing could be read ({}): {reason}", isolation.as_str()));
        ScanOutcome {
            accounts: ScanAccounts { isolation, incomplete: Some(reason), partitions: Vec::new(), sightings: None },
            latency: None,
            duration: Duration::ZERO,
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether no consumer has to read at this level any more: the log reader did, or a live scan that came to its end.
    fn is_known(&self, isolation: Isolation, log_was_read: bool, live: Option<&ScanAccounts>) -> bool {
        let by_log = match self.options.reader {
            ReaderChoice::Log => true,
            ReaderChoice::Auto => isolation == Isolation::ReadUncommitted,
            ReaderChoice::Consumer | ReaderChoice::Both => false,
        };
        let is_enough = |live: &ScanAccounts| {
            let compared = self.options.reader == ReaderChoice::Both && log_was_read;
            self.is_stopped() || live.incomplete.is_none() && !compared
        };
        log_was_read && by_log || live.is_some_and(|live| live.isolation == isolation && is_enough(live))
    }

    /// What an application with this delivery setting would read with.
    fn application_isolation(&self) -> Isolation {
        match self.options.isolation {
            Some(isolation) => isolation,
            None if self.manifest.promise.basis.transactional => Isolation::ReadCommitted,
            None => Isolation::ReadUncommitted,
        }
    }

    fn isolations(&self) -> Vec<Isolation> {
        match self.options.isolation {
            Some(isolation) => vec![isolation],
            None if self.manifest.promise.basis.transactional => {
                vec![Isolation::ReadUncommitted, Isolation::ReadCommitted]
            }
            None => vec![Isolation::ReadUncommitted],
        }
    }

    /// Reads while the load runs, until the seal's end offsets.
    fn live_scan(&self) -> Result<ScanOutcome, VerifyError> {
        let targets = self.targets(&self.offsets()?);
        let state = ScanState::default();
        let mut failed = None;
        // The load may be killed: then no seal comes, and the idle time bounds the scan.
        let outcome = self.run(self.application_isolation(), true, &targets, &state, || {
            if state.ends.get().is_none() && failed.is_none() {
                match self.seal_report() {
                    Ok(Some(seal)) => {
                        let _ = state.ends.set(self.sealed_ends(&targets, &seal));
                    }
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
        })?;
        failed.map_or(Ok(outcome), Err)
    }

    /// What there is to read now, as far as it was sealed.
    fn extent(&self, isolation: Isolation) -> Result<Extent, VerifyError> {
        let offsets = self.offsets()?;
        let targets = self.targets(&offsets);
        let seal = self.seal_report()?;
        if let SealState::Unsealed { reason } = seal_state(seal.as_ref()) {
            self.note(&format!("the log is not closed, so the verdict stays open: {reason}"));
        }
        let sealed = seal.filter(|seal| seal.state == SealState::Sealed);
        let found = |target: &Target| {
            let found = offsets[target.topic as usize][target.partition as usize];
            if isolation == Isolation::ReadCommitted { found.last_stable } else { found.high }
        };
        let Some(seal) = sealed else {
            let ends = targets.iter().map(found).collect();
            return Ok(Extent { targets, ends, short: None });
        };
        let ends = self.sealed_ends(&targets, &seal);
        let short = targets.iter().zip(&ends).find(|(target, end)| found(target) < **end).map(|(target, end)| {
            let name = &self.manifest.topics[target.topic as usize].name;
            let (partition, found) = (target.partition, found(target));
            format!(
                "{name}-{partition} ends at offset {found}, below the seal's {end}: recreated, truncated or held open"
            )
        });
        // What is there is read all the same.
        let reachable = targets.iter().zip(&ends).map(|(target, end)| found(target).min(*end)).collect();
        Ok(Extent { targets, ends: reachable, short })
    }

    /// Reads all of the extent by a consumer.
    fn full_scan(&self, isolation: Isolation, extent: &Extent) -> Result<ScanOutcome, VerifyError> {
        let state = ScanState::default();
        let _ = state.ends.set(extent.ends.clone());
        let mut outcome = self.run(isolation, false, &extent.targets, &state, || {})?;
        outcome.accounts.incomplete = outcome.accounts.incomplete.or_else(|| extent.short.clone());
        Ok(outcome)
    }

    /// Reads all of the extent by the log reader.
    fn log_scan(&self, extent: &Extent) -> Result<ScanOutcome, LogReaderError> {
        let state = ScanState::default();
        let _ = state.ends.set(extent.ends.clone());
        let plan = self.plan(Isolation::ReadUncommitted, false, &extent.targets);
        let begun = Instant::now();
        let mut tick = || self.progress.event(&scanning(&plan, &state, begun));
        let mut outcome = self.eyes.log(&plan, &state, self.stop, &mut tick)?;
        let accounts = &mut outcome.accounts;
        let unproved = || self.unproved(&accounts.partitions);
        accounts.incomplete = accounts.incomplete.take().or_else(|| extent.short.clone()).or_else(unproved);
        Ok(outcome)
    }

    /// Where a leader brought nothing though its log goes on, and no compaction explains it.
    fn unproved(&self, partitions: &[PartitionAccount]) -> Option<String> {
        let unproved = partitions.iter().filter_map(|account| Some((account, account.unproved()?)));
        unproved.into_iter().find_map(|(account, offsets)| {
            let topic = self.manifest.topics.iter().find(|topic| topic.name == account.topic())?;
            let policy = match self.cleanup_of(topic) {
                Cleanup::Compacts => return None,
                Cleanup::Nothing => "the topic is not compacted".to_owned(),
                Cleanup::Unknown(reason) => format!("whether the topic is compacted is not known: {reason}"),
            };
            Some(format!(
                "the leader of {}-{} brings nothing of offsets {}..{} though its log goes on (tiered storage that does \
                 not answer?), and {policy}",
                account.topic(),
                account.partition(),
                offsets.start,
                offsets.end
            ))
        })
    }

    fn plan<'p>(&'p self, isolation: Isolation, live: bool, targets: &'p [Target]) -> ScanPlan<'p> {
        ScanPlan {
            connection: &self.options.connection,
            isolation,
            live,
            threads: self.options.threads,
            manifest: self.manifest,
            marks: &self.marks,
            targets,
            digest: self.options.reader == ReaderChoice::Both && !live,
            limits: self.options.limits,
        }
    }

    fn run(
        &self,
        isolation: Isolation,
        live: bool,
        targets: &[Target],
        state: &ScanState,
        mut watch: impl FnMut(),
    ) -> Result<ScanOutcome, VerifyError> {
        let plan = self.plan(isolation, live, targets);
        let begun = Instant::now();
        let mut silence = Silence::new();
        let outcome = self.eyes.consumer(&plan, state, self.stop, &mut || {
            watch();
            if silence.lasts(state.records.load(Ordering::Relaxed))
                && let Some(reason) = self.gone()
            {
                let _ = state.gone.set(reason);
            }
            self.progress.event(&scanning(&plan, state, begun));
        })?;
        Ok(outcome)
    }

    /// Whether a topic of the run is not there any more, and which.
    fn gone(&self) -> Option<String> {
        let is_gone = |name: &str| self.admin.topic(name, SILENCE).is_err_and(|error| error.is_unknown_topic());
        let topic = self.manifest.topics.iter().find(|topic| is_gone(&topic.name))?;
        Some(format!("topic {} is gone: it was deleted while it was read", topic.name))
    }

    /// Offsets now, by topic and partition.
    fn offsets(&self) -> Result<Vec<Vec<Offsets>>, VerifyError> {
        let one = |topic: &TopicStart| {
            let found = self.admin.offsets(&topic.name, self.options.request_timeout)?;
            let mut by_partition =
                vec![Offsets { low: 0, high: 0, last_stable: 0 }; topic.start_offsets.len().max(found.len())];
            for offsets in found {
                by_partition[offsets.partition as usize] =
                    Offsets { low: offsets.low, high: offsets.high, last_stable: offsets.last_stable };
            }
            Ok(by_partition)
        };
        self.manifest.topics.iter().map(one).collect()
    }

    /// Every partition of the run, from where the load began or the log still goes.
    fn targets(&self, offsets: &[Vec<Offsets>]) -> Vec<Target> {
        let topics = self.manifest.topics.iter().zip(offsets).enumerate();
        topics
            .flat_map(|(topic, (start, found))| {
                start.start_offsets.iter().zip(found).enumerate().map(move |(partition, (&start, found))| Target {
                    topic: topic as u32,
                    partition: partition as u32,
                    start: start.max(found.low),
                    log_start: found.low,
                })
            })
            .collect()
    }

    /// The seal's end of each target; a partition that it does not name ends where it starts.
    fn sealed_ends(&self, targets: &[Target], seal: &SealReport) -> Vec<i64> {
        let end = |target: &Target| {
            let topic = &self.manifest.topics[target.topic as usize].name;
            let mut sealed = seal.partitions.iter();
            sealed
                .find(|sealed| sealed.topic == *topic && sealed.partition == target.partition)
                .map_or(target.start, |sealed| sealed.end_offset)
        };
        targets.iter().map(end).collect()
    }

    /// Log starts and last stable offsets after reading: retention may have moved meanwhile. Where they cannot be
    /// told, what was read counts as a part.
    fn observe_offsets(&self, scans: &mut [ScanAccounts], told: &mut [Scan]) -> Result<(), VerifyError> {
        use crate::observation::Observation::{LastStableOffset, LogStart};
        if scans.iter().all(|scan| scan.partitions.is_empty()) {
            return Ok(());
        }
        let offsets = match self.offsets() {
            Err(VerifyError::Client(error)) => {
                let reason = format!("what the log still has could not be told after it was read: {error}");
                for scan in scans {
                    scan.incomplete.get_or_insert_with(|| reason.clone());
                }
                for scan in told {
                    scan.complete = false;
                    scan.incomplete_reason.get_or_insert_with(|| reason.clone());
                }
                return Ok(());
            }
            offsets => offsets?,
        };
        for account in scans.iter_mut().flat_map(|scan| &mut scan.partitions) {
            let topic = self.manifest.topics.iter().position(|topic| topic.name == account.topic());
            let found = topic.and_then(|topic| offsets[topic].get(account.partition() as usize));
            if let Some(found) = found {
                account.observe(&LogStart(found.low), &mut ());
                account.observe(&LastStableOffset(found.last_stable), &mut ());
            }
        }
        Ok(())
    }

    /// What each topic's `cleanup.policy` does to the middle of its log; nothing is asked where no log reader read.
    pub(crate) fn cleanup(&self, scans: &[ScanAccounts]) -> Vec<Cleanup> {
        if scans.iter().all(|scan| log_facts(scan).is_none()) {
            return Vec::new();
        }
        self.manifest.topics.iter().map(|topic| self.cleanup_of(topic)).collect()
    }

    fn cleanup_of(&self, topic: &TopicStart) -> Cleanup {
        if self.manifest.simulated {
            return Cleanup::Unknown("simulated brokers have no configs".into());
        }
        let resource = ConfigResource::Topic(topic.name.clone());
        match self.admin.configs(&resource, self.options.request_timeout) {
            Err(error) => Cleanup::Unknown(error.to_string()),
            Ok(entries) => {
                let policy = entries.into_iter().find(|entry| entry.name == "cleanup.policy");
                match policy.and_then(|entry| entry.value) {
                    None => Cleanup::Unknown("the brokers do not tell it".into()),
                    Some(policy) if policy.contains("compact") => Cleanup::Compacts,
                    Some(_) => Cleanup::Nothing,
                }
            }
        }
    }

    pub(crate) fn seal_report(&self) -> Result<Option<SealReport>, VerifyError> {
        let seal: Option<SealReport> = read_optional(self.folder, SEAL_FILE)?;
        match seal {
            Some(seal) if seal.run != self.manifest.run => {
                Err(VerifyError::OtherRun { file: SEAL_FILE, found: seal.run, expected: self.manifest.run })
            }
            seal => Ok(seal),
        }
    }

    fn note(&self, note: &str) {
        self.progress.event(&ProgressEvent::Note(note));
    }

    /// Tells of a scan; what the report says of it.
    fn tell(&self, accounts: &ScanAccounts, reader: &str, live: bool, duration: Duration) -> Scan {
        let totals = accounts.partitions.iter().map(PartitionAccount::totals);
        let sum = |of: fn(Totals) -> u64| totals.clone().map(of).sum::<u64>();
        let messages = sum(|totals| totals.messages);
        let duration_s = duration.as_secs_f64();
        let scan = Scan {
            isolation: accounts.isolation,
            reader: reader.into(),
            live,
            complete: accounts.incomplete.is_none(),
            incomplete_reason: accounts.incomplete.clone(),
            messages,
            distinct: accounts.partitions.iter().flat_map(|p| p.streams().map(|(_, s)| s.distinct())).sum(),
            strangers: sum(|totals| totals.strangers),
            value_bytes: sum(|totals| totals.value_bytes),
            log: log_facts(accounts),
            duration_s,
            messages_per_s: if duration_s > 0.0 { messages as f64 / duration_s } else { 0.0 },
            latency_end_to_end: None,
            visibility: None,
        };
        self.progress.event(&ProgressEvent::Scanned(&scan));
        scan
    }
}

/// Why readers of these extents may have been shown different offsets, if so.
///
/// # Arguments
/// * `now` - the partitions when all have read: a log's start only rises, so what it was in between is bounded by it.
fn moved(whole: &Extent, others: &[Extent], now: &[Target]) -> Option<String> {
    if others.iter().any(|extent| extent.ends != whole.ends) {
        return Some("the log is not closed, so they read to different offsets".to_owned());
    }
    let begins = whole.targets.iter().zip(now).any(|(then, now)| then.start != now.start);
    begins.then(|| "records were deleted while they read, so they read from different offsets".to_owned())
}

/// What the log's eye was shown, over all partitions; `None` for the application's eye.
fn log_facts(accounts: &ScanAccounts) -> Option<LogFacts> {
    let mut all: Option<LogFacts> = None;
    for facts in accounts.partitions.iter().filter_map(PartitionAccount::log_facts) {
        let sum = all.get_or_insert_default();
        sum.batches += facts.batches;
        sum.commit_markers += facts.commit_markers;
        sum.abort_markers += facts.abort_markers;
        sum.leader_epoch_changes += facts.leader_epoch_changes;
    }
    all
}

fn scanning<'a>(plan: &ScanPlan<'_>, state: &ScanState, begun: Instant) -> ProgressEvent<'a> {
    let offsets = |ends: &Vec<i64>| {
        plan.targets.iter().zip(ends).map(|(target, end)| (*end).max(target.start).abs_diff(target.start)).sum()
    };
    ProgressEvent::Scanning {
        isolation: plan.isolation,
        live: plan.live,
        records: state.records.load(Ordering::Relaxed),
        offsets: state.ends.get().map(offsets),
        elapsed: begun.elapsed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(start: i64, end: i64) -> Extent {
        let target = Target { topic: 0, partition: 0, start, log_start: 0 };
        Extent { targets: vec![target], ends: vec![end], short: None }
    }

    #[test]
    fn only_readers_of_the_same_offsets_are_compared() {
        let whole = extent(5, 50);
        assert_eq!(moved(&whole, &[], &whole.targets), None);
        assert_eq!(moved(&whole, &[extent(5, 50)], &whole.targets), None);
        let why = moved(&whole, &[extent(5, 40)], &whole.targets).unwrap_or_default();
        assert!(why.starts_with("the log is not closed"), "{why}");
        // Retention, before the consumer read or while it did.
        for others in [vec![], vec![extent(9, 50)]] {
            let why = moved(&whole, &others, &extent(9, 50).targets).unwrap_or_default();
            assert!(why.starts_with("records were deleted"), "{why}");
        }
    }
}
