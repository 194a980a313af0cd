//! `make peers` on a real Kafka, small: ackmark beside Kafka's own tools.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::Arc};

use ackmark_peers::{Arguments, Outcome};
use ackmark_schema::{
    peers::{Measure, PeersResult},
    report::Ending,
    text,
};
use clap::Parser as _;
use libtest_mimic::Trial;

use crate::{kafka::Kafka, trial};

const ACKMARK: &str = env!("CARGO_BIN_EXE_ackmark");

pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![
        trial(kafka, "peers::contenders_do_the_same_work_and_are_compared", compared),
        trial(kafka, "peers::a_contender_that_wrote_less_than_it_says_has_no_figure", lost),
    ]
}

/// One measured round of 2,000 messages.
fn series(kafka: &Kafka, folder: &Path, ackmark: &Path, cells: &str) -> Outcome {
    let (servers, results) = (kafka.servers(), folder.join("results"));
    let mut words = vec!["peers", "-b", &servers, "--cells", cells, "--contenders", "kafka", "--ackmark"];
    let (ackmark, results) = (ackmark.to_str().unwrap(), results.to_str().unwrap());
    words.extend([ackmark, "-n", "2000", "--rounds", "1", "--warm-up", "0", "--seed", "1", "--results", results]);
    ackmark_peers::series(&Arguments::parse_from(words), &Arc::default(), &|_| {}).unwrap()
}

fn compared(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = series(kafka, folder.path(), Path::new(ACKMARK), "all-acks-100,consume-100-one-broker");
    let result = &outcome.result;
    assert_eq!((outcome.exit_code(), result.ending), (0, Ending::Completed), "{result:?}");
    let written = fs::read_to_string(outcome.folder.join("result.json")).unwrap();
    assert_eq!(&text::from_json::<PeersResult>("result.json", &written).unwrap(), result);

    let [produce, consume] = &result.cells[..] else { panic!("two cells: {result:?}") };
    for cell in [produce, consume] {
        assert_eq!((cell.runs.len(), cell.failures.len()), (4, 0), "two contenders, two rounds: {cell:?}");
        assert!(cell.runs.iter().all(|run| run.cpu.total_s() > 0.0 && run.process_s > 0.0), "{cell:?}");
        for measure in [Measure::Interval, Measure::Process, Measure::Cpu] {
            let found = cell.figures.iter().find(|figure| figure.contender == "kafka" && figure.measure == measure);
            let ratio = found.and_then(|figure| figure.ackmark_over_this.as_ref()).unwrap();
            assert!(ratio.ratio > 0.0 && ratio.pairs == 1 && ratio.low.is_none(), "{measure:?}: {ratio:?}");
        }
    }
    assert!(produce.figures.iter().any(|figure| figure.measure == Measure::AfterWarmUp), "{produce:?}");
    assert_eq!(result.command, "make peers ARGS='--seed 1'");
    assert!(produce.commands["kafka"].contains("acks=all enable.idempotence=false linger.ms=5"), "{produce:?}");
    let readme = fs::read_to_string(outcome.folder.join("README.md")).unwrap();
    assert!(readme.contains("## Reading 100 B from one broker") && readme.contains("| kafka-consumer-perf-test |"));
    assert!(!readme.contains("no figure in"), "{readme}");
}

/// An ackmark that sends a message less and says that it sent all.
fn lost(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let (text, liar) = (folder.path().join("text"), folder.path().join("liar"));
    let script = "#!/bin/bash\nset -o pipefail\n\"$ACKMARK\" \"${@/#2000/1999}\" | sed s/1999/2000/g\n";
    fs::write(&text, script.replace("$ACKMARK", ACKMARK)).unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    // Copied by another process: while other threads of this one fork, what it has open for writing cannot be run.
    assert!(Command::new("cp").arg(&text).arg(&liar).status().unwrap().success());

    let outcome = series(kafka, folder.path(), &liar, "all-acks-100");
    assert_eq!((outcome.exit_code(), outcome.result.ending), (1, Ending::Completed));
    let [cell] = &outcome.result.cells[..] else { panic!("one cell: {:?}", outcome.result) };
    let lost: Vec<(&str, u32)> = cell.failures.iter().map(|found| (found.contender.as_str(), found.round)).collect();
    assert_eq!(lost, [("ackmark", 0), ("ackmark", 1)], "{cell:?}");
    let reason = &cell.failures[0].reason;
    assert_eq!(reason, "the topic's offsets tell 1,999 records where 2,000 were to be written");
    assert!(cell.figures.iter().all(|figure| figure.contender == "kafka" && figure.ackmark_over_this.is_none()));
}
