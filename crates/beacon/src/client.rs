//! The beacon API's calls of a node, over one beacon node.
//!
//! Guarantees: an answer is checked for its form before it is returned; a refusal keeps the beacon node's status and
//! words; reads that broke on the way are sent once more, submissions only if they were not received.
//! Not here: caches (`once`), several beacon nodes (`pool`).

mod forms;
mod read;
mod submit;

use std::sync::Arc;

use futures::future::BoxFuture;
use rustls::pki_types::CertificateDer;
use tokio::sync::broadcast;
use trireme_core::{
    ids::PubKey,
    ports::{BeaconError, BeaconNode, Duties, ProduceBlock},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, ChainEvent, Epoch, ProposalResponse, ProposerDuty, Root,
    SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, SyncCommitteeContribution,
    SyncCommitteeMessage, SyncDuty, SyncingStatus, ValidatorIndex, ValidatorInfo, VersionedAttestation,
    VersionedSignedAggregateAndProof, VersionedSignedBlock, VersionedSignedProposal,
};
use url::Url;

use crate::{
    calls::{Call, Timeouts},
    http::{AddressError, Http},
    metrics::Metrics,
};

pub(crate) use forms::{Data, malformed};
pub(crate) use read::optimistic;

/// Largest answers in bytes, lists and blocks aside.
const SMALL: usize = 1024 * 1024;
/// Events that a slow reader may be behind.
const EVENTS: usize = 64;

/// How one beacon node is talked to.
#[derive(Clone)]
pub struct Config {
    /// Its address. User info becomes basic authentication.
    pub url: Url,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// Authorities that are trusted besides the system's.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Refuse attestation data that the beacon node marks as optimistic (VC-62).
    pub refuse_optimistic: bool,
}

/// One beacon node.
pub struct Client {
    pub(crate) http: Arc<Http>,
    pub(crate) events: broadcast::Sender<ChainEvent>,
    pub(crate) metrics: Metrics,
    timeouts: Timeouts,
    refuse_optimistic: bool,
}

impl Client {
    /// Makes no connection yet.
    ///
    /// # Errors
    ///
    /// If the address or a header cannot be used.
    pub fn new(config: &Config, metrics: Metrics) -> Result<Self, AddressError> {
        Ok(Self {
            http: Arc::new(Http::new(&config.url, &config.headers, &config.certificates)?),
            events: broadcast::channel(EVENTS).0,
            metrics,
            timeouts: config.timeouts,
            refuse_optimistic: config.refuse_optimistic,
        })
    }

    /// The same beacon node, over the same connections, with other time limits.
    pub(crate) fn with_timeouts(&self, timeouts: Timeouts) -> Self {
        Self {
            http: Arc::clone(&self.http),
            events: self.events.clone(),
            metrics: self.metrics.clone(),
            timeouts,
            refuse_optimistic: self.refuse_optimistic,
        }
    }

    /// Address without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.address()
    }
}

impl BeaconNode for Client {
    fn node_version(&self) -> BoxFuture<'_, Result<String, BeaconError>> {
        Box::pin(self.version())
    }

    fn syncing(&self) -> BoxFuture<'_, Result<SyncingStatus, BeaconError>> {
        Box::pin(self.sync_status())
    }

    fn validators(&self, state: &str, keys: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        Box::pin(self.find_validators(state.to_owned(), keys.to_vec()))
    }

    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        Box::pin(self.find_attester_duties(epoch, indices.to_vec()))
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        Box::pin(self.find_proposer_duties(epoch))
    }

    fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        Box::pin(self.find_sync_duties(epoch, indices.to_vec()))
    }

    fn aggregate_attestation(
        &self,
        slot: Slot,
        data_root: Root,
        committee: u64,
    ) -> BoxFuture<'_, Result<VersionedAttestation, BeaconError>> {
        Box::pin(self.find_aggregate(slot, data_root, committee))
    }

    fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<SyncCommitteeContribution, BeaconError>> {
        Box::pin(self.find_contribution(slot, subcommittee, block))
    }

    fn attestation_data(&self, slot: Slot, committee: u64) -> BoxFuture<'_, Result<AttestationData, BeaconError>> {
        Box::pin(self.find_attestation_data(slot, committee))
    }

    fn produce_block(&self, ask: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        Box::pin(self.make_block(ask))
    }

    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_attestations(atts))
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_block(block))
    }

    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_preparations(prep))
    }

    fn submit_aggregates(
        &self,
        aggregates: Vec<VersionedSignedAggregateAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_aggregates(aggregates))
    }

    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(async move { self.send(Call::SubmitSyncMessages, &messages).await })
    }

    fn submit_contributions(
        &self,
        contributions: Vec<SignedContributionAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(async move { self.send(Call::SubmitContributions, &contributions).await })
    }

    fn submit_exit(&self, exit: SignedVoluntaryExit) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(async move { self.send(Call::SubmitExit, &exit).await })
    }

    fn submit_registrations(
        &self,
        registrations: Vec<SignedValidatorRegistrationV1>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_registrations(registrations))
    }

    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        Box::pin(self.find_block_root(slot))
    }

    fn head_root(&self) -> BoxFuture<'_, Result<Root, BeaconError>> {
        Box::pin(self.find_head_root())
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        Box::pin(self.find_block(slot))
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        Box::pin(self.find_committees(slot))
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }
}
