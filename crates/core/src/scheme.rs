//! The signature scheme behind the workflow: checking sets of signatures and combining partial ones.
//!
//! Guarantees: a claim holds only if its signature verifies alone; keys are decoded and checked once, at start. That a
//! partial is the one that a threshold of verified ones determine counts as verifying: the lock's keys fit together.
//! Not here: what is signed (`data`), where the work runs (`compute`). Simulations bring a cheaper scheme of their own.

mod seen;

use std::collections::BTreeMap;

use trireme_eth2::{BlsSignature, Root};
use trireme_tbls::{Check, CombineError, Combiner, PointError, PublicKey, Signature};

use self::seen::Seen;
use crate::{
    cluster::Cluster,
    ids::{PubKey, ShareIdx},
};

/// Whose signature something is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signer {
    /// The whole validator.
    Group(PubKey),
    /// One share of it.
    Share(PubKey, ShareIdx),
}

/// "This signer signed this root."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose signature it is said to be.
    pub signer: Signer,
    /// The signing root: object root mixed with its domain.
    pub root: Root,
    /// The signature.
    pub signature: BlsSignature,
}

/// Why a claim does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The validator or share is not of this cluster.
    #[error("validator {validator} with share {share:?} is not of this cluster")]
    UnknownSigner {
        /// The validator.
        validator: PubKey,
        /// The share, if one was named.
        share: Option<ShareIdx>,
    },
    /// All bytes of the signature are zero.
    #[error("no signature found")]
    NoSignature,
    /// The bytes are no signature at all.
    #[error("the signature is malformed: {0}")]
    Malformed(PointError),
    /// It is a signature of something or somebody else.
    #[error("the signature does not verify")]
    Wrong,
}

/// Why partial signatures could not be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotCombine {
    /// One of them is no signature.
    #[error("partial signature of share {share} is malformed: {why}")]
    Malformed {
        /// Whose it is.
        share: ShareIdx,
        /// What is wrong with it.
        why: PointError,
    },
    /// The mathematics said no.
    #[error(transparent)]
    Combine(#[from] CombineError),
}

/// Checks and combines signatures of one cluster. Costs a millisecond and more: call it in the `Compute` pool.
pub trait Scheme: Send + Sync {
    /// One verdict per claim, in order. `seed` must be fresh and unknown to whoever made the signatures.
    fn verify_set(&self, claims: &[Claim], seed: &[u8; 32]) -> Vec<Result<(), Refusal>>;

