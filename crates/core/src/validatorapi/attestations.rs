//! Attestation data out, attestations in.

use std::collections::BTreeMap;

use trireme_eth2::{
    AttestationData, CommitteeIndex, DomainType, Fork, ForkedAttestation, SingleAttestation, Slot, ValidatorIndex,
    VersionedAttestation, electra, hash_tree_root,
};

use super::{Awaited, Refused, Unverified, ValidatorApi, told};
use crate::{
    data::{ParSignedData, ParSignedDataSet, SignedData},
    definitions::DutyDefinition,
    duty::{Duty, DutyType},
    ids::PubKey,
    ports::Lane,
    scheduler::NotResolved,
};

/// Attestations as validator clients submit them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmittedAttestations {
    /// Before Electra: whole attestations with one aggregation bit.
    Full(Vec<ForkedAttestation>),
    /// From Electra on; the fork is that of the request.
    Single(SingleFork, Vec<SingleAttestation>),
}

impl SubmittedAttestations {
    fn len(&self) -> usize {
        match self {
            Self::Full(list) => list.len(),
            Self::Single(_, list) => list.len(),
        }
    }

    /// The slot of the first one.
    #[must_use]
    pub fn first_slot(&self) -> Option<Slot> {
        match self {
            Self::Full(list) => list.first().map(|a| a.data().slot),
            Self::Single(_, list) => list.first().map(|a| a.data.slot),
        }
    }
}

/// The forks whose attestations are submitted one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SingleFork {
    /// Electra.
    Electra,
    /// Fulu.
    Fulu,
}

impl SingleFork {
    /// `None` for forks from before Electra.
    #[must_use]
    pub const fn of(fork: Fork) -> Option<Self> {
        match fork {
            Fork::Phase0 | Fork::Altair | Fork::Bellatrix | Fork::Capella | Fork::Deneb => None,
            Fork::Electra => Some(Self::Electra),
            Fork::Fulu => Some(Self::Fulu),
        }
    }

    const fn wrap(self, attestation: electra::Attestation) -> ForkedAttestation {
        match self {
            Self::Electra => ForkedAttestation::Electra(attestation),
            Self::Fulu => ForkedAttestation::Fulu(attestation),
        }
    }
}

/// One attestation whose validator is known.
struct Vote {
    committee: CommitteeIndex,
    validator: ValidatorIndex,
    attestation: VersionedAttestation,
}

impl ValidatorApi {
    /// The attestation data that the cluster agreed on for a slot and committee; waits for it.
    ///
    /// A slot in which no validator of the cluster attests is the beacon node's affair and is answered by it at once.
    #[tracing::instrument(name = "core/validatorapi.AttestationData", parent = self.trace(slot, DutyType::Attester).id(), skip_all, fields(committee_index = committee.0))]
    pub async fn attestation_data(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
        awaited: &Awaited,
    ) -> Result<AttestationData, Refused> {
        told(async {
            let duty = Duty::new(slot, DutyType::Attester);
            if !self.gate.allows(duty) {
                let now = self.gate.now();
                return Err(Refused::TooFarAhead { slot, now });
            }
            awaited.set(format!("the cluster's duties of slot {}", slot.0));
            match self.definitions.definitions(duty).await {
                Ok(Some(set)) => {
                    let ours = |d: &DutyDefinition| match d {
                        DutyDefinition::Attester(d) => d.committee_index == committee,
                        DutyDefinition::Proposer(_) | DutyDefinition::Sync(_) => false,
                    };
                    if committee.0 != 0 && !set.0.values().any(ours) {
                        return Err(Refused::ForeignCommittee { slot, committee });
                    }
                }
                Ok(None) => {
                    awaited.set(format!("the beacon node's attestation data of slot {}", slot.0));
                    return Ok(self.beacon.attestation_data(slot, committee.0).await?);
                }
                // Peers may know the epoch already, and a decision arrives without our knowing the duty. After a restart the
                // epochs before count as trimmed, but what was decided in them is still there and may have been signed: the
                // beacon node's view of today must not take its place.
                Err(NotResolved::NotYet(_) | NotResolved::Trimmed(_)) => {}
            }
            awaited.set(format!(
                "the cluster's agreement on attestation data of slot {}, committee {}",
                slot.0, committee.0
            ));
            let data = self.unsigned.attestation_data(slot, committee).await;
            data.map(|data| *data).map_err(|why| Self::no_answer(awaited, why))
        })
        .await
    }

