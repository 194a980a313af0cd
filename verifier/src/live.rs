//! What a scan measures beside accounting when it follows a load: latency, and when messages were seen.
//!
//! One clock reading per polled batch, taken after the poll returned: a latency is too high by at most the
//! poll's timeout (a millisecond), and a message was seen no later than its sighting says. A latency is that of
//! a message's first copy; sightings are of every copy.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use ackmark_schema::record::Header;

use crate::{accounting::Witness, latency::LatencySeconds};

/// Sightings that a scan keeps, all threads together: about 150 MiB where each is of another transaction.
pub const SIGHTINGS_MAX: usize = 1 << 20;

/// When messages of transactions were seen. Grows with transactions, partitions and batches up to a bound;
/// messages beyond are only counted, and nothing is known of when they were seen.
#[derive(Debug)]
pub struct Sightings {
    /// By stream and transaction: clock (ns since the Unix epoch) and messages.
    seen: HashMap<(u32, u32), Vec<(u64, u64)>>,
    /// Of these, what belongs to the warm-up.
    warm_up: HashSet<(u32, u32)>,
    /// When all threads that were shown anything had been.
    since_ns: u64,
    kept: usize,
    max: usize,
    beyond: u64,
}

impl Default for Sightings {
    fn default() -> Self {
        Self::of_thread(1)
    }
}

impl Sightings {
    /// None yet, of one of `threads` that share [`SIGHTINGS_MAX`].
    pub fn of_thread(threads: usize) -> Self {
        Self {
            seen: HashMap::new(),
            warm_up: HashSet::new(),
            since_ns: 0,
            kept: 0,
            max: SIGHTINGS_MAX / threads.max(1),
            beyond: 0,
        }
    }

    /// Notes `count` messages.
    pub fn add(&mut self, stream: u32, transaction: u32, now_ns: u64, count: u64) {
        if self.kept >= self.max {
            self.beyond += count;
            return;
        }
        self.kept += 1;
        self.seen.entry((stream, transaction)).or_default().push((now_ns, count));
    }

    /// Messages of a stream and transaction that were seen before `ns`.
    pub fn before(&self, stream: u32, transaction: u32, ns: u64) -> u64 {
        let sightings = self.seen.get(&(stream, transaction)).map_or(&[][..], Vec::as_slice);
        sightings.iter().filter(|(seen_ns, _)| *seen_ns < ns).map(|(_, count)| count).sum()
    }

    /// What was noted of a stream and transaction is of the warm-up.
    fn note_warm_up(&mut self, stream: u32, transaction: u32) {
        if self.seen.contains_key(&(stream, transaction)) {
            self.warm_up.insert((stream, transaction));
        }
    }

    /// From when on what was shown was seen without the delay of a reader that had just begun, nanoseconds since the Unix
    /// epoch.
    pub fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// Whether a stream's part of a transaction is known to be of the warm-up.
    pub fn is_warm_up(&self, stream: u32, transaction: u32) -> bool {
        self.warm_up.contains(&(stream, transaction))
    }

    /// When so many messages of a stream and transaction had been seen; `None` when fewer were.
    pub fn all_seen_ns(&self, stream: u32, transaction: u32, messages: u64) -> Option<u64> {
        let mut sightings = self.seen.get(&(stream, transaction))?.clone();
        sightings.sort_unstable();
        let mut seen = 0;
        sightings.into_iter().find_map(|(seen_ns, count)| {
            seen += count;
            (seen >= messages).then_some(seen_ns)
        })
    }

    /// Messages that were seen when no more could be noted.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Takes over another thread's, which kept no more than its share of the bound.
    pub fn merge(&mut self, other: Self) {
        self.kept += other.kept;
        self.beyond += other.beyond;
        self.warm_up.extend(other.warm_up);
        self.since_ns = self.since_ns.max(other.since_ns);
        for (key, sightings) in other.seen {
            self.seen.entry(key).or_default().extend(sightings);
        }
    }
}

/// Messages in a row of one stream and transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    stream: u32,
    transaction: u32,
    warm_up: bool,
    count: u64,
}

/// Witness of a live scan.
#[derive(Debug)]
pub struct LiveWitness {
    now_ns: u64,
    pending: Option<Row>,
    sightings: Sightings,
    latency: LatencySeconds,
}

