//! One life of a run's producers: the first one, or one that goes on where those before it ended.
//!
//! What a next life needs to know stands in the load folder: the spec, the manifest, and the ledgers, which say where
//! each stream goes on and what was left undecided. The ledgers of earlier lives stay as they are and are locked
//! for as long as the next one runs, so two never go on with one folder.

use std::path::{Path, PathBuf};

use ackmark_ledger::{Ended, LedgerReader, Resend, StreamStart, Undecided, states_file, transactions_file};
use ackmark_schema::{
    anomaly::Class,
    load_spec::{LoadSpec, SPEC_FILE},
    manifest::{MANIFEST_FILE, Manifest, Resends, Resumed},
    promise::{Acks, Ruling},
    properties::{Property, REDACTED},
    report::{
        END_TO_END_FILE, VISIBILITY_FILE, coordinators::COORDINATORS_FILE, load::LOAD_FILE, seal::SEAL_FILE,
        timeline::TIMELINE_FILE, verify::VERIFY_FILE,
    },
    scenario::Keys,
    text,
    units::{Count, Span},
};
use serde::de::DeserializeOwned;

use crate::{
    error::LoadError,
    hlog::{LATENCY_FILE, TRANSACTIONS_FILE},
    keys::{self, Key, KeySource, Placement},
    run::stream_of,
};

/// How a run is to go on.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// Client properties that take the place of the spec's: how to reach the brokers, secrets.
    pub properties: Vec<Property>,
    /// What to send again. By default all that is indeterminate where messages are acknowledged; with transactions
    /// what certainly was not committed; nothing where acks=0.
    pub resends: Option<Resends>,
    /// Most messages that are measured, in place of the spec's; 0 to send again and no more.
    pub messages: Option<Count>,
    /// How long the measured part lasts, in place of the spec's.
    pub duration: Option<Span>,
}

/// A run that is about to go on. While this lives, nobody else can go on with it.
#[derive(Debug)]
pub struct Resumption {
    pub(crate) folder: PathBuf,
    pub(crate) spec: LoadSpec,
    pub(crate) life: Life,
}

impl Resumption {
    /// Looks at a load folder. Nothing is changed, and no broker is asked.
    ///
    /// # Errors
    /// The folder holds no run that can go on, or one whose producers have not ended.
    pub fn open(folder: &Path, resume: &Resume) -> Result<Self, LoadError> {
        let (spec, life) = Life::next(folder, resume)?;
        Ok(Self { folder: folder.into(), spec, life })
    }

    /// What it goes on with.
    pub fn spec(&self) -> &LoadSpec {
        &self.spec
    }

    /// How many messages it sends again.
    pub fn resends(&self) -> u64 {
        self.life.messages_to_resend()
    }
}

/// A life of a run's producers.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) incarnation: u32,
    /// Where the streams of each producer go on, by slot.
    pub(crate) next: Vec<Vec<u64>>,
    /// What each producer sends again.
    pub(crate) resends: Vec<Vec<Resend>>,
    /// The keys of that by producer and slot, where messages have keys; dropped when it has been sent.
    pub(crate) keys: Vec<Vec<Vec<Key>>>,
    /// The last transaction of each producer.
    pub(crate) transaction: Vec<u32>,
    past: Option<Past>,
}

/// What was before.
#[derive(Debug)]
struct Past {
    manifest: Manifest,
    resends: Resends,
    _ended: Ended,
}

impl Life {
    /// The first one.
    pub(crate) fn first(spec: &LoadSpec) -> Self {
        let producers = spec.producers as usize;
        Self {
            incarnation: 0,
            next: vec![vec![0; spec.streams() as usize]; producers],
            resends: vec![Vec::new(); producers],
            keys: vec![Vec::new(); producers],
            transaction: vec![0; producers],
            past: None,
        }
    }

