//! The crates depend downwards and never sideways; only one of them touches librdkafka.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate and what it may use of ackmark's.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("schema", &[]),
    ("stats", &["schema"]),
    ("ledger", &["schema"]),
    ("client", &["schema"]),
    ("wire", &[]),
    ("cluster", &["schema", "client"]),
    ("loadgen", &["schema", "stats", "ledger", "client"]),
    ("verifier", &["schema", "stats", "ledger", "client", "wire"]),
    ("workload", &["schema", "stats", "ledger"]),
    ("bench", &["schema", "stats", "client", "wire", "cluster"]),
    ("charts", &["schema", "stats"]),
    (
        "cli",
        &[
            "schema", "stats", "ledger", "client", "wire", "cluster", "loadgen", "verifier", "workload", "bench",
            "charts",
        ],
    ),
    ("peers", &["schema", "stats", "client", "wire", "cluster", "bench"]),
];

/// Who may use librdkafka outside of tests.
const LIBRDKAFKA: [&str; 2] = ["rdkafka", "rdkafka-sys"];

struct Arrows {
    /// Crates of ackmark's, without the prefix.
    own: BTreeMap<String, BTreeSet<String>>,
    /// Crates that use librdkafka outside of tests.
    librdkafka: BTreeSet<String>,
}

fn arrows() -> Arrows {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    let mut arrows = Arrows { own: BTreeMap::new(), librdkafka: BTreeSet::new() };
    for package in metadata.workspace_packages() {
        let name = package.name.strip_prefix("ackmark-").unwrap().to_owned();
        let normal = package.dependencies.iter().filter(|used| used.kind != DependencyKind::Development);
        let mut own = BTreeSet::new();
        for used in normal {
            if LIBRDKAFKA.contains(&used.name.as_str()) {
                arrows.librdkafka.insert(name.clone());
            }
            if let Some(used) = used.name.strip_prefix("ackmark-") {
                own.insert(used.to_owned());
            }
        }
        arrows.own.insert(name, own);
    }
    arrows
}

#[test]
fn crates_use_only_what_is_below_them() {
    let found = arrows().own;
    let known: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    for (name, used) in &found {
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("crate {name} is new: say here what it may use (known: {known:?})"));
        for used in used {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    assert_eq!(found.len(), ALLOWED.len(), "a crate of the list is gone");
}

#[test]
fn who_judges_does_not_use_who_is_judged() {
    let found = arrows().own;
    let apart = ["loadgen", "verifier", "workload", "charts", "bench"];
    for one in apart {
        for other in apart {
            assert!(!found[one].contains(other), "{one} must not use {other}");
        }
    }
}

#[test]
fn only_the_client_and_what_is_under_test_touch_librdkafka() {
    assert_eq!(arrows().librdkafka, BTreeSet::from(["client".to_owned(), "workload".to_owned()]));
}
