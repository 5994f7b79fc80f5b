//! The builder: payloads of which only the header is shown before the block is signed.
//!
//! Guarantees: a header has the root of its payload, so that block and blinded block have the same root; a signed
//! blinded block is completed only with the payload that was offered for it. Not here: bids and their signatures.

use trireme_eth2::{Root, Slot, VersionedSignedProposal, bellatrix, capella, deneb, hash_tree_root};

use super::{blocks::Ingredients, state::Judge};

/// Slots for which an offer stands.
const STANDS: u64 = 2;

/// Copies what payload and header share.
macro_rules! header {
    ($fork:ident, $p:ident, { $($more:tt)* }) => {
        $fork::ExecutionPayloadHeader {
            parent_hash: $p.parent_hash,
            fee_recipient: $p.fee_recipient,
            state_root: $p.state_root,
            receipts_root: $p.receipts_root,
            logs_bloom: $p.logs_bloom,
            prev_randao: $p.prev_randao,
            block_number: $p.block_number,
            gas_limit: $p.gas_limit,
            gas_used: $p.gas_used,
            timestamp: $p.timestamp,
            extra_data: $p.extra_data.clone(),
            base_fee_per_gas: $p.base_fee_per_gas,
            block_hash: $p.block_hash,
            transactions_root: hash_tree_root(&$p.transactions),
            $($more)*
        }
    };
}

pub(super) fn bellatrix_header(p: &bellatrix::ExecutionPayload) -> bellatrix::ExecutionPayloadHeader {
    header!(bellatrix, p, {})
}

pub(super) fn capella_header(p: &capella::ExecutionPayload) -> capella::ExecutionPayloadHeader {
    header!(capella, p, { withdrawals_root: hash_tree_root(&p.withdrawals) })
}

pub(super) fn deneb_header(p: &deneb::ExecutionPayload) -> deneb::ExecutionPayloadHeader {
    header!(deneb, p, {
        withdrawals_root: hash_tree_root(&p.withdrawals),
        blob_gas_used: p.blob_gas_used,
        excess_blob_gas: p.excess_blob_gas,
    })
}

impl Judge {
    /// Keeps what a blinded block with this root stands for.
    pub fn offer(&mut self, root: Root, ingredients: Ingredients) {
        let first = Slot(ingredients.slot.0.saturating_sub(STANDS));
        self.offers.retain(|_, kept| kept.slot >= first);
        self.offers.insert(root, ingredients);
    }

    /// The whole block that a signed blinded one stands for; `None` if it was never offered.
    pub(super) fn unblind(&self, root: Root, blinded: &VersionedSignedProposal) -> Option<VersionedSignedProposal> {
        Some(self.offers.get(&root)?.full().sign(blinded.signature()))
    }
}
