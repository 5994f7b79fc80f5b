//! Whether what was sent made it onto the chain (core.md 14.6).
//!
//! Guarantees: each slot is looked at once, some slots later, with one request for its block, and only if something of
//! ours could be in it; where committees are joined in a block (from Electra on), the sizes of a slot's committees are
//! asked for once. A beacon node that cannot answer is asked again with the next slot. Nothing is kept for more slots than
//! the chain takes votes for.
//! By default only blocks are looked for; attestations, aggregates and sync messages with feature `attestation_inclusion`.
//! Not here: what an absence means for the duty (`reason`).

mod votes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use trireme_eth2::{BeaconCommittee, BlsSignature, PresetKind, Root, Slot, VersionedSignedBlock};

use self::votes::{Sizes, Vote, sizes, slots_of, votes_in};
use super::metrics::TrackerMetrics;
use crate::{
    cx::DutyCx,
    data::{SignedData, SignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    ids::PubKey,
    ports::{BeaconError, BeaconNode, Clock},
    scheduler::SlotTicker,
    step::{ErrorKind, Fault, Record, StepError, StepName, Subject},
    time::SlotTiming,
};

/// Slots after which a slot's block is looked at.
pub const LAG: u64 = 6;
/// Slots for which the chain takes votes.
pub const WINDOW: u64 = 32;
/// Blocks asked for with one slot, when earlier ones could not be had.
const AT_A_TIME: usize = 4;

/// The questions asked of the beacon node.
pub trait Chain: Send + Sync {
    /// Root of the slot's block; `None` for an empty slot.
    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>>;
    /// The slot's block; `None` for an empty slot.
    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>>;
    /// The slot's committees.
    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>>;
}

/// A beacon node as [`Chain`].
pub struct BeaconChain(pub Arc<dyn BeaconNode>);

impl Chain for BeaconChain {
    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        self.0.block_root(slot)
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        self.0.block(slot)
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        self.0.committees(slot)
    }
}

/// What a checker is made of.
pub struct InclusionParts {
    /// Whom it asks.
    pub chain: Arc<dyn Chain>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// When slots begin.
    pub timing: SlotTiming,
    /// The network's preset, which decides the root of a block.
    pub preset: PresetKind,
    /// Whether attestations, aggregates and sync messages are looked for, too.
    pub votes: bool,
    /// The tracker's queue.
    pub records: mpsc::Sender<Record>,
    /// Its metrics.
    pub metrics: TrackerMetrics,
}

/// What a block was not found to contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not seen on chain within {WINDOW} slots")]
pub struct NotIncluded;

impl Fault for NotIncluded {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Permanent
    }
}

/// A sync committee member's vote for the head.
struct SyncVote {
    validator: PubKey,
    root: Root,
    /// Its places in the committee.
    places: Vec<u64>,
}

/// Our block of a slot.
struct OwnBlock {
    validator: PubKey,
    root: Option<Root>,
    signature: BlsSignature,
}

/// What is looked for, by the slot of the duty.
#[derive(Default)]
struct Sought {
    blocks: BTreeMap<Slot, Vec<OwnBlock>>,
    votes: BTreeMap<Slot, Vec<Vote>>,
    syncs: BTreeMap<Slot, Vec<SyncVote>>,
    /// Places in the sync committee, from the latest definitions.
    places: BTreeMap<PubKey, Vec<u64>>,
    /// Slots whose blocks have to be looked at.
    due: BTreeSet<Slot>,
    /// Sizes of committees, for slots with votes.
    committees: BTreeMap<Slot, Sizes>,
}

/// See the module's description.
pub struct Inclusion {
    parts: InclusionParts,
    sought: Mutex<Sought>,
}

impl Inclusion {
    /// A checker that reports to the tracker's queue.
    #[must_use]
    pub fn new(parts: InclusionParts) -> Self {
        Self {
            parts,
            sought: Mutex::default(),
        }
    }

    /// Learns the members' places in the sync committee.
    ///
    /// # Errors
    ///
    /// None; it is a step.
    #[expect(clippy::unused_async, reason = "subscribers are async")]
    pub async fn scheduled(self: Arc<Self>, cx: DutyCx, set: Arc<DutyDefinitionSet>) -> Result<(), StepError> {
        if self.parts.votes && cx.duty.kind == DutyType::SyncContribution {
            let places = set.0.iter().filter_map(|(validator, definition)| match definition {
                DutyDefinition::Sync(duty) => Some((*validator, duty.validator_sync_committee_indices.clone())),
                DutyDefinition::Attester(_) | DutyDefinition::Proposer(_) => None,
            });
            self.lock().places = places.collect();
        }
        Ok(())
    }

