//! Producers that are killed and go on: what is sent again is there twice where it was there already.

use ackmark_schema::{
    anomaly::Class,
    profile,
    semantics::{CauseShare, Incidence},
};

use super::{
    Killed, Shown,
    stage::Stage,
    transactions::{LINGER, counted},
};

pub(super) const SESSIONS: &str = "each profile's producer is killed and goes on, sending again what was undecided: with \
    idempotence none is doubled within a life, and across lives exactly what was undecided and in the log";

/// What a next life sends beside what it sends again.
const MORE: &str = "20000";

pub(super) async fn killed(stage: &Stage<'_>) -> Result<Shown, String> {
    let mut shown = Shown::default();
    for profile in profile::built_in() {
        let killed =
            one(stage, &profile.name, &mut shown).await.map_err(|error| format!("{}: {error}", profile.name))?;
        shown.incidences.push(killed);
    }
    Ok(shown)
}

async fn one(stage: &Stage<'_>, profile: &str, shown: &mut Shown) -> Result<Killed, String> {
    let (topic, name) = (stage.topic(&format!("killed-{profile}")).await?, format!("killed-{profile}"));
    let flags = ["-t", &topic, "--profile", profile, "--size", "100B", "--duration", "60s", "--rate", "100k/s"];
    stage.load_until_killed(&name, &[&flags[..], &["--warm-up", "0s", "-X", LINGER]].concat()).await?;
    // How it stands between the lives.
    stage.seal(&name).await?;
    let before = stage.verify(&name).await?;
    stage.resume(&name, &["--messages", MORE]).await?;
    let after = stage.verify(&name).await?;
    let (resent, retried) = (counted(&after, Class::DuplicateResend)?, counted(&after, Class::DuplicateRetry)?);
    let of = after.ledger.reserved;
    let lost = || counted(&after, Class::Lost);
    if profile == "idempotent" {
        // Undecided, and in the log: what the next life cannot know of and sends again.
        let absent = counted(&before, Class::AbsentWhenClosed)?;
        shown.check("idempotent: doubled within a life", 0, retried);
        shown.check(
            "idempotent: doubled across lives, as the ledger and the log had it before",
            before.ledger.indeterminate.saturating_sub(absent),
            resent,
        );
        shown.control("idempotent: whether anything was doubled across lives", 1, u64::from(resent > 0));
        shown.check("idempotent: acknowledged and lost", 0, lost()?);
    }
    if profile == "transactional" {
        shown.check("transactional: doubled", 0, retried + resent);
        shown.check("transactional: committed and lost", 0, lost()?);
        shown.check("transactional: aborted and visible", 0, counted(&after, Class::AbortedVisible)?);
    }
    if profile == "all-acks" {
        shown.check("all-acks: acknowledged and lost", 0, lost()?);
    }
    let provoked_by = "its process is killed, and goes on".to_owned();
    let share = |cause: &str, count: u64| CauseShare { cause: cause.to_owned(), count };
    Ok(Killed {
        setting: profile.to_owned(),
        duplicates: Incidence {
            count: Some(retried + resent),
            of,
            causes: vec![share("client retry", retried), share("application resend", resent)],
            provoked_by: provoked_by.clone(),
        },
        lost: if lost().is_ok() {
            // A producer's death takes no acknowledged message from the log: only a broker's could.
            let provoked_by = "not examined: no broker was killed".to_owned();
            Incidence { count: None, of, causes: Vec::new(), provoked_by }
        } else {
            // Nobody acknowledges under acks=0, so nothing can be called lost: it is not there.
            let absent = counted(&after, Class::AbsentWhenClosed)?;
            let causes = vec![share("never acknowledged", absent)];
            Incidence { count: Some(absent), of, causes, provoked_by }
        },
    })
}
