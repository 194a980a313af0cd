//! The run's clock: nanoseconds from its start, on the monotonic clock.
//!
//! Record headers carry wall-clock times, since readers may be other processes. They are the wall clock
//! at the start plus monotonic time, so a step of the wall clock during the run does not bend them; steps
//! are watched and reported.

use std::num::NonZeroU64;

use rustix::{
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec, clock_gettime},
};

const SECOND_NS: u64 = 1_000_000_000;
/// How late the kernel may wake a sender in order to join wake-ups; its default is 50 µs.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * SECOND_NS + now.tv_nsec as u64
}

/// Tries for a close pair of clock readings.
const PAIR_TRIES: u32 = 16;

/// Time since the start of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start_ns: u64,
    epoch_ns: u64,
}

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        // The pair must be of one moment: a thread that is preempted between the readings would date every message
        // late. The closest pair of some tries counts.
        let pair = || {
            let (before, epoch_ns, after) =
                (read(ClockId::Monotonic), read(ClockId::Realtime), read(ClockId::Monotonic));
            (after - before, Self { start_ns: before, epoch_ns })
        };
        (0..PAIR_TRIES)
            .map(|_| pair())
            .min_by_key(|(apart_ns, _)| *apart_ns)
            .map_or_else(|| pair().1, |(_, clock)| clock)
    }

    /// Nanoseconds since the start.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        read(ClockId::Monotonic) - self.start_ns
    }

    /// A time of the run on the monotonic clock itself, in microseconds.
    pub(crate) fn monotonic_us(&self, at_ns: u64) -> i64 {
        ((self.start_ns + at_ns) / 1_000) as i64
    }

    /// A time of the run as nanoseconds since the Unix epoch.
    #[inline]
    pub(crate) fn epoch_ns(&self, at_ns: u64) -> u64 {
        self.epoch_ns + at_ns
    }

    /// How far the wall clock is from where it would be had it only ticked, in nanoseconds.
    pub(crate) fn wall_drift_ns(&self) -> i64 {
        let expected = self.epoch_ns(self.now_ns());
        read(ClockId::Realtime) as i64 - expected as i64
    }

    /// Sleeps until a time of the run.
    pub(crate) fn sleep_until(&self, at_ns: u64) {
        let at = self.start_ns + at_ns;
        let at = Timespec { tv_sec: (at / SECOND_NS) as i64, tv_nsec: (at % SECOND_NS) as i64 };
        // A signal ends it early: callers look at the clock again.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &at);
    }
}

/// Asks the kernel to wake this thread promptly. Refused only where prctl is filtered; then wake-ups are
/// 50 µs later, which the schedule lag shows.
pub(crate) fn wake_promptly() {
    let _ = set_current_timer_slack(Some(TIMER_SLACK_NS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_until_a_time_ends_after_it_and_soon() {
        wake_promptly();
        let clock = Clock::start();
        clock.sleep_until(20_000_000);
        let now = clock.now_ns();
        assert!((20_000_000..2_000_000_000).contains(&now), "{now}");
        clock.sleep_until(1);
        assert!(clock.wall_drift_ns().abs() < 1_000_000_000);
    }
}
