//! What Deneb added: blobs.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    VariableList,
    typenum::{U2, U16, U128},
};
use tree_hash_derive::TreeHash;

use crate::{
    BlsSignature, ExecutionAddress, KzgCommitment, LogsBloom, Mainnet, MaxBlobs, Payload, Preset, Root, Uint256,
    altair::SyncAggregate,
    bellatrix::{ExtraData, Transactions},
    capella::{SignedBlsToExecutionChange, Withdrawal},
    container,
    phase0::{Attestation, AttesterSlashing, Deposit, Eth1Data, ProposerSlashing, SignedVoluntaryExit},
    quoted,
};

/// A block of the execution layer: adds `blob_gas_used` and `excess_blob_gas`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
#[serde(bound = "P: Preset")]
pub struct ExecutionPayload<P: Preset = Mainnet> {
    /// Hash of the block before.
    pub parent_hash: Root,
    /// Who gets the fees.
    pub fee_recipient: ExecutionAddress,
    /// Root of the state.
    pub state_root: Root,
    /// Root of the receipts.
    pub receipts_root: Root,
    /// Filter over the logs.
    pub logs_bloom: LogsBloom,
    /// Randomness for contracts.
    pub prev_randao: Root,
    /// Height.
    #[serde(with = "quoted")]
    pub block_number: u64,
    /// Allowed gas.
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    /// Used gas.
    #[serde(with = "quoted")]
    pub gas_used: u64,
    /// Unix seconds.
    #[serde(with = "quoted")]
    pub timestamp: u64,
    /// Free bytes.
    pub extra_data: ExtraData,
    /// Base fee in wei.
    pub base_fee_per_gas: Uint256,
    /// Hash of this block.
    pub block_hash: Root,
    /// Transactions.
    pub transactions: Transactions,
    /// Withdrawals.
    pub withdrawals: VariableList<Withdrawal, P::MaxWithdrawals>,
    /// Gas used by blobs.
    #[serde(with = "quoted")]
    pub blob_gas_used: u64,
    /// Gas of blobs above the target.
    #[serde(with = "quoted")]
    pub excess_blob_gas: u64,
}

/// An [`ExecutionPayload`] with roots in place of lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionPayloadHeader {
    /// Hash of the block before.
    pub parent_hash: Root,
    /// Who gets the fees.
    pub fee_recipient: ExecutionAddress,
    /// Root of the state.
    pub state_root: Root,
    /// Root of the receipts.
    pub receipts_root: Root,
    /// Filter over the logs.
    pub logs_bloom: LogsBloom,
    /// Randomness for contracts.
    pub prev_randao: Root,
    /// Height.
    #[serde(with = "quoted")]
    pub block_number: u64,
    /// Allowed gas.
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    /// Used gas.
    #[serde(with = "quoted")]
    pub gas_used: u64,
    /// Unix seconds.
    #[serde(with = "quoted")]
    pub timestamp: u64,
    /// Free bytes.
    pub extra_data: ExtraData,
    /// Base fee in wei.
    pub base_fee_per_gas: Uint256,
    /// Hash of this block.
    pub block_hash: Root,
    /// Root of the transactions.
    pub transactions_root: Root,
    /// Root of the withdrawals.
    pub withdrawals_root: Root,
    /// Gas used by blobs.
    #[serde(with = "quoted")]
    pub blob_gas_used: u64,
    /// Gas of blobs above the target.
    #[serde(with = "quoted")]
    pub excess_blob_gas: u64,
}

impl<P: Preset> Payload for ExecutionPayload<P> {
    const JSON_NAME: &'static str = "execution_payload";

    fn fee_recipient(&self) -> ExecutionAddress {
        self.fee_recipient
    }
}

impl Payload for ExecutionPayloadHeader {
    const JSON_NAME: &'static str = "execution_payload_header";

    fn fee_recipient(&self) -> ExecutionAddress {
        self.fee_recipient
    }
}

container::block_body! {
    /// Content of a block: adds `blob_kzg_commitments`.
    pub struct BeaconBlockBody<P> {
        /// Signature of the epoch.
        pub randao_reveal: BlsSignature,
        /// Vote on the deposit contract.
        pub eth1_data: Eth1Data,
        /// Free text.
        pub graffiti: Root,
        /// Double proposals.
        pub proposer_slashings: VariableList<ProposerSlashing, U16>,
        /// Double votes.
        pub attester_slashings: VariableList<AttesterSlashing, U2>,
        /// Votes.
        pub attestations: VariableList<Attestation, U128>,
        /// New deposits.
        pub deposits: VariableList<Deposit, U16>,
        /// Exits.
        pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
        /// The sync committee's votes.
        pub sync_aggregate: SyncAggregate,
        /// The execution layer's block, or its header.
        #[serde(alias = "execution_payload_header")]
        pub execution_payload: P,
        /// New withdrawal credentials.
        pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
        /// Commitments to the blobs.
        pub blob_kzg_commitments: VariableList<KzgCommitment, MaxBlobs>,
    }
}

/// A block, with the limits of the preset `P`.
pub type BeaconBlock<P = Mainnet> = container::BeaconBlock<BeaconBlockBody<ExecutionPayload<P>>>;
/// A signed block, with the limits of the preset `P`.
pub type SignedBeaconBlock<P = Mainnet> = container::SignedBeaconBlock<BeaconBlockBody<ExecutionPayload<P>>>;
/// A block with the payload's header.
pub type BlindedBeaconBlock = container::BeaconBlock<BeaconBlockBody<ExecutionPayloadHeader>>;
/// A signed block with the payload's header.
pub type SignedBlindedBeaconBlock = container::SignedBeaconBlock<BeaconBlockBody<ExecutionPayloadHeader>>;
/// A block with its blobs, as produced.
pub type BlockContents<P = Mainnet> = container::BlockContents<BeaconBlockBody<ExecutionPayload<P>>, MaxBlobs>;
/// A signed block with its blobs, as published.
pub type SignedBlockContents<P = Mainnet> =
    container::SignedBlockContents<BeaconBlockBody<ExecutionPayload<P>>, MaxBlobs>;
