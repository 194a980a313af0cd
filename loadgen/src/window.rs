//! The measured part of a run: what lies before it is warm-up.
//!
//! It begins when the warm-up is over. In an open loop a message belongs to it by its intended time. Where
//! nothing is scheduled, a transaction that is open then has to end first: each producer ends its own and waits
//! for the others, and the last one begins the measured part for all, so that no transaction of any producer lies
//! across the border. The CPU time that counts is read at that moment.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{clock::Clock, usage::Usage};

/// A second of the timeline in runs of this length and more; shorter runs have quarters of a second, so that
/// it can be told whether they were steady.
const LONG_NS: u64 = 10_000_000_000;
/// A single wait at the border, so that the run's end is seen.
const WAIT: Duration = Duration::from_millis(5);

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
    border: Mutex<Border>,
    border_changed: Condvar,
}

/// Who is where at the border.
#[derive(Debug, Default)]
struct Border {
    /// Producers that have neither come nor gone for good.
    away: usize,
    waiting: usize,
    /// One has waited long enough: nothing begins any more.
    given_up: bool,
}

/// A producer's place at the border. It leaves it when this is dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Party<'w> {
    window: &'w Window,
    clock: Clock,
    came: bool,
}

impl Party<'_> {
    /// Comes to the border and waits for all the others, unless `give_up` tells to stop waiting.
    pub(crate) fn come(&mut self, give_up: impl Fn() -> bool) {
        self.came = true;
        let mut border = self.window.lock();
        border.away -= 1;
        border.waiting += 1;
        self.window.begin_when_complete(&border, self.clock);
        while border.away > 0 && !border.given_up {
            border.given_up = give_up();
            let woken = self.window.border_changed.wait_timeout(border, WAIT);
            border = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        border.waiting -= 1;
    }
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        if !self.came {
            let mut border = self.window.lock();
            border.away -= 1;
            self.window.begin_when_complete(&border, self.clock);
        }
    }
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
        Self {
            warm_up_ns,
            end_ns,
            messages,
            claimed: AtomicU64::new(0),
            begun: OnceLock::new(),
            border: Mutex::default(),
            border_changed: Condvar::new(),
        }
    }

    /// One more producer comes to the border, or leaves. All places are taken before the first one comes.
    pub(crate) fn party(&self, clock: Clock) -> Party<'_> {
        self.lock().away += 1;
        Party { window: self, clock, came: false }
    }

    fn lock(&self) -> MutexGuard<'_, Border> {
        self.border.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the measured part when all those have come that have not left.
    fn begin_when_complete(&self, border: &Border, clock: Clock) {
        if border.away == 0 && border.waiting > 0 && !border.given_up {
            self.begin(clock.now_ns());
            self.border_changed.notify_all();
        }
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

    /// Producers that come to the border 20 ms apart; when each of them came and went on.
    fn come(window: &Window, parties: Vec<Party<'_>>, clock: Clock) -> Vec<(u64, u64)> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = parties
                .into_iter()
                .zip(1_u64..)
                .map(|(mut party, number)| {
                    scope.spawn(move || {
                        clock.sleep_until(number * 20_000_000);
                        let came_ns = clock.now_ns();
                        party.come(|| clock.now_ns() > 10_000_000_000);
                        assert!(window.begun().is_some());
                        (came_ns, clock.now_ns())
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    #[test]
    fn the_last_producer_to_come_begins_it_for_all() {
        let (window, clock) = (Window::new(5, 10, None), Clock::start());
        let parties = (0..3).map(|_| window.party(clock)).collect();
        let times = come(&window, parties, clock);
        assert_eq!(times.len(), 3);
        let from_ns = window.begun().map_or(0, |begin| begin.from_ns);
        assert!(times.iter().all(|(came_ns, went_ns)| (*came_ns..=*went_ns).contains(&from_ns)), "{from_ns} {times:?}");
    }

    #[test]
    fn who_leaves_is_not_waited_for() {
        let (window, clock) = (Window::new(5, 10, None), Clock::start());
        let mut parties: Vec<Party<'_>> = (0..3).map(|_| window.party(clock)).collect();
        let panics = parties.remove(1);
        let panicked = std::thread::scope(|scope| {
            scope.spawn(move || std::panic::panic_any(format!("with {panics:?}"))).join().is_err()
        });
        assert!(panicked && window.begun().is_none());
        assert_eq!(come(&window, parties, clock).len(), 2);
        let (alone, clock) = (Window::new(5, 10, None), Clock::start());
        drop(alone.party(clock));
        assert!(alone.begun().is_none(), "nobody is left that could measure");
    }

    #[test]
    fn who_gives_up_waiting_lets_nothing_begin() {
        let (window, clock) = (Window::new(5, 10, None), Clock::start());
        let (mut early, mut late) = (window.party(clock), window.party(clock));
        early.come(|| clock.now_ns() > 20_000_000);
        late.come(|| false);
        assert!(window.begun().is_none());
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
