//! One verification: load folder and brokers in, verify report out. It writes nothing to the cluster.
//!
//! ```text
//! manifest ─► cluster and topics are the load's ─► ledger ─► [live scan until the seal] ─► full scans
//!    ─► evidence ─► verdict ─► verify.json (and end-to-end.hlog of a live scan)
//! ```
//!
//! Who reads, and when, is told in [`crate::scans`]. Of a load that is followed the ledger is read at the end; one that
//! is resumed meanwhile is not judged.
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

use ackmark_client::{AdminClient, ClientProperties, LogSink};
use ackmark_ledger::{LedgerError, LedgerReader, OnDamage, ReservedMarks, refuse_writers};
use ackmark_schema::{
    anomaly::Class,
    latency::LatencySummary,
    load_spec::Schedule,
    manifest::{MANIFEST_FILE, Manifest},
    promise::Acks,
    report::{
        CpuTime, END_TO_END_FILE, VISIBILITY_FILE,
        load::{LOAD_FILE, LoadReport, Provocations},
        of_incarnation,
        seal::{SealReport, SealState},
        verify::{Isolation, LedgerCounts, ReaderChoice, ReaderComparison, VERIFY_FILE, Verdict, VerifyReport},
    },
    text::{self, TextError},
    version::SchemaId,
};
use serde::de::DeserializeOwned;

use crate::{
    cpu::cpu_time,
    error::VerifyError,
    evidence::{Case, weigh},
    latency::{LatencySeconds, write_visibility},
    live::Sightings,
    progress::{Progress, ProgressEvent},
    reader::{Limits, now_ns},
    scans::{BothEyes, Eyes, Run, Scans},
    verdict::{Circumstances, judge},
    visibility::visibility,
};

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How to reach the brokers; a consumer's isolation level is set by the scan.
    pub connection: ClientProperties,
    /// Reading threads per scan.
    pub threads: usize,
    /// Follow the load live: may be started before the load.
    pub follow: bool,
    /// One scan of this level, by a consumer, instead of those that the promise asks for.
    pub isolation: Option<Isolation>,
    /// Who reads the log at rest.
    pub reader: ReaderChoice,
    /// What to do with a ledger that is damaged; a load that is followed is refused with one.
    pub damaged_ledger: OnDamage,
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
            reader: ReaderChoice::Auto,
            damaged_ledger: OnDamage::Refuse,
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
/// Nothing could be verified: see [`VerifyError`]. A broken promise is no error. Where two readers differ, the report is
/// written all the same, as inconclusive.
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<VerifyReport, VerifyError> {
    verify_by(&BothEyes, folder, options, progress, stop)
}

