//! Watches every duty: who took part, whether it succeeded, and if not, why, in words for an operator.
//!
//! Guarantees: never in the way of a duty (its queue is bounded, records are dropped when it is full); one line per
//! failed duty and one per finished one; memory is bounded by the time that duties are kept.
//! Not here: doing anything about a failure.

mod inclusion;
mod metrics;
mod participation;
mod reason;
mod validators;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;
use trireme_eth2::{Root, Slot};

pub use self::{
    inclusion::{BeaconChain, Chain, Inclusion, InclusionParts, LAG, NotIncluded, WINDOW},
    metrics::TrackerMetrics,
    participation::{Participation, count},
    reason::{Reason, Reports, Seen, Station, Verdict, judge, last_station, roots},
    validators::{Unfinished, unfinished},
};
use crate::{
    deadline::deadline,
    duty::{Duty, DutyType},
    ids::ShareIdx,
    ports::Clock,
    step::{ErrorKind, Record, StepError, Subject},
    time::{SlotTiming, UnixTime},
};

/// Slots after its deadline at which a duty is judged: the chain's window for inclusion and the checker's lag.
const JUDGED_AFTER_SLOTS: u32 = 32 + 6;
/// Validators named in one line.
const NAMED: usize = 8;
/// How long a judged duty's reports are kept, for duties that depend on it.
const KEPT_AFTER: Duration = Duration::from_secs(60);

/// The tracker's side of the queue that [`crate::step::Policy`] fills.
pub struct Tracker {
    records: mpsc::Receiver<Record>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    /// Whether attestations and aggregates are looked for on the chain.
    votes: bool,
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
    /// A tracker that judges duties of which it can see all: those that begin some slots from now. `peers` are the names
    /// of the operators in lock order; `votes` tells whether attestations and aggregates are looked for on the chain.
    #[must_use]
    pub fn new(
        records: mpsc::Receiver<Record>,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        peers: Vec<String>,
        votes: bool,
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
            votes,
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
        let verdict = judge(duty, &self.reports, self.votes);
        let failed = matches!(verdict, Verdict::Failed { .. });
        match verdict {
            Verdict::NothingToDo => {}
            Verdict::Success => {
                self.succeeded.insert(duty.kind);
                self.metrics.success(duty.kind);
                self.tell_unfinished(duty);
            }
            Verdict::Failed { reason, .. } if self.is_missing_support(duty.kind, reason) => {}
            Verdict::Failed { station, reason, error } => {
                self.metrics.failure(duty.kind, reason);
                self.tell_failure(duty, station, reason, error.as_ref());
            }
        }
        if duty.kind == DutyType::Attester {
            let (expected, done) = validators::counts(duty, &self.reports);
            self.metrics.attestations(expected, done);
        }
        self.judge_consistency(duty);
        self.judge_participation(duty, failed);
    }

    /// One line that says what happened, what it means, and, where partial signatures were missing, whose.
    fn tell_failure(&self, duty: Duty, station: Option<Station>, reason: Reason, error: Option<&StepError>) {
        let (signed, silent) = self.signers(duty, station, reason).unzip();
        let signed = signed.filter(|names| !names.is_empty());
        let error = error.map(ToString::to_string);
        tracing::warn!(%duty, step = station.map_or("unknown", Station::label), reason_code = reason.code(),
            reason = reason.text(), meaning = reason.meaning(), signed, silent, error, "Duty failed");
    }

    /// Who signed and who did not, by name: the duty itself, or the one that it waited for in vain. `None` if nobody could
    /// sign yet or all that was needed is there, so that nobody is to blame.
    fn signers(&self, duty: Duty, station: Option<Station>, reason: Reason) -> Option<(String, String)> {
        let could_sign = station.is_some_and(|s| s >= Station::ValidatorApi && s <= Station::ParSigDbExternal);
        let of = match reason.lacks_partials_of() {
            Some(kind) => Duty::new(duty.slot, kind),
            None => could_sign.then_some(duty)?,
        };
        let counts = count(of, &self.reports);
        let (signed, silent): (Vec<_>, Vec<_>) = self
            .shares()
            .partition(|(share, _)| counts.counted.contains_key(share) || counts.unexpected.contains_key(share));
        let names = |list: &[(ShareIdx, &str)]| list.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(",");
        Some((names(&signed), names(&silent)))
    }

