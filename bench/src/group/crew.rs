//! All members of a group: started, killed where they are to be, started again, and asked to end once the group's offsets
//! are at the end of the input.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use ackmark_client::ClientProperties;
use ackmark_schema::{
    process::{Database, InHand, Life, MemberSays, MemberSpec, Pattern, Point, ProcessWork, StopAt, Work},
    properties::Property,
    report::{
        Ending,
        process::{Blow, Crash, DatabaseKind, InputPartition, PROCESS_FILE, ProcessReport},
    },
    units::Span,
    version::SchemaId,
};
use ackmark_wire::{
    config::WireConfig,
    groups::{Committed, GroupState, Groups, Stability},
    patience::Patience,
};
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::{
    error::GroupError,
    member::{Heard, Launch, Member, last_words},
    survey::survey,
};

/// How often the group's offsets are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long offsets that are committed in the background are waited for, once what they are of is in hand. librdkafka's
/// `auto.commit.interval.ms` is 5 s by default.
const BACKGROUND_COMMIT: Duration = Duration::from_secs(10);
/// How long a coordinator may take to answer.
const ASK: Duration = Duration::from_secs(30);
/// How long members may take to end.
const GRACE: Duration = Duration::from_secs(30);
/// How long others may take to have the partitions of a frozen member, and how long it stays so beyond that.
const FREEZE: Duration = Duration::from_mins(1);
const FREEZE_LONGER: Duration = Duration::from_millis(500);
/// How often a member that could not go on is started again, all together.
const FAILURES_MAX: usize = 5;

/// What a group is to do.
#[derive(Debug, Clone)]
pub struct CrewPlan {
    /// The pattern.
    pub pattern: Pattern,
    /// `group.id`.
    pub group: String,
    /// The topic that is read.
    pub input: String,
    /// The topic that is written, for a pipeline.
    pub output: Option<String>,
    /// The database, for a pattern with one.
    pub database: Option<Database>,
    /// Members at a time.
    pub members: u32,
    /// Whether a member that is started again takes its place at once (`group.instance.id`).
    pub is_static: bool,
    /// Most messages of a cycle.
    pub batch: u64,
    /// How long a cycle waits for more once it has one.
    pub batch_wait: Duration,
    /// Where members are struck, in order; in turn, one member after the other.
    pub crashes: Vec<(Blow, Point)>,
    /// In which cycle of a life.
    pub crash_cycle: u64,
    /// The longest time in which the group's offsets do not move.
    pub stall: Duration,
}

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answered {
    /// Since the start.
    pub elapsed: Duration,
    /// Offsets behind the group's, of the input's.
    pub committed: u64,
    /// Offsets of the input.
    pub of: u64,
    /// Crashes so far.
    pub crashes: usize,
}

/// A group that is run.
pub struct Crew<'a> {
    plan: &'a CrewPlan,
    launch: &'a Launch,
    properties: &'a ClientProperties,
    groups: Groups<'a>,
    stop: Arc<AtomicBool>,
    tell: Box<dyn Fn(Answered) + 'a>,
    send: UnboundedSender<Heard>,
    heard: UnboundedReceiver<Heard>,
    members: BTreeMap<u32, Member>,
    /// What is to come over a member's next lives.
    to_come: BTreeMap<u32, VecDeque<(Blow, Point)>>,
    /// What is to come over those that are alive.
    armed: BTreeMap<u32, (Blow, Point)>,
    failures: usize,
    report: ProcessReport,
    begun: Instant,
}

