//! A validator client of one node: all duties, through the component behind the validator API.
//!
//! It asks again when it gets no answer or its node is down, signs whatever it is served, and remembers nothing of
//! slashing: the [`Witness`] does, and tells on the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use trireme_core::{
    PubKey, ShareIdx, UnixTime,
    data::SignedData,
    life::Life,
    ports::{BeaconNode, Clock},
    scheme::Signer,
    validatorapi::{Awaited, Refused, SingleFork, SubmittedAttestations, ValidatorApi},
};
use trireme_eth2::{
    AttesterDuty, BeaconCommitteeSelection, BlsSignature, ChainSpec, CommitteeIndex, ContributionAndProof, DomainType,
    Epoch, ForkedAttestation, Root, SignedContributionAndProof, SignedVoluntaryExit, SingleAttestation, Slot,
    SyncAggregatorSelectionData, SyncCommitteeMessage, SyncCommitteeSelection, SyncDuty, ValidatorIndex,
    VersionedSignedAggregateAndProof, VoluntaryExit, electra, hash_tree_root, is_attestation_aggregator,
    is_sync_aggregator,
};
use trireme_testutil::sim::{SimClock, ToyScheme};

use crate::{
    chain::{Facts, GENESIS, SLOT},
    run::Audit,
};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a share signs once: kind, validator, share, slot, what else names the duty.
type Signing = (&'static str, ValidatorIndex, ShareIdx, Slot, u64);

/// What is said once and must not be said otherwise, over all nodes and their restarts.
#[derive(Default)]
pub(crate) struct Witness {
    /// Roots that clients were served: kind, slot, what else names the duty.
    served: Mutex<BTreeMap<(&'static str, Slot, u64), Root>>,
    /// Roots that shares signed.
    signed: Mutex<BTreeMap<Signing, Root>>,
    pub(crate) wrong: Mutex<Vec<String>>,
}

impl Witness {
    fn served(&self, kind: &'static str, slot: Slot, of: u64, root: Root) {
        let known = *self.served.lock().unwrap().entry((kind, slot, of)).or_insert(root);
        if known != root {
            let line = format!("two values were served in slot {}: {kind} {of}", slot.0);
            self.wrong.lock().unwrap().push(line);
        }
    }

    fn signed(&self, kind: &'static str, validator: ValidatorIndex, share: ShareIdx, slot: Slot, of: u64, root: Root) {
        let key = (kind, validator, share, slot, of);
        let known = *self.signed.lock().unwrap().entry(key).or_insert(root);
        if known != root {
            let line = format!(
                "share {share} of validator {} signed twice in slot {}: {kind} {of}",
                validator.0, slot.0
            );
            self.wrong.lock().unwrap().push(line);
        }
    }
}

/// The way to a node that may be down.
#[derive(Default)]
pub(crate) struct Door(Mutex<Option<(Arc<ValidatorApi>, CancellationToken)>>);

impl Door {
    pub(crate) fn open(&self, vapi: Arc<ValidatorApi>) {
        *self.0.lock().unwrap() = Some((vapi, CancellationToken::new()));
    }

    /// The node is gone; requests in flight break.
    pub(crate) fn close(&self) {
        if let Some((_, gone)) = self.0.lock().unwrap().take() {
            gone.cancel();
        }
    }
}

/// One share's client.
pub(crate) struct Client {
    door: Arc<Door>,
    beacon: Arc<dyn BeaconNode>,
    clock: SimClock,
    spec: Arc<ChainSpec>,
    toy: Arc<ToyScheme>,
    share: ShareIdx,
    keys: BTreeMap<ValidatorIndex, PubKey>,
    witness: Arc<Witness>,
    audit: Arc<Audit>,
    /// Roots of the data voted for.
    voted: Mutex<BTreeMap<(Slot, CommitteeIndex), Root>>,
}

impl Client {
    pub(crate) fn new(
        share: ShareIdx,
        facts: &Facts,
        door: Arc<Door>,
        beacon: Arc<dyn BeaconNode>,
        clock: SimClock,
        witness: &Arc<Witness>,
        audit: &Arc<Audit>,
    ) -> Arc<Self> {
        Arc::new(Self {
            door,
            beacon,
            clock,
            spec: Arc::clone(&facts.spec),
            toy: Arc::clone(&facts.toy),
            share,
            keys: (0..).map(ValidatorIndex).zip(facts.keys.iter().copied()).collect(),
            witness: Arc::clone(witness),
            audit: Arc::clone(audit),
            voted: Mutex::default(),
        })
    }

    /// Works in the slots before `end`.
    pub(crate) fn start(self: &Arc<Self>, life: &Life, end: u64) {
        let (client, tasks) = (Arc::clone(self), life.clone());
        life.task("vc", async move {
            // Slot 0 has the genesis block.
            for slot in (1..end).map(Slot) {
                client.clock.sleep_until(start(slot)).await;
                tasks.task("vc.attest", Arc::clone(&client).attest(slot));
                tasks.task("vc.aggregate", Arc::clone(&client).aggregate(slot));
                tasks.task("vc.propose", Arc::clone(&client).propose(slot));
                tasks.task("vc.sync", Arc::clone(&client).sync(slot));
            }
        });
    }

    /// Asks until there is an answer or it is `until`.
    async fn ask<T, F>(
        &self,
        what: &'static str,
        until: UnixTime,
        mut question: impl FnMut(Arc<ValidatorApi>, Awaited) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, Refused>>,
    {
        loop {
            let door = self.door.0.lock().unwrap().clone();
            if let Some((vapi, gone)) = door {
                let asked = tokio::time::timeout(PATIENCE, question(vapi, Awaited::new(what)));
                let answer = tokio::select! {
                    biased;
                    () = gone.cancelled() => None,
                    answer = asked => answer.ok(),
                };
                let failed = match answer {
                    Some(Ok(answer)) => return Some(answer),
                    Some(Err(refused)) => format!("{refused:?}"),
                    None => "no answer".to_owned(),
                };
                self.audit
                    .say(self.clock.now(), || format!("vc {} {what}: {failed}", self.share));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            if self.clock.now() >= until {
                return None;
            }
        }
    }

    fn sign(&self, validator: ValidatorIndex, object: Root, purpose: DomainType, epoch: Epoch) -> Option<BlsSignature> {
        let root = self.spec.signing_root(object, purpose, epoch);
        self.toy
            .sign(Signer::Share(*self.keys.get(&validator)?, self.share), root)
    }

    fn indices(&self) -> Vec<ValidatorIndex> {
        self.keys.keys().copied().collect()
    }

    async fn attesters(&self, slot: Slot) -> Vec<AttesterDuty> {
        let epoch = self.spec.epoch(slot);
        let asked = self.ask("attester duties", end(slot), |vapi, awaited| {
            let indices = self.indices();
            async move { vapi.attester_duties(epoch, indices, &awaited).await }
        });
        let all = asked.await.map(|d| d.duties).unwrap_or_default();
        all.into_iter().filter(|d| d.slot == slot).collect()
    }

    // === Attestations

    async fn attest(self: Arc<Self>, slot: Slot) {
        let duties = self.attesters(slot).await;
        self.clock.sleep_until(thirds(slot, 1)).await;
        let epoch = self.spec.epoch(slot);
        let committees: BTreeSet<CommitteeIndex> = duties.iter().map(|d| d.committee_index).collect();
        for committee in committees {
            // Since Electra the data names no committee.
            let asked = self.ask("attestation data", end(Slot(slot.0 + 1)), |vapi, awaited| async move {
                vapi.attestation_data(slot, CommitteeIndex(0), &awaited).await
            });
            let Some(data) = asked.await else { continue };
            let root = hash_tree_root(&data);
            self.witness.served("attestation", slot, 0, root);
            self.voted.lock().unwrap().insert((slot, committee), root);
            let vote = |d: &AttesterDuty| {
                self.witness
                    .signed("attestation", d.validator_index, self.share, slot, 0, root);
                Some(SingleAttestation {
                    committee_index: d.committee_index,
                    attester_index: d.validator_index,
                    data,
                    signature: self.sign(d.validator_index, root, DomainType::BeaconAttester, epoch)?,
                })
            };
            let of_committee = duties.iter().filter(|d| d.committee_index == committee);
            let votes: Vec<_> = of_committee.filter_map(vote).collect();
            self.ask("attestations", end(Slot(slot.0 + 1)), |vapi, awaited| {
                let submitted = SubmittedAttestations::Single(SingleFork::Fulu, votes.clone());
                async move { vapi.submit_attestations(submitted, &awaited).await }
            })
            .await;
        }
    }

    async fn aggregate(self: Arc<Self>, slot: Slot) {
        let duties = self.attesters(slot).await;
        if duties.is_empty() {
            return;
        }
        let epoch = self.spec.epoch(slot);
        let partial = |d: &AttesterDuty| {
            let root = hash_tree_root(&slot);
            Some(BeaconCommitteeSelection {
                validator_index: d.validator_index,
                slot,
                selection_proof: self.sign(d.validator_index, root, DomainType::SelectionProof, epoch)?,
            })
        };
        let partials: Vec<_> = duties.iter().filter_map(partial).collect();
        let asked = self.ask("selections", end(slot), |vapi, awaited| {
            let list = partials.clone();
            async move {
                vapi.beacon_committee_selections(list, tokio::time::sleep(PATIENCE), &awaited)
                    .await
            }
        });
        let proofs = asked.await.unwrap_or_default();
        self.clock.sleep_until(thirds(slot, 2)).await;
        for duty in &duties {
            let proof = proofs.iter().find(|p| p.validator_index == duty.validator_index);
            let Some(proof) = proof.map(|p| p.selection_proof) else {
                continue;
            };
            if !is_attestation_aggregator(&self.spec, duty.committee_length, &proof) {
                continue;
            }
            let Some(root) = self.voted.lock().unwrap().get(&(slot, duty.committee_index)).copied() else {
                continue;
            };
            let committee = duty.committee_index;
            let asked = self.ask("aggregate", end(Slot(slot.0 + 1)), |vapi, awaited| async move {
                vapi.aggregate_attestation(slot, root, committee, &awaited).await
            });
            let Some(aggregate) = asked.await else { continue };
            let ForkedAttestation::Fulu(aggregate) = aggregate.attestation.clone() else {
                continue;
            };
            let message = electra::AggregateAndProof {
                aggregator_index: duty.validator_index,
                aggregate,
                selection_proof: proof,
            };
            let object = hash_tree_root(&message);
            self.witness
                .served("aggregate", slot, committee.0, hash_tree_root(&message.aggregate));
            self.witness
                .signed("aggregate", duty.validator_index, self.share, slot, 0, object);
            let purpose = DomainType::AggregateAndProof;
            let Some(signature) = self.sign(duty.validator_index, object, purpose, epoch) else {
                continue;
            };
            let signed =
                VersionedSignedAggregateAndProof::Fulu(electra::SignedAggregateAndProof { message, signature });
            self.ask("aggregates", end(Slot(slot.0 + 1)), |vapi, awaited| {
                let list = vec![signed.clone()];
                async move { vapi.submit_aggregates(list, &awaited).await }
            })
            .await;
        }
    }

    // === Blocks

    async fn propose(self: Arc<Self>, slot: Slot) {
        let epoch = self.spec.epoch(slot);
        let asked = self.ask("proposer duties", end(slot), |vapi, awaited| async move {
            vapi.proposer_duties(epoch, &awaited).await
        });
        let duties = asked.await.map(|d| d.duties).unwrap_or_default();
        let Some(duty) = duties.into_iter().find(|d| d.slot == slot) else {
            return;
        };
        let validator = duty.validator_index;
        let Some(reveal) = self.sign(validator, hash_tree_root(&epoch), DomainType::Randao, epoch) else {
            return;
        };
        let asked = self.ask("block", end(slot), |vapi, awaited| async move {
            vapi.produce_block(slot, reveal, &awaited).await
        });
        let Some(block) = asked.await else { return };
        let root = block.block_root();
        self.witness.served("block", slot, 0, root);
        self.witness.signed("block", validator, self.share, slot, 0, root);
        let Some(signature) = self.sign(validator, root, DomainType::BeaconProposer, epoch) else {
            return;
        };
        let signed = block.as_ref().clone().sign(signature);
        self.ask("publish block", end(slot), |vapi, awaited| {
            let signed = signed.clone();
            Box::pin(async move { vapi.submit_proposal(signed, &awaited).await })
        })
        .await;
    }

    // === Exits

    /// Signs the exit of a validator; the node may be down for a while.
    pub(crate) async fn leave(self: Arc<Self>, slot: Slot, validator: ValidatorIndex) {
        self.clock.sleep_until(start(slot).after(SLOT / 8)).await;
        let message = VoluntaryExit {
            epoch: self.spec.epoch(slot),
            validator_index: validator,
        };
        let mut signed = SignedVoluntaryExit {
            message,
            signature: BlsSignature([0; 96]),
        };
        let root = SignedData::Exit(signed).signing_root(&self.spec).unwrap();
        self.witness.signed("exit", validator, self.share, slot, 0, root);
        let key = self.keys[&validator];
        signed.signature = self.toy.sign(Signer::Share(key, self.share), root).unwrap();
        self.ask("exit", end(Slot(slot.0 + 1)), |vapi, awaited| async move {
            vapi.submit_exit(signed, &awaited).await
        })
        .await;
    }

    // === Sync committee

    async fn sync(self: Arc<Self>, slot: Slot) {
        // At the last slot of an epoch the next one's duties count, since a message serves the block after it.
        let (epoch, of) = (self.spec.epoch(slot), self.spec.epoch(Slot(slot.0 + 1)));
        let asked = self.ask("sync duties", end(slot), |vapi, awaited| {
            let indices = self.indices();
            async move { vapi.sync_duties(of, indices, &awaited).await }
        });
        let duties: Vec<SyncDuty> = asked.await.unwrap_or_default();
        if duties.is_empty() {
            return;
        }
        let selected = self.sync_selected(slot, epoch, &duties);
        let (proofs, root) = futures::future::join(selected, self.send_messages(slot, epoch, &duties)).await;
        let Some(root) = root else { return };
        self.clock.sleep_until(thirds(slot, 2)).await;
        for proof in proofs {
            let subcommittee = proof.subcommittee_index;
            let asked = self.ask("contribution", end(slot), |vapi, awaited| async move {
                vapi.sync_committee_contribution(slot, subcommittee, root, &awaited)
                    .await
            });
            let Some(contribution) = asked.await else { continue };
            self.witness.served(
                "contribution",
                slot,
                subcommittee,
                hash_tree_root(contribution.as_ref()),
            );
            let message = ContributionAndProof {
                aggregator_index: proof.validator_index,
                contribution: contribution.as_ref().clone(),
                selection_proof: proof.selection_proof,
            };
            let object = hash_tree_root(&message);
            let validator = proof.validator_index;
            self.witness
                .signed("contribution", validator, self.share, slot, subcommittee, object);
            let Some(signature) = self.sign(validator, object, DomainType::ContributionAndProof, epoch) else {
                continue;
            };
            let signed = SignedContributionAndProof { message, signature };
            self.ask("contributions", end(slot), |vapi, awaited| {
                let list = vec![signed.clone()];
                async move { vapi.submit_contributions(list, &awaited).await }
            })
            .await;
        }
    }

    /// The proofs of those members whose selection has hit.
    async fn sync_selected(&self, slot: Slot, epoch: Epoch, duties: &[SyncDuty]) -> Vec<SyncCommitteeSelection> {
        let size = self.spec.sync_subcommittee_size();
        let mut partials = Vec::new();
        for duty in duties {
            let positions = duty.validator_sync_committee_indices.iter();
            let subcommittees: BTreeSet<u64> = positions.map(|at| at / size).collect();
            for subcommittee_index in subcommittees {
                let data = SyncAggregatorSelectionData {
                    slot,
                    subcommittee_index,
                };
                let purpose = DomainType::SyncCommitteeSelectionProof;
                let Some(selection_proof) = self.sign(duty.validator_index, hash_tree_root(&data), purpose, epoch)
                else {
                    continue;
                };
                partials.push(SyncCommitteeSelection {
                    validator_index: duty.validator_index,
                    slot,
                    subcommittee_index,
                    selection_proof,
                });
            }
        }
        let asked = self.ask("sync selections", end(slot), |vapi, awaited| {
            let list = partials.clone();
            async move {
                vapi.sync_committee_selections(list, tokio::time::sleep(PATIENCE), &awaited)
                    .await
            }
        });
        let mut proofs = asked.await.unwrap_or_default();
        proofs.retain(|p| is_sync_aggregator(&self.spec, &p.selection_proof));
        proofs
    }

    /// Signs the head for every member; the head's root.
    async fn send_messages(&self, slot: Slot, epoch: Epoch, duties: &[SyncDuty]) -> Option<Root> {
        self.clock.sleep_until(thirds(slot, 1)).await;
        let root = loop {
            if let Ok(root) = self.beacon.head_root().await {
                break root;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            if self.clock.now() >= end(slot) {
                return None;
            }
        };
        let message = |d: &SyncDuty| {
            self.witness
                .signed("sync message", d.validator_index, self.share, slot, 0, root);
            Some(SyncCommitteeMessage {
                slot,
                beacon_block_root: root,
                validator_index: d.validator_index,
                signature: self.sign(d.validator_index, root, DomainType::SyncCommittee, epoch)?,
            })
        };
        let messages: Vec<_> = duties.iter().filter_map(message).collect();
        self.ask("sync messages", end(slot), |vapi, awaited| {
            let list = messages.clone();
            async move { vapi.submit_sync_messages(list, &awaited).await }
        })
        .await;
        Some(root)
    }
}

pub(crate) fn start(slot: Slot) -> UnixTime {
    GENESIS.after(SLOT * u32::try_from(slot.0).unwrap())
}

fn thirds(slot: Slot, thirds: u32) -> UnixTime {
    start(slot).after(SLOT * thirds / 3)
}

fn end(slot: Slot) -> UnixTime {
    start(Slot(slot.0 + 1))
}
