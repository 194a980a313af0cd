//! Verdicts, counts and what put a promise to the test.

use std::fmt::Write as _;

use ackmark_schema::{
    anomaly::Class,
    promise::Ruling,
    report::{
        load::Provocations,
        verify::{Examined, LedgerCounts, Verdict},
    },
};

use crate::{
    document::{Table, Text, Tone},
    figures,
};

/// A verdict with its tone.
pub(crate) fn verdict(verdict: Verdict) -> Text {
    Text::new(verdict.label(), tone(verdict))
}

/// How a verdict is to be taken.
pub(crate) const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Held | Verdict::HeldUnprovoked => Tone::Good,
        Verdict::Inconclusive => Tone::Doubtful,
        Verdict::Broken => Tone::Bad,
        Verdict::NotJudged => Tone::Faint,
    }
}

/// How a class is ruled.
pub(crate) const fn ruling(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::MustNot => "must not",
        Ruling::May => "may",
        Ruling::NoClaim => "no claim",
    }
}

/// A count, or that there is none. Zero of what must not be is good, more of it is bad.
pub(crate) fn examined(examined: &Examined, ruling: Ruling) -> Text {
    match examined {
        Examined::NotExamined { .. } => Text::new("not examined", Tone::Faint),
        Examined::Counted(0) => Text::new("0", Tone::Plain),
        Examined::Counted(count) => {
            let tone = if ruling == Ruling::MustNot { Tone::Bad } else { Tone::Doubtful };
            Text::new(figures::count(*count), tone)
        }
    }
}

/// The count of several classes together: exact when each is; `n/a` where the promise makes no claim and
/// nothing was looked for.
pub(crate) fn sum<'a>(findings: impl Iterator<Item = (Class, &'a Examined, Ruling)>, classes: &[Class]) -> Text {
    let found: Vec<_> = findings.filter(|(class, ..)| classes.contains(class)).collect();
    let counts: Option<Vec<u64>> = found
        .iter()
        .map(|(_, examined, _)| match examined {
            Examined::Counted(count) => Some(*count),
            Examined::NotExamined { .. } => None,
        })
        .collect();
    let ruled = |ruling| found.iter().any(|(.., found)| *found == ruling);
    match counts.filter(|counts| !counts.is_empty()) {
        None if !ruled(Ruling::MustNot) && !ruled(Ruling::May) => Text::new("n/a", Tone::Faint),
        None => Text::new("not examined", Tone::Faint),
        Some(counts) => {
            let ruling = if ruled(Ruling::MustNot) { Ruling::MustNot } else { Ruling::May };
            examined(&Examined::Counted(counts.iter().sum()), ruling)
        }
    }
}

/// What the ledger says, as a sentence.
pub(crate) fn ledger(ledger: &LedgerCounts) -> String {
    let mut text = format!(
        "{} messages by the ledger: {} acknowledged, {} failed, {} indeterminate",
        figures::count(ledger.reserved),
        figures::count(ledger.acknowledged),
        figures::count(ledger.failed),
        figures::count(ledger.indeterminate)
    );
    if ledger.resent > 0 {
        let _ = write!(text, "; {} sent again", figures::count(ledger.resent));
    }
    let transactions = ledger.committed_transactions + ledger.aborted_transactions + ledger.indeterminate_transactions;
    if transactions > 0 {
        let _ = write!(
            text,
            "; {} transactions: {} committed, {} aborted, {} indeterminate",
            figures::count(transactions),
            figures::count(ledger.committed_transactions),
            figures::count(ledger.aborted_transactions),
            figures::count(ledger.indeterminate_transactions)
        );
    }
    text + "."
}

/// What put a promise to the test, as a sentence.
pub(crate) fn provocations(seen: &Provocations) -> String {
    let count = |count: u64, what| format!("{} {what}", figures::count(count));
    let told: Vec<String> = seen
        .named()
        .into_iter()
        .filter_map(|(what, counted)| Some(count(counted.filter(|counted| *counted > 0)?, what)))
        .collect();
    match (told.is_empty(), seen.unknown()) {
        (true, None) => "Nothing put the promise to the test: no message sent again, error answer, timeout, \
                         disconnect or leader change."
            .to_owned(),
        (true, Some(unknown)) => {
            format!("Nothing is known to have put the promise to the test. Unknown: {unknown}.")
        }
        (false, None) => format!("The promise was put to the test by {}.", told.join(", ")),
        (false, Some(unknown)) => {
            format!("The promise was put to the test by {}. Unknown: {unknown}.", told.join(", "))
        }
    }
}

/// A table of findings, the grave ones first; classes without claim and without occurrence are left out.
pub(crate) fn findings<'a>(found: impl IntoIterator<Item = (Class, &'a Examined, Ruling, &'a str, Verdict)>) -> Table {
    let mut rows: Vec<_> = found
        .into_iter()
        .filter(|(_, examined, ruling, ..)| *ruling != Ruling::NoClaim || matches!(examined, Examined::Counted(1..)))
        .collect();
    rows.sort_by_key(|(.., verdict)| std::cmp::Reverse(*verdict));
    let mut table = Table::of_words(["class", "count", "promise", "verdict", "why"]);
    for (class, examined, ruling, reason, verdict) in rows {
        let why = match examined {
            Examined::NotExamined { why } => why.as_str(),
            Examined::Counted(_) => reason,
        };
        table.row([
            class.label().into(),
            self::examined(examined, ruling),
            self::ruling(ruling).into(),
            self::verdict(verdict),
            why.into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_tell_is_unknown_and_never_none() {
        let mut seen = Provocations { leader_changes: None, ..Provocations::NONE };
        let unknown = "Nothing is known to have put the promise to the test. Unknown: leader changes.";
        assert_eq!(provocations(&seen), unknown);
        seen.disconnects = 1_200;
        let told = "The promise was put to the test by 1,200 disconnects. Unknown: leader changes.";
        assert_eq!(provocations(&seen), told);
        seen.leader_changes = Some(0);
        assert_eq!(provocations(&seen), "The promise was put to the test by 1,200 disconnects.");
        seen.disconnects = 0;
        assert!(provocations(&seen).starts_with("Nothing put"), "{}", provocations(&seen));
        seen.counted_to_end = false;
        let unknown = "Nothing is known to have put the promise to the test. Unknown: what the client counted last.";
        assert_eq!(provocations(&seen), unknown);
    }
}
