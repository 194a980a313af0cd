//! One verification: load folder and brokers in, verify report out. It writes nothing to the cluster.
//!
//! ```text
//! manifest ─► cluster and topics are the load's ─► [live scan until the seal] ─► full scans ─► ledger
//!    ─► evidence ─► verdict ─► verify.json (and end-to-end.hlog of a live scan)
//! ```
//!
//! A live scan counts as the full scan of its isolation level when it is complete.
//!
//! Until the cluster and the run's topics have been found, trouble is an error: nothing was verified. From then on it
//! leaves a scan incomplete and the verdict open, with what was read until then in the report.

use std::{
    collections::HashSet,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientError, ClientProperties, LogSink};
use ackmark_ledger::{LedgerError, LedgerReader, ReservedMarks, refuse_writers};
use ackmark_schema::{
    latency::LatencySummary,
    load_spec::Schedule,
    manifest::{MANIFEST_FILE, Manifest},
    promise::Acks,
    report::{
        CpuTime,
        load::{LOAD_FILE, LoadReport},
        seal::{SEAL_FILE, SealReport, SealState},
        verify::{Isolation, Scan, VERIFY_FILE, VerifyReport},
    },
    text::{self, TextError},
    version::SchemaId,
};
use serde::de::DeserializeOwned;

use crate::{
    cpu::cpu_time,
    error::VerifyError,
    evidence::{Case, ScanAccounts, weigh},
    latency::{LATENCY_FILE, LatencySeconds},
    progress::{Progress, ProgressEvent},
    reader::{Limits, READER, ScanOutcome, ScanPlan, ScanState, Target, scan},
    verdict::{Circumstances, judge},
};

const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// When nothing is read for this long, the topics are looked after.
const SILENCE: Duration = Duration::from_secs(3);

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How to reach the brokers; a consumer's isolation level is set by the scan.
    pub connection: ClientProperties,
    /// Reading threads per scan.
    pub threads: usize,
    /// Follow the load live: may be started before the load.
    pub follow: bool,
    /// One scan of this level instead of those that the promise asks for.
    pub isolation: Option<Isolation>,
    /// Longest wait for a load to begin, when following.
    pub begin_timeout: Duration,
    /// Longest wait for an answer of the brokers.
    pub request_timeout: Duration,
    /// Bounds of each scan.
    pub limits: Limits,
}

impl VerifyOptions {
    /// Two threads, no following; a minute without progress, two minutes without a message while a load is followed, a
    /// day for a scan.
    pub fn new(connection: ClientProperties) -> Self {
        Self {
            connection,
            threads: 2,
            follow: false,
            isolation: None,
            begin_timeout: Duration::from_mins(2),
            request_timeout: Duration::from_secs(30),
            limits: Limits {
                no_progress: Duration::from_mins(1),
                idle: Duration::from_mins(2),
                deadline: Duration::from_hours(24),
            },
        }
    }
}

/// Verifies a load folder and writes its `verify.json`. Raising `stop` ends scans: what was read until
/// then is judged as incomplete.
///
/// # Errors
/// Nothing could be verified: see [`VerifyError`]. A broken promise is no error.
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<VerifyReport, VerifyError> {
    let cpu_before = cpu_time();
    let manifest = manifest(folder, options, progress, stop)?;
    // What is sent while the log is read would be missed or, behind the scan's end, look lost.
    if !options.follow {
        refuse_writers(folder, &manifest)?;
    }
    let admin = AdminClient::new(&options.connection, LogSink::discard())?;
    check_cluster(&admin, &manifest, options.request_timeout)?;
    let marks = Arc::new(marks(folder, &manifest, options, stop)?);
    let run = Run { folder, options, progress, stop, manifest: &manifest, marks, admin };
    // A seal that comes while the log is read does not close what was read before it.
    let found = run.seal_report()?;
    let (scans, mut told, latency) = run.scans()?;

    let ledger = LedgerReader::open(folder, &manifest)?;
    let seal = if options.follow { run.seal_report()? } else { found };
    let load: Option<LoadReport> = read_optional(folder, LOAD_FILE)?;
    let counts = ledger.counts();
    let evidence = weigh(&Case {
        manifest: &manifest,
        ledger: &ledger,
        scans: &scans,
        acknowledged: counts.acknowledged > 0 && manifest.promise.basis.acks != Acks::None,
        unfenced: unfenced(&manifest, seal.as_ref()),
    });
    let circumstances = Circumstances {
        seal: closed_for(seal.as_ref(), counts.reserved),
        simulated: manifest.simulated,
        provocations: load.as_ref().map(|report| report.provocations),
        ledger: counts,
    };
    let judgement = judge(evidence, &manifest.promise, &circumstances);
    if let Some(latency) = latency {
        let summary = latency_of(folder, &latency, load.as_ref())?;
        told.iter_mut().filter(|scan| scan.live).for_each(|scan| scan.latency_end_to_end.clone_from(&summary));
    }
    let report = VerifyReport {
        schema: SchemaId::default(),
        run: manifest.run,
        finished: jiff::Timestamp::now(),
        profile: manifest.profile.name.clone(),
        seal: circumstances.seal,
        simulated: manifest.simulated,
        ledger: counts,
        scans: told,
        findings: judgement.findings,
        verdict: judgement.verdict,
        reason: judgement.reason,
        provocations: circumstances.provocations.unwrap_or_default(),
        provocations_known: circumstances.provocations.is_some(),
        cpu: cpu_since(cpu_before),
    };
    write_atomically(folder, VERIFY_FILE, &report)?;
    Ok(report)
}

