//! What every step of a duty is told: which duty, until when, when to give up, and the span it runs in.
//!
//! Guarantees: all nodes of a cluster give a duty the same trace id; a context made twice for a duty has the same deadline.
//! Not here: retries and records (`step`), the table of deadlines (`deadline`).

use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{
    deadline::deadline,
    duty::Duty,
    time::{SlotTiming, UnixTime},
};

/// Travels with a duty through every step.
#[derive(Debug, Clone)]
pub struct DutyCx {
    /// The duty.
    pub duty: Duty,
    /// Until when finishing it is worth the work; `None` for exits and registrations, which never expire.
    pub deadline: Option<UnixTime>,
    /// Cancelled when the node gives up on unfinished duties.
    pub stop: CancellationToken,
    /// Parent of the spans of all steps.
    pub span: Span,
}

impl DutyCx {
    /// A context with the deadline of the table.
    #[must_use]
    pub fn new(duty: Duty, timing: &SlotTiming, stop: CancellationToken) -> Self {
        Self {
            duty,
            deadline: deadline(duty, timing),
            stop,
            span: tracing::info_span!(parent: None, "duty", %duty),
        }
    }
}

/// Makes contexts: for the scheduler, the validator API, the consensus adapter and the exchange of partial signatures.
#[derive(Debug, Clone)]
pub struct CxSource {
    timing: SlotTiming,
    stop: CancellationToken,
    cluster_hash: [u8; 32],
}

impl CxSource {
    /// Contexts that end with `stop`; `cluster_hash` is the lock hash that trace ids are made of.
    #[must_use]
    pub const fn new(timing: SlotTiming, stop: CancellationToken, cluster_hash: [u8; 32]) -> Self {
        Self {
            timing,
            stop,
            cluster_hash,
        }
    }

    /// The context of `duty`. Its span carries the duty's `trace_id` (32 hex digits), which the exporter takes over.
    #[must_use]
    pub fn cx(&self, duty: Duty) -> DutyCx {
        let id = format!("{:032x}", trace_id(&self.cluster_hash, duty));
        DutyCx {
            duty,
            deadline: deadline(duty, &self.timing),
            stop: self.stop.child_token(),
            // Whoever makes it may be in the span of another duty, which has another trace.
            span: tracing::info_span!(parent: None, "duty", %duty, trace_id = id),
        }
    }
}

/// The trace id of a duty: 128-bit FNV-1a over the lock hash and the duty's text form (observability.md 7).
#[must_use]
pub fn trace_id(cluster_hash: &[u8], duty: Duty) -> u128 {
    trace_id_of(cluster_hash, &duty.to_string())
}

/// The same for a duty's text form, whatever it says.
fn trace_id_of(cluster_hash: &[u8], duty: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    cluster_hash
        .iter()
        .chain(duty.as_bytes())
        .fold(OFFSET, |h, b| (h ^ u128::from(*b)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::{DutyType, Slot};

    #[test]
    fn the_empty_text_hashes_to_the_offset_and_one_byte_to_the_published_value() {
        // FNV-1a-128 of "a" as published with the algorithm.
        let h = (0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128 ^ 0x61)
            .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        assert_eq!(h, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    mod vectors {
        use super::*;

        #[test]
        fn trace_ids() {
            #[derive(serde::Deserialize)]
            struct Case {
                lock_hash: String,
                duty: String,
                trace_id: String,
            }
            trireme_vectors::each("dashboards", "trace-ids", |e| {
                let cases: Vec<Case> = e.parse();
                assert!(!cases.is_empty());
                for case in cases {
                    let hash = hex::decode(case.lock_hash.trim_start_matches("0x")).unwrap();
                    assert_eq!(
                        format!("{:032x}", trace_id_of(&hash, &case.duty)),
                        case.trace_id,
                        "{}",
                        case.duty
                    );
                }
            });
        }
    }

    #[test]
    fn the_same_duty_has_the_same_trace_on_every_node_and_another_one_has_another() {
        let a = Duty::new(Slot(7), DutyType::Attester);
        let b = Duty::new(Slot(7), DutyType::Proposer);
        assert_eq!(trace_id(&[1; 32], a), trace_id(&[1; 32], a));
        assert_ne!(trace_id(&[1; 32], a), trace_id(&[1; 32], b));
        assert_ne!(trace_id(&[1; 32], a), trace_id(&[2; 32], a));
    }
}
