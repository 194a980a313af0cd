//! A profile with some of its values changed, inline in a scenario: settings of one profile, compared in one run.
//!
//! A variant says how messages are grouped in transactions and what is measured with, never what a delivery setting is:
//! that is a profile's (`[[profile]]`). Made definite it is a profile like any other, with a name, a verdict and figures
//! of its own.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    profile::{Profile, Transactions},
    scenario::Producer,
    units::{Bytes, Count},
};

/// A profile with some of its values changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Variant {
    /// Lower-case letters, digits and dashes; no other profile's.
    pub name: String,
    /// The profile that it is but for what follows: a built-in one, or one of `[[profile]]`.
    pub base: String,
    /// How messages are grouped in transactions, instead of the base's: `{ duration = "10ms" }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Transactions>,
    /// What of the base's tuning is another: `{ outstanding = "50k" }`.
    #[serde(default, skip_serializing_if = "Retuning::is_none")]
    pub tuning: Retuning,
}

/// What of a profile's tuning is another; the rest stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Retuning {
    /// Most messages that one producer has outstanding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding: Option<Count>,
    /// Most bytes that one producer has outstanding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding_bytes: Option<Bytes>,
    /// librdkafka properties, beside the profile's tuning and instead of those with the same name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub properties: IndexMap<String, String>,
}

impl Retuning {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Variant {
    /// The profile that it makes of its base.
    pub fn of(&self, base: &Profile) -> Profile {
        let mut profile = base.clone();
        profile.name.clone_from(&self.name);
        profile.description = format!("{} with {}.", base.name, self.changes());
        if self.transactions.is_some() {
            profile.transactions = self.transactions;
        }
        let Retuning { outstanding, outstanding_bytes, properties } = &self.tuning;
        let tuning = &mut profile.tuning;
        tuning.outstanding = outstanding.unwrap_or(tuning.outstanding);
        tuning.outstanding_bytes = outstanding_bytes.unwrap_or(tuning.outstanding_bytes);
        tuning.properties.extend(properties.clone());
        profile
    }

