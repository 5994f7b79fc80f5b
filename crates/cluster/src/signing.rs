//! What a group signs outside the life of the chain: deposits and registrations, both under the genesis fork version and
//! without a genesis validators root (cluster.md 6.1 and 7).

use trireme_eth2::{Domain, ForkVersion, Root};

use crate::{
    deposit::DepositData,
    lock::Registration,
    merkle::{Chunk, HashError},
};

fn signing_root(object: Chunk, domain: Domain) -> Chunk {
    trireme_eth2::signing_root(Root(object), domain).0
}

impl DepositData {
    /// What the group signs.
    ///
    /// # Errors
    /// If a field is too long.
    pub fn signing_root(&self, genesis_fork_version: [u8; 4]) -> Result<Chunk, HashError> {
        Ok(signing_root(
            self.message_root()?,
            trireme_eth2::deposit_domain(ForkVersion(genesis_fork_version)),
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
            trireme_eth2::builder_domain(ForkVersion(genesis_fork_version)),
        ))
    }
}
