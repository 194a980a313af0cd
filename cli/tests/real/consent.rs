//! Nothing is written to a Kafka that ackmark did not start before somebody agrees.

use std::sync::Arc;

use libtest_mimic::Trial;

use crate::{common, kafka::Kafka, trial};

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![trial(kafka, "consent::a_load_tells_what_it_writes_and_writes_nothing_without_consent", load)]
}

fn load(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let servers = kafka.servers();
    let told = |arguments: &[&str], words: &[&str]| {
        let fixed = ["load", "--out", "load", "--size", "1KiB", "-b", &servers, "--progress", "none"];
        let run = common::run(folder.path(), &[&fixed, arguments].concat()).exits(2);
        for word in words.iter().chain(&[servers.as_str(), "add --yes"]) {
            assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
        }
        assert!(!folder.path().join("load").exists());
    };
    let topic = kafka.topic();
    told(&["-t", &topic], &[&topic, "for 10.0 s as fast as the brokers take it, NOT THROTTLED"]);
    told(&["-t", &topic, "--messages", "10k"], &["about 10k messages (9.8 MiB), NOT THROTTLED"]);
    told(&["-t", &topic, "--rate", "1k/s", "--duration", "5s"], &["for 5.00 s at 1k/s (about 4.9 MiB)"]);
    assert!(kafka.admin().offsets(&topic, std::time::Duration::from_secs(20)).unwrap().iter().all(|one| one.high == 0));
    told(&["-t", "ackmark-not-made", "--create-topic", "3"], &["create topic ackmark-not-made with 3 partitions"]);
    let missing = kafka.run(folder.path(), &["load", "--topic", "ackmark-not-made", "--out", "load"]).exits(2);
    assert!(missing.stderr.contains("is not there"), "it was not created either: {}", missing.stderr);
}
