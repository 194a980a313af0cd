//! Memory that librdkafka reads messages from where they were written, instead of copying them.
//!
//! An arena is one mapping, cut into blocks. A block has one writer at a time, which hands out its bytes from front to
//! back and each of them once. What was handed out is written as a [`Lent`] and gives that up to become the
//! [`MessageValue`] of a message, which librdkafka may then read: no safe code can write it any more. A block is
//! written anew only when its writer has let go of it *and* each message in it was reported: librdkafka reads a payload
//! until then (rdkafka.h, `rd_kafka_produce`: without `F_COPY` the payload is the application's "until the delivery
//! report"). The arena itself lives as long as the client instance.

use std::{
    io,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use memmap2::{MmapMut, MmapOptions};

use super::message::RawMessage;

/// Blocks of memory, all of one size.
pub(crate) struct Arena {
    base: NonNull<u8>,
    block_bytes: usize,
    /// By block: messages in it that librdkafka has, and one while it has a writer. 0: it is in `free`, or was never
    /// used.
    holds: Box<[AtomicU32]>,
    free: Mutex<Free>,
    /// Owns what `base` points to.
    _map: MmapMut,
}

/// Blocks that nobody has.
struct Free {
    /// The last one that came back is the next to go: it is the likeliest to be in the processor's cache.
    returned: Vec<u32>,
    /// All from here on were never used.
    fresh: u32,
}

// SAFETY: `base` points into memory that the arena owns. Bytes are written only through the one writer that a block
// has and through the one `Lent` that it gave for them, which is gone before librdkafka may read them.
unsafe impl Send for Arena {}
// SAFETY: as above; counts are atomic and the list has a lock.
unsafe impl Sync for Arena {}

impl Arena {
    /// Room for so many blocks. Memory is taken as it is written to.
    ///
    /// # Errors
    /// The system has no address space for it.
    pub(crate) fn new(blocks: u32, block_bytes: usize) -> io::Result<Arc<Self>> {
        let bytes = block_bytes.checked_mul(blocks as usize).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut map = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        let base = NonNull::new(map.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory)?;
        let free = Mutex::new(Free { returned: Vec::with_capacity(blocks as usize), fresh: 0 });
        let holds = (0..blocks).map(|_| AtomicU32::new(0)).collect();
        Ok(Arc::new(Self { base, block_bytes, holds, free, _map: map }))
    }

    fn take(self: &Arc<Self>) -> Option<Block> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match free.returned.pop() {
            Some(index) => index,
            None if (free.fresh as usize) < self.holds.len() => {
                free.fresh += 1;
                free.fresh - 1
            }
            None => return None,
        };
        // Nobody else knows the block. Its release is what the lock orders.
        self.holds[index as usize].store(1, Ordering::Relaxed);
        Some(Block { arena: Arc::clone(self), index, at: 0 })
    }

    fn release(&self, index: u32, holds: u32) {
        // What was read or written by whoever holds it comes before what its next writer does.
        if self.holds[index as usize].fetch_sub(holds, Ordering::AcqRel) == holds {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).returned.push(index);
        }
    }

    /// The block that an address lies in.
    fn block_of(&self, at: usize) -> Option<u32> {
        let offset = at.checked_sub(self.base.addr().get())?;
        let block = offset / self.block_bytes;
        (block < self.holds.len()).then_some(block as u32)
    }

    /// Counts the messages of each block, which follow each other; those elsewhere are left out.
    ///
    /// # Returns
    /// Whether all of them lie in blocks.
    #[inline]
    fn count<'m>(&self, messages: impl Iterator<Item = &'m RawMessage>, mut each: impl FnMut(u32, u32)) -> bool {
        let (mut begin, mut end) = (0, 0);
        let (mut block, mut count, mut all) = (0, 0, true);
        for message in messages {
            let at = message.value_at();
            if !at.is_some_and(|at| (begin..end).contains(&at)) {
                if count > 0 {
                    each(block, count);
                }
                count = 0;
                let Some(found) = at.and_then(|at| self.block_of(at)) else {
                    (begin, end, all) = (0, 0, false);
                    continue;
                };
                block = found;
                begin = self.base.addr().get() + block as usize * self.block_bytes;
                end = begin + self.block_bytes;
            }
            count += 1;
        }
        if count > 0 {
            each(block, count);
        }
        all
    }

    /// Lends messages to librdkafka, if all of them lie here.
    ///
    /// # Safety
    /// Each was a [`Lent`] that is still borrowed. So its block's writer holds the block, and nobody writes these bytes.
    pub(super) unsafe fn lend(&self, messages: &[RawMessage]) -> bool {
        if !self.count(messages.iter(), |_, _| {}) {
            return false;
        }
        self.count(messages.iter(), |block, count| {
            self.holds[block as usize].fetch_add(count, Ordering::Relaxed);
        })
    }

    /// Takes back what was lent and refused.
    pub(super) fn take_back(&self, messages: &[RawMessage]) {
        let refused = messages.iter().filter(|message| message.code != 0);
        self.count(refused, |block, count| self.release(block, count));
    }

    /// Takes back what librdkafka reports. Each message of an event is told once.
    pub(super) fn take_reported(&self, messages: &[&RawMessage]) {
        self.count(messages.iter().copied(), |block, count| self.release(block, count));
    }
}

