//! Aggregated signatures, for whoever waits for them.
//!
//! Guarantees: the first aggregate of a key stays, another value is refused; every waiter of a key is woken; what
//! belongs to duties that are still open is there again after a restart.
//! Not here: making aggregates (`sigagg`), sending them (`bcast`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;

use crate::{
    answers::{AwaitAggregated, NoAnswer, until_deadline},
    board::Board,
    cx::DutyCx,
    data::{SignedData, SignedDataSet},
    deadline::{Admission, Deadliner},
    duty::{Duty, DutyType, Slot},
    ids::PubKey,
    journal::Journal,
    ports::{Batch, Clock, Durability, Flow, StoreError, Table},
    spans::{self, TRACE},
    step::{ErrorKind, Fault, StepError},
    time::SlotTiming,
};

/// Why an aggregate was not stored, or the database could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggSigDbError {
    /// Another aggregate is there.
    #[error("another aggregate is already stored for duty {duty}, validator {}", .validator.short())]
    Conflict {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for AggSigDbError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } => ErrorKind::Permanent,
            Self::Store(error) => error.kind(),
        }
    }
}

/// Duty, validator, and subcommittee for the two duties that a validator may have several times in a slot.
type Key = (Duty, PubKey, u64);

/// See the module's description.
pub struct AggSigDb {
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    deadliner: Deadliner,
    board: Board<Key, SignedData>,
    stored: Mutex<BTreeMap<Duty, Vec<Key>>>,
}

impl AggSigDb {
    /// Reads what the store holds of duties that are still open; the rest is removed.
    pub async fn open(journal: Arc<Journal>, clock: Arc<dyn Clock>, timing: SlotTiming) -> Result<Self, AggSigDbError> {
        let deadliner = Deadliner::new(Arc::clone(&clock), timing);
        let db = Self {
            journal,
            clock,
            timing,
            deadliner,
            board: Board::default(),
            stored: Mutex::default(),
        };
        let (mut found, mut over, mut broken) = (Vec::new(), Batch::default(), None);
        let store = Arc::clone(db.journal.store());
        store.scan(Table::Aggregate, &[], &mut |key, value| match read(key, value) {
            Ok((key, _)) if db.deadliner.expired(key.0) => {
                over.writes.push((Table::Aggregate, bytes_of(&key), None));
                Flow::Continue
            }
            Ok(entry) => {
                found.push(entry);
                Flow::Continue
            }
            Err(reason) => {
                broken = Some(StoreError::Corrupt {
                    table: Table::Aggregate.name(),
                    reason,
                });
                Flow::Stop
            }
        })?;
        if let Some(error) = broken {
            return Err(error.into());
        }
        for (key, value) in found {
            db.publish(key, Arc::new(value))?;
        }
        db.journal.commit(over, Durability::Buffered).await?;
        Ok(db)
    }

    /// Stores the aggregates of a duty. All are tried; the first conflict is the error.
    pub async fn store(self: Arc<Self>, cx: DutyCx, set: Arc<SignedDataSet>) -> Result<(), StepError> {
        let duty = cx.duty;
        let mut writes = Vec::new();
        let mut refused = None;
        for (validator, value) in &set.0 {
            let key = (duty, *validator, value.subcommittee().unwrap_or_default());
            match self.publish(key, Arc::new(value.clone())) {
                Ok(()) => writes.push((Table::Aggregate, bytes_of(&key), Some(value.encode()))),
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
        // Exits and registrations never expire, so losing one in a crash would lose it for ever.
        let forever = crate::deadline::deadline(duty, &self.timing).is_none();
        let how = if forever {
            Durability::Durable
        } else {
            Durability::Buffered
        };
        self.journal
            .commit(Batch { writes }, how)
            .await
            .map_err(AggSigDbError::from)?;
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    fn publish(&self, key: Key, value: Arc<SignedData>) -> Result<(), AggSigDbError> {
        let (duty, validator, _) = key;
        self.board
            .publish(key, value)
            .map_err(|_| AggSigDbError::Conflict { duty, validator })?;
        if self.deadliner.add(duty) == Admission::Scheduled {
            let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = stored.entry(duty).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(())
    }

    /// Forgets duties as they end, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let duty = self.deadliner.next().await;
            let keys = self
                .stored
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&duty)
                .unwrap_or_default();
            let writes = keys.iter().map(|key| (Table::Aggregate, bytes_of(key), None)).collect();
            self.board.expire(keys);
            if let Err(error) = self.journal.commit(Batch { writes }, Durability::Buffered).await {
                tracing::warn!(%duty, %error, "aggregates of an ended duty stay in the store until the next start");
            }
        }
    }

    /// Waits for the aggregate of a validator that may have several in a slot, one per subcommittee.
    pub async fn of_subcommittee(
        &self,
        duty: Duty,
        validator: PubKey,
        subcommittee: u64,
    ) -> Result<Arc<SignedData>, NoAnswer> {
        let key = (duty, validator, subcommittee);
        let span = tracing::debug_span!(target: TRACE, "core/aggsigdb.Await");
        let aggregate = until_deadline(&self.board, key, duty, self.clock.as_ref(), &self.timing);
        spans::within(span, NoAnswer::kind, aggregate).await
    }

    /// Aggregates and waiting questions; for the leak check of simulations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.board.len()
    }

    /// Whether nothing is stored and nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.board.is_empty()
    }
}

impl AwaitAggregated for AggSigDb {
    fn aggregated_in(
        &self,
        duty: Duty,
        validator: PubKey,
        subcommittee: u64,
    ) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>> {
        Box::pin(self.of_subcommittee(duty, validator, subcommittee))
    }
}

/// Type, slot, validator, subcommittee.
fn bytes_of((duty, validator, subcommittee): &Key) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 8 + 48 + 8);
    key.push(duty.kind.number());
    key.extend(duty.slot.0.to_be_bytes());
    key.extend(validator.0);
    key.extend(subcommittee.to_be_bytes());
    key
}

fn read(key: &[u8], value: &[u8]) -> Result<(Key, SignedData), String> {
    let shape = || "its key has another shape".to_owned();
    let (kind, rest) = key.split_first().ok_or_else(shape)?;
    let (slot, rest) = rest.split_first_chunk::<8>().ok_or_else(shape)?;
    let (validator, rest) = rest.split_first_chunk::<48>().ok_or_else(shape)?;
    let subcommittee = u64::from_be_bytes(rest.try_into().map_err(|_| shape())?);
    let kind = DutyType::try_from(i64::from(*kind)).map_err(|e| e.to_string())?;
    let value = SignedData::decode(kind, value).map_err(|e| e.to_string())?;
    Ok((
        (
            Duty::new(Slot(u64::from_be_bytes(*slot)), kind),
            PubKey(*validator),
            subcommittee,
        ),
        value,
    ))
}
