//! All five profiles: the promise is held, the counts are what was sent, and every report is what its schema
//! says.

use std::{fs, path::Path, sync::Arc};

use ackmark_schema::{
    export,
    report::{
        load::LOAD_FILE,
        seal::SEAL_FILE,
        timeline::TIMELINE_FILE,
        verify::{Examined, Isolation, VERIFY_FILE, Verdict},
    },
};
use libtest_mimic::Trial;

use crate::{kafka::Kafka, trial};

const MESSAGES: u64 = 20_000;

/// One test per profile.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    ackmark_schema::profile::built_in()
        .into_iter()
        .map(|profile| {
            let name = format!("profile::{}_is_held", profile.name.replace('-', "_"));
            trial(kafka, name, move |kafka| held(kafka, &profile.name))
        })
        .collect()
}

fn held(kafka: &Kafka, profile: &str) {
    let count = MESSAGES.to_string();
    let load = kafka.load(&["--profile", profile, "--messages", &count, "--size", "200B", "--producers", "2"]);
    let report = &load.report;
    assert_eq!(report.total.sent, MESSAGES);
    let unacknowledged = profile == "at-most-once";
    assert_eq!(report.total.acknowledged, if unacknowledged { 0 } else { MESSAGES });
    assert_eq!(report.latency_is_acknowledgement, !unacknowledged);

    let folder = load.folder();
    let (run, verdict) = kafka.verify(&folder);
    run.exits(0);
    assert_eq!(verdict.ledger.reserved, MESSAGES);
    assert_eq!(verdict.ledger.acknowledged, report.total.acknowledged);
    assert!(matches!(verdict.verdict, Verdict::Held | Verdict::HeldUnprovoked), "{}", verdict.reason);
    for scan in &verdict.scans {
        assert_eq!((scan.messages, scan.distinct, scan.strangers), (MESSAGES, MESSAGES, 0), "{scan:?}");
        assert!(scan.complete);
    }
    for finding in &verdict.findings {
        assert!(matches!(finding.examined, Examined::Counted(0) | Examined::NotExamined { .. }), "{finding:?}");
    }
    if profile == "transactional" {
        let levels: Vec<Isolation> = verdict.scans.iter().map(|scan| scan.isolation).collect();
        assert_eq!(levels, [Isolation::ReadUncommitted, Isolation::ReadCommitted]);
        assert!(verdict.ledger.committed_transactions > 0);
        assert_eq!(report.transactions.as_ref().unwrap().committed, verdict.ledger.committed_transactions);
    }
    follows_its_schema(&folder);
}

/// Every report of a load folder validates against its committed schema.
fn follows_its_schema(folder: &Path) {
    let schemas = export::schemas();
    for (file, name) in [
        ("manifest.json", "manifest"),
        (LOAD_FILE, "load"),
        (SEAL_FILE, "seal"),
        (TIMELINE_FILE, "timeline"),
        (VERIFY_FILE, "verify"),
    ] {
        let (_, schema) = schemas.iter().find(|(known, _)| *known == name).unwrap();
        let report = serde_json::from_str(&fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        let validator = jsonschema::validator_for(schema.as_value()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
    }
}
