//! What Capella added: withdrawals and changes of withdrawal credentials.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    VariableList,
    typenum::{U2, U16, U128},
};
use tree_hash_derive::TreeHash;

use crate::{
    BlsPubkey, BlsSignature, ExecutionAddress, Gwei, LogsBloom, Mainnet, Payload, Preset, Root, Uint256,
    ValidatorIndex,
    altair::SyncAggregate,
    bellatrix::{ExtraData, Transactions},
    container,
    phase0::{Attestation, AttesterSlashing, Deposit, Eth1Data, ProposerSlashing, SignedVoluntaryExit},
    primitives::plain_address,
    quoted,
};

/// A payment from the consensus layer to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Running number of withdrawals.
    #[serde(with = "quoted")]
    pub index: u64,
    /// Whose balance.
    pub validator_index: ValidatorIndex,
    /// Who gets it.
    #[serde(with = "plain_address")]
    pub address: ExecutionAddress,
    /// How much.
    pub amount: Gwei,
}

/// A wish to withdraw to an address rather than a BLS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BlsToExecutionChange {
    /// Whose credentials.
    pub validator_index: ValidatorIndex,
    /// The BLS key that they name now.
    pub from_bls_pubkey: BlsPubkey,
    /// The address that they shall name.
    pub to_execution_address: ExecutionAddress,
}

/// A [`BlsToExecutionChange`] signed with the BLS withdrawal key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedBlsToExecutionChange {
    /// What is signed.
    pub message: BlsToExecutionChange,
    /// Signature with the withdrawal key.
    pub signature: BlsSignature,
}

/// A block of the execution layer: adds `withdrawals`.
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
    /// Content of a block: adds `bls_to_execution_changes`.
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
