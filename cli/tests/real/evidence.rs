//! A log that is evidence stays, and only that one.

use std::{fs, sync::Arc, time::Duration};

use ackmark_client::ErrorCode;
use ackmark_schema::{report::verify::Verdict, result::RunResult};
use libtest_mimic::Trial;

use crate::{common, kafka::Kafka, trial};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Without acknowledgements a log is closed once its end has stood still for the quiet time, which is longer here than
/// the deadline of the seal.
const SCENARIO: &str = r#"
name = "doubt"
profiles = ["at-most-once", "all-acks"]
[message]
size = "100B"
[topic]
partitions = 2
[warm-up]
messages-max = 0
[verify]
quiet = "1m"
seal-timeout = "8s"
[[phase]]
name = "max"
rounds = 1
warm-up = "0s"
duration = "1s"
load = { max = { messages = 1000 } }
"#;

/// The tests.
pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    vec![trial(kafka, "evidence::the_topic_of_an_inconclusive_verdict_stays_and_can_be_judged_again", inconclusive)]
}

fn inconclusive(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("doubt.toml"), SCENARIO).unwrap();
    let run = kafka.run(folder.path(), &["bench", "doubt.toml", "--yes", "--output", "json"]).exits(4);
    let result: RunResult = run.json();
    let of = |profile: &str| result.trials.iter().find(|trial| trial.profile == profile).unwrap();
    let (open, held) = (of("at-most-once"), of("all-acks"));
    assert_eq!(open.verification.as_ref().unwrap().verdict, Verdict::Inconclusive);
    assert_eq!(held.verification.as_ref().unwrap().verdict, Verdict::HeldUnprovoked);
    let gone = kafka.admin().topic(&held.topic, TIMEOUT).unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PART), "{gone}");
    assert_eq!(kafka.admin().topic(&open.topic, TIMEOUT).unwrap().partitions.len(), 2);

    let said = result.warnings.iter().find(|warning| warning.what.contains("stays as evidence")).unwrap();
    assert!(said.what.contains(&open.topic) && said.cure.contains(&kafka.servers()), "{said:?}");
    // As it was told: closed after all, the log can be judged.
    let told = said.cure.split('`').find(|words| words.starts_with("ackmark verify ")).unwrap();
    let trial = folder.path().join(told.split(' ').nth(2).unwrap());
    common::run(&trial, &["seal", ".", "-b", &kafka.servers(), "--quiet-time", "1s"]).exits(0);
    let words: Vec<&str> = told.split(' ').skip(1).collect();
    let again = common::run(folder.path(), &words).exits(0);
    assert!(again.stdout.contains("held, unprovoked"), "{}", again.text());
    kafka.admin().delete_topic(&open.topic, TIMEOUT).unwrap();
}
