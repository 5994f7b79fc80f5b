//! The chain's own facts: its clockwork, its forks, its validators and who has which duty when.
//!
//! Guarantees: everything here follows from the configuration alone; every slot has a proposer and every validator
//! attests once per epoch. Not here: blocks and what became of the duties (`state`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use trireme_eth2::{BlsPubkey, CommitteeIndex, Epoch, Fork, ForkVersion, Root, Slot, ValidatorIndex};

/// At most so many members has a committee, so that small clusters see more than one committee, too.
const COMMITTEE_SIZE: usize = 4;
/// `MAX_COMMITTEES_PER_SLOT`.
const MAX_COMMITTEES: usize = 64;
/// `FAR_FUTURE_EPOCH`.
pub const FAR_FUTURE: Epoch = Epoch(u64::MAX);

/// What the chain is. All times are durations since 1970.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// `CONFIG_NAME`.
    pub name: String,
    /// Start of slot 0.
    pub genesis_time: Duration,
    /// Length of a slot in whole seconds.
    pub seconds_per_slot: u64,
    /// Slots in an epoch.
    pub slots_per_epoch: u64,
    /// Every fork with its version and first epoch, in order; `FAR_FUTURE` for one that does not come.
    pub forks: Vec<(Fork, ForkVersion, Epoch)>,
    /// Part of every domain but the genesis ones.
    pub genesis_validators_root: Root,
    /// The validators by index, all active since genesis.
    pub validators: Vec<BlsPubkey>,
    /// Blobs in each block from Deneb on.
    pub blobs_per_block: usize,
    /// How many transactions of [`TRANSACTION_BYTES`](super::TRANSACTION_BYTES) each payload has.
    pub transactions_per_block: usize,
    /// Chain id of the deposit contract.
    pub deposit_chain_id: u64,
}

/// The versions of hoodi's forks from phase0 to fulu.
pub const HOODI: [[u8; 4]; 7] = [
    [0x10, 0, 0x09, 0x10],
    [0x20, 0, 0x09, 0x10],
    [0x30, 0, 0x09, 0x10],
    [0x40, 0, 0x09, 0x10],
    [0x50, 0, 0x09, 0x10],
    [0x60, 0, 0x09, 0x10],
    [0x70, 0, 0x09, 0x10],
];

impl ChainConfig {
    /// A chain with these validators that is at `fork` from its first slot on, 16 slots of 4 seconds in an epoch, and
    /// `versions` as fork versions.
    ///
    /// Its genesis validators root is nobody else's, so that nothing signed for it is valid anywhere else.
    #[must_use]
    pub fn new(genesis_time: Duration, fork: Fork, versions: [[u8; 4]; 7], validators: Vec<BlsPubkey>) -> Self {
        let epoch_of = |f: Fork| if f <= fork { Epoch(0) } else { FAR_FUTURE };
        let forks = Fork::ALL
            .into_iter()
            .zip(versions)
            .map(|(f, version)| (f, ForkVersion(version), epoch_of(f)));
        Self {
            name: "trireme-devnet".to_owned(),
            genesis_time,
            seconds_per_slot: 4,
            slots_per_epoch: 16,
            forks: forks.collect(),
            genesis_validators_root: digest(&[b"trireme devnet genesis validators"]),
            validators,
            blobs_per_block: 1,
            transactions_per_block: 40,
            deposit_chain_id: 560_048,
        }
    }

    /// Moves the begin of `fork`.
    #[must_use]
    pub fn with_fork_at(mut self, fork: Fork, epoch: Epoch) -> Self {
        for (_, _, at) in self.forks.iter_mut().filter(|(f, _, _)| *f == fork) {
            *at = epoch;
        }
        self
    }

    /// Length of a slot.
    #[must_use]
    pub const fn slot_duration(&self) -> Duration {
        Duration::from_secs(self.seconds_per_slot)
    }

    /// Start of `slot`.
    #[must_use]
    pub fn start(&self, slot: Slot) -> Duration {
        self.genesis_time
            .saturating_add(Duration::from_secs(self.seconds_per_slot.saturating_mul(slot.0)))
    }

    /// The slot at `now`; 0 before genesis.
    #[must_use]
    pub fn slot_at(&self, now: Duration) -> Slot {
        let since = now.saturating_sub(self.genesis_time).as_secs();
        Slot(since.checked_div(self.seconds_per_slot).unwrap_or_default())
    }

    /// The epoch of `slot`.
    #[must_use]
    pub fn epoch(&self, slot: Slot) -> Epoch {
        Epoch(slot.0.checked_div(self.slots_per_epoch).unwrap_or_default())
    }

