//! `docker-compose.yml` and the local provider start the same Kafka: same version, topology, settings, heaps.

use std::collections::BTreeMap;

use ackmark_cluster::{
    Settings,
    local::{BROKER_IDS, CONTROLLER_ID, KAFKA_VERSION, LISTENER_PROPERTIES, NODE_PROPERTIES},
};
use serde_yaml_ng::Value;

fn compose() -> Value {
    let text = include_str!("../../../docker-compose.yml");
    let mut compose: Value = serde_yaml_ng::from_str(text).unwrap();
    // A merged mapping may itself hold a merge.
    compose.apply_merge().unwrap();
    compose.apply_merge().unwrap();
    compose
}

fn environment(compose: &Value, service: &str) -> BTreeMap<String, String> {
    let environment = compose["services"][service]["environment"].as_mapping().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value:?} is no string: quote it")).to_owned();
    environment.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// The official image's rule: `_` for a dot, `__` for an underscore, `___` for a hyphen.
fn variable(property: &str) -> String {
    let name = property.replace('_', "__").replace('-', "___").replace('.', "_");
    format!("KAFKA_{}", name.to_uppercase())
}

fn brokers() -> Vec<(String, i32)> {
    BROKER_IDS.iter().map(|id| (format!("broker-{id}"), *id)).collect()
}

#[test]
fn brokers_have_the_settings_of_the_local_provider_and_no_others() {
    let compose = compose();
    for (service, _) in brokers() {
        let mut found = environment(&compose, &service);
        for (name, value) in Settings::Measured.properties().into_iter().chain(LISTENER_PROPERTIES) {
            assert_eq!(found.remove(&variable(name)).as_deref(), Some(value), "{service}: {name}");
        }
        for name in NODE_PROPERTIES {
            assert!(found.remove(&variable(name)).is_some(), "{service}: {name} must be set");
        }
        let heap: Vec<_> =
            Settings::Measured.jvm_flags().iter().copied().filter(|flag| flag.starts_with("-Xm")).collect();
        assert_eq!(found.remove("KAFKA_HEAP_OPTS"), Some(heap.join(" ")), "{service}");
        assert_eq!(found.remove("CLUSTER_ID").map(|id| id.len()), Some(22), "{service}");
        assert!(found.is_empty(), "{service} has settings that the local provider has not: {found:?}");
    }
}

#[test]
fn the_controller_has_the_brokers_settings() {
    let compose = compose();
    let found = environment(&compose, "controller");
    for (name, value) in Settings::Measured.properties() {
        assert_eq!(found.get(&variable(name)).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(found["KAFKA_PROCESS_ROLES"], "controller");
    assert_eq!(found["KAFKA_NODE_ID"], CONTROLLER_ID.to_string());
}

#[test]
fn the_topology_is_the_local_provider_s() {
    let compose = compose();
    let services: Vec<_> = compose["services"].as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(services, ["controller", "broker-1", "broker-2", "broker-3"]);
    let mut addresses = Vec::new();
    for (service, id) in brokers() {
        let found = environment(&compose, &service);
        assert_eq!(found["KAFKA_NODE_ID"], id.to_string());
        assert_eq!(found["KAFKA_PROCESS_ROLES"], "broker");
        assert_eq!(found["KAFKA_CONTROLLER_QUORUM_VOTERS"], format!("{CONTROLLER_ID}@controller:9093"));
        // What clients are told is what the host publishes.
        let port = compose["services"][&service]["ports"][0].as_str().unwrap().split(':').nth(1).unwrap().to_owned();
        let advertised = &found["KAFKA_ADVERTISED_LISTENERS"];
        assert!(advertised.ends_with(&format!("EXTERNAL://localhost:{port}")), "{advertised}");
        addresses.push(port);
    }
    addresses.dedup();
    assert_eq!(addresses.len(), BROKER_IDS.len());
}

#[test]
fn every_service_has_the_version_and_a_health_check() {
    let compose = compose();
    for (name, service) in compose["services"].as_mapping().unwrap() {
        assert_eq!(service["image"].as_str(), Some(format!("apache/kafka:{KAFKA_VERSION}").as_str()), "{name:?}");
        let probe = service["healthcheck"]["test"][3].as_str().unwrap();
        assert!(probe.contains("/dev/tcp/127.0.0.1/"), "{name:?}: {probe}");
    }
}
