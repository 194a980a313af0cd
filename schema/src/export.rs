//! The JSON Schemas of the file contracts, generated from the Rust types.
//!
//! They are committed under `schema/json/`; a test compares them with the types. To renew them after
//! a change: `cargo run -p ackmark-schema --example export`.

use schemars::{Schema, schema_for};

use crate::{
    load_spec::LoadSpec, log::LogLine, manifest::Manifest, peers::PeersResult, profile::Profile,
    report::coordinators::Coordinators, report::load::LoadReport, report::process::ProcessReport,
    report::process::ProcessVerdict, report::seal::SealReport, report::timeline::Timeline,
    report::verify::VerifyReport, result::RunResult, scenario::Scenario, semantics::SemanticsResult,
};

/// Every contract with its JSON Schema, by name.
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("scenario", schema_for!(Scenario)),
        ("profile", schema_for!(Profile)),
        ("load-spec", schema_for!(LoadSpec)),
        ("manifest", schema_for!(Manifest)),
        ("load", schema_for!(LoadReport)),
        ("seal", schema_for!(SealReport)),
        ("timeline", schema_for!(Timeline)),
        ("coordinators", schema_for!(Coordinators)),
        ("verify", schema_for!(VerifyReport)),
        ("process", schema_for!(ProcessReport)),
        ("process-verdict", schema_for!(ProcessVerdict)),
        ("log", schema_for!(LogLine)),
        ("result", schema_for!(RunResult)),
        ("semantics", schema_for!(SemanticsResult)),
        ("peers", schema_for!(PeersResult)),
    ]
}

/// A schema as the text of its committed file.
///
/// # Panics
/// Never: a schema is plain JSON.
pub fn text(schema: &Schema) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}
