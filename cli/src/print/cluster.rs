//! A kept local cluster.

use ackmark_cluster::local::State;

use crate::document::{Document, Table, Text, Tone};

/// After a start.
pub(crate) fn started(state: &State) -> Document {
    let mut document = status(Some(state));
    document.sentence(format!("Next: ackmark bench quick -b {}", state.bootstrap_servers));
    if let Some(listener) = state.secure_listeners.last() {
        let file = listener.client_properties.display();
        document.sentence(format!("Over {}: ackmark bench quick -F {file}", listener.protocol.name()));
    }
    document
}

/// Whether it runs, and where.
pub(crate) fn status(state: Option<&State>) -> Document {
    let mut document = Document::default();
    let Some(state) = state else {
        document.sentence(Text::new("No local cluster is up. Start one: ackmark cluster up", Tone::Doubtful));
        return document;
    };
    document.sentence(format!(
        "Kafka {} on Java {}, settings {}, at {}",
        state.kafka_version, state.java_version, state.settings, state.bootstrap_servers
    ));
    let mut table = Table::of_words(["node", "state", "port", "pid", "log"]);
    for node in &state.nodes {
        let alive = if node.is_alive() { Text::new("running", Tone::Good) } else { Text::new("ended", Tone::Bad) };
        table.row([
            Text::from(format!("{} {}", node.role, node.id)),
            alive,
            node.port.to_string().into(),
            node.pid.to_string().into(),
            node.log.display().to_string().into(),
        ]);
    }
    document.table(table);
    let mut table = Table::of_words(["listener", "brokers", "client properties"]);
    for listener in &state.secure_listeners {
        let properties = listener.client_properties.display().to_string();
        table.row([listener.protocol.name(), &listener.bootstrap_servers, &properties]);
    }
    document.table(table);
    document
}
