//! Send stamps of an open loop: when each outstanding message was to be sent and when it was.
//!
//! A fixed number of places, as many as may be outstanding. The sender takes one per message and attaches
//! its number as the opaque; the delivery side gives it back. So messages may be reported in any order and
//! memory is bounded. Free places travel back through a ring with one writer and one reader.
//!
//! Ordering: a stamp is written before its message is handed to the client and read when it is reported;
//! the client's queues order the two. So stamps are plain (relaxed) stores; only the ring's end is released.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

#[derive(Debug, Default)]
struct Place {
    message: AtomicU64,
    intended_ns: AtomicU64,
    sent_ns: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    places: Box<[Place]>,
    /// Numbers of free places; a power of two long.
    free: Box<[AtomicU32]>,
    /// How many were given back, ever (the initial ones included).
    given: AtomicU64,
}

/// What is known of a message that is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which message, packed.
    pub(crate) message: u64,
    /// When it was to be sent, nanoseconds from the start of the run.
    pub(crate) intended_ns: u64,
    /// When it was sent.
    pub(crate) sent_ns: u64,
}

/// The sender's side.
#[derive(Debug)]
pub(crate) struct Taker {
    shared: Arc<Shared>,
    taken: u64,
    given: u64,
}

/// The delivery side.
#[derive(Debug)]
pub(crate) struct Giver {
    shared: Arc<Shared>,
    given: u64,
}

/// Makes a slab of `places`.
///
/// # Panics
/// With more than 2^31 places: the spec bounds what is outstanding far below.
pub(crate) fn slab(places: usize) -> (Taker, Giver) {
    assert!(places > 0 && places <= 1 << 31, "1 to 2^31 places");
    let free: Box<[AtomicU32]> = (0..places.next_power_of_two()).map(|number| AtomicU32::new(number as u32)).collect();
    let shared = Arc::new(Shared {
        places: (0..places).map(|_| Place::default()).collect(),
        free,
        given: AtomicU64::new(places as u64),
    });
    let given = places as u64;
    (Taker { shared: Arc::clone(&shared), taken: 0, given }, Giver { shared, given })
}

impl Taker {
    /// How many places are free.
    pub(crate) fn available(&mut self) -> u64 {
        self.given = self.shared.given.load(Ordering::Acquire);
        self.given - self.taken
    }

    /// Stamps a message; gives its place. Look at [`available`](Self::available) first.
    ///
    /// # Panics
    /// When no place is free.
    #[inline]
    pub(crate) fn take(&mut self, stamp: Stamp) -> u64 {
        assert!(self.taken < self.given, "no place is free");
        let number = self.shared.free[self.taken as usize & (self.shared.free.len() - 1)].load(Ordering::Relaxed);
        self.taken += 1;
        let place = &self.shared.places[number as usize];
        place.message.store(stamp.message, Ordering::Relaxed);
        place.intended_ns.store(stamp.intended_ns, Ordering::Relaxed);
        place.sent_ns.store(stamp.sent_ns, Ordering::Relaxed);
        number.into()
    }
}

impl Giver {
    /// Reads the stamp of a place and frees it; the sender sees it after [`publish`](Self::publish).
    #[inline]
    pub(crate) fn give(&mut self, number: u64) -> Stamp {
        let place = &self.shared.places[number as usize];
        let stamp = Stamp {
            message: place.message.load(Ordering::Relaxed),
            intended_ns: place.intended_ns.load(Ordering::Relaxed),
            sent_ns: place.sent_ns.load(Ordering::Relaxed),
        };
        self.shared.free[self.given as usize & (self.shared.free.len() - 1)].store(number as u32, Ordering::Relaxed);
        self.given += 1;
        stamp
    }

    /// Lets the sender have what was given back.
    pub(crate) fn publish(&self) {
        self.shared.given.store(self.given, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(message: u64) -> Stamp {
        Stamp { message, intended_ns: message + 1, sent_ns: message + 2 }
    }

    #[test]
    fn places_come_back_in_any_order_and_never_more_than_there_are() {
        let (mut taker, mut giver) = slab(5);
        let mut held: Vec<(u64, u64)> = Vec::new();
        for message in 0..1_000_u64 {
            if taker.available() == 0 {
                assert_eq!(held.len(), 5);
                // The youngest and the one in the middle come back first.
                for at in [4, 2] {
                    let (number, message) = held.remove(at);
                    assert_eq!(giver.give(number), stamp(message));
                }
                assert_eq!(taker.available(), 0, "not before it is published");
                giver.publish();
                assert_eq!(taker.available(), 2);
            }
            let number = taker.take(stamp(message));
            assert!(held.iter().all(|(other, _)| *other != number), "a place is held once");
            held.push((number, message));
        }
    }

    #[test]
    fn two_threads_pass_every_place() {
        let (mut taker, mut giver) = slab(64);
        let (out, reports) = std::sync::mpsc::sync_channel::<(u64, u64)>(64);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (number, message) in reports {
                    assert_eq!(giver.give(number), stamp(message));
                    giver.publish();
                }
            });
            for message in 0..100_000 {
                while taker.available() == 0 {
                    std::thread::yield_now();
                }
                let number = taker.take(stamp(message));
                assert!(out.send((number, message)).is_ok());
            }
            drop(out);
        });
    }
}
