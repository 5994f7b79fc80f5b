//! Blocks: at the start of a slot, full or blinded as the node has it.

use trireme_eth2::{DomainType, hash_tree_root};

use super::{ApiFailure, Question, ServedKind, slot::Slotwork};

impl Slotwork {
    pub(super) async fn propose(&self) -> Result<(), ApiFailure> {
        let duties = self.shared.api.proposer_duties(self.epoch()).await?;
        let mine = duties
            .into_iter()
            .find(|d| d.slot == self.slot && self.is_ours(&d.pubkey));
        let Some(duty) = mine.filter(|_| !self.shared.state().proposed.contains(&self.slot)) else {
            return Ok(());
        };
        let Some(randao) = self.sign(&duty.pubkey, hash_tree_root(&self.epoch()), DomainType::Randao) else {
            return Ok(());
        };
        let boost = if self.shared.builder { u64::MAX } else { 0 };
        let (asked, due) = ((self.shared.now)(), self.chain.start(self.slot));
        let (proposal, body) = self.shared.api.block(self.slot, randao, boost).await?;
        self.shared.answered(Question::Block, self.slot, asked, due);
        self.shared.keep(self.slot, ServedKind::Block, &body);
        if !self.shared.state().proposed.insert(self.slot) {
            return Ok(());
        }
        let Some(signature) = self.sign(&duty.pubkey, proposal.block_root(), DomainType::BeaconProposer) else {
            return Ok(());
        };
        let blinded = u64::from(proposal.is_blinded());
        self.shared.api.publish(&proposal.sign(signature)).await?;
        let mut activity = self.shared.activity();
        activity.proposed = activity.proposed.saturating_add(1);
        activity.blinded = activity.blinded.saturating_add(blinded);
        Ok(())
    }
}
