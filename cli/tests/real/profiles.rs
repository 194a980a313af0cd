//! All five profiles: the promise is held, the counts are what was sent, and every report is what its schema
//! says.

use std::{fs, path::Path, sync::Arc};

use ackmark_schema::{
    export,
    latency::LatencySummary,
    report::{
        load::LOAD_FILE,
        seal::SEAL_FILE,
        timeline::TIMELINE_FILE,
        verify::{Examined, Isolation, VERIFY_FILE},
    },
};
use libtest_mimic::Trial;

use crate::{kafka::Kafka, trial};

const MESSAGES: u64 = 20_000;

/// One test per profile, and an open loop in transactions.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    let each = ackmark_schema::profile::built_in().into_iter().map(|profile| {
        let name = format!("profiles::{}_is_held", profile.name.replace('-', "_"));
        trial(kafka, name, move |kafka| held(kafka, &profile.name))
    });
    each.chain([trial(kafka, "profiles::commits_of_an_open_loop_are_in_its_latency_only", open_loop)]).collect()
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
    assert!(verdict.verdict.is_held(), "{}", verdict.reason);
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

/// While a transaction ends nothing can be sent: that is latency, and no lateness of the generator.
fn open_loop(kafka: &Kafka) {
    let flags = ["--profile", "transactional", "--size", "200B", "--producers", "2"];
    let times = ["--rate", "2k/s", "--warm-up", "1s", "--duration", "3s", "--transaction-duration", "50ms"];
    let load = kafka.load(&[&flags[..], &times].concat());
    let report = &load.report;
    assert_eq!((report.measured.counts.sent, report.measured.delivered), (6_000, 6_000));
    let p90 = |summary: &Option<LatencySummary>| summary.as_ref().unwrap().at(90.0).unwrap().value_us.unwrap();
    let (intended, send) = (p90(&report.latency_intended), p90(&report.latency_send));
    let lag = p90(&report.generator.schedule_lag);
    assert!(intended > send, "some messages waited for a commit: {intended} {send}");
    assert!(lag < intended / 2, "{lag} {intended} {send}");
    assert_eq!(report.generator.schedule_lag.as_ref().unwrap().count, 6_000);
    let (run, _) = kafka.verify(&load.folder());
    run.exits(0);
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
