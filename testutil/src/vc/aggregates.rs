//! Aggregations of attestations: partial proofs are exchanged for the validator's own, and two thirds into the slot those
//! that are selected fetch the aggregate, sign and publish it.
//!
//! Not here: which node combines the proofs; the client asks its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trireme_eth2::{
    AttesterDuty, BeaconCommitteeSelection, BlsSignature, CommitteeIndex, DomainType, ForkedAttestation, Slot,
    ValidatorIndex, VersionedSignedAggregateAndProof, electra, hash_tree_root, is_attestation_aggregator, phase0,
};

use super::{ApiFailure, Selections, ServedKind, slot::Slotwork};

/// A validator that may aggregate, with the proof.
type Aggregator = (AttesterDuty, BlsSignature);

impl Slotwork {
    /// `duties` are those of the whole epoch.
    pub(super) async fn aggregate(&self, duties: &[AttesterDuty]) -> Result<(), ApiFailure> {
        let news = self.note(self.select(duties).await).unwrap_or(false);
        if news || self.chain.begins_epoch(self.slot) {
            self.note(self.subscribe(duties).await);
        }
        if !duties.iter().any(|d| d.slot == self.slot) {
            return Ok(());
        }
        self.two_thirds().await;
        let mut committees: BTreeMap<CommitteeIndex, Vec<Aggregator>> = BTreeMap::new();
        for duty in duties.iter().filter(|d| d.slot == self.slot) {
            if let Some(proof) = self.selected(duty) {
                committees.entry(duty.committee_index).or_default().push((*duty, proof));
            }
        }
        let each = committees
            .into_iter()
            .map(|(committee, aggregators)| async move { self.aggregate_in(committee, &aggregators).await });
        let results = futures::future::join_all(each).await;
        results.into_iter().collect()
    }

    // === Selection

    /// Asks for the proofs that are missing; whether there are new ones.
    async fn select(&self, duties: &[AttesterDuty]) -> Result<bool, ApiFailure> {
        let wanted = |d: &&AttesterDuty| match self.shared.selections {
            Selections::Epoch => d.slot >= self.slot,
            Selections::Slot => d.slot == self.slot,
            Selections::Never => false,
        };
        let missing: Vec<AttesterDuty> = {
            let mut state = self.shared.state();
            // Asked for once at a time; a request may outlast its slot.
            let fresh = |d: &&AttesterDuty| {
                let key = (d.slot, d.validator_index);
                !state.proofs.contains_key(&key) && state.asked.insert(key)
            };
            duties.iter().filter(wanted).filter(fresh).copied().collect()
        };
        if missing.is_empty() {
            return Ok(false);
        }
        let partial = |d: &AttesterDuty| {
            let proof = self.sign(&d.pubkey, hash_tree_root(&d.slot), DomainType::SelectionProof)?;
            Some(BeaconCommitteeSelection {
                validator_index: d.validator_index,
                slot: d.slot,
                selection_proof: proof,
            })
        };
        let partial: Vec<_> = missing.iter().filter_map(partial).collect();
        let answer = self.shared.api.committee_selections(&partial).await;
        let mut state = self.shared.state();
        let keys: Vec<(Slot, ValidatorIndex)> = missing.iter().map(|d| (d.slot, d.validator_index)).collect();
        for key in &keys {
            state.asked.remove(key);
        }
        for whole in answer? {
            let key = (whole.slot, whole.validator_index);
            if keys.contains(&key) {
                state.proofs.insert(key, whole.selection_proof);
            }
        }
        Ok(true)
    }

    /// The proof of a validator that its committee's selection has hit.
    fn selected(&self, duty: &AttesterDuty) -> Option<BlsSignature> {
        let key = (duty.slot, duty.validator_index);
        let proof = self.shared.state().proofs.get(&key).copied();
        proof.filter(|proof| is_attestation_aggregator(&self.chain.spec, duty.committee_length, proof))
    }

    /// Tells which committees the node should listen to.
    async fn subscribe(&self, duties: &[AttesterDuty]) -> Result<(), ApiFailure> {
        let coming = duties.iter().filter(|d| d.slot >= self.slot);
        let entry = |d: &AttesterDuty| {
            json!({
                "validator_index": d.validator_index,
                "committee_index": d.committee_index,
                "committees_at_slot": d.committees_at_slot.to_string(),
                "slot": d.slot,
                "is_aggregator": self.selected(d).is_some(),
            })
        };
        let list: Vec<Value> = coming.map(entry).collect();
        if list.is_empty() {
            return Ok(());
        }
        self.shared.api.committee_subscriptions(&list).await
    }

    // === Aggregation

    async fn aggregate_in(&self, committee: CommitteeIndex, aggregators: &[Aggregator]) -> Result<(), ApiFailure> {
        let known = self.shared.state().voted.get(&(self.slot, committee)).copied();
        let root = match known {
            Some(root) => root,
            // The vote failed; the aggregate may still be had.
            None => self.data_of(committee).await?.1,
        };
        let (aggregate, body) = self.shared.api.aggregate(self.slot, committee, root).await?;
        let kind = ServedKind::Aggregate {
            committee: committee.0,
            root,
        };
        self.shared.keep(self.slot, kind, &body);
        let fresh = |(d, _): &&Aggregator| self.shared.state().aggregated.insert((self.slot, d.validator_index));
        let sign = |(duty, proof): &Aggregator| {
            let mut signed = unsigned(duty.validator_index, aggregate.clone(), *proof);
            let signature = self.sign(&duty.pubkey, signed.message_root(), DomainType::AggregateAndProof)?;
            *signed.signature_mut() = signature;
            Some(signed)
        };
        let list: Vec<_> = aggregators.iter().filter(fresh).filter_map(sign).collect();
        if list.is_empty() {
            return Ok(());
        }
        self.shared.api.aggregates(self.chain.fork(self.slot), &list).await?;
        let mut activity = self.shared.activity();
        activity.aggregated = activity.aggregated.saturating_add(super::count(&list));
        Ok(())
    }
}

/// The aggregate of `aggregator` without signature.
fn unsigned(
    aggregator_index: ValidatorIndex,
    aggregate: ForkedAttestation,
    selection_proof: BlsSignature,
) -> VersionedSignedAggregateAndProof {
    use ForkedAttestation as A;
    use VersionedSignedAggregateAndProof as S;

    let old = |aggregate| phase0::SignedAggregateAndProof {
        message: phase0::AggregateAndProof {
            aggregator_index,
            aggregate,
            selection_proof,
        },
        signature: BlsSignature::default(),
    };
    let new = |aggregate| electra::SignedAggregateAndProof {
        message: electra::AggregateAndProof {
            aggregator_index,
            aggregate,
            selection_proof,
        },
        signature: BlsSignature::default(),
    };
    match aggregate {
        A::Phase0(a) => S::Phase0(old(a)),
        A::Altair(a) => S::Altair(old(a)),
        A::Bellatrix(a) => S::Bellatrix(old(a)),
        A::Capella(a) => S::Capella(old(a)),
        A::Deneb(a) => S::Deneb(old(a)),
        A::Electra(a) => S::Electra(new(a)),
        A::Fulu(a) => S::Fulu(new(a)),
    }
}
