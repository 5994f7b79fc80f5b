//! The duties of an epoch, asked for once however many ask.
//!
//! Guarantees: one request at a time per question; an error is not kept; what a reorganisation changed is asked for
//! again, as head events with other dependent roots tell; an answer for no validators at all is never kept; memory is
//! bounded to a few epochs and questions.
//! Not here: merging of questions about different validators.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::{
    OnceCell,
    broadcast::{self, error::TryRecvError},
};
use trireme_core::{
    ids::PubKey,
    metrics::CacheMetrics,
    ports::{BeaconError, BeaconNode, Duties, ProduceBlock},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, ChainEvent, Epoch, HeadEvent, ProposalResponse, ProposerDuty, Root,
    SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, SyncCommitteeContribution,
    SyncCommitteeMessage, SyncDuty, SyncingStatus, ValidatorIndex, ValidatorInfo, VersionedAttestation,
    VersionedSignedAggregateAndProof, VersionedSignedBlock, VersionedSignedProposal,
};

/// Epochs behind the newest one asked for that are kept.
const KEPT_EPOCHS: u64 = 2;
/// Different questions about one epoch that are kept.
const KEPT_QUESTIONS: usize = 16;

type Kept<T> = Arc<OnceCell<Duties<T>>>;

struct State {
    attester: BTreeMap<(Epoch, Vec<ValidatorIndex>), Kept<AttesterDuty>>,
    proposer: BTreeMap<Epoch, Kept<ProposerDuty>>,
    events: broadcast::Receiver<ChainEvent>,
}

/// A beacon node that is asked for the duties of an epoch once.
pub struct DutiesOnce {
    inner: Arc<dyn BeaconNode>,
    slots_per_epoch: u64,
    state: Mutex<State>,
    metrics: CacheMetrics,
}

impl DutiesOnce {
    /// In front of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn BeaconNode>, slots_per_epoch: u64, metrics: CacheMetrics) -> Self {
        let state = State {
            attester: BTreeMap::new(),
            proposer: BTreeMap::new(),
            events: inner.events(),
        };
        Self {
            inner,
            slots_per_epoch,
            state: Mutex::new(state),
            metrics,
        }
    }

    /// Counts a question whose answer is there, or is not.
    fn count(&self, endpoint: &'static str, kept: bool) {
        if kept {
            self.metrics.hit(endpoint);
        } else {
            self.metrics.miss(endpoint);
        }
    }

    /// The state, with what has become of the chain since the last look.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match state.events.try_recv() {
                Ok(ChainEvent::Head(head)) => state.follow(&head, self.slots_per_epoch),
                // The head that comes with it tells what has changed.
                Ok(ChainEvent::Reorg(_) | ChainEvent::Block(_)) => {}
                Err(TryRecvError::Lagged(_)) => {
                    state.attester.clear();
                    state.proposer.clear();
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return state,
            }
        }
    }

    async fn attester(&self, epoch: Epoch, indices: Vec<ValidatorIndex>) -> Result<Duties<AttesterDuty>, BeaconError> {
        let ask = || self.inner.attester_duties(epoch, &indices);
        if indices.is_empty() {
            return ask().await;
        }
        let cell = self.state().attester_cell(epoch, &indices);
        self.count("attester_duties", cell.as_ref().is_some_and(|c| c.initialized()));
        match cell {
            Some(cell) => cell.get_or_try_init(ask).await.cloned(),
            None => ask().await,
        }
    }

    async fn proposer(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, BeaconError> {
        let cell = self.state().proposer_cell(epoch);
        self.count("proposer_duties", cell.initialized());
        cell.get_or_try_init(|| self.inner.proposer_duties(epoch))
            .await
            .cloned()
    }
}

impl State {
    fn attester_cell(&mut self, epoch: Epoch, indices: &[ValidatorIndex]) -> Option<Kept<AttesterDuty>> {
        let mut key = (epoch, indices.to_vec());
        key.1.sort_unstable();
        if let Some(cell) = self.attester.get(&key) {
            return Some(Arc::clone(cell));
        }
        self.attester
            .retain(|(e, _), _| e.0.saturating_add(KEPT_EPOCHS) >= epoch.0);
        if self.attester.keys().filter(|(e, _)| *e == epoch).count() >= KEPT_QUESTIONS {
            return None;
        }
        Some(Arc::clone(self.attester.entry(key).or_default()))
    }

