//! What operators tell a remote API about exits: the partial exits of one operator, and the right to ask for the whole
//! ones (cluster.md 16.2 and 16.3). Signed by the node's key, not by a validator's.
//!
//! Not here: signing exits themselves ([`crate::Network::exit_domain`] has their domain), and speaking to the API.

use trireme_keys::IdentityKey;

use crate::merkle::{Chunk, HashError, Leaves};

/// Most exits of one request.
const EXITS: usize = 65_536;

/// A voluntary exit of one validator, signed by a share or by the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedExit {
    /// Group key.
    pub public_key: [u8; 48],
    /// From which epoch on.
    pub epoch: u64,
    /// On the beacon chain.
    pub validator_index: u64,
    /// BLS signature.
    pub signature: [u8; 96],
}

impl SignedExit {
    fn message(&self, l: &mut Leaves) -> Result<(), HashError> {
        l.container(|l| {
            l.u64(self.epoch);
            l.u64(self.validator_index);
            Ok(())
        })
    }

    fn blob(&self, l: &mut Leaves) -> Result<(), HashError> {
        l.container(|l| {
            l.raw(&self.public_key);
            l.container(|l| {
                self.message(l)?;
                l.raw(&self.signature);
                Ok(())
            })
        })
    }

    /// Hash tree root of the exit's message: epoch and validator index.
    ///
    /// # Errors
    /// None in fact; the hasher's signature has them.
    pub fn message_root(&self) -> Result<Chunk, HashError> {
        root(|l| self.message(l))
    }

    /// Hash tree root of the exit with its key.
    ///
    /// # Errors
    /// None in fact; the hasher's signature has them.
    pub fn root(&self) -> Result<Chunk, HashError> {
        root(|l| self.blob(l))
    }
}

/// The root of a single element.
fn root(add: impl FnOnce(&mut Leaves) -> Result<(), HashError>) -> Result<Chunk, HashError> {
    let mut l = Leaves::default();
    add(&mut l)?;
    // One element adds one leaf, and the root of one leaf is itself.
    Ok(l.root())
}

/// Hash tree root of a list of exits.
///
/// # Errors
/// If there are more than 65,536.
pub fn exits_root(exits: &[SignedExit]) -> Result<Chunk, HashError> {
    root(|l| l.list("exits", exits, EXITS, |l, exit| exit.blob(l)))
}

/// What a node signs when it sends the partial exits of its share.
///
/// # Errors
/// If there are more than 65,536.
pub fn partial_exits_digest(exits: &[SignedExit], share_index: u64) -> Result<Chunk, HashError> {
    root(|l| {
        l.container(|l| {
            l.list("exits", exits, EXITS, |l, exit| exit.blob(l))?;
            l.u64(share_index);
            Ok(())
        })
    })
}

/// What a node signs when it asks for the whole exit of a validator, or deletes it.
///
/// # Errors
/// None in fact; the hasher's signature has them.
pub fn full_exit_digest(lock_hash: &[u8; 32], public_key: &[u8; 48], share_index: u64) -> Result<Chunk, HashError> {
    root(|l| {
        l.container(|l| {
            l.raw(lock_hash);
            l.fixed("public key", public_key, 48)?;
            l.u64(share_index);
            Ok(())
        })
    })
}

/// The `Authorization` header of a request with that digest.
#[must_use]
pub fn authorization(identity: &IdentityKey, digest: &Chunk) -> String {
    format!("Bearer 0x{}", hex::encode(identity.sign_digest(digest)))
}
