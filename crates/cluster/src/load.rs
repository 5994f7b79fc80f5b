//! From a file's content to a definition or lock that may be used.
//!
//! Not here: reading files; when a verdict may be remembered.

use crate::{
    definition::Definition,
    json::ParseError,
    lock::Lock,
    merkle::HashError,
    network::Networks,
    verify::VerifyError,
    view::{Cluster, ClusterError},
    wallets::Wallets,
};

/// Why a lock file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("the cluster lock cannot be read: {0}")]
    Parse(#[from] ParseError),
    /// It is not right.
    #[error(
        "the cluster lock does not verify: {0}; get the file again from whoever created the cluster (--no-verify loads it all the same)"
    )]
    Verify(#[from] VerifyError),
    /// It is of no use even without verification.
    #[error("the cluster lock cannot be used: {0}")]
    Unusable(#[from] ClusterError),
    /// The definition cannot be read.
    #[error("the cluster definition cannot be read: {0}")]
    ParseDefinition(ParseError),
    /// The definition is not right.
    #[error(
        "the cluster definition does not verify: {0}; get the file again from whoever proposed the cluster (--no-verify loads it all the same)"
    )]
    VerifyDefinition(VerifyError),
    /// The definition is of no use even without verification.
    #[error("the cluster definition cannot be used: {0}")]
    Hash(HashError),
}

/// A lock file that was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As it stands in the file.
    pub lock: Lock,
    /// In the form for use.
    pub cluster: Cluster,
    /// What verification found, where it was only asked to warn.
    pub warning: Option<VerifyError>,
}

/// Whether a lock that does not verify is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// It is refused.
    Refuse,
    /// It is used with a warning (`--no-verify`).
    Warn,
}

/// Reads, verifies and decodes a lock file's content.
///
/// # Errors
/// If it cannot be read or used, or does not verify under [`Strictness::Refuse`].
pub fn load_lock(bytes: &[u8], networks: &Networks, strictness: Strictness) -> Result<Loaded, LoadError> {
    let lock = Lock::from_json(bytes)?;
    match lock.verify(networks) {
        Ok(cluster) => Ok(Loaded {
            lock,
            cluster,
            warning: None,
        }),
        Err(error) => match strictness {
            Strictness::Refuse => Err(error.into()),
            Strictness::Warn => Ok(Loaded {
                cluster: lock.cluster()?,
                lock,
                warning: Some(error),
            }),
        },
    }
}

/// Reads and verifies a definition's content, with what smart-contract wallets answered. A definition without its own hash
/// gets it. What verification found is returned beside it where it was only asked to warn.
///
/// # Errors
/// If it cannot be read or hashed, or does not verify under [`Strictness::Refuse`].
pub fn load_definition(
    bytes: &[u8],
    networks: &Networks,
    wallets: &Wallets,
    strictness: Strictness,
) -> Result<(Definition, Option<VerifyError>), LoadError> {
    let mut definition = Definition::from_json(bytes).map_err(LoadError::ParseDefinition)?;
    let warning = definition
        .verify(crate::verify::Order::HashesFirst, networks, wallets)
        .err();
    match (strictness, warning) {
        (Strictness::Refuse, Some(error)) => Err(LoadError::VerifyDefinition(error)),
        (Strictness::Refuse | Strictness::Warn, warning) => {
            if definition.definition_hash.is_empty() {
                definition.definition_hash = definition.compute_definition_hash().map_err(LoadError::Hash)?.to_vec();
            }
            Ok((definition, warning))
        }
    }
}
