//! The sync committee: messages and contributions that are taken, and each reason to refuse, made by hand.

use std::collections::BTreeSet;

use trireme_eth2::{
    ContributionAndProof, SignedContributionAndProof, SyncAggregatorSelectionData, SyncCommitteeMessage,
};

use super::*;

impl Court {
    /// The member of a subcommittee, with its seat.
    fn member(&mut self, subcommittee: u64) -> (u64, u64) {
        let committee = self.judge.sync_committee(Epoch(0));
        let found = committee.iter().find(|(_, seat)| **seat / 128 == subcommittee);
        found.map(|(validator, seat)| (validator.0, *seat)).unwrap()
    }

    fn message(&self, slot: u64, validator: u64, root: Root) -> SyncCommitteeMessage {
        let epoch = self.judge.chain().epoch(Slot(slot)).0;
        SyncCommitteeMessage {
            slot: Slot(slot),
            beacon_block_root: root,
            validator_index: ValidatorIndex(validator),
            signature: self.sign(validator % 16, root, Purpose::Sync, epoch),
        }
    }

    fn submit_message(&mut self, at: Duration, message: &SyncCommitteeMessage) -> Result<Taken, Refused> {
        let claim = self.judge.claim_of_sync_message(at, message)?;
        let [genuine] = self.genuine([claim]);
        self.judge.sync_message(0, at, message, genuine)
    }

    fn proof(&self, slot: u64, validator: u64, subcommittee_index: u64) -> BlsSignature {
        let data = SyncAggregatorSelectionData {
            slot: Slot(slot),
            subcommittee_index,
        };
        let epoch = self.judge.chain().epoch(Slot(slot)).0;
        self.sign(validator, hash_tree_root(&data), Purpose::SyncSelection, epoch)
    }

    /// Whether a member's proof selects it: one in eight does (512 / 4 / 16).
    fn is_selected(&self, slot: u64, validator: u64, subcommittee: u64) -> bool {
        let proof = self.proof(slot, validator, subcommittee);
        let hash = <sha2::Sha256 as sha2::Digest>::digest(proof.0);
        u64::from_le_bytes(*hash.first_chunk().unwrap()).is_multiple_of(8)
    }

    /// The first slot and member from slot 5 on whose selection is as wanted.
    fn find(&mut self, selected: bool) -> (u64, u64, u64) {
        let places = (5..15).flat_map(|slot| (0..4).map(move |sub| (slot, sub)));
        let places: Vec<_> = places.map(|(slot, sub)| (slot, self.member(sub).0, sub)).collect();
        let mut fitting = places
            .into_iter()
            .filter(|(s, v, sub)| self.is_selected(*s, *v, *sub) == selected);
        fitting.next().unwrap()
    }

    /// The contribution of a subcommittee after its member's message came, well signed.
    fn contribution(&mut self, (slot, validator, subcommittee): (u64, u64, u64)) -> SignedContributionAndProof {
        let (at, later, root) = (self.at(slot), self.late_in(slot), self.judge.head().root);
        let message = self.message(slot, validator, root);
        self.submit_message(at, &message).unwrap();
        let contribution = self.judge.contribution(0, later, Slot(slot), subcommittee, root);
        self.sign_contribution(ContributionAndProof {
            aggregator_index: ValidatorIndex(validator),
            contribution: contribution.unwrap(),
            selection_proof: self.proof(slot, validator, subcommittee),
        })
    }

    fn sign_contribution(&self, message: ContributionAndProof) -> SignedContributionAndProof {
        let (signer, epoch) = (
            message.aggregator_index.0,
            self.judge.chain().epoch(message.contribution.slot),
        );
        let signature = self.sign(signer, hash_tree_root(&message), Purpose::Contribution, epoch.0);
        SignedContributionAndProof { message, signature }
    }

    fn contribute(&mut self, signed: &SignedContributionAndProof) -> Result<Taken, Refused> {
        let at = self.late_in(signed.message.contribution.slot.0);
        let claims = self.judge.claims_of_contribution(at, signed)?;
        let genuine = self.genuine(claims);
        self.judge.contribute(0, at, signed, genuine)
    }
}

fn court() -> Court {
    Court::counting(chain(Fork::Fulu, 16))
}

// === The committee

