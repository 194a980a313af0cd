//! One module per contract: from the outcome to a document.

pub(crate) mod charts;
pub(crate) mod cluster;
pub(crate) mod coordinators;
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

    #[test]
    fn what_coordinators_told_is_a_sentence_and_its_warnings() {
        use ackmark_schema::{
            report::coordinators::{Coordinators, Look, Told, UnderWay},
            result::Warning,
            version::SchemaId,
        };
        let found = |under_way, oldest_ms| UnderWay {
            ids: 4,
            under_way,
            oldest_ms: Some(oldest_ms),
            oldest_id: Some(format!("orders-{under_way}")),
            unaccounted: Some(0),
            coordinator_epoch: Some(3),
            coordinators_changed: (under_way > 1).then_some(0),
            ..UnderWay::default()
        };
        let answered = |at_s, found| Look { at_s, told: Told::Answered(found) };
        let mut report = Coordinators {
            schema: SchemaId::default(),
            started: "2026-11-25T10:00:00Z".parse().unwrap(),
            looks: vec![answered(0.0, found(1, 210)), answered(1.0, found(4, 90))],
            warnings: Vec::new(),
            given_up: None,
        };
        snapshot("coordinators", &super::coordinators::document(&report));
        let unanswered = Told::Unanswered { why: "connection refused".into() };
        let changed =
            UnderWay { unaccounted: Some(1), not_examined: 3, coordinators_changed: Some(17), ..found(2, 61_000) };
        let nothing = UnderWay { unaccounted: None, coordinators_changed: None, ..found(1, 210) };
        let unknown = Coordinators { looks: vec![answered(0.0, nothing)], ..report.clone() };
        snapshot("coordinators-unknown", &super::coordinators::document(&unknown));
        report.looks.extend([Look { at_s: 2.0, told: unanswered }, answered(3.0, changed)]);
        report.warnings.push(Warning { what: "orders-0: open from offset 5".into(), cure: "abort it".into() });
        report.given_up = Some("broker h:1 refused DescribeTransactions".into());
        snapshot("coordinators-troubled", &super::coordinators::document(&report));
    }

    /// Three messages in a row are lost, two are there twice.
    fn broken(report: &mut ackmark_schema::report::verify::VerifyReport) {
        use ackmark_schema::{
            anomaly::{Cause, Class},
            report::{
                seal::SealState,
                verify::{CauseCount, CauseSecond, Examined, Example, Verdict},
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
        let second = "2026-11-25T10:00:07Z".parse().unwrap();
        twice.over_time = vec![CauseSecond { second, cause: Cause::BrokerFault, count: 2 }];
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
