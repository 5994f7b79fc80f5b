//! Who a node is, and how its secrets lie on disk: the secp256k1 identity key, its record (ENR), the peer id and name that
//! follow from it, and EIP-2335 keystores.
//!
//! ```text
//! IdentityKey ──► K1PublicKey ──► PeerId ──► peer_name
//!      │               ▲
//!      └──► Enr ───────┘
//! ```
//!
//! Guarantees: bytes in, bytes out; no file, clock or randomness is touched (callers give entropy). A [`K1PublicKey`] is a
//! point of the curve and a [`PeerId`] holds one. Secrets are wiped when dropped and never printed.
//!
//! Not here: BLS (crate `tbls`), files and folders (crates `node` and `cli`), libp2p's own types (crate `p2p`).

mod enr;
mod identity;
pub mod keystore;
mod peer;
mod rlp;
mod words;

pub use enr::{Enr, EnrAddress, EnrError};
pub use identity::{IdentityKey, K1Error, K1PublicKey, K1Signature, KeyFileError, keccak256, recover, verify};
pub use keystore::{Keystore, KeystoreError};
pub use peer::{PeerId, PeerIdError, peer_name, peer_name_of_text, peer_name_words};
