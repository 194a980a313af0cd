//! Prepared message values: room for a header, a body, and the body's checksum.
//!
//! A pool holds values one after another. A message's value is the one at `sequence + offset of its stream`,
//! so that consecutive messages of a stream are neighbours in memory and a batch of one stream repeats a
//! value only when it holds more messages than the pool. The header is written in place; librdkafka copies
//! the value when it is produced, unless it lies in lent memory instead (see [`crate::values`]).
//!
//! A pool is at least twice the largest batch: a compressor's window never sees a random body twice.
//! Limits: at most a million values and, once there are 1,024 of them, 256 MiB. Sizes of a distribution are
//! drawn once per value, so a run repeats the sizes of its pool.

use std::{path::PathBuf, sync::Arc};

use ackmark_schema::{
    record::{HEADER_LEN, body_checksum},
    scenario::{Message, Payload},
};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use thiserror::Error;

use crate::{calibrate, size};

const POOL_BYTES_MIN: usize = 4 << 20;
const POOL_BYTES_MAX: usize = 256 << 20;
const VALUES_MAX: usize = 1 << 20;
/// Fewest values of a distribution of sizes, unless they are very large.
const VALUES_DRAWN: usize = 1024;
/// Fewest values of a pool, whatever their size.
const VALUES_MIN: usize = 2;
/// The most of a file of samples that is read.
const SAMPLES_BYTES_MAX: u64 = 64 << 20;
/// What repeats in a compressible body.
const FILLER: &[u8; 8] = b"ackmark.";

/// A payload that cannot be made.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// The file of samples cannot be read.
    #[error("cannot read the payload samples {}: {source}; give a text file with a sample per line", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file of samples cannot be used.
    #[error("the payload samples {} {problem}", path.display())]
    SamplesUnusable {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the cure.
        problem: String,
    },
    /// No body of that size makes a batch compress so.
    #[error(
        "message.payload.compressible: {asked} cannot be reached with these messages: header and framing included, \
         a batch compresses {lowest:.2} to {highest:.2} times; choose a ratio in between, or larger messages"
    )]
    Ratio {
        /// What was asked for.
        asked: f64,
        /// With random bodies.
        lowest: f64,
        /// With bodies that only repeat.
        highest: f64,
    },
}

/// What a pool is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolPlan {
    /// Whether values begin with a header.
    pub(crate) verified: bool,
    /// The largest batch that the client makes, bytes.
    pub(crate) batch_bytes: usize,
    /// Nanoseconds between the intended times of neighbours; 0 in a `max` phase.
    pub(crate) spacing_ns: u64,
    /// Seed of sizes and bodies.
    pub(crate) seed: u64,
}

impl PoolPlan {
    /// Bytes of the header.
    pub(crate) fn header_len(&self) -> usize {
        if self.verified { HEADER_LEN } else { 0 }
    }
}

/// Where the values of a pool begin: shared with whoever counts bytes.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// One more than there are values.
    starts: Arc<[usize]>,
    streams: usize,
}

impl Layout {
    /// How many values.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The value that a message has.
    #[inline]
    pub(crate) fn index(&self, slot: usize, sequence: u64) -> usize {
        // Streams begin apart, so that batches of several streams do not touch the same memory.
        let offset = slot * self.len() / self.streams;
        ((sequence + offset as u64) % self.len() as u64) as usize
    }

    /// Value bytes of `n` messages of a stream.
    #[inline]
    pub(crate) fn bytes(&self, slot: usize, sequence: u64, n: u64) -> u64 {
        let values = self.len() as u64;
        let first = self.index(slot, sequence);
        let rest = first + (n % values) as usize;
        let whole = n / values * self.starts[self.len()] as u64;
        let part = if rest <= self.len() {
            self.starts[rest] - self.starts[first]
        } else {
            self.starts[self.len()] - self.starts[first] + self.starts[rest - self.len()]
        };
        whole + part as u64
    }

    /// The size of all values, where it is one and not zero.
    pub(crate) fn value_bytes(&self) -> Option<usize> {
        let mut sizes = self.starts.windows(2).map(|two| two[1] - two[0]);
        let first = sizes.next().filter(|size| *size > 0)?;
        sizes.all(|size| size == first).then_some(first)
    }

