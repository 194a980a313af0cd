//! `ackmark profiles`: what the delivery profiles set and promise.

use std::path::Path;

use ackmark_client::ClientProperties;
use ackmark_schema::{
    process::{Deviation, Pattern, Point},
    profile::{self, Profile},
    promise::{Basis, Promise, Ruling, TopicFacts},
    properties::{Origin, Property},
    text,
};
use serde::Serialize;

use crate::{arguments::Output, connection, exit::Exit, files, print, problem::Problem};

/// The topic that a promise is shown for: what a careful operator sets.
const TOPIC: TopicFacts = TopicFacts { replication_factor: 3, min_insync_replicas: 2, unclean_leader_election: false };

/// List the delivery profiles and the patterns of consumers, and what each promises.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A profile is a TOML file of client properties; `ackmark schema profile` tells its form. The promise follows \
from the properties in effect and from the topic, here replication factor 3 and min.insync.replicas 2.

Examples:
  ackmark profiles
  ackmark profiles idempotent --effective
  ackmark profiles exactly-once
  ackmark profiles all-acks --effective -X acks=1")]
pub(crate) struct Arguments {
    /// A built-in profile, a TOML file of your own, or a pattern (default: all built-in ones)
    name: Option<String>,
    /// Show every property in effect, as read back from librdkafka, with its origin
    #[arg(long)]
    effective: bool,
    #[command(flatten)]
    properties: connection::Properties,
    #[command(flatten)]
    output: Output,
}

/// A profile with what follows from it.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// As it is written.
    pub(crate) profile: Profile,
    /// What follows for the topic above.
    pub(crate) promise: Promise,
    /// In effect, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) properties: Option<Vec<Property>>,
}

/// A pattern of a consumer or pipeline, with what it promises.
#[derive(Debug, Serialize)]
pub(crate) struct PatternEntry {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) description: &'static str,
    /// When to choose it.
    pub(crate) use_when: &'static str,
    /// What it needs beside reading.
    pub(crate) needs: &'static str,
    /// What it sets.
    pub(crate) properties: Vec<(&'static str, &'static str)>,
    /// What it promises: deviation, ruling, reason.
    pub(crate) promise: Vec<(Deviation, Ruling, &'static str)>,
    /// Points at which `ackmark process --crash` kills it.
    pub(crate) points: Vec<Point>,
    /// Its source, in this project.
    pub(crate) source: &'static str,
}

impl PatternEntry {
    fn of(pattern: Pattern) -> Self {
        let about = pattern.about();
        Self {
            name: pattern.name(),
            description: about.description,
            use_when: about.use_when,
            needs: about.needs,
            properties: about.properties.to_vec(),
            promise: about.terms.iter().map(|term| (term.deviation, term.ruling, term.reason)).collect(),
            points: about.points.to_vec(),
            source: about.source,
        }
    }
}

/// All of both.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    profiles: &'a [Entry],
    patterns: &'a [PatternEntry],
}

/// Prints one profile, or all.
///
/// # Errors
/// An unknown name, a file that is no profile, properties that do not go together.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    if let Some(pattern) = Pattern::ALL.into_iter().find(|pattern| arguments.name.as_deref() == Some(pattern.name())) {
        let patterns = [PatternEntry::of(pattern)];
        arguments
            .output
            .print(&Listing { profiles: &[], patterns: &patterns }, || print::profiles::patterns(&patterns, true))?;
        return Ok(Exit::Success);
    }
    let overrides = arguments.properties.resolve()?;
    let profiles = match &arguments.name {
        Some(name) => vec![find(name)?],
        None => profile::built_in(),
    };
    let entries = profiles
        .into_iter()
        .map(|profile| entry(profile, &overrides, arguments.effective))
        .collect::<Result<Vec<_>, _>>()?;
    let in_detail = arguments.name.is_some() || arguments.effective;
    let patterns: Vec<PatternEntry> =
        if arguments.name.is_none() { Pattern::ALL.map(PatternEntry::of).into() } else { Vec::new() };
    let listing = Listing { profiles: &entries, patterns: &patterns };
    arguments.output.print(&listing, || {
        let mut document = print::profiles::document(&entries, in_detail);
        document.append(print::profiles::patterns(&patterns, false));
        document
    })?;
    Ok(Exit::Success)
}

/// A built-in profile by name, or one of the user's own by file.
///
/// # Errors
/// There is none of that name, or the file is no profile.
pub(crate) fn find(name: &str) -> Result<Profile, Problem> {
    let built_in = profile::built_in();
    if let Some(profile) = built_in.iter().find(|profile| profile.name == name) {
        return Ok(profile.clone());
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "toml") || name.contains('/') {
        return Ok(Profile::from_toml(name, &files::read("profile", path)?)?);
    }
    let names: Vec<&str> = built_in.iter().map(|profile| profile.name.as_str()).collect();
    let hint = match text::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the profiles are {}; one of your own is named by its file, like own.toml", names.join(", ")),
    };
    Err(Problem::usage(format!("there is no profile \"{name}\"")).hint(hint))
}

fn entry(profile: Profile, overrides: &ClientProperties, effective: bool) -> Result<Entry, Problem> {
    let mut properties = ClientProperties::new();
    for (name, value) in &profile.properties {
        properties.set(name, value, Origin::Profile);
    }
    if profile.transactions.is_some() {
        properties.set("transactional.id", "ackmark-<run>-<producer>", Origin::Tool);
    }
    // No broker is asked: there is none to connect to.
    let in_effect = properties.merge(overrides).producer_in_effect().map_err(|error| Problem::refused(&error))?;
    let basis = Basis::from_effective(&in_effect, TOPIC).map_err(Problem::usage)?;
    let promise = Promise::derive(basis, &profile.must_not);
    Ok(Entry { profile, promise, properties: effective.then_some(in_effect) })
}
