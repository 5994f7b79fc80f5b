//! Whether the block that a new one builds on exists and is recent.
//!
//! Guarantees: a block is refused only if several heads have come after its parent, or if a beacon node that does tell
//! of its own head says that there is no such parent; where nobody can say, it is taken. A parent that was a head lately costs no
//! request.
//! Not here: the other checks of a block (`answers`).

use trireme_core::ports::BeaconError;
use trireme_eth2::{Root, Slot};

use super::{Shared, lock};
use crate::{Status, calls::Call, client::malformed, endpoint::Endpoint};

/// What a beacon node says of a block. Ordered by what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    /// It has none of this root.
    HasNot,
    /// It has it, in this slot if it says so.
    Has(Option<Slot>),
}

impl Shared {
    pub(super) async fn check_parent(&self, maker: &Endpoint, parent: Root) -> Result<(), BeaconError> {
        let slot = self.slot_of(parent);
        if lock(&self.seen).heads.is_outdated(parent) {
            return Err(outdated(parent));
        }
        if slot.is_some() {
            return Ok(());
        }
        let others = self
            .endpoints
            .iter()
            .filter(|e| e.status() == Status::Ok && !std::ptr::eq(e.as_ref(), maker));
        let words = futures::future::join_all(others.map(|e| says(e, parent))).await;
        let word = match words.into_iter().flatten().max() {
            Some(word) => Some(word),
            None => says(maker, parent).await,
        };
        match word {
            Some(Word::HasNot) => Err(malformed(
                Call::ProduceBlock,
                format!("it builds on block {parent}, which no beacon node has"),
            )),
            Some(Word::Has(Some(slot))) if lock(&self.seen).heads.is_left_behind(slot) => Err(outdated(parent)),
            Some(Word::Has(_)) | None => Ok(()),
        }
    }
}

fn outdated(parent: Root) -> BeaconError {
    malformed(
        Call::ProduceBlock,
        format!("it builds on block {parent}, after which several heads have come: the beacon node is behind"),
    )
}

/// `None` if its word is worth nothing: a beacon node that does not find its own head there either finds nothing.
async fn says(endpoint: &Endpoint, parent: Root) -> Option<Word> {
    if let Some(slot) = endpoint.client.find_header(parent).await.ok()? {
        return Some(Word::Has(slot));
    }
    let (_, head) = endpoint.head()?;
    let found = endpoint.client.find_header(head).await.ok()?;
    found.is_some().then_some(Word::HasNot)
}
