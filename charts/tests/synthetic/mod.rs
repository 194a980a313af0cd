//! Results made up for tests: every figure here is invented.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

use std::path::Path;

use ackmark_schema::{
    anomaly::Class,
    latency::{LatencySummary, Percentile, REPORTED},
    profile::{self, Profile, Tuning},
    promise::{Acks, Basis, Promise, Ruling},
    report::{
        CpuTime, Ending,
        load::{Counts, Generator, Measured, Provocations, TransactionFigures},
        timeline::{Second, TIMELINE_FILE, Timeline},
        verify::{Examined, LedgerCounts, Verdict},
    },
    result::{
        Answer, BrokerFacts, Claim, ClusterFacts, Comparison, CurvePoint, Environment, Estimate, ProfileRecord,
        ProfileVerdict, Provider, RunResult, Steadiness, Summary, TransactionSummary, Trial, TrialFinding, TrialLoad,
    },
    scenario::Scenario,
    version::SchemaId,
};
use indexmap::IndexMap;
use jiff::Timestamp;

const SCENARIO: &str = r#"
name = "delivery"
profiles = ["at-most-once"]
[[phase]]
name = "max"
rounds = 6
duration = "10s"
load = { max = {} }
[[phase]]
name = "rate"
rounds = 3
duration = "15s"
load = { rate = { messages = "20k/s" } }
"#;

/// A made-up run, to be changed by a test before it is built.
#[derive(Clone)]
pub struct Run {
    pub profiles: Vec<String>,
    pub rounds: u32,
    /// Throughput of the first profile; each further one is slower by a tenth.
    pub fastest_per_s: f64,
    /// Median latency of the first profile; each further one is twice as slow.
    pub quickest_us: f64,
    pub messages: u64,
    pub provider: Provider,
    pub ending: Ending,
    /// Trials of the last profile that are not steady.
    pub unsteady: u32,
    /// Transactions of a trial, of profiles that have any.
    pub transactions: u64,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            profiles: profile::built_in().into_iter().map(|profile| profile.name).collect(),
            rounds: 6,
            fastest_per_s: 612_000.0,
            quickest_us: 900.0,
            messages: 36_123_456,
            provider: Provider::Local,
            ending: Ending::Completed,
            unsteady: 0,
            transactions: 30,
        }
    }
}

impl Run {
    fn rate(&self, at: usize) -> f64 {
        self.fastest_per_s * 0.9_f64.powi(at as i32)
    }

    fn latency_us(&self, at: usize) -> f64 {
        self.quickest_us * 2.0_f64.powi(at as i32)
    }

    /// A wobble of a few per cent, the same for equal arguments.
    fn wobble(at: usize, round: u32) -> f64 {
        1.0 + 0.04 * (f64::from(round) * 2.4 + at as f64).sin()
    }

    pub fn result(&self) -> RunResult {
        let mut scenario = Scenario::from_toml("scenario.toml", SCENARIO).unwrap();
        scenario.profiles.clone_from(&self.profiles);
        let mut result = RunResult {
            schema: SchemaId::default(),
            id: "2026-01-02-host-delivery".into(),
            tool_version: "0.1.0".into(),
            ending: self.ending,
            error: None,
            started: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
            scenario,
            environment: Environment { cpus: 2, librdkafka_version: "2.12.1".into(), ..Environment::default() },
            cluster: ClusterFacts {
                provider: self.provider,
                cluster_id: None,
                kafka_version: (self.provider != Provider::Simulated).then(|| "4.3.1".into()),
                brokers: (1..=3).map(|id| BrokerFacts { id, address: "localhost:9092".into() }).collect(),
                configs: IndexMap::new(),
            },
            warm_up: None,
            profiles: self.profiles.iter().map(|name| record(name)).collect(),
            rates: IndexMap::new(),
            trials_planned: 9 * self.profiles.len() as u32,
            trials: Vec::new(),
            summaries: Vec::new(),
            comparisons: Vec::new(),
            claims: Vec::new(),
            verdicts: Vec::new(),
            verdict: Verdict::HeldUnprovoked,
            warnings: Vec::new(),
            comparability_key: "key".into(),
        };
        for (at, name) in self.profiles.iter().enumerate() {
            self.add_profile(&mut result, at, name);
        }
        self.add_comparisons(&mut result);
        result
    }

