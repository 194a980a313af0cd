//! Message keys, and the partition that Kafka's Java client would choose for them.
//!
//! A key is a number below the key count, as 16 hexadecimal digits. Its partition is
//! `toPositive(murmur2(key)) % partitions` (`BuiltInPartitioner.partitionForKey`), so that a key lands
//! where a Java producer would put it.
//!
//! A message that is sent again has its key again: the keys of an incarnation follow from the seed, so they are drawn
//! once more in the same order.

use ackmark_schema::scenario::Keys;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64Mcg;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 16;

/// A key.
pub(crate) type Key = [u8; KEY_BYTES];

/// Draws keys for one producer.
#[derive(Debug, Clone)]
pub(crate) struct KeySource {
    choice: Choice,
    random: Pcg64Mcg,
}

#[derive(Debug, Clone)]
enum Choice {
    RoundRobin { keys: u64, next: u64 },
    Uniform { keys: u64 },
    Zipf(Zipf<f64>),
}

impl KeySource {
    /// The keys that an incarnation of `producer` (both from 0) draws; `None` when messages have none.
    pub(crate) fn new(keys: &Keys, producer: u32, incarnation: u32, seed: u64) -> Option<Self> {
        let choice = match *keys {
            Keys::None => return None,
            Keys::RoundRobin(keys) => Choice::RoundRobin { keys: keys.0, next: u64::from(producer) % keys.0 },
            Keys::Uniform(keys) => Choice::Uniform { keys: keys.0 },
            Keys::Zipf(zipf) => Choice::Zipf(
                Zipf::new(zipf.keys.0 as f64, zipf.exponent)
                    .expect("the spec was checked: keys and exponent above zero"),
            ),
        };
        let life = u64::from(producer) | u64::from(incarnation) << 32;
        Some(Self { choice, random: Pcg64Mcg::seed_from_u64(seed.rotate_left(17) ^ life) })
    }

    /// The number of the next key.
    #[inline]
    fn draw(&mut self) -> u64 {
        match &mut self.choice {
            Choice::RoundRobin { keys, next } => {
                let key = *next;
                *next = if key + 1 == *keys { 0 } else { key + 1 };
                key
            }
            Choice::Uniform { keys } => self.random.random_range(0..*keys),
            Choice::Zipf(zipf) => zipf.sample(&mut self.random) as u64 - 1,
        }
    }

    /// The next key.
    #[inline]
    pub(crate) fn next(&mut self) -> Key {
        digits(self.draw())
    }
}

/// Where an incarnation's messages with keys go, one after the other: to the key's partition, of each topic in turn.
/// A slot is a partition of a topic: `topic * partitions + partition`.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// Topics.
    pub(crate) topics: u32,
    /// Partitions of each.
    pub(crate) partitions: u32,
    /// The topic of the next message.
    pub(crate) topic: u32,
}

impl Placement {
    /// The first message goes to the first topic.
    pub(crate) fn new(topics: u32, partitions: u32) -> Self {
        Self { topics, partitions, topic: 0 }
    }

    /// All slots.
    pub(crate) fn slots(&self) -> usize {
        (self.topics * self.partitions) as usize
    }

    /// The slot of the next message.
    #[inline]
    pub(crate) fn next(&mut self, key: &[u8]) -> u32 {
        let topic = self.topic;
        self.topic = if topic + 1 == self.topics { 0 } else { topic + 1 };
        topic * self.partitions + partition_of(key, self.partitions)
    }
}

