//! A count with its causes, over time, and a few examples.

use std::collections::BTreeMap;

use ackmark_schema::{
    anomaly::Cause,
    report::verify::{CauseCount, CauseSecond, EXAMPLES_MAX, Example},
};
use jiff::Timestamp;

/// An exact count, of which causes, and the first examples of what was counted. Examples that follow each other are
/// joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    /// By second, then by position in [`Cause::ALL`]; what has no cause is in none.
    seconds: BTreeMap<u64, [u64; Cause::ALL.len()]>,
    examples: Vec<Example>,
}

/// What is known of a further copy of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FurtherCopy {
    /// Why it is there.
    pub cause: Cause,
    /// When it was sent, seconds since the Unix epoch.
    pub sent_s: u64,
}

/// Where something was found.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: u32,
    /// Stream and first sequence, where the record tells them.
    pub message: Option<(u32, u64)>,
    /// Offset, where it is in the log.
    pub offset: Option<i64>,
    /// What it is, for a duplicate.
    pub copy: Option<FurtherCopy>,
}

impl Tally {
    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Counts `n` in a row from `spot`.
    pub fn add(&mut self, n: u64, spot: Spot<'_>) {
        self.count += n;
        if let Some(copy) = spot.copy {
            self.seconds.entry(copy.sent_s).or_default()[copy.cause as usize] += n;
        }
        if !self.join(n, spot) && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(Example {
                topic: spot.topic.to_owned(),
                partition: spot.partition,
                stream: spot.message.map(|(stream, _)| stream),
                sequence: spot.message.map(|(_, sequence)| sequence),
                run_length: n,
                offset: spot.offset,
                cause: spot.copy.map(|copy| copy.cause),
                command: String::new(),
            });
        }
    }

    /// Lengthens the last example if this one follows it in its stream and in the log.
    fn join(&mut self, n: u64, spot: Spot<'_>) -> bool {
        let Some(last) = self.examples.last_mut() else { return false };
        let Some((stream, sequence)) = spot.message else { return false };
        let follows = last.partition == spot.partition
            && last.stream == Some(stream)
            && last.cause == spot.copy.map(|copy| copy.cause)
            && last.sequence.map(|first| first + last.run_length) == Some(sequence)
            && last.offset.map(|first| first + last.run_length as i64) == spot.offset
            && last.topic == spot.topic;
        if follows {
            last.run_length += n;
        }
        follows
    }

    /// Adds another tally; the lowest examples are kept.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (second, causes) in &other.seconds {
            let sums = self.seconds.entry(*second).or_default();
            sums.iter_mut().zip(causes).for_each(|(sum, more)| *sum += more);
        }
        self.examples.extend(other.examples.iter().cloned());
        self.examples.sort_by(|a, b| order(a).cmp(&order(b)));
        self.examples.truncate(EXAMPLES_MAX);
    }

    /// The causes that were counted.
    pub fn causes(&self) -> Vec<CauseCount> {
        let of = |cause: Cause| self.seconds.values().map(|causes| causes[cause as usize]).sum();
        let counts = Cause::ALL.into_iter().map(|cause| CauseCount { cause, count: of(cause) });
        counts.filter(|found| found.count > 0).collect()
    }

    /// The same by the second in which copies were sent, as far as time is known to the calendar.
    pub fn over_time(&self) -> Vec<CauseSecond> {
        let of_second = |(second, causes): (&u64, &[u64; Cause::ALL.len()])| {
            let second = Timestamp::from_second(i64::try_from(*second).ok()?).ok()?;
            let counts = Cause::ALL.into_iter().zip(*causes).filter(|(_, count)| *count > 0);
            Some(counts.map(move |(cause, count)| CauseSecond { second, cause, count }).collect::<Vec<_>>())
        };
        self.seconds.iter().filter_map(of_second).flatten().collect()
    }

    /// The examples, lowest offsets first.
    pub fn into_examples(self) -> Vec<Example> {
        self.examples
    }
}

fn order(example: &Example) -> (Option<i64>, &str, u32, Option<u64>) {
    (example.offset, &example.topic, example.partition, example.sequence)
}
