//! Who may be asked in somebody else's name, and in which order: for what the validator API passes on.
//!
//! Guarantees: a beacon node of another chain is in no group, nor one that was left out and has not been looked at since;
//! within a group all are equally good. Positions are those of the configuration, primary ones first, then fallbacks.
//! Not here: sending anything (`trireme-vapi`).

use std::sync::Arc;

use super::{Pool, Topic};
use crate::{Status, calls::Call, score::Score};

/// The part of a slot for which the last look at a beacon node that was left out holds while others can be used.
const LOOK_AGAIN: u32 = 2;

impl Pool {
    /// Those that may be asked, in groups, the best first: synced primary ones by the quality of their heads, then synced
    /// fallbacks, then unsynced ones.
    #[must_use]
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let best = self.shared.best_head();
        let mut usable = Vec::new();
        for endpoint in self.shared.ranked(Call::HeadRoot) {
            let status = endpoint.status();
            let position = self.shared.endpoints.iter().position(|e| Arc::ptr_eq(e, &endpoint));
            if let (true, Some(position)) = (status.usable(), position) {
                // Whoever is slow loses the race by itself.
                let score: Score = endpoint.score(best, false);
                usable.push(((status == Status::NotSynced, endpoint.role, score), position));
            }
        }
        usable.sort_by_key(|(rank, _)| *rank);
        let groups = usable.chunk_by(|(one, _), (other, _)| one == other);
        groups
            .map(|group| group.iter().map(|(_, position)| *position).collect())
            .collect()
    }

    /// Looks at those that were left out; while others can be used, not at each of them again and again.
    pub async fn look_again(&self) {
        let shared = &self.shared;
        let others = shared.endpoints.iter().any(|e| e.status() == Status::Ok);
        let often = shared.timing.slot_duration.checked_div(LOOK_AGAIN).unwrap_or_default();
        let left_out = shared.endpoints.iter().filter(|e| match e.status() {
            Status::Offline | Status::Uninitialized => !others || e.looked_ago().is_none_or(|ago| ago >= often),
            Status::Ok | Status::NotSynced | Status::Incompatible => false,
        });
        let now = shared.now();
        futures::future::join_all(left_out.map(|e| e.refresh(&shared.chain, now))).await;
    }

    /// Whether messages of this kind go to more beacon nodes than they must.
    #[must_use]
    pub fn broadcasts(&self, topic: Topic) -> bool {
        self.shared.broadcast.has(topic)
    }
}
