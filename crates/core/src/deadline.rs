//! Until when a duty is worth finishing, and a queue that says when each one is over.
//!
//! Guarantees: the table is a pure function, equal on all nodes (core.md 8, newest column); an expired duty is reported
//! once, in the order of deadlines, and never lost to a slow reader.
//! Not here: what is trimmed when a duty expires (each store does its own).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    duty::{Duty, DutyType},
    ports::Clock,
    time::{SlotTiming, UnixTime},
};

/// Time after the start of the slot until which a duty is worth finishing, without the margin; `None` means for ever.
#[must_use]
pub fn allowance(kind: DutyType, t: &SlotTiming) -> Option<Duration> {
    match kind {
        DutyType::Proposer | DutyType::Randao => Some(t.slot_duration.checked_div(3).unwrap_or_default()),
        DutyType::Attester | DutyType::Aggregator => Some(t.epoch_duration()),
        DutyType::PrepareAggregator | DutyType::PrepareSyncContribution => Some(t.epoch_duration().saturating_mul(2)),
        DutyType::SyncMessage
        | DutyType::SyncContribution
        | DutyType::InfoSync
        | DutyType::Signature
        | DutyType::BuilderProposer => Some(t.slot_duration),
        DutyType::Exit | DutyType::BuilderRegistration => None,
    }
}

/// The end of a duty: slot start, allowance, and a margin of a twelfth of a slot.
#[must_use]
pub fn deadline(duty: Duty, t: &SlotTiming) -> Option<UnixTime> {
    let margin = t.slot_duration.checked_div(12).unwrap_or_default();
    Some(t.start(duty.slot).after(allowance(duty.kind, t)?).after(margin))
}

/// What became of a duty given to a [`Deadliner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It will be reported when it expires.
    Scheduled,
    /// Its deadline has passed.
    Expired,
    /// It never expires.
    Exempt,
}

/// Duties in the order in which they expire.
pub struct Deadliner {
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    due: Mutex<BTreeSet<(UnixTime, Duty)>>,
    added: Notify,
}

impl Deadliner {
    /// An empty queue.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, timing: SlotTiming) -> Self {
        Self {
            clock,
            timing,
            due: Mutex::default(),
            added: Notify::new(),
        }
    }

    /// Schedules the end of `duty`; doing so again changes nothing.
    pub fn add(&self, duty: Duty) -> Admission {
        let Some(at) = deadline(duty, &self.timing) else {
            return Admission::Exempt;
        };
        if at <= self.clock.now() {
            return Admission::Expired;
        }
        if self
            .due
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((at, duty))
        {
            self.added.notify_one();
        }
        Admission::Scheduled
    }

    /// Whether the duty's deadline has passed.
    #[must_use]
    pub fn expired(&self, duty: Duty) -> bool {
        deadline(duty, &self.timing).is_some_and(|at| at <= self.clock.now())
    }

    /// The next duty whose deadline has passed. Drop-safe; meant for one reader.
    pub async fn next(&self) -> Duty {
        loop {
            let first = self.due.lock().unwrap_or_else(PoisonError::into_inner).first().copied();
            match first {
                Some((at, duty)) if at <= self.clock.now() => {
                    self.due
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&(at, duty));
                    return duty;
                }
                Some((at, _)) => tokio::select! { biased;
                    () = self.added.notified() => {}
                    () = self.clock.sleep_until(at) => {}
                },
                None => self.added.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::PausedClock, duty::Slot};

    const MAINNET: SlotTiming = SlotTiming {
        genesis: UnixTime(0),
        slot_duration: Duration::from_secs(12),
        slots_per_epoch: 32,
    };

    #[test]
    fn the_table_is_that_of_the_newest_release() {
        let table: Vec<_> = DutyType::ALL
            .into_iter()
            .map(|kind| {
                (
                    kind.name(),
                    deadline(Duty::new(Slot(10), kind), &MAINNET).map(|t| t.secs() - 120),
                )
            })
            .collect();
        assert_eq!(
            table,
            [
                ("proposer", Some(5)),
                ("attester", Some(385)),
                ("signature", Some(13)),
                ("exit", None),
                ("builder_proposer", Some(13)),
                ("builder_registration", None),
                ("randao", Some(5)),
                ("prepare_aggregator", Some(769)),
                ("aggregator", Some(385)),
                ("sync_message", Some(13)),
                ("prepare_sync_contribution", Some(769)),
                ("sync_contribution", Some(13)),
                ("info_sync", Some(13)),
            ]
        );
    }

    #[test]
    fn the_margin_is_rounded_down_to_whole_nanoseconds() {
        let odd = SlotTiming {
            slot_duration: Duration::from_nanos(25),
            ..MAINNET
        };
        assert_eq!(
            deadline(Duty::new(Slot(0), DutyType::Proposer), &odd),
            Some(UnixTime(8 + 2))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn duties_expire_in_the_order_of_their_deadlines_and_once() {
        let d = Deadliner::new(Arc::new(PausedClock::starting_at(UnixTime(0))), MAINNET);
        let early = Duty::new(Slot(3), DutyType::Proposer);
        let late = Duty::new(Slot(0), DutyType::Attester);
        for duty in [late, early, early] {
            assert_eq!(d.add(duty), Admission::Scheduled);
        }
        assert_eq!((d.next().await, d.next().await), (early, late));
        assert_eq!(d.add(early), Admission::Expired);
        assert_eq!(d.add(Duty::new(Slot(0), DutyType::Exit)), Admission::Exempt);
        assert!(
            tokio::time::timeout(Duration::from_secs(10_000), d.next())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_duty_added_while_another_is_awaited_may_come_first() {
        let d = Deadliner::new(Arc::new(PausedClock::starting_at(UnixTime(0))), MAINNET);
        d.add(Duty::new(Slot(9), DutyType::Attester));
        let sooner = Duty::new(Slot(1), DutyType::Randao);
        let (got, ()) = tokio::join!(d.next(), async {
            tokio::task::yield_now().await;
            d.add(sooner);
        });
        assert_eq!(got, sooner);
    }
}