    /// What is another than the base's, to read: `transactions of 10ms, at most 50k messages outstanding`.
    fn changes(&self) -> String {
        let Retuning { outstanding, outstanding_bytes, properties } = &self.tuning;
        let parts = [
            self.transactions.map(|transactions| format!("transactions of {}", transactions.bounds())),
            outstanding.map(|most| format!("at most {most} messages outstanding")),
            outstanding_bytes.map(|most| format!("at most {most} outstanding")),
            (!properties.is_empty())
                .then(|| format!("its own {}", properties.keys().cloned().collect::<Vec<_>>().join(", "))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Checks what the types cannot say; what the profile that it makes must keep to is checked there. `producer` is the
    /// scenario's for all profiles, which wins over any tuning.
    ///
    /// # Errors
    /// The problem, naming the field and the accepted form.
    pub(crate) fn check(&self, producer: &Producer) -> Result<(), String> {
        let name = &self.name;
        if self.transactions.is_none() && self.tuning.is_none() {
            return Err(format!(
                "variant {name} changes nothing of {}: give `transactions` (like {{ duration = \"10ms\" }}), `tuning` \
                 (like {{ outstanding = \"50k\" }}) or both",
                self.base
            ));
        }
        let of_all = |field: &str, set: bool| set.then(|| field.to_owned());
        let Retuning { outstanding, outstanding_bytes, properties } = &self.tuning;
        let overruled = of_all("outstanding", outstanding.and(producer.outstanding).is_some())
            .or_else(|| of_all("outstanding-bytes", outstanding_bytes.and(producer.outstanding_bytes).is_some()))
            .or_else(|| {
                let property = properties.keys().find(|property| producer.properties.contains_key(*property))?;
                Some(format!("properties.\"{property}\""))
            });
        overruled.map_or(Ok(()), |field| {
            Err(format!(
                "variant {name}: tuning.{field} has no effect, since producer.{field} is set for all profiles; keep one \
                 of them"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{profile, scenario::Scenario};

    const SCENARIO: &str = r#"
name = "small"
profiles = ["transactional", "short"]
[[variant]]
name = "short"
base = "transactional"
transactions = { duration = "10ms" }
tuning = { outstanding = "50k" }
[[phase]]
name = "max"
rounds = 1
duration = "2s"
load = { max = {} }
"#;

    fn read(from: &str, to: &str) -> Result<Scenario, String> {
        assert!(SCENARIO.contains(from), "{from}");
        Scenario::from_toml("s.toml", &SCENARIO.replace(from, to)).map_err(|error| error.problem)
    }

    #[test]
    fn a_variant_is_its_base_but_for_what_it_says() {
        let scenario = read("small", "small").unwrap();
        let profiles = scenario.resolve_profiles().unwrap();
        let [base, short] = &profiles[..] else { panic!("{profiles:?}") };
        assert_eq!(short.name, "short");
        assert_eq!(short.description, "transactional with transactions of 10ms, at most 50k messages outstanding.");
        assert_eq!(short.transactions.unwrap().bounds(), "10ms");
        assert_eq!(short.tuning.outstanding, Count(50_000));
        assert_eq!(
            (&short.properties, &short.tuning.properties, short.tuning.outstanding_bytes),
            (&base.properties, &base.tuning.properties, base.tuning.outstanding_bytes)
        );
        assert_eq!(*base, profile::built_in().pop().unwrap(), "the base stays as it is");
        let text = toml::to_string(&scenario).unwrap();
        assert_eq!(Scenario::from_toml("again", &text).unwrap(), scenario);
    }

    #[test]
    fn a_property_stands_beside_the_bases_or_instead_of_it() {
        let with = "properties = { \"linger.ms\" = \"50\", \"compression.type\" = \"lz4\" }";
        let profile = read("outstanding = \"50k\"", with).unwrap().resolve_profiles().unwrap().pop().unwrap();
        let value = |name: &str| profile.tuning.properties.get(name).map(String::as_str);
        assert_eq!((value("linger.ms"), value("compression.type")), (Some("50"), Some("lz4")));
        assert!(value("batch.size").is_some(), "the rest stays");
        assert!(profile.description.ends_with("its own linger.ms, compression.type."), "{}", profile.description);
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_cure() {
        let refused = |from: &str, to: &str| read(from, to).unwrap_err();
        assert!(refused("tuning = {", "tunning = {").contains("did you mean `tuning`"));
        assert!(refused("outstanding =", "outstandig =").contains("did you mean `outstanding`"));
        assert!(refused("\"10ms\"", "\"10\"").contains("100ms, 30s or 5m"));
        assert!(
            refused("base = \"transactional\"", "base = \"transactionel\"").contains("did you mean \"transactional\"")
        );
        assert!(refused("base = \"transactional\"", "base = \"short\"").contains("variant short: unknown profile"));
        assert!(refused("duration = \"10ms\"", "abort-share = 0.5").contains("profile short: [transactions] needs"));
        assert!(refused("outstanding = \"50k\"", "outstanding = 0").contains("above zero"));
        assert!(
            refused("[[variant]]\nname = \"short\"", "[[variant]]\nname = \"all-acks\"").contains("name of its own")
        );
        assert!(refused("\"transactional\", \"short\"", "\"shrt\"").contains("did you mean \"short\""));
        let nothing = "transactions = { duration = \"10ms\" }\ntuning = { outstanding = \"50k\" }\n";
        assert!(refused(nothing, "").contains("changes nothing of transactional"));
        let twice = "[[variant]]\nname = \"short\"\nbase = \"idempotent\"\ntuning = { outstanding = 1 }\n[[phase]]";
        assert!(refused("[[phase]]", twice).contains("name of its own"));
    }

    #[test]
    fn tuning_that_the_scenario_overrules_is_refused() {
        let refused = |tuning: &str, producer: &str| {
            let text = SCENARIO
                .replace("outstanding = \"50k\"", tuning)
                .replace("[[variant]]", &format!("{producer}\n[[variant]]"));
            Scenario::from_toml("s.toml", &text).unwrap_err().problem
        };
        let error = refused("outstanding = \"50k\"", "[producer]\noutstanding = \"100k\"");
        assert!(error.contains("tuning.outstanding has no effect"), "{error}");
        let error = refused("outstanding-bytes = \"1MiB\"", "[producer]\noutstanding-bytes = \"2MiB\"");
        assert!(error.contains("producer.outstanding-bytes is set for all"), "{error}");
        let error = refused("properties = { \"linger.ms\" = \"9\" }", "[producer.properties]\n\"linger.ms\" = \"50\"");
        assert!(error.contains("properties.\"linger.ms\""), "{error}");
    }
}