    fn add_profile(&self, result: &mut RunResult, at: usize, name: &str) {
        let acknowledged = name != "at-most-once";
        let last = at + 1 == self.profiles.len();
        for (phase, rounds) in [("max", self.rounds), ("rate", self.rounds.div_ceil(2))] {
            let left_out = if last { self.unsteady.min(rounds) } else { 0 };
            let values: Vec<f64> = (0..rounds).map(|round| self.rate(at) * Self::wobble(at, round)).collect();
            for round in 0..rounds {
                let steady = round >= left_out;
                let per_s = values[round as usize] * if steady { 1.0 } else { 0.6 };
                result.trials.push(self.trial(result.trials.len() as u32, round, phase, name, per_s, steady, at));
            }
            let used = &values[left_out as usize..];
            result.summaries.push(Summary {
                phase: phase.into(),
                profile: name.into(),
                trials: rounds - left_out,
                left_out,
                delivered_per_s: (phase == "max").then(|| estimate(used)).flatten(),
                delivered_bytes_per_s: (phase == "max")
                    .then(|| estimate(&used.iter().map(|value| value * 1024.0).collect::<Vec<_>>()))
                    .flatten(),
                client_cpu_s_per_million: None,
                brokers_cpu_s_per_million: None,
                latency_intended: (phase == "rate").then(|| self.summary_of_latency(at)),
                latency_send: None,
                latency_end_to_end: None,
                curve_intended: if phase == "rate" { self.curve(at) } else { Vec::new() },
                latency_is_acknowledgement: acknowledged,
                transactions: is_transactional(name)
                    .then(|| self.summary_of_transactions(at, (rounds - left_out).into())),
            });
        }
        result.verdicts.push(self.verdict(name, &record(name).promise.unwrap()));
    }

    #[allow(clippy::too_many_arguments)] // A test's own builder.
    fn trial(&self, index: u32, round: u32, phase: &str, name: &str, per_s: f64, steady: bool, at: usize) -> Trial {
        Trial {
            index,
            round,
            phase: phase.into(),
            profile: name.into(),
            topic: "t".into(),
            folder: format!("trials/{index}-{phase}-{name}-{round}"),
            started: Timestamp::UNIX_EPOCH,
            ending: Ending::Completed,
            error: None,
            steadiness: if steady { Steadiness::Steady } else { Steadiness::NeverSteady },
            invalid: Vec::new(),
            load: Some(TrialLoad {
                total: Counts::default(),
                measured: Measured { delivered_per_s: per_s, ..Measured::default() },
                latency_intended: (phase == "rate").then(|| self.summary_of_latency(at)),
                latency_send: None,
                latency_is_acknowledgement: name != "at-most-once",
                transactions: is_transactional(name).then(|| TransactionFigures {
                    committed: self.transactions,
                    begin_to_committed: self.times(at, Self::wobble(at, round), self.transactions),
                    ..TransactionFigures::default()
                }),
                provocations: Provocations::NONE,
                generator: Generator::default(),
                brokers_cpu: Some(CpuTime::default()),
            }),
            verification: None,
        }
    }

    /// Times of transactions: the further the profile, the longer.
    fn times(&self, at: usize, part: f64, count: u64) -> LatencySummary {
        let us = self.latency_us(at) * 5.0 * part;
        let percentile = Percentile {
            percentile: 50.0,
            value_us: (count >= 6).then_some(us as u64),
            low_us: (count >= 6).then_some((us * 0.9) as u64),
            high_us: (count >= 6).then_some((us * 1.1) as u64),
            needs: 6,
        };
        LatencySummary {
            count,
            sent: count,
            min_us: Some((us * 0.7) as u64),
            max_us: Some((us * 1.4) as u64),
            percentiles: vec![percentile],
        }
    }

