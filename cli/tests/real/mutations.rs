//! What is done to a log is what the verdict counts, exactly and in no other class: a sound log is copied by
//! a plain producer with records left out, doubled, swapped, damaged, foreign or invented, each at the first,
//! a middle and the last sequence, at a batch boundary, and as the whole tail of a partition. The log reader and a
//! consumer count the same.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use ackmark_schema::{
    anomaly::Class,
    promise::Ruling,
    report::verify::{Examined, ReaderChoice, Verdict, VerifyReport},
};
use libtest_mimic::Trial;

use crate::{
    copy::{self, BATCH, Records, re_headed},
    kafka::{Kafka, Load},
    trial,
};

/// Records of a tail.
const TAIL: usize = 50;

/// Where a log is changed.
#[derive(Debug, Clone, Copy)]
enum Place {
    First,
    Middle,
    Last,
    BatchBoundary,
    Tail,
}

impl Place {
    const ALL: [Self; 5] = [Self::First, Self::Middle, Self::Last, Self::BatchBoundary, Self::Tail];

    /// The records that are changed, of `count`.
    fn range(self, count: usize) -> Range<usize> {
        match self {
            Self::First => 0..1,
            Self::Middle => count / 2 + 17..count / 2 + 18,
            Self::Last => count - 1..count,
            // The first record of a batch.
            Self::BatchBoundary => BATCH..BATCH + 1,
            Self::Tail => count - TAIL..count,
        }
    }
}

/// How a log is changed.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    LeftOut,
    Doubled,
    Swapped,
    Corrupted,
    Foreign,
    Invented,
}

/// What a verdict must count; every class that is not named counts nothing.
#[derive(Debug, Default)]
struct Expected {
    classes: BTreeMap<Class, u64>,
    strangers: u64,
}

impl Mutation {
    const ALL: [Self; 6] =
        [Self::LeftOut, Self::Doubled, Self::Swapped, Self::Corrupted, Self::Foreign, Self::Invented];

    /// Changes a partition at `range`.
    fn apply(self, records: &mut Records, range: Range<usize>) -> Expected {
        let changed = range.len() as u64;
        let (classes, strangers): (Vec<(Class, u64)>, u64) = match self {
            Self::LeftOut => {
                records.drain(range);
                (vec![(Class::Lost, changed)], 0)
            }
            Self::Doubled => {
                let copies: Records = records[range.clone()].to_vec();
                records.splice(range.end..range.end, copies);
                (vec![(Class::DuplicateRetry, changed)], 0)
            }
            Self::Swapped => (vec![(Class::Reordered, swap(records, range))], 0),
            Self::Corrupted => {
                for value in &mut records[range] {
                    *value.last_mut().unwrap() ^= 1;
                }
                // What is damaged is not there as what was sent.
                (vec![(Class::Corrupt, changed), (Class::Lost, changed)], 0)
            }
            Self::Foreign => {
                let other_run = re_headed(&records[range.start], |header| header.run ^= 1);
                let foreign: Records = range.clone().map(|_| b"somebody else's".to_vec()).chain([other_run]).collect();
                records.splice(range.end..range.end, foreign);
                (vec![], changed + 1)
            }
            Self::Invented => {
                let next = records.len() as u64;
                let invented: Records = (0..changed)
                    .map(|ahead| re_headed(&records[range.start], |header| header.sequence = next + ahead))
                    .collect();
                records.splice(range.end..range.end, invented);
                (vec![(Class::Phantom, changed)], 0)
            }
        };
        Expected { classes: classes.into_iter().collect(), strangers }
    }
}

/// Swaps a record with its neighbour, the one before where there is one; a tail is turned round. Tells how
/// many then come after a higher sequence.
fn swap(records: &mut Records, range: Range<usize>) -> u64 {
    if range.len() > 1 {
        records[range.clone()].reverse();
        return range.len() as u64 - 1;
    }
    let neighbour = range.start.checked_sub(1).unwrap_or(range.start + 1);
    records.swap(range.start, neighbour);
    1
}

/// One test per mutation and place.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    let mut trials = vec![
        trial(kafka, "mutation::an_unchanged_copy_is_held", unchanged),
        trial(kafka, "mutation::acks_1_on_all_acks_is_judged_as_acks_1", acks_1),
    ];
    for mutation in Mutation::ALL {
        for place in Place::ALL {
            let name = format!("mutation::{mutation:?}_at_{place:?}").to_lowercase();
            trials.push(trial(kafka, name, move |kafka| mutated(kafka, mutation, place)));
        }
    }
    trials
}

