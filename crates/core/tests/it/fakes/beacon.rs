//! A beacon node that gives every validator its duties and remembers what it is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use futures::future::BoxFuture;
use tokio::sync::broadcast;
use trireme_core::{
    PubKey,
    ports::{BeaconError, BeaconNode, Duties, ProduceBlock},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, BlsPubkey, BlsSignature, ChainEvent, Checkpoint, CommitteeIndex,
    Epoch, ExecutionAddress, ForkedAttestation, ForkedBlock, Gwei, ProposalResponse, ProposerDuty, Root,
    SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, SyncCommitteeContribution,
    SyncCommitteeMessage, SyncDuty, SyncingStatus, Uint256, ValidatorIndex, ValidatorInfo, ValidatorRecord,
    ValidatorStatus, VersionedAttestation, VersionedProposal, VersionedSignedAggregateAndProof, VersionedSignedBlock,
    VersionedSignedProposal, electra, fulu, hash_tree_root,
    ssz_types::{BitList, BitVector},
};

/// Duties given by hand, all within the first epoch.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) attesters: Vec<AttesterDuty>,
    pub(crate) proposers: Vec<ProposerDuty>,
    pub(crate) sync: Vec<SyncDuty>,
}

/// What was submitted beside attestations and blocks.
#[derive(Default)]
pub(crate) struct Submitted {
    pub(crate) aggregates: Vec<VersionedSignedAggregateAndProof>,
    pub(crate) sync_messages: Vec<SyncCommitteeMessage>,
    pub(crate) contributions: Vec<SignedContributionAndProof>,
    pub(crate) exits: Vec<SignedVoluntaryExit>,
    pub(crate) registrations: Vec<SignedValidatorRegistrationV1>,
}

pub(crate) struct FakeBeacon {
    pub(crate) validators: BTreeMap<ValidatorIndex, PubKey>,
    pub(crate) slots_per_epoch: u64,
    /// Instead of one validator per slot.
    pub(crate) given: Option<Given>,
    /// Distinguishes the views of several beacon nodes.
    pub(crate) view: u8,
    pub(crate) failing_proposer_queries: AtomicU32,
    pub(crate) attester_queries: AtomicUsize,
    /// Questions for these epochs' attesters are never answered.
    pub(crate) hanging: Mutex<BTreeSet<Epoch>>,
    /// Validators that its state does not have.
    pub(crate) unseen: Mutex<BTreeSet<ValidatorIndex>>,
    pub(crate) attestation_data_asked: AtomicUsize,
    pub(crate) submitted: Mutex<Vec<VersionedAttestation>>,
    pub(crate) blocks: Mutex<Vec<Arc<VersionedSignedProposal>>>,
    /// Slots of blocks that it was asked to make.
    pub(crate) produced: Mutex<Vec<Slot>>,
    /// So many of the next blocks it does not take.
    pub(crate) failing_publications: AtomicU32,
    /// The answer to submissions, if they are to fail.
    pub(crate) refusal: Mutex<Option<BeaconError>>,
    /// Nothing is answered any more but with this, if it is there.
    pub(crate) away: Mutex<Option<BeaconError>>,
    pub(crate) prepared: Mutex<Vec<(ValidatorIndex, [u8; 20])>>,
    pub(crate) others: Mutex<Submitted>,
    /// Validators in another state than active for ever: status, activation epoch, exit epoch.
    pub(crate) statuses: Mutex<BTreeMap<ValidatorIndex, (ValidatorStatus, Epoch, Epoch)>>,
    /// The chain that it follows: the root that duties depend on, and by how many slots they are shifted on it.
    pub(crate) chain: Mutex<(Root, u64)>,
    /// No aggregate of this committee, this many times.
    pub(crate) lacking: Mutex<(u64, u32)>,
    pub(crate) aggregates_asked: AtomicUsize,
    /// Blocks of the chain.
    pub(crate) kept: Mutex<BTreeMap<Slot, Arc<VersionedSignedBlock>>>,
    pub(crate) version: String,
    pub(crate) versions_asked: AtomicUsize,
    /// Who its blocks pay: this byte, repeated.
    pub(crate) recipient: Mutex<u8>,
    pub(crate) events: broadcast::Sender<ChainEvent>,
}

