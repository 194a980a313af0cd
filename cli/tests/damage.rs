//! A load folder that was damaged or not copied whole: every command says where and why, `verify` names the flag by
//! which it goes on, and says then what is not known. On simulated brokers, so no verdict is looked at.

#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, time::Duration};

use ackmark_cluster::Simulated;
use ackmark_schema::{
    load_spec::{LoadSpec, Schedule},
    manifest::MANIFEST_FILE,
    profile,
    properties::{Origin, Property},
    report::verify::{LedgerDamage, VERIFY_FILE, VerifyReport},
    scenario::{Keys, Message, Payload, Size},
    units::{Bytes, Count, Span},
    version::SchemaId,
};
use common::run;

/// Less than a page of states for each of two partitions.
const MESSAGES: u64 = 20_000;
const STATES: &str = "load/p0-i0.ledger";
/// The first entry of the page directory.
const ENTRY: usize = 4096;

fn spec(servers: &str) -> LoadSpec {
    LoadSpec {
        schema: SchemaId::default(),
        run: 7,
        profile: profile::built_in().into_iter().find(|profile| profile.name == "all-acks").unwrap(),
        properties: vec![Property { name: "bootstrap.servers".into(), value: servers.into(), origin: Origin::Flag }],
        topics: vec!["orders".into()],
        partitions: 2,
        message: Message { size: Size::Fixed(Bytes(100)), payload: Payload::Random, keys: Keys::None },
        producers: 1,
        outstanding: Count(10_000),
        outstanding_bytes: Bytes(64 << 20),
        schedule: Schedule::Max,
        warm_up: Span(Duration::ZERO),
        duration: Span(Duration::from_mins(1)),
        messages: Some(Count(MESSAGES)),
        drain_timeout: Span(Duration::from_secs(10)),
        seed: 1,
        verified: true,
        simulated: true,
    }
}

/// A finished load.
fn load() -> (Simulated, tempfile::TempDir) {
    let cluster = Simulated::start().unwrap();
    cluster.create_topic("orders", 2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let spec = serde_json::to_string(&spec(cluster.bootstrap_servers())).unwrap();
    fs::write(folder.path().join("spec.json"), spec).unwrap();
    let arguments = ["load", "--spec", "spec.json", "--out", "load", "--yes", "--progress", "none"];
    run(folder.path(), &arguments).exits(0);
    (cluster, folder)
}

/// Changes a file of a folder.
fn change(folder: &Path, name: &str, how: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.join(name);
    let mut bytes = fs::read(&path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_ledger_is_refused_with_its_place_and_salvaged_on_request() {
    let (cluster, folder) = load();
    let folder = folder.path();
    let with = |arguments: &[&str]| run(folder, &[arguments, &["-b", cluster.bootstrap_servers()]].concat());
    with(&["verify", "load"]).exits(4);
    fs::remove_file(folder.join("load").join(VERIFY_FILE)).unwrap();
    change(folder, STATES, |bytes| bytes[ENTRY] ^= 1);

    let refused = with(&["verify", "load"]).exits(2);
    let cause = "p0-i0.ledger is damaged at byte 4096: checksum mismatch in the page directory";
    assert!(refused.stderr.contains(cause), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: --damaged-ledger salvage"), "{}", refused.stderr);
    assert!(!folder.join("load").join(VERIFY_FILE).exists());
    // What writes never goes on.
    for arguments in [&["seal", "load"][..], &["load", "--resume", "load", "--yes"]] {
        let refused = with(arguments).exits(2);
        assert!(refused.stderr.contains(cause), "{}", refused.stderr);
    }

    let salvage = ["verify", "load", "--damaged-ledger", "salvage", "--progress", "none"];
    let report: VerifyReport = with(&[&salvage[..], &["--output", "json"]].concat()).exits(4).json();
    let [LedgerDamage { file, offset, what, messages_unknown: Some(unknown) }] = report.ledger_damage.as_slice() else {
        panic!("{:?}", report.ledger_damage)
    };
    assert_eq!((file.as_str(), *offset), ("p0-i0.ledger", 4096));
    assert_eq!(what, "checksum mismatch in the page directory");
    assert!((1..MESSAGES).contains(unknown), "those of one partition: {unknown}");
    let counts = report.ledger;
    let known = (counts.reserved, counts.acknowledged, counts.indeterminate);
    assert_eq!(known, (MESSAGES, MESSAGES - unknown, *unknown));
    let human = with(&salvage).exits(4).stdout;
    for words in ["The ledger is damaged", "p0-i0.ledger", "4,096", what] {
        assert!(human.contains(words), "{human}");
    }
    let refused = with(&[&salvage[..], &["--follow"]].concat()).exits(2);
    assert!(refused.stderr.contains("verify it without following"), "{}", refused.stderr);
}

#[test]
fn a_ledger_that_was_not_copied_whole_is_refused_and_another_runs_in_any_case() {
    let (cluster, folder) = load();
    let folder = folder.path();
    let verify = |flags: &[&str]| {
        let fixed = ["verify", "load", "-b", cluster.bootstrap_servers(), "--progress", "none"];
        run(folder, &[&fixed, flags].concat())
    };
    // The header, the directory, and half of the first page.
    change(folder, STATES, |bytes| bytes.truncate(10_240));
    let refused = verify(&[]).exits(2);
    assert!(refused.stderr.contains("cut off at 10240 bytes"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--damaged-ledger salvage"), "{}", refused.stderr);
    let report: VerifyReport = verify(&["--damaged-ledger", "salvage", "--output", "json"]).exits(4).json();
    assert_eq!(report.ledger_damage[0].messages_unknown, Some(MESSAGES));

    change(folder, &format!("load/{MANIFEST_FILE}"), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap().replacen("\"run\": 7", "\"run\": 8", 1);
        *bytes = text.into_bytes();
    });
    fs::remove_file(folder.join("load/seal.json")).unwrap();
    for flags in [&[][..], &["--damaged-ledger", "salvage"]] {
        let refused = verify(flags).exits(2);
        assert!(refused.stderr.contains("is of run 7, the manifest says 8"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("salvage"), "nothing is to be salvaged: {}", refused.stderr);
    }
}
