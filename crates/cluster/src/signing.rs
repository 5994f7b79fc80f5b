//! What a group signs outside the life of the chain: deposits and registrations, both under the genesis fork version and
//! without a genesis validators root (cluster.md 6.1 and 7).

use crate::{
    deposit::DepositData,
    lock::Registration,
    merkle::{Chunk, HashError, Leaves},
};

const DEPOSIT: [u8; 4] = [3, 0, 0, 0];
const APPLICATION_BUILDER: [u8; 4] = [0, 0, 0, 1];

/// The domain: its type, then the first 28 bytes of the fork data's root.
fn domain(kind: [u8; 4], genesis_fork_version: [u8; 4]) -> [u8; 32] {
    let mut fork_data = Leaves::default();
    fork_data.raw(&genesis_fork_version);
    fork_data.raw(&[0; 32]);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(kind.into_iter().chain(fork_data.root())) {
        *to = from;
    }
    out
}

fn signing_root(object: Chunk, domain: [u8; 32]) -> Chunk {
    let mut data = Leaves::default();
    data.raw(&object);
    data.raw(&domain);
    data.root()
}

impl DepositData {
    /// What the group signs.
    ///
    /// # Errors
    /// If a field is too long.
    pub fn signing_root(&self, genesis_fork_version: [u8; 4]) -> Result<Chunk, HashError> {
        Ok(signing_root(
            self.message_root()?,
            domain(DEPOSIT, genesis_fork_version),
        ))
    }
}

impl Registration {
    /// What the group signs.
    ///
    /// # Errors
    /// If a field is too long.
    pub fn signing_root(&self, genesis_fork_version: [u8; 4]) -> Result<Chunk, HashError> {
        Ok(signing_root(
            self.message_root()?,
            domain(APPLICATION_BUILDER, genesis_fork_version),
        ))
    }
}
