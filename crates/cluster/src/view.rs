//! A lock in the form that a node works with: keys decoded and checked, peers named, numbers in range.

use std::collections::BTreeSet;

use trireme_keys::{Enr, K1PublicKey, PeerId, peer_name};
use trireme_tbls::PublicKey;

use crate::{
    address,
    lock::{DistributedValidator, Lock, Registration},
    workers::{Alone, Workers, each},
};

/// Most operators: share indices are one byte and begin at 1.
pub const MAX_OPERATORS: usize = 255;

/// A cluster, ready for use. Operator `i` is peer index `i` and holds share `i + 1` of every validator.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Cosmetic name.
    pub name: String,
    /// The hash that names this cluster everywhere.
    pub lock_hash: [u8; 32],
    /// Genesis fork version of the network.
    pub fork_version: [u8; 4],
    /// Shares needed for a signature, 1 to the number of operators.
    pub threshold: u8,
    /// In the order of peer indices.
    pub operators: Vec<ClusterOperator>,
    /// In the lock's order.
    pub validators: Vec<ClusterValidator>,
    /// Preferred consensus protocol; may be empty.
    pub consensus_protocol: String,
    /// Gas limit for registrations; 0 means the default.
    pub target_gas_limit: u64,
    /// Withdrawal credentials of type 0x02.
    pub compounding: bool,
}

/// One operator's node.
#[derive(Debug, Clone)]
pub struct ClusterOperator {
    /// Its record.
    pub enr: Enr,
    /// libp2p identity.
    pub peer_id: PeerId,
    /// Name in logs and metrics.
    pub name: String,
}

/// One distributed validator.
#[derive(Debug, Clone)]
pub struct ClusterValidator {
    /// Group key.
    pub public_key: PublicKey,
    /// The group key's 48 bytes, by which it is named.
    pub public_key_bytes: [u8; 48],
    /// Public shares in the order of peer indices, as many as operators.
    pub public_shares: Vec<PublicKey>,
    /// Receives tips.
    pub fee_recipient: [u8; 20],
    /// Receives withdrawals.
    pub withdrawal_address: [u8; 20],
    /// Signed when the cluster was made; none before schema v1.7.
    pub registration: Option<Registration>,
}

/// Why a lock is of no use, verified or not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Not four bytes.
    #[error("the fork version has {0} bytes, expected 4")]
    ForkVersion(usize),
    /// None, or more than [`MAX_OPERATORS`].
    #[error("the cluster has {0} operators; it needs 1 to {MAX_OPERATORS}")]
    OperatorCount(usize),
    /// No validators, or another number than the definition says.
    #[error("the lock holds {found} validators, the definition says {expected}")]
    ValidatorCount {
        /// In the lock.
        found: usize,
        /// In the definition.
        expected: u64,
    },
    /// Zero, or more than operators.
    #[error("threshold {threshold} does not fit {operators} operators")]
    Threshold {
        /// As given.
        threshold: u64,
        /// How many there are.
        operators: usize,
    },
    /// An ENR that cannot be used.
    #[error("the ENR of operator {operator} is unusable: {source}")]
    Enr {
        /// Peer index.
        operator: usize,
        /// What is wrong.
        source: trireme_keys::EnrError,
    },
    /// Two operators with one key.
    #[error("operators {first} and {second} have the same node key")]
    DuplicateOperator {
        /// Peer index.
        first: usize,
        /// Peer index.
        second: usize,
    },
    /// A group key or a share that is no point.
    #[error("{what} of validator {validator} is not a BLS public key")]
    Key {
        /// Position in the lock.
        validator: usize,
        /// Which key.
        what: String,
    },
    /// Two validators with one group key.
    #[error("validator {0} has the same public key as an earlier one")]
    DuplicateValidator(usize),
    /// Shares missing or too many.
    #[error("validator {validator} has {found} public shares for {operators} operators")]
    ShareCount {
        /// Position in the lock.
        validator: usize,
        /// How many there are.
        found: usize,
        /// How many there should be.
        operators: usize,
    },
    /// Two equal shares of one validator.
    #[error("validator {0} has the same public share twice")]
    DuplicateShare(usize),
    /// Not an address.
    #[error("validator {validator}: {source}")]
    Address {
        /// Position in the lock.
        validator: usize,
        /// What is wrong.
        source: address::AddressError,
    },
}

impl Cluster {
    /// The peer index of the operator with this node key, if it belongs to the cluster.
    #[must_use]
    pub fn operator_of(&self, key: &K1PublicKey) -> Option<usize> {
        self.operators.iter().position(|o| o.peer_id.public_key() == *key)
    }

    /// Position of the validator with this group key.
    #[must_use]
    pub fn validator_of(&self, public_key: &[u8; 48]) -> Option<usize> {
        self.validators.iter().position(|v| v.public_key_bytes == *public_key)
    }
}

impl Lock {
    /// Decodes the lock for use. Every point is checked once here; hashes and signatures are not looked at. The lock hash
    /// is the one that stands in the lock.
    ///
    /// # Errors
    /// [`ClusterError`] for the first thing that no node could work with.
    pub fn cluster(&self) -> Result<Cluster, ClusterError> {
        let (threshold, keys) = self.decoded_keys(&Alone)?;
        let mut cluster = self.without_operators(threshold, &keys)?;
        cluster.operators = self.operators()?;
        Ok(cluster)
    }