    /// The one that goes on with a folder, and the spec that it goes on with.
    fn next(folder: &Path, resume: &Resume) -> Result<(LoadSpec, Self), LoadError> {
        let manifest: Manifest = read(folder, MANIFEST_FILE)?;
        let spec = spec(folder, &manifest, resume)?;
        let ended = Ended::take(folder, &manifest)?;
        // Another one may have gone on with it, and ended, just before.
        let manifest =
            Some(manifest).filter(|known| read(folder, MANIFEST_FILE).is_ok_and(|now: Manifest| now == *known));
        let manifest = manifest.ok_or_else(|| LoadError::Resume("another load has just gone on with it".into()))?;
        let ledger = LedgerReader::open(folder, &manifest)?;
        let resends = choice(&manifest, resume)?;
        let undecided = ledger.undecided(resends);
        let producers = 0..spec.producers;
        let end = |producer, partition| {
            ledger.stream(stream_of(&spec, producer, partition)).map_or(0, ackmark_ledger::StreamLedger::end)
        };
        let next = producers.clone().map(|producer| (0..spec.streams()).map(|at| end(producer, at)).collect());
        let last = |producer| {
            let own = ledger.transactions().iter().filter(|transaction| transaction.producer == producer);
            own.map(|transaction| transaction.transaction).max().unwrap_or(0)
        };
        refuse_too_many_keys(&spec, &undecided, KEYS_MAX)?;
        let keys =
            producers.clone().map(|producer| keys(&spec, producer, &ledger, &undecided)).collect::<Result<_, _>>()?;
        let life = Self {
            incarnation: incarnation(folder, &manifest),
            next: next.collect(),
            resends: producers.clone().map(|producer| resends_of(&spec, producer, &undecided)).collect(),
            keys,
            transaction: producers.map(last).collect(),
            past: Some(Past { manifest, resends, _ended: ended }),
        };
        Ok((spec, life))
    }

    /// Where a producer's streams begin.
    pub(crate) fn starts(&self, spec: &LoadSpec, producer: u32) -> Vec<StreamStart> {
        let next = (0..).zip(&self.next[producer as usize]);
        next.map(|(partition, first_sequence)| StreamStart {
            stream: stream_of(spec, producer, partition),
            first_sequence: *first_sequence,
        })
        .collect()
    }

    /// Whether anything is sent again.
    pub(crate) fn has_resends(&self) -> bool {
        self.resends.iter().any(|resends| !resends.is_empty())
    }

    /// How many messages are sent again.
    pub(crate) fn messages_to_resend(&self) -> u64 {
        self.resends.iter().flatten().map(|resend| resend.sequences.end - resend.sequences.start).sum()
    }

    /// Refuses brokers and topics that are not those that the run began with.
    ///
    /// # Errors
    /// What differs.
    pub(crate) fn check(&self, now: &Manifest) -> Result<(), LoadError> {
        let Some(Past { manifest: then, .. }) = &self.past else { return Ok(()) };
        let differ = |what: &str, now: &str, then: &str| {
            Err(LoadError::Resume(format!("{what} is {now} now and was {then} when the run began")))
        };
        match (&now.cluster_id, &then.cluster_id) {
            (Some(now), Some(then)) if now != then => return differ("the cluster's id", now, then),
            _ => {}
        }
        for (now, then) in now.topics.iter().zip(&then.topics) {
            if let (Some(now_id), Some(then_id)) = (&now.id, &then.id)
                && now_id != then_id
            {
                return differ(&format!("the id of topic '{}'", now.name), now_id, then_id);
            }
        }
        if now.promise.basis != then.promise.basis {
            let text = |manifest: &Manifest| serde_json::to_string(&manifest.promise.basis).unwrap_or_default();
            return differ("what the promise rests on", &text(now), &text(then));
        }
        Ok(())
    }

    /// The manifest with this life in it, from what the first one would say.
    pub(crate) fn manifest(&self, first: Manifest) -> Manifest {
        let Some(Past { manifest, resends, .. }) = &self.past else { return first };
        let mut manifest = manifest.clone();
        manifest.producers.iter_mut().for_each(|producer| producer.incarnations.push(self.incarnation));
        let (incarnation, started) = (self.incarnation, first.started);
        manifest.resumed.push(Resumed { incarnation, started, resends: *resends });
        if *resends == Resends::Indeterminate && manifest.promise.basis.transactional && self.has_resends() {
            let clauses = manifest.promise.clauses.iter_mut();
            let tightened = &manifest.profile.must_not;
            for clause in clauses.filter(|clause| clause.class == Class::DuplicateResend) {
                if !tightened.contains(&clause.class) {
                    clause.ruling = Ruling::May;
                    clause.reason = "what an unanswered commit may hold was sent again".into();
                }
            }
        }
        manifest
    }

