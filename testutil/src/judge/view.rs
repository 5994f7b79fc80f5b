//! The parts of a signed block that the judge looks at, the same for every fork.

use trireme_eth2::{
    Blob, BlsSignature, Fork, ForkedSignedBlock, KzgCommitment, Root, Slot, ValidatorIndex, VersionedSignedProposal,
};

use super::blocks::{blob, commitments};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockView {
    /// The fork whose container it is.
    pub fork: Fork,
    /// Whether it has only the payload's header.
    pub blinded: bool,
    /// The slot.
    pub slot: Slot,
    /// The proposer.
    pub proposer: ValidatorIndex,
    /// The block before.
    pub parent: Root,
    /// The state after it.
    pub state_root: Root,
    /// Root of the body.
    pub body_root: Root,
    /// Root of the block.
    pub root: Root,
    /// The randao reveal in it.
    pub randao: BlsSignature,
    /// The proposer's signature.
    pub signature: BlsSignature,
    /// Whether the blobs are those that the block commits to.
    pub blobs_match: bool,
}

impl BlockView {
    /// Looks at a block. Hashes it once, which takes milliseconds.
    #[must_use]
    pub fn of(signed: &VersionedSignedProposal) -> Self {
        let header = signed.header();
        let (commitments, blobs): (&[_], &[_]) = match signed {
            VersionedSignedProposal::Blinded(_) => (&[], &[]),
            VersionedSignedProposal::Full(full) => match full {
                ForkedSignedBlock::Phase0(_)
                | ForkedSignedBlock::Altair(_)
                | ForkedSignedBlock::Bellatrix(_)
                | ForkedSignedBlock::Capella(_) => (&[], &[]),
                ForkedSignedBlock::Deneb(x) => (&x.signed_block.message.body.blob_kzg_commitments, &x.blobs),
                ForkedSignedBlock::Electra(x) => (&x.signed_block.message.body.blob_kzg_commitments, &x.blobs),
                ForkedSignedBlock::Fulu(x) => (&x.signed_block.message.body.blob_kzg_commitments, &x.blobs),
            },
        };
        Self {
            fork: signed.fork(),
            blinded: signed.is_blinded(),
            slot: header.slot,
            proposer: header.proposer_index,
            parent: header.parent_root,
            state_root: header.state_root,
            body_root: header.body_root,
            root: trireme_eth2::hash_tree_root(&header),
            randao: signed.randao_reveal(),
            signature: signed.signature(),
            blobs_match: blobs_match(header.slot, commitments, blobs),
        }
    }
}

fn blobs_match(slot: Slot, named: &[KzgCommitment], blobs: &[Blob]) -> bool {
    blobs.len() == named.len()
        && commitments(slot, named.len()).eq(named.iter().copied())
        && blobs
            .iter()
            .enumerate()
            .all(|(n, have)| blob(slot, n).as_ref() == Some(have))
}