/// A verification under way.
struct Run<'a> {
    folder: &'a Path,
    options: &'a VerifyOptions,
    progress: &'a dyn Progress,
    stop: &'a AtomicBool,
    manifest: &'a Manifest,
    marks: Arc<ReservedMarks>,
    admin: AdminClient,
}

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

/// Offsets of a partition as the brokers tell them.
#[derive(Clone, Copy)]
struct Offsets {
    low: i64,
    high: i64,
    last_stable: i64,
}

type Scans = (Vec<ScanAccounts>, Vec<Scan>, Option<LatencySeconds>);

impl Run<'_> {
    /// All scans: their accounts, what the report says of them, and the live latency.
    fn scans(&self) -> Result<Scans, VerifyError> {
        let (mut accounts, mut told, mut latency): Scans = (Vec::new(), Vec::new(), None);
        if self.options.follow {
            let outcome = self.live_scan()?;
            told.push(self.report(&outcome, true));
            if let Some(reason) = &outcome.accounts.incomplete {
                self.note(&format!("the live scan is incomplete: {reason}"));
            }
            latency = outcome.latency;
            accounts.push(outcome.accounts);
        }
        for isolation in self.isolations() {
            let known = accounts.iter().position(|scan| scan.isolation == isolation);
            if known.is_some_and(|at| accounts[at].incomplete.is_none())
                || self.stop.load(Ordering::Relaxed) && known.is_some()
            {
                continue;
            }
            let outcome = match self.full_scan(isolation) {
                Err(VerifyError::Client(error)) => self.nothing_read(isolation, &error),
                outcome => outcome?,
            };
            told.push(self.report(&outcome, false));
            // A live scan that did not come to its end does not count beside a full one.
            known.map(|at| accounts.remove(at));
            accounts.push(outcome.accounts);
        }
        self.observe_offsets(&mut accounts, &mut told)?;
        Ok((accounts, told, latency))
    }

    /// A scan that could not begin.
    fn nothing_read(&self, isolation: Isolation, error: &ClientError) -> ScanOutcome {
        let reason = error.to_string();
        self.note(&format!("nothing could be read ({}): {reason}", isolation.as_str()));
        let (partitions, sightings) = (Vec::new(), None);
        ScanOutcome {
            accounts: ScanAccounts { isolation, incomplete: Some(reason), partitions, sightings },
            latency: None,
            duration: Duration::ZERO,
        }
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

    fn full_scan(&self, isolation: Isolation) -> Result<ScanOutcome, VerifyError> {
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
        let (ends, short) = match &sealed {
            None => (targets.iter().map(found).collect(), None),
            Some(seal) => {
                let ends = self.sealed_ends(&targets, seal);
                let short = targets.iter().zip(&ends).find(|(target, end)| found(target) < **end).map(|(target, end)| {
                    let name = &self.manifest.topics[target.topic as usize].name;
                    let (partition, found) = (target.partition, found(target));
                    format!("{name}-{partition} ends at offset {found}, below the seal's {end}: recreated, truncated or held open")
                });
                // What is there is read all the same.
                let reachable = targets.iter().zip(&ends).map(|(target, end)| found(target).min(*end)).collect();
                (reachable, short)
            }
        };
        let state = ScanState::default();
        let _ = state.ends.set(ends);
        let mut outcome = self.run(isolation, false, &targets, &state, || {})?;
        outcome.accounts.incomplete = outcome.accounts.incomplete.or(short);
        Ok(outcome)
    }

    fn run(
        &self,
        isolation: Isolation,
        live: bool,
        targets: &[Target],
        state: &ScanState,
        mut watch: impl FnMut(),
    ) -> Result<ScanOutcome, VerifyError> {
        let plan = ScanPlan {
            connection: &self.options.connection,
            isolation,
            live,
            threads: self.options.threads,
            manifest: self.manifest,
            marks: &self.marks,
            targets,
            limits: self.options.limits,
        };
        let begun = Instant::now();
        let mut silence = Silence::new();
        let outcome = scan(&plan, state, self.stop, || {
            watch();
            if silence.lasts(state.records.load(Ordering::Relaxed))
                && let Some(reason) = self.gone()
            {
                let _ = state.gone.set(reason);
            }
            self.progress.event(&ProgressEvent::Scanning {
                isolation,
                live,
                records: state.records.load(Ordering::Relaxed),
                offsets: state.ends.get().map(|ends| {
                    targets.iter().zip(ends).map(|(target, end)| (*end).max(target.start).abs_diff(target.start)).sum()
                }),
                elapsed: begun.elapsed(),
            });
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
        let one = |topic: &ackmark_schema::manifest::TopicStart| {
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

    fn seal_report(&self) -> Result<Option<SealReport>, VerifyError> {
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

    fn report(&self, outcome: &ScanOutcome, live: bool) -> Scan {
        let accounts = &outcome.accounts;
        let totals = accounts.partitions.iter().map(crate::accounting::PartitionAccount::totals);
        let sum = |of: fn(crate::accounting::Totals) -> u64| totals.clone().map(of).sum::<u64>();
        let messages = sum(|totals| totals.messages);
        let duration_s = outcome.duration.as_secs_f64();
        let scan = Scan {
            isolation: accounts.isolation,
            reader: READER.into(),
            live,
            complete: accounts.incomplete.is_none(),
            incomplete_reason: accounts.incomplete.clone(),
            messages,
            distinct: accounts.partitions.iter().flat_map(|p| p.streams().map(|(_, s)| s.distinct())).sum(),
            strangers: sum(|totals| totals.strangers),
            value_bytes: sum(|totals| totals.value_bytes),
            duration_s,
            messages_per_s: if duration_s > 0.0 { messages as f64 / duration_s } else { 0.0 },
            latency_end_to_end: None,
        };
        self.progress.event(&ProgressEvent::Scanned(&scan));
        scan
    }
}

/// The manifest; when following, it is waited for.
fn manifest(
    folder: &Path,
    options: &VerifyOptions,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Manifest, VerifyError> {
    let begun = Instant::now();
    loop {
        if let Some(manifest) = read_optional(folder, MANIFEST_FILE)? {
            check_streams(&manifest).map_err(|problem| TextError { file: MANIFEST_FILE.into(), problem })?;
            return Ok(manifest);
        }
        if !options.follow || begun.elapsed() > options.begin_timeout {
            return Err(VerifyError::NoManifest { folder: folder.into(), waited: options.follow });
        }
        if stop.load(Ordering::Relaxed) {
            return Err(VerifyError::Interrupted);
        }
        progress.event(&ProgressEvent::Waiting("the load to begin"));
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether streams are unique and in partitions that the manifest names.
fn check_streams(manifest: &Manifest) -> Result<(), String> {
    let mut known = HashSet::new();
    for stream in manifest.producers.iter().flat_map(|producer| &producer.streams) {
        let topic = manifest.topics.get(stream.topic as usize);
        if topic.is_none_or(|topic| stream.partition as usize >= topic.start_offsets.len()) {
            return Err(format!("stream {} is in a topic or partition that has no start offset", stream.stream));
        }
        if !known.insert(stream.stream) {
            return Err(format!("stream {} is there twice", stream.stream));
        }
    }
    Ok(())
}

/// The reserved marks; when following, the load may be just about to make its ledgers.
fn marks(
    folder: &Path,
    manifest: &Manifest,
    options: &VerifyOptions,
    stop: &AtomicBool,
) -> Result<ReservedMarks, VerifyError> {
    let begun = Instant::now();
    loop {
        match ReservedMarks::open(folder, manifest) {
            Ok(marks) => return Ok(marks),
            Err(error @ LedgerError::Foreign { .. }) => return Err(error.into()),
            Err(error) if !options.follow || begun.elapsed() > options.begin_timeout => return Err(error.into()),
            Err(_) if stop.load(Ordering::Relaxed) => return Err(VerifyError::Interrupted),
            Err(_) => std::thread::sleep(LOOK_INTERVAL),
        }
    }
}

/// Whether these brokers have what the load wrote.
fn check_cluster(admin: &AdminClient, manifest: &Manifest, timeout: Duration) -> Result<(), VerifyError> {
    let found = admin.metadata(timeout)?.cluster_id;
    if let (Some(found), Some(expected)) = (found, &manifest.cluster_id)
        && found != *expected
    {
        return Err(VerifyError::OtherCluster { found, expected: expected.clone() });
    }
    for topic in &manifest.topics {
        let described = admin.topic(&topic.name, timeout);
        let partitions =
            described.map_err(|source| VerifyError::Topic { topic: topic.name.clone(), source })?.partitions;
        let (found, expected) = (partitions.len(), topic.start_offsets.len());
        if found < expected {
            return Err(VerifyError::Partitions { topic: topic.name.clone(), found, expected });
        }
    }
    Ok(())
}

fn seal_state(seal: Option<&SealReport>) -> SealState {
    seal.map_or_else(
        || SealState::Unsealed { reason: "there is no seal.json: run `ackmark seal`".into() },
        |seal| seal.state.clone(),
    )
}

/// The seal's state, as far as it closes the log for all that was sent.
fn closed_for(seal: Option<&SealReport>, reserved: u64) -> SealState {
    match seal.and_then(|seal| seal.messages_reserved) {
        Some(sealed) if sealed != reserved => SealState::Unsealed {
            reason: format!(
                "messages were sent after the seal ({sealed} were known then, {reserved} are now): run `ackmark seal` again"
            ),
        },
        _ => seal_state(seal),
    }
}

/// Why transactions may still be open by no fault of the brokers.
fn unfenced(manifest: &Manifest, seal: Option<&SealReport>) -> Option<String> {
    let fenced = seal.map_or(&[][..], |seal| &seal.fenced);
    let ids = manifest.producers.iter().filter_map(|producer| producer.transactional_id.as_ref());
    ids.into_iter().find(|id| !fenced.contains(id)).map(|id| format!("transactional id {id} was not fenced"))
}

/// Writes and sums up the latency of open loops: in a `max` phase it would measure the queue. A load that
/// was killed leaves no report: then it is written but not summed up.
fn latency_of(
    folder: &Path,
    latency: &LatencySeconds,
    load: Option<&LoadReport>,
) -> Result<Option<LatencySummary>, VerifyError> {
    let max_phase = load.is_some_and(|load| matches!(load.spec.schedule, Schedule::Max));
    if max_phase {
        return Ok(None);
    }
    let path = folder.join(LATENCY_FILE);
    latency.write(&path).map_err(|source| VerifyError::File { path, doing: "write", source })?;
    Ok(load.map(|load| ackmark_stats::latency_summary(&latency.total(), load.measured.counts.sent)))
}

fn cpu_since(before: CpuTime) -> CpuTime {
    cpu_time() - before
}

/// Reads a contract; `None` where there is no such file.
fn read_optional<T: DeserializeOwned>(folder: &Path, name: &'static str) -> Result<Option<T>, VerifyError> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(contents) => Ok(Some(text::from_json(&path.display().to_string(), &contents)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VerifyError::File { path, doing: "read", source }),
    }
}

fn write_atomically(folder: &Path, name: &str, report: &VerifyReport) -> Result<(), VerifyError> {
    let (path, temporary) = (folder.join(name), folder.join(format!("{name}.tmp")));
    let failed = |source| VerifyError::File { path: path.clone(), doing: "write", source };
    let mut json = serde_json::to_vec_pretty(report).map_err(|error| failed(error.into()))?;
    json.push(b'\n');
    fs::write(&temporary, json).map_err(failed)?;
    fs::rename(&temporary, &path).map_err(failed)
}
