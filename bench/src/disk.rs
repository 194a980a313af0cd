//! Free disk under local brokers. Where they are elsewhere nothing is known and nothing is checked.
//!
//! A plan is refused when its largest topic would not fit. Brokers keep a deleted topic's files for a minute,
//! so before each topic there is a bounded wait for those of earlier ones to go.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ackmark_schema::units::Bytes;
use rustix::fs::statvfs;

use crate::{child::Children, error::BenchError};

/// Longer than brokers keep deleted files, by default a minute, and look for them every half minute.
const WAIT_MAX: Duration = Duration::from_mins(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Free disk beyond the estimate, as a share of it: the ceiling of a `max` phase is one.
const MARGIN: f64 = 1.2;

/// Where local brokers keep their data, and what the largest topic of a plan takes there with all replicas.
pub(crate) struct Disk<'a> {
    folder: Option<&'a Path>,
    needed: u64,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(folder: Option<&'a Path>, largest_topic_bytes: u64) -> Self {
        Self { folder, needed: (largest_topic_bytes as f64 * MARGIN) as u64 }
    }

    /// Refuses what can never fit.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        match (self.folder, self.available()) {
            (Some(folder), Some(available)) if available < self.needed => Err(BenchError::TooLittleDisk {
                needed: Bytes(self.needed).approximate(),
                available: Bytes(available).approximate(),
                folder: folder.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Waits until the next topic fits, or the user wants an end.
    pub(crate) async fn wait_for_room(&self, children: &Children) -> Result<(), String> {
        let start = Instant::now();
        while let Err(error) = self.check() {
            if start.elapsed() >= WAIT_MAX || children.stopping() {
                return Err(error.to_string());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// `None` where the file system does not tell: it has no say then.
    fn available(&self) -> Option<u64> {
        let disk = statvfs(self.folder?).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_topic_that_can_never_fit_is_refused_with_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        Disk::new(Some(folder.path()), 1).check().unwrap();
        let error = Disk::new(Some(folder.path()), u64::MAX / 4).check().unwrap_err().to_string();
        assert!(error.contains("EiB") && error.contains("free some"), "{error}");
        Disk::new(None, u64::MAX / 4).check().unwrap();
    }
}
