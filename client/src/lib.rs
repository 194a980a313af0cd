//! A thin safe face on librdkafka: producing, consuming, admin, effective properties.
//!
//! The only crate that touches librdkafka's C API. All unsafe code is in the private module `ffi`; the
//! compiler refuses it elsewhere. No asynchronous runtime: callers bring their threads.
//!
//! | module | what it does |
//! |---|---|
//! | [`properties`] | what is asked of a client, and what is in effect, each value with its origin |
//! | [`producer`] | batches in, delivery events out, transactions |
//! | [`consumer`] | reads given partitions in batches |
//! | [`reading`] | a topic read from its start to its end |
//! | [`admin`] | asks and changes a cluster |
//! | [`seal`] | steps that close a log |
//! | [`mock`] | a simulated cluster in this process |
//! | [`stats`] | librdkafka's statistics, typed |
//! | [`mod@outcome`] | acknowledged, failed or indeterminate: the rule |
//! | [`errors`] | codes and errors with their cures |
//! | [`logs`] | where librdkafka's log lines go |

#![deny(unsafe_code)]

pub mod admin;
pub mod consumer;
pub mod errors;
pub mod events;
mod ffi;
pub mod logs;
pub mod mock;
pub mod outcome;
pub mod producer;
pub mod properties;
pub mod reading;
pub mod seal;
pub mod stats;

pub use admin::AdminClient;
pub use consumer::{BatchConsumer, Fetched, FetchedBatch, FetchedRecord, StartOffset, fast_read_properties};
pub use errors::{ClientError, ErrorCode, TransactionError};
pub use events::{DeliveredMessage, DeliveryBatch, EventSink};
pub use logs::{LogLine, LogSink};
pub use mock::MockCluster;
pub use outcome::{Outcome, PersistenceStatus, outcome};
pub use producer::{Block, Lender, Lent, MessageBatch, MessageValue, RawProducer, RunOutcome, TopicHandle};
pub use properties::ClientProperties;
pub use reading::{ReadBounds, read_to_end};

/// The version of the librdkafka that is linked in, for example `2.12.1`.
pub fn librdkafka_version() -> String {
    ffi::version()
}
