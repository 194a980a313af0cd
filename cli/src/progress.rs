//! What is told while work goes on, on stderr: a line that changes on a terminal, else a line every ten
//! seconds, or a JSON object per line for a program.

use std::{
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ackmark_schema::{
    report::{Ending, verify::Verdict},
    result::Trial,
};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::{console, figures};

/// A terminal is redrawn at most this often.
const REDRAWS_PER_S: u8 = 4;
/// Without a terminal a line is printed this often.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A program hears of it about once a second.
const EVENT_INTERVAL: Duration = Duration::from_millis(900);

/// What is told on stderr meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A changing line on a terminal, else plain lines
    Auto,
    /// A changing line
    Bar,
    /// A line every ten seconds
    Plain,
    /// A JSON object per line
    Json,
    /// Nothing
    None,
}

impl Form {
    /// Whether a person reads it.
    pub(crate) const fn is_for_people(self) -> bool {
        matches!(self, Self::Auto | Self::Bar | Self::Plain)
    }
}

/// How far the work is. Figures are of the last interval, unless they are totals.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A load.
    Load {
        /// Since the start.
        elapsed_s: f64,
        /// Delivered in total.
        messages: u64,
        /// Delivered per second.
        rate_per_s: f64,
        /// Delivery errors in total.
        errors: u64,
        /// Outstanding now.
        outstanding: u64,
        /// 99th percentile of latency from the intended time; none as fast as possible.
        p99_us: Option<u64>,
    },
    /// The warm-up of a bench's brokers.
    WarmUp {
        /// Its interval, from 0.
        interval: usize,
        /// Sent per second.
        rate_per_s: f64,
        /// Sent in total.
        messages: u64,
    },
    /// A trial of a bench begins.
    Trial {
        /// Its number, from 0.
        index: u32,
        /// Trials of the plan.
        total: u32,
        /// Phase name.
        phase: String,
        /// Profile name.
        profile: String,
        /// Round, from 0.
        round: u32,
    },
    /// A trial of a bench has ended.
    TrialEnded {
        /// Its number, from 0.
        index: u32,
        /// How it ended.
        ending: Ending,
        /// Delivered per second while measured; none when the load never reported.
        delivered_per_s: Option<f64>,
        /// The verdict; none when it was not verified.
        verdict: Option<Verdict>,
    },
    /// A group of consumers.
    Process {
        /// Since the start.
        elapsed_s: f64,
        /// Offsets that are behind the group's, of the input's.
        committed: u64,
        /// Offsets of the input.
        of: u64,
        /// Members killed so far.
        crashes: usize,
    },
    /// An accounting.
    Verify {
        /// Since the start.
        elapsed_s: f64,
        /// Read in total.
        messages: u64,
        /// To be read, where known.
        expected: Option<u64>,
        /// Read per second.
        rate_per_s: f64,
    },
}

impl From<ackmark_bench::Progress> for Event {
    fn from(progress: ackmark_bench::Progress) -> Self {
        use ackmark_bench::Progress;
        match progress {
            Progress::Load { elapsed_s, messages, rate_per_s, errors, outstanding, p99_us } => {
                Self::Load { elapsed_s, messages, rate_per_s, errors, outstanding, p99_us }
            }
            Progress::Verify { elapsed_s, messages, expected, rate_per_s } => {
                Self::Verify { elapsed_s, messages, expected, rate_per_s }
            }
        }
    }
}

impl Event {
    /// A trial's end.
    pub(crate) fn trial_ended(trial: &Trial) -> Self {
        Self::TrialEnded {
            index: trial.index,
            ending: trial.ending,
            delivered_per_s: trial.load.as_ref().map(|load| load.measured.delivered_per_s),
            verdict: trial.verification.as_ref().map(|verified| verified.verdict),
        }
    }

