//! A recommendation.

use crate::{
    command::recommend::{Cost, Outcome},
    document::{Document, Table, Text, Tone},
    figures,
    recommendation::{Client, Recommended},
};

/// The whole answer.
pub(crate) fn document(outcome: &Outcome) -> Document {
    let found = &outcome.recommendation;
    let mut document = Document::default();
    document.heading(&found.setting).sentence(format!("Because {}.", found.why));
    let mut table = Table::of_words(["client", "librdkafka", "Java client"]);
    for Recommended { client, librdkafka: (name, value), java } in &found.properties {
        let client = match client {
            Client::Producer => "producer",
            Client::Consumer => "consumer",
        };
        let java = java.as_ref().map_or_else(|| "(has none)".to_owned(), |(name, value)| format!("{name}={value}"));
        table.row([client.to_owned(), format!("{name}={value}"), java]);
    }
    document.table(table).items(found.also.iter().map(String::as_str));
    match &outcome.cost {
        Some(Cost { result, rate: Some(rate), of_other }) => {
            let of = of_other.as_ref().map(|(name, times)| format!(", {times:.2} times {name}")).unwrap_or_default();
            document.sentence(format!("Measured: {}{of} ({result}).", figures::rate(*rate)));
        }
        Some(Cost { result, rate: None, .. }) => {
            document.sentence(Text::new(format!("{result} has no rate of it."), Tone::Doubtful));
        }
        None => {
            document.sentence(Text::new(
                "What it costs: `ackmark bench semantics` measures it; then --result RESULT.",
                Tone::Faint,
            ));
        }
    }
    document.sentence(Text::new(
        format!("`ackmark profiles {}` tells what it promises and why.", found.setting),
        Tone::Faint,
    ));
    document
}