    fn summary_of_transactions(&self, at: usize, trials: u64) -> TransactionSummary {
        let count = self.transactions * trials;
        TransactionSummary {
            committed: count,
            aborted: 0,
            indeterminate: 0,
            begin_to_committed: Some(self.times(at, 1.0, count)),
            flush: Some(self.times(at, 0.6, count)),
            commit: Some(self.times(at, 0.1, count)),
            abort: None,
            visibility: None,
            stalled_share: estimate(&[0.69, 0.7, 0.71]),
        }
    }

    fn at_percentile(&self, at: usize, percentile: f64) -> u64 {
        (self.latency_us(at) * (1.0 + (100.0 / (100.0 - percentile)).ln().powf(1.6))) as u64
    }

    /// The last percentile that the sample carries: the further the profile, the shorter its sample.
    fn carried(at: usize) -> f64 {
        99.95 - 0.1 * at as f64
    }

    fn summary_of_latency(&self, at: usize) -> LatencySummary {
        let percentiles = REPORTED.iter().map(|&percentile| {
            let carried = percentile <= Self::carried(at);
            let value = self.at_percentile(at, percentile);
            Percentile {
                percentile,
                value_us: carried.then_some(value),
                low_us: carried.then_some(value * 9 / 10),
                high_us: carried.then_some(value * 11 / 10),
                needs: 37_000,
            }
        });
        LatencySummary {
            count: 30_000,
            sent: 30_000,
            min_us: Some(1),
            max_us: Some(1),
            percentiles: percentiles.collect(),
        }
    }

    fn curve(&self, at: usize) -> Vec<CurvePoint> {
        (0..60)
            .map(|step| 100.0 - 100.0 * 10_f64.powf(-0.06 * f64::from(step)))
            .filter(|percentile| *percentile <= Self::carried(at))
            .map(|percentile| CurvePoint { percentile, value_us: self.at_percentile(at, percentile) })
            .collect()
    }

    fn verdict(&self, name: &str, promise: &Promise) -> ProfileVerdict {
        let findings = promise.clauses.iter().map(|clause| {
            let unseen = clause.class == Class::InconsistentOffset;
            let examined = if unseen {
                Examined::NotExamined { why: "the log was read once".into() }
            } else {
                Examined::Counted(0)
            };
            let verdict = match (clause.ruling, unseen) {
                (Ruling::MustNot, false) => Verdict::HeldUnprovoked,
                _ => Verdict::NotJudged,
            };
            TrialFinding { class: clause.class, examined, ruling: clause.ruling, verdict, causes: Vec::new() }
        });
        let nothing = promise.basis.acks == Acks::None;
        ProfileVerdict {
            profile: name.into(),
            verdict: Verdict::HeldUnprovoked,
            reason: "nothing tested it".into(),
            trials: 9,
            ledger: LedgerCounts {
                reserved: self.messages,
                acknowledged: if nothing { 0 } else { self.messages },
                indeterminate: if nothing { self.messages } else { 0 },
                committed_transactions: if promise.basis.transactional { 1_234 } else { 0 },
                ..LedgerCounts::default()
            },
            messages_in_log: self.messages,
            findings: findings.collect(),
            provocations: Provocations::NONE,
        }
    }

