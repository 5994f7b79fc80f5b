//! Agreements on versions and protocols, one in the last slot of each epoch: nothing of them reaches a beacon node, so
//! they are counted from what the nodes say.
//!
//! They are counted in runs with slots of twelve seconds and no peer of v1.10 only: nodes wait up to six seconds for each
//! other, and v1.10 does not negotiate the protocol's identifier.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use trireme_testutil::judge::{DutyReport, Missed};

use crate::{beacon::Clock, metrics::Scrape};

/// The name, as nodes use it.
pub(crate) const NAME: &str = "info_sync";
/// Slots must be this long.
const SLOT_SECONDS: u64 = 12;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct InfoSync {
    /// Agreements that each node has counted so far.
    counts: BTreeMap<usize, u64>,
    /// Slots near whose end some node's count had grown.
    grown: BTreeSet<u64>,
}

/// Whether they are counted in a run with this slot time and these versions of the nodes.
pub(crate) fn is_counted(clock: &Clock, versions: &[String]) -> bool {
    clock.slot().as_secs() >= SLOT_SECONDS && !versions.iter().any(|version| is_v1_10(version))
}

fn is_v1_10(version: &str) -> bool {
    let minor = version.trim_start_matches('v').strip_prefix("1.10");
    minor.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

impl InfoSync {
    /// What is said before counting begins does not count.
    pub(crate) fn begin(&mut self, scrapes: &BTreeMap<usize, Scrape>) {
        self.observe(0, scrapes);
        self.grown.clear();
    }

    /// Notes what nodes say near the end of a slot.
    pub(crate) fn observe(&mut self, slot: u64, scrapes: &BTreeMap<usize, Scrape>) {
        for (node, scrape) in scrapes {
            let now = scrape.agreements(NAME);
            let before = self.counts.insert(*node, now).unwrap_or_default();
            // A node that was started again counts from zero.
            if now > before || (now < before && now > 0) {
                self.grown.insert(slot);
            }
        }
    }

    /// The agreement of the epoch that ends with `slot`.
    pub(crate) fn is_done(&self, slot: u64) -> bool {
        // One that waits for somebody who is not there may be seen a slot later.
        self.grown.contains(&slot) || self.grown.contains(&slot.saturating_add(1))
    }

    /// What came of those of `slots`.
    pub(crate) fn report(&self, clock: &Clock, slots: Range<u64>) -> DutyReport {
        let mut report = DutyReport::default();
        for slot in slots.filter(|slot| clock.ends_epoch(*slot)) {
            report.expected = report.expected.saturating_add(1);
            if self.is_done(slot) {
                report.completed = report.completed.saturating_add(1);
            } else {
                let reason = "no node says that it agreed".to_owned();
                report.missed.push(Missed { slot, reason });
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(counts: &[(usize, u64)]) -> BTreeMap<usize, Scrape> {
        let line = |n: u64| format!("core_consensus_duration_seconds_count{{duty=\"info_sync\"}} {n}\n");
        counts
            .iter()
            .map(|(node, n)| (*node, Scrape::read(&line(*n))))
            .collect()
    }

    #[test]
    fn peers_of_v1_10_are_known_by_their_version() {
        let of = |version| is_v1_10(version);
        assert_eq!([of("v1.10"), of("v1.10.3"), of("1.10-rc1")], [true; 3]);
        assert_eq!([of("v1.11.0-rc3"), of("v1.1"), of("v1.100.0"), of("")], [false; 4]);
    }

    #[test]
    fn an_agreement_is_seen_by_its_count_also_after_a_restart() {
        let mut seen = InfoSync::default();
        for (slot, counts) in [
            (14, [(0, 0), (1, 3)]),
            (15, [(0, 1), (1, 3)]),
            (16, [(0, 1), (1, 3)]),
            (31, [(0, 1), (1, 3)]),
            (32, [(0, 1), (1, 1)]),
        ] {
            seen.observe(slot, &said(&counts));
        }
        assert_eq!([15, 31, 47].map(|slot| seen.is_done(slot)), [true, true, false]);
    }
}
