//! Verification of locks: hashes first, then every signature (cluster.md section 5).
//!
//! Guarantees: checks run in the order in which other nodes run them, so the first failure is the same; a lock that passes
//! names keys whose shares interpolate to the group key, signed by every share, by every operator's node and, where they
//! signed, by the operators' wallets. The same file always gets the same verdict: the random weights of batch verification
//! are drawn from the lock hash, which covers all that is checked with them.
//! Not here: deposit data, which the lock's own verification does not check either.

use sha2::{Digest as _, Sha256};
use trireme_keys::recover;
use trireme_tbls::{Check, PublicKey, Signature, verify_aggregate, verify_derived_set};

use crate::{
    lock::{DistributedValidator, Lock, Registration},
    network::Networks,
    verify::{MISSING, Order, UNEXPECTED, VerifyError, fits},
    view::{Cluster, ClusterValidator},
    wallets::Wallets,
    workers::{Alone, Workers, each},
};

impl Lock {
    /// Checks the definition's hashes, the number of validators and the lock hash.
    ///
    /// # Errors
    /// [`VerifyError`] for the first that does not fit.
    pub fn verify_hashes(&self) -> Result<(), VerifyError> {
        self.definition.verify_hashes()?;
        let (found, expected) = (self.validators.len(), self.definition.num_validators);
        if u64::try_from(found) != Ok(expected) {
            return Err(VerifyError::ValidatorCount { found, expected });
        }
        fits(&self.lock_hash, self.compute_lock_hash(), VerifyError::LockHash)
    }

