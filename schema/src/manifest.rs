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
//!   load.json  timeline.json  latency.hlog
//!   seal.json  verify.json
//! ```

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
    /// Whether the brokers are librdkafka's mock.
    pub simulated: bool,
}

/// A topic at the start of a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicStart {
    /// Its name.
    pub name: String,
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
