//! System calls, counted by `strace`: some per run of messages, none per message. The send and the delivery thread of a
//! load, whose calls are ours and those that librdkafka makes in its functions; and all of a verifying process, which
//! reads the log by itself.
//!
//! glibc enlarges a thread's heap by a call for every page, some twenty messages of librdkafka's, until it holds what may
//! be outstanding; then no more. So little may be outstanding here: the rest of the run shows what a long one does.

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Arc};

use libtest_mimic::Trial;

use crate::{
    common::{self, finish},
    kafka::Kafka,
    trial,
};

const MESSAGES: u64 = 300_000;
const OUTSTANDING: &str = "20k";
/// As few as to tell calls by the run, of up to 1,000 messages, from calls by the message.
const MESSAGES_PER_CALL: u64 = 50;
/// Waits for a lock of librdkafka's that another of its threads holds: how many there are is for the scheduler to say, and on
/// a machine with more to do than processors for it they were one per 42 messages.
const MESSAGES_PER_WAIT: u64 = 10;

pub(crate) fn trials(kafka: &Arc<Kafka>) -> Vec<Trial> {
    // Without strace, or where nothing may be traced, this is not examined: it shows as ignored.
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let can_trace = traced.is_ok_and(|output| output.status.success());
    let test = trial(kafka, "syscalls::none_is_per_message_while_sending_reporting_and_reading", none_is_per_message);
    vec![test.with_ignored_flag(!can_trace)]
}

/// System calls by name, and how often each was made.
type Calls = BTreeMap<String, u64>;

/// Runs ackmark under strace; its system calls by the name of the thread, as it was at the thread's end.
fn calls(folder: &Path, arguments: &[&str]) -> BTreeMap<String, Calls> {
    let traces = tempfile::tempdir().unwrap();
    let ackmark = common::ackmark(folder);
    let mut command = Command::new("strace");
    command.current_dir(folder).args(["-ff", "-o"]).arg(traces.path().join("trace")).arg(ackmark.get_program());
    for (name, value) in ackmark.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    finish(command.args(arguments)).exits(0);
    let mut threads: BTreeMap<String, Calls> = BTreeMap::new();
    for file in fs::read_dir(traces.path()).unwrap() {
        let trace = fs::read_to_string(file.unwrap().path()).unwrap();
        let named = trace.lines().rev().find_map(|line| line.strip_prefix("prctl(PR_SET_NAME, \"")?.split('"').next());
        let calls = threads.entry(named.unwrap_or("").to_owned()).or_default();
        // What ends a thread and signals are lines of their own.
        for line in trace.lines().filter(|line| !line.starts_with("+++") && !line.starts_with("---")) {
            *calls.entry(line.split('(').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    threads
}

fn check_few<'c>(what: &str, calls: impl Iterator<Item = &'c Calls> + Clone) {
    let all: u64 = calls.clone().flat_map(BTreeMap::values).sum();
    let waits: u64 = calls.clone().filter_map(|of_it| of_it.get("futex")).sum();
    let are_few = all - waits < MESSAGES / MESSAGES_PER_CALL && waits < MESSAGES / MESSAGES_PER_WAIT;
    assert!(all > 10 && are_few, "{what}: {:?}", calls.collect::<Vec<_>>());
}

fn none_is_per_message(kafka: &Kafka) {
    let folder = tempfile::tempdir().unwrap();
    let (servers, count) = (kafka.servers(), MESSAGES.to_string());
    for profile in ["all-acks", "idempotent"] {
        let (topic, out) = (format!("syscalls-{profile}"), profile);
        let asked =
            ["load", "-b", &servers, "-t", &topic, "--create-topic", "6", "--profile", profile, "--size", "100B"];
        let bounds = ["--messages", &count, "--outstanding", OUTSTANDING, "--out", out, "--yes"];
        let load = calls(folder.path(), &[&asked[..], &bounds].concat());
        for thread in ["ackmark-send-0", "ackmark-report"] {
            let (_, of_it) = load.iter().find(|(name, _)| name.starts_with(thread)).unwrap();
            check_few(&format!("{profile}, {thread}"), [of_it].into_iter());
        }
        let verify = calls(folder.path(), &["verify", out, "-b", &servers]);
        check_few(&format!("{profile}, verify"), verify.values());
    }
}
