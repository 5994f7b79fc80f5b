//! Made-up proposals for tests of a cluster (core.md 9.8): every active validator without a proposal in an epoch gets a
//! slot for one.
//!
//! Guarantees: a made-up block carries a marker in its graffiti and never reaches a beacon node; real duties are never
//! replaced; nodes of this implementation make up the same duties.
//! Not here: when this is switched on (`node`). It stands in front of the beacon nodes, behind every cache but its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use trireme_eth2::{
    BlockContents, BlsPubkey, Container, Epoch, ExecutionAddress, ForkedBlock, ProposalResponse, ProposerDuty, Root,
    Slot, Uint256, ValidatorIndex, VersionedProposal, VersionedSignedBlock, VersionedSignedProposal,
    ssz_types::{VariableList, typenum::Unsigned},
};

use crate::{
    ids::PubKey,
    ports::{BeaconError, BeaconLayer, BeaconNode, Duties, ProduceBlock},
    registrations::Registrations,
    validators::ValidatorSet,
};

/// What marks a made-up block.
const MARKER: &[u8] = b"SYNTHETIC BLOCK: DO NOT SUBMIT";

/// Rounds of the shuffle, as on mainnet.
const ROUNDS: u8 = 90;

/// Epochs whose made-up duties are kept.
const KEPT: usize = 10;

/// Slots that are looked back for a block to copy.
const LOOK_BACK: u64 = 32;

/// The graffiti of made-up blocks.
#[must_use]
pub fn marker() -> Root {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(MARKER) {
        *to = *from;
    }
    Root(out)
}

/// See the module's description.
pub struct SyntheticProposals {
    inner: Arc<dyn BeaconNode>,
    registrations: Arc<Registrations>,
    keys: Vec<PubKey>,
    slots_per_epoch: u64,
    made_up: Mutex<BTreeMap<Epoch, Vec<ProposerDuty>>>,
}

impl SyntheticProposals {
    /// In front of `inner`, for the cluster's validators.
    #[must_use]
    pub fn new(
        inner: Arc<dyn BeaconNode>,
        registrations: Arc<Registrations>,
        keys: Vec<PubKey>,
        slots_per_epoch: u64,
    ) -> Self {
        Self {
            inner,
            registrations,
            keys,
            slots_per_epoch,
            made_up: Mutex::default(),
        }
    }

