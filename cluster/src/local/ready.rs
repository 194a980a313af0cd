//! When a started cluster may be used: the admin API lists every broker. And who is to blame when it does not.

use std::{
    thread,
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientProperties, LogSink};
use ackmark_schema::properties::Origin;

use super::{
    node::NodeProcess,
    stop::Stop,
    topology::{BROKER_IDS, Role, Topology},
};
use crate::error::ClusterError;

/// A single question to the admin API; between two of them processes are looked at.
const ASK_MAX: Duration = Duration::from_millis(400);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until all brokers are listed.
pub(super) fn wait(
    topology: &Topology,
    nodes: &mut [NodeProcess],
    timeout: Duration,
    stop: &Stop,
) -> Result<(), ClusterError> {
    let servers = topology.bootstrap_servers();
    let admin = admin(&servers)?;
    let start = Instant::now();
    let mut missing = BROKER_IDS.to_vec();
    loop {
        stop.check()?;
        if let Some(error) = first_dead(nodes)? {
            return Err(error);
        }
        let last = match admin.metadata(ASK_MAX) {
            Ok(found) => {
                let is_there = |id: &i32| found.brokers.iter().any(|broker| broker.id == *id);
                missing = BROKER_IDS.into_iter().filter(|id| !is_there(id)).collect();
                if missing.is_empty() {
                    return Ok(());
                }
                format!("{} of {} brokers", found.brokers.len(), BROKER_IDS.len())
            }
            Err(error) => error.to_string(),
        };
        if start.elapsed() > timeout {
            return Err(not_ready(nodes, missing, last, timeout));
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn admin(servers: &str) -> Result<AdminClient, ClusterError> {
    let mut properties = ClientProperties::with_bootstrap(servers, Origin::Tool);
    // Brokers that are not up yet refuse connections: ask again soon.
    properties.set("reconnect.backoff.ms", "50", Origin::Tool).set("reconnect.backoff.max.ms", "150", Origin::Tool);
    AdminClient::new(&properties, LogSink::discard())
        .map_err(|error| ClusterError::Unreachable { servers: servers.to_owned(), reason: error.to_string() })
}

/// The error of a node that has ended. Brokers end by themselves when their controller does, so it is asked first.
fn first_dead(nodes: &mut [NodeProcess]) -> Result<Option<ClusterError>, ClusterError> {
    for process in nodes {
        if let Some(status) = process.ended()? {
            return Ok(Some(ClusterError::NodeDied { status: status.to_string(), end: Box::new(process.log_end()) }));
        }
    }
    Ok(None)
}

fn not_ready(nodes: &[NodeProcess], missing: Vec<i32>, last: String, timeout: Duration) -> ClusterError {
    // When no broker at all is there, what they wait for is the controller.
    let all = missing.len() == BROKER_IDS.len();
    let to_blame = |process: &&NodeProcess| {
        if all { process.node.role == Role::Controller } else { missing.contains(&process.node.id) }
    };
    let process = nodes.iter().find(to_blame).expect("there is a process for each node");
    ClusterError::NotReady { missing, waited_s: timeout.as_secs(), last, end: Box::new(process.log_end()) }
}
