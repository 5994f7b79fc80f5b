//! Whether an answer belongs to the question: what a beacon node that lies or is confused gets refused for.
//!
//! Guarantees: pure; every refusal names what was asked and what came. A refused answer counts as a failure of the
//! beacon node, and the next one is asked.
//! Not here: bytes that are no answer at all (`client`).

use std::collections::BTreeSet;

use trireme_core::ports::{BeaconError, Duties};
use trireme_eth2::{
    AttestationData, AttesterDuty, ChainSpec, Epoch, Fork, ProposalResponse, ProposerDuty, Root, Slot,
    SyncCommitteeContribution, SyncDuty, ValidatorIndex, VersionedAttestation, hash_tree_root,
};

use crate::{calls::Call, client::malformed};

type Checked = Result<(), BeaconError>;

fn same<T: PartialEq + std::fmt::Display>(call: Call, what: &str, asked: T, got: T) -> Checked {
    if asked == got {
        Ok(())
    } else {
        Err(malformed(call, format!("{what} is {got}, asked for was {asked}")))
    }
}

/// Slot, committee and target of attestation data. A target in the future could never be justified, an old one would
/// be a vote for another epoch (VC-65).
pub(crate) fn attestation_data(data: &AttestationData, slot: Slot, committee: u64, chain: &ChainSpec) -> Checked {
    let call = Call::AttestationData;
    same(call, "the slot", slot.0, data.slot.0)?;
    // From Electra on the data of all committees are the same and name none.
    let expected = match chain.fork_at(slot) {
        Some(fork) if fork < Fork::Electra => committee,
        Some(_) | None => 0,
    };
    same(call, "the committee", expected, data.index.0)?;
    same(call, "the target epoch", chain.epoch(slot).0, data.target.epoch.0)?;
    if data.source.epoch > data.target.epoch {
        return Err(malformed(
            call,
            format!(
                "the source epoch {} is after the target epoch {}",
                data.source.epoch.0, data.target.epoch.0
            ),
        ));
    }
    Ok(())
}

/// Slot, fork and, where the slot's proposer is known, proposer of a block (VC-21).
pub(crate) fn block(
    answer: &ProposalResponse,
    slot: Slot,
    proposer: Option<ValidatorIndex>,
    chain: &ChainSpec,
) -> Checked {
    let call = Call::ProduceBlock;
    let block = &answer.proposal;
    same(call, "the slot", slot.0, block.slot().0)?;
    if let Some(fork) = chain.fork_at(slot) {
        same(call, "the fork", fork.name(), block.fork().name())?;
    }
    if let Some(proposer) = proposer
        && proposer != block.proposer_index()
    {
        return Err(malformed(
            call,
            format!(
                "the proposer is {}, the slot's proposer is {}: the beacon node is on another branch (re-orged)",
                block.proposer_index().0,
                proposer.0
            ),
        ));
    }
    Ok(())
}

/// Slot, committee and data of an aggregate.
pub(crate) fn aggregate(answer: &VersionedAttestation, slot: Slot, data_root: Root) -> Checked {
    let data = answer.attestation.data();
    same(Call::Aggregate, "the slot", slot.0, data.slot.0)?;
    same(Call::Aggregate, "the root of its data", data_root, hash_tree_root(data))
}

/// Slot, subcommittee and block of a contribution.
pub(crate) fn contribution(answer: &SyncCommitteeContribution, slot: Slot, subcommittee: u64, block: Root) -> Checked {
    let call = Call::Contribution;
    same(call, "the slot", slot.0, answer.slot.0)?;
    same(call, "the subcommittee", subcommittee, answer.subcommittee_index)?;
    same(call, "the block", block, answer.beacon_block_root)
}

/// Attester duties: of validators asked for, one each, in slots of the epoch.
pub(crate) fn attester_duties(
    answer: &Duties<AttesterDuty>,
    epoch: Epoch,
    asked: &[ValidatorIndex],
    chain: &ChainSpec,
) -> Checked {
    let call = Call::AttesterDuties;
    let asked: BTreeSet<_> = asked.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for duty in &answer.duties {
        in_epoch(call, duty.slot, epoch, chain)?;
        if !asked.contains(&duty.validator_index) {
            return Err(not_asked(call, duty.validator_index));
        }
        if !seen.insert(duty.validator_index) {
            return Err(twice(call, duty.validator_index));
        }
    }
    Ok(())
}

/// Proposer duties: in slots of the epoch, one each.
pub(crate) fn proposer_duties(answer: &Duties<ProposerDuty>, epoch: Epoch, chain: &ChainSpec) -> Checked {
    let call = Call::ProposerDuties;
    let mut seen = BTreeSet::new();
    for duty in &answer.duties {
        in_epoch(call, duty.slot, epoch, chain)?;
        if !seen.insert(duty.slot) {
            return Err(malformed(call, format!("slot {} has two proposers", duty.slot.0)));
        }
    }
    Ok(())
}

/// Sync committee duties: of validators asked for, one each.
pub(crate) fn sync_duties(answer: &Duties<SyncDuty>, asked: &[ValidatorIndex]) -> Checked {
    let call = Call::SyncDuties;
    let asked: BTreeSet<_> = asked.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for duty in &answer.duties {
        if !asked.contains(&duty.validator_index) {
            return Err(not_asked(call, duty.validator_index));
        }
        if !seen.insert(duty.validator_index) {
            return Err(twice(call, duty.validator_index));
        }
    }
    Ok(())
}

fn in_epoch(call: Call, slot: Slot, epoch: Epoch, chain: &ChainSpec) -> Checked {
    if chain.epoch(slot) == epoch {
        Ok(())
    } else {
        Err(malformed(
            call,
            format!("a duty is in slot {}, which is not in epoch {}", slot.0, epoch.0),
        ))
    }
}

fn not_asked(call: Call, index: ValidatorIndex) -> BeaconError {
    malformed(
        call,
        format!("it has a duty of validator {}, who was not asked for", index.0),
    )
}

fn twice(call: Call, index: ValidatorIndex) -> BeaconError {
    malformed(call, format!("validator {} has two duties in it", index.0))
}
