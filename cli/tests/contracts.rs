//! A whole run on the simulated cluster, without Java: it ends soon, says that it is simulated, comes to no
//! verdict, and everything that it leaves is what the committed schemas say.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    thread,
};

use ackmark_bench::Progress;
use ackmark_schema::{
    report::{Ending, verify::Verdict},
    result::{Provider, RunResult},
};
use common::run;
use rustix::process::{Pid, Signal, kill_process};

/// Validates a file against a contract's schema.
#[track_caller]
fn follows_schema(file: &Path, name: &str) {
    let schemas = ackmark_schema::export::schemas();
    let (_, schema) = schemas.iter().find(|(known, _)| *known == name).unwrap();
    let contents = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(schema.as_value()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&contents).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", file.display());
}

#[test]
fn a_simulated_run_proves_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["bench", "quick", "--simulated", "--progress", "none", "--seed", "7"];
    let human = run(folder.path(), &arguments).exits(4);
    assert!(human.stdout.contains("SIMULATED"), "{}", human.stdout);
    let results: Vec<_> =
        fs::read_dir(folder.path().join("results")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(results.len(), 1);
    let on_disk = &results[0];
    follows_schema(&on_disk.join("result.json"), "result");
    let result: RunResult = serde_json::from_str(&fs::read_to_string(on_disk.join("result.json")).unwrap()).unwrap();
    assert_eq!(result.cluster.provider, Provider::Simulated);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert_eq!(result.verdicts.len(), 5);
    assert!(result.verdicts.iter().all(|verdict| verdict.verdict == Verdict::Inconclusive));
    assert_eq!(result.scenario.seed, Some(7));
    assert_eq!(result.trials.len() as u32, result.trials_planned);
    for trial in &result.trials {
        let trial = on_disk.join(&trial.folder);
        for (file, name) in [
            ("load.json", "load"),
            ("seal.json", "seal"),
            ("verify.json", "verify"),
            ("timeline.json", "timeline"),
            ("manifest.json", "manifest"),
        ] {
            follows_schema(&trial.join(file), name);
        }
    }
    let readme = fs::read_to_string(on_disk.join("README.md")).unwrap();
    assert!(readme.to_lowercase().contains("simulated"), "{readme}");
    assert!(on_disk.join("charts/verdicts.svg").is_file());

    // The result can be drawn again and printed in another form.
    run(folder.path(), &["chart", on_disk.to_str().unwrap(), "--out", "again"]).exits(0);
    assert!(folder.path().join("again/verdicts.png").is_file());
}

/// Reads a child's events until one of that name has come.
fn wait_for(events: &mut impl BufRead, name: &str) {
    let mut line = String::new();
    while !line.contains(&format!("\"event\":\"{name}\"")) {
        line.clear();
        assert_ne!(events.read_line(&mut line).unwrap(), 0, "it ended before {name}");
    }
}

#[test]
fn ctrl_c_leaves_the_trials_that_were_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = common::ackmark(folder.path())
        .args(["bench", "quick", "--simulated", "--progress", "json", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut events, "trial-ended");
    wait_for(&mut events, "trial");
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    // It must not wait for a reader.
    let rest = thread::spawn(move || std::io::copy(&mut events, &mut std::io::sink()));
    let output = child.wait_with_output().unwrap();
    rest.join().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let result: RunResult = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result.ending, Ending::Interrupted);
    assert!((result.trials.len() as u32) < result.trials_planned);
    assert_eq!(result.trials[0].ending, Ending::Completed);
    let on_disk = fs::read_dir(folder.path().join("results")).unwrap().next().unwrap().unwrap().path();
    follows_schema(&on_disk.join("result.json"), "result");
}

#[test]
fn a_plan_is_printed_without_running_anything() {
    let folder = tempfile::tempdir().unwrap();
    let plan = run(folder.path(), &["bench", "quick", "--dry-run", "--seed", "1"]).exits(0);
    insta::assert_snapshot!("plan-quick", plan.stdout);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What a child says is what its parent reads.
#[test]
fn progress_lines_are_read_by_the_bench() {
    for line in [
        r#"{"event":"load","elapsed_s":1.0,"messages":10,"rate_per_s":10.0,"errors":0,"outstanding":3,"p99_us":null}"#,
        r#"{"event":"verify","elapsed_s":1.0,"messages":10,"expected":100,"rate_per_s":10.0}"#,
    ] {
        serde_json::from_str::<Progress>(line).unwrap();
    }
}
