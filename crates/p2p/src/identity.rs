//! Identities in the library's types. The keys are the same: secp256k1, and a peer ID is an identity multihash of the
//! public key in both.

use libp2p::identity::{Keypair, secp256k1};
use trireme_keys::IdentityKey;

/// An identity that libp2p does not take. Every valid key is taken; this exists because the library's reader can fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the identity key cannot be used for the network: {0}")]
pub struct IdentityError(pub String);

/// The library's key pair for our identity key.
pub(crate) fn keypair(key: &IdentityKey) -> Result<Keypair, IdentityError> {
    // The library wipes the array that it is given.
    let mut bytes = *key.secret_bytes();
    let secret = secp256k1::SecretKey::try_from_bytes(&mut bytes).map_err(|e| IdentityError(e.to_string()))?;
    Ok(Keypair::from(secp256k1::Keypair::from(secret)))
}

/// The library's form of a peer ID.
#[must_use]
pub fn to_libp2p(id: &trireme_keys::PeerId) -> libp2p::PeerId {
    #[expect(
        clippy::expect_used,
        reason = "39 bytes of an identity multihash over a valid public key"
    )]
    libp2p::PeerId::from_bytes(&id.to_bytes()).expect("a peer ID of ours is one of the library's")
}

/// Our form of a peer ID; `None` for identities that are not secp256k1 keys.
#[must_use]
pub fn from_libp2p(id: &libp2p::PeerId) -> Option<trireme_keys::PeerId> {
    trireme_keys::PeerId::from_bytes(&id.to_bytes()).ok()
}

/// The name of a peer in logs and metric labels, also for peers outside the cluster.
pub(crate) fn name(id: &libp2p::PeerId) -> String {
    trireme_keys::peer_name_of_text(&id.to_base58())
}
