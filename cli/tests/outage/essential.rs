//! What must hold whatever happens: run by default.

use std::{fs, time::Duration};

use ackmark_schema::{
    anomaly::Class,
    profile,
    report::{
        Ending,
        load::{Counts, LoadReport},
        seal::SealState,
        verify::{Verdict, VerifyReport},
    },
};
use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::{
    cluster::{Cluster, SECOND_VICTIM, SLACK, VICTIM},
    common::{Run, Running, found},
    disk,
};

/// When a load has begun to send.
const BEGIN: Duration = Duration::from_mins(1);
/// How long a load goes on, and its flags.
const DURATION: Duration = Duration::from_secs(20);
const DRAIN: Duration = Duration::from_secs(30);
const STEADY: [&str; 7] = ["--rate", "300/s", "--duration", "20s", "--drain-timeout", "30s", "--no-seal"];
/// `ackmark seal`'s default deadline.
pub(crate) const SEAL: Duration = Duration::from_mins(1);
/// A scan ends after this time without progress, and an answer of the brokers is waited for as long, before and after.
pub(crate) const VERIFY: Duration = Duration::from_mins(2);

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let refusal = disk::refusal();
    if let Some(reason) = &refusal {
        eprintln!("outage::the_disk_of_a_broker_fills: not examined, for no disk can be had: {reason}");
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(format!("outage::{name}"), move || {
            test();
            Ok(())
        })
    };
    vec![
        trial("one_broker_is_killed_and_then_a_second_is_stopped", killed_and_stopped),
        trial("a_broker_is_frozen_and_comes_back", frozen),
        trial("the_disk_of_a_broker_fills", broker_disk).with_ignored_flag(refusal.is_some()),
    ]
}

/// Names of the built-in profiles: topics of the tests are named by them.
pub(crate) fn profiles() -> Vec<String> {
    profile::built_in().iter().map(|profile| profile.name.clone()).collect()
}

/// Starts a load with each profile and waits until all of them send.
pub(crate) fn start_loads(cluster: &Cluster, flags: &[&str]) -> Vec<(String, Running)> {
    let profiles = profiles();
    cluster.create(&profiles.iter().map(String::as_str).collect::<Vec<_>>());
    // The first transaction waits until its coordinator is there.
    cluster.create(&["first"]);
    cluster.load("first", "transactional", &["--messages", "10"]).finish(BEGIN + SLACK).exits(0);
    // One after the other, and first the transactional one, which takes longest until it sends: the time of none runs out
    // while another has not begun.
    let started = profiles.into_iter().rev().map(|name| {
        let mut load = cluster.load(&name, &name, flags);
        load.wait_for_messages("load", BEGIN);
        (name, load)
    });
    let mut loads: Vec<_> = started.collect();
    for (name, load) in &mut loads {
        assert!(load.is_running(), "{name} was over before anything was done to it");
    }
    loads
}

/// Every message is one of these.
pub(crate) fn check_sum(Counts { sent, acknowledged, failed, indeterminate, open, .. }: Counts) {
    assert_eq!(sent, acknowledged + failed + indeterminate + open);
}

/// Whether the brokers confirmed with acks=all.
fn is_safe(report: &LoadReport) -> bool {
    report.promise.basis.acks == ackmark_schema::promise::Acks::All
}

/// What must hold of a run with one broker gone: the verdict, and nothing acknowledged is lost.
pub(crate) fn check_held(load: &LoadReport, report: &VerifyReport) {
    assert_eq!(report.ledger.reserved, load.total.sent);
    assert_eq!(report.ledger.acknowledged, load.total.acknowledged);
    assert!(report.scans.iter().all(|scan| scan.complete), "{:#?}", report.scans);
    if is_safe(load) {
        assert!(load.total.acknowledged > 0, "{:?}", load.total);
        assert_eq!(found(report, Class::Lost), Some(0), "{}", report.reason);
        assert_eq!(report.verdict, Verdict::Held, "{}", report.reason);
    } else {
        assert!(report.verdict.is_held(), "{}", report.reason);
    }
}

/// A load completes with one broker gone. With transactions it may fail when that broker is `frozen`: librdkafka waits
/// for an answer for a minute, as long as a transaction may take, and then has to end it with the same brokers.
pub(crate) fn check_ending(run: Run, report: &LoadReport, frozen: bool) {
    if frozen && report.promise.basis.transactional && report.ending == Ending::Failed {
        let told = run.exits(1).stdout;
        assert!(told.contains(" the transaction: "), "{told}");
    } else {
        run.exits(0);
        assert_eq!(report.ending, Ending::Completed);
    }
}

/// Waits for the loads, closes their logs and accounts for them, all within their bounds.
pub(crate) fn end_and_judge(cluster: &Cluster, loads: Vec<(String, Running)>, bound: Duration, frozen: bool) {
    for (name, load) in loads {
        let run = load.finish(bound + SLACK);
        let report = cluster.load_report(&name);
        check_ending(run, &report, frozen);
        check_sum(report.total);
        cluster.run_on(&name, "seal", &[], SEAL).exits(0);
        cluster.run_on(&name, "verify", &[], VERIFY).exits(0);
        check_held(&report, &cluster.verify_report(&name));
    }
}

