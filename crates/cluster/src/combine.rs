//! Whole keys from key shares (cluster.md section 14).
//!
//! Guarantees: a key that is given is the secret of the lock's public key; a share counts for the validator and operator
//! whose public share it is, wherever it lay; copies of one share count once.
//! Not here: reading and writing keystores; verification of the lock.

use std::collections::BTreeMap;

use trireme_tbls::{SecretKey, recover};

use crate::Cluster;

/// A share and where it was found.
#[derive(Clone)]
pub struct FoundShare {
    /// For messages.
    pub place: String,
    /// The share.
    pub secret: SecretKey,
}

/// Why there are no whole keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// A key that is no share of the lock.
    #[error("{0} holds no share of any validator of the lock: it belongs to another cluster; move it away")]
    Foreign(String),
    /// Not enough shares.
    #[error(
        "validator {validator} (0x{public_key}) has the shares of {found} operators here, but needs {needed}; add the folders of more operators"
    )]
    TooFew {
        /// Position in the lock.
        validator: usize,
        /// Hex of the group key.
        public_key: String,
        /// Different shares.
        found: usize,
        /// The threshold.
        needed: u8,
    },
    /// The shares give another key, so the lock's own shares do not fit together.
    #[error(
        "the shares of validator {validator} do not give its key 0x{public_key}; the lock is not that of a proper cluster"
    )]
    OtherKey {
        /// Position in the lock.
        validator: usize,
        /// Hex of the group key.
        public_key: String,
    },
}

/// The whole key of every validator, in the lock's order.
///
/// # Errors
/// [`CombineError`] for the first share that is foreign, or the first validator whose key cannot be had.
pub fn combine(cluster: &Cluster, shares: &[FoundShare]) -> Result<Vec<SecretKey>, CombineError> {
    let mut owners: BTreeMap<[u8; 48], (usize, u8)> = BTreeMap::new();
    for (validator, of) in cluster.validators.iter().enumerate() {
        for (index, share) in (1_u8..).zip(&of.public_shares) {
            owners.insert(share.to_bytes(), (validator, index));
        }
    }
    let mut found: BTreeMap<usize, BTreeMap<u8, SecretKey>> = BTreeMap::new();
    for FoundShare { place, secret } in shares {
        let Some((validator, index)) = owners.get(&secret.public_key().to_bytes()) else {
            return Err(CombineError::Foreign(place.clone()));
        };
        found.entry(*validator).or_default().insert(*index, secret.clone());
    }
    let none = BTreeMap::new();
    cluster
        .validators
        .iter()
        .enumerate()
        .map(|(validator, of)| {
            let shares = found.get(&validator).unwrap_or(&none);
            let public_key = || hex::encode(of.public_key_bytes);
            if shares.len() < usize::from(cluster.threshold) {
                return Err(CombineError::TooFew {
                    validator,
                    public_key: public_key(),
                    found: shares.len(),
                    needed: cluster.threshold,
                });
            }
            let whole = recover(shares).ok().filter(|key| key.public_key() == of.public_key);
            whole.ok_or_else(|| CombineError::OtherKey {
                validator,
                public_key: public_key(),
            })
        })
        .collect()
}