    /// Takes what was, or was to be, sent: a beacon node that fails for us may have succeeded for a peer.
    ///
    /// # Errors
    ///
    /// None; it is a step.
    #[expect(clippy::unused_async, reason = "subscribers are async")]
    pub async fn submitted(self: Arc<Self>, cx: DutyCx, set: Arc<SignedDataSet>) -> Result<(), StepError> {
        let slot = cx.duty.slot;
        let mut sought = self.lock();
        for (validator, data) in &set.0 {
            match data {
                SignedData::Proposal(block) => sought.blocks.entry(slot).or_default().push(OwnBlock {
                    validator: *validator,
                    root: block.block_root_in(self.parts.preset).ok(),
                    signature: block.signature(),
                }),
                SignedData::SyncMessage(message) if self.parts.votes => {
                    // Without definitions nobody knows which bits are ours.
                    if let Some(places) = sought.places.get(validator).cloned() {
                        sought.syncs.entry(slot).or_default().push(SyncVote {
                            validator: *validator,
                            root: message.beacon_block_root,
                            places,
                        });
                    }
                }
                SignedData::Attestation(_) | SignedData::Aggregate(_) if self.parts.votes => {
                    if let Some(vote) = Vote::of(*validator, data) {
                        sought.votes.entry(slot).or_default().push(vote);
                    }
                }
                SignedData::Attestation(_)
                | SignedData::Aggregate(_)
                | SignedData::SyncMessage(_)
                | SignedData::UnversionedAttestation(_)
                | SignedData::Signature(_)
                | SignedData::Exit(_)
                | SignedData::Registration(_)
                | SignedData::Randao(_)
                | SignedData::BeaconCommitteeSelection(_)
                | SignedData::UnversionedAggregate(_)
                | SignedData::SyncCommitteeSelection(_)
                | SignedData::Contribution(_) => {}
            }
        }
        Ok(())
    }

