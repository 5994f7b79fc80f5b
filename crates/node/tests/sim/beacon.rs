//! A beacon node: the port that the nodes use, over one face of the judge.
//!
//! Each call takes its time, which the seed draws. A face's fault makes it slow, fail or hang, as the judge plans it.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::future::BoxFuture;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tokio::sync::broadcast;
use trireme_core::{
    PeerIdx, PubKey,
    ports::{BeaconError, BeaconNode, Clock, Duties, ProduceBlock},
    scheme::{Claim as CoreClaim, Scheme as _, Signer},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, BlockEvent, ChainEvent, CommitteeIndex, Epoch, ExecutionAddress,
    Gwei, HeadEvent, ProposalResponse, ProposerDuty, ReorgEvent, Root, SignedContributionAndProof,
    SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, SyncCommitteeContribution, SyncCommitteeMessage,
    SyncDuty, SyncingStatus, Uint256, ValidatorIndex, ValidatorInfo, ValidatorRecord, ValidatorStatus, Versioned as _,
    VersionedAttestation, VersionedProposal, VersionedSignedAggregateAndProof, VersionedSignedBlock,
    VersionedSignedProposal,
};
use trireme_testutil::{
    judge::{self, BlockView, Claim, Judge, Manner, Refused, SubmittedVote},
    sim::{SimClock, ToyScheme},
};

use crate::{
    chain::{GENESIS, SLOT},
    forger::GRAFFITI,
    run::Audit,
};

/// How long a node waits for its beacon node.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The chain behind all faces.
pub(crate) struct World {
    judge: Mutex<Judge>,
    toy: Arc<ToyScheme>,
    clock: SimClock,
    listeners: Mutex<Vec<(usize, broadcast::Sender<ChainEvent>)>>,
}

impl World {
    pub(crate) fn new(judge: Judge, toy: Arc<ToyScheme>, clock: SimClock) -> Arc<Self> {
        Arc::new(Self {
            judge: Mutex::new(judge),
            toy,
            clock,
            listeners: Mutex::default(),
        })
    }

    pub(crate) fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now().0)
    }

    /// Lets happen what does not come from the cluster. Called an eighth before each slot.
    pub(crate) fn passes(&self) {
        self.judge().advance(self.now());
        self.announce();
    }

    /// What a villain makes of a block: one as good, with another graffiti.
    pub(crate) fn another_block(&self, of: PeerIdx, block: &VersionedProposal) -> Option<VersionedProposal> {
        let boost = if block.is_blinded() { u64::MAX } else { 0 };
        let (face, randao) = (usize::from(of.0), (block.randao_reveal(), true));
        let mut judge = self.judge();
        if judge.view(face, self.now()).head().slot >= block.slot() {
            return None;
        }
        let made = judge.produce(face, self.now(), block.slot(), randao, GRAFFITI, boost);
        let ingredients = made.ok()?;
        let other = ingredients.proposal();
        if other.is_blinded() {
            judge.offer(other.block_root(), ingredients);
        }
        Some(other)
    }

    /// Tells what has happened to those whose face hears it.
    fn announce(&self) {
        let (now, mut judge) = (self.now(), self.judge());
        let events = judge.take_events();
        for (face, listener) in self.listeners.lock().unwrap().iter() {
            let view = judge.view(*face, now);
            for event in events.iter().filter(|_| view.hears()) {
                // Nobody may be listening.
                let _ = listener.send(told(event, view.is_optimistic()));
            }
        }
    }

    fn genuine(&self, claims: &[Claim]) -> Vec<bool> {
        let claims: Vec<CoreClaim> = claims
            .iter()
            .map(|c| CoreClaim {
                signer: Signer::Group(PubKey(c.key.0)),
                root: c.root,
                signature: c.signature,
            })
            .collect();
        self.toy
            .verify_set(&claims, &[0; 32])
            .iter()
            .map(Result::is_ok)
            .collect()
    }

    fn is_genuine(&self, claim: Claim) -> bool {
        self.genuine(&[claim]) == [true]
    }
}

fn told(event: &judge::ChainEvent, execution_optimistic: bool) -> ChainEvent {
    match event {
        judge::ChainEvent::Block { slot, root } => ChainEvent::Block(BlockEvent {
            slot: *slot,
            block: *root,
            execution_optimistic,
        }),
        judge::ChainEvent::Head {
            block,
            epoch_transition,
            previous_dependent,
            current_dependent,
        } => ChainEvent::Head(HeadEvent {
            slot: block.slot,
            block: block.root,
            state: block.state_root,
            epoch_transition: *epoch_transition,
            previous_duty_dependent_root: *previous_dependent,
            current_duty_dependent_root: *current_dependent,
            execution_optimistic,
        }),
        judge::ChainEvent::Reorg { depth, old, new } => ChainEvent::Reorg(ReorgEvent {
            slot: new.slot,
            depth: *depth,
            old_head_block: old.root,
            new_head_block: new.root,
        }),
    }
}

