//! Writes the messages of a run into a batch: headers in front of pooled bodies, keys, and what comes back with
//! each report.

use std::ops::DerefMut;

use ackmark_client::{MessageBatch, MessageValue};
use ackmark_schema::record::Header;

use crate::{
    assign::Assignment,
    clock::Clock,
    opaque,
    slab::{Stamp, Taker},
    values::Values,
};

/// What the messages of a run share: they go to one partition at one time.
pub(crate) struct Run<'a> {
    /// The stream's slot.
    pub(crate) slot: usize,
    /// Whether messages carry a header.
    pub(crate) verified: bool,
    /// The run's clock.
    pub(crate) clock: Clock,
    /// When they are sent.
    pub(crate) now_ns: u64,
    /// Positions in the chunk.
    pub(crate) members: &'a [u32],
    /// Intended times, by position; without stamps they are all the same.
    pub(crate) intended: &'a [u64],
    /// Keys, by position.
    pub(crate) assignment: &'a Assignment,
}

impl<'a> Run<'a> {
    /// Fills a batch with the run's messages from the one at `done` on, as many as have neighbouring values; gives
    /// how many. `header` is that of the first and afterwards of the one behind the last.
    #[inline]
    pub(crate) fn fill<'p>(
        &self,
        done: usize,
        header: &mut Header,
        values: &'p mut Values,
        stamps: &mut Option<Taker>,
        batch: &mut MessageBatch<'p>,
    ) -> usize
    where
        'a: 'p,
    {
        let most = self.members.len() - done;
        let Values { pool, blocks } = values;
        if let Some(lent) = blocks.as_mut().and_then(|blocks| blocks.next(most, pool)) {
            return self.write(done, header, lent, stamps, batch);
        }
        let index = pool.layout().index(self.slot, header.sequence);
        let count = most.min(pool.layout().len() - index);
        self.write(done, header, pool.values_mut(index, count), stamps, batch)
    }

    #[inline]
    fn write<'p, V: DerefMut<Target = [u8]> + Into<MessageValue<'p>>>(
        &self,
        done: usize,
        header: &mut Header,
        values: impl ExactSizeIterator<Item = (V, u32)>,
        stamps: &mut Option<Taker>,
        batch: &mut MessageBatch<'p>,
    ) -> usize
    where
        'a: 'p,
    {
        let count = values.len();
        let messages = values.zip(&self.members[done..done + count]);
        // A copy of its own stays in registers.
        let mut next = *header;
        match stamps {
            None => {
                self.time(&mut next, self.intended[self.members[done] as usize]);
                for ((mut value, checksum), position) in messages {
                    if self.verified {
                        next.encode(&mut value, checksum);
                    }
                    batch.push(value, self.assignment.key(*position), opaque::pack(self.slot, next.sequence));
                    next.sequence += 1;
                }
            }
            Some(stamps) => {
                for ((mut value, checksum), position) in messages {
                    let intended_ns = self.intended[*position as usize];
                    if self.verified {
                        self.time(&mut next, intended_ns);
                        next.encode(&mut value, checksum);
                    }
                    let opaque = stamps.take(self.stamp(next.sequence, intended_ns));
                    batch.push(value, self.assignment.key(*position), opaque);
                    next.sequence += 1;
                }
            }
        }
        *header = next;
        count
    }

    /// Dates a header.
    #[inline]
    fn time(&self, header: &mut Header, intended_ns: u64) {
        header.intended_ns = self.clock.epoch_ns(intended_ns);
        header.send_delay_us = ((self.now_ns - intended_ns) / 1_000).min(u32::MAX.into()) as u32;
    }

    /// What comes back with the messages from the one at `done` on, whose sequence is `sequence`, though they are
    /// not handed over.
    pub(crate) fn rest<'s>(
        &'s self,
        done: usize,
        sequence: u64,
        stamps: &'s mut Option<Taker>,
    ) -> impl Iterator<Item = u64> + use<'s> {
        let rest = self.members[done..].iter().zip(sequence..);
        rest.map(|(position, sequence)| self.attach(stamps, sequence, self.intended[*position as usize]))
    }

    /// What comes back with the report of a message: in an open loop the place of its stamp, else the message.
    fn attach(&self, stamps: &mut Option<Taker>, sequence: u64, intended_ns: u64) -> u64 {
        let stamp = self.stamp(sequence, intended_ns);
        stamps.as_mut().map_or(stamp.message, |stamps| stamps.take(stamp))
    }

    #[inline]
    fn stamp(&self, sequence: u64, intended_ns: u64) -> Stamp {
        Stamp { message: opaque::pack(self.slot, sequence), intended_ns, sent_ns: self.now_ns }
    }
}
