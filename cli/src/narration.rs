//! What a bench tells while it goes on, from its events.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use ackmark_bench::{BenchEvent, Events};
use ackmark_schema::{report::Ending, result::Trial};

use crate::{
    figures,
    progress::{Event, Form, Reporter},
};

/// Tells a bench's events and remembers where its result is.
pub(crate) struct Narrator {
    reporter: Reporter,
    folder: Mutex<Option<PathBuf>>,
}

impl Narrator {
    /// A narrator in that form.
    pub(crate) fn new(form: Form) -> Arc<Self> {
        Arc::new(Self { reporter: Reporter::new(form, "bench"), folder: Mutex::new(None) })
    }

    /// Says a line beside the events.
    pub(crate) fn say(&self, line: &str) {
        self.reporter.say(line);
    }

    /// The result folder; none when the bench ended before it was made.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the bench's events.
    pub(crate) fn events(self: &Arc<Self>) -> Events {
        let narrator = Arc::clone(self);
        Arc::new(move |event| narrator.tell(event))
    }

    fn tell(&self, event: BenchEvent) {
        match event {
            BenchEvent::Ready { folder, trials } => {
                self.say(&format!("{trials} trials, results in {}", folder.display()));
                *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder);
            }
            BenchEvent::WarmUp { interval, rate_per_s, messages } => {
                self.reporter.tell(&Event::WarmUp { interval, rate_per_s, messages });
            }
            BenchEvent::WarmedUp(record) => {
                let settled = if record.settled { "no longer rising" } else { "still rising, the bounds were reached" };
                self.say(&format!(
                    "brokers warmed by {} messages in {}: {settled}",
                    figures::count(record.messages),
                    figures::seconds(record.duration_s)
                ));
            }
            BenchEvent::TrialStarted { index, total, phase, profile, round } => {
                self.reporter.rename(format!("[{}/{total}] {phase} {profile}", index + 1));
                self.reporter.tell(&Event::Trial { index, total, phase, profile, round });
            }
            BenchEvent::Progress(progress) => self.reporter.tell(&progress.into()),
            BenchEvent::Talk { child, line } => self.say(&format!("{}: {line}", child.command())),
            BenchEvent::TrialFinished(trial) => {
                self.say(&finished(&trial));
                self.reporter.tell(&Event::trial_ended(&trial));
            }
            BenchEvent::Said(line) => {
                self.reporter.rename(line.clone());
                self.say(&line);
            }
            BenchEvent::Warning(warning) => self.say(&format!("warning: {}; cure: {}", warning.what, warning.cure)),
            BenchEvent::Written(_) => {}
        }
    }
}

/// A trial's end in one line.
fn finished(trial: &Trial) -> String {
    let load = trial.load.as_ref();
    let rate = load.map_or_else(|| figures::NONE.into(), |load| figures::rate(load.measured.delivered_per_s));
    let p99_us = load.and_then(|load| load.latency_intended.as_ref()?.at(99.0)?.value_us);
    let p99 = p99_us.map(|us| format!("p99 {}", figures::micros(us))).unwrap_or_default();
    let outcome = match (trial.ending, &trial.error, &trial.verification) {
        (Ending::Completed, None, Some(verified)) => verified.verdict.label().to_owned(),
        (Ending::Completed, None, None) => "not verified".to_owned(),
        (Ending::Interrupted, ..) => "interrupted".to_owned(),
        (_, error, _) => format!("failed: {}", error.as_deref().unwrap_or("for an unknown reason")),
    };
    format!("{:>3}  {:<10} {:<14} {rate:>10}  {p99:<12}  {outcome}", trial.index + 1, trial.phase, trial.profile)
}