    /// Checks everything and gives the lock in the form for use. Smart-contract wallets are refused.
    ///
    /// Takes about a second for 1,000 validators; the points are decoded once.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify(&self, networks: &Networks) -> Result<Cluster, VerifyError> {
        self.verify_with(networks, &Wallets::default())
    }

    /// As [`Lock::verify`], with what smart-contract wallets answered.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify_with(&self, networks: &Networks, wallets: &Wallets) -> Result<Cluster, VerifyError> {
        self.verify_in(Order::HashesFirst, networks, wallets)
    }

    /// As [`Lock::verify_with`], in the given order.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify_in(&self, order: Order, networks: &Networks, wallets: &Wallets) -> Result<Cluster, VerifyError> {
        self.verify_by(&Alone, order, networks, wallets)
    }

    /// As [`Lock::verify_in`], on as many threads as the workers have.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails; the same one whoever the workers are.
    pub fn verify_by(
        &self,
        workers: &dyn Workers,
        order: Order,
        networks: &Networks,
        wallets: &Wallets,
    ) -> Result<Cluster, VerifyError> {
        match order {
            Order::HashesFirst => {
                self.verify_hashes()?;
                self.verify_signatures(workers, networks, wallets)
            }
            Order::SignaturesFirst => {
                let cluster = self.verify_signatures(workers, networks, wallets)?;
                self.verify_hashes()?;
                Ok(cluster)
            }
        }
    }

    /// Checks every signature, and that the public shares fit the public keys. The lock hash that was signed is computed
    /// anew; the config hash that wallets signed is the one in memory.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify_signatures(
        &self,
        workers: &dyn Workers,
        networks: &Networks,
        wallets: &Wallets,
    ) -> Result<Cluster, VerifyError> {
        self.definition.verify_signatures_with(networks, wallets)?;
        if self.signature_aggregate.is_empty() {
            return if self.definition.version.schema().aggregate_optional {
                Ok(self.cluster()?)
            } else {
                Err(VerifyError::Aggregate(MISSING))
            };
        }
        let (threshold, keys) = self.decoded_keys(workers)?;
        // It covers all that is checked with the weights. A lock that cannot be hashed is refused below in any case.
        let lock_hash = self.compute_lock_hash();
        let seed = seed(lock_hash.as_ref().unwrap_or(&[0; 32]), 0);
        let shares: Vec<(PublicKey, &[PublicKey])> = keys
            .iter()
            .map(|v| (v.public_key, v.public_shares.as_slice()))
            .collect();
        let fit = || trireme_tbls::shares_fit(&shares, threshold, &seed).map_err(VerifyError::Shares);
        let (mut cluster, lock_hash) = match (self.without_operators(threshold, &keys), lock_hash) {
            (Ok(cluster), Ok(lock_hash)) => (cluster, lock_hash),
            (cluster, lock_hash) => {
                fit()?;
                lock_hash.map_err(|e| VerifyError::LockHash(Some(e)))?;
                return Ok(cluster?);
            }
        };

        let parts = Parts::of(self.validators.len(), workers.parts());
        let results = each(workers, parts.count.saturating_add(2), |job| match job {
            0 => fit(),
            1 => self.verify_aggregate(&cluster, &lock_hash),
            job => self.registrations_of(&cluster, &parts, job.saturating_sub(2), &lock_hash),
        });
        results.into_iter().collect::<Result<(), _>>()?;

        self.verify_node_signature_count()?;
        cluster.operators = self.operators()?;
        self.verify_node_signatures(&cluster, &lock_hash)?;
        Ok(cluster)
    }

    pub(crate) fn verify_aggregate(&self, cluster: &Cluster, lock_hash: &[u8; 32]) -> Result<(), VerifyError> {
        let signature =
            decode_signature(&self.signature_aggregate).ok_or(VerifyError::Aggregate("not a BLS signature"))?;
        let keys: Vec<PublicKey> = cluster
            .validators
            .iter()
            .flat_map(|v| v.public_shares.iter().copied())
            .collect();
        if verify_aggregate(&keys, lock_hash, &signature) {
            Ok(())
        } else {
            Err(VerifyError::Aggregate("wrong"))
        }
    }

    /// The registrations of one part of the validators.
    fn registrations_of(
        &self,
        cluster: &Cluster,
        parts: &Parts,
        part: usize,
        lock_hash: &[u8; 32],
    ) -> Result<(), VerifyError> {
        let first = part.saturating_mul(parts.size);
        let raw = self.validators.iter().skip(first).take(parts.size);
        let decoded = cluster.validators.iter().skip(first);
        let seed = seed(lock_hash, part.saturating_add(1));
        self.check_registrations(cluster.fork_version, first, raw.zip(decoded), &seed)
    }

    pub(crate) fn verify_registrations(&self, cluster: &Cluster, seed: &[u8; 32]) -> Result<(), VerifyError> {
        let all = self.validators.iter().zip(&cluster.validators);
        self.check_registrations(cluster.fork_version, 0, all, seed)
    }

    fn check_registrations<'a>(
        &self,
        fork_version: [u8; 4],
        first: usize,
        validators: impl Iterator<Item = (&'a DistributedValidator, &'a ClusterValidator)>,
        seed: &[u8; 32],
    ) -> Result<(), VerifyError> {
        let has_registrations = self.definition.version.schema().registrations;
        let mut signed: Vec<([u8; 32], PublicKey, Signature)> = Vec::new();
        for (at, (raw, decoded)) in validators.enumerate() {
            let error = |problem| VerifyError::Registration {
                validator: first.saturating_add(at),
                problem,
            };
            let registration = &raw.registration;
            if !has_registrations {
                if *registration != Registration::default() {
                    return Err(error(UNEXPECTED));
                }
                continue;
            }
            if registration.signature.is_empty()
                || registration.fee_recipient.is_empty()
                || registration.pubkey.is_empty()
            {
                return Err(error(MISSING));
            }
            // The message is rebuilt: what counts is the definition's fee recipient and the group key.
            let message = Registration {
                fee_recipient: decoded.fee_recipient.to_vec(),
                pubkey: decoded.public_key_bytes.to_vec(),
                ..registration.clone()
            };
            let root = message.signing_root(fork_version).map_err(|_| error("too long"))?;
            let signature =
                decode_signature(&registration.signature).ok_or_else(|| error("not signed with a BLS signature"))?;
            signed.push((root, decoded.public_key, signature));
        }
        let checks: Vec<Check<'_>> = signed
            .iter()
            .map(|(root, key, signature)| Check {
                key: *key,
                message: root,
                signature: *signature,
            })
            .collect();
        verify_derived_set(&checks, seed).map_err(|culprits| VerifyError::Registration {
            validator: first.saturating_add(culprits.0.first().copied().unwrap_or_default()),
            problem: "not signed by the validator's key for this fee recipient",
        })
    }

    fn verify_node_signature_count(&self) -> Result<(), VerifyError> {
        let expected = if self.definition.version.schema().node_signatures {
            self.definition.operators.len()
        } else {
            0
        };
        let found = self.node_signatures.len();
        if found == expected {
            Ok(())
        } else {
            Err(VerifyError::NodeSignatureCount { found, expected })
        }
    }

    pub(crate) fn verify_node_signatures(&self, cluster: &Cluster, lock_hash: &[u8; 32]) -> Result<(), VerifyError> {
        self.verify_node_signature_count()?;
        for (at, (signature, operator)) in self.node_signatures.iter().zip(&cluster.operators).enumerate() {
            if recover(lock_hash, signature) != Ok(operator.peer_id.public_key()) {
                return Err(VerifyError::NodeSignature { operator: at });
            }
        }
        Ok(())
    }
}

fn decode_signature(bytes: &[u8]) -> Option<Signature> {
    Signature::from_bytes(&<[u8; 96]>::try_from(bytes).ok()?).ok()
}

/// Where the random weights of a batch come from.
fn seed(lock_hash: &[u8; 32], batch: usize) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"weights of a batch over lock ")
        .chain_update(lock_hash)
        .chain_update(batch.to_le_bytes())
        .finalize()
        .into()
}

/// How validators are cut into parts for workers.
struct Parts {
    count: usize,
    size: usize,
}

impl Parts {
    fn of(validators: usize, workers: usize) -> Self {
        let size = validators.div_ceil(workers.max(1)).max(1);
        Self {
            count: validators.div_ceil(size),
            size,
        }
    }
}