fn killed_and_stopped() {
    let cluster = Cluster::start(&[]);
    cluster.create(&["stopped"]);
    let loads = start_loads(&cluster, &STEADY);
    cluster.signal(VICTIM, Signal::KILL);
    end_and_judge(&cluster, loads, DURATION + DRAIN, false);
    let trouble = &cluster.load_report("idempotent").trouble;
    let told = |trouble: &ackmark_schema::result::Warning| {
        trouble.what.contains("Connection refused") && trouble.cure.contains("check that the brokers run")
    };
    assert!(trouble.iter().any(told), "{trouble:?}");

    // Below min.insync.replicas brokers take nothing with acks=all.
    cluster.signal(SECOND_VICTIM, Signal::TERM);
    cluster.wait_for_end(VICTIM);
    let short = ["--rate", "300/s", "--duration", "4s", "--drain-timeout", "3s", "--no-seal"];
    let load = cluster.load("stopped", "idempotent", &short);
    load.finish(Duration::from_secs(4 + 3 + 5) + SLACK).exits(0);
    let report = cluster.load_report("stopped");
    check_sum(report.total);
    assert_eq!(report.total.failed, 0, "a time that is over is no proof: {:?}", report.total);
    assert!(report.total.open > 0, "{:?}", report.total);
    let trouble = &report.trouble[0];
    assert!(trouble.what.contains("min.insync.replicas=2") && trouble.cure.contains("brokers back"), "{trouble:?}");
    cluster.run_on("stopped", "seal", &["--timeout", "3s"], Duration::from_secs(3 + 5)).exits(4);
    let SealState::Unsealed { reason } = cluster.seal_report("stopped").state else { panic!("it was sealed") };
    // Which of the two it is depends on whether the last broker led the partition before.
    let sentinel = reason.contains("_TIMED_OUT; 1 of its 3 replicas are in sync: bring the brokers back");
    let offsets = reason.contains("OFFSET_NOT_AVAILABLE") && reason.contains("bring brokers and replicas back");
    assert!(sentinel || offsets, "{reason}");
    cluster.run_on("stopped", "verify", &[], VERIFY).exits(4);
    let verdict = cluster.verify_report("stopped");
    assert_eq!((verdict.verdict, found(&verdict, Class::Lost)), (Verdict::Inconclusive, None));
    assert_eq!(verdict.ledger.reserved, report.total.sent);
    assert!(verdict.reason.contains(&reason), "{} does not say {reason}", verdict.reason);
}

fn frozen() {
    let cluster = Cluster::start(&[]);
    // With the clients' own timeouts it would take half a minute until another leader is asked.
    let soon = ["-X", "request.timeout.ms=3000", "-X", "socket.timeout.ms=5000"];
    let loads = start_loads(&cluster, &[&STEADY[..], &soon].concat());
    cluster.signal(VICTIM, Signal::STOP);
    // All of it while the broker is frozen.
    for (name, load) in loads {
        load.finish(DURATION + DRAIN + SLACK).exits(0);
        check_sum(cluster.load_report(&name).total);
        cluster.run_on(&name, "seal", &[], SEAL).exits(0);
        cluster.run_on(&name, "verify", &["-X", "socket.timeout.ms=5000"], VERIFY).exits(0);
        check_held(&cluster.load_report(&name), &cluster.verify_report(&name));
    }
    // What it still held in its socket must not come after all.
    cluster.signal(VICTIM, Signal::CONT);
    cluster.admin().wait_until_ready("idempotent", Duration::from_mins(1)).unwrap();
    for name in ["idempotent", "transactional"] {
        cluster.run_on(name, "verify", &[], VERIFY).exits(0);
        check_held(&cluster.load_report(name), &cluster.verify_report(name));
    }
}

/// A broker whose disk is full ends by itself, like one that is killed.
fn broker_disk() {
    let folder = tempfile::tempdir().unwrap();
    disk::mount(folder.path(), "48m");
    let cluster = Cluster::start(&[(VICTIM, folder.path().to_owned())]);
    cluster.create(&["filling"]);
    let flags = ["--messages", "100k", "--size", "1KiB", "--duration", "2m", "--drain-timeout", "1m", "--no-seal"];
    let load = cluster.load("filling", "idempotent", &flags);
    let said = cluster.wait_for_end(VICTIM);
    assert!(said.contains(&format!("all log dirs in {}", folder.path().display())), "{said}");
    load.finish(Duration::from_mins(3) + SLACK).exits(0);
    cluster.run_on("filling", "seal", &[], SEAL).exits(0);
    cluster.run_on("filling", "verify", &[], VERIFY).exits(0);
    check_held(&cluster.load_report("filling"), &cluster.verify_report("filling"));
    drop(cluster);
    assert!(fs::read_dir(folder.path()).unwrap().next().is_some(), "what is on a disk of its own stays");
}
