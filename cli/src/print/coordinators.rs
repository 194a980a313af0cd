//! What coordinators told of transactions during a load.

use ackmark_schema::report::coordinators::{Coordinators, UnderWay};

use crate::{
    document::{Document, Text, Tone},
    figures,
};

/// A sentence, and what it warns of.
pub(crate) fn document(report: &Coordinators) -> Document {
    let mut document = Document::default();
    document.sentence(sentence(report));
    if let Some(why) = &report.given_up {
        document.sentence(Text::new(format!("Coordinators were not asked any more: {why}."), Tone::Doubtful));
    }
    let told = report.warnings.iter();
    document.items(told.map(|one| Text::new(format!("{}; {}.", one.what, one.cure), Tone::Doubtful)));
    document
}

fn sentence(report: &Coordinators) -> Text {
    let found: Vec<&UnderWay> = report.answered().map(|(_, found)| found).collect();
    if found.is_empty() {
        return Text::new("Transactions of the cluster: not examined, no look was answered.", Tone::Doubtful);
    }
    let most = |count: fn(&UnderWay) -> u64| found.iter().map(|found| count(found)).max().unwrap_or_default();
    let oldest = found.iter().filter_map(|found| Some((found.oldest_ms?, found.oldest_id.as_deref()?))).max();
    let oldest = oldest.map_or_else(String::new, |(age_ms, id)| {
        format!(", the oldest for {} ({id})", figures::seconds(age_ms as f64 / 1e3))
    });
    let unanswered = match report.looks.len() - found.len() {
        0 => String::new(),
        count => format!(", {count} more unanswered"),
    };
    let unaccounted = found.iter().filter_map(|found| found.unaccounted).max();
    let changed = found.iter().filter_map(|found| found.coordinators_changed).reduce(|sum, more| sum + more);
    let not_examined = match most(|found| found.not_examined) {
        0 => String::new(),
        count => format!("; up to {} partitions or ids not examined", figures::count(count)),
    };
    let text = format!(
        "Transactions of the cluster ({} looks{unanswered}): at most {} under way at a time{oldest}; {}; {}{not_examined}.",
        found.len(),
        figures::count(most(|found| found.under_way)),
        match unaccounted {
            None => "not examined whether some have no coordinator".to_owned(),
            Some(0) => "none without a coordinator".to_owned(),
            Some(count) => format!("{} without a coordinator that told of it", figures::count(count)),
        },
        match changed {
            None => "not examined whether coordinators changed".to_owned(),
            Some(0) => "coordinators stayed".to_owned(),
            Some(count) => format!("coordinators changed, {} partitions of theirs", figures::count(count)),
        },
    );
    let sound = unaccounted == Some(0) && changed == Some(0) && unanswered.is_empty() && not_examined.is_empty();
    Text::new(text, if sound { Tone::Plain } else { Tone::Doubtful })
}
