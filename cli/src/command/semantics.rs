//! `ackmark bench semantics`: each delivery semantic put to the test, and what it costs.

use std::sync::{Arc, atomic::AtomicBool};

use ackmark_bench::{
    BenchOptions, Target,
    semantics::{self, SemanticsChoices},
};
use ackmark_schema::{
    report::Ending,
    semantics::{Demonstration, SemanticsResult},
};
use serde::Serialize;

use super::{
    bench::{self, Arguments, Source},
    chart, cluster,
};
use crate::{
    consent, console,
    document::{Document, Form},
    exit::Exit,
    narration::Narrator,
    parent, print,
    problem::Problem,
};

/// Its name among the scenarios.
pub(crate) const NAME: &str = "semantics";
/// Names of its demonstrations.
pub(crate) const DEMONSTRATIONS: [&str; 11] = semantics::DEMONSTRATIONS;

/// Shows, measures, tells.
///
/// # Errors
/// No consent, a Kafka that cannot be had or reached, a folder that cannot be written to.
pub(super) fn run(arguments: &Arguments, source: &Source, stop: Arc<AtomicBool>) -> Result<Exit, Problem> {
    if !arguments.profiles.is_empty() {
        return Err(Problem::usage("--profiles is for scenarios of profiles")
            .hint(format!("choose demonstrations with --only: {}", DEMONSTRATIONS.join(", "))));
    }
    if arguments.dry_run {
        return outline(arguments);
    }
    match source {
        Source::Simulated(_) => {
            return Err(Problem::usage(
                "a simulated cluster has no groups, no fencing and no markers: it can show nothing of this",
            )
            .hint("leave --simulated out"));
        }
        Source::External { servers, ours: false, .. } => {
            let what = format!("ackmark did not start the Kafka at {servers}. {}", written(arguments));
            consent::ask(&what, "show single demonstrations with --only", arguments.yes)?;
        }
        Source::External { .. } | Source::Local(_) => {}
    }
    let narrator = Narrator::new(arguments.progress.progress);
    let kafka = source.start(&arguments.kafka, &stop, &narrator)?;
    let options = BenchOptions {
        ackmark: parent::program()?,
        results: arguments.results.clone(),
        keep_topics: false,
        keep_ledgers: arguments.keep_ledgers,
        confirmed: true,
        stop,
    };
    let target = Target::new(&kafka, source.properties()).map_err(|error| cluster::problem(&error))?;
    let only = if arguments.only.is_empty() { String::new() } else { format!(" --only {}", arguments.only.join(",")) };
    let there = match source {
        Source::External { servers, .. } => format!(" -b {servers}"),
        _ => String::new(),
    };
    let command = format!("ackmark bench {NAME}{only}{there}");
    let choices = SemanticsChoices { only: arguments.only.clone(), command };
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Problem::runtime(format!("cannot start the threads that watch over children: {error}")))?;
    let render = |result: &SemanticsResult| {
        let pictures: String = if result.settings.is_empty() {
            String::new()
        } else {
            ["comparison", "pipeline", "stall"]
                .map(|name| format!("\n![{name}]({}/{name}.png)\n", chart::FOLDER))
                .concat()
        };
        print::semantics::document(result).render(Form::Markdown) + &pictures
    };
    let outcome = runtime
        .block_on(semantics::run(&target, &choices, &options, narrator.events(), &render))
        .map_err(|error| bench::problem(&error));
    drop(target);
    let stopped = bench::stop_cluster(kafka);
    let result = outcome?;
    let folder = narrator.folder();
    drop(narrator);
    arguments.output.print(&result, || print::semantics::document(&result))?;
    if let Some(folder) = &folder {
        let out = folder.join(chart::FOLDER);
        let charts = ackmark_charts::render_semantics(&result, &out).map_err(|error| Problem::failed(&error))?;
        console::say(format_args!(
            "\nresults: {}\ncharts:  {} in {}",
            folder.display(),
            charts.rendered.len(),
            out.display()
        ));
    }
    stopped.map(|()| exit_of(&result))
}

/// What would be done.
#[derive(Debug, Serialize)]
struct Outline<'a> {
    demonstrations: Vec<&'a str>,
    /// Whether rates are measured, and the comparison filled.
    rates: bool,
    writes: String,
}

fn outline(arguments: &Arguments) -> Result<Exit, Problem> {
    let outline = Outline {
        demonstrations: semantics::demonstrations(&arguments.only).collect(),
        rates: arguments.only.is_empty(),
        writes: written(arguments),
    };
    arguments.output.print(&outline, || {
        let mut document = Document::default();
        document.heading("Delivery semantics").sentence(format!("Shown: {}.", outline.demonstrations.join(", ")));
        if outline.rates {
            document.sentence("Then rates in up to three rounds, and the comparison; six minutes in all.");
        }
        document.sentence(outline.writes.as_str());
        document
    })?;
    Ok(Exit::Success)
}

/// What it writes to a Kafka.
fn written(arguments: &Arguments) -> String {
    let bytes = if arguments.only.is_empty() {
        "about 12 GiB of messages (of it 21 warm-ups of half a second, each as much as goes)"
    } else {
        "less than 1 GiB of messages"
    };
    format!(
        "It will create topics named ackmark-semantics-…, write {bytes} to them, before replication, NOT THROTTLED, and \
         delete them. Consumer groups named ackmark-… stay behind with their offsets."
    )
}

/// A count that did not come is a broken promise; what could not be shown is no success. Where a control did not come,
/// nothing was put to the test.
fn exit_of(result: &SemanticsResult) -> Exit {
    let is_off =
        |one: &Demonstration| one.checks.iter().any(|check| !check.is_control && check.expected != check.found);
    match result.ending {
        Ending::Interrupted => Exit::Interrupted,
        Ending::Failed => Exit::Runtime,
        Ending::Completed if result.demonstrations.iter().any(is_off) => Exit::Broken,
        Ending::Completed if !result.failures.is_empty() => Exit::Inconclusive,
        Ending::Completed if !result.demonstrations.iter().all(Demonstration::is_shown) => Exit::Inconclusive,
        Ending::Completed => Exit::Success,
    }
}
