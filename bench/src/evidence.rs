//! Topics that outlive their trial: where no verdict says that all was kept, the log is the evidence.
//!
//! At most [`KEPT_MAX`] of a run stay, so that they fill nobody's disk. On a cluster that ends with the run the log goes
//! with it, and that is said with the way to keep it. Simulated brokers have no log worth keeping.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use ackmark_schema::{
    report::verify::{VERIFY_FILE, Verdict, VerifyReport},
    result::{Provider, Warning},
};

use crate::reports;

/// Most topics of a run that stay as evidence.
pub(crate) const KEPT_MAX: usize = 3;

/// Counts the topics that stay.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    kept: AtomicUsize,
}

/// What becomes of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is deleted, and nothing need be said.
    Goes,
    /// It is deleted although its log would be evidence.
    GoesUnlooked(Warning),
    /// It stays.
    Stays(Warning),
}

impl Evidence {
    /// What becomes of a sealed trial's topic. `folder` is the trial's, with what was found there.
    pub(crate) fn fate(&self, topic: &str, folder: &Path, servers: &str, provider: Provider) -> Fate {
        let Some(doubt) = doubt(folder).filter(|_| provider != Provider::Simulated) else { return Fate::Goes };
        let folder = folder.display();
        if provider == Provider::Local {
            return Fate::GoesUnlooked(Warning {
                what: format!("{doubt}; topic {topic}, the evidence, was on a cluster that ends with this run"),
                cure: format!(
                    "what each producer knew stays in {folder}; to keep topics too, run `ackmark cluster up` and this again \
                     with the -b that it prints"
                ),
            });
        }
        if self.kept.fetch_add(1, Ordering::Relaxed) >= KEPT_MAX {
            return Fate::GoesUnlooked(Warning {
                what: format!(
                    "{doubt}; topic {topic} was deleted, as {KEPT_MAX} topics of this run stay as evidence already"
                ),
                cure: format!("what each producer knew stays in {folder}; --keep-topics keeps all topics"),
            });
        }
        Fate::Stays(Warning {
            what: format!("{doubt}, so topic {topic} stays as evidence"),
            cure: format!(
                "look at it by `ackmark verify {folder} -b {servers}` or any consumer, then delete it by Kafka's \
                 `kafka-topics.sh --bootstrap-server {servers} --delete --topic {topic}`"
            ),
        })
    }
}

/// Why the log may be looked at again; `None` where a verdict says that the promise was held.
fn doubt(folder: &Path) -> Option<&'static str> {
    match reports::read::<VerifyReport>(folder, VERIFY_FILE).ok().flatten().map(|report| report.verdict) {
        Some(Verdict::Held | Verdict::HeldUnprovoked) => None,
        Some(Verdict::Broken) => Some("the promise was broken"),
        Some(Verdict::Inconclusive) => Some("the verdict is inconclusive"),
        Some(Verdict::NotJudged) | None => Some("the log was not judged"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_log_that_was_not_judged_stays() {
        let folder = tempfile::tempdir().unwrap();
        let fate = |provider| Evidence::default().fate("ackmark-t", folder.path(), "kafka:9092", provider);
        let Fate::Stays(said) = fate(Provider::External) else { panic!("{:?}", fate(Provider::External)) };
        assert_eq!(said.what, "the log was not judged, so topic ackmark-t stays as evidence");
        let told = [
            format!("ackmark verify {} -b kafka:9092", folder.path().display()),
            "kafka-topics.sh --bootstrap-server kafka:9092 --delete --topic ackmark-t".to_owned(),
        ];
        assert!(told.iter().all(|told| said.cure.contains(told)), "{said:?}");
        assert_eq!(fate(Provider::Simulated), Fate::Goes);
        let Fate::GoesUnlooked(said) = fate(Provider::Local) else { panic!("{:?}", fate(Provider::Local)) };
        assert!(said.what.contains("ends with this run") && said.cure.contains("ackmark cluster up"), "{said:?}");
    }
}