/// As [`verify`], with eyes of the caller's.
///
/// # Errors
/// As [`verify`].
pub fn verify_by(
    eyes: &dyn Eyes,
    folder: &Path,
    options: &VerifyOptions,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<VerifyReport, VerifyError> {
    let cpu_before = cpu_time();
    if options.isolation.is_some() && matches!(options.reader, ReaderChoice::Log | ReaderChoice::Both) {
        return Err(VerifyError::Level);
    }
    if options.follow && options.damaged_ledger == OnDamage::Salvage {
        return Err(VerifyError::SalvageFollowed);
    }
    let manifest = manifest(folder, options, progress, stop)?;
    // What is sent while the log is read would be missed or, behind the scan's end, look lost.
    let _unwritten = (!options.follow).then(|| refuse_writers(folder, &manifest)).transpose()?;
    let admin = AdminClient::new(&options.connection, LogSink::discard())?;
    check_cluster(&admin, &manifest, options.request_timeout)?;
    // At rest it is refused before the log is read.
    let at_rest = (!options.follow).then(|| LedgerReader::open_with(folder, &manifest, options.damaged_ledger));
    let at_rest = at_rest.transpose()?;
    for damage in at_rest.iter().flat_map(LedgerReader::damages) {
        progress.event(&ProgressEvent::Note(&format!("the ledger is damaged: {damage}")));
    }
    let marks = match &at_rest {
        Some(ledger) => ledger.into(),
        None => marks(folder, &manifest, options, stop)?,
    };
    let marks = Arc::new(marks);
    let run = Run { eyes, folder, options, progress, stop, manifest: &manifest, marks, admin };
    // A seal that comes while the log is read does not close what was read before it.
    let found = run.seal_report()?;
    let Scans { accounts, markers, mut told, latency, readers } = run.scans()?;
    let cleanup = run.cleanup(&accounts);

    let ledger = at_rest.map_or_else(|| LedgerReader::open(folder, &manifest), Ok);
    if options.follow {
        check_incarnations(folder, &manifest)?;
    }
    let ledger = ledger?;
    let seal = if options.follow { run.seal_report()? } else { found };
    let loads = load_reports(folder, &manifest)?;
    let load = loads.last().and_then(Option::as_ref);
    let counts = ledger.counts();
    let evidence = weigh(&Case {
        manifest: &manifest,
        ledger: &ledger,
        scans: &accounts,
        markers: markers.as_ref(),
        cleanup: &cleanup,
        read_twice: readers.comparison.as_ref().is_some_and(agree),
        acknowledged: (counts.acknowledged > 0 || !ledger.is_all_known()) && manifest.promise.basis.acks != Acks::None,
        unfenced: unfenced(&manifest, seal.as_ref()),
    });
    let circumstances = Circumstances {
        seal: closed_for(seal.as_ref(), &manifest, &ledger, &counts),
        simulated: manifest.simulated,
        provocations: provocations(&loads),
        ledger: counts,
    };
    let mut judgement = judge(evidence, &manifest.promise, &circumstances);
    let difference = readers.comparison.as_ref().and_then(|comparison| comparison.difference.clone());
    if let Some(difference) = &difference {
        (judgement.verdict, judgement.reason) =
            (Verdict::Inconclusive, format!("the two readers differ: {difference}"));
    }
    let servers = options.connection.value("bootstrap.servers").unwrap_or(&manifest.bootstrap_servers);
    for example in judgement.findings.iter_mut().flat_map(|finding| &mut finding.examples) {
        example.command = example.command_on(servers, manifest.run);
    }
    if let Some(latency) = latency {
        let summary = latency_of(folder, &latency, load)?;
        told.iter_mut().filter(|scan| scan.live).for_each(|scan| scan.latency_end_to_end.clone_from(&summary));
    }
    if let Some(sightings) = accounts.iter().find_map(|scan| scan.sightings.as_ref()) {
        let summary = visibility_of(folder, &ledger, sightings)?;
        let live = told.iter_mut().filter(|scan| scan.live && scan.isolation == Isolation::ReadCommitted);
        live.for_each(|scan| scan.visibility.clone_from(&summary));
    }
    let report = VerifyReport {
        schema: SchemaId::default(),
        run: manifest.run,
        finished: jiff::Timestamp::now(),
        profile: manifest.profile.name.clone(),
        seal: circumstances.seal,
        simulated: manifest.simulated,
        ledger: counts,
        ledger_damage: ledger.damages().to_vec(),
        readers,
        scans: told,
        findings: judgement.findings,
        verdict: judgement.verdict,
        reason: judgement.reason,
        provocations: circumstances.provocations.unwrap_or_default(),
        provocations_known: circumstances.provocations.is_some(),
        cpu: cpu_since(cpu_before),
    };
    write_atomically(folder, VERIFY_FILE, &report)?;
    match difference {
        Some(difference) => Err(VerifyError::ReadersDiffer { difference }),
        None => Ok(report),
    }
}

fn agree(comparison: &ReaderComparison) -> bool {
    comparison.difference.is_none() && comparison.incomplete_reason.is_none()
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
            check_promise(&manifest)
                .and_then(|()| check_streams(&manifest))
                .map_err(|problem| TextError { file: MANIFEST_FILE.into(), problem })?;
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

/// Whether the promise rules on every class that is looked for.
fn check_promise(manifest: &Manifest) -> Result<(), String> {
    let clauses = &manifest.promise.clauses;
    match Class::ALL.iter().find(|class| clauses.iter().all(|clause| clause.class != **class)) {
        None => Ok(()),
        Some(class) => Err(format!("its promise has no clause on '{}': use the ackmark that wrote it", class.label())),
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

/// Whether the load that was followed is still that of the manifest: a new life writes itself there before it sends.
fn check_incarnations(folder: &Path, manifest: &Manifest) -> Result<(), VerifyError> {
    let now: Manifest = read_optional(folder, MANIFEST_FILE)?
        .ok_or_else(|| VerifyError::NoManifest { folder: folder.into(), waited: false })?;
    let lives = |manifest: &Manifest| {
        manifest.producers.iter().map(|producer| producer.incarnations.clone()).collect::<Vec<_>>()
    };
    if lives(&now) == lives(manifest) { Ok(()) } else { Err(VerifyError::Resumed) }
}

/// The reserved marks of a load that is followed: it may be just about to make its ledgers.
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
            Err(error) if begun.elapsed() > options.begin_timeout => return Err(error.into()),
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
        if let Some(expected) = &topic.id
            && let Ok(Some(found)) = admin.topic_id(&topic.name, timeout)
            && found != *expected
        {
            return Err(VerifyError::Recreated { topic: topic.name.clone(), found, expected: expected.clone() });
        }
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

/// The load's report of each incarnation that left one, by rising incarnation. One that was followed by another may
/// still have the name of the last one: its follower died before it wrote anything.
fn load_reports(folder: &Path, manifest: &Manifest) -> Result<Vec<Option<LoadReport>>, VerifyError> {
    let mut incarnations: Vec<u32> =
        manifest.producers.iter().flat_map(|producer| producer.incarnations.iter().copied()).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    let last: Option<LoadReport> = read_optional(folder, LOAD_FILE)?;
    incarnations
        .into_iter()
        .map(|incarnation| match &last {
            Some(report) if report.incarnation == incarnation => Ok(last.clone()),
            _ => read_optional(folder, &of_incarnation(LOAD_FILE, incarnation)),
        })
        .collect()
}

/// What put the promise to the test in all incarnations; unknown where one left no report.
fn provocations(loads: &[Option<LoadReport>]) -> Option<Provocations> {
    let mut each = loads.iter().map(|load| load.as_ref().map(|load| load.provocations));
    let first = each.next()??;
    each.try_fold(first, |sum, next| Some(sum.and(next?)))
}

pub(crate) fn seal_state(seal: Option<&SealReport>) -> SealState {
    seal.map_or_else(
        || SealState::Unsealed { reason: "there is no seal.json: run `ackmark seal`".into() },
        |seal| seal.state.clone(),
    )
}

/// The seal's state, as far as it closes the log for all that was sent.
fn closed_for(
    seal: Option<&SealReport>,
    manifest: &Manifest,
    ledger: &LedgerReader,
    counts: &LedgerCounts,
) -> SealState {
    // An incarnation is sealed when it has ended, so one alone sent nothing behind its seal.
    let several_lives = manifest.producers.iter().any(|producer| producer.incarnations.len() > 1);
    let again = seal.and_then(|seal| seal.messages_resent);
    match seal.and_then(|seal| seal.messages_reserved) {
        Some(sealed) if sealed != counts.reserved && ledger.is_bounded() => SealState::Unsealed {
            reason: format!(
                "messages were sent after the seal ({sealed} were known then, {} are now): run `ackmark seal` again",
                counts.reserved
            ),
        },
        Some(_) if again.is_some_and(|again| again != counts.resent) && ledger.is_bounded() => {
            SealState::Unsealed { reason: "messages were sent again after the seal: run `ackmark seal` again".into() }
        }
        Some(_) if !ledger.is_bounded() && several_lives => SealState::Unsealed {
            reason: "whether messages were sent after the seal is not known: the ledger is damaged".into(),
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
    let path = folder.join(END_TO_END_FILE);
    latency.write(&path).map_err(|source| VerifyError::File { path, doing: "write", source })?;
    // Whoever follows a transactional load does it at read_committed.
    let to_be_shown = |load: &LoadReport| {
        let aborted = load.transactions.as_ref().map_or(0, |figures| figures.messages_aborted_on_purpose);
        load.measured.counts.sent.saturating_sub(aborted)
    };
    Ok(load.map(|load| ackmark_stats::latency_summary(&latency.total(), to_be_shown(load))))
}

/// Writes and sums up how long transactions took to be shown.
fn visibility_of(
    folder: &Path,
    ledger: &LedgerReader,
    sightings: &Sightings,
) -> Result<Option<LatencySummary>, VerifyError> {
    let Some(delays) = visibility(ledger, sightings) else { return Ok(None) };
    let (path, since_ns) = (folder.join(VISIBILITY_FILE), sightings.since_ns());
    let length = Duration::from_nanos(now_ns().saturating_sub(since_ns));
    write_visibility(&path, since_ns, length, &delays.shown).map_err(|source| VerifyError::File {
        path,
        doing: "write",
        source,
    })?;
    Ok(Some(delays.summary()))
}

fn cpu_since(before: CpuTime) -> CpuTime {
    cpu_time() - before
}

/// Reads a contract; `None` where there is no such file.
pub(crate) fn read_optional<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, VerifyError> {
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
