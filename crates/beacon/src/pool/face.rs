//! The port of the workflow over all beacon nodes: what is asked of each and what its answer must fit.
//!
//! Guarantees: each method is one question or one submission; its time limits are inside (`calls`).
//! Not here: who is asked (`read`, `submit`).

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::broadcast;
use trireme_core::{
    ids::PubKey,
    ports::{BeaconError, BeaconNode, Duties, ProduceBlock},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, ChainEvent, Epoch, Fork, ProposalResponse, ProposerDuty, Root,
    SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, SyncCommitteeContribution,
    SyncCommitteeMessage, SyncDuty, SyncingStatus, ValidatorIndex, ValidatorInfo, VersionedAttestation,
    VersionedSignedAggregateAndProof, VersionedSignedBlock, VersionedSignedProposal,
};

use super::{
    Pool, Shared, Topic,
    read::{Asking, asking},
};
use crate::{answers, calls::Call, endpoint::Endpoint};

/// Preparations begin this many epochs before the merge, from which on they mean something (VC-42).
const PREPARE_EPOCHS_BEFORE: u64 = 2;

type Answer<'a, T> = BoxFuture<'a, Result<T, BeaconError>>;

impl Pool {
    fn first<T: Send + 'static>(&self, call: Call, ask: Asking<T>) -> Answer<'_, T> {
        Box::pin(async move { self.shared.first(call, &ask).await })
    }

    fn to_all(&self, call: Call, topic: Option<Topic>, send: Asking<()>) -> Answer<'_, ()> {
        Box::pin(async move { self.shared.to_all(call, topic, &send).await })
    }

    async fn known_proposers(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, BeaconError> {
        let chain = Arc::clone(&self.shared.chain);
        let ask = asking(move |endpoint: Arc<Endpoint>| {
            let chain = Arc::clone(&chain);
            async move {
                let answer = endpoint.client.proposer_duties(epoch).await?;
                answers::proposer_duties(&answer, epoch, &chain)?;
                Ok(answer)
            }
        });
        let answer = self.shared.first(Call::ProposerDuties, &ask).await?;
        let proposers = answer.duties.iter().map(|d| (d.slot, d.validator_index)).collect();
        self.shared.note_proposers(epoch, proposers);
        Ok(answer)
    }

    /// What the best beacon node said of itself at the last look; asks only if none can be used.
    async fn sync_status(&self) -> Result<SyncingStatus, BeaconError> {
        let ranked = self.shared.ranked(Call::Syncing);
        let said = ranked.iter().filter(|e| e.status().usable()).find_map(|e| e.said());
        match said {
            Some(said) => Ok(said),
            None => {
                let ask = asking(|endpoint: Arc<Endpoint>| async move { endpoint.client.syncing().await });
                self.shared.first(Call::Syncing, &ask).await
            }
        }
    }

    async fn prepare(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> Result<(), BeaconError> {
        if self.shared.is_long_before_the_merge() {
            return Ok(());
        }
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let prep = prep.clone();
            async move {
                match endpoint.client.prepare_proposers(prep).await {
                    // A beacon node from before the merge does not know the word.
                    Err(BeaconError::Status { status: 404, .. }) => Ok(()),
                    result => result,
                }
            }
        });
        if self.shared.broadcast.has(Topic::Subscriptions) {
            self.shared
                .to_all(Call::Preparations, Some(Topic::Subscriptions), &send)
                .await
        } else {
            self.shared.first(Call::Preparations, &send).await
        }
    }
}

impl Shared {
    fn is_long_before_the_merge(&self) -> bool {
        let now = self.now().map_or(Epoch(0), |slot| self.chain.epoch(slot));
        let merge = self.chain.forks.epoch_of(Fork::Bellatrix).unwrap_or(Epoch::FAR_FUTURE);
        now.0.saturating_add(PREPARE_EPOCHS_BEFORE) < merge.0
    }
}

