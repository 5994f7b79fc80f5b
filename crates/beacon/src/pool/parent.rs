//! Whether the block that a new one builds on exists and is recent.
//!
//! Guarantees: a block is refused only if several heads have come after its parent, or if a beacon node that does tell
//! of its own head says that there is no such parent; where nobody says so in time, it is taken: a block without a parent
//! earns nothing and breaks no rule, while one that is refused for want of an answer is lost for certain. A parent that
//! was a head lately costs no request.
//! Not here: the other checks of a block (`answers`).

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use trireme_core::ports::BeaconError;
use trireme_eth2::{Root, Slot};

use super::{Shared, lock};
use crate::{Status, calls::Call, client::malformed, endpoint::Endpoint};

/// How long a block may wait for words about its parent. A beacon node has recent headers in memory and answers in
/// milliseconds, from the other side of the world in less than this; and the block has yet to be agreed on, signed and
/// sent, each tenth of a second of which costs votes.
const PATIENCE: Duration = Duration::from_millis(250);

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
        match self.words_on(parent, maker).await {
            Some(Word::HasNot) => Err(malformed(
                Call::ProduceBlock,
                format!("it builds on block {parent}, which no beacon node has"),
            )),
            Some(Word::Has(Some(slot))) if lock(&self.seen).heads.is_left_behind(slot) => Err(outdated(parent)),
            Some(Word::Has(_)) | None => Ok(()),
        }
    }

    /// What the others say of the block; what its maker says, if they say nothing in time. The first one who has it
    /// settles it.
    async fn words_on(&self, block: Root, maker: &Endpoint) -> Option<Word> {
        let is_maker = |endpoint: &Endpoint| std::ptr::eq(endpoint, maker);
        let asked = self.endpoints.iter().map(AsRef::as_ref);
        let asked = asked.filter(|e| is_maker(e) || e.status() == Status::Ok);
        let mut words: FuturesUnordered<_> = asked
            .map(|e| async move { (is_maker(e), says(e, block).await) })
            .collect();
        let (mut others, mut own) = (None, None);
        let listening = async {
            while let Some((makers, word)) = words.next().await {
                let so_far = if makers { &mut own } else { &mut others };
                *so_far = word.max(*so_far);
                if matches!(others, Some(Word::Has(_))) {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, listening).await.is_err() {
            tracing::debug!(%block, "not every beacon node has told in time whether it has the parent of a new block");
        }
        others.or(own)
    }
}

fn outdated(parent: Root) -> BeaconError {
    malformed(
        Call::ProduceBlock,
        format!("it builds on block {parent}, after which several heads have come: the beacon node is behind"),
    )
}

/// `None` if its word is worth nothing: a beacon node that does not find its own head there either finds nothing. Both
/// are asked for at once, so that a word takes one round trip.
async fn says(endpoint: &Endpoint, block: Root) -> Option<Word> {
    let head = async {
        let (_, head) = endpoint.head()?;
        endpoint.client.find_header(head).await.ok()?
    };
    let (found, head) = futures::join!(endpoint.client.find_header(block), head);
    match found.ok()? {
        Some(slot) => Some(Word::Has(slot)),
        None => head.map(|_| Word::HasNot),
    }
}
