//! The shipped binary against a real three-broker Kafka. One cluster serves all tests of this binary: it is
//! started by the first that needs it and stopped at the end, also when tests fail.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod consent;
mod copy;
mod damage;
mod evidence;
mod judge;
mod kafka;
mod log;
mod log_reader;
mod mutations;
mod peers;
mod plain;
mod postgres;
mod process;
mod profiles;
mod readers;
mod resume;
mod seal;
mod secure;
mod semantics;
mod sigkill;
mod syscalls;
mod transactions;
mod trouble;

use std::{process::ExitCode, sync::Arc};

use kafka::Kafka;
use libtest_mimic::{Arguments, Trial};

/// A test that needs the cluster.
fn trial(kafka: &Arc<Kafka>, name: impl Into<String>, test: impl FnOnce(&Kafka) + Send + 'static) -> Trial {
    let kafka = Arc::clone(kafka);
    Trial::test(name, move || {
        test(&kafka);
        Ok(())
    })
}

fn main() -> ExitCode {
    let kafka = Arc::new(Kafka::default());
    let mut trials = profiles::trials(&kafka);
    trials.extend(mutations::trials(&kafka));
    trials.extend(damage::trials(&kafka));
    trials.extend(readers::trials(&kafka));
    trials.extend(seal::trials(&kafka));
    trials.extend(consent::trials(&kafka));
    trials.extend(evidence::trials(&kafka));
    trials.extend(log::trials(&kafka));
    trials.extend(secure::trials(&kafka));
    trials.extend(trouble::trials(&kafka));
    trials.extend(peers::trials(&kafka));
    trials.extend(sigkill::trials(&kafka));
    trials.extend(syscalls::trials(&kafka));
    trials.extend(resume::trials(&kafka));
    trials.extend(transactions::trials(&kafka));
    trials.extend(process::trials(&kafka));
    trials.extend(semantics::trials(&kafka));
    trials.extend(log_reader::trials());
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    // All trials are over, so this is the last owner: its processes end here.
    drop(kafka);
    conclusion.exit_code()
}
