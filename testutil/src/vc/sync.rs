//! The sync committee: a message for the head a third into the slot, and two thirds into it the contributions of those
//! whose selection has hit.
//!
//! Proofs are asked for at the start of each slot, all members in one request. At the last slot of an epoch the duties
//! of the next one count, since a message serves the block after it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trireme_eth2::{
    BlsPubkey, BlsSignature, ContributionAndProof, DomainType, Epoch, Root, SignedContributionAndProof, Slot,
    SyncAggregatorSelectionData, SyncCommitteeMessage, SyncCommitteeSelection, SyncDuty, ValidatorIndex,
    hash_tree_root, is_sync_aggregator,
};

use super::{
    ApiFailure, Selections, ServedKind,
    slot::{Heads, Slotwork},
};

/// A member that may contribute for a subcommittee, with the proof.
struct Contributor {
    validator: ValidatorIndex,
    key: BlsPubkey,
    subcommittee: u64,
    proof: BlsSignature,
}

impl Slotwork {
    pub(super) async fn serve_sync_committee(&self, heads: Heads) -> Result<(), ApiFailure> {
        let indices = self.indices();
        if indices.is_empty() {
            return Ok(());
        }
        let epoch = self.chain.epoch(Slot(self.slot.0.saturating_add(1)));
        let mut seen = BTreeSet::new();
        let duties = self.shared.api.sync_duties(epoch, &indices).await?;
        let ours = duties.into_iter().filter(|d| self.is_ours(&d.pubkey));
        let duties: Vec<SyncDuty> = ours.filter(|d| seen.insert(d.validator_index)).collect();
        if duties.is_empty() {
            return Ok(());
        }
        if self.chain.begins_epoch(self.slot) {
            self.note(self.subscribe_to_subnets(&duties).await);
        }
        let (contributors, root) =
            futures::future::join(self.sync_selected(&duties), self.send_messages(&duties, heads)).await;
        let contributors = self.note(contributors).unwrap_or_default();
        let root = root?;
        if contributors.is_empty() {
            return Ok(());
        }
        self.two_thirds().await;
        self.contribute(&contributors, root).await
    }

    async fn subscribe_to_subnets(&self, duties: &[SyncDuty]) -> Result<(), ApiFailure> {
        let until = Epoch(self.epoch().0.saturating_add(1));
        let entry = |d: &SyncDuty| {
            let positions = d.validator_sync_committee_indices.iter().map(ToString::to_string);
            json!({
                "validator_index": d.validator_index,
                "sync_committee_indices": positions.collect::<Vec<_>>(),
                "until_epoch": until,
            })
        };
        let list: Vec<Value> = duties.iter().map(entry).collect();
        self.shared.api.sync_subscriptions(&list).await
    }

    /// The members whose selection has hit, by exchanging their partial proofs.
    async fn sync_selected(&self, duties: &[SyncDuty]) -> Result<Vec<Contributor>, ApiFailure> {
        if self.shared.selections == Selections::Never {
            return Ok(Vec::new());
        }
        let size = self.chain.spec.sync_subcommittee_size();
        let mut keys = BTreeMap::new();
        let mut partial = Vec::new();
        for duty in duties {
            let positions = duty.validator_sync_committee_indices.iter();
            let subcommittees: BTreeSet<u64> = positions.filter_map(|at| at.checked_div(size)).collect();
            for subcommittee_index in subcommittees {
                let data = SyncAggregatorSelectionData {
                    slot: self.slot,
                    subcommittee_index,
                };
                let purpose = DomainType::SyncCommitteeSelectionProof;
                let Some(selection_proof) = self.sign(&duty.pubkey, hash_tree_root(&data), purpose) else {
                    continue;
                };
                keys.insert(duty.validator_index, duty.pubkey);
                partial.push(SyncCommitteeSelection {
                    validator_index: duty.validator_index,
                    slot: self.slot,
                    subcommittee_index,
                    selection_proof,
                });
            }
        }
        let whole = self.shared.api.sync_selections(&partial).await?;
        let hit = |s: &SyncCommitteeSelection| is_sync_aggregator(&self.chain.spec, &s.selection_proof);
        let contributor = |s: SyncCommitteeSelection| {
            Some(Contributor {
                validator: s.validator_index,
                key: keys.get(&s.validator_index).copied()?,
                subcommittee: s.subcommittee_index,
                proof: s.selection_proof,
            })
        };
        Ok(whole.into_iter().filter(hit).filter_map(contributor).collect())
    }

    /// Signs the head for every member; the head's root.
    async fn send_messages(&self, duties: &[SyncDuty], heads: Heads) -> Result<Root, ApiFailure> {
        self.head_or_third(heads).await;
        let root = self.shared.api.head_root().await?;
        let fresh = |d: &&SyncDuty| self.shared.state().messaged.insert((self.slot, d.validator_index));
        let message = |d: &SyncDuty| {
            Some(SyncCommitteeMessage {
                slot: self.slot,
                beacon_block_root: root,
                validator_index: d.validator_index,
                signature: self.sign(&d.pubkey, root, DomainType::SyncCommittee)?,
            })
        };
        let list: Vec<_> = duties.iter().filter(fresh).filter_map(message).collect();
        if !list.is_empty() {
            self.shared.api.sync_messages(&list).await?;
            let mut activity = self.shared.activity();
            activity.sync_messages = activity.sync_messages.saturating_add(super::count(&list));
        }
        Ok(root)
    }

    async fn contribute(&self, contributors: &[Contributor], root: Root) -> Result<(), ApiFailure> {
        let subcommittees: BTreeSet<u64> = contributors.iter().map(|c| c.subcommittee).collect();
        let fetched = subcommittees.into_iter().map(|subcommittee| async move {
            let answer = self.shared.api.contribution(self.slot, subcommittee, root).await;
            let (contribution, body) = self.note(answer)?;
            let kind = ServedKind::Contribution { subcommittee, root };
            self.shared.keep(self.slot, kind, &body);
            Some((subcommittee, contribution))
        });
        let fetched: BTreeMap<u64, _> = futures::future::join_all(fetched).await.into_iter().flatten().collect();
        let sign = |c: &Contributor| {
            let message = ContributionAndProof {
                aggregator_index: c.validator,
                contribution: fetched.get(&c.subcommittee)?.clone(),
                selection_proof: c.proof,
            };
            let signature = self.sign(&c.key, hash_tree_root(&message), DomainType::ContributionAndProof)?;
            Some(SignedContributionAndProof { message, signature })
        };
        let list: Vec<_> = contributors.iter().filter_map(sign).collect();
        if list.is_empty() {
            return Ok(());
        }
        self.shared.api.contributions(&list).await?;
        let mut activity = self.shared.activity();
        activity.contributions = activity.contributions.saturating_add(super::count(&list));
        Ok(())
    }
}
