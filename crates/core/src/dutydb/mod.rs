//! What the cluster decided: kept, guarded and handed to whoever waits for it.
//!
//! Guarantees: a value is on disk before anybody can see it; for one key there is never a second, different value, not
//! even after a crash or a clock set back; data of another slot or epoch than the duty's are refused; one flush per
//! decided duty, for all its validators together.
//! Not here: the decision itself (`consensus`), signatures.

mod guard;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use trireme_eth2::{
    AttestationData, CommitteeIndex, Root, Slot, SyncCommitteeContribution, ValidatorIndex, VersionedAttestation,
    VersionedProposal, hash_tree_root,
};

pub(crate) use self::guard::of_its_time;
pub use self::guard::{Guard, Refused};
use crate::{
    answers::{NoAnswer, until_deadline},
    board::{Board, Conflict},
    cx::DutyCx,
    data::{UnsignedData, UnsignedDataSet},
    deadline::{Admission, Deadliner},
    duty::{Duty, DutyType},
    ids::PubKey,
    journal::Journal,
    ports::{Batch, Clock, Durability, Flow, StoreError, Table},
    spans::{self, TRACE},
    step::{ErrorKind, Fault, StepError},
    time::SlotTiming,
};

/// From decision to visible; more is worth a warning, as the validator client signs that much later.
const SLOW: Duration = Duration::from_millis(250);

/// Why a decided set was not stored, or the database could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DutyDbError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The duty's time is over.
    #[error("duty {0} has expired, its decided data are not stored")]
    Expired(Duty),
    /// A duty without an end has no decided data.
    #[error("duty {0} never expires, so nothing can be stored for it")]
    Exempt(Duty),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for DutyDbError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) | Self::Exempt(_) => ErrorKind::Permanent,
            Self::Expired(_) => ErrorKind::Expired,
            Self::Store(error) => error.kind(),
        }
    }
}

/// See the module's description.
pub struct DutyDb {
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    deadliner: Deadliner,
    guard: Mutex<Guard>,
    attestations: Board<(Slot, CommitteeIndex), AttestationData>,
    proposals: Board<Slot, VersionedProposal>,
    /// By the root of what the aggregate's voters voted for.
    aggregates: Board<(Slot, Root, CommitteeIndex), VersionedAttestation>,
    /// By subcommittee and block.
    contributions: Board<(Slot, u64, Root), SyncCommitteeContribution>,
    /// Duties whose sets are on the two boards above: what they lack will not come.
    decided: Board<Duty, ()>,
}

impl DutyDb {
    /// Reads what the store holds. Values of duties that are over are removed, the others are visible at once.
    pub async fn open(journal: Arc<Journal>, clock: Arc<dyn Clock>, timing: SlotTiming) -> Result<Self, DutyDbError> {
        let deadliner = Deadliner::new(Arc::clone(&clock), timing);
        let (guard, attestations, proposals, aggregates, contributions, decided) = Default::default();
        let db = Self {
            journal,
            clock,
            timing,
            deadliner,
            guard,
            attestations,
            proposals,
            aggregates,
            contributions,
            decided,
        };
        let (mut floors, mut duties) = (Vec::new(), BTreeMap::<Duty, UnsignedDataSet>::new());
        let store = Arc::clone(db.journal.store());
        read_all(
            Table::DutyFloor,
            |each| store.scan(Table::DutyFloor, &[], each),
            |key, value| {
                floors.push(read_floor(key, value)?);
                Ok(())
            },
        )?;
        read_all(
            Table::Duty,
            |each| store.scan(Table::Duty, &[], each),
            |key, value| {
                let (duty, validator) = read_key(key)?;
                let value = UnsignedData::decode(duty.kind, value).map_err(|e| e.to_string())?;
                duties.entry(duty).or_default().0.insert(validator, value);
                Ok(())
            },
        )?;
        for (kind, slot) in floors {
            db.lock().close(kind, slot);
        }
        let mut over = Vec::new();
        for (duty, set) in duties {
            // A clock set back makes a trimmed duty look open; what a crash left of it is no reason not to start.
            let closed = db.lock().floor(duty.kind).is_some_and(|floor| duty.slot <= floor);
            if !closed && db.deadliner.add(duty) == Admission::Scheduled {
                let validators: Vec<_> = set.0.keys().copied().collect();
                let mut guard = db.lock();
                guard.admit(duty, &set)?;
                guard.durable(duty, &validators);
                drop(guard);
                db.show(duty, &set);
            } else {
                over.push((duty, set));
            }
        }
        for (duty, set) in over {
            db.forget(duty, set.0.keys().map(|v| (duty.slot, *v)).collect()).await?;
        }
        Ok(db)
    }