    /// The first slot of `epoch`.
    #[must_use]
    pub const fn first_slot(&self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_mul(self.slots_per_epoch))
    }

    /// The fork in `epoch` with its version and first epoch, and the version before it.
    #[must_use]
    pub fn fork_at(&self, epoch: Epoch) -> ForkAt {
        let mut reached = self
            .forks
            .iter()
            .filter(|(_, _, at)| *at <= epoch && *at != FAR_FUTURE)
            .rev();
        let (fork, current, since) =
            reached
                .next()
                .copied()
                .unwrap_or((Fork::Phase0, ForkVersion::default(), Epoch(0)));
        let previous = reached.next().map_or(current, |(_, version, _)| *version);
        ForkAt {
            fork,
            current,
            previous,
            since,
        }
    }

    /// The fork of `slot`.
    #[must_use]
    pub fn fork(&self, slot: Slot) -> Fork {
        self.fork_at(self.epoch(slot)).fork
    }

    /// The key of a validator.
    #[must_use]
    pub fn key(&self, index: ValidatorIndex) -> Option<BlsPubkey> {
        self.validators.get(usize::try_from(index.0).ok()?).copied()
    }

    /// The proposer of a slot.
    #[must_use]
    pub fn proposer(&self, slot: Slot) -> ValidatorIndex {
        let draw = leading(digest(&[b"proposer", &slot.0.to_le_bytes()]));
        ValidatorIndex(draw.checked_rem(number(self.validators.len())).unwrap_or_default())
    }

    /// The committees of an epoch. Costs one hash per validator; keep the result.
    #[must_use]
    pub fn committees(&self, epoch: Epoch) -> Committees {
        self.shuffled(epoch, 0)
    }

    /// The committees of an epoch after a reorganisation that changed what they hang on; 0 stands for none.
    pub(super) fn shuffled(&self, epoch: Epoch, shuffle: u64) -> Committees {
        let count = self.validators.len();
        let mut order: Vec<_> = (0..number(count))
            .map(|index| {
                let (epoch, index_bytes) = (epoch.0.to_le_bytes(), index.to_le_bytes());
                let draw = if shuffle == 0 {
                    digest(&[b"attester", &epoch, &index_bytes])
                } else {
                    digest(&[b"attester", &epoch, &index_bytes, &shuffle.to_le_bytes()])
                };
                (draw, ValidatorIndex(index))
            })
            .collect();
        order.sort_unstable();

        let slots = usize::try_from(self.slots_per_epoch).unwrap_or(usize::MAX).max(1);
        let per_slot = count.div_ceil(slots).div_ceil(COMMITTEE_SIZE).clamp(1, MAX_COMMITTEES);
        let first = self.first_slot(epoch);
        let mut seats = BTreeMap::new();
        let mut committees: BTreeMap<(Slot, CommitteeIndex), Vec<ValidatorIndex>> = (0..self.slots_per_epoch)
            .flat_map(|s| (0..number(per_slot)).map(move |c| (Slot(first.0.saturating_add(s)), CommitteeIndex(c))))
            .map(|place| (place, Vec::new()))
            .collect();
        let mut places = committees_in_turn(first, slots, per_slot);
        for (_, validator) in order {
            let Some(place) = places.next() else { break };
            if let Some(members) = committees.get_mut(&place) {
                seats.insert(
                    validator,
                    Seat {
                        slot: place.0,
                        committee: place.1,
                        position: members.len(),
                    },
                );
                members.push(validator);
            }
        }
        Committees {
            per_slot,
            committees: Arc::new(committees),
            seats: Arc::new(seats),
        }
    }
}

/// Slot after slot, and in each round the next committee.
fn committees_in_turn(first: Slot, slots: usize, per_slot: usize) -> impl Iterator<Item = (Slot, CommitteeIndex)> {
    (0..per_slot).cycle().flat_map(move |c| {
        (0..slots).map(move |s| (Slot(first.0.saturating_add(number(s))), CommitteeIndex(number(c))))
    })
}

/// A fork and what the fork object of a state says in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkAt {
    /// Its name.
    pub fork: Fork,
    /// `current_version`.
    pub current: ForkVersion,
    /// `previous_version`.
    pub previous: ForkVersion,
    /// `epoch`.
    pub since: Epoch,
}

/// Where a validator sits in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// When it attests.
    pub slot: Slot,
    /// In which committee.
    pub committee: CommitteeIndex,
    /// Its position there.
    pub position: usize,
}

/// The committees of one epoch.
#[derive(Debug, Clone)]
pub struct Committees {
    /// Committees in each slot.
    pub per_slot: usize,
    committees: Arc<BTreeMap<(Slot, CommitteeIndex), Vec<ValidatorIndex>>>,
    seats: Arc<BTreeMap<ValidatorIndex, Seat>>,
}

impl Committees {
    /// Where a validator sits; none if the chain does not have it.
    #[must_use]
    pub fn seat(&self, validator: ValidatorIndex) -> Option<Seat> {
        self.seats.get(&validator).copied()
    }

