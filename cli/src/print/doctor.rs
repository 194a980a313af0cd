//! What stands in the way of a run.

use crate::{
    checks::{Check, State},
    document::{Document, Table, Text, Tone},
};

/// All checks, and their sum.
pub(crate) fn document(checks: &[Check]) -> Document {
    let mut table = Table::of_words(["", "what", "found", "cure"]);
    for Check { what, state, found, cure } in checks {
        let (label, tone) = label(*state);
        table.row([
            Text::new(label, tone),
            (*what).into(),
            found.as_str().into(),
            cure.as_deref().unwrap_or_default().into(),
        ]);
    }
    let worst = |state| checks.iter().filter(|check| check.state == state).count();
    let sum = match (worst(State::Fail), worst(State::Warn)) {
        (0, 0) => Text::new("Nothing stands in the way. Next: ackmark bench quick", Tone::Good),
        (0, warnings) => {
            Text::new(format!("A run is possible; {warnings} warning(s). Next: ackmark bench quick"), Tone::Doubtful)
        }
        (failures, _) => Text::new(format!("{failures} thing(s) stand in the way."), Tone::Bad),
    };
    let mut document = Document::default();
    document.table(table).sentence(sum);
    document
}

const fn label(state: State) -> (&'static str, Tone) {
    match state {
        State::Ok => ("ok", Tone::Good),
        State::Warn => ("warn", Tone::Doubtful),
        State::Fail => ("FAIL", Tone::Bad),
    }
}
