//! The comparability key: equal keys, comparable figures.
//!
//! A hash over what figures depend on and a reader cannot see in them: what was asked for (without the seed,
//! the description and the number of rounds, which change how sure a figure is and not what it is), the
//! topic, derived rates, the brokers' version and configs, and the machine's class.

use ackmark_schema::{
    properties::Property,
    result::{ClusterFacts, Environment},
    scenario::Scenario,
};
use indexmap::IndexMap;
use serde_json::json;
use sha2::{Digest, Sha256};

const GIB: u64 = 1 << 30;

/// Sixteen hexadecimal digits.
pub(crate) fn key(
    scenario: &Scenario,
    rates: &IndexMap<String, f64>,
    properties: &[Property],
    cluster: &ClusterFacts,
    environment: &Environment,
) -> String {
    let mut scenario = scenario.clone();
    scenario.seed = None;
    scenario.description.clear();
    for phase in &mut scenario.phases {
        phase.rounds = 1;
    }
    let basis = json!({
        "scenario": scenario,
        "rates": rates,
        "properties": properties.iter().filter(|property| is_setting(&property.name)).collect::<Vec<_>>(),
        "provider": cluster.provider,
        "kafka_version": cluster.kafka_version,
        "brokers": cluster.brokers.len(),
        "configs": cluster.configs,
        "cpu_model": environment.cpu_model,
        "cpus": environment.cpus,
        "memory_gib": environment.memory_bytes.div_ceil(GIB),
        "librdkafka": environment.librdkafka_version,
    });
    let digest = Sha256::digest(basis.to_string().as_bytes());
    let first: [u8; 8] = std::array::from_fn(|at| digest[at]);
    format!("{:016x}", u64::from_be_bytes(first))
}

/// Whether a property of the user's says how messages are sent, and not where to or as whom.
fn is_setting(name: &str) -> bool {
    !["bootstrap.servers", "metadata.broker.list", "client.id", "security.protocol"].contains(&name)
        && !name.starts_with("ssl.")
        && !name.starts_with("sasl.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::synthetic;

    #[test]
    fn what_figures_depend_on_changes_the_key_and_what_they_do_not_leaves_it() {
        let result = synthetic::result();
        let of = |change: &dyn Fn(&mut Scenario, &mut ClusterFacts, &mut Environment)| {
            let (mut scenario, mut cluster, mut environment) =
                (result.scenario.clone(), result.cluster.clone(), result.environment.clone());
            change(&mut scenario, &mut cluster, &mut environment);
            key(&scenario, &result.rates, &[], &cluster, &environment)
        };
        let same = of(&|_, _, _| {});
        assert_eq!(same.len(), 16);
        assert_eq!(same, of(&|scenario, _, _| scenario.seed = Some(99)));
        assert_eq!(same, of(&|scenario, _, _| scenario.phases[0].rounds = 12));
        assert_eq!(same, of(&|_, cluster, _| cluster.cluster_id = None));
        assert_ne!(same, of(&|scenario, _, _| scenario.topic.partitions = 7));
        let variant = serde_json::json!({ "name": "v", "base": "idempotent", "tuning": { "outstanding": "50k" } });
        let variant: ackmark_schema::variant::Variant = serde_json::from_value(variant).expect("a variant");
        assert_ne!(same, of(&|scenario, _, _| scenario.variants.push(variant.clone())));
        assert_ne!(same, of(&|_, cluster, _| cluster.kafka_version = Some("3.9.1".into())));
        assert_ne!(same, of(&|_, _, environment| environment.cpus = 64));
    }
}