/// Lends memory to one producer.
#[derive(Clone)]
pub struct Lender(Arc<Arena>);

impl Lender {
    pub(crate) fn new(arena: Arc<Arena>) -> Self {
        Self(arena)
    }

    /// A block that nobody has; `None` while all of them are lent.
    pub fn take(&self) -> Option<Block> {
        self.0.take()
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.0.holds.len()
    }

    /// Bytes of each.
    pub fn block_bytes(&self) -> usize {
        self.0.block_bytes
    }

    /// Blocks that nobody has.
    pub fn free(&self) -> usize {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.returned.len() + self.0.holds.len() - free.fresh as usize
    }
}

/// A block of memory with its one writer. Dropped, it goes back to its lender as soon as no message in it is lent.
pub struct Block {
    arena: Arc<Arena>,
    index: u32,
    /// Bytes that were handed out.
    at: usize,
}

impl Block {
    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Bytes that were handed out.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes that can be handed out.
    pub fn remaining(&self) -> usize {
        self.arena.block_bytes - self.at
    }

    /// What can be handed out, to be prepared.
    pub fn rest_mut(&mut self) -> &mut [u8] {
        let (at, rest) = (self.at, self.remaining());
        self.slice(at, rest)
    }

    /// Hands out the next `count` bytes, for good.
    ///
    /// # Panics
    /// When so many do not remain.
    #[inline]
    pub fn hand_out(&mut self, count: usize) -> Lent<'_> {
        assert!(count <= self.remaining(), "{count} bytes of a block that has {}", self.remaining());
        let at = self.at;
        self.at += count;
        Lent(self.slice(at, count))
    }

    fn slice(&mut self, from: usize, count: usize) -> &mut [u8] {
        let begin = self.index as usize * self.arena.block_bytes + from;
        // SAFETY: within the mapping, since the index is below the number of blocks and `from + count` within a block.
        // Nobody else has these bytes: a block has one `Block`, which is borrowed; what it handed out before lies in
        // front of `from`; and messages of an earlier writer were all reported when it got the block.
        unsafe { std::slice::from_raw_parts_mut(self.arena.base.as_ptr().add(begin), count) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.release(self.index, 1);
    }
}

/// Bytes of a block, to be written and then given to a message as its [`MessageValue`].
pub struct Lent<'b>(&'b mut [u8]);

impl<'b> Lent<'b> {
    /// Cuts it in two, the first of `count` bytes.
    ///
    /// # Panics
    /// When it has fewer.
    pub fn split_at(self, count: usize) -> (Self, Self) {
        let (first, second) = self.0.split_at_mut(count);
        (Lent(first), Lent(second))
    }

    /// Cuts it into pieces of `count` bytes; a shorter rest is left out.
    ///
    /// # Panics
    /// When `count` is 0.
    #[inline]
    pub fn chunks_exact(self, count: usize) -> impl ExactSizeIterator<Item = Lent<'b>> {
        self.0.chunks_exact_mut(count).map(Lent)
    }
}

impl Deref for Lent<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl DerefMut for Lent<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0
    }
}

/// What a message's value is made from.
#[derive(Clone, Copy)]
pub struct MessageValue<'p> {
    bytes: &'p [u8],
    /// Whether it was a [`Lent`], of whichever producer.
    lent: bool,
}

impl<'p> MessageValue<'p> {
    #[inline]
    pub(super) fn bytes(self) -> &'p [u8] {
        self.bytes
    }

    #[inline]
    pub(super) fn is_lent(self) -> bool {
        self.lent
    }
}

/// Read by librdkafka where it is.
impl<'p> From<Lent<'p>> for MessageValue<'p> {
    #[inline]
    fn from(lent: Lent<'p>) -> Self {
        Self { bytes: lent.0, lent: true }
    }
}

/// Copied by librdkafka.
impl<'p> From<&'p [u8]> for MessageValue<'p> {
    #[inline]
    fn from(bytes: &'p [u8]) -> Self {
        Self { bytes, lent: false }
    }
}

/// Copied by librdkafka.
impl<'p, const N: usize> From<&'p [u8; N]> for MessageValue<'p> {
    #[inline]
    fn from(bytes: &'p [u8; N]) -> Self {
        Self { bytes, lent: false }
    }
}

/// Copied by librdkafka.
impl<'p> From<&'p Vec<u8>> for MessageValue<'p> {
    #[inline]
    fn from(bytes: &'p Vec<u8>) -> Self {
        Self { bytes, lent: false }
    }
}

/// Copied by librdkafka.
impl<'p> From<&'p mut [u8]> for MessageValue<'p> {
    #[inline]
    fn from(bytes: &'p mut [u8]) -> Self {
        Self { bytes, lent: false }
    }
}
