//! Whether the block that a new one builds on exists and is recent.
//!
//! Guarantees: a block is refused only if its parent is a head of long ago, or if a beacon node that does tell of its own
//! head says that there is no such parent; where nobody can say, it is taken. A parent that was a head lately costs no
//! request.
//! Not here: the other checks of a block (`answers`).

use trireme_core::ports::BeaconError;
use trireme_eth2::Root;

use super::{Shared, lock};
use crate::{Status, calls::Call, client::malformed, endpoint::Endpoint};

impl Shared {
    pub(super) async fn check_parent(&self, maker: &Endpoint, parent: Root) -> Result<(), BeaconError> {
        let (was_head, outdated) = {
            let seen = lock(&self.seen);
            (seen.heads.slot_of(parent).is_some(), seen.heads.is_outdated(parent))
        };
        if outdated {
            return Err(malformed(
                Call::ProduceBlock,
                format!("it builds on block {parent}, after which several heads have come: the beacon node is behind"),
            ));
        }
        if was_head {
            return Ok(());
        }
        let others = self
            .endpoints
            .iter()
            .filter(|e| e.status() == Status::Ok && !std::ptr::eq(e.as_ref(), maker));
        let words = futures::future::join_all(others.map(|e| says(e, parent))).await;
        let known = match words.iter().flatten().max() {
            Some(known) => Some(*known),
            None => says(maker, parent).await,
        };
        if known == Some(false) {
            return Err(malformed(
                Call::ProduceBlock,
                format!("it builds on block {parent}, which no beacon node has"),
            ));
        }
        Ok(())
    }
}

/// `None` if its word is worth nothing: a beacon node that does not find its own head there either finds nothing.
async fn says(endpoint: &Endpoint, parent: Root) -> Option<bool> {
    if endpoint.client.knows_block(parent).await.ok()? {
        return Some(true);
    }
    let (_, head) = endpoint.head()?;
    endpoint.client.knows_block(head).await.ok()?.then_some(false)
}
