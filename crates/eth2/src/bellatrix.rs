//! What Bellatrix added: the execution payload.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    VariableList,
    typenum::{U2, U16, U32, U128, U1048576, U1073741824},
};
use tree_hash_derive::TreeHash;

use crate::{
    BlsSignature, ByteList, ExecutionAddress, LogsBloom, Payload, Root, Uint256,
    altair::SyncAggregate,
    container,
    phase0::{Attestation, AttesterSlashing, Deposit, Eth1Data, ProposerSlashing, SignedVoluntaryExit},
    quoted,
};

/// A transaction's bytes.
pub type Transaction = ByteList<U1073741824>;
/// A payload's transactions.
pub type Transactions = VariableList<Transaction, U1048576>;
/// The block builder's free bytes.
pub type ExtraData = ByteList<U32>;

/// A block of the execution layer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionPayload {
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
}

/// An [`ExecutionPayload`] with the transactions' root.
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
}

impl Payload for ExecutionPayload {
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
    /// Content of a block: adds `execution_payload`.
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
    }
}

/// A block.
pub type BeaconBlock = container::BeaconBlock<BeaconBlockBody<ExecutionPayload>>;
/// A signed block.
pub type SignedBeaconBlock = container::SignedBeaconBlock<BeaconBlockBody<ExecutionPayload>>;
/// A block with the payload's header.
pub type BlindedBeaconBlock = container::BeaconBlock<BeaconBlockBody<ExecutionPayloadHeader>>;
/// A signed block with the payload's header.
pub type SignedBlindedBeaconBlock = container::SignedBeaconBlock<BeaconBlockBody<ExecutionPayloadHeader>>;
