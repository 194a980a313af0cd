//! What goes wrong before or during a start ends soon, with one message that names the cure.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::{child, empty_home, home, home_of_child, is_alive, one_at_a_time, options, wait_until};
use ackmark_cluster::{Cluster, ClusterError, External, Local, LocalOptions, Simulated, local::Java};

fn silent(_: &str) {}

fn start(options: &LocalOptions) -> ClusterError {
    Local::start(options, &silent).expect_err("it must not start")
}

/// Nothing is left of a failed start.
fn is_swept(home: &Path) -> bool {
    fs::read_dir(home.join("clusters")).unwrap().all(|entry| !entry.unwrap().path().is_dir())
}

#[test]
fn a_port_in_use_is_refused_before_any_jvm_starts() {
    let home = home();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = start(&LocalOptions { port: Some(port), ..options(home.path()) });
    assert!(matches!(error, ClusterError::PortInUse { port: found } if found == port), "{error}");
    assert!(is_swept(home.path()));
}

#[test]
fn a_failing_node_shows_the_end_of_its_own_log() {
    let _turn = one_at_a_time();
    let home = home();
    let overrides = vec![("log.cleaner.threads".to_owned(), "banana".to_owned())];
    let error = start(&LocalOptions { overrides, ..options(home.path()) });
    let ClusterError::NodeDied { end, .. } = &error else { panic!("{error}") };
    assert!(end.tail.contains("banana"), "{error}");
    assert!(error.to_string().contains(&end.log.display().to_string()), "{error}");
    assert!(is_swept(home.path()));
}

#[test]
fn a_broker_that_dies_is_blamed_and_not_the_controller() {
    let _turn = one_at_a_time();
    let home = home();
    // Only brokers look for this class.
    let overrides = vec![
        ("remote.log.storage.system.enable".to_owned(), "true".to_owned()),
        ("remote.log.storage.manager.class.name".to_owned(), "no.such.Store".to_owned()),
    ];
    let error = start(&LocalOptions { overrides, ..options(home.path()) });
    let ClusterError::NodeDied { end, .. } = &error else { panic!("{error}") };
    assert!(end.node.starts_with("broker"), "{error}");
    assert!(end.tail.contains("no.such.Store"), "{error}");
}

#[test]
fn a_start_that_takes_too_long_shows_what_the_brokers_wait_for() {
    let _turn = one_at_a_time();
    let home = home();
    let error = start(&LocalOptions { start_timeout: Duration::from_millis(10), ..options(home.path()) });
    let ClusterError::NotReady { missing, end, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &[1, 2, 3]);
    assert_eq!(end.node, "controller 100");
    assert!(is_swept(home.path()));
}