    /// Looks for what was sent, once per slot, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut ticker = SlotTicker::new(Arc::clone(&self.parts.clock), self.parts.timing);
        loop {
            let (tick, skipped) = ticker.next().await;
            self.on_slot(tick.slot, skipped).await;
        }
    }

    async fn on_slot(&self, now: Slot, skipped: u64) {
        if let Some(newest) = now.0.checked_sub(LAG) {
            let oldest = newest.saturating_sub(skipped.min(WINDOW));
            let mut sought = self.lock();
            let due: Vec<_> = (oldest..=newest)
                .map(Slot)
                .filter(|slot| sought.could_be_in(*slot))
                .collect();
            sought.due.extend(due);
        }
        let due: Vec<Slot> = self.lock().due.iter().copied().take(AT_A_TIME).collect();
        for slot in due {
            if self.look(slot).await.is_err() {
                break;
            }
            self.lock().due.remove(&slot);
        }
        self.give_up(now);
    }

    /// One request for the block, and what is in it.
    async fn look(&self, slot: Slot) -> Result<(), BeaconError> {
        if !self.lock().needs_votes(slot) {
            let root = self.parts.chain.block_root(slot).await?;
            let own = self.lock().blocks.remove(&slot).unwrap_or_default();
            for block in own {
                // A root that cannot be computed cannot be compared either; then any block counts.
                let seen = root.map(|r| block.root.is_none_or(|ours| ours == r));
                self.report_block(slot, &block, seen);
            }
            return Ok(());
        }
        let block = self.parts.chain.block(slot).await?;
        if let Some(block) = &block {
            self.learn_committees(block).await?;
        }
        let own = self.lock().blocks.remove(&slot).unwrap_or_default();
        for ours in own {
            let seen = block.as_ref().map(|b| b.signature() == ours.signature);
            self.report_block(slot, &ours, seen);
        }
        if let Some(block) = &block {
            self.report_votes(slot, block);
            self.report_syncs(slot, block);
        }
        Ok(())
    }

    /// Asks for the committees of slots whose joined votes are in the block, where they are not known.
    async fn learn_committees(&self, block: &VersionedSignedBlock) -> Result<(), BeaconError> {
        let unknown: Vec<Slot> = {
            let sought = self.lock();
            let open = |slot: &Slot| {
                let votes = sought.votes.get(slot).map_or(&[][..], Vec::as_slice);
                votes.iter().any(|v| v.joined) && !sought.committees.contains_key(slot)
            };
            slots_of(block).into_iter().filter(open).collect()
        };
        for slot in unknown {
            let committees = self.parts.chain.committees(slot).await?;
            let mut sought = self.lock();
            sought.committees.insert(slot, sizes(&committees));
            for vote in sought.votes.entry(slot).or_default() {
                vote.settle(&committees);
            }
        }
        Ok(())
    }

    fn report_block(&self, slot: Slot, own: &OwnBlock, seen: Option<bool>) {
        let duty = Duty::new(slot, DutyType::Proposer);
        let validator = own.validator.short();
        match seen {
            Some(true) => tracing::debug!(%duty, %validator, "Our block is on the chain"),
            Some(false) => {
                self.parts.metrics.missed(duty.kind);
                tracing::warn!(%duty, %validator, "Another block than ours is on the chain; somebody else holds the validator's key, or the block was orphaned");
            }
            None => {
                self.parts.metrics.missed(duty.kind);
                tracing::warn!(%duty, %validator, "Our block is not on the chain; it was late, or the beacon node has network trouble");
            }
        }
        self.record(duty, vec![Subject::of(own.validator)], Ok(()));
    }

    fn report_votes(&self, slot: Slot, block: &VersionedSignedBlock) {
        let mut included: BTreeMap<Duty, Vec<Subject>> = BTreeMap::new();
        {
            let mut sought = self.lock();
            let Sought { votes, committees, .. } = &mut *sought;
            let wanted = votes.values().flatten().map(|v| v.data).collect();
            let there = votes_in(block, &wanted, committees);
            for (of, list) in votes.iter_mut().filter(|(of, _)| **of < slot) {
                list.retain(|vote| {
                    let found = vote.is_in(&there);
                    if found {
                        let subjects = included.entry(Duty::new(*of, vote.kind)).or_default();
                        subjects.push(Subject::of(vote.validator));
                    }
                    !found
                });
            }
        }
        for (duty, subjects) in included {
            let delay = slot.0.saturating_sub(duty.slot.0);
            tracing::debug!(%duty, validators = subjects.len(), delay, "Duty is on the chain");
            if duty.kind == DutyType::Attester {
                self.parts.metrics.inclusion_delay(delay);
            }
            self.record(duty, subjects, Ok(()));
        }
    }

    /// Sync messages have one chance, the block after their slot; an empty slot is nobody's fault.
    fn report_syncs(&self, slot: Slot, block: &VersionedSignedBlock) {
        let Some((of, aggregate)) = slot.0.checked_sub(1).map(Slot).zip(block.sync_aggregate()) else {
            return;
        };
        let votes = self.lock().syncs.remove(&of).unwrap_or_default();
        let is_in = |place: &u64| {
            let place = usize::try_from(*place).ok();
            place.is_some_and(|p| aggregate.sync_committee_bits.get(p).unwrap_or(false))
        };
        let missed: Vec<String> = votes
            .iter()
            .filter(|v| v.root != block.parent_root() || !v.places.iter().any(is_in))
            .map(|v| v.validator.short())
            .collect();
        if !missed.is_empty() {
            let duty = Duty::new(of, DutyType::SyncMessage);
            self.parts.metrics.missed(duty.kind);
            tracing::info!(%duty, validators = missed.join(","),
                "Sync messages are not in the block after their slot; they were late, or voted for another head than the block builds on");
        }
    }

    /// Gives up what the chain takes no more, and forgets what can no longer be looked at.
    fn give_up(&self, now: Slot) {
        let Some(last) = now.0.checked_sub(LAG.saturating_add(WINDOW)).map(Slot) else {
            return;
        };
        let (blocks, votes) = {
            let mut sought = self.lock();
            // Slots that the beacon node would not tell about for so long are as good as looked at.
            sought.due.retain(|slot| *slot > last);
            sought.committees.retain(|slot, _| *slot > last);
            sought.syncs.retain(|slot, _| *slot > last);
            (split(&mut sought.blocks, last), split(&mut sought.votes, last))
        };
        for (slot, blocks) in blocks {
            let duty = Duty::new(slot, DutyType::Proposer);
            tracing::warn!(%duty, "It stays unknown whether our block is on the chain, the beacon node did not tell");
            let subjects = blocks.iter().map(|b| Subject::of(b.validator)).collect();
            self.record(duty, subjects, Ok(()));
        }
        for (slot, votes) in votes {
            for kind in [DutyType::Attester, DutyType::Aggregator] {
                let missed: Vec<_> = votes.iter().filter(|v| v.kind == kind).collect();
                if missed.is_empty() {
                    continue;
                }
                let duty = Duty::new(slot, kind);
                let names: Vec<String> = missed.iter().map(|v| v.validator.short()).collect();
                self.parts.metrics.missed(kind);
                tracing::warn!(%duty, validators = names.join(","),
                    "Sent but not on the chain after {WINDOW} slots; it was late, or the beacon node has network trouble");
                let subjects = missed.iter().map(|v| Subject::of(v.validator)).collect();
                self.record(duty, subjects, Err(NotIncluded.into()));
            }
        }
    }

    fn record(&self, duty: Duty, subjects: Vec<Subject>, outcome: Result<(), StepError>) {
        let record = Record {
            duty,
            step: StepName::InclusionCheck,
            at: self.parts.clock.now(),
            subjects,
            outcome,
        };
        // A full queue means that the tracker has lost count anyway.
        let _ = self.parts.records.try_send(record);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sought> {
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sought {
    /// Whether a block of this slot can contain anything that is looked for.
    fn could_be_in(&self, slot: Slot) -> bool {
        self.blocks.contains_key(&slot) || self.needs_votes(slot)
    }

    /// Whether it is votes.
    fn needs_votes(&self, slot: Slot) -> bool {
        let first = Slot(slot.0.saturating_sub(WINDOW));
        let votes = self.votes.range(first..slot).any(|(_, list)| !list.is_empty());
        votes || slot.0.checked_sub(1).is_some_and(|s| self.syncs.contains_key(&Slot(s)))
    }
}

/// Takes out everything up to `last`.
fn split<T>(map: &mut BTreeMap<Slot, T>, last: Slot) -> BTreeMap<Slot, T> {
    let kept = map.split_off(&Slot(last.0.saturating_add(1)));
    std::mem::replace(map, kept)
}

#[cfg(test)]
mod tests;
