//! Demonstrations of `ackmark bench semantics`, as a user runs them: each count is the one that has to come, and the
//! controls are controls.

use std::{collections::BTreeSet, fs, sync::Arc};

use ackmark_schema::{
    report::Ending,
    semantics::{Check, Demonstration, SemanticsResult},
};
use libtest_mimic::Trial;

use crate::{kafka::Kafka, trial};

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "semantics::isolation_fencing_and_recovery_are_as_they_have_to_be", shown),
        trial(kafka, "semantics::an_unknown_demonstration_is_refused", unknown),
    ]
}

fn shown(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let only = ["--only", "isolation,fencing,successor,timeout", "--results", "results", "--output", "json"];
    let run = kafka.run(folder.path(), &[&["bench", "semantics", "--yes"][..], &only].concat()).exits(0);
    let result: SemanticsResult = run.json();
    assert_eq!((result.ending, result.demonstrations.len()), (Ending::Completed, 4));
    for one in &result.demonstrations {
        assert!(one.is_shown(), "{one:?}");
        assert!(one.checks.iter().any(|check| check.is_control && check.expected > 0), "{one:?}");
    }
    let of = |name: &str| result.demonstrations.iter().find(|one| one.name == name).unwrap();
    // What is hidden from readers of committed data is in the log: the counts are of something.
    assert_eq!(found(of("isolation"), "messages of the open transaction shown to read_uncommitted"), 200);
    assert_eq!(found(of("isolation"), "aborted messages shown to read_uncommitted"), 100);
    assert_eq!(found(of("fencing"), "messages of the first in the log"), 500);
    assert_eq!(found(of("fencing"), "messages of the second that are visible"), 500);
    assert_eq!(found(of("timeout"), "messages behind it that are visible in the end"), 500);
    // The stall was watched from its beginning to its end.
    let stable: BTreeSet<u64> = result.stall.iter().map(|sample| sample.last_stable).collect();
    assert!(stable.len() > 1 && result.stall.last().is_some_and(|last| last.last_stable == last.high_watermark));
    // And a result is left that a person can read, without what made it.
    let left = fs::read_dir(folder.path().join("results")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_to_string(left.join("README.md")).unwrap().contains("fencing"));
    assert!(!left.join("runs").exists());
}

fn found(one: &Demonstration, what: &str) -> u64 {
    let found = one.checks.iter().find(|check| check.what == what);
    let Check { found, .. } = found.unwrap_or_else(|| panic!("no count of {what}: {one:?}"));
    *found
}

fn unknown(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let run = kafka.run(folder.path(), &["bench", "semantics", "--yes", "--only", "fence"]).exits(2);
    assert!(run.stderr.contains("fencing"), "{}", run.stderr);
    let run = kafka.run(folder.path(), &["bench", "quick", "--yes", "--only", "fencing"]).exits(2);
    assert!(run.stderr.contains("--only is for `ackmark bench semantics`"), "{}", run.stderr);
}
