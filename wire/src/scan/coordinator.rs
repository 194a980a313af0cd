//! Who reads what: the calling thread finds leaders, starts readers and takes back what they cannot read on.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use kafka_protocol::ResponseError;

use super::{
    Outcome, Progress, Scanned, Target, Visitor,
    reader::Reader,
    reading::{Left, Reading, Shared},
};
use crate::{
    error::{WireError, may_pass},
    metadata::{Broker, Directory, Topics},
};

/// How often the stop flag and the bounds are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often the caller's tick runs.
const TICK: Duration = Duration::from_millis(50);
/// Waits before a partition's leader is looked for again: doubled from the first to the last.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long brokers may deny a partition that was asked for: as long as a new leader needs to hear of it.
const UNKNOWN_MAX: Duration = Duration::from_secs(5);
/// Connections to a broker at the same time, after partitions have moved; more of them wait.
const READERS_PER_BROKER_MAX: usize = 8;

/// What threads report.
pub(super) enum Event<'a, V> {
    /// A partition left its reader.
    Left(Reading<V>, Left),
    /// A reader has ended.
    Ended { broker: i32 },
    /// Leaders were asked for.
    Leaders(Directory<'a>, Result<Topics, WireError>),
    /// A thread panicked.
    Panicked(String),
}

pub(super) struct Coordinator<'scope, 'env, V> {
    scope: &'scope Scope<'scope, 'env>,
    shared: Shared<'scope>,
    sender: Sender<Event<'scope, V>>,
    inbox: Receiver<Event<'scope, V>>,
    /// Not here while it is out asking.
    directory: Option<Directory<'scope>>,
    /// Partitions without a reader, and when their leader may be looked for.
    waiting: Vec<(Reading<V>, Instant)>,
    /// Readers that run, by broker.
    readers: BTreeMap<i32, usize>,
    finished: Vec<(usize, Scanned<V>)>,
    unfinished: usize,
    trouble: Option<String>,
    /// Brokers have told leaders at least once.
    has_leaders: bool,
    /// Why the scan is over before its end.
    halted: Option<String>,
    fatal: Option<WireError>,
}

