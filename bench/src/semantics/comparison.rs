//! The table that every course on Kafka shows, filled from what was measured.

use ackmark_schema::{
    process::{Effect, Pattern},
    profile::{self, Profile},
    semantics::{Incidence, Kind, Setting, Spread, Variant},
};

use super::{
    Killed,
    rates::{Measured, Rated, Reached},
};

/// A row for each profile and pattern.
pub(super) fn settings(measured: &Measured, killed: &[Killed]) -> Vec<Setting> {
    let producers = profile::built_in().into_iter().map(|profile| {
        (Kind::Producer, profile.name.clone(), Rated::profile(&profile), needs(&profile), profile.use_when)
    });
    let patterns = Pattern::ALL.map(|pattern| {
        let about = pattern.about();
        let kind = if about.effect == Effect::Output { Kind::Pipeline } else { Kind::Consumer };
        (kind, pattern.name().to_owned(), Rated::pattern(pattern), about.needs.to_owned(), about.use_when.to_owned())
    });
    let mut first: Vec<(Kind, Rated)> = Vec::new();
    let rows = producers.chain(patterns).map(|(kind, name, rated, needs, use_when)| {
        if first.iter().all(|(known, _)| *known != kind) {
            first.push((kind, rated.clone()));
        }
        let base = first.iter().find(|(known, _)| *known == kind).map(|(_, rated)| rated.clone());
        let reached = measured.get(&rated).map_or(&[][..], Vec::as_slice);
        let base = base.and_then(|base| measured.get(&base)).map_or(&[][..], Vec::as_slice);
        let was = killed.iter().find(|killed| killed.setting == name);
        Setting {
            kind,
            rate: rates(reached),
            relative: relative(reached, base),
            median_us: if kind == Kind::Producer { None } else { middle(reached) },
            duplicates: was.map_or_else(unseen, |was| was.duplicates.clone()),
            lost: was.map_or_else(unseen, |was| was.lost.clone()),
            name,
            needs,
            use_when,
        }
    });
    rows.collect()
}

/// Transactions by duration against the idempotent profile, pipelines by batch against the smallest.
pub(super) fn variants(measured: &Measured) -> Vec<Variant> {
    let idempotent = Rated::Producer { profile: "idempotent".into(), duration: None };
    let smallest = Rated::Group { pattern: Pattern::ExactlyOnce, batch: 100 };
    let of = |rated: &Rated| measured.get(rated).map_or(&[][..], Vec::as_slice);
    let transactions = ["10ms", "100ms", "1s"].map(|duration| {
        let rated = Rated::Producer { profile: "transactional".into(), duration: Some(duration) };
        ("transactional", format!("transactions of {duration}"), rated, &idempotent, "idempotent")
    });
    let batches = [100, 1_000, 10_000].map(|batch| {
        let rated = Rated::Group { pattern: Pattern::ExactlyOnce, batch };
        ("exactly-once", format!("cycles of {batch} messages"), rated, &smallest, "cycles of 100")
    });
    let all = transactions.into_iter().chain(batches).filter(|(_, _, rated, ..)| !of(rated).is_empty());
    all.map(|(setting, variant, rated, base, relative_to)| Variant {
        setting: setting.to_owned(),
        variant,
        rate: rates(of(&rated)),
        relative: relative(of(&rated), of(base)),
        relative_to: relative_to.to_owned(),
        median_us: Spread { values: of(&rated).iter().filter_map(|one| one.median_us).map(|us| us as f64).collect() },
    })
    .collect()
}

fn rates(reached: &[Reached]) -> Spread {
    Spread { values: reached.iter().map(|one| one.rate).collect() }
}

/// Round by round.
fn relative(reached: &[Reached], base: &[Reached]) -> Spread {
    Spread { values: reached.iter().zip(base).map(|(one, base)| one.rate / base.rate).collect() }
}

fn middle(reached: &[Reached]) -> Option<u64> {
    let medians = reached.iter().filter_map(|one| one.median_us).map(|us| us as f64);
    Spread { values: medians.collect() }.median().map(|us| us as u64)
}

fn unseen() -> Incidence {
    Incidence { count: None, of: 0, causes: Vec::new(), provoked_by: "not examined".to_owned() }
}

/// What a profile needs beside sending.
fn needs(profile: &Profile) -> String {
    let is = |name: &str, value: &str| profile.properties.get(name).is_some_and(|found| found == value);
    if profile.transactions.is_some() {
        "a transactional.id, transactions, readers of committed data".to_owned()
    } else if is("enable.idempotence", "true") {
        "one property".to_owned()
    } else {
        "nothing".to_owned()
    }
}