    /// Takes the validator client's attestations: verifies all of them in one job and announces one set per slot.
    #[tracing::instrument(name = "core/validatorapi.SubmitAttestations", parent = self.trace_of(submitted.first_slot(), DutyType::Attester).id(), skip_all, fields(num_attestations = submitted.len()))]
    pub async fn submit_attestations(
        &self,
        submitted: SubmittedAttestations,
        awaited: &Awaited,
    ) -> Result<(), Refused> {
        told(async {
            let votes = match submitted {
                SubmittedAttestations::Single(fork, list) => list
                    .into_iter()
                    .map(|single| single_vote(fork, &single))
                    .collect::<Result<Vec<_>, _>>()?,
                SubmittedAttestations::Full(list) => {
                    let mut votes = Vec::with_capacity(list.len());
                    for attestation in list {
                        votes.push(self.full_vote(attestation, awaited).await?);
                    }
                    votes
                }
            };
            let mut unverified = Vec::with_capacity(votes.len());
            let mut sets: BTreeMap<Slot, BTreeMap<PubKey, VersionedAttestation>> = BTreeMap::new();
            let mut known = None;
            for Vote {
                committee,
                validator,
                attestation,
            } in votes
            {
                let data = *attestation.data();
                let slot = data.slot;
                let key =
                    self.pubkeys
                        .pubkey_by_attestation(slot, committee, validator)
                        .ok_or(Refused::NoDecidedDuty {
                            slot,
                            committee,
                            validator,
                        })?;
                let set = sets.entry(slot).or_default();
                if let Some(earlier) = set.get(&key) {
                    if *earlier != attestation {
                        return Err(Refused::Twice(key));
                    }
                    continue;
                }
                // From Electra on all attesters of a slot sign the same data.
                let root = match &known {
                    Some((of, root)) if *of == data => *root,
                    _ => self
                        .chain
                        .signing_root(hash_tree_root(&data), DomainType::BeaconAttester, data.target.epoch),
                };
                known = Some((data, root));
                unverified.push(Unverified {
                    validator: key,
                    root,
                    signature: attestation.signature(),
                });
                set.insert(key, attestation);
            }
            awaited.set("the verification of the attestations' signatures");
            self.verify(Lane::Attestation, &unverified).await?;
            awaited.set("the store of partial signatures");
            let share = self.cluster.share();
            // What is refused of one slot must not keep the others' from the cluster.
            let mut all = Ok(());
            for (slot, set) in sets {
                let partials = set.into_iter().map(|(key, attestation)| {
                    (
                        key,
                        ParSignedData {
                            data: SignedData::Attestation(attestation),
                            share,
                        },
                    )
                });
                let duty = Duty::new(slot, DutyType::Attester);
                let announced = self.announce(duty, ParSignedDataSet(partials.collect())).await;
                all = all.and(announced);
            }
            all
        })
        .await
    }

    /// Finds the validator of an attestation from before Electra: the one at the only set bit of its committee.
    async fn full_vote(&self, attestation: ForkedAttestation, awaited: &Awaited) -> Result<Vote, Refused> {
        let data = *attestation.data();
        let slot = data.slot;
        let [bit] = attestation
            .set_bits()
            .try_into()
            .map_err(|_| Refused::NotOneBit(slot))?;
        awaited.set(format!("the cluster's duties of slot {}", slot.0));
        let set = self
            .definitions
            .definitions(Duty::new(slot, DutyType::Attester))
            .await?
            .unwrap_or_default();
        let validator = set
            .0
            .values()
            .find_map(|definition| match definition {
                DutyDefinition::Attester(d)
                    if d.committee_index == data.index && usize::try_from(d.validator_committee_index) == Ok(bit) =>
                {
                    Some(d.validator_index)
                }
                DutyDefinition::Attester(_) | DutyDefinition::Proposer(_) | DutyDefinition::Sync(_) => None,
            })
            .ok_or(Refused::NotOneBit(slot))?;
        let attestation = VersionedAttestation {
            validator_index: None,
            attestation,
        };
        Ok(Vote {
            committee: data.index,
            validator,
            attestation,
        })
    }
}

fn single_vote(fork: SingleFork, single: &SingleAttestation) -> Result<Vote, Refused> {
    let (slot, committee, validator) = (single.data.slot, single.committee_index, single.attester_index);
    let inner = electra::Attestation::from_single(single).ok_or(Refused::NoDecidedDuty {
        slot,
        committee,
        validator,
    })?;
    let attestation = VersionedAttestation {
        validator_index: Some(validator),
        attestation: fork.wrap(inner),
    };
    Ok(Vote {
        committee,
        validator,
        attestation,
    })
}
