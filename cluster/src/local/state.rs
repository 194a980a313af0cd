//! What a kept cluster leaves for later commands: `state.json` in its folder.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    Local,
    node::{NodeProcess, start_time_ticks},
    security::SecureListener,
    topology::Role,
};
use crate::error::ClusterError;

const FILE: &str = "state.json";
const VERSION: u32 = 1;

/// A kept cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's format.
    pub version: u32,
    /// `host:port,…` for clients.
    pub bootstrap_servers: String,
    /// Its id.
    pub cluster_id: String,
    /// Kafka's version.
    pub kafka_version: String,
    /// Java's version.
    pub java_version: String,
    /// Name of its settings.
    pub settings: String,
    /// Seconds since 1970 at its start.
    pub started_at_unix_s: u64,
    /// Its nodes.
    pub nodes: Vec<NodeState>,
    /// Its listeners with TLS or SASL, if it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secure_listeners: Vec<SecureListener>,
}

/// A node of a kept cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// `node.id`.
    pub id: i32,
    /// What it does.
    pub role: Role,
    /// The port of its listener for clients.
    pub port: u16,
    /// Its process.
    pub pid: u32,
    /// When the kernel started it, clock ticks since boot: another process that gets the same pid later has another.
    pub start_time_ticks: u64,
    /// Its log.
    pub log: PathBuf,
}

impl NodeState {
    /// Whether this very process lives.
    pub fn is_alive(&self) -> bool {
        start_time_ticks(self.pid) == Some(self.start_time_ticks)
    }
}

impl State {
    /// Each `host:port` that clients may use, whatever is spoken there.
    pub fn all_servers(&self) -> impl Iterator<Item = &str> {
        let secure = self.secure_listeners.iter().map(|listener| &listener.bootstrap_servers);
        std::iter::once(&self.bootstrap_servers).chain(secure).flat_map(|servers| servers.split(','))
    }

    pub(super) fn of(local: &Local) -> Self {
        let node = |process: &NodeProcess| NodeState {
            id: process.node.id,
            role: process.node.role,
            port: process.node.port,
            pid: process.pid(),
            // 0 when it has ended already: no process has that.
            start_time_ticks: process.start_time_ticks().unwrap_or(0),
            log: process.node.log(),
        };
        Self {
            version: VERSION,
            bootstrap_servers: local.bootstrap_servers(),
            cluster_id: local.cluster_id.clone(),
            kafka_version: local.kafka_version.clone(),
            java_version: local.java_version.clone(),
            settings: local.settings.name().to_owned(),
            started_at_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            nodes: local.nodes.iter().map(node).collect(),
            secure_listeners: local.secure_listeners.clone(),
        }
    }

    /// Written to another name and renamed, so that a reader finds it whole.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ClusterError> {
        let (file, new) = (folder.join(FILE), folder.join("state.json.new"));
        let text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &file))
            .map_err(ClusterError::io(format!("write {}", file.display())))
    }

    /// `None`: there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, ClusterError> {
        let file = folder.join(FILE);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(ClusterError::io(format!("read {}", file.display())))?,
        };
        let invalid = |reason: String| ClusterError::Io {
            what: format!("understand {} ({reason}); end its processes by hand and remove the folder", file.display()),
            source: std::io::ErrorKind::InvalidData.into(),
        };
        let state: Self = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if state.version != VERSION {
            return Err(invalid(format!("its version is {}, this ackmark knows {VERSION}", state.version)));
        }
        Ok(Some(state))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::security::Protocol, *};

    fn state(pid: u32, start_time_ticks: u64) -> State {
        State {
            version: VERSION,
            bootstrap_servers: "127.0.0.1:19092".to_owned(),
            cluster_id: "ASNFZ4mrTe-BI0VniavN7w".to_owned(),
            kafka_version: "4.3.1".to_owned(),
            java_version: "17.0.15".to_owned(),
            settings: "measured".to_owned(),
            started_at_unix_s: 1_795_000_000,
            nodes: vec![NodeState {
                id: 1,
                role: Role::Broker,
                port: 19092,
                pid,
                start_time_ticks,
                log: "/k/broker-1/server.log".into(),
            }],
            secure_listeners: vec![SecureListener {
                protocol: Protocol::SaslSsl,
                bootstrap_servers: "127.0.0.1:19093".to_owned(),
                client_properties: "/k/security/sasl_ssl.properties".into(),
            }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::read(folder.path()).unwrap(), None);
        let state = state(1, 2);
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path()).unwrap(), Some(state));
    }

    #[test]
    fn another_version_or_half_a_file_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut other = state(1, 2);
        other.version = 9;
        other.write(folder.path()).unwrap();
        let message = State::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("its version is 9") && message.contains(FILE), "{message}");
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(State::read(folder.path()).is_err());
    }

    #[test]
    fn a_recycled_pid_is_another_process() {
        let me = std::process::id();
        let ticks = start_time_ticks(me).unwrap();
        assert!(state(me, ticks).nodes[0].is_alive());
        assert!(!state(me, ticks + 1).nodes[0].is_alive());
    }
}
