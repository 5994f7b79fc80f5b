//! The components of the workflow, each alone between fakes.

mod aggregation;
mod broadcast;
mod dutydb;
mod exchange;
mod fetcher;
mod registrations;
mod scheduler;
mod signatures;
mod synthetic;
mod validators;
mod values;

use std::{collections::BTreeMap, sync::Arc};

use trireme_core::{
    PubKey, ShareIdx,
    data::{AttestationDuty, ParSignedData, ParSignedDataSet, SignedData, SignedRandao, UnsignedData, UnsignedDataSet},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, BlsSignature, ChainSpec, CommitteeIndex, Epoch, ExecutionAddress,
    ForkedAttestation, ForkedBlock, Root, SingleAttestation, Slot, ValidatorIndex, VersionedAttestation,
    VersionedProposal, electra, fulu,
};

use crate::fakes::{beacon::attestation_data, key, scheme};

/// Slots per epoch in these tests.
pub(crate) const SPE: u64 = 4;

pub(crate) fn attester(n: u8, slot: Slot) -> AttesterDuty {
    AttesterDuty {
        pubkey: BlsPubkey(key(n).0),
        slot,
        validator_index: ValidatorIndex(n.into()),
        committee_index: CommitteeIndex(n.into()),
        committee_length: 1,
        committees_at_slot: 16,
        validator_committee_index: 0,
    }
}

/// Decided attestation data for validators 1 to `n`; `view` is the head voted for.
pub(crate) fn decided(slot: Slot, n: u8, view: u8) -> UnsignedDataSet {
    let one = |n| {
        let data = attestation_data(slot, SPE, view);
        (
            key(n),
            UnsignedData::Attestation(AttestationDuty {
                data,
                duty: attester(n, slot),
            }),
        )
    };
    UnsignedDataSet((1..=n).map(one).collect())
}

/// A full block of a proposer that pays `recipient`, repeated; the lock's for validator `n` is `n`.
pub(crate) fn block(slot: Slot, proposer: u64, recipient: u8) -> UnsignedData {
    block_on(Root::ZERO, slot, proposer, recipient)
}

/// The same with this parent.
pub(crate) fn block_on(parent: Root, slot: Slot, proposer: u64, recipient: u8) -> UnsignedData {
    let mut contents = fulu::BlockContents::default();
    contents.block.parent_root = parent;
    contents.block.slot = slot;
    contents.block.proposer_index = ValidatorIndex(proposer);
    contents.block.body.execution_payload.fee_recipient = ExecutionAddress([recipient; 20]);
    UnsignedData::Proposal(Arc::new(VersionedProposal::Full(ForkedBlock::Fulu(contents))))
}

/// A validator's vote, not signed.
pub(crate) fn vote(n: u8, data: AttestationData) -> SignedData {
    let single = SingleAttestation {
        committee_index: CommitteeIndex(n.into()),
        attester_index: ValidatorIndex(n.into()),
        data,
        signature: BlsSignature([0; 96]),
    };
    let attestation = electra::Attestation::from_single(&single).unwrap();
    SignedData::Attestation(VersionedAttestation {
        validator_index: Some(single.attester_index),
        attestation: ForkedAttestation::Fulu(attestation),
    })
}

pub(crate) fn randao(epoch: u64) -> SignedData {
    SignedData::Randao(SignedRandao {
        epoch: Epoch(epoch),
        signature: BlsSignature([0; 96]),
    })
}

/// Share `share`'s partial of `data` for a validator, signed.
pub(crate) fn partial(chain: &ChainSpec, validator: PubKey, share: u8, data: SignedData) -> ParSignedData {
    let share = ShareIdx(share);
    let signature = scheme::sign(validator, share, data.signing_root(chain).unwrap());
    ParSignedData {
        data: data.with_signature(signature),
        share,
    }
}

pub(crate) fn set(entries: impl IntoIterator<Item = (PubKey, ParSignedData)>) -> ParSignedDataSet {
    ParSignedDataSet(entries.into_iter().collect::<BTreeMap<_, _>>())
}
