//! When each message of an open loop is to be sent.
//!
//! The intended time of a message follows from its number (constant) or from a seeded process (Poisson),
//! never from how the run goes: a message that is late is sent at once, none is skipped, and its latency
//! counts from the intended time. Several producers share a constant schedule by taking every n-th slot;
//! a Poisson process is the sum of independent ones with a share of the rate each (superposition).
//!
//! Limit: times are computed in `f64` and cut to whole nanoseconds; after three hours the rounding is 2 ps
//! (constant) and the sum of rounding errors below 1 µs (Poisson).

use ackmark_schema::scenario::Arrivals;
use rand::SeedableRng;
use rand_distr::{Distribution, Exp1};
use rand_pcg::Pcg64Mcg;

const SECOND_NS: f64 = 1e9;

/// One producer's part of a schedule, in nanoseconds from the start of the run.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    spacing: Spacing,
    next_ns: u64,
}

#[derive(Debug, Clone)]
enum Spacing {
    Constant { period_ns: f64, slot: u64, producers: u64 },
    Poisson { mean_ns: f64, at_ns: f64, random: Pcg64Mcg },
}

impl Schedule {
    /// The part of `producer` (from 0) of `producers` in a schedule of `rate` messages per second.
    pub(crate) fn new(rate: f64, arrivals: Arrivals, producer: u32, producers: u32, seed: u64) -> Self {
        let period_ns = SECOND_NS / rate;
        let mut schedule = match arrivals {
            Arrivals::Constant => Self {
                next_ns: 0,
                spacing: Spacing::Constant { period_ns, slot: u64::from(producer), producers: producers.into() },
            },
            Arrivals::Poisson => Self {
                next_ns: 0,
                spacing: Spacing::Poisson {
                    mean_ns: period_ns * f64::from(producers),
                    at_ns: 0.0,
                    random: Pcg64Mcg::seed_from_u64(seed ^ (u64::from(producer) << 32)),
                },
            },
        };
        schedule.next_ns = match &mut schedule.spacing {
            Spacing::Constant { period_ns, slot, .. } => (*slot as f64 * *period_ns) as u64,
            poisson @ Spacing::Poisson { .. } => poisson.step(),
        };
        schedule
    }

    /// When the next message is to be sent.
    #[inline]
    pub(crate) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Moves the intended times of the messages due by `now_ns` into `due`, at most `most`, only those
    /// before `end_ns`.
    pub(crate) fn take_due(&mut self, now_ns: u64, end_ns: u64, most: usize, due: &mut Vec<u64>) {
        due.clear();
        while due.len() < most && self.next_ns <= now_ns && self.next_ns < end_ns {
            due.push(self.next_ns);
            self.next_ns = self.spacing.step();
        }
    }
}

impl Spacing {
    #[inline]
    fn step(&mut self) -> u64 {
        match self {
            Self::Constant { period_ns, slot, producers } => {
                *slot += *producers;
                (*slot as f64 * *period_ns) as u64
            }
            Self::Poisson { mean_ns, at_ns, random } => {
                let gap: f64 = Exp1.sample(random);
                *at_ns += gap * *mean_ns;
                *at_ns as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut schedule: Schedule, end_ns: u64) -> Vec<u64> {
        let mut due = Vec::new();
        schedule.take_due(u64::MAX, end_ns, usize::MAX, &mut due);
        due
    }

    proptest! {
        #[test]
        fn a_constant_schedule_is_exact_whoever_sends_and_however_late(
            rate in 1.0_f64..2e6, producers in 1_u32..8, looks in prop::collection::vec((0_u64..50_000_000, 1_usize..700), 1..40)
        ) {
            let end_ns = (2e9_f64).min(20_000.0 / rate * 1e9) as u64;
            let mut sent = Vec::new();
            for producer in 0..producers {
                let mut schedule = Schedule::new(rate, Arrivals::Constant, producer, producers, 1);
                // Looks at the clock come at any time and take any number at once.
                let (mut now, mut due) = (0, Vec::new());
                for (pause, most) in looks.iter().cycle() {
                    if schedule.next_ns() >= end_ns { break; }
                    now += pause + 1;
                    schedule.take_due(now, end_ns, *most, &mut due);
                    prop_assert!(due.len() <= *most && due.iter().all(|at| *at <= now));
                    sent.extend_from_slice(&due);
                }
            }
            sent.sort_unstable();
            for (slot, at) in sent.iter().enumerate() {
                prop_assert_eq!(*at, (slot as f64 * (1e9 / rate)) as u64);
            }
            prop_assert!(sent.len() as f64 >= (end_ns as f64 * rate / 1e9).floor());
            prop_assert!(sent.len() as f64 <= (end_ns as f64 * rate / 1e9).ceil() + 1.0);
        }

        #[test]
        fn a_look_takes_only_what_is_due(rate in 1.0_f64..1e6, now in 0_u64..1_000_000_000, seed: u64) {
            for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
                let mut schedule = Schedule::new(rate, arrivals, 0, 1, seed);
                let mut due = Vec::new();
                schedule.take_due(now, u64::MAX, usize::MAX, &mut due);
                prop_assert!(due.iter().all(|at| *at <= now) && schedule.next_ns() > now);
            }
        }
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_have_exponential_gaps() {
        for producers in [1, 4] {
            let parts = (0..producers).flat_map(|producer| {
                all(Schedule::new(50_000.0, Arrivals::Poisson, producer, producers, 7), 4_000_000_000)
            });
            let mut times: Vec<u64> = parts.collect();
            times.sort_unstable();
            // 200,000 expected; one standard deviation is 447.
            assert!((times.len() as f64 - 200_000.0).abs() < 2_000.0, "{}", times.len());
            let gaps: Vec<f64> = times.windows(2).map(|two| (two[1] - two[0]) as f64).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "an exponential's deviation is its mean");
            // P(gap > mean) = 1/e.
            let above = gaps.iter().filter(|gap| **gap > mean).count() as f64 / gaps.len() as f64;
            assert!((above - (-1.0_f64).exp()).abs() < 0.01, "{above}");
        }
    }

    #[test]
    fn a_seed_repeats_its_arrivals_and_producers_differ() {
        let times = |producer, seed| all(Schedule::new(1e4, Arrivals::Poisson, producer, 2, seed), 100_000_000);
        assert_eq!(times(0, 3), times(0, 3));
        assert_ne!(times(0, 3), times(0, 4));
        assert_ne!(times(0, 3), times(1, 3));
    }
}
