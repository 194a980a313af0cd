//! One module per contract: from the outcome to a document.

pub(crate) mod charts;
pub(crate) mod cluster;
pub(crate) mod doctor;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod profiles;
pub(crate) mod recommendation;
pub(crate) mod result;
pub(crate) mod seal;
pub(crate) mod semantics;
pub(crate) mod verdict;
pub(crate) mod verify;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::document::{Document, Form};

    /// As on a stream that is no terminal.
    fn snapshot(name: &str, document: &Document) {
        let terminal = anstream::adapter::strip_str(&document.render(Form::Terminal)).to_string();
        insta::assert_snapshot!(name, terminal);
        insta::assert_snapshot!(format!("{name}-markdown"), document.render(Form::Markdown));
    }

    #[test]
    fn a_result_is_told() {
        let result = serde_json::from_str(include_str!("../../tests/fixtures/result.json")).unwrap();
        snapshot("result", &super::result::document(&result));
    }

    #[test]
    fn a_load_is_told() {
        let report = serde_json::from_str(include_str!("../../tests/fixtures/load.json")).unwrap();
        snapshot("load", &super::load::document(&report));
    }

    #[test]
    fn a_verdict_is_told() {
        let mut report = serde_json::from_str(include_str!("../../tests/fixtures/verify.json")).unwrap();
        snapshot("verify-held", &super::verify::document(&report));
        broken(&mut report);
        snapshot("verify-broken", &super::verify::document(&report));
    }

    /// Three messages in a row are lost, two are there twice.
    fn broken(report: &mut ackmark_schema::report::verify::VerifyReport) {
        use ackmark_schema::{
            anomaly::{Cause, Class},
            report::{
                seal::SealState,
                verify::{CauseCount, Examined, Example, Verdict},
            },
        };
        let lost = report.findings.iter_mut().find(|finding| finding.class == Class::Lost).unwrap();
        lost.examined = Examined::Counted(3);
        lost.verdict = Verdict::Broken;
        lost.examples.push(Example {
            topic: "t1".into(),
            partition: 1,
            stream: Some(1),
            sequence: Some(100),
            run_length: 3,
            offset: None,
            cause: None,
            command: "ackmark log t1 --partition 1 --run 7 --stream 1 --sequence 100..103 -b localhost:9092".into(),
        });
        let twice = report.findings.iter_mut().find(|finding| finding.class == Class::DuplicateRetry).unwrap();
        twice.examined = Examined::Counted(2);
        twice.verdict = Verdict::Broken;
        twice.causes = vec![CauseCount { cause: Cause::BrokerFault, count: 2 }];
        twice.examples.push(Example {
            topic: "t1".into(),
            partition: 0,
            stream: Some(0),
            sequence: Some(40),
            run_length: 2,
            offset: Some(77),
            cause: Some(Cause::BrokerFault),
            command: "ackmark log t1 --partition 0 --run 7 --stream 0 --sequence 40..42 -b localhost:9092".into(),
        });
        report.readers.fallback = Some("broker kafka:9092 does not speak Fetch from version 4 on".into());
        report.verdict = Verdict::Broken;
        report.reason = "3 acknowledged messages are not in the log".into();
        report.provocations_known = false;
        report.seal = SealState::Unsealed { reason: "no sentinel".into() };
    }
}