    /// A duty that succeeded for some validators only.
    fn tell_unfinished(&self, duty: Duty) {
        for Unfinished { reason, validators } in unfinished(duty, &self.reports, self.votes) {
            let named: Vec<String> = validators.iter().take(NAMED).map(crate::ids::PubKey::short).collect();
            tracing::warn!(%duty, n = validators.len(), validators = named.join(","), reason_code = reason.code(),
                reason = reason.text(), meaning = reason.meaning(), "Duty done, but not for every validator");
        }
    }

    /// Every operator's share and name.
    fn shares(&self) -> impl Iterator<Item = (ShareIdx, &str)> {
        let shares = (0_u8..=u8::MAX).map(|i| crate::ids::PeerIdx(i).share());
        shares.zip(self.peers.iter().map(String::as_str))
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
        let differing = roots(seen).into_iter().find_map(|(validator, roots)| {
            let of_validator = seen
                .iter()
                .flat_map(|s| &s.subjects)
                .filter(|s| s.validator == validator);
            let groups = cohorts(of_validator);
            (roots.len() > 1 && !are_of_one_share(&groups)).then_some((validator, roots, groups))
        });
        let Some((validator, roots, groups)) = differing else {
            return;
        };
        self.metrics.inconsistent(duty.kind);
        let data = self.members(&groups);
        let (pubkey, n) = (validator.short(), roots.len());
        if duty.kind == DutyType::SyncContribution {
            tracing::debug!(%duty, pubkey, distinct_roots = n, data_by_root = data, "Inconsistent partial signed data");
        } else {
            tracing::warn!(%duty, pubkey, distinct_roots = n, data_by_root = data, "Inconsistent partial signed data");
        }
        if duty.kind == DutyType::SyncMessage {
            let groups = cohorts(seen.iter().flat_map(|s| &s.subjects));
            let sizes: Vec<String> = groups.iter().map(|(_, shares)| shares.len().to_string()).collect();
            tracing::warn!(%duty, sizes = sizes.join(","), members = self.members(&groups),
                meaning = Reason::ParSigDbInconsistentSync.meaning(), "Sync committee head disagreement");
            self.metrics.cohorts(duty.kind, &groups);
        }
    }

    /// `0x12345678: a, b; 0x…: c`
    fn members(&self, groups: &[(Root, BTreeSet<ShareIdx>)]) -> String {
        let names: BTreeMap<ShareIdx, &str> = self.shares().collect();
        let group = |(root, shares): &(Root, BTreeSet<ShareIdx>)| {
            let members: Vec<&str> = shares.iter().filter_map(|s| names.get(s).copied()).collect();
            let root = root.to_string();
            format!("{}: {}", root.get(..10).unwrap_or(&root), members.join(", "))
        };
        groups.iter().map(group).collect::<Vec<_>>().join("; ")
    }

    fn judge_participation(&mut self, duty: Duty, failed: bool) {
        let counts = count(duty, &self.reports);
        if counts.counted.is_empty() && !failed {
            return;
        }
        let mut absent = Vec::new();
        for (share, peer) in self.shares() {
            let counted = counts.counted.get(&share).copied().unwrap_or_default();
            let unexpected = counts.unexpected.get(&share).copied().unwrap_or_default();
            self.metrics
                .participated(duty.kind, peer, counted, counts.expected, unexpected);
            if counted == 0 && unexpected > 0 {
                tracing::warn!(%duty, peer, n = unexpected,
                    meaning = "the peer signed a duty that this node does not know of; its beacon node may be on another fork",
                    "Unexpected event found");
            } else if counted == 0 {
                absent.push(peer.to_owned());
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
fn cohorts<'a>(subjects: impl Iterator<Item = &'a Subject>) -> Vec<(Root, BTreeSet<ShareIdx>)> {
    let mut groups: BTreeMap<_, BTreeSet<ShareIdx>> = BTreeMap::new();
    for (share, root) in subjects.filter_map(|s| s.partial) {
        groups.entry(root).or_default().insert(share);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(root, shares)| (std::cmp::Reverse(shares.len()), *root));
    groups
}

#[cfg(test)]
mod tests;

/// Whether some share signed every root. What one share signs for one validator and duty never differs, but a validator
/// may contribute to several sync subcommittees, and each contribution has a root of its own.
fn are_of_one_share(groups: &[(Root, BTreeSet<ShareIdx>)]) -> bool {
    let mut groups = groups.iter().map(|(_, shares)| shares);
    let first = groups.next().cloned().unwrap_or_default();
    let all = groups.fold(first, |all, shares| &all & shares);
    !all.is_empty()
}
