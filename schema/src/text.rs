//! Reading TOML and JSON contracts, with errors that name the field and the accepted form.
//!
//! Unknown keys are refused everywhere (`deny_unknown_fields`); the nearest known key is suggested.

use serde::de::DeserializeOwned;
use thiserror::Error;

/// A contract that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}: {problem}")]
pub struct TextError {
    /// The file's name, as the user gave it.
    pub file: String,
    /// What is wrong and where, with the cure.
    pub problem: String,
}

/// Reads TOML. `file` only names the source in errors.
///
/// # Errors
/// Not TOML, an unknown key (with the nearest known one), a missing key or an impossible value.
pub fn from_toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, TextError> {
    toml::from_str(text)
        .map_err(|error| TextError { file: file.into(), problem: with_suggestion(error.to_string().trim_end()) })
}

/// Reads JSON. `file` only names the source in errors.
///
/// # Errors
/// Not JSON, an unknown or missing key, another contract or version.
pub fn from_json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, TextError> {
    serde_json::from_str(text)
        .map_err(|error| TextError { file: file.into(), problem: with_suggestion(&error.to_string()) })
}

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Adds "did you mean" to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(problem: &str) -> String {
    let quoted = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let suggestion = ["unknown field", "unknown variant"].iter().find_map(|marker| {
        let words = quoted(&problem[problem.find(marker)?..]);
        let (found, known) = words.split_first()?;
        nearest(found, known.iter().map(String::as_str)).map(str::to_owned)
    });
    match suggestion {
        Some(known) => format!("{problem}\nhint: did you mean `{known}`?"),
        None => problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[allow(dead_code)]
        partitions: u32,
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = from_toml::<Example>("x.toml", "partition = 3").unwrap_err();
        assert!(error.to_string().starts_with("x.toml: "), "{error}");
        assert!(error.to_string().ends_with("hint: did you mean `partitions`?"), "{error}");
        let error = from_json::<Example>("x.json", "{\"zzz\": 3}").unwrap_err();
        assert!(!error.to_string().contains("did you mean"), "{error}");
    }
}