impl LiveWitness {
    /// Of one of `threads`, with latencies counted from `origin_ns`; see [`LatencySeconds::new`].
    pub fn new(origin_ns: Arc<OnceLock<u64>>, threads: usize) -> Self {
        let sightings = Sightings::of_thread(threads);
        Self { now_ns: 0, pending: None, sightings, latency: LatencySeconds::new(origin_ns) }
    }

    /// A batch was received at `now_ns`.
    pub fn batch(&mut self, now_ns: u64) {
        self.flush();
        self.now_ns = now_ns;
        if self.sightings.since_ns == 0 {
            self.sightings.since_ns = now_ns;
        }
    }

    /// What was measured.
    pub fn finish(mut self) -> (Sightings, LatencySeconds) {
        self.flush();
        (self.sightings, self.latency)
    }

    fn flush(&mut self) {
        if let Some(Row { stream, transaction, warm_up, count }) = self.pending.take() {
            self.sightings.add(stream, transaction, self.now_ns, count);
            if warm_up {
                self.sightings.note_warm_up(stream, transaction);
            }
        }
    }
}

impl Witness for LiveWitness {
    #[inline]
    fn message(&mut self, header: &Header, first_copy: bool) {
        if first_copy && !header.warm_up {
            self.latency.record(header.intended_ns, self.now_ns);
        }
        if header.transaction == 0 {
            return;
        }
        let Header { stream, transaction, warm_up, .. } = *header;
        match &mut self.pending {
            Some(row) if (row.stream, row.transaction, row.warm_up) == (stream, transaction, warm_up) => row.count += 1,
            _ => {
                self.flush();
                self.pending = Some(Row { stream, transaction, warm_up, count: 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(stream: u32, transaction: u32) -> Header {
        Header {
            run: 1,
            stream,
            sequence: 0,
            attempt: 0,
            incarnation: 0,
            transaction,
            intended_ns: 1_000,
            send_delay_us: 0,
            sentinel: false,
            warm_up: false,
            source: None,
        }
    }

    #[test]
    fn sightings_keep_the_clock_of_their_batch() {
        let mut witness = LiveWitness::new(Arc::default(), 1);
        witness.batch(5_000);
        for (stream, transaction) in [(1, 7), (1, 7), (2, 7), (1, 7), (3, 0)] {
            witness.message(&header(stream, transaction), true);
        }
        witness.message(&Header { warm_up: true, ..header(4, 0) }, true);
        witness.message(&Header { warm_up: true, ..header(4, 6) }, true);
        witness.batch(9_000);
        witness.message(&header(1, 7), false);
        let (sightings, latency) = witness.finish();
        assert_eq!(sightings.before(1, 7, 5_000), 0);
        assert_eq!(sightings.before(1, 7, 5_001), 3);
        assert_eq!(sightings.before(1, 7, u64::MAX), 4);
        assert_eq!(sightings.before(2, 7, u64::MAX), 1);
        assert_eq!(sightings.before(3, 0, u64::MAX), 0);
        let all_seen_ns = |messages| sightings.all_seen_ns(1, 7, messages);
        assert_eq!([1, 3, 4, 5].map(all_seen_ns), [Some(5_000), Some(5_000), Some(9_000), None]);
        assert_eq!(sightings.all_seen_ns(9, 7, 1), None);
        assert_eq!(sightings.since_ns(), 5_000);
        assert!(sightings.is_warm_up(4, 6) && !sightings.is_warm_up(1, 7));
        assert_eq!(latency.total().len(), 5, "without the warm-up, and of the first copy only");
    }

    #[test]
    fn threads_share_the_bound_of_sightings() {
        let threads = 4;
        let mut all = Sightings::default();
        for stream in 0..threads {
            let mut witness = LiveWitness::new(Arc::default(), threads as usize);
            for batch in 0..SIGHTINGS_MAX as u64 / 2 {
                witness.batch(batch);
                witness.message(&header(stream, 7), true);
            }
            all.merge(witness.finish().0);
        }
        let share = SIGHTINGS_MAX as u64 / 4;
        let kept = |stream| all.before(stream, 7, u64::MAX);
        assert_eq!((0..threads).map(kept).collect::<Vec<_>>(), [share; 4]);
        assert_eq!(all.before(0, 7, 10), 10, "the first are kept");
        assert_eq!(all.beyond(), 4 * share);
    }
}