    /// Stores a decided set: check, disk, then everybody may see it. Not drop-safe in one respect: a dropped call may
    /// leave the set stored and not yet visible; storing it again makes it visible.
    pub async fn store(self: Arc<Self>, cx: DutyCx, set: Arc<UnsignedDataSet>) -> Result<(), StepError> {
        let duty = cx.duty;
        let began = self.clock.now();
        match self.deadliner.add(duty) {
            Admission::Scheduled => {}
            Admission::Expired => return Err(DutyDbError::Expired(duty).into()),
            Admission::Exempt => return Err(DutyDbError::Exempt(duty).into()),
        }
        of_its_time(duty, &set, &self.timing).map_err(DutyDbError::from)?;
        let open = self.lock().admit(duty, &set).map_err(DutyDbError::from)?;
        if !open.is_empty() {
            let values = open
                .iter()
                .filter_map(|validator| Some((validator, set.0.get(validator)?)));
            let writes = values
                .map(|(v, value)| (Table::Duty, key_of(duty, v), Some(value.encode())))
                .collect();
            self.journal
                .commit(Batch { writes }, Durability::Durable)
                .await
                .map_err(DutyDbError::from)?;
            self.lock().durable(duty, &open);
        }
        self.show(duty, &set);
        let took = self.clock.now().since(began);
        if took > SLOW {
            tracing::warn!(%duty, ?took, "the disk is slow: what was decided reached the validator client that much later");
        }
        Ok(())
    }

    /// Puts admitted, durable values on the boards.
    fn show(&self, duty: Duty, set: &UnsignedDataSet) {
        let mut votes = Vec::new();
        for value in set.0.values() {
            let shown = match value {
                UnsignedData::Attestation(att) => {
                    let (slot, committee) = (att.data.slot, att.duty.committee_index);
                    let data = Arc::new(att.data);
                    votes.push(((slot, CommitteeIndex(0)), Arc::clone(&data)));
                    self.attestations.publish_if((slot, committee), data, |_, _| true)
                }
                UnsignedData::Proposal(block) => self.proposals.publish_if(duty.slot, Arc::clone(block), |_, _| true),
                UnsignedData::Aggregate(aggregate) => self.show_aggregate(aggregate),
                UnsignedData::Contribution(one) => self.show_contribution(one),
                UnsignedData::Contributions(list) => list.iter().try_for_each(|one| self.show_contribution(one)),
                // The guard admits none.
                UnsignedData::UnversionedAggregate(_) => Ok(()),
            };
            debug_assert!(shown.is_ok(), "the guard admits nothing that differs");
        }
        // From Electra on validator clients ask for committee 0, and any committee's data are as good: the guard has
        // compared the checkpoints. Before, data name their committee, so that those of committee 0 itself go first.
        for (place, data) in votes {
            let _ = self.attestations.publish_if(place, data, |_, _| true);
        }
        if matches!(duty.kind, DutyType::Aggregator | DutyType::SyncContribution) {
            let _ = self.decided.publish(duty, Arc::new(()));
        }
    }

    /// Validators of one committee may have got different aggregates of the same votes; any of them will do.
    fn show_aggregate(&self, aggregate: &VersionedAttestation) -> Result<(), Conflict> {
        let data = aggregate.data();
        let Some(committee) = aggregate.committee() else {
            return Ok(());
        };
        let key = (data.slot, hash_tree_root(data), committee);
        self.aggregates
            .publish_if(key, Arc::new(aggregate.clone()), |_, _| true)
    }

    fn show_contribution(&self, one: &SyncCommitteeContribution) -> Result<(), Conflict> {
        let key = (one.slot, one.subcommittee_index, one.beacon_block_root);
        self.contributions.publish(key, Arc::new(one.clone()))
    }