#[test]
fn a_start_that_is_not_wanted_any_more_ends_at_once() {
    let _turn = one_at_a_time();
    let home = home();
    let flag = Arc::new(AtomicBool::new(false));
    let options = LocalOptions { stop: Arc::clone(&flag).into(), ..options(home.path()) };
    let stopper = thread::spawn({
        let (flag, clusters) = (Arc::clone(&flag), home.path().join("clusters"));
        move || {
            // A broker's console is made just before its process.
            let begun = || {
                let runs = fs::read_dir(&clusters).into_iter().flatten().filter_map(Result::ok);
                runs.map(|run| run.path()).any(|run| run.join("broker-3/console.log").exists())
            };
            wait_until("the brokers are starting", Duration::from_secs(30), begun);
            flag.store(true, Ordering::Relaxed);
            Instant::now()
        }
    });
    let error = start(&options);
    let took = stopper.join().unwrap().elapsed();
    assert!(matches!(error, ClusterError::Interrupted), "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(is_swept(home.path()));
    // Nor does one begin that nobody wants.
    assert!(matches!(start(&options), ClusterError::Interrupted));
}

#[test]
fn a_fetch_that_is_not_wanted_any_more_ends_with_all_its_processes() {
    let home = empty_home();
    let bin = tempfile::tempdir().unwrap();
    let (mvn, pid) = (bin.path().join("mvn"), bin.path().join("pid"));
    // Copied by another process: while other threads of this one fork, what it has open for writing cannot be run.
    let text = bin.path().join("text");
    fs::write(&text, format!("#!/bin/sh\nsleep 600 &\necho $! > {}\nwait\n", pid.display())).unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").arg(&text).arg(&mvn).status().unwrap().success());
    symlink(Java::find().unwrap().program.canonicalize().unwrap(), bin.path().join("java")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let begin = Instant::now();
    let status = child("trouble::child_that_stops_a_fetch", home.path())
        .env("PATH", path)
        .env("ACKMARK_TEST_PID", &pid)
        .env_remove("JAVA_HOME")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(begin.elapsed() < Duration::from_secs(20));
    let sleeper: u32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    wait_until("what Maven had started is gone", Duration::from_secs(5), || !is_alive(sleeper));
    assert_eq!(fs::read_dir(home.path().join("jars")).unwrap().count(), 0, "half a fetch leaves nothing");
}

#[test]
#[ignore = "a child process of the test before"]
fn child_that_stops_a_fetch() {
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&flag).into();
    let options = LocalOptions { kafka_home: None, stop, ..options(&home_of_child()) };
    let pid = std::path::PathBuf::from(std::env::var_os("ACKMARK_TEST_PID").unwrap());
    thread::spawn(move || {
        wait_until("Maven runs", Duration::from_secs(10), || fs::metadata(&pid).is_ok_and(|file| file.len() > 1));
        flag.store(true, Ordering::Relaxed);
    });
    assert!(matches!(start(&options), ClusterError::Interrupted));
}

#[test]
fn a_version_that_does_not_exist_shows_what_maven_said() {
    let home = empty_home();
    let options = LocalOptions { version: Some("4.3.1-nonsense".to_owned()), kafka_home: None, ..options(home.path()) };
    let error = start(&options);
    let ClusterError::Fetch { version, tail, .. } = &error else { panic!("{error}") };
    assert_eq!(version, "4.3.1-nonsense");
    assert!(tail.contains("4.3.1-nonsense"), "{tail}");
    assert_eq!(fs::read_dir(home.path().join("jars")).unwrap().count(), 0, "half a fetch leaves nothing");
}

#[test]
#[ignore = "a child process of the next tests"]
fn child_that_prints_why_it_cannot_start() {
    let options = LocalOptions { kafka_home: None, ..options(&home_of_child()) };
    fs::write(home_of_child().join("error"), start(&options).to_string()).unwrap();
}

fn error_with_path(path: &Path) -> String {
    let home = empty_home();
    let status = child("trouble::child_that_prints_why_it_cannot_start", home.path())
        .env("PATH", path)
        .env_remove("JAVA_HOME")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    fs::read_to_string(home.path().join("error")).unwrap()
}

#[test]
fn without_java_the_message_says_how_to_get_it() {
    let nothing = tempfile::tempdir().unwrap();
    let message = error_with_path(nothing.path());
    assert!(message.contains("no Java was found") && message.contains("default-jre-headless"), "{message}");
}

#[test]
fn without_maven_the_message_says_how_to_get_it() {
    let only_java = tempfile::tempdir().unwrap();
    symlink(Java::find().unwrap().program.canonicalize().unwrap(), only_java.path().join("java")).unwrap();
    let message = error_with_path(only_java.path());
    assert!(message.contains("Maven (mvn) was not found") && message.contains("KAFKA_HOME"), "{message}");
}

#[test]
fn nobody_at_an_address_is_told_in_bounded_time() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let begin = Instant::now();
    let error = External::new(&closed.to_string(), None, &[]).unwrap().check().unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let message = error.to_string();
    assert!(message.contains(&closed.to_string()) && message.contains("check the address"), "{message}");
}

#[test]
fn a_simulated_cluster_is_reached_by_its_address_and_says_what_it_is() {
    let cluster = Cluster::Simulated(Simulated::start().unwrap());
    assert!(cluster.is_simulated() && cluster.is_ours());
    let facts = cluster.facts().unwrap();
    assert_eq!(facts.provider, ackmark_schema::result::Provider::Simulated);
    assert_eq!(facts.brokers.len(), 3);
    // By its address alone, as a child process would.
    External::new(&cluster.bootstrap_servers(), None, &[]).unwrap().check().unwrap();
}