impl<'a> Crew<'a> {
    /// Surveys the input, and makes sure that the group is nobody's.
    ///
    /// # Errors
    /// The input is not there or empty, the group is in use or has offsets of it, or nobody answers.
    pub fn new(
        plan: &'a CrewPlan,
        launch: &'a Launch,
        properties: &'a ClientProperties,
        config: &'a WireConfig,
        stop: Arc<AtomicBool>,
        tell: impl Fn(Answered) + 'a,
    ) -> Result<Self, GroupError> {
        let partitions = survey(properties, &plan.input, &stop)?;
        let mut groups = Groups::new(config);
        let patience = Patience::new(&stop, ASK);
        match groups.state(&plan.group, &patience)?.members {
            0 => {}
            members => return Err(GroupError::InUse { group: plan.group.clone(), members }),
        }
        let ids: Vec<i32> = partitions.iter().map(|part| part.partition).collect();
        let committed = groups.committed(&plan.group, &plan.input, &ids, Stability::Stable, &patience)?;
        if committed.values().any(Option::is_some) {
            return Err(GroupError::HasOffsets { group: plan.group.clone(), topic: plan.input.clone() });
        }
        let (send, heard) = mpsc::unbounded_channel();
        let mut to_come: BTreeMap<u32, VecDeque<(Blow, Point)>> = BTreeMap::new();
        for (number, crash) in plan.crashes.iter().enumerate() {
            to_come.entry(number as u32 % plan.members).or_default().push_back(*crash);
        }
        Ok(Self {
            report: report(plan, partitions),
            plan,
            launch,
            properties,
            groups,
            stop,
            tell: Box::new(tell),
            send,
            heard,
            members: BTreeMap::new(),
            to_come,
            armed: BTreeMap::new(),
            failures: 0,
            begun: Instant::now(),
        })
    }

    /// Runs the group to the end of its input. What it did is in the folder as `process.json`, after each crash and at
    /// the end; how it ended is in it.
    ///
    /// # Errors
    /// A member cannot be started, the coordinator does not answer, or the folder cannot be written to.
    pub async fn run(mut self) -> Result<ProcessReport, GroupError> {
        self.begun = Instant::now();
        self.save()?;
        let done = self.work().await;
        self.end().await;
        match done {
            Ok(()) => {}
            // A wait that the user ended.
            Err(_) if self.stop.load(Ordering::Relaxed) => self.report.ending = Ending::Interrupted,
            Err(error) => {
                self.report.ending = Ending::Failed;
                self.report.error.get_or_insert_with(|| error.to_string());
                self.save()?;
                return Err(error);
            }
        }
        self.save()?;
        Ok(self.report)
    }

    async fn work(&mut self) -> Result<(), GroupError> {
        for member in 0..self.plan.members {
            self.start(member, 0).await?;
        }
        if self.plan.members > 1 {
            self.wait_for_group().await?;
            if self.report.error.is_some() {
                return Ok(());
            }
        }
        let mut moved = (Instant::now(), 0, 0);
        loop {
            let heard = tokio::time::timeout(LOOK, self.heard.recv()).await;
            if self.stop.load(Ordering::Relaxed) {
                self.report.ending = Ending::Interrupted;
                return Ok(());
            }
            if let Ok(Some(heard)) = heard {
                self.hear(heard).await?;
                if self.report.error.is_some() {
                    return Ok(());
                }
                continue;
            }
            let committed = self.committed()?;
            let progress = self.progress(&committed);
            (self.tell)(progress);
            let state = (progress.committed, self.report.crashes.len());
            if (moved.1, moved.2) != state {
                moved = (Instant::now(), state.0, state.1);
            }
            if progress.committed >= progress.of {
                if self.report.crashes.len() < self.plan.crashes.len() {
                    self.fail(
                        "the input ended before all crashes had come: load more, or give smaller batches (--batch)",
                    );
                } else {
                    self.report.ending = Ending::Completed;
                }
                return Ok(());
            }
            if moved.0.elapsed() >= self.plan.stall {
                let (at, of) = (progress.committed, progress.of);
                self.fail(&format!(
                    "the group's offsets have not moved for {} s, at {at} of {of}: see what members said in {}",
                    self.plan.stall.as_secs(),
                    self.launch.folder.display()
                ));
                return Ok(());
            }
        }
    }

