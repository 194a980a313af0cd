//! What is stored of a scenario: everything but secrets that a user wrote into it.

use ackmark_schema::{
    profile::Profile,
    properties::{REDACTED, is_secret},
    scenario::Scenario,
};
use indexmap::IndexMap;

/// A scenario as it may be stored.
pub(crate) fn scenario(scenario: &Scenario) -> Scenario {
    let mut stored = scenario.clone();
    redact(&mut stored.producer.properties);
    stored.own_profiles = stored.own_profiles.iter().map(profile).collect();
    for variant in &mut stored.variants {
        redact(&mut variant.tuning.properties);
    }
    stored
}

/// A profile as it may be stored.
pub(crate) fn profile(profile: &Profile) -> Profile {
    let mut stored = profile.clone();
    redact(&mut stored.properties);
    redact(&mut stored.tuning.properties);
    stored
}

fn redact(properties: &mut IndexMap<String, String>) {
    for (name, value) in properties {
        if is_secret(name) {
            REDACTED.clone_into(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::synthetic;

    #[test]
    fn secrets_are_not_stored_and_the_rest_is() {
        let mut with = synthetic::scenario();
        with.producer.properties.insert("sasl.password".into(), "hunter2".into());
        with.producer.properties.insert("linger.ms".into(), "5".into());
        let mut own = ackmark_schema::profile::built_in().remove(0);
        own.properties.insert("ssl.key.password".into(), "hunter3".into());
        with.own_profiles.push(own);
        let tuning = serde_json::json!({ "properties": { "sasl.password": "hunter4" } });
        let variant = serde_json::json!({ "name": "other", "base": "idempotent", "tuning": tuning });
        with.variants.push(serde_json::from_value(variant).expect("a variant"));
        let text = format!("{:?}", scenario(&with));
        assert!(!text.contains("hunter") && text.contains(REDACTED), "{text}");
        assert_eq!(scenario(&with).producer.properties["linger.ms"], "5");
        assert_eq!(scenario(&synthetic::scenario()), synthetic::scenario());
    }
}
