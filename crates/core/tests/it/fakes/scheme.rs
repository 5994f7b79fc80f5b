//! Signatures that anybody can make and that still tell who signed what. For tests alone.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use trireme_core::{
    PubKey, ShareIdx,
    scheme::{CannotCombine, Claim, Refusal, Scheme, Signer},
};
use trireme_eth2::{BlsSignature, Root};

/// Marks a whole signature where a partial one has its share.
const WHOLE: u8 = 0xff;

/// The scheme of a threshold.
pub(crate) struct Toy {
    pub(crate) threshold: usize,
}

pub(crate) fn public_share(validator: PubKey, share: u8) -> [u8; 48] {
    let mut out = validator.0;
    out[47] = share;
    out[46] = 0xaa;
    out
}

fn signature(validator: PubKey, who: u8, root: Root) -> BlsSignature {
    let mut out = [0; 96];
    out[0] = who;
    out[1..33].copy_from_slice(&Sha256::new().chain_update(validator.0).chain_update(root.0).finalize());
    BlsSignature(out)
}

/// A share's signature.
pub(crate) fn sign(validator: PubKey, share: ShareIdx, root: Root) -> BlsSignature {
    signature(validator, share.0, root)
}

/// The whole validator's signature.
pub(crate) fn whole(validator: PubKey, root: Root) -> BlsSignature {
    signature(validator, WHOLE, root)
}

impl Scheme for Toy {
    fn verify_set(&self, claims: &[Claim], _: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        let verdict = |claim: &Claim| {
            let expected = match claim.signer {
                Signer::Group(validator) => whole(validator, claim.root),
                Signer::Share(validator, share) => sign(validator, share, claim.root),
            };
            if claim.signature == expected {
                Ok(())
            } else {
                Err(Refusal::Wrong)
            }
        };
        claims.iter().map(verdict).collect()
    }

    fn combine(&self, partials: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        let mut bodies: Vec<_> = partials.values().map(|s| s.0[1..].to_vec()).collect();
        bodies.dedup();
        let mut out = [0; 96];
        // Too few, or over different messages: something that does not verify, as with the real one.
        if let ([body], true) = (bodies.as_slice(), partials.len() >= self.threshold) {
            out[0] = WHOLE;
            out[1..].copy_from_slice(body);
        }
        Ok(BlsSignature(out))
    }
}
