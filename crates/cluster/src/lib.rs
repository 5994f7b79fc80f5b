//! Cluster files: the definition, the lock, deposit data, and the folders of nodes.
//!
//! ```text
//!   Definition ── create / ceremony ──► Lock ── verify ──► Cluster (decoded, for use)
//!                                        │
//!                                        └──► node folders: lock, keystores, deposit data, identity key
//! ```
//!
//! Guarantees: schemas v1.0 to v1.11 are read and written byte for byte as Charon does it; bytes in, bytes out, nothing here
//! touches a file, a clock or randomness; no input panics.
//! Not here: the ceremony that creates keys together, and the network.

pub mod address;
pub mod check;
pub mod combine;
pub mod create;
mod definition;
pub mod deposit;
pub mod eip712;
pub mod exit;
pub mod folder;
mod hash;
pub mod invite;
mod json;
pub mod json_schema;
mod load;
mod lock;
mod merkle;
mod network;
mod signing;
mod stage;
mod verify;
mod verify_lock;
mod version;
mod view;
mod wallets;
mod workers;

pub use definition::{Addresses, Creator, Definition, MAX_VALIDATORS, Operator, WriteError};
pub use deposit::DepositData;
pub use json::{MAX_FILE, ParseError};
pub use load::{LoadError, Loaded, Strictness, load_definition, load_lock};
pub use lock::{DistributedValidator, Lock, Registration};
pub use merkle::{Chunk, HashError, Leaves};
pub use network::{Network, Networks};
pub use stage::Stage;
pub use verify::{DefinitionError, Order, VerifyError, What, Who};
pub use version::{UnknownVersion, Version};
pub use view::{Cluster, ClusterError, ClusterOperator, ClusterValidator, MAX_OPERATORS};
pub use wallets::{WalletQuestion, WalletRules, Wallets};
pub use workers::{Alone, Workers};
