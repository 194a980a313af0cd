//! What a next incarnation sends again, by what is known of each attempt.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{ops::Range, path::Path};

use ackmark_ledger::{
    DeliveryLedger, Ended, Identity, LedgerError, LedgerReader, Resend, SendLedger, State, StreamStart, TransactionLog,
    Undecided, create, refuse_writers,
};
use ackmark_schema::manifest::Resends;
use support::{RUN, manifest};

fn life(folder: &Path, incarnation: u32, first_sequence: u64, resends: &[Resend]) -> (SendLedger, DeliveryLedger) {
    let identity = Identity { run: RUN, producer: 0, incarnation };
    create(folder, identity, &[StreamStart { stream: 3, first_sequence }], resends).unwrap()
}

fn log(folder: &Path, incarnation: u32) -> TransactionLog {
    TransactionLog::create(folder, Identity { run: RUN, producer: 0, incarnation }).unwrap()
}

fn undecided(folder: &Path, incarnations: &[u32], transactional: bool, choice: Resends) -> Vec<(Range<u64>, u16)> {
    let reader = LedgerReader::open(folder, &manifest(&[(&[3], incarnations)], transactional)).unwrap();
    let of_stream = |Undecided { stream, sequences, attempt }| {
        assert_eq!(stream, 3);
        (sequences, attempt)
    };
    reader.undecided(choice).into_iter().map(of_stream).collect()
}

#[test]
fn without_transactions_what_is_neither_acknowledged_nor_failed_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut send, mut delivery) = life(folder.path(), 0, 0, &[]);
    for state in [State::Acknowledged, State::Open, State::Failed, State::Indeterminate, State::Acknowledged] {
        let range = send.reserve(0, 10).unwrap();
        delivery.mark(0, range.start, 10, state).unwrap();
    }
    let all = |incarnations: &[u32], choice| undecided(folder.path(), incarnations, false, choice);
    assert_eq!(all(&[0], Resends::Indeterminate), [(10..20, 1), (30..40, 1)]);
    assert_eq!(all(&[0], Resends::Uncommitted), []);
    assert_eq!(all(&[0], Resends::None), []);

    // The next life sends some of it again: five are acknowledged, five fail, which decides nothing of the first
    // attempt, five are reserved only, and five it did not come to.
    let resends = [(10..20), (30..40)].map(|sequences| Resend { slot: 0, sequences, attempt: 1 });
    let (mut send, mut delivery) = life(folder.path(), 1, 50, &resends);
    send.resend(0, 10).unwrap();
    send.resend(0, 5).unwrap();
    delivery.mark(0, 10, 5, State::Acknowledged).unwrap();
    delivery.mark(0, 15, 5, State::Failed).unwrap();
    assert_eq!(all(&[0, 1], Resends::Indeterminate), [(15..20, 2), (30..35, 2), (35..40, 1)]);
}

#[test]
fn in_transactions_it_depends_on_what_became_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut send, mut delivery) = life(folder.path(), 0, 0, &[]);
    let mut log_0 = log(folder.path(), 0);
    for transaction in 1..=5 {
        log_0.begin(transaction, 0).unwrap();
        log_0.member(3, send.reserved(0)).unwrap();
        let range = send.reserve(0, 10).unwrap();
        delivery.mark(0, range.start, 10, State::Acknowledged).unwrap();
        match transaction {
            1 => {
                log_0.intent_commit(0).unwrap();
                log_0.committed(0).unwrap();
            }
            2 => {
                log_0.intent_abort(0).unwrap();
                log_0.aborted(0).unwrap();
            }
            3 => log_0.intent_commit(0).unwrap(),
            4 => log_0.intent_abort(0).unwrap(),
            _ => delivery.mark(0, 45, 1, State::Failed).unwrap(),
        }
    }
    let all = |incarnations: &[u32], choice| undecided(folder.path(), incarnations, true, choice);
    assert_eq!(all(&[0], Resends::None), []);
    assert_eq!(all(&[0], Resends::Uncommitted), [(30..45, 1), (46..50, 1)]);
    assert_eq!(all(&[0], Resends::Indeterminate), [(20..45, 1), (46..50, 1)]);

    // Sent again: some are committed, the commit of some is not answered, and the last ones die once more.
    let resends = [(20..45), (46..50)].map(|sequences| Resend { slot: 0, sequences, attempt: 1 });
    let (mut send, _delivery) = life(folder.path(), 1, 50, &resends);
    let mut log_1 = log(folder.path(), 1);
    for (transaction, first, n) in [(6, 20, 5), (7, 25, 10), (8, 35, 10)] {
        log_1.begin(transaction, 0).unwrap();
        log_1.member(3, first).unwrap();
        send.resend(0, n).unwrap();
        if transaction < 8 {
            log_1.intent_commit(0).unwrap();
        }
        if transaction == 6 {
            log_1.committed(0).unwrap();
        }
    }
    // What was in the unanswered third transaction may be there, whatever the second attempt says.
    assert_eq!(all(&[0, 1], Resends::Uncommitted), [(35..45, 2), (46..50, 1)]);
    assert_eq!(all(&[0, 1], Resends::Indeterminate), [(25..45, 2), (46..50, 1)]);
}

#[test]
fn one_at_a_time_goes_on_with_a_run_and_only_when_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(&[(&[3], &[0])], false);
    let writers = life(folder.path(), 0, 0, &[]);
    let being_written = |result: Result<(), LedgerError>| matches!(result, Err(LedgerError::BeingWritten { .. }));
    assert!(being_written(Ended::take(folder.path(), &manifest).map(drop)));
    drop(writers);
    let taken = Ended::take(folder.path(), &manifest).unwrap();
    assert!(being_written(Ended::take(folder.path(), &manifest).map(drop)), "another one has it");
    assert!(being_written(refuse_writers(folder.path(), &manifest).map(drop)), "it is about to be written");
    drop(taken);

    // Nor while it is read, by however many.
    let readers = [(); 2].map(|()| refuse_writers(folder.path(), &manifest).unwrap());
    let being_read = || {
        let refused = Ended::take(folder.path(), &manifest).unwrap_err();
        assert!(refused.to_string().contains("wait for it to end"), "{refused}");
        matches!(refused, LedgerError::BeingRead { .. })
    };
    assert!(being_read());
    let [first, second] = readers;
    drop(first);
    assert!(being_read(), "the second one reads on");
    drop(second);
    drop(Ended::take(folder.path(), &manifest).unwrap());
}
