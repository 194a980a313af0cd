//! What may be done to a cluster that is not ours.
//!
//! The defaults keep a first run against a shared cluster small. Each refusal names what was planned, what is allowed,
//! and the flag and value of `ackmark bench` that would let it through. A caller may raise a limit when its user said
//! so.
//!
//! What is asked to go as fast as possible is not slowed down: it is bounded in messages, and whoever agrees is told.

use crate::error::ClusterError;

/// Every topic, transactional id and group of ackmark's begins with it.
pub const TOPIC_PREFIX: &str = "ackmark-";

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Limits; `None` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// Prefix that topics must have.
    pub topic_prefix: &'static str,
    /// Message bytes that a whole run may write, before replication.
    pub bytes_max: Option<u64>,
    /// Message bytes per second that all producers together may send at a rate. A phase that asks for "as fast as
    /// possible" ends after the messages that this rate lets through in its time; until then it is not slowed down.
    pub rate_max_bytes_per_s: Option<u64>,
    /// Messages that a warm-up may send.
    pub warm_up_messages_max: Option<u64>,
    /// Whether what will be written is printed and must be confirmed first.
    pub must_confirm: bool,
}

/// What a run will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WritePlan {
    /// Names of the topics that it creates.
    pub topics: Vec<String>,
    /// Message bytes that it writes, before replication.
    pub bytes: u64,
    /// The highest rate, message bytes per second; `None`: as fast as possible.
    pub rate_bytes_per_s: Option<u64>,
    /// Messages of its warm-up.
    pub warm_up_messages: u64,
}

impl Guards {
    /// For a cluster that we started: nobody else is hurt.
    pub fn none() -> Self {
        Self {
            topic_prefix: TOPIC_PREFIX,
            bytes_max: None,
            rate_max_bytes_per_s: None,
            warm_up_messages_max: None,
            must_confirm: false,
        }
    }

    /// For somebody else's.
    pub fn for_somebody_elses() -> Self {
        Self {
            topic_prefix: TOPIC_PREFIX,
            bytes_max: Some(8 * GIB),
            rate_max_bytes_per_s: Some(256 * MIB),
            warm_up_messages_max: Some(1_000_000),
            must_confirm: true,
        }
    }

    /// Holds a plan against the limits.
    ///
    /// # Errors
    /// The first limit that it exceeds.
    pub fn check(&self, plan: &WritePlan) -> Result<(), ClusterError> {
        let refuse = |reason: String| Err(ClusterError::Guard { reason });
        if let Some(topic) = plan.topics.iter().find(|topic| !topic.starts_with(self.topic_prefix)) {
            let prefix = self.topic_prefix;
            return refuse(format!("topic {topic} does not begin with {prefix}: only topics that do are written to"));
        }
        if let Some(max) = self.bytes_max.filter(|max| plan.bytes > *max) {
            return refuse(format!(
                "the plan writes up to {} MiB to a cluster that ackmark did not start, where {} MiB are allowed: make \
                 the run shorter, or allow it with --max-bytes {}GiB",
                plan.bytes.div_ceil(MIB),
                max / MIB,
                plan.bytes.div_ceil(GIB)
            ));
        }
        if let (Some(max), Some(rate)) = (self.rate_max_bytes_per_s, plan.rate_bytes_per_s)
            && rate > max
        {
            return refuse(format!(
                "the plan sends {} MiB/s to a cluster that ackmark did not start, where {} MiB/s are allowed: lower the \
                 rate, or allow it with --max-rate {}MiB",
                rate.div_ceil(MIB),
                max / MIB,
                rate.div_ceil(MIB)
            ));
        }
        if let Some(max) = self.warm_up_messages_max.filter(|max| plan.warm_up_messages > *max) {
            let planned = plan.warm_up_messages;
            return refuse(format!(
                "the warm-up sends {planned} messages to a cluster that ackmark did not start, where {max} are allowed: \
                 shorten it"
            ));
        }
        Ok(())
    }

    /// The rate that a phase may have, given the one that it asks for.
    pub fn cap_rate(&self, asked_bytes_per_s: Option<u64>) -> Option<u64> {
        match (asked_bytes_per_s, self.rate_max_bytes_per_s) {
            (Some(asked), Some(max)) => Some(asked.min(max)),
            (asked, max) => asked.or(max),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan() -> WritePlan {
        WritePlan { topics: vec!["ackmark-a".to_owned()], bytes: GIB, rate_bytes_per_s: None, warm_up_messages: 1000 }
    }

    #[test]
    fn a_small_plan_passes_and_each_limit_refuses() {
        let guards = Guards::for_somebody_elses();
        guards.check(&plan()).unwrap();
        let refused = |plan: WritePlan, word: &str| {
            let message = guards.check(&plan).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            Guards::none().check(&WritePlan { topics: Vec::new(), ..plan }).unwrap();
        };
        refused(WritePlan { topics: vec!["orders".to_owned()], ..plan() }, "orders");
        refused(WritePlan { bytes: 9 * GIB - 5, ..plan() }, "up to 9216 MiB");
        refused(WritePlan { rate_bytes_per_s: Some(300 * MIB), ..plan() }, "300 MiB/s");
        refused(WritePlan { warm_up_messages: 10_000_000, ..plan() }, "10000000 messages");
    }

    /// The flag and value that a refusal names.
    fn cure(refused: &WritePlan, flag: &str, guards: &Guards) -> u64 {
        let message = guards.check(refused).unwrap_err().to_string();
        let (_, value) = message.split_once(&format!("{flag} ")).unwrap_or_else(|| panic!("{message}"));
        value.parse::<ackmark_schema::units::Bytes>().unwrap().0
    }

    #[test]
    fn what_a_refusal_names_lets_it_through() {
        let guards = Guards::for_somebody_elses();
        let much = WritePlan { bytes: 9 * GIB - 5, ..plan() };
        let bytes_max = Some(cure(&much, "--max-bytes", &guards));
        Guards { bytes_max, ..guards.clone() }.check(&much).unwrap();
        let fast = WritePlan { rate_bytes_per_s: Some(300 * MIB + 1), ..plan() };
        let rate_max_bytes_per_s = Some(cure(&fast, "--max-rate", &guards));
        Guards { rate_max_bytes_per_s, ..guards }.check(&fast).unwrap();
    }

    #[test]
    fn rates_are_capped_on_somebody_else_s_only() {
        assert_eq!(Guards::for_somebody_elses().cap_rate(None), Some(256 * MIB));
        assert_eq!(Guards::for_somebody_elses().cap_rate(Some(5)), Some(5));
        assert_eq!(Guards::none().cap_rate(None), None);
    }
}
