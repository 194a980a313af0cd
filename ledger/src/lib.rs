//! What the sender knows, on disk: message states and transactions; and what a consumer has processed. Survives SIGKILL.
//!
//! # Model
//! A producer's life (incarnation) has two files in the load folder, named by [`states_file`] and
//! [`transactions_file`]:
//!
//! - **States** (`p<producer>-i<incarnation>.ledger`): a file mapped `MAP_SHARED`. Each stream has a
//!   *reserved mark*, raised before its messages are handed to the client, and two bits per message,
//!   written by whoever hears of their delivery. A store into the mapping is in the page cache at once,
//!   so the file is exact after SIGKILL without a system call per message.
//! - **Transactions** (`p<producer>-i<incarnation>.txnlog`): an append-only log, written ahead of what
//!   it announces, one `write` per entry.
//!
//! An incarnation that continues a run begins behind what the ones before it reserved, and says in its own files
//! what it sends again of theirs, which stand as they were left.
//!
//! Two threads write the states, with disjoint duties and without locks: [`SendLedger`] reserves,
//! [`DeliveryLedger`] marks. [`TransactionLog`] belongs to the thread that sends.
//! [`LedgerReader`] reads them back when all writers have ended.
//!
//! # Limits
//! A crash of the host loses what the kernel had not written back: nothing here calls `fsync`. Headers,
//! the page directory and transactions carry checksums; the two bits per message do once their producer has ended, not
//! when it was killed. Files are little-endian and Linux only.
//!
//! | module | what |
//! |---|---|
//! | [`mod@layout`] | the states file, byte by byte |
//! | `close` | what its states are checked by |
//! | [`states`] | its two writers |
//! | [`transactions`] | the transaction log |
//! | [`reader`] | both, read back |
//! | [`marks`] | how far a run that is under way has come |
//! | [`undecided`] | what a next incarnation may send again |
//! | [`writers`] | whether the producers have ended |
//! | [`journal`] | what a consumer has processed: a file of its own kind |
//! | [`damage`] | what to do with a ledger that is not sound |
//! | [`error`] | what can go wrong |

mod close;
pub mod damage;
pub mod error;
mod file;
pub mod journal;
pub mod layout;
mod map;
pub mod marks;
pub mod reader;
pub mod states;
pub mod transactions;
pub mod undecided;
pub mod writers;

pub use damage::OnDamage;
pub use error::LedgerError;
pub use layout::{Identity, State, states_file, transactions_file};
pub use marks::ReservedMarks;
pub use reader::{Fate, LedgerReader, Member, Part, StreamLedger, Transaction};
pub use states::{DeliveryLedger, Resend, SendLedger, StreamStart, create};
pub use transactions::TransactionLog;
pub use undecided::Undecided;
pub use writers::{AtRest, Ended, refuse_writers};