impl FakeBeacon {
    /// With validators 1 to `n` of `fakes::key`.
    pub(crate) fn new(n: u8, slots_per_epoch: u64, view: u8) -> Arc<Self> {
        Arc::new(Self::with(
            (1..=n).map(|i| (ValidatorIndex(i.into()), super::key(i))).collect(),
            slots_per_epoch,
            view,
        ))
    }

    pub(crate) fn with(validators: BTreeMap<ValidatorIndex, PubKey>, slots_per_epoch: u64, view: u8) -> Self {
        Self {
            validators,
            slots_per_epoch,
            given: None,
            view,
            failing_proposer_queries: AtomicU32::new(0),
            attester_queries: AtomicUsize::new(0),
            hanging: Mutex::default(),
            unseen: Mutex::default(),
            attestation_data_asked: AtomicUsize::new(0),
            submitted: Mutex::default(),
            blocks: Mutex::default(),
            produced: Mutex::default(),
            failing_publications: AtomicU32::new(0),
            refusal: Mutex::default(),
            away: Mutex::default(),
            prepared: Mutex::default(),
            version: "Lighthouse/v8".to_owned(),
            versions_asked: AtomicUsize::new(0),
            recipient: Mutex::default(),
            others: Mutex::default(),
            statuses: Mutex::default(),
            chain: Mutex::new((Root([1; 32]), 0)),
            lacking: Mutex::default(),
            aggregates_asked: AtomicUsize::new(0),
            kept: Mutex::default(),
            events: broadcast::channel(4).0,
        }
    }

    /// The slot of the `n`-th validator (from 0) of an epoch.
    fn slot(&self, epoch: Epoch, n: usize) -> Slot {
        let shift = self.chain.lock().unwrap().1;
        Slot(epoch.0 * self.slots_per_epoch + (u64::try_from(n).unwrap() + shift) % self.slots_per_epoch)
    }

    /// Who proposes in a slot; by what was given, if anything was.
    pub(crate) fn proposer(&self, slot: Slot) -> ValidatorIndex {
        if let Some(given) = &self.given {
            let duty = given.proposers.iter().find(|d| d.slot == slot);
            return duty.map_or(ValidatorIndex(0), |d| d.validator_index);
        }
        let n = usize::try_from(slot.0 % self.slots_per_epoch).unwrap();
        self.validators.keys().nth(n).copied().unwrap_or(ValidatorIndex(0))
    }

    fn duties<T>(&self, duties: Vec<T>) -> Duties<T> {
        Duties {
            dependent_root: self.chain.lock().unwrap().0,
            execution_optimistic: false,
            duties,
        }
    }

    pub(crate) fn refuse(&self, status: u16, message: &str) {
        let error = BeaconError::Status {
            endpoint: "/submit",
            status,
            message: message.to_owned(),
        };
        *self.refusal.lock().unwrap() = Some(error);
    }
}

