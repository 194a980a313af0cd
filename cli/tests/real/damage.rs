//! A ledger that was damaged after its load: what is sound of it convicts a real log, and nothing is held by it.

use std::{fs, sync::Arc};

use ackmark_schema::{anomaly::Class, report::verify::Verdict};
use libtest_mimic::Trial;

use crate::{common::found, copy, kafka::Kafka, trial};

/// The second entry of the page directory, handed out when the second partition is first sent to.
const ENTRY: usize = 4096 + 16;
/// Where it names the stream, which is the partition of an only producer, counted from 1.
const STREAM: usize = ENTRY + 8;
const SALVAGE: [&str; 2] = ["--damaged-ledger", "salvage"];

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![trial(kafka, "damage::what_is_sound_of_a_ledger_convicts_and_never_acquits", salvaged)]
}

/// One copy lacks nothing, one a message whose state is known, one a message whose state is not.
fn salvaged(kafka: &Kafka) {
    let load = kafka.load(&["--profile", "idempotent", "--messages", "20000", "--size", "100B"]);
    let whole = copy::read(kafka, &load);
    assert!(whole.iter().all(|records| records.len() > 100), "both partitions are sent to");
    let bytes = fs::read(load.folder().join("p0-i0.ledger")).unwrap();
    let unknown = usize::from(bytes[STREAM]) - 1;
    for (lacks, code, verdict, lost) in [
        (None, 4, Verdict::Inconclusive, Some(0)),
        (Some(1 - unknown), 3, Verdict::Broken, Some(1)),
        (Some(unknown), 4, Verdict::Inconclusive, None),
    ] {
        let mut partitions = whole.clone();
        if let Some(partition) = lacks {
            partitions[partition].remove(7);
        }
        let (folder, topic) = (tempfile::tempdir().unwrap(), kafka.topic());
        copy::write(kafka, &topic, &partitions);
        copy::copy_folder(&load, &topic, folder.path());
        kafka.seal(folder.path()).exits(0);
        let mut damaged = bytes.clone();
        damaged[ENTRY] ^= 1;
        fs::write(folder.path().join("p0-i0.ledger"), damaged).unwrap();

        let refused = kafka.run(folder.path(), &["verify", "."]).exits(2);
        assert!(refused.stderr.contains("damaged at byte 4112"), "{}", refused.stderr);
        let (run, report) = kafka.verify_with(folder.path(), &SALVAGE);
        let judged = (run.code, report.verdict, found(&report, Class::Lost));
        assert_eq!(judged, (code, verdict, lost), "{}", report.reason);
        assert!(report.reason.contains("p0-i0.ledger at byte 4112"), "{}", report.reason);
    }
}