    /// The group signature that the partials of one validator over one root make. It is to be verified afterwards.
    fn combine(&self, partials: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine>;
}

/// The keys of a lock are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key of validator {validator} in the cluster lock is not a valid public key: {why}")]
pub struct BadClusterKey {
    /// The validator.
    pub validator: PubKey,
    /// What is wrong.
    pub why: PointError,
}

/// Ethereum's BLS signatures.
pub struct Bls {
    keys: BTreeMap<PubKey, (PublicKey, Vec<PublicKey>)>,
    threshold: usize,
    combiner: Combiner,
    seen: Seen,
}

impl Bls {
    /// Decodes and checks all keys of the cluster, on all cores: about 60 µs per key.
    pub fn new(cluster: &Cluster) -> Result<Self, BadClusterKey> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = cluster.validators().len().div_ceil(threads).max(1);
        let decoded: Vec<Result<Vec<_>, BadClusterKey>> = std::thread::scope(|scope| {
            let running: Vec<_> = cluster
                .validators()
                .chunks(part)
                .map(|some| scope.spawn(move || some.iter().map(decode).collect()))
                .collect();
            running.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        let mut keys = BTreeMap::new();
        for some in decoded {
            keys.extend(some?);
        }
        let seen = Seen::new(keys.len(), cluster.nodes, cluster.threshold);
        Ok(Self {
            keys,
            threshold: cluster.threshold,
            combiner: Combiner::default(),
            seen,
        })
    }

    fn key(&self, signer: Signer) -> Result<PublicKey, Refusal> {
        let (validator, share) = match signer {
            Signer::Group(validator) => (validator, None),
            Signer::Share(validator, share) => (validator, Some(share)),
        };
        let unknown = Refusal::UnknownSigner { validator, share };
        let (group, shares) = self.keys.get(&validator).ok_or(unknown)?;
        match share {
            None => Ok(*group),
            Some(share) => share
                .peer()
                .and_then(|peer| shares.get(usize::from(peer.0)))
                .copied()
                .ok_or(unknown),
        }
    }

    fn signature(&self, bytes: &BlsSignature) -> Result<Signature, Refusal> {
        if bytes.0.iter().all(|b| *b == 0) {
            return Err(Refusal::NoSignature);
        }
        self.point(bytes).map_err(Refusal::Malformed)
    }

    fn point(&self, bytes: &BlsSignature) -> Result<Signature, PointError> {
        self.seen
            .point(&bytes.0)
            .map_or_else(|| Signature::from_bytes(&bytes.0), Ok)
    }

    /// Positions of the claims to verify first, and of the partials that the first may settle: those beyond a threshold
    /// over one root.
    fn order(&self, claims: &[Claim]) -> (Vec<usize>, Vec<usize>) {
        let mut partials: BTreeMap<(PubKey, Root), usize> = BTreeMap::new();
        (0..claims.len()).partition(|position| match claims.get(*position).map(|c| (c.signer, c.root)) {
            Some((Signer::Share(validator, _), root)) => {
                let so_far = partials
                    .entry((validator, root))
                    .or_insert_with(|| self.seen.count(validator, root));
                let needed = *so_far < self.threshold;
                *so_far = so_far.saturating_add(1);
                needed
            }
            Some((Signer::Group(_), _)) | None => true,
        })
    }

    /// Verifies the claims at `part` of the positions.
    fn verify_part(&self, claims: &[Claim], part: &[usize], seed: &[u8; 32], verdicts: &mut [Result<(), Refusal>]) {
        let (mut checks, mut positions) = (Vec::new(), Vec::new());
        for position in part {
            let (Some(claim), Some(verdict)) = (claims.get(*position), verdicts.get_mut(*position)) else {
                continue;
            };
            let key = self.key(claim.signer);
            if key.is_ok() && self.is_settled(claim) {
                continue;
            }
            let points = key.and_then(|key| Ok((key, self.signature(&claim.signature)?)));
            *verdict = points.map(|(key, signature)| {
                checks.push(Check {
                    key,
                    message: claim.root.0.as_slice(),
                    signature,
                });
                positions.push(*position);
            });
        }
        if let Err(culprits) = trireme_tbls::verify_set(&checks, seed) {
            for position in culprits.0.iter().filter_map(|c| positions.get(*c)) {
                if let Some(verdict) = verdicts.get_mut(*position) {
                    *verdict = Err(Refusal::Wrong);
                }
            }
        }
        let right = positions.iter().zip(&checks).filter_map(|(position, check)| {
            let (claim, verdict) = (claims.get(*position)?, verdicts.get(*position)?);
            match (claim.signer, verdict) {
                (Signer::Share(validator, share), Ok(())) => {
                    Some((validator, claim.root, share, claim.signature.0, check.signature))
                }
                (Signer::Share(..), Err(_)) | (Signer::Group(_), _) => None,
            }
        });
        self.seen.verified(right);
    }

    /// Whether the claim's signature is what other partials over the same root, verified before, say it must be.
    fn is_settled(&self, claim: &Claim) -> bool {
        let Signer::Share(validator, share) = claim.signer else {
            return false;
        };
        self.seen
            .enough(validator, claim.root, share)
            .is_some_and(|right| self.combiner.determines(&right, share.0, &claim.signature.0))
    }
}

fn decode(v: &crate::cluster::Validator) -> Result<(PubKey, (PublicKey, Vec<PublicKey>)), BadClusterKey> {
    let point = |bytes| PublicKey::from_bytes(bytes).map_err(|why| BadClusterKey { validator: v.key, why });
    Ok((
        v.key,
        (point(&v.key.0)?, v.shares.iter().map(point).collect::<Result<_, _>>()?),
    ))
}

impl Scheme for Bls {
    fn verify_set(&self, claims: &[Claim], seed: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        let mut verdicts = vec![Ok(()); claims.len()];
        let (first, last) = self.order(claims);
        for part in [first, last] {
            self.verify_part(claims, &part, seed, &mut verdicts);
        }
        verdicts
    }

    fn combine(&self, partials: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        let points = partials
            .iter()
            .map(|(share, bytes)| {
                let point = self
                    .point(bytes)
                    .map_err(|why| CannotCombine::Malformed { share: *share, why })?;
                Ok((share.0, point))
            })
            .collect::<Result<BTreeMap<_, _>, CannotCombine>>()?;
        let whole = self.combiner.combine(&points)?;
        let bytes = whole.to_bytes();
        self.seen.made(bytes, whole);
        Ok(BlsSignature(bytes))
    }
}

#[cfg(test)]
mod tests {
    use trireme_tbls::{SecretKey, split};

    use super::*;
    use crate::{cluster::Validator, ids::PeerIdx};

    fn secret(n: u8) -> SecretKey {
        SecretKey::from_randomness([n; 64]).unwrap()
    }

    fn cluster() -> (Cluster, BTreeMap<u8, SecretKey>, PubKey) {
        let group = secret(1);
        let shares: BTreeMap<u8, SecretKey> = split(&group, 3, 4, &mut |out| out.fill(7)).unwrap();
        let key = PubKey(group.public_key().to_bytes());
        let publics = shares.values().map(|s| s.public_key().to_bytes()).collect();
        let validator = Validator {
            key,
            shares: publics,
            fee_recipient: [0; 20],
        };
        (Cluster::new([0; 32], 4, 3, PeerIdx(0), vec![validator]), shares, key)
    }

