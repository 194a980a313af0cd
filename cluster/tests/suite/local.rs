//! Real clusters: start, use, stop, and what becomes of them when their parent dies.

use std::{fs, path::Path, process::Stdio, time::Duration};

use crate::common::{Killed, child, home, home_of_child, is_alive, one_at_a_time, options, wait_until};
use ackmark_client::{AdminClient, ClientProperties, LogSink, admin::NewTopic};
use ackmark_cluster::{
    Cluster, ClusterError, Local, LocalOptions, Settings,
    local::{BROKER_IDS, KAFKA_VERSION, kept},
};
use ackmark_schema::{properties::Origin, result::Provider};

const SOON: Duration = Duration::from_secs(20);

fn silent(_: &str) {}

#[test]
fn a_measured_cluster_starts_serves_replicated_topics_and_leaves_nothing() {
    let _turn = one_at_a_time();
    let home = home();
    let options = LocalOptions { settings: Settings::Measured, ..options(home.path()) };
    let cluster = Cluster::Local(Local::start(&options, &silent).unwrap());

    let facts = cluster.facts().unwrap();
    assert_eq!(facts.provider, Provider::Local);
    assert_eq!(facts.kafka_version.as_deref(), Some(KAFKA_VERSION));
    assert_eq!(facts.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>(), BROKER_IDS);
    assert_eq!(facts.configs["min.insync.replicas"], "2");
    assert_eq!(facts.configs["unclean.leader.election.enable"], "false");
    // Kafka's default: measured shortens no timeout.
    assert_eq!(facts.configs["replica.lag.time.max.ms"], "30000");

    let admin = AdminClient::new(&cluster.client_properties(), LogSink::discard()).unwrap();
    let topic = NewTopic {
        name: "ackmark-test".to_owned(),
        partitions: 3,
        replication_factor: -1,
        assignment: Vec::new(),
        configs: Vec::new(),
    };
    let topic = admin.create_topic(&topic, SOON).unwrap();
    assert_eq!(topic.replication_factor(), 3);
    let Cluster::Local(local) = cluster else { unreachable!() };
    assert_eq!(facts.cluster_id.as_deref(), Some(local.cluster_id()));

    for process in local.processes() {
        // A JVM that finds the archive unfit says so and starts twice as slowly.
        let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid)).unwrap();
        assert!(maps.contains("/kafka.jsa"), "{} {} does not use the archive of classes", process.role, process.id);
        let console = fs::read_to_string(process.log.with_file_name("console.log")).unwrap();
        assert_eq!(console, "", "{} {}", process.role, process.id);
    }

    let all = local.cpu().unwrap().total_s();
    let broker = local.cpu_of(1).unwrap().total_s();
    assert!(broker > 0.1 && all > 3.0 * broker / 2.0, "all {all} s, broker 1 {broker} s");
    let pids: Vec<_> = local.processes().iter().map(|process| process.pid).collect();
    assert_eq!(pids.len(), 4);
    let folder = local.folder().to_owned();
    eprintln!("started in {:.2} s", local.started_in().as_secs_f64());
    local.stop().unwrap();
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert!(!folder.exists());
}