    /// The largest value.
    pub(crate) fn largest(&self) -> usize {
        self.starts.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0)
    }
}

/// Prepared values.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    bytes: Vec<u8>,
    checksums: Vec<u32>,
    layout: Layout,
    header_len: usize,
    /// Of bodies that are made later.
    filler: Filler,
}

#[cfg(test)]
impl Pool {
    /// Keeps only the first values.
    pub(crate) fn cut(&mut self, values: usize) {
        self.layout.starts = self.layout.starts[..=values].into();
    }
}

impl Pool {
    /// Prepares values for `streams` streams.
    ///
    /// # Errors
    /// Samples that cannot be read, a ratio that cannot be reached.
    pub(crate) fn build(message: &Message, plan: &PoolPlan, streams: usize) -> Result<Self, PayloadError> {
        let mut random = Pcg64Mcg::seed_from_u64(plan.seed);
        let starts = draw_layout(message, plan, &mut random);
        let mut filler = Filler::new(message, plan, random)?;
        let mut bytes = vec![0; starts[starts.len() - 1]];
        let mut checksums = Vec::with_capacity(starts.len() - 1);
        let header_len = plan.header_len();
        for two in starts.windows(2) {
            checksums.push(filler.prepare(&mut bytes[two[0]..two[1]], header_len));
        }
        Ok(Self { bytes, checksums, layout: Layout { starts: starts.into(), streams }, header_len, filler })
    }

    /// Where the values are.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Gives a value that is not of the pool, and all zeros, a body as the pool's are; gives the body's checksum.
    pub(crate) fn prepare(&mut self, value: &mut [u8]) -> u32 {
        self.filler.prepare(value, self.header_len)
    }

    /// `n` neighbouring values from the one at `first` on, each with its body's checksum.
    ///
    /// # Panics
    /// When they reach past the end.
    #[inline]
    pub(crate) fn values_mut(&mut self, first: usize, n: usize) -> impl ExactSizeIterator<Item = (&mut [u8], u32)> {
        let starts = &self.layout.starts[first..=first + n];
        let mut rest = &mut self.bytes[starts[0]..starts[n]];
        starts.windows(2).zip(&self.checksums[first..first + n]).map(move |(two, checksum)| {
            let (value, behind) = std::mem::take(&mut rest).split_at_mut(two[1] - two[0]);
            rest = behind;
            (value, *checksum)
        })
    }
}

/// Draws sizes until there are enough values; gives where they begin and the end.
fn draw_layout(message: &Message, plan: &PoolPlan, random: &mut impl Rng) -> Vec<usize> {
    let wanted = (2 * plan.batch_bytes).clamp(POOL_BYTES_MIN, POOL_BYTES_MAX);
    let (smallest, largest) = message.size.bounds();
    let drawn = if smallest == largest { VALUES_MIN } else { VALUES_DRAWN };
    let mut starts = vec![0];
    loop {
        let (bytes, values) = (starts[starts.len() - 1], starts.len() - 1);
        let enough = bytes >= wanted && (values >= drawn || bytes >= POOL_BYTES_MAX) || values >= VALUES_MAX;
        if enough && values >= VALUES_MIN {
            return starts;
        }
        starts.push(bytes + size::draw(&message.size, random));
    }
}

/// Fills bodies, one after another.
#[derive(Debug, Clone)]
pub(crate) enum Filler {
    /// Random bytes.
    Random(Pcg64Mcg),
    /// Zero bytes.
    Zeros,
    /// A share of random bytes, the rest repeats.
    Mixed(Mixer),
    /// Lines in turn.
    Samples {
        /// The lines, none of them empty.
        lines: Vec<Vec<u8>>,
        /// The next one.
        next: usize,
    },
}