fn mutated(kafka: &Kafka, mutation: Mutation, place: Place) {
    let base = kafka.base();
    let mut partitions = copy::read(kafka, base);
    let records = &mut partitions[0];
    assert!(records.len() > 2 * BATCH + TAIL, "{}", records.len());
    let range = place.range(records.len());
    let expected = mutation.apply(records, range);
    let broken = !expected.classes.is_empty();
    for (code, report) in verify_copy(kafka, base, &partitions) {
        check(&report, &expected);
        assert_eq!(
            (code, report.verdict == Verdict::Broken),
            (if broken { 3 } else { 0 }, broken),
            "{}",
            report.reason
        );
    }
}

fn unchanged(kafka: &Kafka) {
    let base = kafka.base();
    for (code, report) in verify_copy(kafka, base, &copy::read(kafka, base)) {
        check(&report, &Expected::default());
        assert_eq!(code, 0, "{}", report.reason);
        assert_eq!(report.scans[0].messages, 1000);
    }
}

/// The profile's name promises nothing: a lost message is allowed where the leader alone acknowledged.
fn acks_1(kafka: &Kafka) {
    let lose_one = |arguments: &[&str]| {
        let size = ["--profile", "all-acks", "--messages", "1000", "--size", "100B"];
        let load = kafka.load(&[&size, arguments].concat());
        let mut partitions = copy::read(kafka, &load);
        let expected = Mutation::LeftOut.apply(&mut partitions[0], 7..8);
        verify_copy(kafka, &load, &partitions).map(|(code, report)| {
            check(&report, &expected);
            (code, finding(&report, Class::Lost).ruling)
        })
    };
    assert_eq!(lose_one(&[]), [(3, Ruling::MustNot); 2]);
    assert_eq!(lose_one(&["-X", "acks=1"]), [(0, Ruling::May); 2]);
}

/// Writes the partitions to a fresh topic and judges them by the load's ledger, once by each reader.
fn verify_copy(kafka: &Kafka, load: &Load, partitions: &[Records]) -> [(i32, VerifyReport); 2] {
    let folder = tempfile::tempdir().unwrap();
    let topic = kafka.topic();
    copy::write(kafka, &topic, partitions);
    copy::copy_folder(load, &topic, folder.path());
    kafka.seal(folder.path()).exits(0);
    ["log", "consumer"].map(|reader| {
        let (run, report) = kafka.verify_with(folder.path(), &["--reader", reader]);
        (run.code, report)
    })
}

fn finding(report: &VerifyReport, class: Class) -> &ackmark_schema::report::verify::Finding {
    report.findings.iter().find(|finding| finding.class == class).unwrap()
}

/// What one reading of a log without transactions or a second life cannot show.
const HIDDEN: [Class; 7] = [
    Class::AbortedVisible,
    Class::EarlyVisible,
    Class::TornTransaction,
    Class::CommittedInvisible,
    Class::StuckLso,
    Class::ZombieWrite,
    Class::InconsistentOffset,
];

/// What a consumer cannot show either.
const HIDDEN_FROM_CONSUMERS: Class = Class::OffsetGap;

/// Every class that a reader can see was looked for and has its exact count; the others read not examined.
fn check(report: &VerifyReport, expected: &Expected) {
    assert_eq!(report.findings.len(), Class::ALL.len());
    let by_consumer = report.readers.choice == ReaderChoice::Consumer;
    let is_hidden = |class| HIDDEN.contains(&class) || class == HIDDEN_FROM_CONSUMERS && by_consumer;
    for found in &report.findings {
        let wanted = expected.classes.get(&found.class).copied().unwrap_or(0);
        match &found.examined {
            Examined::Counted(count) => {
                assert!(!is_hidden(found.class), "{:?} cannot be seen here", found.class);
                assert_eq!(*count, wanted, "{:?} of {report:#?}", found.class);
            }
            Examined::NotExamined { why } => {
                assert!(is_hidden(found.class), "{:?} was not examined: {why}", found.class);
            }
        }
        let examples = found.examples.len() as u64;
        assert_eq!(examples > 0, wanted > 0, "{:?} has {examples} examples of {wanted}", found.class);
    }
    assert_eq!(report.scans.len(), 1);
    assert!(report.scans[0].complete, "{:?}", report.scans[0].incomplete_reason);
    assert_eq!(report.scans[0].strangers, expected.strangers);
}