/// One node's beacon node.
pub(crate) struct SimBeacon {
    world: Arc<World>,
    face: usize,
    rng: Mutex<ChaCha20Rng>,
    events: broadcast::Sender<ChainEvent>,
    audit: Arc<Audit>,
}

fn status(status: u16, message: &str) -> BeaconError {
    BeaconError::Status {
        endpoint: "/sim",
        status,
        message: message.to_owned(),
    }
}

fn refused(why: &Refused) -> BeaconError {
    status(400, &why.0)
}

fn missing(why: &Refused) -> BeaconError {
    status(404, &why.0)
}

impl SimBeacon {
    pub(crate) fn new(world: &Arc<World>, face: u8, seed: u64, audit: &Arc<Audit>) -> Arc<Self> {
        let events = broadcast::channel(16).0;
        world
            .listeners
            .lock()
            .unwrap()
            .push((usize::from(face), events.clone()));
        Arc::new(Self {
            world: Arc::clone(world),
            face: usize::from(face),
            rng: Mutex::new(ChaCha20Rng::seed_from_u64(seed)),
            events,
            audit: Arc::clone(audit),
        })
    }

    /// One request: it takes its time, then the judge answers.
    fn ask<'a, T: Send + 'a>(
        &'a self,
        what: &'static str,
        answer: impl FnOnce(&World, usize, Duration) -> Result<T, BeaconError> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, BeaconError>> {
        Box::pin(async move {
            let latency = Duration::from_micros(self.rng.lock().unwrap().random_range(200..20_000));
            let manner = self.world.judge().manner(self.face, self.world.now());
            let latency = match manner {
                Manner::Answer => latency,
                Manner::After(longer) => longer.saturating_add(latency),
                Manner::Fail => {
                    tokio::time::sleep(latency).await;
                    return Err(status(500, "failing on purpose"));
                }
                Manner::Never => TIMEOUT,
            };
            if latency >= TIMEOUT {
                tokio::time::sleep(TIMEOUT).await;
                self.say(what, "no answer in time");
                return Err(BeaconError::Timeout {
                    endpoint: "/sim",
                    after: TIMEOUT,
                });
            }
            tokio::time::sleep(latency).await;
            let now = self.world.now();
            self.world.judge().advance(now);
            let answer = answer(&self.world, self.face, now);
            self.world.announce();
            self.audit.note(now, what, &[u8::from(answer.is_ok())]);
            self.say(
                what,
                match &answer {
                    Ok(_) => "answered",
                    Err(BeaconError::Status { message, .. }) => message,
                    Err(_) => "failed",
                },
            );
            answer
        })
    }

    fn say(&self, what: &str, how: &str) {
        let now = self.world.clock.now();
        if self.audit.traces(now.since(GENESIS).as_secs() / SLOT.as_secs()) {
            self.audit.say(now, || format!("bn {}: {what}: {how}", self.face));
        }
    }

    /// Submits each item by itself; an error if any is refused.
    fn submit<'a, T: Send + 'a>(
        &'a self,
        what: &'static str,
        items: Vec<T>,
        mut take: impl FnMut(&World, usize, Duration, &T) -> Result<(), Refused> + Send + 'a,
    ) -> BoxFuture<'a, Result<(), BeaconError>> {
        self.ask(what, move |world, face, now| {
            let mut first = Ok(());
            for item in &items {
                let taken = take(world, face, now, item);
                first = first.and(taken);
            }
            first.map_err(|why| refused(&why))
        })
    }
}

fn duties<T>(judge: &Judge, face: usize, now: Duration, epoch: Epoch, duties: Vec<T>) -> Duties<T> {
    let view = judge.view(face, now);
    Duties {
        dependent_root: view.dependent_root(epoch),
        execution_optimistic: view.is_optimistic(),
        duties,
    }
}