impl BeaconNode for Pool {
    fn node_version(&self) -> Answer<'_, String> {
        self.first(
            Call::NodeVersion,
            asking(|endpoint: Arc<Endpoint>| async move { endpoint.client.node_version().await }),
        )
    }

    fn syncing(&self) -> Answer<'_, SyncingStatus> {
        Box::pin(self.sync_status())
    }

    fn validators(&self, state: &str, keys: &[PubKey]) -> Answer<'_, Vec<ValidatorInfo>> {
        let (state, keys): (Arc<str>, Arc<[PubKey]>) = (state.into(), keys.into());
        self.first(
            Call::Validators,
            asking(move |endpoint: Arc<Endpoint>| {
                let (state, keys) = (Arc::clone(&state), Arc::clone(&keys));
                async move { endpoint.client.validators(&state, &keys).await }
            }),
        )
    }

    fn attester_duties(&self, epoch: Epoch, indices: &[ValidatorIndex]) -> Answer<'_, Duties<AttesterDuty>> {
        let (indices, chain): (Arc<[ValidatorIndex]>, _) = (indices.into(), Arc::clone(&self.shared.chain));
        self.first(
            Call::AttesterDuties,
            asking(move |endpoint: Arc<Endpoint>| {
                let (indices, chain) = (Arc::clone(&indices), Arc::clone(&chain));
                async move {
                    let answer = endpoint.client.attester_duties(epoch, &indices).await?;
                    answers::attester_duties(&answer, epoch, &indices, &chain)?;
                    Ok(answer)
                }
            }),
        )
    }

    fn proposer_duties(&self, epoch: Epoch) -> Answer<'_, Duties<ProposerDuty>> {
        Box::pin(self.known_proposers(epoch))
    }

    fn sync_duties(&self, epoch: Epoch, indices: &[ValidatorIndex]) -> Answer<'_, Duties<SyncDuty>> {
        let indices: Arc<[ValidatorIndex]> = indices.into();
        self.first(
            Call::SyncDuties,
            asking(move |endpoint: Arc<Endpoint>| {
                let indices = Arc::clone(&indices);
                async move {
                    let answer = endpoint.client.sync_duties(epoch, &indices).await?;
                    answers::sync_duties(&answer, &indices)?;
                    Ok(answer)
                }
            }),
        )
    }

    fn attestation_data(&self, slot: Slot, committee: u64) -> Answer<'_, AttestationData> {
        Box::pin(self.shared.attestation_data(slot, committee))
    }

    fn aggregate_attestation(&self, slot: Slot, data_root: Root, committee: u64) -> Answer<'_, VersionedAttestation> {
        self.first(
            Call::Aggregate,
            asking(move |endpoint: Arc<Endpoint>| async move {
                let answer = endpoint
                    .client
                    .aggregate_attestation(slot, data_root, committee)
                    .await?;
                answers::aggregate(&answer, slot, data_root)?;
                Ok(answer)
            }),
        )
    }

    fn sync_contribution(&self, slot: Slot, subcommittee: u64, block: Root) -> Answer<'_, SyncCommitteeContribution> {
        self.first(
            Call::Contribution,
            asking(move |endpoint: Arc<Endpoint>| async move {
                let answer = endpoint.client.sync_contribution(slot, subcommittee, block).await?;
                answers::contribution(&answer, slot, subcommittee, block)?;
                Ok(answer)
            }),
        )
    }

    fn produce_block(&self, ask: ProduceBlock) -> Answer<'_, ProposalResponse> {
        let shared = Arc::clone(&self.shared);
        self.first(
            Call::ProduceBlock,
            asking(move |endpoint: Arc<Endpoint>| {
                let (shared, ask) = (Arc::clone(&shared), ask.clone());
                async move {
                    let slot = ask.slot;
                    let answer = endpoint.client.produce_block(ask).await?;
                    answers::block(&answer, slot, shared.proposer_of(slot), &shared.chain)?;
                    shared.check_parent(&endpoint, answer.proposal.parent_root()).await?;
                    Ok(answer)
                }
            }),
        )
    }

    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> Answer<'_, ()> {
        let (slot, indices) = (
            atts.first().map(|a| a.attestation.data().slot.0),
            atts.iter()
                .filter_map(|a| a.validator_index)
                .map(|i| i.0)
                .collect::<Vec<_>>(),
        );
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let atts = atts.clone();
            async move { endpoint.client.submit_attestations(atts).await }
        });
        Box::pin(async move {
            let sent = self.to_all(Call::SubmitAttestations, Some(Topic::Attestations), send);
            sent.await?;
            tracing::info!(slot, validator_indices = ?indices, "Published attestations");
            Ok(())
        })
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> Answer<'_, ()> {
        let call = if block.is_blinded() {
            Call::SubmitBlindedProposal
        } else {
            Call::SubmitProposal
        };
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let block = Arc::clone(&block);
            async move { endpoint.client.submit_proposal(block).await }
        });
        self.to_all(call, Some(Topic::Blocks), send)
    }

    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> Answer<'_, ()> {
        Box::pin(self.prepare(prep))
    }

    fn submit_aggregates(&self, aggregates: Vec<VersionedSignedAggregateAndProof>) -> Answer<'_, ()> {
        let (slot, indices) = (
            aggregates.first().map(|a| a.data().slot.0),
            aggregates.iter().map(|a| a.aggregator_index().0).collect::<Vec<_>>(),
        );
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let aggregates = aggregates.clone();
            async move { endpoint.client.submit_aggregates(aggregates).await }
        });
        Box::pin(async move {
            let sent = self.to_all(Call::SubmitAggregates, Some(Topic::Attestations), send);
            sent.await?;
            tracing::info!(slot, validator_indices = ?indices, "Published aggregates");
            Ok(())
        })
    }

    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> Answer<'_, ()> {
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let messages = messages.clone();
            async move { endpoint.client.submit_sync_messages(messages).await }
        });
        self.to_all(Call::SubmitSyncMessages, Some(Topic::SyncCommittee), send)
    }

    fn submit_contributions(&self, contributions: Vec<SignedContributionAndProof>) -> Answer<'_, ()> {
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let contributions = contributions.clone();
            async move { endpoint.client.submit_contributions(contributions).await }
        });
        self.to_all(Call::SubmitContributions, Some(Topic::SyncCommittee), send)
    }

    fn submit_exit(&self, exit: SignedVoluntaryExit) -> Answer<'_, ()> {
        let send = asking(move |endpoint: Arc<Endpoint>| async move { endpoint.client.submit_exit(exit).await });
        self.to_all(Call::SubmitExit, None, send)
    }

    fn submit_registrations(&self, registrations: Vec<SignedValidatorRegistrationV1>) -> Answer<'_, ()> {
        let send = asking(move |endpoint: Arc<Endpoint>| {
            let registrations = registrations.clone();
            async move { endpoint.client.submit_registrations(registrations).await }
        });
        self.to_all(Call::SubmitRegistrations, None, send)
    }

    fn block_root(&self, slot: Slot) -> Answer<'_, Option<Root>> {
        self.first(
            Call::BlockRoot,
            asking(move |endpoint: Arc<Endpoint>| async move { endpoint.client.block_root(slot).await }),
        )
    }

    fn head_root(&self) -> Answer<'_, Root> {
        self.first(
            Call::HeadRoot,
            asking(|endpoint: Arc<Endpoint>| async move { endpoint.client.head_root().await }),
        )
    }

    fn block(&self, slot: Slot) -> Answer<'_, Option<Arc<VersionedSignedBlock>>> {
        self.first(
            Call::Block,
            asking(move |endpoint: Arc<Endpoint>| async move { endpoint.client.block(slot).await }),
        )
    }

    fn committees(&self, slot: Slot) -> Answer<'_, Vec<BeaconCommittee>> {
        self.first(
            Call::Committees,
            asking(move |endpoint: Arc<Endpoint>| async move { endpoint.client.committees(slot).await }),
        )
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.shared.events.subscribe()
    }
}
