//! Whose a damaged record is, in a topic that other runs write to as well.
//!
//! A damaged record's fields cannot be trusted, its run neither. The rule:
//!
//! - It reads as this run's, or is too short to name a run: this run's.
//! - It is sound once this run is put in its run field: the damage was there, so it is this run's.
//! - It reads as a run of which a sound record stands in the same partition, before or behind it: that
//!   run's. Damage that turns one run's 32 bits into just those of another run there, and hits more than
//!   them, is not told; by chance it is one in 2^32 per other run.
//! - It reads as any other run: this run's, for the damage may sit in the run field itself. So a record of a
//!   run that left nothing sound in the partition counts against this run rather than being passed over.
//!
//! Limits: of the first [`RUNS_MAX`] other runs and the first [`RUNS_MAX`] unknown ones per partition; what
//! is beyond counts as this run's.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use ackmark_schema::record::{Decoded, Header};

use crate::tally::{Spot, Tally};

/// Runs that are kept, known and unknown ones each.
const RUNS_MAX: usize = 64;

/// Where a header has its run; see [`ackmark_schema::record`].
const RUN_FIELD: Range<usize> = 8..12;

/// The other runs of a partition.
#[derive(Debug, Default)]
pub(crate) struct OtherRuns {
    /// With a sound record.
    known: BTreeSet<u32>,
    /// Damaged records by the run that they read as, until a sound one of that run is seen.
    unknown: BTreeMap<u32, Tally>,
}

/// Whose a damaged record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This run's, for all that can be told.
    ThisRun,
    /// Another run's.
    Stranger,
    /// This run's unless a sound record of the run that it reads as is found.
    Unknown(u32),
}

impl OtherRuns {
    /// A sound record of `run` is there. Tells how many damaged ones turn out to be its own.
    pub(crate) fn sound(&mut self, run: u32) -> u64 {
        if self.known.len() < RUNS_MAX {
            self.known.insert(run);
        }
        if !self.known.contains(&run) {
            return 0;
        }
        self.unknown.remove(&run).map_or(0, |tally| tally.count())
    }

    /// Whose the damaged `value` is, seen by a scan of `this_run`.
    pub(crate) fn owner(&self, value: &[u8], this_run: u32) -> Owner {
        let Some(run) = run_as_read(value).filter(|run| *run != this_run) else { return Owner::ThisRun };
        if is_sound_as_of(value, this_run) {
            return Owner::ThisRun;
        }
        if self.known.contains(&run) {
            return Owner::Stranger;
        }
        let kept = self.unknown.contains_key(&run) || self.unknown.len() < RUNS_MAX;
        if kept { Owner::Unknown(run) } else { Owner::ThisRun }
    }

    /// Keeps a damaged record of an [`Owner::Unknown`].
    pub(crate) fn keep(&mut self, run: u32, spot: Spot<'_>) {
        self.unknown.entry(run).or_default().add(1, spot);
    }

    /// Adds what is this run's, as no sound record said otherwise.
    pub(crate) fn add_unknown_to(&self, corrupt: &mut Tally) {
        self.unknown.values().for_each(|tally| corrupt.merge(tally));
    }
}

fn run_as_read(value: &[u8]) -> Option<u32> {
    let field = value.get(RUN_FIELD)?;
    Some(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
}

/// Whether nothing but the run field is damaged, if it is `run`'s.
fn is_sound_as_of(value: &[u8], run: u32) -> bool {
    let mut mended = value.to_vec();
    mended[RUN_FIELD].copy_from_slice(&run.to_le_bytes());
    matches!(Header::decode(&mended), Decoded::Ours(_))
}