    /// Gives the reports of the life before names of their own; what was found of the log until now is of the past.
    ///
    /// # Errors
    /// A file cannot be renamed or removed.
    pub(crate) fn put_reports_aside(&self, folder: &Path) -> Result<(), LoadError> {
        let Some(Past { manifest, .. }) = &self.past else { return Ok(()) };
        let last = incarnations(manifest).max().unwrap_or(0);
        let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let done = |path: &Path, result: std::io::Result<()>| match result {
            Err(error) if !missing(&error) => Err(LoadError::Write { path: path.into(), source: error }),
            _ => Ok(()),
        };
        for file in [LOAD_FILE, TIMELINE_FILE, LATENCY_FILE, TRANSACTIONS_FILE, COORDINATORS_FILE] {
            let path = folder.join(file);
            done(&path, std::fs::rename(&path, folder.join(ackmark_schema::report::of_incarnation(file, last))))?;
        }
        for file in [SEAL_FILE, VERIFY_FILE, END_TO_END_FILE, VISIBILITY_FILE] {
            let path = folder.join(file);
            done(&path, std::fs::remove_file(&path))?;
        }
        Ok(())
    }
}

/// What the run was asked for, with what this life changes of it.
fn spec(folder: &Path, manifest: &Manifest, resume: &Resume) -> Result<LoadSpec, LoadError> {
    let mut spec: LoadSpec = read(folder, SPEC_FILE)?;
    spec.check().map_err(|problem| LoadError::Resume(format!("{SPEC_FILE}: {problem}")))?;
    let streams = manifest.producers.iter().map(|producer| producer.streams.len()).sum::<usize>();
    let topics = manifest.topics.iter().map(|topic| &topic.name);
    if spec.run != manifest.run
        || !topics.eq(&spec.topics)
        || spec.producers as usize != manifest.producers.len()
        || streams != (spec.producers * spec.streams()) as usize
    {
        return Err(LoadError::Resume(format!("{SPEC_FILE} is of another run than {MANIFEST_FILE}")));
    }
    if !spec.verified {
        return Err(LoadError::Resume("it was sent without a ledger, so nothing is known of it".into()));
    }
    for property in &resume.properties {
        spec.profile.properties.shift_remove(&property.name);
        match spec.properties.iter_mut().find(|known| known.name == property.name) {
            Some(known) => known.clone_from(property),
            None => spec.properties.push(property.clone()),
        }
    }
    let own = spec.properties.iter().map(|property| (&property.name, &property.value));
    if let Some((name, _)) = own.chain(&spec.profile.properties).find(|(_, value)| *value == REDACTED) {
        return Err(LoadError::Resume(format!("{name} is a secret that is not kept: give it again, by -F or -X")));
    }
    if let Some(messages) = resume.messages {
        spec.messages = Some(messages);
        if messages.0 == 0 {
            spec.warm_up = Span(std::time::Duration::ZERO);
        }
    }
    spec.duration = resume.duration.unwrap_or(spec.duration);
    Ok(spec)
}

fn choice(manifest: &Manifest, resume: &Resume) -> Result<Resends, LoadError> {
    let transactional = manifest.profile.transactions.is_some();
    match resume.resends {
        Some(Resends::Uncommitted) if !transactional => Err(LoadError::Resume(format!(
            "profile {} has no transactions, so nothing is uncommitted: choose indeterminate or none",
            manifest.profile.name
        ))),
        Some(resends) => Ok(resends),
        None if transactional => Ok(Resends::Uncommitted),
        None if manifest.promise.basis.acks == Acks::None => Ok(Resends::None),
        None => Ok(Resends::Indeterminate),
    }
}

fn incarnations(manifest: &Manifest) -> impl Iterator<Item = u32> {
    manifest.producers.iter().flat_map(|producer| producer.incarnations.iter().copied())
}

/// The next number of which no file is there: a life that was killed before it was in the manifest leaves some.
fn incarnation(folder: &Path, manifest: &Manifest) -> u32 {
    let is_free = |incarnation: &u32| {
        let mut names = manifest.producers.iter().flat_map(|entry| {
            [states_file(entry.producer, *incarnation), transactions_file(entry.producer, *incarnation)]
        });
        names.all(|name| !folder.join(name).exists())
    };
    let last = incarnations(manifest).max().unwrap_or(0);
    (last + 1..u32::MAX).find(is_free).unwrap_or(u32::MAX)
}

/// A producer's part of what is undecided: with its slot, and the place of its stream among the producer's.
fn of_producer<'a>(
    spec: &LoadSpec,
    producer: u32,
    undecided: &'a [Undecided],
) -> impl Iterator<Item = (usize, &'a Undecided)> {
    let (first, end) = (stream_of(spec, producer, 0), stream_of(spec, producer + 1, 0));
    let own = undecided.iter().filter(move |one| (first..end).contains(&one.stream));
    own.map(move |one| ((one.stream - first) as usize, one))
}

fn resends_of(spec: &LoadSpec, producer: u32, undecided: &[Undecided]) -> Vec<Resend> {
    of_producer(spec, producer, undecided)
        .map(|(slot, one)| Resend { slot, sequences: one.sequences.clone(), attempt: one.attempt })
        .collect()
}

