//! The measured part of a run: what lies before it is warm-up.
//!
//! It begins when the warm-up is over; with transactions at the first end of a transaction after that, so
//! that no transaction lies across the border (of several producers the first one sets it). The CPU time
//! that counts is read at that moment.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use crate::usage::Usage;

/// A second of the timeline in runs of this length and more; shorter runs have quarters of a second, so that
/// it can be told whether they were steady.
const LONG_NS: u64 = 10_000_000_000;

/// The border, and how many messages may still be measured.
#[derive(Debug)]
pub(crate) struct Window {
    /// When the warm-up is over, nanoseconds from the start.
    pub(crate) warm_up_ns: u64,
    /// When sending is over by the schedule.
    pub(crate) end_ns: u64,
    messages: Option<u64>,
    claimed: AtomicU64,
    begun: OnceLock<Begin>,
}

/// How the measured part began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    /// When, nanoseconds from the start.
    pub(crate) from_ns: u64,
    /// What the process had used until then.
    pub(crate) usage: Usage,
}

impl Window {
    /// A window of at most `messages` messages.
    pub(crate) fn new(warm_up_ns: u64, end_ns: u64, messages: Option<u64>) -> Self {
        Self { warm_up_ns, end_ns, messages, claimed: AtomicU64::new(0), begun: OnceLock::new() }
    }

    /// Begins the measured part, unless it has begun.
    pub(crate) fn begin(&self, from_ns: u64) {
        self.begun.get_or_init(|| Begin { from_ns, usage: Usage::now() });
    }

    /// How it began, if it has.
    pub(crate) fn begun(&self) -> Option<&Begin> {
        self.begun.get()
    }

    /// Length of the timeline's intervals.
    pub(crate) fn interval_ns(&self) -> u64 {
        if self.end_ns - self.warm_up_ns < LONG_NS { 250_000_000 } else { 1_000_000_000 }
    }

    /// When sending is over where nothing is scheduled: the measured part has its full length also when it
    /// began late, because a transaction had to end first.
    pub(crate) fn full_end_ns(&self) -> u64 {
        self.begun().map_or(self.end_ns, |begin| begin.from_ns + (self.end_ns - self.warm_up_ns))
    }

    /// Claims up to `n` messages of those that may be measured.
    pub(crate) fn claim(&self, n: u64) -> u64 {
        match self.messages {
            None => n,
            Some(most) => n.min(most.saturating_sub(self.claimed.fetch_add(n, Ordering::Relaxed))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_messages_are_claimed_than_may_be_measured() {
        let window = Window::new(0, 1, Some(2_500));
        let threads = 4;
        let claimed: u64 = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| std::iter::repeat_with(|| window.claim(7)).take_while(|got| *got > 0).sum::<u64>())
                })
                .collect();
            claims.into_iter().filter_map(|claim| claim.join().ok()).sum()
        });
        assert_eq!(claimed, 2_500);
        assert_eq!(Window::new(0, 1, None).claim(7), 7);
    }

    #[test]
    fn it_begins_once() {
        let window = Window::new(5, 10, None);
        assert!(window.begun().is_none());
        window.begin(5);
        window.begin(8);
        assert_eq!(window.begun().map(|begin| begin.from_ns), Some(5));
    }

    #[test]
    fn a_late_beginning_does_not_shorten_the_measured_part() {
        let window = Window::new(5, 10, None);
        assert_eq!(window.full_end_ns(), 10);
        window.begin(12);
        assert_eq!(window.full_end_ns(), 17);
    }

    #[test]
    fn short_runs_have_short_intervals() {
        assert_eq!(Window::new(LONG_NS, 2 * LONG_NS, None).interval_ns(), 1_000_000_000);
        assert_eq!(Window::new(LONG_NS, 2 * LONG_NS - 1, None).interval_ns(), 250_000_000);
    }
}
