//! Definitions and locks that are wrong in one place: per check and schema version one that fails there first, and
//! nowhere before, because whatever the change touches is signed again.
//!
//! ```text
//!   Signed::new(version) ── a Mutation's change, signing again ──► Mutant ── json ──► reader ── verify ──► Stage
//! ```
//!
//! Guarantees: the same version and mutation give the same bytes. All keys are worthless.
//! Not here: files that cannot be read at all.

mod list;
mod signed;

use trireme_cluster::{Order, Stage, Version, Wallets};

pub use list::MUTATIONS;
pub use signed::{Signed, fixed_bytes};

/// One way to make a file wrong.
pub struct Mutation {
    /// What was done, for messages.
    pub name: &'static str,
    /// The check that fails first.
    pub stage: Stage,
    /// Whether a definition alone can be wrong in this way, or only a lock.
    pub of_definition: bool,
    /// Whether the schema has what is changed, so that in this order no earlier check fails.
    has: fn(Version, Order) -> bool,
    change: fn(&mut Signed),
}

/// A file that is wrong.
pub struct Mutant {
    /// The lock; of a definition, its definition counts.
    pub signed: Signed,
    /// What smart-contract wallets answer.
    pub wallets: Wallets,
}

impl Mutation {
    /// Whether a file of this version can be wrong in this way, and fails at [`Self::stage`] first in this order.
    #[must_use]
    pub fn reaches(&self, version: Version, order: Order) -> bool {
        (self.has)(version, order)
    }

    /// The wrong file that comes of a right one.
    #[must_use]
    pub fn apply(&self, right: &Signed) -> Mutant {
        let mut signed = right.clone();
        (self.change)(&mut signed);
        let wallets = signed.wallets.clone();
        Mutant { signed, wallets }
    }
}

impl Mutant {
    /// The lock's file, with the hashes as they are in memory, right or wrong.
    #[must_use]
    pub fn lock_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.signed.lock).unwrap_or_default()
    }

    /// The definition's file, with the hashes as they are in memory, right or wrong.
    #[must_use]
    pub fn definition_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.signed.lock.definition).unwrap_or_default()
    }
}
