//! The scenarios that come with the program, and those of the user's own.

use std::path::Path;

use ackmark_schema::{scenario::Scenario, text};

use crate::error::BenchError;

/// Name of the scenario that runs when none is named.
pub const DEFAULT: &str = "delivery";

/// Name and text of each, shortest first.
pub const SHIPPED: [(&str, &str); 5] = [
    ("quick", include_str!("../../scenarios/quick.toml")),
    ("transactions", include_str!("../../scenarios/transactions.toml")),
    ("delivery", include_str!("../../scenarios/delivery.toml")),
    ("latency", include_str!("../../scenarios/latency.toml")),
    ("thorough", include_str!("../../scenarios/thorough.toml")),
];

/// A shipped scenario by its name, or a file. What looks like a path (a slash, or `.toml` at its end) is one.
///
/// # Errors
/// No such scenario, a file that cannot be read, or one that makes no sense.
pub fn scenario(name_or_file: &str) -> Result<Scenario, BenchError> {
    if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_file) {
        return Ok(Scenario::from_toml(name, text)?);
    }
    let path = Path::new(name_or_file);
    let is_path = name_or_file.contains('/') || path.extension().is_some_and(|extension| extension == "toml");
    if !is_path && !path.is_file() {
        let names = SHIPPED.map(|(name, _)| name);
        let hint = text::nearest(name_or_file, names).map(|near| format!("; did you mean \"{near}\"?"));
        return Err(BenchError::UnknownScenario {
            name: name_or_file.to_owned(),
            hint: hint.unwrap_or_default(),
            known: names.join(", "),
        });
    }
    let text =
        std::fs::read_to_string(path).map_err(|source| BenchError::Unreadable { file: path.to_owned(), source })?;
    Ok(Scenario::from_toml(name_or_file, &text)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_shipped_scenario_is_read_and_named_as_its_file() {
        for (name, _) in SHIPPED {
            let found = scenario(name).unwrap();
            assert_eq!(found.name, name);
            assert!(!found.description.is_empty());
        }
        assert!(SHIPPED.iter().any(|(name, _)| *name == DEFAULT));
    }

    #[test]
    fn what_is_no_scenario_names_the_nearest() {
        let error = scenario("deliver").unwrap_err().to_string();
        assert!(error.contains("did you mean \"delivery\"") && error.contains("quick"), "{error}");
        assert!(scenario("no/such.toml").unwrap_err().to_string().contains("cannot read no/such.toml"));
    }
}
