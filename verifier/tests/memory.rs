//! What the accounting of 10^9 messages takes: memory grows with gaps, not with messages.
//!
//! ```text
//! cargo test --release -p ackmark-verifier --test memory -- --ignored --nocapture
//! ```
//!
//! Beside the accounting the process holds the run's ledger, of which only the reserved marks are touched. The file
//! takes 250 MB in the temporary folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{fs, time::Instant};

use support::{World, header};

const MESSAGES: u64 = 1_000_000_000;
const STREAMS: u64 = 4;
/// Messages of one stream in a row.
const RUN: u64 = 500;
/// One message in so many comes behind the others of its hundred.
const DISPLACED: u64 = 100;
/// One message in so many is missing.
const LOST: u64 = 10_000;
/// Which of them: not a displaced one.
const LOST_AT: u64 = 50;
const LIMIT_KIB: u64 = 64 * 1024;

/// The most memory that this process has had, KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "takes a minute and an optimised build"]
fn a_thousand_million_messages_stay_below_64_mib() {
    let mut world = World::new(STREAMS as u32, 1, false);
    let each = MESSAGES / STREAMS;
    for sender in &mut world.senders {
        sender.states.as_mut().unwrap().0.reserve(0, each).unwrap();
    }
    let mut account = world.account(0, &[]);
    let (start, mut offset) = (Instant::now(), 0);
    for run in (0..each).step_by(RUN as usize) {
        for stream in 0..STREAMS as u32 {
            for hundred in (run..run + RUN).step_by(DISPLACED as usize) {
                // The first of each hundred comes last.
                for sequence in (hundred + 1..hundred + DISPLACED).chain([hundred]) {
                    if sequence % LOST != LOST_AT {
                        account.message(offset, &header(stream, sequence, 0), &mut ());
                        offset += 1;
                    }
                }
            }
        }
    }
    let (seconds, peak_kib) = (start.elapsed().as_secs_f64(), peak_kib());
    let gaps: usize = account.streams().map(|(_, stream)| stream.kept()).sum();
    eprintln!("{offset} messages in {seconds:.1} s, {gaps} gaps, at most {peak_kib} KiB in memory");
    assert_eq!(account.totals().messages, MESSAGES - MESSAGES / LOST);
    assert_eq!(account.tallies().reordered.count(), MESSAGES / DISPLACED);
    assert_eq!(gaps as u64, MESSAGES / LOST);
    assert!(peak_kib < LIMIT_KIB, "{peak_kib} KiB");
}