/// Most messages that are sent again with their keys, which are held in memory until then: half a gigabyte of them.
/// Sixty-four producers have fewer outstanding unless they are told to have more.
const KEYS_MAX: u64 = 1 << 25;

/// Refuses, before anything is drawn, more keys than are held at a time.
fn refuse_too_many_keys(spec: &LoadSpec, undecided: &[Undecided], most: u64) -> Result<(), LoadError> {
    let all: u64 = undecided.iter().map(|one| one.sequences.end - one.sequences.start).sum();
    if matches!(spec.message.keys, Keys::None) || all <= most {
        return Ok(());
    }
    Err(LoadError::Resume(format!(
        "{all} messages with keys would be sent again, and the keys of at most {most} are held: send none of them again \
         (--resend none), or begin another run"
    )))
}

/// The keys of what a producer sends again, by slot.
fn keys(
    spec: &LoadSpec,
    producer: u32,
    ledger: &LedgerReader,
    undecided: &[Undecided],
) -> Result<Vec<Vec<Key>>, LoadError> {
    let mut keys = vec![Vec::new(); spec.streams() as usize];
    if KeySource::new(&spec.message.keys, producer, 0, spec.seed).is_none() {
        return Ok(keys);
    }
    let stream = |slot: usize| ledger.stream(stream_of(spec, producer, slot as u32));
    let own = |slot: usize| {
        stream(slot).into_iter().flat_map(ackmark_ledger::StreamLedger::parts).filter(|part| part.attempt == 0)
    };
    let mut lives: Vec<u32> = (0..keys.len()).flat_map(own).map(|part| part.incarnation).collect();
    lives.sort_unstable();
    lives.dedup();
    let placement = || Placement::new(spec.topics.len() as u32, spec.partitions);
    // Sequences rise from life to life, so each life's keys are appended in order.
    for life in lives {
        let part = |slot: usize| own(slot).find(|part| part.incarnation == life).map(ackmark_ledger::Part::range);
        let mut wanted = vec![Vec::new(); keys.len()];
        for (slot, one) in of_producer(spec, producer, undecided) {
            let Some(range) = part(slot) else { continue };
            let sequences = one.sequences.start.max(range.start)..one.sequences.end.min(range.end);
            wanted[slot].extend(sequences.map(|sequence| sequence - range.start));
        }
        let sent: u64 = (0..keys.len()).filter_map(part).map(|range| range.end - range.start).sum();
        let again = KeySource::new(&spec.message.keys, producer, life, spec.seed)
            .and_then(|source| keys::draw_again(source, placement(), &wanted, sent.saturating_add(DRAWS_UNSENT)));
        let again = again.ok_or_else(|| LoadError::Resume(format!("{SPEC_FILE} has other keys than were sent")))?;
        keys.iter_mut().zip(again).for_each(|(all, own)| all.extend(own));
    }
    Ok(keys)
}

/// Keys that a life may have drawn for messages that it did not come to reserve: those of a chunk.
const DRAWS_UNSENT: u64 = crate::sender::RUN_MESSAGES_MAX as u64;

/// Reads a contract of a load folder.
fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, LoadError> {
    let path = folder.join(name);
    let contents = std::fs::read_to_string(&path).map_err(|error| {
        let cure = match name {
            MANIFEST_FILE => "name the folder that `ackmark load` wrote; a load that left no manifest sent nothing",
            _ => "every load folder has one, so this one is not whole",
        };
        LoadError::Resume(format!("cannot read {}: {error}; {cure}", path.display()))
    })?;
    text::from_json(&path.display().to_string(), &contents).map_err(|error| LoadError::Resume(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ackmark_schema::scenario::Message;

    use super::*;

    #[test]
    fn more_keys_than_are_held_are_refused_before_they_are_drawn() {
        let keyless = crate::tests::spec("all-acks");
        let message = Message { keys: Keys::Uniform(Count(9)), ..keyless.message.clone() };
        let keyed = LoadSpec { message, ..keyless.clone() };
        let undecided = [3, 4].map(|stream| Undecided { stream, sequences: 5..15, attempt: 1 });
        refuse_too_many_keys(&keyed, &undecided, 20).unwrap();
        refuse_too_many_keys(&keyless, &undecided, 0).unwrap();
        let refused = refuse_too_many_keys(&keyed, &undecided, 19).unwrap_err().to_string();
        assert!(refused.contains("20 messages with keys") && refused.contains("--resend none"), "{refused}");
    }
}
