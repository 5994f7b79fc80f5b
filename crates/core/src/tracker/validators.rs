//! Which validators a duty was not done for, though it was for others: a pure judgement.
//!
//! Guarantees: only duties that every scheduled validator has to do are looked at; each validator is judged as if it were
//! alone.
//! Not here: duties that failed as a whole (`reason`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    participation::scheduled,
    reason::{Reason, Reports, Seen, Station, Verdict, judge},
};
use crate::{
    duty::{Duty, DutyType},
    ids::PubKey,
};

/// Validators that have the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Why.
    pub reason: Reason,
    /// Whose.
    pub validators: Vec<PubKey>,
}

/// The validators for which `duty` was not done, by reason; `votes` as in [`super::last_station`].
#[must_use]
pub fn unfinished(duty: Duty, all: &Reports, votes: bool) -> Vec<Unfinished> {
    match duty.kind {
        DutyType::Proposer | DutyType::Attester | DutyType::SyncMessage => {}
        // Who has to do these is decided by a selection, or by the operator.
        DutyType::Aggregator
        | DutyType::SyncContribution
        | DutyType::PrepareAggregator
        | DutyType::PrepareSyncContribution
        | DutyType::Randao
        | DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::InfoSync => return Vec::new(),
    }
    let done = reached(duty, all, Station::Bcast);
    let expected = scheduled(duty, all).unwrap_or_default();
    let mut by_reason: BTreeMap<Reason, Vec<PubKey>> = BTreeMap::new();
    for validator in expected.difference(&done) {
        let reason = match judge(duty, &only(*validator, duty, all), votes) {
            // Nobody has signed for it at all; ours is the validator client that the operator can look after.
            Verdict::Failed { station: None, .. } => Reason::NoLocalVcSignature,
            Verdict::Failed { reason, .. } => reason,
            Verdict::Success | Verdict::NothingToDo => continue,
        };
        by_reason.entry(reason).or_default().push(*validator);
    }
    by_reason
        .into_iter()
        .map(|(reason, validators)| Unfinished { reason, validators })
        .collect()
}

/// How many validators had the duty, and for how many it was sent.
pub(super) fn counts(duty: Duty, all: &Reports) -> (usize, usize) {
    let mut expected = scheduled(duty, all).unwrap_or_default();
    let done = reached(duty, all, Station::Bcast);
    expected.extend(&done);
    (expected.len(), done.len())
}

/// The validators for which a station reported success.
fn reached(duty: Duty, all: &Reports, station: Station) -> BTreeSet<PubKey> {
    let seen = all.get(&duty).map_or(&[][..], Vec::as_slice);
    let good = seen.iter().filter(|s| s.station == station && s.outcome.is_ok());
    good.flat_map(|s| &s.subjects).map(|s| s.validator).collect()
}

/// What was reported of one validator.
fn only(validator: PubKey, duty: Duty, all: &Reports) -> Reports {
    let seen = all.get(&duty).map_or(&[][..], Vec::as_slice);
    let its = seen.iter().filter_map(|s| {
        let subjects: Vec<_> = s
            .subjects
            .iter()
            .filter(|s| s.validator == validator)
            .copied()
            .collect();
        (!subjects.is_empty()).then(|| Seen { subjects, ..s.clone() })
    });
    Reports::from([(duty, its.collect())])
}

#[cfg(test)]
mod tests {
    use trireme_eth2::{Root, Slot};

    use super::*;
    use crate::{ids::ShareIdx, step::Subject};

    const A: PubKey = PubKey([1; 48]);
    const B: PubKey = PubKey([2; 48]);

    fn seen(station: Station, subjects: &[(PubKey, Option<u8>)]) -> Seen {
        let subject = |(validator, share): &(PubKey, Option<u8>)| Subject {
            validator: *validator,
            partial: share.map(|s| (ShareIdx(s), Root([0; 32]))),
        };
        Seen {
            station,
            subjects: subjects.iter().map(subject).collect(),
            outcome: Ok(()),
        }
    }

    #[test]
    fn a_validator_that_others_left_behind_is_named_with_its_own_reason() {
        let duty = Duty::new(Slot(9), DutyType::Attester);
        let all = Reports::from([(
            duty,
            vec![
                seen(Station::Fetcher, &[(A, None), (B, None)]),
                seen(Station::DutyDb, &[(A, None), (B, None)]),
                seen(Station::ParSigDbLocal, &[(A, Some(1))]),
                seen(Station::ParSigDbExternal, &[(A, Some(2)), (B, Some(2))]),
                seen(Station::Bcast, &[(A, None)]),
            ],
        )]);
        let expected = Unfinished {
            reason: Reason::InsufficientPeerSignatures,
            validators: vec![B],
        };
        assert_eq!(unfinished(duty, &all, false), [expected]);
        assert_eq!(counts(duty, &all), (2, 1));
    }

    #[test]
    fn a_member_for_which_nobody_signed_lacks_its_validator_client() {
        let duty = Duty::new(Slot(9), DutyType::SyncMessage);
        let all = Reports::from([
            (
                Duty::new(Slot(9), DutyType::SyncContribution),
                vec![seen(Station::Fetcher, &[(A, None), (B, None)])],
            ),
            (duty, vec![seen(Station::Bcast, &[(A, None)])]),
        ]);
        let expected = Unfinished {
            reason: Reason::NoLocalVcSignature,
            validators: vec![B],
        };
        assert_eq!(unfinished(duty, &all, false), [expected]);
    }

    #[test]
    fn nobody_is_named_where_a_selection_decides() {
        let duty = Duty::new(Slot(9), DutyType::Aggregator);
        let all = Reports::from([(
            duty,
            vec![
                seen(Station::Fetcher, &[(A, None), (B, None)]),
                seen(Station::Bcast, &[(A, None)]),
            ],
        )]);
        assert_eq!(unfinished(duty, &all, false), []);
    }
}
