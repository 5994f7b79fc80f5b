//! The result of a run: one JSON object, one exit code, and text for people.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use trireme_testutil::judge::{DutyKind, DutyReport, Report, Slashable};

/// What came of a run. Its JSON form is the last line of `--output json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// By kind of duty.
    pub duties: BTreeMap<DutyKind, DutyReport>,
    /// Everything that a validator could be punished for.
    pub slashable: Vec<Slashable>,
    /// In the order of the cluster.
    pub nodes: Vec<NodeSummary>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeSummary {
    /// `trireme` or `charon`.
    pub implementation: &'static str,
    /// What its binary calls itself.
    pub version: String,
    /// CPU time since the begin of counting.
    pub cpu_seconds: f64,
    /// High water of resident memory.
    pub max_rss_kib: u64,
    /// How often it was started again.
    pub restarts: u64,
}

impl Summary {
    /// Puts together what the judge and the processes say.
    #[must_use]
    pub fn new(report: Report, slashable: Vec<Slashable>, nodes: Vec<NodeSummary>) -> Self {
        Self {
            duties: report.duties,
            slashable,
            nodes,
        }
    }

    /// Whether something was expected, and nothing was missed or slashable.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let expected: u64 = self.duties.values().map(|d| d.expected).sum();
        let missed = self.duties.values().any(|d| !d.missed.is_empty());
        expected > 0 && !missed && self.slashable.is_empty()
    }

    /// 0 if the run [is good](Self::is_good), else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_good())
    }

    /// The object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (kind, duty) in &self.duties {
            let o = duty.offset_ms;
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{}: {} of {} completed; sent {}/{}/{}/{} ms into the slot (p50/p90/p99/max)",
                name(*kind),
                duty.completed,
                duty.expected,
                o.p50,
                o.p90,
                o.p99,
                o.max
            );
            for missed in duty.missed.iter().take(20) {
                let _ = writeln!(out, "  missed in slot {}: {}", missed.slot, missed.reason);
            }
            if duty.missed.len() > 20 {
                let _ = writeln!(out, "  and {} more", duty.missed.len().saturating_sub(20));
            }
        }
        for pair in &self.slashable {
            let _ = writeln!(
                out,
                "SLASHABLE {:?}: validator {} signed {}, then {}",
                pair.kind, pair.validator, pair.first, pair.second
            );
        }
        if self.slashable.is_empty() {
            let _ = writeln!(out, "nothing slashable");
        }
        for (n, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(
                out,
                "node{n}: {} {}, {:.1} s of CPU time, {} MiB at most, {} restarts",
                node.implementation,
                node.version,
                node.cpu_seconds,
                node.max_rss_kib / 1024,
                node.restarts
            );
        }
        let _ = writeln!(
            out,
            "{}",
            if self.is_good() {
                "every duty was performed"
            } else {
                "not every duty was performed"
            }
        );
        out
    }
}

/// The kind's name, as in the JSON object.
pub(crate) const fn name(kind: DutyKind) -> &'static str {
    kind.name()
}

#[cfg(test)]
mod tests {
    use trireme_eth2::ValidatorIndex;
    use trireme_testutil::judge::{Missed, Offsets, SlashableKind};

    use super::*;

    fn good() -> Summary {
        let duty = DutyReport {
            expected: 2,
            completed: 2,
            missed: vec![],
            offset_ms: Offsets {
                p50: 1,
                p90: 2,
                p99: 3,
                max: 4,
            },
        };
        let node = NodeSummary {
            implementation: "trireme",
            version: "v1".to_owned(),
            cpu_seconds: 1.5,
            max_rss_kib: 2048,
            restarts: 0,
        };
        Summary {
            duties: BTreeMap::from([(DutyKind::Proposer, duty)]),
            slashable: vec![],
            nodes: vec![node],
        }
    }

    #[test]
    fn the_object_has_the_documented_form_on_one_line() {
        assert_eq!(
            good().json(),
            r#"{"duties":{"proposer":{"expected":2,"completed":2,"missed":[],"offset_ms":{"p50":1,"p90":2,"p99":3,"max":4}}},"slashable":[],"nodes":[{"implementation":"trireme","version":"v1","cpu_seconds":1.5,"max_rss_kib":2048,"restarts":0}]}"#
        );
    }

    #[test]
    fn a_missed_duty_is_given_with_slot_as_number_and_reason() {
        let missed = Missed {
            slot: 7,
            reason: "validator 3: nothing arrived".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&missed).unwrap(),
            r#"{"slot":7,"reason":"validator 3: nothing arrived"}"#
        );
    }

    #[test]
    fn a_run_is_good_only_if_something_was_expected_and_nothing_missed_or_slashable() {
        assert_eq!(good().exit_code(), 0);
        let mut missed = good();
        let late = Missed {
            slot: 1,
            reason: "late".to_owned(),
        };
        missed.duties.get_mut(&DutyKind::Proposer).unwrap().missed.push(late);
        assert_eq!(missed.exit_code(), 1);
        let mut slashable = good();
        let (first, second) = ("a".to_owned(), "b".to_owned());
        let kind = SlashableKind::TwoBlocks;
        slashable.slashable.push(Slashable {
            kind,
            validator: ValidatorIndex(1),
            first,
            second,
        });
        assert_eq!(slashable.exit_code(), 1);
        let mut nothing = good();
        nothing.duties.clear();
        assert_eq!(nothing.exit_code(), 1);
    }
}
