//! Made-up trials for tests of the judgement: no Kafka, no load.

use ackmark_client::ClientProperties;
use ackmark_cluster::Guards;
use ackmark_schema::{
    anomaly::Class,
    promise::{Acks, Basis, Promise, Ruling},
    properties::Origin,
    report::{
        CpuTime, Ending,
        load::{Counts, Generator, LoadReport, Measured, Provocations},
        verify::{Examined, LedgerCounts, Verdict},
    },
    result::{
        ClusterFacts, Environment, Provider, RunResult, Steadiness, Trial, TrialFinding, TrialLoad, TrialVerification,
    },
    scenario::Scenario,
    version::SchemaId,
};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::{Choices, Plan, load_spec::Common};

/// Three profiles, one `max` phase of two seconds.
pub(crate) fn scenario() -> Scenario {
    let text = r#"
        name = "synthetic"
        profiles = ["at-most-once", "all-acks", "transactional"]
        seed = 1
        [[phase]]
        name = "max"
        rounds = 6
        duration = "2s"
        load = { max = {} }
    "#;
    Scenario::from_toml("synthetic", text).expect("a scenario")
}

/// Trials of the `max` phase at about these rates per second, two seconds each, all held unprovoked.
pub(crate) fn trials(profiles: &[(&str, f64)], rounds: u32) -> Vec<Trial> {
    let mut trials = Vec::new();
    for round in 0..rounds {
        for (at, (profile, per_s)) in profiles.iter().enumerate() {
            // Up to 2 % of noise that differs by round and profile.
            let noise = 1.0 + 0.01 * f64::from((round * 7 + at as u32 * 5) % 5) - 0.02;
            trials.push(trial(trials.len() as u32, round, profile, per_s * noise));
        }
    }
    trials
}

fn trial(index: u32, round: u32, profile: &str, per_s: f64) -> Trial {
    let delivered = (per_s * 2.0) as u64;
    let counts = Counts { sent: 3000, acknowledged: 3000, value_bytes: 3000 * 1024, ..Counts::default() };
    Trial {
        index,
        round,
        phase: "max".into(),
        profile: profile.into(),
        topic: format!("ackmark-synthetic-{index}"),
        folder: format!("trials/{index:03}-max-{profile}-{round}"),
        started: Timestamp::UNIX_EPOCH,
        ending: Ending::Completed,
        error: None,
        steadiness: Steadiness::Steady,
        invalid: Vec::new(),
        load: Some(TrialLoad {
            total: counts,
            measured: Measured {
                duration_s: 2.0,
                counts,
                delivered,
                delivered_per_s: per_s,
                delivered_bytes_per_s: per_s * 1024.0,
                offered_per_s: None,
                sent_per_s: per_s,
                cpu: CpuTime { user_s: 0.4, system_s: 0.1 },
            },
            latency_intended: None,
            latency_send: None,
            latency_is_acknowledgement: profile != "at-most-once",
            transactions: None,
            provocations: Provocations::NONE,
            generator: Generator::default(),
            brokers_cpu: Some(CpuTime { user_s: 1.5, system_s: 0.5 }),
        }),
        verification: Some(TrialVerification {
            sealed: true,
            ledger: LedgerCounts { reserved: 3000, acknowledged: 3000, ..LedgerCounts::default() },
            messages_in_log: 3000,
            findings: vec![TrialFinding {
                class: Class::Lost,
                examined: Examined::Counted(0),
                ruling: Ruling::MustNot,
                verdict: Verdict::HeldUnprovoked,
                causes: Vec::new(),
            }],
            latency_end_to_end: None,
            visibility: None,
            verdict: Verdict::HeldUnprovoked,
            reason: "nothing was lost".into(),
        }),
    }
}

/// What the first profile's load would have reported.
pub(crate) fn load_report() -> LoadReport {
    let load = trial(0, 0, "all-acks", 1000.0).load.expect("it has one");
    let plan = Plan::new(&scenario(), &Choices::default(), &Guards::none()).expect("a plan");
    let properties = ClientProperties::with_bootstrap("kafka:9092", Origin::Flag);
    let common = Common { scenario: &plan.scenario, properties: &properties, simulated: false };
    let basis = Basis {
        acks: Acks::All,
        idempotence: false,
        transactional: false,
        retries: 5,
        max_in_flight: 5,
        replication_factor: 3,
        min_insync_replicas: 2,
        unclean_leader_election: false,
    };
    LoadReport {
        schema: SchemaId::default(),
        spec: common.trial(&plan, &plan.trials[0], None, "topic"),
        incarnation: 0,
        properties: Vec::new(),
        promise: Promise::derive(basis, &[]),
        librdkafka_version: "2.12.1".into(),
        ending: Ending::Completed,
        error: None,
        started: Timestamp::UNIX_EPOCH,
        total: load.total,
        resent: Counts::default(),
        measured: load.measured,
        latency_intended: None,
        latency_send: None,
        latency_is_acknowledgement: true,
        transactions: None,
        provocations: load.provocations,
        errors: Vec::new(),
        trouble: Vec::new(),
        generator: load.generator,
    }
}

/// A result without trials.
pub(crate) fn result() -> RunResult {
    RunResult {
        schema: SchemaId::default(),
        id: "2026-11-25-host-synthetic".into(),
        tool_version: "0.1.0".into(),
        ending: Ending::Completed,
        error: None,
        started: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        scenario: scenario(),
        environment: Environment { host: "host".into(), cpus: 2, ..Environment::default() },
        cluster: ClusterFacts {
            provider: Provider::Local,
            cluster_id: Some("c".into()),
            kafka_version: Some("4.3.1".into()),
            brokers: Vec::new(),
            configs: IndexMap::default(),
        },
        warm_up: None,
        profiles: Vec::new(),
        rates: IndexMap::default(),
        trials_planned: 18,
        trials: Vec::new(),
        summaries: Vec::new(),
        comparisons: Vec::new(),
        claims: Vec::new(),
        verdicts: Vec::new(),
        verdict: Verdict::NotJudged,
        warnings: Vec::new(),
        comparability_key: "k".into(),
    }
}
