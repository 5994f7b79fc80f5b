//! Whose partial signatures arrived: a pure count over what the steps reported (core.md 14.7).
//!
//! Guarantees: each pair of validator and share counts once. Not here: logs and metrics.

use std::collections::{BTreeMap, BTreeSet};

use super::reason::{Reports, Seen, Station};
use crate::{
    duty::{Duty, DutyType},
    ids::{PubKey, ShareIdx},
};

/// What the shares delivered for one duty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Participation {
    /// Partial signatures that each share should have delivered.
    pub expected: u64,
    /// Those that it did.
    pub counted: BTreeMap<ShareIdx, u64>,
    /// Those that nobody expected.
    pub unexpected: BTreeMap<ShareIdx, u64>,
}

/// Counts for `duty`.
#[must_use]
pub fn count(duty: Duty, all: &Reports) -> Participation {
    let seen = all.get(&duty).map_or(&[][..], Vec::as_slice);
    let validators: BTreeSet<PubKey> = seen.iter().flat_map(|s| &s.subjects).map(|s| s.validator).collect();
    let scheduled = scheduled(duty, all);
    let mut pairs = BTreeSet::new();
    let mut out = Participation {
        expected: u64::try_from(validators.len()).unwrap_or(u64::MAX),
        ..Default::default()
    };
    for subject in seen.iter().filter(|s| is_partial(s)).flat_map(|s| &s.subjects) {
        let Some((share, _)) = subject.partial else { continue };
        if !pairs.insert((subject.validator, share)) {
            continue;
        }
        let wanted = scheduled.as_ref().is_none_or(|set| set.contains(&subject.validator));
        let list = if wanted { &mut out.counted } else { &mut out.unexpected };
        *list.entry(share).or_default() += 1;
    }
    out
}

fn is_partial(seen: &Seen) -> bool {
    matches!(seen.station, Station::ParSigDbLocal | Station::ParSigDbExternal)
}

/// The validators of whom partial signatures are expected; `None` means all.
pub(super) fn scheduled(duty: Duty, all: &Reports) -> Option<BTreeSet<PubKey>> {
    let by = match duty.kind {
        DutyType::Exit | DutyType::BuilderRegistration => return None,
        DutyType::Randao => DutyType::Proposer,
        DutyType::PrepareAggregator => DutyType::Attester,
        DutyType::PrepareSyncContribution | DutyType::SyncMessage => DutyType::SyncContribution,
        kind @ (DutyType::Proposer
        | DutyType::Attester
        | DutyType::Signature
        | DutyType::BuilderProposer
        | DutyType::Aggregator
        | DutyType::SyncContribution
        | DutyType::InfoSync) => kind,
    };
    let seen = all.get(&Duty::new(duty.slot, by)).map_or(&[][..], Vec::as_slice);
    Some(
        seen.iter()
            .filter(|s| s.station == Station::Fetcher)
            .flat_map(|s| &s.subjects)
            .map(|s| s.validator)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use trireme_eth2::{Root, Slot};

    use super::*;
    use crate::step::Subject;

    fn seen(station: Station, validator: u8, share: Option<u8>) -> Seen {
        let partial = share.map(|s| (ShareIdx(s), Root([0; 32])));
        Seen {
            station,
            subjects: vec![Subject {
                validator: PubKey([validator; 48]),
                partial,
            }],
            outcome: Ok(()),
        }
    }

    #[test]
    fn each_share_counts_once_per_validator_and_only_where_it_was_expected() {
        let duty = Duty::new(Slot(3), DutyType::Randao);
        let all = Reports::from([
            (
                Duty::new(Slot(3), DutyType::Proposer),
                vec![seen(Station::Fetcher, 1, None)],
            ),
            (
                duty,
                vec![
                    seen(Station::ParSigDbLocal, 1, Some(1)),
                    seen(Station::ParSigDbExternal, 1, Some(2)),
                    seen(Station::ParSigDbExternal, 1, Some(2)),
                    seen(Station::ParSigDbExternal, 9, Some(3)),
                ],
            ),
        ]);
        let got = count(duty, &all);
        assert_eq!(got.expected, 2);
        assert_eq!(got.counted, BTreeMap::from([(ShareIdx(1), 1), (ShareIdx(2), 1)]));
        assert_eq!(got.unexpected, BTreeMap::from([(ShareIdx(3), 1)]));
    }

    #[test]
    fn exits_are_always_expected() {
        let duty = Duty::new(Slot(32), DutyType::Exit);
        let all = Reports::from([(duty, vec![seen(Station::ParSigDbExternal, 1, Some(4))])]);
        assert_eq!(count(duty, &all).counted, BTreeMap::from([(ShareIdx(4), 1)]));
    }
}
