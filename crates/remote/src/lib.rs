//! Servers that commands speak to over HTTP: the remote API, keymanagers, and an execution client.
//!
//! ```text
//!   Api ──────── definition, terms and lock published; a definition fetched (cluster.md 15)
//!   Keymanager ─ key shares pushed to a validator client or signer (keymanager.md 7)
//!   Execution ── smart-contract wallets asked about signatures (cluster.md 4.2)
//! ```
//!
//! Guarantees: every exchange ends within its time limit and no answer is read beyond its size limit; an error says which
//! server failed in which way ([`RemoteError`]); tokens, passwords and what an address may hold as a key stand in no
//! message, also when a server sends them back.
//! Not here: when to ask whom, which is the commands' affair; beacon nodes, which have a crate of their own.

pub mod api;
pub mod execution;
mod http;
pub mod keymanager;
mod token;

pub use api::{Api, Published, Terms};
pub use execution::{Execution, ExecutionError};
pub use http::{AddressError, RemoteError};
pub use keymanager::{KeyToImport, Keymanager, PushError, Pushed};
pub use token::{Token, TokenError};
