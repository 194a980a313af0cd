//! Each thing that is done to a broker, at each step, with all profiles and the clients' default timeouts.

use std::time::Duration;

use ackmark_schema::{
    anomaly::Class,
    report::{Ending, seal::SealState, verify::Verdict},
};
use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::{
    cluster::{Cluster, SECOND_VICTIM, SLACK, VICTIM},
    common::found,
    essential::{SEAL, VERIFY, check_ending, check_held, check_sum, end_and_judge, profiles, start_loads},
};

const SIGNALS: [(&str, Signal); 3] = [("stopped", Signal::TERM), ("killed", Signal::KILL), ("frozen", Signal::STOP)];
const DURATION: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_mins(1);
const FLAGS: [&str; 4] = ["--rate", "300/s", "--duration", "30s"];
/// A log that takes some seconds to read.
const LARGE: [&str; 4] = ["--messages", "4M", "--duration", "5m"];

/// The tests; all are ignored unless asked for.
pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: String, test: Box<dyn FnOnce() + Send>| {
        Trial::test(format!("matrix::{name}"), move || {
            test();
            Ok(())
        })
        .with_ignored_flag(true)
    };
    let mut trials = Vec::new();
    for (what, signal) in SIGNALS {
        trials.push(trial(format!("{what}_under_the_load"), Box::new(move || under_load(signal))));
        trials.push(trial(format!("{what}_under_the_seal"), Box::new(move || under_seal(signal))));
        trials.push(trial(format!("{what}_under_the_verification"), Box::new(move || under_verification(signal))));
        trials.push(trial(format!("{what}_under_a_live_verification"), Box::new(move || under_following(signal))));
    }
    trials.push(trial("two_brokers_gone_under_the_load".into(), Box::new(two_gone)));
    trials.push(trial("all_brokers_gone_under_the_load".into(), Box::new(all_gone)));
    trials.push(trial("all_brokers_gone_under_the_verification".into(), Box::new(all_gone_under_verification)));
    trials
}

fn under_load(signal: Signal) {
    let cluster = Cluster::start(&[]);
    let loads = start_loads(&cluster, &[&FLAGS[..], &["--no-seal"]].concat());
    cluster.signal(VICTIM, signal);
    end_and_judge(&cluster, loads, DURATION + DRAIN, signal == Signal::STOP);
}

fn under_seal(signal: Signal) {
    let cluster = Cluster::start(&[]);
    for (_, load) in start_loads(&cluster, &[&FLAGS[..], &["--no-seal"]].concat()) {
        load.finish(DURATION + DRAIN + SLACK).exits(0);
    }
    let seals: Vec<_> = profiles().into_iter().map(|name| (cluster.start_on(&name, "seal", &[]), name)).collect();
    cluster.signal(VICTIM, signal);
    for (seal, name) in seals {
        let code = seal.finish(SEAL + SLACK).code;
        let sealed = cluster.seal_report(&name).state == SealState::Sealed;
        assert_eq!(code, if sealed { 0 } else { 4 }, "{name}");
        cluster.run_on(&name, "seal", &[], SEAL).exits(0);
        cluster.run_on(&name, "verify", &[], VERIFY).exits(0);
        let (load, report) = (cluster.load_report(&name), cluster.verify_report(&name));
        assert!(report.verdict.is_held(), "{name}: {}", report.reason);
        assert_eq!(report.ledger.reserved, load.total.sent);
    }
}

fn under_verification(signal: Signal) {
    let cluster = Cluster::start(&[]);
    cluster.create(&["large"]);
    cluster.load("large", "idempotent", &LARGE).finish(Duration::from_mins(6) + SLACK).exits(0);
    let mut verify = cluster.start_on("large", "verify", &["--threads", "1"]);
    verify.wait_for_messages("verify", Duration::from_mins(1));
    cluster.signal(VICTIM, signal);
    verify.finish(VERIFY + Duration::from_mins(1) + SLACK).exits(0);
    let report = cluster.verify_report("large");
    assert!(report.scans.iter().all(|scan| scan.complete), "{:#?}", report.scans);
    assert_eq!((report.scans[0].distinct, found(&report, Class::Lost)), (4_000_000, Some(0)));
}