    /// Closes duties as they end, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let duty = self.deadliner.next().await;
            let gone = self.lock().close(duty.kind, duty.slot);
            self.decided
                .expire_if(|other| other.kind == duty.kind && other.slot <= duty.slot);
            if duty.kind == DutyType::Attester {
                self.attestations.expire_if(|(slot, _)| *slot <= duty.slot);
            } else if duty.kind == DutyType::Proposer {
                self.proposals.expire_if(|slot| *slot <= duty.slot);
            } else if duty.kind == DutyType::Aggregator {
                self.aggregates.expire_if(|(slot, ..)| *slot <= duty.slot);
            } else if duty.kind == DutyType::SyncContribution {
                self.contributions.expire_if(|(slot, ..)| *slot <= duty.slot);
            }
            if let Err(error) = self.forget(duty, gone).await {
                tracing::warn!(%duty, %error, "data of an ended duty stay in the store until the next start");
            }
        }
    }

    /// Raises the floor and removes values, in one batch, so that after a crash either both have happened or neither.
    async fn forget(&self, duty: Duty, gone: Vec<(Slot, PubKey)>) -> Result<(), StoreError> {
        self.lock().close(duty.kind, duty.slot);
        let floor = self.lock().floor(duty.kind).unwrap_or(duty.slot);
        let mut writes = vec![(
            Table::DutyFloor,
            vec![duty.kind.number()],
            Some(floor.0.to_be_bytes().to_vec()),
        )];
        let keys = gone
            .into_iter()
            .map(|(slot, validator)| key_of(Duty::new(slot, duty.kind), &validator));
        writes.extend(keys.map(|key| (Table::Duty, key, None)));
        self.journal.commit(Batch { writes }, Durability::Buffered).await
    }

    /// Waits for the attestation data of a slot and committee.
    pub async fn await_attestation(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
    ) -> Result<Arc<AttestationData>, NoAnswer> {
        let duty = Duty::new(slot, DutyType::Attester);
        until_deadline(
            &self.attestations,
            (slot, committee),
            duty,
            self.clock.as_ref(),
            &self.timing,
        )
        .await
    }

    /// Waits for the block of a slot.
    pub async fn await_proposal(&self, slot: Slot) -> Result<Arc<VersionedProposal>, NoAnswer> {
        let duty = Duty::new(slot, DutyType::Proposer);
        let span = tracing::debug_span!(target: TRACE, "core/dutydb.AwaitProposal");
        let proposal = until_deadline(&self.proposals, slot, duty, self.clock.as_ref(), &self.timing);
        spans::within(span, NoAnswer::kind, proposal).await
    }

    /// Waits for the aggregate of attestation data (by root) of a slot and committee.
    pub async fn await_aggregate(
        &self,
        slot: Slot,
        data_root: Root,
        committee: CommitteeIndex,
    ) -> Result<Arc<VersionedAttestation>, NoAnswer> {
        let duty = Duty::new(slot, DutyType::Aggregator);
        let key = (slot, data_root, committee);
        until_deadline(&self.aggregates, key, duty, self.clock.as_ref(), &self.timing).await
    }

    /// Waits for the contribution of a slot, subcommittee and block.
    pub async fn await_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> Result<Arc<SyncCommitteeContribution>, NoAnswer> {
        let duty = Duty::new(slot, DutyType::SyncContribution);
        let key = (slot, subcommittee, block);
        until_deadline(&self.contributions, key, duty, self.clock.as_ref(), &self.timing).await
    }

    /// Waits until the cluster has agreed on all aggregates or all contributions of a slot. Pending for ever if that does
    /// not happen before the duty is over.
    pub async fn await_decided(&self, duty: Duty) {
        if self.decided.wait(duty).await.is_err() {
            std::future::pending().await
        }
    }

    /// The validator with this index that attests in a slot and committee, if its duty has been decided.
    #[must_use]
    pub fn pubkey_by_attestation(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
        index: ValidatorIndex,
    ) -> Option<PubKey> {
        self.lock().validator(slot, committee, index)
    }

    /// Stored values and waiting questions; for the leak check of simulations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock()
            .stored()
            .saturating_add(self.attestations.len())
            .saturating_add(self.proposals.len())
            .saturating_add(self.aggregates.len())
            .saturating_add(self.contributions.len())
            .saturating_add(self.decided.len())
    }

    /// Whether nothing is stored and nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Flow;

/// Reads a table; an entry that cannot be read is an error, since what it says might have been signed.
fn read_all(
    table: Table,
    scan: impl FnOnce(Each<'_>) -> Result<(), StoreError>,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<(), StoreError> {
    let mut broken = None;
    scan(&mut |key, value| match take(key, value) {
        Ok(()) => Flow::Continue,
        Err(reason) => {
            broken = Some(StoreError::Corrupt {
                table: table.name(),
                reason,
            });
            Flow::Stop
        }
    })?;
    broken.map_or(Ok(()), Err)
}

fn key_of(duty: Duty, validator: &PubKey) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 8 + 48);
    key.push(duty.kind.number());
    key.extend(duty.slot.0.to_be_bytes());
    key.extend(validator.0);
    key
}

fn read_key(key: &[u8]) -> Result<(Duty, PubKey), String> {
    let shape = || "its key has another shape".to_owned();
    let (kind, rest) = key.split_first().ok_or_else(shape)?;
    let (slot, rest) = rest.split_first_chunk::<8>().ok_or_else(shape)?;
    let validator = <[u8; 48]>::try_from(rest).map_err(|_| shape())?;
    let kind = DutyType::try_from(i64::from(*kind)).map_err(|e| e.to_string())?;
    Ok((Duty::new(Slot(u64::from_be_bytes(*slot)), kind), PubKey(validator)))
}

fn read_floor(key: &[u8], value: &[u8]) -> Result<(DutyType, Slot), String> {
    let ([kind], Ok(slot)) = (key, <[u8; 8]>::try_from(value)) else {
        return Err("the floor of a duty type has another shape".to_owned());
    };
    let kind = DutyType::try_from(i64::from(*kind)).map_err(|e| e.to_string())?;
    Ok((kind, Slot(u64::from_be_bytes(slot))))
}