    /// The cluster without its operators, from its threshold and keys.
    pub(crate) fn without_operators(&self, threshold: u8, keys: &[ValidatorKeys]) -> Result<Cluster, ClusterError> {
        let definition = &self.definition;
        let fork_version = <[u8; 4]>::try_from(definition.fork_version.as_slice())
            .map_err(|_| ClusterError::ForkVersion(definition.fork_version.len()))?;
        let validators = keys
            .iter()
            .zip(self.validators.iter().zip(&definition.validators))
            .enumerate()
            .map(|(at, (keys, (validator, pair)))| {
                let parsed = |text: &str| match text {
                    // Old locks may leave an address out.
                    "" => Ok([0; 20]),
                    text => address::parse(text).map_err(|source| ClusterError::Address { validator: at, source }),
                };
                Ok(ClusterValidator {
                    public_key: keys.public_key,
                    public_key_bytes: keys.public_key_bytes,
                    public_shares: keys.public_shares.clone(),
                    fee_recipient: parsed(&pair.fee_recipient)?,
                    withdrawal_address: parsed(&pair.withdrawal)?,
                    registration: Some(&validator.registration)
                        .filter(|r| !r.signature.is_empty())
                        .cloned(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut lock_hash = [0; 32];
        if self.lock_hash.len() == 32 {
            lock_hash.copy_from_slice(&self.lock_hash);
        }
        Ok(Cluster {
            name: definition.name.clone(),
            lock_hash,
            fork_version,
            threshold,
            operators: Vec::new(),
            validators,
            consensus_protocol: definition.consensus_protocol.clone(),
            target_gas_limit: definition.target_gas_limit,
            compounding: definition.compounding,
        })
    }

    /// Every operator's record, decoded.
    pub(crate) fn operators(&self) -> Result<Vec<ClusterOperator>, ClusterError> {
        let listed = &self.definition.operators;
        if listed.is_empty() || listed.len() > MAX_OPERATORS {
            return Err(ClusterError::OperatorCount(listed.len()));
        }
        let mut operators: Vec<ClusterOperator> = Vec::with_capacity(listed.len());
        for (second, operator) in listed.iter().enumerate() {
            let enr: Enr = operator.enr.parse().map_err(|source| ClusterError::Enr {
                operator: second,
                source,
            })?;
            let peer_id = PeerId::from_public_key(enr.public_key());
            if let Some(first) = operators.iter().position(|o| o.peer_id == peer_id) {
                return Err(ClusterError::DuplicateOperator { first, second });
            }
            operators.push(ClusterOperator {
                enr,
                peer_id,
                name: peer_name(&peer_id),
            });
        }
        Ok(operators)
    }

    /// The threshold, and every validator's keys, decoded; in the order of the lock's own checks.
    pub(crate) fn decoded_keys(&self, workers: &dyn Workers) -> Result<(u8, Vec<ValidatorKeys>), ClusterError> {
        let operators = self.definition.operators.len();
        if operators == 0 || operators > MAX_OPERATORS {
            return Err(ClusterError::OperatorCount(operators));
        }
        let expected = self.definition.num_validators;
        let found = self.validators.len();
        if u64::try_from(found) != Ok(expected) || self.definition.validators.len() != found || found == 0 {
            return Err(ClusterError::ValidatorCount { found, expected });
        }
        let size = found.div_ceil(workers.parts().max(1)).max(1);
        let decoded = each(workers, found.div_ceil(size), |part| -> Result<Vec<_>, _> {
            let first = part.saturating_mul(size);
            let some = self.validators.iter().enumerate().skip(first).take(size);
            some.map(|(at, validator)| ValidatorKeys::decode(at, validator, operators))
                .collect()
        });
        let mut seen = BTreeSet::new();
        let mut keys: Vec<ValidatorKeys> = Vec::with_capacity(found);
        for part in decoded {
            for validator in part? {
                if !seen.insert(validator.public_key_bytes) {
                    return Err(ClusterError::DuplicateValidator(keys.len()));
                }
                keys.push(validator);
            }
        }
        let threshold = self.definition.threshold;
        u8::try_from(threshold)
            .ok()
            .filter(|t| *t >= 1 && usize::from(*t) <= operators)
            .map(|t| (t, keys))
            .ok_or(ClusterError::Threshold { threshold, operators })
    }
}

/// One validator's points.
pub(crate) struct ValidatorKeys {
    pub(crate) public_key: PublicKey,
    pub(crate) public_key_bytes: [u8; 48],
    pub(crate) public_shares: Vec<PublicKey>,
}

impl ValidatorKeys {
    fn decode(at: usize, validator: &DistributedValidator, operators: usize) -> Result<Self, ClusterError> {
        let found = validator.public_shares.len();
        if found != operators {
            return Err(ClusterError::ShareCount {
                validator: at,
                found,
                operators,
            });
        }
        let (public_key_bytes, public_key) =
            point(&validator.public_key).ok_or_else(|| no_key(at, "the public key"))?;
        let mut public_shares = Vec::with_capacity(operators);
        for (n, bytes) in validator.public_shares.iter().enumerate() {
            let (_, share) =
                point(bytes).ok_or_else(|| no_key(at, &format!("public share {}", n.saturating_add(1))))?;
            public_shares.push(share);
        }
        // A point has one compressed form, so bytes may stand for points.
        if validator.public_shares.iter().collect::<BTreeSet<_>>().len() != operators {
            return Err(ClusterError::DuplicateShare(at));
        }
        Ok(Self {
            public_key,
            public_key_bytes,
            public_shares,
        })
    }
}

fn point(bytes: &[u8]) -> Option<([u8; 48], PublicKey)> {
    let bytes = <[u8; 48]>::try_from(bytes).ok()?;
    Some((bytes, PublicKey::from_bytes(&bytes).ok()?))
}

fn no_key(validator: usize, what: &str) -> ClusterError {
    ClusterError::Key {
        validator,
        what: what.to_owned(),
    }
}
