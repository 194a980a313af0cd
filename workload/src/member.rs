//! A member: a process that is told what to do, does it, and tells how it ended.

use ackmark_ledger::journal::Journal;
use ackmark_schema::process::{Effect, Work};
use rdkafka::consumer::Consumer as _;

use crate::{
    app::App,
    clients::{Consumer, Settings},
    error::WorkloadError,
    parent::Parent,
    patterns,
};

/// Does what stdin says, and tells on stdout how it ended. See [`ackmark_schema::process`].
///
/// # Errors
/// It was not told what to do, or cannot begin. What fails later is told to the parent.
pub fn run() -> Result<(), WorkloadError> {
    let (spec, parent) = Parent::greet()?;
    match &spec.work {
        Work::Process(work) => {
            let has_journal = work.pattern.about().effect == Effect::Journal;
            let journal = has_journal.then(|| Journal::create(&work.folder, spec.member, spec.incarnation));
            let mut app = App::new(&spec, parent, journal.transpose()?);
            let settings = Settings::new(&spec, work);
            let (revocations, done) = match settings.consumer() {
                Ok(consumer) => {
                    if work.waits_for_group {
                        wait_for_group(&consumer, &app);
                    }
                    let done = patterns::run(&settings, &consumer, &mut app);
                    (consumer.context().revocations(), done)
                }
                Err(error) => (0, Err(error)),
            };
            app.end(revocations, done.err().map(|error| error.to_string()));
        }
        Work::Produce(work) => {
            let mut app = App::new(&spec, parent, None);
            let done = patterns::one_transaction(&spec, work, &mut app);
            app.end(0, done.err().map(|error| error.to_string()));
        }
    }
    Ok(())
}

/// Takes part in the group and reads nothing, until the parent has seen all members in it: a member that came first would
/// otherwise have the whole input to itself.
fn wait_for_group(consumer: &Consumer, app: &App) {
    const LOOK: std::time::Duration = std::time::Duration::from_millis(20);
    consumer.context().hold();
    while !app.may_go() {
        // Rebalances are served here; what is paused is not handed over.
        if let Some(Err(error)) = consumer.poll(LOOK) {
            eprintln!("join: {error}");
        }
    }
    consumer.context().release();
    if let Ok(assignment) = consumer.assignment() {
        // What was taken away meanwhile needs no resumption.
        let _ = consumer.resume(&assignment);
    }
}
