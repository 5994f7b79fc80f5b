//! Attestations: a third into the slot or at its head event, whichever is first.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsSignature, CommitteeIndex, DomainType, Fork, Root, ValidatorIndex, hash_tree_root,
};

use super::{
    ApiFailure, Question, ServedKind,
    slot::{Heads, Slotwork},
};

impl Slotwork {
    /// Attestations, and the aggregations that follow from the same duties.
    pub(super) async fn attest(&self, heads: Heads) -> Result<(), ApiFailure> {
        let indices = self.indices();
        if indices.is_empty() {
            return Ok(());
        }
        let duties = self.attester_duties(&indices).await?;
        let (votes, aggregates) = futures::future::join(self.vote(&duties, heads), self.aggregate(&duties)).await;
        votes.and(aggregates)
    }

    /// This epoch's duties, each once.
    pub(super) async fn attester_duties(&self, indices: &[ValidatorIndex]) -> Result<Vec<AttesterDuty>, ApiFailure> {
        let duties = self.shared.api.attester_duties(self.epoch(), indices).await?;
        let mut seen = BTreeSet::new();
        let ours = duties.into_iter().filter(|d| self.is_ours(&d.pubkey));
        Ok(ours.filter(|d| seen.insert(d.validator_index)).collect())
    }

    pub(super) async fn vote(&self, duties: &[AttesterDuty], heads: Heads) -> Result<(), ApiFailure> {
        let now = || duties.iter().filter(|d| d.slot == self.slot);
        let committees: BTreeSet<CommitteeIndex> = now().map(|d| d.committee_index).collect();
        if committees.is_empty() {
            return Ok(());
        }
        self.head_or_third(heads).await;
        let each = committees.into_iter().map(|committee| {
            let members: Vec<AttesterDuty> = now().filter(|d| d.committee_index == committee).copied().collect();
            async move { self.vote_in(committee, &members).await }
        });
        let results = futures::future::join_all(each).await;
        results.into_iter().collect()
    }

    async fn vote_in(&self, committee: CommitteeIndex, members: &[AttesterDuty]) -> Result<(), ApiFailure> {
        let (data, root) = self.data_of(committee).await?;
        let fresh = |d: &&AttesterDuty| self.shared.state().attested.insert((self.slot, d.validator_index));
        let vote = |duty: &AttesterDuty| {
            let signature = self.sign(&duty.pubkey, root, DomainType::BeaconAttester)?;
            Some(self.vote_json(duty, &data, signature))
        };
        let votes: Vec<Value> = members.iter().filter(fresh).filter_map(vote).collect();
        if votes.is_empty() {
            return Ok(());
        }
        self.shared.api.attestations(self.chain.fork(self.slot), &votes).await?;
        let mut activity = self.shared.activity();
        activity.attested = activity.attested.saturating_add(super::count(&votes));
        Ok(())
    }

    /// What the committee votes for, with its root; kept for the aggregator.
    pub(super) async fn data_of(&self, committee: CommitteeIndex) -> Result<(AttestationData, Root), ApiFailure> {
        let (asked, due) = ((self.shared.now)(), self.chain.third(self.slot, 1));
        let (data, body) = self.shared.api.attestation_data(self.slot, committee.0).await?;
        self.shared.answered(Question::AttestationData, self.slot, asked, due);
        let kind = ServedKind::AttestationData { committee: committee.0 };
        self.shared.keep(self.slot, kind, &body);
        let root = hash_tree_root(&data);
        self.shared.state().voted.insert((self.slot, committee), root);
        Ok((data, root))
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