impl Filler {
    fn new(message: &Message, plan: &PoolPlan, random: Pcg64Mcg) -> Result<Self, PayloadError> {
        Ok(match &message.payload {
            Payload::Random => Self::Random(random),
            Payload::Zeros => Self::Zeros,
            Payload::Compressible(ratio) => {
                Self::Mixed(Mixer::new(calibrate::random_share(message, plan, *ratio)?, random))
            }
            Payload::Samples(path) => Self::Samples { lines: read_lines(path)?, next: 0 },
        })
    }

    /// Fills the body of a value; gives its checksum.
    fn prepare(&mut self, value: &mut [u8], header_len: usize) -> u32 {
        let header_len = header_len.min(value.len());
        let body = &mut value[header_len..];
        self.fill(body);
        body_checksum(body)
    }

    /// Fills a body of zeros.
    fn fill(&mut self, body: &mut [u8]) {
        match self {
            Self::Random(random) => random.fill_bytes(body),
            Self::Zeros => {}
            Self::Mixed(mixer) => mixer.fill(body),
            Self::Samples { lines, next } => {
                let line = &lines[*next % lines.len()];
                *next += 1;
                repeat(body, line);
            }
        }
    }
}

/// Random bytes in front, the same filler behind, in a stated mix over many bodies.
#[derive(Debug, Clone)]
pub(crate) struct Mixer {
    share: f64,
    random: Pcg64Mcg,
    /// Random bytes that are due so far, so that a share of less than a byte is kept over several bodies.
    due: f64,
}

impl Mixer {
    /// A mixer of which `share` (0 to 1) of the bytes is random.
    pub(crate) fn new(share: f64, random: Pcg64Mcg) -> Self {
        Self { share, random, due: 0.0 }
    }

    /// Fills a body.
    pub(crate) fn fill(&mut self, body: &mut [u8]) {
        self.due += self.share * body.len() as f64;
        let random = (self.due as usize).min(body.len());
        self.due -= random as f64;
        self.random.fill_bytes(&mut body[..random]);
        repeat(&mut body[random..], FILLER);
    }
}

/// Fills a body with a pattern, repeated or cut.
fn repeat(body: &mut [u8], pattern: &[u8]) {
    for chunk in body.chunks_mut(pattern.len()) {
        chunk.copy_from_slice(&pattern[..chunk.len()]);
    }
}

