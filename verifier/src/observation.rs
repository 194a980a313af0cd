//! What a reader of one partition can tell. It says nothing of how it was read.
//!
//! A consumer is shown records; what it is not shown it skips in silence. The log reader is shown the log: batches with
//! their producer, markers, and that there is nothing where there is nothing.

/// A record's place and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What a batch says of its records, for readers that are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Its first offset, also where compaction took that record.
    pub base_offset: i64,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// Its producer's id; negative without idempotence.
    pub producer_id: i64,
    /// The epoch of that id.
    pub producer_epoch: i16,
    /// Sequence of the record at the first offset.
    pub base_sequence: i32,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its records are valid.
    Commit,
    /// Its records are none.
    Abort,
}

/// The marker at a transaction's end in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Its offset.
    pub offset: i64,
    /// The producer whose transaction ends.
    pub producer_id: i64,
    /// How.
    pub ending: Ending,
}

/// One observation of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation<'a> {
    /// A batch begins: the records that follow are of it. What lies before it and was not observed is an offset gap.
    Batch(Batch),
    /// Records in the order in which they were shown.
    Records(&'a [Record<'a>]),
    /// The end of a transaction.
    Marker(Marker),
    /// Offsets `from..end` were not shown, which means nothing by itself: markers, aborted or compacted records.
    Hidden {
        /// The first.
        from: i64,
        /// One past the last.
        end: i64,
    },
    /// Of offsets `from..end` the leader brought nothing, without an error: on a topic that is not compacted, they were
    /// not read.
    Nothing {
        /// The first.
        from: i64,
        /// One past the last.
        end: i64,
    },
    /// The first offset that the log still has.
    LogStart(i64),
    /// The last stable offset.
    LastStableOffset(i64),
    /// Everything below this offset has been shown.
    End(i64),
}