    /// Lets members go on once all of them are in the group, and it has shared out the partitions. One that cannot begin
    /// is heard of later.
    async fn wait_for_group(&mut self) -> Result<(), GroupError> {
        if !self.wait_for_members(self.plan.members, ASK).await? {
            let (members, waited) = (self.plan.members, ASK.as_secs());
            self.fail(&format!(
                "the group has not shared out its partitions among {members} members within {waited} s: see what they said \
                 in {}",
                self.launch.folder.display()
            ));
            return Ok(());
        }
        for member in self.members.values_mut() {
            member.go().await;
        }
        Ok(())
    }

    /// Waits until the group has shared out its partitions among so many members, or the time is up.
    ///
    /// # Returns
    /// Whether it has.
    async fn wait_for_members(&mut self, members: u32, longest: Duration) -> Result<bool, GroupError> {
        let until = Instant::now() + longest;
        let wanted = GroupState { members: members as usize, is_stable: true };
        let patience = Patience::new(&self.stop, longest);
        while self.groups.state(&self.plan.group, &patience)? != wanted {
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    fn fail(&mut self, why: &str) {
        self.report.ending = Ending::Failed;
        self.report.error = Some(why.to_owned());
    }

    async fn start(&mut self, member: u32, incarnation: u32) -> Result<(), GroupError> {
        let crash = self.to_come.get_mut(&member).and_then(VecDeque::pop_front);
        if let Some(crash) = crash {
            self.armed.insert(member, crash);
        }
        let spec = MemberSpec {
            member,
            incarnation,
            properties: self.properties.iter().cloned().collect::<Vec<Property>>(),
            stop_at: crash.map(|(_, point)| StopAt { point, cycle: self.plan.crash_cycle }),
            work: Work::Process(ProcessWork {
                pattern: self.plan.pattern,
                group: self.plan.group.clone(),
                is_static: self.plan.is_static,
                waits_for_group: incarnation == 0 && self.plan.members > 1,
                input: self.plan.input.clone(),
                output: self.plan.output.clone(),
                batch: self.plan.batch,
                batch_wait: Span(self.plan.batch_wait),
                folder: self.launch.folder.clone(),
                database: self.plan.database.clone(),
            }),
        };
        let started = self.launch.start(&spec, self.send.clone()).await.map_err(GroupError::Start)?;
        self.members.insert(member, started);
        Ok(())
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), GroupError> {
        let Heard { member, incarnation, says } = heard;
        // A life that was killed says no more than that it is gone.
        if self.members.get(&member).is_none_or(|alive| alive.incarnation != incarnation) {
            return Ok(());
        }
        match says {
            Some(MemberSays::Reached { at, in_hand }) => match self.armed.remove(&member) {
                Some((Blow::Frozen, _)) => self.freeze(member, at, in_hand).await,
                _ => self.crash(member, at, in_hand).await,
            },
            Some(MemberSays::Ended(life)) => self.failed(*life).await,
            None => {
                let words = last_words(&self.launch.words(member, incarnation));
                let error = Some(format!("it ended without a word: {words}"));
                self.failed(Life { member, incarnation, error, ..Life::default() }).await
            }
        }
    }

    /// Kills a member where it waits, takes down what it left behind, and starts its next life.
    async fn crash(&mut self, member: u32, at: StopAt, in_hand: Vec<InHand>) -> Result<(), GroupError> {
        if self.plan.pattern == Pattern::AutoCommit {
            self.wait_for_background_commit(&in_hand).await?;
        }
        let Some(alive) = self.members.remove(&member) else { return Ok(()) };
        let incarnation = alive.incarnation;
        alive.kill().await;
        // A commit is acknowledged before its marker has reached the group's offsets; what was not committed has none.
        let is_settling = self.plan.pattern == Pattern::ExactlyOnce && at.point == Point::AfterCommit;
        let stability = if is_settling { Stability::Stable } else { Stability::AsTheyAre };
        // Of its own partitions alone: others may be held by a member that is dead.
        let own: Vec<i32> = in_hand.iter().map(|held| held.partition).collect();
        let committed = self.committed_of(&own, stability)?;
        let is_effected = self.plan.pattern.is_effected_at(at.point);
        let (mut to_be_skipped, mut to_be_repeated) = (0, 0);
        let mut offsets = Vec::new();
        for held in &in_hand {
            let offset = committed.get(&held.partition).copied().flatten();
            let done = records_below(held, offset);
            if is_effected {
                to_be_repeated += held.records - done;
            } else {
                to_be_skipped += done;
            }
            offsets.push((held.partition, offset));
        }
        self.report.crashes.push(Crash {
            blow: Blow::Killed,
            member,
            incarnation,
            at,
            in_hand,
            committed: offsets,
            to_be_skipped,
            to_be_repeated,
        });
        self.save()?;
        self.start(member, incarnation + 1).await
    }

    /// Stops a member where it waits, until the others have its partitions, and lets it go on then: it does not know.
    async fn freeze(&mut self, member: u32, at: StopAt, in_hand: Vec<InHand>) -> Result<(), GroupError> {
        let Some(alive) = self.members.get(&member) else { return Ok(()) };
        let incarnation = alive.incarnation;
        alive.signal(Signal::STOP);
        if !self.wait_for_members(self.plan.members - 1, FREEZE).await? {
            self.fail(&format!(
                "the others did not take over the partitions of a frozen member within {} s, so it is no zombie: lower \
                 session.timeout.ms (-X)",
                FREEZE.as_secs()
            ));
            if let Some(alive) = self.members.get(&member) {
                alive.signal(Signal::CONT);
            }
            return Ok(());
        }
        // They begin with what it has in hand.
        tokio::time::sleep(FREEZE_LONGER).await;
        let committed = Vec::new();
        let (to_be_skipped, to_be_repeated) = (0, 0);
        let blow = Blow::Frozen;
        self.report.crashes.push(Crash {
            blow,
            member,
            incarnation,
            at,
            in_hand,
            committed,
            to_be_skipped,
            to_be_repeated,
        });
        self.save()?;
        if let Some(alive) = self.members.get_mut(&member) {
            alive.signal(Signal::CONT);
            alive.go().await;
        }
        Ok(())
    }

    /// What is committed in the background is, once its interval is over: from then on nothing of this member's is under
    /// way.
    async fn wait_for_background_commit(&mut self, in_hand: &[InHand]) -> Result<(), GroupError> {
        let begun = Instant::now();
        loop {
            let committed = self.committed()?;
            let is_there = |held: &InHand| committed.get(&held.partition).copied().flatten() >= Some(held.next);
            if in_hand.iter().all(is_there) || begun.elapsed() >= BACKGROUND_COMMIT {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A member that could not go on: it is started again, as a supervisor does.
    async fn failed(&mut self, life: Life) -> Result<(), GroupError> {
        let (member, incarnation) = (life.member, life.incarnation);
        if let Some(ended) = self.members.remove(&member) {
            ended.gone().await;
        }
        // What was to come over it comes over its next life.
        if let Some(crash) = self.armed.remove(&member) {
            self.to_come.entry(member).or_default().push_front(crash);
        }
        self.failures += 1;
        if self.failures > FAILURES_MAX {
            let error = life.error.clone().unwrap_or_default();
            self.fail(&format!("members cannot go on; the last of {} said: {error}", self.failures));
        }
        self.report.lives.push(life);
        if self.report.error.is_none() { self.start(member, incarnation + 1).await } else { Ok(()) }
    }

    fn committed(&mut self) -> Result<Committed, GroupError> {
        let all: Vec<i32> = self.report.partitions.iter().map(|part| part.partition).collect();
        self.committed_of(&all, Stability::AsTheyAre)
    }

    fn committed_of(&mut self, partitions: &[i32], stability: Stability) -> Result<Committed, GroupError> {
        let patience = Patience::new(&self.stop, ASK);
        Ok(self.groups.committed(&self.plan.group, &self.plan.input, partitions, stability, &patience)?)
    }

    fn progress(&self, committed: &Committed) -> Answered {
        let (mut behind, mut of) = (0, 0);
        for part in &self.report.partitions {
            let offset = committed.get(&part.partition).copied().flatten().unwrap_or(part.first);
            behind += (offset.min(part.end) - part.first).max(0).unsigned_abs();
            of += (part.end - part.first).unsigned_abs();
        }
        Answered { elapsed: self.begun.elapsed(), committed: behind, of, crashes: self.report.crashes.len() }
    }

    /// Asks all members to end, and kills those that do not.
    async fn end(&mut self) {
        for member in self.members.values_mut() {
            // One that waits at a point would not hear of it.
            member.ask_to_end().await;
            member.go().await;
        }
        let until = Instant::now() + GRACE;
        let mut left: BTreeMap<u32, u32> =
            self.members.values().map(|member| (member.member, member.incarnation)).collect();
        while !left.is_empty() {
            let wait = until.saturating_duration_since(Instant::now());
            let Ok(Some(heard)) = tokio::time::timeout(wait, self.heard.recv()).await else { break };
            if left.get(&heard.member) != Some(&heard.incarnation) {
                continue;
            }
            match heard.says {
                Some(MemberSays::Ended(life)) => self.report.lives.push(*life),
                None => {
                    left.remove(&heard.member);
                }
                Some(MemberSays::Reached { .. }) => {}
            }
        }
        for (_, member) in std::mem::take(&mut self.members) {
            if left.contains_key(&member.member) { member.kill().await } else { member.gone().await }
        }
        self.report.duration_s = self.begun.elapsed().as_secs_f64();
    }

    fn save(&self) -> Result<(), GroupError> {
        let path = self.launch.folder.join(PROCESS_FILE);
        let partial = self.launch.folder.join(format!(".{PROCESS_FILE}.partial"));
        serde_json::to_vec_pretty(&self.report)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|source| GroupError::Write { path, source })
    }
}

/// Of messages in hand, how many are below an offset. They are next to each other but for what readers are not shown.
fn records_below(held: &InHand, offset: Option<i64>) -> u64 {
    match offset {
        Some(offset) if offset >= held.next => held.records,
        Some(offset) => held.records.min((offset - held.first).max(0).unsigned_abs()),
        None => 0,
    }
}

fn report(plan: &CrewPlan, partitions: Vec<InputPartition>) -> ProcessReport {
    let kind = |url: &str| if url.starts_with("postgres") { "PostgreSQL" } else { "SQLite" };
    ProcessReport {
        schema: SchemaId::default(),
        pattern: plan.pattern,
        group: plan.group.clone(),
        is_static: plan.is_static,
        input: plan.input.clone(),
        output: plan.output.clone(),
        database: plan
            .database
            .as_ref()
            .map(|database| DatabaseKind { kind: kind(&database.url).to_owned(), window: database.window }),
        members: plan.members,
        batch: plan.batch,
        batch_wait: Span(plan.batch_wait),
        started: Timestamp::now(),
        duration_s: 0.0,
        // Until it has ended otherwise: a file that is found after a crash says so.
        ending: Ending::Interrupted,
        error: None,
        partitions,
        crashes: Vec::new(),
        lives: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_messages_in_hand_those_below_the_offset_are_told() {
        let held = InHand { partition: 0, first: 10, next: 20, records: 8 };
        let below =
            [(None, 0), (Some(5), 0), (Some(10), 0), (Some(14), 4), (Some(19), 8), (Some(20), 8), (Some(99), 8)];
        for (offset, records) in below {
            assert_eq!(records_below(&held, offset), records, "{offset:?}");
        }
    }
}
