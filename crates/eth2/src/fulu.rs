//! What Fulu changed: blobs are proven cell by cell, so that block contents carry more proofs. The rest is Electra's.

use ssz_types::typenum::U33554432;

use crate::{Mainnet, container};

pub use crate::electra::{
    AggregateAndProof, Attestation, AttesterSlashing, BeaconBlock, BeaconBlockBody, BlindedBeaconBlock,
    ConsolidationRequest, DepositRequest, ExecutionPayload, ExecutionPayloadHeader, ExecutionRequests,
    IndexedAttestation, SignedAggregateAndProof, SignedBeaconBlock, SignedBlindedBeaconBlock, SingleAttestation,
    WithdrawalRequest,
};

/// Most cell proofs of one block.
pub type MaxProofs = U33554432;

/// A block with its blobs, as produced.
pub type BlockContents<P = Mainnet> = container::BlockContents<BeaconBlockBody<ExecutionPayload<P>>, MaxProofs>;
/// A signed block with its blobs, as published.
pub type SignedBlockContents<P = Mainnet> =
    container::SignedBlockContents<BeaconBlockBody<ExecutionPayload<P>>, MaxProofs>;
