//! Toy signatures with the algebra of threshold BLS and no security: a signature is the secret times the message's
//! hash, in the scalar field. Thousands of simulated seeds can afford it.
//!
//! Guarantees: combining any threshold of good partials gives the group's signature; anything else does not verify.
//! Not here: anything for a release. This lives behind a feature that only tests switch on.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use trireme_core::{
    PubKey, ShareIdx,
    scheme::{CannotCombine, Claim, Refusal, Scheme, Signer},
};
use trireme_eth2::{BlsSignature, Root};
use trireme_tbls::{CombineError, field::Scalar};

/// Holds all secrets of a toy cluster; every node of a simulation may share it.
#[derive(Clone)]
pub struct ToyScheme {
    secrets: BTreeMap<Signer, Scalar>,
}

impl ToyScheme {
    /// Secrets for these validators, split among `nodes` with this threshold.
    #[must_use]
    pub fn new(validators: &[PubKey], nodes: u8, threshold: u8, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut random = || {
            let mut wide = [0; 64];
            rng.fill_bytes(&mut wide);
            Scalar::from_wide_bytes(&wide)
        };
        let mut secrets = BTreeMap::new();
        for validator in validators {
            let coefficients: Vec<Scalar> = (0..threshold.max(1)).map(|_| random()).collect();
            let at = |x: u8| {
                let x = small(x);
                coefficients
                    .iter()
                    .rev()
                    .fold(Scalar::ZERO, |sum, c| sum.mul(&x).add(c))
            };
            secrets.insert(Signer::Group(*validator), at(0));
            for share in 1..=nodes {
                secrets.insert(Signer::Share(*validator, ShareIdx(share)), at(share));
            }
        }
        Self { secrets }
    }

    /// The signer's signature of a signing root; `None` for a signer that the cluster does not have.
    #[must_use]
    pub fn sign(&self, signer: Signer, root: Root) -> Option<BlsSignature> {
        Some(encode(&self.secrets.get(&signer)?.mul(&hash(root))))
    }
}

impl Scheme for ToyScheme {
    fn verify_set(&self, claims: &[Claim], _: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        let verdict = |claim: &Claim| {
            let (validator, share) = match claim.signer {
                Signer::Group(validator) => (validator, None),
                Signer::Share(validator, share) => (validator, Some(share)),
            };
            let right = self
                .sign(claim.signer, claim.root)
                .ok_or(Refusal::UnknownSigner { validator, share })?;
            if claim.signature.is_zero() {
                return Err(Refusal::NoSignature);
            }
            if claim.signature == right {
                Ok(())
            } else {
                Err(Refusal::Wrong)
            }
        };
        claims.iter().map(verdict).collect()
    }

    fn combine(&self, partials: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        if partials.is_empty() {
            return Err(CombineError::Empty.into());
        }
        if partials.contains_key(&ShareIdx(0)) {
            return Err(CombineError::ShareZero.into());
        }
        let mut sum = Scalar::ZERO;
        for (share, signature) in partials {
            let x = small(share.0);
            let others = partials
                .keys()
                .filter(|other| *other != share)
                .map(|other| small(other.0));
            // Lagrange's coefficient at zero: the product of other / (other - x).
            let (above, below) = others.fold((small(1), small(1)), |(above, below), other| {
                (above.mul(&other), below.mul(&other.sub(&x)))
            });
            // Shares differ and are below 256, so their difference has an inverse.
            let weight = above.mul(&below.inverse_vartime().unwrap_or(Scalar::ZERO));
            sum = sum.add(&weight.mul(&decode(signature)));
        }
        Ok(encode(&sum))
    }
}

/// The sum of toy signatures, as aggregates have it; `None` if there are none.
#[must_use]
pub fn toy_sum(signatures: &[BlsSignature]) -> Option<BlsSignature> {
    let (first, rest) = signatures.split_first()?;
    let sum = rest.iter().fold(decode(first), |sum, s| sum.add(&decode(s)));
    Some(encode(&sum))
}

fn small(n: u8) -> Scalar {
    let mut wide = [0; 64];
    let [.., last] = &mut wide;
    *last = n;
    Scalar::from_wide_bytes(&wide)
}

fn hash(root: Root) -> Scalar {
    // The message is a hash already; a constant in front keeps its scalar from being zero.
    let mut wide = [1; 64];
    for (to, from) in wide.iter_mut().skip(32).zip(root.0) {
        *to = from;
    }
    Scalar::from_wide_bytes(&wide)
}

fn encode(scalar: &Scalar) -> BlsSignature {
    let mut bytes = [0x70; 96];
    for (to, from) in bytes.iter_mut().skip(64).zip(scalar.to_be_bytes()) {
        *to = from;
    }
    BlsSignature(bytes)
}

/// Bytes that are no toy signature are zero, which verifies nowhere.
fn decode(signature: &BlsSignature) -> Scalar {
    let tail: Option<[u8; 32]> = signature.0.get(64..).and_then(|tail| tail.try_into().ok());
    tail.and_then(|tail| Scalar::from_be_bytes(&tail))
        .unwrap_or(Scalar::ZERO)
}
