//! Watches every duty: who took part, whether it succeeded, and if not, why, in words for an operator.
//!
//! Guarantees: never in the way of a duty (its queue is bounded, records are dropped when it is full); one line per
//! failed duty and one per finished one; memory is bounded by the time that duties are kept.
//! Not here: doing anything about a failure.

mod inclusion;
mod metrics;
mod participation;
mod reason;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;
use trireme_eth2::Slot;

pub use self::{
    inclusion::{BeaconChain, Chain, Inclusion},
    metrics::TrackerMetrics,
    participation::{Participation, count},
    reason::{Reason, Reports, Seen, Station, Verdict, judge, last_station, roots},
};
use crate::{
    deadline::deadline,
    duty::{Duty, DutyType},
    ids::ShareIdx,
    ports::Clock,
    step::{ErrorKind, Record},
    time::{SlotTiming, UnixTime},
};

/// Slots after its deadline at which a duty is judged: the chain's window for inclusion and the checker's lag.
const JUDGED_AFTER_SLOTS: u32 = 32 + 6;
/// How long a judged duty's reports are kept, for duties that depend on it.
const KEPT_AFTER: Duration = Duration::from_secs(60);

/// The tracker's side of the queue that [`crate::step::Policy`] fills.
pub struct Tracker {
    records: mpsc::Receiver<Record>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    inclusion: Arc<Inclusion>,
    metrics: TrackerMetrics,
    /// Names of the operators in lock order.
    peers: Vec<String>,
    /// Duties before this slot began before we did.
    from: Slot,
    reports: Reports,
    to_judge: BTreeSet<(UnixTime, Duty)>,
    to_forget: BTreeSet<(UnixTime, Duty)>,
    absent: BTreeMap<DutyType, Vec<String>>,
    succeeded: BTreeSet<DutyType>,
    told_about_selections: BTreeSet<DutyType>,
}

impl Tracker {
    /// A tracker that judges duties of which it can see all: those that begin some slots from now.
    #[must_use]
    pub fn new(
        records: mpsc::Receiver<Record>,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        peers: Vec<String>,
        inclusion: Arc<Inclusion>,
        metrics: TrackerMetrics,
    ) -> Self {
        let current = timing.slot_at(clock.now()).unwrap_or(Slot(0));
        let settle = Duration::from_secs(10)
            .as_nanos()
            .checked_div(timing.slot_duration.as_nanos())
            .unwrap_or_default();
        let settle = u64::try_from(settle).unwrap_or(u64::MAX).saturating_add(1).max(2);
        metrics.prepare(&peers);
        Self {
            records,
            clock,
            inclusion,
            metrics,
            peers,
            from: Slot(current.0.saturating_add(settle)),
            timing,
            reports: Reports::new(),
            to_judge: BTreeSet::new(),
            to_forget: BTreeSet::new(),
            absent: BTreeMap::new(),
            succeeded: BTreeSet::new(),
            told_about_selections: BTreeSet::new(),
        }
    }

