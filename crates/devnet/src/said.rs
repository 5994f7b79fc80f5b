//! What the nodes themselves say of their duties: all that is known of a run on a chain outside.
//!
//! Guarantees: a duty counts as completed if some node says that it saw it succeed. Not here: verdicts; only the judge has
//! those.

use std::{collections::BTreeMap, ops::Range};

use trireme_testutil::judge::{DutyReport, Missed};

use crate::metrics::{Scrape, Tracked};

/// Sums of what each node's tracker says, by kind of duty; a node that is started again goes on where it was.
#[derive(Debug, Default)]
pub(crate) struct Said {
    last: BTreeMap<(usize, String), Tracked>,
    sums: BTreeMap<String, BTreeMap<usize, Tracked>>,
}

impl Said {
    /// What is said before counting begins does not count.
    pub(crate) fn begin(&mut self, scrapes: &BTreeMap<usize, Scrape>) {
        self.observe(scrapes);
        self.sums.clear();
    }

    /// Notes what nodes say now; what is new, by kind and node.
    pub(crate) fn observe(&mut self, scrapes: &BTreeMap<usize, Scrape>) -> BTreeMap<String, BTreeMap<usize, Tracked>> {
        let mut news: BTreeMap<String, BTreeMap<usize, Tracked>> = BTreeMap::new();
        for (node, scrape) in scrapes {
            for (duty, now) in scrape.tracked() {
                let before = self.last.insert((*node, duty.clone()), now).unwrap_or_default();
                let new = now.since(before);
                if new == Tracked::default() {
                    continue;
                }
                let sum = self.sums.entry(duty.clone()).or_default().entry(*node).or_default();
                *sum = sum.plus(new);
                news.entry(duty).or_default().insert(*node, new);
            }
        }
        news
    }

    /// What came of the duties; `failed` is what each node's log says of duties that failed (`123/attester`: where and
    /// why), `slots` those that count.
    pub(crate) fn report(
        &self,
        failed: &BTreeMap<usize, BTreeMap<String, String>>,
        slots: &Range<u64>,
    ) -> BTreeMap<String, DutyReport> {
        let mut reports = BTreeMap::new();
        for (duty, nodes) in &self.sums {
            let most = |count: fn(&Tracked) -> u64| nodes.values().map(count).max().unwrap_or_default();
            let expected = most(|t| t.expected);
            let completed = most(|t| t.done).min(expected);
            let missed = if completed < expected {
                missed(duty, expected.saturating_sub(completed), failed, slots)
            } else {
                Vec::new()
            };
            let report = DutyReport {
                expected,
                completed,
                missed,
                ..DutyReport::default()
            };
            reports.insert(duty.clone(), report);
        }
        reports
    }
}

/// The duties that most nodes' logs name, as many as are missing.
fn missed(
    duty: &str,
    missing: u64,
    failed: &BTreeMap<usize, BTreeMap<String, String>>,
    slots: &Range<u64>,
) -> Vec<Missed> {
    let mut by_slot: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (node, failures) in failed {
        for (text, why) in failures {
            let slot = text
                .split_once('/')
                .filter(|(_, kind)| *kind == duty)
                .and_then(|(slot, _)| slot.parse().ok());
            if let Some(slot) = slot.filter(|slot| slots.contains(slot)) {
                by_slot
                    .entry(slot)
                    .or_default()
                    .push(format!("node{node} stopped at {why}"));
            }
        }
    }
    let mut worst: Vec<(u64, Vec<String>)> = by_slot.into_iter().collect();
    worst.sort_by_key(|(slot, nodes)| (std::cmp::Reverse(nodes.len()), *slot));
    let found = worst.into_iter().map(|(slot, nodes)| Missed {
        slot,
        reason: nodes.join("; "),
    });
    let unknown = std::iter::repeat_with(|| Missed {
        slot: slots.start,
        reason: "no node says that it succeeded, and none says when".to_owned(),
    });
    let mut list: Vec<Missed> = found
        .chain(unknown)
        .take(usize::try_from(missing).unwrap_or(usize::MAX).min(1000))
        .collect();
    list.sort_by_key(|m| m.slot);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(expected: u64, done: u64) -> Scrape {
        Scrape::read(&format!(
            "core_tracker_expect_duties_total{{duty=\"attester\"}} {expected}\ncore_tracker_success_duties_total{{duty=\"attester\"}} {done}\n"
        ))
    }

    #[test]
    fn a_duty_is_completed_if_one_node_says_so_and_counting_survives_a_restart() {
        let mut said = Said::default();
        said.begin(&BTreeMap::from([(0, scrape(3, 3)), (1, scrape(3, 1))]));
        let news = said.observe(&BTreeMap::from([(0, scrape(5, 5)), (1, scrape(5, 2))]));
        assert_eq!(news["attester"][&0].done, 2);
        // Node 0 was started again.
        said.observe(&BTreeMap::from([(0, scrape(1, 1)), (1, scrape(6, 2))]));
        let failures = BTreeMap::from([("7/attester".to_owned(), "fetcher: x".to_owned())]);
        let report = &said.report(&BTreeMap::from([(1, failures)]), &(4..8))["attester"];
        assert_eq!((report.expected, report.completed), (3, 3));
        assert!(report.missed.is_empty());
    }

    #[test]
    fn what_nobody_saw_succeed_is_missed_in_the_slot_that_logs_name() {
        let mut said = Said::default();
        said.begin(&BTreeMap::from([(0, scrape(0, 0))]));
        said.observe(&BTreeMap::from([(0, scrape(2, 0))]));
        let failures = [
            ("7/attester", "fetcher: x"),
            ("7/proposer", "y"),
            ("2/attester", "before"),
        ];
        let failures = failures.map(|(duty, why)| (duty.to_owned(), why.to_owned())).into();
        let report = &said.report(&BTreeMap::from([(0, failures)]), &(4..8))["attester"];
        let missed: Vec<_> = report.missed.iter().map(|m| (m.slot, m.reason.as_str())).collect();
        let unknown = "no node says that it succeeded, and none says when";
        assert_eq!(missed, [(4, unknown), (7, "node0 stopped at fetcher: x")]);
    }
}
