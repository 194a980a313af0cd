//! Scans of brokers that move leaders, hang up, fall silent, lose and damage what they have.

#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init, missing_docs)]

#[path = "fake/mod.rs"]
mod fake;
mod support;

use std::{
    error::Error,
    io::Write,
    net::TcpListener,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ackmark_wire::{
    batch::{Batch, BatchError, BatchHeader},
    codec::Decompressor,
    config::WireConfig,
    error::WireError,
    metadata::{Directory, OffsetSpec},
    patience::Patience,
    scan::{Limits, Outcome, ScanPlan, Scanned, Target, Visitor, scan},
};
use fake::{Fake, Log, Reaction, TOPIC};
use kafka_protocol::ResponseError;

/// Keeps all that it is told.
#[derive(Debug, Default)]
struct Seen {
    start: i64,
    end: i64,
    offsets: Vec<i64>,
    /// Base offsets.
    batches: Vec<i64>,
    unreadable: Vec<Range<i64>>,
    nothing: Vec<Range<i64>>,
    why: Vec<String>,
    log_starts: Vec<i64>,
    last_stable: Option<i64>,
    ends: Vec<i64>,
    panics_at: Option<i64>,
    refuses: Option<i64>,
}

impl Visitor for Seen {
    fn log_start(&mut self, offset: i64) {
        self.log_starts.push(offset);
        self.start = self.start.max(offset);
    }

    fn last_stable(&mut self, offset: i64) {
        self.last_stable = Some(offset);
    }

    fn batch(&mut self, batch: &Batch<'_>, decompressor: &mut Decompressor) -> Result<(), BatchError> {
        let base = batch.header.base_offset;
        assert_ne!(self.panics_at, Some(base), "the visitor was told to panic");
        self.batches.push(base);
        if self.refuses == Some(base) {
            return Err(BatchError::LeftOver { offset: base, count: 1 });
        }
        for record in batch.records(decompressor)? {
            let offset = record?.offset;
            if (self.start..self.end).contains(&offset) {
                self.offsets.push(offset);
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, from: i64, end: i64, error: &(dyn Error + 'static)) {
        self.unreadable.push(from..end);
        self.why.push(error.to_string());
    }

    fn nothing(&mut self, from: i64, end: i64) {
        self.nothing.push(from..end);
    }

    fn end(&mut self, offset: i64) {
        self.ends.push(offset);
    }
}

const LIMITS: Limits = Limits {
    no_progress: Duration::from_secs(3),
    deadline: Duration::from_mins(2),
    silence: Duration::from_millis(300),
};

fn target(partition: i32, start: i64, end: i64) -> (Target, Seen) {
    let seen = Seen { start, end, ..Seen::default() };
    (Target { topic: TOPIC.to_owned(), partition, start, end }, seen)
}

/// All partitions from their start to their end.
fn all(fake: &Fake) -> Vec<(Target, Seen)> {
    fake.state().logs.iter().map(|(partition, log)| target(*partition, log.start, log.high_watermark)).collect()
}

fn run_with(
    fake: &Fake,
    targets: Vec<(Target, Seen)>,
    change: impl FnOnce(&mut ScanPlan<'_>),
) -> Result<Vec<Scanned<Seen>>, WireError> {
    let config = fake.config();
    let mut plan = ScanPlan { limits: LIMITS, ..ScanPlan::new(&config) };
    change(&mut plan);
    scan(&plan, targets, &AtomicBool::new(false), |_| {})
}

fn run(fake: &Fake, targets: Vec<(Target, Seen)>) -> Vec<Scanned<Seen>> {
    run_with(fake, targets, |_| {}).unwrap()
}

#[track_caller]
fn assert_complete(fake: &Fake, scanned: &[Scanned<Seen>]) {
    for one in scanned {
        let log = fake.state().logs[&one.target.partition].clone();
        assert_eq!(one.outcome, Outcome::Complete, "{:?}", one.target);
        assert_eq!(one.visitor.offsets, log.offsets(), "{:?}", one.target);
        assert_eq!(one.visitor.ends, [one.target.end]);
        assert!(one.visitor.unreadable.is_empty() && one.visitor.nothing.is_empty(), "{:?}", one.visitor);
    }
}

#[track_caller]
fn reason(scanned: &Scanned<Seen>) -> &str {
    match &scanned.outcome {
        Outcome::Incomplete { reason } => reason,
        Outcome::Complete => panic!("it is complete: {scanned:?}"),
    }
}

/// Six partitions over three brokers.
fn three_brokers() -> Fake {
    Fake::new(3, (0..6).map(|partition| Log::filled(partition % 3 + 1, 50, 20)))
}

#[test]
fn all_of_three_brokers_is_read_once_in_every_version_of_fetch() {
    for version in 4..=10 {
        let fake = three_brokers();
        fake.state().fetch_versions = (0, version);
        let scanned = run(&fake, all(&fake));
        assert_complete(&fake, &scanned);
        // Before version 5 an answer has no log start.
        assert!(scanned.iter().all(|one| one.visitor.log_starts == if version < 5 { vec![] } else { vec![0] }));
        assert!(scanned.iter().all(|one| one.visitor.last_stable == Some(1000)));
    }
}

#[test]
fn cut_batches_small_answers_and_many_connections_change_nothing() {
    for (max_bytes, partition_max_bytes, connections) in [(1, 1, 1), (3000, 1500, 3), (100_000, 2_000, 2)] {
        let fake = Fake::new(1, (0..5).map(|_| Log::filled(1, 30, 7)));
        let scanned = run_with(&fake, all(&fake), |plan| {
            plan.sizes.max_bytes = max_bytes;
            plan.sizes.partition_max_bytes = partition_max_bytes;
            plan.connections_per_broker = Some(connections);
        });
        assert_complete(&fake, &scanned.unwrap());
    }
}

#[test]
fn each_partition_has_its_turn() {
    let fake = Fake::new(1, (0..4).map(|_| Log::filled(1, 40, 10)));
    let scanned = run_with(&fake, all(&fake), |plan| {
        // An answer holds a batch or two.
        plan.sizes.max_bytes = 1000;
        plan.connections_per_broker = Some(1);
    });
    assert_complete(&fake, &scanned.unwrap());
    let asked = fake.state().asked.clone();
    // When the first partition was half read, the last one was not far behind.
    let half = asked.iter().position(|(partition, offset)| *partition == 0 && *offset >= 200).unwrap();
    let last = asked[..half].iter().filter(|(partition, _)| *partition == 3).map(|(_, offset)| *offset).max();
    assert!(last.unwrap() > 150, "{last:?}");
}

#[test]
fn a_batch_beyond_the_sizes_is_read() {
    let mut log = Log { leader: 1, ..Log::default() };
    for bytes in [10, 50_000, 10, 200_000, 10] {
        log.append(3, bytes);
    }
    let fake = Fake::new(1, [log.clone(), log]);
    let scanned = run_with(&fake, all(&fake), |plan| plan.sizes.partition_max_bytes = 1000);
    assert_complete(&fake, &scanned.unwrap());
}

#[test]
fn a_part_of_a_log_begins_and_ends_within_batches() {
    let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
    let scanned = run(&fake, vec![target(0, 25, 71)]);
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(scanned[0].visitor.offsets, (25..71).collect::<Vec<_>>());
    assert_eq!(scanned[0].visitor.batches, [20, 30, 40, 50, 60, 70], "no batch more");
    assert_eq!(scanned[0].visitor.ends, [71]);
}

#[test]
fn nothing_to_read_needs_no_broker() {
    let config = WireConfig::from_properties([("bootstrap.servers", "127.0.0.1:1")]).unwrap();
    let targets = vec![target(0, 0, 0), target(1, 7, 5)];
    let scanned = scan(&ScanPlan::new(&config), targets, &AtomicBool::new(false), |_| {}).unwrap();
    assert!(scanned.iter().all(|one| one.outcome == Outcome::Complete));
    assert_eq!((&scanned[0].visitor.ends, &scanned[1].visitor.ends), (&vec![0], &vec![5]));
    assert!(scan(&ScanPlan::new(&config), Vec::<(Target, Seen)>::new(), &AtomicBool::new(false), |_| {}).is_ok());
}

#[test]
fn a_broker_that_does_not_know_api_versions_3_is_asked_in_version_0() {
    let fake = three_brokers();
    fake.state().knows_api_versions_3 = false;
    assert_complete(&fake, &run(&fake, all(&fake)));
}

#[test]
fn a_broker_without_a_fetch_that_we_speak_is_told() {
    let fake = three_brokers();
    fake.state().fetch_versions = (11, 18);
    let error = run_with(&fake, all(&fake), |_| {}).unwrap_err();
    assert!(error.is_not_spoken(), "{error}");
    assert!(error.to_string().contains("Fetch in versions 11..18"), "{error}");
}

#[test]
fn what_is_no_kafka_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    let config = WireConfig::from_properties([("bootstrap.servers", servers.as_str())]).unwrap();
    let plan = ScanPlan { limits: LIMITS, ..ScanPlan::new(&config) };
    let error = scan(&plan, vec![target(0, 0, 1)], &AtomicBool::new(false), |_| {}).unwrap_err();
    assert!(error.to_string().contains("security.protocol"), "{error}");
    assert!(!error.is_retriable() && !error.is_not_spoken());
}

#[test]
fn leaders_that_move_are_followed() {
    let fake = three_brokers();
    fake.script(|state, _, number| {
        if number % 3 == 2 && number < 60 {
            let partition = number as i32 / 3 % 6;
            let log = state.logs.get_mut(&partition).unwrap();
            log.leader = log.leader % 3 + 1;
            log.epoch += 1;
        }
        Reaction::Answer
    });
    let scanned = run_with(&fake, all(&fake), |plan| plan.sizes.partition_max_bytes = 3000).unwrap();
    assert_complete(&fake, &scanned);
    assert!(fake.state().logs.values().map(|log| log.epoch).sum::<i32>() > 3, "leaders did move");
}

#[test]
fn connections_that_end_within_an_answer_repeat_and_skip_nothing() {
    let fake = three_brokers();
    fake.script(|_, _, number| if number % 4 == 3 { Reaction::Cut(number * 97) } else { Reaction::Answer });
    let scanned = run_with(&fake, all(&fake), |plan| plan.sizes.partition_max_bytes = 4000).unwrap();
    assert_complete(&fake, &scanned);
}

#[test]
fn a_broker_that_falls_silent_is_left_for_the_new_leader() {
    let fake = three_brokers();
    fake.script(|state, broker, _| {
        if broker != 2 {
            return Reaction::Answer;
        }
        state.frozen.push(2);
        for log in state.logs.values_mut().filter(|log| log.leader == 2) {
            (log.leader, log.epoch) = (3, log.epoch + 1);
        }
        Reaction::Silence
    });
    assert_complete(&fake, &run(&fake, all(&fake)));
}

#[test]
fn a_broker_that_stays_silent_is_named_with_the_partition() {
    let fake = three_brokers();
    let address = fake.config().bootstrap[1].to_string();
    fake.state().frozen.push(2);
    let begun = Instant::now();
    let scanned = run(&fake, all(&fake));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    for (partition, one) in scanned.iter().enumerate() {
        if partition % 3 == 1 {
            let reason = reason(one);
            assert!(reason.contains(&format!("t-{partition} stands at offset 0 of 1000")), "{reason}");
            assert!(reason.contains("leader 2") && reason.contains(&address), "{reason}");
            assert!(one.visitor.ends.is_empty());
        } else {
            assert_complete(&fake, std::slice::from_ref(one));
        }
    }
}

#[test]
fn a_stop_ends_a_scan_at_once() {
    let fake = three_brokers();
    fake.script(|_, _, number| if number < 3 { Reaction::Answer } else { Reaction::Silence });
    let config = fake.config();
    let limits = Limits { silence: Duration::from_mins(5), no_progress: Duration::from_mins(30), ..LIMITS };
    let mut plan = ScanPlan { limits, ..ScanPlan::new(&config) };
    plan.sizes.partition_max_bytes = 2000;
    let stop = AtomicBool::new(false);
    let mut stopped = None;
    let scanned = scan(&plan, all(&fake), &stop, |progress| {
        if progress.records > 0 && !stop.swap(true, Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
    });
    // 100 ms on a machine that has nothing else to do.
    assert!(stopped.unwrap().elapsed() < Duration::from_secs(2), "{:?}", stopped.unwrap().elapsed());
    let scanned = scanned.unwrap();
    assert!(scanned.iter().all(|one| reason(one).contains("interrupted")), "{scanned:?}");
    // What was read is kept, and where it stands is true.
    assert!(scanned.iter().any(|one| one.position > 0));
    for one in &scanned {
        assert_eq!(one.visitor.offsets, (0..one.position).collect::<Vec<_>>());
    }
}

#[test]
fn a_deadline_ends_a_scan() {
    let fake = three_brokers();
    fake.state().frozen.extend([1, 2, 3]);
    let begun = Instant::now();
    let limits = Limits { deadline: Duration::from_millis(200), silence: Duration::from_mins(1), ..LIMITS };
    let scanned = run_with(&fake, all(&fake), |plan| plan.limits = limits).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(scanned.iter().all(|one| reason(one).contains("not done within 200ms")), "{scanned:?}");
}

/// Turns a byte of a batch over.
fn damage(log: &mut Log, batch: usize, byte: usize) {
    log.batches[batch].2[byte] ^= 0x40;
}

#[test]
fn a_damaged_batch_is_told_and_nothing_else_is_missing() {
    // In the first batch, in the middle, two in a row, in the last.
    for damaged in [vec![0], vec![3], vec![4, 5], vec![9]] {
        let mut log = Log::filled(1, 10, 10);
        for batch in &damaged {
            damage(&mut log, *batch, 90);
        }
        let fake = Fake::new(1, [log, Log::filled(1, 10, 10)]);
        let scanned = run(&fake, all(&fake));
        let lost = damaged[0] as i64 * 10..(damaged[damaged.len() - 1] as i64 + 1) * 10;
        let expected: Vec<_> = (0..100).filter(|offset| !lost.contains(offset)).collect();
        let seen = &scanned[0].visitor;
        assert_eq!(scanned[0].outcome, Outcome::Complete);
        assert_eq!(seen.offsets, expected, "{damaged:?}");
        assert_eq!(seen.unreadable.first().unwrap().start, lost.start);
        assert_eq!(seen.unreadable.last().unwrap().end, lost.end);
        assert!(seen.unreadable.windows(2).all(|pair| pair[0].end == pair[1].start), "{seen:?}");
        assert!(seen.why[0].contains("checksum"), "{seen:?}");
        assert_eq!(seen.ends, [100]);
        assert_complete(&fake, &scanned[1..]);
    }
}

#[test]
fn a_batch_that_was_damaged_on_its_way_is_read_again() {
    let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
    fake.script(|_, _, number| if number == 0 { Reaction::Damage } else { Reaction::Answer });
    assert_complete(&fake, &run(&fake, all(&fake)));
    // And what is behind it is asked for.
    let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
    fake.script(|_, _, number| if number == 3 { Reaction::Damage } else { Reaction::Answer });
    assert_complete(&fake, &run_with(&fake, all(&fake), |plan| plan.sizes.partition_max_bytes = 1).unwrap());
}

#[test]
fn a_damaged_length_is_got_over_by_the_brokers_index() {
    // A length beyond all bounds, one that leads into the middle of another batch, one below a header's.
    for length in [0x7fff_0000_i32, 700, 20, -5] {
        let mut log = Log::filled(1, 50, 10);
        log.batches[20].2[8..12].copy_from_slice(&length.to_be_bytes());
        let fake = Fake::new(1, [log]);
        let scanned = run(&fake, all(&fake));
        let seen = &scanned[0].visitor;
        assert_eq!(scanned[0].outcome, Outcome::Complete);
        assert_eq!(seen.unreadable, [200..210], "{length}: {seen:?}");
        assert_eq!(seen.offsets, (0..500).filter(|offset| !(200..210).contains(offset)).collect::<Vec<_>>());
    }
}

#[test]
fn a_damaged_end_of_the_log_is_told() {
    for length in [0x7fff_0000_i32, 20] {
        let mut log = Log::filled(1, 5, 10);
        log.batches[4].2[8..12].copy_from_slice(&length.to_be_bytes());
        let fake = Fake::new(1, [log]);
        let scanned = run(&fake, all(&fake));
        assert_eq!(scanned[0].outcome, Outcome::Complete);
        assert_eq!(scanned[0].visitor.unreadable, [40..50], "{length}");
        assert_eq!(scanned[0].visitor.offsets, (0..40).collect::<Vec<_>>());
    }
}

/// Offsets that were handed over and those that were told as unreadable, together.
fn accounted_for(seen: &Seen) -> Vec<i64> {
    let mut all: Vec<_> = seen.unreadable.iter().cloned().flatten().chain(seen.offsets.iter().copied()).collect();
    all.sort_unstable();
    all
}

#[test]
fn whatever_byte_of_a_header_is_damaged_is_told_and_ends() {
    let begun = Instant::now();
    for (byte, bit) in (0..61).flat_map(|byte| [(byte, 0x40), (byte, 0x80)]) {
        let mut log = Log::filled(1, 50, 10);
        log.batches[20].2[byte] ^= bit;
        let fake = Fake::new(1, [log]);
        let scanned = run(&fake, all(&fake));
        let seen = &scanned[0].visitor;
        assert_eq!(scanned[0].outcome, Outcome::Complete, "{byte} {bit}");
        // The leader's epoch, which no checksum covers, hides nothing.
        let unreadable = if (12..16).contains(&byte) { vec![] } else { vec![200..210] };
        assert_eq!(seen.unreadable, unreadable, "{byte} {bit}: {seen:?}");
        assert_eq!(accounted_for(seen), (0..500).collect::<Vec<_>>(), "{byte} {bit}");
        assert!(fake.state().asked.len() < 200, "{byte} {bit}: {} fetches", fake.state().asked.len());
    }
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[test]
fn a_damaged_batch_that_a_broker_brings_for_every_offset_ends_the_scan_and_nothing_is_left_untold() {
    let mut log = Log::filled(1, 50, 10);
    // Its last offset, by its header, is above all that there are. A broker without an index begins with it each time.
    log.batches[20].2[23] ^= 0x40;
    let fake = Fake::new(1, [log]);
    let scanned = run_with(&fake, all(&fake), |plan| plan.sizes.partition_max_bytes = 2000).unwrap();
    let seen = &scanned[0].visitor;
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(accounted_for(seen), (0..500).collect::<Vec<_>>(), "{seen:?}");
    assert!(seen.unreadable.iter().all(|range| !range.is_empty()), "{seen:?}");
    assert!(fake.state().asked.len() < 500, "{} fetches", fake.state().asked.len());
}

#[test]
fn records_that_the_visitor_cannot_read_are_told() {
    let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
    let mut targets = all(&fake);
    targets[0].1.refuses = Some(50);
    let scanned = run(&fake, targets);
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(scanned[0].visitor.unreadable, [50..60]);
    assert_eq!(scanned[0].visitor.offsets.len(), 90);
}

#[test]
fn an_old_message_format_is_refused_with_the_cure() {
    let mut log = Log::filled(1, 10, 10);
    log.batches[4].2[16] = 1;
    let fake = Fake::new(1, [log]);
    let scanned = run(&fake, all(&fake));
    assert!(reason(&scanned[0]).contains("read this topic with the librdkafka consumer"), "{:?}", scanned[0].outcome);
    assert_eq!(scanned[0].position, 40);
    assert_eq!(scanned[0].visitor.offsets, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_start_below_the_log_goes_on_where_the_log_begins() {
    let mut log = Log::filled(1, 10, 10);
    log.start = 33;
    log.batches.drain(..3);
    let fake = Fake::new(1, [log]);
    let scanned = run(&fake, vec![target(0, 5, 100)]);
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(scanned[0].visitor.log_starts, [33]);
    assert_eq!(scanned[0].visitor.offsets, (33..100).collect::<Vec<_>>());
}

#[test]
fn a_log_start_that_moves_away_under_the_scan_is_told() {
    let fake = Fake::new(1, [Log::filled(1, 50, 10)]);
    fake.script(|state, _, number| {
        if number == 3 {
            let log = state.logs.get_mut(&0).unwrap();
            log.start = 400;
            log.batches.retain(|(first, ..)| *first >= 400);
        }
        Reaction::Answer
    });
    let targets = all(&fake);
    let scanned = run_with(&fake, targets, |plan| plan.sizes.partition_max_bytes = 1500).unwrap();
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    let seen = &scanned[0].visitor;
    assert_eq!(seen.log_starts, [0, 400]);
    assert!(seen.unreadable.is_empty());
    let before: Vec<_> = seen.offsets.iter().copied().filter(|offset| *offset < 400).collect();
    assert!(before.len() < 400);
    assert_eq!(before, (0..before.len() as i64).collect::<Vec<_>>());
    assert!(seen.offsets.ends_with(&(400..500).collect::<Vec<_>>()));
}

#[test]
fn a_log_that_was_emptied_by_retention_is_complete() {
    let mut log = Log::filled(1, 10, 10);
    log.start = 100;
    log.batches.clear();
    let fake = Fake::new(1, [log]);
    let scanned = run(&fake, vec![target(0, 0, 100)]);
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!((&scanned[0].visitor.log_starts, &scanned[0].visitor.ends), (&vec![100], &vec![100]));
}

#[test]
fn a_log_that_is_shorter_than_asked_is_incomplete() {
    for (start, end) in [(0, 150), (120, 150), (100, 101)] {
        let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
        let scanned = run(&fake, vec![target(0, start, end)]);
        let reason = reason(&scanned[0]);
        assert!(reason.contains("100"), "{reason}");
        assert_eq!(scanned[0].visitor.offsets, (start..100).collect::<Vec<_>>());
        assert_eq!(scanned[0].position, start.max(100));
    }
}

#[test]
fn a_broker_that_waits_for_data_as_long_as_it_may_is_not_taken_for_silent() {
    let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
    fake.state().waits = true;
    let scanned = run_with(&fake, vec![target(0, 0, 150)], |plan| {
        plan.sizes.max_wait = 2 * LIMITS.silence;
    });
    let scanned = scanned.unwrap();
    assert!(reason(&scanned[0]).contains("the log ends at offset 100"), "{:?}", scanned[0].outcome);
}

#[test]
fn a_broker_that_holds_answers_back_for_a_quota_is_not_taken_for_silent() {
    // Outside the log, and a damaged batch: all that is asked for is held back.
    let mut log = Log::filled(1, 6, 10);
    log.start = 20;
    log.batches.drain(..2);
    log.batches[1].2[90] ^= 1;
    let fake = Fake::new(1, [log]);
    fake.state().throttle = 2 * LIMITS.silence;
    let limits = Limits { no_progress: Duration::from_secs(20), ..LIMITS };
    let scanned = run_with(&fake, vec![target(0, 0, 60)], |plan| {
        plan.limits = limits;
        // Enough for the first answer, of which nothing is known yet.
        plan.sizes.max_wait = 2 * LIMITS.silence;
        plan.connections_per_broker = Some(1);
    });
    let scanned = scanned.unwrap();
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(accounted_for(&scanned[0].visitor), (20..60).collect::<Vec<_>>());
    assert_eq!(fake.state().connections, 2, "one for leaders, one to read");
}

#[test]
fn compaction_leaves_holes_empty_batches_and_an_empty_end() {
    let mut log = Log::filled(1, 10, 10);
    // An emptied batch that is kept for its producer's state.
    let empty = BatchHeader { base_offset: 30, last_offset_delta: 9, ..support::header(0) };
    log.batches[3].2 = support::batch(&empty, &[]);
    // Holes, also at the end: the log goes on to offset 100, and has nothing from 80 on.
    log.batches.truncate(8);
    log.batches.drain(5..7);
    let fake = Fake::new(1, [log, Log::filled(1, 200, 10)]);
    let scanned = run(&fake, vec![target(0, 0, 100), target(1, 0, 2000)]);
    let seen = &scanned[0].visitor;
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(seen.batches, [0, 10, 20, 30, 40, 70]);
    assert_eq!(seen.offsets, (0..30).chain(40..50).chain(70..80).collect::<Vec<_>>());
    assert_eq!(seen.nothing, [80..100], "that nothing came is told, for who knows that it is compaction");
    assert_eq!(seen.ends, [100]);
    assert_complete(&fake, &scanned[1..]);
}

#[test]
fn the_newest_fetch_that_is_spoken_lets_no_leader_send_us_elsewhere() {
    let fake = Fake::new(1, [Log::filled(1, 10, 10)]);
    assert_complete(&fake, &run(&fake, all(&fake)));
    // From version 11 on a leader may name a nearer replica instead of bringing records (KIP-392).
    assert_eq!(fake.state().fetch_version, 10);
}

#[test]
fn a_hole_at_the_end_of_what_is_asked_for_ends_it() {
    let mut log = Log::filled(1, 10, 10);
    log.batches.drain(4..8);
    let fake = Fake::new(1, [log]);
    let scanned = run(&fake, vec![target(0, 0, 60)]);
    assert_eq!(scanned[0].outcome, Outcome::Complete);
    assert_eq!(scanned[0].visitor.batches, [0, 10, 20, 30]);
    assert_eq!(scanned[0].visitor.ends, [60]);
}

#[test]
fn a_partition_without_a_leader_is_named_and_the_others_are_read() {
    let fake = three_brokers();
    fake.state().logs.get_mut(&4).unwrap().leader = -1;
    let scanned = run(&fake, all(&fake));
    let reason = reason(&scanned[4]);
    assert!(reason.contains("t-4 stands at offset 0 of 1000") && reason.contains("no leader"), "{reason}");
    assert_complete(&fake, &scanned[..4]);
    assert_complete(&fake, &scanned[5..]);
}

#[test]
fn a_leader_that_comes_late_is_waited_for() {
    let fake = three_brokers();
    fake.state().logs.get_mut(&4).unwrap().leader = -1;
    let later = fake.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        later.state().logs.get_mut(&4).unwrap().leader = 1;
    });
    assert_complete(&fake, &run(&fake, all(&fake)));
}

#[test]
fn offsets_are_asked_of_the_partitions_that_are_wanted_and_again_where_a_leader_is_missing() {
    let stop = AtomicBool::new(false);
    let patience = |all| Patience { silence: LIMITS.silence, ..Patience::new(&stop, all) };
    let fake = three_brokers();
    // The first to be asked, and one that leads what is not wanted.
    fake.state().frozen.push(1);
    fake.state().logs.get_mut(&4).unwrap().leader = -1;
    let config = fake.config();
    let mut directory = Directory::new(&config);
    let begun = Instant::now();
    assert_eq!(directory.partitions(TOPIC, &patience(Duration::from_secs(20))).unwrap(), [0, 1, 2, 3, 4, 5]);
    let ends = directory.offsets(TOPIC, &[1, 2], OffsetSpec::Latest, &patience(Duration::from_secs(20))).unwrap();
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [(1, 1000), (2, 1000)]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    let error = directory.offsets(TOPIC, &[1, 4], OffsetSpec::Latest, &patience(Duration::from_secs(1))).unwrap_err();
    assert!(error.to_string().contains("partition 4 of t") && error.is_retriable(), "{error}");
    let later = fake.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        later.state().logs.get_mut(&4).unwrap().leader = 2;
    });
    let ends = directory.offsets(TOPIC, &[4], OffsetSpec::Earliest, &patience(Duration::from_secs(20))).unwrap();
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [(4, 0)]);

    // What is most likely mistyped is told at once.
    fake.state().has_topic = false;
    let begun = Instant::now();
    let error = directory.offsets(TOPIC, &[1], OffsetSpec::Latest, &patience(Duration::from_mins(1))).unwrap_err();
    let WireError::Refused { code: ResponseError::UnknownTopicOrPartition, .. } = error else { panic!("{error}") };
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_topic_that_is_deleted_under_the_scan_is_told() {
    let fake = three_brokers();
    fake.script(|state, _, number| {
        state.has_topic = number < 6;
        Reaction::Answer
    });
    let limits = Limits { no_progress: Duration::from_mins(1), ..LIMITS };
    let begun = Instant::now();
    let scanned = run_with(&fake, all(&fake), |plan| {
        plan.limits = limits;
        plan.sizes.partition_max_bytes = 1500;
    });
    assert!(begun.elapsed() < Duration::from_secs(30), "earlier than any scan without progress ends");
    let scanned = scanned.unwrap();
    assert!(scanned.iter().all(|one| reason(one).contains("deleted")), "{scanned:?}");
}

#[test]
fn what_is_not_allowed_is_told_at_once() {
    let fake = three_brokers();
    fake.state().logs.get_mut(&2).unwrap().error = Some(ResponseError::TopicAuthorizationFailed);
    let scanned = run(&fake, all(&fake));
    assert!(reason(&scanned[2]).contains("TopicAuthorizationFailed"), "{:?}", scanned[2].outcome);
    assert_complete(&fake, &scanned[..2]);
    assert_complete(&fake, &scanned[3..]);
}

#[test]
fn a_visitor_that_panics_ends_the_scan() {
    let fake = three_brokers();
    let mut targets = all(&fake);
    targets[3].1.panics_at = Some(500);
    let begun = Instant::now();
    let error = run_with(&fake, targets, |_| {}).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let WireError::Panicked { what } = &error else { panic!("{error}") };
    assert!(what.contains("told to panic"), "{what}");
}
