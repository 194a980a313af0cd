//! Writes the JSON Schemas to `schema/json/`.

use ackmark_schema::export;

fn main() -> std::io::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    for (name, schema) in export::schemas() {
        std::fs::write(folder.join(format!("{name}.schema.json")), export::text(&schema))?;
    }
    Ok(())
}
