//! One module per contract: from the outcome to a document.

pub(crate) mod charts;
pub(crate) mod cluster;
pub(crate) mod doctor;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod profiles;
pub(crate) mod result;
pub(crate) mod seal;
pub(crate) mod verdict;
pub(crate) mod verify;
