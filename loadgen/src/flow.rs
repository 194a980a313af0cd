//! What a producer's two threads tell each other: how much is outstanding, and when to end.
//!
//! Counters have one writer each and are stored once per run or event, not per message.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use crate::clock::Clock;

/// Messages and their value bytes, counted up by one thread.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// A look at a tally.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Messages.
    pub(crate) messages: u64,
    /// Their value bytes.
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        let mut sum = Self::default();
        for amount in amounts {
            sum += amount;
        }
        sum
    }
}

impl std::ops::Sub for Amount {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(earlier.messages),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

impl Tally {
    /// Adds; only the tally's one writer does.
    pub(crate) fn add(&self, amount: Amount) {
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + amount.bytes, Ordering::Relaxed);
        self.messages.store(self.messages.load(Ordering::Relaxed) + amount.messages, Ordering::Release);
    }

    /// What was added so far.
    pub(crate) fn get(&self) -> Amount {
        let messages = self.messages.load(Ordering::Acquire);
        Amount { messages, bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// One producer's state, shared by its threads and whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Handed to the client, or about to be. Written by the sender.
    pub(crate) sent: Tally,
    /// Reported, whatever the outcome. Written by the delivery thread.
    pub(crate) reported: Tally,
    /// Reported without an error. Written by the delivery thread.
    pub(crate) delivered: Tally,
    /// When the last event with reports came, nanoseconds from the start. Written by the delivery thread, before
    /// it publishes what the event brought.
    pub(crate) last_report_ns: AtomicU64,
    /// How often the queue was full. Written by the sender.
    pub(crate) queue_full: AtomicU64,
    /// When the sender ended, nanoseconds from the start plus one; 0 while it sends.
    ended_ns: AtomicU64,
    /// Whether the delivery thread takes no more reports.
    reporting_ended: AtomicBool,
    waiting: AtomicBool,
    sender: OnceLock<Thread>,
}

impl Flow {
    /// Messages and bytes that are outstanding.
    pub(crate) fn outstanding(&self) -> Amount {
        // In this order: what is reported was sent before.
        let reported = self.reported.get();
        self.sent.get() - reported
    }

    /// Called by the sender before it may wait.
    pub(crate) fn register_sender(&self) {
        let _ = self.sender.set(thread::current());
    }

    /// Waits, as the sender, until something was reported, at most `most`.
    pub(crate) fn wait_for_reports(&self, most: Duration) {
        self.waiting.store(true, Ordering::SeqCst);
        thread::park_timeout(most);
        self.waiting.store(false, Ordering::Relaxed);
    }

    /// Wakes the sender if it waits; called once per event.
    pub(crate) fn wake_sender(&self) {
        if self.waiting.load(Ordering::SeqCst)
            && let Some(sender) = self.sender.get()
        {
            sender.unpark();
        }
    }

    /// The sender hands over nothing more.
    pub(crate) fn end_sending(&self, now_ns: u64) {
        self.ended_ns.store(now_ns + 1, Ordering::Release);
    }

    /// When the sender ended, if it did.
    pub(crate) fn ended_ns(&self) -> Option<u64> {
        self.ended_ns.load(Ordering::Acquire).checked_sub(1)
    }

    /// Ends the sending when the guard is dropped, unless it has ended: so it ends also by a panic. Without that
    /// the delivery thread would wait for ever.
    pub(crate) fn sending(&self, clock: Clock) -> impl Drop {
        Guard(move || {
            if self.ended_ns().is_none() {
                self.end_sending(clock.now_ns());
            }
        })
    }

    /// Ends the reporting when the guard is dropped: so it ends also by a panic. Without that the sender would
    /// wait its full time for reports that nobody takes.
    pub(crate) fn reporting(&self) -> impl Drop {
        Guard(|| self.reporting_ended.store(true, Ordering::Release))
    }

    /// Whether reports are still taken.
    pub(crate) fn is_served(&self) -> bool {
        !self.reporting_ended.load(Ordering::Acquire)
    }

    /// Counts a full queue.
    pub(crate) fn count_queue_full(&self) {
        self.queue_full.store(self.queue_full.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Does something when it is dropped.
struct Guard<F: FnMut()>(F);

impl<F: FnMut()> Drop for Guard<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Longest wait for what is outstanding once the caller wants an end.
const INTERRUPTED_DRAIN: Duration = Duration::from_secs(15);

/// Why a run ends before its time, and when it ends at the latest.
#[derive(Debug)]
pub(crate) struct Halt<'a> {
    stop: &'a AtomicBool,
    clock: Clock,
    give_up_ns: u64,
    interrupted_ns: OnceLock<u64>,
    given_up_ns: OnceLock<u64>,
    failed: AtomicBool,
    error: OnceLock<String>,
}

impl<'a> Halt<'a> {
    /// Halts when the caller's flag is raised. Nothing is waited for after `give_up_ns`, nanoseconds from the start.
    pub(crate) fn new(stop: &'a AtomicBool, clock: Clock, give_up_ns: u64) -> Self {
        let (interrupted_ns, given_up_ns, error) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { stop, clock, give_up_ns, interrupted_ns, given_up_ns, failed: AtomicBool::new(false), error }
    }

    /// When everything is given up that is still waited for, nanoseconds from the start: soon once the caller's flag
    /// has been raised.
    pub(crate) fn give_up_ns(&self) -> u64 {
        let give_up_ns = self.given_up_ns.get().map_or(self.give_up_ns, |at_ns| self.give_up_ns.min(*at_ns));
        if !self.is_interrupted() {
            return give_up_ns;
        }
        let since_ns = *self.interrupted_ns.get_or_init(|| self.clock.now_ns());
        give_up_ns.min(since_ns + INTERRUPTED_DRAIN.as_nanos() as u64)
    }

    /// Whether that time has come.
    pub(crate) fn gives_up(&self) -> bool {
        self.clock.now_ns() > self.give_up_ns()
    }

    /// Whether to send nothing more.
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    /// Whether the caller asked for the end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the run for an error; the first one counts.
    pub(crate) fn fail(&self, error: impl Into<String>) {
        let _ = self.error.set(error.into());
        self.failed.store(true, Ordering::Release);
    }

    /// As [`fail`](Self::fail), and nothing is waited for any more.
    pub(crate) fn give_up(&self, error: impl Into<String>) {
        let _ = self.given_up_ns.set(self.clock.now_ns());
        self.fail(error);
    }

    /// Does a thread's work. A panic in it ends the run as failed and gives `None`; what the work borrows stays
    /// as the panic left it, so that what was counted until then can be reported.
    pub(crate) fn guard<R>(&self, thread: &str, work: impl FnOnce() -> R) -> Option<R> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| self.fail_by_panic(thread, panic.as_ref())).ok()
    }

    /// Ends the run for a panic.
    pub(crate) fn fail_by_panic(&self, thread: &str, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason is known");
        self.fail(format!("{thread} panicked: {text}; this is a defect of ackmark, please report it"));
    }

    /// The error that ended the run.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Instant};

    #[test]
    fn a_waiting_sender_is_woken_by_a_report() {
        let flow = Arc::new(Flow::default());
        flow.register_sender();
        let reporter = Arc::clone(&flow);
        flow.sent.add(Amount { messages: 2, bytes: 20 });
        let thread = thread::spawn(move || {
            reporter.reported.add(Amount { messages: 1, bytes: 10 });
            while reporter.ended_ns().is_none() {
                reporter.wake_sender();
                thread::yield_now();
            }
        });
        let start = Instant::now();
        flow.wait_for_reports(Duration::from_mins(1));
        assert!(start.elapsed() < Duration::from_secs(30));
        flow.end_sending(7);
        assert!(thread.join().is_ok());
        assert_eq!(flow.outstanding(), Amount { messages: 1, bytes: 10 });
        assert_eq!(flow.ended_ns(), Some(7));
    }

    #[test]
    fn the_first_error_halts_and_is_kept() {
        let stop = AtomicBool::new(false);
        let halt = Halt::new(&stop, Clock::start(), u64::MAX);
        assert!(!halt.is_raised());
        halt.fail("first");
        halt.fail("second");
        assert!(halt.is_raised() && !halt.is_interrupted());
        assert_eq!(halt.error(), Some("first"));
        assert!(!halt.gives_up(), "what is outstanding is still waited for");
        halt.give_up("third");
        assert_eq!(halt.error(), Some("first"));
        thread::sleep(Duration::from_millis(1));
        assert!(halt.gives_up() && !halt.is_interrupted());
    }

    #[test]
    fn an_interruption_brings_the_end_nearer_and_never_puts_it_off() {
        let stop = AtomicBool::new(false);
        let clock = Clock::start();
        let (near, far) = (Halt::new(&stop, clock, 5), Halt::new(&stop, clock, u64::MAX));
        assert_eq!((near.give_up_ns(), far.give_up_ns()), (5, u64::MAX));
        assert!(!far.gives_up());
        stop.store(true, Ordering::Relaxed);
        let given_up_ns = far.give_up_ns();
        assert!(given_up_ns < clock.now_ns() + INTERRUPTED_DRAIN.as_nanos() as u64 + 1);
        assert!(given_up_ns >= INTERRUPTED_DRAIN.as_nanos() as u64, "{given_up_ns}");
        assert_eq!((near.give_up_ns(), far.give_up_ns()), (5, given_up_ns), "it stays where it is");
        assert!(near.gives_up());
    }
}
