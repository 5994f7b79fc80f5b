//! Aggregates of attestations, for the validators that are selected to publish one (core.md 10.4).
//!
//! Guarantees: one request per committee; an aggregate of other votes than the cluster's own is not proposed; validators
//! whose selection is late or refused do not hold up the others.
//! Not here: the VC's part (`validatorapi`), agreement (`consensus`).

use std::{collections::BTreeMap, sync::Arc};

use trireme_eth2::{
    AttesterDuty, CommitteeIndex, Slot, Versioned as _, VersionedAttestation, hash_tree_root, is_attestation_aggregator,
};

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

impl Fetcher {
    /// Empty if nobody is selected.
    pub(super) async fn aggregator(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        let committees = self.aggregating_committees(duty, set).await?;
        if committees.is_empty() {
            return Ok(UnsignedDataSet::default());
        }
        let questions = committees.keys().map(|committee| {
            let committee = *committee;
            asked(committee, self.aggregate(duty.slot, committee))
        });
        let aggregates = gather("aggregates", self.clock(), self.grace(), questions.collect()).await?;
        let mut out = UnsignedDataSet::default();
        for (committee, aggregate) in aggregates {
            for validator in committees.get(&committee).into_iter().flatten() {
                out.0.insert(*validator, UnsignedData::Aggregate(aggregate.clone()));
            }
        }
        Ok(out)
    }

    /// The selected validators by committee.
    async fn aggregating_committees(
        &self,
        duty: Duty,
        set: &DutyDefinitionSet,
    ) -> Result<BTreeMap<CommitteeIndex, Vec<PubKey>>, FetchError> {
        let prepared = Duty::new(duty.slot, DutyType::PrepareAggregator);
        let mut duties: BTreeMap<PubKey, AttesterDuty> = BTreeMap::new();
        for (validator, definition) in &set.0 {
            let DutyDefinition::Attester(definition) = definition else {
                return Err(FetchError::Definition(duty));
            };
            duties.insert(*validator, *definition);
        }
        let questions = duties.keys().map(|validator| {
            let validator = *validator;
            let answer = async move { self.signed("selection of an aggregator", prepared, validator, 0).await };
            asked(validator, answer)
        });
        let proofs = gather("selections", self.clock(), self.grace(), questions.collect()).await?;
        let mut committees: BTreeMap<CommitteeIndex, Vec<PubKey>> = BTreeMap::new();
        for (validator, proof) in proofs {
            let (SignedData::BeaconCommitteeSelection(selection), Some(duty)) =
                (proof.as_ref(), duties.get(&validator))
            else {
                let what = "selection of an aggregator";
                return Err(FetchError::NotThat { what, validator });
            };
            if is_attestation_aggregator(&self.parts.chain, duty.committee_length, &selection.selection_proof) {
                committees.entry(duty.committee_index).or_default().push(validator);
            }
        }
        Ok(committees)
    }

    /// The aggregate of the votes that the cluster agreed on.
    async fn aggregate(&self, slot: Slot, committee: CommitteeIndex) -> Result<VersionedAttestation, FetchError> {
        const WHAT: &str = "an aggregate";
        let data = self.parts.unsigned.attestation_data(slot, committee).await;
        let data = data.map_err(|why| FetchError::NoAnswer {
            what: "attestation data that the cluster agreed on",
            why,
        })?;
        let root = hash_tree_root(data.as_ref());
        let beacon = Arc::clone(&self.parts.beacon);
        let aggregate = self
            .until_there(WHAT, slot, move || {
                let beacon = Arc::clone(&beacon);
                async move { beacon.aggregate_attestation(slot, root, committee.0).await }
            })
            .await?;
        let reason = if aggregate.data() != data.as_ref() {
            "other votes than those asked for"
        } else if aggregate.committee() != Some(committee) {
            "votes of other committees than the one asked for"
        } else if self.parts.chain.fork_at(slot) != Some(aggregate.attestation.fork()) {
            "the form of another fork"
        } else {
            return Ok(aggregate);
        };
        Err(FetchError::Other { what: WHAT, reason })
    }
}