#[test]
fn a_broker_that_dies_while_it_runs_is_noticed_with_its_log() {
    let _turn = one_at_a_time();
    let home = home();
    let local = Local::start(&options(home.path()), &silent).unwrap();
    local.check().unwrap();
    assert!(local.cpu().is_some());
    let broker = local.brokers().into_iter().find(|broker| broker.id == 2).unwrap();
    let pid = rustix::process::Pid::from_raw(broker.pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_until("its end is seen", SOON, || local.check().is_err());
    let error = local.check().unwrap_err();
    let ClusterError::NodeLost { status, end } = &error else { panic!("{error}") };
    assert!(status.starts_with("signal 9") && end.node == "broker 2" && end.tail.contains("INFO"), "{error}");
    assert!(error.to_string().starts_with("broker 2 has ended during the run (signal 9"), "{error}");
    // A sum without it would be too small.
    assert!(local.cpu().is_none() && local.cpu_of(2).is_none() && local.cpu_of(1).is_some());
    let folder = local.folder().to_owned();
    local.stop().unwrap();
    assert!(!folder.exists());
}

#[test]
#[ignore = "a child process of the next test"]
fn child_with_a_cluster() {
    let local = Local::start(&options(&home_of_child()), &silent).unwrap();
    let pids: Vec<_> = local.processes().iter().map(|process| process.pid.to_string()).collect();
    let file = home_of_child().join("pids");
    fs::write(file.with_extension("new"), pids.join(" ")).unwrap();
    fs::rename(file.with_extension("new"), &file).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
#[ignore = "a child process of the next test"]
fn child_that_keeps_a_cluster() {
    let mut said = Vec::new();
    let said_ref = std::cell::RefCell::new(&mut said);
    kept::up(&options(&home_of_child()), &|line| said_ref.borrow_mut().push(line.to_owned())).unwrap();
    assert!(said.iter().any(|line| line.contains("left behind")), "{said:?}");
}

#[test]
fn a_killed_parent_leaves_no_jvm_and_a_kept_cluster_outlives_its_parent() {
    let _turn = one_at_a_time();
    let home = home();
    let pids_file = home.path().join("pids");

    // Killed by SIGKILL, which no handler sees.
    let mut parent = Killed(child("local::child_with_a_cluster", home.path()).stdout(Stdio::null()).spawn().unwrap());
    wait_until("the child's cluster is up", Duration::from_mins(1), || pids_file.exists());
    let pids: Vec<u32> = fs::read_to_string(&pids_file).unwrap().split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 4);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    parent.0.kill().unwrap();
    parent.0.wait().unwrap();
    wait_until("all JVMs are gone", SOON, || pids.iter().all(|pid| !is_alive(*pid)));
    let left = run_folders(home.path());
    assert_eq!(left.len(), 1, "what it left is still there");
    // A killed JVM counts as dead a moment before the kernel has closed its files.
    let lock = fs::File::open(home.path().join("clusters").join(&left[0]).join("lock")).unwrap();
    wait_until("nobody holds the folder", SOON, || lock.try_lock().is_ok());
    drop(lock);

    // Keeps a cluster and ends in order; it also sweeps.
    assert!(matches!(kept::down(Some(home.path())), Err(ClusterError::NotUp { .. })));
    let status = child("local::child_that_keeps_a_cluster", home.path()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    assert!(run_folders(home.path()).is_empty(), "the next start sweeps");

    let state = kept::status(Some(home.path())).unwrap().expect("it is up");
    let _guard = Down(home.path());
    assert!(state.nodes.iter().all(ackmark_cluster::local::NodeState::is_alive));
    let properties = ClientProperties::with_bootstrap(&state.bootstrap_servers, Origin::Tool);
    let admin = AdminClient::new(&properties, LogSink::discard()).unwrap();
    assert_eq!(admin.metadata(SOON).unwrap().brokers.len(), BROKER_IDS.len());
    let logs = kept::logs(Some(home.path()), 5).unwrap();
    assert_eq!(logs.len(), 4);
    assert!(logs.iter().all(|(_, text)| text.contains("INFO")), "{logs:?}");

    let error = kept::up(&options(home.path()), &silent).unwrap_err();
    assert!(
        matches!(&error, ClusterError::AlreadyUp { bootstrap_servers } if *bootstrap_servers == state.bootstrap_servers)
    );

    kept::down(Some(home.path())).unwrap();
    assert!(state.nodes.iter().all(|node| !is_alive(node.pid)));
    assert!(kept::status(Some(home.path())).unwrap().is_none());
    assert!(!home.path().join("clusters/kept").exists());
}

/// Ends a kept cluster when a test fails.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let _ = kept::down(Some(self.0));
    }
}

fn run_folders(home: &Path) -> Vec<String> {
    let names = fs::read_dir(home.join("clusters")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("run-")).collect()
}
