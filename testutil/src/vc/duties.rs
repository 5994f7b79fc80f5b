//! One slot of a client's life.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::watch;
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, BlsSignature, Epoch, Fork, Root, Slot, ValidatorIndex, hash_tree_root,
};

use super::{ApiFailure, ServedKind, Shared};
use crate::judge::{ChainConfig, Purpose, domain, signing_root};

/// What is done in one slot.
pub(super) struct Slotwork {
    pub(super) shared: Arc<Shared>,
    pub(super) chain: Arc<ChainConfig>,
    pub(super) slot: Slot,
}

impl Slotwork {
    pub(super) async fn run(self, heads: watch::Receiver<Option<Slot>>) {
        let note = |result: Result<(), ApiFailure>| {
            if let Err(failure) = result {
                self.shared.failed(&failure);
            }
        };
        note(self.look_up_validators().await);
        let (proposal, attestations) = futures::future::join(self.propose(), self.attest(heads)).await;
        note(proposal);
        note(attestations);
    }

    fn epoch(&self) -> Epoch {
        self.chain.epoch(self.slot)
    }

    /// At the start of each epoch, and each slot until all are known.
    async fn look_up_validators(&self) -> Result<(), ApiFailure> {
        let known = self.shared.state().indices.len();
        let first_of_epoch = self.chain.first_slot(self.epoch()) == self.slot;
        if known == self.shared.keys.len() && !first_of_epoch {
            return Ok(());
        }
        let keys: Vec<BlsPubkey> = self.shared.keys.keys().copied().collect();
        let found = self.shared.api.validators(&keys).await?;
        let ours = found
            .into_iter()
            .filter(|v| self.shared.keys.contains_key(&v.validator.pubkey));
        let indices: BTreeMap<ValidatorIndex, BlsPubkey> = ours.map(|v| (v.index, v.validator.pubkey)).collect();
        let list: Vec<ValidatorIndex> = indices.keys().copied().collect();
        self.shared.state().indices = indices;
        if list.is_empty() {
            Ok(())
        } else {
            self.shared.api.prepare(&list).await
        }
    }

    fn sign(&self, key: &BlsPubkey, object: Root, purpose: Purpose) -> Option<BlsSignature> {
        let root = signing_root(object, domain(&self.chain, purpose, self.epoch()));
        Some(BlsSignature(
            self.shared.keys.get(key)?.sign(root.as_slice()).to_bytes(),
        ))
    }

    // === Blocks

    async fn propose(&self) -> Result<(), ApiFailure> {
        let duties = self.shared.api.proposer_duties(self.epoch()).await?;
        let mine = duties
            .into_iter()
            .find(|d| d.slot == self.slot && self.shared.keys.contains_key(&d.pubkey));
        let Some(duty) = mine else { return Ok(()) };
        let Some(randao) = self.sign(&duty.pubkey, hash_tree_root(&self.epoch()), Purpose::Randao) else {
            return Ok(());
        };
        let (proposal, body) = self.shared.api.block(self.slot, randao).await?;
        self.shared.keep(self.slot, ServedKind::Block, &body);
        if !self.shared.state().proposed.insert(self.slot) {
            return Ok(());
        }
        let Some(signature) = self.sign(&duty.pubkey, proposal.block_root(), Purpose::Proposer) else {
            return Ok(());
        };
        self.shared.api.publish(&proposal.sign(signature)).await?;
        let mut activity = self.shared.activity();
        activity.proposed = activity.proposed.saturating_add(1);
        Ok(())
    }

    // === Attestations

    async fn attest(&self, mut heads: watch::Receiver<Option<Slot>>) -> Result<(), ApiFailure> {
        let indices: Vec<ValidatorIndex> = self.shared.state().indices.keys().copied().collect();
        if indices.is_empty() {
            return Ok(());
        }
        let duties = self.shared.api.attester_duties(self.epoch(), &indices).await?;
        let mut seen = BTreeSet::new();
        let mine = |d: &AttesterDuty| d.slot == self.slot && self.shared.keys.contains_key(&d.pubkey);
        let duties: Vec<AttesterDuty> = duties
            .into_iter()
            .filter(mine)
            .filter(|d| seen.insert(d.validator_index))
            .collect();
        if duties.is_empty() {
            return Ok(());
        }
        let third = self
            .chain
            .start(self.slot)
            .saturating_add(self.chain.slot_duration() / 3);
        let head = heads.wait_for(|head| *head >= Some(self.slot));
        let _ = futures::future::select(Box::pin(head), Box::pin(self.shared.sleep_until(third))).await;

        let committees: BTreeSet<u64> = duties.iter().map(|d| d.committee_index.0).collect();
        let each = committees
            .into_iter()
            .map(|committee| self.attest_committee(committee, &duties));
        let results = futures::future::join_all(each).await;
        results.into_iter().collect()
    }

    async fn attest_committee(&self, committee: u64, duties: &[AttesterDuty]) -> Result<(), ApiFailure> {
        let (data, body) = self.shared.api.attestation_data(self.slot, committee).await?;
        self.shared
            .keep(self.slot, ServedKind::AttestationData { committee }, &body);
        let root = hash_tree_root(&data);
        let members = duties.iter().filter(|d| d.committee_index.0 == committee);
        let fresh = |d: &&AttesterDuty| self.shared.state().attested.insert((self.slot, d.validator_index));
        let vote = |duty: &AttesterDuty| {
            let signature = self.sign(&duty.pubkey, root, Purpose::Attester)?;
            Some(self.vote_json(duty, &data, signature))
        };
        let votes: Vec<Value> = members.filter(fresh).filter_map(vote).collect();
        if votes.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(votes.len()).unwrap_or(u64::MAX);
        self.shared
            .api
            .submit_attestations(self.chain.fork(self.slot), &Value::Array(votes))
            .await?;
        let mut activity = self.shared.activity();
        activity.attested = activity.attested.saturating_add(count);
        Ok(())
    }

    fn vote_json(&self, duty: &AttesterDuty, data: &AttestationData, signature: BlsSignature) -> Value {
        if self.chain.fork(self.slot) >= Fork::Electra {
            return json!({
                "committee_index": duty.committee_index,
                "attester_index": duty.validator_index,
                "data": data,
                "signature": signature,
            });
        }
        let bits = one_bit(duty.committee_length, duty.validator_committee_index);
        json!({"aggregation_bits": bits, "data": data, "signature": signature})
    }
}

/// SSZ of a list of `length` bits, of which only `set` is set: the bits, then a one that marks the end.
fn one_bit(length: u64, set: u64) -> String {
    let at = |bit: u64| (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1_u8 << (bit % 8));
    let mut bytes = vec![0; at(length.min(2048)).0.saturating_add(1)];
    for bit in [set, length] {
        let (byte, mask) = at(bit);
        if let Some(byte) = bytes.get_mut(byte) {
            *byte |= mask;
        }
    }
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::one_bit;

    #[test]
    fn one_bit_of_a_list_is_followed_by_the_end_mark() {
        assert_eq!(one_bit(4, 0), "0x11");
        assert_eq!(one_bit(4, 3), "0x18");
        assert_eq!(one_bit(7, 6), "0xc0");
        assert_eq!(one_bit(8, 7), "0x8001");
        assert_eq!(one_bit(9, 8), "0x0003");
    }
}
