//! Aggregates and contributions: the agreed ones out, signed ones in.
//!
//! Guarantees: a question that the cluster will never have an answer to is refused at once, and none is held to the end of
//! its slot, since a validator client may do nothing for the next slot while it waits; a signed aggregate is taken only
//! with the cluster's selection proof inside.
//! Not here: selection proofs themselves (`selections`), what is aggregated (`fetcher`).

use std::{collections::BTreeMap, sync::Arc};

use trireme_eth2::{
    AttesterDuty, CommitteeIndex, DomainType, Root, SignedContributionAndProof, Slot, SyncAggregatorSelectionData,
    SyncCommitteeContribution, VersionedAttestation, VersionedSignedAggregateAndProof, hash_tree_root,
    is_attestation_aggregator, is_sync_aggregator,
};

use super::{Awaited, Refused, ValidatorApi, partials::Item, told};
use crate::{
    answers::NoAnswer,
    data::SignedData,
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    ids::PubKey,
};

impl ValidatorApi {
    /// The aggregate that the cluster agreed on for a slot, data root and committee; waits for it.
    #[tracing::instrument(name = "core/validatorapi.AggregateAttestation", parent = self.trace(slot, DutyType::Aggregator).id(), skip_all, fields(committee_index = committee.0))]
    pub async fn aggregate_attestation(
        &self,
        slot: Slot,
        data_root: Root,
        committee: CommitteeIndex,
        awaited: &Awaited,
    ) -> Result<Arc<VersionedAttestation>, Refused> {
        told(async {
        let ours = match self.duties_of(Duty::new(slot, DutyType::Attester), awaited).await? {
            Some(set) => {
                let ours = attesters(&set, committee);
                if ours.is_empty() {
                    return Err(Refused::ForeignCommittee { slot, committee });
                }
                ours
            }
            None => Vec::new(),
        };
        awaited.set(format!(
            "the cluster's agreement on an aggregate of slot {}, committee {}, which needs the selection proofs of {} of {} operators",
            slot.0, committee.0, self.cluster.threshold, self.cluster.nodes
        ));
        tokio::select! { biased;
            agreed = self.aggregates.aggregate(slot, data_root, committee) => {
                agreed.map_err(|why| Self::no_answer(awaited, why))
            }
            () = self.nobody_aggregates(slot, &ours) => Err(Refused::NobodyAggregates {
                what: "attestations of committee", number: committee.0, slot,
            }),
            () = self.aggregates.decided(Duty::new(slot, DutyType::Aggregator)) => Err(Refused::NotAgreed {
                what: "aggregates", slot, of: "committee", number: committee.0, root: data_root,
            }),
            () = self.gate.last_call(slot) => Err(Self::no_answer(awaited, NoAnswer::Expired)),
        }
}).await
    }

    /// Ends when it is sure that none of these attesters aggregates.
    async fn nobody_aggregates(&self, slot: Slot, ours: &[(PubKey, AttesterDuty)]) {
        let duty = Duty::new(slot, DutyType::PrepareAggregator);
        for (key, attester) in ours {
            let selected = self.selections.aggregated(duty, *key).await;
            if !selected
                .is_ok_and(|s| !is_attestation_aggregator(&self.chain, attester.committee_length, &s.signature()))
            {
                return std::future::pending().await;
            }
        }
        if ours.is_empty() {
            std::future::pending().await
        }
    }