impl<'scope, 'env, V: Visitor + 'scope> Coordinator<'scope, 'env, V> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, shared: Shared<'scope>, targets: Vec<(Target, V)>) -> Self {
        let (sender, inbox) = channel();
        let now = Instant::now();
        let mut this = Self {
            scope,
            shared,
            sender,
            inbox,
            directory: Some(Directory::new(shared.plan.config)),
            waiting: Vec::with_capacity(targets.len()),
            readers: BTreeMap::new(),
            finished: Vec::with_capacity(targets.len()),
            unfinished: targets.len(),
            trouble: None,
            has_leaders: false,
            halted: None,
            fatal: None,
        };
        for (index, (target, visitor)) in targets.into_iter().enumerate() {
            let mut reading = Reading::new(index, target, visitor, shared.plan.sizes.partition_max_bytes);
            if reading.is_done() {
                reading.visitor.end(reading.target.end);
                this.finish(reading, Outcome::Complete);
            } else {
                this.waiting.push((reading, now));
            }
        }
        this
    }

    pub(super) fn run(
        mut self,
        stop: &AtomicBool,
        tick: &mut impl FnMut(&Progress),
    ) -> Result<Vec<Scanned<V>>, WireError> {
        let (mut steps, mut stepped, mut ticked) = (0, Instant::now(), None::<Instant>);
        while self.unfinished > 0 || !self.readers.is_empty() {
            let now = self.shared.counters.steps.load(Ordering::Relaxed);
            if now != steps {
                (steps, stepped) = (now, Instant::now());
            }
            self.look_at_bounds(stop, stepped);
            if self.halted.is_some() {
                self.finish_waiting();
            } else {
                self.ask_for_leaders();
            }
            if ticked.is_none_or(|ticked| ticked.elapsed() >= TICK) {
                ticked = Some(Instant::now());
                tick(&self.progress());
            }
            if let Ok(event) = self.inbox.recv_timeout(LOOK) {
                self.take(event);
                while let Ok(event) = self.inbox.try_recv() {
                    self.take(event);
                }
            }
        }
        tick(&self.progress());
        if let Some(error) = self.fatal {
            return Err(error);
        }
        self.finished.sort_by_key(|(index, _)| *index);
        Ok(self.finished.into_iter().map(|(_, scanned)| scanned).collect())
    }

    fn progress(&self) -> Progress {
        Progress {
            records: self.shared.counters.records.load(Ordering::Relaxed),
            bytes: self.shared.counters.bytes.load(Ordering::Relaxed),
            unfinished: self.unfinished,
            elapsed: self.shared.begun.elapsed(),
            trouble: self.trouble.clone(),
        }
    }

    fn look_at_bounds(&mut self, stop: &AtomicBool, stepped: Instant) {
        let limits = &self.shared.plan.limits;
        if stop.load(Ordering::Relaxed) {
            self.halt("interrupted".to_owned());
        } else if stepped.elapsed() >= limits.no_progress {
            self.halt(format!("no progress for {:?}", limits.no_progress));
        } else if self.shared.begun.elapsed() >= limits.deadline {
            self.halt(format!("not done within {:?}", limits.deadline));
        }
    }

    /// Ends all threads; partitions come back as they are.
    fn halt(&mut self, why: String) {
        self.shared.halt.store(true, Ordering::Relaxed);
        self.halted.get_or_insert(why);
    }

    fn fail(&mut self, error: WireError) {
        self.halt(error.to_string());
        self.fatal.get_or_insert(error);
    }

    fn take(&mut self, event: Event<'scope, V>) {
        match event {
            Event::Left(reading, Left::Done) => self.finish(reading, Outcome::Complete),
            Event::Left(reading, Left::Failed(why)) => self.give_up(reading, &why),
            Event::Left(reading, Left::Moved(why)) => self.wait(reading, why),
            Event::Ended { broker } => {
                if let Some(count) = self.readers.get_mut(&broker) {
                    *count -= 1;
                    if *count == 0 {
                        self.readers.remove(&broker);
                    }
                }
            }
            Event::Leaders(directory, answer) => {
                self.directory = Some(directory);
                match answer {
                    Ok(topics) => self.assign(&topics),
                    Err(WireError::Stopped) => {}
                    Err(error) if !self.has_leaders && !error.is_retriable() => self.fail(error),
                    Err(error) => {
                        let why = error.to_string();
                        for (reading, _) in self.take_due() {
                            self.wait(reading, why.clone());
                        }
                    }
                }
            }
            // What the thread held is lost.
            Event::Panicked(what) => {
                self.unfinished = 0;
                self.fail(WireError::Panicked { what });
            }
        }
    }

    /// Puts a partition back until its leader is looked for again.
    fn wait(&mut self, mut reading: Reading<V>, why: String) {
        reading.start_over();
        if reading.is_done() {
            reading.visitor.end(reading.target.end);
            return self.finish(reading, Outcome::Complete);
        }
        if self.halted.is_none() {
            let wait = BACKOFF_MIN.saturating_mul(1 << reading.failures.min(16)).min(BACKOFF_MAX);
            reading.failures += 1;
            self.trouble = Some(format!("{}: {why}", reading.name()));
            reading.trouble = Some(why);
            self.waiting.push((reading, Instant::now() + wait));
        } else {
            self.waiting.push((reading, Instant::now()));
        }
    }

    fn finish(&mut self, reading: Reading<V>, outcome: Outcome) {
        let Reading { index, target, visitor, position, .. } = reading;
        self.finished.push((index, Scanned { target, visitor, position, outcome }));
        self.unfinished = self.unfinished.saturating_sub(1);
    }

    fn give_up(&mut self, reading: Reading<V>, why: &str) {
        let (at, end) = (reading.position, reading.target.end);
        let reason = format!("{} stands at offset {at} of {end}: {why}", reading.name());
        self.trouble = Some(reason.clone());
        self.finish(reading, Outcome::Incomplete { reason });
    }

    fn finish_waiting(&mut self) {
        let why = self.halted.clone().unwrap_or_default();
        for (reading, _) in std::mem::take(&mut self.waiting) {
            let why = match &reading.trouble {
                Some(trouble) => format!("{why} ({trouble})"),
                None => why.clone(),
            };
            self.give_up(reading, &why);
        }
    }

    fn take_due(&mut self) -> Vec<(Reading<V>, Instant)> {
        let now = Instant::now();
        self.waiting.extract_if(.., |(_, due)| *due <= now).collect()
    }

    fn ask_for_leaders(&mut self) {
        let now = Instant::now();
        if self.waiting.iter().all(|(_, due)| *due > now) {
            return;
        }
        let Some(mut directory) = self.directory.take() else { return };
        let topics: BTreeSet<String> = self.waiting.iter().map(|(reading, _)| reading.target.topic.clone()).collect();
        let (shared, sender) = (self.shared, self.sender.clone());
        self.scope.spawn(move || {
            let patience = shared.patience();
            let asked = AssertUnwindSafe(|| directory.topics(topics.iter().map(String::as_str), &patience));
            let event = match catch_unwind(asked) {
                Ok(answer) => Event::Leaders(directory, answer),
                Err(panic) => Event::Panicked(message(&*panic)),
            };
            let _ = sender.send(event);
        });
    }

    /// Starts readers for the partitions that wait, where they have a leader.
    fn assign(&mut self, topics: &Topics) {
        if self.halted.is_some() {
            return;
        }
        self.has_leaders = true;
        let mut by_broker: BTreeMap<i32, (Broker, Vec<Reading<V>>)> = BTreeMap::new();
        for (mut reading, due) in self.take_due() {
            match topics.leader(&reading.target.topic, reading.target.partition) {
                Ok(leader) => {
                    let id = leader.broker.id;
                    if self.readers.get(&id).is_some_and(|count| *count >= READERS_PER_BROKER_MAX) {
                        self.waiting.push((reading, due + BACKOFF_MAX));
                        continue;
                    }
                    reading.leader_epoch = leader.epoch;
                    by_broker.entry(id).or_insert_with(|| (leader.broker.clone(), Vec::new())).1.push(reading);
                }
                Err(ResponseError::UnknownTopicOrPartition) => {
                    let since = *reading.unknown_since.get_or_insert_with(Instant::now);
                    let why = "the cluster does not know this partition; was the topic deleted?";
                    if since.elapsed() < UNKNOWN_MAX {
                        self.wait(reading, why.to_owned());
                    } else {
                        self.give_up(reading, why);
                    }
                }
                Err(code) if may_pass(code) => self.wait(reading, format!("it has no leader ({code:?}: {code})")),
                Err(code) => self.give_up(reading, &format!("{code:?}: {code}")),
            }
        }
        let brokers = by_broker.keys().chain(self.readers.keys()).collect::<BTreeSet<_>>().len();
        // A second connection gains 1.8 times where one broker leads all, and nothing where several do.
        let connections = self.shared.plan.connections_per_broker.unwrap_or(if brokers == 1 { 2 } else { 1 });
        for (broker, readings) in by_broker.into_values() {
            let running = self.readers.get(&broker.id).copied().unwrap_or_default();
            for readings in deal(readings, connections.saturating_sub(running).max(1)) {
                self.start(broker.clone(), readings);
            }
        }
    }

    fn start(&mut self, broker: Broker, readings: Vec<Reading<V>>) {
        *self.readers.entry(broker.id).or_default() += 1;
        let (shared, sender) = (self.shared, self.sender.clone());
        self.scope.spawn(move || {
            let id = broker.id;
            let mut reader = Reader::new(shared, broker, sender.clone(), readings);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| reader.run())) {
                let _ = sender.send(Event::Panicked(message(&*panic)));
            }
            let _ = sender.send(Event::Ended { broker: id });
        });
    }
}

/// Deals partitions to readers so that each has about as much to read: the largest first, each to the one that has
/// least.
fn deal<V: Visitor>(mut readings: Vec<Reading<V>>, readers: usize) -> Vec<Vec<Reading<V>>> {
    let rest = |reading: &Reading<V>| reading.target.end.saturating_sub(reading.position);
    let mut hands: Vec<(i64, Vec<Reading<V>>)> = Vec::new();
    hands.resize_with(readers.clamp(1, readings.len().max(1)), || (0, Vec::new()));
    readings.sort_by_key(|reading| std::cmp::Reverse(rest(reading)));
    for reading in readings {
        if let Some((load, hand)) = hands.iter_mut().min_by_key(|(load, hand)| (*load, hand.len())) {
            *load = load.saturating_add(rest(&reading));
            hand.push(reading);
        }
    }
    for (_, hand) in &mut hands {
        // Partitions of a topic side by side: a Fetch names each topic once.
        hand.sort_by(|a, b| (&a.target.topic, a.target.partition).cmp(&(&b.target.topic, b.target.partition)));
    }
    hands.into_iter().map(|(_, hand)| hand).filter(|hand| !hand.is_empty()).collect()
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
