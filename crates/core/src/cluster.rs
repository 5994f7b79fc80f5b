//! What the workflow knows of its cluster, as plain values: who we are, how many, which validators with which shares.
//!
//! Guarantees: the same for all components of a node; validators keep the lock's order where it matters (graffiti lists).
//! Not here: definition and lock files (`trireme-cluster`), private keys (no component of the workflow holds one).

use std::collections::BTreeMap;

use crate::ids::{PeerIdx, PubKey, ShareIdx};

/// One distributed validator of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// Group public key.
    pub key: PubKey,
    /// Public shares, 48 bytes compressed each, in the order of the operators: position `i` is share `i + 1`.
    pub shares: Vec<[u8; 48]>,
    /// Where this validator's block rewards are to go.
    pub fee_recipient: [u8; 20],
}

/// A node's view of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Lock hash.
    pub hash: [u8; 32],
    /// Number of operators.
    pub nodes: usize,
    /// Partial signatures that make a whole one.
    pub threshold: usize,
    /// Our own position.
    pub me: PeerIdx,
    /// In the order of the lock.
    validators: Vec<Validator>,
    positions: BTreeMap<PubKey, usize>,
}

impl Cluster {
    /// Takes the values of the lock; `validators` in its order.
    #[must_use]
    pub fn new(hash: [u8; 32], nodes: usize, threshold: usize, me: PeerIdx, validators: Vec<Validator>) -> Self {
        let positions = validators.iter().enumerate().map(|(i, v)| (v.key, i)).collect();
        Self {
            hash,
            nodes,
            threshold,
            me,
            validators,
            positions,
        }
    }

    /// Our share number.
    #[must_use]
    pub fn share(&self) -> ShareIdx {
        self.me.share()
    }

    /// All validators in the order of the lock.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        &self.validators
    }

    /// Keys of all validators in the order of the lock.
    #[must_use]
    pub fn keys(&self) -> Vec<PubKey> {
        self.validators.iter().map(|v| v.key).collect()
    }

    /// A validator by its group key.
    #[must_use]
    pub fn validator(&self, key: &PubKey) -> Option<&Validator> {
        self.validators.get(self.position(key)?)
    }

    /// A validator's position in the lock, from 0.
    #[must_use]
    pub fn position(&self, key: &PubKey) -> Option<usize> {
        self.positions.get(key).copied()
    }
}

impl Validator {
    /// The public share of a share number.
    #[must_use]
    pub fn share(&self, idx: ShareIdx) -> Option<&[u8; 48]> {
        self.shares.get(usize::from(idx.peer()?.0))
    }
}
