//! How a log was closed before it was judged: `seal.json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::version::{SchemaId, contract};

contract!(SealReport, "ackmark-seal/1");

/// File name of the seal report in a load folder.
pub const SEAL_FILE: &str = "seal.json";

/// How a log was closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealReport {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<SealReport>,
    /// The run.
    pub run: u32,
    /// When it was done.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// How long it took.
    pub duration_s: f64,
    /// Whether the log is closed.
    pub state: SealState,
    /// Transactional ids that were fenced (initialised again).
    pub fenced: Vec<String>,
    /// How long end offsets were stable, for messages that were never acknowledged; absent where the run
    /// has none and nothing had to be waited for.
    pub quiet_s: Option<f64>,
    /// Messages that the ledger had reserved when the log was closed: what was sent later is not closed by
    /// this seal. Absent where no ledger was at hand.
    #[serde(default)]
    pub messages_reserved: Option<u64>,
    /// How often the ledger had reserved one of them again, likewise.
    #[serde(default)]
    pub messages_resent: Option<u64>,
    /// Each partition, by topic and partition number.
    pub partitions: Vec<SealedPartition>,
}

/// Whether a log is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SealState {
    /// Closed: the last stable offset reached the end and a sentinel stands in each partition.
    Sealed,
    /// Not closed by the deadline: every verdict is inconclusive.
    Unsealed {
        /// What was missing.
        reason: String,
    },
}

/// One partition when it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// High watermark as found.
    pub high_watermark_found: i64,
    /// Last stable offset as found: below the high watermark where a transaction was open.
    pub last_stable_offset_found: i64,
    /// Offset of the sentinel; absent when it could not be written.
    pub sentinel_offset: Option<i64>,
    /// A scan ends here (one past the sentinel).
    pub end_offset: i64,
}
