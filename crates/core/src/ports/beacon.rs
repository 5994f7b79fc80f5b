//! The port to the beacon nodes, and what stands in front of it.
//!
//! Guarantees: the port's calls are listed once; a [`BeaconLayer`] passes on every call that it does not answer itself.
//! Not here: HTTP, several beacon nodes, caches (crate `beacon`).

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::broadcast;
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, BlsSignature, ChainEvent, Epoch, ProposalResponse, ProposerDuty,
    Root, SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot,
    SyncCommitteeContribution, SyncCommitteeMessage, SyncDuty, SyncingStatus, ValidatorIndex, ValidatorInfo,
    VersionedAttestation, VersionedSignedAggregateAndProof, VersionedSignedBlock, VersionedSignedProposal,
};

use crate::ids::PubKey;

/// Why the beacon node gave no answer. `status` and `message` of its refusals reach the validator client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeaconError {
    /// The beacon node answered with an error status.
    #[error("beacon node answered {status} to {endpoint}: {message}")]
    Status {
        /// Path without its variable parts.
        endpoint: &'static str,
        /// HTTP status.
        status: u16,
        /// The node's own message.
        message: String,
    },
    /// No answer in time.
    #[error("beacon node did not answer {endpoint} within {after:?}")]
    Timeout {
        /// Path without its variable parts.
        endpoint: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// No connection.
    #[error("beacon node {address} is not reachable: {reason}")]
    Unreachable {
        /// Address without credentials.
        address: String,
        /// What happened.
        reason: String,
    },
    /// An answer that cannot be read.
    #[error("beacon node's answer to {endpoint} cannot be read: {reason}")]
    Malformed {
        /// Path without its variable parts.
        endpoint: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A list of duties with the block root that it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duties<T> {
    /// `dependent_root` of the answer; zero for sync committee duties, which have none.
    pub dependent_root: Root,
    /// `execution_optimistic` of the answer.
    pub execution_optimistic: bool,
    /// The duties of the validators asked for.
    pub duties: Vec<T>,
}

/// What a block request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceBlock {
    /// The slot to propose for.
    pub slot: Slot,
    /// The aggregated randao reveal.
    pub randao_reveal: BlsSignature,
    /// 32 bytes.
    pub graffiti: Root,
    /// 0 for local blocks only, `u64::MAX` to prefer the builder.
    pub builder_boost_factor: u64,
}

/// What a call answers.
type Answer<'a, T> = BoxFuture<'a, Result<T, BeaconError>>;

/// Makes the port and its layer of one list of calls.
macro_rules! beacon_node {
    ($($(#[$doc:meta])* fn $call:ident(&self $(, $name:ident: $kind:ty)*) -> $answer:ty;)*) => {
        /// The beacon node, or all of them behind one face. Every method has its own time limit inside. A submission is
        /// a success if the beacon node took everything or had it already, and an error if it refused any of it.
        pub trait BeaconNode: Send + Sync {
            $($(#[$doc])* fn $call(&self $(, $name: $kind)*) -> $answer;)*
        }

        /// Stands in front of a beacon node and is one: it answers some calls in its own way and passes on the others.
        pub trait BeaconLayer: Send + Sync {
            /// Who gets what is passed on.
            fn inner(&self) -> &dyn BeaconNode;
            $($(#[$doc])* fn $call(&self $(, $name: $kind)*) -> $answer {
                self.inner().$call($($name),*)
            })*
        }

        impl<T: BeaconLayer> BeaconNode for T {
            $(fn $call(&self $(, $name: $kind)*) -> $answer {
                BeaconLayer::$call(self $(, $name)*)
            })*
        }
    };
}

beacon_node! {
    /// `GET /eth/v1/node/version`.
    fn node_version(&self) -> Answer<'_, String>;
    /// `GET /eth/v1/node/syncing`.
    fn syncing(&self) -> Answer<'_, SyncingStatus>;
    /// `POST /eth/v1/beacon/states/{state}/validators` for the given group keys. Unknown keys are left out.
    fn validators(&self, state: &str, keys: &[PubKey]) -> Answer<'_, Vec<ValidatorInfo>>;
    /// `POST /eth/v1/validator/duties/attester/{epoch}`.
    fn attester_duties(&self, epoch: Epoch, indices: &[ValidatorIndex]) -> Answer<'_, Duties<AttesterDuty>>;
    /// `GET /eth/v1/validator/duties/proposer/{epoch}`, all proposers of the epoch.
    fn proposer_duties(&self, epoch: Epoch) -> Answer<'_, Duties<ProposerDuty>>;
    /// `POST /eth/v1/validator/duties/sync/{epoch}`.
    fn sync_duties(&self, epoch: Epoch, indices: &[ValidatorIndex]) -> Answer<'_, Duties<SyncDuty>>;
    /// `GET /eth/v1/validator/attestation_data`.
    fn attestation_data(&self, slot: Slot, committee: u64) -> Answer<'_, AttestationData>;
    /// `GET /eth/v2/validator/aggregate_attestation`; without validator index.
    fn aggregate_attestation(&self, slot: Slot, data_root: Root, committee: u64) -> Answer<'_, VersionedAttestation>;
    /// `GET /eth/v1/validator/sync_committee_contribution`.
    fn sync_contribution(&self, slot: Slot, subcommittee: u64, block: Root) -> Answer<'_, SyncCommitteeContribution>;
    /// `GET /eth/v3/validator/blocks/{slot}`, as SSZ where the node offers it.
    fn produce_block(&self, ask: ProduceBlock) -> Answer<'_, ProposalResponse>;
    /// `POST /eth/v2/beacon/pool/attestations`; converts to `SingleAttestation` from Electra on.
    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> Answer<'_, ()>;
    /// `POST /eth/v2/beacon/blocks` or `/eth/v2/beacon/blinded_blocks`.
    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> Answer<'_, ()>;
    /// `POST /eth/v1/validator/prepare_beacon_proposer`: index and 20-byte fee recipient.
    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> Answer<'_, ()>;
    /// `POST /eth/v2/validator/aggregate_and_proofs`.
    fn submit_aggregates(&self, aggregates: Vec<VersionedSignedAggregateAndProof>) -> Answer<'_, ()>;
    /// `POST /eth/v1/beacon/pool/sync_committees`.
    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> Answer<'_, ()>;
    /// `POST /eth/v1/validator/contribution_and_proofs`.
    fn submit_contributions(&self, contributions: Vec<SignedContributionAndProof>) -> Answer<'_, ()>;
    /// `POST /eth/v1/beacon/pool/voluntary_exits`.
    fn submit_exit(&self, exit: SignedVoluntaryExit) -> Answer<'_, ()>;
    /// `POST /eth/v1/validator/register_validator`.
    fn submit_registrations(&self, registrations: Vec<SignedValidatorRegistrationV1>) -> Answer<'_, ()>;
    /// `GET /eth/v1/beacon/blocks/{slot}/root`; `None` if the slot is empty (404).
    fn block_root(&self, slot: Slot) -> Answer<'_, Option<Root>>;
    /// `GET /eth/v1/beacon/blocks/head/root`.
    fn head_root(&self) -> Answer<'_, Root>;
    /// `GET /eth/v2/beacon/blocks/{slot}`, as SSZ where the node offers it; `None` if the slot is empty (404).
    fn block(&self, slot: Slot) -> Answer<'_, Option<Arc<VersionedSignedBlock>>>;
    /// `GET /eth/v1/beacon/states/{slot}/committees?slot={slot}`: all committees of the slot.
    fn committees(&self, slot: Slot) -> Answer<'_, Vec<BeaconCommittee>>;
    /// Heads, reorganisations and blocks since the call; a slow reader misses old ones. Reconnects by itself.
    fn events(&self) -> broadcast::Receiver<ChainEvent>;
}
