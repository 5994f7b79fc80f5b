//! Contributions of sync subcommittees, for the validators that are selected to publish one (core.md 10.5).
//!
//! Guarantees: one request per subcommittee and block; the form with several contributions per validator is proposed
//! only while the gate is open, as older peers cannot read it.
//! Not here: the VC's part (`validatorapi`), which versions the cluster has (`infosync`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trireme_eth2::{Root, Slot, SyncCommitteeContribution, SyncDuty, is_sync_aggregator};

use super::{
    FetchError, Fetcher,
    gather::{asked, gather},
};
use crate::{
    data::{SignedData, UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    ids::PubKey,
};

/// Whether several contributions per validator may be proposed in a slot: whether all nodes can read them.
pub type ContributionGate = Arc<dyn Fn(Slot) -> bool + Send + Sync>;

impl Fetcher {
    /// Empty if nobody is selected.
    pub(super) async fn contributions(
        &self,
        duty: Duty,
        set: &DutyDefinitionSet,
    ) -> Result<UnsignedDataSet, FetchError> {
        let selected = self.selected_subcommittees(duty, set).await?;
        if selected.is_empty() {
            return Ok(UnsignedDataSet::default());
        }
        let voted = Duty::new(duty.slot, DutyType::SyncMessage);
        let questions = selected.keys().map(|validator| {
            let validator = *validator;
            let answer = async move { self.signed("sync committee message", voted, validator, 0).await };
            asked(validator, answer)
        });
        let votes = gather("sync messages", self.clock(), self.grace(), questions.collect()).await?;
        let mut wanted: BTreeMap<(u64, Root), Vec<PubKey>> = BTreeMap::new();
        for (validator, vote) in votes {
            let SignedData::SyncMessage(vote) = vote.as_ref() else {
                let what = "sync committee message";
                return Err(FetchError::NotThat { what, validator });
            };
            for subcommittee in selected.get(&validator).into_iter().flatten() {
                let key = (*subcommittee, vote.beacon_block_root);
                wanted.entry(key).or_default().push(validator);
            }
        }
        let questions = wanted.keys().map(|key| {
            let (subcommittee, block) = *key;
            asked(*key, self.contribution(duty.slot, subcommittee, block))
        });
        let found = gather("contributions", self.clock(), self.grace(), questions.collect()).await?;
        // Ascending by subcommittee, as the map is.
        let mut lists: BTreeMap<PubKey, Vec<SyncCommitteeContribution>> = BTreeMap::new();
        for (key, contribution) in found {
            for validator in wanted.get(&key).into_iter().flatten() {
                lists.entry(*validator).or_default().push(contribution.clone());
            }
        }
        let several = (self.parts.contribution_gate)(duty.slot);
        let form = |list: Vec<SyncCommitteeContribution>| {
            if several {
                Some(UnsignedData::Contributions(list))
            } else {
                list.into_iter().next().map(UnsignedData::Contribution)
            }
        };
        let set = lists.into_iter().filter_map(|(v, list)| Some((v, form(list)?)));
        Ok(UnsignedDataSet(set.collect()))
    }

    /// The subcommittees that each selected validator is to aggregate: the first one only while the gate is closed.
    async fn selected_subcommittees(
        &self,
        duty: Duty,
        set: &DutyDefinitionSet,
    ) -> Result<BTreeMap<PubKey, Vec<u64>>, FetchError> {
        const WHAT: &str = "selection of a sync committee aggregator";
        let prepared = Duty::new(duty.slot, DutyType::PrepareSyncContribution);
        let mut questions = Vec::new();
        for (validator, definition) in &set.0 {
            let DutyDefinition::Sync(definition) = definition else {
                return Err(FetchError::Definition(duty));
            };
            for subcommittee in self.subcommittees(definition) {
                let validator = *validator;
                let answer = async move { self.signed(WHAT, prepared, validator, subcommittee).await };
                questions.push(asked((validator, subcommittee), answer));
            }
        }
        let proofs = gather("sync selections", self.clock(), self.grace(), questions).await?;
        let several = (self.parts.contribution_gate)(duty.slot);
        let mut selected: BTreeMap<PubKey, Vec<u64>> = BTreeMap::new();
        for ((validator, subcommittee), proof) in proofs {
            let SignedData::SyncCommitteeSelection(selection) = proof.as_ref() else {
                return Err(FetchError::NotThat { what: WHAT, validator });
            };
            let first = !selected.contains_key(&validator);
            if (several || first) && is_sync_aggregator(&self.parts.chain, &selection.selection_proof) {
                selected.entry(validator).or_default().push(subcommittee);
            }
        }
        Ok(selected)
    }

    /// The subcommittees of a member, ascending.
    fn subcommittees(&self, definition: &SyncDuty) -> BTreeSet<u64> {
        let size = self.parts.chain.sync_subcommittee_size();
        let positions = definition.validator_sync_committee_indices.iter();
        positions.filter_map(|position| position.checked_div(size)).collect()
    }

    async fn contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> Result<SyncCommitteeContribution, FetchError> {
        const WHAT: &str = "a sync contribution";
        let beacon = Arc::clone(&self.parts.beacon);
        let got = self
            .until_there(WHAT, slot, move || {
                let beacon = Arc::clone(&beacon);
                async move { beacon.sync_contribution(slot, subcommittee, block).await }
            })
            .await?;
        if (got.slot, got.subcommittee_index, got.beacon_block_root) == (slot, subcommittee, block) {
            Ok(got)
        } else {
            let reason = "another slot, subcommittee or block than asked for";
            Err(FetchError::Other { what: WHAT, reason })
        }
    }
}