    async fn proposers(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, BeaconError> {
        let mut answer = self.inner.proposer_duties(epoch).await?;
        let known = self.made_up().get(&epoch).cloned();
        let made_up = match known {
            Some(made_up) => made_up,
            None => {
                let found = self.inner.validators("head", &self.keys).await?;
                let set = ValidatorSet {
                    by_index: found.into_iter().map(|v| (v.index, v)).collect(),
                };
                let made_up = make_up(epoch, &set, &answer.duties, self.slots_per_epoch);
                let mut kept = self.made_up();
                kept.insert(epoch, made_up.clone());
                while kept.len() > KEPT {
                    kept.pop_first();
                }
                made_up
            }
        };
        // After a reorganisation a validator may have got a real duty, or one of ours the slot.
        let real = answer
            .duties
            .iter()
            .filter(|d| self.keys.iter().any(|key| key.0 == d.pubkey.0));
        let (slots, busy): (BTreeSet<Slot>, BTreeSet<ValidatorIndex>) =
            real.map(|d| (d.slot, d.validator_index)).unzip();
        let free = |m: &ProposerDuty| !slots.contains(&m.slot) && !busy.contains(&m.validator_index);
        answer.duties.extend(made_up.into_iter().filter(free));
        Ok(answer)
    }

    /// The made-up duty of a slot.
    fn duty(&self, slot: Slot) -> Option<ProposerDuty> {
        let epoch = Epoch(slot.0.checked_div(self.slots_per_epoch)?);
        let made_up = self.made_up();
        made_up.get(&epoch)?.iter().find(|d| d.slot == slot).copied()
    }

    async fn block_of(&self, ask: ProduceBlock) -> Result<ProposalResponse, BeaconError> {
        let Some(duty) = self.duty(ask.slot) else {
            return self.inner.produce_block(ask).await;
        };
        for back in 1..=LOOK_BACK {
            let Some(slot) = ask.slot.0.checked_sub(back).map(Slot) else {
                break;
            };
            let Some(block) = self.inner.block(slot).await? else {
                continue;
            };
            let recipient = self
                .registrations
                .fee_recipient(&PubKey(duty.pubkey.0))
                .unwrap_or_default();
            let copy = Copy {
                slot: ask.slot,
                proposer: duty.validator_index,
                recipient: ExecutionAddress(recipient),
            };
            return Ok(ProposalResponse {
                proposal: VersionedProposal::Full(copy.of(&block)),
                execution_payload_value: Uint256::default(),
                consensus_block_value: Uint256::default(),
            });
        }
        Err(BeaconError::Status {
            endpoint: "/eth/v2/beacon/blocks/{slot}",
            status: 404,
            message: "no block to make a synthetic one of (retryable)".to_owned(),
        })
    }

    async fn submit(&self, block: Arc<VersionedSignedProposal>) -> Result<(), BeaconError> {
        if block.graffiti() == marker() {
            tracing::info!(slot = block.slot().0, "a synthetic block is done; it is not sent");
            return Ok(());
        }
        self.inner.submit_proposal(block).await
    }

    fn made_up(&self) -> MutexGuard<'_, BTreeMap<Epoch, Vec<ProposerDuty>>> {
        self.made_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot for each active validator without a real proposal in the epoch, as far as slots are free.
fn make_up(epoch: Epoch, set: &ValidatorSet, real: &[ProposerDuty], slots_per_epoch: u64) -> Vec<ProposerDuty> {
    let active: Vec<(ValidatorIndex, PubKey)> = set.active(epoch).collect();
    let mut taken = BTreeMap::new();
    for at in 0..active.len() {
        let Some((index, key)) = active.get(shuffled(at, active.len(), epoch)) else {
            continue;
        };
        if real.iter().any(|d| d.validator_index == *index) {
            continue;
        }
        let into = index.0.checked_rem(slots_per_epoch).unwrap_or_default();
        let slot = Slot(epoch.0.saturating_mul(slots_per_epoch).saturating_add(into));
        taken.entry(slot).or_insert(ProposerDuty {
            pubkey: BlsPubkey(key.0),
            slot,
            validator_index: *index,
        });
    }
    taken.into_values().collect()
}

/// Where the list's place `index` is taken from: the swap-or-not shuffle of the consensus specification, with the epoch
/// as seed.
fn shuffled(index: usize, n: usize, epoch: Epoch) -> usize {
    let (Ok(mut index), Ok(n)) = (u64::try_from(index), u64::try_from(n)) else {
        return index;
    };
    let mut seed = [0; 32];
    for (to, from) in seed.iter_mut().zip(epoch.0.to_le_bytes()) {
        *to = from;
    }
    for round in 0..ROUNDS {
        let hash: [u8; 32] = Sha256::new().chain_update(seed).chain_update([round]).finalize().into();
        let number = hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let Some(pivot) = number.checked_rem(n) else {
            break;
        };
        let flip = (pivot.saturating_add(n).saturating_sub(index))
            .checked_rem(n)
            .unwrap_or_default();
        let position = index.max(flip);
        let block = u32::try_from(position / 256).unwrap_or(u32::MAX);
        let source = Sha256::new()
            .chain_update(seed)
            .chain_update([round])
            .chain_update(block.to_le_bytes())
            .finalize();
        let byte = usize::try_from(position % 256 / 8)
            .ok()
            .and_then(|at| source.get(at))
            .copied();
        if byte.unwrap_or_default() >> (position % 8) & 1 == 1 {
            index = flip;
        }
    }
    usize::try_from(index).unwrap_or_default()
}

/// What is different in a copied block.
struct Copy {
    slot: Slot,
    proposer: ValidatorIndex,
    recipient: ExecutionAddress,
}

/// Copies a block and its payload's first transactions.
macro_rules! copied {
    ($self:ident, $block:expr) => {{
        let mut block = $block.message.clone();
        block.slot = $self.slot;
        block.proposer_index = $self.proposer;
        block.body.graffiti = marker();
        block
    }};
    ($self:ident, $block:expr, payload) => {{
        let mut block = copied!($self, $block);
        let payload = &mut block.body.execution_payload;
        payload.fee_recipient = $self.recipient;
        payload.transactions = first_tenth(&payload.transactions);
        block
    }};
}

impl Copy {
    fn of(&self, block: &VersionedSignedBlock) -> ForkedBlock {
        use VersionedSignedBlock as B;
        match block {
            B::Phase0(x) => ForkedBlock::Phase0(copied!(self, x)),
            B::Altair(x) => ForkedBlock::Altair(copied!(self, x)),
            B::Bellatrix(x) => ForkedBlock::Bellatrix(copied!(self, x, payload)),
            B::Capella(x) => ForkedBlock::Capella(copied!(self, x, payload)),
            B::Deneb(x) => ForkedBlock::Deneb(without_blobs(copied!(self, x, payload))),
            B::Electra(x) => ForkedBlock::Electra(without_blobs(copied!(self, x, payload))),
            B::Fulu(x) => ForkedBlock::Fulu(without_blobs(copied!(self, x, payload))),
        }
    }
}

fn first_tenth<T: Clone, N: Unsigned>(list: &VariableList<T, N>) -> VariableList<T, N> {
    let few: Vec<T> = list.iter().take(list.len() / 10).cloned().collect();
    VariableList::new(few).unwrap_or_default()
}

fn without_blobs<B: Container, N: Unsigned + 'static>(block: trireme_eth2::BeaconBlock<B>) -> BlockContents<B, N> {
    BlockContents {
        block,
        kzg_proofs: VariableList::default(),
        blobs: VariableList::default(),
    }
}

impl BeaconLayer for SyntheticProposals {
    fn inner(&self) -> &dyn BeaconNode {
        self.inner.as_ref()
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        Box::pin(self.proposers(epoch))
    }

    fn produce_block(&self, ask: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        Box::pin(self.block_of(ask))
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.submit(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shuffle_is_a_permutation_that_depends_on_the_epoch() {
        let of = |epoch| (0..40).map(|i| shuffled(i, 40, Epoch(epoch))).collect::<Vec<_>>();
        let mut sorted = of(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        assert_ne!(of(3), of(4));
        assert_eq!(shuffled(0, 0, Epoch(1)), 0);
    }
}