fn under_following(signal: Signal) {
    let cluster = Cluster::start(&[]);
    cluster.create(&["live"]);
    let mut load = cluster.load("live", "transactional", &FLAGS);
    let verify = cluster.start_on("live", "verify", &["--follow"]);
    load.wait_for_messages("load", Duration::from_mins(1));
    cluster.signal(VICTIM, signal);
    let run = load.finish(DURATION + DRAIN + SEAL + SLACK);
    let report = cluster.load_report("live");
    check_ending(run, &report, signal == Signal::STOP);
    verify.finish(VERIFY + SLACK).exits(0);
    check_held(&report, &cluster.verify_report("live"));
}

/// Nothing is a loss or a pass.
fn is_open(cluster: &Cluster, name: &str) {
    let report = cluster.load_report(name);
    check_sum(report.total);
    assert_eq!(report.total.failed, 0, "{name}: a time that is over is no proof: {:?}", report.total);
    assert!(!report.trouble.is_empty(), "{name}");
    let SealState::Unsealed { reason } = cluster.seal_report(name).state else { panic!("{name} was sealed") };
    assert!(!reason.is_empty());
}

fn two_gone() {
    let cluster = Cluster::start(&[]);
    let loads = start_loads(&cluster, &FLAGS);
    cluster.signal(VICTIM, Signal::KILL);
    cluster.signal(SECOND_VICTIM, Signal::KILL);
    for (name, load) in loads {
        let run = load.finish(DURATION + DRAIN + SEAL + SLACK);
        // A transaction whose fate is unknown ends its load.
        let failed = cluster.load_report(&name).ending == Ending::Failed;
        assert!(!failed || name == "transactional", "{name}: {}", run.stderr);
        let run = run.exits(if failed { 1 } else { 4 });
        assert!(run.stdout.contains("The log is not closed"), "{name}: {}", run.stdout);
        is_open(&cluster, &name);
        cluster.run_on(&name, "verify", &[], VERIFY).exits(4);
        assert_eq!(cluster.verify_report(&name).verdict, Verdict::Inconclusive);
    }
    // A producer that needs its transaction's coordinator does not begin, and says why. So does one to a partition whose
    // last leader has not heard from its replicas how far they are: which of both it meets first is the brokers' doing.
    let again = cluster.load_into("again", "transactional", "transactional", &FLAGS);
    let run = again.finish(Duration::from_mins(1) + SLACK).exits(1);
    let why = ["__transaction_state", "OFFSET_NOT_AVAILABLE"].iter().any(|why| run.stderr.contains(why));
    assert!(why, "{}", run.stderr);
}

fn all_gone() {
    let cluster = Cluster::start(&[]);
    let loads = start_loads(&cluster, &FLAGS);
    cluster.kill_all();
    for (name, load) in loads {
        let run = load.finish(DURATION + DRAIN + SEAL + SLACK);
        let failed = cluster.load_report(&name).ending == Ending::Failed;
        assert!(!failed || name == "transactional", "{name}: {}", run.stderr);
        run.exits(if failed { 1 } else { 4 });
        is_open(&cluster, &name);
        let run = cluster.run_on(&name, "verify", &[], VERIFY).exits(1);
        assert!(run.stderr.contains("Connection refused") && run.stderr.contains("hint:"), "{}", run.stderr);
    }
}

fn all_gone_under_verification() {
    let cluster = Cluster::start(&[]);
    cluster.create(&["large"]);
    cluster.load("large", "idempotent", &LARGE).finish(Duration::from_mins(6) + SLACK).exits(0);
    let mut verify = cluster.start_on("large", "verify", &["--threads", "1"]);
    verify.wait_for_messages("verify", Duration::from_mins(1));
    cluster.kill_all();
    verify.finish(VERIFY + SLACK).exits(4);
    let report = cluster.verify_report("large");
    let scan = &report.scans[0];
    assert!(!scan.complete && (1..4_000_000).contains(&scan.distinct), "{scan:?}");
    assert_eq!((report.verdict, found(&report, Class::Lost)), (Verdict::Inconclusive, None));
    assert!(report.reason.contains("no progress for 60s"), "{}", report.reason);
}