    fn proposer_cell(&mut self, epoch: Epoch) -> Kept<ProposerDuty> {
        self.proposer.retain(|e, _| e.0.saturating_add(KEPT_EPOCHS) >= epoch.0);
        Arc::clone(self.proposer.entry(epoch).or_default())
    }

    /// A head in epoch `h` tells on which blocks the attester duties of `h` and of the next epoch depend. Proposer
    /// duties depend, by fork, on one of the two.
    fn follow(&mut self, head: &HeadEvent, slots_per_epoch: u64) {
        let now = Epoch(head.slot.0.checked_div(slots_per_epoch).unwrap_or_default());
        let next = Epoch(now.0.saturating_add(1));
        let (previous, current) = (head.previous_duty_dependent_root, head.current_duty_dependent_root);
        if previous == Root::default() || current == Root::default() {
            return;
        }
        self.attester.retain(|(epoch, _), cell| {
            let expected = if *epoch == now { previous } else { current };
            !(*epoch == now || *epoch == next) || depends_on(cell, |root| root == expected)
        });
        self.proposer.retain(|epoch, cell| {
            !(*epoch == now || *epoch == next) || depends_on(cell, |root| root == previous || root == current)
        });
    }
}

/// Whether a kept answer depends on such a block; one that is under way is taken for outdated.
fn depends_on<T>(cell: &OnceCell<Duties<T>>, fits: impl Fn(Root) -> bool) -> bool {
    cell.get().is_some_and(|duties| fits(duties.dependent_root))
}

impl BeaconNode for DutiesOnce {
    fn node_version(&self) -> BoxFuture<'_, Result<String, BeaconError>> {
        self.inner.node_version()
    }

    fn syncing(&self) -> BoxFuture<'_, Result<SyncingStatus, BeaconError>> {
        self.inner.syncing()
    }

    fn validators(&self, state: &str, keys: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        self.inner.validators(state, keys)
    }

    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        Box::pin(self.attester(epoch, indices.to_vec()))
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        Box::pin(self.proposer(epoch))
    }

    fn attestation_data(&self, slot: Slot, committee: u64) -> BoxFuture<'_, Result<AttestationData, BeaconError>> {
        self.inner.attestation_data(slot, committee)
    }

    fn produce_block(&self, ask: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        self.inner.produce_block(ask)
    }

    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_attestations(atts)
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_proposal(block)
    }

    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.prepare_proposers(prep)
    }

    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        self.inner.block_root(slot)
    }

    fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        self.inner.sync_duties(epoch, indices)
    }

    fn aggregate_attestation(
        &self,
        slot: Slot,
        data_root: Root,
        committee: u64,
    ) -> BoxFuture<'_, Result<VersionedAttestation, BeaconError>> {
        self.inner.aggregate_attestation(slot, data_root, committee)
    }

    fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<SyncCommitteeContribution, BeaconError>> {
        self.inner.sync_contribution(slot, subcommittee, block)
    }

    fn submit_aggregates(
        &self,
        aggregates: Vec<VersionedSignedAggregateAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_aggregates(aggregates)
    }

    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_sync_messages(messages)
    }

    fn submit_contributions(
        &self,
        contributions: Vec<SignedContributionAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_contributions(contributions)
    }

    fn submit_exit(&self, exit: SignedVoluntaryExit) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_exit(exit)
    }

    fn submit_registrations(
        &self,
        registrations: Vec<SignedValidatorRegistrationV1>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.inner.submit_registrations(registrations)
    }

    fn head_root(&self) -> BoxFuture<'_, Result<Root, BeaconError>> {
        self.inner.head_root()
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        self.inner.block(slot)
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        self.inner.committees(slot)
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.inner.events()
    }
}

#[cfg(test)]
mod tests;