#[test]
fn four_validators_sit_in_the_committee_each_in_one_subcommittee_unless_told_otherwise() {
    let mut court = court();
    let subcommittees = |court: &mut Court, epoch| -> Vec<u64> {
        let committee = court.judge.sync_committee(Epoch(epoch));
        let mut found: Vec<u64> = committee.values().map(|seat| seat / 128).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(subcommittees(&mut court, 0), [0, 1, 2, 3]);
    let mut few = Court::counting(chain(Fork::Fulu, 3));
    assert_eq!(subcommittees(&mut few, 0), [0, 1, 2]);
    let mut many = Court::with(JudgeConfig {
        sync_members: 10,
        ..everything(chain(Fork::Fulu, 16))
    });
    assert_eq!(subcommittees(&mut many, 0), [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]);
    let seats: BTreeSet<u64> = many.judge.sync_committee(Epoch(0)).into_values().collect();
    assert_eq!(seats.len(), 10, "no seat is taken twice");
    let mut old = Court::counting(chain(Fork::Phase0, 16));
    assert_eq!(subcommittees(&mut old, 0), [0_u64; 0]);
}

#[test]
fn in_the_last_slot_of_a_period_only_members_of_both_committees_are_expected() {
    let mut court = Court::with(JudgeConfig {
        epochs_per_sync_period: 2,
        sync_members: 8,
        ..everything(chain(Fork::Fulu, 16))
    });
    let (old, new) = (
        court.judge.sync_committee(Epoch(1)),
        court.judge.sync_committee(Epoch(2)),
    );
    assert_ne!(old, new);
    let both = old.iter().filter(|(v, seat)| new.get(v) == Some(seat)).count();
    let (expected, ..) = court.counted(DutyKind::SyncMessage, 31);
    assert_eq!(expected, u64::try_from(both).unwrap());
    assert_eq!(court.counted(DutyKind::SyncMessage, 30).0, 8);
    // The committee of the next period signs already.
    let root = court.judge.head().root;
    let newcomer = new.keys().find(|v| !old.contains_key(v)).unwrap().0;
    let leaver = old.keys().find(|v| !new.contains_key(v)).unwrap().0;
    let at = court.at(31);
    let (first, second) = (court.message(31, newcomer, root), court.message(31, leaver, root));
    assert_eq!(court.submit_message(at, &first), Ok(Taken::First));
    refused(
        court.submit_message(at, &second),
        "is not in the sync committee that signs",
    );
}

// === Messages

#[test]
fn messages_are_taken_once_and_counted() {
    let mut court = court();
    let (at, root) = (court.at(5), court.judge.head().root);
    for subcommittee in 0..4 {
        let (validator, _) = court.member(subcommittee);
        let message = court.message(5, validator, root);
        assert_eq!(court.submit_message(at, &message), Ok(Taken::First));
        assert_eq!(court.submit_message(at, &message), Ok(Taken::Repeated));
        let (expected, completed, _) = court.counted(DutyKind::SyncMessage, 5);
        assert_eq!((expected, completed), (4, subcommittee + 1));
    }
    assert_eq!(court.judge.refusals(), []);
}

#[test]
fn each_message_that_is_wrong_is_refused_by_name() {
    let mut court = court();
    let (at, root) = (court.at(5), court.judge.head().root);
    let (member, _) = court.member(0);
    let outsider = (0..16)
        .find(|v| !court.judge.sync_committee(Epoch(0)).contains_key(&ValidatorIndex(*v)))
        .unwrap();
    let good = court.message(5, member, root);
    let mut submit = |at, message: SyncCommitteeMessage| court.submit_message(at, &message);
    let unsigned = SyncCommitteeMessage {
        signature: BlsSignature::default(),
        ..good
    };
    refused(submit(at, unsigned), "does not verify under its key");
    let unknown = court.message(5, member, Root([9; 32]));
    refused(court.submit_message(at, &unknown), "wrong head: block 0x0909");
    let other = court.message(5, outsider, root);
    refused(court.submit_message(at, &other), "is not in the sync committee");
    let nobody = court.message(5, 16, root);
    refused(court.submit_message(at, &nobody), "the chain has no validator 16");
    let (early, late) = (court.at(4), court.at(7));
    refused(court.submit_message(early, &good), "wrong slot: slot 5 has not begun");
    refused(court.submit_message(late, &good), "late: it came 8500 ms");
    let mut old = Court::counting(chain(Fork::Phase0, 16));
    let message = old.message(5, 0, root);
    let at = old.at(5);
    refused(old.submit_message(at, &message), "is before Altair");
}

#[test]
fn a_message_for_a_later_block_and_a_second_message_are_refused() {
    let mut court = court();
    let (at, root) = (court.at(5), court.judge.head().root);
    let (member, _) = court.member(0);
    let block = court.block(6, 1);
    court.publish(6, block.clone()).unwrap();
    let later = court.message(5, member, block.block_root());
    let then = court.at(6);
    refused(court.submit_message(then, &later), "of the later slot 6");
    let first = court.message(6, member, root);
    assert_eq!(court.submit_message(then, &first), Ok(Taken::First));
    let second = court.message(6, member, block.block_root());
    refused(court.submit_message(then, &second), "a second message: validator");
    let counted = report(&mut court.judge, 6..7);
    assert_eq!((counted.heads.right, counted.heads.wrong), (0, 1), "it is not the head");
    assert!(court.judge.is_live(Epoch(0), ValidatorIndex(member)) && at < then);
}

// === Contributions

#[test]
fn selected_members_are_expected_to_contribute_and_nobody_else() {
    let mut court = court();
    for slot in 5..12 {
        let selected = (0..4).filter(|sub| {
            let (validator, _) = court.member(*sub);
            court.is_selected(slot, validator, *sub)
        });
        let selected = u64::try_from(selected.count()).unwrap();
        assert_eq!(
            court.counted(DutyKind::SyncContribution, slot).0,
            selected,
            "slot {slot}"
        );
    }
    let mut ignorant = Court::with(JudgeConfig {
        counted: DutyKind::ALL.into(),
        ..JudgeConfig::new(chain(Fork::Fulu, 16))
    });
    let place = ignorant.find(true);
    assert_eq!(
        ignorant.counted(DutyKind::SyncContribution, place.0).0,
        0,
        "without secrets nobody is known"
    );
    let signed = ignorant.contribution(place);
    ignorant.contribute(&signed).unwrap();
    let (expected, completed, _) = ignorant.counted(DutyKind::SyncContribution, place.0);
    assert_eq!((expected, completed), (1, 1), "who proves it is");
}

#[test]
fn selections_that_are_prepared_are_those_of_the_report() {
    let (mut lazy, mut eager) = (court(), court());
    for slot in 5..12 {
        while eager.judge.prepare_selections(Slot(slot)) {}
        let kind = DutyKind::SyncContribution;
        assert_eq!(lazy.counted(kind, slot), eager.counted(kind, slot));
    }
}

#[test]
fn a_contribution_of_what_was_sent_is_taken_once() {
    let mut court = court();
    let place = court.find(true);
    let signed = court.contribution(place);
    let bits = &signed.message.contribution.aggregation_bits;
    let (_, seat) = court.member(place.2);
    assert_eq!(bits.highest_set_bit(), usize::try_from(seat % 128).ok());
    assert_eq!(court.contribute(&signed), Ok(Taken::First));
    assert_eq!(court.contribute(&signed), Ok(Taken::Repeated));
    assert_eq!(court.counted(DutyKind::SyncContribution, place.0).1, 1);
    let at = court.late_in(place.0);
    let none = court.judge.contribution(0, at, Slot(place.0), place.2, Root([1; 32]));
    assert!(none.unwrap_err().0.contains("there are no messages of subcommittee"));
}

#[test]
fn each_contribution_that_is_wrong_is_refused_by_name() {
    let changed = |reason: &str, change: &dyn Fn(&mut Court, &mut ContributionAndProof)| {
        let mut court = court();
        let place = court.find(true);
        let mut signed = court.contribution(place);
        change(&mut court, &mut signed.message);
        let signed = court.sign_contribution(signed.message);
        refused(court.contribute(&signed), reason);
        assert!(court.judge.refusals().last().unwrap().reason.contains(reason));
    };
    changed("nobody sent the signature of position", &|_, m| {
        let free = (0..128).find(|bit| !m.contribution.aggregation_bits.get(*bit).unwrap());
        m.contribution.aggregation_bits.set(free.unwrap(), true).unwrap();
    });
    changed("is missing, although it was there in time", &|_, m| {
        m.contribution.aggregation_bits = ssz_types::BitVector::new();
    });
    changed("its signature is not the sum", &|court, m| {
        m.contribution.signature = court.sign(0, Root([1; 32]), Purpose::Sync, 0);
    });
    changed("wrong head: block 0x0909", &|_, m| {
        m.contribution.beacon_block_root = Root([9; 32])
    });
    changed("the selection proof of validator", &|court, m| {
        m.selection_proof = court.proof(4, m.aggregator_index.0, m.contribution.subcommittee_index);
    });
    changed("wrong subcommittee: validator", &|court, m| {
        m.contribution.subcommittee_index ^= 1;
        let (slot, index) = (m.contribution.slot.0, m.contribution.subcommittee_index);
        m.selection_proof = court.proof(slot, m.aggregator_index.0, index);
    });
    changed("wrong subcommittee: there is no 4", &|court, m| {
        m.contribution.subcommittee_index = 4;
        m.selection_proof = court.proof(m.contribution.slot.0, m.aggregator_index.0, 4);
    });
    changed("is not in the sync committee", &|court, m| {
        let committee = court.judge.sync_committee(Epoch(0));
        let outsider = (0..16).find(|v| !committee.contains_key(&ValidatorIndex(*v))).unwrap();
        m.aggregator_index = ValidatorIndex(outsider);
        m.selection_proof = court.proof(m.contribution.slot.0, outsider, m.contribution.subcommittee_index);
    });
}

#[test]
fn a_contribution_of_a_member_that_is_not_selected_or_signed_by_another_is_refused() {
    let mut court = court();
    let place = court.find(false);
    let signed = court.contribution(place);
    refused(court.contribute(&signed), "is not selected: its proof does not make it");
    let mut court = super::sync::court();
    let place = court.find(true);
    let mut signed = court.contribution(place);
    signed.signature = court.sign(
        (place.1 + 1) % 16,
        hash_tree_root(&signed.message),
        Purpose::Contribution,
        0,
    );
    refused(court.contribute(&signed), "does not verify under its key");
}
