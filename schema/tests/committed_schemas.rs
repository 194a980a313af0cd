//! The committed JSON Schemas are those of the types.
#![allow(clippy::unwrap_used)]

use ackmark_schema::export;

#[test]
fn committed_schemas_are_those_of_the_types() {
    for (name, schema) in export::schemas() {
        let path = format!("{}/json/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(
            committed == export::text(&schema),
            "{path} is out of date: run `cargo run -p ackmark-schema --example export` and commit it"
        );
        jsonschema::meta::validate(schema.as_value()).unwrap();
    }
}
