//! A member: a process that is told what to do, does it, and tells how it ended.

use ackmark_ledger::journal::Journal;
use ackmark_schema::process::{Effect, Work};
use rdkafka::consumer::Consumer as _;

use crate::{app::App, clients::Settings, error::WorkloadError, parent::Parent, patterns};

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
