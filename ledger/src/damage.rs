//! What to do with a ledger that is damaged or cut off.
//!
//! What is under a checksum is told to be sound or not: headers, reserved marks, entries of the page directory and of
//! the transaction log. Each of these stands for what it leads to: without its entry nothing tells whose a state page
//! is, and behind an entry of the transaction log that does not match nothing tells what was asked for. The two bits
//! per message are checked by page where their producer has ended (see [`crate::layout`]); where it was killed, damage
//! within a state page is not seen: what it says is believed.
//!
//! | damaged | what stays known | what does not |
//! |---|---|---|
//! | header | nothing of the file | how much its incarnation sent, and what became of it |
//! | reserved mark | what has a state in the stream's sound pages was reserved | where the stream ends |
//! | directory entry, states of a page, pages cut off | all other pages, and how many messages were reserved | states of the page's messages |
//! | transaction log | transactions up to the last sound entry | fate of the one under way there, and where each stream's last one ends |

use ackmark_schema::report::verify::LedgerDamage;

use crate::error::LedgerError;

/// What a reader does with a ledger that is damaged or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// It is refused, with the first place that is not sound.
    #[default]
    Refuse,
    /// What is sound is read, and all that is not is told. A file of another run, producer or version, or one that is
    /// no ledger, is refused all the same: nothing in it can be trusted.
    Salvage,
}

/// Damages of a load folder's ledgers: at most two per states file and one per transaction log.
#[derive(Debug)]
pub(crate) struct Damages {
    on_damage: OnDamage,
    found: Vec<LedgerDamage>,
}

impl Damages {
    pub(crate) fn new(on_damage: OnDamage) -> Self {
        Self { on_damage, found: Vec::new() }
    }

    /// Takes the error by which a ledger is refused, here and in `more` places of its file, for what it leaves unknown.
    ///
    /// # Errors
    /// The error, where it is no damage or damage is refused.
    pub(crate) fn note(
        &mut self,
        cause: LedgerError,
        more: usize,
        messages_unknown: Option<u64>,
    ) -> Result<(), LedgerError> {
        let Some((path, offset, mut what)) = cause.damage().filter(|_| self.on_damage == OnDamage::Salvage) else {
            return Err(cause);
        };
        if more > 0 {
            what = format!("{what}, and {more} more like it");
        }
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.found.push(LedgerDamage { file, offset, what, messages_unknown });
        Ok(())
    }

    pub(crate) fn into_found(self) -> Vec<LedgerDamage> {
        self.found
    }
}
