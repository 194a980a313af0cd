//! Three brokers and a dedicated controller on loopback: who is who, and each node's `server.properties`.
//!
//! Clients use EXTERNAL, brokers among themselves INTERNAL, so that a proxy can stand before the clients alone. Secure
//! listeners ([`super::security`]) come on top.

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    security::{Protocol, Security},
    settings::Settings,
};
use crate::error::ClusterError;

/// Ids of the brokers.
pub const BROKER_IDS: [i32; 3] = [1, 2, 3];
/// Id of the controller.
pub const CONTROLLER_ID: i32 = 100;
/// Ports that a cluster needs: two per broker, one for the controller.
pub(super) const PORTS: usize = BROKER_IDS.len() * 2 + 1;
/// Ports that secure listeners need on top.
pub(super) const SECURE_PORTS: usize = BROKER_IDS.len() * Protocol::ALL.len();

const PROTOCOL_MAP: &str = "listener.security.protocol.map";

/// Server properties that are the same on all nodes and follow from the topology.
pub const LISTENER_PROPERTIES: [(&str, &str); 3] = [
    ("controller.listener.names", "CONTROLLER"),
    (PROTOCOL_MAP, "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT"),
    ("inter.broker.listener.name", "INTERNAL"),
];

/// Server properties that differ from node to node.
pub const NODE_PROPERTIES: [&str; 6] =
    ["process.roles", "node.id", "listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"];

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Holds partitions and serves clients.
    Broker,
    /// Holds the cluster's metadata.
    Controller,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
        })
    }
}

/// One node to be.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: i32,
    pub(super) role: Role,
    /// The port that clients use; for the controller its only one.
    pub(super) port: u16,
    /// The port that other brokers use; absent on the controller.
    pub(super) internal_port: Option<u16>,
    /// The ports of its secure listeners, in the order of [`Protocol::ALL`]; none where there are none.
    pub(super) secure_ports: Vec<u16>,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Where its data goes, unless into its folder.
    pub(super) disk: Option<PathBuf>,
}

impl Node {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.role, self.id)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// What the JVM itself says: before logging works, and when it dies.
    pub(super) fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.disk.as_ref().unwrap_or(&self.folder).join("data")
    }

    pub(super) fn properties_file(&self) -> PathBuf {
        self.folder.join("server.properties")
    }
}

/// All nodes, the controller first: brokers wait for it.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    pub(super) nodes: Vec<Node>,
}

impl Topology {
    /// Lays nodes out in `folder`. `ports` are those for clients (one per broker), `inner` the other ones.
    pub(super) fn new(folder: &Path, ports: &[u16], inner: &[u16]) -> Self {
        let controller = Node {
            id: CONTROLLER_ID,
            role: Role::Controller,
            port: inner[BROKER_IDS.len()],
            internal_port: None,
            secure_ports: Vec::new(),
            folder: folder.join(format!("controller-{CONTROLLER_ID}")),
            disk: None,
        };
        let brokers = BROKER_IDS.iter().zip(ports.iter().zip(inner)).map(|(&id, (&port, &internal))| Node {
            id,
            role: Role::Broker,
            port,
            internal_port: Some(internal),
            secure_ports: Vec::new(),
            folder: folder.join(format!("broker-{id}")),
            disk: None,
        });
        Self { nodes: std::iter::once(controller).chain(brokers).collect() }
    }

    /// Puts the data of some nodes on disks of their own.
    pub(super) fn on_disks(mut self, disks: &[(i32, PathBuf)]) -> Self {
        for node in &mut self.nodes {
            node.disk = disks.iter().find(|(id, _)| *id == node.id).map(|(_, disk)| disk.clone());
        }
        self
    }

