//! Profiles and what they promise.

use ackmark_schema::{
    profile::{Profile, Transactions, Tuning},
    promise::{Promise, Ruling},
    properties::{Origin, Property},
};

use crate::{
    command::profiles::{Entry, PatternEntry},
    document::{Document, Table, Text, Tone},
};

/// All profiles in short, or in detail.
pub(crate) fn document(entries: &[Entry], in_detail: bool) -> Document {
    let mut document = Document::default();
    if in_detail {
        for entry in entries {
            detail(&mut document, entry);
        }
    } else {
        let of_all = of_all(entries);
        let mut table = Table::of_words(["profile", "sets", "must not", "use when"]);
        for Entry { profile, promise, .. } in entries {
            let own: Vec<&str> =
                classes(promise, Ruling::MustNot).into_iter().filter(|class| !of_all.contains(class)).collect();
            // The alias is as good and leaves room.
            let sets = settings(profile).replace("max.in.flight.requests.per.connection", "max.in.flight");
            table.row([profile.name.clone(), sets, own.join(", "), profile.use_when.clone()]);
        }
        document.table(table).sentence(format!("All of them must not show: {}.", of_all.join(", "))).sentence(
            Text::new(
                "The promise follows from the properties in effect and from the topic, here replication factor 3 and \
                 min.insync.replicas 2. `ackmark profiles NAME` tells more.",
                Tone::Faint,
            ),
        );
    }
    document
}

/// Patterns of consumers and pipelines, in short or in detail.
pub(crate) fn patterns(entries: &[PatternEntry], in_detail: bool) -> Document {
    let mut document = Document::default();
    if entries.is_empty() {
        return document;
    }
    if in_detail {
        for entry in entries {
            pattern(&mut document, entry);
        }
        return document;
    }
    let mut table = Table::of_words(["consumer or pipeline", "sets", "must not", "use when"]);
    for entry in entries {
        let must_not = entry.promise.iter().filter(|(_, ruling, _)| *ruling == Ruling::MustNot);
        let must_not: Vec<&str> = must_not.map(|(deviation, ..)| deviation.label()).collect();
        table.row([entry.name.to_owned(), pairs(&entry.properties), must_not.join(", "), entry.use_when.to_owned()]);
    }
    document.table(table).sentence(Text::new("`ackmark process` runs one, kills it and judges it.", Tone::Faint));
    document
}

fn pattern(document: &mut Document, entry: &PatternEntry) {
    document.heading(entry.name).sentence(entry.description).sentence(format!("Use when: {}", entry.use_when));
    document.sentence(format!("Sets: {}", pairs(&entry.properties))).sentence(format!("Needs: {}", entry.needs));
    let mut table = Table::of_words(["ruling", "deviation", "why"]);
    for (deviation, ruling, why) in &entry.promise {
        let (label, tone) = if *ruling == Ruling::MustNot { ("must not", Tone::Bad) } else { ("may", Tone::Doubtful) };
        table.row([Text::new(label, tone), deviation.label().into(), (*why).into()]);
    }
    let points: Vec<&str> = entry.points.iter().map(|point| point.name()).collect();
    document.table(table).sentence(format!("Can be killed at: {}", points.join(", ")));
    document.sentence(format!("Source: {}", entry.source));
}

fn pairs(properties: &[(&str, &str)]) -> String {
    properties.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn detail(document: &mut Document, entry: &Entry) {
    let Entry { profile, promise, properties } = entry;
    document.heading(&profile.name).sentence(profile.description.as_str());
    if !profile.use_when.is_empty() {
        document.sentence(format!("Use when: {}", profile.use_when));
    }
    document.sentence(format!("Sets: {}", settings(profile)));
    document
        .sentence(format!("Measured with, unless a scenario or a flag says otherwise: {}", tuning(&profile.tuning)));
    let mut table = Table::of_words(["ruling", "class", "why"]);
    for (ruling, label, tone) in [
        (Ruling::MustNot, "must not", Tone::Bad),
        (Ruling::May, "may", Tone::Doubtful),
        (Ruling::NoClaim, "no claim", Tone::Faint),
    ] {
        for clause in promise.clauses.iter().filter(|clause| clause.ruling == ruling) {
            table.row([Text::new(label, tone), clause.class.label().into(), clause.reason.as_str().into()]);
        }
    }
    document.table(table);
    if let Some(properties) = properties {
        document.table(effective(properties));
    }
}

/// Properties in effect: those that somebody set first.
pub(crate) fn effective(properties: &[Property]) -> Table {
    let mut table = Table::of_words(["property", "value", "origin"]);
    let mut sorted: Vec<&Property> = properties.iter().collect();
    sorted.sort_by(|a, b| b.origin.cmp(&a.origin).then_with(|| a.name.cmp(&b.name)));
    for property in sorted {
        let tone = if property.origin == Origin::Default { Tone::Faint } else { Tone::Plain };
        table.row([
            Text::new(&property.name, tone),
            Text::new(&property.value, tone),
            Text::new(origin(property.origin), tone),
        ]);
    }
    table
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "default",
        Origin::Tool => "ackmark",
        Origin::Profile => "profile",
        Origin::Scenario => "scenario",
        Origin::File => "file",
        Origin::Environment => "environment",
        Origin::Flag => "flag",
    }
}

fn settings(profile: &Profile) -> String {
    let mut settings: Vec<String> = profile.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if let Some(Transactions { duration, messages, abort_share }) = profile.transactions {
        let bounds = [duration.map(|span| span.to_string()), messages.map(|count| format!("{count} messages"))];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        settings.push(format!("transactions of {}", bounds.join(" or ")));
        if abort_share > 0.0 {
            settings.push(format!("({:.0} % aborted)", abort_share * 100.0));
        }
    }
    settings.join(" ")
}

fn tuning(tuning: &Tuning) -> String {
    let bounds = format!("at most {} messages and {} outstanding", tuning.outstanding, tuning.outstanding_bytes);
    let properties = tuning.properties.iter().map(|(name, value)| format!(" {name}={value}"));
    bounds + &properties.collect::<String>()
}

/// What every profile must not show.
fn of_all(entries: &[Entry]) -> Vec<&'static str> {
    let mut of_all = entries.first().map(|entry| classes(&entry.promise, Ruling::MustNot)).unwrap_or_default();
    for entry in entries {
        let own = classes(&entry.promise, Ruling::MustNot);
        of_all.retain(|class| own.contains(class));
    }
    of_all
}

fn classes(promise: &Promise, ruling: Ruling) -> Vec<&'static str> {
    promise.clauses.iter().filter(|clause| clause.ruling == ruling).map(|clause| clause.class.label()).collect()
}