    fn add_comparisons(&self, result: &mut RunResult) {
        let mut compare = |profile: usize, baseline: usize| {
            let ratio = self.rate(profile) / self.rate(baseline);
            let enough = self.rounds >= 6;
            result.comparisons.push(Comparison {
                phase: "max".into(),
                profile: self.profiles[profile].clone(),
                baseline: self.profiles[baseline].clone(),
                ratio,
                low: enough.then_some(ratio * 0.96),
                high: enough.then_some(ratio * 1.03),
                confidence: enough.then_some(0.968_75),
                pairs: self.rounds,
            });
        };
        for profile in 1..self.profiles.len() {
            compare(profile, 0);
        }
        if self.profiles.len() >= 5 {
            compare(4, 2);
            result.claims.push(Claim {
                name: "exactly-once".into(),
                text: "exactly-once is 30-50 % slower than at-least-once".into(),
                profile: self.profiles[4].clone(),
                baseline: self.profiles[2].clone(),
                claimed_low: 0.5,
                claimed_high: 0.7,
                answer: if self.rounds >= 6 { Answer::Refuted } else { Answer::Inconclusive },
                reason: "transactional delivers 0.81 of all-acks, the claim says 0.50 to 0.70".into(),
            });
        }
    }

    /// Writes the timelines that belong to [`Run::result`].
    pub fn write_timelines(&self, result: &RunResult, folder: &Path) {
        for trial in &result.trials {
            let at = self.profiles.iter().position(|name| *name == trial.profile).unwrap();
            let open_loop = trial.phase == "rate";
            let seconds = (0..if open_loop { 15_u32 } else { 10 }).map(|second| {
                let wobble = Self::wobble(at, trial.round * 7 + second);
                let warm = if second == 0 { 0.6 } else { 1.0 };
                let p99 = self.at_percentile(at, 99.0) as f64 * wobble * wobble;
                Second {
                    from_s: f64::from(second),
                    length_s: 1.0,
                    delivered: if open_loop { 20_000 } else { (self.rate(at) * wobble * warm) as u64 },
                    p99_us: open_loop.then_some(p99 as u64),
                    ..Second::default()
                }
            });
            let timeline = Timeline {
                schema: SchemaId::default(),
                started: Timestamp::UNIX_EPOCH,
                measured_from_s: 1.0,
                seconds: seconds.collect(),
            };
            let folder = folder.join(&trial.folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(TIMELINE_FILE), serde_json::to_string(&timeline).unwrap()).unwrap();
        }
    }
}

/// Changes the finding of a class in a profile's verdict.
pub fn find(result: &mut RunResult, profile: &str, class: Class, count: u64, verdict: Verdict) {
    let entry = result.verdicts.iter_mut().find(|entry| entry.profile == profile).unwrap();
    let finding = entry.findings.iter_mut().find(|finding| finding.class == class).unwrap();
    finding.examined = Examined::Counted(count);
    finding.verdict = verdict;
    entry.verdict = entry.verdict.max(verdict);
}

fn is_transactional(name: &str) -> bool {
    name.starts_with("transactional")
}

fn record(name: &str) -> ProfileRecord {
    let built_in = if is_transactional(name) { "transactional" } else { name };
    let known = profile::built_in().into_iter().find(|profile| profile.name == built_in);
    let known = known.map(|profile| Profile { name: name.into(), ..profile });
    let profile = known.unwrap_or_else(|| Profile {
        name: name.into(),
        description: String::new(),
        use_when: String::new(),
        properties: IndexMap::new(),
        tuning: Tuning::default(),
        transactions: None,
        must_not: Vec::new(),
    });
    let basis = Basis {
        acks: match name {
            "at-most-once" => Acks::None,
            "leader-ack" => Acks::Leader,
            _ => Acks::All,
        },
        idempotence: name == "idempotent" || is_transactional(name),
        transactional: is_transactional(name),
        retries: 5,
        max_in_flight: 5,
        replication_factor: 3,
        min_insync_replicas: 2,
        unclean_leader_election: false,
    };
    ProfileRecord { profile, properties: Vec::new(), promise: Some(Promise::derive(basis, &[])) }
}

fn estimate(values: &[f64]) -> Option<Estimate> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let enough = sorted.len() >= 6;
    Some(Estimate {
        median: sorted[sorted.len() / 2],
        low: enough.then_some(min),
        high: enough.then_some(max),
        confidence: enough.then_some(0.968_75),
        min,
        max,
        n: sorted.len() as u32,
    })
}
