//! The result of a run: one JSON object, one exit code, and text for people.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use trireme_testutil::judge::{DutyReport, Heads, Offsets, PathReads, Slashable};

/// What came of a run. Its JSON form is the last line of `--output json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// By kind of duty.
    pub duties: BTreeMap<String, DutyReport>,
    /// Everything that a validator could be punished for.
    pub slashable: Vec<Slashable>,
    /// In the order of the cluster.
    pub nodes: Vec<NodeSummary>,
    /// What nodes asked the beacon nodes for in the counted slots, by method and path; empty on a chain outside.
    pub bn_reads: BTreeMap<String, BnReads>,
    /// Whether attestations and sync committee messages voted for the head of their slot; none on a chain outside.
    pub heads: Heads,
    /// How long validator clients waited, in milliseconds: `attestation_data` from a third of the slot to each client's
    /// answer, `block` from the first node's question to a beacon node to the last client's answer.
    pub answers: BTreeMap<&'static str, Offsets>,
}

/// Reads of one path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BnReads {
    /// The mean of a slot, of all nodes at all beacon nodes.
    pub per_slot: f64,
    /// The counts behind it.
    #[serde(flatten)]
    pub reads: PathReads,
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
            // What only the nodes tell of has no time of arrival.
            let sent = if o == Offsets::default() {
                String::new()
            } else {
                format!(
                    "; sent {}/{}/{}/{} ms into the slot (p50/p90/p99/max)",
                    o.p50, o.p90, o.p99, o.max
                )
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{kind}: {} of {} completed{sent}", duty.completed, duty.expected);
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
        if self.heads.wrong > 0 {
            let all = self.heads.right.saturating_add(self.heads.wrong);
            let wrong = self.heads.wrong;
            let _ = writeln!(out, "{wrong} of {all} votes were for another block than the head");
        }
        for (what, o) in &self.answers {
            let (p50, p99, max) = (o.p50, o.p99, o.max);
            let _ = writeln!(out, "{what}: clients waited {p50}/{p99}/{max} ms (p50/p99/max)");
        }
        self.write_reads(&mut out);
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

    /// Paths that some node read more than twice in a slot at one beacon node, and how many reads there were in all.
    fn write_reads(&self, out: &mut String) {
        if self.bn_reads.is_empty() {
            return;
        }
        let all: f64 = self.bn_reads.values().map(|r| r.per_slot).sum();
        let often = self.bn_reads.iter().filter(|(_, r)| r.reads.above_two > 0);
        let often: Vec<String> = often
            .map(|(path, r)| format!("{path} (up to {})", r.reads.max))
            .collect();
        let which = if often.is_empty() {
            "no path more than twice in a slot by one node at one beacon node".to_owned()
        } else {
            format!(
                "more than twice in a slot by one node at one beacon node: {}",
                often.join(", ")
            )
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "beacon node reads: {all:.1} per slot; {which}");
    }
}

#[cfg(test)]
mod tests {
    use trireme_eth2::ValidatorIndex;
    use trireme_testutil::judge::{Missed, SlashableKind};

    use super::*;

    const fn offsets() -> Offsets {
        Offsets {
            p50: 1,
            p90: 2,
            p99: 3,
            max: 4,
        }
    }

    fn good() -> Summary {
        let duty = DutyReport {
            expected: 2,
            completed: 2,
            missed: vec![],
            offset_ms: offsets(),
        };
        let node = NodeSummary {
            implementation: "trireme",
            version: "v1".to_owned(),
            cpu_seconds: 1.5,
            max_rss_kib: 2048,
            restarts: 0,
        };
        Summary {
            duties: BTreeMap::from([("proposer".to_owned(), duty)]),
            slashable: vec![],
            nodes: vec![node],
            bn_reads: BTreeMap::new(),
            heads: Heads { right: 7, wrong: 1 },
            answers: BTreeMap::from([("block", offsets())]),
        }
    }

    #[test]
    fn the_object_has_the_documented_form_on_one_line() {
        assert_eq!(
            good().json(),
            r#"{"duties":{"proposer":{"expected":2,"completed":2,"missed":[],"offset_ms":{"p50":1,"p90":2,"p99":3,"max":4}}},"slashable":[],"nodes":[{"implementation":"trireme","version":"v1","cpu_seconds":1.5,"max_rss_kib":2048,"restarts":0}],"bn_reads":{},"heads":{"right":7,"wrong":1},"answers":{"block":{"p50":1,"p90":2,"p99":3,"max":4}}}"#
        );
    }

    #[test]
    fn reads_are_given_by_path_and_named_where_a_node_reads_too_often() {
        let mut summary = good();
        let reads = |total, max, above_two| BnReads {
            per_slot: 1.5,
            reads: PathReads { total, max, above_two },
        };
        summary.bn_reads.insert("GET /a".to_owned(), reads(24, 2, 0));
        assert!(
            summary
                .text()
                .contains("beacon node reads: 1.5 per slot; no path more than twice")
        );
        summary.bn_reads.insert("GET /b".to_owned(), reads(30, 5, 3));
        assert!(summary.text().contains("3.0 per slot; more than twice"));
        assert!(summary.text().contains("GET /b (up to 5)"));
        let json = r#""GET /b":{"per_slot":1.5,"total":30,"max":5,"above_two":3}"#;
        assert!(summary.json().contains(json), "{}", summary.json());
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
        missed.duties.get_mut("proposer").unwrap().missed.push(late);
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