/// What every beacon node of a slot says: they agree on checkpoints and may differ in the head.
pub(crate) fn attestation_data(slot: Slot, slots_per_epoch: u64, view: u8) -> AttestationData {
    let epoch = slot.0 / slots_per_epoch;
    AttestationData {
        slot,
        index: CommitteeIndex(0),
        beacon_block_root: Root([view; 32]),
        source: Checkpoint {
            epoch: Epoch(epoch.saturating_sub(1)),
            root: Root([2; 32]),
        },
        target: Checkpoint {
            epoch: Epoch(epoch),
            root: Root([3; 32]),
        },
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(async move { value })
}

/// Ends a call with the error of a beacon node that is away.
macro_rules! unless_away {
    ($self:ident) => {
        if let Some(error) = $self.away.lock().unwrap().clone() {
            return ready(Err(error));
        }
    };
}

fn unknown(endpoint: &'static str) -> BeaconError {
    BeaconError::Status {
        endpoint,
        status: 404,
        message: "not found".to_owned(),
    }
}

impl BeaconNode for FakeBeacon {
    fn node_version(&self) -> BoxFuture<'_, Result<String, BeaconError>> {
        unless_away!(self);
        self.versions_asked.fetch_add(1, Ordering::Relaxed);
        ready(Ok(self.version.clone()))
    }

    fn syncing(&self) -> BoxFuture<'_, Result<SyncingStatus, BeaconError>> {
        unless_away!(self);
        let status = SyncingStatus {
            head_slot: Slot(0),
            sync_distance: 0,
            is_syncing: false,
            is_optimistic: false,
            el_offline: false,
        };
        ready(Ok(status))
    }

    fn validators(&self, _: &str, keys: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        unless_away!(self);
        let statuses = self.statuses.lock().unwrap().clone();
        let info = |(index, key): (&ValidatorIndex, &PubKey)| {
            let usual = (ValidatorStatus::ActiveOngoing, Epoch(0), Epoch::FAR_FUTURE);
            let (status, activation_epoch, exit_epoch) = statuses.get(index).copied().unwrap_or(usual);
            ValidatorInfo {
                index: *index,
                balance: Gwei(32_000_000_000),
                status,
                validator: ValidatorRecord {
                    pubkey: BlsPubkey(key.0),
                    withdrawal_credentials: Root::ZERO,
                    effective_balance: Gwei(32_000_000_000),
                    slashed: false,
                    activation_eligibility_epoch: Epoch(0),
                    activation_epoch,
                    exit_epoch,
                    withdrawable_epoch: Epoch::FAR_FUTURE,
                },
            }
        };
        let unseen = self.unseen.lock().unwrap();
        ready(Ok(self
            .validators
            .iter()
            .filter(|(index, key)| keys.contains(key) && !unseen.contains(index))
            .map(info)
            .collect()))
    }

    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        unless_away!(self);
        self.attester_queries.fetch_add(1, Ordering::Relaxed);
        if self.hanging.lock().unwrap().contains(&epoch) {
            return Box::pin(std::future::pending());
        }
        let duty = |(n, (index, key)): (usize, (&ValidatorIndex, &PubKey))| AttesterDuty {
            pubkey: BlsPubkey(key.0),
            slot: self.slot(epoch, n),
            validator_index: *index,
            committee_index: CommitteeIndex(index.0),
            committee_length: 1,
            committees_at_slot: 16,
            validator_committee_index: 0,
        };
        if let Some(given) = &self.given {
            return ready(Ok(self.duties(if epoch.0 == 0 {
                given.attesters.clone()
            } else {
                Vec::new()
            })));
        }
        let all = self
            .validators
            .iter()
            .enumerate()
            .filter(|(_, (index, _))| indices.contains(index));
        ready(Ok(self.duties(all.map(duty).collect())))
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        unless_away!(self);
        let failing = &self.failing_proposer_queries;
        if failing
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
        {
            return ready(Err(BeaconError::Status {
                endpoint: "/proposer",
                status: 500,
                message: "failing on purpose".to_owned(),
            }));
        }
        if let Some(given) = &self.given {
            return ready(Ok(self.duties(if epoch.0 == 0 {
                given.proposers.clone()
            } else {
                Vec::new()
            })));
        }
        let duty = |(n, (index, key)): (usize, (&ValidatorIndex, &PubKey))| ProposerDuty {
            pubkey: BlsPubkey(key.0),
            slot: self.slot(epoch, n),
            validator_index: *index,
        };
        ready(Ok(self.duties(self.validators.iter().enumerate().map(duty).collect())))
    }

    fn attestation_data(&self, slot: Slot, _: u64) -> BoxFuture<'_, Result<AttestationData, BeaconError>> {
        unless_away!(self);
        self.attestation_data_asked.fetch_add(1, Ordering::Relaxed);
        ready(Ok(attestation_data(slot, self.slots_per_epoch, self.view)))
    }

    fn produce_block(&self, ask: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        unless_away!(self);
        self.produced.lock().unwrap().push(ask.slot);
        let mut contents = fulu::BlockContents::default();
        contents.block.slot = ask.slot;
        contents.block.proposer_index = self.proposer(ask.slot);
        contents.block.state_root = Root([self.view; 32]);
        contents.block.body.randao_reveal = ask.randao_reveal;
        contents.block.body.graffiti = ask.graffiti;
        contents.block.body.execution_payload.fee_recipient = ExecutionAddress([*self.recipient.lock().unwrap(); 20]);
        let proposal = VersionedProposal::Full(ForkedBlock::Fulu(contents));
        let (execution_payload_value, consensus_block_value) = (Uint256([0; 32]), Uint256([0; 32]));
        ready(Ok(ProposalResponse {
            proposal,
            execution_payload_value,
            consensus_block_value,
        }))
    }

    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return ready(Err(error));
        }
        self.submitted.lock().unwrap().extend(atts);
        ready(Ok(()))
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        let left = self.failing_publications.load(Ordering::Relaxed);
        if left > 0 {
            self.failing_publications.store(left - 1, Ordering::Relaxed);
            return ready(Err(BeaconError::Status {
                endpoint: "/eth/v2/beacon/blocks",
                status: 503,
                message: "busy".into(),
            }));
        }
        self.blocks.lock().unwrap().push(block);
        ready(Ok(()))
    }

    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        self.prepared.lock().unwrap().extend(prep);
        ready(Ok(()))
    }

    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        unless_away!(self);
        let blocks = self.blocks.lock().unwrap();
        ready(Ok(blocks.iter().find(|b| b.slot() == slot).map(|b| b.block_root())))
    }

    fn sync_duties(
        &self,
        _epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        unless_away!(self);
        let given = self.given.as_ref().map_or(&[][..], |given| &given.sync);
        let duties = given
            .iter()
            .filter(|d| indices.contains(&d.validator_index))
            .cloned()
            .collect();
        ready(Ok(self.duties(duties)))
    }

    fn aggregate_attestation(
        &self,
        slot: Slot,
        data_root: Root,
        committee: u64,
    ) -> BoxFuture<'_, Result<VersionedAttestation, BeaconError>> {
        unless_away!(self);
        self.aggregates_asked.fetch_add(1, Ordering::Relaxed);
        {
            let mut lacking = self.lacking.lock().unwrap();
            if lacking.0 == committee && lacking.1 > 0 {
                lacking.1 -= 1;
                return ready(Err(unknown("/aggregate_attestation")));
            }
        }
        let data = attestation_data(slot, self.slots_per_epoch, self.view);
        if hash_tree_root(&data) != data_root {
            return ready(Err(unknown("/aggregate_attestation")));
        }
        let mut committee_bits = BitVector::new();
        committee_bits.set(usize::try_from(committee).unwrap(), true).unwrap();
        let attestation = ForkedAttestation::Fulu(electra::Attestation {
            aggregation_bits: BitList::with_capacity(4).unwrap(),
            data,
            signature: BlsSignature([8; 96]),
            committee_bits,
        });
        ready(Ok(VersionedAttestation {
            validator_index: None,
            attestation,
        }))
    }

    fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<SyncCommitteeContribution, BeaconError>> {
        unless_away!(self);
        ready(Ok(SyncCommitteeContribution {
            slot,
            beacon_block_root: block,
            subcommittee_index: subcommittee,
            aggregation_bits: BitVector::new(),
            signature: BlsSignature([9; 96]),
        }))
    }

    fn submit_aggregates(
        &self,
        aggregates: Vec<VersionedSignedAggregateAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return ready(Err(error));
        }
        self.others.lock().unwrap().aggregates.extend(aggregates);
        ready(Ok(()))
    }

    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return ready(Err(error));
        }
        self.others.lock().unwrap().sync_messages.extend(messages);
        ready(Ok(()))
    }

    fn submit_contributions(
        &self,
        contributions: Vec<SignedContributionAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return ready(Err(error));
        }
        self.others.lock().unwrap().contributions.extend(contributions);
        ready(Ok(()))
    }

    fn submit_exit(&self, exit: SignedVoluntaryExit) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return ready(Err(error));
        }
        self.others.lock().unwrap().exits.push(exit);
        ready(Ok(()))
    }

    fn submit_registrations(
        &self,
        registrations: Vec<SignedValidatorRegistrationV1>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        unless_away!(self);
        if let Some(error) = self.refusal.lock().unwrap().clone() {
            return ready(Err(error));
        }
        self.others.lock().unwrap().registrations.extend(registrations);
        ready(Ok(()))
    }

    fn head_root(&self) -> BoxFuture<'_, Result<Root, BeaconError>> {
        unless_away!(self);
        ready(Ok(Root([self.view; 32])))
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        unless_away!(self);
        ready(Ok(self.kept.lock().unwrap().get(&slot).cloned()))
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        unless_away!(self);
        let _ = slot;
        ready(Ok(Vec::new()))
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }
}