    /// The contribution that the cluster agreed on for a slot, subcommittee and block; waits for it.
    #[tracing::instrument(name = "core/validatorapi.SyncCommitteeContribution", parent = self.trace(slot, DutyType::SyncContribution).id(), skip_all, fields(subcommittee_index = subcommittee))]
    pub async fn sync_committee_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
        awaited: &Awaited,
    ) -> Result<Arc<SyncCommitteeContribution>, Refused> {
        told(async {
        let ours = match self
            .duties_of(Duty::new(slot, DutyType::SyncContribution), awaited)
            .await?
        {
            Some(set) => {
                let ours = self.sync_members(&set, subcommittee);
                if ours.is_empty() {
                    return Err(Refused::ForeignSubcommittee { slot, subcommittee });
                }
                ours
            }
            None => Vec::new(),
        };
        awaited.set(format!(
            "the cluster's agreement on a contribution of slot {}, subcommittee {subcommittee}, to block {block}, which needs \
            the selection proofs of {} of {} operators",
            slot.0, self.cluster.threshold, self.cluster.nodes
        ));
        tokio::select! { biased;
            agreed = self.aggregates.contribution(slot, subcommittee, block) => {
                agreed.map_err(|why| Self::no_answer(awaited, why))
            }
            () = self.nobody_contributes(slot, subcommittee, &ours) => Err(Refused::NobodyAggregates {
                what: "messages of sync subcommittee", number: subcommittee, slot,
            }),
            () = self.aggregates.decided(Duty::new(slot, DutyType::SyncContribution)) => Err(Refused::NotAgreed {
                what: "contributions", slot, of: "sync subcommittee", number: subcommittee, root: block,
            }),
            () = self.gate.last_call(slot) => Err(Self::no_answer(awaited, NoAnswer::Expired)),
        }
}).await
    }

    /// Ends when it is sure that none of these members aggregates in the subcommittee.
    async fn nobody_contributes(&self, slot: Slot, subcommittee: u64, ours: &[PubKey]) {
        let duty = Duty::new(slot, DutyType::PrepareSyncContribution);
        for key in ours {
            let selected = self.selections.aggregated_in(duty, *key, subcommittee).await;
            if !selected.is_ok_and(|s| !is_sync_aggregator(&self.chain, &s.signature())) {
                return std::future::pending().await;
            }
        }
        if ours.is_empty() {
            std::future::pending().await
        }
    }

    fn sync_members(&self, set: &DutyDefinitionSet, subcommittee: u64) -> Vec<PubKey> {
        let size = self.chain.sync_subcommittee_size();
        let member = |d: &DutyDefinition| match d {
            DutyDefinition::Sync(d) => d
                .validator_sync_committee_indices
                .iter()
                .any(|place| place.checked_div(size) == Some(subcommittee)),
            DutyDefinition::Attester(_) | DutyDefinition::Proposer(_) => false,
        };
        set.0.iter().filter(|(_, d)| member(d)).map(|(key, _)| *key).collect()
    }

    /// The cluster's part in a duty that is asked about. `None` if it cannot be told: the epoch is being resolved late,
    /// or was over when the node started. An error if there is none, or cannot be one yet.
    async fn duties_of(&self, duty: Duty, awaited: &Awaited) -> Result<Option<DutyDefinitionSet>, Refused> {
        if !self.gate.allows(duty) {
            let now = self.gate.now();
            return Err(Refused::TooFarAhead { slot: duty.slot, now });
        }
        awaited.set(format!("the cluster's duties of slot {}", duty.slot.0));
        match self.definitions.definitions(duty).await {
            Ok(Some(set)) => Ok(Some(set)),
            Ok(None) => Err(Refused::NoDuty(duty)),
            Err(_) => Ok(None),
        }
    }

    /// Takes signed aggregates: verifies all of them in one job and announces one set per slot.
    #[tracing::instrument(name = "core/validatorapi.SubmitAggregateAttestations", parent = self.trace_of(list.first().map(|a| a.data().slot), DutyType::Aggregator).id(), skip_all, fields(num_aggregates = list.len()))]
    pub async fn submit_aggregates(
        &self,
        list: Vec<VersionedSignedAggregateAndProof>,
        awaited: &Awaited,
    ) -> Result<(), Refused> {
        told(async {
            let keys = self
                .keys_of(
                    list.iter().map(VersionedSignedAggregateAndProof::aggregator_index),
                    awaited,
                )
                .await?;
            let items = keys.into_iter().zip(list).map(|(validator, aggregate)| {
                let slot = aggregate.data().slot;
                let epoch = self.chain.epoch(slot);
                let root = self
                    .chain
                    .signing_root(hash_tree_root(&slot), DomainType::SelectionProof, epoch);
                Item {
                    duty: Duty::new(slot, DutyType::Aggregator),
                    validator,
                    proof: Some((root, aggregate.selection_proof())),
                    data: SignedData::Aggregate(aggregate),
                }
            });
            self.hand_in(items.collect(), awaited).await
        })
        .await
    }

    /// Takes signed contributions: verifies all of them in one job and announces one set per slot and subcommittee.
    #[tracing::instrument(name = "core/validatorapi.SubmitSyncCommitteeContributions", parent = self.trace_of(list.first().map(|c| c.message.contribution.slot), DutyType::SyncContribution).id(), skip_all, fields(num_contributions = list.len()))]
    pub async fn submit_contributions(
        &self,
        list: Vec<SignedContributionAndProof>,
        awaited: &Awaited,
    ) -> Result<(), Refused> {
        told(async {
            let keys = self
                .keys_of(list.iter().map(|c| c.message.aggregator_index), awaited)
                .await?;
            let items = keys.into_iter().zip(list).map(|(validator, signed)| {
                let contribution = &signed.message.contribution;
                let (slot, selection) = (
                    contribution.slot,
                    SyncAggregatorSelectionData {
                        slot: contribution.slot,
                        subcommittee_index: contribution.subcommittee_index,
                    },
                );
                let root = self.chain.signing_root(
                    hash_tree_root(&selection),
                    DomainType::SyncCommitteeSelectionProof,
                    self.chain.epoch(slot),
                );
                Item {
                    duty: Duty::new(slot, DutyType::SyncContribution),
                    validator,
                    proof: Some((root, signed.message.selection_proof)),
                    data: SignedData::Contribution(signed),
                }
            });
            self.hand_in(items.collect(), awaited).await
        })
        .await
    }
}

fn attesters(set: &DutyDefinitionSet, committee: CommitteeIndex) -> Vec<(PubKey, AttesterDuty)> {
    let mut ours = BTreeMap::new();
    for (key, definition) in &set.0 {
        match definition {
            DutyDefinition::Attester(d) if d.committee_index == committee => drop(ours.insert(*key, *d)),
            DutyDefinition::Attester(_) | DutyDefinition::Proposer(_) | DutyDefinition::Sync(_) => {}
        }
    }
    ours.into_iter().collect()
}
