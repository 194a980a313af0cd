//! What a reader of one partition can tell. It says nothing of how it was read.

/// A record's place and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// One observation of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation<'a> {
    /// Records in the order in which they were shown.
    Records(&'a [Record<'a>]),
    /// A control batch (a transaction marker), for readers that are shown them.
    ControlBatch {
        /// Its first offset.
        first: i64,
        /// Its last offset.
        last: i64,
    },
    /// Offsets `from..end` hold nothing that was shown: hidden markers, aborted or compacted records.
    OffsetGap {
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