/// The lines of a file, without the empty ones.
fn read_lines(path: &std::path::Path) -> Result<Vec<Vec<u8>>, PayloadError> {
    let failed = |source| PayloadError::Samples { path: path.into(), source };
    let unusable = |problem: String| PayloadError::SamplesUnusable { path: path.into(), problem };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > SAMPLES_BYTES_MAX {
        return Err(unusable(format!(
            "are larger than {} MiB; give a smaller file: lines are repeated anyway",
            SAMPLES_BYTES_MAX >> 20
        )));
    }
    let text = std::fs::read(path).map_err(failed)?;
    let lines: Vec<Vec<u8>> = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if lines.is_empty() {
        return Err(unusable("hold no line; give a text file with a sample per line".into()));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::calibrate::batch_of;
    use ackmark_client::{
        ClientProperties, DeliveryBatch, ErrorCode, EventSink, LogSink, MessageBatch, MockCluster, RawProducer,
        stats::Statistics,
    };
    use ackmark_schema::{
        properties::Origin,
        record::{Decoded, Header},
        scenario::{Keys, Size, UniformSize},
        units::Bytes,
    };
    use proptest::prelude::*;
    use std::{
        io::Write as _,
        time::{Duration, Instant},
    };

    const BATCH: usize = 1_000_000;

    fn message(size: Size, payload: Payload) -> Message {
        Message { size, payload, keys: Keys::None }
    }

    fn fixed(bytes: u64) -> Size {
        Size::Fixed(Bytes(bytes))
    }

    fn plan(verified: bool, spacing_ns: u64) -> PoolPlan {
        PoolPlan { verified, batch_bytes: BATCH, spacing_ns, seed: 11 }
    }

    /// Bodies of one stream from a sequence on, as many as fill a batch.
    fn bodies(pool: &mut Pool, header: usize, slot: usize, from: u64) -> Vec<u8> {
        let mut all = Vec::new();
        for sequence in from.. {
            let index = pool.layout().index(slot, sequence);
            all.extend_from_slice(&pool.values_mut(index, 1).next().unwrap().0[header..]);
            if all.len() >= BATCH {
                break;
            }
        }
        all
    }

    #[test]
    fn a_full_batch_of_random_bodies_does_not_compress() {
        for bytes in [100, 1024, 65_536] {
            for verified in [true, false] {
                let plan = plan(verified, 0);
                let mut pool = Pool::build(&message(fixed(bytes), Payload::Random), &plan, 6).unwrap();
                for (slot, from) in [(0, 0), (5, 123_456_789)] {
                    let batch = bodies(&mut pool, plan.header_len(), slot, from);
                    let packed = zstd::bulk::compress(&batch, 3).unwrap().len();
                    let left = packed as f64 / batch.len() as f64;
                    assert!(left >= 0.98, "{bytes} B, verified {verified}: {left}");
                }
            }
        }
    }

    #[test]
    fn a_whole_batch_of_random_messages_keeps_the_bytes_of_its_bodies() {
        let plan = plan(true, 20_000);
        let mut pool = Pool::build(&message(fixed(1024), Payload::Random), &plan, 6).unwrap();
        let bodies = BATCH / 1024 * (1024 - HEADER_LEN);
        let packed = zstd::bulk::compress(&batch_of(&mut pool, &plan, 0), 3).unwrap().len();
        assert!(packed as f64 >= 0.98 * bodies as f64, "{packed} of {bodies}");
    }

    #[test]
    fn a_stated_ratio_is_met() {
        let met = |size: Size, ratio: f64, plan: &PoolPlan| {
            let mut pool = Pool::build(&message(size, Payload::Compressible(ratio)), plan, 6).unwrap();
            // Not the batch that it was calibrated with: other bodies, other sequences.
            for from in [1_000_000, 77_777_777] {
                let batch = batch_of(&mut pool, plan, from);
                assert!(batch.len() >= BATCH * 9 / 10);
                let found = batch.len() as f64 / zstd::bulk::compress(&batch, 3).unwrap().len() as f64;
                assert!((found / ratio - 1.0).abs() < 0.05, "{size:?}, {plan:?}: {found} for {ratio}");
            }
        };
        for ratio in [1.5, 2.0, 4.0, 10.0, 25.0] {
            met(fixed(1024), ratio, &plan(true, 0));
            met(fixed(10_000), ratio, &plan(true, 50_000));
            met(fixed(10_000), ratio, &plan(false, 0));
        }
        for ratio in [2.0, 3.0, 4.0] {
            met(fixed(100), ratio, &plan(true, 1_000));
        }
        met(Size::Uniform(UniformSize { min: Bytes(100), max: Bytes(2000) }), 4.0, &plan(true, 0));
    }

    /// Bytes that the client wrote to sockets, by its last statistics.
    struct Written(u64);

    impl EventSink for Written {
        fn delivery(&mut self, batch: &DeliveryBatch<'_>) {
            assert!(batch.iter().all(|message| message.error_code().is_none()));
        }

        fn error(&mut self, code: ErrorCode, reason: &str, _fatal: bool) {
            panic!("{code}: {reason}");
        }

        fn stats(&mut self, json: &str) {
            self.0 = Statistics::parse(json).unwrap().brokers.values().map(|broker| broker.txbytes).sum();
        }
    }

    #[test]
    fn a_stated_ratio_is_what_librdkafka_writes_to_the_socket() {
        let cluster = MockCluster::start(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let mut properties = ClientProperties::with_bootstrap(cluster.bootstrap_servers(), Origin::Flag);
        for (name, value) in [("compression.type", "zstd"), ("linger.ms", "1000"), ("statistics.interval.ms", "100")] {
            properties.set(name, value, Origin::Flag);
        }
        let producer = RawProducer::new(&properties, LogSink::discard()).unwrap();
        let topic = producer.topic("t").unwrap();
        let (bytes, messages) = (1024, 9_000);
        let plan = plan(false, 0);
        let mut pool = Pool::build(&message(fixed(bytes), Payload::Compressible(4.0)), &plan, 1).unwrap();
        let values = pool.layout().len();
        let (mut spare, mut sequence) = (MessageBatch::new(values), 0);
        while sequence < messages {
            let index = pool.layout().index(0, sequence);
            let count = (values - index).min((messages - sequence) as usize);
            let mut batch = spare.recycle();
            for (value, _) in pool.values_mut(index, count) {
                batch.push(value, None, 0);
            }
            assert_eq!(producer.produce_run(&topic, 0, &mut batch).accepted, count);
            spare = batch.recycle();
            sequence += count as u64;
        }
        let mut written = Written(0);
        assert!(producer.drain(Duration::from_secs(20), &mut written));
        let (drained, deadline) = (written.0, Instant::now() + Duration::from_secs(10));
        while written.0 == drained && Instant::now() < deadline {
            producer.poll_events(Duration::from_millis(50), &mut written);
        }
        let ratio = (messages * bytes) as f64 / written.0 as f64;
        assert!((ratio / 4.0 - 1.0).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn a_ratio_that_the_header_forbids_is_refused_with_what_can_be_had() {
        for ratio in [1.0, 40.0] {
            let asked = Pool::build(&message(fixed(100), Payload::Compressible(ratio)), &plan(true, 0), 6);
            let error = asked.unwrap_err();
            assert!(matches!(error, PayloadError::Ratio { .. }));
            assert!(error.to_string().contains("choose a ratio in between"), "{error}");
        }
    }

    #[test]
    fn samples_are_repeated_or_cut_and_an_unusable_file_says_so() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\n\r\ntwo-is-longer\r\n").unwrap();
        let samples = Payload::Samples(file.path().into());
        let mut pool = Pool::build(&message(fixed(8), samples), &plan(false, 0), 1).unwrap();
        let values: Vec<Vec<u8>> = pool.values_mut(0, 3).map(|(value, _)| value.to_vec()).collect();
        assert_eq!(values, [b"oneoneon".to_vec(), b"two-is-l".to_vec(), b"oneoneon".to_vec()]);
        let empty = Payload::Samples(tempfile::NamedTempFile::new().unwrap().path().into());
        let missing = Pool::build(&message(fixed(8), empty), &plan(false, 0), 1).unwrap_err().to_string();
        assert!(missing.contains("a sample per line"), "{missing}");
        let blank = tempfile::NamedTempFile::new().unwrap();
        let error = Pool::build(&message(fixed(8), Payload::Samples(blank.path().into())), &plan(false, 0), 1);
        assert!(error.unwrap_err().to_string().contains("hold no line"));
    }

    #[test]
    fn a_value_with_its_header_is_sound() {
        let plan = plan(true, 0);
        let size = Size::Uniform(UniformSize { min: Bytes(48), max: Bytes(300) });
        let mut pool = Pool::build(&message(size, Payload::Random), &plan, 3).unwrap();
        let header = Header {
            run: 1,
            stream: 2,
            sequence: 3,
            attempt: 0,
            incarnation: 0,
            transaction: 0,
            intended_ns: 4,
            send_delay_us: 5,
            sentinel: false,
            warm_up: false,
            source: None,
        };
        for (value, checksum) in pool.values_mut(10, 1000) {
            header.encode(value, checksum);
            assert_eq!(Header::decode(value), Decoded::Ours(header));
        }
    }

    proptest! {
        #[test]
        fn bytes_of_a_range_are_the_sum_of_its_values(
            sizes in prop::collection::vec(0_usize..50, 2..40), streams in 1_usize..5,
            first in 0_u64..500, n in 0_u64..300
        ) {
            let starts: Vec<usize> = std::iter::once(0).chain(sizes.iter().scan(0, |sum, size| {
                *sum += size;
                Some(*sum)
            })).collect();
            let layout = Layout { starts: starts.into(), streams };
            for slot in 0..streams {
                let naive: usize = (first..first + n).map(|at| sizes[layout.index(slot, at)]).sum();
                prop_assert_eq!(layout.bytes(slot, first, n), naive as u64);
            }
            prop_assert_eq!(layout.largest(), *sizes.iter().max().unwrap());
        }
    }
}
