//! `ackmark schema`: the JSON Schemas of the file formats.

use ackmark_schema::{export, text};

use crate::{
    console,
    document::{Document, Form, Table},
    exit::Exit,
    problem::Problem,
};

/// Print the JSON Schema of a file format.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a name the formats are listed.\n\nExample:\n  ackmark schema result > result.schema.json"
)]
pub(crate) struct Arguments {
    /// Which format, for example scenario or result
    name: Option<String>,
}

/// Prints one schema, or the list of them.
///
/// # Errors
/// An unknown name.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let schemas = export::schemas();
    let Some(name) = &arguments.name else {
        let mut table = Table::of_words(["format", "what it is"]);
        for (name, schema) in &schemas {
            let what = schema.get("description").and_then(|text| text.as_str()).unwrap_or_default();
            table.row([*name, what.lines().next().unwrap_or_default()]);
        }
        console::data(&Document::default().table(table).render(Form::Terminal))?;
        return Ok(Exit::Success);
    };
    if let Some((_, schema)) = schemas.iter().find(|(known, _)| known == name) {
        console::data(&export::text(schema))?;
        return Ok(Exit::Success);
    }
    let names: Vec<&str> = schemas.iter().map(|(name, _)| *name).collect();
    let hint = match text::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the formats are {}", names.join(", ")),
    };
    Err(Problem::usage(format!("there is no file format \"{name}\"")).hint(hint))
}