impl BeaconNode for SimBeacon {
    fn node_version(&self) -> BoxFuture<'_, Result<String, BeaconError>> {
        self.ask("version", |_, _, _| Ok("judge/v1".to_owned()))
    }

    fn syncing(&self) -> BoxFuture<'_, Result<SyncingStatus, BeaconError>> {
        self.ask("syncing", |world, face, now| {
            Ok(world.judge().view(face, now).syncing())
        })
    }

    fn validators(&self, _: &str, keys: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        let keys = keys.to_vec();
        self.ask("validators", move |world, _, _| {
            let judge = world.judge();
            let info = |key: PubKey| {
                let pubkey = trireme_eth2::BlsPubkey(key.0);
                Some(ValidatorInfo {
                    index: judge.index_of(&pubkey)?,
                    balance: Gwei(32_000_000_000),
                    status: ValidatorStatus::ActiveOngoing,
                    validator: ValidatorRecord {
                        pubkey,
                        withdrawal_credentials: Root::ZERO,
                        effective_balance: Gwei(32_000_000_000),
                        slashed: false,
                        activation_eligibility_epoch: Epoch(0),
                        activation_epoch: Epoch(0),
                        exit_epoch: Epoch::FAR_FUTURE,
                        withdrawable_epoch: Epoch::FAR_FUTURE,
                    },
                })
            };
            Ok(keys.into_iter().filter_map(info).collect())
        })
    }

    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        let indices = indices.to_vec();
        self.ask("attester duties", move |world, face, now| {
            let mut judge = world.judge();
            let committees = judge.committees(epoch);
            let duty = |validator_index: ValidatorIndex| {
                let seat = committees.seat(validator_index)?;
                let length = committees.members(seat.slot, seat.committee).map_or(0, <[_]>::len);
                Some(AttesterDuty {
                    pubkey: judge.chain().key(validator_index)?,
                    slot: seat.slot,
                    validator_index,
                    committee_index: seat.committee,
                    committee_length: u64::try_from(length).unwrap(),
                    committees_at_slot: u64::try_from(committees.per_slot).unwrap(),
                    validator_committee_index: u64::try_from(seat.position).unwrap(),
                })
            };
            let list = indices.into_iter().filter_map(duty).collect();
            Ok(duties(&judge, face, now, Epoch(epoch.0.saturating_sub(1)), list))
        })
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        self.ask("proposer duties", move |world, face, now| {
            let judge = world.judge();
            let first = judge.chain().first_slot(epoch).0;
            let duty = |slot: Slot| {
                let validator_index = judge.proposer(slot);
                Some(ProposerDuty {
                    pubkey: judge.chain().key(validator_index)?,
                    slot,
                    validator_index,
                })
            };
            let slots = (first..first + judge.chain().slots_per_epoch).map(Slot);
            Ok(duties(&judge, face, now, epoch, slots.filter_map(duty).collect()))
        })
    }

    fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        let indices = indices.to_vec();
        self.ask("sync duties", move |world, _, _| {
            let mut judge = world.judge();
            let members = judge.sync_committee(epoch);
            let duty = |validator_index: ValidatorIndex| {
                Some(SyncDuty {
                    pubkey: judge.chain().key(validator_index)?,
                    validator_index,
                    validator_sync_committee_indices: vec![*members.get(&validator_index)?],
                })
            };
            Ok(Duties {
                dependent_root: Root::ZERO,
                execution_optimistic: false,
                duties: indices.into_iter().filter_map(duty).collect(),
            })
        })
    }

    fn attestation_data(&self, slot: Slot, committee: u64) -> BoxFuture<'_, Result<AttestationData, BeaconError>> {
        self.ask("attestation data", move |world, face, now| {
            let data = world
                .judge()
                .attestation_data(face, now, slot, CommitteeIndex(committee));
            data.map_err(|why| refused(&why))
        })
    }

    fn aggregate_attestation(
        &self,
        slot: Slot,
        data_root: Root,
        committee: u64,
    ) -> BoxFuture<'_, Result<VersionedAttestation, BeaconError>> {
        self.ask("aggregate", move |world, face, now| {
            let found = world
                .judge()
                .aggregate(face, now, slot, data_root, Some(CommitteeIndex(committee)));
            let attestation = found.map_err(|why| missing(&why))?;
            Ok(VersionedAttestation {
                validator_index: None,
                attestation,
            })
        })
    }

    fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<SyncCommitteeContribution, BeaconError>> {
        self.ask("contribution", move |world, face, now| {
            let found = world.judge().contribution(face, now, slot, subcommittee, block);
            found.map_err(|why| missing(&why))
        })
    }

    fn produce_block(&self, ask: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        self.ask("block", move |world, face, now| {
            if world.judge().view(face, now).is_optimistic() {
                return Err(status(503, "the execution client is syncing; it makes no payload"));
            }
            let claim = world.judge().claim_of_randao(ask.slot, ask.randao_reveal);
            let genuine = world.is_genuine(claim.map_err(|why| refused(&why))?);
            let randao = (ask.randao_reveal, genuine);
            let made = world
                .judge()
                .produce(face, now, ask.slot, randao, ask.graffiti, ask.builder_boost_factor);
            let ingredients = made.map_err(|why| refused(&why))?;
            let proposal = ingredients.proposal();
            if proposal.is_blinded() {
                world.judge().offer(proposal.block_root(), ingredients);
            }
            let value = Uint256::from(1_000_000_000_u64);
            Ok(ProposalResponse {
                proposal,
                execution_payload_value: value,
                consensus_block_value: value,
            })
        })
    }

    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit attestations", atts, |world, face, now, attestation| {
            let fork = attestation.attestation.fork();
            let vote = SubmittedVote::Single(attestation.to_single().expect("a single vote of Electra or later"));
            let mut judge = world.judge();
            let (validator, claim) = judge.claims_of_vote(now, &vote)?;
            let genuine = world.is_genuine(claim);
            judge.vote(face, now, fork, &vote, validator, genuine).map(drop)
        })
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit block", vec![block], |world, face, now, block| {
            let view = BlockView::of(block);
            let mut judge = world.judge();
            let claims = judge.claims_of_block(now, &view)?;
            let genuine: [bool; 2] = world.genuine(&claims).try_into().unwrap();
            judge
                .propose(face, now, block.fork(), Arc::clone(block), &view, genuine)
                .map(drop)
        })
    }

    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.ask("prepare", move |world, _, _| {
            for (validator, recipient) in prep {
                world.judge().prepare(validator, ExecutionAddress(recipient));
            }
            Ok(())
        })
    }

    fn submit_aggregates(
        &self,
        aggregates: Vec<VersionedSignedAggregateAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit aggregates", aggregates, |world, face, now, signed| {
            let mut judge = world.judge();
            let claims = judge.claims_of_aggregate(now, signed)?;
            let genuine: [bool; 2] = world.genuine(&claims).try_into().unwrap();
            judge.aggregated(face, now, signed.fork(), signed, genuine).map(drop)
        })
    }

    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit sync messages", messages, |world, face, now, message| {
            let mut judge = world.judge();
            let claim = judge.claim_of_sync_message(now, message)?;
            let genuine = world.is_genuine(claim);
            judge.sync_message(face, now, message, genuine).map(drop)
        })
    }

    fn submit_contributions(
        &self,
        contributions: Vec<SignedContributionAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit contributions", contributions, |world, face, now, signed| {
            let mut judge = world.judge();
            let claims = judge.claims_of_contribution(now, signed)?;
            let genuine: [bool; 2] = world.genuine(&claims).try_into().unwrap();
            judge.contribute(face, now, signed, genuine).map(drop)
        })
    }

    fn submit_exit(&self, exit: SignedVoluntaryExit) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit exit", vec![exit], |world, face, now, signed| {
            let mut judge = world.judge();
            let claim = judge.claim_of_exit(now, signed)?;
            let genuine = world.is_genuine(claim);
            judge.exit(face, now, signed, genuine).map(drop)
        })
    }

    fn submit_registrations(
        &self,
        registrations: Vec<SignedValidatorRegistrationV1>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.submit("submit registrations", registrations, |world, face, now, signed| {
            let mut judge = world.judge();
            let genuine = world.is_genuine(judge.claim_of_registration(signed));
            judge.register(face, now, signed, genuine).map(drop)
        })
    }

    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        self.ask("block root", move |world, face, now| {
            Ok(world.judge().view(face, now).block_at(slot).map(|b| b.root))
        })
    }

    fn head_root(&self) -> BoxFuture<'_, Result<Root, BeaconError>> {
        self.ask("head root", |world, face, now| {
            Ok(world.judge().view(face, now).head().root)
        })
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        // Whoever looks for votes in blocks finds none; the judge counts them itself.
        self.ask("signed block", move |_, _, _| {
            let _ = slot;
            Ok(None)
        })
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        self.ask("committees", move |world, _, _| {
            let mut judge = world.judge();
            let epoch = judge.chain().epoch(slot);
            let committees = judge.committees(epoch);
            let list = committees
                .all()
                .filter(|(s, _, _)| *s == slot)
                .map(|(slot, index, validators)| BeaconCommittee {
                    index,
                    slot,
                    validators: validators.to_vec(),
                });
            Ok(list.collect())
        })
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }
}
