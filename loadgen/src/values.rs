//! The values of the messages that are sent.
//!
//! Values of one size lie in blocks that are lent to librdkafka until their messages are reported (see
//! [`ackmark_client::Lender`]): of each message only the header is written, and nothing is copied. A block has bodies of
//! its own, made when it is first used. It is used again when all of its messages were reported, so no batch holds a
//! body twice.
//!
//! Values of several sizes, and those for which no block is free, come from the [`Pool`] and are copied by librdkafka.
//! Memory: as much as is outstanding, and up to [`BLOCKS_SPARE`] blocks more, since one that is reported in part is not
//! free.

use ackmark_client::{Block, Lender, Lent, RawProducer};

use crate::{payload::Pool, sender::Bounds};

/// About the size of a block: some hundred messages share what is done once per block, and few wait until the last of
/// them is reported.
const BLOCK_BYTES: usize = 128 << 10;
/// Blocks beyond those that fill the bound on what is outstanding.
const BLOCKS_SPARE: u64 = 64;

/// Values, one after another.
pub(crate) struct Values {
    /// Those that are copied.
    pub(crate) pool: Pool,
    /// Those that are lent, where they can be.
    pub(crate) blocks: Option<Blocks>,
}

impl Values {
    /// Values for a producer with as much outstanding as `bounds` says.
    pub(crate) fn new(pool: Pool, producer: &RawProducer, bounds: Bounds) -> Self {
        let size = pool.layout().value_bytes();
        Self { blocks: size.and_then(|value_bytes| Blocks::new(value_bytes, producer, bounds)), pool }
    }
}

/// Values of one size in lent memory.
pub(crate) struct Blocks {
    lender: Lender,
    value_bytes: usize,
    per_block: usize,
    /// Of the bodies, block after block.
    checksums: Vec<u32>,
    /// The blocks that have bodies.
    is_prepared: Vec<bool>,
    /// The one that is written.
    block: Option<Block>,
}

impl Blocks {
    fn new(value_bytes: usize, producer: &RawProducer, bounds: Bounds) -> Option<Self> {
        let per_block = (BLOCK_BYTES / value_bytes).max(1);
        let outstanding = bounds.messages.min(bounds.bytes / value_bytes as u64);
        let blocks = u32::try_from(outstanding.div_ceil(per_block as u64) + BLOCKS_SPARE).ok()?;
        let lender = producer.lender(blocks, per_block * value_bytes)?;
        let blocks = lender.blocks();
        Some(Self {
            value_bytes,
            per_block: lender.block_bytes() / value_bytes,
            checksums: Vec::with_capacity(blocks * per_block),
            is_prepared: vec![false; blocks],
            block: None,
            lender,
        })
    }

    /// The next values, `most` at most, each with its body's checksum. `None` while all blocks are lent. Bodies are
    /// those of `pool`.
    #[inline]
    pub(crate) fn next<'b>(
        &'b mut self,
        most: usize,
        pool: &mut Pool,
    ) -> Option<impl ExactSizeIterator<Item = (Lent<'b>, u32)> + use<'b>> {
        if self.block.as_ref().is_none_or(|block| block.remaining() < self.value_bytes) {
            self.turn(pool)?;
        }
        let block = self.block.as_mut()?;
        let count = most.min(block.remaining() / self.value_bytes);
        let first = block.index() * self.per_block + block.position() / self.value_bytes;
        let values = block.hand_out(count * self.value_bytes).chunks_exact(self.value_bytes);
        Some(values.zip(self.checksums[first..first + count].iter().copied()))
    }

    /// Lets go of the block at hand and takes one that is free.
    #[cold]
    fn turn(&mut self, pool: &mut Pool) -> Option<()> {
        self.block = None;
        let mut block = self.lender.take()?;
        if !std::mem::replace(&mut self.is_prepared[block.index()], true) {
            let first = block.index() * self.per_block;
            self.checksums.resize(self.checksums.len().max(first + self.per_block), 0);
            let values = block.rest_mut().chunks_exact_mut(self.value_bytes);
            for (value, checksum) in values.zip(&mut self.checksums[first..]) {
                *checksum = pool.prepare(value);
            }
        }
        self.block = Some(block);
        Some(())
    }
}
