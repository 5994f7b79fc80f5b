//! Who aggregates: decided by the hash of a validator's selection proof.

use sha2::{Digest, Sha256};

use crate::{BlsSignature, ChainSpec};

/// Whether the validator aggregates its attestation committee's votes.
#[must_use]
pub fn is_attestation_aggregator(spec: &ChainSpec, committee_length: u64, proof: &BlsSignature) -> bool {
    selected(
        proof,
        committee_length.checked_div(spec.target_aggregators_per_committee),
    )
}

/// Whether the validator aggregates its sync subcommittee's messages.
#[must_use]
pub fn is_sync_aggregator(spec: &ChainSpec, proof: &BlsSignature) -> bool {
    selected(
        proof,
        spec.sync_subcommittee_size()
            .checked_div(spec.target_aggregators_per_sync_subcommittee),
    )
}

/// One in `one_in` proofs is selected; every one if that is below two.
fn selected(proof: &BlsSignature, one_in: Option<u64>) -> bool {
    let hash: [u8; 32] = Sha256::digest(proof.0).into();
    let number = hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    number.is_multiple_of(one_in.unwrap_or(1).max(1))
}
