//! Where a copy of a message came from, and what that says of why it is there once more.
//!
//! The rules are those of [`Cause`]. A record batch names its producer id, epoch and first sequence; its records have
//! sequences from there on, modulo 2^31. Batches of a producer without idempotence carry -1 (KIP-98).

use ackmark_schema::anomaly::Cause;

/// Sequences of batches are counted modulo this: after 2^31 - 1 comes 0 (KIP-98).
const SEQUENCES: u32 = 1 << 31;

/// A producer id and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The id; negative where there is none.
    producer_id: i64,
    /// The epoch of the id.
    epoch: i16,
}

impl Session {
    /// The reader is not shown it.
    pub const NOT_TOLD: Self = Self { producer_id: i64::MIN, epoch: 0 };
    /// Written without a producer id.
    pub const NONE: Self = Self { producer_id: -1, epoch: -1 };

    /// Of a batch, with its producer id and epoch; a negative id is none.
    pub const fn of_batch(producer_id: i64, epoch: i16) -> Self {
        if producer_id < 0 { Self::NONE } else { Self { producer_id, epoch } }
    }

    /// Whether it has a producer id.
    pub const fn has_id(self) -> bool {
        self.producer_id >= 0
    }
}

/// Where a copy of a message came from, as far as its reader can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its producer's session.
    pub session: Session,
    /// The sequence in its session minus the message's, modulo 2^31: the same for all of a session's messages to a
    /// partition as long as they are stored in order; 0 without a producer id.
    pub shift: u32,
    /// Life of the producer, by the header.
    pub incarnation: u32,
    /// Copy by the application, by the header.
    pub attempt: u16,
}

impl Default for Origin {
    fn default() -> Self {
        Self { session: Session::NOT_TOLD, shift: 0, incarnation: 0, attempt: 0 }
    }
}

impl Origin {
    /// Whether one request brought both, if they are of one message: the same producer id, epoch and sequence.
    fn is_same_send(&self, other: &Self) -> bool {
        self.session.has_id() && self.session == other.session && self.shift == other.shift
    }

    /// Why this copy is there, beside those `before` it in the log; `all` says whether they are all that there are.
    pub(crate) fn cause<'a>(&self, before: impl Iterator<Item = &'a Self> + Clone, all: bool) -> Cause {
        if before.clone().any(|copy| self.is_same_send(copy)) {
            return Cause::BrokerFault;
        }
        if !all {
            return Cause::Unexplained;
        }
        let of_life = before.filter(|copy| copy.incarnation == self.incarnation);
        if of_life.clone().next().is_none() {
            return Cause::Restart;
        }
        let mut of_attempt = of_life.filter(|copy| copy.attempt == self.attempt).peekable();
        if of_attempt.peek().is_none() {
            return Cause::Resend;
        }
        let sessions = of_attempt.map(|copy| copy.session);
        if self.session.has_id() {
            let mut cause = Cause::Unexplained;
            for session in sessions.filter(|session| session.has_id()) {
                if session == self.session {
                    return Cause::Resend;
                }
                cause = Cause::NewSession;
            }
            return cause;
        }
        let mut sessions = sessions;
        if self.session == Session::NONE && sessions.any(|session| session == Session::NONE) {
            Cause::ClientRetry
        } else {
            Cause::Unexplained
        }
    }
}

/// What a batch says of the origin of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchOrigin {
    session: Session,
    /// The sequence that a record at offset 0 would have, modulo 2^32; offsets and sequences of a batch rise together.
    at_zero: u32,
}

impl BatchOrigin {
    /// Of records whose batch is not shown.
    pub(crate) const fn of_session(session: Session) -> Self {
        Self { session, at_zero: 0 }
    }

    pub(crate) const fn new(session: Session, base_offset: i64, base_sequence: i32) -> Self {
        Self { session, at_zero: (base_sequence as u32).wrapping_sub(base_offset as u32) }
    }

    /// The origin of a message of this batch.
    #[inline]
    pub(crate) const fn of(&self, offset: i64, sequence: u64, incarnation: u32, attempt: u16) -> Origin {
        let shift = self.at_zero.wrapping_add(offset as u32).wrapping_sub(sequence as u32) % SEQUENCES;
        let shift = if self.session.has_id() { shift } else { 0 };
        Origin { session: self.session, shift, incarnation, attempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_keeps_its_shift_beyond_the_last_sequence() {
        let session = Session::of_batch(9, 0);
        // Sequences 2^31 - 2, 2^31 - 1, 0, 1 in one batch, then 2.
        let first = BatchOrigin::new(session, 100, i32::MAX - 1);
        let second = BatchOrigin::new(session, 250, 2);
        let shifts: Vec<u32> = (0..4)
            .map(|n| first.of(100 + n as i64, 7 + n, 0, 0))
            .chain([second.of(250, 11, 0, 0)])
            .map(|origin| origin.shift)
            .collect();
        assert_eq!(shifts, [(1u32 << 31) - 2 - 7; 5]);
        // Messages beyond 2^32 too.
        let late = BatchOrigin::new(session, 1 << 40, 5);
        assert_eq!(late.of(1 << 40, (1 << 33) + 5, 0, 0).shift, 0);
        assert_eq!(BatchOrigin::new(Session::NONE, 100, -1).of(100, 7, 0, 0).shift, 0);
    }
}
