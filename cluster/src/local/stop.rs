//! The user's wish that a start end: looked at in every wait of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::error::ClusterError;

/// The user's wish that a start end; by default nobody has one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl From<Arc<AtomicBool>> for Stop {
    /// A flag that becomes true when the user wants an end.
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl Stop {
    /// An error once the user wants an end.
    pub(super) fn check(&self) -> Result<(), ClusterError> {
        if self.0.load(Ordering::Relaxed) { Err(ClusterError::Interrupted) } else { Ok(()) }
    }
}