    /// Follows the duties until nobody sends records any more.
    pub async fn run(mut self) {
        loop {
            let next = self
                .to_judge
                .first()
                .into_iter()
                .chain(self.to_forget.first())
                .map(|(at, _)| *at)
                .min();
            let clock = Arc::clone(&self.clock);
            let due = async {
                match next {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { biased;
                record = self.records.recv() => match record {
                    Some(record) => self.take(record),
                    None => return,
                },
                () = due => self.work_off(),
            }
        }
    }

    fn take(&mut self, record: Record) {
        let Some(station) = Station::of(record.step) else {
            return;
        };
        let duty = record.duty;
        let Some(end) = deadline(duty, &self.timing) else {
            return;
        };
        // A beacon node that fails for us may have succeeded for a peer, so a failed broadcast is looked for as well.
        if station == Station::Bcast && duty.kind == DutyType::Proposer {
            self.inclusion.submitted(duty.slot, record.subjects.clone());
        }
        if station == Station::Bcast && record.outcome.is_ok() && is_sent(duty.kind) {
            let into_slot = record.at.since(self.timing.start(duty.slot));
            tracing::info!(%duty, validators = record.subjects.len(), ?into_slot, "duty finished");
        }
        if duty.slot < self.from || matches!(&record.outcome, Err(e) if e.kind == ErrorKind::Stopped) {
            return;
        }
        let judged = end.after(self.timing.slot_duration.saturating_mul(JUDGED_AFTER_SLOTS));
        if judged <= self.clock.now() {
            return;
        }
        self.to_judge.insert((judged, duty));
        let seen = Seen {
            station,
            subjects: record.subjects,
            outcome: record.outcome,
        };
        self.reports.entry(duty).or_default().push(seen);
    }

    fn work_off(&mut self) {
        let now = self.clock.now();
        while let Some((at, duty)) = self.to_judge.first().copied().filter(|(at, _)| *at <= now) {
            self.to_judge.remove(&(at, duty));
            self.judge(duty);
            self.to_forget.insert((at.after(KEPT_AFTER), duty));
        }
        while let Some((at, duty)) = self.to_forget.first().copied().filter(|(at, _)| *at <= now) {
            self.to_forget.remove(&(at, duty));
            self.reports.remove(&duty);
        }
    }

    fn judge(&mut self, duty: Duty) {
        let verdict = judge(duty, &self.reports);
        let failed = matches!(verdict, Verdict::Failed { .. });
        match verdict {
            Verdict::NothingToDo => {}
            Verdict::Success => {
                self.succeeded.insert(duty.kind);
                self.metrics.success(duty.kind);
            }
            Verdict::Failed { reason, .. } if self.is_missing_support(duty.kind, reason) => {}
            Verdict::Failed { station, reason, error } => {
                let error = error.map(|e| e.to_string());
                tracing::warn!(%duty, step = station.map_or("unknown", Station::label), reason_code = reason.code(),
                    reason = reason.text(), error, "Duty failed");
                self.metrics.failure(duty.kind, reason);
            }
        }
        self.judge_consistency(duty);
        self.judge_participation(duty, failed);
    }

    /// Until a selection has ever worked, none at all means that the validator client does not know distributed
    /// validators' selection endpoints: said once, and no failure.
    fn is_missing_support(&mut self, kind: DutyType, reason: Reason) -> bool {
        let zero = matches!(
            reason,
            Reason::ZeroAggregatorPrepares | Reason::SyncContributionZeroPrepares
        );
        if !zero || self.succeeded.contains(&kind) {
            return false;
        }
        if self.told_about_selections.insert(kind) {
            tracing::warn!(duty = %kind, "the validator client does not ask for combined selections; such duties are not done");
        }
        true
    }

    fn judge_consistency(&self, duty: Duty) {
        let seen = self.reports.get(&duty).map_or(&[][..], Vec::as_slice);
        let differing: Vec<_> = roots(seen).into_iter().filter(|(_, roots)| roots.len() > 1).collect();
        let Some((validator, roots)) = differing.first() else {
            return;
        };
        self.metrics.inconsistent(duty.kind);
        if duty.kind == DutyType::SyncContribution {
            tracing::debug!(%duty, validator = %validator.short(), distinct_roots = roots.len(), "Inconsistent partial signed data");
        } else {
            tracing::warn!(%duty, validator = %validator.short(), distinct_roots = roots.len(), "Inconsistent partial signed data");
        }
        if duty.kind == DutyType::SyncMessage {
            self.metrics.cohorts(duty.kind, &cohorts(seen));
        }
    }

    fn judge_participation(&mut self, duty: Duty, failed: bool) {
        let counts = count(duty, &self.reports);
        if counts.counted.is_empty() && !failed {
            return;
        }
        let mut absent = Vec::new();
        for (i, peer) in self.peers.iter().enumerate() {
            let Some(share) = u8::try_from(i).ok().map(|i| crate::ids::PeerIdx(i).share()) else {
                break;
            };
            let counted = counts.counted.get(&share).copied().unwrap_or_default();
            let unexpected = counts.unexpected.get(&share).copied().unwrap_or_default();
            self.metrics
                .participated(duty.kind, peer, counted, counts.expected, unexpected);
            if counted == 0 && unexpected > 0 {
                tracing::warn!(%duty, peer, n = unexpected, "Unexpected event found");
            } else if counted == 0 {
                absent.push(peer.clone());
            }
        }
        if self.absent.get(&duty.kind) == Some(&absent) {
            return;
        }
        if absent.is_empty() {
            tracing::info!(%duty, "All peers participated in duty");
        } else if absent.len() == self.peers.len() {
            tracing::info!(%duty, "No peers participated in duty");
        } else {
            tracing::info!(%duty, absent = absent.join(","), "Not all peers participated in duty");
        }
        self.absent.insert(duty.kind, absent);
    }
}

/// Whether something of such a duty goes to the beacon node.
const fn is_sent(kind: DutyType) -> bool {
    match kind {
        DutyType::Proposer
        | DutyType::Attester
        | DutyType::Exit
        | DutyType::Aggregator
        | DutyType::SyncMessage
        | DutyType::SyncContribution => true,
        DutyType::Signature
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::PrepareSyncContribution
        | DutyType::InfoSync => false,
    }
}

/// Shares by the root that they signed: largest group first, ties by root.
fn cohorts(seen: &[Seen]) -> Vec<BTreeSet<ShareIdx>> {
    let mut groups: BTreeMap<_, BTreeSet<ShareIdx>> = BTreeMap::new();
    for (share, root) in seen.iter().flat_map(|s| &s.subjects).filter_map(|s| s.partial) {
        groups.entry(root).or_default().insert(share);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(root, shares)| (std::cmp::Reverse(shares.len()), *root));
    groups.into_iter().map(|(_, shares)| shares).collect()
}

#[cfg(test)]
mod tests;