    /// The members of a committee in the order of their positions; none if there is no such committee.
    #[must_use]
    pub fn members(&self, slot: Slot, committee: CommitteeIndex) -> Option<&[ValidatorIndex]> {
        self.committees.get(&(slot, committee)).map(Vec::as_slice)
    }

    /// All committees in order, also empty ones.
    pub fn all(&self) -> impl Iterator<Item = (Slot, CommitteeIndex, &[ValidatorIndex])> {
        self.committees
            .iter()
            .map(|((slot, committee), members)| (*slot, *committee, members.as_slice()))
    }

    /// All validators that attest in `slot`.
    pub fn attesters(&self, slot: Slot) -> impl Iterator<Item = ValidatorIndex> {
        let places = (slot, CommitteeIndex(0))..=(slot, CommitteeIndex(u64::MAX));
        self.committees
            .range(places)
            .flat_map(|(_, members)| members.iter().copied())
    }
}

/// SHA-256 of the parts one after the other.
#[must_use]
pub(crate) fn digest(parts: &[&[u8]]) -> Root {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Root(hash.finalize().into())
}

fn leading(root: Root) -> u64 {
    root.0.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

pub(crate) fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn chain(validators: usize) -> ChainConfig {
        let keys = (0..validators)
            .map(|n| BlsPubkey([u8::try_from(n % 256).unwrap(); 48]))
            .collect();
        ChainConfig::new(Duration::from_secs(1000), Fork::Fulu, HOODI, keys)
    }

    #[test]
    fn every_validator_attests_exactly_once_per_epoch() {
        for validators in [1, 3, 16, 100, 1000] {
            let chain = chain(validators);
            for epoch in [0, 1, 7] {
                let committees = chain.committees(Epoch(epoch));
                let mut seen = BTreeSet::new();
                for (slot, committee, members) in committees.all() {
                    assert_eq!(chain.epoch(slot), Epoch(epoch));
                    for (position, member) in members.iter().enumerate() {
                        assert!(seen.insert(*member), "validator {} sits twice", member.0);
                        assert_eq!(
                            committees.seat(*member),
                            Some(Seat {
                                slot,
                                committee,
                                position
                            })
                        );
                    }
                }
                assert_eq!(seen.len(), validators);
            }
        }
    }

    #[test]
    fn attesters_are_spread_over_the_slots_and_differ_between_epochs() {
        let chain = chain(100);
        let per_slot = |epoch| -> Vec<usize> {
            let committees = chain.committees(Epoch(epoch));
            let first = chain.first_slot(Epoch(epoch)).0;
            (first..first + 16)
                .map(|s| committees.attesters(Slot(s)).count())
                .collect()
        };
        assert!(per_slot(3).iter().all(|n| (6..=7).contains(n)));
        let (one, two) = (chain.committees(Epoch(1)), chain.committees(Epoch(2)));
        let offset = |c: &Committees, v| c.seat(ValidatorIndex(v)).unwrap().slot.0 % 16;
        assert!((0..100).any(|v| offset(&one, v) != offset(&two, v)));
    }

    #[test]
    fn every_slot_has_a_proposer_of_the_chain() {
        let chain = chain(5);
        let drawn: BTreeSet<u64> = (0..200).map(|s| chain.proposer(Slot(s)).0).collect();
        assert_eq!(drawn, (0..5).collect());
    }

    #[test]
    fn forks_begin_where_they_are_set() {
        let chain = chain(1)
            .with_fork_at(Fork::Electra, Epoch(2))
            .with_fork_at(Fork::Fulu, Epoch(4));
        let forks: Vec<Fork> = (0..6).map(|e| chain.fork_at(Epoch(e)).fork).collect();
        let (deneb, electra, fulu) = (Fork::Deneb, Fork::Electra, Fork::Fulu);
        assert_eq!(forks, [deneb, deneb, electra, electra, fulu, fulu]);
        let at = chain.fork_at(Epoch(5));
        assert_eq!((at.current.0, at.previous.0, at.since), (HOODI[6], HOODI[5], Epoch(4)));
        let genesis = super::tests::chain(1).fork_at(Epoch(0));
        assert_eq!((genesis.current.0, genesis.previous.0), (HOODI[6], HOODI[5]));
    }

    #[test]
    fn slots_follow_the_time() {
        let chain = chain(1);
        assert_eq!(chain.slot_at(Duration::from_secs(999)), Slot(0));
        assert_eq!(chain.slot_at(Duration::from_millis(1_003_999)), Slot(0));
        assert_eq!(chain.slot_at(Duration::from_secs(1004)), Slot(1));
        assert_eq!(chain.start(Slot(3)), Duration::from_secs(1012));
    }
}
