//! Transactions of the cluster during a load, as their coordinators and the leaders of partitions tell of them once a
//! second: `coordinators.json`, of loads with transactions.
//!
//! Of all transactional ids that this user may describe, not of the load's alone: readers stop at anybody's open
//! transaction. Each answer is of its own moment. The load does not wait for the answers, and its producers have
//! connections of their own.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    result::Warning,
    version::{SchemaId, contract},
};

contract!(Coordinators, "ackmark-coordinators/1");

/// File name of the report in a load folder.
pub const COORDINATORS_FILE: &str = "coordinators.json";

/// What was asked and answered during a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coordinators {
    /// Name and version of this contract.
    #[serde(default)]
    pub schema: SchemaId<Coordinators>,
    /// When it was asked first.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// In the order of their time; of a long load every second one is left out, as often as they become too many.
    pub looks: Vec<Look>,
    /// Long transactions, and those without a coordinator, each with its cure, of the last look that saw any.
    pub warnings: Vec<Warning>,
    /// Why it was given up before the end of the load, if so.
    pub given_up: Option<String>,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// When it began, seconds from `started`.
    pub at_s: f64,
    /// What came of it.
    pub told: Told,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// All brokers answered.
    Answered(UnderWay),
    /// One did not: nothing is known of this time.
    Unanswered {
        /// Why.
        why: String,
    },
}

/// Transactions at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnderWay {
    /// Transactional ids.
    pub ids: u64,
    /// Of these, with a transaction that is open, or decided and not yet in all of its partitions.
    pub under_way: u64,
    /// Age of the oldest of these: this machine's clock less the coordinator's.
    pub oldest_ms: Option<u64>,
    /// Its transactional id.
    pub oldest_id: Option<String>,
    /// Partitions of the load's topics with an open transaction, each counted once for each producer.
    pub open_on_partitions: u64,
    /// Of these, open in this look and the one before, without a coordinator that told of them: they hang, or their ids
    /// are not this user's to describe. Unknown where coordinators are not, or changed meanwhile.
    pub unaccounted: Option<u64>,
    /// Partitions and transactional ids of which nothing is known.
    pub not_examined: u64,
    /// Coordinators' highest epoch; unknown while one of them is.
    pub coordinator_epoch: Option<i32>,
    /// Partitions of the coordinators' topic that another broker, or the same in another epoch, leads than in the last
    /// look that knew all of them; unknown without two such looks.
    pub coordinators_changed: Option<u64>,
}

impl Coordinators {
    /// The looks that were answered.
    pub fn answered(&self) -> impl Iterator<Item = (f64, &UnderWay)> {
        self.looks.iter().filter_map(|look| match &look.told {
            Told::Answered(found) => Some((look.at_s, found)),
            Told::Unanswered { .. } => None,
        })
    }
}