    #[test]
    fn three_partials_of_four_combine_to_a_signature_of_the_group() {
        let (cluster, shares, key) = cluster();
        let bls = Bls::new(&cluster).unwrap();
        let root = Root([9; 32]);
        let partials: BTreeMap<_, _> = shares
            .iter()
            .skip(1)
            .map(|(i, s)| (ShareIdx(*i), BlsSignature(s.sign(&root.0).to_bytes())))
            .collect();
        let mut claims: Vec<_> = partials
            .iter()
            .map(|(i, signature)| Claim {
                signer: Signer::Share(key, *i),
                root,
                signature: *signature,
            })
            .collect();
        let whole = bls.combine(&partials).unwrap();
        claims.push(Claim {
            signer: Signer::Group(key),
            root,
            signature: whole,
        });
        assert_eq!(bls.verify_set(&claims, &[3; 32]), [Ok(()); 4]);
    }

    #[test]
    fn a_partial_that_comes_last_holds_if_it_is_the_right_one_and_not_otherwise() {
        let (cluster, shares, key) = cluster();
        let root = Root([9; 32]);
        let claim = |share: u8, of: u8, root| Claim {
            signer: Signer::Share(key, ShareIdx(share)),
            root,
            signature: BlsSignature(shares[&of].sign(&[9; 32]).to_bytes()),
        };
        for last in 1..=4 {
            let bls = Bls::new(&cluster).unwrap();
            let first: Vec<_> = (1..=4).filter(|i| *i != last).map(|i| claim(i, i, root)).collect();
            assert_eq!(bls.verify_set(&first, &[3; 32]), [Ok(()); 3]);
            assert!(bls.is_settled(&claim(last, last, root)));
            let other = first[0].signer;
            let Signer::Share(_, ShareIdx(other)) = other else {
                panic!("{other:?}")
            };
            let claims = [
                claim(last, last, root),
                claim(last, other, root),
                claim(last, last, Root([8; 32])),
                claim(other, last, root),
            ];
            let wrong = Err(Refusal::Wrong);
            assert_eq!(bls.verify_set(&claims, &[3; 32]), [Ok(()), wrong, wrong, wrong]);
            // All in one set, whatever the order.
            for (signed_with, verdict) in [(last, Ok(())), (other, wrong)] {
                let mut all = first.clone();
                all.insert(0, claim(last, signed_with, root));
                let fresh = Bls::new(&cluster).unwrap();
                assert_eq!(fresh.verify_set(&all, &[3; 32]), [verdict, Ok(()), Ok(()), Ok(())]);
                all.rotate_left(1);
                let fresh = Bls::new(&cluster).unwrap();
                assert_eq!(fresh.verify_set(&all, &[3; 32]), [Ok(()), Ok(()), Ok(()), verdict]);
            }
        }
    }

    #[test]
    fn a_signature_that_was_right_once_is_still_wrong_for_others() {
        let (cluster, shares, key) = cluster();
        let bls = Bls::new(&cluster).unwrap();
        let claim = |share, root| Claim {
            signer: Signer::Share(key, ShareIdx(share)),
            root,
            signature: BlsSignature(shares[&1].sign(&[9; 32]).to_bytes()),
        };
        assert_eq!(bls.verify_set(&[claim(1, Root([9; 32]))], &[3; 32]), [Ok(())]);
        let wrong = [claim(2, Root([9; 32])), claim(1, Root([8; 32]))];
        assert_eq!(bls.verify_set(&wrong, &[3; 32]), [Err(Refusal::Wrong); 2]);
    }

    #[test]
    fn every_broken_claim_of_a_set_is_named_and_the_good_ones_hold() {
        let (cluster, shares, key) = cluster();
        let bls = Bls::new(&cluster).unwrap();
        let root = Root([9; 32]);
        let good = BlsSignature(shares[&1].sign(&root.0).to_bytes());
        let claim = |signer, signature| Claim {
            signer,
            root,
            signature,
        };
        let verdicts = bls.verify_set(
            &[
                claim(Signer::Share(key, ShareIdx(2)), good),
                claim(Signer::Share(key, ShareIdx(1)), good),
                claim(Signer::Share(key, ShareIdx(1)), BlsSignature([0; 96])),
                claim(Signer::Share(key, ShareIdx(5)), good),
                claim(Signer::Share(key, ShareIdx(0)), good),
                claim(Signer::Group(PubKey([1; 48])), good),
                claim(Signer::Share(key, ShareIdx(1)), BlsSignature([0xff; 96])),
            ],
            &[3; 32],
        );
        assert_eq!(verdicts[..3], [Err(Refusal::Wrong), Ok(()), Err(Refusal::NoSignature)]);
        assert!(
            verdicts[3..6]
                .iter()
                .all(|v| matches!(v, Err(Refusal::UnknownSigner { .. })))
        );
        assert!(matches!(verdicts[6], Err(Refusal::Malformed(_))));
    }
}