    /// One line for people; none where a line of its own is said.
    fn line(&self) -> Option<String> {
        let line = match self {
            Self::Trial { .. } | Self::TrialEnded { .. } => return None,
            Self::WarmUp { interval, rate_per_s, messages } => format!(
                "warming the brokers, {}: {}, {} messages so far",
                interval + 1,
                figures::rate(*rate_per_s),
                figures::count(*messages)
            ),
            Self::Load { elapsed_s, messages, rate_per_s, errors, outstanding, p99_us } => {
                let p99 = p99_us.map(|us| format!(", p99 {}", figures::micros(us))).unwrap_or_default();
                format!(
                    "{:>7}  {} messages, {}, {} errors, {} outstanding{p99}",
                    figures::seconds(*elapsed_s),
                    figures::count(*messages),
                    figures::rate(*rate_per_s),
                    figures::count(*errors),
                    figures::count(*outstanding)
                )
            }
            Self::Process { elapsed_s, committed, of, crashes } => format!(
                "{:>7}  at {} of {} offsets, {crashes} crashes",
                figures::seconds(*elapsed_s),
                figures::count(*committed),
                figures::count(*of)
            ),
            Self::Verify { elapsed_s, messages, expected, rate_per_s } => {
                let of = expected.map(|expected| format!(" of {}", figures::count(expected))).unwrap_or_default();
                format!(
                    "{:>7}  {}{of} messages read, {}",
                    figures::seconds(*elapsed_s),
                    figures::count(*messages),
                    figures::rate(*rate_per_s)
                )
            }
        };
        Some(line)
    }
}

/// Tells how far the work is.
pub(crate) struct Reporter {
    what: Mutex<String>,
    sink: Sink,
}

enum Sink {
    Bar(ProgressBar),
    Plain(Pace),
    Json(Pace),
    None,
}

/// Keeps events apart.
#[derive(Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Whether the last one that was allowed is long enough ago; if so, this one is allowed.
    fn allows(&self, interval: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = last.is_none_or(|at| at.elapsed() >= interval);
        if allowed {
            *last = Some(Instant::now());
        }
        allowed
    }
}

impl Reporter {
    /// A reporter on `what`, a word or two.
    pub(crate) fn new(form: Form, what: impl Into<String>) -> Self {
        let sink = match form {
            Form::Auto if console::stderr_is_terminal() => Sink::bar(),
            Form::Bar => Sink::bar(),
            Form::Auto | Form::Plain => Sink::Plain(Pace::default()),
            Form::Json => Sink::Json(Pace::default()),
            Form::None => Sink::None,
        };
        Self { what: Mutex::new(what.into()), sink }
    }

    /// From now on it is about `what`.
    pub(crate) fn rename(&self, what: String) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Tells an event, or leaves it when it is too soon for another.
    pub(crate) fn tell(&self, event: &Event) {
        match &self.sink {
            Sink::Json(pace) => {
                // What happens once is always told.
                if (event.line().is_none() || pace.allows(EVENT_INTERVAL))
                    && let Ok(line) = serde_json::to_string(event)
                {
                    // A parent that is gone needs no news.
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
            }
            Sink::Bar(bar) => {
                if let Some(line) = event.line() {
                    bar.set_message(self.labelled(&line));
                }
            }
            Sink::Plain(pace) => {
                if let Some(line) = event.line().filter(|_| pace.allows(LINE_INTERVAL)) {
                    console::say(self.labelled(&line));
                }
            }
            Sink::None => {}
        }
    }

    fn labelled(&self, line: &str) -> String {
        format!("{}  {line}", self.what.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says a line beside the events; to a program nothing but events is said.
    pub(crate) fn say(&self, line: &str) {
        match &self.sink {
            Sink::Bar(bar) => bar.suspend(|| console::say(line)),
            Sink::Plain(_) => console::say(line),
            Sink::Json(_) | Sink::None => {}
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }
}

impl Sink {
    fn bar() -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self::Bar(
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_S)).with_style(style),
        )
    }
}
