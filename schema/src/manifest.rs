//! Who wrote a ledger and what its streams mean: `manifest.json` in a load folder.
//!
//! Written when all ledgers are there and before the first message is sent, so that a run that dies can still
//! be judged: without a manifest nothing was sent, with it every ledger is whole.
//!
//! ```text
//! load folder/
//!   manifest.json              this
//!   p<producer>-i<incarnation>.ledger   message states
//!   p<producer>-i<incarnation>.txnlog   transactions
//!   spec.json                  what was asked for: what a next incarnation goes on with
//!   load.json  timeline.json  latency.hlog  transactions.hlog     of the last incarnation
//!   load-i<incarnation>.json  timeline-i…  latency-i…  transactions-i…   of those before it, as far as they came to report
//!   seal.json  verify.json
//! ```
//!
//! A load whose process died, or that ended, may be continued by a new incarnation, which adds its ledgers and
//! then itself to the manifest.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    profile::Profile,
    promise::Promise,
    properties::Property,
    version::{SchemaId, contract},
};

contract!(Manifest, "ackmark-manifest/1");

/// File name of the manifest in a load folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// Who wrote a ledger and what its streams mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<Manifest>,
    /// The run in every record header.
    pub run: u32,
    /// When the load began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// The brokers that it was pointed at.
    pub bootstrap_servers: String,
    /// The cluster's own id, so that another cluster's log is refused; absent where brokers tell none.
    pub cluster_id: Option<String>,
    /// The delivery setting that was asked for.
    pub profile: Profile,
    /// Properties in effect, read back from librdkafka; secrets redacted.
    pub properties: Vec<Property>,
    /// What follows from them and from the topic.
    pub promise: Promise,
    /// Topics written to, with the end offset of each partition before the load.
    pub topics: Vec<TopicStart>,
    /// Producers with their streams.
    pub producers: Vec<ProducerEntry>,
    /// How later incarnations continued the run, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumed>,
    /// Whether the brokers are librdkafka's mock.
    pub simulated: bool,
}

/// How an incarnation continued a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// The incarnation, from 1.
    pub incarnation: u32,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// What it was to send again.
    pub resends: Resends,
}

/// What an incarnation sends again of what those before it left undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resends {
    /// All that may or may not be in the log, or in a transaction that may or may not be committed: at least once,
    /// so some may be there twice.
    Indeterminate,
    /// Only what was in a transaction that never asked to commit, so that no application can see it twice.
    Uncommitted,
    /// Nothing: at most once.
    None,
}

/// A topic at the start of a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicStart {
    /// Its name.
    pub name: String,
    /// Its own id, by which a topic that was created again under its name is told; absent where brokers tell none.
    #[serde(default)]
    pub id: Option<String>,
    /// High watermark of each partition, by partition number: where a scan begins.
    pub start_offsets: Vec<i64>,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProducerEntry {
    /// Its number, from 0.
    pub producer: u32,
    /// Its `transactional.id`, if it has one.
    pub transactional_id: Option<String>,
    /// Its ledgers, one per incarnation.
    pub incarnations: Vec<u32>,
    /// Its streams.
    pub streams: Vec<Stream>,
}

/// One producer's messages to one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The id in record headers; unique in the run.
    pub stream: u32,
    /// Index into [`Manifest::topics`].
    pub topic: u32,
    /// Partition.
    pub partition: u32,
}