    /// Adds secure listeners on these ports, [`SECURE_PORTS`] of them.
    #[must_use]
    pub(super) fn with_secure_ports(mut self, ports: &[u16]) -> Self {
        let brokers = self.nodes.iter_mut().filter(|node| node.role == Role::Broker);
        for (broker, ports) in brokers.zip(ports.chunks(Protocol::ALL.len())) {
            broker.secure_ports = ports.to_vec();
        }
        self
    }

    pub(super) fn brokers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role == Role::Broker)
    }

    pub(super) fn bootstrap_servers(&self) -> String {
        let servers: Vec<_> = self.brokers().map(|broker| format!("127.0.0.1:{}", broker.port)).collect();
        servers.join(",")
    }

    /// The text of a node's `server.properties`. Later lines win, so `overrides` come last.
    pub(super) fn properties(
        &self,
        node: &Node,
        settings: Settings,
        security: Option<&Security>,
        overrides: &[(String, String)],
    ) -> String {
        let mut lines: Vec<(&str, String)> = vec![
            ("process.roles", node.role.to_string()),
            ("node.id", node.id.to_string()),
            ("controller.quorum.voters", self.voters()),
            ("log.dirs", node.data().display().to_string()),
        ];
        let mut listeners = match node.internal_port {
            Some(internal) => format!("INTERNAL://127.0.0.1:{internal},EXTERNAL://127.0.0.1:{}", node.port),
            None => format!("CONTROLLER://127.0.0.1:{}", node.port),
        };
        for (protocol, port) in Protocol::ALL.iter().zip(&node.secure_ports) {
            write!(listeners, ",{}://127.0.0.1:{port}", protocol.name()).expect("writing to a String never fails");
        }
        if node.role == Role::Broker {
            lines.push(("advertised.listeners", listeners.clone()));
        }
        lines.push(("listeners", listeners));
        let shared = LISTENER_PROPERTIES.into_iter().chain(settings.properties());
        lines.extend(
            shared
                // A dedicated controller has no INTERNAL listener, and Kafka refuses a name without one.
                .filter(|(name, _)| node.role == Role::Broker || *name != "inter.broker.listener.name")
                .map(|(name, value)| (name, value.to_owned())),
        );
        let secure = match security {
            Some(security) if node.role == Role::Broker => security.server_properties(),
            _ => Vec::new(),
        };
        if !secure.is_empty() {
            lines.push((PROTOCOL_MAP, protocols_with_secure_ones()));
        }
        lines.extend(secure.iter().chain(overrides).map(|(name, value)| (name.as_str(), value.clone())));

        let mut text = String::new();
        for (name, value) in lines {
            // Backslash is an escape in a properties file.
            writeln!(text, "{name}={}", value.replace('\\', "\\\\")).expect("writing to a String never fails");
        }
        text
    }

    fn voters(&self) -> String {
        let voters = self.nodes.iter().filter(|node| node.role == Role::Controller);
        voters.map(|node| format!("{}@127.0.0.1:{}", node.id, node.port)).collect::<Vec<_>>().join(",")
    }
}

/// The protocols of all listeners; a secure one bears the name of what it speaks.
fn protocols_with_secure_ones() -> String {
    let plain =
        LISTENER_PROPERTIES.iter().find(|(name, _)| *name == PROTOCOL_MAP).map_or("", |(_, protocols)| protocols);
    let secure = Protocol::ALL.iter().map(|protocol| format!(",{0}:{0}", protocol.name()));
    std::iter::once(plain.to_owned()).chain(secure).collect()
}

/// Refuses overrides of what the topology itself sets.
pub(super) fn check_overrides(overrides: &[(String, String)]) -> Result<(), ClusterError> {
    let fixed = |name: &str| {
        NODE_PROPERTIES.contains(&name) || LISTENER_PROPERTIES.iter().any(|(listener, _)| *listener == name)
    };
    match overrides.iter().find(|(name, _)| fixed(name)) {
        Some((name, _)) => Err(ClusterError::Override { name: name.clone() }),
        None => Ok(()),
    }
}