/// Draws the keys of messages once more. `wanted` has for each slot the places of the messages among those
/// that the incarnation sent there, rising; `None` when the keys are not found among the first `draws`.
pub(crate) fn draw_again(
    mut source: KeySource,
    mut placement: Placement,
    wanted: &[Vec<u64>],
    draws: u64,
) -> Option<Vec<Vec<Key>>> {
    let mut found: Vec<Vec<Key>> = wanted.iter().map(|places| Vec::with_capacity(places.len())).collect();
    let mut drawn = vec![0; wanted.len()];
    let mut missing: usize = wanted.iter().map(Vec::len).sum();
    for _ in 0..draws {
        if missing == 0 {
            break;
        }
        let key = source.next();
        let slot = placement.next(&key) as usize;
        if wanted[slot].get(found[slot].len()) == Some(&drawn[slot]) {
            found[slot].push(key);
            missing -= 1;
        }
        drawn[slot] += 1;
    }
    (missing == 0).then_some(found)
}

fn digits(number: u64) -> Key {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 15])
}

/// The partition of a key.
#[inline]
pub(crate) fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), as unsigned.
#[inline]
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> R)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ackmark_schema::{scenario::Zipf as ZipfKeys, units::Count};

    #[test]
    fn murmur2_is_kafkas() {
        // From Kafka's UtilsTest.testMurmur2.
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", String::from_utf8_lossy(key));
        }
        // toPositive clears the sign bit: it is no absolute value.
        assert_eq!(partition_of(b"21", 6), (-973_932_308_i32).cast_unsigned() % (1 << 31) % 6);
    }

    fn drawn(keys: Keys, count: usize) -> Vec<[u8; KEY_BYTES]> {
        let mut source = KeySource::new(&keys, 0, 0, 9).unwrap();
        (0..count).map(|_| source.next()).collect()
    }

    #[test]
    fn keys_are_drawn_again_by_their_places() {
        let source = || KeySource::new(&Keys::Uniform(Count(50)), 1, 2, 3).unwrap();
        for topics in [1, 2] {
            let mut all = vec![Vec::new(); 3 * topics as usize];
            let mut first = source();
            for at in 0..2_000 {
                let key = first.next();
                all[(at % topics * 3 + partition_of(&key, 3)) as usize].push(key);
            }
            let place = Placement::new(topics, 3);
            let mut wanted = vec![vec![]; place.slots()];
            (wanted[0], wanted[2]) = (vec![0, 1, 250], vec![17]);
            let again = draw_again(source(), place.clone(), &wanted, 2_000).unwrap();
            assert_eq!((&again[0], &again[2]), (&vec![all[0][0], all[0][1], all[0][250]], &vec![all[2][17]]));
            assert!(again.iter().enumerate().all(|(slot, keys)| keys.is_empty() != [0, 2].contains(&slot)));
            wanted[0] = vec![1_900];
            assert_eq!(draw_again(source(), place, &wanted, 2_000), None);
        }
        assert_ne!(KeySource::new(&Keys::Uniform(Count(1 << 40)), 1, 0, 3).unwrap().next(), source().next());
    }

    fn share(keys: &[[u8; KEY_BYTES]], number: u64) -> f64 {
        keys.iter().filter(|key| **key == digits(number)).count() as f64 / keys.len() as f64
    }

    #[test]
    fn keys_keep_their_distribution() {
        assert!(KeySource::new(&Keys::None, 0, 0, 1).is_none());
        assert_eq!(drawn(Keys::RoundRobin(Count(3)), 4), [0, 1, 2, 0].map(digits));
        assert_eq!(&digits(0xbeef), b"000000000000beef");
        let uniform = drawn(Keys::Uniform(Count(4)), 40_000);
        assert!((0..4).all(|key| (share(&uniform, key) - 0.25).abs() < 0.01));
        let zipf = drawn(Keys::Zipf(ZipfKeys { keys: Count(100), exponent: 1.0 }), 100_000);
        // The k-th of 100 keys has 1/(k * H(100)) of all; H(100) = 5.1874.
        for key in [0, 1, 9] {
            let expected = 1.0 / ((key + 1) as f64 * 5.187_377_5);
            assert!((share(&zipf, key) / expected - 1.0).abs() < 0.1, "{key}");
        }
        assert!(zipf.iter().all(|key| *key < digits(100)));
    }
}
